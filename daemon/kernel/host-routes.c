/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the host knows a way to addresses that a network is to have. */
#include "config.h"

#include "router.h"

#include <arpa/inet.h>
#include <stdio.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "macros.h"
#include "route-private.h"

struct search {
	const struct prefix *prefix;
	uint32_t except; /* ifindex */
	bool found;
	struct prefix route;
	uint32_t ifindex;
};

/* What holds for everything that has no route of its own: the default route, and halves of it that VPNs put above it. */
static bool
is_default(const struct prefix *destination)
{
	return destination->length <= 1 || (destination->family == AF_INET6 && destination->length <= 3);
}

/* Routes that lead nowhere are passed over: they say that nothing better is known. */
static int
compare(const struct nlmsghdr *m, void *arg)
{
	struct search *s = arg;
	struct raw_route route;

	if (s->found || route_parse(m, &route) < 0 || (route.table != RT_TABLE_MAIN && route.table != RT_TABLE_LOCAL) ||
	    (route.type != RTN_UNICAST && route.type != RTN_LOCAL) || is_default(&route.destination) ||
	    (s->except && route.oif == s->except) || !prefix_overlap(&route.destination, s->prefix))
		return 0;
	s->found = true;
	s->route = route.destination;
	s->ifindex = route.oif;
	return 0;
}

/* One that is down has no routes, and will have. */
static int
compare_address(int ifindex, const struct prefix *p, void *arg)
{
	struct search *s = arg;

	if (s->found || (uint32_t)ifindex == s->except || !prefix_overlap(p, s->prefix))
		return 0;
	s->found = true;
	s->route = *p;
	s->ifindex = (uint32_t)ifindex;
	return 0;
}

int
host_route_overlap(struct kernel *k, const struct prefix *p, const char *except, char *text, size_t size,
		   struct error *e)
{
	struct rtnl *r = kernel_rtnl(k);
	struct search s = { .prefix = p };
	struct link_info info;
	char route[INET6_ADDRSTRLEN + 4];
	void *extra;

	text[0] = '\0';
	if (except && link_get(r, 0, except, &info, NULL) == 0)
		s.except = (uint32_t)info.ifindex;
	rtnl_message(r, RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg), &extra, "routes");
	((struct rtmsg *)extra)->rtm_family = (uint8_t)p->family;
	int err = rtnl_query(r, compare, NULL, &s, e);
	if (err == 0 && !s.found)
		err = address_dump(r, 0, compare_address, &s, e);
	if (err < 0 || !s.found)
		return err;
	bool named = s.ifindex > 0 && link_get(r, (int)s.ifindex, NULL, &info, NULL) == 0;
	prefix_format(&s.route, route);
	snprintf(text, size, "%s%s%s", route, named ? " dev " : "", named ? info.name : "");
	return 0;
}
