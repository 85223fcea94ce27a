/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A change carries the whole new specification. The worker commits it marked `changing`, works on the kernel, and commits
 * it without the mark. A crash in between leaves the mark, and the next start brings the kernel to the record. When the
 * kernel refuses, the old specification is restored there and in the record, and the object stays as it was.
 *
 * Repairing is the same without a new specification; a lost object is made again (create.c).
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "object.h"
#include "prepare.h"

struct alteration {
	struct operation op;
	struct namespace ns; /* the new specification, of the object's kind */
	struct link link;
	struct object *reserved[2]; /* hold new interface names in the index of ends */
	uint64_t cookies[2];	    /* of the namespaces the ends are in after the change */
	int ifindexes[2];
	bool repair;
	bool finish;	  /* of what a crash cut off; where that fails, it is made anew */
	bool assign_nsid; /* let the kernel choose one */
	int nsid;	  /* the one it chose, or -1 */
	changed_reply *reply;
};

/* ---- on a worker: namespaces ---- */

static int
set_loopback(struct kernel *k, struct netns *n, const struct namespace *ns, struct error *e)
{
	struct rtnl *r;
	int err = netns_rtnl(k, n, &r, e);
	if (err < 0)
		return err;
	link_put_up(r, 1, ns->loopback == 1, "lo");
	return rtnl_send(r, e);
}

static int
apply_sysctls(struct kernel *k, struct netns *n, const struct pairs *want, const struct pairs *have, struct error *e)
{
	int err = 0;
	for (size_t i = 0; i < want->n && err == 0; i++) {
		const char *old = have ? pairs_get(have, want->v[i].key) : NULL;
		if (!old || strcmp(old, want->v[i].value) != 0)
			err = netns_sysctl_set(k, n, want->v[i].key, want->v[i].value, e);
	}
	return err;
}

/* What the kernel has now for the keys that `want` sets anew, to go back to. */
static void
save_sysctls(struct kernel *k, struct netns *n, const struct pairs *want, struct pairs *ret)
{
	for (size_t i = 0; i < want->n; i++) {
		CLEANUP(free_ptr) char *value = NULL;
		if (netns_sysctl_get(k, n, want->v[i].key, &value, NULL) == 0)
			pairs_set(ret, want->v[i].key, value);
	}
}

static int
set_nsid(struct kernel *k, struct netns *n, struct alteration *a, struct error *e)
{
	const struct namespace *old = &a->op.objects[0]->ns;
	bool given = a->ns.nsid != FIELD_ABSENT_INT && (a->repair || a->ns.nsid != old->nsid);
	int now = -1, err = 0;

	if (given || a->assign_nsid)
		err = netns_nsid(k, n, &now, e);
	if (err == 0 && given && now != (int)a->ns.nsid)
		return netns_set_nsid(k, n, (int)a->ns.nsid, e);
	if (err == 0 && a->assign_nsid && now < 0)
		err = netns_set_nsid(k, n, -1, e);
	return err < 0 || !a->assign_nsid ? err : netns_nsid(k, n, &a->nsid, e);
}

static int
alter_namespace(struct kernel *k, struct alteration *a, struct error *e)
{
	const struct namespace *old = &a->op.objects[0]->ns;
	struct pairs saved = { .n = 0 };
	struct netns n = NETNS_INIT;
	int err = netns_open(k, old->name, &n, e);

	if (err == 0 && n.cookie != (uint64_t)old->cookie)
		err = error_set(e, ERROR_LOST, NULL, "%s is the name of another namespace now", old->name);
	if (err == 0 && (a->repair || a->ns.loopback != old->loopback))
		err = set_loopback(k, &n, &a->ns, e);
	if (err == 0)
		err = set_nsid(k, &n, a, e);
	if (err == 0) {
		save_sysctls(k, &n, &a->ns.sysctls, &saved);
		err = apply_sysctls(k, &n, &a->ns.sysctls, a->repair ? NULL : &saved, e);
		if (err < 0) {
			apply_sysctls(k, &n, &saved, NULL, NULL);
			if (a->ns.loopback != old->loopback)
				set_loopback(k, &n, old, NULL);
			error_prefix_field(e, "sysctls", -1);
		}
	}
	pairs_done(&saved);
	netns_close(&n);
	return err;
}

/* ---- on a worker: links ---- */

