/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the wire layer costs: nsd's own server with a method that does nothing but answer, against a plain libevent
 * server that sends the same bytes without reading what it was asked.
 *
 *   wire [--connections N] [--seconds S] [--rounds R]
 *
 * Both serve from a process each; one client keeps a call of about 200 bytes under way on every connection and takes a
 * reply of about 400. The two are measured in turn, R times. Prints calls a second, the median and the 99th
 * percentile of a call in nanoseconds, and the processor time of the server that a call takes: the one that says most on
 * a busy machine.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "model-network.h"
#include "server.h"

#define MAX_CONNECTIONS 64
#define MAX_SAMPLES 4000000
#define CALL                                                                                                    \
	"{\"method\":\"test.wire.Acquire\",\"parameters\":{\"network\":\"builds\",\"key\":\"job-4711-step-3\"," \
	"\"bond\":\"connection\",\"ttl\":60000,\"labels\":{\"job\":\"4711\",\"step\":\"3\"},\"open\":false}}"

__attribute__((noreturn)) static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* ---- nsd's server ---- */

struct acquire_in {
	char *network, *key;
	int bond;
	int64_t ttl;
	struct pairs labels;
	int open;
};

struct acquire_out {
	struct slot *slot;
	int created;
};

/* clang-format off */
#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), .doc = "", __VA_ARGS__ }

static const struct type in_type = {
	.size = sizeof(struct acquire_in),
	.fields = (const struct field[]){
		F(acquire_in, network, "network", FIELD_STRING, .check = network_name_check),
		F(acquire_in, key, "key", FIELD_STRING, .flags = FIELD_NULLABLE, .check = lease_key_check),
		F(acquire_in, bond, "bond", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &lease_bond_type),
		F(acquire_in, ttl, "ttl", FIELD_INT, .flags = FIELD_NULLABLE, .min = 100, .max = 1000000),
		F(acquire_in, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE),
		F(acquire_in, open, "open", FIELD_BOOL, .flags = FIELD_NULLABLE),
		{ 0 },
	},
};
static const struct type out_type = {
	.size = sizeof(struct acquire_out),
	.fields = (const struct field[]){
		F(acquire_out, slot, "slot", FIELD_STRUCT, .of = &slot_type),
		F(acquire_out, created, "created", FIELD_BOOL, .flags = 0),
		{ 0 },
	},
};
/* clang-format on */

static int
acquire(void *context, struct request *r, void *in, struct error *e UNUSED)
{
	struct slot *s = context;
	const struct acquire_in *a = in;
	struct acquire_out out = { .slot = s, .created = 1 };

	s->key = a->key;
	request_reply(r, &out_type, &out);
	s->key = NULL;
	return 0;
}

static const char slot_text[] =
	"{\"name\":\"builds.1\",\"network\":\"builds\",\"state\":\"leased\",\"generation\":1882345678901234,"
	"\"path\":\"/run/nsd/slots/builds.1\",\"interface\":\"eth0\",\"mac\":\"02:02:0a:40:00:02\","
	"\"addresses\":[\"10.64.0.3/31\"],\"gateways\":[\"10.64.0.2\"],\"address4\":\"10.64.0.3\",\"mtu\":1500,"
	"\"cookie\":123456,\"owner\":1000,\"bond\":\"connection\",\"pid\":4711,\"since\":1795000000}";

static const struct method methods[] = {
	{ .name = "Acquire", .doc = "", .in = &in_type, .out = &out_type, .handler = acquire },
	{ 0 },
};
static const struct interface interface = {
	.name = "test.wire",
	.doc = "",
	.tables = (const struct method *const[]){ methods, NULL },
};

