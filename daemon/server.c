/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The listening socket: who may connect, and how many.
 *
 * Out of fds (EMFILE): the listener is switched off for a second instead of spinning.
 */
#include "config.h"

#include "server.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "log.h"
#include "server-connection.h"
#include "server-peer.h"

#define BACKLOG 512

struct server {
	struct connections connections;
	struct server_limits limits;
	uint64_t refused;
	struct event *accept, *retry, *tick;
	int listen_fd;
};

static void
free_event(struct event *ev)
{
	if (ev)
		event_free(ev);
}

static bool
may_connect(struct server *s, const struct peer *p)
{
	if (s->connections.n >= s->limits.connections ||
	    (p->uid != 0 && connections_of(&s->connections, p->uid) >= s->limits.connections_per_user)) {
		s->refused++;
		log_debug("refusing a connection of uid %u: too many", (unsigned)p->uid);
		return false;
	}
	return true;
}

static void
welcome(struct server *s, int fd)
{
	struct peer peer;

	if (peer_read(fd, &peer) && may_connect(s, &peer))
		connection_new(&s->connections, fd, &peer);
	else
		close(fd);
}

static void
on_accept(evutil_socket_t listen_fd, short what UNUSED, void *arg)
{
	struct server *s = arg;

	for (unsigned i = 0; i < 64; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			welcome(s, fd);
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

static void
on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct server *s = arg;
	connections_tick(&s->connections, s->limits.idle_seconds);
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
	*s = (struct server){ .connections = { .base = base, .dispatcher = d },
			      .limits = *limits,
			      .listen_fd = listen_fd };
	TAILQ_INIT(&s->connections.list);
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
	connections_close(&s->connections);
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
	return (struct server_stats){ .connections = s->connections.n,
				      .requests = s->connections.requests,
				      .refused = s->refused };
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
