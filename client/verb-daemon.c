/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc status, info: the daemon itself. */
#include "config.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <time.h>

#include "call.h"
#include "json.h"
#include "member.h"
#include "print.h"
#include "verb.h"
#include "view-network.h"

/* Numbers of GetStatus, in the order people read them. */
static const struct {
	const char *key, *label;
} status_numbers[] = {
	{ "namespaces", "namespaces" },
	{ "links", "links" },
	{ "lost", "lost" },
	{ "draining", "draining" },
	{ "foreign", "foreign" },
	{ "networks", "networks" },
	{ "slots", "slots" },
	{ "readySlots", "  ready" },
	{ "leasedSlots", "  leased" },
	{ "drainingSlots", "  draining" },
	{ "connections", "connections" },
	{ "requests", "requests" },
	{ "sequence", "sequence" },
};

static void
print_status(struct json_object *s)
{
	char text[PRINT_TIME_SIZE], age[PRINT_TIME_SIZE];
	int64_t started = member_int(s, "started", 0);
	bool ready = member_bool(s, "ready"), writable = member_bool(s, "storeWritable");

	printf("nsd ");
	print_text(stdout, member_string(s, "version"));
	printf("\n  %-12s", "state");
	print_coloured(stdout, ready ? COLOUR_GOOD : COLOUR_WARN, ready ? "ready" : "reconciling");
	putchar('\n');
	print_fieldf("pid", "%" PRId64, member_int(s, "pid", 0));
	print_fieldf("started", "%s (%s ago)", print_time(started, text),
		     print_age((int64_t)time(NULL) - started, age));
	for (size_t i = 0; i < ARRAY_SIZE(status_numbers); i++)
		if (member_has(s, status_numbers[i].key))
			print_fieldf(status_numbers[i].label, "%" PRId64, member_int(s, status_numbers[i].key, 0));
	printf("  %-12s", "store");
	print_text(stdout, member_string(s, "stateDirectory"));
	if (!writable)
		print_coloured(stdout, COLOUR_BAD, " cannot be written");
	putchar('\n');
	print_field("boot id", member_string(s, "bootId"));
}

static int
print_pools(struct client *c, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call(c, "ListPools", NULL, 0, &reply, e);

	if (r < 0)
		return r;
	putchar('\n');
	return view_pools(reply, e);
}

static int
run_status(struct client *c, const struct arguments *a UNUSED, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call(c, "GetStatus", NULL, 0, &reply, e);

	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	print_status(reply);
	return member_int(reply, "networks", 0) > 0 ? print_pools(c, e) : 0;
}

static int
run_info(struct client *c, const struct arguments *a UNUSED, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call(c, "org.varlink.service.GetInfo", NULL, 0, &reply, e);

	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	print_field("vendor", member_string(reply, "vendor"));
	print_field("product", member_string(reply, "product"));
	print_field("version", member_string(reply, "version"));
	print_field("url", member_string(reply, "url"));
	for (size_t i = 0; i < member_count(reply, "interfaces"); i++)
		print_field(i ? "" : "interfaces", member_text(member_item(reply, "interfaces", i)));
	return 0;
}

/* clang-format off */
const struct verb daemon_verbs[] = {
	{ .name = "status", .help = "show how nsd is, and its pools", .max = 0, .run = run_status },
	{ .name = "info", .help = "show what nsd says of itself and its interfaces", .max = 0, .run = run_info },
	{ 0 },
};
/* clang-format on */
