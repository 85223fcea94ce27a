/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection: bytes to calls, answers to bytes.
 *
 * Theory of operation
 *
 * A connection handles one call at a time, and the next one only when the answers before have left. Until then nothing is
 * read (the kernel's socket buffer holds what the peer sends on), so input is bounded by one message and output by
 * OUTPUT_HIGH: a stream is asked for more only below it, and a peer that does not read for STALL_SECONDS is dropped. An
 * answer is sent at once; only what the socket does not take is put into a buffer.
 *
 * While reading is off, EV_CLOSED tells that the peer shut something down. A peer that closed only its writing side
 * still wants its reply, so poll() for POLLHUP decides; since EV_CLOSED is level-triggered it is switched off then, and
 * the tick looks for POLLHUP of such half-closed connections.
 *
 * Bonds end with the connection, so its end must be seen at once: an idle one reads, and finds the end of the input; one
 * with a call under way is watched as above.
 *
 * A reply with an fd finds the buffer empty, since nothing but its own call was under way; so the fd stays with its
 * message's first byte. Calls with fds are read by recvmsg(); fds that come before the end of another message are
 * refused.
 */
#include "config.h"

#include "server-connection.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "frame.h"
#include "log.h"
#include "server-peer.h"
#include "varlink.h"

#define OUTPUT_HIGH (256 * 1024)
#define OUTPUT_MAX (16 * 1024 * 1024) /* of a single answer that is not a stream */
#define OUTPUT_PIECES 16	      /* of the buffer, in one system call */
#define STALL_SECONDS 60
#define MAX_FDS 8

struct connection {
	TAILQ_ENTRY(connection) link;
	struct connections *all;
	struct peer peer;
	int fd;
	struct event *readable, *writable, *closed;
	struct frame *in;
	struct evbuffer *out;
	struct request *request;
	struct bonds bonds;
	int fds[MAX_FDS];
	unsigned n_fds;
	int send_fd;		 /* goes with the first byte of `out` */
	bool dispatching;	 /* dispatch_message() is on the stack */
	bool answered;		 /* the request ended while dispatching */
	bool eof;		 /* the peer will send no more */
	bool half_closed;	 /* and EV_CLOSED is off: the tick watches */
	bool dead;		 /* broke the protocol: to be freed */
	time_t active, progress; /* CLOCK_MONOTONIC seconds: last call or answer; last byte written */
};

static time_t
now_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec;
}

static void
close_fds(struct connection *c)
{
	for (unsigned i = 0; i < c->n_fds; i++)
		close(c->fds[i]);
	c->n_fds = 0;
}

static void
free_event(struct event *ev)
{
	if (ev)
		event_free(ev);
}

static void
connection_free(struct connection *c)
{
	if (c->link.tqe_prev) {
		TAILQ_REMOVE(&c->all->list, c, link);
		c->all->n--;
	}
	if (c->request)
		request_hangup(c->request);
	bonds_break(&c->bonds);
	free_event(c->readable);
	free_event(c->writable);
	free_event(c->closed);
	if (c->out)
		evbuffer_free(c->out);
	frame_free(c->in);
	close_fds(c);
	if (c->send_fd >= 0)
		close(c->send_fd);
	close(c->fd);
	free(c);
}

/* ---- output ---- */

static bool
sink_room(void *connection)
{
	const struct connection *c = connection;
	return !c->dead && evbuffer_get_length(c->out) < OUTPUT_HIGH;
}

/* Sends what the socket takes, the fd with the first byte. Returns how much that was, or a negative errno when the
 * connection is broken. */
static ssize_t
write_some(struct connection *c, struct iovec *v, int n)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)n };

	if (c->send_fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &c->send_fd, sizeof(int));
	}
	ssize_t sent = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (sent < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (c->send_fd >= 0)
		close(TAKE_FD(c->send_fd));
	c->progress = now_seconds();
	return sent;
}

