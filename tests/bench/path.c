/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a way through the network costs: UDP ping-pong and a TCP stream between two network namespaces.
 *
 *   path --server NS --address ADDRESS [--client NS] ping --count N        {"operations":[ns,...]}: round trips of 64 bytes
 *   path --server NS --address ADDRESS [--client NS] stream --ms T         {"bytes":n,"elapsed":ns}: client to server
 *   path --server NS --address ADDRESS [--client NS] pull --ms T           the same, server to client
 *
 * NS is a namespace's file; without --client it is this program's own. The client connects to ADDRESS, which the server's
 * namespace has. Both ends run on the first processor for the ping-pong: then it is only the way that is measured, not
 * how long a second processor needs to wake up. For streams each has its own.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "samples.h"

#define PORT 7001
#define PING_SIZE 64
#define CHUNK (128 * 1024)
#define UNCOUNTED 100
#define TIMEOUT_SECONDS 5

struct test {
	const char *server, *client, *address;
	unsigned long count, ms;
	bool stream, pull;
};

static void
enter(const char *path)
{
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (!path)
		return;
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(errno, "%s", path);
	close(fd);
}

static void
stay_on(int processor)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET((size_t)(processor % sysconf(_SC_NPROCESSORS_ONLN)), &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		die(errno, "sched_setaffinity");
}

static socklen_t
parse_address(const char *text, struct sockaddr_storage *ret)
{
	struct sockaddr_in *a4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)ret;
	*ret = (struct sockaddr_storage){ 0 };
	if (inet_pton(AF_INET, text, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET;
		a4->sin_port = htons(PORT);
		return sizeof(*a4);
	}
	if (inet_pton(AF_INET6, text, &a6->sin6_addr) != 1)
		die(0, "\"%s\" is not an address", text);
	a6->sin6_family = AF_INET6;
	a6->sin6_port = htons(PORT);
	return sizeof(*a6);
}

static int
socket_or_die(const struct sockaddr_storage *a, int type)
{
	struct timeval limit = { .tv_sec = TIMEOUT_SECONDS };
	int one = 1;
	int fd = socket(a->ss_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		die(errno, "socket");
	return fd;
}

/* Sends for T ms, then says that this was all. */
static uint64_t
pour(int fd, unsigned long ms)
{
	static char data[CHUNK];
	uint64_t until = now_ns() + ms * 1000000U, bytes = 0;
	while (now_ns() < until) {
		ssize_t n = send(fd, data, sizeof(data), MSG_NOSIGNAL);
		if (n < 0)
			die(errno, "send");
		bytes += (uint64_t)n;
	}
	shutdown(fd, SHUT_WR);
	return bytes;
}

static uint64_t
drain(int fd)
{
	static char data[CHUNK];
	uint64_t bytes = 0;
	ssize_t n;
	while ((n = recv(fd, data, sizeof(data), 0)) > 0)
		bytes += (uint64_t)n;
	if (n < 0)
		die(errno, "receive");
	return bytes;
}

static noreturn void
serve(const struct test *t, int fd)
{
	struct sockaddr_storage from;
	char data[PING_SIZE], done = 0;

	while (!t->stream) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);
		if (n < 0 || sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, size) != n)
			die(errno, "answer");
	}
	fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		die(errno, "accept");
	if (t->pull) {
		pour(fd, t->ms);
	} else {
		drain(fd);
		if (send(fd, &done, 1, MSG_NOSIGNAL) < 0)
			die(errno, "send");
	}
	exit(EXIT_SUCCESS);
}

/* The socket is open when this returns. */
static pid_t
start_server(const struct test *t, const struct sockaddr_storage *a, socklen_t size)
{
	int ready[2];
	char byte;
	if (pipe2(ready, O_CLOEXEC) < 0)
		die(errno, "pipe");
	pid_t pid = fork();
	if (pid < 0)
		die(errno, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL);
		close(ready[0]);
		enter(t->server);
		int fd = socket_or_die(a, t->stream ? SOCK_STREAM : SOCK_DGRAM);
		stay_on(t->stream ? 1 : 0);
		if (bind(fd, (const struct sockaddr *)a, size) < 0 || (t->stream && listen(fd, 1) < 0))
			die(errno, "%s", t->address);
		close(ready[1]);
		serve(t, fd);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) < 0)
		die(errno, "pipe");
	close(ready[0]);
	return pid;
}

static void
ping(const struct test *t, int fd)
{
	struct samples s = { 0 };
	char data[PING_SIZE] = { 0 };
	for (unsigned long i = 0; i < t->count + UNCOUNTED; i++) {
		uint64_t start = now_ns();
		if (send(fd, data, sizeof(data), 0) < 0 || recv(fd, data, sizeof(data), 0) < 0)
			die(errno, "ping %s", t->address);
		if (i >= UNCOUNTED)
			samples_add(&s, now_ns() - start);
	}
	printf("{");
	samples_print("operations", &s);
	printf("}\n");
	samples_done(&s);
}

static void
stream(const struct test *t, int fd)
{
	uint64_t start = now_ns(), bytes = 0;
	char done;
	if (t->pull) {
		bytes = drain(fd);
	} else {
		bytes = pour(fd, t->ms);
		if (recv(fd, &done, 1, 0) != 1)
			die(errno, "no end of the stream");
	}
	printf("{\"bytes\":%" PRIu64 ",\"elapsed\":%" PRIu64 "}\n", bytes, now_ns() - start);
}

static void
run(const struct test *t)
{
	struct sockaddr_storage a;
	socklen_t size = parse_address(t->address, &a);
	pid_t server = start_server(t, &a, size);

	enter(t->client);
	stay_on(0);
	int fd = socket_or_die(&a, t->stream ? SOCK_STREAM : SOCK_DGRAM);
	if (connect(fd, (struct sockaddr *)&a, size) < 0)
		die(errno, "connect to %s", t->address);
	if (t->stream)
		stream(t, fd);
	else
		ping(t, fd);
	close(fd);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "server", required_argument, NULL, 's' },  { "client", required_argument, NULL, 'c' },
		{ "address", required_argument, NULL, 'a' }, { "count", required_argument, NULL, 'n' },
		{ "ms", required_argument, NULL, 'm' },	     { 0 },
	};
	struct test t = { .count = 1000, .ms = 1000 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			t.server = optarg;
		else if (c == 'c')
			t.client = optarg;
		else if (c == 'a')
			t.address = optarg;
		else if (c == 'n')
			t.count = parse_number(optarg, "--count");
		else if (c == 'm')
			t.ms = parse_number(optarg, "--ms");
		else
			return EXIT_FAILURE;
	}
	const char *verb = optind < argc ? argv[optind] : "";
	t.pull = strcmp(verb, "pull") == 0;
	t.stream = t.pull || strcmp(verb, "stream") == 0;
	if (!t.address || (!t.stream && strcmp(verb, "ping") != 0))
		die(0, "say --server NS --address ADDRESS ping, stream or pull");
	run(&t);
	return EXIT_SUCCESS;
}
