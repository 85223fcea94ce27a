/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods about links that change something: make, ensure, change, repair, delete. */
#include "config.h"

#include "methods.h"

#include <errno.h>
#include <string.h>

#include "prepare.h"

/* clang-format off */
#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

static const struct type create_in = {
	.size = sizeof(struct link),
	.fields = (const struct field[]){
		{ .name = "", .type = FIELD_EMBED, .of = &link_type },
		{ 0 },
	},
};

struct created_link {
	struct link *link;
	int created;
};

static const struct type link_out = {
	.size = sizeof(struct created_link),
	.fields = (const struct field[]){
		F(created_link, link, "link", FIELD_STRUCT, .of = &link_type, .doc = "The link as it is now"),
		{ 0 },
	},
};

static const struct type ensure_out = {
	.size = sizeof(struct created_link),
	.fields = (const struct field[]){
		F(created_link, link, "link", FIELD_STRUCT, .of = &link_type, .doc = "The link as it is now"),
		F(created_link, created, "created", FIELD_BOOL, .doc = "false: it was there already"),
		{ 0 },
	},
};

struct link_name {
	char *name;
	int64_t generation;
	int wait;
};

static const struct type name_in = {
	.size = sizeof(struct link_name),
	.fields = (const struct field[]){
		F(link_name, name, "name", FIELD_STRING, .check = name_check, .doc = "Its name"),
		{ 0 },
	},
};

static const struct type delete_in = {
	.size = sizeof(struct link_name),
	.fields = (const struct field[]){
		F(link_name, name, "name", FIELD_STRING, .check = name_check, .doc = "Its name"),
		F(link_name, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Only if it is of this generation"),
		F(link_name, wait, "wait", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "true: answer when nothing is left of it"),
		{ 0 },
	},
};

struct end_change {
	char *namespace, *interface, *mac, *bridge;
	int host, up, no_bridge;
	int64_t mtu;
	struct strings addresses, add, remove;
	struct list routes;
};

static const struct type end_change_type = {
	.name = "EndChange",
	.doc = "What to change on one end of a link; what is absent stays",
	.size = sizeof(struct end_change),
	.fields = (const struct field[]){
		F(end_change, namespace, "namespace", FIELD_STRING, .flags = FIELD_NULLABLE, .check = name_check,
		  .doc = "Namespace to move it to; slow, about 20 ms"),
		F(end_change, host, "host", FIELD_BOOL, .flags = FIELD_NULLABLE, .doc = "true: move it to the host"),
		F(end_change, interface, "interface", FIELD_STRING, .flags = FIELD_NULLABLE, .check = interface_check,
		  .doc = "New interface name"),
		F(end_change, mac, "mac", FIELD_STRING, .flags = FIELD_NULLABLE, .check = mac_check, .doc = "New MAC address"),
		F(end_change, mtu, "mtu", FIELD_INT, .flags = FIELD_NULLABLE, .min = 68, .max = 65535, .doc = "New MTU"),
		F(end_change, up, "up", FIELD_BOOL, .flags = FIELD_NULLABLE, .doc = "Up or down"),
		F(end_change, addresses, "addresses", FIELD_STRINGS, .flags = FIELD_NULLABLE, .max = 32,
		  .check = address_check, .doc = "All its addresses from now on"),
		F(end_change, add, "addAddresses", FIELD_STRINGS, .flags = FIELD_NULLABLE, .max = 32, .check = address_check,
		  .doc = "Addresses to add"),
		F(end_change, remove, "removeAddresses", FIELD_STRINGS, .flags = FIELD_NULLABLE, .max = 32,
		  .check = address_check, .doc = "Addresses to take away"),
		F(end_change, routes, "routes", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &route_type, .max = 64,
		  .doc = "All its routes from now on"),
		F(end_change, bridge, "bridge", FIELD_STRING, .flags = FIELD_NULLABLE, .check = interface_check,
		  .doc = "Bridge to become a port of"),
		F(end_change, no_bridge, "noBridge", FIELD_BOOL, .flags = FIELD_NULLABLE, .doc = "true: leave its bridge"),
		{ 0 },
	},
};

struct change_link {
	char *name;
	int64_t generation, end;
	struct pairs labels;
	struct end_change *change;
};

static const struct type change_in = {
	.size = sizeof(struct change_link),
	.fields = (const struct field[]){
		F(change_link, name, "name", FIELD_STRING, .check = name_check, .doc = "Its name"),
		F(change_link, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Only if it is of this generation"),
		F(change_link, end, "end", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = 1,
		  .doc = "Which of its ends to change; absent: the first"),
		F(change_link, change, "change", FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &end_change_type,
		  .doc = "What to change on that end"),
		F(change_link, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 32, .check = label_key_check,
		  .check_value = label_value_check, .doc = "Labels to set; an empty value takes one away"),
		{ 0 },
	},
};
/* clang-format on */

static void
reply_created(struct request *r, struct object *ns UNUSED, struct object **links, unsigned n UNUSED, bool created)
{
	struct created_link reply = { .link = &links[0]->link, .created = created };
	request_reply(r, &link_out, &reply);
}

static void
reply_ensured(struct request *r, struct object *ns UNUSED, struct object **links, unsigned n UNUSED, bool created)
{
	struct created_link reply = { .link = &links[0]->link, .created = created };
	request_reply(r, &ensure_out, &reply);
}

static void
reply_link(struct request *r, struct object *o)
{
	struct created_link reply = { .link = &o->link };
	request_reply(r, &link_out, &reply);
}

static int
create_link(void *context, struct request *r, void *in, struct error *e)
{
	const struct list one = { .v = in, .n = 1, .set = true };
	return create_objects(context, r, create_link, in, NULL, &one, false, reply_created, e);
}

static int
ensure_link(void *context, struct request *r, void *in, struct error *e)
{
	const struct list one = { .v = in, .n = 1, .set = true };
	return create_objects(context, r, ensure_link, in, NULL, &one, true, reply_ensured, e);
}

static int
delete_link(void *context, struct request *r, void *in, struct error *e)
{
	const struct link_name *n = in;
	struct object *o;
	int err = look_up_idle(context, r, delete_link, in, OBJECT_LINK, n->name, n->generation, &o, e);

	if (err == 0)
		err = remove_object(context, r, delete_link, in, o, n->wait == 1, e);
	return err > 0 ? 0 : err;
}

static int
repair(void *context, struct request *r, void *in, struct error *e)
{
	const struct link_name *n = in;
	struct object *o;
	int err = look_up_idle(context, r, repair, in, OBJECT_LINK, n->name, FIELD_ABSENT_INT, &o, e);

	if (err == 0)
		err = repair_object(context, r, o, reply_link, e);
	return err > 0 ? 0 : err;
}

/* ---- change ---- */

static int
give(char **to, char **from)
{
	if (*from) {
		free(*to);
		*to = TAKE_PTR(*from);
	}
	return 0;
}

static void
drop_text(char **text)
{
	free(*text);
	*text = NULL;
}

static void
remove_address(struct strings *s, const char *text)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i], text) == 0) {
			free(s->v[i]);
			memmove(s->v + i, s->v + i + 1, (--s->n - i) * sizeof(*s->v));
			return;
		}
}

