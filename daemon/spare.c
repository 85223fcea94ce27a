/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When namespaces are made in advance: in the second half of a request that needed one, when others are likely to follow.
 * The worker that serves the request starts it once it has made the link, so that the two do not wait for each other
 * under the kernel's RTNL; made after the request it would stand in the way of the next one, since the kernel does not
 * let go of the processor meanwhile.
 */
#include "config.h"

#include "object.h"
#include "spares.h"

#define BURST_MS 100 /* requests closer together than this are likely to go on */

static void
make_run(struct job *j, void *thread)
{
	struct operation *op = (struct operation *)j;
	op->result = netns_make_spare(thread, &op->error);
}

static void
drop_run(struct job *j, void *thread UNUSED)
{
	struct operation *op = (struct operation *)j;
	op->result = (int)netns_drop_spares(op->m->site);
}

static void
make_done(struct operation *op)
{
	op->m->spares_making--;
	if (op->result == 0)
		op->m->spares = SPARES_MAX; /* at most; dropping them counts */
	free(op);
}

static void
drop_done(struct operation *op)
{
	op->m->spares = (unsigned)op->result;
	op->m->spares_dropping = false;
	free(op);
}

static bool
start(struct manager *m, void (*run)(struct job *j, void *thread), void (*done)(struct operation *op))
{
	struct operation *op = calloc(1, sizeof(*op));
	if (!op)
		return false;
	op->m = m;
	operation_start(op, run, done);
	return true;
}

struct operation *
spare_plan(struct manager *m)
{
	int64_t now = monotonic_ms();
	bool burst = now - m->last_made < BURST_MS;

	m->last_made = now;
	struct operation *op =
		burst && m->spares_making == 0 && workers_pending(m->workers) < 2 ? calloc(1, sizeof(*op)) : NULL;
	if (op) {
		op->m = m;
		operation_prepare(op, make_run, make_done);
		m->spares_making++;
	}
	return op;
}

void
spare_tick(struct manager *m)
{
	if (m->spares && !m->spares_dropping && monotonic_ms() - m->last_made > SPARE_MS)
		m->spares_dropping = start(m, drop_run, drop_done);
}
