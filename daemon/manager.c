/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The manager: objects and their indexes, look-up with permission, requests that wait, operations on workers. The theory
 * of operation is in object.h. */
#include "config.h"

#include "object.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "message-ids.h"
#include "slots.h"

#define PARK_MS 5000

int64_t
monotonic_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* ---- keys of the indexes ---- */

static int
compare_name(const void *key, const void *item)
{
	return strcmp(key, object_name(item));
}

static int
compare_end(const void *key, const void *item)
{
	const struct end *a = key;
	const struct place *s = item;
	const struct end *b = link_end(s->object, s->end);
	int c = strcmp(a->namespace ? a->namespace : "", b->namespace ? b->namespace : "");
	return c ? c : strcmp(a->interface, b->interface);
}

static int
compare_ifindex(const void *key, const void *item)
{
	const struct place *a = key, *b = item;
	return a->cookie != b->cookie ? (a->cookie < b->cookie ? -1 : 1) :
					(a->ifindex > b->ifindex) - (a->ifindex < b->ifindex);
}

static int
compare_nsid(const void *key, const void *item)
{
	const struct object *o = item;
	int nsid = *(const int *)key;
	return (nsid > o->nsid) - (nsid < o->nsid);
}

static int
compare_host_link(const void *key, const void *item)
{
	const struct host_link *h = item;
	int ifindex = *(const int *)key;
	return (ifindex > h->info.ifindex) - (ifindex < h->info.ifindex);
}

static int
compare_host_name(const void *key, const void *item)
{
	return strcmp(key, ((const struct host_link *)item)->info.name);
}

static int
compare_address(const void *key, const void *item)
{
	return (key > item) - (key < item);
}

/* ---- objects ---- */

#define KIND(member, tag, ...)                                                                                    \
	{                                                                                                         \
		.type = &tag##_type, .value = offsetof(struct object, member),                                    \
		.name = offsetof(struct object, member.name), .state = offsetof(struct object, member.state),     \
		.owner = offsetof(struct object, member.owner),                                                   \
		.generation = offsetof(struct object, member.generation),                                         \
		.message = offsetof(struct object, member.message), .boot = offsetof(struct object, member.boot), \
		.changing = offsetof(struct object, member.changing), __VA_ARGS__                                 \
	}

const struct object_kind_ops object_kinds[] = {
	[OBJECT_NAMESPACE] = KIND(ns, namespace, .word = "namespace", .list = "nsc list", .repair = "nsc repair"),
	[OBJECT_LINK] = KIND(link, link, .word = "link", .list = "nsc link list", .repair = "nsc link repair"),
	[OBJECT_NETWORK] =
		KIND(network, network, .word = "network", .list = "nsc network list", .repair = "nsc network repair"),
};

struct object *
object_new(enum object_kind kind)
{
	struct object *o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->kind = kind;
	o->nsid = o->pidfd = -1;
	LIST_INIT(&o->waiters);
	fields_init(object_kinds[kind].type, object_at(o, object_kinds[kind].value));
	for (unsigned i = 0; i < 2; i++)
		o->places[i] = (struct place){ .object = o, .end = i };
	return o;
}

void
object_free(struct object *o)
{
	if (!o)
		return;
	fields_done(object_kinds[o->kind].type, object_at(o, object_kinds[o->kind].value));
	network_state_free(o->net);
	if (o->pidfd >= 0)
		close(o->pidfd);
	free(o);
}

bool
object_is_persistent(const struct object *o)
{
	switch (o->kind) {
	case OBJECT_NAMESPACE:
		return o->ns.lifetime == LIFETIME_PERSISTENT;
	case OBJECT_LINK:
		return o->link.lifetime == LIFETIME_PERSISTENT;
	default:
		return true;
	}
}

void
object_set_state(struct object *o, int state)
{
	*(int *)object_at(o, object_kinds[o->kind].state) = state;
}

void
object_set_message(struct object *o, const char *fmt, ...)
{
	char **message = object_at(o, object_kinds[o->kind].message);
	char *text = NULL;

	if (fmt) {
		va_list ap;
		va_start(ap, fmt);
		if (vasprintf(&text, fmt, ap) < 0)
			text = NULL;
		va_end(ap);
	}
	free(*message);
	*message = text;
}

static struct index *
index_of(struct manager *m, const struct object *o)
{
	return o->kind == OBJECT_NAMESPACE ? &m->namespaces : o->kind == OBJECT_LINK ? &m->links : &m->networks;
}

