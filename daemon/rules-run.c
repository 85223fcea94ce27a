/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Work that writes nftables rules: one job at a time, in turn, and what their texts are made of. */
#include "config.h"

#include "slots.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "nft.h"

/* ---- the queue ---- */

static void rules_next(struct manager *m);

static void
rules_run(struct job *job, void *thread)
{
	struct rules_job *j = (struct rules_job *)job;
	j->op.result = j->run(j, thread, &j->op.error);
}

static void
rules_done(struct operation *op)
{
	struct rules_job *j = (struct rules_job *)op;
	struct manager *m = op->m;

	m->slots->rules_running = false;
	j->done(j);
	rules_next(m);
	slots_settle(m);
}

static void
rules_next(struct manager *m)
{
	struct rules_job *j = TAILQ_FIRST(&m->slots->rules);

	if (!j || m->slots->rules_running)
		return;
	TAILQ_REMOVE(&m->slots->rules, j, entry);
	m->slots->rules_running = true;
	j->op.result = j->prepare ? j->prepare(j, &j->op.error) : 0;
	if (j->op.result < 0)
		rules_done(&j->op);
	else
		operation_start(&j->op, rules_run, rules_done);
}

void
rules_submit(struct manager *m, struct rules_job *j)
{
	j->op.m = m;
	j->op.pool = m->slots->quick;
	TAILQ_INSERT_TAIL(&m->slots->rules, j, entry);
	rules_next(m);
}

/* ---- the input ---- */

static bool
has_part(const struct object *o, const struct object *also, const struct object *without)
{
	return o != without && (o == also || (o->network.state == STATE_READY && !o->net->going));
}

static int
fill_networks(struct manager *m, const struct object *also, const struct network *spec, const struct object *without,
	      struct rules_input *i)
{
	i->all = calloc(m->networks.n + 1, sizeof(struct network *));
	i->networks = calloc(2 * m->networks.n + 1, sizeof(*i->networks));
	if (!i->all || !i->networks)
		return -ENOMEM;
	for (size_t n = 0; n < m->networks.n; n++) {
		const struct object *o = m->networks.v[n];
		if (!has_part(o, also, without))
			continue;
		i->all[i->n_all++] = o == also && spec ? spec : &o->network;
		if (o->network.ipv4)
			i->networks[i->host.n_networks++] = o->net->prefix4;
		if (o->network.ipv6)
			i->networks[i->host.n_networks++] = o->net->prefix6;
	}
	i->host.networks = i->networks;
	return 0;
}

static bool
is_publishing(const struct manager *m, const struct slot_object *s)
{
	return s && slot_record(m, s)->n_ports && slot_state(m, s) == RECORD_LEASED;
}

static void
format_own(const struct manager *m, const struct slot_object *s, char ret[2][INET6_ADDRSTRLEN + 4])
{
	struct slot_plan p;

	slot_plan_fill(m, s, &p);
	ret[0][0] = ret[1][0] = '\0';
	if (p.has4)
		inet_ntop(AF_INET, p.slot4.address, ret[0], INET6_ADDRSTRLEN);
	if (p.has6)
		inet_ntop(AF_INET6, p.slot6.address, ret[1], INET6_ADDRSTRLEN);
}

static int
fill_published(struct manager *m, const struct object *without, struct rules_input *i)
{
	unsigned slots = 0;

	for (uint32_t r = 0; r < m->slots->n_records; r++)
		slots += is_publishing(m, m->slots->by_record[r]);
	i->texts = calloc(slots + 1, sizeof(*i->texts));
	i->published = calloc(slots * SLOT_PUBLISHED_MAX + 1, sizeof(*i->published));
	if (!i->texts || !i->published)
		return -ENOMEM;
	slots = 0;
	for (uint32_t r = 0; r < m->slots->n_records; r++) {
		const struct slot_object *s = m->slots->by_record[r];
		if (!is_publishing(m, s) || s->router->network == without)
			continue;
		const struct slot_record *data = slot_record(m, s);
		char(*text)[INET6_ADDRSTRLEN + 4] = i->texts[slots++];
		format_own(m, s, text);
		for (unsigned p = 0; p < data->n_ports; p++)
			i->published[i->n_published++] =
				(struct rules_published){ .protocol = data->ports[p].protocol,
							  .host_port = data->ports[p].host_port,
							  .port = data->ports[p].port,
							  .address4 = text[0][0] ? text[0] : NULL,
							  .address6 = text[1][0] ? text[1] : NULL };
	}
	return 0;
}

int
rules_input_fill(struct manager *m, const struct object *also, const struct network *spec, const struct object *without,
		 struct rules_input *ret, struct error *e)
{
	struct rules_input i = { 0 };
	int err = fill_networks(m, also, spec, without, &i);

	if (err == 0)
		err = fill_published(m, without, &i);
	if (err < 0) {
		rules_input_done(&i);
		return error_errno(e, ENOMEM, "putting rules together");
	}
	*ret = i;
	return 0;
}

void
rules_input_done(struct rules_input *i)
{
	free(i->addresses);
	free(i->networks);
	free(i->all);
	free(i->published);
	free(i->texts);
	*i = (struct rules_input){ 0 };
}

