/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * One operation makes a namespace with its links, or links alone, all or nothing.
 *
 * With a new namespace nothing outlasts this process before it is pinned under its name: if nsd dies, the namespace and
 * the veths in it die with it. So one commit is enough:
 *
 *   main    prepare.c has checked and completed the specification; names are reserved in the indexes
 *   worker  make the namespace, set it up, make and configure the links, host ends up last
 *   worker  commit the result, marked `unconfirmed`; durable when anything in it is persistent
 *   worker  pin the namespace under its name
 *   main    note what the kernel gave, announce, answer; the mark is taken off in the background
 *
 * A start that finds a record still marked, but no pin, cannot know whether the request was answered: it makes the
 * namespace again. Links between namespaces that are there already would stay behind, so their intent is committed first:
 * commit as creating, make, commit as ready.
 *
 * A failure undoes in reverse order and deletes the records. To make lost objects again (after a reboot, or on request)
 * the same steps run, but a failure leaves them recorded as lost, and what is left of an earlier try is removed first.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "message-ids.h"
#include "object.h"
#include "prepare.h"

/* Behind lo and what tunnel modules put into every new namespace (net.core.fb_tunnels_only_for_init_net). */
#define FIRST_IFINDEX 100

struct made_link {
	int ifindexes[2];
	uint64_t cookies[2];
	bool made;
};

struct create {
	struct operation op;
	struct preparation p;
	bool remake, committed;
	bool stale;	    /* it failed, and the records could not be taken back */
	bool lo_waits;	    /* lo is to come up with the first end in the new namespace */
	int numbered;	    /* ends in the new namespace that were given an ifindex */
	struct sites sites; /* the new namespace is the first of them */
	uint64_t cookie;
	struct made_link made[MAX_LINKS_PER_REQUEST];
	created_reply *reply;
	changed_reply *remade_reply;
};

struct sequel {
	const struct create *c;
	const struct end *end;
};

/* ---- on a worker ---- */

static int
commit_all(struct create *c, int state, bool durable, struct error *e)
{
	struct record records[MAX_LINKS_PER_REQUEST + 1] = { 0 };
	unsigned n = 0;

	if (c->p.ns)
		records[n++] =
			(struct record){ .object = c->p.ns, .state = state, .cookie = c->cookie, .unconfirmed = true };
	for (unsigned i = 0; i < c->p.n_links; i++) {
		struct record *r = &records[n++];
		*r = (struct record){ .object = c->p.links[i], .state = state };
		memcpy(r->cookies, c->made[i].cookies, sizeof(r->cookies));
		memcpy(r->ifindexes, c->made[i].ifindexes, sizeof(r->ifindexes));
	}
	return commit(c->op.m, records, n, durable, e);
}

/* What an earlier try left behind: an interface of this name, group and MAC. Its peer goes along. */
static int
remove_leftover(struct kernel *k, const struct link_site *s, struct error *e)
{
	struct link_info info;
	struct rtnl *r = kernel_rtnl(k);
	int err = s->netns ? netns_rtnl(k, s->netns, &r, e) : 0;

	if (err < 0)
		return err;
	if (link_get(r, 0, s->end->interface, &info, NULL) < 0 || info.group != LINK_GROUP ||
	    memcmp(info.mac, s->mac, sizeof(info.mac)) != 0)
		return 0;
	return link_delete(r, info.ifindex, e);
}

static bool
is_new(const struct create *c, const struct netns *n)
{
	return n && c->p.ns && n->cookie == c->cookie;
}

/* The ends of a link with their open namespaces; an end in the new namespace comes first. Each of those gets a number
 * of its own, far from those that the kernel gives. */
static int
open_sites(struct create *c, struct kernel *k, unsigned link, struct link_site sites[2], struct error *e)
{
	const struct object *o = c->p.links[link];
	int err = 0;

	for (unsigned i = 0; i < o->link.ends.n && err == 0; i++) {
		const struct end *end = link_end(o, i);
		sites[i] = (struct link_site){ .end = end, .index = i };
		err = sites_open(&c->sites, k, end->namespace, c->p.end_cookies[link][i], &sites[i].netns, e);
		if (err == 0)
			err = mac_parse(end->mac, sites[i].mac, e);
	}
	for (unsigned i = 0; i < o->link.ends.n && err == 0 && c->remake; i++)
		err = remove_leftover(k, &sites[i], e);
	if (err < 0)
		return err;
	if (o->link.ends.n == 2 && !is_new(c, sites[0].netns) && is_new(c, sites[1].netns)) {
		struct link_site first = sites[1];
		sites[1] = sites[0];
		sites[0] = first;
	}
	for (unsigned i = 0; i < o->link.ends.n; i++)
		if (is_new(c, sites[i].netns))
			sites[i].ifindex = FIRST_IFINDEX + c->numbered++;
	return 0;
}

/* The configuration of an end in the new namespace goes to the kernel with its creation, and lo with the first of them. */
static int
put_sequel(struct rtnl *r, int ifindex, void *arg, struct error *e)
{
	const struct sequel *s = arg;

	int err = put_end(r, s->end, ifindex, e);
	if (err == 0 && s->c->lo_waits)
		link_put_up(r, 1, true, "lo");
	return err;
}

