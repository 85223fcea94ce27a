/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * Deleting has three parts, each an operation:
 *
 *   1. The records of a namespace and its links are committed as draining. The request is answered then, unless it waits
 *      for the end; whatever happens from here on, nsd goes on with the removal.
 *   2. One removal job at a time works for all that have queued: it takes the names out of /run/netns and drops the
 *      references together, so that the kernel tears many namespaces down in one batch. The veths die with their
 *      namespace, which is far cheaper than deleting them one by one. Three kinds of links are deleted explicitly: those
 *      whose namespaces stay, those between two namespaces (nobody would tell when they are gone), and those of a
 *      namespace that somebody still holds, so that its traffic ends even so.
 *   3. When the kernel has withdrawn the nsid (the last reference is gone) and the interfaces have vanished, the records
 *      are deleted, the names are free, and waiting requests are answered.
 *
 * The kernel tears namespaces down in batches, one after the other, each taking all that have lost their last reference.
 * So a namespace is held by somebody (a process, an open file, a mount) when one that was dropped later has gone, or
 * when nothing has gone for GRACE_MS. It stays listed as draining, with the holder in its message where a process is
 * found.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "object.h"

#define GRACE_MS 1000
#define RESCAN_MS 5000
#define SCAN_MAX 4 /* namespaces in a batch up to which /proc is searched for holders at once */
#define LINK_GROUP_DRAINING (LINK_GROUP + 1)

/* clang-format off */
const struct type removal_reply_type = {
	.size = sizeof(struct removal_reply),
	.fields = (const struct field[]){
		{ .name = "state", .type = FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &state_type,
		  .offset = offsetof(struct removal_reply, state),
		  .doc = "draining: recorded as deleted, the kernel still holds a part of it; absent: it is gone" },
		{ 0 },
	},
};
/* clang-format on */

void
each_link_in(const struct manager *m, const char *namespace, void (*fn)(struct object *link, void *arg), void *arg)
{
	struct end key = { .namespace = (char *)(uintptr_t) namespace, .interface = (char *)(uintptr_t) "" };
	int found;

	for (size_t i = index_position(&m->ends, &key, &found); i < m->ends.n; i++) {
		struct place *s = m->ends.v[i];
		const struct end *end = link_end(s->object, s->end);
		if (!end->namespace || strcmp(end->namespace, namespace) != 0)
			return;
		const struct end *first = link_end(s->object, 0);
		bool again = s->end == 1 && first->namespace && strcmp(first->namespace, namespace) == 0;
		if (!again)
			fn(s->object, arg);
	}
}

struct object_set {
	struct object **v;
	unsigned n, size;
	bool failed;
};

static void
collect(struct object *o, void *arg)
{
	struct object_set *s = arg;

	if (s->n == s->size) {
		unsigned size = s->size ? 2 * s->size : 16;
		struct object **v = reallocarray(s->v, size, sizeof(*v));
		if (!v) {
			s->failed = true;
			return;
		}
		s->v = v;
		s->size = size;
	}
	s->v[s->n++] = o;
}

/* ---- 1: the records ---- */

struct removal_request {
	struct operation op;
	bool wait;
};

static void
waiter_ended(struct request *r UNUSED, void *arg)
{
	struct waiter *w = arg;
	LIST_REMOVE(w, entry);
	free(w);
}

bool
wait_for_end(struct waiter_list *l, struct request *r)
{
	struct waiter *w = calloc(1, sizeof(*w));
	if (!w)
		return false;
	w->request = r;
	LIST_INSERT_HEAD(l, w, entry);
	request_on_end(r, waiter_ended, w);
	return true;
}

void
answer_removal(struct request *r, struct object *o, bool wait)
{
	struct removal_reply reply = { .state = STATE_DRAINING };

	if (!wait || !wait_for_end(&o->waiters, r))
		request_reply(r, &removal_reply_type, &reply);
}

static void
mark_run(struct job *j, void *thread UNUSED)
{
	struct removal_request *q = (struct removal_request *)j;
	CLEANUP(free_ptr) struct record *records = calloc(q->op.n_objects, sizeof(*records));
	bool durable = false;

	for (unsigned i = 0; records && i < q->op.n_objects; i++) {
		records[i] = (struct record){ .object = q->op.objects[i], .state = STATE_DRAINING };
		durable |= object_is_persistent(q->op.objects[i]);
	}
	q->op.result = records ? commit(q->op.m, records, q->op.n_objects, durable, &q->op.error) :
				 error_errno(&q->op.error, ENOMEM, "deleting");
}

