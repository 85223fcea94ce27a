/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc network add, set, del, list, show, repair. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#include "call.h"
#include "failure.h"
#include "json.h"
#include "member.h"
#include "model-network.h"
#include "print.h"
#include "values.h"
#include "verb.h"
#include "view-network.h"

/* clang-format off */
static const struct type request_type = {
	.fields = (const struct field[]){
		{ .name = "generation", .type = FIELD_INT, .min = 1, .max = INT64_MAX },
		{ .name = "force", .type = FIELD_BOOL },
		{ .name = "wait", .type = FIELD_BOOL },
		{ .name = "ensure", .type = FIELD_BOOL },
		{ .name = "names", .type = FIELD_BOOL },
		{ 0 },
	},
};

/* What may change later. */
static const struct word change_words[] = {
	{ .name = "--mtu", .value = "N", .help = "largest packet in bytes [1500]", .of = &network_type, .field = "mtu" },
	{ .name = "--egress", .value = "none|routed|masquerade",
	  .help = "what leaves the host: nothing, packets with the slot's address, or with the host's [none]",
	  .of = &network_type, .field = "egress" },
	{ .name = "--isolation", .help = "slots do not reach each other [so]", .of = &network_type, .field = "isolated",
	  .constant = "true" },
	{ .name = "--no-isolation", .help = "slots reach each other", .of = &network_type, .field = "isolated",
	  .constant = "false" },
	{ .name = "--service", .value = "PROTOCOL/PORT", .help = "what of the host slots may reach, like tcp/53; or \"none\"",
	  .of = &network_type, .field = "services", .set = value_service },
	{ .name = "--dns", .value = "ADDRESS", .help = "name server of the slots; or \"none\"", .of = &network_type,
	  .field = "dns", .set = value_string },
	{ .name = "--publish", .value = "PROTOCOL/FIRST-LAST",
	  .help = "ports of the host that slots may publish, like tcp/30000-30999; or \"none\"", .of = &network_type,
	  .field = "publish", .set = value_ports },
	{ .name = "--sysctl", .aliases = "sysctl", .value = "KEY=VALUE", .help = "a setting of the kernel in every slot",
	  .of = &network_type, .field = "sysctls" },
	{ .name = "--ready", .value = "N", .help = "slots that the pool keeps ready [0]", .of = &network_type,
	  .field = "ready" },
	{ .name = "--maximum", .value = "N", .help = "slots at most [as many as the prefixes have room for]",
	  .of = &network_type, .field = "maximum" },
	{ .name = "--label", .aliases = "label", .value = "KEY=VALUE", .help = "a note of your own", .of = &network_type,
	  .field = "labels" },
	{ 0 },
};

static const struct word spec_words[] = {
	{ .name = "--ipv4", .value = "PREFIX", .help = "like 10.64.0.0/16; each slot takes two addresses",
	  .of = &network_type, .field = "ipv4" },
	{ .name = "--ipv6", .value = "PREFIX", .help = "like fd00:64::/112", .of = &network_type, .field = "ipv6" },
	{ .name = "--interface", .value = "NAME", .help = "of the slots [eth0]", .of = &network_type,
	  .field = "interface" },
	{ .name = "--inner4", .value = "A/L", .help = "address that every slot has inside, for clones of one machine",
	  .of = &network_type, .field = "inner4" },
	{ .name = "--inner6", .value = "A/L", .help = "the same for IPv6", .of = &network_type, .field = "inner6" },
	{ .name = "--ensure", .help = "succeed if the same network is there already", .of = &request_type,
	  .field = "ensure", .constant = "true", .target = 1 },
	{ .more = change_words },
};

static const struct word set_words[] = {
	{ .name = "--generation", .aliases = "generation", .value = "N",
	  .help = "only if it is still the one of that generation", .of = &request_type, .field = "generation" },
	{ .more = change_words },
};

static const struct word delete_words[] = {
	{ .name = "--force", .help = "even if slots are leased", .of = &request_type, .field = "force",
	  .constant = "true" },
	{ .name = "--wait", .help = "come back when it is really gone", .of = &request_type, .field = "wait",
	  .constant = "true" },
	{ .name = "--generation", .aliases = "generation", .value = "N",
	  .help = "only if it is still the one of that generation", .of = &request_type, .field = "generation" },
	{ 0 },
};

static const struct word list_words[] = {
	{ .name = "--names", .help = "names only, one a line", .of = &request_type, .field = "names",
	  .constant = "true", .target = 1 },
	{ 0 },
};
/* clang-format on */

