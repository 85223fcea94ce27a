/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The server's connections: answers beyond what the socket takes, bonds that end with one, the process behind one. */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "server.h"
#include "unit.h"

#define BIND "{\"method\":\"test.server.Bind\"}"
#define KEEP "{\"method\":\"test.server.Keep\"}"
#define OPEN "{\"method\":\"test.server.Open\"}"
#define PIDFD "{\"method\":\"test.server.Pidfd\"}"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* ---- a server with three methods ---- */

struct thing { /* that ends with a connection */
	struct bond bond;
	unsigned broken;
};

static struct {
	struct event_base *base;
	struct server *server;
	char path[64];
	struct thing things[4], *next; /* `next` is bound by the next Bind, and by an answer to Keep */
	struct request *kept;
	int bound;    /* what request_bond() returned last */
	int pidfd;    /* what request_pidfd() returned last */
	bool old;     /* the kernel knows no SO_PEERPIDFD */
	bool hang_up; /* between SO_PEERPIDFD and its replacement the peer goes */
	int peer;     /* the client's end, for hang_up */
} s;

static void
on_broken(struct bond *b)
{
	struct thing *t = (struct thing *)((char *)b - offsetof(struct thing, bond));

	bond_release(b); /* which it is already */
	t->broken++;
}

static int
bind_thing(void *context UNUSED, struct request *r, void *in UNUSED, struct error *e UNUSED)
{
	s.next->bond.broken = on_broken;
	s.bound = request_bond(r, &s.next->bond);
	request_reply(r, NULL, NULL);
	return 0;
}

static int
keep(void *context UNUSED, struct request *r, void *in UNUSED, struct error *e UNUSED)
{
	s.kept = r;
	return 0;
}

static int
open_pidfd(void *context UNUSED, struct request *r, void *in UNUSED, struct error *e UNUSED)
{
	s.pidfd = request_pidfd(r);
	request_reply(r, NULL, NULL);
	return 0;
}

static int
open_file(void *context UNUSED, struct request *r, void *in UNUSED, struct error *e UNUSED)
{
	request_reply_fd(r, NULL, NULL, open("/dev/null", O_RDONLY | O_CLOEXEC));
	return 0;
}

static const struct method methods[] = {
	{ .name = "Bind", .doc = "", .handler = bind_thing },
	{ .name = "Keep", .doc = "", .handler = keep },
	{ .name = "Pidfd", .doc = "", .handler = open_pidfd },
	{ .name = "Open", .doc = "", .flags = METHOD_RETURNS_FDS, .handler = open_file },
	{ 0 },
};
static const struct interface interface = {
	.name = "test.server",
	.doc = "",
	.tables = (const struct method *const[]){ methods, NULL },
};
static const struct binding bindings[] = { { &interface, NULL }, { 0 } };
static const struct dispatcher dispatcher = { .bindings = bindings };

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length);

int
__wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	if (name == SO_PEERPIDFD && level == SOL_SOCKET && s.old) {
		if (s.hang_up)
			close(s.peer);
		errno = ENOPROTOOPT;
		return -1;
	}
	return __real_getsockopt(fd, level, name, value, length);
}

static int
setup(void **state UNUSED)
{
	struct server_limits limits = { .connections = 16, .connections_per_user = 16 };
	int fd;

	memset(&s, 0, sizeof(s));
	s.next = &s.things[0];
	s.pidfd = -1;
	snprintf(s.path, sizeof(s.path), "/tmp/nsd-test-server-%d", (int)getpid());
	s.base = event_base_new();
	return server_listen(s.path, (gid_t)-1, &fd, NULL) < 0 ||
			       server_new(s.base, fd, &dispatcher, &limits, &s.server, NULL) < 0 ?
		       -1 :
		       0;
}