static void
mark_done(struct operation *op)
{
	struct removal_request *q = (struct removal_request *)op;
	struct object *o = op->objects[0];

	if (op->result < 0) {
		if (op->request)
			request_error(op->request, &op->error);
	} else {
		for (unsigned i = 0; i < op->n_objects; i++) {
			object_set_state(op->objects[i], STATE_DRAINING);
			announce(op->m, CHANGE_DRAINING, op->objects[i]);
			drain_start(op->m, op->objects[i]);
		}
		if (op->request)
			answer_removal(op->request, o, q->wait);
	}
	free(op->objects);
	free(q);
}

static void
note_busy(struct object *link, void *arg)
{
	struct object **busy = arg;
	if (link->busy)
		*busy = link;
}

int
remove_object(struct manager *m, struct request *r, method_handler *handler, void *in, struct object *o, bool wait,
	      struct error *e)
{
	struct object *busy = NULL;
	struct object_set set = { 0 };

	if (object_state(o) == STATE_DRAINING) {
		answer_removal(r, o, wait);
		return 0;
	}
	if (o->kind == OBJECT_NAMESPACE)
		each_link_in(m, o->ns.name, note_busy, &busy);
	if (busy) {
		struct error reason = { 0 };
		error_set(&reason, ERROR_BUSY, "name", "another request is working on link \"%s\"; try again",
			  busy->link.name);
		return park(m, r, handler, in, &reason);
	}
	collect(o, &set);
	if (o->kind == OBJECT_NAMESPACE)
		each_link_in(m, o->ns.name, collect, &set);
	struct removal_request *q = calloc(1, sizeof(*q));
	if (!q || set.failed) {
		free(q);
		free(set.v);
		return error_errno(e, ENOMEM, "deleting %s \"%s\"", object_word(o), object_name(o));
	}
	q->op = (struct operation){ .m = m, .request = r, .objects = set.v, .n_objects = set.n };
	q->wait = wait;
	operation_start(&q->op, mark_run, mark_done);
	return 0;
}

/* ---- 2: the kernel ---- */

/* One object in a removal job; what the main thread knows goes in, what the worker did comes out. */
struct item {
	struct object *object;
	int nsid;
	int result; /* namespaces: of taking the name away; links: 0 deleted or not there */
	bool held;
	char holder[96];
	struct error error;
};

struct removal {
	struct operation op;
	struct item *items; /* as op.objects */
};

static bool
between_namespaces(const struct object *link)
{
	for (unsigned i = 0; i < link->link.ends.n; i++)
		if (!link_end(link, i)->namespace)
			return false;
	return true;
}

/* Will the link go along with a namespace that is being removed, and will the host be told of it? */
static bool
goes_along(const struct manager *m, const struct object *link)
{
	if (link->remove_now || between_namespaces(link))
		return false;
	for (unsigned i = 0; i < link->link.ends.n; i++) {
		const char *name = link_end(link, i)->namespace;
		const struct object *ns = name ? find_namespace(m, name) : NULL;
		if (ns && ns->ns.state == STATE_DRAINING && ns->ns.attached != 1 && ns->ns.cookie != FIELD_ABSENT_INT &&
		    ns->ns.cookie == link->link.cookies[i])
			return true;
	}
	return false;
}

static int
note_holder(pid_t pid, const char *command, void *arg)
{
	struct item *item = arg;

	item->held = true;
	snprintf(item->holder, sizeof(item->holder), "process %d (%s)", (int)pid, command);
	return -EEXIST; /* one is enough */
}

static int
drop_namespace(struct kernel *k, struct item *item, bool scan)
{
	const struct namespace *ns = &item->object->ns;
	uint64_t cookie = ns->cookie == FIELD_ABSENT_INT ? 0 : (uint64_t)ns->cookie;
	struct netns n = NETNS_INIT;
	enum netns_file file;
	uint64_t there = 0;
	int err = netns_probe(k, ns->name, &file, &there, &item->error);

	if (err == 0 && file == NETNS_PLACEHOLDER)
		return netns_unpin(k, ns->name, 0, &item->error);
	if (err < 0 || file != NETNS_MOUNTED || there != cookie)
		return err;
	if (ns->attached != 1 && netns_open(k, ns->name, &n, NULL) == 0) {
		if (item->nsid < 0 && netns_nsid(k, &n, &item->nsid, NULL) == 0 && item->nsid < 0 &&
		    netns_set_nsid(k, &n, -1, NULL) == 0)
			netns_nsid(k, &n, &item->nsid, NULL);
		if (scan)
			netns_processes(k, &n, note_holder, item, NULL);
		netns_close(&n);
	}
	return netns_unpin(k, ns->name, cookie, &item->error);
}