/* `text` in its canonical form, as addresses are kept. */
static int
canonical_address(const char *text, char buffer[INET6_ADDRSTRLEN + 4], struct error *e)
{
	struct prefix p;
	int err = prefix_parse(text, false, &p, e);
	if (err == 0)
		prefix_format(&p, buffer);
	return err;
}

static int
change_addresses(struct end *end, struct end_change *c, struct error *e)
{
	char text[INET6_ADDRSTRLEN + 4];
	int err = 0;

	if (c->addresses.set) {
		strings_done(&end->addresses);
		end->addresses = c->addresses;
		c->addresses = (struct strings){ 0 };
	}
	for (size_t i = 0; i < c->remove.n && err == 0; i++) {
		err = canonical_address(c->remove.v[i], text, e);
		if (err == 0 && !strings_contain(&end->addresses, text)) {
			err = error_set(e, ERROR_NOT_FOUND, NULL, "%s has no address %s", end->interface, text);
			error_prefix_field(e, "removeAddresses", (long)i);
		}
		if (err == 0)
			remove_address(&end->addresses, text);
	}
	for (size_t i = 0; i < c->add.n && err == 0; i++) {
		err = canonical_address(c->add.v[i], text, e);
		if (err == 0 && strings_contain(&end->addresses, text)) {
			err = error_set(e, ERROR_ALREADY_EXISTS, NULL, "%s has the address %s already", end->interface,
					text);
			error_prefix_field(e, "addAddresses", (long)i);
		}
		if (err == 0 && strings_add(&end->addresses, text) < 0)
			err = error_errno(e, ENOMEM, "adding addresses");
	}
	return err;
}

