/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a soak client (client.h) does next: a random walk over everything that a holder of slots may do, well-behaved or not.
 *
 * Theory of operation: the walk keeps its own idea of what it holds, to have something to ask about; whether nsd's answers
 * were right is for the checker to say, from the records alone. When a connection breaks, nsd is gone: the client connects
 * again, takes up the leases that were bound to it, and asks again what had no answer, until an answer comes. Only what
 * ends by itself may stay unknown.
 */
#include "config.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../bench/samples.h"
#include "client.h"

#define MS INT64_C(1000000)

static bool
percent(struct client *c, unsigned n)
{
	return client_random(c, 100) < n;
}

static void
sleep_us(unsigned us)
{
	nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L }, NULL);
}

/* What is held, and what was */

static void
forget(struct client *c, struct lease *l, bool over)
{
	l->over = over;
	c->recent[c->n_recent++ % N_RECENT] = *l;
	*l = c->leases[--c->n_leases];
}

static void
forget_holder(struct client *c, uint64_t holder)
{
	for (unsigned i = c->n_leases; i-- > 0;)
		if (c->leases[i].holder == holder)
			forget(c, &c->leases[i], false);
}

static void
forget_expired(struct client *c)
{
	int64_t now = (int64_t)now_ns();
	for (unsigned i = c->n_leases; i-- > 0;)
		if (c->leases[i].bond == BOND_TIME && now >= (int64_t)c->leases[i].base + c->leases[i].ttl)
			forget(c, &c->leases[i], false);
}

/* A lease no longer held; NULL: none yet. */
static struct lease *
some_recent(struct client *c)
{
	unsigned n = c->n_recent < N_RECENT ? c->n_recent : N_RECENT;
	return n > 0 ? &c->recent[client_random(c, n)] : NULL;
}

/* Connections */

static void
drop_broken(struct client *c, struct connection *on)
{
	for (unsigned i = 0; i < c->n_leases; i++)
		if (c->leases[i].bond == BOND_CONNECTION && c->leases[i].holder == on->id)
			c->leases[i].adrift = true;
	connection_close(on);
}

/* Closes a connection on purpose: what is bound to it ends. */
static void
hang_up(struct client *c, struct connection *on)
{
	log_add(c->log, RECORD_HOLDER_END)->holder = on->id;
	connection_close(on);
	forget_holder(c, on->id);
}

static struct connection *
use(struct client *c, unsigned i)
{
	struct connection *on = &c->connections[i];
	if (on->fd >= 0 && connection_is_dead(on))
		drop_broken(c, on);
	if (on->fd < 0 && !connection_open(on, c->options->socket, client_new_id(c), c->options->patience))
		die(0, "nobody listens on %s", c->options->socket);
	return on;
}

static struct connection *
use_any(struct client *c)
{
	return use(c, client_random(c, N_CONNECTIONS));
}

/* After a connection broke: so did others, most likely. */
static void
recover(struct client *c, struct connection *broken)
{
	drop_broken(c, broken);
	for (unsigned i = 0; i < N_CONNECTIONS; i++)
		if (c->connections[i].fd >= 0 && connection_is_dead(&c->connections[i]))
			drop_broken(c, &c->connections[i]);
}

/* One attempt to bind a lease to a new connection, by renewal or by its key. */
static void
take_up(struct client *c, struct lease *l)
{
	struct connection *on = use_any(c);
	enum record_outcome outcome;

	if (l->key && percent(c, 40)) {
		struct acquire a = { .network = l->network,
				     .bond = l->bond,
				     .key = l->key,
				     .holder = on->id,
				     .pidfd = -1,
				     .base = l->base };
		outcome = ask_acquire(c, on, &a, l, NULL);
	} else {
		outcome = ask_renew(c, on, l, 0);
	}
	if (outcome == OUTCOME_UNKNOWN)
		recover(c, on);
	else if (outcome != OUTCOME_OK && outcome != OUTCOME_PASSING)
		forget(c, l, false);
}

/* What was bound to broken connections is taken up again, or left to its fate. */
static void
take_up_adrift(struct client *c)
{
	for (unsigned i = c->n_leases; i-- > 0;) {
		struct lease *l = &c->leases[i];
		if (l->adrift && percent(c, 10))
			forget(c, l, false);
		else if (l->adrift)
			take_up(c, l);
	}
}

/* Acquiring */

/* The key of a lease that is over, or was left to end by itself; in the latter case everything else is the same, too. */
static bool
take_old_key(struct client *c, struct acquire *a)
{
	struct lease *old = some_recent(c);
	if (!old || !old->key)
		return false;
	for (unsigned i = 0; i < c->n_leases; i++)
		if (c->leases[i].key == old->key)
			return false;
	a->key = old->key;
	if (!old->over) {
		a->bond = old->bond;
		a->ttl = old->ttl;
		a->base = old->base;
	}
	for (unsigned i = 0; i < N_RECENT; i++) /* not a third time: this one may come to no known end */
		if (c->recent[i].key == a->key)
			c->recent[i].key = 0;
	return true;
}