/* The end through which a link is deleted, as the kernel has it: the host's if there is one. An interface whose number was
 * never recorded (the request was cut off) is known by its name, group and MAC. -ENODEV: nothing of nsd's is there. */
static int
find_interface(struct kernel *k, const struct object *link, struct sites *sites, struct rtnl **r,
	       struct link_info *info)
{
	unsigned i = link->link.ends.n == 2 && link_end(link, 0)->namespace && !link_end(link, 1)->namespace ? 1 : 0;
	const struct end *end = link_end(link, i);
	bool known = end->ifindex != FIELD_ABSENT_INT;
	uint64_t cookie = link->link.cookies[i] == FIELD_ABSENT_INT ? 0 : (uint64_t)link->link.cookies[i];
	struct netns *n = NULL;
	uint8_t mac[6];

	*r = kernel_rtnl(k);
	if (sites_open(sites, k, end->namespace, cookie, &n, NULL) < 0 || (n && netns_rtnl(k, n, r, NULL) < 0))
		return -ENODEV;
	int err = link_get(*r, known ? (int)end->ifindex : 0, known ? NULL : end->interface, info, NULL);
	if (err < 0)
		return err;
	if (info->group != LINK_GROUP && info->group != LINK_GROUP_DRAINING)
		return -ENODEV;
	if (!known && (mac_parse(end->mac, mac, NULL) < 0 || memcmp(mac, info->mac, sizeof(mac)) != 0))
		return -ENODEV;
	return 0;
}

/* Deletes a link of nsd; nothing there is fine. `together`: only put it into the group of those to go together. */
static int
drop_link(struct kernel *k, struct item *item, bool together, bool *collected)
{
	struct sites sites = { .n = 0 };
	struct link_info info;
	struct rtnl *r;
	int err = find_interface(k, item->object, &sites, &r, &info);

	if (err == 0 && together && r == kernel_rtnl(k)) {
		link_put_group(r, info.ifindex, LINK_GROUP_DRAINING, info.name);
		err = rtnl_send(r, &item->error);
		*collected |= err == 0;
	} else if (err == 0) {
		err = link_delete(r, info.ifindex, &item->error);
	}
	sites_close(&sites);
	return err == -ENODEV ? 0 : err;
}

static void
removal_run(struct job *j, void *thread)
{
	struct removal *q = (struct removal *)j;
	unsigned namespaces = 0, links = 0;
	bool collected = false;

	for (unsigned i = 0; i < q->op.n_objects; i++)
		*(q->items[i].object->kind == OBJECT_NAMESPACE ? &namespaces : &links) += 1;
	for (unsigned i = 0; i < q->op.n_objects; i++)
		if (q->items[i].object->kind == OBJECT_LINK)
			q->items[i].result = drop_link(thread, &q->items[i], links > 1, &collected);
	if (collected)
		link_delete_group(kernel_rtnl(thread), LINK_GROUP_DRAINING, &q->op.error);
	for (unsigned i = 0; i < q->op.n_objects; i++)
		if (q->items[i].object->kind == OBJECT_NAMESPACE)
			q->items[i].result = drop_namespace(thread, &q->items[i], namespaces <= SCAN_MAX);
}

static void
mark_removed(struct manager *m, struct object *o)
{
	if (o->removed)
		return;
	o->removed = true;
	TAILQ_REMOVE(&m->drains, o, drain);
	TAILQ_INSERT_TAIL(&m->removed, o, drain);
}

static void
count_link(struct object *link UNUSED, void *arg)
{
	++*(unsigned *)arg;
}

static void
check_namespace_removed(struct manager *m, struct object *o)
{
	unsigned links = 0;

	if (o->busy || o->removed || !o->unpinned || !(o->nsid_gone || o->nsid < 0 || o->ns.attached == 1))
		return;
	each_link_in(m, o->ns.name, count_link, &links);
	if (!links)
		mark_removed(m, o);
}

static void
remove_its_link(struct object *link, void *arg)
{
	struct manager *m = arg;

	if (link->link.state != STATE_DRAINING || link->removed)
		return;
	link->remove_now = true;
	m->drains_new = true;
}

