/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a slot can have beside the slot itself: a tap interface, limits, a name in /run/netns, published ports.
 *
 * Tap, limits and name are given by one job, ports then by a rules job. The intent is in the slot's record before, so that
 * whatever becomes of nsd it is all taken away with the slot; a tap goes with the namespace.
 */
#include "config.h"

#include "slots.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "nft.h"

#define TAP_ADDRESSES_MAX 8

struct extras {
	struct operation op;
	struct slot_object *slot;
	struct acquire *acquire;
	struct vault *vault;
	struct router *router;
	char slot_name[SLOT_NAME_MAX_LENGTH + 1];
	char namespace[NAME_MAX_LENGTH + 1];
	int ifindex;
	struct tap_plan tap; /* without an interface: none */
	struct prefix tap_addresses[TAP_ADDRESSES_MAX];
	uint64_t rate[4];
	unsigned n_ports;
};

bool
extras_wanted(const struct slot_extras *x)
{
	return x->tap || x->rate || x->publish->n || x->namespace;
}

/* ---- ports ---- */

static bool
port_is_used(const struct manager *m, int protocol, unsigned port)
{
	return m->slots->ports_used[protocol][port / 8] & 1 << port % 8;
}

static void
port_use(struct manager *m, int protocol, unsigned port, bool used)
{
	uint8_t *byte = &m->slots->ports_used[protocol][port / 8];
	*byte = (uint8_t)(used ? *byte | 1 << port % 8 : *byte & ~(1 << port % 8));
}

static bool
may_publish(const struct network *n, int protocol, int64_t port)
{
	for (size_t i = 0; i < n->publish.n; i++) {
		const struct ports *p = (const struct ports *)n->publish.v + i;
		if (p->protocol == protocol && port >= p->first && port <= p->last)
			return true;
	}
	return false;
}

static int64_t
free_port(const struct manager *m, const struct network *n, int protocol)
{
	for (size_t i = 0; i < n->publish.n; i++) {
		const struct ports *p = (const struct ports *)n->publish.v + i;
		for (int64_t port = p->first; p->protocol == protocol && port <= p->last; port++)
			if (!port_is_used(m, protocol, (unsigned)port))
				return port;
	}
	return 0;
}

/* Chooses and takes the host's ports. */
static int
take_ports(struct manager *m, struct slot_object *s, const struct list *publish, struct error *e)
{
	struct slot_record *data = slot_record(m, s);
	const struct published *v = publish->v;

	for (unsigned i = 0; i < publish->n; i++) {
		int64_t port =
			v[i].host_port != FIELD_ABSENT_INT ? v[i].host_port : free_port(m, slot_spec(s), v[i].protocol);
		if (!port)
			return error_set(e, ERROR_LIMIT_EXCEEDED, "publish",
					 "every %s port that network \"%s\" may publish is in use",
					 enum_name(&protocol_type, v[i].protocol), slot_spec(s)->name);
		if (port_is_used(m, v[i].protocol, (unsigned)port))
			return error_set(e, ERROR_NAME_TAKEN, "publish",
					 "%s port %lld of the host leads to another slot",
					 enum_name(&protocol_type, v[i].protocol), (long long)port);
		data->ports[i] = (struct record_port){ .protocol = (uint8_t)v[i].protocol,
						       .host_port = (uint16_t)port,
						       .port = (uint16_t)v[i].port };
		port_use(m, v[i].protocol, (unsigned)port, true);
		data->n_ports = i + 1;
	}
	return 0;
}

static void
return_ports(struct manager *m, struct slot_object *s)
{
	struct slot_record *data = slot_record(m, s);

	for (unsigned i = 0; i < data->n_ports; i++)
		port_use(m, data->ports[i].protocol, data->ports[i].host_port, false);
	data->n_ports = 0;
}

void
extras_found(struct manager *m, struct slot_object *s)
{
	const struct slot_record *data = slot_record(m, s);

	for (unsigned i = 0; i < data->n_ports; i++)
		port_use(m, data->ports[i].protocol, data->ports[i].host_port, true);
}

/* ---- checks ---- */

