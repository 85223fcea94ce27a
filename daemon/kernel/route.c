/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Routes through interfaces. */
#include "config.h"

#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "macros.h"
#include "route-private.h"

#define IPV6_DEFAULT_METRIC 1024 /* IP6_RT_PRIO_USER: what the kernel makes of no metric */

static size_t
address_size(int family)
{
	return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

/* Both addresses of a route in binary. `gateway` has family AF_UNSPEC where there is none. */
static int
parse_route(const struct route *route, struct prefix *destination, struct prefix *gateway, struct error *e)
{
	*gateway = (struct prefix){ .family = AF_UNSPEC };
	if (route->gateway) {
		int err = prefix_parse(route->gateway, true, gateway, e);
		if (err < 0) {
			error_prefix_field(e, "gateway", -1);
			return err;
		}
	}

	if (strcmp(route->destination, "default") == 0) {
		*destination = (struct prefix){ .family = route->gateway ? gateway->family : AF_INET };
		return 0;
	}
	int err = prefix_parse(route->destination, true, destination, e);
	if (err < 0) {
		error_prefix_field(e, "destination", -1);
		return err;
	}
	if (route->gateway && gateway->family != destination->family)
		return error_set(e, ERROR_INVALID_VALUE, "gateway",
				 "the gateway %s is not of the same family as the destination %s", route->gateway,
				 route->destination);
	return 0;
}

int
route_put(struct rtnl *r, int ifindex, const struct route *route, bool add, const char *name, struct error *e)
{
	struct prefix destination, gateway;
	int err = parse_route(route, &destination, &gateway, e);
	if (err < 0)
		return err;

	char what[160];
	snprintf(what, sizeof(what), "route %s%s%s on %s", route->destination, route->gateway ? " via " : "",
		 route->gateway ? route->gateway : "", name);
	void *extra;
	struct nlmsghdr *m = rtnl_message(r, add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_EXCL : 0,
					  sizeof(struct rtmsg), &extra, what);
	struct rtmsg *header = extra;
	header->rtm_family = (uint8_t)destination.family;
	header->rtm_dst_len = (uint8_t)destination.length;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = ROUTE_PROTOCOL;
	header->rtm_type = RTN_UNICAST;
	header->rtm_scope = route->gateway || destination.family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;

	if (destination.length > 0)
		mnl_attr_put(m, RTA_DST, address_size(destination.family), destination.address);
	if (route->gateway)
		mnl_attr_put(m, RTA_GATEWAY, address_size(gateway.family), gateway.address);
	mnl_attr_put_u32(m, RTA_OIF, (uint32_t)ifindex);
	if (route->metric > 0)
		mnl_attr_put_u32(m, RTA_PRIORITY, (uint32_t)route->metric);
	return 0;
}

struct walk {
	int ifindex;
	int (*fn)(int ifindex, const struct route *route, int protocol, void *arg);
	void *arg;
};

static uint32_t
read_number(const struct nlattr *a)
{
	return mnl_attr_validate(a, MNL_TYPE_U32) < 0 ? 0 : mnl_attr_get_u32(a);
}

int
route_parse(const struct nlmsghdr *m, struct raw_route *ret)
{
	if (m->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(m) < sizeof(struct rtmsg))
		return -EINVAL;
	const struct rtmsg *header = mnl_nlmsg_get_payload(m);
	if ((header->rtm_family != AF_INET && header->rtm_family != AF_INET6) || (header->rtm_flags & RTM_F_CLONED))
		return -EINVAL;

	size_t size = address_size(header->rtm_family);
	*ret = (struct raw_route){ .destination = { .family = header->rtm_family, .length = header->rtm_dst_len },
				   .table = header->rtm_table,
				   .type = header->rtm_type,
				   .protocol = header->rtm_protocol };

	struct nlattr *a;
	mnl_attr_for_each (a, m, sizeof(*header)) {
		unsigned type = mnl_attr_get_type(a);
		if (type == RTA_TABLE)
			ret->table = read_number(a);
		else if (type == RTA_OIF)
			ret->oif = read_number(a);
		else if (type == RTA_PRIORITY)
			ret->metric = read_number(a);
		else if (type == RTA_GATEWAY && mnl_attr_get_payload_len(a) == size)
			ret->gateway = mnl_attr_get_payload(a);
		else if (type == RTA_DST && mnl_attr_get_payload_len(a) == size)
			memcpy(ret->destination.address, mnl_attr_get_payload(a), size);
	}
	return 0;
}

static int
walk_one(const struct nlmsghdr *m, void *arg)
{
	const struct walk *w = arg;
	struct raw_route raw;
	if (route_parse(m, &raw) < 0 || raw.type != RTN_UNICAST || raw.table != RT_TABLE_MAIN ||
	    (w->ifindex > 0 && (raw.oif != (uint32_t)w->ifindex || raw.protocol != ROUTE_PROTOCOL)))
		return 0;

	char destination[INET6_ADDRSTRLEN + 4] = "default", gateway[INET6_ADDRSTRLEN];
	if (raw.destination.length > 0)
		prefix_format(&raw.destination, destination);
	if (raw.gateway)
		inet_ntop(raw.destination.family, raw.gateway, gateway, sizeof(gateway));
	bool no_metric = raw.destination.family == AF_INET6 && raw.metric == IPV6_DEFAULT_METRIC;
	struct route route = { .destination = destination,
			       .gateway = raw.gateway ? gateway : NULL,
			       .metric = no_metric ? 0 : raw.metric };
	return w->fn((int)raw.oif, &route, raw.protocol, w->arg);
}

int
route_dump(struct rtnl *r, int ifindex, int (*fn)(int ifindex, const struct route *route, int protocol, void *arg),
	   void *arg, struct error *e)
{
	void *extra;
	struct nlmsghdr *m = rtnl_message(r, RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg), &extra, "routes");
	((struct rtmsg *)extra)->rtm_table = RT_TABLE_MAIN;
	if (ifindex > 0) {
		((struct rtmsg *)extra)->rtm_protocol = ROUTE_PROTOCOL;
		mnl_attr_put_u32(m, RTA_OIF, (uint32_t)ifindex);
	}

	struct walk w = { .ifindex = ifindex, .fn = fn, .arg = arg };
	return rtnl_query(r, walk_one, NULL, &w, e);
}