static void
note_dropped(struct manager *m, struct item *item)
{
	struct object *o = item->object;

	if (item->result < 0) {
		object_set_message(o, "cannot be removed yet: %s", item->error.text);
		o->retry_at = monotonic_ms() + GRACE_MS;
		log_warning("%s \"%s\" cannot be removed yet: %s", object_word(o), object_name(o), item->error.text);
		return;
	}
	if (o->kind == OBJECT_LINK) {
		mark_removed(m, o);
		return;
	}
	o->unpinned = true;
	o->drain_since = monotonic_ms();
	if (item->nsid >= 0 && !o->nsid_gone)
		object_set_nsid(m, o, item->nsid);
	for (unsigned i = 0; i < m->gone_nsids_n; i++)
		if (item->nsid >= 0 && m->gone_nsids[i] == item->nsid)
			o->nsid_gone = true;
	if (item->held) {
		object_set_message(o, "held by %s", item->holder);
		announce(m, CHANGE_CHANGED, o);
		each_link_in(m, o->ns.name, remove_its_link, m);
	}
	check_namespace_removed(m, o);
}

static void
removal_done(struct operation *op)
{
	struct removal *q = (struct removal *)op;
	struct manager *m = op->m;

	watch_catch_up(m); /* numbers are used again at once: what is told of the last owner comes first */
	m->unpinning = false;
	for (unsigned i = 0; i < op->n_objects; i++)
		note_dropped(m, &q->items[i]);
	free(q->items);
	free(op->objects);
	free(q);
	drain_settle(m);
}

/* Is there work for a removal job in it now? */
static bool
to_be_dropped(const struct manager *m, const struct object *o, int64_t now)
{
	if (o->busy || o->removed || object_state(o) != STATE_DRAINING || now < o->retry_at)
		return false;
	return o->kind == OBJECT_NAMESPACE ? !o->unpinned : !goes_along(m, o);
}

static void
removal_start(struct manager *m)
{
	struct object_set set = { 0 };
	struct object *o;
	int64_t now = monotonic_ms();

	m->drains_new = false;
	TAILQ_FOREACH (o, &m->drains, drain)
		if (to_be_dropped(m, o, now))
			collect(o, &set);
	struct removal *q = set.n ? calloc(1, sizeof(*q)) : NULL;
	struct item *items = q ? calloc(set.n, sizeof(*items)) : NULL;
	if (!items) {
		free(q);
		free(set.v);
		return;
	}
	for (unsigned i = 0; i < set.n; i++)
		items[i] = (struct item){ .object = set.v[i], .nsid = set.v[i]->nsid };
	q->op = (struct operation){ .m = m, .objects = set.v, .n_objects = set.n };
	q->items = items;
	m->unpinning = true;
	m->gone_nsids_n = 0;
	operation_start(&q->op, removal_run, removal_done);
}

void
drain_start(struct manager *m, struct object *o)
{
	o->drain_since = monotonic_ms();
	o->draining = true;
	TAILQ_INSERT_TAIL(&m->drains, o, drain);
	m->drains_new = true;
}

void
object_drop(struct manager *m, struct object *o, bool recorded)
{
	if (recorded) {
		object_set_state(o, STATE_DRAINING);
		object_set_message(o, "could not be made; its record goes when the disk is well again");
		announce(m, CHANGE_DRAINING, o);
		drain_start(m, o);
		return;
	}
	announce(m, CHANGE_GONE, o);
	object_remove(m, o);
	object_free(o);
}

/* ---- 3: the end ---- */

void
drain_nsid_gone(struct manager *m, int nsid)
{
	struct object *o = find_nsid(m, nsid);

	m->last_nsid_gone = monotonic_ms();
	if (!o) {
		if (m->unpinning && m->gone_nsids_n < ARRAY_SIZE(m->gone_nsids))
			m->gone_nsids[m->gone_nsids_n++] = nsid;
		return;
	}
	object_set_nsid(m, o, -1);
	if (o->ns.state != STATE_DRAINING) {
		suspect(m, o);
		return;
	}
	o->nsid_gone = true;
	if (o->unpinned && o->drain_since > m->newest_gone)
		m->newest_gone = o->drain_since;
	check_namespace_removed(m, o);
}

void
drain_link_gone(struct manager *m, struct object *o)
{
	if (o->draining && !o->busy) /* during the start-up it may be recorded as draining, but not be taken up yet */
		mark_removed(m, o);
}

