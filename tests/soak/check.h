/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The checker of soak logs (record.h): whether anything that nsd answered was untrue or unsafe.
 *
 * Theory of operation: from the records alone it works out when each lease (a slot and a generation) was certainly held:
 * from the answer that said so until the first request or event that may have ended it. Whatever is uncertain counts for
 * nsd: an answer that never came proves nothing. Then
 *   - nothing may belong to two leases at once: a slot, an address, a key; and a released slot that is still pinned keeps
 *     its name and address from others until it is let go (check-spans.c);
 *   - no namespace is handed out twice, and no generation, and generations grow (check-leases.c);
 *   - what is certainly held is not denied, also after kill -9, and what is certainly over is not granted (check-answers.c);
 *   - lists show every lease that is held, and none that is over (check-lists.c).
 * Everything is sorting and binary searches: O(n log n).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

#define NEVER UINT64_MAX

enum violation {
	VIOLATION_SLOT,	      /* two leases of a slot at once */
	VIOLATION_ADDRESS,    /* of an address */
	VIOLATION_KEY,	      /* of a key */
	VIOLATION_NAMESPACE,  /* a namespace handed out again */
	VIOLATION_GENERATION, /* repeated or not growing */
	VIOLATION_LOST,	      /* a lease that is held is denied or not listed */
	VIOLATION_STALE,      /* a lease that is over is accepted */
	VIOLATION_RELEASED,   /* and listed */
	VIOLATION_UNASKED,    /* listed, but nobody asked for it */
	VIOLATION_LEFT,	      /* there at the end */
	VIOLATION_KERNEL,     /* the kernel shows something else than what was told */
	VIOLATION_ANSWER,     /* no proper answer */
	N_VIOLATIONS,
};

struct span {
	uint64_t begin, end;
};

struct lease {
	uint32_t network, number;
	int64_t generation;
	struct record **records; /* all about it, in the order of asking */
	size_t n_records;
	const struct record *first;  /* the first acquire that was answered with it */
	uint64_t release_asked;	     /* NEVER: not */
	uint64_t released;	     /* answered; NEVER: not known */
	struct span *held, *natural; /* certainly held; the same if nobody had released it */
	size_t n_held, n_natural;
};

/* A span of a lease on its slot, for searches. */
struct stay {
	uint64_t slot; /* network and number */
	struct span span;
	size_t lease;
};

struct check {
	uint64_t grace;
	struct record **records; /* all of them */
	size_t n_records;
	uint64_t *starts; /* of nsd, in order */
	size_t n_starts;
	struct record **holder_ends; /* by holder and time */
	size_t n_holder_ends;
	struct record **requests; /* acquires by request */
	size_t n_requests;
	struct record **keyed; /* acquires with a key, by key and time */
	size_t n_keyed;
	struct lease *leases; /* by slot and generation */
	size_t n_leases;
	struct stay *stays; /* held spans by slot and begin */
	size_t n_stays;
	uint64_t violations[N_VIOLATIONS];
	uint64_t looked_for; /* held leases looked for in lists */
	uint64_t stale_refused, held_confirmed, orphans, lists, looks;
};

void *allocate(size_t n, size_t size);
/* Counts a violation; the first of each kind are told. */
void violate(struct check *c, enum violation v, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "NETWORK#NUMBER generation G", for messages; a few may be alive at once. */
const char *lease_name(const struct lease *l);

/* check-load.c */
void load_logs(struct check *c, const char *directory);

/* check-leases.c */
void make_leases(struct check *c);
void check_leases(struct check *c);
/* NULL: nobody was ever told of it. */
struct lease *find_lease(const struct check *c, uint32_t network, uint32_t number, int64_t generation);

/* check-spans.c */
void check_overlaps(struct check *c);
/* Certainly held from `a` to `b`? */
bool spans_cover(const struct span *s, size_t n, uint64_t a, uint64_t b);
/* The lease that certainly has the slot from `a` to `b`; NULL: none. */
const struct lease *lease_of_slot(const struct check *c, uint32_t network, uint32_t number, uint64_t a, uint64_t b);

/* check-answers.c */
void check_answers(struct check *c);

/* check-lists.c */
void check_lists(struct check *c);

static inline uint64_t
slot_of(uint32_t network, uint32_t number)
{
	return (uint64_t)network << 32 | number;
}
