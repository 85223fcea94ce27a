/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * Events and audits make objects suspects. A suspect is judged when the events have been read and no operation has it:
 * the state of its interfaces in the mirror is compared first, in memory, since most suspects are objects that nsd itself
 * has just made. Only when that does not explain the event a worker asks the kernel. What it finds becomes the
 * object's message and a `drift` event, or the object is lost; with RemakeLost= it is made again.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "message-ids.h"
#include "object.h"

struct verification {
	struct operation op;
	bool gone, learn_nsid;
	int nsid;
	char text[384];
	void (*done)(struct operation *op);
};

/* ---- on a worker ---- */

static int
verify_namespace(struct kernel *k, const struct manager *m, struct verification *v)
{
	const struct namespace *ns = &v->op.objects[0]->ns;
	struct netns n = NETNS_INIT;
	enum netns_file file;
	uint64_t cookie = 0;
	int err = netns_probe(k, ns->name, &file, &cookie, &v->op.error);

	if (err < 0)
		return err;
	v->gone = file != NETNS_MOUNTED || cookie != (uint64_t)ns->cookie;
	if (file == NETNS_ABSENT)
		snprintf(v->text, sizeof(v->text), "its name %s/%s was taken away", netns_site_path(m->site), ns->name);
	else if (v->gone)
		snprintf(v->text, sizeof(v->text), "%s/%s is something else now", netns_site_path(m->site), ns->name);
	else if (v->learn_nsid && netns_open(k, ns->name, &n, NULL) == 0)
		netns_nsid(k, &n, &v->nsid, NULL);
	netns_close(&n);
	return 0;
}

static int
verify_end(struct kernel *k, struct sites *sites, const struct object *o, unsigned i, char *text, size_t size,
	   struct error *e)
{
	const struct end *end = link_end(o, i);
	struct netns *n = NULL;

	if (end->ifindex == FIELD_ABSENT_INT)
		return -ENODEV;
	int err = sites_open(sites, k, end->namespace, (uint64_t)o->link.cookies[i], &n, e);
	return err < 0 ? err : examine_end(k, n, end, (int)end->ifindex, text, size, e);
}

static int
verify_link(struct kernel *k, struct verification *v)
{
	const struct object *o = v->op.objects[0];
	struct sites sites = { .n = 0 };
	size_t used = 0;
	int err = 0;

	for (unsigned i = 0; i < o->link.ends.n && err == 0; i++) {
		char text[sizeof(v->text) / 2 - 32];
		err = verify_end(k, &sites, o, i, text, sizeof(text), &v->op.error);
		if (err == 0 && *text)
			used += (size_t)snprintf(v->text + used, sizeof(v->text) - used, "%s%s: %s", used ? "; " : "",
						 link_end(o, i)->interface, text);
	}
	sites_close(&sites);
	v->gone = err == -ENODEV || v->op.error.code == ERROR_LOST || v->op.error.code == ERROR_NOT_FOUND;
	if (!v->gone)
		return err;
	snprintf(v->text, sizeof(v->text), "an interface of it is gone from the kernel");
	return 0;
}

static void
verify_run(struct job *j, void *thread)
{
	struct verification *v = (struct verification *)j;

	v->op.result = v->op.objects[0]->kind == OBJECT_NAMESPACE ? verify_namespace(thread, v->op.m, v) :
								    verify_link(thread, v);
}

/* ---- on the main thread ---- */

void
log_object(int level, const char *id, const struct object *o, const char *what, const char *text)
{
	static const char *const variables[] = { "NSD_NAMESPACE", "NSD_LINK", "NSD_NETWORK" };
	char name[NAME_MAX_LENGTH + 32], reason[512];

	snprintf(name, sizeof(name), "%s=%s", variables[o->kind], object_name(o));
	snprintf(reason, sizeof(reason), "NSD_REASON=%s", text);
	const char *const fields[] = { name, reason, NULL };
	log_event(level, id, fields, "%s \"%s\" %s: %s", object_word(o), object_name(o), what, text);
}

static const char *
message_of(const struct object *o)
{
	const char *text = object_message(o);
	return text ? text : "";
}

static void
suspect_its_link(struct object *link, void *arg)
{
	suspect(arg, link);
}

