/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods about namespaces that change something: make, ensure, change, repair, delete, attach, detach. */
#include "config.h"

#include "attach.h"
#include "methods.h"

#include <errno.h>
#include <string.h>

/* clang-format off */
#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

/* ---- Create, Ensure ---- */

struct create_namespace {
	struct namespace ns;
	struct list links;
};

static const struct type create_in = {
	.size = sizeof(struct create_namespace),
	.fields = (const struct field[]){
		F(create_namespace, ns, "", FIELD_EMBED, .of = &namespace_type),
		F(create_namespace, links, "links", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &link_type,
		  .max = MAX_LINKS_PER_REQUEST, .doc = "Links to make along with it, all or nothing"),
		{ 0 },
	},
};

struct created_namespace {
	struct namespace *ns;
	struct list links;
	int created;
};

static const struct type create_out = {
	.size = sizeof(struct created_namespace),
	.fields = (const struct field[]){
		F(created_namespace, ns, "namespace", FIELD_STRUCT, .of = &namespace_type, .doc = "The namespace as it is now"),
		F(created_namespace, links, "links", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &link_type,
		  .doc = "The links of the request"),
		{ 0 },
	},
};

static const struct type ensure_out = {
	.size = sizeof(struct created_namespace),
	.fields = (const struct field[]){
		F(created_namespace, ns, "namespace", FIELD_STRUCT, .of = &namespace_type, .doc = "The namespace as it is now"),
		F(created_namespace, links, "links", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &link_type,
		  .doc = "The links of the request"),
		F(created_namespace, created, "created", FIELD_BOOL, .doc = "false: all of it was there already"),
		{ 0 },
	},
};

/* ---- the others ---- */

struct namespace_name {
	char *name;
	int64_t generation;
	int wait;
};

static const struct type name_in = {
	.size = sizeof(struct namespace_name),
	.fields = (const struct field[]){
		F(namespace_name, name, "name", FIELD_STRING, .check = name_check, .doc = "Its name"),
		{ 0 },
	},
};