static int
teardown(void **state UNUSED)
{
	server_free(s.server);
	event_base_free(s.base);
	close_fd(&s.pidfd);
	return unlink(s.path);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The loop runs for so long, or until the condition holds. */
#define RUN_UNTIL(condition, ms)                                                          \
	for (int64_t end = now_ms() + (ms); !(condition) && now_ms() < end; usleep(1000)) \
	event_base_loop(s.base, EVLOOP_NONBLOCK)

/* ---- its clients ---- */

static int
client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, s.path, strlen(s.path));
	assert_true(fd >= 0);
	assert_return_code(connect(fd, (struct sockaddr *)&address, sizeof(address)), errno);
	return fd;
}

static void
say(int fd, const char *call)
{
	assert_int_equal(send(fd, call, strlen(call) + 1, MSG_NOSIGNAL), strlen(call) + 1);
}

static void
call(int fd, const char *text)
{
	char reply[256];
	ssize_t n = -1;

	say(fd, text);
	RUN_UNTIL((n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT)) > 0, 2000);
	assert_true(n > 0);
	assert_string_equal(reply, "{}");
}

/* A call that the server keeps. */
static void
call_kept(int fd)
{
	s.kept = NULL;
	say(fd, KEEP);
	RUN_UNTIL(s.kept, 2000);
	assert_non_null(s.kept);
}

static int
bound_client(void)
{
	int fd = client();

	call(fd, BIND);
	assert_int_equal(s.bound, 0);
	return fd;
}

/* Broken at once, and once: not only when the tick comes to it. */
static void
must_break(const struct thing *t)
{
	int64_t start = now_ms();

	RUN_UNTIL(t->broken, 2000);
	assert_int_equal(t->broken, 1);
	assert_true(now_ms() - start < 300);
	RUN_UNTIL(false, 50);
	assert_int_equal(t->broken, 1);
}

static void
must_hold(const struct thing *t, int64_t ms)
{
	RUN_UNTIL(t->broken, ms);
	assert_int_equal(t->broken, 0);
}

/* ---- answers ---- */

/* Takes what is there; returns how many answers, each of which must have come with one descriptor. */
static unsigned
take_descriptors(int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char reply[64];
	unsigned n = 0;

	for (;;) {
		struct iovec v = { .iov_base = reply, .iov_len = sizeof(reply) };
		struct msghdr m = {
			.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
		};
		ssize_t length = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (length < 0 && errno == EAGAIN)
			return n;
		assert_int_equal(length, sizeof("{}"));
		assert_string_equal(reply, "{}");
		const struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		assert_non_null(h);
		close(*(const int *)CMSG_DATA(h));
		n++;
	}
}

/* A client that sends many calls at once, and reads no answer until the socket takes no more. */
static void
test_descriptors_for_a_slow_reader(void **state UNUSED)
{
	static char calls[2000 * sizeof(OPEN)];
	int fd = client();
	unsigned n = 0;

	for (unsigned i = 0; i < 2000; i++)
		memcpy(calls + i * sizeof(OPEN), OPEN, sizeof(OPEN));
	assert_int_equal(send(fd, calls, sizeof(calls), MSG_NOSIGNAL), sizeof(calls));
	RUN_UNTIL(false, 50);
	assert_in_range(server_stats(s.server).requests, 10, 1990);
	RUN_UNTIL((n += take_descriptors(fd)) == 2000, 5000);
	assert_int_equal(n, 2000);
	close(fd);
}

/* ---- bonds ---- */

static void
test_peer_closes(void **state UNUSED)
{
	int fd = bound_client();

	must_hold(s.next, 50);
	close(fd);
	must_break(s.next);
}

static void
test_peer_shuts_its_writing_side(void **state UNUSED)
{
	int fd = bound_client();

	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	must_break(s.next);
	close(fd);
}

/* A client that sends its call and shuts its writing side down still waits for the answer: its bonds hold until then. */
static void
test_half_closed_during_a_call(void **state UNUSED)
{
	int fd = bound_client();

	call_kept(fd);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	must_hold(s.next, 1200);
	request_reply(s.kept, NULL, NULL);
	must_break(s.next);
	close(fd);
}

