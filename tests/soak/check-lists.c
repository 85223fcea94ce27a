/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each list of all slots, taken between requests and after each start, against what is certain (check.h). */
#include "config.h"

#include "../bench/samples.h"
#include "check.h"

#define COMPARE(a, b) ((a) > (b)) - ((a) < (b))

/* A list with its items. */
struct listing {
	const struct record *list;
	struct record **items; /* by slot and generation */
	size_t n_items;
};

struct listings {
	struct listing *v;
	size_t n;
};

static int
by_list_and_slot(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int order = COMPARE(x->holder, y->holder);
	order = order ? order : COMPARE(slot_of(x->network, x->number), slot_of(y->network, y->number));
	return order ? order : COMPARE(x->generation, y->generation);
}

static int
by_key(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	return COMPARE(x->key, y->key);
}

static int
by_asked(const void *a, const void *b)
{
	return COMPARE(((const struct listing *)a)->list->asked, ((const struct listing *)b)->list->asked);
}

static int
by_begin(const void *a, const void *b)
{
	return COMPARE(((const struct stay *)a)->span.begin, ((const struct stay *)b)->span.begin);
}

static struct listings
collect(const struct check *c)
{
	struct record **items = allocate(c->n_records, sizeof(struct record *));
	struct listings ret = { .v = allocate(c->n_records, sizeof(struct listing)) };
	size_t n = 0;

	for (size_t i = 0; i < c->n_records; i++)
		if (c->records[i]->kind == RECORD_ITEM)
			items[n++] = c->records[i];
	qsort(items, n, sizeof(*items), by_list_and_slot);
	for (size_t i = 0; i < c->n_records; i++) {
		const struct record *r = c->records[i];
		if (r->kind != RECORD_LIST || !r->answered)
			continue;
		size_t low = 0, high = n;
		while (low < high) {
			size_t middle = (low + high) / 2;
			if (items[middle]->holder < r->request)
				low = middle + 1;
			else
				high = middle;
		}
		struct listing l = { .list = r, .items = items + low };
		while (low + l.n_items < n && items[low + l.n_items]->holder == r->request)
			l.n_items++;
		ret.v[ret.n++] = l;
	}
	qsort(ret.v, ret.n, sizeof(*ret.v), by_asked);
	return ret;
}

static bool
is_leased(const struct record *item)
{
	return item->flags & FLAG_LEASED;
}

static bool
shows(const struct listing *l, const struct lease *lease)
{
	size_t low = 0, high = l->n_items;
	uint64_t slot = slot_of(lease->network, lease->number);
	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct record *r = l->items[middle];
		uint64_t here = slot_of(r->network, r->number);
		if (here == slot && r->generation == lease->generation)
			return is_leased(r);
		if (here < slot || (here == slot && r->generation < lease->generation))
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static const struct record *
request_of(const struct check *c, uint64_t request)
{
	size_t low = 0, high = c->n_requests;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (c->requests[middle]->request < request)
			low = middle + 1;
		else
			high = middle;
	}
	return low < c->n_requests && c->requests[low]->request == request ? c->requests[low] : NULL;
}

/* A lease that no answer told of: the request that made it, if it may have. */
static const struct record *
unanswered_request(const struct check *c, const struct record *list, const struct record *item)
{
	const struct record *r = request_of(c, item->request);
	return r && (!r->answered || r->answered > list->asked) ? r : NULL;
}

static void
check_item(struct check *c, const struct record *list, const struct record *item)
{
	const struct lease *l = find_lease(c, item->network, item->number, item->generation);
	const struct record *r = l ? NULL : unanswered_request(c, list, item);

	if (l && l->released < list->asked)
		violate(c, VIOLATION_RELEASED, "%s is listed after its release", lease_name(l));
	if (!l && !r)
		violate(c, VIOLATION_UNASKED,
			"slot %u of network %u, generation %lld, is leased, and nobody asked for it", item->number,
			item->network, (long long)item->generation);
	if (!(list->flags & FLAG_FINAL))
		return;
	if (r && !r->key && r->bond == BOND_NOTHING)
		c->orphans++;
	else
		violate(c, VIOLATION_LEFT, "slot %u of network %u, generation %lld, is leased at the end", item->number,
			item->network, (long long)item->generation);
}

/* A list need not be of one instant. Was this there all the time? */
static bool
is_certain(const struct check *c, const struct record *list, const struct record *item)
{
	const struct lease *l = find_lease(c, item->network, item->number, item->generation);
	const struct record *r = l ? NULL : unanswered_request(c, list, item);
	return l ? spans_cover(l->held, l->n_held, list->asked, list->answered) : r && r->asked < list->asked;
}

static void
check_keys(struct check *c, const struct listing *l)
{
	struct record **keyed = allocate(l->n_items, sizeof(struct record *));
	size_t n = 0;
	for (size_t i = 0; i < l->n_items; i++)
		if (is_leased(l->items[i]) && l->items[i]->key && is_certain(c, l->list, l->items[i]))
			keyed[n++] = l->items[i];
	qsort(keyed, n, sizeof(struct record *), by_key);
	for (size_t i = 1; i < n; i++)
		if (keyed[i]->key == keyed[i - 1]->key)
			violate(c, VIOLATION_KEY, "slots %u and %u have key k%llu in one list", keyed[i - 1]->number,
				keyed[i]->number, (unsigned long long)keyed[i]->key);
	free(keyed);
}

static void
check_items(struct check *c, const struct listing *l)
{
	for (size_t i = 0; i < l->n_items; i++) {
		const struct record *item = l->items[i], *before = i > 0 ? l->items[i - 1] : NULL;
		if (before && before->network == item->network && before->number == item->number &&
		    before->generation == item->generation)
			violate(c, VIOLATION_SLOT, "slot %u of network %u is in one list twice", item->number,
				item->network);
		if (is_leased(item))
			check_item(c, l->list, item);
		else if (l->list->flags & FLAG_FINAL && item->outcome != OUTCOME_OK)
			violate(c, VIOLATION_LEFT, "slot %u of network %u is not gone at the end", item->number,
				item->network);
	}
	check_keys(c, l);
}

/* In the order of time: which leases are held when a list is asked for, and are they in it? */
static void
check_presence(struct check *c, const struct listings *lists)
{
	struct stay *stays = allocate(c->n_stays, sizeof(*stays)),
		    **active = allocate(c->n_stays, sizeof(struct stay *));
	size_t next = 0, n_active = 0;

	for (size_t i = 0; i < c->n_stays; i++)
		stays[i] = c->stays[i];
	qsort(stays, c->n_stays, sizeof(*stays), by_begin);
	for (size_t i = 0; i < lists->n; i++) {
		const struct record *list = lists->v[i].list;
		while (next < c->n_stays && stays[next].span.begin <= list->asked)
			active[n_active++] = &stays[next++];
		for (size_t k = n_active; k-- > 0;) {
			const struct lease *l = &c->leases[active[k]->lease];
			if (active[k]->span.end < list->asked) {
				active[k] = active[--n_active];
			} else if (active[k]->span.end >= list->answered) {
				c->looked_for++;
				if (!shows(&lists->v[i], l))
					violate(c, VIOLATION_LOST, "%s is held and not in list %llu", lease_name(l),
						(unsigned long long)list->request);
			}
		}
	}
	free(stays);
	free(active);
}

void
check_lists(struct check *c)
{
	struct listings lists = collect(c);
	c->lists = lists.n;
	check_presence(c, &lists);
	for (size_t i = 0; i < lists.n; i++)
		check_items(c, &lists.v[i]);
	free(lists.v);
}
