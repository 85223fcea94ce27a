/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is on a router's uplink: a list of things for each of its two ends, which is put there, compared, and put back.
 */
#include "config.h"

#include "router-private.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "macros.h"
#include "route-private.h"

#define LO_IFINDEX 1

enum kind {
	ADDRESS,
	NEIGHBOUR,
	ROUTE,
	UNREACHABLE, /* a route to nowhere */
};

struct thing {
	enum kind kind;
	const struct prefix *prefix; /* NULL: default */
	const struct prefix *via;    /* of a route */
	const uint8_t *mac;	     /* of a neighbour */
	bool found;
};

struct side {
	struct rtnl *rtnl;
	int ifindex;
	const char *name;
	bool up;
	bool has_lo;	   /* of this namespace is nsd's matter, too */
	struct thing v[8]; /* in an order in which they can be put there */
	unsigned n;
};

static int
family_of(const struct thing *t)
{
	return t->prefix ? t->prefix->family : t->via->family;
}

static size_t
address_size(int family)
{
	return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

static void
add(struct side *s, struct thing t)
{
	s->v[s->n++] = t;
}

static void
add_end(struct side *s, const struct prefix *own, const struct prefix *other, const uint8_t *other_mac)
{
	add(s, (struct thing){ .kind = ADDRESS, .prefix = own });
	add(s, (struct thing){ .kind = NEIGHBOUR, .prefix = other, .mac = other_mac });
}

static void
describe_outside(struct side *s, const struct router_plan *p)
{
	if (p->has4)
		add_end(s, &p->outside4, &p->inside4, p->inside_mac);
	if (p->has6)
		add_end(s, &p->outside6, &p->inside6, p->inside_mac);
	if (p->has4)
		add(s, (struct thing){ .kind = ROUTE, .prefix = &p->prefix4, .via = &p->inside4 });
	if (p->has6)
		add(s, (struct thing){ .kind = ROUTE, .prefix = &p->prefix6, .via = &p->inside6 });
}

/* What has no slot is answered inside, and not sent back up for the host to send it down again. */
static void
describe_inside(struct side *s, const struct router_plan *p)
{
	if (p->has4)
		add_end(s, &p->inside4, &p->outside4, p->outside_mac);
	if (p->has6)
		add_end(s, &p->inside6, &p->outside6, p->outside_mac);
	if (p->has4) {
		add(s, (struct thing){ .kind = ROUTE, .via = &p->outside4 });
		add(s, (struct thing){ .kind = UNREACHABLE, .prefix = &p->prefix4 });
	}
	if (p->has6) {
		add(s, (struct thing){ .kind = ROUTE, .via = &p->outside6 });
		add(s, (struct thing){ .kind = UNREACHABLE, .prefix = &p->prefix6 });
	}
}

/* ---- put ---- */

static const char *
name_thing(const struct thing *t, char ret[INET6_ADDRSTRLEN + 32])
{
	static const char *const kinds[] = { "address", "neighbour", "route", "unreachable route" };
	char text[INET6_ADDRSTRLEN + 4] = "default";

	if (t->prefix)
		prefix_format(t->prefix, text);
	if (t->kind == NEIGHBOUR)
		text[strcspn(text, "/")] = '\0';
	snprintf(ret, INET6_ADDRSTRLEN + 32, "%s %s", kinds[t->kind], text);
	return ret;
}

/* Never instead of another route. */
static void
put_route(const struct side *s, const struct thing *t)
{
	void *extra;
	char what[INET6_ADDRSTRLEN + 32];
	size_t size = address_size(family_of(t));
	struct nlmsghdr *m = rtnl_message(s->rtnl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct rtmsg),
					  &extra, name_thing(t, what));
	struct rtmsg *header = extra;

	header->rtm_family = (uint8_t)family_of(t);
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = ROUTE_PROTOCOL;
	header->rtm_type = t->kind == ROUTE ? RTN_UNICAST : RTN_UNREACHABLE;
	header->rtm_scope = RT_SCOPE_UNIVERSE;
	if (t->prefix) {
		header->rtm_dst_len = (uint8_t)t->prefix->length;
		mnl_attr_put(m, RTA_DST, size, t->prefix->address);
	}
	if (t->kind != ROUTE)
		return;
	header->rtm_flags = RTNH_F_ONLINK; /* IPv6 may not have seen yet that it is */
	mnl_attr_put(m, RTA_GATEWAY, size, t->via->address);
	mnl_attr_put_u32(m, RTA_OIF, (uint32_t)s->ifindex);
}

/* Routes only once the interface is up. */
static void
put_kinds(const struct side *s, bool routes)
{
	for (const struct thing *t = s->v; t < s->v + s->n; t++) {
		if (t->found || routes != (t->kind == ROUTE || t->kind == UNREACHABLE))
			continue;
		if (routes)
			put_route(s, t);
		else if (t->kind == ADDRESS)
			address_put(s->rtnl, s->ifindex, t->prefix, true, s->name);
		else
			neighbour_put(s->rtnl, s->ifindex, t->prefix, t->mac, s->name);
	}
}

