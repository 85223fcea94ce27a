/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each answer about a lease against what is certain: held ones are not denied, past ones not granted (check.h). */
#include "config.h"

#include "../bench/samples.h"
#include "check.h"

static bool
denied(const struct record *r)
{
	return r->outcome == OUTCOME_STALE || r->outcome == OUTCOME_NOT_FOUND;
}

static const char *
word_of(const struct record *r)
{
	return r->kind == RECORD_RENEW ? "renewing" : r->kind == RECORD_OPEN ? "opening" : "releasing";
}

static void
check_release(struct check *c, const struct lease *l, const struct record *r)
{
	const struct lease *now = lease_of_slot(c, r->network, r->number, r->asked, r->answered);

	if (r->outcome == OUTCOME_OK && now && now != l && !(r->flags & FLAG_BLIND))
		violate(c, VIOLATION_STALE, "releasing %s succeeded while %s was held", lease_name(l), lease_name(now));
	if (denied(r) && r->asked == l->release_asked && spans_cover(l->natural, l->n_natural, r->asked, r->answered))
		violate(c, VIOLATION_LOST, "releasing %s was refused: it is not there", lease_name(l));
	c->stale_refused += r->flags & FLAG_STALE && r->outcome == OUTCOME_STALE;
}

static void
check_use(struct check *c, const struct lease *l, const struct record *r)
{
	if (r->outcome == OUTCOME_OK && r->asked > l->released)
		violate(c, VIOLATION_STALE, "%s %s succeeded after its release", word_of(r), lease_name(l));
	bool held = spans_cover(l->held, l->n_held, r->asked, r->answered);
	if (denied(r) && held)
		violate(c, VIOLATION_LOST, "%s %s was refused: it is not there", word_of(r), lease_name(l));
	c->held_confirmed += r->outcome == OUTCOME_OK && held;
	c->stale_refused += r->flags & FLAG_STALE && denied(r);
}

/* GetSlot names no generation: what it shows must be the lease that has the slot. */
static void
check_get(struct check *c, const struct record *r)
{
	const struct lease *now = lease_of_slot(c, r->network, r->number, r->asked, r->answered);
	bool leased = r->outcome == OUTCOME_OK && r->flags & FLAG_LEASED;
	const struct lease *shown = leased ? find_lease(c, r->network, r->number, r->generation) : NULL;

	if (now && r->outcome != OUTCOME_PASSING && (!leased || r->generation != now->generation))
		violate(c, VIOLATION_LOST, "GetSlot does not show %s", lease_name(now));
	if (shown && shown->released < r->asked)
		violate(c, VIOLATION_RELEASED, "GetSlot shows %s after its release", lease_name(shown));
	c->held_confirmed += now && leased;
}

void
check_answers(struct check *c)
{
	for (size_t i = 0; i < c->n_records; i++) {
		const struct record *r = c->records[i];
		if (!r->answered)
			continue;
		if (r->kind == RECORD_GET)
			check_get(c, r);
		if (r->outcome == OUTCOME_OTHER || r->outcome == OUTCOME_NONSENSE || r->outcome == OUTCOME_SILENCE)
			violate(c, VIOLATION_ANSWER, "request %u: %s", r->kind,
				r->outcome == OUTCOME_SILENCE ? "no answer" : "an answer that should not be");
	}
	for (size_t i = 0; i < c->n_leases; i++) {
		const struct lease *l = &c->leases[i];
		for (size_t k = 0; k < l->n_records; k++) {
			const struct record *r = l->records[k];
			if (r->answered && r->kind == RECORD_RELEASE)
				check_release(c, l, r);
			else if (r->answered && (r->kind == RECORD_RENEW || r->kind == RECORD_OPEN))
				check_use(c, l, r);
		}
	}
}
