/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc link set: changes one end of a link, or what is noted of the link. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "call.h"
#include "failure.h"
#include "json.h"
#include "ends.h"
#include "member.h"
#include "model.h"
#include "names.h"
#include "print.h"
#include "verb.h"

static word_parse parse_address, parse_route;

/* clang-format off */
static const struct type change_type = {
	.fields = (const struct field[]){
		{ .name = "host", .type = FIELD_BOOL },
		{ .name = "noBridge", .type = FIELD_BOOL },
		{ .name = "addAddresses", .type = FIELD_STRINGS, .check = address_check },
		{ .name = "removeAddresses", .type = FIELD_STRINGS, .check = address_check },
		{ .name = "end", .type = FIELD_INT, .max = 1 },
		{ .name = "generation", .type = FIELD_INT, .min = 1, .max = INT64_MAX },
		{ 0 },
	},
};

static const struct word set_words[] = {
	{ .name = "address", .value = "add|del A/L", .help = "one address more or less (or: address MAC)", .repeats = true,
	  .parse = parse_address },
	{ .name = "address", .value = "A/L|none", .help = "all the addresses it is to have", .of = &end_type,
	  .field = "addresses" },
	{ .name = "route", .value = "DST [via GW] [metric N]", .help = "all the routes it is to have; \"none\" for none",
	  .repeats = true, .parse = parse_route },
	{ .name = "host", .help = "move it to the host", .of = &change_type, .field = "host", .constant = "true",
	  .target = TARGET_END },
	{ .name = "name", .value = "NEW", .help = "rename the interface", .of = &end_type, .field = "interface",
	  .target = TARGET_END },
	{ .name = "nobridge", .aliases = "nomaster", .help = "no port of a bridge any more", .of = &change_type,
	  .field = "noBridge", .constant = "true", .target = TARGET_END },
	{ .name = "label", .value = "KEY=VALUE", .help = "a note of your own", .of = &link_type, .field = "labels" },
	{ .name = "end", .value = "0|1", .help = "which end, where the name leaves it open", .of = &change_type,
	  .field = "end" },
	{ .name = "generation", .value = "N", .help = "only if it is still the one of that generation",
	  .of = &change_type, .field = "generation" },
	{ .more = end_words },
};
/* clang-format on */

/* An empty list: there are to be none. */
static int
set_none(struct json_object *end, const char *key, struct error *e)
{
	if (member_has(end, key))
		return fail(e, FAILURE_USAGE, "\"none\" contradicts what was said before");
	return member_put(end, key, json_object_new_array(), e);
}

static int
parse_address(struct cursor *c, const struct word *w, struct json_object **targets, struct error *e)
{
	static const struct word
		add = { .name = "address add", .value = "A/L", .of = &change_type, .field = "addAddresses" },
		del = { .name = "address del", .value = "A/L", .of = &change_type, .field = "removeAddresses" },
		all = { .name = "address", .of = &end_type, .field = "addresses" };
	struct json_object *end = targets[TARGET_END];
	const char *text = words_value(c, w, e);

	if (!text)
		return -EINVAL;
	if (strcmp(text, "none") == 0)
		return set_none(end, "addresses", e);
	if (end_is_mac(text))
		return words_set(words_find(end_words, "mac"), text, end, e);
	const struct word *sub = strcmp(text, "add") == 0 ? &add : words_listed("del delete", text) ? &del : NULL;
	if (!sub)
		return words_set(&all, text, end, e);
	text = words_value(c, sub, e);
	return text ? words_set(sub, text, end, e) : -EINVAL;
}

static int
parse_route(struct cursor *c, const struct word *w, struct json_object **targets, struct error *e)
{
	if (c->at == c->argc || strcmp(c->argv[c->at], "none") != 0)
		return end_parse_route(c, w, targets, e);
	c->at++;
	return set_none(targets[TARGET_END], "routes", e);
}

/* What cannot be said in one breath. */
static int
check_change(struct json_object *request, struct json_object *change, struct error *e)
{
	static const char *const pairs[][3] = {
		{ "namespace", "host", "\"netns\" and \"host\"" },
		{ "bridge", "noBridge", "\"bridge\" and \"nobridge\"" },
		{ "addresses", "addAddresses", "\"address A/L\" and \"address add\"" },
		{ "addresses", "removeAddresses", "\"address A/L\" and \"address del\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (member_has(change, pairs[i][0]) && member_has(change, pairs[i][1]))
			return fail(e, FAILURE_USAGE, "%s contradict each other", pairs[i][2]);
	if (json_object_object_length(change) == 0 && !member_has(request, "labels"))
		return fail(e, FAILURE_USAGE, "nothing to set; see \"nsc help link set\"");
	return 0;
}

/* Completes the request for the link that was found. */
static int
address_request(struct json_object *request, struct json_object *change, struct json_object *link, int end,
		const char *text, struct error *e)
{
	bool asked = member_has(request, "end"), one = member_count(link, "ends") == 1;
	int r = member_put_string(request, "name", member_string(link, "name"), e);

	if (r == 0 && !member_has(request, "generation") && member_has(link, "generation"))
		r = member_put_int(request, "generation", member_int(link, "generation", 0), e);
	if (r < 0 || json_object_object_length(change) == 0)
		return r;
	if (!asked && end < 0 && !one)
		return fail(e, FAILURE_USAGE, "which end of %s? Name its interface, or say \"end 0\" or \"end 1\"",
			    text);
	if (!asked)
		r = member_put_int(request, "end", end < 0 ? 0 : end, e);
	return r < 0 ? r : member_put(request, "change", json_object_get(change), e);
}

static int
run_set(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *request = NULL, *change = NULL, *link = NULL, *reply = NULL;
	struct cursor cursor = { .argv = a->v, .argc = a->n, .at = 1 };
	int end, r = member_new(&request, e);

	if (r == 0)
		r = member_new(&change, e);
	struct json_object *targets[TARGETS] = { [TARGET_LINK] = request, [TARGET_END] = change };
	if (r == 0)
		r = words_parse_all(set_words, &cursor, targets, e);
	if (r == 0)
		r = check_change(request, change, e);
	if (r == 0)
		r = link_find(c, a->v[0], &link, &end, e);
	if (r == 0)
		r = address_request(request, change, link, end, a->v[0], e);
	if (r == 0)
		r = call(c, "ChangeLink", request, 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

/* clang-format off */
const struct verb link_set_verbs[] = {
	{ .name = "link set", .arguments = "LINK|[NS/]IFNAME WORD...", .help = "change an end of a link", .min = 2,
	  .max = -1, .flags = VERB_RAW, .words = set_words, .nouns = { NOUN_LINK }, .run = run_set,
	  .text = "IFNAME is an interface of the link, NS/IFNAME one in that namespace, /IFNAME one in the host. For example\n\n"
		  "  nsc link set veth-b netns nstest\n"
		  "  nsc link set nstest/eth0 address add 10.0.0.7/24 mtu 1400\n" },
	{ 0 },
};
/* clang-format on */
