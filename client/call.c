/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls to nsd.
 *
 * A connection carries one call at a time, so that a file descriptor always belongs to the message it arrives with. The
 * stream is a Unix socket in every case: to nsd itself, or to an ssh whose other end runs `nsc bridge`.
 */
#include "config.h"

#include "call.h"

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "failure.h"
#include "frame.h"
#include "json.h"
#include "member.h"
#include "model.h"
#include "print.h"
#include "ssh.h"
#include "utf8.h"

#define NOTICE_AFTER 2000 /* milliseconds */
#define FDS_MAX 8	  /* received at once; nsd sends one */

struct connection {
	int fd;
	pid_t ssh; /* 0: none */
	struct frame *frame;
	int passed; /* file descriptor that came with a reply, -1: none */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Seconds an answer may take; 0: any number. */
static int
patience(const struct client *c, unsigned flags)
{
	if (c->timeout != TIMEOUT_UNSET)
		return c->timeout;
	return flags & CALL_WAIT ? 0 : TIMEOUT_DEFAULT;
}

static int
explain_connect(const char *path, int number, struct error *e)
{
	const char *advice = "";

	if (number == ENOENT || number == ECONNREFUSED)
		advice = "; nsd is not running there (start it with \"systemctl start nsd\", or give its --socket)";
	else if (number == EACCES || number == EPERM)
		advice = "; become root or a member of group nsd";
	else if (number == EAGAIN)
		advice = "; nsd does not accept connections";
	return fail(e, FAILURE_CONNECTION, "cannot reach nsd at %s: %s%s", path, strerror(number), advice);
}

static int
connect_local(const struct client *c, int *ret, struct error *e)
{
	const char *path = client_socket(c);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t n = strlen(path);

	if (n >= sizeof(address.sun_path))
		return fail(e, FAILURE_USAGE, "socket %s: the path is longer than %zu bytes", path,
			    sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, n);

	CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail_errno(e, FAILURE_LOCAL, errno, "cannot make a socket");
	struct timeval limit = { .tv_sec = patience(c, 0) }; /* connect(2) waits while nsd's backlog is full */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return explain_connect(path, errno, e);
	*ret = TAKE_FD(fd);
	return 0;
}

int
call_connect(struct client *c, struct error *e)
{
	if (c->connection)
		return 0;
	struct connection *k = calloc(1, sizeof(*k));
	if (!k)
		return fail_memory(e);
	k->passed = -1;
	k->frame = frame_new(CALL_REPLY_MAX);
	int r = k->frame ? 0 : fail_memory(e);
	if (r == 0)
		r = c->host ? ssh_bridge(c, &k->fd, &k->ssh, e) : connect_local(c, &k->fd, e);
	if (r < 0) {
		frame_free(k->frame);
		free(k);
		return r;
	}
	c->connection = k;
	return 0;
}

int
call_socket(const struct client *c)
{
	return c->connection->fd;
}

/* The wait status of ssh, whose streams are closed or useless. */
static int
reap(struct connection *k)
{
	int status = 0;

	while (waitpid(k->ssh, &status, 0) < 0 && errno == EINTR)
		;
	k->ssh = 0;
	return status;
}

void
call_disconnect(struct client *c)
{
	struct connection *k = c->connection;

	if (!k)
		return;
	close(k->fd);
	if (k->passed >= 0)
		close(k->passed);
	if (k->ssh) {
		kill(k->ssh, SIGTERM);
		reap(k);
	}
	frame_free(k->frame);
	free(k);
	c->connection = NULL;
}

/* The stream ended, or broke, before the answer came. */
static int
explain_end(const struct client *c, struct error *e)
{
	struct connection *k = c->connection;

	if (k->ssh)
		return ssh_explain(c, reap(k), e);
	return fail(e, FAILURE_CONNECTION, "nsd at %s closed the connection %s", client_socket(c),
		    frame_pending(k->frame) ? "in the middle of an answer" : "without an answer");
}

/* Tells why an answer takes so long, to someone who sees it. */
static void
tell_notice(struct client *c)
{
	if (isatty(STDERR_FILENO))
		print_notice(c->notice);
	c->notice = NULL;
}

static int
wait_for(struct client *c, short events, int64_t deadline, struct error *e)
{
	struct pollfd p = { .fd = c->connection->fd, .events = events };

	for (;;) {
		int64_t left = deadline ? deadline - now_ms() : INT_MAX;
		if (left <= 0)
			return error_set(e, ERROR_TIMED_OUT, NULL,
					 "no answer from nsd in time (--timeout 0 waits for ever)");
		if (c->notice && left > NOTICE_AFTER)
			left = NOTICE_AFTER;
		int n = poll(&p, 1, left < INT_MAX ? (int)left : -1);
		if (n > 0)
			return 0;
		if (n == 0 && c->notice)
			tell_notice(c);
		if (n < 0 && errno != EINTR)
			return fail_errno(e, FAILURE_LOCAL, errno, "poll");
	}
}

static int64_t
deadline_of(const struct client *c, unsigned flags)
{
	int seconds = patience(c, flags);

	return seconds ? now_ms() + seconds * INT64_C(1000) : 0;
}

/* Sends all of `text`; the file descriptor travels with its first byte. */
static int
send_text(struct client *c, char *text, size_t length, int fd, struct error *e)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	int64_t deadline = deadline_of(c, 0);