static void
test_peer_closes_during_a_call(void **state UNUSED)
{
	int fd = bound_client();

	call_kept(fd);
	close(fd);
	must_break(s.next);
	request_reply(s.kept, NULL, NULL);
}

/* What the peer sent on must not hide that it is gone. */
static void
test_peer_closes_with_calls_unread(void **state UNUSED)
{
	int fd = bound_client();

	call_kept(fd);
	say(fd, PIDFD);
	RUN_UNTIL(false, 20);
	close(fd);
	must_break(s.next);
	request_reply(s.kept, NULL, NULL);
}

static void
test_process_dies(void **state UNUSED)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		char reply[256];
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = client();
		say(fd, BIND);
		while (recv(fd, reply, sizeof(reply), 0) > 0)
			;
		_exit(1);
	}
	RUN_UNTIL(s.things[0].bond.link.le_prev, 2000);
	must_hold(s.next, 50);
	kill(pid, SIGKILL);
	must_break(s.next);
	waitpid(pid, NULL, 0);
}

static void
test_protocol_is_broken(void **state UNUSED)
{
	int fd = bound_client();

	say(fd, "no call");
	must_break(s.next);
	close(fd);
}

static void
test_server_ends(void **state UNUSED)
{
	int fd = bound_client();

	server_free(s.server);
	s.server = NULL;
	assert_int_equal(s.next->broken, 1);
	close(fd);
}

static void
test_released(void **state UNUSED)
{
	int fd = bound_client();

	bond_release(&s.next->bond);
	bond_release(&s.next->bond);
	close(fd);
	must_hold(s.next, 100);
	bond_release(&s.things[3].bond); /* never bound */
}

static void
test_several(void **state UNUSED)
{
	int fd = bound_client(), other;

	for (unsigned i = 1; i < 3; i++) {
		s.next = &s.things[i];
		call(fd, BIND);
	}
	s.next = &s.things[3];
	other = bound_client();
	bond_release(&s.things[1].bond);
	close(fd);
	must_break(&s.things[0]);
	must_break(&s.things[2]);
	assert_int_equal(s.things[1].broken, 0);
	must_hold(&s.things[3], 50);
	close(other);
	must_break(&s.things[3]);
}

/* Taken up again over another connection, and twice over the same. */
static void
test_goes_over(void **state UNUSED)
{
	int old = bound_client(), new = bound_client();

	close(old);
	must_hold(s.next, 100);
	call(new, BIND);
	close(new);
	must_break(s.next);
}

static void
test_peer_is_gone_already(void **state UNUSED)
{
	int bound = bound_client(), fd = client();

	call_kept(fd);
	close(fd);
	assert_true(request_gone(s.kept)); /* before the loop has seen it, too */
	assert_int_equal(request_bond(s.kept, &s.things[1].bond), -ENOTCONN);
	must_hold(&s.things[0], 50);
	assert_true(request_gone(s.kept));
	assert_int_equal(request_bond(s.kept, &s.things[1].bond), -ENOTCONN);
	assert_int_equal(request_bond(s.kept, &s.things[0].bond), -ENOTCONN);
	assert_int_equal(request_pidfd(s.kept), -ESRCH);
	request_reply(s.kept, NULL, NULL);
	must_hold(&s.things[1], 50);
	must_hold(&s.things[0], 0);
	close(bound);
	must_break(&s.things[0]);
}

static void
test_idle_connections_with_bonds_stay(void **state UNUSED)
{
	struct server_limits limits = { .connections = 16, .connections_per_user = 16, .idle_seconds = 1 };
	int bound = bound_client(), idle = client();
	char c;

	server_set_limits(s.server, &limits);
	call(idle, PIDFD);
	must_hold(s.next, 3500);
	assert_int_equal(recv(idle, &c, 1, MSG_DONTWAIT), 0);
	bond_release(&s.next->bond);
	RUN_UNTIL(recv(bound, &c, 1, MSG_DONTWAIT) == 0, 3500);
	assert_int_equal(recv(bound, &c, 1, MSG_DONTWAIT), 0);
	close(bound);
	close(idle);
}

