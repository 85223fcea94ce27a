/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slots and networks after a start: the table and the records against what is pinned in the vault and stands in the routers.
 *
 * Theory of operation
 *
 * The table is read before the socket listens, so that slots and leases are shown as they were told. When namespaces and links
 * are judged, a thread of the vault lists the pins, opens every router that is pinned, starts to
 * listen to it, and notes which slots' interfaces are there. Then, on the main thread:
 *
 *   a network of this boot    its root router and its uplink are there: ready, else lost; it was being made: removed
 *   a network of another boot made again
 *   READY                     pin and interface are there: ready, but to be verified; else destroyed
 *   LEASED                    pin and interface are there: resumed; else the lease is lost
 *   DRAINING                  its interface was cut off, and its namespace still has its number in the router: that is
 *                             waited for; else destroyed
 *   any other                 nobody was told of it: destroyed
 *   a pin without a record    taken away
 */
#include "config.h"

#include "slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"
#include "message-ids.h"

struct pin {
	char name[SLOT_NAME_MAX_LENGTH + 1];
	uint64_t inode;
	bool known;
};

/* The kernel gives the lowest free number. */
#define NUMBERS_MAX (4 * SHARD_SLOTS)

struct found_router {
	char network[NETWORK_NAME_MAX_LENGTH + 1];
	unsigned number;
	int fd;
	uint64_t cookie;
	struct events *events;
	bool slots[SHARD_SLOTS];
	bool numbers[NUMBERS_MAX], linked[NUMBERS_MAX]; /* of namespaces: given; to one whose interface is there */
	bool taken;
};

struct audit {
	struct operation op;
	struct vault *vault;
	struct pin *pins; /* of slots; sorted by name */
	size_t n_pins, pins_size;
	struct found_router *routers;
	size_t n_routers, routers_size;
};

/* ---- on a thread of the vault ---- */

static void *
grow(void *v, size_t n, size_t *size, size_t item)
{
	if (n < *size)
		return v;
	size_t more = *size ? 2 * *size : 64;
	void *larger = reallocarray(v, more, item);
	if (larger)
		*size = more;
	return larger;
}

static int
note_router(struct audit *a, const char *name, const char *at)
{
	struct found_router *v = grow(a->routers, a->n_routers, &a->routers_size, sizeof(*v));
	if (!v)
		return -ENOMEM;
	a->routers = v;
	struct found_router *r = &v[a->n_routers++];
	*r = (struct found_router){ .number = (unsigned)strtoul(at + 1, NULL, 10), .fd = -1 };
	snprintf(r->network, sizeof(r->network), "%.*s", (int)(at - name), name);
	return 0;
}

static int
note_pin(const char *name, uint64_t inode, void *arg)
{
	struct audit *a = arg;
	const char *at = strchr(name, '@');

	if (at)
		return note_router(a, name, at);
	struct pin *v = grow(a->pins, a->n_pins, &a->pins_size, sizeof(*v));
	if (!v)
		return -ENOMEM;
	a->pins = v;
	v[a->n_pins].known = false;
	v[a->n_pins].inode = inode;
	snprintf(v[a->n_pins++].name, sizeof(v->name), "%s", name);
	return 0;
}

static int
note_slot(const struct link_info *info, void *arg)
{
	struct found_router *r = arg;
	int i = info->ifindex - ROUTER_IFINDEX;

	if (i >= 0 && i < SHARD_SLOTS)
		r->slots[i] = true;
	if (info->peer_nsid >= 0 && info->peer_nsid < NUMBERS_MAX)
		r->linked[info->peer_nsid] = true;
	return 0;
}

static void
forget_slots(void *arg)
{
	struct found_router *r = arg;
	memset(r->slots, 0, sizeof(r->slots));
	memset(r->linked, 0, sizeof(r->linked));
}

static void
note_namespace(int nsid, void *arg)
{
	struct found_router *r = arg;
	if (nsid >= 0 && nsid < NUMBERS_MAX)
		r->numbers[nsid] = true;
}

static int
look_at_router(struct audit *a, struct kernel *k, struct found_router *r, struct error *e)
{
	char name[NETWORK_NAME_MAX_LENGTH + 16];
	struct rtnl *socket = NULL;
	struct netns n = NETNS_INIT;
	CLEANUP(close_fd) int fd = -1;

	snprintf(name, sizeof(name), "%s@%u", r->network, r->number);
	int err = vault_open_pin(a->vault, name, &fd, e);
	if (err == 0)
		err = netns_of_fd(k, fd, &n, e);
	if (err == 0)
		err = router_events_open(k, n.fd, &r->events, e); /* before the look, so that nothing is missed */
	if (err == 0)
		err = netns_rtnl(k, &n, &socket, e);
	if (err == 0)
		err = link_dump(socket, false, note_slot, forget_slots, r, e);
	if (err == 0)
		err = netns_numbers(socket, note_namespace, r, e);
	if (err == 0) {
		r->cookie = n.cookie;
		r->fd = TAKE_FD(n.fd);
	}
	netns_close(&n);
	return err;
}

