/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The methods about processes: which are in a namespace, in which one a process is. */
#include "config.h"

#include "methods.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define BATCH 256

struct process {
	int64_t pid;
	char *command;
};

struct processes_in {
	char *name;
};

struct processes_out {
	struct list v;
};

struct identify_in {
	int64_t pid, pidfd;
};

struct identify_out {
	struct strings names;
};

/* clang-format off */
#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

static const struct type process_type = {
	.name = "Process",
	.doc = "A process with a thread in the namespace",
	.size = sizeof(struct process),
	.fields = (const struct field[]){
		F(process, pid, "pid", FIELD_INT, .doc = "As the host sees it"),
		F(process, command, "command", FIELD_STRING, .doc = "Its short name, as in ps"),
		{ 0 },
	},
};

static const struct type processes_in = {
	.size = sizeof(struct processes_in),
	.fields = (const struct field[]){
		F(processes_in, name, "name", FIELD_STRING, .check = name_check, .doc = "Name of the namespace"),
		{ 0 },
	},
};

static const struct type processes_out = {
	.size = sizeof(struct processes_out),
	.fields = (const struct field[]){
		F(processes_out, v, "processes", FIELD_LIST, .of = &process_type, .doc = "The next of them"),
		{ 0 },
	},
};

static const struct type identify_in = {
	.size = sizeof(struct identify_in),
	.fields = (const struct field[]){
		F(identify_in, pid, "pid", FIELD_INT, .flags = FIELD_NULLABLE, .min = 1, .max = INT32_MAX,
		  .doc = "The process; absent, and no pidfd: the caller"),
		F(identify_in, pidfd, "pidFileDescriptor", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = 7,
		  .doc = "Index of a pidfd sent with this call"),
		{ 0 },
	},
};

static const struct type identify_out = {
	.size = sizeof(struct identify_out),
	.fields = (const struct field[]){
		F(identify_out, names, "names", FIELD_STRINGS, .doc = "Names of its network namespace; empty: it has none"),
		{ 0 },
	},
};
/* clang-format on */

/* ---- ListProcesses ---- */

struct listing {
	struct operation op;
	char name[NAME_MAX_LENGTH + 1];
	int64_t cookie;
	struct process *v;
	size_t n, size;
};

static int
note_process(pid_t pid, const char *command, void *arg)
{
	struct listing *l = arg;

	if (l->n == l->size) {
		size_t size = l->size ? 2 * l->size : 32;
		struct process *v = reallocarray(l->v, size, sizeof(*v));
		if (!v)
			return -ENOMEM;
		l->v = v;
		l->size = size;
	}
	l->v[l->n] = (struct process){ .pid = pid, .command = strdup(command) };
	if (!l->v[l->n].command)
		return -ENOMEM;
	l->n++;
	return 0;
}

static void
processes_run(struct job *j, void *thread)
{
	struct listing *l = (struct listing *)j;
	struct netns n = NETNS_INIT;
	int err = netns_open(thread, l->name, &n, &l->op.error);

	if (err == 0 && (int64_t)n.cookie != l->cookie)
		err = error_set(&l->op.error, ERROR_LOST, "name", "\"%s\" is the name of another namespace now",
				l->name);
	if (err == 0)
		err = netns_processes(thread, &n, note_process, l, &l->op.error);
	netns_close(&n);
	l->op.result = err < 0 ? err : 0;
}

static void
processes_done(struct operation *op)
{
	struct listing *l = (struct listing *)op;

	for (size_t i = 0; op->result == 0 && i + BATCH < l->n; i += BATCH) {
		struct processes_out part = { .v = { .v = l->v + i, .n = BATCH, .set = true } };
		request_continue(op->request, &processes_out, &part);
	}
	size_t told = l->n ? (l->n - 1) / BATCH * BATCH : 0;
	struct processes_out last = { .v = { .v = l->v + told, .n = l->n - told, .set = true } };
	if (op->result < 0)
		request_error(op->request, &op->error);
	else
		request_reply(op->request, &processes_out, &last);
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].command);
	free(l->v);
	free(l);
}

