/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc link add, ensure, del, list, show, repair. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "failure.h"
#include "json.h"
#include "ends.h"
#include "member.h"
#include "model.h"
#include "print.h"
#include "verb.h"
#include "view.h"

static word_parse parse_address, parse_peer, parse_name;

/* clang-format off */
static const struct word spec_words[] = {
	{ .name = "address", .value = "A/L", .help = "address with prefix length; \"address\" may be left out; or a MAC",
	  .of = &end_type, .field = "addresses", .bare = end_is_prefix, .parse = parse_address },
	{ .name = "route", .value = "DST [via GW] [metric N]", .help = "route through this end", .repeats = true,
	  .parse = end_parse_route },
	{ .name = "peer", .value = "[IFNAME]", .help = "what follows is about the other end", .parse = parse_peer },
	{ .name = "type", .value = "veth|bridge", .help = "a pair (the default) or a bridge", .of = &link_type,
	  .field = "kind" },
	{ .name = "name", .value = "NAME", .help = "of the link; of the end's interface if that has none yet",
	  .of = &link_type, .field = "name", .parse = parse_name },
	{ .name = "runtime", .help = "gone at the next boot", .of = &link_type, .field = "lifetime",
	  .constant = "runtime" },
	{ .name = "persistent", .help = "made again at boot; the default, unless a namespace of it is runtime",
	  .of = &link_type, .field = "lifetime", .constant = "persistent" },
	{ .name = "label", .value = "KEY=VALUE", .help = "a note of your own", .of = &link_type, .field = "labels" },
	{ .more = end_words },
};

static const struct type request_type = {
	.fields = (const struct field[]){
		{ .name = "generation", .type = FIELD_INT, .min = 1, .max = INT64_MAX },
		{ .name = "wait", .type = FIELD_BOOL },
		{ .name = "foreign", .type = FIELD_BOOL },
		{ .name = "counters", .type = FIELD_BOOL },
		{ 0 },
	},
};

static const struct word delete_words[] = {
	{ .name = "--wait", .help = "come back when it is really gone", .of = &request_type, .field = "wait",
	  .constant = "true" },
	{ .name = "generation", .value = "N", .help = "only if it is still the one of that generation",
	  .of = &request_type, .field = "generation" },
	{ 0 },
};

static const struct word list_words[] = {
	{ .name = "netns", .aliases = "namespace", .value = "NS", .help = "only links with an end there", .of = &end_type,
	  .field = "namespace", .noun = NOUN_NAMESPACE },
	{ .name = "--counters", .help = "traffic of each end", .of = &request_type, .field = "counters",
	  .constant = "true" },
	{ .name = "--own", .help = "only what nsd made, nothing foreign", .of = &request_type, .field = "foreign",
	  .constant = "false" },
	{ 0 },
};
/* clang-format on */

/* `ip link ... address MAC` means the MAC. */
static int
parse_address(struct cursor *c, const struct word *w, struct json_object **targets, struct error *e)
{
	const char *text = words_value(c, w, e);

	if (!text)
		return -EINVAL;
	return words_set(end_is_mac(text) ? words_find(end_words, "mac") : w, text, targets[TARGET_END], e);
}

static int
set_interface(const char *text, struct json_object *end, struct error *e)
{
	static const struct word interface = { .name = "interface", .of = &end_type, .field = "interface" };

	return words_set(&interface, text, end, e);
}

static int
parse_name(struct cursor *c, const struct word *w, struct json_object **targets, struct error *e)
{
	const char *text = words_value(c, w, e);

	if (!text)
		return -EINVAL;
	if (!member_has(targets[TARGET_END], "interface"))
		return set_interface(text, targets[TARGET_END], e);
	return words_set(w, text, targets[TARGET_LINK], e);
}

/* A new end, whose interface name may be the next argument. */
static int
start_end(struct cursor *c, struct json_object **targets, struct error *e)
{
	struct json_object *ends = member_get(targets[TARGET_LINK], "ends"), *end;
	int r = member_new(&end, e);
	if (r == 0)
		r = member_append(ends, end, e);
	if (r < 0)
		return r;

	targets[TARGET_END] = end;
	if (c->at < c->argc && strcmp(c->argv[c->at], "dev") == 0)
		c->at++;
	if (c->at == c->argc || words_find(spec_words, c->argv[c->at]) || end_is_prefix(c->argv[c->at]))
		return 0;
	const char *text = c->argv[c->at++];
	return text[0] == '-' ? words_unknown(spec_words, text, e) : set_interface(text, end, e);
}

static int
parse_peer(struct cursor *c, const struct word *w UNUSED, struct json_object **targets, struct error *e)
{
	if (member_count(targets[TARGET_LINK], "ends") == 2)
		return fail(e, FAILURE_USAGE, "\"peer\" is given twice");
	return start_end(c, targets, e);
}

/* A veth has two ends even if the second needs no words; a bridge has one. */
static int
complete_ends(struct json_object *link, struct error *e)
{
	bool bridge = strcmp(member_string(link, "kind"), "bridge") == 0;
	size_t n = member_count(link, "ends");

	if (bridge && n == 2)
		return fail(e, FAILURE_USAGE, "a bridge has no peer");
	return bridge || n == 2 ? 0 : member_append(member_get(link, "ends"), json_object_new_object(), e);
}

