/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a network is in memory: its routers, their numbers and sockets, its counters. */
#include "config.h"

#include "slots.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

int
network_state_new(struct manager *m, struct object *o, struct error *e)
{
	struct network_state *n = calloc(1, sizeof(*n));
	if (!n)
		return error_errno(e, ENOMEM, "taking in network \"%s\"", o->network.name);
	n->m = m;
	n->object = o;
	n->looked = monotonic_ms();
	TAILQ_INIT(&n->ready);
	TAILQ_INIT(&n->stock);
	TAILQ_INIT(&n->unverified);
	TAILQ_INIT(&n->leased);
	TAILQ_INIT(&n->draining);
	if (o->network.ipv4)
		prefix_parse(o->network.ipv4, false, &n->prefix4, NULL);
	if (o->network.ipv6)
		prefix_parse(o->network.ipv6, false, &n->prefix6, NULL);
	n->capacity = network_capacity(&o->network);
	n->pool.network = o->network.name;
	o->net = n;
	return 0;
}

static void
router_close(struct router *r)
{
	for (unsigned i = 0; i < r->n_sockets; i++)
		rtnl_close(r->sockets[i]);
	r->n_sockets = 0;
	events_close(r->events);
	r->events = NULL;
	if (r->fd >= 0)
		close(TAKE_FD(r->fd));
}

void
network_state_free(struct network_state *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < n->n_routers; i++) {
		router_close(n->routers[i]);
		pthread_mutex_destroy(&n->routers[i]->lock);
		free(n->routers[i]);
	}
	free(n->routers);
	free(n);
}

void
router_name(const struct object *network, unsigned number, char ret[ROUTER_NAME_SIZE])
{
	snprintf(ret, ROUTER_NAME_SIZE, "%.*s@%u", NETWORK_NAME_MAX_LENGTH, network->network.name, number % 1000);
}

/* All up to `number`, so that each stands at its number. */
int
router_expect(struct network_state *n, unsigned number)
{
	while (n->n_routers <= number) {
		struct router **v = reallocarray(n->routers, n->n_routers + 1, sizeof(*v));
		struct router *r = v ? calloc(1, sizeof(*r)) : NULL;
		n->routers = v ? v : n->routers;
		if (!r)
			return -ENOMEM;
		r->network = n->object;
		r->number = n->n_routers;
		r->fd = -1;
		pthread_mutex_init(&r->lock, NULL);
		n->routers[n->n_routers++] = r;
	}
	return 0;
}

struct router *
router_of(const struct network_state *n, unsigned number)
{
	return number / SHARD_SLOTS < n->n_routers ? n->routers[number / SHARD_SLOTS] : NULL;
}

int
router_attach(struct manager *m, struct object *network, unsigned number, int fd, uint64_t cookie,
	      struct events *events, struct error *e)
{
	struct network_state *n = network->net;

	if (router_expect(n, number) < 0 || slots_watch(m, events_fd(events), n->routers[number]) < 0) {
		close(fd);
		events_close(events);
		return error_errno(e, ENOMEM, "taking in a router of network \"%s\"", network->network.name);
	}
	struct router *r = n->routers[number];
	r->fd = fd;
	r->cookie = cookie;
	r->events = events;
	r->first_free = r->n_free = 0;
	for (unsigned i = 0; i < SHARD_SLOTS; i++) {
		unsigned slot = number * SHARD_SLOTS + i;
		if (slot > 0 && slot <= n->capacity && !r->slots[i])
			r->free[r->n_free++] = (uint16_t)i;
	}
	return 0;
}

void
router_detach(struct manager *m, struct router *r)
{
	if (r->events)
		slots_unwatch(m, events_fd(r->events));
	router_close(r);
	r->n_free = 0;
}

int
router_take_socket(struct kernel *k, struct router *r, struct rtnl **ret, struct error *e)
{
	struct rtnl *socket = NULL;

	pthread_mutex_lock(&r->lock);
	if (r->n_sockets)
		socket = r->sockets[--r->n_sockets];
	pthread_mutex_unlock(&r->lock);
	if (!socket)
		return router_rtnl(k, r->fd, ret, e);
	*ret = socket;
	return 0;
}

/* One with an answer on its way that nobody has read is not used again. */
void
router_put_socket(struct router *r, struct rtnl *socket, bool sound)
{
	pthread_mutex_lock(&r->lock);
	bool keep = sound && r->n_sockets < ARRAY_SIZE(r->sockets);
	if (keep)
		r->sockets[r->n_sockets++] = socket;
	pthread_mutex_unlock(&r->lock);
	if (!keep)
		rtnl_close(socket);
}

