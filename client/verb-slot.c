/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc slot get, release, renew, list, show, explain. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "failure.h"
#include "json.h"
#include "lease.h"
#include "member.h"
#include "model-network.h"
#include "print.h"
#include "process.h"
#include "values.h"
#include "verb.h"
#include "view-network.h"

#define TTL_MAX INT64_C(31536000000) /* a year */

/* clang-format off */
static const struct type request_type = {
	.fields = (const struct field[]){
		{ .name = "generation", .type = FIELD_INT, .min = 1, .max = INT64_MAX },
		{ .name = "wait", .type = FIELD_BOOL },
		{ .name = "ttl", .type = FIELD_INT, .min = 100, .max = TTL_MAX },
		{ .name = "bond", .type = FIELD_ENUM, .of = &lease_bond_type },
		{ .name = "state", .type = FIELD_ENUM, .of = &slot_state_type },
		{ .name = "pid", .type = FIELD_STRING },
		{ .name = "names", .type = FIELD_BOOL },
		{ 0 },
	},
};

static const struct word get_words[] = {
	{ .name = "--ttl", .value = "TIME", .help = "until it is renewed no more: 1500ms, 30s, 5m", .of = &request_type,
	  .field = "ttl", .set = value_time },
	{ .name = "--pid", .value = "PID", .help = "until that process ends", .of = &request_type, .field = "pid",
	  .target = 1, .noun = NOUN_PROCESS },
	{ .name = "--bond", .value = "process|time|nothing", .help = "what ends the lease beside its release [nothing, or as "
	  "--ttl or --pid say]", .of = &request_type, .field = "bond" },
	{ .name = "--name", .help = "print its name only", .of = &request_type, .field = "names", .constant = "true",
	  .target = 1 },
	{ .more = lease_words },
};

#define GENERATION \
	.name = "--generation", .aliases = "generation", .value = "N", .of = &request_type, .field = "generation"

static const struct word release_words[] = {
	{ GENERATION, .help = "only the lease of that generation, not a later one" },
	{ .name = "--wait", .help = "come back when it is really gone", .of = &request_type, .field = "wait",
	  .constant = "true" },
	{ 0 },
};

static const struct word renew_words[] = {
	{ GENERATION, .help = "of the lease; it must be given" },
	{ .name = "--ttl", .value = "TIME", .help = "from now on [as long as it was acquired for]", .of = &request_type,
	  .field = "ttl", .set = value_time },
	{ 0 },
};

static const struct word list_words[] = {
	{ .name = "--state", .value = "making|ready|leased|draining", .help = "only slots in that state",
	  .of = &request_type, .field = "state" },
	{ .name = "--names", .help = "names only, one a line", .of = &request_type, .field = "names",
	  .constant = "true", .target = 1 },
	{ 0 },
};
/* clang-format on */

/* What ends the lease: nsc itself cannot, since it is gone at once. */
static int
complete_bond(const struct client *c, const struct arguments *a, int *fd, struct error *e)
{
	const char *pid = member_string(a->local, "pid"), *bond = member_string(a->words, "bond");
	bool ttl = member_has(a->words, "ttl");
	int value = enum_value(&lease_bond_type, bond);

	if (value == BOND_CONNECTION)
		return fail(e, FAILURE_USAGE,
			    "--bond connection: nsc ends at once, and with it the lease; see \"nsc slot run\"");
	if (value == BOND_PROCESS && !pid[0])
		return fail(e, FAILURE_USAGE, "--bond process: which one? Give --pid PID");
	if (value == BOND_TIME && !ttl)
		return fail(e, FAILURE_USAGE, "--bond time: how long? Give --ttl TIME");
	if ((pid[0] && (ttl || (bond[0] && value != BOND_PROCESS))) || (ttl && bond[0] && value != BOND_TIME))
		return fail(e, FAILURE_USAGE, "--bond, --ttl and --pid contradict each other");
	if (pid[0] && c->host)
		return fail(e, FAILURE_USAGE, "--pid %s: a process of %s cannot be sent from here; run nsc there", pid,
			    c->host);
	if (pid[0]) {
		int r = process_open(pid, fd, e);
		return r < 0 ? r : member_put_int(a->words, "processFileDescriptor", 0, e);
	}
	return bond[0] || ttl ? 0 : member_put_string(a->words, "bond", "nothing", e);
}

