/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way of a slot from its release to the last trace of it.
 *
 * Theory of operation
 *
 * One unpin job at a time works for all that have queued within UNPIN_MS, so that the vault is changed, and the kernel tears
 * namespaces down, in batches. When nothing else holds a namespace its interface vanishes from the router soon after, and
 * the router's event frees the number. For those that have not gone within GRACE_MS one cut job looks into the router: an
 * interface that is not there (its event was lost, or it was never made) frees the number; one that is there is taken off
 * its holder together with the others, and its slot stays until the router tells that the namespace's number is withdrawn.
 * That number is recorded first, for an nsd after this one. Once withdrawn it may be given to another slot's namespace, so
 * a number that belongs to an interface says nothing of a slot without one.
 */
#include "config.h"

#include "slots.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>

#include "log.h"

#define UNPIN_MAX 512
#define UNPIN_MANY 128 /* are not waited with */
#define UNPIN_MS 10
#define CUT_MAX 256
#define LOOK_AGAIN_MS 5000

static void
answer_waiters(struct slot_object *s)
{
	struct waiter *w;
	struct release_out out = { .state = FIELD_ABSENT_ENUM };

	while ((w = LIST_FIRST(&s->waiters)))
		request_reply(w->request, &release_out_type, &out); /* its end callback takes it off the list */
}

void
slot_end(struct manager *m, struct slot_object *s)
{
	announce_slot(m, CHANGE_GONE, s);
	answer_waiters(s);
	slot_forget(m, s);
	m->retry_parked |= !TAILQ_EMPTY(&m->parked);
	m->slots->attention = true;
}

static void
check_end(struct manager *m, struct slot_object *s)
{
	if (s->unpinned && s->gone && !s->cut && !s->busy && slot_state(m, s) == RECORD_DRAINING)
		slot_end(m, s);
}

/* ---- off the vault ---- */

struct unpinning {
	struct operation op;
	struct vault *vault;
	unsigned n;
	struct slot_object *slots[UNPIN_MAX];
	char names[UNPIN_MAX][SLOT_NAME_MAX_LENGTH + 1];
};

static void
unpin_run(struct job *job, void *thread UNUSED)
{
	struct unpinning *j = (struct unpinning *)job;
	const char *names[UNPIN_MAX];

	for (unsigned i = 0; i < j->n; i++)
		names[i] = j->names[i];
	j->op.result = vault_unpin(j->vault, names, j->n, &j->op.error);
}

static void
unpin_done(struct operation *op)
{
	struct unpinning *j = (struct unpinning *)op;
	struct manager *m = op->m;
	int64_t now = monotonic_ms();

	m->slots->unpinning = false;
	if (op->result < 0)
		log_error("released slots cannot be removed yet: %s", op->error.text);
	for (unsigned i = 0; i < j->n; i++) {
		struct slot_object *s = j->slots[i];
		s->busy = false;
		s->since = now;
		if (op->result < 0) {
			slot_unpin_later(m, s);
			continue;
		}
		s->unpinned = true;
		check_end(m, s); /* frees it */
	}
	free(j);
	m->slots->attention = true; /* a network may wait for it */
	drain_slots_settle(m);
}

static void
unpin_start(struct manager *m)
{
	struct unpinning *j = calloc(1, sizeof(*j));
	struct slot_object *s;

	if (!j)
		return;
	j->op.m = m;
	j->op.pool = m->slots->quick;
	j->vault = m->slots->vault;
	while (j->n < UNPIN_MAX && (s = TAILQ_FIRST(&m->slots->unpin))) {
		TAILQ_REMOVE(&m->slots->unpin, s, queue);
		m->slots->n_unpin--;
		s->queued = false;
		s->busy = true;
		slot_name(m, s, j->names[j->n]);
		j->slots[j->n++] = s;
	}
	m->slots->unpinning = true;
	m->slots->unpin_due = false;
	operation_start(&j->op, unpin_run, unpin_done);
}

void
unpin_timer_fired(struct manager *m)
{
	uint64_t times;

	if (read(m->slots->unpin_timer, &times, sizeof(times)) > 0)
		m->slots->unpin_due = true;
	drain_slots_settle(m);
}

void
drain_slots_settle(struct manager *m)
{
	const struct itimerspec soon = { .it_value = { .tv_nsec = UNPIN_MS * 1000000L } };
	struct itimerspec left;

	if (m->stopping || m->slots->unpinning || TAILQ_EMPTY(&m->slots->unpin))
		return;
	if (m->slots->unpin_due || m->slots->n_unpin >= UNPIN_MANY)
		unpin_start(m);
	else if (timerfd_gettime(m->slots->unpin_timer, &left) < 0 || (!left.it_value.tv_sec && !left.it_value.tv_nsec))
		timerfd_settime(m->slots->unpin_timer, 0, &soon, NULL);
}

void
slot_unpin_later(struct manager *m, struct slot_object *s)
{
	s->queued = true;
	m->slots->n_unpin++;
	TAILQ_INSERT_TAIL(&m->slots->unpin, s, queue);
	m->slots->attention = true;
}

void
slot_drain(struct manager *m, struct slot_object *s)
{
	s->since = monotonic_ms();
	slot_set_state(m, s, RECORD_DRAINING);
	announce_slot(m, CHANGE_DRAINING, s);
	extras_undo(m, s);
	if (!s->undoing)
		slot_unpin_later(m, s);
}

/* ---- what the router tells ---- */