static struct acquire
some_acquire(struct client *c, struct connection **on)
{
	struct acquire a = { .pidfd = -1 };
	unsigned which = client_random(c, 100);

	a.bond = which < 35 ? BOND_CONNECTION : which < 60 ? BOND_PROCESS : which < 80 ? BOND_TIME : BOND_NOTHING;
	a.ttl = (percent(c, 50) ? 100 + client_random(c, 300) : 2000 + client_random(c, 4000)) * MS;
	if (percent(c, a.bond == BOND_NOTHING ? 99 : 50) && !(percent(c, 40) && take_old_key(c, &a)))
		a.key = client_new_id(c);
	if (a.bond != BOND_TIME)
		a.ttl = 0;
	/* A key means one network for good. */
	a.network = a.key ? a.key % c->options->n_networks : client_random(c, c->options->n_networks);
	a.open = percent(c, 10);
	a.only_warm = percent(c, 10);
	*on = a.bond == BOND_CONNECTION ? use_any(c) : use(c, 0);
	if (a.bond == BOND_CONNECTION) {
		a.holder = (*on)->id;
	} else if (a.bond == BOND_PROCESS) {
		bool child = percent(c, 80);
		a.holder = child ? c->holder.id : c->own_id;
		a.pidfd = child ? c->holder.pidfd : -1;
	}
	return a;
}

/* Asks again, by the key, for what had no answer. */
static enum record_outcome
ask_again(struct client *c, struct acquire *a, struct lease *l, int *fd)
{
	enum record_outcome outcome;
	do {
		struct connection *on = use_any(c);
		if (a->bond == BOND_CONNECTION)
			a->holder = on->id;
		outcome = ask_acquire(c, on, a, l, fd);
		if (outcome == OUTCOME_UNKNOWN)
			recover(c, on);
		else if (outcome == OUTCOME_PASSING)
			sleep_us(1000);
	} while (outcome == OUTCOME_UNKNOWN || outcome == OUTCOME_PASSING);
	return outcome;
}

/* What cannot end by itself is asked for until the answer is known. */
static bool
asks_again(struct client *c, const struct acquire *a)
{
	return a->key && (a->bond == BOND_NOTHING || percent(c, 95));
}

static void
got(struct client *c, const struct lease *l, int fd)
{
	if (fd >= 0) {
		look(c, l, fd);
		close(fd);
	}
	if (c->n_leases == N_LEASES)
		die(0, "more leases than this client takes");
	c->leases[c->n_leases++] = *l;
}

static void
acquire_plain(struct client *c)
{
	struct connection *on;
	struct acquire a = some_acquire(c, &on);
	struct lease l;
	int fd = -1;
	struct record *sent = send_acquire(c, on, &a);
	enum record_outcome outcome = sent ? receive_acquire(c, on, sent, &l, &fd) : OUTCOME_UNKNOWN;

	if (outcome == OUTCOME_UNKNOWN) {
		a.base = sent ? sent->base : a.base;
		recover(c, on);
		if (asks_again(c, &a))
			outcome = ask_again(c, &a, &l, &fd);
	}
	if (outcome == OUTCOME_OK)
		got(c, &l, fd);
	else if (outcome == OUTCOME_LIMIT)
		sleep_us(client_random(c, 2000));
}

/* Hangs up without waiting for the answer; what was bound to that connection ends, the rest is asked for again. */
static void
acquire_and_hang_up(struct client *c)
{
	struct connection *on;
	struct acquire a = some_acquire(c, &on);
	struct lease l;
	int fd = -1;

	if (!a.key) {
		a.key = client_new_id(c);
		a.network = a.key % c->options->n_networks;
	}
	struct record *sent = send_acquire(c, on, &a);
	if (!sent) {
		recover(c, on);
	} else {
		a.base = sent->base;
		sleep_us(client_random(c, 600));
		hang_up(c, on);
	}
	if (asks_again(c, &a) && ask_again(c, &a, &l, &fd) == OUTCOME_OK)
		got(c, &l, fd);
}