static int
run_get(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	CLEANUP(close_fd) int fd = -1;
	int r = lease_complete(a->words, a->v[0], e);

	if (r == 0)
		r = complete_bond(c, a, &fd, e);
	if (r == 0)
		r = call_with_fd(c, "AcquireSlot", a->words, fd, &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	if (!member_bool(a->local, "names")) {
		view_slot(member_get(reply, "slot"));
		return 0;
	}
	print_text(stdout, member_string(member_get(reply, "slot"), "name"));
	putchar('\n');
	return 0;
}

/* Calls `method` for the slot that the first argument names. */
static int
call_named(struct client *c, const char *method, const struct arguments *a, unsigned flags, struct json_object **ret,
	   struct error *e)
{
	if (slot_name_check(a->v[0], e) < 0)
		return fail_wrap(e, FAILURE_USAGE, a->v[0]);
	int r = member_put_string(a->words, "name", a->v[0], e);
	return r < 0 ? r : call(c, method, a->words, flags, ret, e);
}

static const char waiting[] =
	"waiting until the kernel has let go of it; \"nsc slot explain\" tells what holds it, and "
	"stopping nsc does not stop the release";

static int
run_release(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	bool wait = member_bool(a->words, "wait");

	c->notice = wait ? waiting : NULL;
	int r = call_named(c, "ReleaseSlot", a, wait ? CALL_WAIT : 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

static int
run_renew(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;

	if (!member_has(a->words, "generation"))
		return fail(e, FAILURE_USAGE,
			    "slot renew wants --generation N, of the lease; \"nsc slot show\" tells it");
	int r = call_named(c, "RenewSlot", a, 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

static int
run_list(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = a->n ? member_put_string(a->words, "network", a->v[0], e) : 0;
	if (r == 0)
		r = call_collect(c, "ListSlots", a->words, "slots", &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	if (member_bool(a->local, "names")) {
		view_names(reply, "slots");
		return 0;
	}

	CLEANUP(table_free) struct table *t = table_new(view_slot_headings);
	if (!t)
		return fail_memory(e);
	for (size_t i = 0; i < member_count(reply, "slots"); i++)
		view_slot_row(t, member_item(reply, "slots", i));
	return table_print(t, e);
}

static int
run_show(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_named(c, "GetSlot", a, 0, &reply, e);

	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	view_slot(member_get(reply, "slot"));
	return 0;
}

static int
print_holders(struct json_object *reply, struct error *e)
{
	static const char *const headings[] = { "PID", "COMMAND", "HOW", NULL };
	size_t n = member_count(reply, "holders");
	if (n == 0)
		return 0;

	CLEANUP(table_free) struct table *t = table_new(headings);
	if (!t)
		return fail_memory(e);
	for (size_t i = 0; i < n; i++) {
		struct json_object *holder = member_item(reply, "holders", i);
		view_cell_number(t, holder, "pid");
		table_add(t, member_string(holder, "command"));
		table_add(t, member_string(holder, "how"));
	}
	putchar('\n');
	return table_print(t, e);
}

static int
run_explain(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_named(c, "ExplainSlot", a, 0, &reply, e);

	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	print_lines(member_string(reply, "text"));
	return print_holders(reply, e);
}

/* clang-format off */
const struct verb slot_verbs[] = {
	{ .name = "slot get", .aliases = "acquire", .arguments = "NETWORK", .help = "take a slot of a network", .min = 1,
	  .max = 1, .words = get_words, .nouns = { NOUN_NETWORK }, .run = run_get,
	  .text = "The slot is yours until you release it, or as --ttl or --pid say. With --key it may be repeated: as long\n"
		  "as the slot of that key is not released it is the one that is shown.\n" },
	{ .name = "slot release", .aliases = "del delete rm", .arguments = "SLOT", .help = "give a slot back", .min = 1,
	  .max = 1, .words = release_words, .nouns = { NOUN_SLOT }, .run = run_release,
	  .text = "It is destroyed, and nobody gets it again. What is released already is no error. As long as a process is\n"
		  "inside it is \"draining\", and its addresses rest.\n" },
	{ .name = "slot renew", .arguments = "SLOT", .help = "put off the end of a lease with a time to live", .min = 1,
	  .max = 1, .words = renew_words, .nouns = { NOUN_SLOT }, .run = run_renew },
	{ .name = "slot list", .aliases = "ls", .arguments = "[NETWORK]", .help = "list the slots", .max = 1,
	  .flags = VERB_DEFAULT, .words = list_words, .nouns = { NOUN_NETWORK }, .run = run_list,
	  .text = "Whoever is not root sees the slots that are leased to him.\n" },
	{ .name = "slot show", .aliases = "inspect", .arguments = "SLOT", .help = "show all about a slot", .min = 1,
	  .max = 1, .nouns = { NOUN_SLOT }, .run = run_show },
	{ .name = "slot explain", .arguments = "SLOT", .help = "tell who has a slot, and what keeps it from going", .min = 1,
	  .max = 1, .nouns = { NOUN_SLOT }, .run = run_explain },
	{ 0 },
};
/* clang-format on */
