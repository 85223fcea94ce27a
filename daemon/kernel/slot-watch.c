/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a ready slot is still as it was made, for the price of one system call.
 *
 * A socket inside it hears of every change of its interfaces, addresses, routes and neighbours. When there is nothing to be
 * read there was none. What the kernel tells by itself some time after a slot was made is read and passed over: that its
 * interface has found its carrier, what comes with an automatic IPv6 address, and that it has taken up the slot's own one and
 * has no more use for the route that stood in for it (slot.c).
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

static bool
is_own(const uint8_t *address, const struct slot_plan *p)
{
	return p->has6 && memcmp(address, p->has_inner6 ? p->inner6.address : p->slot6.address, 16) == 0;
}

/* The IPv6 address that is the attribute `type`, or NULL. */
static const uint8_t *
address_of(const struct nlmsghdr *m, size_t header, int family, uint16_t type)
{
	struct nlattr *a;

	if (family != AF_INET6)
		return NULL;
	mnl_attr_for_each (a, m, header)
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) == 16)
			return mnl_attr_get_payload(a);
	return NULL;
}

static bool
is_harmless_address(const struct nlmsghdr *m, const struct slot_plan *p)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(m);
	const uint8_t *address = address_of(m, sizeof(*header), header->ifa_family, IFA_ADDRESS);

	return address && (is_automatic(address) || (is_own(address, p) && header->ifa_index == SLOT_IFINDEX));
}

static bool
is_harmless_route(const struct nlmsghdr *m, const struct slot_plan *p)
{
	const struct rtmsg *header = mnl_nlmsg_get_payload(m);
	const uint8_t *address = address_of(m, sizeof(*header), header->rtm_family, RTA_DST);

	if (!address)
		return false;
	bool own = is_own(address, p) && header->rtm_type == RTN_LOCAL && header->rtm_table == RT_TABLE_LOCAL;
	if (m->nlmsg_type == RTM_DELROUTE)
		return own && header->rtm_protocol == ROUTE_PROTOCOL;
	return own || is_automatic(address);
}

static bool
is_harmless_neighbour(const struct nlmsghdr *m)
{
	const struct ndmsg *header = mnl_nlmsg_get_payload(m);
	const uint8_t *address = address_of(m, sizeof(*header), header->ndm_family, NDA_DST);

	return address && is_automatic(address);
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
	switch (m->nlmsg_type) {
	case RTM_NEWLINK:
		return is_link_as_planned(m, p);
	case RTM_NEWADDR:
		return is_harmless_address(m, p);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return is_harmless_route(m, p);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		return is_harmless_neighbour(m);
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