	for (size_t sent = 0; sent < length;) {
		struct iovec part = { .iov_base = text + sent, .iov_len = length - sent };
		struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
		if (fd >= 0 && sent == 0) {
			m.msg_control = &control;
			m.msg_controllen = sizeof(control.bytes);
			*CMSG_FIRSTHDR(&m) = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
							       .cmsg_type = SCM_RIGHTS,
							       .cmsg_len = CMSG_LEN(sizeof(int)) };
			memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &fd, sizeof(fd));
		}
		ssize_t n = sendmsg(c->connection->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			sent += (size_t)n;
		} else if (errno == EAGAIN) {
			int r = wait_for(c, POLLOUT, deadline, e);
			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return explain_end(c, e);
		}
	}
	return 0;
}

int
call_send(struct client *c, const char *method, struct json_object *parameters, unsigned flags, int fd, struct error *e)
{
	CLEANUP(free_ptr) char *name = NULL, *text = NULL;
	size_t length;

	if (asprintf(&name, "%s%s", strchr(method, '.') ? "" : MODEL_INTERFACE ".", method) < 0) {
		name = NULL;
		return fail_memory(e);
	}
	if (varlink_format_call(name, parameters, flags & CALL_MORE, flags & CALL_ONEWAY, &text, &length, e) < 0)
		return fail_memory(e);
	if (!utf8_is_valid(name, strlen(name)) || !utf8_is_valid(text, length))
		return fail(e, FAILURE_USAGE, "an argument is not valid UTF-8");
	if (length + 1 > VARLINK_MESSAGE_MAX)
		return fail(e, FAILURE_USAGE, "the request has %zu bytes; nsd takes %d", length,
			    VARLINK_MESSAGE_MAX - 1);
	int r = call_connect(c, e);
	return r < 0 ? r : send_text(c, text, length + 1, fd, e);
}

/* Keeps the first of the descriptors that came with a piece of the stream, closes the others. */
static void
take_fds(struct connection *k, struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (k->passed < 0)
				k->passed = fd;
			else
				close(fd);
		}
	}
}