/* Writes what it can of the buffer; false when the connection is broken. */
static bool
flush(struct connection *c)
{
	struct evbuffer_iovec v[OUTPUT_PIECES];
	int n = evbuffer_peek(c->out, -1, NULL, v, OUTPUT_PIECES);
	ssize_t sent = n > 0 ? write_some(c, v, n < OUTPUT_PIECES ? n : OUTPUT_PIECES) : 0;

	if (sent < 0)
		return false;
	evbuffer_drain(c->out, (size_t)sent);
	if (evbuffer_get_length(c->out))
		event_add(c->writable, NULL);
	return true;
}

/* False when it cannot be sent now or later. */
static bool
send_or_keep(struct connection *c, char *text, size_t length)
{
	ssize_t sent = 0;

	if (evbuffer_get_length(c->out) == 0) {
		c->progress = now_seconds();
		sent = write_some(c, &(struct iovec){ .iov_base = text, .iov_len = length }, 1);
		if (sent == (ssize_t)length)
			return true;
	}
	return sent >= 0 && evbuffer_add(c->out, text + sent, length - (size_t)sent) == 0 &&
	       event_add(c->writable, NULL) == 0;
}

static void
sink_send(void *connection, const char *text, size_t length, int fd)
{
	struct connection *c = connection;
	size_t waiting = evbuffer_get_length(c->out);

	if (c->dead || waiting > OUTPUT_MAX || (fd >= 0 && waiting > 0)) {
		if (fd >= 0)
			close(fd);
	} else {
		c->send_fd = fd >= 0 ? fd : c->send_fd;
		if (send_or_keep(c, (char *)(uintptr_t)text, length + 1))
			return;
	}
	shutdown(c->fd, SHUT_RDWR); /* seen as EV_CLOSED or a failed write */
}

/* ---- input ---- */

static void
sink_finished(void *connection)
{
	struct connection *c = connection;

	c->request = NULL;
	c->active = now_seconds();
	close_fds(c);
	if (c->dispatching) {
		c->answered = true;
		return;
	}
	event_active(c->readable, EV_TIMEOUT, 0); /* goes on from the loop, not from inside the handler */
}

static struct bonds *
sink_bonds(void *connection)
{
	return &((struct connection *)connection)->bonds;
}

static bool
sink_gone(void *connection)
{
	return peer_hung_up(((const struct connection *)connection)->fd);
}

static int
sink_pidfd(void *connection)
{
	const struct connection *c = connection;
	return peer_pidfd(c->fd, &c->peer);
}

static const struct reply_sink sink = {
	.send = sink_send,
	.room = sink_room,
	.bonds = sink_bonds,
	.gone = sink_gone,
	.pidfd = sink_pidfd,
	.finished = sink_finished,
};

static bool
is_busy(const struct connection *c)
{
	return c->request || evbuffer_get_length(c->out) > 0;
}

/* Reading on when nothing is under way. One that waits for its reply keeps reading armed: it hardly ever sends anything,
 * and when it does, pause_reading() is soon enough. */
static void
arm(struct connection *c)
{
	if (c->eof)
		event_del(c->readable);
	else if (!is_busy(c))
		event_add(c->readable, NULL);
	if (!is_busy(c))
		event_del(c->closed);
}

/* Something came, or the peer closed, while a call is under way: reading stops, the watch for a closing peer begins. */
static void
pause_reading(struct connection *c)
{
	if (peer_hung_up(c->fd)) {
		connection_free(c);
		return;
	}
	event_del(c->readable);
	if (!c->half_closed)
		event_add(c->closed, NULL);
}

/* One message: true to go on with the next. */
static bool
dispatch(struct connection *c, const char *text, size_t length)
{
	struct error e = { 0 };

	c->all->requests++;
	c->active = now_seconds();
	c->dispatching = true;
	c->answered = false;
	int err = dispatch_message(c->all->dispatcher, &c->peer, text, length, c->fds, c->n_fds, &sink, c, &c->request,
				   &e);
	c->dispatching = false;
	if (c->answered)
		c->request = NULL;
	if (err < 0) {
		log_debug("closing a connection of uid %u: %s", (unsigned)c->peer.uid, e.text);
		c->dead = true;
	}
	return !c->dead && !c->request;
}