static int
check_ports(struct manager *m, const struct network_state *n, const struct list *publish, struct error *e)
{
	const struct network *spec = &n->object->network;

	for (unsigned i = 0; i < publish->n; i++) {
		const struct published *p = (const struct published *)publish->v + i;
		int err = 0;
		if (p->host_port == FIELD_ABSENT_INT)
			continue;
		if (!may_publish(spec, p->protocol, p->host_port))
			err = error_set(e, ERROR_INVALID_VALUE, "hostPort",
					"network \"%s\" does not let slots publish %s port %lld of the host",
					spec->name, enum_name(&protocol_type, p->protocol), (long long)p->host_port);
		else if (port_is_used(m, p->protocol, (unsigned)p->host_port))
			err = error_set(e, ERROR_NAME_TAKEN, "hostPort",
					"%s port %lld of the host leads to another slot",
					enum_name(&protocol_type, p->protocol), (long long)p->host_port);
		if (err < 0) {
			error_prefix_field(e, "publish", i);
			return err;
		}
	}
	return 0;
}

static int
check_tap(struct request *r, const struct network *spec, const struct tap *t, struct error *e)
{
	if (strcmp(t->interface, spec->interface) == 0 || strcmp(t->interface, "lo") == 0)
		return error_set(e, ERROR_NAME_TAKEN, "tap.interface", "the slot has an interface %s already",
				 t->interface);
	if (!peer_is_root(request_peer(r)) && t->owner != FIELD_ABSENT_INT && t->owner != request_peer(r)->uid)
		return error_set(e, ERROR_PERMISSION_DENIED, "tap.owner",
				 "only root may give a tap interface to somebody else");
	return 0;
}

static int
check_namespace(struct manager *m, struct request *r, const char *name, struct error *e)
{
	if (!peer_is_root(request_peer(r)))
		return error_set(e, ERROR_PERMISSION_DENIED, "namespace", "only root may give a slot a name in %s",
				 netns_site_path(m->site));
	if (find_namespace(m, name))
		return error_set(e, ERROR_ALREADY_EXISTS, "namespace", "there is a namespace \"%s\" already", name);
	return 0;
}

int
extras_check(struct manager *m, struct request *r, const struct network_state *n, const struct slot_extras *x,
	     struct error *e)
{
	int err = check_ports(m, n, x->publish, e);

	if (err == 0 && x->tap)
		err = check_tap(r, &n->object->network, x->tap, e);
	if (err == 0 && x->namespace)
		err = check_namespace(m, r, x->namespace, e);
	return err;
}

/* ---- ports in the kernel ---- */

struct publishing {
	struct rules_job job;
	struct slot_object *slot;
	struct extras *extras; /* NULL: they are taken away */
	bool add;
	int router_fd;
	unsigned n;
	struct rules_published v[SLOT_PUBLISHED_MAX];
	char texts[2][INET6_ADDRSTRLEN];
};

static int
publish_run(struct rules_job *job, struct kernel *k, struct error *e)
{
	struct publishing *j = (struct publishing *)job;
	int err = 0;

	for (unsigned i = 0; i < j->n && err == 0; i++) {
		CLEANUP(free_ptr) char *router = NULL, *host = NULL;
		err = rules_router_publish(&j->v[i], j->add, &router, e);
		if (err == 0)
			err = rules_host_publish(&j->v[i], j->add, &host, e);
		if (err == 0 && j->router_fd >= 0)
			err = nft_run(k, j->router_fd, router, j->add ? e : NULL);
		if (err == 0 || !j->add) /* what is not there cannot be taken away */
			err = nft_run(k, -1, host, j->add ? e : NULL);
		err = j->add ? err : 0;
	}
	return err;
}

static int
publish_prepare(struct rules_job *job, struct error *e UNUSED)
{
	struct publishing *j = (struct publishing *)job;
	struct manager *m = job->op.m;
	struct network_state *n = slot_network(j->slot);
	const struct slot_record *data = slot_record(m, j->slot);
	struct slot_plan p;

	slot_plan_fill(m, j->slot, &p);
	if (p.has4)
		inet_ntop(AF_INET, p.slot4.address, j->texts[0], sizeof(j->texts[0]));
	if (p.has6)
		inet_ntop(AF_INET6, p.slot6.address, j->texts[1], sizeof(j->texts[1]));
	j->router_fd = n->n_routers ? n->routers[0]->fd : -1;
	j->n = data->n_ports;
	for (unsigned i = 0; i < j->n; i++)
		j->v[i] = (struct rules_published){ .protocol = data->ports[i].protocol,
						    .host_port = data->ports[i].host_port,
						    .port = data->ports[i].port,
						    .address4 = p.has4 ? j->texts[0] : NULL,
						    .address6 = p.has6 ? j->texts[1] : NULL };
	return 0;
}

