/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes slots: the path that has to cost no more than the kernel itself.
 *
 * Theory of operation
 *
 * A slot is a namespace and three batches: the veth, born on both sides by one message in the router; all that is inside;
 * all that is in the router. Every number is given, so nothing is looked up and no answer but the acknowledgements read.
 *
 * The router's end comes up last. Up to then the slot has no carrier, and a packet that comes for it early is dropped instead
 * of asking for a neighbour that cannot answer yet: who asks in vain waits for a second. Both neighbours are permanent. The
 * slot itself cannot send before the kernel has taken note of its carrier, so the last thing is to ask for that: without it,
 * the first packet of one slot in fifteen got lost. For the same reason an IPv6 address brings a route along.
 *
 * What each slot costs the next ones is IPv6: every automatic address is one more member of the same two routes. A router
 * makes none on its ends (router.c), and slots make none either.
 */
#include "config.h"

#include "router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include "kernel-private.h"
#include "macros.h"

#define LOCAL_ROUTE_SECONDS 60

static void
put_interface(struct nlmsghdr *m, const char *name, const uint8_t mac[6], unsigned mtu)
{
	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	mnl_attr_put(m, IFLA_ADDRESS, 6, mac);
	mnl_attr_put_u32(m, IFLA_MTU, mtu);
	mnl_attr_put_u32(m, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(m, IFLA_NUM_RX_QUEUES, 1);
}

/* The pair, born on both sides, down. */
static void
put_veth(struct rtnl *router, const struct slot_plan *p, int netns_fd)
{
	void *header;
	struct nlmsghdr *m = rtnl_message(router, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg),
					  &header, p->router_interface);
	((struct ifinfomsg *)header)->ifi_index = p->router_ifindex;
	put_interface(m, p->router_interface, p->router_mac, p->mtu);

	struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(m, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(m, VETH_INFO_PEER);
	struct ifinfomsg *inside = mnl_nlmsg_put_extra_header(m, sizeof(*inside));
	inside->ifi_index = SLOT_IFINDEX;
	put_interface(m, p->interface, p->slot_mac, p->mtu);
	mnl_attr_put_u32(m, IFLA_NET_NS_FD, (uint32_t)netns_fd);
	mnl_attr_nest_end(m, peer);
	mnl_attr_nest_end(m, data);
	mnl_attr_nest_end(m, info);
}

static void
put_default_route(struct rtnl *r, const struct prefix *gateway)
{
	void *extra;
	struct nlmsghdr *m =
		rtnl_message(r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct rtmsg), &extra, "default route");
	struct rtmsg *header = extra;
	header->rtm_family = (uint8_t)gateway->family;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = ROUTE_PROTOCOL;
	header->rtm_type = RTN_UNICAST;
	header->rtm_scope = RT_SCOPE_UNIVERSE;
	header->rtm_flags = RTNH_F_ONLINK; /* the kernel may not have seen yet that the gateway is on the link */
	mnl_attr_put(m, RTA_GATEWAY, gateway->family == AF_INET ? 4 : 16, gateway->address);
	mnl_attr_put_u32(m, RTA_OIF, SLOT_IFINDEX);
}

/* IPv6 takes in packets for a new address only once a work queue got to it. Until then this route does. */
static void
put_local_route(struct rtnl *r, const struct prefix *own)
{
	void *extra;
	struct nlmsghdr *m =
		rtnl_message(r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct rtmsg), &extra, "local route");
	struct rtmsg *header = extra;
	header->rtm_family = AF_INET6;
	header->rtm_dst_len = 128;
	header->rtm_table = RT_TABLE_LOCAL;
	header->rtm_protocol = ROUTE_PROTOCOL;
	header->rtm_type = RTN_LOCAL;
	header->rtm_scope = RT_SCOPE_UNIVERSE;
	mnl_attr_put(m, RTA_DST, sizeof(own->address), own->address);
	mnl_attr_put_u32(m, RTA_OIF, SLOT_IFINDEX);
	mnl_attr_put_u32(m, RTA_EXPIRES, LOCAL_ROUTE_SECONDS);
}

/* `quiet`: without an automatic IPv6 address. Nobody would answer it, and with each come multicast groups, solicitations and
 * entries in the one table of IPv6 neighbours that all namespaces of a host share. */
