/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc exec, pids, identify: processes and namespaces. */
#include "config.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "become.h"
#include "call.h"
#include "enter.h"
#include "failure.h"
#include "json.h"
#include "member.h"
#include "print.h"
#include "process.h"
#include "ssh.h"
#include "verb.h"

/* clang-format off */
static const struct type local_type = {
	.fields = (const struct field[]){
		{ .name = "long", .type = FIELD_BOOL },
		{ 0 },
	},
};

static const struct word pids_words[] = {
	{ .name = "--long", .aliases = "-l", .help = "with the names of the commands", .of = &local_type,
	  .field = "long", .constant = "true", .target = 1 },
	{ 0 },
};
/* clang-format on */

/* Asks nsd for the namespace and gets ready to enter while it answers. */
static int
enter(struct client *c, const char *name, struct error *e)
{
	CLEANUP(json_put) struct json_object *parameters = NULL, *reply = NULL;
	CLEANUP(close_fd) int fd = -1;

	if (!name[0] || strchr(name, '/') || name[0] == '-' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strlen(name) > NAME_MAX)
		return fail(e, FAILURE_USAGE, "\"%s\" cannot be the name of a namespace", name);
	int r = member_new(&parameters, e);
	if (r == 0)
		r = member_put_string(parameters, "name", name, e);
	if (r == 0)
		r = call_send(c, "OpenNamespace", parameters, 0, -1, e);
	if (r == 0)
		r = enter_prepare(e);
	if (r == 0)
		r = call_receive_fd(c, &reply, &fd, e);
	if (r == 0)
		r = enter_namespace(fd, name, e);
	if (r == 0)
		enter_etc(name);
	return r;
}

static int
run_exec(struct client *c, const struct arguments *a, struct error *e)
{
	if (c->host)
		return ssh_exec(c, "exec", a->n, a->v, e);
	int r = enter(c, a->v[0], e);
	return r < 0 ? r : become(a->v + 1, e);
}

static int
print_pids(struct json_object *reply, struct error *e)
{
	static const char *const headings[] = { "PID", "COMMAND", NULL };
	CLEANUP(table_free) struct table *t = table_new(headings);

	if (!t)
		return fail_memory(e);
	for (size_t i = 0; i < member_count(reply, "processes"); i++) {
		struct json_object *process = member_item(reply, "processes", i);
		table_addf(t, "%" PRId64, member_int(process, "pid", 0));
		table_add(t, member_string(process, "command"));
	}
	return table_print(t, e);
}

static int
run_pids(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = member_put_string(a->words, "name", a->v[0], e);
	if (r == 0)
		r = call_collect(c, "ListProcesses", a->words, "processes", &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);

	if (member_bool(a->local, "long"))
		return print_pids(reply, e);
	for (size_t i = 0; i < member_count(reply, "processes"); i++)
		printf("%" PRId64 "\n", member_int(member_item(reply, "processes", i), "pid", 0));
	return 0;
}

static int
run_identify(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	CLEANUP(close_fd) int fd = -1;
	int r = 0;

	if (a->n == 0 && c->host)
		return fail(e, FAILURE_USAGE, "which process of %s? Give its PID", c->host);
	if (a->n == 1)
		r = process_parameter(c, a->v[0], a->words, &fd, e);
	if (r == 0)
		r = call_with_fd(c, "IdentifyProcess", a->words, fd, &reply, e);
	if (r < 0 || c->json)
		return r < 0 ? r : print_json(reply, true, e);

	for (size_t i = 0; i < member_count(reply, "names"); i++) {
		print_text(stdout, member_text(member_item(reply, "names", i)));
		putchar('\n');
	}
	return 0;
}

/* clang-format off */
const struct verb process_verbs[] = {
	{ .name = "exec", .arguments = "NAME [COMMAND [ARGUMENT...]]", .help = "run a command inside, or a shell", .min = 1,
	  .max = -1, .flags = VERB_RAW | VERB_COMMAND | VERB_EXEC, .nouns = { NOUN_NAMESPACE, NOUN_COMMAND },
	  .run = run_exec,
	  .text = "Without a command: $SHELL, else sh. /sys shows the namespace, and each file of /etc/netns/NAME/ stands\n"
		  "over its namesake in /etc. nsc becomes the command: signals and exit status are the command's own.\n"
		  "Options of nsc go before NAME.\n\n"
		  "The exit status is 125 when nsc fails before the command starts, 126 when the command cannot be executed,\n"
		  "127 when it is not found. With --host a terminal goes along when there is one.\n" },
	{ .name = "pids", .arguments = "NAME", .help = "list the processes inside", .min = 1, .max = 1,
	  .words = pids_words, .nouns = { NOUN_NAMESPACE }, .run = run_pids },
	{ .name = "identify", .arguments = "[PID]", .help = "name the namespaces a process is in", .max = 1,
	  .nouns = { NOUN_PROCESS }, .run = run_identify,
	  .text = "Without PID: nsc itself, that is, where it was called. Prints nothing for one without a name.\n" },
	{ 0 },
};
/* clang-format on */
