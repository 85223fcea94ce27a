/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses of interfaces. */
#include "config.h"

#include "link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "macros.h"

#define AWAIT_PAUSE_US 500
#define AWAIT_PAUSES 2000

static size_t
address_size(int family)
{
	return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

/* The broadcast address of a v4 prefix, all host bits set. */
static uint32_t
broadcast_of(const struct prefix *p)
{
	uint32_t address;
	memcpy(&address, p->address, sizeof(address));
	return address | htonl(UINT32_MAX >> p->length);
}

void
address_put(struct rtnl *r, int ifindex, const struct prefix *p, bool add, const char *name)
{
	char what[80], text[INET6_ADDRSTRLEN + 4];
	prefix_format(p, text);
	snprintf(what, sizeof(what), "address %s on %s", text, name);

	void *extra;
	uint16_t flags = add ? NLM_F_CREATE | NLM_F_REPLACE : 0;
	struct nlmsghdr *m =
		rtnl_message(r, add ? RTM_NEWADDR : RTM_DELADDR, flags, sizeof(struct ifaddrmsg), &extra, what);
	struct ifaddrmsg *header = extra;
	header->ifa_family = (uint8_t)p->family;
	header->ifa_prefixlen = (uint8_t)p->length;
	header->ifa_index = (uint32_t)ifindex;

	mnl_attr_put(m, IFA_LOCAL, address_size(p->family), p->address);
	mnl_attr_put(m, IFA_ADDRESS, address_size(p->family), p->address);
	if (!add)
		return;
	if (p->family == AF_INET6)
		header->ifa_flags = IFA_F_NODAD; /* usable at once; there is nobody else on the wire to ask */
	else if (p->length < 31)
		mnl_attr_put_u32(m, IFA_BROADCAST, broadcast_of(p));
}

int
address_parse(const struct nlmsghdr *m, int *ifindex, struct prefix *ret)
{
	if (m->nlmsg_type != RTM_NEWADDR && m->nlmsg_type != RTM_DELADDR)
		return -EINVAL;
	if (mnl_nlmsg_get_payload_len(m) < sizeof(struct ifaddrmsg))
		return -EINVAL;
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(m);
	if (header->ifa_family != AF_INET && header->ifa_family != AF_INET6)
		return -EINVAL;

	struct prefix p = { .family = header->ifa_family, .length = header->ifa_prefixlen };
	size_t size = address_size(p.family);
	bool found = false, local = false; /* with a peer, IFA_ADDRESS is the peer's and IFA_LOCAL ours */
	struct nlattr *a;
	mnl_attr_for_each (a, m, sizeof(*header)) {
		unsigned type = mnl_attr_get_type(a);
		if ((type != IFA_LOCAL && (type != IFA_ADDRESS || local)) || mnl_attr_get_payload_len(a) != size)
			continue;
		memcpy(p.address, mnl_attr_get_payload(a), size);
		found = true;
		local = type == IFA_LOCAL;
	}
	if (!found)
		return -EINVAL;
	*ifindex = (int)header->ifa_index;
	*ret = p;
	return 0;
}

struct walk {
	int ifindex;
	int (*fn)(int ifindex, const struct prefix *p, void *arg);
	void *arg;
};

static int
walk_one(const struct nlmsghdr *m, void *arg)
{
	const struct walk *w = arg;
	struct prefix p;
	int ifindex;
	if (address_parse(m, &ifindex, &p) < 0 || (w->ifindex > 0 && ifindex != w->ifindex))
		return 0;
	return w->fn(ifindex, &p, w->arg);
}

int
address_dump(struct rtnl *r, int ifindex, int (*fn)(int ifindex, const struct prefix *p, void *arg), void *arg,
	     struct error *e)
{
	void *extra;
	rtnl_message(r, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg), &extra, "addresses");
	((struct ifaddrmsg *)extra)->ifa_index = (uint32_t)(ifindex > 0 ? ifindex : 0);

	struct walk w = { .ifindex = ifindex, .fn = fn, .arg = arg };
	return rtnl_query(r, walk_one, NULL, &w, e);
}

static int
read_type(const struct nlmsghdr *m, void *arg)
{
	if (m->nlmsg_type == RTM_NEWROUTE && mnl_nlmsg_get_payload_len(m) >= sizeof(struct rtmsg))
		*(bool *)arg = ((const struct rtmsg *)mnl_nlmsg_get_payload(m))->rtm_type == RTN_LOCAL;
	return 0;
}

/* Where would a packet for it go? Before it has its own route, another may answer, or none. */
static bool
is_local(struct rtnl *r, const struct prefix *p)
{
	void *extra;
	struct nlmsghdr *m = rtnl_message(r, RTM_GETROUTE, 0, sizeof(struct rtmsg), &extra, "route");
	struct rtmsg *header = extra;
	header->rtm_family = (uint8_t)p->family;
	header->rtm_dst_len = (uint8_t)(8 * address_size(p->family));
	mnl_attr_put(m, RTA_DST, address_size(p->family), p->address);

	bool local = false;
	return rtnl_query(r, read_type, NULL, &local, NULL) == 0 && local;
}

int
address_await(struct rtnl *r, const struct prefix *p, struct error *e)
{
	const struct timespec pause = { .tv_nsec = AWAIT_PAUSE_US * 1000 };
	char text[INET6_ADDRSTRLEN + 4];

	for (unsigned i = 0; i < AWAIT_PAUSES; i++) {
		if (is_local(r, p))
			return 0;
		nanosleep(&pause, NULL);
	}
	prefix_format(p, text);
	return error_set(e, ERROR_TIMED_OUT, NULL, "the kernel has not taken up the address %s for a second", text);
}
