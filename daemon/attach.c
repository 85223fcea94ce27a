/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Giving a name to a namespace that somebody else made: by process, pidfd or namespace fd. The name is a mount, so it
 * keeps the namespace alive and never dangles; when the process ends, the object says so. */
#include "config.h"

#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct attachment {
	struct operation op;
	struct attach_source source; /* own copies of its fds */
	uint64_t cookie;
	int nsid, pidfd;
	bool stale; /* it failed, and its record could not be deleted */
	changed_reply *reply;
};

static void
source_close(struct attach_source *s)
{
	if (s->pidfd >= 0)
		close(s->pidfd);
	if (s->ns_fd >= 0)
		close(s->ns_fd);
}

/* The parameter to blame when the source is no good. */
static const char *
source_field(const struct attach_source *s)
{
	return s->ns_fd >= 0 ? "namespaceFileDescriptor" : s->pidfd >= 0 ? "pidFileDescriptor" : "pid";
}

static int
open_source(struct attachment *a, struct kernel *k, struct netns *n, struct error *e)
{
	if (a->source.ns_fd >= 0)
		return netns_of_fd(k, a->source.ns_fd, n, e);
	if (a->source.pidfd < 0)
		return netns_of_pid(k, a->source.pid, n, &a->pidfd, e);
	int err = netns_of_pidfd(k, a->source.pidfd, n, e);
	if (err < 0)
		return err;
	a->source.pid = netns_pidfd_pid(a->source.pidfd);
	a->pidfd = TAKE_FD(a->source.pidfd);
	return 0;
}

static int
attach(struct attachment *a, struct kernel *k, struct error *e)
{
	struct object *o = a->op.objects[0];
	struct namespace ns = o->ns; /* as it will be */
	struct record r = { .object = o, .ns = &ns, .state = STATE_CREATING };
	struct netns n = NETNS_INIT;
	int err = open_source(a, k, &n, e);

	if (err < 0) {
		if (!*e->field)
			error_prefix_field(e, source_field(&a->source), -1);
		return err;
	}
	if (a->source.pid > 0)
		ns.pid = a->source.pid;
	a->cookie = r.cookie = n.cookie;
	err = commit(a->op.m, &r, 1, false, e);
	if (err == 0) {
		err = netns_pin(k, o->ns.name, n.fd, e);
		r.state = STATE_READY;
		if (err == 0 && (err = commit(a->op.m, &r, 1, false, e)) < 0)
			netns_unpin(k, o->ns.name, n.cookie, NULL);
		r.state = -1;
		a->stale = err < 0 && commit(a->op.m, &r, 1, false, NULL) < 0;
	}
	if (err == 0)
		netns_nsid(k, &n, &a->nsid, NULL);
	netns_close(&n);
	return err;
}

static void
attach_run(struct job *j, void *thread)
{
	struct attachment *a = (struct attachment *)j;
	a->op.result = attach(a, thread, &a->op.error);
}

static void
attach_done(struct operation *op)
{
	struct attachment *a = (struct attachment *)op;
	struct manager *m = op->m;
	struct object *o = op->objects[0];

	if (op->result == 0) {
		o->ns.cookie = (int64_t)a->cookie;
		o->pidfd = TAKE_FD(a->pidfd);
		if (a->source.pid > 0) {
			o->ns.pid = a->source.pid;
			o->ns.pid_running = 1;
		}
		object_set_state(o, STATE_READY);
		if (a->nsid >= 0)
			watch_catch_up(m);
		if (a->nsid >= 0 && !find_nsid(m, a->nsid))
			object_set_nsid(m, o, a->nsid);
		announce(m, CHANGE_READY, o);
		a->reply(op->request, o);
	} else {
		request_error(op->request, &op->error);
		object_drop(m, o, a->stale);
	}
	if (a->pidfd >= 0)
		close(a->pidfd);
	source_close(&a->source);
	free(a);
}

