/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How namespaces and links look to people. */
#include "config.h"

#include "view.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "macros.h"
#include "member.h"
#include "print.h"

const char *const view_namespace_headings[] = { "NAME", "STATE", "LIFETIME", "NSID", "OWNER", "AGE", NULL };
const char *const view_link_headings[] = { "NAME", "STATE", "KIND", "END", "ADDRESSES", "PEER", "ADDRESSES", NULL };
const char *const view_counter_headings[] = { "LINK",	   "END",	 "RX-BYTES", "RX-PACKETS",
					      "RX-ERRORS", "RX-DROPPED", "TX-BYTES", "TX-PACKETS",
					      "TX-ERRORS", "TX-DROPPED", NULL };

static const struct {
	const char *state;
	enum colour colour;
} state_colours[] = {
	{ "ready", COLOUR_GOOD }, { "creating", COLOUR_WARN }, { "draining", COLOUR_WARN },
	{ "lost", COLOUR_BAD },	  { "foreign", COLOUR_DIM },   { "making", COLOUR_WARN },
};

static enum colour
state_colour(const char *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(state_colours); i++)
		if (strcmp(state, state_colours[i].state) == 0)
			return state_colours[i].colour;
	return COLOUR_NONE;
}

const char *
view_state(struct json_object *object)
{
	return member_bool(object, "foreign") ? "foreign" : member_string(object, "state");
}

/* How long it lives: its life time, or whose namespace it is. */
static const char *
lifetime(struct json_object *object)
{
	if (member_bool(object, "attached"))
		return "attached";
	return member_bool(object, "foreign") ? "" : member_string(object, "lifetime");
}

static void
join_pairs(FILE *f, struct json_object *o)
{
	struct json_object_iterator i = json_object_iter_begin(o), end = json_object_iter_end(o);

	for (const char *before = ""; !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
		fprintf(f, "%s%s=%s", before, json_object_iter_peek_name(&i),
			member_text(json_object_iter_peek_value(&i)));
		before = " ";
	}
}

char *
view_join(struct json_object *o)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	if (json_object_is_type(o, json_type_array))
		for (size_t i = 0; i < json_object_array_length(o); i++)
			fprintf(f, "%s%s", i ? " " : "", member_text(json_object_array_get_idx(o, i)));
	if (json_object_is_type(o, json_type_object))
		join_pairs(f, o);
	if (fclose(f) == 0)
		return text;
	free(text);
	return NULL;
}

void
view_cell_state(struct table *t, struct json_object *o)
{
	table_add(t, view_state(o));
	table_colour(t, state_colour(view_state(o)));
}

void
view_cell_age(struct table *t, struct json_object *o, const char *key)
{
	char text[PRINT_TIME_SIZE];
	int64_t when = member_int(o, key, -1);

	table_add(t, when < 0 ? "" : print_age((int64_t)time(NULL) - when, text));
}

void
view_cell_number(struct table *t, struct json_object *o, const char *key)
{
	if (member_has(o, key))
		table_addf(t, "%" PRId64, member_int(o, key, 0));
	else
		table_add(t, "");
}

void
view_cell_joined(struct table *t, struct json_object *o)
{
	CLEANUP(free_ptr) char *text = view_join(o);

	table_add(t, text ? text : "?");
}

void
view_names(struct json_object *reply, const char *key)
{
	for (size_t i = 0; i < member_count(reply, key); i++) {
		print_text(stdout, member_string(member_item(reply, key, i), "name"));
		putchar('\n');
	}
}

void
view_namespace_row(struct table *t, struct json_object *ns)
{
	char text[PRINT_TIME_SIZE];

	table_add(t, member_string(ns, "name"));
	view_cell_state(t, ns);
	table_add(t, lifetime(ns));
	view_cell_number(t, ns, "nsid");
	table_add(t, print_user(member_int(ns, "owner", -1), text));
	view_cell_age(t, ns, "created");
}

const char *
view_end(struct json_object *end, char ret[VIEW_END_SIZE])
{
	const char *ns = member_string(end, "namespace"), *interface = member_string(end, "interface");

	snprintf(ret, VIEW_END_SIZE, "%s%s%s", ns, ns[0] ? "/" : "", interface[0] ? interface : "?");
	return ret;
}

const char *
view_ends(struct json_object *link, char ret[2 * VIEW_END_SIZE])
{
	char text[VIEW_END_SIZE];
	size_t n = member_count(link, "ends"), used = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < n && i < 2; i++)
		used += (size_t)snprintf(ret + used, 2 * VIEW_END_SIZE - used, "%s%s", i ? " - " : "",
					 view_end(member_item(link, "ends", i), text));
	return ret;
}

void
view_link_row(struct table *t, struct json_object *link)
{
	char text[VIEW_END_SIZE];

	table_add(t, member_string(link, "name"));
	view_cell_state(t, link);
	table_add(t, member_string(link, "kind"));
	for (size_t i = 0; i < 2; i++) {
		struct json_object *end = member_item(link, "ends", i);
		table_add(t, end ? view_end(end, text) : "");
		view_cell_joined(t, member_get(end, "addresses"));
	}
}