int
object_insert(struct manager *m, struct object *o)
{
	int r = index_add(index_of(m, o), object_name(o), o);
	if (r < 0 || o->kind != OBJECT_LINK)
		return r;
	for (unsigned i = 0; i < o->link.ends.n && r == 0; i++)
		r = index_add(&m->ends, link_end(o, i), &o->places[i]);
	if (r < 0)
		object_remove(m, o);
	return r;
}

void
object_set_nsid(struct manager *m, struct object *o, int nsid)
{
	if (o->nsid == nsid)
		return;
	if (o->nsid >= 0)
		index_remove(&m->nsids, &o->nsid);
	o->nsid = -1;
	if (nsid < 0)
		return;
	struct object *other = index_remove(&m->nsids, &nsid);
	if (other) { /* the kernel has given its number away: it is gone */
		other->nsid = -1;
		other->nsid_gone |= other->ns.state == STATE_DRAINING;
	}
	o->nsid = nsid;
	if (index_add(&m->nsids, &nsid, o) < 0)
		o->nsid = -1;
}

void
object_set_ifindex(struct manager *m, struct object *o, unsigned end, uint64_t cookie, int ifindex)
{
	struct place *s = &o->places[end];

	if (s->cookie && index_find(&m->ifindexes, s) == s)
		index_remove(&m->ifindexes, s);
	s->cookie = cookie;
	s->ifindex = ifindex;
	o->link.cookies[end] = cookie ? (int64_t)cookie : FIELD_ABSENT_INT;
	link_end(o, end)->ifindex = cookie ? ifindex : FIELD_ABSENT_INT;
	if (!cookie)
		return;
	struct place *other = index_remove(&m->ifindexes, s);
	if (other)
		other->cookie = 0;
	if (index_add(&m->ifindexes, s, s) < 0)
		s->cookie = 0;
}

void
object_remove(struct manager *m, struct object *o)
{
	struct index *x = index_of(m, o);

	if (index_find(x, object_name(o)) == o)
		index_remove(x, object_name(o));
	index_remove(&m->suspects, o);
	object_set_nsid(m, o, -1);
	if (o->kind != OBJECT_LINK)
		return;
	for (unsigned i = 0; i < o->link.ends.n; i++) {
		if (index_find(&m->ends, link_end(o, i)) == &o->places[i])
			index_remove(&m->ends, link_end(o, i));
		object_set_ifindex(m, o, i, 0, 0);
	}
}

struct object *
find_namespace(const struct manager *m, const char *name)
{
	return index_find(&m->namespaces, name);
}

struct object *
find_link(const struct manager *m, const char *name)
{
	return index_find(&m->links, name);
}

struct object *
find_network(const struct manager *m, const char *name)
{
	return index_find(&m->networks, name);
}

struct place *
find_end(const struct manager *m, const char *namespace, const char *interface)
{
	struct end key = { .namespace = (char *)(uintptr_t) namespace, .interface = (char *)(uintptr_t)interface };
	return index_find(&m->ends, &key);
}

struct place *
find_ifindex(const struct manager *m, uint64_t cookie, int ifindex)
{
	struct place key = { .cookie = cookie, .ifindex = ifindex };
	return index_find(&m->ifindexes, &key);
}

struct object *
find_nsid(const struct manager *m, int nsid)
{
	return index_find(&m->nsids, &nsid);
}

struct host_link *
find_host_link(const struct manager *m, const char *name)
{
	return index_find(&m->host_names, name);
}

/* ---- permission and look-up ---- */

bool
peer_is_root(const struct peer *p)
{
	return p->uid == 0 || p->uid == geteuid();
}

bool
peer_sees(const struct peer *p, const struct object *o)
{
	return peer_is_root(p) || o->kind == OBJECT_NETWORK || object_owner(o) == (int64_t)p->uid;
}

static bool
is_foreign(const struct object *o)
{
	return o->kind == OBJECT_NAMESPACE && o->ns.foreign == 1;
}

int
look_up(struct manager *m, struct request *r, enum object_kind kind, const char *name, int64_t generation,
	struct object **ret, struct error *e)
{
	struct object *o = kind == OBJECT_NAMESPACE ? find_namespace(m, name) :
			   kind == OBJECT_LINK	    ? find_link(m, name) :
						      find_network(m, name);

