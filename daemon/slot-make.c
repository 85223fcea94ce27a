/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The jobs that make slots in the kernel, for a pool a few at a time, for a request one by itself. */
#include "config.h"

#include "slots.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"

#define BACKOFF_MS 1000

struct made {
	struct slot_object *slot;
	struct slot_record *record; /* the worker's until it is done */
	struct slot_plan plan;
	char name[SLOT_NAME_MAX_LENGTH + 1];
	bool tried, done;
	bool wants_watch;
	int watch; /* -1: it has none, and has to be looked at before it is handed out */
};

struct making {
	struct operation op;
	struct network_state *network;
	struct vault *vault;
	struct pairs sysctls;
	struct acquire *acquire;
	unsigned n;
	struct made v[MAKE_BATCH];
};

/* ---- on a thread of the vault ---- */

static int
note_identity(struct slot_record *record, const struct netns *n, struct error *e)
{
	struct stat st;

	if (fstat(n->fd, &st) < 0)
		return error_errno(e, errno, "looking at a namespace");
	record->cookie = n->cookie;
	record->inode = st.st_ino;
	return 0;
}

static int
make_one(struct making *j, struct kernel *k, struct rtnl *socket, struct made *one, struct error *e)
{
	struct netns n = NETNS_INIT;

	one->tried = true;
	int err = slot_make(k, socket, &one->plan, &n, e);
	if (err == 0)
		err = note_identity(one->record, &n, e);
	if (err == 0)
		err = vault_pin(j->vault, one->name, n.fd, e);
	if (err == 0 && one->wants_watch)
		slot_watch_take(&n.rtnl, &one->watch, NULL);
	netns_close(&n);
	one->done = err == 0;
	return err;
}

static void
make_run(struct job *job, void *thread)
{
	struct making *j = (struct making *)job;
	struct router *r = NULL;
	struct rtnl *socket = NULL;
	int err = 0;

	for (unsigned i = 0; i < j->n && err == 0; i++) {
		if (j->v[i].slot->router != r) {
			if (socket)
				router_put_socket(r, socket, true);
			socket = NULL;
			r = j->v[i].slot->router;
			err = router_take_socket(thread, r, &socket, &j->op.error);
		}
		if (err == 0)
			err = make_one(j, thread, socket, &j->v[i], &j->op.error);
	}
	if (socket)
		router_put_socket(r, socket, err == 0);
	j->op.result = err;
}

/* ---- back on the main thread ---- */

static void
note_failure(struct manager *m, struct making *j)
{
	struct network_state *n = j->network;

	n->pool.failed++;
	n->make_again = monotonic_ms() + BACKOFF_MS;
	free(n->pool.message);
	n->pool.message = strdup(j->op.error.text);
	if (!m->stopping)
		log_warning("a slot of network \"%s\" cannot be made: %s", n->object->network.name, j->op.error.text);
}

static void
make_done(struct operation *op)
{
	struct making *j = (struct making *)op;
	struct manager *m = op->m;
	struct network_state *n = j->network;
	struct acquire *a = j->acquire;

	n->jobs--;
	n->pool_jobs -= !a;
	if (op->result < 0)
		note_failure(m, j);
	if (op->result < 0 && a)
		acquire_made(m, a, op->result, &op->error);
	if (op->result == 0 && n->pool.message)
		free(TAKE_PTR(n->pool.message));
	for (unsigned i = 0; i < j->n; i++) {
		struct slot_object *s = j->v[i].slot;
		s->busy = false;
		m->slots->n_watches -= j->v[i].wants_watch && j->v[i].watch < 0;
		if (j->v[i].done) {
			meter_count(&n->makes);
			s->watch = j->v[i].watch;
			slot_ready(m, s);
		} else if (j->v[i].tried) {
			slot_drain(m, s); /* nothing is left of it, but the kernel may take a moment to see that */
		} else {
			slot_forget(m, s);
		}
	}
	pairs_done(&j->sysctls);
	m->slots->attention = true;
	if (op->result == 0 && a)
		acquire_made(m, a, 0, &op->error);
	free(j);
	slots_settle(m);
}

static int
copy_pairs(const struct pairs *from, struct pairs *to)
{
	int err = 0;
	for (size_t i = 0; i < from->n && err == 0; i++)
		err = pairs_set(to, from->v[i].key, from->v[i].value);
	return err;
}

int
slots_make(struct manager *m, struct slot_object **v, unsigned n, struct acquire *acquire, struct error *e)
{
	struct making *j = calloc(1, sizeof(*j));
	struct network_state *net = slot_network(v[0]);

	if (!j || copy_pairs(&slot_spec(v[0])->sysctls, &j->sysctls) < 0) {
		free(j);
		return error_errno(e, ENOMEM, "making slots");
	}
	j->op.m = m;
	j->op.pool = acquire ? m->slots->quick : m->slots->slow;
	j->network = net;
	j->vault = m->slots->vault;
	j->acquire = acquire;
	j->n = n;
	for (unsigned i = 0; i < n; i++) {
		struct made *one = &j->v[i];
		one->slot = v[i];
		one->watch = -1;
		one->wants_watch = !acquire && may_watch(m);
		one->record = slot_record(m, v[i]);
		slot_plan_fill(m, v[i], &one->plan);
		one->plan.sysctls = &j->sysctls;
		slot_name(m, v[i], one->name);
		v[i]->busy = true;
	}
	net->jobs++;
	net->pool_jobs += !acquire;
	operation_start(&j->op, make_run, make_done);
	return 0;
}
