/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slots in memory: their numbers, states, lists and names, their plan for the kernel and their look on the wire. */
#include "config.h"

#include "slots.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- life ---- */

/* Room for one more record in the table of pointers. */
static int
grow_by_record(struct slots *s, uint32_t record)
{
	if (record < s->n_records)
		return 0;
	uint32_t size = slot_table_size(s->table);
	struct slot_object **v = reallocarray(s->by_record, size, sizeof(struct slot_object *));
	if (!v)
		return -ENOMEM;
	memset(v + s->n_records, 0, (size - s->n_records) * sizeof(struct slot_object *));
	s->by_record = v;
	s->n_records = size;
	return 0;
}

static struct slot_object *
slot_new(struct manager *m, struct router *r, uint32_t record)
{
	struct slot_object *s = grow_by_record(m->slots, record) == 0 ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return NULL;
	s->record = record;
	s->router = r;
	s->nsid = s->watch = -1;
	s->since = monotonic_ms();
	LIST_INIT(&s->waiters);
	m->slots->by_record[record] = s;
	return s;
}

static struct router *
router_with_room(const struct network_state *n)
{
	for (unsigned i = 0; i < n->n_routers; i++)
		if (n->routers[i]->fd >= 0 && n->routers[i]->n_free)
			return n->routers[i];
	return NULL;
}

int
slot_take(struct manager *m, struct network_state *n, struct slot_object **ret, struct error *e)
{
	struct router *r = router_with_room(n);
	uint32_t record;

	if (!r)
		return error_set(e, ERROR_LIMIT_EXCEEDED, "network", "network \"%s\" has no free address at the moment",
				 n->object->network.name);
	int err = slot_table_take(m->slots->table, &record, e);
	if (err < 0)
		return err;
	struct slot_object *s = slot_new(m, r, record);
	if (!s) {
		slot_table_set_state(m->slots->table, record, RECORD_FREE);
		return error_errno(e, ENOMEM, "making a slot");
	}
	struct slot_record *data = slot_record(m, s);
	err = store_generation(m->store, &data->generation, e);
	if (err < 0) {
		m->slots->by_record[record] = NULL;
		slot_table_set_state(m->slots->table, record, RECORD_FREE);
		free(s);
		return err;
	}
	unsigned i = r->free[r->first_free];
	r->first_free = (r->first_free + 1) % SHARD_SLOTS;
	r->n_free--;
	r->slots[i] = s;
	data->number = r->number * SHARD_SLOTS + i;
	data->network = n->object->network.generation;
	data->cookie = data->inode = 0;
	n->n[RECORD_MAKING]++;
	slot_table_set_state(m->slots->table, record, RECORD_MAKING);
	*ret = s;
	return 0;
}

int
slot_found(struct manager *m, struct network_state *n, uint32_t record, struct slot_object **ret, struct error *e)
{
	const struct slot_record *data = slot_table_at(m->slots->table, record);
	unsigned i = data->number % SHARD_SLOTS;

	if (data->number > n->capacity)
		return error_set(e, ERROR_STORE, NULL, "the record of slot %s.%u does not fit its network",
				 n->object->network.name, data->number);
	if (router_expect(n, data->number / SHARD_SLOTS) < 0)
		return error_errno(e, ENOMEM, "taking in a slot");
	struct router *r = router_of(n, data->number);
	if (r->slots[i])
		return error_set(e, ERROR_STORE, NULL, "two records claim slot %s.%u", n->object->network.name,
				 data->number);
	struct slot_object *s = slot_new(m, r, record);
	if (!s)
		return error_errno(e, ENOMEM, "taking in a slot");
	r->slots[i] = s;
	n->n[data->state]++;
	*ret = s;
	return 0;
}

static void
leave_list(struct slot_object *s)
{
	if (s->list)
		TAILQ_REMOVE(s->list, s, entry);
	s->list = NULL;
}

void
slot_forget(struct manager *m, struct slot_object *s)
{
	struct router *r = s->router;
	struct slot_record *data = slot_record(m, s);
	unsigned i = data->number % SHARD_SLOTS;

	leave_list(s);
	user_discharge(m, s);
	slot_network(s)->n[data->state]--;
	if (r->fd >= 0)
		r->free[(r->first_free + r->n_free++) % SHARD_SLOTS] = (uint16_t)i;
	r->slots[i] = NULL;
	m->slots->by_record[s->record] = NULL;
	slot_table_set_state(m->slots->table, s->record, RECORD_FREE);
	free(s->message);
	free(s);
}

