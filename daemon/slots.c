/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The part of the manager that has slots: its start and end, its threads, what the loop tells it. */
#include "config.h"

#include "slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include "log.h"
#include "message-ids.h"
#include "nft.h"

#define QUICK_THREADS 2
#define SLOW_NICE 10
#define POLL_MAX 64
#define EVENTS_BUDGET 64
#define LOOK_MS 60000 /* between looks at an uplink of which nothing was heard */

/* ---- threads ---- */

static int
thread_enter(struct manager *m, void **ret, struct error *e)
{
	struct kernel *k = NULL;
	int err = kernel_open(m->site, &k, e);

	if (err == 0)
		err = vault_enter(m->slots->vault, e);
	if (err < 0)
		kernel_close(k);
	else
		*ret = k;
	return err;
}

static int
quick_start(void *arg, void **ret, struct error *e)
{
	return thread_enter(arg, ret, e);
}

/* The slow thread is the only one of its kind, lives as long as nsd, and shows the vault to the host. */
static int
slow_start(void *arg, void **ret, struct error *e)
{
	struct manager *m = arg;
	int err = thread_enter(m, ret, e);

	if (err == 0 && setpriority(PRIO_PROCESS, 0, SLOW_NICE) < 0)
		log_debug("the priority of filling pools cannot be lowered: %s", strerror(errno));
	if (err == 0)
		err = vault_publish(m->slots->vault, e);
	return err;
}

static void
thread_stop(void *thread)
{
	kernel_close(thread);
}

static int
start_threads(struct manager *m, struct error *e)
{
	struct slots *s = m->slots;

	s->quick_ops = (struct workers_ops){ .thread_start = quick_start, .thread_stop = thread_stop, .arg = m };
	s->slow_ops = (struct workers_ops){ .thread_start = slow_start, .thread_stop = thread_stop, .arg = m };
	int err = workers_new(1, &s->slow_ops, &s->slow, e);
	return err < 0 ? err : workers_new(QUICK_THREADS, &s->quick_ops, &s->quick, e);
}

/* ---- what is watched ---- */