static int
call_spec(struct client *c, const char *method, const struct arguments *a, struct json_object **ret, struct error *e)
{
	CLEANUP(json_put) struct json_object *link = NULL;
	struct cursor cursor = { .argv = a->v, .argc = a->n };
	struct json_object *targets[TARGETS] = { 0 };

	int r = member_new(&link, e);
	if (r == 0)
		r = member_put(link, "ends", json_object_new_array(), e);
	targets[TARGET_LINK] = link;
	if (r == 0)
		r = start_end(&cursor, targets, e);
	if (r == 0)
		r = words_parse_all(spec_words, &cursor, targets, e);
	if (r == 0)
		r = complete_ends(link, e);
	return r < 0 ? r : call(c, method, link, 0, ret, e);
}

static int
run_add(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_spec(c, "CreateLink", a, &reply, e);

	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

static int
run_ensure(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_spec(c, "EnsureLink", a, &reply, e);

	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	print_text(stdout, member_string(member_get(reply, "link"), "name"));
	puts(member_bool(reply, "created") ? ": created" : ": unchanged");
	return 0;
}

/* By the name of a link, else by the interface of an end; the generation keeps it the link that was found. */
static int
delete_link(struct client *c, const char *text, struct json_object *parameters, struct json_object **ret,
	    struct error *e)
{
	CLEANUP(json_put) struct json_object *link = NULL;
	unsigned flags = member_bool(parameters, "wait") ? CALL_WAIT : 0;
	int end, r = member_put_string(parameters, "name", text, e);

	if (r == 0 && !strchr(text, '/')) {
		r = call(c, "DeleteLink", parameters, flags, ret, e);
		if (r >= 0 || e->code != ERROR_NOT_FOUND)
			return r;
	}
	r = link_find_end(c, text, &link, &end, e);
	if (r == 0)
		r = member_put_string(parameters, "name", member_string(link, "name"), e);
	if (r == 0 && !member_has(parameters, "generation") && member_has(link, "generation"))
		r = member_put_int(parameters, "generation", member_int(link, "generation", 0), e);
	return r < 0 ? r : call(c, "DeleteLink", parameters, flags, ret, e);
}

static int
run_delete(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = delete_link(c, a->v[0], a->words, &reply, e);

	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

static int
run_list(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	bool counters = member_bool(a->words, "counters");
	int r = call_collect(c, "ListLinks", a->words, "links", &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);

	CLEANUP(table_free) struct table *t = table_new(counters ? view_counter_headings : view_link_headings);
	if (!t)
		return fail_memory(e);
	for (size_t i = 0; i < member_count(reply, "links"); i++)
		(counters ? view_counter_rows : view_link_row)(t, member_item(reply, "links", i));
	return table_print(t, e);
}

static int
run_show(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *link = NULL, *reply = NULL;
	int end, r = link_find(c, a->v[0], &link, &end, e);
	if (r == 0)
		r = member_put_string(a->words, "name", member_string(link, "name"), e);
	if (r == 0)
		r = call(c, "GetLink", a->words, 0, &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);

	view_link(member_get(reply, "link"));
	return 0;
}

static int
run_repair(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = member_put_string(a->words, "name", a->v[0], e);
	if (r == 0)
		r = call(c, "RepairLink", a->words, 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

/* clang-format off */
static const char spec_text[] =
	"Words apply to the end before them. For example\n\n"
	"  nsc link add veth-a 10.0.0.1/24 peer veth-b netns nstest 10.0.0.2/24\n"
	"  nsc link add veth-a type veth peer name veth-b netns nstest\n"
	"  nsc link add br0 type bridge address 10.1.0.1/24\n"
	"  nsc link add vc1 bridge br0 peer eth0 netns c1 10.1.0.2/24 gateway 10.1.0.1\n\n"
	"An interface without a name gets one of nsd's own in the host, eth0, eth1, ... in a namespace.\n";

#define SPEC_ARGUMENTS "IFNAME [WORD...] [peer [IFNAME] [WORD...]]"

const struct verb link_verbs[] = {
	{ .name = "link add", .arguments = SPEC_ARGUMENTS, .help = "make a veth pair or a bridge", .min = 1, .max = -1,
	  .flags = VERB_RAW, .words = spec_words, .text = spec_text, .run = run_add },
	{ .name = "link ensure", .arguments = SPEC_ARGUMENTS, .help = "make a link unless it is there already", .min = 1,
	  .max = -1, .flags = VERB_RAW, .words = spec_words, .text = spec_text, .run = run_ensure },
	{ .name = "link del", .aliases = "delete rm", .arguments = "LINK|[NS/]IFNAME", .help = "delete a link", .min = 1,
	  .max = 1, .words = delete_words, .nouns = { NOUN_LINK }, .run = run_delete },
	{ .name = "link list", .aliases = "ls", .help = "list the links, foreign ones too", .max = 0,
	  .flags = VERB_DEFAULT, .words = list_words, .run = run_list },
	{ .name = "link show", .aliases = "inspect get", .arguments = "LINK|[NS/]IFNAME", .help = "show all about a link",
	  .min = 1, .max = 1, .nouns = { NOUN_LINK }, .run = run_show },
	{ .name = "link repair", .arguments = "LINK", .help = "make a lost or drifted link as it should be", .min = 1,
	  .max = 1, .nouns = { NOUN_LINK }, .run = run_repair },
	{ 0 },
};
/* clang-format on */
