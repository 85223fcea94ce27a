/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods about networks and their pools. */
#include "config.h"

#include "methods.h"
#include "slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BATCH 64

/* clang-format off */
#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

static const struct type create_in = {
	.size = sizeof(struct network),
	.fields = (const struct field[]){
		{ .name = "", .type = FIELD_EMBED, .of = &network_type },
		{ 0 },
	},
};

struct network_out {
	struct network *network;
	int created;
};

static const struct type network_out = {
	.size = sizeof(struct network_out),
	.fields = (const struct field[]){
		F(network_out, network, "network", FIELD_STRUCT, .of = &network_type, .doc = "The network as it is now"),
		{ 0 },
	},
};

static const struct type ensure_out = {
	.size = sizeof(struct network_out),
	.fields = (const struct field[]){
		F(network_out, network, "network", FIELD_STRUCT, .of = &network_type, .doc = "The network as it is now"),
		F(network_out, created, "created", FIELD_BOOL, .doc = "false: it was there already"),
		{ 0 },
	},
};

struct name_in {
	char *name;
	int64_t generation;
	int force, wait;
};

static const struct type name_in = {
	.size = sizeof(struct name_in),
	.fields = (const struct field[]){
		F(name_in, name, "name", FIELD_STRING, .check = network_name_check, .doc = "Its name"),
		{ 0 },
	},
};

