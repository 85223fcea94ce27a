/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A second way to learn that a namespace is gone, for when the event that should have told was lost: its number is not
 * among those that the host has given any more. */
#include "config.h"

#include <errno.h>

#include "object.h"

struct look {
	struct operation op;
	int *v;
	size_t n, size;
	bool failed;
};

static void
note(int nsid, void *arg)
{
	struct look *l = arg;

	if (l->n == l->size) {
		size_t size = l->size ? 2 * l->size : 64;
		int *v = reallocarray(l->v, size, sizeof(*v));
		if (!v) {
			l->failed = true;
			return;
		}
		l->v = v;
		l->size = size;
	}
	l->v[l->n++] = nsid;
}

static int
compare(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;
	return (x > y) - (x < y);
}

static void
look_run(struct job *j, void *thread)
{
	struct look *l = (struct look *)j;

	l->op.result = netns_numbers(kernel_rtnl(thread), note, l, &l->op.error);
	if (l->failed)
		l->op.result = -ENOMEM;
}

static void
look_done(struct operation *op)
{
	struct look *l = (struct look *)op;
	struct manager *m = op->m;
	struct object *o, *next;

	m->numbers_asked = false;
	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), compare);
	for (o = TAILQ_FIRST(&m->drains); o && op->result == 0; o = next) {
		next = TAILQ_NEXT(o, drain);
		if (o->kind != OBJECT_NAMESPACE || o->busy || !o->unpinned || o->nsid_gone || o->nsid < 0)
			continue;
		if (!bsearch(&o->nsid, l->v, l->n, sizeof(*l->v), compare))
			drain_nsid_gone(m, o->nsid);
	}
	free(l->v);
	free(l);
}

void
numbers_ask(struct manager *m)
{
	struct look *l = m->numbers_asked ? NULL : calloc(1, sizeof(*l));
	if (!l)
		return;
	l->op.m = m;
	m->numbers_asked = true;
	operation_start(&l->op, look_run, look_done);
}