static bool
same_place(const struct end *a, const struct end *b)
{
	return !a->namespace == !b->namespace && (!a->namespace || strcmp(a->namespace, b->namespace) == 0);
}

/* Moves an interface. The kernel keeps its name and MAC, drops its addresses and routes, and may give it a new number. */
static int
move_end(struct kernel *k, struct netns *from, struct netns *to, const struct end *old, int *ifindex, struct error *e)
{
	struct rtnl *r = kernel_rtnl(k), *there = kernel_rtnl(k);
	struct link_info info;
	int err = from ? netns_rtnl(k, from, &r, e) : 0;

	if (err == 0 && to)
		err = netns_rtnl(k, to, &there, e);
	if (err < 0)
		return err;
	link_put_netns(r, *ifindex, to ? to->fd : kernel_netns_fd(k), old->interface);
	err = rtnl_send(r, e);
	if (err == 0)
		err = link_get(there, 0, old->interface, &info, e);
	if (err == 0)
		*ifindex = info.ifindex;
	return err;
}

static int
alter_end(struct kernel *k, struct sites *sites, struct alteration *a, unsigned i, struct error *e)
{
	const struct object *o = a->op.objects[0];
	const struct end *old = link_end(o, i), *new = (const struct end *)a->link.ends.v + i;
	struct netns *from = NULL, *to = NULL;
	int err = sites_open(sites, k, old->namespace, (uint64_t)o->link.cookies[i], &from, e);

	if (err == 0)
		err = sites_open(sites, k, new->namespace, a->cookies[i], &to, e);
	if (err == 0 && !same_place(old, new)) {
		err = move_end(k, from, to, old, &a->ifindexes[i], e);
		if (err == 0)
			err = restore_end(k, to, new, a->ifindexes[i], e);
		if (err < 0) /* back, as far as it got */
			move_end(k, to, from, old, &a->ifindexes[i], NULL);
	} else if (err == 0) {
		err = restore_end(k, to, new, a->ifindexes[i], e);
	}
	if (err < 0 && from == to)
		restore_end(k, from, old, (int)old->ifindex, NULL);
	else if (err < 0)
		restore_end(k, from, old, a->ifindexes[i], NULL);
	if (err < 0)
		error_prefix_field(e, "change", -1);
	return err;
}

static bool
end_differs(const struct alteration *a, unsigned i)
{
	char path[96];
	const struct end *new = (const struct end *)a->link.ends.v + i, *old = link_end(a->op.objects[0], i);
	return a->repair || !same_place(new, old) || !fields_match(&end_type, new, old, path, sizeof(path)) ||
	       !fields_match(&end_type, old, new, path, sizeof(path));
}

static int
alter_link(struct kernel *k, struct alteration *a, struct error *e)
{
	struct sites sites = { .n = 0 };
	int err = 0;

	for (unsigned i = 0; i < a->link.ends.n && err == 0; i++)
		if (end_differs(a, i))
			err = alter_end(k, &sites, a, i, e);
	sites_close(&sites);
	return err;
}

/* ---- on a worker: both ---- */

static int
commit_new(struct alteration *a, bool changing, struct error *e)
{
	struct object *o = a->op.objects[0];
	struct record r = { .object = o, .state = STATE_READY, .changing = changing };

	if (o->kind == OBJECT_NAMESPACE) {
		r.ns = &a->ns;
	} else {
		r.link = &a->link;
		memcpy(r.cookies, a->cookies, sizeof(r.cookies));
		memcpy(r.ifindexes, a->ifindexes, sizeof(r.ifindexes));
	}
	return commit(a->op.m, &r, 1, !changing && object_is_persistent(o), e);
}

static void
alteration_run(struct job *j, void *thread)
{
	struct alteration *a = (struct alteration *)j;
	struct object *o = a->op.objects[0];
	struct record back = { .object = o, .state = STATE_READY };
	struct error *e = &a->op.error;
	int err = commit_new(a, true, e);

	if (err == 0) {
		err = o->kind == OBJECT_NAMESPACE ? alter_namespace(thread, a, e) : alter_link(thread, a, e);
		if (err == 0)
			err = commit_new(a, false, e);
		if (err < 0)
			commit(a->op.m, &back, 1, object_is_persistent(o), NULL);
	}
	a->op.result = err;
}

/* ---- on the main thread ---- */