static void
put_up(struct rtnl *r, const char *name, bool quiet)
{
	void *extra;
	struct nlmsghdr *m = rtnl_message(r, RTM_SETLINK, 0, sizeof(struct ifinfomsg), &extra, name);
	struct ifinfomsg *header = extra;
	header->ifi_index = SLOT_IFINDEX;
	header->ifi_flags = header->ifi_change = IFF_UP;
	if (!quiet)
		return;
	struct nlattr *families = mnl_attr_nest_start(m, IFLA_AF_SPEC);
	struct nlattr *ipv6 = mnl_attr_nest_start(m, AF_INET6);
	mnl_attr_put_u8(m, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(m, ipv6);
	mnl_attr_nest_end(m, families);
}

/* Inside: what the slot has of its own. */
static void
put_inside(struct rtnl *r, const struct slot_plan *p, bool quiet)
{
	const struct prefix *gateway4 = p->has_inner4 ? &p->inner_gateway4 : &p->router4;
	const struct prefix *gateway6 = p->has_inner6 ? &p->inner_gateway6 : &p->router6;

	const struct prefix *own6 = p->has_inner6 ? &p->inner6 : &p->slot6;

	link_put_up(r, 1, true, "lo");
	if (p->has4)
		address_put(r, SLOT_IFINDEX, p->has_inner4 ? &p->inner4 : &p->slot4, true, p->interface);
	if (p->has6)
		address_put(r, SLOT_IFINDEX, own6, true, p->interface);
	put_up(r, p->interface, quiet);
	if (p->has4) {
		put_default_route(r, gateway4);
		neighbour_put(r, SLOT_IFINDEX, gateway4, p->router_mac, p->interface);
	}
	if (p->has6) {
		put_local_route(r, own6);
		put_default_route(r, gateway6);
		neighbour_put(r, SLOT_IFINDEX, gateway6, p->router_mac, p->interface);
	}
}

/* The router's side: its address makes the route to the slot's. Where the slot has another address inside, the router's rules
 * put that into a packet after it was routed, and it is that one for which the neighbour is asked. */
static void
put_outside(struct rtnl *r, const struct slot_plan *p)
{
	const char *name = p->router_interface;

	if (p->has4) {
		address_put(r, p->router_ifindex, &p->router4, true, name);
		neighbour_put(r, p->router_ifindex, p->has_inner4 ? &p->inner4 : &p->slot4, p->slot_mac, name);
	}
	if (p->has6) {
		address_put(r, p->router_ifindex, &p->router6, true, name);
		neighbour_put(r, p->router_ifindex, p->has_inner6 ? &p->inner6 : &p->slot6, p->slot_mac, name);
	}
	link_put_up(r, p->router_ifindex, true, name);
}

static int
set_sysctls(struct kernel *k, const struct netns *n, const struct pairs *sysctls, struct error *e)
{
	int err = 0;

	for (size_t i = 0; sysctls && i < sysctls->n && err == 0; i++)
		err = netns_sysctl_set(k, n, sysctls->v[i].key, sysctls->v[i].value, e);
	return err;
}

/* The kernel does not say whether it was the name or the number (EBUSY). */
static int
explain_taken(struct rtnl *router, const struct slot_plan *p, struct error *e)
{
	struct link_info found;

	if (link_get(router, 0, p->router_interface, &found, NULL) == 0)
		return error_set(e, ERROR_NAME_TAKEN, NULL, "there is an interface %s in the router already",
				 p->router_interface);
	if (link_get(router, p->router_ifindex, NULL, &found, NULL) == 0)
		return error_set(e, ERROR_NAME_TAKEN, NULL, "interface %s of the router has the number %d already",
				 found.name, p->router_ifindex);
	return error_set(e, ERROR_NAME_TAKEN, NULL, "an interface of the name or number of %s existed just now",
			 p->router_interface);
}

static int
make_veth(struct rtnl *router, const struct slot_plan *p, int netns_fd, struct error *e)
{
	struct error refusal = { 0 };

	put_veth(router, p, netns_fd);
	int err = rtnl_send(router, &refusal);
	if (err == -EEXIST || err == -EBUSY)
		return explain_taken(router, p, e);
	if (err < 0 && e)
		*e = refusal;
	return err;
}

int
slot_make(struct kernel *k, struct rtnl *router, const struct slot_plan *p, struct netns *ret, struct error *e)
{
	struct netns n = NETNS_INIT;
	int err = netns_make(k, &n, e);

	if (err < 0)
		return error_wrap(e, "slot interface %s", p->router_interface);
	err = make_veth(router, p, n.fd, e);
	if (err == 0) {
		put_inside(n.rtnl, p, k->ipv6);
		err = rtnl_send(n.rtnl, e);
	}
	if (err == 0)
		err = set_sysctls(k, &n, p->sysctls, e);
	if (err == 0) {
		put_outside(router, p);
		err = rtnl_send(router, e);
	}
	if (err == 0)
		err = link_await_carrier(n.rtnl, SLOT_IFINDEX, e);
	if (err < 0) { /* from inside, where nothing but this slot's can have the number */
		link_delete(n.rtnl, SLOT_IFINDEX, NULL);
		netns_close(&n);
		error_wrap(e, "slot interface %s", p->router_interface);
		return err;
	}
	*ret = n;
	return 0;
}