static int
compare_pins(const void *a, const void *b)
{
	return strcmp(((const struct pin *)a)->name, ((const struct pin *)b)->name);
}

static void
audit_run(struct job *job, void *thread)
{
	struct audit *a = (struct audit *)job;
	int err = vault_list(a->vault, note_pin, a, &a->op.error);

	if (err == -ENOMEM)
		error_errno(&a->op.error, ENOMEM, "listing slots");
	for (size_t i = 0; i < a->n_routers && err == 0; i++)
		err = look_at_router(a, thread, &a->routers[i], &a->op.error);
	if (a->n_pins > 1)
		qsort(a->pins, a->n_pins, sizeof(*a->pins), compare_pins);
	a->op.result = err;
}

/* ---- networks ---- */

static struct found_router *
root_of(struct audit *a, const struct object *o)
{
	for (size_t i = 0; i < a->n_routers; i++)
		if (a->routers[i].number == 0 && strcmp(a->routers[i].network, o->network.name) == 0)
			return &a->routers[i];
	return NULL;
}

static void
attach_routers(struct manager *m, struct audit *a, struct object *o)
{
	struct error e = { 0 };

	for (size_t i = 0; i < a->n_routers; i++) {
		struct found_router *r = &a->routers[i];
		if (strcmp(r->network, o->network.name) != 0 || r->number * SHARD_SLOTS > o->net->capacity)
			continue;
		r->taken = true;
		if (router_attach(m, o, r->number, TAKE_FD(r->fd), r->cookie, TAKE_PTR(r->events), &e) < 0)
			log_warning("router %u of network \"%s\": %s", r->number, o->network.name, e.text);
	}
}

static void
judge_network(struct manager *m, struct audit *a, struct object *o)
{
	bool this_boot = o->network.boot && strcmp(o->network.boot, m->boot) == 0;
	const struct host_link *uplink = find_host_link(m, o->network.uplink);

	if (o->network.state == STATE_DRAINING || o->network.state == STATE_CREATING) {
		attach_routers(m, a, o);
		network_drain(m, o);
	} else if (!this_boot) {
		object_set_state(o, STATE_LOST);
		object_set_message(o, "not made again yet after the reboot");
		o->remake = true;
	} else if (!root_of(a, o) || !uplink || uplink->info.group != LINK_GROUP) {
		network_lost(m, o, "its router or its uplink vanished while nsd was not running");
		o->remake = true; /* its slots are gone already */
	} else {
		struct error e = { 0 };
		attach_routers(m, a, o);
		if (o->network.changing == 1 && network_restore(m, NULL, o, NULL, &e) < 0)
			log_warning("network \"%s\": %s", o->network.name, e.text);
		o->network.changing = FIELD_ABSENT_BOOL;
	}
}

/* ---- slots ---- */

static struct pin *
find_pin(struct audit *a, const char *name)
{
	struct pin key;
	snprintf(key.name, sizeof(key.name), "%s", name);
	return a->n_pins ? bsearch(&key, a->pins, a->n_pins, sizeof(key), compare_pins) : NULL;
}

static const struct found_router *
router_found(const struct audit *a, const struct object *o, unsigned number)
{
	for (size_t i = 0; i < a->n_routers; i++)
		if (a->routers[i].taken && a->routers[i].number == number / SHARD_SLOTS &&
		    strcmp(a->routers[i].network, o->network.name) == 0)
			return &a->routers[i];
	return NULL;
}

/* Its interface was removed, and its namespace is still alive. */
static bool
is_cut(const struct found_router *r, const struct slot_record *data)
{
	uint32_t nsid = data->cut - 1;
	return r && data->state == RECORD_DRAINING && data->cut &&
	       (nsid >= NUMBERS_MAX || (r->numbers[nsid] && !r->linked[nsid]));
}

static struct object *
network_of_generation(const struct manager *m, int64_t generation)
{
	for (size_t i = 0; i < m->networks.n; i++) {
		struct object *o = m->networks.v[i];
		if (o->network.generation == generation)
			return o;
	}
	return NULL;
}

