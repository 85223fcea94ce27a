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
#include "view.h"

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

static void
print_details(struct json_object *ns, struct json_object *link)
{
	char ends[2 * VIEW_END_SIZE];
	const char *message = member_string(ns ? ns : link, "message");

	print_text(stdout, view_state(ns ? ns : link));
	if (ns && member_has(ns, "nsid"))
		printf("  nsid %" PRId64, member_int(ns, "nsid", 0));
	if (link) {
		fputs("  ", stdout);
		print_text(stdout, view_ends(link, ends));
	}
	if (message[0]) {
		fputs("  ", stdout);
		print_text(stdout, message);
	}
}

static void
print_event(struct json_object *reply)
{
	struct json_object *ns = member_get(reply, "namespace"), *link = member_get(reply, "link");

	print_now();
	print_text(stdout, member_string(reply, "event"));
	if (ns || link) {
		int pad = 10 - (int)strlen(member_string(reply, "event"));
		printf("%*s%-11s", pad > 1 ? pad : 1, "", ns ? "namespace" : "link");
		print_coloured(stdout, COLOUR_BOLD, member_string(ns ? ns : link, "name"));
		fputs("  ", stdout);
		print_details(ns, link);
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
