/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc pool list, set. */
#include "config.h"

#include <json-c/json.h>

#include "call.h"
#include "failure.h"
#include "json.h"
#include "member.h"
#include "model-network.h"
#include "print.h"
#include "verb.h"
#include "view-network.h"

/* clang-format off */
static const struct word set_words[] = {
	{ .name = "--ready", .value = "N", .help = "slots to keep ready", .of = &network_type, .field = "ready" },
	{ .name = "--maximum", .value = "N", .help = "slots at most, in whatever state", .of = &network_type,
	  .field = "maximum" },
	{ 0 },
};
/* clang-format on */

static int
run_list(struct client *c, const struct arguments *a UNUSED, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call(c, "ListPools", NULL, 0, &reply, e);

	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	return view_pools(reply, e);
}

static int
run_set(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;

	if (json_object_object_length(a->words) == 0)
		return fail(e, FAILURE_USAGE, "nothing to set; see \"nsc help pool set\"");
	int r = member_put_string(a->words, "name", a->v[0], e);
	if (r == 0)
		r = call(c, "ChangeNetwork", a->words, 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

/* clang-format off */
const struct verb pool_verbs[] = {
	{ .name = "pool list", .aliases = "ls", .help = "show how full the pools are, and how they fare", .max = 0,
	  .flags = VERB_DEFAULT, .run = run_list,
	  .text = "READY is slots ready / slots wanted. Counts are since nsd started: slots handed out (ACQUIRED), of these\n"
		  "the ones made on request since the pool was empty (COLD), requests that got none (REFUSED), slots that\n"
		  "could not be made or were found changed (FAILED). Rates are of the last ten seconds.\n" },
	{ .name = "pool set", .arguments = "NETWORK", .help = "change how many slots a network keeps ready", .min = 1,
	  .max = 1, .words = set_words, .nouns = { NOUN_NETWORK }, .run = run_set },
	{ 0 },
};
/* clang-format on */
