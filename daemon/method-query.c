/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The methods that only look: get, list, open, processes, status.
 *
 * Lists are streams of batches. Between two batches objects may come and go: the next batch starts behind the last name
 * told. What only the kernel knows (counters) is asked by a worker, on copies, a batch at a time.
 */
#include "config.h"

#include "methods.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define BATCH 64

/* clang-format off */
#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

struct status {
	const char *version, *boot, *directory;
	int64_t pid, started, namespaces, links, networks, slots, ready_slots, leased_slots, draining_slots;
	int64_t lost, draining, foreign, connections, requests, sequence;
	int ready, writable;
};

static const struct type status_out = {
	.size = sizeof(struct status),
	.fields = (const struct field[]){
		F(status, version, "version", FIELD_STRING, .doc = "Of nsd"),
		F(status, pid, "pid", FIELD_INT, .doc = "Process id of nsd"),
		F(status, boot, "bootId", FIELD_STRING, .doc = "Id of this boot"),
		F(status, started, "started", FIELD_INT, .doc = "When nsd started, seconds since 1970"),
		F(status, ready, "ready", FIELD_BOOL, .doc = "Records and kernel have been brought together after the start"),
		F(status, namespaces, "namespaces", FIELD_INT, .doc = "Namespaces of nsd"),
		F(status, links, "links", FIELD_INT, .doc = "Links of nsd"),
		F(status, networks, "networks", FIELD_INT, .doc = "Networks of nsd"),
		F(status, slots, "slots", FIELD_INT, .doc = "Slots, in whatever state"),
		F(status, ready_slots, "readySlots", FIELD_INT, .doc = "Slots in pools"),
		F(status, leased_slots, "leasedSlots", FIELD_INT, .doc = "Slots that somebody has"),
		F(status, draining_slots, "drainingSlots", FIELD_INT, .doc = "Slots that are being destroyed"),
		F(status, lost, "lost", FIELD_INT, .doc = "Objects that vanished from the kernel"),
		F(status, draining, "draining", FIELD_INT, .doc = "Objects that are being removed"),
		F(status, foreign, "foreign", FIELD_INT, .doc = "Namespaces in the same directory that nsd did not make"),
		F(status, connections, "connections", FIELD_INT, .doc = "Open connections"),
		F(status, requests, "requests", FIELD_INT, .doc = "Calls since the start"),
		F(status, sequence, "sequence", FIELD_INT, .doc = "Number of the last change, as in Monitor"),
		F(status, writable, "storeWritable", FIELD_BOOL, .doc = "false: changes are refused until the disk is well again"),
		F(status, directory, "stateDirectory", FIELD_STRING, .doc = "Where the records are"),
		{ 0 },
	},
};

struct get_in {
	char *name;
};

static const struct type get_in = {
	.size = sizeof(struct get_in),
	.fields = (const struct field[]){
		F(get_in, name, "name", FIELD_STRING, .check = name_check, .doc = "Its name"),
		{ 0 },
	},
};

struct get_namespace_out {
	struct namespace *ns;
	struct list links;
};

static const struct type get_namespace_out = {
	.size = sizeof(struct get_namespace_out),
	.fields = (const struct field[]){
		F(get_namespace_out, ns, "namespace", FIELD_STRUCT, .of = &namespace_type, .doc = "The namespace as it is now"),
		F(get_namespace_out, links, "links", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &link_type,
		  .doc = "Links with an end in it, with counters"),
		{ 0 },
	},
};

struct get_link_out {
	struct link *link;
};

static const struct type get_link_out = {
	.size = sizeof(struct get_link_out),
	.fields = (const struct field[]){
		F(get_link_out, link, "link", FIELD_STRUCT, .of = &link_type, .doc = "The link as it is now, with counters"),
		{ 0 },
	},
};

struct list_in {
	char *namespace;
	int foreign, counters;
};