static void
alteration_free(struct manager *m, struct alteration *a)
{
	for (unsigned i = 0; i < ARRAY_SIZE(a->reserved); i++)
		if (a->reserved[i]) {
			index_remove(&m->ends, link_end(a->reserved[i], 0));
			object_free(a->reserved[i]);
		}
	namespace_done(&a->ns);
	link_done(&a->link);
	free(a);
}

/* The new specification becomes the object's, with what nsd knows beside it. */
static void
take_over_link(struct manager *m, struct object *o, struct alteration *a)
{
	struct link old = o->link;
	bool known = object_state(o) == STATE_READY;

	object_remove(m, o);
	o->link = a->link;
	a->link = old;
	if (object_insert(m, o) < 0)
		log_error("link \"%s\" cannot be indexed", o->link.name);
	for (unsigned i = 0; known && i < o->link.ends.n; i++)
		object_set_ifindex(m, o, i, a->cookies[i], a->ifindexes[i]);
}

/* A change was cut off, and the object is not where its record says: what is left of it goes, and it is made again. */
static bool
make_anew(struct manager *m, struct object *o)
{
	struct error e = { 0 };

	object_set_state(o, STATE_LOST);
	object_set_message(o, "a change to it was cut off");
	if (repair_object(m, NULL, o, NULL, &e) == 0)
		return true;
	log_warning("%s \"%s\" cannot be made again: %s", object_word(o), object_name(o), e.text);
	return false;
}

static void
alteration_done(struct operation *op)
{
	struct alteration *a = (struct alteration *)op;
	struct manager *m = op->m;
	struct object *o = op->objects[0];

	if (op->result == 0) {
		for (unsigned i = 0; i < ARRAY_SIZE(a->reserved); i++)
			if (a->reserved[i])
				index_remove(&m->ends, link_end(a->reserved[i], 0));
		if (o->kind == OBJECT_LINK) {
			take_over_link(m, o, a);
		} else {
			struct namespace old = o->ns;
			o->ns = a->ns;
			a->ns = old;
			if (o->ns.nsid != FIELD_ABSENT_INT || a->nsid >= 0)
				object_set_nsid(m, o, a->nsid >= 0 ? a->nsid : (int)o->ns.nsid);
		}
		object_set_message(o, NULL);
		announce(m, CHANGE_CHANGED, o);
		if (o->kind == OBJECT_LINK)
			suspect(m, o);
	}
	if (op->request && op->result < 0)
		request_error(op->request, &op->error);
	else if (op->request)
		a->reply(op->request, o);
	bool interrupted = op->result < 0 && a->finish, finished = a->finish;
	alteration_free(m, a);
	if (interrupted && make_anew(m, o))
		return; /* whose end counts */
	if (finished)
		reconcile_made(m);
}

static struct alteration *
alteration_new(struct manager *m, struct request *r, struct object *o, changed_reply *reply)
{
	struct alteration *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	fields_init(&namespace_type, &a->ns);
	fields_init(&link_type, &a->link);
	a->op = (struct operation){ .m = m, .request = r, .n_objects = 1, .few = { o } };
	a->op.objects = a->op.few;
	a->nsid = -1;
	a->reply = reply;
	for (unsigned i = 0; o->kind == OBJECT_LINK && i < o->link.ends.n; i++) {
		a->cookies[i] = (uint64_t)o->link.cookies[i];
		a->ifindexes[i] = (int)link_end(o, i)->ifindex;
	}
	return a;
}

int
change_namespace(struct manager *m, struct request *r, struct object *o, struct namespace *spec, bool assign_nsid,
		 changed_reply *reply, struct error *e)
{
	struct alteration *a = alteration_new(m, r, o, reply);
	if (!a) {
		namespace_done(spec);
		return error_errno(e, ENOMEM, "changing namespace \"%s\"", o->ns.name);
	}
	a->ns = *spec;
	a->assign_nsid = assign_nsid;
	operation_start(&a->op, alteration_run, alteration_done);
	return 0;
}

/* Keeps a new (namespace, interface) for the time of the change by a link object that is only in the index of ends. */
static int
reserve(struct manager *m, const struct end *end, struct object **ret, struct error *e)
{
	struct object *o = object_new(OBJECT_LINK);
	struct end *copy = o ? calloc(1, sizeof(*copy)) : NULL;

	if (!copy || fields_copy(&end_type, end, copy, NULL) < 0) {
		free(copy);
		object_free(o);
		return error_errno(e, ENOMEM, "changing %s", end->interface);
	}
	o->link.ends = (struct list){ .v = copy, .n = 1, .set = true };
	o->busy = true;
	if (index_add(&m->ends, copy, &o->places[0]) < 0) {
		object_free(o);
		return error_set(e, ERROR_ALREADY_EXISTS, "interface", "an interface %s is there already",
				 end->interface);
	}
	*ret = o;
	return 0;
}

