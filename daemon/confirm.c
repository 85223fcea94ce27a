/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Takes the mark `unconfirmed` off the records of namespaces that have got their names: many in one commit, when nobody
 * waits for it. */
#include "config.h"

#include <errno.h>

#include "log.h"
#include "object.h"

#define BATCH 256

void
confirm_later(struct manager *m, struct object *o)
{
	o->unconfirmed = true;
	m->unconfirmed++;
}

static void
confirm_run(struct job *j, void *thread UNUSED)
{
	struct operation *op = (struct operation *)j;
	CLEANUP(free_ptr) struct record *records = calloc(op->n_objects, sizeof(*records));

	for (unsigned i = 0; records && i < op->n_objects; i++)
		records[i] = (struct record){ .object = op->objects[i], .state = STATE_READY };
	op->result = records ? commit(op->m, records, op->n_objects, false, &op->error) :
			       error_errno(&op->error, ENOMEM, "confirming records");
}

static void
confirm_done(struct operation *op)
{
	if (op->result < 0)
		log_debug("cannot confirm %u records: %s", op->n_objects, op->error.text);
	for (unsigned i = 0; i < op->n_objects && op->result == 0; i++)
		op->objects[i]->unconfirmed = false;
	op->m->confirming = false;
	free(op->objects);
	free(op);
}

/* Counts anew, since some may have been deleted meanwhile. */
static unsigned
collect(struct manager *m, struct object **v)
{
	unsigned n = 0;

	m->unconfirmed = 0;
	for (size_t i = 0; i < m->namespaces.n; i++) {
		struct object *o = m->namespaces.v[i];
		m->unconfirmed += o->unconfirmed;
		if (o->unconfirmed && n < BATCH && !o->busy && o->ns.state == STATE_READY)
			v[n++] = o;
	}
	return n;
}

void
confirm_tick(struct manager *m)
{
	if (!m->unconfirmed || m->confirming || !store_is_writable(m->store))
		return;
	struct object **v = calloc(BATCH, sizeof(*v));
	struct operation *op = calloc(1, sizeof(*op));
	unsigned n = v && op ? collect(m, v) : 0;
	if (!n) {
		free(v);
		free(op);
		return;
	}
	*op = (struct operation){ .m = m, .objects = v, .n_objects = n };
	m->confirming = true;
	operation_start(op, confirm_run, confirm_done);
}