/* Reads once more of the stream. */
static int
fill(struct client *c, int64_t deadline, struct error *e)
{
	struct connection *k = c->connection;
	union {
		char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec space;

	int r = wait_for(c, POLLIN, deadline, e);
	if (r < 0)
		return r;
	space.iov_base = frame_space(k->frame, &space.iov_len);
	if (!space.iov_base)
		return fail(e, FAILURE_PROTOCOL, "the answer is longer than %d MiB", CALL_REPLY_MAX >> 20);
	struct msghdr m = {
		.msg_iov = &space, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control.bytes)
	};
	ssize_t n = recvmsg(k->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return explain_end(c, e);
	take_fds(k, &m);
	frame_filled(k->frame, (size_t)n);
	return 0;
}

int
call_receive(struct client *c, unsigned flags, struct varlink_reply *ret, struct error *e)
{
	int64_t deadline = deadline_of(c, flags);
	const char *text;
	size_t length;

	while (!(text = frame_next(c->connection->frame, &length))) {
		int r = fill(c, deadline, e);
		if (r < 0)
			return r;
	}
	if (varlink_parse_reply(text, length, ret, e) < 0)
		return fail_wrap(e, FAILURE_PROTOCOL, "the answer is no Varlink reply");
	return 0;
}

/* One reply that is no error. */
static int
receive_success(struct client *c, unsigned flags, bool *continues, struct json_object **ret, struct error *e)
{
	struct varlink_reply reply;
	int r = call_receive(c, flags, &reply, e);
	if (r < 0)
		return r;

	*continues = reply.continues;
	if (reply.error) {
		varlink_error_of_reply(&reply, e);
		r = -(e->number ? e->number : EIO);
	} else if (reply.continues && !(flags & CALL_MORE)) {
		r = fail(e, FAILURE_PROTOCOL, "nsd sent more answers than were asked for");
	} else if (ret) {
		*ret = json_object_get(reply.parameters);
	}
	varlink_reply_done(&reply);
	return r;
}

static int
call_once(struct client *c, const char *method, struct json_object *parameters, unsigned flags, int fd,
	  struct json_object **ret, struct error *e)
{
	bool continues;
	int r = call_send(c, method, parameters, flags, fd, e);

	return r < 0 ? r : receive_success(c, flags, &continues, ret, e);
}

int
call(struct client *c, const char *method, struct json_object *parameters, unsigned flags, struct json_object **ret,
     struct error *e)
{
	return call_once(c, method, parameters, flags, -1, ret, e);
}

int
call_with_fd(struct client *c, const char *method, struct json_object *parameters, int fd, struct json_object **ret,
	     struct error *e)
{
	return call_once(c, method, parameters, 0, fd, ret, e);
}

int
call_receive_fd(struct client *c, struct json_object **ret, int *fd, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	bool continues;
	int r = receive_success(c, 0, &continues, &reply, e);
	if (r < 0)
		return r;
	if (c->connection->passed < 0)
		return fail(e, FAILURE_PROTOCOL, "the answer brought no file descriptor");
	*fd = TAKE_FD(c->connection->passed);
	*ret = TAKE_PTR(reply);
	return 0;
}

int
call_stream(struct client *c, const char *method, struct json_object *parameters, unsigned flags, call_each *fn,
	    void *arg, struct error *e)
{
	bool continues = true;
	int r = call_send(c, method, parameters, flags | CALL_MORE, -1, e);

	while (r >= 0 && continues) {
		CLEANUP(json_put) struct json_object *reply = NULL;
		r = receive_success(c, flags | CALL_MORE, &continues, &reply, e);
		if (r >= 0)
			r = fn(reply, arg, e);
	}
	return r;
}

struct collection {
	const char *key;
	struct json_object *all; /* array */
};

static int
collect(struct json_object *reply, void *arg, struct error *e)
{
	const struct collection *k = arg;
	int r = 0;

	for (size_t i = 0; r == 0 && i < member_count(reply, k->key); i++) {
		struct json_object *item = member_item(reply, k->key, i);
		if (item)
			r = member_append(k->all, json_object_get(item), e);
	}
	return r;
}

int
call_collect(struct client *c, const char *method, struct json_object *parameters, const char *key,
	     struct json_object **ret, struct error *e)
{
	CLEANUP(json_put) struct json_object *o = NULL;
	int r = member_new(&o, e);
	if (r == 0)
		r = member_put(o, key, json_object_new_array(), e);
	if (r < 0)
		return r;

	struct collection k = { .key = key, .all = member_get(o, key) };
	r = call_stream(c, method, parameters, 0, collect, &k, e);
	if (r == 0)
		*ret = TAKE_PTR(o);
	return r;
}