void
slot_link_gone(struct manager *m, struct router *r, int ifindex)
{
	unsigned i = (unsigned)(ifindex - ROUTER_IFINDEX);
	struct slot_object *s = ifindex >= ROUTER_IFINDEX && i < SHARD_SLOTS ? r->slots[i] : NULL;

	if (!s)
		return;
	s->gone = true;
	switch (slot_state(m, s)) {
	case RECORD_READY:
		slot_discard(m, s, "its interface vanished");
		break;
	case RECORD_LEASED:
		slot_set_message(s, "its interface was removed by somebody; release it and acquire another");
		announce_slot(m, CHANGE_DRIFT, s);
		break;
	default:
		check_end(m, s);
	}
}

void
slot_nsid_gone(struct manager *m, struct router *r, int nsid)
{
	for (unsigned i = 0; i < SHARD_SLOTS; i++) {
		struct slot_object *s = r->slots[i];
		if (!s || !s->cut || s->nsid != nsid)
			continue;
		s->cut = false;
		check_end(m, s);
		return;
	}
}

/* ---- those that do not go ---- */

struct cut_item {
	struct slot_object *slot;
	struct slot_record *record;
	int ifindex, nsid;
	bool there, alive; /* the interface; the namespace's number */
	bool taken;	   /* that number is another one's by now */
};

struct cutting {
	struct operation op;
	struct router *router;
	unsigned n;
	struct cut_item v[CUT_MAX];
};

static int
note_link(const struct link_info *info, void *arg)
{
	struct cutting *j = arg;

	for (unsigned i = 0; i < j->n; i++)
		if (j->v[i].ifindex == info->ifindex) {
			j->v[i].there = true;
			j->v[i].nsid = info->peer_nsid;
		} else if (info->peer_nsid >= 0 && j->v[i].nsid == info->peer_nsid) {
			j->v[i].taken = true;
		}
	return 0;
}

static void
forget_links(void *arg)
{
	struct cutting *j = arg;
	for (unsigned i = 0; i < j->n; i++)
		j->v[i].there = j->v[i].taken = false;
}

static void
note_number(int nsid, void *arg)
{
	struct cutting *j = arg;
	for (unsigned i = 0; i < j->n; i++)
		j->v[i].alive |= nsid >= 0 && j->v[i].nsid == nsid && (j->v[i].there || !j->v[i].taken);
}

static void
cut_run(struct job *job, void *thread)
{
	struct cutting *j = (struct cutting *)job;
	struct error *e = &j->op.error;
	struct rtnl *socket;
	int ifindexes[CUT_MAX], err = router_take_socket(thread, j->router, &socket, e);
	unsigned n = 0;

	if (err < 0) {
		j->op.result = err;
		return;
	}
	err = link_dump(socket, false, note_link, forget_links, j, e);
	if (err == 0)
		err = netns_numbers(socket, note_number, j, e);
	for (unsigned i = 0; i < j->n; i++)
		if (j->v[i].there && j->v[i].alive) { /* without a number it is on its way */
			j->v[i].record->cut = (uint32_t)j->v[i].nsid + 1;
			ifindexes[n++] = j->v[i].ifindex;
		}
	if (err == 0 && n)
		err = router_cut(socket, ifindexes, n, e);
	router_put_socket(j->router, socket, err == 0);
	j->op.result = err;
}

static void
note_cut(struct manager *m, struct cut_item *item)
{
	struct slot_object *s = item->slot;

	s->since = monotonic_ms();
	if (item->there && !item->alive)
		return;
	if (item->there) {
		s->nsid = item->nsid;
		s->cut = true;
		user_charge(m, s); /* who holds it has it still, released or not */
		slot_set_message(s, "somebody still holds its namespace: nsc slot explain tells who");
		announce_slot(m, CHANGE_CHANGED, s);
	} else if (s->cut && !item->alive) {
		s->cut = false;
	}
	s->gone = true;
	check_end(m, s);
}

static void
cut_done(struct operation *op)
{
	struct cutting *j = (struct cutting *)op;
	struct manager *m = op->m;

	m->slots->cutting = false;
	if (op->result < 0)
		log_warning("cannot look at slots that do not go: %s", op->error.text);
	for (unsigned i = 0; i < j->n; i++) {
		j->v[i].slot->busy = false;
		if (op->result == 0)
			note_cut(m, &j->v[i]);
	}
	free(j);
}

static bool
is_overdue(const struct slot_object *s, int64_t now)
{
	return s->unpinned && !s->busy && now - s->since > (s->cut ? LOOK_AGAIN_MS : GRACE_MS);
}

/* Those of one router, as many as fit. */
static void
cut_start(struct manager *m, struct slot_object *first, int64_t now)
{
	struct cutting *j = calloc(1, sizeof(*j));
	struct slot_object *s;

	if (!j)
		return;
	j->op.m = m;
	j->op.pool = m->slots->quick;
	j->router = first->router;
	TAILQ_FOREACH (s, &slot_network(first)->draining, entry) {
		if (s->router != j->router || !is_overdue(s, now) || j->n == CUT_MAX)
			continue;
		s->busy = true;
		j->v[j->n++] =
			(struct cut_item){ .slot = s,
					   .record = slot_record(m, s),
					   .ifindex = ROUTER_IFINDEX + (int)(slot_record(m, s)->number % SHARD_SLOTS),
					   .nsid = s->nsid };
	}
	m->slots->cutting = true;
	operation_start(&j->op, cut_run, cut_done);
}

void
drain_slots_tick(struct manager *m)
{
	int64_t now = monotonic_ms();
	struct slot_object *s;

	drain_slots_settle(m);
	for (size_t i = 0; i < m->networks.n && !m->slots->cutting; i++) {
		const struct object *o = m->networks.v[i];
		TAILQ_FOREACH (s, &o->net->draining, entry)
			if (is_overdue(s, now)) {
				cut_start(m, s, now);
				break;
			}
	}
}
