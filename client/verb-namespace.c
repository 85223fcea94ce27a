/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc add, ensure, del, detach, list, show: namespaces come, go and are looked at. */
#include "config.h"

#include <json-c/json.h>
#include <stdio.h>

#include "call.h"
#include "failure.h"
#include "json.h"
#include "member.h"
#include "model.h"
#include "names.h"
#include "print.h"
#include "verb.h"
#include "view.h"

/* clang-format off */
static const struct word spec_words[] = {
	{ .name = "runtime", .help = "gone at the next boot", .of = &namespace_type, .field = "lifetime",
	  .constant = "runtime" },
	{ .name = "persistent", .help = "made again at boot; this is the default", .of = &namespace_type,
	  .field = "lifetime", .constant = "persistent" },
	{ .name = "no-loopback", .help = "leave lo down", .of = &namespace_type, .field = "loopback",
	  .constant = "down" },
	{ .name = "nsid", .value = "N", .help = "the host's number for it; else the kernel chooses",
	  .of = &namespace_type, .field = "nsid" },
	{ .name = "label", .value = "KEY=VALUE", .help = "a note of your own", .of = &namespace_type,
	  .field = "labels" },
	{ .name = "sysctl", .value = "KEY=VALUE", .help = "a setting of the kernel, like net.ipv4.ip_forward=1",
	  .of = &namespace_type, .field = "sysctls" },
	{ 0 },
};

static const struct type request_type = {
	.fields = (const struct field[]){
		{ .name = "generation", .type = FIELD_INT, .min = 1, .max = INT64_MAX },
		{ .name = "wait", .type = FIELD_BOOL },
		{ .name = "foreign", .type = FIELD_BOOL },
		{ .name = "names", .type = FIELD_BOOL },
		{ 0 },
	},
};

static const struct word delete_words[] = {
	{ .name = "--wait", .help = "come back when it is really gone", .of = &request_type, .field = "wait",
	  .constant = "true" },
	{ .name = "generation", .value = "N", .help = "only if it is still the one of that generation",
	  .of = &request_type, .field = "generation" },
	{ 0 },
};

static const struct word detach_words[] = {
	{ .name = "generation", .value = "N", .help = "only if it is still the one of that generation",
	  .of = &request_type, .field = "generation" },
	{ 0 },
};

static const struct word list_words[] = {
	{ .name = "--own", .help = "only what nsd made or named, nothing foreign", .of = &request_type,
	  .field = "foreign", .constant = "false" },
	{ .name = "--names", .help = "names only, one a line", .of = &request_type, .field = "names",
	  .constant = "true", .target = 1 },
	{ 0 },
};
/* clang-format on */

/* Calls `method` for a namespace that is to be named by nsd. */
static int
call_spec(struct client *c, const char *method, const struct arguments *a, struct json_object **ret, struct error *e)
{
	if (name_check(a->v[0], e) < 0)
		return fail_wrap(e, FAILURE_USAGE, a->v[0]);
	int r = member_put_string(a->words, "name", a->v[0], e);
	return r < 0 ? r : call(c, method, a->words, 0, ret, e);
}