static const struct type detach_in = {
	.size = sizeof(struct namespace_name),
	.fields = (const struct field[]){
		F(namespace_name, name, "name", FIELD_STRING, .check = name_check, .doc = "Its name"),
		F(namespace_name, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Only if it is of this generation"),
		{ 0 },
	},
};

static const struct type delete_in = {
	.size = sizeof(struct namespace_name),
	.fields = (const struct field[]){
		F(namespace_name, name, "name", FIELD_STRING, .check = name_check, .doc = "Its name"),
		F(namespace_name, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Only if it is of this generation"),
		F(namespace_name, wait, "wait", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "true: answer when nothing is left of it"),
		{ 0 },
	},
};

static const struct type namespace_out = {
	.size = sizeof(struct created_namespace),
	.fields = (const struct field[]){
		F(created_namespace, ns, "namespace", FIELD_STRUCT, .of = &namespace_type, .doc = "The namespace as it is now"),
		{ 0 },
	},
};

struct change_namespace {
	char *name;
	int64_t generation, nsid, owner;
	int loopback;
	struct pairs labels, sysctls;
};

static const struct type change_in = {
	.size = sizeof(struct change_namespace),
	.fields = (const struct field[]){
		F(change_namespace, name, "name", FIELD_STRING, .check = name_check, .doc = "Its name"),
		F(change_namespace, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Only if it is of this generation"),
		F(change_namespace, nsid, "nsid", FIELD_INT, .flags = FIELD_NULLABLE, .min = -1, .max = INT32_MAX,
		  .doc = "Number as the host sees it, -1: the kernel's choice. It cannot be changed once there is one"),
		F(change_namespace, loopback, "loopback", FIELD_BOOL, .flags = FIELD_NULLABLE, .doc = "lo up or down"),
		F(change_namespace, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 32, .check = label_key_check,
		  .check_value = label_value_check, .doc = "Labels to set; an empty value takes one away"),
		F(change_namespace, sysctls, "sysctls", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 64,
		  .check = sysctl_key_check, .check_value = sysctl_value_check, .doc = "Kernel settings to set"),
		F(change_namespace, owner, "owner", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = UINT32_MAX - 1,
		  .doc = "User id of the new owner; root only"),
		{ 0 },
	},
};

struct attach_namespace {
	char *name;
	int64_t pid, pidfd, ns_fd;
	struct pairs labels;
};

static const struct type attach_in = {
	.size = sizeof(struct attach_namespace),
	.fields = (const struct field[]){
		F(attach_namespace, name, "name", FIELD_STRING, .check = name_check, .doc = "The name to give"),
		F(attach_namespace, pid, "pid", FIELD_INT, .flags = FIELD_NULLABLE, .min = 1, .max = INT32_MAX,
		  .doc = "Process whose namespace it is. Give a pidfd as well where you can: pids are used again"),
		F(attach_namespace, pidfd, "pidFileDescriptor", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = 7,
		  .doc = "Index of a pidfd sent with this call"),
		F(attach_namespace, ns_fd, "namespaceFileDescriptor", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = 7,
		  .doc = "Index of a network namespace's file descriptor sent with this call"),
		F(attach_namespace, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 32, .check = label_key_check,
		  .check_value = label_value_check, .doc = "The user's own notes"),
		{ 0 },
	},
};
/* clang-format on */

/* ---- replies ---- */

struct namespace shown(const struct object *o)
{
	struct namespace ns = o->ns;
	if (o->nsid >= 0)
		ns.nsid = o->nsid;
	return ns;
}

/* A list of shallow copies for a reply; the elements belong to the objects. */
static struct list
shallow(struct object **links, unsigned n)
{
	struct list l = { .set = n > 0 };
	struct link *v = n ? calloc(n, sizeof(*v)) : NULL;

	for (unsigned i = 0; v && i < n; i++)
		v[i] = links[i]->link;
	l.v = v;
	l.n = v ? n : 0;
	return l;
}

static void
reply_created(struct request *r, struct object *o, struct object **links, unsigned n, bool created)
{
	struct namespace ns = shown(o);
	struct created_namespace reply = { .ns = &ns, .links = shallow(links, n), .created = created };
	request_reply(r, &create_out, &reply);
	free(reply.links.v);
}

static void
reply_ensured(struct request *r, struct object *o, struct object **links, unsigned n, bool created)
{
	struct namespace ns = shown(o);
	struct created_namespace reply = { .ns = &ns, .links = shallow(links, n), .created = created };
	request_reply(r, &ensure_out, &reply);
	free(reply.links.v);
}

static void
reply_namespace(struct request *r, struct object *o)
{
	struct namespace ns = shown(o);
	struct created_namespace reply = { .ns = &ns };
	request_reply(r, &namespace_out, &reply);
}

/* ---- handlers ---- */

/* Numbers belong to the host: a user could take those that others count on. */
static int
check_nsid(const struct request *r, int64_t nsid, struct error *e)
{
	if (nsid < 0 || peer_is_root(request_peer(r)))
		return 0;
	return error_set(e, ERROR_PERMISSION_DENIED, "nsid", "only root may choose the number of a namespace");
}

static int
create_namespace(void *context, struct request *r, void *in, struct error *e)
{
	struct create_namespace *c = in;
	int err = check_nsid(r, c->ns.nsid, e);
	if (err < 0)
		return err;
	return create_objects(context, r, create_namespace, in, &c->ns, &c->links, false, reply_created, e);
}

static int
ensure_namespace(void *context, struct request *r, void *in, struct error *e)
{
	struct create_namespace *c = in;
	int err = check_nsid(r, c->ns.nsid, e);
	if (err < 0)
		return err;
	return create_objects(context, r, ensure_namespace, in, &c->ns, &c->links, true, reply_ensured, e);
}

static int
delete_namespace(void *context, struct request *r, void *in, struct error *e)
{
	const struct namespace_name *n = in;
	struct object *o;
	int err = look_up_idle(context, r, delete_namespace, in, OBJECT_NAMESPACE, n->name, n->generation, &o, e);

	if (err == 0)
		err = remove_object(context, r, delete_namespace, in, o, n->wait == 1, e);
	return err > 0 ? 0 : err;
}

static void
name_link(struct object *link, void *arg)
{
	*(const char **)arg = link->link.name;
}

static int
detach_namespace(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct namespace_name *n = in;
	const char *link = NULL;
	struct object *o;
	int err = look_up_idle(m, r, detach_namespace, in, OBJECT_NAMESPACE, n->name, n->generation, &o, e);

	if (err != 0)
		return err > 0 ? 0 : err;
	if (o->ns.attached != 1)
		return error_set(e, ERROR_INVALID_VALUE, "name",
				 "namespace \"%s\" was made by nsd, not attached; delete it instead", n->name);
	each_link_in(m, n->name, name_link, &link);
	if (link)
		return error_set(e, ERROR_BUSY, "name", "link \"%s\" has an end in namespace \"%s\"; delete it first",
				 link, n->name);
	err = remove_object(m, r, detach_namespace, in, o, true, e);
	return err > 0 ? 0 : err;
}

/* Labels given with a value are set, with an empty one taken away. */
static int
merge(struct pairs *into, const struct pairs *from)
{
	struct pairs result = { .set = true };
	int err = 0;

	for (size_t i = 0; i < into->n && err == 0; i++) {
		const char *value = pairs_get(from, into->v[i].key);
		if (!value || *value)
			err = pairs_set(&result, into->v[i].key, value ? value : into->v[i].value);
	}
	for (size_t i = 0; i < from->n && err == 0; i++)
		if (*from->v[i].value)
			err = pairs_set(&result, from->v[i].key, from->v[i].value);
	if (err < 0) {
		pairs_done(&result);
		return err;
	}
	pairs_done(into);
	*into = result;
	return 0;
}

int
merge_labels(struct pairs *into, const struct pairs *from, struct error *e)
{
	if (!from->set || merge(into, from) == 0)
		return 0;
	return error_errno(e, ENOMEM, "setting labels");
}

static int
change(void *context, struct request *r, void *in, struct error *e)
{
	const struct change_namespace *c = in;
	struct namespace spec;
	struct object *o;
	int err = look_up_idle(context, r, change, in, OBJECT_NAMESPACE, c->name, c->generation, &o, e);

	if (err != 0)
		return err > 0 ? 0 : err;
	if (o->ns.state != STATE_READY)
		return not_ready(o, e);
	if (c->owner != FIELD_ABSENT_INT && !peer_is_root(request_peer(r)))
		return error_set(e, ERROR_PERMISSION_DENIED, "owner", "only root may give a namespace away");
	err = check_nsid(r, c->nsid, e);
	if (err < 0)
		return err;
	err = fields_copy(&namespace_type, &o->ns, &spec, e);
	if (err < 0)
		return err;
	if (c->loopback != FIELD_ABSENT_BOOL)
		spec.loopback = c->loopback;
	if (c->nsid >= 0)
		spec.nsid = c->nsid;
	if (c->owner != FIELD_ABSENT_INT)
		spec.owner = c->owner;
	err = merge_labels(&spec.labels, &c->labels, e);
	if (err == 0)
		err = merge_labels(&spec.sysctls, &c->sysctls, e);
	if (err < 0) {
		namespace_done(&spec);
		return err;
	}
	return change_namespace(context, r, o, &spec, c->nsid == -1, reply_namespace, e);
}

static int
repair(void *context, struct request *r, void *in, struct error *e)
{
	const struct namespace_name *n = in;
	struct object *o;
	int err = look_up_idle(context, r, repair, in, OBJECT_NAMESPACE, n->name, FIELD_ABSENT_INT, &o, e);

	if (err == 0)
		err = repair_object(context, r, o, reply_namespace, e);
	return err > 0 ? 0 : err;
}

static int
check_source(struct request *r, const struct attach_namespace *a, struct attach_source *s, struct error *e)
{
	*s = (struct attach_source){ .pid = a->pid == FIELD_ABSENT_INT ? 0 : (pid_t)a->pid, .pidfd = -1, .ns_fd = -1 };
	if (a->pidfd != FIELD_ABSENT_INT && (s->pidfd = request_fd(r, a->pidfd)) < 0)
		return error_set(e, ERROR_INVALID_VALUE, "pidFileDescriptor",
				 "no file descriptor %lld came with the call", (long long)a->pidfd);
	if (a->ns_fd != FIELD_ABSENT_INT && (s->ns_fd = request_fd(r, a->ns_fd)) < 0)
		return error_set(e, ERROR_INVALID_VALUE, "namespaceFileDescriptor",
				 "no file descriptor %lld came with the call", (long long)a->ns_fd);
	bool process = s->pid > 0 || s->pidfd >= 0;
	if (process == (s->ns_fd >= 0))
		return error_set(e, ERROR_INVALID_VALUE, "pid",
				 "give a process (pid, pidFileDescriptor) or a namespace "
				 "(namespaceFileDescriptor), one of them");
	return 0;
}

static int
attach_one(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct attach_namespace *a = in;
	struct attach_source source;
	struct error reason = { 0 };
	struct namespace spec;
	int err = may_change(m, r, attach_one, in, e);

	if (err == 0)
		err = check_source(r, a, &source, e);
	if (err != 0)
		return err > 0 ? 0 : err;
	const struct object *o = find_namespace(m, a->name);
	if (o && (o->busy || o->ns.state == STATE_DRAINING)) {
		error_set(&reason, ERROR_DRAINING, "name", "namespace \"%s\" is still being removed; try again",
			  a->name);
		park(m, r, attach_one, in, &reason);
		return 0;
	}
	if (o)
		return error_set(e, o->ns.foreign == 1 ? ERROR_NAME_TAKEN : ERROR_ALREADY_EXISTS, "name",
				 "namespace \"%s\" exists already; choose another name", a->name);
	fields_init(&namespace_type, &spec);
	spec.name = a->name; /* borrowed: the spec is copied */
	spec.labels = a->labels;
	return attach_namespace(m, r, &spec, &source, reply_namespace, e);
}

/* clang-format off */
const struct method namespace_methods[] = {
	{ .name = "CreateNamespace",
	  .doc = "Makes a namespace, and links with ends in it where given: all of it or nothing. The name appears in /run/netns",
	  .in = &create_in, .out = &create_out, .handler = create_namespace },
	{ .name = "EnsureNamespace",
	  .doc = "Like CreateNamespace, but what exists with the same specification is left as it is. SpecDiffers names the "
		 "first field that is different",
	  .in = &create_in, .out = &ensure_out, .handler = ensure_namespace },
	{ .name = "ChangeNamespace",
	  .doc = "Changes what is given, all of it or nothing",
	  .in = &change_in, .out = &namespace_out, .handler = change },
	{ .name = "RepairNamespace",
	  .doc = "Makes a lost namespace again, with its lost links; takes back changes that others made to one that is there",
	  .in = &name_in, .out = &namespace_out, .handler = repair },
	{ .name = "DeleteNamespace",
	  .doc = "Deletes a namespace and the links with an end in it. The reply comes when that is recorded (state draining), "
		 "or with wait when the kernel has let go of all of it. An attached one only loses its name and nsd's links",
	  .in = &delete_in, .out = &removal_reply_type, .handler = delete_namespace },
	{ .name = "AttachNamespace",
	  .doc = "Gives a name to a running process's network namespace, or to one whose file descriptor is sent. The name "
		 "keeps the namespace alive",
	  .in = &attach_in, .out = &namespace_out, .flags = METHOD_TAKES_FDS, .permission = PERMISSION_ROOT,
	  .handler = attach_one },
	{ .name = "DetachNamespace",
	  .doc = "Takes the name of an attached namespace away, and harms nothing else",
	  .in = &detach_in, .out = &removal_reply_type, .handler = detach_namespace },
	{ 0 },
};
/* clang-format on */
