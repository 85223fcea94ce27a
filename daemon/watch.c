/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * The kernel tells of interfaces and addresses of the host and of every namespace that has an nsid, and of nsids that come
 * and go. The host's interfaces are mirrored (`host_links`), so that names can be checked and foreign links listed without
 * asking; events about nsd's own objects make them suspects (verify.c). An event may come before the worker that caused
 * it has reported the new interface: then the mirror holds it, and watch_learn() joins the two.
 *
 * The directory of namespaces is watched by inotify. A new name is no namespace before its mount is there, which inotify
 * does not tell: such names are looked at again at every tick.
 *
 * When events were lost (ENOBUFS), the host's interfaces are dumped anew and every object becomes a suspect. An audit does
 * the same for some objects every tick, all of them within about a minute.
 */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#include "log.h"
#include "message-ids.h"
#include "slots.h"

#define EVENT_BUDGET 256 /* about 1 ms */
#define AUDIT_MS 60000
#define AUDIT_STEP 6 /* ticks of 100 ms */
#define STEPS_PER_AUDIT (AUDIT_MS / 100 / AUDIT_STEP)

int
watch_open(struct manager *m, struct error *e)
{
	struct kernel *k;
	int err = kernel_open(m->site, &k, e);
	if (err < 0)
		return err;
	m->host_cookie = kernel_cookie(k);
	kernel_close(k);
	err = events_open(&m->events, e);
	if (err < 0)
		return err;
	m->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (m->watch_fd < 0 || inotify_add_watch(m->watch_fd, netns_site_path(m->site),
						 IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR) < 0)
		return error_errno(e, errno, "watching %s", netns_site_path(m->site));
	return 0;
}

void
watch_close(struct manager *m)
{
	events_close(m->events);
	if (m->watch_fd >= 0)
		close(m->watch_fd);
}

int
manager_events_fd(const struct manager *m)
{
	return events_fd(m->events);
}

int
manager_watch_fd(const struct manager *m)
{
	return m->watch_fd;
}

/* ---- the mirror of the host's interfaces ---- */

static void
mirror_rename(struct manager *m, struct host_link *h, const char *name)
{
	if (index_find(&m->host_names, h->info.name) == h)
		index_remove(&m->host_names, h->info.name);
	snprintf(h->info.name, sizeof(h->info.name), "%s", name);
	index_add(&m->host_names, h->info.name, h);
}

/* A host end tells the nsid of the namespace its peer is in. */
static void
learn_nsid(struct manager *m, const struct place *s, const struct link_info *info)
{
	const struct object *link = s->object;
	bool moving = link->busy || link->link.changing == 1; /* the peer may not be where the record says */
	if (info->peer_nsid < 0 || link->link.ends.n != 2 || moving)
		return;
	const struct end *peer = link_end(link, !s->end);
	struct object *ns = peer->namespace ? find_namespace(m, peer->namespace) : NULL;
	if (ns && ns->nsid < 0 && !ns->nsid_gone && ns->ns.cookie == link->link.cookies[!s->end])
		object_set_nsid(m, ns, info->peer_nsid);
}

static void
mirror_put(struct manager *m, const struct link_info *info)
{
	struct host_link *h = index_find(&m->host_links, &info->ifindex);

	if (!h) {
		h = calloc(1, sizeof(*h));
		if (!h || index_reserve(&m->host_names) < 0 || index_add(&m->host_links, &info->ifindex, h) < 0) {
			free(h);
			m->resync = true;
			return;
		}
	}
	if (strcmp(h->info.name, info->name) != 0)
		mirror_rename(m, h, info->name);
	h->info = *info;
}

static void
mirror_remove(struct manager *m, int ifindex)
{
	struct host_link *h = index_remove(&m->host_links, &ifindex);
	if (!h)
		return;
	if (index_find(&m->host_names, h->info.name) == h)
		index_remove(&m->host_names, h->info.name);
	free(h);
}

void
watch_learn(struct manager *m, struct object *o)
{
	for (unsigned i = 0; i < o->link.ends.n; i++) {
		int ifindex = (int)link_end(o, i)->ifindex;
		const struct host_link *h = link_end(o, i)->namespace ? NULL : index_find(&m->host_links, &ifindex);
		if (h)
			learn_nsid(m, &o->places[i], &h->info);
	}
}

/* ---- rtnetlink ---- */

/* The cookie of the namespace an event comes from; 0 for one that nsd does not know. */
static uint64_t
event_cookie(const struct manager *m, int nsid)
{
	if (nsid < 0)
		return m->host_cookie;
	const struct object *ns = find_nsid(m, nsid);
	return ns && ns->ns.cookie != FIELD_ABSENT_INT ? (uint64_t)ns->ns.cookie : 0;
}

