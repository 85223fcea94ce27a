/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A connection handles one call at a time. While a call is under way nothing is read (the kernel's socket buffer holds what
 * the peer sends on), so input is bounded by one message and output by OUTPUT_HIGH: a stream is asked for more only
 * below it, and a peer that does not read for STALL_SECONDS is dropped.
 *
 * While reading is off, EV_CLOSED tells that the peer shut something down. A peer that closed only its writing side
 * still wants its reply, so poll() for POLLHUP decides; since EV_CLOSED is level-triggered it is switched off then, and
 * the tick looks for POLLHUP of such half-closed connections.
 *
 * A reply with an fd goes out alone: sendmsg() once the output buffer is empty, so that the fd stays with its message's
 * first byte. Calls with fds are read by recvmsg(); fds that come before the end of another message are refused.
 *
 * Bonds end with the connection, so its end must be seen at once: an idle one reads, and finds the end of the input; one
 * with a call under way is watched as above.
 *
 * Out of fds (EMFILE): the listener is switched off for a second instead of spinning.
 */
#include "config.h"

#include "server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#include "frame.h"
#include "log.h"
#include "varlink.h"

#define OUTPUT_HIGH (256 * 1024)
#define OUTPUT_MAX (16 * 1024 * 1024) /* of a single answer that is not a stream */
#define STALL_SECONDS 60
#define MAX_FDS 8
#define BACKLOG 512

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

