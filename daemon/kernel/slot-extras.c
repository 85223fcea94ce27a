/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a slot may have beside its own interface: a tap, and limits of its traffic.
 *
 * Limits stand in the router, where the slot cannot undo them. What it receives is delayed by a tbf on its end there. What it
 * sends is led through an ifb with a tbf of its own: policing would drop instead of delay, and not every kernel has it.
 */
#include "config.h"

#include "router.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>

#include "kernel-private.h"
#include "macros.h"

#define IFB_OFFSET 1000 /* its ifindex, from that of the end it belongs to */
#define INGRESS 0xffff0000U
#define BURST_DEFAULT (64 * 1024)
#define FRAME_ROOM 64 /* around what the MTU counts */
#define QUEUE_MS 50

/* ---- tap ---- */

/* The tap lives as long as *ret is open, until it is told to stay. */
static int
open_tap(const struct tap_plan *t, int *ret, struct error *e)
{
	struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL) };
	CLEANUP(close_fd) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENODEV))
		return error_set(e, ERROR_NOT_SUPPORTED, "tap", "there is no /dev/net/tun (modprobe tun)");
	if (fd < 0)
		return error_errno(e, errno, "cannot open /dev/net/tun");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", t->interface);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return errno == EBUSY || errno == EEXIST ?
			       error_set(e, ERROR_NAME_TAKEN, "tap.interface", "the slot has an interface %s already",
					 t->interface) :
			       error_errno(e, errno, "cannot make tap %s", t->interface);
	if (t->owner >= 0 && ioctl(fd, TUNSETOWNER, (unsigned long)t->owner) < 0)
		return error_errno(e, errno, "cannot give tap %s to user %lld", t->interface, (long long)t->owner);
	*ret = TAKE_FD(fd);
	return 0;
}

/* Whoever has the tap speaks for a guest: its router advertisements and redirects are not to change the slot's routes. */
static int
guard_tap(struct kernel *k, int netns_fd, const struct tap_plan *t, struct error *e)
{
	static const char *const off[] = { "accept_ra", "accept_redirects" };
	const struct netns n = { .fd = netns_fd };
	bool has6 = false;
	int err = 0;

	if (!k->ipv6)
		return 0;
	for (unsigned i = 0; i < t->n_addresses; i++)
		has6 |= t->addresses[i].family == AF_INET6;
	if (!has6)
		err = interface_sysctl_set(k, &n, "ipv6", t->interface, "disable_ipv6", "1");
	for (size_t i = 0; i < ARRAY_SIZE(off) && err == 0; i++)
		err = interface_sysctl_set(k, &n, "ipv6", t->interface, off[i], "0");
	return err < 0 ? error_errno(e, -err, "cannot set up IPv6 on tap %s", t->interface) : 0;
}

static int
set_up_tap(struct rtnl *r, const struct tap_plan *t, struct error *e)
{
	struct link_info info;
	int err = link_get(r, 0, t->interface, &info, e);

	if (err < 0)
		return err;
	if (t->has_mac)
		link_put_mac(r, info.ifindex, t->mac, t->interface);
	for (unsigned i = 0; i < t->n_addresses; i++)
		address_put(r, info.ifindex, &t->addresses[i], true, t->interface);
	link_put_up(r, info.ifindex, true, t->interface);
	return rtnl_send(r, e);
}

int
slot_add_tap(struct kernel *k, int netns_fd, const struct tap_plan *t, struct error *e)
{
	CLEANUP(rtnl_closep) struct rtnl *r = NULL;
	CLEANUP(close_fd) int fd = -1;
	int err = kernel_enter(netns_fd);

	if (err < 0)
		return error_errno(e, -err, "cannot enter the slot");
	err = open_tap(t, &fd, e);
	if (err == 0)
		err = rtnl_open(&r, e);
	kernel_leave(k);
	if (err == 0)
		err = guard_tap(k, netns_fd, t, e);
	if (err == 0)
		err = set_up_tap(r, t, e);
	if (err == 0 && ioctl(fd, TUNSETPERSIST, 1L) < 0)
		err = error_errno(e, errno, "cannot keep tap %s", t->interface);
	return err;
}

/* ---- limits ---- */

static struct nlmsghdr *
start_tc(struct rtnl *r, uint16_t type, uint16_t flags, const struct tcmsg *header, const char *kind)
{
	void *extra;
	struct nlmsghdr *m = rtnl_message(r, type, flags, sizeof(*header), &extra, kind);

	memcpy(extra, header, sizeof(*header));
	mnl_attr_put_strz(m, TCA_KIND, kind);
	return m;
}