static int
run_add(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_spec(c, "CreateNamespace", a, &reply, e);

	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

static int
run_ensure(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_spec(c, "EnsureNamespace", a, &reply, e);

	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	printf("%s: %s\n", a->v[0], member_bool(reply, "created") ? "created" : "unchanged");
	return 0;
}

static const char waiting[] = "waiting until the kernel has let go of it; \"nsc show\" tells what holds it, and "
			      "stopping nsc does not stop the deletion";

/* Deletes one; the same parameters serve for all. */
static int
delete_one(struct client *c, const struct arguments *a, const char *name, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	bool wait = member_bool(a->words, "wait");
	int r = member_put_string(a->words, "name", name, e);

	c->notice = wait ? waiting : NULL;
	if (r == 0)
		r = call(c, "DeleteNamespace", a->words, wait ? CALL_WAIT : 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

/* Goes on after a failure; the last one is left to main. */
static int
run_delete(struct client *c, const struct arguments *a, struct error *e)
{
	int result = 0;

	if (a->n > 1 && member_has(a->words, "generation"))
		return fail(e, FAILURE_USAGE, "a generation belongs to one namespace; delete them one by one");
	for (int i = 0; i < a->n; i++) {
		struct error one = { 0 };
		int r = delete_one(c, a, a->v[i], &one);
		if (r >= 0)
			continue;
		if (result < 0)
			print_error(e);
		*e = one;
		result = r;
		if (failure_is_fatal(&one))
			break;
	}
	return result;
}

static int
run_detach(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = member_put_string(a->words, "name", a->v[0], e);
	if (r == 0)
		r = call(c, "DetachNamespace", a->words, 0, &reply, e);
	return r < 0 || !c->json ? r : print_json(reply, true, e);
}

static int
print_namespaces(struct json_object *reply, struct error *e)
{
	CLEANUP(table_free) struct table *t = table_new(view_namespace_headings);

	if (!t)
		return fail_memory(e);
	for (size_t i = 0; i < member_count(reply, "namespaces"); i++)
		view_namespace_row(t, member_item(reply, "namespaces", i));
	return table_print(t, e);
}

static int
run_list(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = call_collect(c, "ListNamespaces", a->words, "namespaces", &reply, e);

	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);
	if (!member_bool(a->local, "names"))
		return print_namespaces(reply, e);
	view_names(reply, "namespaces");
	return 0;
}

/* How many processes are inside; told only where nsd tells it. */
static void
print_processes(struct client *c, struct json_object *name)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	struct error ignored;

	if (call_collect(c, "ListProcesses", name, "processes", &reply, &ignored) == 0)
		print_fieldf("processes", "%zu", member_count(reply, "processes"));
}

static int
print_links(struct json_object *reply, struct error *e)
{
	CLEANUP(table_free) struct table *t = table_new(view_link_headings);
	size_t n = member_count(reply, "links");

	if (!t)
		return fail_memory(e);
	for (size_t i = 0; i < n; i++)
		view_link_row(t, member_item(reply, "links", i));
	if (n == 0)
		return 0;
	putchar('\n');
	return table_print(t, e);
}

static int
run_show(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = member_put_string(a->words, "name", a->v[0], e);
	if (r == 0)
		r = call(c, "GetNamespace", a->words, 0, &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);

	view_namespace(member_get(reply, "namespace"));
	print_processes(c, a->words);
	return print_links(reply, e);
}

/* clang-format off */
const struct verb namespace_verbs[] = {
	{ .name = "add", .arguments = "NAME", .help = "make a namespace", .min = 1, .max = 1, .words = spec_words,
	  .text = "The namespace appears as /run/netns/NAME, its lo is up, and it comes back after a reboot.\n",
	  .run = run_add },
	{ .name = "ensure", .arguments = "NAME", .help = "make a namespace unless it is there already", .min = 1,
	  .max = 1, .words = spec_words, .nouns = { NOUN_OWN_NAMESPACE },
	  .text = "Prints \"created\" or \"unchanged\". One of that name with another specification is an error.\n",
	  .run = run_ensure },
	{ .name = "del", .aliases = "delete rm", .arguments = "NAME...", .help = "delete namespaces with their links",
	  .min = 1, .max = -1, .words = delete_words, .nouns = { NOUN_OWN_NAMESPACE, NOUN_OWN_NAMESPACE },
	  .text = "Returns at once; the kernel may need a while, and as long as a process is inside the namespace is\n"
		  "\"draining\". With --wait it returns when nothing is left.\n",
	  .run = run_delete },
	{ .name = "detach", .arguments = "NAME", .help = "take the name off an attached namespace", .min = 1, .max = 1,
	  .words = detach_words, .nouns = { NOUN_OWN_NAMESPACE },
	  .text = "Processes inside do not notice.\n", .run = run_detach },
	{ .name = "list", .aliases = "ls", .help = "list the namespaces, foreign ones too", .max = 0,
	  .words = list_words, .run = run_list },
	{ .name = "show", .aliases = "inspect get", .arguments = "NAME", .help = "show all about a namespace", .min = 1,
	  .max = 1, .nouns = { NOUN_NAMESPACE }, .run = run_show },
	{ 0 },
};
/* clang-format on */