static int
run_add(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	bool ensure = member_bool(a->local, "ensure");

	if (network_name_check(a->v[0], e) < 0)
		return fail_wrap(e, FAILURE_USAGE, a->v[0]);
	if (!member_has(a->words, "ipv4") && !member_has(a->words, "ipv6"))
		return fail(e, FAILURE_USAGE, "network add %s: want --ipv4 PREFIX, --ipv6 PREFIX or both", a->v[0]);
	int r = member_put_string(a->words, "name", a->v[0], e);
	if (r == 0)
		r = call(c, ensure ? "EnsureNetwork" : "CreateNetwork", a->words, 0, &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	if (ensure)
		printf("%s: %s\n", a->v[0], member_bool(reply, "created") ? "created" : "unchanged");
	return 0;
}

/* Calls `method` for the network that the first argument names. */
static int
call_named(struct client *c, const char *method, const struct arguments *a, unsigned flags, struct json_object **ret,
	   struct error *e)
{
	int r = member_put_string(a->words, "name", a->v[0], e);

	return r < 0 ? r : call(c, method, a->words, flags, ret, e);
}

static int
run_set(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;

	if (json_object_object_length(a->words) == (member_has(a->words, "generation") ? 1 : 0))
		return fail(e, FAILURE_USAGE, "nothing to set; see \"nsc help network set\"");
	int r = call_named(c, "ChangeNetwork", a, 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

static const char waiting[] =
	"waiting until the kernel has let go of all its slots; \"nsc slot explain\" tells what holds "
	"one, and stopping nsc does not stop the deletion";

static int
run_delete(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	bool wait = member_bool(a->words, "wait");

	c->notice = wait ? waiting : NULL;
	int r = call_named(c, "DeleteNetwork", a, wait ? CALL_WAIT : 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

static int
run_list(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_collect(c, "ListNetworks", a->words, "networks", &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	if (member_bool(a->local, "names")) {
		view_names(reply, "networks");
		return 0;
	}

	CLEANUP(table_free) struct table *t = table_new(view_network_headings);
	if (!t)
		return fail_memory(e);
	for (size_t i = 0; i < member_count(reply, "networks"); i++)
		view_network_row(t, member_item(reply, "networks", i));
	return table_print(t, e);
}

static int
run_show(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_named(c, "GetNetwork", a, 0, &reply, e);

	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	view_network(member_get(reply, "network"));
	return 0;
}

static int
run_repair(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_named(c, "RepairNetwork", a, 0, &reply, e);

	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

/* clang-format off */
const struct verb network_verbs[] = {
	{ .name = "network add", .arguments = "NAME", .help = "make a subnet with a router, from which slots are handed out",
	  .min = 1, .max = 1, .words = spec_words, .run = run_add,
	  .text = "For example\n\n"
		  "  nsc network add web --ipv4 10.64.0.0/16 --egress masquerade --dns 10.64.0.0 --service udp/53 --ready 64\n\n"
		  "It comes back after a reboot, and so does its pool. With --ensure it prints \"created\" or \"unchanged\";\n"
		  "one of that name with another specification is an error.\n" },
	{ .name = "network set", .arguments = "NAME", .help = "change a network", .min = 1, .max = 1, .words = set_words,
	  .nouns = { NOUN_NETWORK }, .run = run_set,
	  .text = "Lists (--service, --dns, --publish) are given whole; labels and sysctls join those that are there. MTU and\n"
		  "sysctls hold for slots that are handed out from then on.\n" },
	{ .name = "network del", .aliases = "delete rm", .arguments = "NAME", .help = "delete a network with all its slots",
	  .min = 1, .max = 1, .words = delete_words, .nouns = { NOUN_NETWORK }, .run = run_delete,
	  .text = "While slots are leased it takes --force.\n" },
	{ .name = "network list", .aliases = "ls", .help = "list the networks", .max = 0, .flags = VERB_DEFAULT,
	  .words = list_words, .run = run_list },
	{ .name = "network show", .aliases = "inspect get", .arguments = "NAME", .help = "show all about a network",
	  .min = 1, .max = 1, .nouns = { NOUN_NETWORK }, .run = run_show },
	{ .name = "network repair", .arguments = "NAME", .help = "make a lost or drifted network as it should be",
	  .min = 1, .max = 1, .nouns = { NOUN_NETWORK }, .run = run_repair },
	{ 0 },
};
/* clang-format on */