/* Applies the change to a copy of the end. Texts are taken out of the request. */
static int
apply_change(struct end *end, struct end_change *c, struct error *e)
{
	if (c->namespace && c->host == 1)
		return error_set(e, ERROR_INVALID_VALUE, "host", "an end goes to a namespace or to the host, not both");
	if (c->bridge && c->no_bridge == 1)
		return error_set(e, ERROR_INVALID_VALUE, "noBridge", "an end joins a bridge or leaves it, not both");
	bool moves = c->host == 1 ? end->namespace != NULL :
				    c->namespace && (!end->namespace || strcmp(c->namespace, end->namespace) != 0);
	if (moves || c->no_bridge == 1)
		drop_text(&end->bridge);
	if (c->host == 1)
		drop_text(&end->namespace);
	give(&end->namespace, &c->namespace);
	give(&end->interface, &c->interface);
	give(&end->mac, &c->mac);
	give(&end->bridge, &c->bridge);
	if (c->mtu != FIELD_ABSENT_INT)
		end->mtu = c->mtu;
	if (c->up != FIELD_ABSENT_BOOL)
		end->up = c->up;
	if (c->routes.set) {
		struct list old = end->routes;
		end->routes = c->routes;
		c->routes = old;
	}
	int err = change_addresses(end, c, e);
	if (err == 0)
		err = prepare_end(end, e);
	return err < 0 ? err : prepare_check_end(end, e);
}

static int
change_spec(const struct peer *peer, struct object *o, struct change_link *c, struct link *spec, struct error *e)
{
	unsigned i = c->end == FIELD_ABSENT_INT ? 0 : (unsigned)c->end;
	int err = merge_labels(&spec->labels, &c->labels, e);

	if (err < 0 || !c->change)
		return err;
	if (i >= spec->ends.n)
		return error_set(e, ERROR_INVALID_VALUE, "end", "link \"%s\" has only one end", o->link.name);
	struct end *end = (struct end *)spec->ends.v + i;
	if (!end->namespace && !peer_is_root(peer))
		return error_set(e, ERROR_PERMISSION_DENIED, "end", "only root may change an interface of the host");
	if ((c->change->namespace || c->change->host == 1) && !link_kind_ops(o->link.kind)->moves)
		return error_set(e, ERROR_NOT_SUPPORTED, "change.namespace", "a link of kind %s cannot be moved",
				 link_kind_ops(o->link.kind)->name);
	err = apply_change(end, c->change, e);
	if (err < 0)
		error_prefix_field(e, "change", -1);
	return err;
}

/* An end that moves waits until the namespace it goes to is idle. Returns 1 when the request was parked. */
static int
wait_for_place(struct manager *m, struct request *r, method_handler *handler, struct change_link *c)
{
	const struct object *ns = c->change && c->change->namespace ? find_namespace(m, c->change->namespace) : NULL;
	struct error reason = { 0 };

	if (!ns || !ns->busy || !peer_sees(request_peer(r), ns))
		return 0;
	error_set(&reason, ERROR_BUSY, "change.namespace", "another request is working on namespace \"%s\"; try again",
		  ns->ns.name);
	return park(m, r, handler, c, &reason);
}

static int
change(void *context, struct request *r, void *in, struct error *e)
{
	struct change_link *c = in;
	struct link spec;
	struct object *o;
	int err = look_up_idle(context, r, change, in, OBJECT_LINK, c->name, c->generation, &o, e);

	if (err == 0)
		err = wait_for_place(context, r, change, c);
	if (err != 0)
		return err > 0 ? 0 : err;
	if (o->link.state != STATE_READY)
		return not_ready(o, e);
	err = fields_copy(&link_type, &o->link, &spec, e);
	if (err < 0)
		return err;
	err = change_spec(request_peer(r), o, c, &spec, e);
	if (err < 0) {
		link_done(&spec);
		return err;
	}
	return change_link(context, r, o, &spec, reply_link, e);
}

/* clang-format off */
const struct method link_methods[] = {
	{ .name = "CreateLink",
	  .doc = "Makes a link: a veth pair between any two of host and namespaces, or a bridge. All of it or nothing",
	  .in = &create_in, .out = &link_out, .handler = create_link },
	{ .name = "EnsureLink",
	  .doc = "Like CreateLink, but one that exists with the same specification is left as it is. SpecDiffers names the "
		 "first field that is different",
	  .in = &create_in, .out = &ensure_out, .handler = ensure_link },
	{ .name = "ChangeLink",
	  .doc = "Changes one end, or the labels, all of it or nothing",
	  .in = &change_in, .out = &link_out, .handler = change },
	{ .name = "RepairLink",
	  .doc = "Makes a lost link again; takes back changes that others made to one that is there",
	  .in = &name_in, .out = &link_out, .handler = repair },
	{ .name = "DeleteLink",
	  .doc = "Deletes a link. The reply comes when that is recorded (state draining), or with wait when its interfaces are "
		 "gone",
	  .in = &delete_in, .out = &removal_reply_type, .handler = delete_link },
	{ 0 },
};
/* clang-format on */
