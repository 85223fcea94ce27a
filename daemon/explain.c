/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ExplainSlot: who has a slot, since when, and what holds it, in words. */
#include "config.h"

#include "methods.h"
#include "slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "netns-holders.h"

#define HOLDERS_MAX 64

struct holder_out {
	int64_t pid;
	char *command;
	int how;
};

struct explain_out {
	struct slot *slot;
	char *text;
	struct list holders;
};

/* clang-format off */
#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

static const struct type how_type = {
	.name = "How",
	.doc = "How a process holds a namespace: it is inside, it has its file open, it has a socket of it open, or its file is "
	       "mounted where the process lives",
	.values = (const char *const[]){ "process", "fileDescriptor", "socket", "mount", NULL },
};

static const struct type holder_type = {
	.name = "Holder",
	.doc = "A process that holds a namespace",
	.size = sizeof(struct holder_out),
	.fields = (const struct field[]){
		F(holder_out, pid, "pid", FIELD_INT, .doc = "Its process id"),
		F(holder_out, command, "command", FIELD_STRING, .doc = "Its name"),
		F(holder_out, how, "how", FIELD_ENUM, .of = &how_type, .doc = "In which way"),
		{ 0 },
	},
};

const struct type explain_out_type = {
	.size = sizeof(struct explain_out),
	.fields = (const struct field[]){
		F(explain_out, slot, "slot", FIELD_STRUCT, .of = &slot_type, .doc = "The slot as it is now"),
		F(explain_out, text, "text", FIELD_STRING, .doc = "For people"),
		F(explain_out, holders, "holders", FIELD_LIST, .of = &holder_type,
		  .doc = "Processes that keep its namespace alive; a file descriptor under way in a message is seen by nobody"),
		{ 0 },
	},
};
/* clang-format on */

struct explanation {
	struct operation op;
	struct slot slot;
	uint64_t inode, cookie;
	unsigned n;
	struct holder_out v[HOLDERS_MAX];
};

static int
note_holder(pid_t pid, const char *command, enum holding how, void *arg)
{
	struct explanation *x = arg;

	if (x->n == HOLDERS_MAX)
		return 0;
	struct holder_out *h = &x->v[x->n];
	*h = (struct holder_out){ .pid = pid, .command = strdup(command), .how = (int)how };
	if (!h->command)
		return -ENOMEM;
	x->n++;
	return 0;
}

static void
explain_run(struct job *job, void *thread UNUSED)
{
	struct explanation *x = (struct explanation *)job;

	if (x->inode)
		x->op.result = netns_holders(x->inode, x->cookie, note_holder, x, &x->op.error);
	if (x->op.result == -ENOMEM)
		error_errno(&x->op.error, ENOMEM, "looking for holders");
}

/* ---- the words ---- */

static void
describe_lease(const struct slot *s, FILE *f)
{
	time_t since = (time_t)s->since;
	char when[64] = "";
	struct tm tm;

	if (localtime_r(&since, &tm))
		strftime(when, sizeof(when), "%F %T", &tm);
	fprintf(f, "leased to uid %lld since %s", (long long)s->owner, when);
	if (s->pid != FIELD_ABSENT_INT)
		fprintf(f, " by process %lld", (long long)s->pid);
	if (s->key)
		fprintf(f, " with key \"%s\"", s->key);
	if (s->bond == BOND_PROCESS)
		fprintf(f, ", until process %lld ends", (long long)s->pid);
	else if (s->bond == BOND_TIME)
		fprintf(f, ", for %.1f seconds more", (double)s->expires / 1000);
	else
		fputs(s->bond == BOND_CONNECTION ? ", until its connection ends" : ", until it is released", f);
}

static void
describe_holders(const struct explanation *x, FILE *f)
{
	static const char *const ways[] = { "is in it", "has its file open", "has a socket of it open",
					    "sees it mounted" };

	for (unsigned i = 0; i < x->n; i++)
		fprintf(f, "%s process %lld (%s) %s", i ? "," : "; held:", (long long)x->v[i].pid, x->v[i].command,
			ways[x->v[i].how]);
	if (x->slot.state == SLOT_DRAINING && !x->n)
		fputs("; no process is found that holds it: the kernel is at work, or a file descriptor of it is under way "
		      "in a message",
		      f);
}

static char *
describe(const struct explanation *x)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	fprintf(f, "slot %s is %s", x->slot.name, enum_name(&slot_state_type, x->slot.state));
	if (x->slot.state == SLOT_LEASED) {
		fputs(": ", f);
		describe_lease(&x->slot, f);
	}
	if (x->slot.message)
		fprintf(f, "; %s", x->slot.message);
	if (x->slot.state == SLOT_LEASED || x->slot.state == SLOT_DRAINING)
		describe_holders(x, f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void
explain_done(struct operation *op)
{
	struct explanation *x = (struct explanation *)op;
	struct explain_out reply = { .slot = &x->slot, .holders = { .v = x->v, .n = x->n, .set = true } };

	reply.text = op->result < 0 ? NULL : describe(x);
	if (op->result == 0 && !reply.text)
		error_errno(&op->error, ENOMEM, "explaining slot \"%s\"", x->slot.name);
	if (reply.text)
		request_reply(op->request, &explain_out_type, &reply);
	else
		request_error(op->request, &op->error);
	free(reply.text);
	for (unsigned i = 0; i < x->n; i++)
		free(x->v[i].command);
	slot_done(&x->slot);
	free(x);
}

int
explain_slot(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	struct slot_object *s;
	struct slot_view v;
	int err = look_up_slot(m, r, *(char **)in, FIELD_ABSENT_INT, &s, e);

	if (err < 0)
		return err;
	struct explanation *x = calloc(1, sizeof(*x));
	if (!x)
		return error_errno(e, ENOMEM, "explaining slot \"%s\"", *(char **)in);
	slot_show(m, s, &v);
	err = fields_copy(&slot_type, &v.slot, &x->slot, e);
	if (err < 0) {
		free(x);
		return err;
	}
	x->op.m = m;
	x->op.request = r;
	x->inode = slot_record(m, s)->inode;
	x->cookie = slot_record(m, s)->cookie;
	operation_start(&x->op, explain_run, explain_done);
	return 0;
}