int
slots_watch(struct manager *m, int fd, void *who)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = who };
	return epoll_ctl(m->slots->poll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

void
slots_unwatch(struct manager *m, int fd)
{
	epoll_ctl(m->slots->poll_fd, EPOLL_CTL_DEL, fd, NULL);
}

static void
on_router_event(const struct kernel_event *ev, void *arg)
{
	struct router *r = arg;
	struct manager *m = r->network->net->m;
	int ifindex = ev->link.ifindex - ROUTER_IFINDEX;

	switch (ev->type) {
	case EVENT_LINK:
		if (ifindex >= 0 && ifindex < SHARD_SLOTS && r->slots[ifindex])
			slot_suspect(m, r->slots[ifindex]);
		break;
	case EVENT_LINK_GONE:
		slot_link_gone(m, r, ev->link.ifindex);
		break;
	case EVENT_NSID_GONE:
		slot_nsid_gone(m, r, ev->nsid);
		break;
	case EVENT_OVERRUN:
		log_event(LOG_NOTICE, MESSAGE_OVERRUN, NULL, "events of a router were lost; its slots are looked at");
		break; /* those that do not seem to go are looked at anyway, as are the ready ones in time */
	default:
		break;
	}
}

static struct router *
as_router(const struct manager *m, const void *who)
{
	for (size_t i = 0; i < m->networks.n; i++) {
		const struct network_state *n = ((struct object *)m->networks.v[i])->net;
		for (unsigned k = 0; n && k < n->n_routers; k++)
			if (n->routers[k] == who)
				return n->routers[k];
	}
	return NULL;
}

static struct holder *
as_holder(const struct manager *m, const void *who)
{
	for (size_t i = 0; i < m->slots->holders.n; i++)
		if (m->slots->holders.v[i] == who)
			return m->slots->holders.v[i];
	return NULL;
}

/* One event may have freed whom the next one is of, so each is looked for. */
static void
dispatch(struct manager *m, void *who)
{
	struct slots *s = m->slots;
	struct router *r;
	struct holder *h;
	struct error e = { 0 };

	if (who == s->quick || who == s->slow)
		workers_collect(who);
	else if (who == &s->unpin_timer)
		unpin_timer_fired(m);
	else if (who == &s->watch_fd)
		s->refresh_wanted |= nft_watch_read(s->watch_fd, RULES_TABLE);
	else if ((r = as_router(m, who)) && r->events)
		events_read(r->events, EVENTS_BUDGET, on_router_event, r, &e);
	else if ((h = as_holder(m, who)))
		holder_ended(m, h);
}

int
manager_slots_fd(const struct manager *m)
{
	return m->slots->poll_fd;
}

void
manager_slots(struct manager *m)
{
	struct epoll_event v[POLL_MAX];
	int n = epoll_wait(m->slots->poll_fd, v, POLL_MAX, 0);

	for (int i = 0; i < n; i++)
		dispatch(m, v[i].data.ptr);
	m->slots->attention = true;
	slots_settle(m);
}

unsigned
manager_slots_pending(const struct manager *m)
{
	const struct slots *s = m->slots;
	return (s->quick ? workers_pending(s->quick) : 0) + (s->slow ? workers_pending(s->slow) : 0);
}

/* ---- start and end ---- */

int
slots_available(const struct manager *m, struct error *e)
{
	if (!m->slots->unavailable[0])
		return 0;
	return error_set(e, ERROR_NOT_SUPPORTED, NULL, "there can be no slots here: %s", m->slots->unavailable);
}

static int
open_table(struct manager *m, const char *directory, struct error *e)
{
	char path[4096];
	int lost = 0;

	if (snprintf(path, sizeof(path), "%s/slots.table", directory) >= (int)sizeof(path))
		return error_set(e, ERROR_INVALID_VALUE, NULL, "the path of the runtime directory is too long");
	int err = slot_table_open(path, m->boot, vault_id(m->slots->vault), &m->slots->table, &lost, e);
	if (err == 0 && lost)
		log_event(LOG_WARNING, MESSAGE_SLOTS_LOST, NULL,
			  lost > 0 ? "%d leases were lost with their namespaces" :
				     "the table of slots was damaged; it was put aside, and all slots are removed",
			  lost);
	return err;
}

static int
open_all(struct manager *m, const char *directory, struct error *e)
{
	struct slots *s = m->slots;
	bool fresh;

	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return error_errno(e, errno, "making the directory %s", directory);
	int err = vault_open(directory, &s->vault, &fresh, e);
	if (err == 0)
		err = open_table(m, directory, e);
	if (err == 0)
		err = start_threads(m, e);
	if (err == 0)
		err = nft_watch_open(&s->watch_fd, e);
	s->unpin_timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (err == 0 && s->unpin_timer < 0)
		err = error_errno(e, errno, "making a timer");
	if (err == 0 &&
	    (slots_watch(m, workers_fd(s->quick), s->quick) < 0 || slots_watch(m, workers_fd(s->slow), s->slow) < 0 ||
	     slots_watch(m, s->watch_fd, &s->watch_fd) < 0 || slots_watch(m, s->unpin_timer, &s->unpin_timer) < 0))
		err = error_errno(e, ENOMEM, "watching threads");
	return err;
}

static int
compare_holder(const void *key, const void *item)
{
	int64_t pid = *(const int64_t *)key, other = ((const struct holder *)item)->pid;
	return (pid > other) - (pid < other);
}

static int
compare_user(const void *key, const void *item)
{
	int64_t uid = *(const int64_t *)key, other = ((const struct user *)item)->uid;
	return (uid > other) - (uid < other);
}

/* Where the vault cannot be made the rest of nsd works all the same. */
int
slots_new(struct manager *m, const char *directory, struct error *e)
{
	struct slots *s = calloc(1, sizeof(*s));
	struct error why = { 0 };

	if (!s)
		return error_errno(e, ENOMEM, "starting the manager");
	s->m = m;
	s->watch_fd = s->unpin_timer = -1;
	s->next_deadline = INT64_MAX;
	s->holders.compare = compare_holder;
	s->users.compare = compare_user;
	TAILQ_INIT(&s->unpin);
	TAILQ_INIT(&s->rules);
	m->slots = s;
	s->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->poll_fd < 0)
		return error_errno(e, errno, "starting the manager");
	if (open_all(m, directory, &why) < 0) {
		snprintf(s->unavailable, sizeof(s->unavailable), "%s", why.text);
		log_warning("there can be no slots here: %s", why.text);
	}
	return 0;
}

