/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Leases: what is written into a slot's record for its holder, what ends them, and the keys by which a holder finds his
 * own again.
 *
 * A lease bound to a connection cannot outlive it, but it outlives nsd: after a restart it is an orphan for the time of
 * GraceSec=, in which its holder takes it up again by its key or by RenewSlot.
 */
#include "config.h"

#include "slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "log.h"

int64_t
boottime_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* ---- keys ---- */

static unsigned
key_bucket(int64_t owner, int64_t network, const char *key)
{
	uint64_t h = (uint64_t)owner * 31 + (uint64_t)network; /* FNV-1a from here on */
	for (; *key; key++)
		h = (h ^ (uint8_t)*key) * UINT64_C(1099511628211);
	return (unsigned)(h ^ h >> 32) % KEY_BUCKETS;
}

struct slot_object *
key_find(const struct manager *m, int64_t owner, int64_t network, const char *key)
{
	struct slot_object *s;

	LIST_FOREACH (s, &m->slots->keys[key_bucket(owner, network, key)], same_key) {
		const struct slot_record *data = slot_record(m, s);
		if (data->owner == owner && data->network == network && strcmp(data->key, key) == 0)
			return s;
	}
	return NULL;
}

void
key_remember(struct manager *m, struct slot_object *s)
{
	const struct slot_record *data = slot_record(m, s);

	if (!data->key[0] || s->keyed)
		return;
	LIST_INSERT_HEAD(&m->slots->keys[key_bucket(data->owner, data->network, data->key)], s, same_key);
	s->keyed = true;
}

void
key_forget(struct slot_object *s)
{
	if (s->keyed)
		LIST_REMOVE(s, same_key);
	s->keyed = false;
}

/* ---- the record ---- */

int
labels_check(const struct pairs *labels, struct error *e)
{
	size_t size = 0;

	for (size_t i = 0; i < labels->n; i++)
		size += strlen(labels->v[i].key) + strlen(labels->v[i].value) + 2;
	if (size < SLOT_LABELS_SIZE)
		return 0;
	return error_set(e, ERROR_INVALID_VALUE, "labels",
			 "the labels of a slot may have %d bytes together, keys included; these have %zu",
			 SLOT_LABELS_SIZE - 1, size);
}

static void
fill_labels(struct slot_record *data, const struct pairs *labels)
{
	char *p = data->labels;

	memset(data->labels, 0, sizeof(data->labels));
	for (size_t i = 0; labels && i < labels->n; i++) {
		p = stpcpy(p, labels->v[i].key) + 1;
		p = stpcpy(p, labels->v[i].value) + 1;
	}
}

void
lease_renew(struct manager *m, struct slot_object *s, int64_t ttl)
{
	struct slot_record *data = slot_record(m, s);

	data->deadline = ttl != FIELD_ABSENT_INT ? boottime_ns() + ttl * 1000000 : 0;
	if (data->deadline && data->deadline < m->slots->next_deadline)
		m->slots->next_deadline = data->deadline;
}

void
lease_fill(struct manager *m, struct slot_object *s, const struct lease_terms *t, int64_t generation)
{
	struct slot_record *data = slot_record(m, s);

	data->generation = generation;
	data->owner = t->owner;
	data->pid = t->pid;
	data->pid_start = 0;
	data->since = time(NULL);
	data->bond = (uint32_t)t->bond;
	data->n_ports = 0;
	data->namespace[0] = data->tap[0] = '\0';
	memset(data->rate, 0, sizeof(data->rate));
	snprintf(data->key, sizeof(data->key), "%s", t->key ? t->key : "");
	fill_labels(data, t->labels);
	lease_renew(m, s, t->ttl);
}

/* ---- bonds ---- */

/* A connection has ended. When it is nsd that stops, the lease goes on: the next nsd finds an orphan. */
static void
bond_broken(struct bond *b)
{
	struct slot_object *s = (struct slot_object *)(void *)((char *)b - offsetof(struct slot_object, bond));
	struct manager *m = slot_network(s)->m;

	if (!m->stopping)
		lease_end(m, s, "its connection has ended");
}

