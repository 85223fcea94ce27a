/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Permanent neighbours on interfaces. */
#include "config.h"

#include "link.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "macros.h"

#define MAC_SIZE 6

static size_t
address_size(int family)
{
	return family == AF_INET ? sizeof(struct in_addr) : sizeof(struct in6_addr);
}

void
neighbour_put(struct rtnl *r, int ifindex, const struct prefix *address, const uint8_t mac[6], const char *name)
{
	char what[80], text[INET6_ADDRSTRLEN + 4];
	prefix_format(address, text);
	snprintf(what, sizeof(what), "neighbour %s on %s", text, name);

	void *extra;
	struct nlmsghdr *m =
		rtnl_message(r, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct ndmsg), &extra, what);
	struct ndmsg *header = extra;
	header->ndm_family = (uint8_t)address->family;
	header->ndm_ifindex = ifindex;
	header->ndm_state = NUD_PERMANENT;
	mnl_attr_put(m, NDA_DST, address_size(address->family), address->address);
	mnl_attr_put(m, NDA_LLADDR, MAC_SIZE, mac);
}

struct walk {
	int ifindex;
	int (*fn)(const struct prefix *address, const uint8_t mac[6], void *arg);
	void *arg;
};

static int
walk_one(const struct nlmsghdr *m, void *arg)
{
	const struct walk *w = arg;
	if (m->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(m) < sizeof(struct ndmsg))
		return 0;
	const struct ndmsg *header = mnl_nlmsg_get_payload(m);
	if ((header->ndm_family != AF_INET && header->ndm_family != AF_INET6) || header->ndm_ifindex != w->ifindex ||
	    !(header->ndm_state & NUD_PERMANENT))
		return 0;

	struct prefix address = { .family = header->ndm_family, .length = header->ndm_family == AF_INET ? 32 : 128 };
	const uint8_t *mac = NULL;
	bool found = false;
	struct nlattr *a;
	mnl_attr_for_each (a, m, sizeof(*header)) {
		if (mnl_attr_get_type(a) == NDA_LLADDR && mnl_attr_get_payload_len(a) == MAC_SIZE)
			mac = mnl_attr_get_payload(a);
		if (mnl_attr_get_type(a) != NDA_DST || mnl_attr_get_payload_len(a) != address_size(address.family))
			continue;
		memcpy(address.address, mnl_attr_get_payload(a), address_size(address.family));
		found = true;
	}
	return found && mac ? w->fn(&address, mac, w->arg) : 0;
}

int
neighbour_dump(struct rtnl *r, int ifindex, int (*fn)(const struct prefix *address, const uint8_t mac[6], void *arg),
	       void *arg, struct error *e)
{
	void *extra;
	struct nlmsghdr *m = rtnl_message(r, RTM_GETNEIGH, NLM_F_DUMP, sizeof(struct ndmsg), &extra, "neighbours");
	mnl_attr_put_u32(m, NDA_IFINDEX, (uint32_t)ifindex);

	struct walk w = { .ifindex = ifindex, .fn = fn, .arg = arg };
	return rtnl_query(r, walk_one, NULL, &w, e);
}
