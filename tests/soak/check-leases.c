/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Works out the leases and when each was certainly held, and holds each against itself and all others: generations,
 * namespaces, addresses (check.h). */
#include "config.h"

#include <arpa/inet.h>
#include <string.h>

#include "../bench/samples.h"
#include "check.h"

#define COMPARE(a, b) ((a) > (b)) - ((a) < (b))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static bool
is_ok(const struct record *r, enum record_kind kind)
{
	return r->kind == kind && r->answered && r->outcome == OUTCOME_OK;
}

/* Does it name a lease by slot and generation? */
static bool
is_about_a_lease(const struct record *r)
{
	return is_ok(r, RECORD_ACQUIRE) || r->kind == RECORD_RELEASE || r->kind == RECORD_RENEW ||
	       r->kind == RECORD_OPEN || r->kind == RECORD_LOOK || r->kind == RECORD_PIN;
}

static int
compare_names(uint32_t network, uint32_t number, int64_t generation, const struct record *r)
{
	int order = COMPARE(network, r->network);
	order = order ? order : COMPARE(number, r->number);
	return order ? order : COMPARE(generation, r->generation);
}

static int
by_lease(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int order = compare_names(x->network, x->number, x->generation, y);
	return order ? order : COMPARE(x->asked, y->asked);
}

static int
by_begin(const void *a, const void *b)
{
	return COMPARE(((const struct span *)a)->begin, ((const struct span *)b)->begin);
}

static uint64_t
holder_end(const struct check *c, uint64_t holder)
{
	size_t low = 0, high = c->n_holder_ends;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (c->holder_ends[middle]->holder < holder)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->n_holder_ends && c->holder_ends[low]->holder == holder ? c->holder_ends[low]->asked : NEVER;
}

static uint64_t
next_start(const struct check *c, uint64_t after)
{
	size_t low = 0, high = c->n_starts;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (c->starts[middle] <= after)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->n_starts ? c->starts[low] : NEVER;
}

/* A later request may have bound the lease to something else, or set an earlier deadline, answered or not. */
static uint64_t
cap(const struct check *c, uint64_t end, const struct record *later)
{
	if (later->bond == BOND_TIME)
		return MIN(end, later->asked + (uint64_t)later->ttl);
	return later->holder ? MIN(end, holder_end(c, later->holder)) : end;
}

static uint64_t
cap_by_later(const struct check *c, const struct lease *l, size_t i, uint64_t end)
{
	uint64_t key = l->first->key;
	size_t low = 0, high = key ? c->n_keyed : 0;

	for (size_t k = i + 1; k < l->n_records; k++)
		if (l->records[k]->kind == RECORD_RENEW || l->records[k]->kind == RECORD_ACQUIRE)
			end = cap(c, end, l->records[k]);
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct record *r = c->keyed[middle];
		if (r->key < key || (r->key == key && r->asked <= l->records[i]->asked))
			low = middle + 1;
		else
			high = middle;
	}
	for (; key && low < c->n_keyed && c->keyed[low]->key == key; low++)
		end = cap(c, end, c->keyed[low]);
	return end;
}

/* Until when the lease is certainly held by what a record says that it is bound to; 0: it says nothing of that. */
static uint64_t
bound_until(const struct check *c, const struct lease *l, const struct record *r)
{
	uint64_t restarted;

	if (!is_ok(r, RECORD_ACQUIRE) && !is_ok(r, RECORD_RENEW))
		return 0;
	switch (r->bond) {
	case BOND_CONNECTION:
		/* The nsd that answered was there when it was asked; its connections end with it. */
		restarted = next_start(c, r->asked);
		return MIN(holder_end(c, r->holder), restarted == NEVER ? NEVER : restarted + c->grace);
	case BOND_PROCESS:
		return holder_end(c, r->holder);
	case BOND_TIME:
		/* Asking again for what one has does not promise a later end. */
		return r->kind == RECORD_ACQUIRE && r != l->first ? 0 : r->base + (uint64_t)r->ttl;
	default:
		return NEVER;
	}
}