static const struct type list_namespaces_in = {
	.size = sizeof(struct list_in),
	.fields = (const struct field[]){
		F(list_in, foreign, "foreign", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "false: without those that nsd did not make"),
		{ 0 },
	},
};

static const struct type list_links_in = {
	.size = sizeof(struct list_in),
	.fields = (const struct field[]){
		F(list_in, namespace, "namespace", FIELD_STRING, .flags = FIELD_NULLABLE, .check = name_check,
		  .doc = "Only those with an end in this namespace"),
		F(list_in, foreign, "foreign", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "false: without the host's interfaces that nsd did not make"),
		F(list_in, counters, "counters", FIELD_BOOL, .flags = FIELD_NULLABLE, .doc = "true: with counters; slower"),
		{ 0 },
	},
};

struct list_out {
	struct list v;
};

static const struct type list_namespaces_out = {
	.size = sizeof(struct list_out),
	.fields = (const struct field[]){
		F(list_out, v, "namespaces", FIELD_LIST, .of = &namespace_type, .doc = "The next of them, in the order of names"),
		{ 0 },
	},
};

static const struct type list_links_out = {
	.size = sizeof(struct list_out),
	.fields = (const struct field[]){
		F(list_out, v, "links", FIELD_LIST, .of = &link_type, .doc = "The next of them, in the order of names"),
		{ 0 },
	},
};

struct open_out {
	struct namespace *ns;
	int64_t fd;
};

static const struct type open_out = {
	.size = sizeof(struct open_out),
	.fields = (const struct field[]){
		F(open_out, ns, "namespace", FIELD_STRUCT, .of = &namespace_type, .doc = "The namespace as it is now"),
		F(open_out, fd, "fileDescriptor", FIELD_INT, .doc = "Index of its file descriptor in this reply"),
		{ 0 },
	},
};
/* clang-format on */

int
not_ready(const struct object *o, struct error *e)
{
	const char *message = object_message(o);

	if (object_state(o) == STATE_LOST)
		return error_set(e, ERROR_LOST, "name", "%s \"%s\" is lost: %s; %s %s", object_word(o), object_name(o),
				 message ? message : "it vanished from the kernel", object_kinds[o->kind].repair,
				 object_name(o));
	return error_set(e, ERROR_DRAINING, "name", "%s \"%s\" is being removed%s%s", object_word(o), object_name(o),
			 message ? ": " : "", message ? message : "");
}

static int
get_status(void *context, struct request *r, void *in UNUSED, struct error *e UNUSED)
{
	const struct manager *m = context;
	struct manager_stats s = manager_stats(m);
	struct status status = {
		.version = PACKAGE_VERSION,
		.pid = getpid(),
		.boot = m->boot,
		.directory = m->state_directory,
		.started = m->started,
		.ready = s.reconciled,
		.namespaces = s.namespaces,
		.links = s.links,
		.networks = s.networks,
		.slots = s.slots_ready + s.slots_leased + s.slots_making + s.slots_draining,
		.ready_slots = s.slots_ready,
		.leased_slots = s.slots_leased,
		.draining_slots = s.slots_draining,
		.lost = s.lost,
		.draining = s.draining,
		.foreign = s.foreign,
		.sequence = s.sequence,
		.writable = s.writable,
	};
	if (m->gauges)
		m->gauges(m->gauges_arg, &status.connections, &status.requests);
	request_reply(r, &status_out, &status);
	return 0;
}

/* ---- copies of links, brought up to date by a worker ---- */

struct live {
	struct operation op;
	struct namespace ns; /* GetNamespace; its nsid is asked too */
	struct link *links;
	unsigned n;
	void (*reply)(struct live *l);
	void *arg;
};

static void
live_free(struct live *l)
{
	for (unsigned i = 0; i < l->n; i++)
		link_done(&l->links[i]);
	free(l->links);
	namespace_done(&l->ns);
	free(l);
}