/* ---- the process behind a connection ---- */

static void
must_be_pid(int pidfd, pid_t pid)
{
	char path[64], text[512], line[32];
	FILE *f;
	size_t n;

	assert_true(pidfd >= 0);
	assert_true(fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	snprintf(line, sizeof(line), "\nPid:\t%d\n", (int)pid);
	assert_non_null(strstr(text, line));
}

/* A process that connects, calls Pidfd and waits; or, with a pipe, leaves the connection to a child, which has it until
 * the pipe is closed. */
static pid_t
caller(const int hold[2])
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		int fd = client();
		char c;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		say(fd, PIDFD);
		if (!hold)
			pause();
		close(hold[1]);
		_exit(fork() == 0 ? (int)read(hold[0], &c, 1) : 0);
	}
	return pid;
}

static void
check_pidfd(bool old)
{
	int fd = client();

	s.old = old;
	call(fd, PIDFD);
	must_be_pid(s.pidfd, getpid());
	close(TAKE_FD(s.pidfd));
	close(fd);

	pid_t pid = caller(NULL);
	RUN_UNTIL(s.pidfd != -1, 2000);
	must_be_pid(s.pidfd, pid);
	assert_int_equal(poll(&(struct pollfd){ .fd = s.pidfd, .events = POLLIN }, 1, 0), 0);
	kill(pid, SIGKILL);
	assert_int_equal(poll(&(struct pollfd){ .fd = s.pidfd, .events = POLLIN }, 1, 2000), 1);
	waitpid(pid, NULL, 0);
}

static void
test_pidfd(void **state UNUSED)
{
	check_pidfd(false);
}

static void
test_pidfd_of_an_older_kernel(void **state UNUSED)
{
	check_pidfd(true);
}

/* It has ended, but a child of its still has the connection; once before and once after it was reaped. */
static void
test_pidfd_of_an_ended_process(void **state UNUSED)
{
	for (unsigned i = 0; i < 4; i++) {
		int hold[2];

		assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
		pid_t pid = caller(hold);
		s.old = i & 1;
		s.pidfd = -1;
		assert_int_equal(waitid(P_PID, (id_t)pid, NULL, WEXITED | (i & 2 ? 0 : WNOWAIT)), 0);
		RUN_UNTIL(s.pidfd != -1, 2000);
		assert_int_equal(s.pidfd, -ESRCH);
		waitpid(pid, NULL, 0);
		close(hold[0]);
		close(hold[1]);
	}
}

/* The pid was opened, but whose it is cannot be said any more. */
static void
test_pidfd_when_the_peer_goes_meanwhile(void **state UNUSED)
{
	s.old = s.hang_up = true;
	s.peer = client();
	say(s.peer, PIDFD);
	RUN_UNTIL(s.pidfd != -1, 2000);
	assert_int_equal(s.pidfd, -ESRCH);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_descriptors_for_a_slow_reader),
		T(test_peer_closes),
		T(test_peer_shuts_its_writing_side),
		T(test_half_closed_during_a_call),
		T(test_peer_closes_during_a_call),
		T(test_peer_closes_with_calls_unread),
		T(test_process_dies),
		T(test_protocol_is_broken),
		T(test_server_ends),
		T(test_released),
		T(test_several),
		T(test_goes_over),
		T(test_peer_is_gone_already),
		T(test_idle_connections_with_bonds_stay),
		T(test_pidfd),
		T(test_pidfd_of_an_older_kernel),
		T(test_pidfd_of_an_ended_process),
		T(test_pidfd_when_the_peer_goes_meanwhile),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