static void extras_end(struct extras *x, int result);
static void undone(struct manager *m, struct slot_object *s);

static void
publish_done(struct rules_job *job)
{
	struct publishing *j = (struct publishing *)job;
	struct manager *m = job->op.m;

	if (j->extras) {
		j->extras->op.error = job->op.error;
		extras_end(j->extras, job->op.result);
	} else {
		return_ports(m, j->slot);
		undone(m, j->slot);
	}
	free(j);
}

static int
publish_start(struct manager *m, struct slot_object *s, struct extras *x)
{
	struct publishing *j = calloc(1, sizeof(*j));
	if (!j)
		return -ENOMEM;
	j->slot = s;
	j->extras = x;
	j->add = x != NULL;
	j->job.prepare = publish_prepare;
	j->job.run = publish_run;
	j->job.done = publish_done;
	rules_submit(m, &j->job);
	return 0;
}

/* ---- the rest ---- */

static void
extras_end(struct extras *x, int result)
{
	struct manager *m = x->op.m;

	x->slot->busy = false;
	acquire_prepared(m, x->acquire, result, &x->op.error);
	free(x);
}

static void
ports_next(struct extras *x)
{
	if (x->op.result < 0 || !x->n_ports)
		extras_end(x, x->op.result);
	else if (publish_start(x->op.m, x->slot, x) < 0)
		extras_end(x, error_errno(&x->op.error, ENOMEM, "publishing ports"));
}

static int
add_inside(struct extras *x, struct kernel *k, struct error *e)
{
	CLEANUP(close_fd) int fd = -1;
	struct rtnl *socket;
	int err = vault_open_pin(x->vault, x->slot_name, &fd, e);

	if (err == 0 && x->tap.interface[0])
		err = slot_add_tap(k, fd, &x->tap, e);
	if (err == 0 && x->namespace[0]) {
		err = netns_pin(k, x->namespace, fd, e);
		if (err < 0 && e)
			snprintf(e->field, sizeof(e->field), "namespace");
	}
	if (err < 0 || (!x->rate[0] && !x->rate[2]))
		return err;
	err = router_take_socket(k, x->router, &socket, e);
	if (err < 0)
		return err;
	err = slot_limit(socket, x->ifindex, x->rate[0], x->rate[1], x->rate[2], x->rate[3], e);
	router_put_socket(x->router, socket, err == 0);
	return err;
}

static void
inside_run(struct job *job, void *thread)
{
	struct extras *x = (struct extras *)job;
	x->op.result = add_inside(x, thread, &x->op.error);
}

static void
inside_done(struct operation *op)
{
	ports_next((struct extras *)op);
}

static int
fill_tap(struct extras *x, const struct tap *t, int64_t caller, struct error *e)
{
	int err = 0;

	snprintf(x->tap.interface, sizeof(x->tap.interface), "%s", t->interface);
	x->tap.owner = t->owner != FIELD_ABSENT_INT ? t->owner : caller;
	x->tap.has_mac = t->mac != NULL;
	if (t->mac)
		err = mac_parse(t->mac, x->tap.mac, e);
	for (size_t i = 0; i < t->addresses.n && err == 0; i++)
		err = prefix_parse(t->addresses.v[i], false, &x->tap_addresses[x->tap.n_addresses++], e);
	x->tap.addresses = x->tap_addresses;
	return err;
}

static uint64_t
or_none(int64_t value)
{
	return value != FIELD_ABSENT_INT ? (uint64_t)value : 0;
}

static int
fill(struct manager *m, struct slot_object *s, const struct slot_extras *asked, struct extras *x, struct error *e)
{
	struct slot_record *data = slot_record(m, s);
	int err = asked->tap ? fill_tap(x, asked->tap, data->owner, e) : 0;

	if (asked->rate) {
		x->rate[0] = or_none(asked->rate->send);
		x->rate[1] = or_none(asked->rate->send_burst);
		x->rate[2] = or_none(asked->rate->receive);
		x->rate[3] = or_none(asked->rate->receive_burst);
	}
	memcpy(data->rate, x->rate, sizeof(data->rate));
	memcpy(data->tap, x->tap.interface, sizeof(data->tap));
	if (err == 0)
		err = take_ports(m, s, asked->publish, e);
	if (err == 0 && asked->namespace) {
		snprintf(x->namespace, sizeof(x->namespace), "%s", asked->namespace);
		memcpy(data->namespace, x->namespace, sizeof(data->namespace));
	}
	x->n_ports = data->n_ports;
	return err;
}