static struct prefix
shard_end(int family, unsigned number, unsigned end)
{
	struct prefix p = { .family = family, .length = family == AF_INET ? 31 : 127 };
	unsigned low = 2 * number + end;

	if (family == AF_INET) {
		const uint8_t a[] = { 169, 254, (uint8_t)(128 + (low >> 8)), (uint8_t)low };
		memcpy(p.address, a, sizeof(a));
	} else {
		const uint8_t a[16] = {
			[0] = 0xfe, [1] = 0x80, [13] = 1, [14] = (uint8_t)(low >> 8), [15] = (uint8_t)low
		};
		memcpy(p.address, a, sizeof(a));
	}
	return p;
}

/* The part of a network's prefix in which the slots of a router lie. */
static struct prefix
shard_prefix(const struct network *network, int family, unsigned number)
{
	struct prefix router = { 0 }, slot;
	unsigned length = family == AF_INET ? 32 : 128;

	slot_prefix(network, family, number * SHARD_SLOTS, &router, &slot);
	for (unsigned n = 2 * SHARD_SLOTS; n > 1; n /= 2)
		length--;
	router.length = length;
	return router;
}

static void
uplink_macs(const struct object *network, unsigned number, uint8_t outside[6], uint8_t inside[6])
{
	slot_macs(&network->network, number * SHARD_SLOTS, outside, inside);
	if (number) { /* the pair of a shard's first slot is in use there */
		outside[1] = 0x03;
		inside[1] = 0x04;
	}
}

bool
network_forwards(const struct network *spec)
{
	return spec->egress != EGRESS_NONE || spec->publish.n > 0;
}

void
router_plan_fill(const struct object *network, unsigned number, struct router_plan *p)
{
	const struct network *spec = &network->network;
	const struct network_state *n = network->net;

	*p = (struct router_plan){ .root = number == 0,
				   .mtu = (unsigned)spec->mtu,
				   .has4 = spec->ipv4 != NULL,
				   .has6 = spec->ipv6 != NULL,
				   .prefix4 = n->prefix4,
				   .prefix6 = n->prefix6 };
	uplink_macs(network, number, p->outside_mac, p->inside_mac);
	if (number == 0) {
		snprintf(p->outside, sizeof(p->outside), "%s", spec->uplink);
		slot_prefix(spec, AF_INET, 0, &p->outside4, &p->inside4);
		slot_prefix(spec, AF_INET6, 0, &p->outside6, &p->inside6);
		p->forward4 = p->has4 && network_forwards(spec);
		p->forward6 = p->has6 && network_forwards(spec);
		return;
	}
	snprintf(p->outside, sizeof(p->outside), SHARD_INTERFACE "%u", number);
	p->outside4 = shard_end(AF_INET, number, 0);
	p->inside4 = shard_end(AF_INET, number, 1);
	p->outside6 = shard_end(AF_INET6, number, 0);
	p->inside6 = shard_end(AF_INET6, number, 1);
	p->prefix4 = shard_prefix(spec, AF_INET, number);
	p->prefix6 = shard_prefix(spec, AF_INET6, number);
}

unsigned
network_maximum(const struct network_state *n)
{
	int64_t maximum = n->object->network.maximum;
	return maximum != FIELD_ABSENT_INT && maximum < n->capacity ? (unsigned)maximum : n->capacity;
}

unsigned
network_used(const struct network_state *n)
{
	unsigned used = 0;
	for (unsigned i = RECORD_MAKING; i <= RECORD_DRAINING; i++)
		used += n->n[i];
	return used;
}

/* ---- meters ---- */

static void
meter_turn(struct meter *t)
{
	int64_t now = monotonic_ms() / 1000;

	if (now - t->second > (int64_t)ARRAY_SIZE(t->count))
		t->second = now - (int64_t)ARRAY_SIZE(t->count);
	while (t->second < now)
		t->count[++t->second % (int64_t)ARRAY_SIZE(t->count)] = 0;
}

void
meter_count(struct meter *t)
{
	meter_turn(t);
	t->count[t->second % (int64_t)ARRAY_SIZE(t->count)]++;
}

int64_t
meter_rate(struct meter *t)
{
	int64_t sum = 0;

	meter_turn(t);
	for (unsigned i = 0; i < ARRAY_SIZE(t->count); i++)
		sum += t->count[i];
	return (sum + (int64_t)ARRAY_SIZE(t->count) / 2) / (int64_t)ARRAY_SIZE(t->count);
}
