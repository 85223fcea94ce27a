/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See wire.h. */
#include "config.h"

#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "../bench/samples.h"

#define READ_SIZE 65536

static int
connect_once(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval silence = { .tv_sec = SILENCE_SECONDS };
	if (strlen(path) >= sizeof(a.sun_path))
		die(0, "%s: too long", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence)) < 0)
		die(errno, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool
connection_open(struct connection *c, const char *path, uint64_t id, unsigned patience)
{
	uint64_t until = now_ns() + patience * UINT64_C(1000000000);
	int fd;

	while ((fd = connect_once(path)) < 0) {
		if (now_ns() > until)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	}
	*c = (struct connection){ .fd = fd, .id = id, .data = malloc(READ_SIZE), .size = READ_SIZE };
	if (!c->data)
		die(ENOMEM, "connection");
	return true;
}

void
connection_close(struct connection *c)
{
	if (c->fd < 0)
		return;
	while (c->n_fds > 0)
		close(c->fds[--c->n_fds]);
	close(c->fd);
	free(c->data);
	c->fd = -1;
	c->data = NULL;
}

bool
connection_is_dead(const struct connection *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };
	return poll(&p, 1, 0) > 0 && p.revents != 0;
}

bool
connection_send(struct connection *c, const char *text, int fd)
{
	size_t n = strlen(text) + 1;
	union {
		struct cmsghdr header;
		char data[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec v = { .iov_base = (void *)(uintptr_t)text, .iov_len = n };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = control.data;
		m.msg_controllen = sizeof(control.data);
		control.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						   .cmsg_type = SCM_RIGHTS,
						   .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(c->fd, &m, MSG_NOSIGNAL) == (ssize_t)n;
}

static void
keep_fds(struct connection *c, struct msghdr *m)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (c->n_fds < N_REPLY_FDS)
				c->fds[c->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

static enum received
fill(struct connection *c)
{
	union {
		struct cmsghdr header;
		char data[CMSG_SPACE(N_REPLY_FDS * sizeof(int))];
	} control;
	if (c->used == c->size) {
		c->data = realloc(c->data, c->size *= 2);
		if (!c->data)
			die(ENOMEM, "connection");
	}
	struct iovec v = { .iov_base = c->data + c->used, .iov_len = c->size - c->used };
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = control.data, .msg_controllen = sizeof(control.data)
	};
	ssize_t n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
	if (n < 0 && errno == EAGAIN)
		return SILENT;
	if (n <= 0)
		return BROKEN;
	keep_fds(c, &m);
	c->used += (size_t)n;
	return RECEIVED;
}

enum received
connection_receive(struct connection *c, struct json_object **ret, uint64_t *at)
{
	char *nul;
	while (!(nul = memchr(c->data, '\0', c->used))) {
		enum received got = fill(c);
		if (got != RECEIVED)
			return got;
	}
	*at = now_ns();
	*ret = json_tokener_parse(c->data);
	c->used -= (size_t)(nul + 1 - c->data);
	memmove(c->data, nul + 1, c->used);
	return RECEIVED;
}

int
connection_take_fd(struct connection *c)
{
	if (c->n_fds == 0)
		return -1;
	while (c->n_fds > 1)
		close(c->fds[--c->n_fds]);
	return c->fds[--c->n_fds];
}

enum record_outcome
reply_outcome(struct json_object *reply)
{
	static const struct {
		const char *error;
		enum record_outcome outcome;
	} meanings[] = {
		{ "LimitExceeded", OUTCOME_LIMIT },   { "QuotaExceeded", OUTCOME_LIMIT },
		{ "StaleGeneration", OUTCOME_STALE }, { "NotFound", OUTCOME_NOT_FOUND },
		{ "Lost", OUTCOME_NOT_FOUND },	      { "Draining", OUTCOME_NOT_FOUND },
		{ "Busy", OUTCOME_PASSING },	      { "ShuttingDown", OUTCOME_PASSING },
		{ "TimedOut", OUTCOME_PASSING },
	};
	struct json_object *error;

	if (!json_object_is_type(reply, json_type_object))
		return OUTCOME_NONSENSE;
	if (!json_object_object_get_ex(reply, "error", &error))
		return OUTCOME_OK;
	const char *name = json_object_get_string(error), *dot = name ? strrchr(name, '.') : NULL;
	for (unsigned i = 0; dot && i < sizeof(meanings) / sizeof(*meanings); i++)
		if (strcmp(dot + 1, meanings[i].error) == 0)
			return meanings[i].outcome;
	fprintf(stderr, "soak-clients: %s\n", json_object_to_json_string(reply));
	return OUTCOME_OTHER;
}

static const char *
string_of(struct json_object *object, const char *field)
{
	struct json_object *value;
	return json_object_object_get_ex(object, field, &value) ? json_object_get_string(value) : NULL;
}

static int64_t
number_of(struct json_object *object, const char *field)
{
	struct json_object *value;
	return json_object_object_get_ex(object, field, &value) ? json_object_get_int64(value) : 0;
}

/* NETWORK.NUMBER, NETWORK one of ours. */
static bool
parse_name(const char *text, const char *const *networks, unsigned n_networks, struct record *r)
{
	const char *dot = text ? strrchr(text, '.') : NULL;
	char *end;

	if (!dot || dot[1] < '1' || dot[1] > '9')
		return false;
	r->number = (uint32_t)strtoul(dot + 1, &end, 10);
	for (r->network = 0; r->network < n_networks; r->network++) {
		const char *name = networks[r->network];
		if (strlen(name) == (size_t)(dot - text) && strncmp(name, text, (size_t)(dot - text)) == 0)
			return *end == '\0';
	}
	return false;
}

bool
reply_slot(struct json_object *reply, const char *const *networks, unsigned n_networks, struct record *r)
{
	struct json_object *parameters, *slot;
	const char *text;

	if (!json_object_object_get_ex(reply, "parameters", &parameters) ||
	    !json_object_object_get_ex(parameters, "slot", &slot) ||
	    !parse_name(string_of(slot, "name"), networks, n_networks, r))
		return false;
	r->generation = number_of(slot, "generation");
	r->cookie = (uint64_t)number_of(slot, "cookie");
	if ((text = string_of(slot, "address4")) && inet_pton(AF_INET, text, r->address4) != 1)
		return false;
	if ((text = string_of(slot, "address6")) && inet_pton(AF_INET6, text, r->address6) != 1)
		return false;
	text = string_of(slot, "state");
	if (text && strcmp(text, "leased") == 0)
		r->flags |= FLAG_LEASED;
	if (number_of(parameters, "created"))
		r->flags |= FLAG_CREATED;
	return r->generation != 0;
}