int
extras_start(struct manager *m, struct slot_object *s, const struct slot_extras *asked, struct acquire *a,
	     struct error *e)
{
	struct extras *x = calloc(1, sizeof(*x));
	int err = x ? fill(m, s, asked, x, e) : error_errno(e, ENOMEM, "preparing a slot");

	if (err < 0) {
		return_ports(m, s);
		free(x);
		return err;
	}
	x->op.m = m;
	x->slot = s; /* on a thread that sees the host's /dev */
	x->acquire = a;
	x->vault = m->slots->vault;
	x->router = s->router;
	x->ifindex = ROUTER_IFINDEX + (int)(slot_record(m, s)->number % SHARD_SLOTS);
	slot_name(m, s, x->slot_name);
	s->busy = true;
	operation_start(&x->op, inside_run, inside_done);
	return 0;
}

bool
extras_own_name(const struct manager *m, const char *name, uint64_t cookie)
{
	const struct slot_table *t = m->slots->table; /* after a start, names are seen before slots are taken in */

	for (uint32_t i = 0; t && i < slot_table_size(t); i++) {
		const struct slot_record *data = slot_table_at(t, i);
		if (data->state != RECORD_FREE && data->cookie == cookie && strcmp(data->namespace, name) == 0)
			return true;
	}
	return false;
}

/* ---- away ---- */

struct undoing {
	struct operation op;
	struct slot_object *slot;
	struct router *router;
	char name[NAME_MAX_LENGTH + 1];
	uint64_t cookie;
	int ifindex; /* of a limited slot; 0: it is not */
};

static void
undone(struct manager *m, struct slot_object *s)
{
	if (--s->undoing == 0)
		slot_unpin_later(m, s);
}

static int
take_name(const struct undoing *j, struct kernel *k, struct error *e)
{
	enum netns_file file;
	uint64_t cookie = 0;
	int err = netns_probe(k, j->name, &file, &cookie, e);

	return err == 0 && file == NETNS_MOUNTED && cookie == j->cookie ? netns_unpin(k, j->name, cookie, e) : err;
}

static int
take_limit(struct undoing *j, struct kernel *k, struct error *e)
{
	struct rtnl *socket;
	int err = router_take_socket(k, j->router, &socket, e);

	if (err < 0)
		return err;
	err = slot_unlimit(socket, j->ifindex, e);
	router_put_socket(j->router, socket, err == 0);
	return err;
}

static void
undo_run(struct job *job, void *thread)
{
	struct undoing *j = (struct undoing *)job;
	int err = j->name[0] ? take_name(j, thread, &j->op.error) : 0;

	if (j->ifindex && take_limit(j, thread, err == 0 ? &j->op.error : NULL) < 0)
		err = -EIO;
	j->op.result = err;
}

static void
undo_done(struct operation *op)
{
	struct undoing *j = (struct undoing *)op;
	struct slot_record *data = slot_record(op->m, j->slot);

	if (op->result < 0)
		log_warning("what slot %u of network \"%s\" had beside cannot be taken away: %s", data->number,
			    slot_spec(j->slot)->name, op->error.text);
	data->namespace[0] = '\0';
	data->rate[0] = 0;
	undone(op->m, j->slot);
	free(j);
}

void
extras_undo(struct manager *m, struct slot_object *s)
{
	const struct slot_record *data = slot_record(m, s);

	if (data->n_ports) {
		s->undoing++;
		if (publish_start(m, s, NULL) < 0)
			s->undoing--; /* the next refresh of the rules drops them */
	}
	struct undoing *j = data->namespace[0] || data->rate[0] ? calloc(1, sizeof(*j)) : NULL;
	if (!j)
		return;
	j->op.m = m;
	j->slot = s;
	j->router = s->router;
	j->cookie = data->cookie;
	if (data->rate[0] && s->router->fd >= 0)
		j->ifindex = ROUTER_IFINDEX + (int)(data->number % SHARD_SLOTS);
	memcpy(j->name, data->namespace, sizeof(j->name));
	s->undoing++;
	operation_start(&j->op, undo_run, undo_done);
}