static const struct type delete_in = {
	.size = sizeof(struct name_in),
	.fields = (const struct field[]){
		F(name_in, name, "name", FIELD_STRING, .check = network_name_check, .doc = "Its name"),
		F(name_in, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Only if it is of this generation"),
		F(name_in, force, "force", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "true: also while slots of it are leased; their holders lose them"),
		F(name_in, wait, "wait", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "true: answer when nothing is left of it"),
		{ 0 },
	},
};

struct change_in {
	char *name;
	int64_t generation, mtu, ready, maximum;
	int egress, isolated;
	struct list services, publish;
	struct strings dns;
	struct pairs labels, sysctls;
};

static const struct type change_in = {
	.size = sizeof(struct change_in),
	.fields = (const struct field[]){
		F(change_in, name, "name", FIELD_STRING, .check = network_name_check, .doc = "Its name"),
		F(change_in, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Only if it is of this generation"),
		F(change_in, mtu, "mtu", FIELD_INT, .flags = FIELD_NULLABLE, .min = 576, .max = 65535,
		  .doc = "Of slots made from now on; ready ones are replaced"),
		F(change_in, egress, "egress", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &egress_type,
		  .doc = "What of its slots leaves the host"),
		F(change_in, isolated, "isolated", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "Slots do not reach each other"),
		F(change_in, services, "services", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &service_type, .max = 64,
		  .doc = "All that slots may reach of the host from now on"),
		F(change_in, dns, "dns", FIELD_STRINGS, .flags = FIELD_NULLABLE, .max = 8, .check = gateway_check,
		  .doc = "All its name servers from now on"),
		F(change_in, publish, "publish", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &ports_type, .max = 16,
		  .doc = "All ports of the host that slots may publish from now on; what is published stays"),
		F(change_in, ready, "ready", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = 65535,
		  .doc = "Slots that its pool keeps ready"),
		F(change_in, maximum, "maximum", FIELD_INT, .flags = FIELD_NULLABLE, .min = 1, .max = 65535,
		  .doc = "Slots at most, in whatever state"),
		F(change_in, sysctls, "sysctls", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 64, .check = sysctl_key_check,
		  .check_value = sysctl_value_check,
		  .doc = "All kernel settings of slots made from now on; ready ones are replaced"),
		F(change_in, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 32, .check = label_key_check,
		  .check_value = label_value_check, .doc = "Labels to set; an empty value takes one away"),
		{ 0 },
	},
};

struct list_out {
	struct list v;
};

static const struct type list_out = {
	.size = sizeof(struct list_out),
	.fields = (const struct field[]){
		F(list_out, v, "networks", FIELD_LIST, .of = &network_type, .doc = "The next of them, in the order of names"),
		{ 0 },
	},
};

static const struct type pools_out = {
	.size = sizeof(struct list_out),
	.fields = (const struct field[]){
		F(list_out, v, "pools", FIELD_LIST, .of = &pool_type, .doc = "One for each network, in the order of names"),
		{ 0 },
	},
};
/* clang-format on */

/* As replies show it; shallow. */
static struct network
network_shown(const struct object *o)
{
	struct network n = o->network;

	n.n_ready = o->net->n[RECORD_READY];
	n.n_leased = o->net->n[RECORD_LEASED];
	n.n_making = o->net->n[RECORD_MAKING] + o->net->n[RECORD_PREPARING];
	n.n_draining = o->net->n[RECORD_DRAINING];
	return n;
}

static void
reply_network(struct request *r, struct object *o, bool created UNUSED)
{
	struct network n = network_shown(o);
	struct network_out reply = { .network = &n };
	request_reply(r, &network_out, &reply);
}

static void
reply_ensured(struct request *r, struct object *o, bool created)
{
	struct network n = network_shown(o);
	struct network_out reply = { .network = &n, .created = created };
	request_reply(r, &ensure_out, &reply);
}

/* ---- create, ensure ---- */

/* What is there under that name: an equal one in *ret, or nothing. Returns 1 when the request was parked. */
static int
find_equal(struct manager *m, struct request *r, method_handler *handler, void *in, const struct network *want,
	   bool ensure, struct object **ret, struct error *e)
{
	struct object *o = find_network(m, want->name);
	char path[sizeof(e->field)];
	struct error reason = { 0 };

	*ret = NULL;
	if (!o)
		return 0;
	if (o->busy || o->network.state == STATE_CREATING || o->network.state == STATE_DRAINING) {
		error_set(&reason, o->network.state == STATE_DRAINING ? ERROR_DRAINING : ERROR_BUSY, "name",
			  "network \"%s\" is still being %s; try again", want->name,
			  o->network.state == STATE_DRAINING ? "removed" : "worked on");
		return park(m, r, handler, in, &reason);
	}
	if (!ensure)
		return error_set(e, ERROR_ALREADY_EXISTS, "name", "network \"%s\" exists already", want->name);
	if (o->network.state == STATE_LOST)
		return not_ready(o, e);
	if (!fields_match(&network_type, want, &o->network, path, sizeof(path)))
		return error_set(e, ERROR_SPEC_DIFFERS, path, "network \"%s\" exists with another %s", want->name,
				 path);
	*ret = o;
	return 0;
}

static int
create(struct manager *m, struct request *r, method_handler *handler, void *in, bool ensure, network_reply *reply,
       struct error *e)
{
	struct object *same = NULL;
	struct network spec;
	int err = may_change(m, r, handler, in, e);

	if (err == 0)
		err = slots_available(m, e);
	if (err == 0)
		err = find_equal(m, r, handler, in, in, ensure, &same, e);
	if (err != 0)
		return err < 0 ? err : 0;
	if (same) {
		reply(r, same, false);
		return 0;
	}
	err = network_check(m, in, NULL, e);
	if (err == 0)
		err = fields_copy(&network_type, in, &spec, e);
	if (err < 0)
		return err;
	err = network_complete(m, request_peer(r), &spec, e);
	if (err < 0)
		network_done(&spec);
	return err < 0 ? err : network_create(m, r, &spec, reply, e);
}

static int
create_network(void *context, struct request *r, void *in, struct error *e)
{
	return create(context, r, create_network, in, false, reply_network, e);
}

static int
ensure_network(void *context, struct request *r, void *in, struct error *e)
{
	return create(context, r, ensure_network, in, true, reply_ensured, e);
}

/* ---- change ---- */

#define SWAP_IF_SET(member)                                   \
	do {                                                  \
		__typeof__(spec->member) old_ = spec->member; \
		if (!copy.member.set)                         \
			break;                                \
		spec->member = copy.member;                   \
		copy.member = old_;                           \
	} while (0)

static int
change_lists(const struct change_in *in, struct network *spec, struct error *e)
{
	struct network want, copy;

	fields_init(&network_type, &want);
	want.services = in->services;
	want.publish = in->publish;
	want.dns = in->dns;
	want.sysctls = in->sysctls;
	int err = fields_copy(&network_type, &want, &copy, e);
	if (err < 0)
		return err;
	SWAP_IF_SET(services);
	SWAP_IF_SET(publish);
	SWAP_IF_SET(dns);
	SWAP_IF_SET(sysctls);
	network_done(&copy); /* the old ones */
	return in->labels.set ? merge_labels(&spec->labels, &in->labels, e) : 0;
}

static void
change_numbers(const struct change_in *in, struct network *spec)
{
	spec->mtu = in->mtu != FIELD_ABSENT_INT ? in->mtu : spec->mtu;
	spec->ready = in->ready != FIELD_ABSENT_INT ? in->ready : spec->ready;
	spec->maximum = in->maximum != FIELD_ABSENT_INT ? in->maximum : spec->maximum;
	spec->egress = in->egress != FIELD_ABSENT_ENUM ? in->egress : spec->egress;
	spec->isolated = in->isolated != FIELD_ABSENT_BOOL ? in->isolated : spec->isolated;
}

static int
change_network(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct change_in *asked = in;
	struct object *o;
	struct network spec;
	int err = look_up_idle(m, r, change_network, in, OBJECT_NETWORK, asked->name, asked->generation, &o, e);

	if (err != 0)
		return err < 0 ? err : 0;
	if (o->network.state != STATE_READY)
		return not_ready(o, e);
	err = fields_copy(&network_type, &o->network, &spec, e);
	if (err < 0)
		return err;
	change_numbers(asked, &spec);
	err = change_lists(asked, &spec, e);
	if (err == 0)
		err = network_check(m, &spec, o, e);
	if (err < 0) {
		network_done(&spec);
		return err;
	}
	return network_change(m, r, o, &spec, reply_network, e);
}

/* ---- delete, repair ---- */

static int
delete_network(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct name_in *asked = in;
	struct object *o;
	int err = look_up_idle(m, r, delete_network, in, OBJECT_NETWORK, asked->name, asked->generation, &o, e);

	if (err != 0)
		return err < 0 ? err : 0;
	unsigned leased = o->net->n[RECORD_LEASED] + o->net->n[RECORD_PREPARING];
	if (leased && asked->force != 1 && o->network.state != STATE_DRAINING)
		return error_set(e, ERROR_BUSY, "name",
				 "%u slots of network \"%s\" are leased; release them, or force the deletion", leased,
				 asked->name);
	return network_delete(m, r, o, asked->wait == 1, e);
}

static int
repair_network(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct name_in *asked = in;
	struct object *o;
	int err = look_up_idle(m, r, repair_network, in, OBJECT_NETWORK, asked->name, FIELD_ABSENT_INT, &o, e);

	if (err == 0)
		err = slots_available(m, e);
	if (err != 0)
		return err < 0 ? err : 0;
	if (o->network.state == STATE_LOST)
		return network_remake(m, r, o, reply_network, e);
	if (o->network.state != STATE_READY)
		return not_ready(o, e);
	return network_restore(m, r, o, reply_network, e);
}

/* ---- get, list ---- */

static int
get_network(void *context, struct request *r, void *in, struct error *e)
{
	const struct name_in *asked = in;
	struct object *o;
	int err = look_up(context, r, OBJECT_NETWORK, asked->name, FIELD_ABSENT_INT, &o, e);

	if (err == 0)
		reply_network(r, o, false);
	return err;
}

struct listing {
	struct manager *m;
	char cursor[NETWORK_NAME_MAX_LENGTH + 1];
};

static int
fill_networks(struct request *r, void *arg)
{
	struct listing *l = arg;
	struct network v[BATCH];
	struct list_out reply = { .v = { .v = v, .set = true } };
	int found;
	size_t i = index_position(&l->m->networks, l->cursor, &found);

	for (i += found ? 1 : 0; i < l->m->networks.n && reply.v.n < BATCH; i++) {
		const struct object *o = l->m->networks.v[i];
		snprintf(l->cursor, sizeof(l->cursor), "%s", o->network.name);
		v[reply.v.n++] = network_shown(o);
	}
	bool more = i < l->m->networks.n;
	if (more)
		request_continue(r, &list_out, &reply);
	else
		request_reply(r, &list_out, &reply);
	return more;
}

static int
list_networks(void *context, struct request *r, void *in UNUSED, struct error *e)
{
	struct listing *l = calloc(1, sizeof(*l));
	if (!l)
		return error_errno(e, ENOMEM, "listing networks");
	l->m = context;
	request_stream(r, fill_networks, free, l);
	return 0;
}

static int
list_pools(void *context, struct request *r, void *in UNUSED, struct error *e)
{
	struct manager *m = context;
	CLEANUP(free_ptr) struct pool *v = calloc(m->networks.n + 1, sizeof(*v));
	struct list_out reply = { .v = { .v = v, .n = m->networks.n, .set = true } };

	if (!v)
		return error_errno(e, ENOMEM, "listing pools");
	for (size_t i = 0; i < m->networks.n; i++) {
		struct object *o = m->networks.v[i];
		struct network_state *n = o->net;
		v[i] = n->pool;
		v[i].network = o->network.name;
		v[i].wanted = o->network.ready;
		v[i].maximum = network_maximum(n);
		v[i].capacity = n->capacity;
		v[i].ready = n->n[RECORD_READY];
		v[i].leased = n->n[RECORD_LEASED];
		v[i].making = n->n[RECORD_MAKING] + n->n[RECORD_PREPARING];
		v[i].draining = n->n[RECORD_DRAINING];
		v[i].acquire_rate = meter_rate(&n->acquires);
		v[i].make_rate = meter_rate(&n->makes);
	}
	request_reply(r, &pools_out, &reply);
	return 0;
}

/* clang-format off */
const struct method network_methods[] = {
	{ .name = "CreateNetwork",
	  .doc = "Makes a network: a router with an uplink to the host, and a pool of slots",
	  .in = &create_in, .out = &network_out, .permission = PERMISSION_ROOT, .handler = create_network },
	{ .name = "EnsureNetwork",
	  .doc = "Makes a network unless there is one like it; SpecDiffers names the first field that differs",
	  .in = &create_in, .out = &ensure_out, .permission = PERMISSION_ROOT, .handler = ensure_network },
	{ .name = "ChangeNetwork",
	  .doc = "Changes what is given; prefixes, interface and inner addresses of a network never change",
	  .in = &change_in, .out = &network_out, .permission = PERMISSION_ROOT, .handler = change_network },
	{ .name = "DeleteNetwork",
	  .doc = "Deletes a network with its slots; refused while slots are leased, unless forced",
	  .in = &delete_in, .out = &removal_reply_type, .permission = PERMISSION_ROOT, .handler = delete_network },
	{ .name = "RepairNetwork",
	  .doc = "Makes a lost network again, or puts back what others changed on its uplink and in its rules",
	  .in = &name_in, .out = &network_out, .permission = PERMISSION_ROOT, .handler = repair_network },
	{ .name = "GetNetwork", .doc = "One network", .in = &name_in, .out = &network_out, .handler = get_network },
	{ .name = "ListNetworks",
	  .doc = "All networks, in several replies",
	  .out = &list_out, .flags = METHOD_REQUIRES_MORE, .handler = list_networks },
	{ .name = "ListPools",
	  .doc = "How full the pools of all networks are, and how they fare",
	  .out = &pools_out, .handler = list_pools },
	{ 0 },
};
/* clang-format on */
