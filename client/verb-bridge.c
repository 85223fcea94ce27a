/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nsc bridge: carries bytes between standard input and output and the socket of nsd, for clients on other hosts.
 *
 * Theory of operation: two directions, each with a buffer. The end of one is passed on as a half-close, so that a caller
 * who has said all still gets the answers. When nsd has closed and everything is delivered the bridge ends, whether or not
 * the caller has more to say.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "call.h"
#include "failure.h"
#include "verb.h"

#define BUFFER_SIZE (64 * 1024)

struct direction {
	int from, to;
	bool to_socket;
	bool ended;  /* nothing more comes */
	bool closed; /* and the other side knows */
	size_t begin, end;
	char data[BUFFER_SIZE];
};

static int
pull(struct direction *d, struct error *e)
{
	ssize_t n = read(d->from, d->data, sizeof(d->data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0 && errno != ECONNRESET)
		return fail_errno(e, FAILURE_CONNECTION, errno, "bridge: read");
	d->begin = 0;
	d->end = n > 0 ? (size_t)n : 0;
	d->ended = n <= 0;
	return 0;
}

/* A pipe that polls writable takes PIPE_BUF bytes without blocking, a socket is told not to. */
static int
push(struct direction *d, struct error *e)
{
	size_t n = d->end - d->begin;
	ssize_t sent = d->to_socket ? send(d->to, d->data + d->begin, n, MSG_NOSIGNAL | MSG_DONTWAIT) :
				      write(d->to, d->data + d->begin, n < PIPE_BUF ? n : PIPE_BUF);

	if (sent < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (sent < 0 && d->to_socket) { /* nsd has closed: its answers may still be on the way */
		d->begin = d->end = 0;
		d->ended = d->closed = true;
		return 0;
	}
	if (sent < 0)
		return fail_errno(e, FAILURE_CONNECTION, errno, "bridge: write");
	d->begin += (size_t)sent;
	return 0;
}

static struct pollfd
wanted(const struct direction *d)
{
	if (d->begin < d->end)
		return (struct pollfd){ .fd = d->to, .events = POLLOUT };
	return (struct pollfd){ .fd = d->ended ? -1 : d->from, .events = POLLIN };
}

static int
step(struct direction *d, short revents, struct error *e)
{
	int r = 0;

	if (revents)
		r = d->begin < d->end ? push(d, e) : pull(d, e);
	if (d->ended && d->begin == d->end && !d->closed) {
		if (d->to_socket)
			shutdown(d->to, SHUT_WR);
		d->closed = true;
	}
	return r;
}

static int
run_bridge(struct client *c, const struct arguments *a UNUSED, struct error *e)
{
	int r = call_connect(c, e);
	if (r < 0)
		return r;

	struct direction *d = calloc(2, sizeof(*d));
	if (!d)
		return fail_memory(e);
	d[0].from = STDIN_FILENO;
	d[0].to = d[1].from = call_socket(c);
	d[0].to_socket = true;
	d[1].to = STDOUT_FILENO;
	while (r == 0 && !d[1].closed) {
		struct pollfd p[] = { wanted(&d[0]), wanted(&d[1]) };
		int n = poll(p, 2, -1);
		if (n < 0 && errno != EINTR)
			r = fail_errno(e, FAILURE_LOCAL, errno, "poll");
		for (int i = 0; i < 2 && n > 0 && r == 0; i++)
			r = step(&d[i], p[i].revents, e);
	}
	free(d);
	return r;
}

/* clang-format off */
const struct verb bridge_verbs[] = {
	{ .name = "bridge", .help = "connect standard input and output with nsd", .max = 0, .run = run_bridge,
	  .text = "For clients of other hosts: nsc --host HOST runs it there, and so can others:\n\n"
		  "  varlinkctl info \"ssh-exec:HOST:nsc bridge\"\n" },
	{ 0 },
};
/* clang-format on */
