/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Those who keep a slot's namespace alive though its lease is over (client.h), as carelessness or malice would: a file
 * descriptor, a socket bound inside, a descriptor on its way through a socket, a process inside, and one without privileges
 * that opened the namespace of another process. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench/samples.h"
#include "client.h"

#define NOBODY 65534
#define FIRST_KEPT 900

static void
enter_or_die(int fd)
{
	if (setns(fd, CLONE_NEWNET) < 0)
		die(errno, "setns");
}

/* A socket made inside and bound to the slot's own address. */
static int
bound_socket(const struct lease *l, int fd)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7) };
	int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	memcpy(&a.sin_addr, l->address4, sizeof(a.sin_addr));
	enter_or_die(fd);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		fprintf(stderr, "soak-clients: the address of slot %u is not inside it: %s\n", l->number,
			strerror(errno));
	enter_or_die(back);
	close(back);
	close(fd);
	return s;
}

/* Sends the descriptor into a pair of sockets and forgets it. */
static void
put_in_flight(struct pin *p, int fd)
{
	int pair[2];
	char byte = 0;
	union {
		struct cmsghdr header;
		char data[CMSG_SPACE(sizeof(int))];
	} control = { .header = {
			      .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
	struct iovec v = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.data, .msg_controllen = sizeof(control.data)
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 || sendmsg(pair[0], &m, 0) < 0)
		die(errno, "socketpair");
	close(fd);
	p->fd = pair[0];
	p->second = pair[1];
}

/* What a child inherits must not keep the client's own things alive: it moves what it needs out of the way first. */
static int
keep(int fd)
{
	int kept = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_KEPT);
	if (kept < 0)
		die(errno, "fcntl");
	return kept;
}

static noreturn void
stay(int ready)
{
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void
become_nobody(void)
{
	/* Both are lost with the change of user. */
	if (setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(1);
}

/* Two processes of nobody's: one is put inside, the other opens the first one's namespace and stays when that one goes. */
static noreturn void
open_unprivileged(int fd, int ready)
{
	char path[64];
	int up[2];
	if (pipe2(up, O_CLOEXEC) < 0)
		_exit(1);
	pid_t inside = fork();
	if (inside == 0) {
		enter_or_die(fd);
		become_nobody();
		stay(up[1]);
	}
	close(up[1]);
	close(fd);
	become_nobody();
	if (read(up[0], path, 1) != 1)
		_exit(1);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)inside);
	if (open(path, O_RDONLY | O_CLOEXEC) < 0)
		die(errno, "%s", path);
	kill(inside, SIGKILL);
	waitpid(inside, NULL, 0);
	stay(ready);
}

static noreturn void
run_process(int fd, int ready, enum pin_kind kind)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = keep(fd);
	ready = keep(ready);
	close_range(3, FIRST_KEPT - 1, 0);
	if (kind == PIN_UNPRIVILEGED)
		open_unprivileged(fd, ready);
	enter_or_die(fd);
	close(fd);
	stay(ready);
}

static pid_t
start_process(int fd, enum pin_kind kind)
{
	int ready[2];
	char byte;
	if (pipe2(ready, O_CLOEXEC) < 0)
		die(errno, "pipe");
	pid_t pid = fork();
	if (pid < 0)
		die(errno, "fork");
	if (pid == 0)
		run_process(fd, ready[1], kind);
	close(ready[1]);
	bool started = read(ready[0], &byte, 1) == 1;
	close(ready[0]);
	close(fd);
	if (started)
		return pid;
	waitpid(pid, NULL, 0);
	return 0;
}

bool
pin_start(struct client *c, const struct lease *l, int fd, enum pin_kind kind, unsigned milliseconds)
{
	struct pin *p = c->pins;
	while (p < c->pins + N_PINS_AT_ONCE && p->used)
		p++;
	if (p == c->pins + N_PINS_AT_ONCE) {
		close(fd);
		return false;
	}
	*p = (struct pin){ .used = true, .fd = -1, .second = -1 };
	if (kind == PIN_SOCKET)
		p->fd = bound_socket(l, fd);
	else if (kind == PIN_FLIGHT)
		put_in_flight(p, fd);
	else if (kind == PIN_DESCRIPTOR)
		p->fd = fd;
	else
		p->pid = start_process(fd, kind);
	if (p->fd < 0 && p->pid == 0) {
		p->used = false;
		return false;
	}
	p->record = log_add(c->log, RECORD_PIN);
	p->record->network = l->network;
	p->record->number = l->number;
	p->record->generation = l->generation;
	p->record->holder = kind;
	p->until = p->record->asked + milliseconds * UINT64_C(1000000);
	atomic_fetch_add(&c->progress->pins[kind], 1);
	return true;
}

static void
pin_end(struct pin *p)
{
	record_answered(p->record, OUTCOME_OK, now_ns());
	if (p->fd >= 0)
		close(p->fd);
	if (p->second >= 0)
		close(p->second);
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	p->used = false;
}

void
pin_end_due(struct client *c, bool all)
{
	uint64_t now = now_ns();
	for (struct pin *p = c->pins; p < c->pins + N_PINS_AT_ONCE; p++)
		if (p->used && (all || now >= p->until))
			pin_end(p);
}
