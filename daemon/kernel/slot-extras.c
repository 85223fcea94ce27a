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
#define BURST_MIN (64 * 1024)
#define QUEUE_MS 50

/* ---- tap ---- */

static int
create_tap(const struct tap_plan *t, struct error *e)
{
	struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL) };
	CLEANUP(close_fd) int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return error_errno(e, errno, "cannot open /dev/net/tun");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", t->interface);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		return errno == EBUSY || errno == EEXIST ?
			       error_set(e, ERROR_NAME_TAKEN, "tap.interface", "the slot has an interface %s already",
					 t->interface) :
			       error_errno(e, errno, "cannot make tap %s", t->interface);
	if ((t->owner >= 0 && ioctl(fd, TUNSETOWNER, (unsigned long)t->owner) < 0) || ioctl(fd, TUNSETPERSIST, 1L) < 0)
		return error_errno(e, errno, "cannot set tap %s up", t->interface);
	return 0;
}

int
slot_add_tap(struct kernel *k, int netns_fd, const struct tap_plan *t, struct error *e)
{
	CLEANUP(rtnl_closep) struct rtnl *r = NULL;
	struct link_info info;
	int err = kernel_enter(netns_fd);

	if (err < 0)
		return error_errno(e, -err, "cannot enter the slot");
	err = create_tap(t, e);
	if (err == 0)
		err = rtnl_open(&r, e);
	kernel_leave(k);
	if (err == 0)
		err = link_get(r, 0, t->interface, &info, e);
	if (err < 0)
		return err;
	if (t->has_mac)
		link_put_mac(r, info.ifindex, t->mac, t->interface);
	for (unsigned i = 0; i < t->n_addresses; i++)
		address_put(r, info.ifindex, &t->addresses[i], true, t->interface);
	link_put_up(r, info.ifindex, true, t->interface);
	return rtnl_send(r, e);
}

/* ---- limits ---- */

static struct nlmsghdr *
start_tc(struct rtnl *r, uint16_t type, int ifindex, uint32_t parent, uint32_t handle, uint32_t info, const char *kind,
	 const char *what)
{
	void *extra;
	struct nlmsghdr *m = rtnl_message(r, type, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct tcmsg), &extra, what);
	struct tcmsg *header = extra;

	header->tcm_family = AF_UNSPEC;
	header->tcm_ifindex = ifindex;
	header->tcm_parent = parent;
	header->tcm_handle = handle;
	header->tcm_info = info;
	mnl_attr_put_strz(m, TCA_KIND, kind);
	return m;
}

/* A packet longer than the burst never passes, and is split where it is one that the kernel put together. */
static void
put_tbf(struct rtnl *r, int ifindex, uint64_t bits, uint64_t burst)
{
	uint64_t rate = bits / 8;
	if (!burst)
		burst = rate / 100 > BURST_MIN ? rate / 100 : BURST_MIN;
	uint64_t limit = burst + rate * QUEUE_MS / 1000;
	struct tc_tbf_qopt o = {
		.rate = { .linklayer = TC_LINKLAYER_ETHERNET, .rate = rate > UINT32_MAX ? UINT32_MAX : (uint32_t)rate },
		.limit = limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit,
	};
	struct nlmsghdr *m = start_tc(r, RTM_NEWQDISC, ifindex, TC_H_ROOT, 1 << 16, 0, "tbf", "limit");
	struct nlattr *options = mnl_attr_nest_start(m, TCA_OPTIONS);

	mnl_attr_put(m, TCA_TBF_PARMS, sizeof(o), &o);
	mnl_attr_put_u32(m, TCA_TBF_BURST, (uint32_t)burst);
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
	start_tc(r, RTM_NEWQDISC, ifindex, TC_H_INGRESS, 0xffff0000, 0, "ingress", "limit of what is sent");
	struct nlmsghdr *m = start_tc(r, RTM_NEWTFILTER, ifindex, 0xffff0000, 0, 1 << 16 | htons(ETH_P_ALL), "u32",
				      "limit of what is sent");
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

int
slot_limit(struct rtnl *router, int router_ifindex, uint64_t send, uint64_t send_burst, uint64_t receive,
	   uint64_t receive_burst, struct error *e)
{
	int ifb = router_ifindex + IFB_OFFSET;

	if (receive)
		put_tbf(router, router_ifindex, receive, receive_burst);
	if (send) {
		put_ifb(router, ifb);
		put_tbf(router, ifb, send, send_burst);
		put_redirection(router, router_ifindex, ifb);
	}
	int err = rtnl_send(router, e);
	if (err < 0 && send)
		slot_unlimit(router, router_ifindex, NULL);
	return err == -ENOENT || err == -EOPNOTSUPP ?
		       error_set(
			       e, ERROR_NOT_SUPPORTED, "rate",
			       "this kernel lacks what limits need: tbf, and ifb, ingress, u32 and mirred for sending") :
		       err;
}

int
slot_unlimit(struct rtnl *router, int router_ifindex, struct error *e)
{
	return link_delete(router, router_ifindex + IFB_OFFSET, e);
}