static int
bind_connection(struct slot_object *s, struct request *r, struct error *e)
{
	s->bond.broken = bond_broken;
	int err = request_bond(r, &s->bond);
	return err < 0 ? error_set(e, ERROR_INTERNAL, NULL, "the connection has ended") : 0;
}

int
lease_bind(struct manager *m, struct slot_object *s, struct lease_terms *t, struct request *r, struct error *e)
{
	struct slot_record *data = slot_record(m, s);

	if (t->bond == BOND_CONNECTION)
		return bind_connection(s, r, e);
	if (t->bond != BOND_PROCESS)
		return 0;
	if (process_start_time(t->pid, &data->pid_start) < 0)
		return error_set(e, ERROR_NO_SUCH_PROCESS, "processFileDescriptor", "process %lld has ended",
				 (long long)t->pid);
	return holder_bind(m, s, TAKE_FD(t->pidfd), t->pid, e);
}

int
lease_rebind(struct manager *m, struct slot_object *s, struct request *r, struct error *e)
{
	if (slot_record(m, s)->bond != BOND_CONNECTION)
		return 0;
	int err = bind_connection(s, r, e);
	if (err == 0)
		s->orphan = false;
	return err;
}

static void
unbind(struct manager *m, struct slot_object *s)
{
	bond_release(&s->bond);
	holder_unbind(m, s);
	key_forget(s);
	s->orphan = false;
	user_discharge(m, s);
}

void
lease_end(struct manager *m, struct slot_object *s, const char *why)
{
	char name[SLOT_NAME_MAX_LENGTH + 1];

	slot_name(m, s, name);
	log_debug("the lease of slot %s ends: %s", name, why);
	unbind(m, s);
	slot_network(s)->pool.released++;
	slot_drain(m, s);
}

/* ---- after a restart ---- */

static bool
process_lives(struct manager *m, struct slot_object *s)
{
	const struct slot_record *data = slot_record(m, s);
	uint64_t start;
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)data->pid, 0);

	if (pidfd < 0)
		return false;
	if (process_start_time(data->pid, &start) < 0 || start != data->pid_start) {
		close(pidfd);
		return false;
	}
	return holder_bind(m, s, pidfd, data->pid, NULL) == 0;
}

void
lease_found(struct manager *m, struct slot_object *s)
{
	user_charge(m, s);
	key_remember(m, s);
}

void
lease_resume(struct manager *m, struct slot_object *s)
{
	const struct slot_record *data = slot_record(m, s);

	if (data->deadline && data->deadline < m->slots->next_deadline)
		m->slots->next_deadline = data->deadline;
	if (data->bond == BOND_CONNECTION) {
		s->orphan = true;
		m->slots->orphans_end = monotonic_ms() + m->policy.grace_seconds * INT64_C(1000);
	} else if (data->bond == BOND_PROCESS && !process_lives(m, s)) {
		lease_end(m, s, "its process has ended");
	}
}

/* ---- time ---- */

static bool
is_over(const struct manager *m, const struct slot_object *s, int64_t now, bool orphans)
{
	int64_t deadline = slot_record(m, s)->deadline;
	return (deadline && deadline <= now) || (orphans && s->orphan);
}

static void
end_leases(struct manager *m, struct network_state *n, int64_t now, bool orphans)
{
	struct slot_object *s, *next;

	for (s = TAILQ_FIRST(&n->leased); s; s = next) {
		next = TAILQ_NEXT(s, entry);
		int64_t deadline = slot_record(m, s)->deadline;
		if (is_over(m, s, now, orphans))
			lease_end(m, s, s->orphan ? "nobody took it up again" : "its time is over");
		else if (deadline && deadline < m->slots->next_deadline)
			m->slots->next_deadline = deadline;
	}
}

void
leases_tick(struct manager *m)
{
	int64_t now = boottime_ns();
	bool orphans = m->slots->orphans_end && monotonic_ms() >= m->slots->orphans_end;

	if (!orphans && now < m->slots->next_deadline)
		return;
	m->slots->next_deadline = INT64_MAX;
	for (size_t i = 0; i < m->networks.n; i++)
		end_leases(m, ((struct object *)m->networks.v[i])->net, now, orphans);
	if (orphans)
		m->slots->orphans_end = 0;
}