struct connection {
	TAILQ_ENTRY(connection) link;
	struct server *server;
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

TAILQ_HEAD(connections, connection);

struct server {
	struct event_base *base;
	const struct dispatcher *dispatcher;
	struct server_limits limits;
	struct server_stats stats;
	struct connections connections;
	struct event *accept, *retry, *tick;
	int listen_fd;
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
		TAILQ_REMOVE(&c->server->connections, c, link);
		c->server->stats.connections--;
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

static bool
hung_up(int fd)
{
	struct pollfd p = { .fd = fd };
	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* ---- output ---- */

static bool
sink_room(void *connection)
{
	const struct connection *c = connection;
	return !c->dead && evbuffer_get_length(c->out) < OUTPUT_HIGH;
}

/* Sends the message in `out` whose first byte carries send_fd. Returns false when the connection is broken. */
static bool
write_with_fd(struct connection *c)
{
	struct evbuffer_iovec v;
	if (evbuffer_peek(c->out, -1, NULL, &v, 1) < 1)
		return true;

	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = v.iov_base, .iov_len = v.iov_len };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &c->send_fd, sizeof(int));

	ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	evbuffer_drain(c->out, (size_t)n);
	close(TAKE_FD(c->send_fd));
	return true;
}

/* Writes what it can; false when the connection is broken. */
static bool
flush(struct connection *c)
{
	size_t before = evbuffer_get_length(c->out);

	if (before && c->send_fd >= 0 && !write_with_fd(c))
		return false;
	if (c->send_fd < 0 && evbuffer_get_length(c->out) && evbuffer_write(c->out, c->fd) < 0 && errno != EAGAIN &&
	    errno != EINTR)
		return false;

	size_t left = evbuffer_get_length(c->out);
	if (left < before)
		c->progress = now_seconds();
	if (left)
		event_add(c->writable, NULL);
	return true;
}

static void
sink_send(void *connection, const char *text, size_t length, int fd)
{
	struct connection *c = connection;

	if (evbuffer_get_length(c->out) == 0)
		c->progress = now_seconds();
	if (c->dead || evbuffer_get_length(c->out) > OUTPUT_MAX || (fd >= 0 && evbuffer_get_length(c->out) > 0) ||
	    evbuffer_add(c->out, text, length + 1) < 0) {
		if (fd >= 0)
			close(fd);
		shutdown(c->fd, SHUT_RDWR); /* seen as EV_CLOSED or a failed write */
		return;
	}
	c->send_fd = fd >= 0 ? fd : c->send_fd;
	if (!flush(c))
		shutdown(c->fd, SHUT_RDWR);
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

/* By the pid: it is the peer's own as long as the peer has the connection. */
static int
open_pid(const struct connection *c)
{
	int fd = (int)syscall(SYS_pidfd_open, c->peer.pid, 0);

	if (fd >= 0 && hung_up(c->fd)) {
		close(fd);
		return -ESRCH;
	}
	return fd >= 0 ? fd : -errno;
}

static int
sink_pidfd(void *connection)
{
	const struct connection *c = connection;
	int fd = -1;
	socklen_t length = sizeof(fd);

	if (getsockopt(c->fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) < 0)
		fd = errno == ENOPROTOOPT ? open_pid(c) : -errno;
	if (fd == -EINVAL || fd == -ENODATA) /* it was reaped; or it is of another pid namespace */
		return -ESRCH;
	if (fd >= 0 && poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 1) {
		close(fd);
		return -ESRCH;
	}
	return fd;
}

static const struct reply_sink sink = {
	.send = sink_send,
	.room = sink_room,
	.bonds = sink_bonds,
	.pidfd = sink_pidfd,
	.finished = sink_finished,
};

static bool
is_busy(const struct connection *c)
{
	return c->request || evbuffer_get_length(c->out) >= OUTPUT_HIGH;
}

/* Reading on when no call is under way. One that waits for its reply keeps reading armed: it hardly ever sends anything,
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
	if (hung_up(c->fd)) {
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

	c->server->stats.requests++;
	c->active = now_seconds();
	c->dispatching = true;
	c->answered = false;
	int err = dispatch_message(c->server->dispatcher, &c->peer, text, length, c->fds, c->n_fds, &sink, c,
				   &c->request, &e);
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

	while (!c->request && evbuffer_get_length(c->out) < OUTPUT_HIGH && (text = frame_next(c->in, &length)))
		if (!dispatch(c, text, length))
			break;
	bool idle = !c->request && evbuffer_get_length(c->out) == 0;
	if (c->dead || (c->eof && idle))
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

	if (hung_up(c->fd)) {
		connection_free(c);
		return;
	}
	c->half_closed = true;
	event_del(c->closed);
}

/* ---- accept ---- */

static unsigned
connections_of(const struct server *s, uid_t uid)
{
	const struct connection *c;
	unsigned n = 0;

	TAILQ_FOREACH (c, &s->connections, link)
		n += c->peer.uid == uid;
	return n;
}

static bool
may_connect(struct server *s, const struct peer *p)
{
	if (s->stats.connections >= s->limits.connections ||
	    (p->uid != 0 && connections_of(s, p->uid) >= s->limits.connections_per_user)) {
		s->stats.refused++;
		log_debug("refusing a connection of uid %u: too many", (unsigned)p->uid);
		return false;
	}
	return true;
}

static void
connection_new(struct server *s, int fd)
{
	struct ucred cred;
	socklen_t length = sizeof(cred);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0 || cred.uid == (uid_t)-1) {
		close(fd);
		return;
	}
	struct peer peer = { .uid = cred.uid, .gid = cred.gid, .pid = cred.pid };
	struct connection *c = may_connect(s, &peer) ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		close(fd);
		return;
	}
	*c = (struct connection){ .server = s, .peer = peer, .fd = fd, .send_fd = -1, .active = now_seconds() };
	c->in = frame_new(VARLINK_MESSAGE_MAX);
	c->out = evbuffer_new();
	c->readable = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(s->base, fd, EV_WRITE, on_writable, c);
	c->closed = event_new(s->base, fd, EV_CLOSED | EV_PERSIST, on_closed, c);
	if (!c->in || !c->out || !c->readable || !c->writable || !c->closed) {
		connection_free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&s->connections, c, link);
	s->stats.connections++;
	event_add(c->readable, NULL);
}

