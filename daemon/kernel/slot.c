/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes slots: the path that has to cost no more than the kernel itself. Nothing is looked up, every number is given. */
#include "config.h"

#include "router.h"

#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include "macros.h"

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

/* Inside: what the slot has of its own. A v4-only slot has no automatic v6 address: nobody would hear it. */
static void
put_inside(struct rtnl *r, const struct slot_plan *p)
{
	const struct prefix *own4 = p->has_inner4 ? &p->inner4 : &p->slot4;
	const struct prefix *own6 = p->has_inner6 ? &p->inner6 : &p->slot6;
	const struct prefix *gateway4 = p->has_inner4 ? &p->inner_gateway4 : &p->router4;
	const struct prefix *gateway6 = p->has_inner6 ? &p->inner_gateway6 : &p->router6;

	link_put_up(r, 1, true, "lo");
	if (p->has4)
		address_put(r, SLOT_IFINDEX, own4, true, p->interface);
	if (p->has6)
		address_put(r, SLOT_IFINDEX, own6, true, p->interface);
	link_put_up(r, SLOT_IFINDEX, true, p->interface);
	if (p->has4) {
		put_default_route(r, gateway4);
		neighbour_put(r, SLOT_IFINDEX, gateway4, p->router_mac, p->interface);
	}
	if (p->has6) {
		put_default_route(r, gateway6);
		neighbour_put(r, SLOT_IFINDEX, gateway6, p->router_mac, p->interface);
	}
}

/* The router's side. Where the slot has an inner address the router's rules put that into a packet after it was routed, and
 * it is that one for which the neighbour is asked. */
static void
put_outside(struct rtnl *r, const struct slot_plan *p)
{
	if (p->has4)
		address_put(r, p->router_ifindex, &p->router4, true, p->router_interface);
	if (p->has6)
		address_put(r, p->router_ifindex, &p->router6, true, p->router_interface);
	link_put_up(r, p->router_ifindex, true, p->router_interface);
	if (p->has4)
		neighbour_put(r, p->router_ifindex, p->has_inner4 ? &p->inner4 : &p->slot4, p->slot_mac,
			      p->router_interface);
	if (p->has6)
		neighbour_put(r, p->router_ifindex, p->has_inner6 ? &p->inner6 : &p->slot6, p->slot_mac,
			      p->router_interface);
}

static int
set_sysctls(struct kernel *k, const struct netns *n, const struct pairs *sysctls, struct error *e)
{
	int err = 0;

	for (size_t i = 0; sysctls && i < sysctls->n && err == 0; i++)
		err = netns_sysctl_set(k, n, sysctls->v[i].key, sysctls->v[i].value, e);
	return err;
}

int
slot_make(struct kernel *k, struct rtnl *router, const struct slot_plan *p, struct netns *ret, struct error *e)
{
	struct netns n = NETNS_INIT;
	int err = netns_make(k, &n, e);

	if (err < 0)
		return err;
	put_veth(router, p, n.fd);
	err = rtnl_send(router, e);
	bool made = err == 0;
	if (err == 0)
		put_inside(n.rtnl, p);
	if (err == 0)
		err = rtnl_send(n.rtnl, e);
	if (err == 0)
		err = set_sysctls(k, &n, p->sysctls, e);
	if (err == 0)
		put_outside(router, p);
	if (err == 0)
		err = rtnl_send(router, e);
	if (err < 0) {
		if (made)
			link_delete(router, p->router_ifindex, NULL);
		netns_close(&n);
		return error_wrap(e, "making slot interface %s", p->router_interface);
	}
	rtnl_close(n.rtnl);
	n.rtnl = NULL;
	*ret = n;
	return 0;
}