static struct object *
attached_object(struct manager *m, struct request *r, const struct namespace *spec, struct error *e)
{
	struct object *o = object_new(OBJECT_NAMESPACE);
	int err = o ? fields_copy(&namespace_type, spec, &o->ns, e) : error_errno(e, ENOMEM, "attaching");

	if (err == 0)
		err = store_generation(m->store, &o->ns.generation, e);
	if (err == 0) {
		o->ns.state = STATE_CREATING;
		o->ns.kinds = 1 << KIND_NET;
		o->ns.lifetime = LIFETIME_RUNTIME;
		o->ns.attached = 1;
		o->ns.owner = request_peer(r)->uid;
		o->ns.created = time(NULL);
		if (asprintf(&o->ns.path, "%s/%s", netns_site_path(m->site), spec->name) < 0) {
			o->ns.path = NULL;
			err = error_errno(e, ENOMEM, "attaching");
		}
	}
	if (err == 0 && object_insert(m, o) < 0)
		err = error_errno(e, ENOMEM, "attaching");
	if (err < 0) {
		object_free(o);
		return NULL;
	}
	return o;
}

/* The descriptors belong to the request, which may end before the worker is done with them. */
static int
source_copy(const struct attach_source *from, struct attach_source *to, struct error *e)
{
	*to = (struct attach_source){ .pid = from->pid, .pidfd = -1, .ns_fd = -1 };
	if (from->pidfd >= 0)
		to->pidfd = fcntl(from->pidfd, F_DUPFD_CLOEXEC, 3);
	if (from->ns_fd >= 0)
		to->ns_fd = fcntl(from->ns_fd, F_DUPFD_CLOEXEC, 3);
	if ((from->pidfd >= 0 && to->pidfd < 0) || (from->ns_fd >= 0 && to->ns_fd < 0)) {
		int number = errno;
		source_close(to);
		return error_errno(e, number, "attaching");
	}
	return 0;
}

int
attach_namespace(struct manager *m, struct request *r, const struct namespace *spec, const struct attach_source *source,
		 changed_reply *reply, struct error *e)
{
	struct attachment *a = calloc(1, sizeof(*a));
	int err = a ? source_copy(source, &a->source, e) : error_errno(e, ENOMEM, "attaching");
	if (err < 0) {
		free(a);
		return err;
	}
	struct object *o = attached_object(m, r, spec, e);
	if (!o) {
		source_close(&a->source);
		free(a);
		return -e->number;
	}
	a->op = (struct operation){ .m = m, .request = r, .n_objects = 1, .few = { o } };
	a->op.objects = a->op.few;
	a->nsid = a->pidfd = -1;
	a->reply = reply;
	operation_start(&a->op, attach_run, attach_done);
	announce(m, CHANGE_CREATED, o);
	return 0;
}

static void
process_ended(struct manager *m, struct object *o)
{
	o->ns.pid_running = 0;
	object_set_message(o, "process %lld has ended; the name keeps the namespace alive until it is detached",
			   (long long)o->ns.pid);
	announce(m, CHANGE_CHANGED, o);
}

/* The process of an attachment made before a restart, if it still is in that namespace: pids are used again. */
static void
resume_run(struct job *j, void *thread)
{
	struct attachment *a = (struct attachment *)j;
	struct netns n = NETNS_INIT;
	const struct namespace *ns = &a->op.objects[0]->ns;

	a->op.result = netns_of_pid(thread, (pid_t)ns->pid, &n, &a->pidfd, &a->op.error);
	a->cookie = n.cookie;
	netns_close(&n);
}

static void
resume_done(struct operation *op)
{
	struct attachment *a = (struct attachment *)op;
	struct object *o = op->objects[0];

	if (op->result == 0 && a->cookie == (uint64_t)o->ns.cookie) {
		o->pidfd = TAKE_FD(a->pidfd);
		o->ns.pid_running = 1;
	} else {
		process_ended(op->m, o);
	}
	if (a->pidfd >= 0)
		close(a->pidfd);
	free(a);
}

void
attached_resume(struct manager *m, struct object *o)
{
	struct attachment *a = o->ns.pid > 0 ? calloc(1, sizeof(*a)) : NULL;
	if (!a)
		return;
	a->op = (struct operation){ .m = m, .n_objects = 1, .few = { o } };
	a->op.objects = a->op.few;
	a->pidfd = -1;
	operation_start(&a->op, resume_run, resume_done);
}

static bool
has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	return poll(&p, 1, 0) == 1;
}

void
attached_tick(struct manager *m)
{
	for (size_t i = 0; i < m->namespaces.n; i++) {
		struct object *o = m->namespaces.v[i];
		if (o->pidfd < 0 || o->busy || !has_ended(o->pidfd))
			continue;
		close(TAKE_FD(o->pidfd));
		if (o->ns.state == STATE_READY)
			process_ended(m, o);
	}
}