void
slots_stop(struct manager *m)
{
	struct slots *s = m->slots;

	if (!s)
		return;
	workers_free(s->quick);
	workers_free(s->slow);
	s->quick = s->slow = NULL;
}

void
slots_free(struct manager *m)
{
	struct slots *s = m->slots;

	if (!s)
		return;
	for (uint32_t i = 0; i < s->n_records; i++)
		if (s->by_record[i]) {
			holder_unbind(m, s->by_record[i]);
			close_fd(&s->by_record[i]->watch);
			free(s->by_record[i]->message);
			free(s->by_record[i]);
		}
	free(s->by_record);
	for (size_t i = 0; i < s->users.n; i++)
		free(s->users.v[i]);
	index_done(&s->users);
	index_done(&s->holders);
	slot_table_close(s->table);
	vault_free(s->vault);
	close_fd(&s->watch_fd);
	close_fd(&s->unpin_timer);
	close_fd(&s->poll_fd);
	free(s);
	m->slots = NULL;
}

/* ---- the loop ---- */

struct reserving {
	struct operation op;
};

static void
reserve_run(struct job *job, void *thread UNUSED)
{
	struct reserving *j = (struct reserving *)job;
	j->op.result = store_reserve(j->op.m->store, &j->op.error);
}

static void
reserve_done(struct operation *op)
{
	op->m->slots->reserving = false;
	free(op);
}

/* Every lease takes a generation: more of them are reserved before they run out. */
static void
reserve_generations(struct manager *m)
{
	if (m->slots->reserving || !store_generation_low(m->store))
		return;
	struct reserving *j = calloc(1, sizeof(*j));
	if (!j)
		return;
	j->op.m = m;
	m->slots->reserving = true;
	operation_start(&j->op, reserve_run, reserve_done);
}

void
slots_settle(struct manager *m)
{
	struct slots *s = m->slots;

	if (!s->attention || !s->audited || m->stopping)
		return;
	s->attention = false;
	drain_slots_settle(m);
	rules_settle(m);
	for (size_t i = 0; i < m->networks.n; i++) {
		struct object *o = m->networks.v[i];
		if (o->net->going)
			network_settle(m, o);
		else
			pool_settle(m, o->net);
	}
}

/* A network that vanished is made again where that is wished; what others changed on an uplink, and would only be noticed by
 * lost packets, is put back. */
static void
look_after(struct manager *m, struct object *o)
{
	int64_t now = monotonic_ms();
	struct error e = { 0 };
	int err = 0;

	if (o->busy)
		return;
	if (o->remake) {
		err = network_remake(m, NULL, o, NULL, &e);
	} else if (o->network.state == STATE_READY && now >= o->retry_at &&
		   (o->suspect || now - o->net->looked > LOOK_MS)) {
		o->suspect = false;
		o->retry_at = now + GRACE_MS;
		o->net->looked = now;
		err = network_look(m, o, &e);
	}
	if (err < 0)
		log_warning("network \"%s\" cannot be looked after: %s", object_name(o), e.text);
}

void
slots_tick(struct manager *m)
{
	struct slots *s = m->slots;

	if (s->unavailable[0])
		return;
	workers_check(s->quick);
	reserve_generations(m);
	if (!s->audited)
		return;
	leases_tick(m);
	drain_slots_tick(m);
	for (size_t i = 0; i < m->networks.n; i++) {
		struct object *o = m->networks.v[i];
		pool_tick(m, o->net);
		look_after(m, o);
	}
	s->attention = true;
	slots_settle(m);
}