	if (!o || !peer_sees(request_peer(r), o))
		return error_set(e, ERROR_NOT_FOUND, "name", "no %s \"%s\"; \"%s\" shows what there is",
				 object_kinds[kind].word, name, object_kinds[kind].list);
	if (generation != FIELD_ABSENT_INT && generation != object_generation(o))
		return error_set(e, ERROR_STALE_GENERATION, "generation",
				 "%s \"%s\" is of generation %lld now, not %lld: it is another one", object_word(o),
				 name, (long long)object_generation(o), (long long)generation);
	*ret = o;
	return 0;
}

int
look_up_idle(struct manager *m, struct request *r, method_handler *handler, void *in, enum object_kind kind,
	     const char *name, int64_t generation, struct object **ret, struct error *e)
{
	struct object *o = NULL;
	struct error reason = { 0 };
	int err = may_change(m, r, handler, in, e);

	if (err == 0)
		err = look_up(m, r, kind, name, generation, &o, e);
	if (err != 0)
		return err;
	if (is_foreign(o))
		return error_set(e, ERROR_FOREIGN, "name",
				 "namespace \"%s\" was not made by nsd, so nsd leaves it alone", name);
	if (o->busy) {
		error_set(&reason, ERROR_BUSY, "name", "another request is working on %s \"%s\"; try again",
			  object_word(o), name);
		return park(m, r, handler, in, &reason);
	}
	*ret = o;
	return 0;
}

int
may_change(struct manager *m, struct request *r, method_handler *handler, void *in, struct error *e)
{
	struct error reason = { 0 };

	if (m->stopping)
		return error_set(e, ERROR_SHUTTING_DOWN, NULL, "nsd is stopping; try again when it runs");
	if (m->reconciled)
		return 0;
	error_set(&reason, ERROR_BUSY, NULL, "nsd is still comparing its records with the kernel; try again");
	return park(m, r, handler, in, &reason);
}

/* ---- waiting ---- */

static void
parked_ended(struct request *r UNUSED, void *arg)
{
	struct parked *p = arg;
	p->request = NULL; /* freed by settle: it may be walking the list */
}

int
park(struct manager *m, struct request *r, method_handler *handler, void *in, const struct error *reason)
{
	struct parked *p = calloc(1, sizeof(*p));
	if (!p) {
		request_error(r, reason);
		return 1;
	}
	*p = (struct parked){ .request = r, .handler = handler, .in = in, .reason = *reason };
	p->deadline = monotonic_ms() + PARK_MS;
	request_on_end(r, parked_ended, p);
	TAILQ_INSERT_TAIL(&m->parked, p, entry);
	return 1;
}

/* Calls the handler again, as the dispatcher did. It may park the request once more: the deadline stays the first. */
static void
retry(struct manager *m, struct parked *p)
{
	struct error e = { 0 };
	struct request *r = p->request;
	struct parked *last = TAILQ_LAST(&m->parked, parked_list);

	request_on_end(r, NULL, NULL);
	int err = p->handler(m, r, p->in, &e);
	if (err < 0)
		request_error(r, &e);
	struct parked *again = TAILQ_LAST(&m->parked, parked_list);
	if (again != last)
		again->deadline = p->deadline;
}

void
manager_settle(struct manager *m)
{
	drain_settle(m);
	suspects_check(m);
	slots_settle(m);
	if (!m->retry_parked)
		return;
	m->retry_parked = false;

	struct parked_list old = TAILQ_HEAD_INITIALIZER(old);
	struct parked *p;
	TAILQ_CONCAT(&old, &m->parked, entry);
	while ((p = TAILQ_FIRST(&old))) {
		TAILQ_REMOVE(&old, p, entry);
		if (p->request)
			retry(m, p);
		free(p);
	}
}

static void
parked_tick(struct manager *m)
{
	struct parked *p, *next;
	int64_t now = monotonic_ms();

	for (p = TAILQ_FIRST(&m->parked); p; p = next) {
		next = TAILQ_NEXT(p, entry);
		if (p->request && now < p->deadline)
			continue;
		TAILQ_REMOVE(&m->parked, p, entry);
		if (p->request) {
			request_on_end(p->request, NULL, NULL);
			request_error(p->request, &p->reason);
		}
		free(p);
	}
}

/* ---- operations ---- */

static void
operation_back(struct job *j)
{
	struct operation *op = (struct operation *)j;

	for (unsigned i = 0; i < op->n_objects; i++)
		op->objects[i]->busy = false;
	op->m->retry_parked = true;
	op->finish(op);
}