static void
on_accept(evutil_socket_t listen_fd, short what UNUSED, void *arg)
{
	struct server *s = arg;

	for (unsigned i = 0; i < 64; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			connection_new(s, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warning("cannot accept connections for a second: %s", strerror(errno));
			event_del(s->accept);
			event_add(s->retry, &(struct timeval){ .tv_sec = 1 });
		}
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
}

static void
on_retry(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct server *s = arg;
	event_add(s->accept, NULL);
}

/* Every second: peers that hung up unseen, that do not read, that do nothing. */
static void
on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct server *s = arg;
	struct connection *c, *next;
	time_t now = now_seconds();

	for (c = TAILQ_FIRST(&s->connections); c; c = next) {
		next = TAILQ_NEXT(c, link);
		bool stalled = evbuffer_get_length(c->out) && now - c->progress > STALL_SECONDS;
		bool idle = s->limits.idle_seconds && !c->request && LIST_EMPTY(&c->bonds) &&
			    now - c->active > (time_t)s->limits.idle_seconds;
		if (stalled || idle || (c->half_closed && hung_up(c->fd)))
			connection_free(c);
	}
}

int
server_new(struct event_base *base, int listen_fd, const struct dispatcher *d, const struct server_limits *limits,
	   struct server **ret, struct error *e)
{
	struct server *s = calloc(1, sizeof(*s));
	if (!s) {
		close(listen_fd);
		return error_errno(e, ENOMEM, "starting the server");
	}
	*s = (struct server){ .base = base, .dispatcher = d, .limits = *limits, .listen_fd = listen_fd };
	TAILQ_INIT(&s->connections);
	s->accept = event_new(base, listen_fd, EV_READ | EV_PERSIST, on_accept, s);
	s->retry = event_new(base, -1, 0, on_retry, s);
	s->tick = event_new(base, -1, EV_PERSIST, on_tick, s);
	if (!s->accept || !s->retry || !s->tick || event_add(s->accept, NULL) < 0 ||
	    event_add(s->tick, &(struct timeval){ .tv_sec = 1 }) < 0) {
		server_free(s);
		return error_errno(e, ENOMEM, "starting the server");
	}
	*ret = s;
	return 0;
}

void
server_free(struct server *s)
{
	if (!s)
		return;
	struct connection *c;
	while ((c = TAILQ_FIRST(&s->connections)))
		connection_free(c);
	free_event(s->accept);
	free_event(s->retry);
	free_event(s->tick);
	close(s->listen_fd);
	free(s);
}

void
server_set_limits(struct server *s, const struct server_limits *limits)
{
	s->limits = *limits;
}

struct server_stats
server_stats(const struct server *s)
{
	return s->stats;
}

/* Is somebody listening at `path`? Then it must not be replaced. */
static int
remove_stale(const char *path, const struct sockaddr_un *address, struct error *e)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : error_errno(e, errno, "looking at the socket %s", path);
	if (!S_ISSOCK(st.st_mode))
		return error_set(e, ERROR_NAME_TAKEN, NULL,
				 "%s is in the way and is not a socket; move it or use --socket", path);

	CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(e, errno, "opening a socket");
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return error_set(e, ERROR_ALREADY_EXISTS, NULL, "another server listens at %s; stop it or use --socket",
				 path);
	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(e, errno, "removing the stale socket %s", path);
	return 0;
}

int
server_listen(const char *path, gid_t gid, int *ret, struct error *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(e, ERROR_INVALID_VALUE, "socket", "socket path %s is longer than %zu bytes", path,
				 sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path));

	int err = remove_stale(path, &address, e);
	if (err < 0)
		return err;
	CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_errno(e, errno, "opening a socket");
	mode_t old = umask(0777);
	err = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
	umask(old);
	if (err)
		return error_errno(e, err, "binding %s", path);
	if (chown(path, (uid_t)-1, gid) < 0 || chmod(path, 0664) < 0 || listen(fd, BACKLOG) < 0) {
		err = errno;
		unlink(path);
		return error_errno(e, err, "listening at %s", path);
	}
	*ret = TAKE_FD(fd);
	return 0;
}
