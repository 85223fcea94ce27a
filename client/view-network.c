/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How networks, pools and slots look to people. */
#include "config.h"

#include "view-network.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>

#include "failure.h"
#include "member.h"
#include "model-network.h"
#include "print.h"
#include "values.h"

const char *const view_network_headings[] = { "NAME",  "STATE",	 "PREFIXES", "EGRESS", "ISOLATED",
					      "READY", "LEASED", "MAXIMUM",  "AGE",    NULL };
static const char *const pool_headings[] = { "POOL",	   "READY",    "LEASED", "MAKING",  "DRAINING",
					     "MAXIMUM",	   "ACQUIRED", "COLD",	 "REFUSED", "FAILED",
					     "ACQUIRED/S", "MADE/S",   "NOTE",	 NULL };
const char *const view_slot_headings[] = { "NAME", "STATE", "ADDRESSES", "HOLDER", "BOND", "KEY", "AGE", NULL };

/* One or two values with a blank between them. */
static const char *
both(struct json_object *o, const char *first, const char *second, char ret[VIEW_ADDRESSES_SIZE])
{
	const char *a = member_string(o, first), *b = member_string(o, second);

	snprintf(ret, VIEW_ADDRESSES_SIZE, "%s%s%s", a, a[0] && b[0] ? " " : "", b);
	return ret;
}

const char *
view_prefixes(struct json_object *network, char ret[VIEW_ADDRESSES_SIZE])
{
	return both(network, "ipv4", "ipv6", ret);
}

const char *
view_addresses(struct json_object *slot, char ret[VIEW_ADDRESSES_SIZE])
{
	return both(slot, "address4", "address6", ret);
}

static const char *
egress(struct json_object *network)
{
	return member_has(network, "egress") ? member_string(network, "egress") : "none";
}

static const char *
isolated(struct json_object *network)
{
	return member_bool(network, "isolated") || !member_has(network, "isolated") ? "yes" : "no";
}

/* "60/64": how many there are, and how many there should be. */
static void
cell_fill(struct table *t, int64_t ready, int64_t wanted)
{
	table_addf(t, "%" PRId64 "/%" PRId64, ready, wanted);
	if (wanted)
		table_colour(t, ready >= wanted ? COLOUR_GOOD : COLOUR_WARN);
}

void
view_network_row(struct table *t, struct json_object *network)
{
	char text[VIEW_ADDRESSES_SIZE];

	table_add(t, member_string(network, "name"));
	view_cell_state(t, network);
	table_add(t, view_prefixes(network, text));
	table_add(t, egress(network));
	table_add(t, isolated(network));
	cell_fill(t, member_int(network, "readySlots", 0), member_int(network, "ready", 0));
	view_cell_number(t, network, "leasedSlots");
	view_cell_number(t, network, member_has(network, "maximum") ? "maximum" : "capacity");
	view_cell_age(t, network, "created");
}

static void
add_pool(struct table *t, struct json_object *pool)
{
	static const char *const keys[] = { "leased", "making",	 "draining", "maximum",	    "acquired",
					    "cold",   "refused", "failed",   "acquireRate", "makeRate" };

	table_add(t, member_string(pool, "network"));
	cell_fill(t, member_int(pool, "ready", 0), member_int(pool, "wanted", 0));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		view_cell_number(t, pool, keys[i]);
	table_add(t, member_string(pool, "message"));
}

int
view_pools(struct json_object *reply, struct error *e)
{
	CLEANUP(table_free) struct table *t = table_new(pool_headings);

	if (!t)
		return fail_memory(e);
	for (size_t i = 0; i < member_count(reply, "pools"); i++)
		add_pool(t, member_item(reply, "pools", i));
	return table_print(t, e);
}

/* What ends the lease: "connection of 4711", "process 4711", "time 29s", "nothing". */
static const char *
bond(struct json_object *slot, char ret[2 * VALUE_SIZE])
{
	char text[VALUE_SIZE];
	const char *name = member_string(slot, "bond");
	int value = enum_value(&lease_bond_type, name);
	int64_t pid = member_int(slot, "pid", 0);

	if (member_has(slot, "expires"))
		snprintf(ret, 2 * VALUE_SIZE, "%.20s %s", name, value_show_time(member_int(slot, "expires", 0), text));
	else if (pid && (value == BOND_PROCESS || value == BOND_CONNECTION))
		snprintf(ret, 2 * VALUE_SIZE, "%s%s %" PRId64, name, value == BOND_PROCESS ? "" : " of", pid);
	else
		snprintf(ret, 2 * VALUE_SIZE, "%.40s", name);
	return ret;
}