/* Ends in namespaces first: once the host's end is up, the link carries packets. */
static int
configure_ends(struct kernel *k, const struct link_site *sites, unsigned n, bool first_done, struct error *e)
{
	int err = 0;

	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned i = first_done ? 1 : 0; i < n && err == 0; i++) {
			if ((pass == 0) != (sites[i].netns != NULL))
				continue;
			err = configure_end(k, sites[i].netns, sites[i].end, sites[i].ifindex, e);
			if (err < 0)
				error_prefix_field(e, "ends", sites[i].index);
		}
	return err;
}

static int
make_link(struct create *c, struct kernel *k, unsigned n, struct error *e)
{
	const struct object *o = c->p.links[n];
	const struct link_kind_ops *ops = link_kind_ops(o->link.kind);
	struct link_site sites[2];
	int err = open_sites(c, k, n, sites, e);

	if (err < 0)
		return err;
	struct sequel s = { .c = c, .end = sites[0].end };
	const struct link_sequel sequel = { .put = put_sequel, .arg = &s };
	bool at_once = sites[0].ifindex && !sites[0].end->bridge;
	err = link_create(k, ops, sites, at_once ? &sequel : NULL, e);
	if (err < 0) {
		if (at_once && strncmp(e->field, "ends", 4) != 0) /* refused what came with it */
			error_prefix_field(e, "ends", sites[0].index);
		return err;
	}
	c->lo_waits &= !at_once;
	for (unsigned i = 0; i < ops->ends; i++) {
		c->made[n].ifindexes[sites[i].index] = sites[i].ifindex;
		c->made[n].cookies[sites[i].index] = sites[i].netns ? sites[i].netns->cookie : kernel_cookie(k);
	}
	c->made[n].made = true;
	return configure_ends(k, sites, ops->ends, at_once, e);
}

static int
make_links(struct create *c, struct kernel *k, struct error *e)
{
	int err = 0;

	for (unsigned i = 0; i < c->p.n_links && err == 0; i++) {
		err = make_link(c, k, i, e);
		if (err < 0 && (c->p.ns || c->p.n_links > 1))
			error_prefix_field(e, "links", i);
	}
	return err;
}

static void
undo_link(struct create *c, struct kernel *k, unsigned n)
{
	struct netns *netns = NULL;
	struct rtnl *r = kernel_rtnl(k);

	if (!c->made[n].made || sites_open(&c->sites, k, link_end(c->p.links[n], 0)->namespace, 0, &netns, NULL) < 0 ||
	    (netns && netns_rtnl(k, netns, &r, NULL) < 0))
		return;
	if (link_delete(r, c->made[n].ifindexes[0], NULL) == 0)
		c->made[n] = (struct made_link){ 0 };
}

static void
undo(struct create *c, struct kernel *k)
{
	struct error e = { 0 };

	for (unsigned i = c->p.n_links; i-- > 0;)
		undo_link(c, k, i);
	c->stale = c->committed && commit_all(c, c->remake ? STATE_LOST : -1, false, &e) < 0;
}

/* The name of a lost namespace: what nsd itself left there goes, anything else stays and fails the pin. */
static int
remove_old_pin(struct kernel *k, const struct namespace *ns, struct error *e)
{
	enum netns_file file;
	uint64_t cookie = 0;
	int err = netns_probe(k, ns->name, &file, &cookie, e);

	if (err == 0 && file == NETNS_PLACEHOLDER)
		err = netns_unpin(k, ns->name, 0, e);
	if (err == 0 && file == NETNS_MOUNTED && cookie == (uint64_t)ns->cookie)
		err = netns_unpin(k, ns->name, cookie, e);
	return err;
}

/* Everything about a new namespace that is gone with this process. */
static int
make_unpinned(struct create *c, struct kernel *k, struct error *e)
{
	const struct namespace *ns = &c->p.ns->ns;
	struct netns n = NETNS_INIT;
	int err = netns_make(k, &n, e);

	if (err < 0)
		return err;
	c->cookie = n.cookie;
	sites_add(&c->sites, ns->name, &n);
	struct netns *made = &c->sites.v[0].netns;
	c->lo_waits = ns->loopback == 1;
	err = configure_namespace(k, made, ns, e);
	if (err == 0)
		err = make_links(c, k, e);
	if (err == 0 && c->lo_waits)
		err = set_lo_up(k, made, e);
	return err;
}

static int
make_with_namespace(struct create *c, struct kernel *k, struct error *e)
{
	int err = make_unpinned(c, k, e);

	if (err == 0 && c->remake)
		err = remove_old_pin(k, &c->p.ns->ns, e);
	if (err == 0)
		err = commit_all(c, STATE_READY, c->p.durable, e);
	c->committed = err == 0;
	return err < 0 ? err : netns_pin(k, c->p.ns->ns.name, c->sites.v[0].netns.fd, e);
}

static int
make_links_alone(struct create *c, struct kernel *k, struct error *e)
{
	int err = commit_all(c, c->remake ? STATE_LOST : STATE_CREATING, false, e);

	c->committed = err == 0;
	if (err == 0)
		err = make_links(c, k, e);
	return err < 0 ? err : commit_all(c, STATE_READY, c->p.durable, e);
}

