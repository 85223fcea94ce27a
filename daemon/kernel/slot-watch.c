/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a ready slot is still as it was made, for the price of one system call.
 *
 * A socket inside it hears of every change of its interfaces, addresses, routes and neighbours. When there is nothing to be
 * read there was none. What the kernel tells by itself some time after a slot was made is read and passed over: that its
 * interface has found its carrier, and what comes with an automatic IPv6 address.
 */
#include "config.h"

#include "router.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "kernel-private.h"
#include "macros.h"

#define GROUP(n) (1U << ((n)-1))

/* Low numbers stay free: libnftables waits by select(), which knows none above FD_SETSIZE. */
static int
move_up(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_SETSIZE);

	if (high < 0)
		return fd;
	close(fd);
	return high;
}

int
slot_watch_take(struct rtnl **r, int *ret, struct error *e)
{
	struct sockaddr_nl address;
	socklen_t size = sizeof(address);
	int fd = rtnl_fd(*r);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return error_errno(e, errno, "cannot watch a slot");
	address.nl_groups = GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_NEIGH) | GROUP(RTNLGRP_IPV4_IFADDR) |
			    GROUP(RTNLGRP_IPV4_ROUTE) | GROUP(RTNLGRP_IPV6_IFADDR) | GROUP(RTNLGRP_IPV6_ROUTE);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(e, errno, "cannot watch a slot");
	*ret = move_up(rtnl_take_fd(*r));
	*r = NULL;
	return 0;
}

int
slot_watch_open(struct kernel *k, int netns_fd, int *ret, struct error *e)
{
	CLEANUP(rtnl_closep) struct rtnl *r = NULL;
	int err = router_rtnl(k, netns_fd, &r, e);

	return err < 0 ? err : slot_watch_take(&r, ret, e);
}

static bool
is_automatic(const uint8_t *address)
{
	return (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) || address[0] == 0xff;
}

/* Is the attribute an IPv6 address that the kernel makes by itself? */
static bool
has_automatic(const struct nlmsghdr *m, size_t header, int family, uint16_t type)
{
	struct nlattr *a;

	if (family != AF_INET6)
		return false;
	mnl_attr_for_each (a, m, header)
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) == 16)
			return is_automatic(mnl_attr_get_payload(a));
	return false;
}

/* The local route of the slot's own IPv6 address: the kernel's comes late, that of slot.c goes in time. */
static bool
is_own_local_route(const struct nlmsghdr *m, const struct slot_plan *p)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(m);
	const struct prefix *own = p->has_inner6 ? &p->inner6 : &p->slot6;
	struct nlattr *a;

	if (header->rtm_family != AF_INET6 || header->rtm_table != RT_TABLE_LOCAL || !p->has6 ||
	    (m->nlmsg_type == RTM_DELROUTE && header->rtm_protocol != ROUTE_PROTOCOL))
		return false;
	mnl_attr_for_each (a, m, sizeof(*header))
		if (mnl_attr_get_type(a) == RTA_DST && mnl_attr_get_payload_len(a) == 16)
			return memcmp(mnl_attr_get_payload(a), own->address, 16) == 0;
	return false;
}

static bool
is_link_as_planned(const struct nlmsghdr *m, const struct slot_plan *p)
{
	struct link_info info;

	return link_info_parse(m, &info) == 0 && info.ifindex == SLOT_IFINDEX && info.up && info.mtu == p->mtu &&
	       strcmp(info.name, p->interface) == 0 && memcmp(info.mac, p->slot_mac, sizeof(info.mac)) == 0;
}

static bool
is_harmless(const struct nlmsghdr *m, const struct slot_plan *p)
{
	const void *header = mnl_nlmsg_get_payload(m);

	switch (m->nlmsg_type) {
	case RTM_NEWLINK:
		return is_link_as_planned(m, p);
	case RTM_NEWADDR:
		return has_automatic(m, sizeof(struct ifaddrmsg), ((const struct ifaddrmsg *)header)->ifa_family,
				     IFA_ADDRESS);
	case RTM_NEWROUTE:
		return has_automatic(m, sizeof(struct rtmsg), ((const struct rtmsg *)header)->rtm_family, RTA_DST) ||
		       is_own_local_route(m, p);
	case RTM_DELROUTE:
		return is_own_local_route(m, p);
	case RTM_NEWNEIGH:
		return has_automatic(m, sizeof(struct ndmsg), ((const struct ndmsg *)header)->ndm_family, NDA_DST);
	default:
		return false;
	}
}

bool
slot_watch_is_quiet(int fd, const struct slot_plan *p)
{
	_Alignas(struct nlmsghdr) char datagram[8192];
	ssize_t n;

	while ((n = recv(fd, datagram, sizeof(datagram), MSG_DONTWAIT | MSG_TRUNC)) > 0) {
		const struct nlmsghdr *m = (const struct nlmsghdr *)(const void *)datagram;
		int left = (int)n;
		if ((size_t)n > sizeof(datagram))
			return false;
		for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left))
			if (!is_harmless(m, p))
				return false;
	}
	return n < 0 && errno == EAGAIN;
}