static void
suspect_now(struct manager *m, struct object *o)
{
	o->renew = true;
	suspect(m, o);
}

/* Was something changed on it that nsd had set? The tick puts it back. */
static void
check_uplink(struct manager *m, const struct kernel_event *ev)
{
	const struct host_link *h = index_find(&m->host_links, &ev->ifindex);
	struct object *o = h ? find_uplink(m, h->info.name) : NULL;

	if (o && !o->busy && o->network.state == STATE_READY)
		o->suspect |= ev->type == EVENT_ADDRESS_GONE ||
			      (ev->type == EVENT_LINK && (!ev->link.up || ev->link.mtu != o->network.mtu));
}

static void
on_link(struct manager *m, const struct kernel_event *ev)
{
	uint64_t cookie = event_cookie(m, ev->nsid);
	struct place *s = cookie ? find_ifindex(m, cookie, ev->link.ifindex) : NULL;

	if (ev->nsid < 0) {
		mirror_put(m, &ev->link);
		check_uplink(m, ev);
	}
	if (!s || object_state(s->object) != STATE_READY)
		return;
	const struct end *end = link_end(s->object, s->end);
	if (ev->nsid < 0)
		learn_nsid(m, s, &ev->link);
	else if (strcmp(end->interface, ev->link.name) != 0 || end->up != (int)ev->link.up ||
		 (end->mtu != FIELD_ABSENT_INT && end->mtu != (int64_t)ev->link.mtu))
		s->object->renew = true;
	suspect(m, s->object);
	m->last_event = monotonic_ms();
}

static void
uplink_gone(struct manager *m, const char *interface)
{
	struct object *o = find_uplink(m, interface);

	if (o && !o->busy && o->network.state == STATE_READY)
		network_lost(m, o, "its uplink was removed");
}

static void
on_link_gone(struct manager *m, const struct kernel_event *ev)
{
	uint64_t cookie = event_cookie(m, ev->nsid);
	struct place *s = cookie ? find_ifindex(m, cookie, ev->link.ifindex) : NULL;

	if (ev->nsid < 0) {
		uplink_gone(m, ev->link.name);
		mirror_remove(m, ev->link.ifindex);
	}
	if (!s)
		return;
	if (object_state(s->object) == STATE_DRAINING)
		drain_link_gone(m, s->object);
	else
		suspect_now(m, s->object);
	m->last_event = monotonic_ms();
}

/* Was the address there, or missing, by the specification? An automatic one does not matter. */
static void
on_address(struct manager *m, const struct kernel_event *ev)
{
	static const uint8_t link_local[] = { 0xfe, 0x80 };
	char text[INET6_ADDRSTRLEN + 4];
	uint64_t cookie = event_cookie(m, ev->nsid);
	struct place *s = cookie ? find_ifindex(m, cookie, ev->ifindex) : NULL;

	rules_follow_addresses(m);
	check_uplink(m, ev);
	if (!s || object_state(s->object) != STATE_READY ||
	    (ev->prefix.family == AF_INET6 && memcmp(ev->prefix.address, link_local, sizeof(link_local)) == 0))
		return;
	prefix_format(&ev->prefix, text);
	if (strings_contain(&link_end(s->object, s->end)->addresses, text) != (ev->type == EVENT_ADDRESS))
		suspect_now(m, s->object);
	m->last_event = monotonic_ms();
}

static void
on_event(const struct kernel_event *ev, void *arg)
{
	struct manager *m = arg;

	switch (ev->type) {
	case EVENT_LINK:
		on_link(m, ev);
		break;
	case EVENT_LINK_GONE:
		on_link_gone(m, ev);
		break;
	case EVENT_ADDRESS:
	case EVENT_ADDRESS_GONE:
		on_address(m, ev);
		break;
	case EVENT_NSID:
		m->nsids_new |= !find_nsid(m, ev->nsid);
		break;
	case EVENT_NSID_GONE:
		drain_nsid_gone(m, ev->nsid);
		break;
	case EVENT_OVERRUN:
		m->resync = true;
		break;
	}
}

void
watch_catch_up(struct manager *m)
{
	while (!m->taking_inventory && manager_events(m))
		;
}

bool
manager_events(struct manager *m)
{
	struct error e = { 0 };
	if (m->taking_inventory)
		return true;
	int n = events_read(m->events, EVENT_BUDGET, on_event, m, &e);
	m->behind = n == EVENT_BUDGET;
	if (n < 0) {
		log_warning("reading kernel events: %s", e.text);
		m->resync = true;
	}
	return n > 0;
}

/* ---- /run/netns ---- */

static void
foreign_gone(struct manager *m, struct object *o)
{
	announce(m, CHANGE_GONE, o);
	object_remove(m, o);
	object_free(o);
}

