/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When namespaces are made in advance: while a request that needs one is under way and others are likely to follow. It
 * is made beside that request, on a processor that has nothing else to do then; made between two requests it would
 * stand in the way of the next, since the kernel does not let go of the processor meanwhile.
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

void
spare_wanted(struct manager *m)
{
	int64_t now = monotonic_ms();
	bool burst = now - m->last_made < BURST_MS;

	m->last_made = now;
	if (burst && !m->stopping && m->spares_making == 0 && workers_pending(m->workers) < 2)
		m->spares_making += start(m, make_run, make_done);
}

void
spare_tick(struct manager *m)
{
	if (m->spares && !m->spares_dropping && monotonic_ms() - m->last_made > SPARE_MS)
		m->spares_dropping = start(m, drop_run, drop_done);
}
