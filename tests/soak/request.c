/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The requests of a soak client (client.h), each with its record. */
#include "config.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../bench/samples.h"
#include "client.h"

#define REQUEST_SIZE 512
#define METHOD(name) "{\"method\":\"io.nsd.Manager." name "\",\"parameters\":{"

static const char *const bond_names[N_BONDS] = { "connection", "process", "time", "nothing" };

static void append(char text[REQUEST_SIZE], const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
append(char text[REQUEST_SIZE], const char *fmt, ...)
{
	size_t used = strlen(text);
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text + used, REQUEST_SIZE - used, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= REQUEST_SIZE - used)
		die(0, "request too long");
}

static const char *
network_name(const struct client *c, uint32_t network)
{
	return c->options->networks[network];
}

static struct record *
add_record(struct client *c, enum record_kind kind, const struct lease *l, unsigned flags)
{
	struct record *r = log_add(c->log, kind);
	r->network = l->network;
	r->number = l->number;
	r->generation = l->generation;
	r->bond = (uint8_t)l->bond;
	r->ttl = l->ttl;
	r->key = l->key;
	r->holder = l->holder;
	r->flags = (uint8_t)flags;
	return r;
}

/* Waits for the answer and notes it; only replies with a slot fill the rest of the record. */
static enum record_outcome
receive(struct client *c, struct connection *on, struct record *r, bool slot)
{
	struct json_object *reply;
	uint64_t at;
	enum received got = connection_receive(on, &reply, &at);

	if (got == SILENT) {
		record_answered(r, OUTCOME_SILENCE, now_ns());
		die(0, "no answer in %d s", SILENCE_SECONDS);
	}
	if (got == BROKEN) {
		atomic_fetch_add(&c->progress->unanswered, 1);
		return OUTCOME_UNKNOWN;
	}
	enum record_outcome outcome = reply_outcome(reply);
	if (outcome == OUTCOME_OK && slot) {
		struct record told = { 0 };
		if (!reply_slot(reply, c->options->networks, c->options->n_networks, &told))
			outcome = OUTCOME_NONSENSE;
		if (r->kind == RECORD_RENEW || r->kind == RECORD_OPEN)
			outcome = told.network == r->network && told.number == r->number &&
						  told.generation == r->generation ?
					  outcome :
					  OUTCOME_NONSENSE;
		r->network = told.network;
		r->number = told.number;
		r->generation = told.generation;
		r->cookie = told.cookie;
		r->flags |= told.flags;
		memcpy(r->address4, told.address4, sizeof(r->address4));
		memcpy(r->address6, told.address6, sizeof(r->address6));
	}
	if (outcome == OUTCOME_NONSENSE)
		fprintf(stderr, "soak-clients: no proper answer: %s\n", json_object_to_json_string(reply));
	json_object_put(reply);
	record_answered(r, outcome, at);
	if (r->kind == RECORD_ACQUIRE || r->kind == RECORD_RELEASE)
		atomic_fetch_add(&c->progress->operations, 1);
	return outcome;
}

static enum record_outcome
ask(struct client *c, struct connection *on, struct record *r, const char *text, bool slot)
{
	if (!connection_send(on, text, -1)) {
		atomic_fetch_add(&c->progress->unanswered, 1);
		return OUTCOME_UNKNOWN;
	}
	return receive(c, on, r, slot);
}

static void
give_fd(struct connection *on, int *fd)
{
	int got = connection_take_fd(on);
	if (fd)
		*fd = got;
	else if (got >= 0)
		close(got);
}