static void
foreign_new(struct manager *m, const char *name, uint64_t cookie)
{
	if (extras_own_name(m, name, cookie))
		return;
	struct object *o = object_new(OBJECT_NAMESPACE);
	if (!o)
		return;
	o->ns.name = strdup(name);
	o->ns.kinds = 1 << KIND_NET;
	o->ns.foreign = 1;
	o->ns.state = STATE_READY;
	o->ns.owner = 0;
	o->ns.cookie = (int64_t)cookie;
	if (asprintf(&o->ns.path, "%s/%s", netns_site_path(m->site), name) < 0)
		o->ns.path = NULL;
	if (!o->ns.name || object_insert(m, o) < 0) {
		object_free(o);
		return;
	}
	announce(m, CHANGE_READY, o);
}

/* A look at one name in the directory, by a worker. */
struct look {
	struct operation op;
	struct found_name found;
};

static void
look_run(struct job *j, void *thread)
{
	struct look *l = (struct look *)j;
	l->op.result = netns_probe(thread, l->found.name, &l->found.file, &l->found.cookie, &l->op.error);
}

void
watch_name(struct manager *m, const struct found_name *found)
{
	struct object *o = find_namespace(m, found->name);

	if (o && o->ns.foreign == 1 && (found->file != NETNS_MOUNTED || (uint64_t)o->ns.cookie != found->cookie)) {
		foreign_gone(m, o);
		o = NULL;
	}
	if (!o && found->file == NETNS_MOUNTED)
		foreign_new(m, found->name, found->cookie);
	else if (!o && found->file == NETNS_PLACEHOLDER && !strings_contain(&m->pending_names, found->name))
		strings_add(&m->pending_names, found->name);
}

static void
look_done(struct operation *op)
{
	struct look *l = (struct look *)op;

	if (op->result == 0 && !op->m->stopping)
		watch_name(op->m, &l->found);
	free(l);
}

static void
look(struct manager *m, const char *name)
{
	struct look *l = calloc(1, sizeof(*l));
	if (!l)
		return;
	l->op.m = m;
	snprintf(l->found.name, sizeof(l->found.name), "%s", name);
	operation_start(&l->op, look_run, look_done);
}

static void
on_name(struct manager *m, const char *name, bool appeared)
{
	struct object *o = find_namespace(m, name);

	if (name_check(name, NULL) < 0)
		return;
	if (!o || o->ns.foreign == 1)
		look(m, name);
	else if (!appeared && o->ns.state == STATE_READY)
		suspect_now(m, o);
}

bool
manager_watch(struct manager *m)
{
	union {
		struct inotify_event align;
		char bytes[16384];
	} buffer;
	ssize_t n = read(m->watch_fd, &buffer, sizeof(buffer));

	for (ssize_t i = 0; i < n;) {
		const struct inotify_event *ev = (const void *)(buffer.bytes + i);
		if (ev->mask & IN_Q_OVERFLOW)
			m->resync = true;
		else if (ev->len)
			on_name(m, ev->name, ev->mask & (IN_CREATE | IN_MOVED_TO));
		i += (ssize_t)(sizeof(*ev) + ev->len);
	}
	return n > 0;
}

/* ---- all of it: at the start, and when events were lost ---- */

static int
note_name(const char *name, void *arg)
{
	struct inventory *v = arg;

	if (name_check(name, NULL) < 0)
		return 0;
	if (v->n_names == v->names_size) {
		size_t size = v->names_size ? 2 * v->names_size : 64;
		struct found_name *names = reallocarray(v->names, size, sizeof(*names));
		if (!names)
			return -ENOMEM;
		v->names = names;
		v->names_size = size;
	}
	struct found_name *f = &v->names[v->n_names++];
	*f = (struct found_name){ .file = NETNS_ABSENT };
	snprintf(f->name, sizeof(f->name), "%s", name);
	return 0;
}

static int
note_interface(const struct link_info *info, void *arg)
{
	struct inventory *v = arg;

	if (v->n_links == v->links_size) {
		size_t size = v->links_size ? 2 * v->links_size : 64;
		struct link_info *links = reallocarray(v->links, size, sizeof(*links));
		if (!links)
			return -ENOMEM;
		v->links = links;
		v->links_size = size;
	}
	v->links[v->n_links++] = *info;
	return 0;
}

static void
forget_interfaces(void *arg)
{
	((struct inventory *)arg)->n_links = 0;
}

static void
inventory_run(struct job *j, void *thread)
{
	struct inventory *v = (struct inventory *)j;
	struct error *e = &v->op.error;
	int err = netns_list(v->op.m->site, note_name, v, e);

	for (size_t i = 0; i < v->n_names && err == 0; i++)
		err = netns_probe(thread, v->names[i].name, &v->names[i].file, &v->names[i].cookie, e);
	if (err == 0)
		err = link_dump(kernel_rtnl(thread), false, note_interface, forget_interfaces, v, e);
	v->op.result = err;
}