static void
judge_slot(struct manager *m, struct audit *a, struct slot_object *s)
{
	const struct slot_record *data = slot_record(m, s);
	struct object *o = s->router->network;
	char name[SLOT_NAME_MAX_LENGTH + 1];
	enum record_state state = slot_state(m, s);

	slot_name(m, s, name);
	struct pin *pin = find_pin(a, name);
	const struct found_router *r = router_found(a, o, data->number);
	s->gone = !r || !r->slots[data->number % SHARD_SLOTS];
	s->cut = s->gone && is_cut(r, data);
	if (s->cut)
		s->nsid = (int)data->cut - 1;
	if (pin)
		pin->known = true;
	if (s->list) /* it has lost its network, and is on its way already */
		return;
	bool sound = pin && pin->inode == data->inode && !s->gone && o->network.state == STATE_READY;
	if (state == RECORD_LEASED || state == RECORD_PREPARING || state == RECORD_DRAINING)
		extras_found(m, s);
	if (sound && state == RECORD_READY) {
		slot_set_state(m, s, RECORD_READY); /* onto the list of those to be verified */
	} else if (sound && state == RECORD_LEASED) {
		slot_set_state(m, s, RECORD_LEASED);
		lease_resume(m, s);
	} else if (state == RECORD_LEASED) {
		log_event(LOG_WARNING, MESSAGE_SLOTS_LOST, NULL,
			  "the lease of slot %s is lost: its namespace or its interface is gone", name);
		lease_end(m, s, "lost");
	} else {
		slot_drain(m, s);
	}
}

static void
judge_slots(struct manager *m, struct audit *a)
{
	for (uint32_t i = 0; i < m->slots->n_records; i++)
		if (m->slots->by_record[i])
			judge_slot(m, a, m->slots->by_record[i]);
}

int
slots_load(struct manager *m, struct error *e)
{
	struct slot_table *t = m->slots->table;

	for (uint32_t i = 0; t && i < slot_table_size(t); i++) {
		const struct slot_record *data = slot_table_at(t, i);
		struct object *o = data->state != RECORD_FREE ? network_of_generation(m, data->network) : NULL;
		struct slot_object *s;
		if (data->state == RECORD_FREE)
			continue;
		int err = o ? slot_found(m, o->net, i, &s, e) : -ENOENT;
		if (err == -ENOMEM)
			return err;
		if (err < 0) /* of a network that is no more; the audit takes its pin away */
			slot_table_set_state(t, i, RECORD_FREE);
		else if (data->state == RECORD_LEASED)
			lease_found(m, s);
	}
	return 0;
}

/* ---- the rest ---- */

struct clearing {
	struct operation op;
	struct vault *vault;
	size_t n;
	const char **names;
	char (*texts)[NETWORK_NAME_MAX_LENGTH + 16];
};

static void
clear_run(struct job *job, void *thread UNUSED)
{
	struct clearing *j = (struct clearing *)job;
	j->op.result = vault_unpin(j->vault, j->names, (unsigned)j->n, &j->op.error);
}

static void
clear_done(struct operation *op)
{
	struct clearing *j = (struct clearing *)op;

	if (op->result < 0)
		log_warning("pins that belong to nothing cannot be removed: %s", op->error.text);
	free(j->names);
	free(j->texts);
	free(j);
}

/* Pins that no record knows. */
static void
clear_pins(struct manager *m, const struct audit *a)
{
	struct clearing *j = calloc(1, sizeof(*j));

	if (!j)
		return;
	j->op.m = m;
	j->op.pool = m->slots->quick;
	j->vault = m->slots->vault;
	j->names = calloc(a->n_pins + a->n_routers + 1, sizeof(*j->names));
	j->texts = calloc(a->n_pins + a->n_routers + 1, sizeof(*j->texts));
	for (size_t i = 0; i < a->n_pins && j->names && j->texts; i++)
		if (!a->pins[i].known)
			snprintf(j->texts[j->n++], sizeof(*j->texts), "%s", a->pins[i].name);
	for (size_t i = 0; i < a->n_routers && j->names && j->texts; i++)
		if (!a->routers[i].taken)
			snprintf(j->texts[j->n++], sizeof(*j->texts), "%s@%u", a->routers[i].network,
				 a->routers[i].number);
	for (size_t i = 0; i < j->n; i++)
		j->names[i] = j->texts[i];
	if (j->n)
		operation_start(&j->op, clear_run, clear_done);
	else
		clear_done(&j->op);
}

static void
audit_free(struct audit *a)
{
	for (size_t i = 0; i < a->n_routers; i++) {
		close_fd(&a->routers[i].fd);
		events_close(a->routers[i].events);
	}
	free(a->routers);
	free(a->pins);
	free(a);
}

static void
audit_done(struct operation *op)
{
	struct audit *a = (struct audit *)op;
	struct manager *m = op->m;

	if (op->result < 0) {
		log_error("cannot look at the slots, trying again: %s", op->error.text);
		m->retry_audit = true;
		audit_free(a);
		return;
	}
	m->slots->audited = true;
	for (size_t i = 0; i < m->networks.n; i++)
		judge_network(m, a, m->networks.v[i]);
	judge_slots(m, a);
	clear_pins(m, a);
	audit_free(a);
	rules_refresh(m);
	m->reconciling++;
	reconcile_made(m); /* goes on, making networks again first */
}

void
slots_audit_start(struct manager *m)
{
	struct audit *a = calloc(1, sizeof(*a));

	m->retry_audit = !a;
	if (!a)
		return;
	a->op.m = m;
	a->op.pool = m->slots->quick;
	a->vault = m->slots->vault;
	operation_start(&a->op, audit_run, audit_done);
}
