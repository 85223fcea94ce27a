/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The listening socket and its connections: accept, credentials, limits, backpressure, timeouts. Knows no method. */
#pragma once

#include <stdint.h>

#include "dispatch.h"

struct event_base;
struct server;

struct server_limits {
	unsigned connections;	       /* in total */
	unsigned connections_per_user; /* of one uid other than root's */
	unsigned idle_seconds;	       /* without a call under way; 0: for ever */
};

struct server_stats {
	unsigned connections;
	uint64_t requests, refused;
};

/* Serves on `listen_fd` (listening, non-blocking; taken). The dispatcher must outlive the server. */
int server_new(struct event_base *base, int listen_fd, const struct dispatcher *d, const struct server_limits *limits,
	       struct server **ret, struct error *e);

/* Closes all connections; requests that are still worked on end when their handlers answer. */
void server_free(struct server *s);

void server_set_limits(struct server *s, const struct server_limits *limits);
struct server_stats server_stats(const struct server *s);

/* Makes a listening AF_UNIX stream socket at `path`: a stale socket (nobody listens) is replaced, a live one or another
 * kind of file is refused. Mode 0664; group `gid` if not -1. CLOEXEC, non-blocking. */
int server_listen(const char *path, gid_t gid, int *ret, struct error *e);