static uint32_t
at_most_32_bits(uint64_t n)
{
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* A packet longer than the burst would never pass, unless it is one that the kernel put together and can split. */
static void
put_tbf(struct rtnl *r, int ifindex, uint64_t bits, uint64_t burst, unsigned mtu)
{
	uint64_t rate = bits < 8 ? 1 : bits / 8;
	if (!burst)
		burst = rate / 100 > BURST_DEFAULT ? rate / 100 : BURST_DEFAULT;
	if (burst < mtu + FRAME_ROOM)
		burst = mtu + FRAME_ROOM;
	struct tc_tbf_qopt o = {
		.rate = { .linklayer = TC_LINKLAYER_ETHERNET, .rate = at_most_32_bits(rate) },
		.limit = at_most_32_bits(burst + rate * QUEUE_MS / 1000),
	};
	const struct tcmsg header = { .tcm_ifindex = ifindex, .tcm_parent = TC_H_ROOT, .tcm_handle = 1 << 16 };
	struct nlmsghdr *m = start_tc(r, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &header, "tbf");
	struct nlattr *options = mnl_attr_nest_start(m, TCA_OPTIONS);

	mnl_attr_put(m, TCA_TBF_PARMS, sizeof(o), &o);
	mnl_attr_put_u32(m, TCA_TBF_BURST, at_most_32_bits(burst));
	if (rate > UINT32_MAX)
		mnl_attr_put_u64(m, TCA_TBF_RATE64, rate);
	mnl_attr_nest_end(m, options);
}

static void
put_ifb(struct rtnl *r, int ifindex)
{
	void *extra;
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "ifb%d", ifindex);
	struct nlmsghdr *m =
		rtnl_message(r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg), &extra, name);
	struct ifinfomsg *header = extra;
	header->ifi_index = ifindex;
	header->ifi_flags = header->ifi_change = IFF_UP;
	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	mnl_attr_put_u32(m, IFLA_NUM_TX_QUEUES, 1);
	struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "ifb");
	mnl_attr_nest_end(m, info);
}

/* Everything that comes in goes to the ifb. */
static void
put_redirection(struct rtnl *r, int ifindex, int to)
{
	/* One key that compares nothing stands behind the head. */
	_Alignas(struct tc_u32_sel) uint8_t all[sizeof(struct tc_u32_sel) + sizeof(struct tc_u32_key)] = { 0 };
	struct tc_u32_sel *sel = (struct tc_u32_sel *)(void *)all;
	struct tc_mirred mirred = { .action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to };

	sel->flags = TC_U32_TERMINAL;
	sel->nkeys = 1;
	const struct tcmsg qdisc = { .tcm_ifindex = ifindex, .tcm_parent = TC_H_INGRESS, .tcm_handle = INGRESS };
	const struct tcmsg filter = { .tcm_ifindex = ifindex,
				      .tcm_parent = INGRESS,
				      .tcm_info = 1 << 16 | htons(ETH_P_ALL) };
	start_tc(r, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &qdisc, "ingress");
	struct nlmsghdr *m = start_tc(r, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &filter, "u32");
	struct nlattr *options = mnl_attr_nest_start(m, TCA_OPTIONS);
	mnl_attr_put(m, TCA_U32_SEL, sizeof(all), all);
	struct nlattr *actions = mnl_attr_nest_start(m, TCA_U32_ACT);
	struct nlattr *action = mnl_attr_nest_start(m, 1);
	mnl_attr_put_strz(m, TCA_ACT_KIND, "mirred");
	struct nlattr *parameters = mnl_attr_nest_start(m, TCA_ACT_OPTIONS);
	mnl_attr_put(m, TCA_MIRRED_PARMS, sizeof(mirred), &mirred);
	mnl_attr_nest_end(m, parameters);
	mnl_attr_nest_end(m, action);
	mnl_attr_nest_end(m, actions);
	mnl_attr_nest_end(m, options);
}

/* An ifb that a slot before has left is as good as a new one. */
static int
find_ifb(struct rtnl *r, int ifindex, bool *ret, struct error *e)
{
	struct link_info found;
	struct error why = { 0 };
	int err = link_get(r, ifindex, NULL, &found, &why);

	*ret = err == 0;
	if (err == 0 && strcmp(found.kind, "ifb") != 0)
		return error_set(e, ERROR_NAME_TAKEN, NULL, "interface %s of the router has the number %d already",
				 found.name, ifindex);
	if (err < 0 && err != -ENODEV) {
		if (e)
			*e = why;
		return err;
	}
	return 0;
}

/* The interface goes on without. */
static void
undo_limits(struct rtnl *r, int ifindex)
{
	static const uint32_t parents[] = { TC_H_ROOT, TC_H_INGRESS };

	slot_unlimit(r, ifindex, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(parents); i++) {
		void *extra;
		rtnl_message(r, RTM_DELQDISC, 0, sizeof(struct tcmsg), &extra, "qdisc");
		((struct tcmsg *)extra)->tcm_ifindex = ifindex;
		((struct tcmsg *)extra)->tcm_parent = parents[i];
	}
	rtnl_send(r, NULL);
}

int
slot_limit(struct rtnl *router, int router_ifindex, uint64_t send, uint64_t send_burst, uint64_t receive,
	   uint64_t receive_burst, struct error *e)
{
	int ifb = router_ifindex + IFB_OFFSET;
	struct error why = { 0 };
	struct link_info end;
	bool has_ifb = false;
	int err = link_get(router, router_ifindex, NULL, &end, e);

	if (err == 0 && send)
		err = find_ifb(router, ifb, &has_ifb, e);
	if (err < 0)
		return err;
	if (receive)
		put_tbf(router, router_ifindex, receive, receive_burst, end.mtu);
	if (send && !has_ifb)
		put_ifb(router, ifb);
	if (send) {
		put_tbf(router, ifb, send, send_burst, end.mtu);
		put_redirection(router, router_ifindex, ifb);
	}
	err = rtnl_send(router, &why);
	if (err == 0)
		return 0;
	undo_limits(router, router_ifindex);
	if (err == -ENOENT || err == -EOPNOTSUPP) /* a kind of something that is not there */
		return error_set(e, ERROR_NOT_SUPPORTED, "rate",
				 "limits need tbf in the kernel, and for sending ifb, ingress, u32 and mirred, too: %s",
				 why.text);
	if (e)
		*e = why;
	return err;
}

int
slot_unlimit(struct rtnl *router, int router_ifindex, struct error *e)
{
	return link_delete(router, router_ifindex + IFB_OFFSET, e);
}
