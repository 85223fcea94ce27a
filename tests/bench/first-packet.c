/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How soon a slot that was just made takes its first packet.
 *
 *   first-packet --socket PATH --network NAME --count N [--ipv6]
 *
 * For each of N slots: AcquireSlot, with an fd of the namespace; the clock starts when the reply has come. A UDP socket is
 * bound in the slot, another one opened in the host, which sends a byte every 20 us until the slot's socket is readable,
 * or three seconds have passed: that is the time of the first packet. The slot answers; if the host has not got that within a
 * tenth of a second, it counts as unanswered. Then the slot is released, so its cleaning up runs beside the next one's making.
 *
 * Prints {"operations":[ns,...],"acquires":[ns,...],"unanswered":n}.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "load.h"
#include "samples.h"

#define PORT 7000
#define RETRY_NS 20000
#define GIVE_UP_NS 3000000000U
#define ANSWER_MS 100
#define MESSAGE_SIZE 4096

struct test {
	struct load load;
	const char *network;
	int family;
	int host_ns;
	unsigned unanswered;
};

struct slot {
	char name[64], address[INET6_ADDRSTRLEN];
	int ns;
	uint64_t replied_at;
};

/* Reads one answer and the fd that comes with it. */
static size_t
receive(const struct connection *c, char *text, int *ret_fd, uint64_t *at)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	size_t used = 0;

	*ret_fd = -1;
	do {
		struct iovec iov = { .iov_base = text + used, .iov_len = MESSAGE_SIZE - used };
		struct msghdr m = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
		};
		ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
		*at = now_ns();
		if (n <= 0)
			die(n < 0 ? errno : 0, "no answer");
		const struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
			memcpy(ret_fd, CMSG_DATA(h), sizeof(int));
		used += (size_t)n;
	} while (text[used - 1] != '\0' && used < MESSAGE_SIZE);
	if (contains(text, used, "\"error\":\"") || text[used - 1] != '\0')
		die(0, "%s", text);
	return used;
}

static void
acquire(struct test *t, struct slot *ret, struct samples *acquires)
{
	struct connection *c = &t->load.connections[0];
	char text[MESSAGE_SIZE];
	snprintf(text, sizeof(text),
		 "{\"method\":\"io.nsd.Manager.AcquireSlot\",\"parameters\":{\"network\":\"%s\",\"bond\":\"nothing\","
		 "\"open\":true}}",
		 t->network);
	connection_send(c, text);
	size_t n = receive(c, text, &ret->ns, &ret->replied_at);
	samples_add(acquires, ret->replied_at - c->sent_at);
	if (ret->ns < 0)
		die(0, "no fd with %s", text);
	copy_member(text, n, "name", ret->name, sizeof(ret->name));
	copy_member(text, n, t->family == AF_INET ? "address4" : "address6", ret->address, sizeof(ret->address));
}

static void
release(struct test *t, const struct slot *s)
{
	struct connection *c = &t->load.connections[0];
	char text[MESSAGE_SIZE];
	uint64_t at;
	int none;
	snprintf(text, sizeof(text), "{\"method\":\"io.nsd.Manager.ReleaseSlot\",\"parameters\":{\"name\":\"%s\"}}",
		 s->name);
	connection_send(c, text);
	receive(c, text, &none, &at);
}

static socklen_t
fill_address(struct sockaddr_storage *ret, int family, const char *address)
{
	struct sockaddr_in *a4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)ret;
	*ret = (struct sockaddr_storage){ .ss_family = (sa_family_t)family };
	if (family == AF_INET)
		a4->sin_port = htons(PORT);
	else
		a6->sin6_port = htons(PORT);
	if (address &&
	    inet_pton(family, address, family == AF_INET ? (void *)&a4->sin_addr : (void *)&a6->sin6_addr) != 1)
		die(0, "\"%s\" is not an address", address);
	return family == AF_INET ? sizeof(*a4) : sizeof(*a6);
}

static int
socket_in(int ns, int family)
{
	if (setns(ns, CLONE_NEWNET) < 0)
		die(errno, "setns");
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die(errno, "socket");
	return fd;
}

static bool
readable(int fd, uint64_t ns)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec t = { .tv_sec = (time_t)(ns / 1000000000U), .tv_nsec = (long)(ns % 1000000000U) };
	return ppoll(&p, 1, &t, NULL) > 0;
}

/* Does the slot's answer reach the host? */
static bool
answer_comes(int inside, int outside)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	char byte;
	return recvfrom(inside, &byte, 1, 0, (struct sockaddr *)&from, &size) >= 0 &&
	       sendto(inside, &byte, 1, 0, (struct sockaddr *)&from, size) == 1 &&
	       readable(outside, ANSWER_MS * 1000000U);
}

static uint64_t
first_packet(struct test *t, const struct slot *s)
{
	struct sockaddr_storage any, to;
	socklen_t size = fill_address(&any, t->family, NULL);
	int inside = socket_in(s->ns, t->family);
	if (bind(inside, (struct sockaddr *)&any, size) < 0)
		die(errno, "bind");
	int outside = socket_in(t->host_ns, t->family);
	fill_address(&to, t->family, s->address);
	bool there = false;
	while (!there && now_ns() - s->replied_at < GIVE_UP_NS) {
		if (sendto(outside, "x", 1, 0, (struct sockaddr *)&to, size) < 0)
			die(errno, "send to %s", s->address);
		there = readable(inside, RETRY_NS);
	}
	uint64_t took = now_ns() - s->replied_at;
	t->unanswered += !there || !answer_comes(inside, outside);
	close(inside);
	close(outside);
	return took;
}

static void
run(struct test *t, unsigned long count)
{
	struct samples operations = { 0 }, acquires = { 0 };
	for (unsigned long i = 0; i < count; i++) {
		struct slot s;
		acquire(t, &s, &acquires);
		samples_add(&operations, first_packet(t, &s));
		close(s.ns);
		release(t, &s);
	}
	printf("{");
	samples_print("operations", &operations);
	printf(",");
	samples_print("acquires", &acquires);
	printf(",\"unanswered\":%u}\n", t->unanswered);
	samples_done(&operations);
	samples_done(&acquires);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "network", required_argument, NULL, 'n' },
		{ "count", required_argument, NULL, 'c' },
		{ "ipv6", no_argument, NULL, '6' },
		{ 0 },
	};
	static struct test t = { .network = "bench", .family = AF_INET };
	const char *socket = "/run/nsd/io.nsd.Manager";
	unsigned long count = 1;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			socket = optarg;
		else if (c == 'n')
			t.network = optarg;
		else if (c == 'c')
			count = parse_number(optarg, "--count");
		else if (c == '6')
			t.family = AF_INET6;
		else
			return EXIT_FAILURE;
	}
	t.host_ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (t.host_ns < 0)
		die(errno, "/proc/thread-self/ns/net");
	load_open(&t.load, socket, 1);
	run(&t, count);
	load_close(&t.load);
	return EXIT_SUCCESS;
}