static int
list_processes(void *context, struct request *r, void *in, struct error *e)
{
	const struct processes_in *asked = in;
	struct object *o;
	int err = look_up(context, r, OBJECT_NAMESPACE, asked->name, FIELD_ABSENT_INT, &o, e);

	if (err == 0 && o->ns.state != STATE_READY)
		err = not_ready(o, e);
	if (err < 0)
		return err;
	struct listing *l = calloc(1, sizeof(*l));
	if (!l)
		return error_errno(e, ENOMEM, "listing processes");
	l->op.m = context;
	l->op.request = r;
	l->cookie = o->ns.cookie;
	snprintf(l->name, sizeof(l->name), "%s", asked->name);
	operation_start(&l->op, processes_run, processes_done);
	return 0;
}

/* ---- IdentifyProcess ---- */

struct identification {
	struct operation op;
	pid_t pid;
	int pidfd;
	uint64_t cookie;
};

static void
identify_run(struct job *j, void *thread)
{
	struct identification *i = (struct identification *)j;
	struct netns n = NETNS_INIT;
	int pidfd = -1;

	i->op.result = i->pidfd >= 0 ? netns_of_pidfd(thread, i->pidfd, &n, &i->op.error) :
				       netns_of_pid(thread, i->pid, &n, &pidfd, &i->op.error);
	i->cookie = n.cookie;
	netns_close(&n);
	if (pidfd >= 0)
		close(pidfd);
}

static void
identify_done(struct operation *op)
{
	struct identification *i = (struct identification *)op;
	const struct manager *m = op->m;
	struct identify_out reply = { .names = { .set = true } };
	int err = op->result;

	for (size_t n = 0; n < m->namespaces.n && err == 0; n++) {
		const struct object *o = m->namespaces.v[n];
		if (o->ns.cookie == (int64_t)i->cookie && o->ns.state == STATE_READY &&
		    peer_sees(request_peer(op->request), o))
			err = strings_add(&reply.names, o->ns.name);
	}
	if (err == 0) {
		request_reply(op->request, &identify_out, &reply);
	} else {
		if (op->result == 0)
			error_errno(&op->error, ENOMEM, "identifying a process");
		request_error(op->request, &op->error);
	}
	strings_done(&reply.names);
	if (i->pidfd >= 0)
		close(i->pidfd);
	free(i);
}

static int
identify(void *context, struct request *r, void *in, struct error *e)
{
	const struct identify_in *asked = in;
	int pidfd = -1;

	if (asked->pidfd != FIELD_ABSENT_INT) {
		int given = request_fd(r, asked->pidfd);
		if (given < 0)
			return error_set(e, ERROR_INVALID_VALUE, "pidFileDescriptor",
					 "no file descriptor %lld came with the call", (long long)asked->pidfd);
		pidfd = fcntl(given, F_DUPFD_CLOEXEC, 3);
		if (pidfd < 0)
			return error_errno(e, errno, "identifying a process");
	}
	struct identification *i = calloc(1, sizeof(*i));
	if (!i) {
		if (pidfd >= 0)
			close(pidfd);
		return error_errno(e, ENOMEM, "identifying a process");
	}
	i->op.m = context;
	i->op.request = r;
	i->pidfd = pidfd;
	i->pid = asked->pid == FIELD_ABSENT_INT ? request_peer(r)->pid : (pid_t)asked->pid;
	operation_start(&i->op, identify_run, identify_done);
	return 0;
}

/* clang-format off */
const struct method process_methods[] = {
	{ .name = "ListProcesses",
	  .doc = "The processes in a namespace, in several replies",
	  .in = &processes_in, .out = &processes_out, .flags = METHOD_REQUIRES_MORE, .handler = list_processes },
	{ .name = "IdentifyProcess",
	  .doc = "The names of a process's network namespace",
	  .in = &identify_in, .out = &identify_out, .flags = METHOD_TAKES_FDS, .handler = identify },
	{ 0 },
};
/* clang-format on */