/* Names that change are looked up and kept; namespaces must be ready. */
static int
claim_ends(struct manager *m, const struct peer *peer, struct object *o, struct alteration *a, struct error *e)
{
	int err = 0;

	for (unsigned i = 0; i < a->link.ends.n && err == 0; i++) {
		const struct end *new = (const struct end *)a->link.ends.v + i, *old = link_end(o, i);
		if (same_place(new, old) && strcmp(new->interface, old->interface) == 0)
			continue;
		err = prepare_move(m, peer, &a->link, i, &a->cookies[i], e);
		if (err == 0)
			err = reserve(m, new, &a->reserved[i], e);
	}
	return err;
}

int
change_link(struct manager *m, struct request *r, struct object *o, struct link *spec, changed_reply *reply,
	    struct error *e)
{
	struct alteration *a = alteration_new(m, r, o, reply);
	if (!a) {
		link_done(spec);
		return error_errno(e, ENOMEM, "changing link \"%s\"", o->link.name);
	}
	a->link = *spec;
	int err = claim_ends(m, request_peer(r), o, a, e);
	if (err < 0) {
		error_prefix_field(e, "change", -1);
		alteration_free(m, a);
		return err;
	}
	operation_start(&a->op, alteration_run, alteration_done);
	return 0;
}

/* ---- repairing ---- */

struct remake {
	struct object *v[MAX_LINKS_PER_REQUEST + 1];
	unsigned n;
	bool bridges; /* they come before what may be their ports */
};

static void
collect_lost(struct object *link, void *arg)
{
	struct remake *s = arg;
	if (link->busy || link->link.state == STATE_DRAINING || s->n == ARRAY_SIZE(s->v) ||
	    (link->link.kind == LINK_BRIDGE) != s->bridges)
		return;
	object_set_state(link, STATE_LOST); /* with the namespace, seen or not */
	s->v[s->n++] = link;
}

static int
repair_lost(struct manager *m, struct request *r, struct object *o, changed_reply *reply, struct error *e)
{
	struct remake set = { .v = { o }, .n = 1, .bridges = true };

	if (o->kind == OBJECT_NAMESPACE && o->ns.attached == 1)
		return error_set(e, ERROR_LOST, "name",
				 "namespace \"%s\" was attached from a process: nsd cannot make it again; delete it",
				 o->ns.name);
	if (o->kind == OBJECT_NAMESPACE)
		each_link_in(m, o->ns.name, collect_lost, &set);
	set.bridges = false;
	if (o->kind == OBJECT_NAMESPACE)
		each_link_in(m, o->ns.name, collect_lost, &set);
	return remake_objects(m, r, set.v, set.n, reply, e);
}

/* Brings the kernel to the record of an object that is there. */
static int
restore(struct manager *m, struct request *r, struct object *o, bool finish, changed_reply *reply, struct error *e)
{
	struct alteration *a = alteration_new(m, r, o, reply);
	int err = !a			      ? -ENOMEM :
		  o->kind == OBJECT_NAMESPACE ? fields_copy(&namespace_type, &o->ns, &a->ns, e) :
						fields_copy(&link_type, &o->link, &a->link, e);
	if (err < 0) {
		if (a)
			alteration_free(m, a);
		return error_errno(e, ENOMEM, "repairing %s \"%s\"", object_word(o), object_name(o));
	}
	a->repair = true;
	a->finish = finish;
	operation_start(&a->op, alteration_run, alteration_done);
	return 0;
}

int
repair_object(struct manager *m, struct request *r, struct object *o, changed_reply *reply, struct error *e)
{
	if (object_state(o) == STATE_DRAINING)
		return error_set(e, ERROR_DRAINING, "name", "%s \"%s\" is being removed", object_word(o),
				 object_name(o));
	if (object_state(o) == STATE_LOST)
		return repair_lost(m, r, o, reply, e);
	return restore(m, r, o, false, reply, e);
}

int
finish_change(struct manager *m, struct object *o)
{
	return restore(m, NULL, o, true, NULL, NULL);
}