void
view_slot_row(struct table *t, struct json_object *slot)
{
	char text[VIEW_ADDRESSES_SIZE], user[PRINT_TIME_SIZE];

	table_add(t, member_string(slot, "name"));
	view_cell_state(t, slot);
	table_add(t, view_addresses(slot, text));
	table_add(t, print_user(member_int(slot, "owner", -1), user));
	table_add(t, bond(slot, text));
	table_add(t, member_string(slot, "key"));
	view_cell_age(t, slot, "since");
}

static void
field_both(struct json_object *o, const char *first, const char *second, const char *label)
{
	char text[VIEW_ADDRESSES_SIZE];

	if (both(o, first, second, text)[0])
		print_field(label, text);
}

/* "tcp/53", "tcp/30000-30999", "tcp/8080:80": the port at one key, and behind `separator` the one at another. */
static void
field_ports(struct json_object *o, const char *list, const char *first, char separator, const char *second)
{
	for (size_t i = 0; i < member_count(o, list); i++) {
		struct json_object *item = member_item(o, list, i);
		int64_t a = member_int(item, first, -1), b = second ? member_int(item, second, -1) : -1;
		char text[64] = "";
		if (b >= 0 && (b != a || separator == ':'))
			snprintf(text, sizeof(text), "%c%" PRId64, separator, b);
		print_fieldf(i ? "" : list, "%s/%" PRId64 "%s", member_string(item, "protocol"), a, text);
	}
}

static void
view_counts(struct json_object *n)
{
	print_fieldf("slots",
		     "%" PRId64 " ready of %" PRId64 ", %" PRId64 " leased, %" PRId64 " being made, %" PRId64
		     " draining",
		     member_int(n, "readySlots", 0), member_int(n, "ready", 0), member_int(n, "leasedSlots", 0),
		     member_int(n, "makingSlots", 0), member_int(n, "drainingSlots", 0));
	view_field_number(n, "maximum", "maximum");
	view_field_number(n, "capacity", "capacity");
}

void
view_network(struct json_object *n)
{
	print_coloured(stdout, COLOUR_BOLD, member_string(n, "name"));
	putchar('\n');
	view_field_state(n);
	field_both(n, "ipv4", "ipv6", "prefixes");
	print_field("egress", egress(n));
	print_field("isolated", isolated(n));
	field_ports(n, "services", "port", 0, NULL);
	field_ports(n, "publish", "first", '-', "last");
	view_field_joined(n, "dns", "dns");
	view_field_string(n, "interface", "interface");
	view_field_number(n, "mtu", "mtu");
	view_field_string(n, "inner4", "inner4");
	view_field_string(n, "inner6", "inner6");
	view_field_joined(n, "sysctls", "sysctls");
	view_field_string(n, "uplink", "uplink");
	field_both(n, "host4", "host6", "host");
	view_counts(n);
	view_fields_common(n);
}

static void
view_tap(struct json_object *tap)
{
	char user[PRINT_TIME_SIZE];

	if (!tap)
		return;
	print_fieldf("tap", "%s, opened by %s", member_string(tap, "interface"),
		     print_user(member_int(tap, "owner", -1), user));
	view_field_string(tap, "mac", "  mac");
	view_field_joined(tap, "addresses", "  addresses");
}

static void
field_rate(struct json_object *rate, const char *key)
{
	char text[VALUE_SIZE];

	if (member_has(rate, key))
		print_field(key, value_show_rate(member_int(rate, key, 0), text));
}

/* Who has it, and until when. */
static void
view_lease(struct json_object *slot)
{
	char text[2 * VALUE_SIZE], time_text[PRINT_TIME_SIZE];

	if (member_has(slot, "bond"))
		print_field("bond", bond(slot, text));
	view_field_string(slot, "key", "key");
	if (member_has(slot, "since"))
		print_field("since", print_time(member_int(slot, "since", 0), time_text));
}

void
view_slot(struct json_object *slot)
{
	struct json_object *rate = member_get(slot, "rate");

	print_coloured(stdout, COLOUR_BOLD, member_string(slot, "name"));
	putchar('\n');
	view_field_state(slot);
	view_lease(slot);
	field_both(slot, "address4", "address6", "address");
	view_field_joined(slot, "addresses", "inside");
	view_field_joined(slot, "gateways", "gateways");
	view_field_joined(slot, "dns", "dns");
	view_field_string(slot, "interface", "interface");
	view_field_string(slot, "mac", "mac");
	view_field_number(slot, "mtu", "mtu");
	view_tap(member_get(slot, "tap"));
	field_rate(rate, "send");
	field_rate(rate, "receive");
	field_ports(slot, "published", "hostPort", ':', "port");
	view_field_string(slot, "path", "path");
	view_field_string(slot, "namespace", "namespace");
	view_field_number(slot, "cookie", "cookie");
	view_fields_common(slot);
}