static void
note_verified(struct manager *m, struct object *o, const struct verification *v)
{
	if (v->gone) {
		object_set_state(o, STATE_LOST);
		object_set_message(o, "%s", v->text);
		log_object(LOG_WARNING, o->kind == OBJECT_NAMESPACE ? MESSAGE_NAMESPACE_LOST : MESSAGE_LINK_LOST, o,
			   "is lost", v->text);
		announce(m, CHANGE_DRIFT, o);
		if (o->kind == OBJECT_NAMESPACE)
			each_link_in(m, o->ns.name, suspect_its_link, m);
		if (m->policy.remake_lost && !m->stopping)
			repair_object(m, NULL, o, NULL, NULL);
	} else if (strcmp(message_of(o), v->text) != 0) {
		object_set_message(o, *v->text ? "%s" : NULL, v->text);
		if (*v->text)
			log_object(LOG_WARNING, MESSAGE_DRIFT, o, "was changed by somebody else", v->text);
		announce(m, *v->text ? CHANGE_DRIFT : CHANGE_CHANGED, o);
	}
	if (v->nsid >= 0)
		watch_catch_up(m);
	if (v->nsid >= 0 && o->nsid < 0 && !find_nsid(m, v->nsid))
		object_set_nsid(m, o, v->nsid);
}

static void
verify_done(struct operation *op)
{
	struct verification *v = (struct verification *)op;
	struct object *o = op->objects[0];
	void (*done)(struct operation *) = v->done;

	if (op->result < 0)
		log_debug("cannot look at %s \"%s\": %s", object_word(o), object_name(o), op->error.text);
	else if (object_state(o) == STATE_READY)
		note_verified(op->m, o, v);
	if (done)
		done(op);
	free(v);
}

int
verify_object(struct manager *m, struct object *o, void (*done)(struct operation *op), struct error *e)
{
	struct verification *v = calloc(1, sizeof(*v));
	if (!v)
		return error_errno(e, ENOMEM, "looking at %s \"%s\"", object_word(o), object_name(o));
	v->op = (struct operation){ .m = m, .n_objects = 1 };
	v->op.few[0] = o;
	v->op.objects = v->op.few;
	v->nsid = -1;
	v->learn_nsid = o->kind == OBJECT_NAMESPACE && o->nsid < 0;
	v->done = done;
	operation_start(&v->op, verify_run, verify_done);
	return 0;
}

void
suspect(struct manager *m, struct object *o)
{
	if (object_state(o) != STATE_READY || o->suspect)
		return;
	if (index_add(&m->suspects, o, o) == 0)
		o->suspect = true;
}

/* Does the mirror show the host's end as specified? Ends in namespaces are not mirrored: their events are judged one by
 * one when they come. */
static bool
mirror_agrees(const struct manager *m, const struct object *o)
{
	for (unsigned i = 0; i < o->link.ends.n; i++) {
		const struct end *end = link_end(o, i);
		int ifindex = (int)end->ifindex;
		if (end->namespace)
			continue;
		const struct host_link *h = index_find(&m->host_links, &ifindex);
		if (!h || strcmp(h->info.name, end->interface) != 0 || (int)h->info.up != end->up ||
		    (end->mtu != FIELD_ABSENT_INT && end->mtu != (int64_t)h->info.mtu) ||
		    !end->bridge != !h->info.master)
			return false;
	}
	return true;
}

/* Looks at the suspects that no operation has; a bounded number at a time, and only so many on the workers that requests
 * do not wait for them. */
void
suspects_check(struct manager *m)
{
	int64_t now = monotonic_ms();

	if (!m->suspects.n || !m->reconciled || m->stopping ||
	    (now - m->last_event < SETTLE_MS && now - m->last_judged < 1000))
		return;
	m->last_judged = now;
	unsigned budget = 256;
	for (size_t i = m->suspects.n; i-- > 0 && budget && workers_pending(m->workers) < 8; budget--) {
		struct object *o = m->suspects.v[i];
		if (o->busy)
			continue;
		index_remove(&m->suspects, o);
		o->suspect = false;
		bool ask = o->renew || o->kind == OBJECT_NAMESPACE || !mirror_agrees(m, o);
		o->renew = false;
		if (ask && object_state(o) == STATE_READY)
			verify_object(m, o, NULL, NULL);
	}
}
