/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who had what when: no two leases have the same slot, address or key at the same time (check.h). */
#include "config.h"

#include <string.h>

#include "../bench/samples.h"
#include "check.h"

#define COMPARE(a, b) ((a) > (b)) - ((a) < (b))

/* A lease had something, called by up to 16 bytes, for a time. */
struct use {
	uint64_t high, low;
	struct span span;
	const struct lease *lease;
};

struct uses {
	struct use *v;
	size_t n;
};

bool
spans_cover(const struct span *s, size_t n, uint64_t a, uint64_t b)
{
	for (size_t i = 0; i < n; i++)
		if (s[i].begin <= a && b <= s[i].end)
			return true;
	return false;
}

const struct lease *
lease_of_slot(const struct check *c, uint32_t network, uint32_t number, uint64_t a, uint64_t b)
{
	uint64_t slot = slot_of(network, number);
	size_t low = 0, high = c->n_stays;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct stay *s = &c->stays[middle];
		if (s->slot < slot || (s->slot == slot && s->span.begin <= a))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || c->stays[low - 1].slot != slot || c->stays[low - 1].span.end < b)
		return NULL;
	return &c->leases[c->stays[low - 1].lease];
}

static int
by_thing_and_begin(const void *a, const void *b)
{
	const struct use *x = a, *y = b;
	int order = COMPARE(x->high, y->high);
	order = order ? order : COMPARE(x->low, y->low);
	return order ? order : COMPARE(x->span.begin, y->span.begin);
}

static void
add(struct uses *u, uint64_t high, uint64_t low, struct span s, const struct lease *l)
{
	if (high || low)
		u->v[u->n++] = (struct use){ .high = high, .low = low, .span = s, .lease = l };
}

/* Goes through the uses in order and keeps the one that lasts longest, and the longest of another lease. */
static void
find_overlaps(struct check *c, struct uses *u, enum violation v, const char *what)
{
	const struct use *last = NULL, *other = NULL;
	qsort(u->v, u->n, sizeof(*u->v), by_thing_and_begin);
	for (size_t i = 0; i < u->n; i++) {
		const struct use *now = &u->v[i];
		if (last && (last->high != now->high || last->low != now->low))
			last = other = NULL;
		const struct use *hit = last && last->lease != now->lease ? last : other;
		if (hit && hit->span.end > now->span.begin)
			violate(c, v, "%s: %s has the same %s for another %.3f ms", lease_name(hit->lease),
				lease_name(now->lease), what, (double)(hit->span.end - now->span.begin) / 1e6);
		if (!last || now->span.end > last->span.end) {
			other = last && last->lease != now->lease ? last : other;
			last = now;
		} else if (now->lease != last->lease && (!other || now->span.end > other->span.end)) {
			other = now;
		}
	}
	u->n = 0;
}

enum thing { THING_SLOT, THING_ADDRESS4, THING_ADDRESS6, THING_KEY };

static void
add_thing(struct uses *u, enum thing thing, struct span s, const struct lease *l)
{
	const struct record *r = l->first;
	uint64_t parts[2] = { 0 };
	uint32_t address;

	switch (thing) {
	case THING_SLOT:
		add(u, 0, slot_of(l->network, l->number), s, l);
		break;
	case THING_ADDRESS4:
		memcpy(&address, r->address4, sizeof(address));
		add(u, 0, address, s, l);
		break;
	case THING_ADDRESS6:
		memcpy(parts, r->address6, sizeof(parts));
		add(u, parts[0], parts[1], s, l);
		break;
	default:
		add(u, 0, r->key, s, l);
	}
}

static void
add_lease(struct uses *u, enum thing thing, const struct lease *l)
{
	for (size_t i = 0; i < l->n_held; i++)
		add_thing(u, thing, l->held[i], l);
	/* What is pinned is in use, whoever released it. The key is free then. */
	for (size_t i = 0; thing != THING_KEY && i < l->n_records; i++)
		if (l->records[i]->kind == RECORD_PIN && l->records[i]->answered)
			add_thing(u, thing, (struct span){ l->records[i]->asked, l->records[i]->answered }, l);
}

void
check_overlaps(struct check *c)
{
	static const struct {
		enum thing thing;
		enum violation violation;
		const char *what;
	} things[] = {
		{ THING_SLOT, VIOLATION_SLOT, "slot" },
		{ THING_ADDRESS4, VIOLATION_ADDRESS, "IPv4 address" },
		{ THING_ADDRESS6, VIOLATION_ADDRESS, "IPv6 address" },
		{ THING_KEY, VIOLATION_KEY, "key" },
	};
	size_t most = 0;
	for (size_t i = 0; i < c->n_leases; i++)
		most += c->leases[i].n_held + c->leases[i].n_records;
	struct uses u = { .v = allocate(most, sizeof(struct use)) };
	for (unsigned k = 0; k < sizeof(things) / sizeof(*things); k++) {
		for (size_t i = 0; i < c->n_leases; i++)
			add_lease(&u, things[k].thing, &c->leases[i]);
		find_overlaps(c, &u, things[k].violation, things[k].what);
	}
	free(u.v);
}
