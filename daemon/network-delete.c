/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The removal of networks.
 *
 * The record is committed as draining and the request answered; then all slots are released, and when their pins are gone
 * the routers lose theirs, the uplink and the host's rules go, and the record is deleted. Slots that somebody still holds by
 * then lose their interface along with the router.
 */
#include "config.h"

#include "slots.h"

#include <errno.h>
#include <string.h>

#include "log.h"

/* ---- the record ---- */

struct marking {
	struct operation op;
	bool wait;
};

static void
mark_run(struct job *job, void *thread UNUSED)
{
	struct marking *j = (struct marking *)job;
	struct record record = { .object = j->op.objects[0], .state = STATE_DRAINING };

	j->op.result = commit(j->op.m, &record, 1, true, &j->op.error);
}

static void
mark_done(struct operation *op)
{
	struct marking *j = (struct marking *)op;
	struct object *o = op->objects[0];

	if (op->result < 0) {
		request_error(op->request, &op->error);
	} else {
		answer_removal(op->request, o, j->wait);
		network_drain(op->m, o);
	}
	free(j);
}

int
network_delete(struct manager *m, struct request *r, struct object *o, bool wait, struct error *e)
{
	if (o->network.state == STATE_DRAINING) {
		answer_removal(r, o, wait);
		return 0;
	}
	struct marking *j = calloc(1, sizeof(*j));
	if (!j)
		return error_errno(e, ENOMEM, "deleting network \"%s\"", o->network.name);
	j->op.m = m;
	j->op.request = r;
	j->op.objects = j->op.few;
	j->op.objects[j->op.n_objects++] = o;
	j->wait = wait;
	operation_start(&j->op, mark_run, mark_done);
	return 0;
}

/* ---- the slots ---- */

static void
release(struct manager *m, struct slot_object *s)
{
	switch (slot_state(m, s)) {
	case RECORD_READY:
		slot_drain(m, s);
		break;
	case RECORD_LEASED:
		lease_end(m, s, "its network is deleted");
		break;
	default:
		break; /* a job has it, or it is on its way already */
	}
}

static void
release_all(struct manager *m, struct network_state *n)
{
	for (unsigned i = 0; i < n->n_routers; i++)
		for (unsigned k = 0; k < SHARD_SLOTS; k++) {
			struct slot_object *s = n->routers[i]->slots[k];
			if (s && !s->busy)
				release(m, s);
		}
}

void
network_drain(struct manager *m, struct object *o)
{
	object_set_state(o, STATE_DRAINING);
	announce(m, CHANGE_DRAINING, o);
	o->net->going = true;
	network_settle(m, o);
}

/* ---- the rest ---- */

struct removing {
	struct rules_job job;
	struct object *object;
	struct rules_input input;
	struct router_plan plan;
	struct vault *vault;
	unsigned n_routers;
};

static int
remove_run(struct rules_job *job, struct kernel *k, struct error *e)
{
	struct removing *j = (struct removing *)job;
	struct record record = { .object = j->object, .state = -1 };
	int err = rules_load_host(&j->input, k, e);

	for (unsigned i = j->n_routers; i-- > 0 && err == 0;) {
		char name[ROUTER_NAME_SIZE];
		router_name(j->object, i, name);
		err = vault_unpin(j->vault, (const char *const[]){ name }, 1, e);
	}
	if (err == 0)
		err = router_remove_uplink(k, NULL, &j->plan, e);
	return err < 0 ? err : commit(job->op.m, &record, 1, true, e);
}

static int
remove_prepare(struct rules_job *job, struct error *e)
{
	struct removing *j = (struct removing *)job;
	struct network_state *n = j->object->net;

	j->n_routers = n->n_routers ? n->n_routers : 1;
	for (unsigned i = 0; i < n->n_routers; i++)
		router_detach(job->op.m, n->routers[i]);
	router_plan_fill(j->object, 0, &j->plan);
	return rules_input_fill(job->op.m, NULL, NULL, j->object, &j->input, e);
}

static void
forget(struct manager *m, struct object *o)
{
	struct removal_reply gone = { .state = FIELD_ABSENT_ENUM };
	struct network_state *n = o->net;
	struct waiter *w;

	for (unsigned i = 0; i < n->n_routers; i++)
		for (unsigned k = 0; k < SHARD_SLOTS; k++)
			if (n->routers[i]->slots[k])
				slot_end(m, n->routers[i]->slots[k]);
	announce(m, CHANGE_GONE, o);
	while ((w = LIST_FIRST(&o->waiters)))
		request_reply(w->request, &removal_reply_type, &gone);
	object_remove(m, o);
	object_free(o);
}

static void
remove_done(struct rules_job *job)
{
	struct removing *j = (struct removing *)job;
	struct manager *m = job->op.m;
	struct object *o = j->object;

	o->busy = false;
	if (job->op.result == 0) {
		forget(m, o);
		rules_refresh(m);
	} else {
		log_warning("network \"%s\" cannot be removed yet: %s", object_name(o), job->op.error.text);
		object_set_message(o, "cannot be removed yet: %s", job->op.error.text);
		o->retry_at = monotonic_ms() + GRACE_MS;
	}
	rules_input_done(&j->input);
	free(j);
	m->retry_parked = true;
}

static bool
is_held_up(const struct manager *m, const struct network_state *n)
{
	for (unsigned i = 0; i < n->n_routers; i++)
		for (unsigned k = 0; k < SHARD_SLOTS; k++) {
			const struct slot_object *s = n->routers[i]->slots[k];
			if (s && (s->busy || slot_state(m, s) != RECORD_DRAINING || !s->unpinned))
				return true;
		}
	return n->jobs || n->making_router;
}

void
network_settle(struct manager *m, struct object *o)
{
	struct network_state *n = o->net;

	if (!n->going || o->busy || !m->slots->audited || monotonic_ms() < o->retry_at)
		return;
	release_all(m, n);
	if (is_held_up(m, n))
		return;
	struct removing *j = calloc(1, sizeof(*j));
	if (!j)
		return;
	j->object = o;
	j->vault = m->slots->vault;
	j->job.prepare = remove_prepare;
	j->job.run = remove_run;
	j->job.done = remove_done;
	o->busy = true;
	rules_submit(m, &j->job);
}