static struct slot_list *
list_for(struct slot_object *s, enum record_state state)
{
	struct network_state *n = slot_network(s);

	switch (state) {
	case RECORD_READY:
		return !s->verified ? &n->unverified : s->watch >= 0 ? &n->ready : &n->stock;
	case RECORD_LEASED:
		return &n->leased;
	case RECORD_DRAINING:
		return &n->draining;
	default:
		return NULL;
	}
}

void
slot_set_state(struct manager *m, struct slot_object *s, enum record_state state)
{
	struct network_state *n = slot_network(s);

	leave_list(s);
	if (state != RECORD_READY && s->watch >= 0) { /* it would keep the namespace alive */
		close(TAKE_FD(s->watch));
		m->slots->n_watches--;
	}
	n->n[slot_state(m, s)]--;
	n->n[state]++;
	slot_table_set_state(m->slots->table, s->record, state);
	s->list = list_for(s, state);
	if (s->list)
		TAILQ_INSERT_TAIL(s->list, s, entry);
}

void
slot_set_message(struct slot_object *s, const char *fmt, ...)
{
	char *text = NULL;

	if (fmt) {
		va_list ap;
		va_start(ap, fmt);
		if (vasprintf(&text, fmt, ap) < 0)
			text = NULL;
		va_end(ap);
	}
	free(s->message);
	s->message = text;
}

/* ---- names ---- */

void
slot_name(const struct manager *m, const struct slot_object *s, char ret[SLOT_NAME_MAX_LENGTH + 1])
{
	snprintf(ret, SLOT_NAME_MAX_LENGTH + 1, "%.*s.%u", NETWORK_NAME_MAX_LENGTH, slot_spec(s)->name,
		 slot_record(m, s)->number % 100000);
}

struct slot_object *
find_slot(const struct manager *m, const char *name)
{
	char network[NETWORK_NAME_MAX_LENGTH + 1];
	const char *dot = strchr(name, '.');

	if (!dot || dot - name > NETWORK_NAME_MAX_LENGTH)
		return NULL;
	memcpy(network, name, (size_t)(dot - name));
	network[dot - name] = '\0';
	const struct object *o = find_network(m, network);
	unsigned number = (unsigned)strtoul(dot + 1, NULL, 10);
	const struct router *r = o && o->net ? router_of(o->net, number) : NULL;
	return r ? r->slots[number % SHARD_SLOTS] : NULL;
}

/* ---- plan ---- */

static bool
other_end(const char *inner, struct prefix *address, struct prefix *gateway)
{
	if (!inner || prefix_parse(inner, false, address, NULL) < 0)
		return false;
	*gateway = *address;
	gateway->length = address->family == AF_INET ? 32 : 128;
	gateway->address[address->family == AF_INET ? 3 : 15] ^= 3; /* .2 and .1, the hosts of a /30 */
	return true;
}

void
slot_plan_fill(const struct manager *m, const struct slot_object *s, struct slot_plan *p)
{
	const struct network *spec = slot_spec(s);
	unsigned number = slot_record(m, s)->number;

	memset(p, 0, sizeof(*p));
	snprintf(p->router_interface, sizeof(p->router_interface), SLOT_INTERFACE "%u", number % 100000);
	snprintf(p->interface, sizeof(p->interface), "%s", spec->interface);
	p->router_ifindex = ROUTER_IFINDEX + (int)(number % SHARD_SLOTS);
	p->mtu = (unsigned)spec->mtu;
	slot_macs(spec, number, p->router_mac, p->slot_mac);
	p->has4 = slot_prefix(spec, AF_INET, number, &p->router4, &p->slot4);
	p->has6 = slot_prefix(spec, AF_INET6, number, &p->router6, &p->slot6);
	p->has_inner4 = other_end(spec->inner4, &p->inner4, &p->inner_gateway4);
	p->has_inner6 = other_end(spec->inner6, &p->inner6, &p->inner_gateway6);
	p->sysctls = &spec->sysctls;
}

/* ---- on the wire ---- */