/* The same key on two connections at once: one lease. */
static void
acquire_twice(struct client *c)
{
	struct connection *on, *first = use(c, 1), *second = use(c, 2);
	struct acquire a = some_acquire(c, &on);
	struct lease l = { 0 }, other = { 0 };

	a.key = client_new_id(c);
	a.network = a.key % c->options->n_networks;
	a.base = 0;
	a.open = false;
	if (a.bond == BOND_CONNECTION) {
		a.bond = BOND_PROCESS;
		a.holder = c->own_id;
	}
	struct record *one = send_acquire(c, first, &a);
	a.base = one ? one->asked : 0;
	struct record *two = send_acquire(c, second, &a);
	if (!a.base && two)
		a.base = two->asked;
	enum record_outcome outcome = one ? receive_acquire(c, first, one, &l, NULL) : OUTCOME_UNKNOWN;
	enum record_outcome outcome2 = two ? receive_acquire(c, second, two, &other, NULL) : OUTCOME_UNKNOWN;
	if (outcome == OUTCOME_UNKNOWN)
		recover(c, first);
	if (outcome2 == OUTCOME_UNKNOWN)
		recover(c, second);
	if (outcome == OUTCOME_OK)
		got(c, &l, -1);
	else if (outcome2 == OUTCOME_OK)
		got(c, &other, -1);
	else if ((outcome == OUTCOME_UNKNOWN || outcome2 == OUTCOME_UNKNOWN) &&
		 ask_again(c, &a, &l, NULL) == OUTCOME_OK)
		got(c, &l, -1);
}

static void
restart_agent(struct client *c)
{
	uint64_t id = c->agent.id;
	holder_kill(c, &c->agent);
	forget_holder(c, id);
	agent_start(c);
}

/* A child acquires, and may be killed while it does. */
static void
acquire_by_agent(struct client *c)
{
	bool wait = percent(c, 85);
	if (agent_acquire(c, client_random(c, c->options->n_networks), percent(c, 50), wait)) {
		got(c, &c->shared->agent_lease, -1);
		return;
	}
	if (!wait)
		sleep_us(client_random(c, 1500));
	restart_agent(c);
}

/* Releasing */

static void
release(struct client *c, struct lease *held, unsigned flags, bool wait)
{
	struct lease l = *held;
	enum record_outcome outcome;

	*held = c->leases[--c->n_leases];
	do {
		struct connection *on = use(c, 0);
		outcome = ask_release(c, on, &l, flags, wait);
		flags &= ~(unsigned)FLAG_BLIND; /* a second time it might hit the next one's */
		if (outcome == OUTCOME_UNKNOWN)
			recover(c, on);
		else if (outcome == OUTCOME_PASSING)
			sleep_us(1000);
	} while (outcome == OUTCOME_UNKNOWN || outcome == OUTCOME_PASSING);
	l.over = outcome == OUTCOME_OK;
	c->recent[c->n_recent++ % N_RECENT] = l;
}

static void
release_twice(struct client *c, struct lease *l)
{
	release(c, l, 0, false);
	struct lease *released = &c->recent[(c->n_recent - 1) % N_RECENT];
	struct connection *on = use(c, 0);
	if (released->over && ask_release(c, on, released, FLAG_STALE, false) == OUTCOME_UNKNOWN)
		recover(c, on);
}

static void
release_pinned(struct client *c, struct lease *l)
{
	static const unsigned shares[N_PINS] = { 40, 65, 90, 96, 100 };
	struct connection *on = use(c, 0);
	unsigned which = client_random(c, 100), kind = 0, length = client_random(c, 100);
	int fd = -1;
	enum record_outcome outcome = ask_open(c, on, l, 0, &fd);

	if (outcome == OUTCOME_UNKNOWN) {
		recover(c, on);
		return;
	}
	while (which >= shares[kind])
		kind++;
	if (fd >= 0)
		pin_start(c, l, fd, kind, 1 + client_random(c, length < 70 ? 50 : length < 95 ? 1000 : 3000));
	release(c, l, 0, false);
}

static struct connection *
connection_of(struct client *c, uint64_t id)
{
	for (unsigned i = 0; i < N_CONNECTIONS; i++)
		if (c->connections[i].fd >= 0 && c->connections[i].id == id)
			return &c->connections[i];
	return NULL;
}

/* Goes away without a word, with everything that the same holder has. */
static void
abandon(struct client *c, struct lease *l)
{
	struct connection *on = connection_of(c, l->holder);
	if (on) {
		hang_up(c, on);
	} else if (l->holder == c->agent.id) {
		restart_agent(c);
	} else if (l->holder == c->holder.id) {
		holder_kill(c, &c->holder);
		forget_holder(c, l->holder);
		holder_start(c);
	} else if (l->bond == BOND_TIME && l->ttl < 1000 * MS) {
		forget(c, l, false);
	} else {
		release(c, l, 0, false);
	}
}

static void
end_lease(struct client *c, struct lease *l)
{
	unsigned which = client_random(c, 100);
	bool permanent = l->bond == BOND_NOTHING || l->holder == c->own_id;

	if (which < 8 && permanent)
		release(c, l, FLAG_BLIND, false);
	else if (which < 16)
		release_twice(c, l);
	else if (which < 22)
		release_pinned(c, l);
	else if (which < 24)
		release(c, l, 0, true);
	else if (which < 40)
		abandon(c, l);
	else
		release(c, l, 0, false);
}