static void
finish_run(struct job *j, void *thread UNUSED)
{
	struct operation *op = (struct operation *)j;
	CLEANUP(free_ptr) struct record *records = calloc(op->n_objects, sizeof(*records));

	for (unsigned i = 0; records && i < op->n_objects; i++)
		records[i] = (struct record){ .object = op->objects[i], .state = -1 };
	op->result = records ? commit(op->m, records, op->n_objects, false, &op->error) :
			       error_errno(&op->error, ENOMEM, "deleting records");
}

static void
forget(struct manager *m, struct object *o)
{
	struct removal_reply gone = { .state = FIELD_ABSENT_ENUM };
	struct waiter *w;

	announce(m, CHANGE_GONE, o);
	while ((w = LIST_FIRST(&o->waiters)))
		request_reply(w->request, &removal_reply_type, &gone); /* its end callback takes it off the list */
	object_remove(m, o);
	for (unsigned i = 0; o->kind == OBJECT_LINK && i < o->link.ends.n; i++) {
		const char *name = link_end(o, i)->namespace;
		struct object *ns = name ? find_namespace(m, name) : NULL;
		if (ns && ns->ns.state == STATE_DRAINING)
			check_namespace_removed(m, ns);
	}
	object_free(o);
}

static void
finish_done(struct operation *op)
{
	struct manager *m = op->m;

	for (unsigned i = 0; i < op->n_objects; i++) {
		struct object *o = op->objects[i];
		if (op->result == 0)
			forget(m, o);
		else
			TAILQ_INSERT_TAIL(&m->removed, o, drain);
	}
	if (op->result < 0) {
		m->finish_failed = true; /* again at the next tick */
		log_debug("cannot delete %u records: %s", op->n_objects, op->error.text);
	}
	free(op->objects);
	free(op);
	m->retry_parked = true;
}

/* Deletes the records of all that the kernel is done with, in one commit. */
static void
finish_start(struct manager *m)
{
	struct object_set set = { 0 };
	struct object *o, *next;

	for (o = TAILQ_FIRST(&m->removed); o; o = next) {
		next = TAILQ_NEXT(o, drain);
		if (o->busy)
			continue;
		collect(o, &set);
		if (set.failed)
			break;
		TAILQ_REMOVE(&m->removed, o, drain);
	}
	struct operation *op = set.n ? calloc(1, sizeof(*op)) : NULL;
	if (!op) {
		for (unsigned i = 0; i < set.n; i++)
			TAILQ_INSERT_TAIL(&m->removed, set.v[i], drain);
		free(set.v);
		return;
	}
	*op = (struct operation){ .m = m, .objects = set.v, .n_objects = set.n };
	operation_start(op, finish_run, finish_done);
}

void
drain_settle(struct manager *m)
{
	if (m->drains_new && !m->unpinning && m->reconciled)
		removal_start(m);
	if (!TAILQ_EMPTY(&m->removed) && !m->finish_failed)
		finish_start(m);
}

static void
note_held(struct manager *m, struct object *ns)
{
	if (ns->ns.message || !ns->unpinned || ns->nsid_gone || ns->busy)
		return;
	object_set_message(ns, "something still holds it: a process, an open file or socket, or a mount");
	announce(m, CHANGE_CHANGED, ns);
}

/* Held: its links go now, and the message says so. */
static void
overdue(struct manager *m, struct object *o, int64_t now)
{
	if (o->kind == OBJECT_NAMESPACE && o->unpinned && !o->nsid_gone) {
		numbers_ask(m);
		note_held(m, o);
		each_link_in(m, o->ns.name, remove_its_link, m);
	} else if (o->kind == OBJECT_LINK) {
		for (unsigned i = 0; i < o->link.ends.n; i++) {
			const char *name = link_end(o, i)->namespace;
			struct object *ns = name ? find_namespace(m, name) : NULL;
			if (ns && ns->ns.state == STATE_DRAINING)
				note_held(m, ns);
		}
		remove_its_link(o, m);
	} else {
		m->drains_new = true;
	}
	o->overdue_at = now + RESCAN_MS;
}

void
drain_tick(struct manager *m)
{
	struct object *o, *next;
	int64_t now = monotonic_ms();

	bool quiet = now - m->last_nsid_gone > GRACE_MS;
	for (o = TAILQ_FIRST(&m->drains); o; o = next) {
		next = TAILQ_NEXT(o, drain);
		if (o->kind == OBJECT_NAMESPACE)
			check_namespace_removed(m, o);
		if (!o->removed && !o->busy && now - o->drain_since > GRACE_MS && now >= o->overdue_at &&
		    (quiet || m->newest_gone > o->drain_since))
			overdue(m, o, now);
	}
	m->finish_failed = false;
	drain_settle(m);
}