static void
serve_wire(const char *path, int ready)
{
	struct slot slot;
	const struct binding bindings[] = { { &interface, &slot }, { 0 } };
	const struct dispatcher d = { .bindings = bindings };
	const struct server_limits limits = { .connections = 1024, .connections_per_user = 1024 };
	struct event_base *base = event_base_new();
	struct server *server;
	struct error e = { 0 };
	int fd;

	if (!base || fields_from_text(&slot_type, slot_text, VIEW_OUTPUT, &slot, &e) < 0 ||
	    server_listen(path, (gid_t)-1, &fd, &e) < 0 || server_new(base, fd, &d, &limits, &server, &e) < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	close(ready);
	event_base_dispatch(base);
}

/* ---- the plain one ---- */

struct plain {
	struct event_base *base;
	const char *reply;
	size_t length;
};

struct plain_connection {
	const struct plain *plain;
	struct event *event;
};

static void
on_call(evutil_socket_t fd, short what UNUSED, void *arg)
{
	struct plain_connection *c = arg;
	char call[4096];
	ssize_t n = recv(fd, call, sizeof(call), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0 || send(fd, c->plain->reply, c->plain->length, MSG_NOSIGNAL) < 0) {
		event_free(c->event);
		close(fd);
		free(c);
	}
}

static void
on_client(evutil_socket_t listening, short what UNUSED, void *arg)
{
	const struct plain *p = arg;
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct plain_connection *c = fd < 0 ? NULL : malloc(sizeof(*c));

	if (!c)
		die("accept");
	c->plain = p;
	c->event = event_new(p->base, fd, EV_READ | EV_PERSIST, on_call, c);
	event_add(c->event, NULL);
}

static void
serve_plain(const char *path, int ready, const char *reply, size_t length)
{
	struct plain p = { .base = event_base_new(), .reply = reply, .length = length };
	struct event *listening;
	int fd;

	if (!p.base || server_listen(path, (gid_t)-1, &fd, NULL) < 0)
		die("listen");
	listening = event_new(p.base, fd, EV_READ | EV_PERSIST, on_client, &p);
	event_add(listening, NULL);
	close(ready);
	event_base_dispatch(p.base);
}

/* ---- the client ---- */

struct load {
	int fds[MAX_CONNECTIONS];
	uint64_t sent[MAX_CONNECTIONS];
	unsigned n;
	uint32_t *samples;
	size_t n_samples;
};

static uint64_t
read_clock(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		die("clock_gettime");
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t
now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static void
call(struct load *l, unsigned i)
{
	l->sent[i] = now();
	if (send(l->fds[i], CALL, sizeof(CALL), MSG_NOSIGNAL) != sizeof(CALL))
		die("send");
}

/* One reply, which came whole: it is shorter than a page. */
static size_t
take(struct load *l, unsigned i, char *reply, size_t size)
{
	ssize_t n = recv(l->fds[i], reply, size, 0);

	if (n <= 0 || reply[n - 1] != '\0')
		die("recv");
	if (l->n_samples < MAX_SAMPLES)
		l->samples[l->n_samples++] = (uint32_t)(now() - l->sent[i]);
	return (size_t)n;
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
report(const char *name, struct load *l, uint64_t elapsed, uint64_t cpu)
{
	qsort(l->samples, l->n_samples, sizeof(*l->samples), by_value);
	printf("%-6s %u connections: %7.0f/s, p50 %6u ns, p99 %6u ns, %6.0f ns of the server's processor\n", name, l->n,
	       (double)l->n_samples * 1e9 / (double)elapsed, l->samples[l->n_samples / 2],
	       l->samples[l->n_samples * 99 / 100], (double)cpu / (double)l->n_samples);
	fflush(stdout);
}

static void
run_one(struct load *l, uint64_t end)
{
	char reply[4096];

	while (now() < end) {
		call(l, 0);
		take(l, 0, reply, sizeof(reply));
	}
}

static void
run_many(struct load *l, uint64_t end)
{
	struct epoll_event events[MAX_CONNECTIONS];
	char reply[4096];
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	for (unsigned i = 0; i < l->n; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };
		epoll_ctl(epoll, EPOLL_CTL_ADD, l->fds[i], &ev);
		call(l, i);
	}
	while (now() < end) {
		int n = epoll_wait(epoll, events, MAX_CONNECTIONS, -1);
		for (int i = 0; i < n; i++) {
			take(l, events[i].data.u32, reply, sizeof(reply));
			call(l, events[i].data.u32);
		}
	}
	close(epoll);
}

static void
connect_all(struct load *l, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, path, strlen(path));
	for (unsigned i = 0; i < l->n; i++) {
		l->fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(l->fds[i], (struct sockaddr *)&address, sizeof(address)) < 0)
			die("connect");
	}
}

static void
measure(const char *name, pid_t pid, const char *path, struct load *l, unsigned seconds)
{
	clockid_t clock;

	l->n_samples = 0;
	connect_all(l, path);
	if (clock_getcpuclockid(pid, &clock) != 0)
		die(name);
	uint64_t start = now(), end = start + (uint64_t)seconds * 1000000000, cpu = read_clock(clock);
	if (l->n == 1)
		run_one(l, end);
	else
		run_many(l, end);
	report(name, l, now() - start, read_clock(clock) - cpu);
	for (unsigned i = 0; i < l->n; i++)
		close(l->fds[i]);
}

static pid_t
start(const char *path, const char *reply, size_t length)
{
	int ready[2];
	char c;
	pid_t parent = getpid(), pid;

	if (pipe(ready) < 0 || (pid = fork()) < 0)
		die("fork");
	if (pid == 0) {
		close(ready[0]);
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			exit(1);
		if (reply)
			serve_plain(path, ready[1], reply, length);
		else
			serve_wire(path, ready[1]);
		exit(1);
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) < 0)
		die("read");
	close(ready[0]);
	return pid;
}

int
main(int argc, char **argv)
{
	static const struct option long_options[] = { { "connections", required_argument, NULL, 'c' },
						      { "seconds", required_argument, NULL, 's' },
						      { "rounds", required_argument, NULL, 'r' },
						      { 0 } };
	unsigned seconds = 1, rounds = 5;
	struct load l = { .n = 8, .samples = malloc(MAX_SAMPLES * sizeof(*l.samples)) };
	char paths[2][64], reply[4096];
	size_t length;
	pid_t pids[2];
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		unsigned value = c == '?' ? 0 : (unsigned)strtoul(optarg, NULL, 10);
		*(c == 'c' ? &l.n : c == 's' ? &seconds : &rounds) = value;
	}
	if (!l.samples || l.n == 0 || l.n > MAX_CONNECTIONS || seconds == 0) {
		fprintf(stderr, "usage: wire [--connections N] [--seconds S] [--rounds R]\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < 2; i++)
		snprintf(paths[i], sizeof(paths[i]), "/tmp/nsd-bench-wire-%d-%u", (int)getpid(), i);
	pids[0] = start(paths[0], NULL, 0);
	unsigned wanted = l.n;
	l.n = 1;
	connect_all(&l, paths[0]);
	call(&l, 0);
	length = take(&l, 0, reply, sizeof(reply));
	close(l.fds[0]);
	l.n = wanted;
	pids[1] = start(paths[1], reply, length);
	printf("call %zu bytes, reply %zu bytes\n", sizeof(CALL), length);
	for (unsigned i = 0; i < rounds; i++) {
		measure("nsd", pids[0], paths[0], &l, seconds);
		measure("plain", pids[1], paths[1], &l, seconds);
	}
	for (unsigned i = 0; i < 2; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
		unlink(paths[i]);
	}
	free(l.samples);
	return 0;
}
