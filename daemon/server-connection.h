/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connections of a server: each reads calls, hands them to the dispatcher and sends the answers. */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "dispatch.h"

struct event_base;

struct connections {
	TAILQ_HEAD(, connection) list;
	unsigned n;
	uint64_t requests; /* handled so far */
	struct event_base *base;
	const struct dispatcher *dispatcher;
};

/* Serves `fd` (connected, non-blocking; taken). -ENOMEM. */
int connection_new(struct connections *all, int fd, const struct peer *peer);

/* How many a user has. */
unsigned connections_of(const struct connections *all, uid_t uid);

/* To be called every second: ends those whose peers hung up unseen, that do not read, and, unless idle_seconds is 0,
 * that do nothing for so long and have no bonds. */
void connections_tick(struct connections *all, unsigned idle_seconds);

/* Ends them all. */
void connections_close(struct connections *all);