struct record *
send_acquire(struct client *c, struct connection *on, const struct acquire *a)
{
	char text[REQUEST_SIZE] = METHOD("AcquireSlot");
	struct lease l = { .network = a->network, .bond = a->bond, .ttl = a->ttl, .key = a->key, .holder = a->holder };
	uint64_t request = client_new_id(c);

	append(text, "\"network\":\"%s\",\"bond\":\"%s\",\"labels\":{\"request\":\"%" PRIu64 "\"}",
	       network_name(c, a->network), bond_names[a->bond], request);
	if (a->key)
		append(text, ",\"key\":\"k%" PRIu64 "\"", a->key);
	if (a->bond == BOND_TIME)
		append(text, ",\"ttl\":%" PRId64, a->ttl / 1000000);
	if (a->pidfd >= 0)
		append(text, ",\"processFileDescriptor\":0");
	if (a->open)
		append(text, ",\"open\":true");
	if (a->only_warm)
		append(text, ",\"empty\":\"fail\"");
	append(text, "}}");

	struct record *r = add_record(c, RECORD_ACQUIRE, &l, a->child ? FLAG_CHILD : 0);
	r->request = request;
	r->base = a->base ? a->base : r->asked;
	if (connection_send(on, text, a->pidfd))
		return r;
	atomic_fetch_add(&c->progress->unanswered, 1);
	return NULL;
}

enum record_outcome
receive_acquire(struct client *c, struct connection *on, struct record *r, struct lease *ret, int *fd)
{
	enum record_outcome outcome = receive(c, on, r, true);
	if (outcome != OUTCOME_OK)
		return outcome;
	give_fd(on, fd);
	*ret = (struct lease){ .network = r->network,
			       .number = r->number,
			       .generation = r->generation,
			       .cookie = r->cookie,
			       .key = r->key,
			       .holder = r->holder,
			       .base = r->base,
			       .ttl = r->ttl,
			       .bond = r->bond };
	memcpy(ret->address4, r->address4, sizeof(ret->address4));
	memcpy(ret->address6, r->address6, sizeof(ret->address6));
	return OUTCOME_OK;
}

enum record_outcome
ask_acquire(struct client *c, struct connection *on, const struct acquire *a, struct lease *ret, int *fd)
{
	struct record *r = send_acquire(c, on, a);
	return r ? receive_acquire(c, on, r, ret, fd) : OUTCOME_UNKNOWN;
}

enum record_outcome
ask_release(struct client *c, struct connection *on, const struct lease *l, unsigned flags, bool wait)
{
	char text[REQUEST_SIZE] = METHOD("ReleaseSlot");
	append(text, "\"name\":\"%s.%u\"", network_name(c, l->network), l->number);
	if (!(flags & FLAG_BLIND))
		append(text, ",\"generation\":%" PRId64, l->generation);
	append(text, wait ? ",\"wait\":true}}" : "}}");
	return ask(c, on, add_record(c, RECORD_RELEASE, l, flags), text, false);
}

enum record_outcome
ask_renew(struct client *c, struct connection *on, struct lease *l, unsigned flags)
{
	char text[REQUEST_SIZE] = METHOD("RenewSlot");
	append(text, "\"name\":\"%s.%u\",\"generation\":%" PRId64, network_name(c, l->network), l->number,
	       l->generation);
	if (l->bond == BOND_TIME)
		append(text, ",\"ttl\":%" PRId64, l->ttl / 1000000);
	append(text, "}}");

	struct record *r = add_record(c, RECORD_RENEW, l, flags);
	r->base = r->asked;
	if (l->bond == BOND_CONNECTION)
		r->holder = on->id;
	enum record_outcome outcome = ask(c, on, r, text, true);
	if (outcome == OUTCOME_OK && r->generation == l->generation) {
		l->base = r->asked;
		l->holder = r->holder;
		l->adrift = false;
	}
	return outcome;
}

enum record_outcome
ask_open(struct client *c, struct connection *on, const struct lease *l, unsigned flags, int *fd)
{
	char text[REQUEST_SIZE] = METHOD("OpenSlot");
	append(text, "\"name\":\"%s.%u\",\"generation\":%" PRId64 "}}", network_name(c, l->network), l->number,
	       l->generation);
	enum record_outcome outcome = ask(c, on, add_record(c, RECORD_OPEN, l, flags), text, true);
	if (outcome == OUTCOME_OK)
		give_fd(on, fd);
	return outcome;
}

enum record_outcome
ask_get(struct client *c, struct connection *on, const struct lease *l)
{
	char text[REQUEST_SIZE] = METHOD("GetSlot");
	append(text, "\"name\":\"%s.%u\"}}", network_name(c, l->network), l->number);
	return ask(c, on, add_record(c, RECORD_GET, l, 0), text, true);
}
