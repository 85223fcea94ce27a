/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See load.h. */
#include "config.h"

#include "load.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define READ_SIZE (256 * 1024)

static int
connect_or_die(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a.sun_path))
		die(0, "%s: too long", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(errno, "%s", path);
	return fd;
}

void
connection_open(struct connection *c, const char *path)
{
	*c = (struct connection){ .fd = connect_or_die(path), .data = malloc(READ_SIZE), .size = READ_SIZE };
	if (!c->data)
		die(ENOMEM, "connection");
}

void
connection_close(struct connection *c)
{
	close(c->fd);
	free(c->data);
}

void
connection_send(struct connection *c, const char *text)
{
	size_t n = strlen(text) + 1;
	c->sent_at = now_ns();
	if (send(c->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		die(errno, "send");
}

bool
contains(const char *text, size_t length, const char *needle)
{
	return memmem(text, length, needle, strlen(needle)) != NULL;
}

void
copy_member(const char *text, size_t length, const char *key, char *ret, size_t size)
{
	char needle[32];
	int n = snprintf(needle, sizeof(needle), "\"%s\":\"", key);
	const char *start = memmem(text, length, needle, (size_t)n);
	const char *end = start ? strchr(start + n, '"') : NULL;
	if (!end || (size_t)(end - start - n) >= size)
		die(0, "no \"%s\" in %s", key, text);
	memcpy(ret, start + n, (size_t)(end - start - n));
	ret[end - start - n] = '\0';
}

void
load_open(struct load *l, const char *socket, unsigned long connections)
{
	if (connections < 1 || connections > MAX_CONNECTIONS)
		die(0, "1 to %d connections", MAX_CONNECTIONS);
	l->n_connections = connections;
	for (unsigned long i = 0; i < connections; i++)
		connection_open(&l->connections[i], socket);
}

void
load_close(struct load *l)
{
	for (unsigned long i = 0; i < l->n_connections; i++)
		connection_close(&l->connections[i]);
	samples_done(&l->operations);
}

/* Looks at one message; true if it ends the call. */
static bool
take_message(struct load *l, struct connection *c, const char *text, size_t length)
{
	if (contains(text, length, "\"error\":\"")) {
		l->errors++;
		if (!l->error_shown)
			fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
		l->error_shown = true;
		return true;
	}
	if (l->take)
		l->take(l, c, text, length);
	return !contains(text, length, "\"continues\":true");
}

unsigned
connection_read(struct load *l, struct connection *c, uint64_t *at)
{
	unsigned ended = 0;
	if (c->used == c->size) {
		c->data = realloc(c->data, c->size *= 2);
		if (!c->data)
			die(ENOMEM, "connection");
	}
	ssize_t n = recv(c->fd, c->data + c->used, c->size - c->used, 0);
	*at = now_ns();
	if (n <= 0)
		die(n < 0 ? errno : 0, "the daemon closed the connection");
	c->used += (size_t)n;

	char *start = c->data, *end = c->data + c->used, *nul;
	for (; (nul = memchr(start, '\0', (size_t)(end - start))); start = nul + 1)
		ended += take_message(l, c, start, (size_t)(nul - start));
	c->used = (size_t)(end - start);
	memmove(c->data, start, c->used);
	return ended;
}

uint64_t
connection_wait(struct load *l, struct connection *c)
{
	uint64_t at;
	while (connection_read(l, c, &at) == 0)
		;
	return at;
}

static void
run_single(struct load *l, send_function *send_request)
{
	struct connection *c = &l->connections[0];
	while (send_request(l, c)) {
		uint64_t at = connection_wait(l, c);
		samples_add(&l->operations, at - c->sent_at);
	}
}

static void
run_many(struct load *l, send_function *send_request)
{
	struct epoll_event events[MAX_CONNECTIONS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	unsigned busy = 0;
	uint64_t at;

	for (unsigned long i = 0; i < l->n_connections; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = &l->connections[i] };
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, l->connections[i].fd, &e) < 0)
			die(errno, "epoll");
		busy += send_request(l, &l->connections[i]);
	}
	while (busy > 0) {
		int n = epoll_wait(epoll, events, MAX_CONNECTIONS, -1);
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;
			if (connection_read(l, c, &at) == 0)
				continue;
			samples_add(&l->operations, at - c->sent_at);
			busy -= !send_request(l, c);
		}
	}
	close(epoll);
}

void
load_run(struct load *l, send_function *send_request)
{
	if (l->n_connections == 1)
		run_single(l, send_request);
	else
		run_many(l, send_request);
}

void
become_realtime(void)
{
	struct sched_param p = { .sched_priority = 1 };
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	if (sched_setscheduler(0, SCHED_FIFO, &p) < 0)
		fprintf(stderr, "%s: no realtime priority: its own waits for a core are measured too\n",
			program_invocation_short_name);
}
