/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces as the kernel shows them: one, all, or what an event carries. */
#include "config.h"

#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>

#include "macros.h"

#define CARRIER_PAUSE_US 200
#define CARRIER_PAUSES 5000

/* A string of the kernel; any byte is possible in a name, so all but printable ASCII is shown as '?'. */
static void
copy_text(const struct nlattr *a, char *ret, size_t size)
{
	const char *text = mnl_attr_get_payload(a);
	size_t length = strnlen(text, mnl_attr_get_payload_len(a));
	if (length >= size)
		length = size - 1;
	for (size_t i = 0; i < length; i++)
		ret[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	ret[length] = '\0';
}

static void
read_kind(const struct nlattr *info, struct link_info *ret)
{
	struct nlattr *a;
	mnl_attr_for_each_nested (a, info)
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
			copy_text(a, ret->kind, sizeof(ret->kind));
}

static void
read_counters(const struct nlattr *a, struct link_info *ret)
{
	struct rtnl_link_stats64 s;
	size_t n = mnl_attr_get_payload_len(a); /* the kernel appends fields */
	memset(&s, 0, sizeof(s));
	memcpy(&s, mnl_attr_get_payload(a), n < sizeof(s) ? n : sizeof(s));
	ret->counters = (struct counters){
		.rx_bytes = (int64_t)s.rx_bytes,
		.rx_packets = (int64_t)s.rx_packets,
		.rx_errors = (int64_t)s.rx_errors,
		.rx_dropped = (int64_t)s.rx_dropped,
		.tx_bytes = (int64_t)s.tx_bytes,
		.tx_packets = (int64_t)s.tx_packets,
		.tx_errors = (int64_t)s.tx_errors,
		.tx_dropped = (int64_t)s.tx_dropped,
	};
	ret->has_counters = true;
}

static void
read_number(const struct nlattr *a, void *ret)
{
	if (mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
		memcpy(ret, mnl_attr_get_payload(a), sizeof(uint32_t));
}

static void
read_attribute(const struct nlattr *a, struct link_info *ret)
{
	switch (mnl_attr_get_type(a)) {
	case IFLA_IFNAME:
		copy_text(a, ret->name, sizeof(ret->name));
		break;
	case IFLA_LINKINFO:
		read_kind(a, ret);
		break;
	case IFLA_ADDRESS:
		ret->has_mac = mnl_attr_get_payload_len(a) == sizeof(ret->mac);
		if (ret->has_mac)
			memcpy(ret->mac, mnl_attr_get_payload(a), sizeof(ret->mac));
		break;
	case IFLA_MTU:
		read_number(a, &ret->mtu);
		break;
	case IFLA_GROUP:
		read_number(a, &ret->group);
		break;
	case IFLA_LINK:
		read_number(a, &ret->peer_ifindex);
		break;
	case IFLA_LINK_NETNSID:
		read_number(a, &ret->peer_nsid);
		break;
	case IFLA_MASTER:
		read_number(a, &ret->master);
		break;
	case IFLA_STATS64:
		read_counters(a, ret);
		break;
	default:
		break;
	}
}

int
link_info_parse(const struct nlmsghdr *m, struct link_info *ret)
{
	if (m->nlmsg_type != RTM_NEWLINK && m->nlmsg_type != RTM_DELLINK)
		return -EINVAL;
	if (mnl_nlmsg_get_payload_len(m) < sizeof(struct ifinfomsg))
		return -EINVAL;
	const struct ifinfomsg *header = mnl_nlmsg_get_payload(m);
	if (header->ifi_family !=
	    AF_UNSPEC) /* a bridge's view of its port, say, of which "gone" means no port any more */
		return -EINVAL;

	struct link_info info = {
		.ifindex = header->ifi_index,
		.up = header->ifi_flags & IFF_UP,
		.running = header->ifi_flags & IFF_RUNNING,
		.peer_nsid = -1,
	};
	struct nlattr *a;
	mnl_attr_for_each (a, m, sizeof(*header))
		read_attribute(a, &info);
	if (header->ifi_type != ARPHRD_ETHER)
		info.has_mac = false;
	*ret = info;
	return 0;
}

static int
read_one(const struct nlmsghdr *m, void *arg)
{
	return link_info_parse(m, arg);
}

int
link_get(struct rtnl *r, int ifindex, const char *name, struct link_info *ret, struct error *e)
{
	char what[80];
	if (ifindex > 0)
		snprintf(what, sizeof(what), "interface %d", ifindex);
	else
		snprintf(what, sizeof(what), "interface %s", name);

	void *header;
	struct nlmsghdr *m = rtnl_message(r, RTM_GETLINK, 0, sizeof(struct ifinfomsg), &header, what);
	if (ifindex > 0)
		((struct ifinfomsg *)header)->ifi_index = ifindex;
	else
		mnl_attr_put_strz(m, IFLA_IFNAME, name);
	mnl_attr_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);

	struct link_info info = { 0 };
	struct error refusal = { 0 };
	int err = rtnl_query(r, read_one, NULL, &info, &refusal);
	if (err == -ENODEV) {
		error_set(e, ERROR_NOT_FOUND, NULL, "there is no %s", what);
		return -ENODEV;
	}
	if (err < 0) {
		if (e)
			*e = refusal;
		return err;
	}
	*ret = info;
	return 0;
}

/* From Linux 6.8 on the question makes the kernel take note, so that it is asked but once. */
int
link_await_carrier(struct rtnl *r, int ifindex, struct error *e)
{
	const struct timespec pause = { .tv_nsec = CARRIER_PAUSE_US * 1000 };
	struct link_info info = { 0 };
	int err = link_get(r, ifindex, NULL, &info, e);

	for (unsigned i = 0; i < CARRIER_PAUSES && err == 0 && !info.running; i++) {
		nanosleep(&pause, NULL);
		err = link_get(r, ifindex, NULL, &info, e);
	}
	if (err == 0 && !info.running)
		return error_set(e, ERROR_TIMED_OUT, NULL, "interface %s has not got a carrier for a second",
				 info.name);
	return err;
}

struct walk {
	bool counters;
	int (*fn)(const struct link_info *i, void *arg);
	void (*restart)(void *arg);
	void *arg;
};

static int
walk_one(const struct nlmsghdr *m, void *arg)
{
	const struct walk *w = arg;
	struct link_info info;
	if (link_info_parse(m, &info) < 0)
		return 0;
	info.has_counters &= w->counters;
	return w->fn(&info, w->arg);
}

static void
walk_restart(void *arg)
{
	const struct walk *w = arg;
	if (w->restart)
		w->restart(w->arg);
}

int
link_dump(struct rtnl *r, bool counters, int (*fn)(const struct link_info *i, void *arg), void (*restart)(void *arg),
	  void *arg, struct error *e)
{
	void *header;
	struct nlmsghdr *m = rtnl_message(r, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg), &header, "interfaces");
	mnl_attr_put_u32(m, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS); /* IPv6 has more of its own */

	struct walk w = { .counters = counters, .fn = fn, .restart = restart, .arg = arg };
	return rtnl_query(r, walk_one, walk_restart, &w, e);
}
