/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Networks in the kernel: made, made again, changed, given another router.
 *
 * Theory of operation
 *
 * Each is a rules job, so that only one of them is under way at a time. The record is committed before the kernel is
 * touched; the router is made with its rules before it is pinned, so no slot is ever on a router without them; the commit
 * as ready comes last. A failure undoes in reverse. A start finds a network that was being made and removes it; one whose
 * router or uplink is gone is made again.
 */
#include "config.h"

#include "slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "message-ids.h"

struct network_job {
	struct rules_job job;
	struct object *object;
	struct network spec; /* what it becomes; of a change */
	struct rules_input input;
	struct router_plan plan;
	struct vault *vault;
	char name[ROUTER_NAME_SIZE]; /* of the router's pin */
	unsigned number, capacity;
	int root_fd; /* a router more: of the root */
	bool remake, restore, rules_differ, mtu_differs, replace;
	struct netns router;
	struct events *events;
	bool recorded, pinned, uplinked;
	char missing[256]; /* what others had taken away from the uplink */
	network_reply *reply;
	unsigned n_fds; /* a change: its routers */
	int fds[];
};

static struct network_job *
job_new(struct manager *m, struct request *r, struct object *o, unsigned fds, struct error *e)
{
	struct network_job *j = calloc(1, sizeof(*j) + fds * sizeof(j->fds[0]));

	if (!j) {
		error_errno(e, ENOMEM, "working on network \"%s\"", o->network.name);
		return NULL;
	}
	j->job.op.request = r;
	j->job.op.objects = j->job.op.few;
	j->object = o;
	j->vault = m->slots->vault;
	j->capacity = o->net->capacity;
	j->root_fd = -1;
	j->router = (struct netns)NETNS_INIT;
	fields_init(&network_type, &j->spec);
	return j;
}

static void
job_free(struct network_job *j)
{
	network_done(&j->spec);
	rules_input_done(&j->input);
	netns_close(&j->router);
	events_close(j->events);
	free(j);
}

static int
commit_network(struct network_job *j, const struct network *spec, int state, bool changing, bool durable,
	       struct error *e)
{
	struct record record = { .object = j->object, .network = spec, .state = state, .changing = changing };
	return commit(j->job.op.m, &record, 1, durable, e);
}

/* ---- a router, on a thread of the vault ---- */

static int
make_router(struct network_job *j, struct kernel *k, struct netns *outside, struct error *e)
{
	int ifindex;
	int err = vault_unpin(j->vault, (const char *const[]){ j->name }, 1, e); /* what an earlier nsd left */

	if (err == 0)
		err = router_remove_uplink(k, outside, &j->plan, e);
	if (err == 0)
		err = router_make(k, outside, &j->plan, &j->router, &ifindex, e);
	if (err < 0)
		return err;
	j->uplinked = true;
	err = rules_input_look(&j->input, k, e);
	if (err == 0)
		err = rules_load_router(&j->input, k, &j->object->network, j->capacity, j->number, j->router.fd, e);
	if (err == 0)
		err = router_events_open(k, j->router.fd, &j->events, e);
	if (err == 0)
		err = vault_pin(j->vault, j->name, j->router.fd, e);
	j->pinned = err == 0;
	return err;
}

static void
undo_router(struct network_job *j, struct kernel *k, struct netns *outside)
{
	if (j->pinned)
		vault_unpin(j->vault, (const char *const[]){ j->name }, 1, NULL);
	if (j->uplinked)
		router_remove_uplink(k, outside, &j->plan, NULL);
}

/* ---- create ---- */