/* Sorts and joins; returns how many are left. */
static size_t
join(struct span *s, size_t n)
{
	size_t joined = 0;
	qsort(s, n, sizeof(*s), by_begin);
	for (size_t i = 0; i < n; i++) {
		if (joined > 0 && s[i].begin <= s[joined - 1].end)
			s[joined - 1].end = MAX(s[joined - 1].end, s[i].end);
		else
			s[joined++] = s[i];
	}
	return joined;
}

static void
make_spans(const struct check *c, struct lease *l)
{
	l->natural = allocate(l->n_records, sizeof(*l->natural));
	l->held = allocate(l->n_records, sizeof(*l->held));
	for (size_t i = 0; i < l->n_records; i++) {
		uint64_t end = bound_until(c, l, l->records[i]), begin = l->records[i]->answered;
		if (end > begin)
			end = cap_by_later(c, l, i, end);
		if (end <= begin)
			continue;
		l->natural[l->n_natural++] = (struct span){ begin, end };
		if (begin < l->release_asked)
			l->held[l->n_held++] = (struct span){ begin, MIN(end, l->release_asked) };
	}
	l->n_natural = join(l->natural, l->n_natural);
	l->n_held = join(l->held, l->n_held);
}

/* From records i to j of the sorted list; false when no acquire was answered with it. */
static bool
make_lease(const struct check *c, struct record **records, size_t n, struct lease *ret)
{
	struct lease l = { .network = records[0]->network,
			   .number = records[0]->number,
			   .generation = records[0]->generation,
			   .records = records,
			   .n_records = n,
			   .release_asked = NEVER,
			   .released = NEVER };
	for (size_t i = 0; i < n; i++) {
		if (!l.first && is_ok(records[i], RECORD_ACQUIRE))
			l.first = records[i];
		if (records[i]->kind == RECORD_RELEASE)
			l.release_asked = MIN(l.release_asked, records[i]->asked);
		if (is_ok(records[i], RECORD_RELEASE))
			l.released = MIN(l.released, records[i]->answered);
	}
	if (!l.first)
		return false;
	make_spans(c, &l);
	*ret = l;
	return true;
}

static int
by_slot_and_begin(const void *a, const void *b)
{
	const struct stay *x = a, *y = b;
	int order = COMPARE(x->slot, y->slot);
	return order ? order : COMPARE(x->span.begin, y->span.begin);
}

void
make_leases(struct check *c)
{
	struct record **about = allocate(c->n_records, sizeof(struct record *));
	size_t n = 0, n_spans = 0;

	for (size_t i = 0; i < c->n_records; i++)
		if (is_about_a_lease(c->records[i]))
			about[n++] = c->records[i];
	qsort(about, n, sizeof(*about), by_lease);
	c->leases = allocate(n, sizeof(*c->leases));
	for (size_t i = 0, j; i < n; i = j) {
		for (j = i + 1;
		     j < n && compare_names(about[i]->network, about[i]->number, about[i]->generation, about[j]) == 0;)
			j++;
		if (make_lease(c, about + i, j - i, &c->leases[c->n_leases]))
			n_spans += c->leases[c->n_leases++].n_held;
	}

	c->stays = allocate(n_spans, sizeof(*c->stays));
	for (size_t i = 0; i < c->n_leases; i++)
		for (size_t k = 0; k < c->leases[i].n_held; k++)
			c->stays[c->n_stays++] =
				(struct stay){ .slot = slot_of(c->leases[i].network, c->leases[i].number),
					       .span = c->leases[i].held[k],
					       .lease = i };
	qsort(c->stays, c->n_stays, sizeof(*c->stays), by_slot_and_begin);
}