/* Asking about what is held, and what is not */

static void
open_and_look(struct client *c, struct lease *l)
{
	struct connection *on = use(c, 0);
	int fd = -1;
	if (ask_open(c, on, l, 0, &fd) == OUTCOME_UNKNOWN) {
		recover(c, on);
	} else if (fd >= 0) {
		look(c, l, fd);
		close(fd);
	}
}

static void
renew(struct client *c, struct lease *l)
{
	if (l->bond != BOND_TIME && connection_of(c, l->holder) == NULL)
		return;
	if (l->bond == BOND_TIME)
		l->ttl = (percent(c, 30) ? 100 + client_random(c, 300) : 2000 + client_random(c, 4000)) * MS;
	struct connection *on = l->bond == BOND_TIME ? use(c, 0) : use_any(c);
	if (ask_renew(c, on, l, 0) == OUTCOME_UNKNOWN)
		recover(c, on);
}

static void
acquire_same(struct client *c, struct lease *l)
{
	struct connection *bound = connection_of(c, l->holder), *on = bound ? bound : use(c, 0);
	struct acquire a = { .network = l->network,
			     .bond = l->bond,
			     .key = l->key,
			     .ttl = l->ttl,
			     .holder = l->holder,
			     .pidfd = l->holder == c->holder.id ? c->holder.pidfd : -1,
			     .base = l->base };
	struct lease again;

	if (!l->key || l->adrift || (l->bond == BOND_CONNECTION && !bound))
		return;
	enum record_outcome outcome = ask_acquire(c, on, &a, &again, NULL);
	if (outcome == OUTCOME_UNKNOWN)
		recover(c, on);
	else if (outcome == OUTCOME_OK)
		*l = again;
}

static void
use_stale(struct client *c)
{
	struct lease *recent = some_recent(c), l;
	struct connection *on = use(c, 0);
	unsigned which = client_random(c, 3);
	enum record_outcome outcome;

	if (!recent || !recent->over)
		return;
	l = *recent;
	if (which == 0)
		outcome = ask_renew(c, on, &l, FLAG_STALE);
	else if (which == 1)
		outcome = ask_open(c, on, &l, FLAG_STALE, NULL);
	else
		outcome = ask_release(c, on, &l, FLAG_STALE, false);
	if (outcome == OUTCOME_UNKNOWN)
		recover(c, on);
}

static void
ask_about(struct client *c, struct lease *l)
{
	struct connection *on;
	switch (client_random(c, 5)) {
	case 0:
	case 1:
		open_and_look(c, l);
		break;
	case 2:
		renew(c, l);
		break;
	case 3:
		acquire_same(c, l);
		break;
	default:
		on = use(c, 0);
		if (ask_get(c, on, l) == OUTCOME_UNKNOWN)
			recover(c, on);
	}
}

static void
acquire(struct client *c)
{
	unsigned which = client_random(c, 100);
	if (which < 6)
		acquire_and_hang_up(c);
	else if (which < 11)
		acquire_twice(c);
	else if (which < 20)
		acquire_by_agent(c);
	else
		acquire_plain(c);
}

static void
step(struct client *c)
{
	unsigned which = client_random(c, 100);
	/* A pair of calls may add one more. */
	if (c->n_leases == 0 || (which < 42 && c->n_leases < N_LEASES - 2))
		acquire(c);
	else if (which < 84)
		end_lease(c, &c->leases[client_random(c, c->n_leases)]);
	else if (which < 95)
		ask_about(c, &c->leases[client_random(c, c->n_leases)]);
	else
		use_stale(c);
}

/* Everything is released, or left to end with its holder, which is about to. */
static void
wind_down(struct client *c)
{
	pin_end_due(c, true);
	take_up_adrift(c);
	bool careless = percent(c, 25);
	for (unsigned i = c->n_leases; i-- > 0;) {
		struct lease *l = i < c->n_leases ? &c->leases[i] : NULL;
		if (l && !(careless && (l->bond == BOND_CONNECTION || l->bond == BOND_PROCESS)))
			release(c, l, 0, false);
	}
	holder_kill(c, &c->holder);
	holder_kill(c, &c->agent);
	for (unsigned i = 0; i < N_CONNECTIONS; i++)
		if (c->connections[i].fd >= 0)
			hang_up(c, &c->connections[i]);
	log_add(c->log, RECORD_HOLDER_END)->holder = c->own_id;
}

void
walk(struct client *c)
{
	for (unsigned i = 0; i < N_CONNECTIONS; i++)
		c->connections[i].fd = -1;
	holder_start(c);
	agent_start(c);
	while (!atomic_load(&c->progress->stop)) {
		pin_end_due(c, false);
		forget_expired(c);
		take_up_adrift(c);
		step(c);
	}
	wind_down(c);
}