static int
check_host_routes(const struct network_job *j, struct kernel *k, struct error *e)
{
	const struct network *spec = &j->object->network;
	const struct {
		bool has;
		const struct prefix *prefix;
		const char *field, *text;
	} families[] = {
		{ j->plan.has4, &j->plan.prefix4, "ipv4", spec->ipv4 },
		{ j->plan.has6, &j->plan.prefix6, "ipv6", spec->ipv6 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(families); i++) {
		char text[128] = "";
		int err = families[i].has ?
				  host_route_overlap(k, families[i].prefix, spec->uplink, text, sizeof(text), e) :
				  0;
		if (err < 0)
			return err;
		if (text[0])
			return error_set(e, ERROR_NAME_TAKEN, families[i].field,
					 "%s overlaps a route of the host: %s; choose another prefix", families[i].text,
					 text);
	}
	return 0;
}

static void
undo_create(struct network_job *j, struct kernel *k)
{
	struct error e = { 0 };

	undo_router(j, k, NULL);
	if (j->recorded && commit_network(j, NULL, j->remake ? STATE_LOST : -1, false, false, &e) < 0)
		log_warning("the record of network \"%s\" cannot be taken back: %s", object_name(j->object), e.text);
}

static int
create_run(struct rules_job *job, struct kernel *k, struct error *e)
{
	struct network_job *j = (struct network_job *)job;
	int err = check_host_routes(j, k, e);

	if (err == 0)
		err = commit_network(j, NULL, j->remake ? STATE_LOST : STATE_CREATING, false, false, e);
	j->recorded = err == 0;
	if (err == 0)
		err = make_router(j, k, NULL, e);
	if (err == 0)
		err = rules_load_host(&j->input, k, e);
	if (err == 0)
		err = commit_network(j, NULL, STATE_READY, false, true, e);
	if (err < 0)
		undo_create(j, k);
	return err;
}

static int
create_prepare(struct rules_job *job, struct error *e)
{
	struct network_job *j = (struct network_job *)job;

	router_name(j->object, 0, j->name);
	router_plan_fill(j->object, 0, &j->plan);
	return rules_input_fill(job->op.m, j->object, NULL, NULL, &j->input, e);
}

static int
take_router(struct network_job *j, struct error *e)
{
	return router_attach(j->job.op.m, j->object, j->number, TAKE_FD(j->router.fd), j->router.cookie,
			     TAKE_PTR(j->events), e);
}

static void
create_failed(struct manager *m, struct network_job *j)
{
	struct object *o = j->object;

	if (j->remake) {
		object_set_state(o, STATE_LOST);
		object_set_message(o, "cannot be made again: %s", j->job.op.error.text);
		log_warning("network \"%s\" cannot be made again: %s", object_name(o), j->job.op.error.text);
		announce(m, CHANGE_CHANGED, o);
		return;
	}
	announce(m, CHANGE_GONE, o);
	object_remove(m, o);
	object_free(o);
}

static void
create_done(struct rules_job *job)
{
	struct network_job *j = (struct network_job *)job;
	struct manager *m = job->op.m;
	struct object *o = j->object;
	bool starting = !m->reconciled && !job->op.request;

	o->busy = false;
	if (job->op.result == 0)
		job->op.result = take_router(j, &job->op.error);
	if (job->op.result == 0) {
		object_set_state(o, STATE_READY);
		object_set_message(o, NULL);
		announce(m, j->remake ? CHANGE_CHANGED : CHANGE_READY, o);
		rules_refresh(m); /* the other networks learn of it */
	}
	if (job->op.request && job->op.result < 0)
		request_error(job->op.request, &job->op.error);
	else if (job->op.request)
		j->reply(job->op.request, o, true);
	if (job->op.result < 0)
		create_failed(m, j);
	job_free(j);
	m->retry_parked = true;
	if (starting)
		reconcile_made(m);
}

static int
create_start(struct manager *m, struct request *r, struct object *o, bool remake, network_reply *reply, struct error *e)
{
	struct network_job *j = job_new(m, r, o, 0, e);

	if (!j)
		return -ENOMEM;
	j->remake = remake;
	j->reply = reply;
	j->job.prepare = create_prepare;
	j->job.run = create_run;
	j->job.done = create_done;
	o->busy = true;
	rules_submit(m, &j->job);
	return 0;
}

int
network_create(struct manager *m, struct request *r, struct network *spec, network_reply *reply, struct error *e)
{
	struct object *o = object_new(OBJECT_NETWORK);

	if (!o) {
		network_done(spec);
		return error_errno(e, ENOMEM, "taking in a network");
	}
	o->network = *spec;
	fields_init(&network_type, spec);
	int err = network_state_new(m, o, e);
	if (err == 0 && object_insert(m, o) < 0)
		err = error_errno(e, ENOMEM, "taking in network \"%s\"", o->network.name);
	if (err == 0) {
		announce(m, CHANGE_CREATED, o);
		err = create_start(m, r, o, false, reply, e);
		if (err < 0)
			object_remove(m, o);
	}
	if (err < 0)
		object_free(o);
	return err;
}

/* ---- again ---- */

static void
forget_slots(struct manager *m, struct network_state *n)
{
	for (unsigned i = 0; i < n->n_routers; i++)
		for (unsigned k = 0; k < SHARD_SLOTS; k++) {
			struct slot_object *s = n->routers[i]->slots[k];
			if (s && !s->busy && slot_state(m, s) == RECORD_LEASED)
				lease_end(m, s, "its network is lost");
			else if (s && !s->busy && slot_state(m, s) == RECORD_READY)
				slot_drain(m, s);
			if (s)
				s->gone = true; /* its end went with the router */
		}
}

void
network_lost(struct manager *m, struct object *o, const char *why)
{
	object_set_state(o, STATE_LOST);
	object_set_message(o, "%s", why);
	log_object(LOG_WARNING, MESSAGE_NETWORK_LOST, o, "is lost", why);
	announce(m, CHANGE_DRIFT, o);
	forget_slots(m, o->net);
	o->remake = m->policy.remake_lost;
}

int
network_remake(struct manager *m, struct request *r, struct object *o, network_reply *reply, struct error *e)
{
	for (unsigned i = 0; i < o->net->n_routers; i++)
		router_detach(m, o->net->routers[i]);
	o->remake = false;
	return create_start(m, r, o, true, reply, e);
}

/* ---- change ---- */

static int
set_mtu(struct rtnl *r, const char *interface, unsigned mtu, struct error *e)
{
	struct link_info info;
	int err = link_get(r, 0, interface, &info, e);

	if (err < 0)
		return err;
	link_put_mtu(r, info.ifindex, mtu, interface);
	return rtnl_send(r, e);
}

/* Both ends of every uplink; a shard's outer end is in the root. */
static int
change_mtu(const struct network_job *j, struct kernel *k, const struct network *spec, struct error *e)
{
	CLEANUP(rtnl_closep) struct rtnl *root = NULL;
	int err = j->n_fds ? router_rtnl(k, j->fds[0], &root, e) : 0;

	for (unsigned i = 0; i < j->n_fds && err == 0; i++) {
		CLEANUP(rtnl_closep) struct rtnl *inside = NULL;
		char outside[INTERFACE_MAX_LENGTH + 1];
		snprintf(outside, sizeof(outside), SHARD_INTERFACE "%u", i % 1000);
		err = i == 0 ? set_mtu(kernel_rtnl(k), spec->uplink, (unsigned)spec->mtu, e) :
			       set_mtu(root, outside, (unsigned)spec->mtu, e);
		if (err == 0)
			err = router_rtnl(k, j->fds[i], &inside, e);
		if (err == 0)
			err = set_mtu(inside, UPLINK, (unsigned)spec->mtu, e);
	}
	return err;
}

static int
restore_uplink(struct network_job *j, struct kernel *k, struct error *e)
{
	struct netns root = { .fd = j->fds[0] };
	int err = router_restore(k, NULL, &root, &j->plan, j->missing, sizeof(j->missing), e);

	rtnl_close(root.rtnl);
	return err;
}

static int
apply(struct network_job *j, struct kernel *k, const struct network *spec, struct error *e)
{
	int err = j->restore ? restore_uplink(j, k, e) : 0;

	if (err == 0 && j->mtu_differs)
		err = change_mtu(j, k, spec, e);
	for (unsigned i = 0; i < j->n_fds && err == 0 && j->rules_differ; i++)
		err = rules_load_router(&j->input, k, spec, j->capacity, i, j->fds[i], e);
	return err;
}

static int
change_run(struct rules_job *job, struct kernel *k, struct error *e)
{
	struct network_job *j = (struct network_job *)job;
	int err = commit_network(j, &j->spec, STATE_READY, j->rules_differ || j->mtu_differs, true, e);

	if (err < 0)
		return err;
	err = rules_input_look(&j->input, k, e);
	if (err == 0)
		err = apply(j, k, &j->spec, e);
	if (err == 0 && j->rules_differ)
		err = rules_load_host(&j->input, k, e);
	if (err == 0 && (j->rules_differ || j->mtu_differs))
		err = commit_network(j, &j->spec, STATE_READY, false, false, e);
	if (err < 0) { /* back to what it was; the host's table is loaded anew by a refresh */
		apply(j, k, &j->object->network, NULL);
		commit_network(j, NULL, STATE_READY, false, true, NULL);
	}
	return err;
}

static int
change_prepare(struct rules_job *job, struct error *e)
{
	struct network_job *j = (struct network_job *)job;
	const struct network_state *n = j->object->net;

	for (unsigned i = 0; i < n->n_routers && i < j->n_fds; i++)
		j->fds[i] = n->routers[i]->fd;
	router_plan_fill(j->object, 0, &j->plan);
	j->plan.forward4 = j->plan.has4 && network_forwards(&j->spec);
	j->plan.forward6 = j->plan.has6 && network_forwards(&j->spec);
	return rules_input_fill(job->op.m, j->object, &j->spec, NULL, &j->input, e);
}

/* Ready slots that are not as new ones will be. */
static void
replace_ready(struct manager *m, struct network_state *n)
{
	struct slot_object *s;

	while ((s = TAILQ_FIRST(&n->ready)) || (s = TAILQ_FIRST(&n->stock)))
		slot_drain(m, s);
}

static void
tell_missing(const struct network_job *j)
{
	if (j->missing[0])
		log_object(LOG_WARNING, MESSAGE_DRIFT, j->object, "was changed by somebody else, which was put right",
			   j->missing);
}

static void
change_done(struct rules_job *job)
{
	struct network_job *j = (struct network_job *)job;
	struct manager *m = job->op.m;
	struct object *o = j->object;

	o->busy = false;
	tell_missing(j);
	if (job->op.result == 0) {
		struct network old = o->network;
		o->network = j->spec;
		j->spec = old;
		o->net->pool.network = o->network.name;
		if (j->replace)
			replace_ready(m, o->net);
		announce(m, CHANGE_CHANGED, o);
		if (job->op.request)
			j->reply(job->op.request, o, false);
	} else {
		if (job->op.request)
			request_error(job->op.request, &job->op.error);
		else
			log_warning("network \"%s\" cannot be restored: %s", object_name(o), job->op.error.text);
		rules_refresh(m);
	}
	job_free(j);
	m->retry_parked = true;
	m->slots->attention = true;
}

/* Is a part of the specification another one? By its record. */
static bool
differs(const struct network *a, const struct network *b, void (*keep)(struct network *n))
{
	struct network x = *a, y = *b;
	CLEANUP(free_ptr) char *s = NULL, *t = NULL;

	keep(&x);
	keep(&y);
	return fields_to_text(&network_type, &x, VIEW_RECORD, &s, NULL) < 0 ||
	       fields_to_text(&network_type, &y, VIEW_RECORD, &t, NULL) < 0 || strcmp(s, t) != 0;
}

static void
keep_rules(struct network *n)
{
	*n = (struct network){ .egress = n->egress, .isolated = n->isolated, .services = n->services };
}

static void
keep_making(struct network *n)
{
	*n = (struct network){ .mtu = n->mtu, .sysctls = n->sysctls };
}

static struct network_job *
change_new(struct manager *m, struct request *r, struct object *o, struct network *spec, network_reply *reply,
	   struct error *e)
{
	struct network_job *j = job_new(m, r, o, o->net->n_routers, e);

	if (!j) {
		network_done(spec);
		return NULL;
	}
	j->n_fds = o->net->n_routers;
	j->spec = *spec;
	fields_init(&network_type, spec);
	j->reply = reply;
	j->job.prepare = change_prepare;
	j->job.run = change_run;
	j->job.done = change_done;
	return j;
}

int
network_change(struct manager *m, struct request *r, struct object *o, struct network *spec, network_reply *reply,
	       struct error *e)
{
	struct network_job *j = change_new(m, r, o, spec, reply, e);

	if (!j)
		return -ENOMEM;
	j->rules_differ = differs(&o->network, &j->spec, keep_rules);
	j->mtu_differs = o->network.mtu != j->spec.mtu;
	j->replace = differs(&o->network, &j->spec, keep_making);
	j->restore = network_forwards(&j->spec) && !network_forwards(&o->network);
	o->busy = true;
	rules_submit(m, &j->job);
	return 0;
}

int
network_restore(struct manager *m, struct request *r, struct object *o, network_reply *reply, struct error *e)
{
	struct network spec;
	int err = fields_copy(&network_type, &o->network, &spec, e);

	if (err < 0)
		return err;
	struct network_job *j = change_new(m, r, o, &spec, reply, e);
	if (!j)
		return -ENOMEM;
	j->restore = j->rules_differ = j->mtu_differs = true;
	o->busy = true;
	rules_submit(m, &j->job);
	return 0;
}

static int
look_run(struct rules_job *job, struct kernel *k, struct error *e)
{
	struct network_job *j = (struct network_job *)job;
	int err = restore_uplink(j, k, e);

	return err < 0 ? err : change_mtu(j, k, &j->object->network, e);
}

static int
look_prepare(struct rules_job *job, struct error *e UNUSED)
{
	struct network_job *j = (struct network_job *)job;
	const struct network_state *n = j->object->net;

	for (unsigned i = 0; i < n->n_routers && i < j->n_fds; i++)
		j->fds[i] = n->routers[i]->fd;
	router_plan_fill(j->object, 0, &j->plan);
	return 0;
}

static void
look_done(struct rules_job *job)
{
	struct network_job *j = (struct network_job *)job;

	j->object->busy = false;
	tell_missing(j);
	if (job->op.result < 0)
		log_warning("the uplink of network \"%s\" cannot be looked at: %s", object_name(j->object),
			    job->op.error.text);
	else if (j->missing[0])
		announce(job->op.m, CHANGE_DRIFT, j->object);
	job->op.m->retry_parked = true;
	job_free(j);
}

int
network_look(struct manager *m, struct object *o, struct error *e)
{
	struct network_job *j = job_new(m, NULL, o, o->net->n_routers, e);

	if (!j)
		return -ENOMEM;
	j->n_fds = o->net->n_routers;
	j->job.prepare = look_prepare;
	j->job.run = look_run;
	j->job.done = look_done;
	o->busy = true;
	rules_submit(m, &j->job);
	return 0;
}

/* ---- one router more ---- */

static int
router_run(struct rules_job *job, struct kernel *k, struct error *e)
{
	struct network_job *j = (struct network_job *)job;
	struct netns root = { .fd = j->root_fd };
	int err = make_router(j, k, &root, e);

	if (err < 0)
		undo_router(j, k, &root);
	rtnl_close(root.rtnl);
	return err;
}

/* The number of the next router to be made. */
static unsigned
missing_router(const struct network_state *n)
{
	unsigned i = 1;
	while (i < n->n_routers && n->routers[i]->fd >= 0)
		i++;
	return i;
}

static int
router_prepare(struct rules_job *job, struct error *e)
{
	struct network_job *j = (struct network_job *)job;
	const struct network_state *n = j->object->net;

	if (n->going || j->object->network.state != STATE_READY)
		return error_set(e, ERROR_BUSY, NULL, "the network is being removed");
	j->root_fd = n->routers[0]->fd;
	j->number = missing_router(n);
	router_name(j->object, j->number, j->name);
	router_plan_fill(j->object, j->number, &j->plan);
	return rules_input_fill(job->op.m, NULL, NULL, NULL, &j->input, e);
}

static void
router_done(struct rules_job *job)
{
	struct network_job *j = (struct network_job *)job;
	struct manager *m = job->op.m;
	struct network_state *n = j->object->net;

	n->making_router = false;
	if (job->op.result == 0)
		job->op.result = take_router(j, &job->op.error);
	if (job->op.result < 0) {
		log_warning("network \"%s\" cannot get another router: %s", object_name(j->object), job->op.error.text);
		n->make_again = monotonic_ms() + GRACE_MS;
	}
	job_free(j);
	m->retry_parked = true;
	m->slots->attention = true;
	network_settle(m, n->object);
}

int
network_add_router(struct manager *m, struct network_state *n, struct error *e)
{
	for (unsigned i = 0; i < n->n_routers; i++)
		if (n->routers[i]->fd >= 0 && n->routers[i]->n_free)
			return 0;
	if (n->making_router)
		return 1;
	if (!n->n_routers || n->routers[0]->fd < 0 || missing_router(n) * SHARD_SLOTS > n->capacity)
		return error_set(e, ERROR_LIMIT_EXCEEDED, "network", "every address of network \"%s\" is in use",
				 n->object->network.name);
	if (monotonic_ms() < n->make_again)
		return error_set(e, ERROR_BUSY, "network", "network \"%s\" cannot get another router at the moment",
				 n->object->network.name);
	struct network_job *j = job_new(m, NULL, n->object, 0, e);
	if (!j)
		return -ENOMEM;
	j->job.prepare = router_prepare;
	j->job.run = router_run;
	j->job.done = router_done;
	n->making_router = true;
	rules_submit(m, &j->job);
	return 1;
}
