/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * The records are loaded before the socket listens; then the kernel is looked at in the background and each object is
 * judged by its recorded state and the boot it is from:
 *
 *   creating, this boot     the request was never answered: undone
 *   draining, this boot     the removal goes on
 *   ready, this boot        there with the recorded cookie or ifindex: ready; otherwise lost
 *   lost, this boot         stays lost
 *   marked `unconfirmed`    without its name: made again, with its links; nobody can tell whether it was answered
 *   any, another boot       the kernel's part is gone. Persistent and ready or lost: made again. Others: forgotten
 *   marked `changing`       brought to its record
 *
 * Namespaces are made again before the links between them.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "message-ids.h"
#include "slots.h"

#define STRAY_ATTEMPTS 80 /* looks, 100 ms apart, in which the kernel may finish what the last nsd left to it */

/* ---- loading ---- */

static int
load_object(struct manager *m, struct object *o, const char *name, int64_t generation, struct error *e)
{
	if (!object_name(o) || strcmp(object_name(o), name) != 0 || object_generation(o) != generation)
		return error_set(e, ERROR_STORE, NULL, "the record of %s \"%s\" belongs to another object",
				 object_word(o), name);
	if (o->kind == OBJECT_LINK && (o->link.ends.n != link_kind_ops(o->link.kind)->ends))
		return error_set(e, ERROR_STORE, NULL, "the record of link \"%s\" has %zu ends", name, o->link.ends.n);
	for (unsigned i = 0; o->kind == OBJECT_LINK && i < o->link.ends.n; i++)
		if (!link_end(o, i)->interface || !link_end(o, i)->mac)
			return error_set(e, ERROR_STORE, NULL, "the record of link \"%s\" lacks an interface", name);
	if (object_insert(m, o) < 0)
		return error_set(e, ERROR_STORE, NULL, "two records claim %s \"%s\" or its interfaces", object_word(o),
				 name);
	return 0;
}

static bool
of_this_boot(const struct manager *m, const struct object *o)
{
	const char *boot = *(char **)object_at(o, object_kinds[o->kind].boot);
	return boot && strcmp(boot, m->boot) == 0;
}

/* Identities of another boot mean nothing; those of this one are indexed. */
static void
take_identity(struct manager *m, struct object *o)
{
	bool known = of_this_boot(m, o);

	if (o->kind == OBJECT_NAMESPACE) {
		if (!known)
			o->ns.cookie = FIELD_ABSENT_INT;
		return;
	}
	if (o->kind == OBJECT_NETWORK)
		return;
	for (unsigned i = 0; i < o->link.ends.n; i++) {
		struct end *end = link_end(o, i);
		bool usable = known && o->link.cookies[i] != FIELD_ABSENT_INT && end->ifindex != FIELD_ABSENT_INT;
		object_set_ifindex(m, o, i, usable ? (uint64_t)o->link.cookies[i] : 0, usable ? (int)end->ifindex : 0);
	}
}

static int
load_network(struct manager *m, struct object *o, const char *name, struct error *e)
{
	if ((!o->network.ipv4 && !o->network.ipv6) || !o->network.interface || !o->network.uplink)
		return error_set(e, ERROR_STORE, NULL, "the record of network \"%s\" lacks a part", name);
	return network_state_new(m, o, e);
}

static int
load_record(const char *kind, const char *name, int64_t generation, const char *record, void *arg, struct error *e)
{
	struct manager *m = arg;
	enum object_kind k = OBJECT_NAMESPACE;

	while (k <= OBJECT_NETWORK && strcmp(kind, object_kinds[k].word) != 0)
		k++;
	if (k > OBJECT_NETWORK)
		return error_set(e, ERROR_STORE, NULL, "record \"%s\" is of the unknown kind \"%s\"", name, kind);
	struct object *o = object_new(k);
	if (!o)
		return error_errno(e, ENOMEM, "loading records");
	int err = fields_from_text(object_kinds[k].type, record, VIEW_RECORD, object_at(o, object_kinds[k].value), e);
	if (err == 0 && k == OBJECT_NETWORK)
		err = load_network(m, o, name, e);
	if (err == 0)
		err = load_object(m, o, name, generation, e);
	if (err < 0) {
		object_free(o);
		if (e) /* whatever was wrong with the text: it is the store that lies */
			e->code = ERROR_STORE;
		return error_wrap(e, "record of %s \"%s\"", kind, name);
	}
	take_identity(m, o);
	return 0;
}

int
reconcile_load(struct manager *m, struct error *e)
{
	return store_load(m->store, load_record, m, e);
}

/* ---- judging ---- */