void
view_counter_rows(struct table *t, struct json_object *link)
{
	static const char *const keys[] = { "receivedBytes", "receivedPackets", "receivedErrors", "receivedDropped",
					    "sentBytes",     "sentPackets",	"sentErrors",	  "sentDropped" };
	char text[VIEW_END_SIZE];

	for (size_t i = 0; i < member_count(link, "ends"); i++) {
		struct json_object *end = member_item(link, "ends", i), *counters = member_get(end, "counters");
		table_add(t, member_string(link, "name"));
		table_add(t, view_end(end, text));
		for (size_t j = 0; j < ARRAY_SIZE(keys); j++)
			view_cell_number(t, counters, keys[j]);
	}
}

void
view_field_number(struct json_object *o, const char *key, const char *label)
{
	if (member_has(o, key))
		print_fieldf(label, "%" PRId64, member_int(o, key, 0));
}

void
view_field_string(struct json_object *o, const char *key, const char *label)
{
	if (member_has(o, key))
		print_field(label, member_string(o, key));
}

void
view_field_joined(struct json_object *o, const char *key, const char *label)
{
	CLEANUP(free_ptr) char *text = view_join(member_get(o, key));

	if (text && text[0])
		print_field(label, text);
}

void
view_field_state(struct json_object *o)
{
	const char *message = member_string(o, "message");

	printf("  %-12s", "state");
	print_coloured(stdout, state_colour(view_state(o)), view_state(o));
	if (message[0]) {
		fputs(": ", stdout);
		print_text(stdout, message);
	}
	putchar('\n');
}

void
view_fields_common(struct json_object *o)
{
	char text[PRINT_TIME_SIZE], age[PRINT_TIME_SIZE];
	int64_t created = member_int(o, "created", -1);

	if (member_has(o, "owner"))
		print_field("owner", print_user(member_int(o, "owner", -1), text));
	if (created >= 0)
		print_fieldf("created", "%s (%s ago)", print_time(created, text),
			     print_age((int64_t)time(NULL) - created, age));
	view_field_number(o, "generation", "generation");
	view_field_joined(o, "labels", "labels");
}

void
view_namespace(struct json_object *ns)
{
	print_coloured(stdout, COLOUR_BOLD, member_string(ns, "name"));
	putchar('\n');
	view_field_state(ns);
	view_field_string(ns, "lifetime", "lifetime");
	view_field_joined(ns, "kinds", "kinds");
	if (member_bool(ns, "attached"))
		print_fieldf("attached", "from process %" PRId64 "%s", member_int(ns, "pid", 0),
			     member_bool(ns, "pidRunning") ? "" : ", which has ended; the name keeps the namespace");
	if (member_has(ns, "loopback"))
		print_field("loopback", member_bool(ns, "loopback") ? "up" : "down");
	view_field_number(ns, "nsid", "nsid");
	view_field_number(ns, "cookie", "cookie");
	view_field_string(ns, "path", "path");
	view_field_joined(ns, "sysctls", "sysctls");
	view_fields_common(ns);
}

static void
view_routes(struct json_object *end)
{
	for (size_t i = 0; i < member_count(end, "routes"); i++) {
		struct json_object *route = member_item(end, "routes", i);
		const char *gateway = member_string(route, "gateway");
		char metric[40] = "";
		if (member_has(route, "metric"))
			snprintf(metric, sizeof(metric), " metric %" PRId64, member_int(route, "metric", 0));
		print_fieldf("  route", "%s%s%s%s", member_string(route, "destination"), gateway[0] ? " via " : "",
			     gateway, metric);
	}
}

static void
view_counters(struct json_object *c)
{
	if (!c)
		return;
	print_fieldf("  received", "%" PRId64 " bytes, %" PRId64 " packets, %" PRId64 " errors, %" PRId64 " dropped",
		     member_int(c, "receivedBytes", 0), member_int(c, "receivedPackets", 0),
		     member_int(c, "receivedErrors", 0), member_int(c, "receivedDropped", 0));
	print_fieldf("  sent", "%" PRId64 " bytes, %" PRId64 " packets, %" PRId64 " errors, %" PRId64 " dropped",
		     member_int(c, "sentBytes", 0), member_int(c, "sentPackets", 0), member_int(c, "sentErrors", 0),
		     member_int(c, "sentDropped", 0));
}

static void
view_one_end(struct json_object *end)
{
	char text[VIEW_END_SIZE];
	bool running = member_bool(end, "running");

	print_field("end", view_end(end, text));
	if (member_has(end, "up"))
		print_fieldf("  state", "%s%s", member_bool(end, "up") ? "up" : "down",
			     member_has(end, "running") ? (running ? ", carrier" : ", no carrier") : "");
	view_field_number(end, "ifindex", "  ifindex");
	view_field_string(end, "mac", "  mac");
	view_field_number(end, "mtu", "  mtu");
	view_field_joined(end, "addresses", "  addresses");
	view_routes(end);
	view_field_string(end, "bridge", "  bridge");
	view_counters(member_get(end, "counters"));
}

void
view_link(struct json_object *link)
{
	print_coloured(stdout, COLOUR_BOLD, member_string(link, "name"));
	putchar('\n');
	view_field_state(link);
	view_field_string(link, "kind", "kind");
	view_field_string(link, "lifetime", "lifetime");
	view_fields_common(link);
	for (size_t i = 0; i < member_count(link, "ends"); i++)
		view_one_end(member_item(link, "ends", i));
}
