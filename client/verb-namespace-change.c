/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc set, attach, repair: namespaces change, or get a name. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "call.h"
#include "failure.h"
#include "json.h"
#include "member.h"
#include "model.h"
#include "names.h"
#include "print.h"
#include "process.h"
#include "values.h"
#include "verb.h"

/* clang-format off */
static const struct type change_type = {
	.fields = (const struct field[]){
		{ .name = "nsid", .type = FIELD_INT, .min = -1, .max = INT32_MAX },
		{ .name = "owner", .type = FIELD_INT, .max = UINT32_MAX - 1 },
		{ .name = "generation", .type = FIELD_INT, .min = 1, .max = INT64_MAX },
		{ 0 },
	},
};
/* clang-format on */

/* ip netns set NAME 12 */
static bool
is_nsid(const char *text)
{
	return strcmp(text, "auto") == 0 || (text[0] && !text[strspn(text, "0123456789")]);
}

static int
parse_nsid(struct cursor *c, const struct word *w, struct json_object **targets, struct error *e)
{
	const char *text = words_value(c, w, e);

	if (!text)
		return -EINVAL;
	if (!is_nsid(text))
		return fail(e, FAILURE_USAGE, "nsid %s: want a number or \"auto\"", text);
	return words_set(w, strcmp(text, "auto") == 0 ? "-1" : text, targets[0], e);
}

/* clang-format off */
static const struct word set_words[] = {
	{ .name = "nsid", .value = "N|auto", .help = "the host's number for it; \"nsid\" may be left out", .of = &change_type,
	  .field = "nsid", .bare = is_nsid, .parse = parse_nsid },
	{ .name = "loopback", .value = "up|down", .help = "lo", .of = &namespace_type, .field = "loopback" },
	{ .name = "label", .value = "KEY=VALUE", .help = "a note of your own", .of = &namespace_type,
	  .field = "labels" },
	{ .name = "sysctl", .value = "KEY=VALUE", .help = "a setting of the kernel, like net.ipv4.ip_forward=1",
	  .of = &namespace_type, .field = "sysctls" },
	{ .name = "owner", .value = "USER", .help = "who may change and delete it", .of = &change_type,
	  .field = "owner", .set = value_user },
	{ .name = "generation", .value = "N", .help = "only if it is still the one of that generation",
	  .of = &change_type, .field = "generation" },
	{ 0 },
};

static const struct word attach_words[] = {
	{ .name = "label", .value = "KEY=VALUE", .help = "a note of your own", .of = &namespace_type,
	  .field = "labels" },
	{ 0 },
};
/* clang-format on */

static int
run_set(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;

	if (json_object_object_length(a->words) == (member_has(a->words, "generation") ? 1 : 0))
		return fail(e, FAILURE_USAGE, "nothing to set; see \"nsc help set\"");
	int r = member_put_string(a->words, "name", a->v[0], e);
	if (r == 0)
		r = call(c, "ChangeNamespace", a->words, 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

/* The parameter and the descriptor for "PID" or "/proc/PID/ns/net". *fd stays -1 where the number itself is sent. */
static int
open_target(struct client *c, const char *text, struct json_object *parameters, int *fd, struct error *e)
{
	if (!strchr(text, '/'))
		return process_parameter(c, text, parameters, fd, e);
	if (c->host)
		return fail(e, FAILURE_USAGE, "%s: a file of this host means nothing on %s; give a PID", text, c->host);
	*fd = open(text, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (*fd < 0)
		return fail_errno(e, FAILURE_LOCAL, errno, "cannot open %s", text);
	return member_put_int(parameters, "namespaceFileDescriptor", 0, e);
}

static int
run_attach(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	CLEANUP(close_fd) int fd = -1;

	if (name_check(a->v[0], e) < 0)
		return fail_wrap(e, FAILURE_USAGE, a->v[0]);
	int r = member_put_string(a->words, "name", a->v[0], e);
	if (r == 0)
		r = open_target(c, a->v[1], a->words, &fd, e);
	if (r == 0)
		r = call_with_fd(c, "AttachNamespace", a->words, fd, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

static int
run_repair(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = member_put_string(a->words, "name", a->v[0], e);
	if (r == 0)
		r = call(c, "RepairNamespace", a->words, 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

/* clang-format off */
const struct verb namespace_change_verbs[] = {
	{ .name = "set", .arguments = "NAME", .help = "change a namespace", .min = 1, .max = 1, .words = set_words,
	  .nouns = { NOUN_OWN_NAMESPACE }, .run = run_set,
	  .text = "Labels and sysctls join those that are there. \"nsc set NAME N\" sets the nsid, as ip netns does.\n" },
	{ .name = "attach", .arguments = "NAME PID|FILE", .help = "name the network namespace of a process", .min = 2,
	  .max = 2, .words = attach_words, .nouns = { NOUN_NONE, NOUN_PROCESS }, .run = run_attach,
	  .text = "FILE is a namespace file like /proc/PID/ns/net. The name keeps the namespace after the process has\n"
		  "ended; \"nsc detach NAME\" takes the name away.\n" },
	{ .name = "repair", .arguments = "NAME", .help = "make a lost or drifted namespace as it should be", .min = 1,
	  .max = 1, .nouns = { NOUN_OWN_NAMESPACE }, .run = run_repair },
	{ 0 },
};
/* clang-format on */
