/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verbs of links share. */
#include "config.h"

#include "ends.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "failure.h"
#include "json.h"
#include "member.h"
#include "model.h"
#include "names.h"
#include "view.h"

static word_parse parse_gateway;

/* clang-format off */
const struct word end_words[] = {
	{ .name = "netns", .aliases = "namespace", .value = "NS", .help = "into a namespace; else in the host",
	  .of = &end_type, .field = "namespace", .target = TARGET_END, .noun = NOUN_NAMESPACE },
	{ .name = "mac", .aliases = "lladdr", .value = "MAC", .help = "MAC address", .of = &end_type, .field = "mac",
	  .target = TARGET_END },
	{ .name = "mtu", .value = "N", .help = "largest packet in bytes", .of = &end_type, .field = "mtu",
	  .target = TARGET_END },
	{ .name = "up", .help = "switch it on", .of = &end_type, .field = "up", .constant = "up", .target = TARGET_END },
	{ .name = "down", .help = "switch it off", .of = &end_type, .field = "up", .constant = "down",
	  .target = TARGET_END },
	{ .name = "gateway", .aliases = "via", .value = "GW [metric N]", .help = "default route", .of = &route_type,
	  .field = "gateway", .repeats = true, .parse = parse_gateway },
	{ .name = "bridge", .aliases = "master", .value = "BR", .help = "port of this bridge, which is in the same place",
	  .of = &end_type, .field = "bridge", .target = TARGET_END, .noun = NOUN_INTERFACE },
	{ 0 },
};

static const struct word route_words[] = {
	{ .name = "via", .value = "GW", .of = &route_type, .field = "gateway" },
	{ .name = "metric", .value = "N", .of = &route_type, .field = "metric" },
	{ 0 },
};
/* clang-format on */

bool
end_is_prefix(const char *text)
{
	return strchr(text, '/') && prefix_parse(text, false, &(struct prefix){ 0 }, NULL) == 0;
}

bool
end_is_mac(const char *text)
{
	uint8_t mac[6];

	return mac_parse(text, mac, NULL) == 0;
}

/* Reads what may follow the destination and joins the route to the end. */
static int
add_route(struct cursor *c, struct json_object *route, struct json_object *end, struct error *e)
{
	struct json_object *targets[] = { route };
	int r = words_parse(route_words, c, targets, e);

	if (r == 0 && !member_has(end, "routes"))
		r = member_put(end, "routes", json_object_new_array(), e);
	return r < 0 ? r : member_append(member_get(end, "routes"), json_object_get(route), e);
}

int
end_parse_route(struct cursor *c, const struct word *w, struct json_object **targets, struct error *e)
{
	static const struct word destination = { .name = "route", .of = &route_type, .field = "destination" };
	CLEANUP(json_put) struct json_object *route = NULL;
	const char *text = words_value(c, w, e);
	int r = text ? member_new(&route, e) : -EINVAL;

	if (r == 0)
		r = words_set(&destination, text, route, e);
	return r < 0 ? r : add_route(c, route, targets[TARGET_END], e);
}

static int
parse_gateway(struct cursor *c, const struct word *w, struct json_object **targets, struct error *e)
{
	CLEANUP(json_put) struct json_object *route = NULL;
	const char *text = words_value(c, w, e);
	int r = text ? member_new(&route, e) : -EINVAL;

	if (r == 0)
		r = member_put_string(route, "destination", "default", e);
	if (r == 0)
		r = words_set(w, text, route, e);
	return r < 0 ? r : add_route(c, route, targets[TARGET_END], e);
}

/* Does `text` (IFNAME, NAMESPACE/IFNAME or NAMESPACE.IFNAME) tell this end? */
static bool
end_is(struct json_object *end, const char *text)
{
	const char *ns = member_string(end, "namespace"), *interface = member_string(end, "interface");
	size_t n = strlen(ns);

	if (strcmp(text, interface) == 0)
		return true;
	return strncmp(text, ns, n) == 0 && (text[n] == '/' || (n && text[n] == '.')) &&
	       strcmp(text + n + 1, interface) == 0;
}

static int
find_in_ends(struct json_object *link, const char *text)
{
	for (size_t i = 0; i < member_count(link, "ends"); i++)
		if (end_is(member_item(link, "ends", i), text))
			return (int)i;
	return -1;
}

/* Ends that fit a text. */
struct matches {
	struct json_object *link; /* borrowed, of the first */
	int end;
	size_t n;
	char names[200]; /* for the error, when there are several */
};

/* Own links go before foreign ones. */
static void
match(struct json_object *links, const char *text, bool foreign, struct matches *m)
{
	char name[VIEW_END_SIZE];

	for (size_t i = 0; i < member_count(links, "links"); i++) {
		struct json_object *link = member_item(links, "links", i);
		if (member_bool(link, "foreign") != foreign)
			continue;
		for (size_t j = 0; j < member_count(link, "ends"); j++) {
			struct json_object *end = member_item(link, "ends", j);
			size_t used = strlen(m->names);
			if (!end_is(end, text))
				continue;
			if (m->n++ == 0) {
				m->link = link;
				m->end = (int)j;
			}
			if (used < sizeof(m->names) - 40)
				snprintf(m->names + used, sizeof(m->names) - used, "%s%s%s", used ? ", " : "",
					 member_has(end, "namespace") ? "" : "/", view_end(end, name));
		}
	}
}

int
link_find_end(struct client *c, const char *text, struct json_object **ret, int *end, struct error *e)
{
	CLEANUP(json_put) struct json_object *links = NULL;
	struct matches m = { 0 };
	int r = call_collect(c, "ListLinks", NULL, "links", &links, e);
	if (r < 0)
		return r;

	match(links, text, false, &m);
	if (m.n == 0)
		match(links, text, true, &m);
	if (m.n == 0)
		return error_set(e, ERROR_NOT_FOUND, NULL, "there is no link \"%s\", and no link has such an interface",
				 text);
	if (m.n > 1)
		return fail(e, FAILURE_USAGE, "\"%s\" fits several interfaces; say which: %s", text, m.names);
	*ret = json_object_get(m.link);
	*end = m.end;
	return 0;
}

int
link_find(struct client *c, const char *text, struct json_object **ret, int *end, struct error *e)
{
	CLEANUP(json_put) struct json_object *parameters = NULL, *reply = NULL;

	if (strchr(text, '/'))
		return link_find_end(c, text, ret, end, e);
	int r = member_new(&parameters, e);
	if (r == 0)
		r = member_put_string(parameters, "name", text, e);
	if (r == 0)
		r = call(c, "GetLink", parameters, 0, &reply, e);
	if (r < 0)
		return e->code == ERROR_NOT_FOUND ? link_find_end(c, text, ret, end, e) : r;
	*ret = json_object_get(member_get(reply, "link"));
	*end = find_in_ends(*ret, text);
	return *ret ? 0 : fail(e, FAILURE_PROTOCOL, "GetLink brought no link");
}