struct lease *
find_lease(const struct check *c, uint32_t network, uint32_t number, int64_t generation)
{
	struct record wanted = { .network = network, .number = number, .generation = generation };
	size_t low = 0, high = c->n_leases;
	while (low < high) {
		size_t middle = (low + high) / 2;
		struct lease *l = &c->leases[middle];
		int order = compare_names(l->network, l->number, l->generation, &wanted);
		if (order == 0)
			return l;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void
check_address(struct check *c, const struct lease *l, const struct record *r, int family, const void *told,
	      const void *seen)
{
	char a[INET6_ADDRSTRLEN], b[INET6_ADDRSTRLEN];

	if (memcmp(told, seen, family == AF_INET ? sizeof(r->address4) : sizeof(r->address6)) == 0)
		return;
	violate(c, VIOLATION_KERNEL, "%s: told address %s, %s %s", lease_name(l), inet_ntop(family, told, a, sizeof(a)),
		r->kind == RECORD_LOOK ? "in the kernel is" : "later", inet_ntop(family, seen, b, sizeof(b)));
}

/* What was told of a lease, and what the kernel shows, is always the same. */
static void
check_told(struct check *c, const struct lease *l, const struct record *r)
{
	const struct record *first = l->first;

	if (r->cookie != first->cookie)
		violate(c, VIOLATION_KERNEL, "%s: told cookie %llu, %s %llu", lease_name(l),
			(unsigned long long)first->cookie, r->kind == RECORD_LOOK ? "in the kernel is" : "later",
			(unsigned long long)r->cookie);
	/* The addresses go when the lease does; the namespace stays for who has it open. */
	if (r->kind == RECORD_LOOK && !spans_cover(l->held, l->n_held, r->asked, r->answered))
		return;
	check_address(c, l, r, AF_INET, first->address4, r->address4);
	check_address(c, l, r, AF_INET6, first->address6, r->address6);
}

static void
check_lease(struct check *c, struct lease *l)
{
	const struct record *created = NULL;

	for (size_t i = 0; i < l->n_records; i++) {
		const struct record *r = l->records[i];
		if (is_ok(r, RECORD_ACQUIRE) || is_ok(r, RECORD_RENEW) || is_ok(r, RECORD_OPEN) ||
		    is_ok(r, RECORD_LOOK))
			check_told(c, l, r);
		c->looks += is_ok(r, RECORD_LOOK);
		if (is_ok(r, RECORD_ACQUIRE) && r->flags & FLAG_CREATED) {
			if (created)
				violate(c, VIOLATION_GENERATION, "%s was handed out as new twice", lease_name(l));
			created = r;
		}
		if (is_ok(r, RECORD_ACQUIRE) && r->asked > l->released)
			violate(c, VIOLATION_GENERATION, "%s was handed out again after its release", lease_name(l));
	}
}

/* One slot's leases, by generation: no later one was there before an earlier one was even asked for. */
static void
check_growth(struct check *c, struct lease *l, size_t n)
{
	uint64_t answered = NEVER;
	for (size_t i = n; i-- > 0;) {
		if (answered < l[i].first->base)
			violate(c, VIOLATION_GENERATION, "%s came after a higher one", lease_name(&l[i]));
		answered = MIN(answered, l[i].first->answered);
	}
}

static int
by_generation(const void *a, const void *b)
{
	return COMPARE((*(struct lease *const *)a)->generation, (*(struct lease *const *)b)->generation);
}

static int
by_cookie(const void *a, const void *b)
{
	return COMPARE((*(struct lease *const *)a)->first->cookie, (*(struct lease *const *)b)->first->cookie);
}

void
check_leases(struct check *c)
{
	struct lease **sorted = allocate(c->n_leases, sizeof(struct lease *));
	for (size_t i = 0, j; i < c->n_leases; i = j) {
		for (j = i; j < c->n_leases && c->leases[j].network == c->leases[i].network &&
			    c->leases[j].number == c->leases[i].number;
		     j++)
			check_lease(c, &c->leases[j]);
		check_growth(c, &c->leases[i], j - i);
	}
	for (size_t i = 0; i < c->n_leases; i++)
		sorted[i] = &c->leases[i];
	qsort(sorted, c->n_leases, sizeof(struct lease *), by_generation);
	for (size_t i = 1; i < c->n_leases; i++)
		if (sorted[i]->generation == sorted[i - 1]->generation)
			violate(c, VIOLATION_GENERATION, "%s and %s", lease_name(sorted[i - 1]), lease_name(sorted[i]));
	qsort(sorted, c->n_leases, sizeof(struct lease *), by_cookie);
	for (size_t i = 1; i < c->n_leases; i++)
		if (sorted[i]->first->cookie == sorted[i - 1]->first->cookie)
			violate(c, VIOLATION_NAMESPACE, "%s and %s have the namespace %llu", lease_name(sorted[i - 1]),
				lease_name(sorted[i]), (unsigned long long)sorted[i]->first->cookie);
	free(sorted);
}
