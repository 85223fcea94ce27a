/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pools: how many slots of a network are made in advance, and that each is as it was made when it is handed out.
 *
 * Theory of operation
 *
 * Slots are made on the slow thread, a few in a job, two jobs at most on their way, so that the thread never waits and
 * nobody waits for it. A slot that was just made is what the kernel has acknowledged, message by message. From then on a
 * socket inside hears of every change (slot-watch.c), and before a slot is handed out it must have heard nothing. One that
 * is suspect is compared with its plan, and destroyed if it differs: when there was something, when the router tells that
 * its interface lost its carrier, and after a restart of nsd.
 *
 * Every such socket costs the kernel some 20 ns in each message to any listener on the host, so there are WATCHES_MAX: for
 * the slots that are next. The others, the stock, come when those are used up faster than new ones are made; each of them was
 * compared with its plan within the last VERIFY_MS.
 */
#include "config.h"

#include "slots.h"

#include <stdio.h>
#include <string.h>

#include "log.h"

#define POOL_JOBS 2
#define VERIFY_MS 30000
#define VERIFY_BATCH 16
#define WATCHES_MAX 64

void
slot_ready(struct manager *m, struct slot_object *s)
{
	struct network_state *n = slot_network(s);

	s->verified = true;
	s->since = monotonic_ms();
	if (s->gone || n->going) {
		slot_drain(m, s);
		return;
	}
	slot_set_state(m, s, RECORD_READY);
	announce_slot(m, CHANGE_READY, s);
}

void
slot_discard(struct manager *m, struct slot_object *s, const char *why)
{
	char name[SLOT_NAME_MAX_LENGTH + 1];

	slot_name(m, s, name);
	log_warning("slot %s was changed while it was ready, and is not handed out: %s", name, why);
	slot_network(s)->pool.failed++;
	slot_set_message(s, "%s", why);
	announce_slot(m, CHANGE_DRIFT, s);
	if (!s->busy)
		slot_drain(m, s);
	m->slots->attention = true;
}

bool
may_watch(struct manager *m)
{
	if (m->slots->n_watches >= WATCHES_MAX)
		return false;
	m->slots->n_watches++;
	return true;
}

bool
slot_is_pristine(struct manager *m, struct slot_object *s)
{
	struct slot_plan p;

	if (s->watch < 0)
		return true;
	slot_plan_fill(m, s, &p);
	return slot_watch_is_quiet(s->watch, &p);
}

void
slot_suspect(struct manager *m, struct slot_object *s)
{
	if (slot_state(m, s) != RECORD_READY || !s->verified || s->busy)
		return;
	s->verified = false;
	slot_set_state(m, s, RECORD_READY);
	m->slots->attention = true;
}

/* ---- verification ---- */

struct checked {
	struct slot_object *slot;
	struct slot_plan plan;
	char name[SLOT_NAME_MAX_LENGTH + 1];
	char text[256];
	bool failed, wants_watch;
	int watch;
};

struct verifying {
	struct operation op;
	struct vault *vault;
	struct pairs sysctls;
	unsigned n;
	struct checked v[VERIFY_BATCH];
};

static void
verify_run(struct job *job, void *thread)
{
	struct verifying *j = (struct verifying *)job;

	for (unsigned i = 0; i < j->n; i++) {
		struct checked *c = &j->v[i];
		struct error e = { 0 };
		CLEANUP(close_fd) int fd = -1;
		int err = vault_open_pin(j->vault, c->name, &fd, &e);
		if (err == 0 && c->wants_watch)
			err = slot_watch_open(thread, fd, &c->watch,
					      &e); /* before the look, so that nothing is missed */
		if (err == 0)
			err = slot_verify(thread, fd, &c->plan, c->text, sizeof(c->text), &e);
		if (err < 0)
			snprintf(c->text, sizeof(c->text), "%.250s", e.text);
		c->failed = err < 0 || c->text[0];
	}
}

static void
verify_done(struct operation *op)
{
	struct verifying *j = (struct verifying *)op;
	struct manager *m = op->m;

	m->slots->verifying = false;
	for (unsigned i = 0; i < j->n; i++) {
		struct checked *c = &j->v[i];
		struct slot_object *s = c->slot;
		s->busy = false;
		if (s->watch >= 0) {
			close(s->watch);
			m->slots->n_watches--;
		}
		s->watch = c->watch;
		m->slots->n_watches -= c->wants_watch && c->watch < 0;
		if (c->failed) {
			slot_discard(m, s, c->text);
		} else {
			s->verified = true;
			s->since = monotonic_ms();
			if (s->gone || slot_network(s)->going)
				slot_drain(m, s);
			else
				slot_set_state(m, s, RECORD_READY);
		}
	}
	free(j);
	m->slots->attention = true;
	m->retry_parked = true;
	slots_settle(m);
}