static int
put_side(const struct side *s, struct error *e)
{
	if (s->has_lo)
		link_put_up(s->rtnl, LO_IFINDEX, true, "lo");
	put_kinds(s, false);
	if (!s->up)
		link_put_up(s->rtnl, s->ifindex, true, s->name);
	put_kinds(s, true);
	return rtnl_send(s->rtnl, e);
}

static void
describe(struct side *outside, struct side *inside, const struct router_plan *p)
{
	describe_outside(outside, p);
	describe_inside(inside, p);
}

/* Waits until a packet may come: the kernel says that all is done before it is. */
static int
await_side(const struct side *s, struct error *e)
{
	int err = link_await_carrier(s->rtnl, s->ifindex, e);

	for (const struct thing *t = s->v; t < s->v + s->n && err == 0; t++)
		if (t->kind == ADDRESS)
			err = address_await(s->rtnl, t->prefix, e);
	return err;
}

static int
await_sides(const struct side *outside, const struct side *inside, struct error *e)
{
	int err = await_side(inside, e);

	return err < 0 ? err : await_side(outside, e);
}

int
uplink_configure(struct rtnl *outside, struct rtnl *inside, int outside_ifindex, const struct router_plan *p,
		 struct error *e)
{
	struct side out = { .rtnl = outside, .ifindex = outside_ifindex, .name = p->outside };
	struct side in = { .rtnl = inside, .ifindex = UPLINK_IFINDEX, .name = UPLINK_INTERFACE, .has_lo = true };

	describe(&out, &in, p);
	int err = put_side(&in, e);
	if (err == 0)
		err = put_side(&out, e);
	return err < 0 ? err : await_sides(&out, &in, e);
}

/* ---- compare ---- */

static bool
same_prefix(const struct prefix *a, const struct prefix *b)
{
	return a->family == b->family && a->length == b->length &&
	       memcmp(a->address, b->address, address_size(a->family)) == 0;
}

static int
find_address(int ifindex UNUSED, const struct prefix *p, void *arg)
{
	struct side *s = arg;

	for (struct thing *t = s->v; t < s->v + s->n; t++)
		t->found |= t->kind == ADDRESS && same_prefix(t->prefix, p);
	return 0;
}

static int
find_neighbour(const struct prefix *address, const uint8_t mac[6], void *arg)
{
	struct side *s = arg;

	for (struct thing *t = s->v; t < s->v + s->n; t++)
		t->found |= t->kind == NEIGHBOUR && t->prefix->family == address->family &&
			    memcmp(t->prefix->address, address->address, address_size(address->family)) == 0 &&
			    memcmp(t->mac, mac, 6) == 0;
	return 0;
}

static bool
is_route(const struct side *s, const struct thing *t, const struct raw_route *r)
{
	const struct prefix everything = { .family = r->destination.family };

	if (r->table != RT_TABLE_MAIN || family_of(t) != r->destination.family ||
	    !same_prefix(t->prefix ? t->prefix : &everything, &r->destination))
		return false;
	if (t->kind == UNREACHABLE)
		return r->type == RTN_UNREACHABLE;
	return t->kind == ROUTE && r->type == RTN_UNICAST && r->oif == (uint32_t)s->ifindex && r->gateway &&
	       memcmp(r->gateway, t->via->address, address_size(r->destination.family)) == 0;
}

static int
find_route(const struct nlmsghdr *m, void *arg)
{
	struct side *s = arg;
	struct raw_route route;

	if (route_parse(m, &route) < 0)
		return 0;
	for (struct thing *t = s->v; t < s->v + s->n; t++)
		t->found |= is_route(s, t, &route);
	return 0;
}

static int
look(struct side *s, struct error *e)
{
	struct link_info info;
	void *extra;
	int err = link_get(s->rtnl, s->ifindex, NULL, &info, e);

	if (err == 0)
		err = address_dump(s->rtnl, s->ifindex, find_address, s, e);
	if (err == 0)
		err = neighbour_dump(s->rtnl, s->ifindex, find_neighbour, s, e);
	if (err < 0)
		return err;
	s->up = info.up;
	rtnl_message(s->rtnl, RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg), &extra, "routes");
	((struct rtmsg *)extra)->rtm_table = RT_TABLE_MAIN;
	return rtnl_query(s->rtnl, find_route, NULL, s, e);
}

static int
restore_side(struct side *s, const struct words *w, struct error *e)
{
	char text[INET6_ADDRSTRLEN + 32];
	int err = look(s, e);

	if (err < 0)
		return err;
	if (!s->up)
		words_add(w, "%s was down", s->name);
	for (const struct thing *t = s->v; t < s->v + s->n; t++)
		if (!t->found)
			words_add(w, "%s was missing on %s", name_thing(t, text), s->name);
	return put_side(s, e);
}

int
uplink_restore(struct rtnl *outside, struct rtnl *inside, int outside_ifindex, const struct router_plan *p,
	       const struct words *w, struct error *e)
{
	struct side out = { .rtnl = outside, .ifindex = outside_ifindex, .name = p->outside };
	struct side in = { .rtnl = inside, .ifindex = UPLINK_IFINDEX, .name = UPLINK_INTERFACE, .has_lo = true };

	describe(&out, &in, p);
	int err = restore_side(&in, w, e);
	if (err == 0)
		err = restore_side(&out, w, e);
	return err < 0 ? err : await_sides(&out, &in, e);
}