static struct live *
live_new(struct manager *m, struct request *r, unsigned links, struct error *e)
{
	struct live *l = calloc(1, sizeof(*l));
	struct link *v = l ? calloc(links + 1, sizeof(*v)) : NULL;

	if (!v) {
		free(l);
		error_errno(e, ENOMEM, "looking at links");
		return NULL;
	}
	l->op.m = m;
	l->op.request = r;
	l->links = v;
	fields_init(&namespace_type, &l->ns);
	return l;
}

static void
live_end(struct kernel *k, struct sites *sites, const struct link *link, unsigned i)
{
	struct end *end = (struct end *)link->ends.v + i;
	struct link_info info;
	struct netns *n = NULL;
	struct rtnl *r = kernel_rtnl(k);

	if (end->ifindex == FIELD_ABSENT_INT ||
	    sites_open(sites, k, end->namespace, (uint64_t)link->cookies[i], &n, NULL) < 0 ||
	    (n && netns_rtnl(k, n, &r, NULL) < 0) || link_get(r, (int)end->ifindex, NULL, &info, NULL) < 0)
		return;
	end->running = info.running;
	end->mtu = info.mtu;
	if (info.has_counters && !end->counters)
		end->counters = calloc(1, sizeof(*end->counters));
	if (end->counters)
		*end->counters = info.counters;
}

static void
live_run(struct job *j, void *thread)
{
	struct live *l = (struct live *)j;
	struct netns n = NETNS_INIT;
	int nsid;

	for (unsigned i = 0; i < l->n; i++) {
		struct sites sites = { .n = 0 };
		for (unsigned end = 0; end < l->links[i].ends.n; end++)
			live_end(thread, &sites, &l->links[i], end);
		sites_close(&sites);
	}
	if (!l->ns.name || netns_open(thread, l->ns.name, &n, NULL) < 0)
		return;
	if ((int64_t)n.cookie == l->ns.cookie && netns_nsid(thread, &n, &nsid, NULL) == 0)
		l->ns.nsid = nsid >= 0 ? nsid : FIELD_ABSENT_INT;
	netns_close(&n);
}

static void
live_done(struct operation *op)
{
	struct live *l = (struct live *)op;
	l->reply(l);
	live_free(l);
}

static void
count(struct object *link UNUSED, void *arg)
{
	++*(unsigned *)arg;
}

static void
copy_link(struct object *link, void *arg)
{
	struct live *l = arg;
	if (fields_copy(&link_type, &link->link, &l->links[l->n], NULL) == 0)
		l->n++;
}

static void
reply_get_namespace(struct live *l)
{
	struct get_namespace_out reply = { .ns = &l->ns, .links = { .v = l->links, .n = l->n, .set = true } };
	request_reply(l->op.request, &get_namespace_out, &reply);
}

static int
get_namespace(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct get_in *asked = in;
	struct object *o;
	unsigned links = 0;
	int err = look_up(m, r, OBJECT_NAMESPACE, asked->name, FIELD_ABSENT_INT, &o, e);

	if (err < 0)
		return err;
	each_link_in(m, o->ns.name, count, &links);
	struct live *l = live_new(m, r, links, e);
	if (!l)
		return -ENOMEM;
	err = fields_copy(&namespace_type, &o->ns, &l->ns, e);
	if (err < 0) {
		live_free(l);
		return err;
	}
	each_link_in(m, o->ns.name, copy_link, l);
	l->reply = reply_get_namespace;
	operation_start(&l->op, live_run, live_done);
	return 0;
}

static void
reply_get_link(struct live *l)
{
	struct get_link_out reply = { .link = &l->links[0] };
	request_reply(l->op.request, &get_link_out, &reply);
}

static int
get_link(void *context, struct request *r, void *in, struct error *e)
{
	const struct get_in *asked = in;
	struct object *o;
	int err = look_up(context, r, OBJECT_LINK, asked->name, FIELD_ABSENT_INT, &o, e);

	if (err < 0)
		return err;
	struct live *l = live_new(context, r, 1, e);
	if (!l)
		return -ENOMEM;
	copy_link(o, l);
	if (l->n == 0) {
		live_free(l);
		return error_errno(e, ENOMEM, "looking at link \"%s\"", asked->name);
	}
	l->reply = reply_get_link;
	operation_start(&l->op, live_run, live_done);
	return 0;
}

