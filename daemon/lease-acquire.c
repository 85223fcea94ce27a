/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AcquireSlot: from the pool at once, from the kernel when that is empty, with extras where they are asked for.
 *
 * Everything that may refuse comes before anything is taken. From then on a request is an `acquire`: it gets a slot (made
 * for it, if need be), the lease is written into the record, extras are added while the record says PREPARING, what ends the
 * lease is tied to it, the record says LEASED, and only then the answer leaves.
 */
#include "config.h"

#include "methods.h"
#include "slots.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum empty { EMPTY_CREATE, EMPTY_FAIL };

struct acquire_in {
	char *network, *key;
	int bond;
	int64_t process_fd, ttl;
	int empty;
	struct pairs labels;
	char *namespace;
	struct tap *tap;
	struct rate *rate;
	struct list publish;
	int open;
};

struct acquire_out {
	struct slot *slot;
	int created;
	int64_t fd;
};

/* clang-format off */
#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

static const struct type empty_type = {
	.name = "Empty",
	.doc = "What is to be done when a network's pool is empty: create a slot, or fail",
	.values = (const char *const[]){ "create", "fail", NULL },
};

const struct type acquire_in_type = {
	.size = sizeof(struct acquire_in),
	.fields = (const struct field[]){
		F(acquire_in, network, "network", FIELD_STRING, .check = network_name_check, .doc = "The network it is to be on"),
		F(acquire_in, key, "key", FIELD_STRING, .flags = FIELD_NULLABLE, .check = lease_key_check,
		  .doc = "The caller's own name for the lease: the same caller with the same key gets the same slot, whether or "
			 "not the first answer reached it, also after a restart of nsd, until it is released"),
		F(acquire_in, bond, "bond", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &lease_bond_type,
		  .doc = "What ends the lease. Absent: time if there is a ttl, process if there is a file descriptor of one, "
			 "else connection"),
		F(acquire_in, process_fd, "processFileDescriptor", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = 7,
		  .doc = "bond process: index of a pidfd sent along; absent: the caller's own process"),
		F(acquire_in, ttl, "ttl", FIELD_INT, .flags = FIELD_NULLABLE, .min = 100, .max = INT64_C(31536000000),
		  .doc = "bond time: milliseconds until the lease ends, unless RenewSlot is called; time asleep counts"),
		F(acquire_in, empty, "empty", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &empty_type, .doc = "Absent: create"),
		F(acquire_in, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 32, .check = label_key_check,
		  .check_value = label_value_check, .doc = "The caller's own notes, at most 191 bytes together"),
		F(acquire_in, namespace, "namespace", FIELD_STRING, .flags = FIELD_NULLABLE, .check = name_check,
		  .doc = "A name for it in /run/netns, too; root only"),
		F(acquire_in, tap, "tap", FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &tap_type,
		  .doc = "A tap interface to be made in it"),
		F(acquire_in, rate, "rate", FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &rate_type,
		  .doc = "Limits of its traffic"),
		F(acquire_in, publish, "publish", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &published_type,
		  .max = SLOT_PUBLISHED_MAX, .doc = "Ports of the host that are to lead into it"),
		F(acquire_in, open, "open", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "true: with a file descriptor of its network namespace"),
		{ 0 },
	},
};

