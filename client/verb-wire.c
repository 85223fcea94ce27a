/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc call, introspect: the interface of nsd as it is. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "failure.h"
#include "json.h"
#include "member.h"
#include "model.h"
#include "print.h"
#include "verb.h"

/* clang-format off */
static const struct type local_type = {
	.fields = (const struct field[]){
		{ .name = "more", .type = FIELD_BOOL },
		{ .name = "oneway", .type = FIELD_BOOL },
		{ 0 },
	},
};

static const struct word call_words[] = {
	{ .name = "--more", .help = "take several replies, one a line", .of = &local_type, .field = "more",
	  .constant = "true", .target = 1 },
	{ .name = "--oneway", .help = "take no reply", .of = &local_type, .field = "oneway", .constant = "true",
	  .target = 1 },
	{ 0 },
};
/* clang-format on */

/* Standard input up to its end, at most a byte more than a message may have. */
static char *
read_stdin(size_t *length)
{
	char *text = malloc(VARLINK_MESSAGE_MAX + 1);

	if (text)
		*length = fread(text, 1, VARLINK_MESSAGE_MAX + 1, stdin);
	return text;
}

static int
parse_parameters(const char *argument, struct json_object **ret, struct error *e)
{
	CLEANUP(free_ptr) char *input = NULL;
	size_t length = strlen(argument);

	if (strcmp(argument, "-") == 0) {
		input = read_stdin(&length);
		if (!input)
			return fail_memory(e);
		while (length && strchr(" \t\r\n", input[length - 1]))
			length--;
	}
	if (json_parse(input ? input : argument, length, ret, e) < 0)
		return fail_wrap(e, FAILURE_USAGE, "parameters");
	return 0;
}

/* Prints one reply; an error reply becomes the failure, after its parameters. */
static int
show_reply(const struct varlink_reply *reply, bool pretty, struct error *e)
{
	int r = 0;

	if (!reply->error || json_object_object_length(reply->parameters) > 0)
		r = print_json(reply->parameters, pretty, e);
	if (r == 0 && reply->error) {
		varlink_error_of_reply(reply, e);
		if (!strstr(e->text, reply->error))
			error_wrap(e, "%s", reply->error);
		r = -EREMOTEIO;
	}
	if (fflush(stdout) != 0 && r == 0)
		r = fail_errno(e, FAILURE_LOCAL, errno, "cannot write the output");
	return r;
}

static int
run_call(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *parameters = NULL;
	bool more = member_bool(a->local, "more"), oneway = member_bool(a->local, "oneway"), continues = true;
	unsigned flags = (more ? CALL_MORE | CALL_WAIT : 0) | (oneway ? CALL_ONEWAY : 0);

	if (more && oneway)
		return fail(e, FAILURE_USAGE, "--more and --oneway contradict each other");
	int r = a->n == 2 ? parse_parameters(a->v[1], &parameters, e) : 0;
	if (r == 0)
		r = call_send(c, a->v[0], parameters, flags, -1, e);
	while (r == 0 && !oneway && continues) {
		struct varlink_reply reply;
		r = call_receive(c, flags, &reply, e);
		if (r < 0)
			break;
		continues = reply.continues;
		r = show_reply(&reply, !more, e);
		varlink_reply_done(&reply);
	}
	return r;
}

static int
run_introspect(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = member_put_string(a->words, "interface", a->n ? a->v[0] : MODEL_INTERFACE, e);

	if (r == 0)
		r = call(c, "org.varlink.service.GetInterfaceDescription", a->words, 0, &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	print_lines(member_string(reply, "description"));
	return 0;
}

/* clang-format off */
const struct verb wire_verbs[] = {
	{ .name = "call", .arguments = "METHOD [JSON|-]", .help = "call a method with parameters as they are", .min = 1,
	  .max = 2, .words = call_words, .nouns = { NOUN_METHOD, NOUN_NONE }, .run = run_call,
	  .text = "METHOD without an interface is one of " MODEL_INTERFACE ". \"-\" reads the parameters from standard input.\n"
		  "The parameters of the reply go to standard output, those of an error too.\n" },
	{ .name = "introspect", .arguments = "[INTERFACE]", .help = "print the description of an interface", .max = 1,
	  .run = run_introspect, .text = "Without INTERFACE: " MODEL_INTERFACE ".\n" },
	{ 0 },
};
/* clang-format on */