/* ---- lists ---- */

struct listing {
	struct manager *m;
	struct request *request;
	struct peer peer;
	char cursor[NAME_MAX_LENGTH + 1];
	char namespace[NAME_MAX_LENGTH + 1];
	bool foreign, counters;
	bool hosts;   /* nsd's links are told: the host's other interfaces are next */
	bool waiting; /* for a worker */
	bool dropped; /* while waiting: the worker's return frees it */
};

static void
listing_drop(void *arg)
{
	struct listing *l = arg;
	if (l->waiting)
		l->dropped = true;
	else
		free(l);
}

static int
list_start(struct manager *m, struct request *r, const struct list_in *in, int (*fill)(struct request *r, void *arg),
	   struct error *e)
{
	struct listing *l = calloc(1, sizeof(*l));
	if (!l)
		return error_errno(e, ENOMEM, "listing");
	*l = (struct listing){ .m = m,
			       .request = r,
			       .peer = *request_peer(r),
			       .foreign = in->foreign != 0,
			       .counters = in->counters == 1 };
	snprintf(l->namespace, sizeof(l->namespace), "%s", in->namespace ? in->namespace : "");
	request_stream(r, fill, listing_drop, l);
	return 0;
}

/* The next objects behind the cursor that `wanted` takes; returns how many, *more tells whether others follow. */
static unsigned
next_objects(struct listing *l, const struct index *x, bool (*wanted)(const struct listing *l, const struct object *o),
	     struct object *ret[BATCH], bool *more)
{
	int found;
	unsigned n = 0, looked = 0;
	size_t i = index_position(x, l->cursor, &found);

	for (i += found ? 1 : 0; i < x->n && n < BATCH && looked < 16 * BATCH; i++, looked++) {
		struct object *o = x->v[i];
		snprintf(l->cursor, sizeof(l->cursor), "%s", object_name(o));
		if (peer_sees(&l->peer, o) && wanted(l, o))
			ret[n++] = o;
	}
	*more = i < x->n;
	return n;
}

/* Gives one batch, `more` or the last. */
static int
tell(struct listing *l, const struct type *t, void *v, unsigned n, bool more)
{
	struct list_out reply = { .v = { .v = v, .n = n, .set = true } };

	if (more && n == 0)
		return 1;
	if (more)
		request_continue(l->request, t, &reply);
	else
		request_reply(l->request, t, &reply);
	return more;
}

static bool
wanted_namespace(const struct listing *l, const struct object *o)
{
	return l->foreign || o->ns.foreign != 1;
}

static int
fill_namespaces(struct request *r UNUSED, void *arg)
{
	struct listing *l = arg;
	struct object *objects[BATCH];
	struct namespace v[BATCH];
	bool more;
	unsigned n = next_objects(l, &l->m->namespaces, wanted_namespace, objects, &more);

	for (unsigned i = 0; i < n; i++)
		v[i] = shown(objects[i]);
	return tell(l, &list_namespaces_out, v, n, more);
}

static int
list_namespaces(void *context, struct request *r, void *in, struct error *e)
{
	return list_start(context, r, in, fill_namespaces, e);
}

static bool
wanted_link(const struct listing *l, const struct object *o)
{
	bool any = !*l->namespace;
	for (unsigned i = 0; i < o->link.ends.n; i++)
		any |= link_end(o, i)->namespace && strcmp(link_end(o, i)->namespace, l->namespace) == 0;
	return any;
}