static void
create_run(struct job *j, void *thread)
{
	struct create *c = (struct create *)j;
	struct error *e = &c->op.error;

	c->op.result = c->p.ns ? make_with_namespace(c, thread, e) : make_links_alone(c, thread, e);
	if (c->op.result < 0)
		undo(c, thread);
	sites_close(&c->sites);
}

/* ---- back on the main thread ---- */

static void
note_link(struct manager *m, struct object *o, const struct made_link *made)
{
	for (unsigned i = 0; i < o->link.ends.n; i++)
		object_set_ifindex(m, o, i, made->cookies[i], made->ifindexes[i]);
	object_set_state(o, STATE_READY);
	object_set_message(o, NULL);
	watch_learn(m, o);
	suspect(m, o);
	m->last_event = monotonic_ms(); /* those of the making are still to be read */
}

static void
note_made(struct create *c)
{
	struct manager *m = c->op.m;
	enum change change = c->remake ? CHANGE_CHANGED : CHANGE_READY;

	if (c->p.ns) {
		struct object *o = c->p.ns;
		o->ns.cookie = (int64_t)c->cookie;
		object_set_state(o, STATE_READY);
		object_set_message(o, NULL);
		if (o->ns.nsid != FIELD_ABSENT_INT)
			object_set_nsid(m, o, (int)o->ns.nsid);
		confirm_later(m, o);
		announce(m, change, o);
	}
	for (unsigned i = 0; i < c->p.n_links; i++) {
		note_link(m, c->p.links[i], &c->made[i]);
		announce(m, change, c->p.links[i]);
	}
}

static void
note_failed(struct create *c)
{
	struct manager *m = c->op.m;

	for (unsigned i = 0; i < c->op.n_objects; i++) {
		struct object *o = c->op.objects[i];
		if (c->remake) {
			object_set_state(o, STATE_LOST);
			object_set_message(o, "cannot be made again: %s", c->op.error.text);
			announce(m, CHANGE_CHANGED, o);
		} else {
			object_drop(m, o, c->stale);
		}
	}
}

static void
answer(struct create *c)
{
	struct request *r = c->op.request;

	if (!r)
		return;
	if (c->op.result < 0)
		request_error(r, &c->op.error);
	else if (c->remake)
		c->remade_reply(r, c->op.objects[0]);
	else
		c->reply(r, c->p.reply_ns, c->p.reply_links, c->p.n_reply_links, true);
}

static void
create_done(struct operation *op)
{
	struct create *c = (struct create *)op;
	struct manager *m = op->m;
	bool starting = !m->reconciled && !op->request;

	if (op->result == 0)
		note_made(c);
	answer(c);
	if (op->result < 0)
		note_failed(c);
	free(c);
	if (starting)
		reconcile_made(m);
}

static struct create *
create_new(struct manager *m, struct request *r)
{
	struct create *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->op.m = m;
	c->op.request = r;
	c->op.objects = c->op.few;
	return c;
}

static void
create_start(struct create *c)
{
	if (c->p.ns)
		c->op.objects[c->op.n_objects++] = c->p.ns;
	for (unsigned i = 0; i < c->p.n_links; i++)
		c->op.objects[c->op.n_objects++] = c->p.links[i];
	operation_start(&c->op, create_run, create_done);
}

int
create_objects(struct manager *m, struct request *r, method_handler *handler, void *in, const struct namespace *ns,
	       const struct list *links, bool ensure, created_reply *reply, struct error *e)
{
	struct error reason = { 0 };
	struct preparation p;
	int err = may_change(m, r, handler, in, e);

	if (err != 0)
		return err < 0 ? err : 0;
	err = prepare(m, request_peer(r), ns, links, ensure, &p, &reason);
	if (err > 0) {
		park(m, r, handler, in, &reason);
		return 0;
	}
	if (err < 0) {
		*e = reason;
		return err;
	}
	if (!p.ns && !p.n_links) {
		reply(r, p.reply_ns, p.reply_links, p.n_reply_links, false);
		return 0;
	}
	struct create *c = create_new(m, r);
	if (!c) {
		preparation_withdraw(m, &p);
		return error_errno(e, ENOMEM, "starting the operation");
	}
	c->p = p;
	c->reply = reply;
	create_start(c);
	for (unsigned i = 0; i < c->op.n_objects; i++)
		announce(m, CHANGE_CREATED, c->op.objects[i]);
	return 0;
}

int
remake_objects(struct manager *m, struct request *r, struct object **objects, unsigned n, changed_reply *reply,
	       struct error *e)
{
	struct preparation p;
	int err = prepare_again(m, objects, n, &p, e);

	if (err != 0) /* busy counts as an error here: nobody waits */
		return err < 0 ? err : -EBUSY;
	struct create *c = create_new(m, r);
	if (!c)
		return error_errno(e, ENOMEM, "starting the operation");
	c->p = p;
	c->remake = true;
	c->remade_reply = reply;
	create_start(c);
	return 0;
}
