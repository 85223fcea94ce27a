/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods about slots, but AcquireSlot and ExplainSlot. */
#include "config.h"

#include "methods.h"
#include "slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BATCH 32

/* clang-format off */
#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

struct slot_in {
	char *name;
	int64_t generation, ttl;
	int wait;
};

static const struct type name_in = {
	.size = sizeof(struct slot_in),
	.fields = (const struct field[]){
		F(slot_in, name, "name", FIELD_STRING, .check = slot_name_check, .doc = "NETWORK.NUMBER"),
		{ 0 },
	},
};

static const struct type open_in = {
	.size = sizeof(struct slot_in),
	.fields = (const struct field[]){
		F(slot_in, name, "name", FIELD_STRING, .check = slot_name_check, .doc = "NETWORK.NUMBER"),
		F(slot_in, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Only if its lease is of this generation"),
		{ 0 },
	},
};

static const struct type release_in = {
	.size = sizeof(struct slot_in),
	.fields = (const struct field[]){
		F(slot_in, name, "name", FIELD_STRING, .check = slot_name_check, .doc = "NETWORK.NUMBER"),
		F(slot_in, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Only if its lease is of this generation"),
		F(slot_in, wait, "wait", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "true: answer when nothing is left of it"),
		{ 0 },
	},
};

const struct type release_out_type = {
	.size = sizeof(struct release_out),
	.fields = (const struct field[]){
		F(release_out, state, "state", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &slot_state_type,
		  .doc = "draining: released, the kernel still holds a part of it; absent: nothing is left of the lease"),
		{ 0 },
	},
};

static const struct type renew_in = {
	.size = sizeof(struct slot_in),
	.fields = (const struct field[]){
		F(slot_in, name, "name", FIELD_STRING, .check = slot_name_check, .doc = "NETWORK.NUMBER"),
		F(slot_in, generation, "generation", FIELD_INT, .doc = "Of the lease, as AcquireSlot told it"),
		F(slot_in, ttl, "ttl", FIELD_INT, .flags = FIELD_NULLABLE, .min = 100, .max = INT64_C(31536000000),
		  .doc = "bond time: milliseconds from now on until the lease ends"),
		{ 0 },
	},
};

struct slot_out {
	struct slot *slot;
	int64_t fd;
};

static const struct type slot_out = {
	.size = sizeof(struct slot_out),
	.fields = (const struct field[]){
		F(slot_out, slot, "slot", FIELD_STRUCT, .of = &slot_type, .doc = "The slot as it is now"),
		{ 0 },
	},
};

static const struct type open_out = {
	.size = sizeof(struct slot_out),
	.fields = (const struct field[]){
		F(slot_out, slot, "slot", FIELD_STRUCT, .of = &slot_type, .doc = "The slot as it is now"),
		F(slot_out, fd, "fileDescriptor", FIELD_INT, .doc = "Index of its file descriptor in this reply"),
		{ 0 },
	},
};

struct list_in {
	char *network;
	int state;
};

static const struct type list_in = {
	.size = sizeof(struct list_in),
	.fields = (const struct field[]){
		F(list_in, network, "network", FIELD_STRING, .flags = FIELD_NULLABLE, .check = network_name_check,
		  .doc = "Only those on this network"),
		F(list_in, state, "state", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &slot_state_type,
		  .doc = "Only those in this state"),
		{ 0 },
	},
};

struct list_out {
	struct list v;
};

static const struct type list_out = {
	.size = sizeof(struct list_out),
	.fields = (const struct field[]){
		F(list_out, v, "slots", FIELD_LIST, .of = &slot_type, .doc = "The next of them"),
		{ 0 },
	},
};
/* clang-format on */

/* ---- look-up ---- */

static bool
is_held(const struct manager *m, const struct slot_object *s)
{
	enum record_state state = slot_state(m, s);
	return state == RECORD_LEASED || state == RECORD_DRAINING;
}

/* Root sees all slots, others what they have, or had. */
static bool
sees(const struct manager *m, const struct peer *p, const struct slot_object *s)
{
	return peer_is_root(p) || (is_held(m, s) && slot_record(m, s)->owner == (int64_t)p->uid);
}

int
look_up_slot(struct manager *m, struct request *r, const char *name, int64_t generation, struct slot_object **ret,
	     struct error *e)
{
	struct slot_object *s = find_slot(m, name);

	if (!s || !sees(m, request_peer(r), s))
		return error_set(e, ERROR_NOT_FOUND, "name", "no slot \"%s\"; \"nsc slot list\" shows what there is",
				 name);
	if (generation != FIELD_ABSENT_INT && generation != slot_record(m, s)->generation)
		return error_set(e, ERROR_STALE_GENERATION, "generation",
				 "slot \"%s\" is of generation %lld now, not %lld: it is another lease", name,
				 (long long)slot_record(m, s)->generation, (long long)generation);
	*ret = s;
	return 0;
}

static void
reply_slot(struct manager *m, struct request *r, const struct slot_object *s)
{
	struct slot_view v;
	struct slot_out reply = { .slot = &v.slot };

	slot_show(m, s, &v);
	request_reply(r, &slot_out, &reply);
}

static int
not_leased(const char *name, struct error *e)
{
	return error_set(e, ERROR_DRAINING, "name", "slot \"%s\" is not leased any more", name);
}

/* ---- release ---- */

static void
answer_release(struct request *r, struct slot_object *s, bool wait)
{
	struct release_out reply = { .state = SLOT_DRAINING };

	if (!wait || !wait_for_end(&s->waiters, r))
		request_reply(r, &release_out_type, &reply);
}

static bool
network_exists(const struct manager *m, const char *slot)
{
	char name[NETWORK_NAME_MAX_LENGTH + 1];

	snprintf(name, sizeof(name), "%.*s", (int)(strchrnul(slot, '.') - slot), slot);
	const struct object *o = find_network(m, name);
	return o && strtoul(strchrnul(slot, '.') + 1, NULL, 10) <= o->net->capacity;
}

/* A slot that is nobody's, or somebody else's by now, was released before. */
static int
release_slot(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct slot_in *asked = in;
	struct slot_object *s = find_slot(m, asked->name);
	struct release_out gone = { .state = FIELD_ABSENT_ENUM };
	int err = may_change(m, r, release_slot, in, e);

	if (err != 0)
		return err < 0 ? err : 0;
	if (!network_exists(m, asked->name))
		return error_set(e, ERROR_NOT_FOUND, "name", "no slot \"%s\"; \"nsc slot list\" shows what there is",
				 asked->name);
	if (!s || !sees(m, request_peer(r), s) || !is_held(m, s)) {
		request_reply(r, &release_out_type, &gone);
		return 0;
	}
	err = look_up_slot(m, r, asked->name, asked->generation, &s, e);
	if (err < 0)
		return err;
	if (slot_state(m, s) == RECORD_LEASED) {
		lease_end(m, s, "released");
		m->slots->attention = true;
	}
	answer_release(r, s, asked->wait == 1);
	return 0;
}

/* ---- renew ---- */

static int
renew_slot(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct slot_in *asked = in;
	struct slot_object *s;
	int err = may_change(m, r, renew_slot, in, e);

	if (err == 0)
		err = look_up_slot(m, r, asked->name, asked->generation, &s, e);
	if (err != 0)
		return err < 0 ? err : 0;
	if (slot_state(m, s) != RECORD_LEASED)
		return not_leased(asked->name, e);
	bool timed = slot_record(m, s)->bond == BOND_TIME;
	if (timed != (asked->ttl != FIELD_ABSENT_INT))
		return error_set(e, ERROR_INVALID_VALUE, "ttl",
				 timed ? "a lease bound to a time needs a new time to live" :
					 "this lease is not bound to a time");
	if (timed)
		lease_renew(m, s, asked->ttl);
	err = lease_rebind(m, s, r, e);
	if (err == 0)
		reply_slot(m, r, s);
	return err;
}

/* ---- get, open ---- */

static int
get_slot(void *context, struct request *r, void *in, struct error *e)
{
	const struct slot_in *asked = in;
	struct slot_object *s;
	int err = look_up_slot(context, r, asked->name, FIELD_ABSENT_INT, &s, e);

	if (err == 0)
		reply_slot(context, r, s);
	return err;
}

static int
open_slot(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct slot_in *asked = in;
	struct slot_object *s;
	struct slot_view v;
	struct slot_out reply = { .slot = &v.slot };
	int fd, err = look_up_slot(m, r, asked->name, asked->generation, &s, e);

	if (err == 0 && slot_state(m, s) != RECORD_LEASED)
		err = not_leased(asked->name, e);
	if (err == 0)
		err = vault_open_pin(m->slots->vault, asked->name, &fd, e);
	if (err < 0)
		return err;
	slot_show(m, s, &v);
	request_reply_fd(r, &open_out, &reply, fd);
	return 0;
}

/* ---- list ---- */

struct listing {
	struct manager *m;
	struct peer peer;
	char network[NETWORK_NAME_MAX_LENGTH + 1];
	int state;
	uint32_t next; /* record */
};

static bool
is_wanted(const struct listing *l, const struct slot_object *s)
{
	return s && sees(l->m, &l->peer, s) && (!*l->network || strcmp(slot_spec(s)->name, l->network) == 0);
}

static int
fill_slots(struct request *r, void *arg)
{
	struct listing *l = arg;
	const struct slots *all = l->m->slots;
	CLEANUP(free_ptr) struct slot_view *views = calloc(BATCH, sizeof(*views));
	struct slot v[BATCH];
	struct list_out reply = { .v = { .v = v, .set = true } };

	for (unsigned looked = 0; views && l->next < all->n_records && reply.v.n < BATCH && looked < 32 * BATCH;
	     l->next++, looked++) {
		const struct slot_object *s = all->by_record[l->next];
		if (!is_wanted(l, s))
			continue;
		struct slot_view *view = &views[reply.v.n];
		slot_show(l->m, s, view);
		if (l->state == FIELD_ABSENT_ENUM || l->state == view->slot.state)
			v[reply.v.n++] = view->slot;
	}
	bool more = views && l->next < all->n_records;
	if (more && reply.v.n)
		request_continue(r, &list_out, &reply);
	else if (!more)
		request_reply(r, &list_out, &reply);
	return more;
}

static int
list_slots(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct list_in *asked = in;

	if (asked->network && !find_network(m, asked->network))
		return error_set(e, ERROR_NOT_FOUND, "network",
				 "no network \"%s\"; \"nsc network list\" shows what there is", asked->network);
	struct listing *l = calloc(1, sizeof(*l));
	if (!l)
		return error_errno(e, ENOMEM, "listing slots");
	*l = (struct listing){ .m = m, .peer = *request_peer(r), .state = asked->state };
	snprintf(l->network, sizeof(l->network), "%s", asked->network ? asked->network : "");
	request_stream(r, fill_slots, free, l);
	return 0;
}

/* clang-format off */
const struct method slot_methods[] = {
	{ .name = "AcquireSlot",
	  .doc = "Hands out a slot of a network: a namespace ready to use, the caller's alone until the lease ends",
	  .in = &acquire_in_type, .out = &acquire_out_type, .flags = METHOD_TAKES_FDS | METHOD_RETURNS_FDS,
	  .handler = acquire_slot },
	{ .name = "ReleaseSlot",
	  .doc = "Ends a lease; the slot is destroyed. Again for a lease that has ended: the same success",
	  .in = &release_in, .out = &release_out_type, .handler = release_slot },
	{ .name = "RenewSlot",
	  .doc = "Gives a lease a new time to live, or binds it to this connection",
	  .in = &renew_in, .out = &slot_out, .handler = renew_slot },
	{ .name = "GetSlot", .doc = "One slot", .in = &name_in, .out = &slot_out, .handler = get_slot },
	{ .name = "ListSlots",
	  .doc = "Slots, in several replies: root's are all, others' their own",
	  .in = &list_in, .out = &list_out, .flags = METHOD_REQUIRES_MORE, .handler = list_slots },
	{ .name = "OpenSlot",
	  .doc = "A file descriptor of a leased slot's network namespace, for setns(2)",
	  .in = &open_in, .out = &open_out, .flags = METHOD_RETURNS_FDS, .handler = open_slot },
	{ .name = "ExplainSlot",
	  .doc = "Who has a slot, since when, and what holds it",
	  .in = &name_in, .out = &explain_out_type, .handler = explain_slot },
	{ 0 },
};
/* clang-format on */