/* Carriers as the mirror knows them: both ends of a veth have one or none has. */
static void
show_running(const struct manager *m, const struct object *o)
{
	for (unsigned i = 0; i < o->link.ends.n && !o->busy; i++) {
		int ifindex = (int)link_end(o, i)->ifindex;
		const struct host_link *h = link_end(o, i)->namespace ? NULL : index_find(&m->host_links, &ifindex);
		if (!h)
			continue;
		for (unsigned end = 0; end < o->link.ends.n; end++)
			link_end(o, end)->running = h->info.running;
		return;
	}
}

static char *
borrowed(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* An interface of the host that nsd did not make, as a link with one end. Borrows from `h`. */
static void
show_foreign(const struct host_link *h, struct link *link, struct end *end, char mac[MAC_TEXT_SIZE])
{
	fields_init(&link_type, link);
	fields_init(&end_type, end);
	mac_format(h->info.mac, mac);
	end->interface = borrowed(h->info.name);
	end->mac = h->info.has_mac ? mac : NULL;
	end->mtu = h->info.mtu;
	end->up = h->info.up;
	end->running = h->info.running;
	end->ifindex = h->info.ifindex;
	link->name = end->interface;
	link->kind = enum_value(&link_kind_type, h->info.kind);
	link->ends = (struct list){ .v = end, .n = 1, .set = true };
	link->state = STATE_READY;
	link->foreign = 1;
}

static int
fill_foreign(struct listing *l)
{
	const struct index *x = &l->m->host_names;
	struct link v[BATCH];
	struct end ends[BATCH];
	char macs[BATCH][MAC_TEXT_SIZE];
	unsigned n = 0;
	int found;
	size_t i = index_position(x, l->cursor, &found);

	for (i += found ? 1 : 0; i < x->n && n < BATCH; i++) {
		const struct host_link *h = x->v[i];
		snprintf(l->cursor, sizeof(l->cursor), "%s", h->info.name);
		if (h->info.group == LINK_GROUP || find_ifindex(l->m, l->m->host_cookie, h->info.ifindex) ||
		    strcmp(h->info.name, "lo") == 0)
			continue;
		show_foreign(h, &v[n], &ends[n], macs[n]);
		n++;
	}
	return tell(l, &list_links_out, v, n, i < x->n);
}

/* nsd's own links are told; goes on with the others, or ends. */
static int
own_links_told(struct listing *l, struct link *v, unsigned n)
{
	bool others = l->foreign && !*l->namespace && peer_is_root(&l->peer);
	int more = tell(l, &list_links_out, v, n, others);
	if (more) {
		l->hosts = true;
		l->cursor[0] = '\0';
	}
	return more;
}

static void
reply_counted(struct live *live)
{
	struct listing *l = live->arg;

	l->waiting = false;
	if (l->dropped) {
		free(l);
		return;
	}
	struct request *r = l->request;
	bool more = live->op.result > 0;
	if (more ? tell(l, &list_links_out, live->links, live->n, true) : own_links_told(l, live->links, live->n))
		request_stream_wake(r);
}

/* Has a worker look at the batch; the stream waits meanwhile. */
static int
count_links(struct listing *l, struct object **objects, unsigned n, bool more)
{
	struct error e = { 0 };
	struct live *live = live_new(l->m, l->request, n, &e);

	if (!live) {
		request_error(l->request, &e);
		return 0;
	}
	for (unsigned i = 0; i < n; i++)
		copy_link(objects[i], live);
	live->reply = reply_counted;
	live->arg = l;
	live->op.result = more;
	l->waiting = true;
	operation_start(&live->op, live_run, live_done);
	return 0;
}

static int
fill_links(struct request *r UNUSED, void *arg)
{
	struct listing *l = arg;
	struct object *objects[BATCH];
	struct link v[BATCH];
	bool more;

	if (l->waiting)
		return 0;
	if (l->hosts)
		return fill_foreign(l);
	unsigned n = next_objects(l, &l->m->links, wanted_link, objects, &more);
	if (l->counters)
		return count_links(l, objects, n, more);
	for (unsigned i = 0; i < n; i++) {
		show_running(l->m, objects[i]);
		v[i] = objects[i]->link;
	}
	return more ? tell(l, &list_links_out, v, n, true) : own_links_told(l, v, n);
}

static int
list_links(void *context, struct request *r, void *in, struct error *e)
{
	const struct list_in *asked = in;
	const struct object *ns = asked->namespace ? find_namespace(context, asked->namespace) : NULL;

	if (asked->namespace && (!ns || !peer_sees(request_peer(r), ns)))
		return error_set(e, ERROR_NOT_FOUND, "namespace",
				 "no namespace \"%s\"; \"nsc list\" shows what there is", asked->namespace);
	return list_start(context, r, in, fill_links, e);
}

/* ---- open ---- */

struct opening {
	struct operation op;
	struct namespace ns;
	int fd;
};

static void
open_run(struct job *j, void *thread)
{
	struct opening *o = (struct opening *)j;
	struct netns n = NETNS_INIT;

	o->op.result = netns_open(thread, o->ns.name, &n, &o->op.error);
	if (o->op.result == 0 && (int64_t)n.cookie != o->ns.cookie)
		o->op.result = error_set(&o->op.error, ERROR_LOST, "name",
					 "\"%s\" is the name of another namespace now", o->ns.name);
	if (o->op.result == 0)
		o->fd = TAKE_FD(n.fd);
	netns_close(&n);
}

static void
open_done(struct operation *op)
{
	struct opening *o = (struct opening *)op;
	struct open_out reply = { .ns = &o->ns };

	if (op->result < 0)
		request_error(op->request, &op->error);
	else
		request_reply_fd(op->request, &open_out, &reply, o->fd);
	namespace_done(&o->ns);
	free(o);
}

static int
open_namespace(void *context, struct request *r, void *in, struct error *e)
{
	const struct get_in *asked = in;
	struct object *object;
	int err = look_up(context, r, OBJECT_NAMESPACE, asked->name, FIELD_ABSENT_INT, &object, e);

	if (err == 0 && object->ns.state != STATE_READY)
		err = not_ready(object, e);
	if (err < 0)
		return err;
	struct opening *o = calloc(1, sizeof(*o));
	struct namespace ns = shown(object);
	if (!o || fields_copy(&namespace_type, &ns, &o->ns, NULL) < 0) {
		free(o);
		return error_errno(e, ENOMEM, "opening namespace \"%s\"", asked->name);
	}
	o->op.m = context;
	o->op.request = r;
	operation_start(&o->op, open_run, open_done);
	return 0;
}

/* clang-format off */
const struct method query_methods[] = {
	{ .name = "GetStatus", .doc = "How nsd is", .out = &status_out, .handler = get_status },
	{ .name = "GetNamespace",
	  .doc = "One namespace with its links, as the kernel has them now",
	  .in = &get_in, .out = &get_namespace_out, .handler = get_namespace },
	{ .name = "ListNamespaces",
	  .doc = "All namespaces, foreign ones in the same directory included, in several replies",
	  .in = &list_namespaces_in, .out = &list_namespaces_out, .flags = METHOD_REQUIRES_MORE, .handler = list_namespaces },
	{ .name = "OpenNamespace",
	  .doc = "A file descriptor of the namespace, for setns(2)",
	  .in = &get_in, .out = &open_out, .flags = METHOD_RETURNS_FDS, .handler = open_namespace },
	{ .name = "GetLink",
	  .doc = "One link as the kernel has it now",
	  .in = &get_in, .out = &get_link_out, .handler = get_link },
	{ .name = "ListLinks",
	  .doc = "All links, then the host's interfaces that nsd did not make, in several replies",
	  .in = &list_links_in, .out = &list_links_out, .flags = METHOD_REQUIRES_MORE, .handler = list_links },
	{ .name = "Monitor",
	  .doc = "First everything there is, then every change, until the caller hangs up",
	  .out = &monitor_reply_type, .flags = METHOD_REQUIRES_MORE, .handler = method_monitor },
	{ 0 },
};
/* clang-format on */