static const struct found_name *
find_name(const struct inventory *v, const char *name)
{
	for (size_t low = 0, high = v->n_names; low < high;) {
		size_t middle = low + (high - low) / 2;
		int c = strcmp(name, v->names[middle].name);
		if (c == 0)
			return &v->names[middle];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static bool
namespace_is_there(const struct inventory *v, const struct object *o)
{
	const struct found_name *f = find_name(v, o->ns.name);
	return f && f->file == NETNS_MOUNTED && o->ns.cookie != FIELD_ABSENT_INT && f->cookie == (uint64_t)o->ns.cookie;
}

/* A link with an end in the host is there when that interface is; the other end cannot be without it. One between
 * namespaces is believed, and verified like every object afterwards. */
static bool
link_is_there(const struct manager *m, const struct object *o)
{
	for (unsigned i = 0; i < o->link.ends.n; i++) {
		int ifindex = (int)link_end(o, i)->ifindex;
		const struct host_link *h = index_find(&m->host_links, &ifindex);
		const char *ns = link_end(o, i)->namespace;
		if (!o->places[i].cookie)
			return false;
		if (!ns && (!h || h->info.group != LINK_GROUP))
			return false;
		const struct object *site = ns ? find_namespace(m, ns) : NULL;
		if (ns && (!site || site->ns.cookie != o->link.cookies[i] || site->ns.state == STATE_LOST))
			return false;
	}
	return true;
}

static void
drain(struct manager *m, struct object *o)
{
	object_set_state(o, STATE_DRAINING);
	drain_start(m, o);
}

static void
lose(struct manager *m, struct object *o, const char *why)
{
	object_set_state(o, STATE_LOST);
	object_set_message(o, "%s", why);
	log_object(LOG_WARNING, o->kind == OBJECT_NAMESPACE ? MESSAGE_NAMESPACE_LOST : MESSAGE_LINK_LOST, o, "is lost",
		   why);
	o->remake = m->policy.remake_lost;
}

/* After a reboot nothing of nsd's is in the kernel. */
static void
judge_after_reboot(struct manager *m, struct object *o)
{
	if (!object_is_persistent(o) || (object_state(o) != STATE_READY && object_state(o) != STATE_LOST)) {
		drain(m, o);
		return;
	}
	object_set_state(o, STATE_LOST);
	object_set_message(o, "not made again yet after the reboot");
	o->remake = true;
}

static void
judge_namespace(struct manager *m, const struct inventory *v, struct object *o)
{
	bool there = namespace_is_there(v, o);

	if (!of_this_boot(m, o)) {
		judge_after_reboot(m, o);
	} else if (o->ns.state == STATE_CREATING || o->ns.state == STATE_DRAINING) {
		drain(m, o);
	} else if (!there && o->ns.state == STATE_READY && o->ns.unconfirmed == 1 && !store_was_clean(m->store)) {
		object_set_state(o, STATE_LOST);
		object_set_message(o, "nsd was ended while making it");
		o->remake = true;
	} else if (!there && o->ns.state == STATE_READY) {
		lose(m, o, "its name was taken away, or given to something else, while nsd was not running");
	}
	if (o->ns.state == STATE_READY && o->ns.unconfirmed == 1)
		confirm_later(m, o);
}

/* A link goes the way of the namespaces it is in. */
static bool
is_remade(const struct manager *m, const struct object *link)
{
	bool any = false;

	for (unsigned i = 0; i < link->link.ends.n; i++) {
		const char *name = link_end(link, i)->namespace;
		const struct object *ns = name ? find_namespace(m, name) : NULL;
		any |= ns && ns->remake;
	}
	return any;
}

static void
judge_link(struct manager *m, struct object *o)
{
	if (!of_this_boot(m, o)) {
		judge_after_reboot(m, o);
	} else if (o->link.state == STATE_CREATING || o->link.state == STATE_DRAINING) {
		drain(m, o);
	} else if (o->link.state == STATE_READY && is_remade(m, o)) {
		object_set_state(o, STATE_LOST);
		o->remake = true;
	} else if (o->link.state == STATE_READY && !link_is_there(m, o)) {
		lose(m, o, "its interfaces were removed, or a namespace of it is lost");
	}
}

static int
compare_found(const void *a, const void *b)
{
	const struct found_name *x = a, *y = b;
	return strcmp(x->name, y->name);
}

/* ---- making again ---- */

static void
remake(struct manager *m, struct object *o)
{
	struct error e = { 0 };

	o->remake = false;
	if (remake_objects(m, NULL, &o, 1, NULL, &e) == 0) {
		m->reconciling++;
		return;
	}
	object_set_message(o, "cannot be made again: %s", e.text);
	log_warning("%s \"%s\" cannot be made again: %s", object_word(o), object_name(o), e.text);
}

static bool
may_be_port(const struct object *o)
{
	return o->kind == OBJECT_LINK && o->link.kind != LINK_BRIDGE;
}

static unsigned
remake_all(struct manager *m, const struct index *x, bool ports)
{
	for (size_t i = 0; i < x->n; i++) {
		struct object *o = x->v[i];
		if (o->remake && may_be_port(o) == ports)
			remake(m, o);
	}
	return m->reconciling;
}

static unsigned
remake_networks(struct manager *m)
{
	for (size_t i = 0; i < m->networks.n; i++) {
		struct object *o = m->networks.v[i];
		struct error e = { 0 };
		if (!o->remake)
			continue;
		if (network_remake(m, NULL, o, NULL, &e) == 0)
			m->reconciling++;
		else
			object_set_message(o, "cannot be made again: %s", e.text);
	}
	return m->reconciling;
}

static unsigned
finish_changes(struct manager *m, const struct index *x)
{
	for (size_t i = 0; i < x->n; i++) {
		struct object *o = x->v[i];
		int *changing = o->kind == OBJECT_NAMESPACE ? &o->ns.changing : &o->link.changing;
		if (*changing != 1 || o->busy)
			continue;
		*changing = FIELD_ABSENT_BOOL;
		if (object_state(o) == STATE_READY && finish_change(m, o) == 0)
			m->reconciling++;
	}
	return m->reconciling;
}

/* What only has to be looked at. */
static void
resume(struct manager *m)
{
	for (size_t i = 0; i < m->namespaces.n; i++) {
		struct object *o = m->namespaces.v[i];
		if (o->ns.attached == 1 && o->ns.state == STATE_READY)
			attached_resume(m, o);
		if (o->nsid < 0)
			suspect(m, o); /* a look at it tells */
	}
}

static void
reconcile_end(struct manager *m)
{
	struct manager_stats s;

	m->reconciled = true;
	m->retry_parked = true;
	resume(m);
	s = manager_stats(m);
	log_info("records and kernel agree: %lld namespaces, %lld links, %lld networks, %lld lost, %lld to be removed",
		 (long long)s.namespaces, (long long)s.links, (long long)s.networks, (long long)s.lost,
		 (long long)s.draining);
	manager_settle(m);
}

/* Without slots there are no networks either. */
static void
lose_networks(struct manager *m)
{
	for (size_t i = 0; i < m->networks.n; i++) {
		struct object *o = m->networks.v[i];
		object_set_state(o, STATE_LOST);
		object_set_message(o, "there can be no slots here: %s", m->slots->unavailable);
	}
}

/* The networks' turn: they are judged by a look of their own, then made again where that is due. */
static bool
networks_done(struct manager *m)
{
	if (m->slots->unavailable[0]) {
		lose_networks(m);
		return true;
	}
	if (!m->slots->audited) {
		slots_audit_start(m);
		return false;
	}
	return remake_networks(m) == 0;
}

/* Namespaces, then bridges, then what may be a port of one, then changes that were cut off, then networks, then the rest. */
static void
reconcile_next(struct manager *m)
{
	if (remake_all(m, &m->namespaces, false) == 0 && remake_all(m, &m->links, false) == 0 &&
	    remake_all(m, &m->links, true) == 0 && finish_changes(m, &m->namespaces) == 0 &&
	    finish_changes(m, &m->links) == 0 && networks_done(m))
		reconcile_end(m);
}

void
reconcile_made(struct manager *m)
{
	if (--m->reconciling == 0)
		reconcile_next(m);
}

/* An interface of nsd's that no record knows. Its namespace had no name yet when the last nsd ended, so the kernel is about
 * to remove both. */
static bool
has_stray(const struct manager *m, const struct inventory *v)
{
	for (size_t i = 0; i < v->n_links; i++) {
		const struct link_info *info = &v->links[i];
		if (info->group == LINK_GROUP && !find_ifindex(m, m->host_cookie, info->ifindex) &&
		    !find_end(m, NULL, info->name) && !find_uplink(m, info->name))
			return true;
	}
	return false;
}

static void
inventory_done(struct operation *op)
{
	struct inventory *v = (struct inventory *)op;
	struct manager *m = op->m;

	if (op->result < 0) {
		log_error("cannot look at the kernel's state, trying again: %s", op->error.text);
		inventory_free(v);
		m->retry_start = true;
		return;
	}
	if (v->n_names > 0)
		if (has_stray(m, v) && m->start_attempts++ < STRAY_ATTEMPTS) {
			inventory_free(v);
			m->retry_start = true;
			return;
		}
	if (v->n_names > 1)
		qsort(v->names, v->n_names, sizeof(*v->names), compare_found);
	watch_links(m, v->links, v->n_links);
	for (size_t i = 0; i < m->namespaces.n; i++)
		judge_namespace(m, v, m->namespaces.v[i]);
	for (size_t i = 0; i < m->links.n; i++)
		judge_link(m, m->links.v[i]);
	for (size_t i = 0; i < v->n_names; i++)
		watch_name(m, &v->names[i]);
	inventory_free(v);
	reconcile_next(m);
}

void
reconcile_start(struct manager *m)
{
	m->retry_start = false;
	if (inventory_start(m, inventory_done) < 0)
		m->retry_start = true;
}