int
inventory_start(struct manager *m, void (*done)(struct operation *op))
{
	struct inventory *v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->op.m = m;
	m->taking_inventory = true;
	operation_start(&v->op, inventory_run, done);
	return 0;
}

void
inventory_free(struct inventory *v)
{
	v->op.m->taking_inventory = false;
	free(v->names);
	free(v->links);
	free(v);
}

static int
compare_info(const void *a, const void *b)
{
	const struct link_info *x = a, *y = b;
	return (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

void
watch_links(struct manager *m, struct link_info *v, size_t n)
{
	if (n > 1)
		qsort(v, n, sizeof(*v), compare_info);
	for (size_t i = m->host_links.n; i-- > 0;) {
		const struct host_link *h = m->host_links.v[i];
		if (!bsearch(&h->info, v, n, sizeof(*v), compare_info))
			mirror_remove(m, h->info.ifindex);
	}
	for (size_t i = 0; i < n; i++) {
		mirror_put(m, &v[i]);
		struct place *s = find_ifindex(m, m->host_cookie, v[i].ifindex);
		if (s)
			learn_nsid(m, s, &v[i]);
	}
}

/* A draining link may have gone unseen. */
static void
recheck(struct manager *m, struct object *o)
{
	if (object_state(o) == STATE_READY)
		suspect_now(m, o);
	else if (object_state(o) == STATE_DRAINING && o->kind == OBJECT_LINK)
		o->drain_since = 0;
}

static void
resync_done(struct operation *op)
{
	struct inventory *v = (struct inventory *)op;
	struct manager *m = op->m;

	m->resyncing = false;
	if (op->result < 0) {
		log_warning("cannot look at the kernel's state: %s", op->error.text);
		m->resync = true;
		inventory_free(v);
		return;
	}
	watch_links(m, v->links, v->n_links);
	for (size_t i = 0; i < v->n_names; i++)
		watch_name(m, &v->names[i]);
	for (size_t i = m->namespaces.n; i-- > 0;) {
		struct object *o = m->namespaces.v[i];
		if (o->ns.foreign == 1)
			look(m, o->ns.name);
		else
			recheck(m, o);
	}
	for (size_t i = 0; i < m->links.n; i++)
		recheck(m, m->links.v[i]);
	inventory_free(v);
}

/* One step of a round that looks at every object within AUDIT_MS, in the order of names. */
static void
audit(struct manager *m, const struct index *x, size_t *next)
{
	size_t count = x->n / STEPS_PER_AUDIT + 1;

	for (; count > 0 && *next < x->n; count--) {
		struct object *o = x->v[(*next)++];
		if (object_state(o) == STATE_READY && !(o->kind == OBJECT_NAMESPACE && o->ns.foreign == 1))
			suspect_now(m, o);
	}
}

/* With RemakeLost=: what could not be made again when it was lost, because something it needs was lost too. */
static void
remake_lost(struct manager *m, const struct index *x)
{
	for (size_t i = 0; i < x->n; i++) {
		struct object *o = x->v[i];
		if (object_state(o) == STATE_LOST && !o->busy)
			repair_object(m, NULL, o, NULL, NULL);
	}
}

/* A look at a namespace tells its number. */
static void
find_new_nsids(struct manager *m)
{
	m->nsids_new = false;
	for (size_t i = 0; i < m->namespaces.n; i++) {
		struct object *o = m->namespaces.v[i];
		if (o->ns.foreign != 1 && o->nsid < 0)
			suspect(m, o);
	}
}

void
watch_tick(struct manager *m)
{
	int64_t now = monotonic_ms();

	if (m->resync && !m->resyncing && !m->behind && m->reconciled && now - m->last_resync > 500) {
		m->last_resync = now;
		m->resync = false;
		m->resyncing = inventory_start(m, resync_done) == 0;
		log_event(LOG_NOTICE, MESSAGE_OVERRUN, NULL, "kernel events were lost; looking at everything again");
	}
	struct strings names = m->pending_names;
	m->pending_names = (struct strings){ 0 };
	for (size_t i = 0; i < names.n; i++)
		look(m, names.v[i]);
	strings_done(&names);
	if (!m->reconciled)
		return;
	if (m->policy.remake_lost && m->ticks % 10 == 0) {
		remake_lost(m, &m->namespaces);
		remake_lost(m, &m->links);
	}
	if (m->nsids_new)
		find_new_nsids(m);
	if (++m->ticks % AUDIT_STEP == 0) {
		audit(m, &m->namespaces, &m->audit_namespace);
		audit(m, &m->links, &m->audit_link);
	}
	if (m->ticks >= AUDIT_STEP * STEPS_PER_AUDIT)
		m->ticks = m->audit_namespace = m->audit_link = 0;
}