/* Handles the messages that are complete, then waits for what is due. */
static void
process(struct connection *c)
{
	const char *text;
	size_t length;

	while (!is_busy(c) && (text = frame_next(c->in, &length)))
		if (!dispatch(c, text, length))
			break;
	if (c->dead || (c->eof && !is_busy(c)))
		connection_free(c);
	else
		arm(c);
}

static void
take_fds(struct connection *c, struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		unsigned n = (unsigned)((h->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (unsigned i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (c->n_fds < MAX_FDS)
				c->fds[c->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

/* Reads once. Returns the bytes, 0 at the end of input, or a negative errno. */
static ssize_t
receive(struct connection *c)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
	} control;
	size_t size;
	char *space = frame_space(c->in, &size);
	if (!space)
		return -EMSGSIZE;

	struct iovec iov = { .iov_base = space, .iov_len = size };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	bool started = frame_pending(c->in) > 0;
	ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	unsigned before = c->n_fds;
	take_fds(c, &m);
	if ((m.msg_flags & MSG_CTRUNC) || (c->n_fds > before && started))
		return -EPROTO;
	if (n > 0)
		frame_filled(c->in, (size_t)n);
	return n;
}

static void
on_readable(evutil_socket_t fd UNUSED, short what, void *arg)
{
	struct connection *c = arg;

	if ((what & EV_READ) && is_busy(c)) {
		pause_reading(c);
		return;
	}
	if (what & EV_READ) {
		ssize_t n = receive(c);
		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n < 0) {
			log_debug("closing a connection of uid %u: %s", (unsigned)c->peer.uid, strerror((int)-n));
			connection_free(c);
			return;
		}
		c->eof = n == 0;
	}
	process(c);
}

static void
on_writable(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct connection *c = arg;

	if (!flush(c)) {
		connection_free(c);
		return;
	}
	if (c->request && sink_room(c)) {
		c->dispatching = true;
		c->answered = false;
		request_pump(c->request);
		c->dispatching = false;
	}
	process(c);
}

static void
on_closed(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct connection *c = arg;

	if (peer_hung_up(c->fd)) {
		connection_free(c);
		return;
	}
	c->half_closed = true;
	event_del(c->closed);
}

/* ---- all of them ---- */

int
connection_new(struct connections *all, int fd, const struct peer *peer)
{
	struct connection *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	*c = (struct connection){ .all = all, .peer = *peer, .fd = fd, .send_fd = -1, .active = now_seconds() };
	c->in = frame_new(VARLINK_MESSAGE_MAX);
	c->out = evbuffer_new();
	c->readable = event_new(all->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(all->base, fd, EV_WRITE, on_writable, c);
	c->closed = event_new(all->base, fd, EV_CLOSED | EV_PERSIST, on_closed, c);
	if (!c->in || !c->out || !c->readable || !c->writable || !c->closed || event_add(c->readable, NULL) < 0) {
		connection_free(c);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&all->list, c, link);
	all->n++;
	return 0;
}

unsigned
connections_of(const struct connections *all, uid_t uid)
{
	const struct connection *c;
	unsigned n = 0;

	TAILQ_FOREACH (c, &all->list, link)
		n += c->peer.uid == uid;
	return n;
}

void
connections_tick(struct connections *all, unsigned idle_seconds)
{
	struct connection *c, *next;
	time_t now = now_seconds();

	for (c = TAILQ_FIRST(&all->list); c; c = next) {
		next = TAILQ_NEXT(c, link);
		bool stalled = evbuffer_get_length(c->out) && now - c->progress > STALL_SECONDS;
		bool idle =
			idle_seconds && !c->request && LIST_EMPTY(&c->bonds) && now - c->active > (time_t)idle_seconds;
		if (stalled || idle || (c->half_closed && peer_hung_up(c->fd)))
			connection_free(c);
	}
}

void
connections_close(struct connections *all)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&all->list)))
		connection_free(c);
}