void
operation_start(struct operation *op, void (*run)(struct job *j, void *thread), void (*done)(struct operation *op))
{
	for (unsigned i = 0; i < op->n_objects; i++)
		op->objects[i]->busy = true;
	op->job.run = run;
	op->job.done = operation_back;
	op->finish = done;
	workers_submit(op->pool ? op->pool : op->m->workers, &op->job);
}

/* The record of an object as it will be, without touching the object: the main thread may be reading it. */
static int
record_text(struct manager *m, const struct record *r, char **ret, struct error *e)
{
	if (r->object->kind == OBJECT_NAMESPACE) {
		struct namespace ns = r->ns ? *r->ns : r->object->ns;
		ns.state = r->state;
		ns.changing = r->changing;
		ns.unconfirmed = r->unconfirmed;
		ns.boot = m->boot;
		if (r->cookie)
			ns.cookie = (int64_t)r->cookie;
		return fields_to_text(&namespace_type, &ns, VIEW_RECORD, ret, e);
	}
	if (r->object->kind == OBJECT_NETWORK) {
		struct network network = r->network ? *r->network : r->object->network;
		network.state = r->state;
		network.changing = r->changing;
		network.boot = m->boot;
		return fields_to_text(&network_type, &network, VIEW_RECORD, ret, e);
	}
	struct link link = r->link ? *r->link : r->object->link;
	link.changing = r->changing;
	struct end ends[2];
	memcpy(ends, link.ends.v, link.ends.n * sizeof(*ends));
	link.ends.v = ends;
	link.state = r->state;
	link.boot = m->boot;
	for (unsigned i = 0; i < link.ends.n; i++)
		if (r->cookies[i]) {
			link.cookies[i] = (int64_t)r->cookies[i];
			ends[i].ifindex = r->ifindexes[i];
		}
	return fields_to_text(&link_type, &link, VIEW_RECORD, ret, e);
}

int
commit(struct manager *m, const struct record *records, unsigned n, bool durable, struct error *e)
{
	CLEANUP(free_ptr) struct store_op *ops = calloc(n, sizeof(*ops));
	int err = ops ? 0 : error_errno(e, ENOMEM, "writing records");

	for (unsigned i = 0; i < n && err == 0; i++) {
		const struct object *o = records[i].object;
		ops[i] = (struct store_op){ .type = records[i].state < 0 ? STORE_DELETE : STORE_PUT,
					    .kind = object_word(o),
					    .name = object_name(o),
					    .generation = object_generation(o) };
		char *text = NULL;
		if (records[i].state >= 0)
			err = record_text(m, &records[i], &text, e);
		ops[i].record = text;
	}
	if (err == 0)
		err = store_apply(m->store, ops, n, durable, e);
	for (unsigned i = 0; ops && i < n; i++)
		free((char *)(uintptr_t)ops[i].record);
	return err;
}

/* ---- a store that does not write ---- */

static void
retry_store_run(struct job *j, void *thread UNUSED)
{
	struct operation *op = (struct operation *)j;
	op->result = store_retry(op->m->store, &op->error);
}

static void
retry_store_done(struct operation *op)
{
	if (op->result == 0)
		log_event(LOG_NOTICE, MESSAGE_STORE_WRITABLE, NULL, "the state can be written again");
	op->m->retrying_store = false;
	free(op);
}

/* Once a second while the store refuses changes. */
static void
store_tick(struct manager *m)
{
	int64_t now = monotonic_ms();

	if (store_is_writable(m->store)) {
		m->store_failed = false;
		return;
	}
	if (!m->store_failed)
		log_event(LOG_ERR, MESSAGE_STORE_UNWRITABLE, NULL,
			  "the state in %s cannot be written: changes are refused", m->state_directory);
	m->store_failed = true;
	if (m->retrying_store || now - m->last_store_retry < 1000)
		return;
	struct operation *op = calloc(1, sizeof(*op));
	if (!op)
		return;
	op->m = m;
	m->last_store_retry = now;
	m->retrying_store = true;
	operation_start(op, retry_store_run, retry_store_done);
}

/* ---- the manager ---- */

void
manager_set_policy(struct manager *m, const struct manager_policy *p)
{
	m->policy = *p;
}

