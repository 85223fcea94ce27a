/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What each user has of slots, and may have. */
#include "config.h"

#include "slots.h"

#include <errno.h>

static struct user *
user_of(struct manager *m, int64_t uid)
{
	struct user *u = index_find(&m->slots->users, &uid);

	if (u)
		return u;
	u = calloc(1, sizeof(*u));
	if (!u)
		return NULL;
	*u = (struct user){ .uid = uid, .tokens = m->policy.acquires_per_second, .filled = monotonic_ms() };
	if (index_add(&m->slots->users, &u->uid, u) < 0) {
		free(u);
		return NULL;
	}
	return u;
}

void
user_charge(struct manager *m, struct slot_object *s)
{
	struct user *u = s->counted ? NULL : user_of(m, slot_record(m, s)->owner);

	if (!u)
		return;
	u->slots++;
	slot_network(s)->charged++;
	s->counted = true;
}

void
user_discharge(struct manager *m, struct slot_object *s)
{
	struct user *u = s->counted ? user_of(m, slot_record(m, s)->owner) : NULL;

	if (u) {
		u->slots--;
		slot_network(s)->charged--;
	}
	s->counted = false;
}

static bool
take_token(struct manager *m, struct user *u)
{
	int64_t now = monotonic_ms();
	double limit = m->policy.acquires_per_second;

	u->tokens += (double)(now - u->filled) * limit / 1000;
	u->filled = now;
	if (u->tokens > limit)
		u->tokens = limit;
	if (u->tokens < 1)
		return false;
	u->tokens -= 1;
	return true;
}

/* Of a small network root keeps a quarter. */
static unsigned
reserve(const struct manager *m, const struct network_state *n)
{
	unsigned quarter = network_maximum(n) / 4;
	return m->policy.slots_reserved < quarter ? m->policy.slots_reserved : quarter;
}

int
user_may_acquire(struct manager *m, const struct peer *p, const struct network_state *n, struct error *e)
{
	if (peer_is_root(p))
		return 0;
	struct user *u = user_of(m, p->uid);
	if (!u)
		return error_errno(e, ENOMEM, "counting slots");
	if (u->slots >= m->policy.slots_per_user)
		return error_set(
			e, ERROR_QUOTA_EXCEEDED, NULL,
			"you have %u slots already, those included that were released but are still held, and may "
			"have %u; release one first",
			u->slots, m->policy.slots_per_user);
	if (n->charged + reserve(m, n) >= network_maximum(n))
		return error_set(
			e, ERROR_QUOTA_EXCEEDED, "network",
			"the last %u slots of network \"%s\" are kept for root; try again when one is released",
			reserve(m, n), n->object->network.name);
	if (!take_token(m, u))
		return error_set(e, ERROR_QUOTA_EXCEEDED, NULL,
				 "you acquire more than %u slots a second; wait a moment",
				 m->policy.acquires_per_second);
	return 0;
}