static bool
is_reachable(const struct prefix *p)
{
	static const uint8_t loopback6[16] = { [15] = 1 };

	if (p->family == AF_INET)
		return p->address[0] != 127;
	return memcmp(p->address, loopback6, sizeof(loopback6)) != 0 &&
	       !(p->address[0] == 0xfe && (p->address[1] & 0xc0) == 0x80);
}

static int
note_address(int ifindex UNUSED, const struct prefix *p, void *arg)
{
	struct rules_input *i = arg;
	unsigned n = i->host.n_addresses;

	if (!is_reachable(p))
		return 0;
	if ((n & (n - 1)) == 0) {
		struct prefix *v = reallocarray(i->addresses, n ? 2 * n : 1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		i->addresses = v;
	}
	i->addresses[n] = *p;
	i->addresses[n].length = p->family == AF_INET ? 32 : 128;
	i->host.n_addresses++;
	i->host.addresses = i->addresses;
	return 0;
}

int
rules_input_look(struct rules_input *i, struct kernel *k, struct error *e)
{
	free(i->addresses);
	i->addresses = NULL;
	i->host.n_addresses = 0;
	return address_dump(kernel_rtnl(k), 0, note_address, i, e);
}

int
rules_load_router(const struct rules_input *i, struct kernel *k, const struct network *spec, unsigned capacity,
		  unsigned number, int fd, struct error *e)
{
	CLEANUP(free_ptr) char *text = NULL;
	unsigned first = number * SHARD_SLOTS, left = capacity + 1 - first;
	struct rules_range range = { .first = first,
				     .count = left < SHARD_SLOTS ? left : SHARD_SLOTS,
				     .first_ifindex = ROUTER_IFINDEX };
	int err = rules_router(spec, &range, number == 0, &i->host, i->published, i->n_published, &text, e);

	return err < 0 ? err : nft_run(k, fd, text, e);
}

int
rules_load_host(const struct rules_input *i, struct kernel *k, struct error *e)
{
	CLEANUP(free_ptr) char *text = NULL;
	int err = rules_host(i->all, i->n_all, i->published, i->n_published, &text, e);

	return err < 0 ? err : nft_run(k, -1, text, e);
}

/* ---- the refresh ---- */

struct refresh {
	struct rules_job job;
	struct rules_input input;
	bool all;
	unsigned n;
	struct {
		const struct network *spec;
		unsigned capacity;
		int fd;
	} v[];
};

static int
refresh_prepare(struct rules_job *job, struct error *e)
{
	struct refresh *j = (struct refresh *)job;
	struct manager *m = job->op.m;
	unsigned size = j->n;

	j->n = 0;
	for (size_t i = 0; i < m->networks.n && j->n < size; i++) {
		const struct object *o = m->networks.v[i];
		if (o->network.state != STATE_READY || !o->net->n_routers || o->net->routers[0]->fd < 0)
			continue;
		j->v[j->n].spec = &o->network;
		j->v[j->n].capacity = o->net->capacity;
		j->v[j->n++].fd = o->net->routers[0]->fd;
	}
	return rules_input_fill(m, NULL, NULL, NULL, &j->input, e);
}

static int
load_sets(const struct rules_input *i, struct kernel *k, int fd, struct error *e)
{
	CLEANUP(free_ptr) char *text = NULL;
	int err = rules_router_sets(&i->host, &text, e);

	return err < 0 ? err : nft_run(k, fd, text, e);
}

static int
refresh_run(struct rules_job *job, struct kernel *k, struct error *e)
{
	struct refresh *j = (struct refresh *)job;
	int err = rules_input_look(&j->input, k, e);

	if (err == 0 && j->all)
		err = rules_load_host(&j->input, k, e);
	for (unsigned i = 0; i < j->n && err == 0; i++)
		err = j->all ? rules_load_router(&j->input, k, j->v[i].spec, j->v[i].capacity, 0, j->v[i].fd, e) :
			       load_sets(&j->input, k, j->v[i].fd, e);
	return err;
}

static void
refresh_done(struct rules_job *job)
{
	struct refresh *j = (struct refresh *)job;
	struct manager *m = job->op.m;

	m->slots->refreshing = false;
	if (job->op.result < 0)
		log_error("the rules of networks cannot be loaded: %s", job->op.error.text);
	rules_input_done(&j->input);
	free(j);
}

void
rules_refresh(struct manager *m)
{
	m->slots->refresh_wanted = true;
	m->slots->attention = true;
}

void
rules_follow_addresses(struct manager *m)
{
	m->slots->sets_wanted = m->networks.n > 0;
	m->slots->attention = true;
}

void
rules_settle(struct manager *m)
{
	bool wanted = m->slots->refresh_wanted || m->slots->sets_wanted;

	if (!wanted || m->slots->refreshing || !m->slots->audited)
		return;
	unsigned n = (unsigned)m->networks.n + 16; /* some may come before its turn */
	struct refresh *j = calloc(1, sizeof(*j) + n * sizeof(j->v[0]));
	if (!j)
		return;
	j->n = n;
	j->all = m->slots->refresh_wanted;
	j->job.prepare = refresh_prepare;
	j->job.run = refresh_run;
	j->job.done = refresh_done;
	m->slots->refresh_wanted = m->slots->sets_wanted = false;
	m->slots->refreshing = true;
	rules_submit(m, &j->job);
}
