/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verbs that acquire a slot share. */
#include "config.h"

#include "lease.h"

#include <json-c/json.h>

#include "failure.h"
#include "member.h"
#include "model-network.h"
#include "names.h"
#include "values.h"

/* clang-format off */
static const struct type empty_type = {
	.values = (const char *const[]){ "create", "fail", NULL },
};

static const struct type request_type = {
	.fields = (const struct field[]){
		{ .name = "key", .type = FIELD_STRING, .check = lease_key_check },
		{ .name = "empty", .type = FIELD_ENUM, .of = &empty_type },
		{ .name = "labels", .type = FIELD_PAIRS, .check = label_key_check, .check_value = label_value_check },
		{ .name = "namespace", .type = FIELD_STRING, .check = name_check },
		{ .name = "publish", .type = FIELD_LIST, .of = &published_type },
		{ 0 },
	},
};

const struct word lease_words[] = {
	{ .name = "--key", .value = "KEY", .help = "the same key gets the same slot, until that is released",
	  .of = &request_type, .field = "key" },
	{ .name = "--empty", .value = "create|fail", .help = "if the pool is empty: wait for a new slot, or fail [create]",
	  .of = &request_type, .field = "empty" },
	{ .name = "--label", .aliases = "label", .value = "KEY=VALUE", .help = "a note of your own", .of = &request_type,
	  .field = "labels" },
	{ .name = "--netns", .value = "NAME", .help = "let it appear as /run/netns/NAME, too", .of = &request_type,
	  .field = "namespace" },
	{ .name = "--send", .value = "RATE", .help = "limit what it sends, like 10mbit", .of = &rate_type, .field = "send",
	  .part = "rate", .set = value_rate },
	{ .name = "--receive", .value = "RATE", .help = "limit what it receives", .of = &rate_type, .field = "receive",
	  .part = "rate", .set = value_rate },
	{ .name = "--publish", .value = "PROTOCOL/[PORT:]PORT",
	  .help = "let a port of the host lead into it: tcp/8080:80; tcp/80: nsd chooses the host's", .of = &request_type,
	  .field = "publish", .set = value_published },
	{ .name = "--tap", .value = "NAME", .help = "a tap interface beside its own, for a virtual machine",
	  .of = &tap_type, .field = "interface", .part = "tap" },
	{ .name = "--tap-owner", .value = "USER", .help = "who may open that", .of = &tap_type, .field = "owner",
	  .part = "tap", .set = value_user },
	{ .name = "--tap-mac", .value = "MAC", .help = "MAC address of the slot's side of it", .of = &tap_type,
	  .field = "mac", .part = "tap" },
	{ .name = "--tap-address", .value = "A/L", .help = "address of the slot's side of it", .of = &tap_type,
	  .field = "addresses", .part = "tap" },
	{ 0 },
};
/* clang-format on */

int
lease_complete(struct json_object *parameters, const char *network, struct error *e)
{
	struct json_object *tap = member_get(parameters, "tap");

	if (network_name_check(network, e) < 0)
		return fail_wrap(e, FAILURE_USAGE, network);
	if (tap && !member_has(tap, "interface"))
		return fail(e, FAILURE_USAGE, "what shall the tap interface be called? Give --tap NAME");
	return member_put_string(parameters, "network", network, e);
}