static void
verify_start(struct manager *m, struct network_state *n)
{
	struct verifying *j = calloc(1, sizeof(*j));
	struct slot_object *s;

	if (!j)
		return;
	j->op.m = m;
	j->op.pool = TAILQ_EMPTY(&n->ready) && TAILQ_EMPTY(&n->stock) ? m->slots->quick : m->slots->slow;
	j->vault = m->slots->vault;
	TAILQ_FOREACH (s, &n->unverified, entry) {
		if (s->busy)
			continue;
		struct checked *c = &j->v[j->n++];
		c->slot = s;
		c->watch = -1;
		c->wants_watch = may_watch(m);
		slot_name(m, s, c->name);
		slot_plan_fill(m, s, &c->plan);
		c->plan.sysctls = NULL; /* may be changed meanwhile, and what they are does not harm the next holder */
		s->busy = true;
		if (j->n == VERIFY_BATCH)
			break;
	}
	if (!j->n) {
		free(j);
		return;
	}
	m->slots->verifying = true;
	operation_start(&j->op, verify_run, verify_done);
}

/* ---- filling ---- */

static unsigned
missing(const struct manager *m, const struct network_state *n)
{
	const struct network *spec = &n->object->network;
	unsigned wanted = spec->ready != FIELD_ABSENT_INT ? (unsigned)spec->ready : 0;
	unsigned maximum = network_maximum(n), used = network_used(n);
	unsigned here = n->n[RECORD_READY] + n->n[RECORD_MAKING];

	if (m->stopping || n->going || spec->state != STATE_READY || wanted <= here || used >= maximum)
		return 0;
	return wanted - here < maximum - used ? wanted - here : maximum - used;
}

/* Starts one job; false when there is nothing to be made, or it cannot be. */
static bool
fill(struct manager *m, struct network_state *n, unsigned count)
{
	struct slot_object *v[MAKE_BATCH];
	struct error e = { 0 };
	unsigned taken = 0;

	while (taken < count && taken < MAKE_BATCH && slot_take(m, n, &v[taken], &e) == 0)
		taken++;
	if (taken && slots_make(m, v, taken, NULL, &e) == 0)
		return true;
	while (taken)
		slot_forget(m, v[--taken]);
	if (network_add_router(m, n, &e) < 0) {
		free(n->pool.message);
		n->pool.message = strdup(e.text);
		n->make_again = monotonic_ms() + GRACE_MS;
	}
	return false;
}

/* Draining ones are on their way already. */
static unsigned
in_use(const struct network_state *n)
{
	return network_used(n) - n->n[RECORD_DRAINING];
}

static void
shrink(struct manager *m, struct network_state *n)
{
	int64_t wanted = n->object->network.ready != FIELD_ABSENT_INT ? n->object->network.ready : 0;
	struct slot_object *s;

	while ((n->n[RECORD_READY] > wanted || (n->n[RECORD_READY] > 0 && in_use(n) > network_maximum(n))) &&
	       ((s = TAILQ_FIRST(&n->stock)) || (s = TAILQ_FIRST(&n->ready))))
		slot_drain(m, s);
}

void
pool_settle(struct manager *m, struct network_state *n)
{
	unsigned count;

	if (n->object->busy || n->object->network.state != STATE_READY)
		return;
	if (!m->slots->verifying && !TAILQ_EMPTY(&n->unverified))
		verify_start(m, n);
	shrink(m, n);
	while (n->pool_jobs < POOL_JOBS && monotonic_ms() >= n->make_again && (count = missing(m, n)) > 0)
		if (!fill(m, n, count))
			break;
}

void
pool_taken_from(struct manager *m, struct network_state *n)
{
	if (n->pool_jobs == 0 && 2 * (int64_t)n->n[RECORD_READY] < n->object->network.ready)
		pool_settle(m, n);
}

void
pool_tick(struct manager *m, struct network_state *n)
{
	int64_t now = monotonic_ms();
	struct slot_object *s;

	for (unsigned i = 0; i < VERIFY_BATCH; i++) {
		s = TAILQ_FIRST(&n->stock);
		if (!s || now - s->since < VERIFY_MS)
			break;
		slot_suspect(m, s);
	}
	pool_settle(m, n);
}