const struct type acquire_out_type = {
	.size = sizeof(struct acquire_out),
	.fields = (const struct field[]){
		F(acquire_out, slot, "slot", FIELD_STRUCT, .of = &slot_type, .doc = "The slot"),
		F(acquire_out, created, "created", FIELD_BOOL, .doc = "false: the caller had it already, by its key"),
		F(acquire_out, fd, "fileDescriptor", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Index of the namespace's file descriptor in this reply"),
		{ 0 },
	},
};
/* clang-format on */

struct acquire {
	struct manager *m;
	struct request *request;
	const struct acquire_in *in; /* the request's */
	struct slot_object *slot;
	struct lease_terms terms;
	bool cold;
};

static struct slot_extras
extras_of(const struct acquire_in *in)
{
	return (struct slot_extras){
		.tap = in->tap, .rate = in->rate, .publish = &in->publish, .namespace = in->namespace
	};
}

static void
reply(struct manager *m, struct request *r, const struct acquire_in *in, struct slot_object *s, bool created)
{
	struct slot_view v;
	struct error e = { 0 };
	struct acquire_out out = { .slot = &v.slot, .created = created, .fd = FIELD_ABSENT_INT };
	int fd = -1;

	slot_show(m, s, &v);
	if (in->open != 1) {
		request_reply(r, &acquire_out_type, &out);
	} else if (vault_open_pin(m->slots->vault, v.name, &fd, &e) < 0) {
		request_error(r, &e); /* the lease stands; its key finds it */
	} else {
		out.fd = 0;
		request_reply_fd(r, &acquire_out_type, &out, fd);
	}
}

/* ---- the terms ---- */

static int
choose_bond(const struct acquire_in *in, struct lease_terms *t, struct error *e)
{
	bool fd = in->process_fd != FIELD_ABSENT_INT, ttl = in->ttl != FIELD_ABSENT_INT;

	t->bond = in->bond != FIELD_ABSENT_ENUM ? in->bond : ttl ? BOND_TIME : fd ? BOND_PROCESS : BOND_CONNECTION;
	t->ttl = in->ttl;
	if (ttl && t->bond != BOND_TIME)
		return error_set(e, ERROR_INVALID_VALUE, "ttl", "a time to live goes with bond time only");
	if (!ttl && t->bond == BOND_TIME)
		return error_set(e, ERROR_INVALID_VALUE, "ttl", "bond time needs a time to live");
	if (fd && t->bond != BOND_PROCESS)
		return error_set(e, ERROR_INVALID_VALUE, "processFileDescriptor",
				 "a process goes with bond process only");
	return 0;
}

static int
choose_process(struct request *r, const struct acquire_in *in, struct lease_terms *t, struct error *e)
{
	int fd = -1;

	if (in->process_fd == FIELD_ABSENT_INT) {
		t->pidfd = request_pidfd(r);
		if (t->pidfd < 0)
			return error_set(e, ERROR_NO_SUCH_PROCESS, NULL, "your process cannot be found: %s",
					 strerror(-t->pidfd));
		return 0;
	}
	fd = request_fd(r, in->process_fd);
	t->pid = fd >= 0 ? netns_pidfd_pid(fd) : 0;
	if (t->pid <= 0)
		return error_set(e, ERROR_INVALID_VALUE, "processFileDescriptor",
				 "file descriptor %lld of the call is not that of a running process",
				 (long long)in->process_fd);
	t->pidfd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return t->pidfd < 0 ? error_errno(e, errno, "watching process %lld", (long long)t->pid) : 0;
}

/* ---- giving ---- */

static void
acquire_free(struct acquire *a)
{
	if (!a)
		return;
	close_fd(&a->terms.pidfd);
	free(a);
}

/* The slot is for this request, whatever becomes of it: its key and its user's share are taken. */
static void
reserve(struct manager *m, struct slot_object *s, const struct lease_terms *t)
{
	lease_fill(m, s, t, slot_record(m, s)->generation);
	key_remember(m, s);
	user_charge(m, s);
}

static void
unreserve(struct manager *m, struct slot_object *s)
{
	key_forget(s);
	user_discharge(m, s);
}

/* Nobody heard of the slot: it is as good as new. */
static void
give_back(struct manager *m, struct slot_object *s)
{
	unreserve(m, s);
	slot_ready(m, s);
	m->slots->attention = true;
}

static void
count_acquired(struct network_state *n, bool cold)
{
	n->pool.acquired++;
	*(cold ? &n->pool.cold : &n->pool.warm) += 1;
	meter_count(&n->acquires);
}

/* The last step: whatever fails here, the slot was not handed out. */
static int
grant(struct manager *m, struct slot_object *s, struct lease_terms *t, struct request *r, bool cold, struct error *e)
{
	int err = lease_bind(m, s, t, r, e);

	if (err < 0)
		return err;
	slot_set_state(m, s, RECORD_LEASED);
	count_acquired(slot_network(s), cold);
	announce_slot(m, CHANGE_CHANGED, s);
	m->slots->attention = true;
	pool_taken_from(m, slot_network(s));
	return 0;
}

/* Writes the lease into the record of a reserved slot; its time begins now. */
static int
begin(struct manager *m, struct slot_object *s, const struct lease_terms *t, struct error *e)
{
	int64_t generation;
	int err = store_generation(m->store, &generation, e);

	if (err == 0)
		lease_fill(m, s, t, generation);
	return err;
}

static void
fail(struct manager *m, struct acquire *a, const struct error *e)
{
	request_error(a->request, e);
	acquire_free(a);
	m->retry_parked = true;
}

/* With a ready slot that is reserved. */
static void
go_on(struct manager *m, struct acquire *a)
{
	struct slot_extras x = extras_of(a->in);
	struct error e = { 0 };
	int err = begin(m, a->slot, &a->terms, &e);

	if (err == 0 && extras_wanted(&x)) {
		slot_set_state(m, a->slot, RECORD_PREPARING);
		err = extras_start(m, a->slot, &x, a, &e);
		if (err == 0)
			return;
	} else if (err == 0) {
		err = grant(m, a->slot, &a->terms, a->request, a->cold, &e);
	}
	if (err < 0) {
		give_back(m, a->slot);
		fail(m, a, &e);
		return;
	}
	reply(m, a->request, a->in, a->slot, true);
	acquire_free(a);
}

/* Nobody will ever learn that the slot was his. */
static bool
is_unheard(const struct acquire *a)
{
	return request_gone(a->request) && (a->terms.bond == BOND_CONNECTION || !a->terms.key);
}

void
acquire_prepared(struct manager *m, struct acquire *a, int result, const struct error *error)
{
	struct error e = *error;

	if (result == 0 && is_unheard(a))
		result = error_set(&e, ERROR_INTERNAL, NULL, "nobody waits for the slot any more");
	if (result == 0)
		result = grant(m, a->slot, &a->terms, a->request, a->cold, &e);
	if (result < 0) {
		lease_end(m, a->slot, e.text);
		slot_network(a->slot)->pool.refused++;
		fail(m, a, &e);
		return;
	}
	reply(m, a->request, a->in, a->slot, true);
	acquire_free(a);
	m->retry_parked = true;
}

void
acquire_made(struct manager *m, struct acquire *a, int result, const struct error *e)
{
	struct slot_object *s = a->slot;
	struct error unheard = { 0 };

	if (result < 0 || slot_state(m, s) != RECORD_READY) {
		struct error gone = { 0 };
		error_set(&gone, ERROR_BUSY, NULL, "the network is being removed");
		unreserve(m, s);
		fail(m, a, result < 0 ? e : &gone);
	} else if (is_unheard(a)) {
		unreserve(m, s);
		error_set(&unheard, ERROR_INTERNAL, NULL, "nobody waits for the slot any more");
		fail(m, a, &unheard);
	} else {
		go_on(m, a);
	}
}

/* ---- taking ---- */

static int
make_cold(struct manager *m, struct network_state *n, struct acquire *a, struct error *e)
{
	int err = slot_take(m, n, &a->slot, e);

	if (err < 0)
		return err;
	reserve(m, a->slot, &a->terms);
	err = slots_make(m, &a->slot, 1, a, e);
	if (err < 0) {
		unreserve(m, a->slot);
		slot_forget(m, a->slot);
	}
	return err;
}

static int
is_full(struct manager *m, struct network_state *n, struct request *r, void *in, struct error *e)
{
	unsigned soon = n->n[RECORD_MAKING] + n->n[RECORD_DRAINING];

	error_set(e, ERROR_LIMIT_EXCEEDED, "network",
		  "network \"%s\" is full: %u slots are leased, %u draining, of %u; try again when one is released",
		  n->object->network.name, n->n[RECORD_LEASED], n->n[RECORD_DRAINING], network_maximum(n));
	if (!soon)
		return -ENOSPC;
	struct error reason = *e;
	park(m, r, acquire_slot, in, &reason);
	return 1;
}

/* Nothing is ready. Returns 1 when the request was parked. */
static int
empty_pool(struct manager *m, struct network_state *n, struct request *r, void *in, struct error *e)
{
	const struct acquire_in *asked = in;
	struct error reason = { 0 };

	error_set(&reason, ERROR_BUSY, "network", "the slots of network \"%s\" are being looked at; try again",
		  n->object->network.name);
	if (!TAILQ_EMPTY(&n->unverified)) {
		park(m, r, acquire_slot, in, &reason);
		pool_settle(m, n);
		return 1;
	}
	if (asked->empty == EMPTY_FAIL)
		return error_set(e, ERROR_LIMIT_EXCEEDED, "network",
				 "the pool of network \"%s\" is empty; try again, or let a slot be created",
				 n->object->network.name);
	if (network_used(n) >= network_maximum(n))
		return is_full(m, n, r, in, e);
	int err = network_add_router(m, n, e);
	if (err > 0) {
		park(m, r, acquire_slot, in, &reason);
		return 1;
	}
	return err == -ENOSPC ? is_full(m, n, r, in, e) : err;
}

static struct acquire *
acquire_new(struct manager *m, struct request *r, const struct acquire_in *in, struct lease_terms *t)
{
	struct acquire *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	*a = (struct acquire){ .m = m, .request = r, .in = in, .terms = *t };
	t->pidfd = -1;
	return a;
}

/* From the pool, without more ado: the way that has to be fast. */
static int
take_warm(struct manager *m, struct slot_object *s, struct request *r, const struct acquire_in *in,
	  struct lease_terms *t, struct error *e)
{
	reserve(m, s, t);
	int err = begin(m, s, t, e);
	if (err == 0)
		err = grant(m, s, t, r, false, e);
	if (err < 0) {
		give_back(m, s);
		return err;
	}
	reply(m, r, in, s, true);
	return 0;
}

/* The next slot to be handed out. What is not as it was made goes to be looked at. */
static struct slot_object *
next_pristine(struct manager *m, struct network_state *n)
{
	struct slot_object *s;

	while ((s = TAILQ_LAST(&n->ready, slot_list)) && !slot_is_pristine(m, s))
		slot_suspect(m, s);
	return s ? s : TAILQ_LAST(&n->stock, slot_list);
}

static int
take(struct manager *m, struct network_state *n, struct request *r, void *in, struct lease_terms *t, struct error *e)
{
	struct slot_object *s = next_pristine(m, n);
	struct slot_extras x = extras_of(in);

	if (s && !extras_wanted(&x))
		return take_warm(m, s, r, in, t, e);
	if (!s) {
		int err = empty_pool(m, n, r, in, e);
		if (err != 0)
			return err < 0 ? err : 0;
	}
	struct acquire *a = acquire_new(m, r, in, t);
	if (!a)
		return error_errno(e, ENOMEM, "acquiring a slot");
	a->slot = s;
	a->cold = !s;
	if (s) {
		reserve(m, s, &a->terms);
		go_on(m, a);
		return 0;
	}
	int err = make_cold(m, n, a, e);
	if (err < 0)
		acquire_free(a);
	return err;
}

/* ---- the method ---- */

static int
find_usable(struct manager *m, struct request *r, void *in, const char *name, struct network_state **ret,
	    struct error *e)
{
	struct object *o = find_network(m, name);
	struct error reason = { 0 };

	if (!o)
		return error_set(e, ERROR_NOT_FOUND, "network",
				 "no network \"%s\"; \"nsc network list\" shows what there is", name);
	if (o->network.state == STATE_CREATING) {
		error_set(&reason, ERROR_BUSY, "network", "network \"%s\" is still being made; try again", name);
		return park(m, r, acquire_slot, in, &reason);
	}
	if (o->network.state != STATE_READY)
		return not_ready(o, e);
	*ret = o->net;
	return 0;
}

/* What the key stands for already. Returns 1 when the request was answered or parked. */
static int
find_by_key(struct manager *m, struct network_state *n, struct request *r, void *in, struct error *e)
{
	const struct acquire_in *asked = in;
	struct slot_object *s =
		asked->key ? key_find(m, request_peer(r)->uid, n->object->network.generation, asked->key) : NULL;
	struct error reason = { 0 };

	if (!s)
		return 0;
	if (slot_state(m, s) != RECORD_LEASED) {
		error_set(&reason, ERROR_BUSY, "key", "another request with key \"%s\" is under way; try again",
			  asked->key);
		return park(m, r, acquire_slot, in, &reason);
	}
	if (holder_has_ended(m, s))
		return 0;
	int err = lease_rebind(m, s, r, e);
	if (err < 0)
		return err;
	if (slot_record(m, s)->bond == BOND_TIME && asked->ttl != FIELD_ABSENT_INT)
		lease_renew(m, s, asked->ttl);
	reply(m, r, asked, s, false);
	return 1;
}

static int
check(struct manager *m, struct network_state *n, struct request *r, const struct acquire_in *in, struct lease_terms *t,
      struct error *e)
{
	struct slot_extras x = extras_of(in);
	const struct peer *p = request_peer(r);

	*t = (struct lease_terms){ .owner = p->uid, .pid = p->pid, .pidfd = -1, .key = in->key, .labels = &in->labels };
	int err = choose_bond(in, t, e);
	if (err == 0)
		err = labels_check(&in->labels, e);
	if (err == 0 && extras_wanted(&x))
		err = extras_check(m, r, n, &x, e);
	if (err == 0)
		err = user_may_acquire(m, p, n, e);
	if (err == 0 && t->bond == BOND_PROCESS)
		err = choose_process(r, in, t, e);
	return err;
}

int
acquire_slot(void *context, struct request *r, void *in, struct error *e)
{
	struct manager *m = context;
	const struct acquire_in *asked = in;
	struct network_state *n = NULL;
	struct lease_terms terms = { .pidfd = -1 };
	int err = may_change(m, r, acquire_slot, in, e);

	/* Its caller may have asked again on another connection, and been answered there, before this was read. */
	if (err == 0 && request_gone(r))
		err = error_set(e, ERROR_INTERNAL, NULL, "nobody waits for the answer any more");
	if (err == 0)
		err = slots_available(m, e);
	if (err == 0)
		err = find_usable(m, r, in, asked->network, &n, e);
	if (err == 0)
		err = find_by_key(m, n, r, in, e);
	if (err != 0)
		return err < 0 ? err : 0;
	err = check(m, n, r, asked, &terms, e);
	if (err == 0)
		err = take(m, n, r, in, &terms, e);
	if (err < 0)
		n->pool.refused++;
	close_fd(&terms.pidfd);
	return err;
}
