/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc monitor: what is there, then every change as it happens. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "call.h"
#include "failure.h"
#include "member.h"
#include "print.h"
#include "verb.h"
#include "view-network.h"

/* "12:30:01.123", the time of arrival. */
static void
print_now(void)
{
	char text[16] = "";
	struct timespec t;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &t);
	if (localtime_r(&t.tv_sec, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	printf("%s.%03ld  ", text, t.tv_nsec / 1000000);
}

/* What is told of an object beside its name and state, into `ret`. */
#define DETAILS_SIZE (2 * VIEW_END_SIZE)
typedef void details(struct json_object *o, char ret[DETAILS_SIZE]);

static void
namespace_details(struct json_object *ns, char ret[DETAILS_SIZE])
{
	if (member_has(ns, "nsid"))
		snprintf(ret, DETAILS_SIZE, "nsid %" PRId64, member_int(ns, "nsid", 0));
}

static void
link_details(struct json_object *link, char ret[DETAILS_SIZE])
{
	view_ends(link, ret);
}

static void
network_details(struct json_object *network, char ret[DETAILS_SIZE])
{
	view_prefixes(network, ret);
}

static void
slot_details(struct json_object *slot, char ret[DETAILS_SIZE])
{
	const char *key = member_string(slot, "key");

	view_addresses(slot, ret);
	size_t n = strlen(ret);
	if (key[0])
		snprintf(ret + n, DETAILS_SIZE - n, "  key %s", key);
}

static const struct {
	const char *key;
	details *fn;
} kinds[] = {
	{ "namespace", namespace_details },
	{ "link", link_details },
	{ "network", network_details },
	{ "slot", slot_details },
};

static void
print_object(const char *kind, struct json_object *o, details *fn)
{
	char text[DETAILS_SIZE] = "";
	const char *message = member_string(o, "message");

	printf("%-11s", kind);
	print_coloured(stdout, COLOUR_BOLD, member_string(o, "name"));
	fputs("  ", stdout);
	print_text(stdout, view_state(o));
	fn(o, text);
	if (text[0]) {
		fputs("  ", stdout);
		print_text(stdout, text);
	}
	if (message[0]) {
		fputs("  ", stdout);
		print_text(stdout, message);
	}
}

static void
print_event(struct json_object *reply)
{
	int pad = 10 - (int)strlen(member_string(reply, "event"));

	print_now();
	print_text(stdout, member_string(reply, "event"));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct json_object *o = member_get(reply, kinds[i].key);
		if (!o)
			continue;
		printf("%*s", pad > 1 ? pad : 1, "");
		print_object(kinds[i].key, o, kinds[i].fn);
		break;
	}
	putchar('\n');
}

static int
on_event(struct json_object *reply, void *arg, struct error *e)
{
	const struct client *c = arg;
	int r = 0;

	if (c->json)
		r = print_json(reply, false, e);
	else
		print_event(reply);
	if (r == 0 && fflush(stdout) != 0)
		r = fail_errno(e, FAILURE_LOCAL, errno, "cannot write the output");
	return r;
}

static int
run_monitor(struct client *c, const struct arguments *a UNUSED, struct error *e)
{
	return call_stream(c, "Monitor", NULL, CALL_WAIT, on_event, c, e);
}

/* clang-format off */
const struct verb monitor_verbs[] = {
	{ .name = "monitor", .help = "follow every change", .max = 0, .run = run_monitor,
	  .text = "First comes what is there (present), then \"synced\", then changes as they happen. With --json each is\n"
		  "one line, and \"sequence\" grows by one from change to change.\n" },
	{ 0 },
};
/* clang-format on */