static char *
borrowed(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void
format_plain(const struct prefix *p, char ret[INET6_ADDRSTRLEN + 4])
{
	prefix_format(p, ret);
	*strchrnul(ret, '/') = '\0';
}

static void
show_family(struct slot_view *v, unsigned i, const struct prefix *inside, const struct prefix *gateway,
	    const struct prefix *own)
{
	struct strings *addresses = &v->slot.addresses, *gateways = &v->slot.gateways;

	prefix_format(inside, v->addresses[i]);
	format_plain(gateway, v->gateways[i]);
	format_plain(own, v->own[i]);
	addresses->v[addresses->n++] = v->addresses[i];
	gateways->v[gateways->n++] = v->gateways[i];
	*(i == 0 ? &v->slot.address4 : &v->slot.address6) = v->own[i];
}

static void
show_labels(const struct slot_record *data, struct slot_view *v)
{
	const char *p = data->labels, *end = data->labels + sizeof(data->labels);
	struct pairs *labels = &v->slot.labels;

	labels->v = v->labels;
	while (p < end && *p && labels->n < ARRAY_SIZE(v->labels)) {
		const char *value = p + strlen(p) + 1;
		v->labels[labels->n++] = (struct pair){ .key = borrowed(p), .value = borrowed(value) };
		p = value + strlen(value) + 1;
	}
	labels->set = labels->n > 0;
}

static int64_t
or_absent(uint64_t value)
{
	return value ? (int64_t)value : FIELD_ABSENT_INT;
}

static void
show_extras(const struct slot_record *data, struct slot_view *v)
{
	if (data->tap[0]) {
		fields_init(&tap_type, &v->tap);
		v->tap.interface = borrowed(data->tap);
		v->slot.tap = &v->tap;
	}
	if (data->rate[0] || data->rate[2]) {
		v->rate = (struct rate){ .send = or_absent(data->rate[0]),
					 .send_burst = or_absent(data->rate[1]),
					 .receive = or_absent(data->rate[2]),
					 .receive_burst = or_absent(data->rate[3]) };
		v->slot.rate = &v->rate;
	}
	for (unsigned i = 0; i < data->n_ports; i++)
		v->published[i] = (struct published){ .protocol = data->ports[i].protocol,
						      .host_port = data->ports[i].host_port,
						      .port = data->ports[i].port };
	v->slot.published = (struct list){ .v = v->published, .n = data->n_ports, .set = data->n_ports > 0 };
	v->slot.namespace = data->namespace[0] ? borrowed(data->namespace) : NULL;
}

static void
show_lease(const struct slot_record *data, struct slot_view *v)
{
	v->slot.key = data->key[0] ? borrowed(data->key) : NULL;
	v->slot.owner = data->owner;
	v->slot.bond = (int)data->bond;
	v->slot.pid = data->pid > 0 ? data->pid : FIELD_ABSENT_INT;
	v->slot.since = data->since;
	if (data->deadline) {
		int64_t left = (data->deadline - boottime_ns()) / 1000000;
		v->slot.expires = left > 0 ? left : 0;
	}
	show_labels(data, v);
	show_extras(data, v);
}

static int
shown_state(enum record_state state)
{
	switch (state) {
	case RECORD_READY:
		return SLOT_READY;
	case RECORD_LEASED:
		return SLOT_LEASED;
	case RECORD_DRAINING:
		return SLOT_DRAINING;
	default:
		return SLOT_MAKING;
	}
}

void
slot_show(const struct manager *m, const struct slot_object *s, struct slot_view *v)
{
	const struct slot_record *data = slot_record(m, s);
	const struct network *spec = slot_spec(s);
	struct slot_plan p;

	slot_plan_fill(m, s, &p);
	v->slot = (struct slot){ .name = v->name,
				 .network = spec->name,
				 .state = shown_state((enum record_state)data->state),
				 .generation = data->generation,
				 .interface = spec->interface,
				 .mac = v->mac,
				 .mtu = spec->mtu,
				 .dns = spec->dns,
				 .cookie = or_absent(data->cookie),
				 .owner = FIELD_ABSENT_INT,
				 .bond = FIELD_ABSENT_ENUM,
				 .pid = FIELD_ABSENT_INT,
				 .expires = FIELD_ABSENT_INT,
				 .since = FIELD_ABSENT_INT,
				 .message = s->message };
	slot_name(m, s, v->name);
	mac_format(p.slot_mac, v->mac);
	v->slot.addresses = (struct strings){ .v = v->address_list, .set = true };
	v->slot.gateways = (struct strings){ .v = v->gateway_list, .set = true };
	if (p.has4)
		show_family(v, 0, p.has_inner4 ? &p.inner4 : &p.slot4, p.has_inner4 ? &p.inner_gateway4 : &p.router4,
			    &p.slot4);
	if (p.has6)
		show_family(v, 1, p.has_inner6 ? &p.inner6 : &p.slot6, p.has_inner6 ? &p.inner_gateway6 : &p.router6,
			    &p.slot6);
	if (data->state == RECORD_READY || data->state == RECORD_LEASED) {
		snprintf(v->path, sizeof(v->path), "%s/%s", vault_path(m->slots->vault), v->name);
		v->slot.path = v->path;
	}
	if (data->state == RECORD_LEASED || data->state == RECORD_DRAINING)
		show_lease(data, v);
}