int
manager_new(const struct manager_options *o, struct manager **ret, struct error *e)
{
	struct manager *m = calloc(1, sizeof(*m));
	if (!m)
		return error_errno(e, ENOMEM, "starting the manager");
	m->workers = o->workers;
	m->store = o->store;
	m->site = o->site;
	m->policy = o->policy;
	m->watch_fd = -1;
	snprintf(m->boot, sizeof(m->boot), "%s", o->boot);
	m->namespaces.compare = m->links.compare = m->networks.compare = compare_name;
	m->ends.compare = compare_end;
	m->ifindexes.compare = compare_ifindex;
	m->nsids.compare = compare_nsid;
	m->host_links.compare = compare_host_link;
	m->host_names.compare = compare_host_name;
	m->suspects.compare = compare_address;
	TAILQ_INIT(&m->drains);
	TAILQ_INIT(&m->removed);
	TAILQ_INIT(&m->parked);
	LIST_INIT(&m->subscribers);
	m->started = time(NULL);
	m->state_directory = strdup(o->state_directory);

	int err = m->state_directory ? watch_open(m, e) : error_errno(e, ENOMEM, "starting the manager");
	if (err == 0)
		err = slots_new(m, o->runtime_directory, e);
	if (err == 0)
		err = reconcile_load(m, e);
	if (err == 0)
		err = slots_load(m, e);
	if (err < 0) {
		manager_free(m);
		return err;
	}
	*ret = m;
	return 0;
}

void
manager_start(struct manager *m)
{
	reconcile_start(m);
}

void
manager_stop(struct manager *m)
{
	m->stopping = true;
	m->retry_parked = true; /* they learn of it */
	subscribers_drop(m);
}

static void
free_objects(struct index *x)
{
	for (size_t i = 0; i < x->n; i++)
		object_free(x->v[i]);
	index_done(x);
}

void
manager_free(struct manager *m)
{
	if (!m)
		return;
	subscribers_drop(m);
	struct parked *p;
	while ((p = TAILQ_FIRST(&m->parked))) {
		TAILQ_REMOVE(&m->parked, p, entry);
		if (p->request)
			request_on_end(p->request, NULL, NULL);
		free(p);
	}
	watch_close(m);
	index_done(&m->suspects);
	index_done(&m->ends);
	index_done(&m->ifindexes);
	index_done(&m->nsids);
	slots_stop(m);
	slots_free(m);
	free_objects(&m->networks);
	free_objects(&m->links);
	free_objects(&m->namespaces);
	for (size_t i = 0; i < m->host_links.n; i++)
		free(m->host_links.v[i]);
	index_done(&m->host_links);
	index_done(&m->host_names);
	strings_done(&m->pending_names);
	free(m->state_directory);
	free(m);
}

void
manager_tick(struct manager *m)
{
	if (m->stopping)
		return;
	if (m->retry_start)
		reconcile_start(m);
	if (m->retry_audit)
		slots_audit_start(m);
	store_tick(m);
	confirm_tick(m);
	parked_tick(m);
	drain_tick(m);
	attached_tick(m);
	watch_tick(m);
	suspects_check(m);
	slots_tick(m);
}

struct manager_stats
manager_stats(const struct manager *m)
{
	struct manager_stats s = { .sequence = m->sequence,
				   .reconciled = m->reconciled,
				   .writable = store_is_writable(m->store) };

	for (size_t i = 0; i < m->namespaces.n; i++) {
		const struct object *o = m->namespaces.v[i];
		s.foreign += o->ns.foreign == 1;
		s.namespaces += o->ns.foreign != 1;
		s.lost += o->ns.state == STATE_LOST;
		s.draining += o->ns.state == STATE_DRAINING;
	}
	for (size_t i = 0; i < m->links.n; i++) {
		const struct object *o = m->links.v[i];
		s.links++;
		s.lost += o->link.state == STATE_LOST;
		s.draining += o->link.state == STATE_DRAINING;
	}
	for (size_t i = 0; i < m->networks.n; i++) {
		const struct object *o = m->networks.v[i];
		s.networks++;
		s.lost += o->network.state == STATE_LOST;
		s.draining += o->network.state == STATE_DRAINING;
		s.slots_ready += o->net->n[RECORD_READY];
		s.slots_leased += o->net->n[RECORD_LEASED];
		s.slots_making += o->net->n[RECORD_MAKING] + o->net->n[RECORD_PREPARING];
		s.slots_draining += o->net->n[RECORD_DRAINING];
	}
	return s;
}

void
manager_set_gauges(struct manager *m, void (*fn)(void *arg, int64_t *connections, int64_t *requests), void *arg)
{
	m->gauges = fn;
	m->gauges_arg = arg;
}
