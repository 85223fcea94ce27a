/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Router namespaces and the slots on them: what is made in the kernel for a network. The caller has computed every number. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "link.h"
#include "names.h"
#include "netns.h"

/* Of a slot's own interface, inside: behind lo and what tunnel modules put into every new namespace
 * (net.core.fb_tunnels_only_for_init_net). */
#define SLOT_IFINDEX 100

/* One veth between a slot (or a shard) and its router. */
struct slot_plan {
	char router_interface[16];
	int router_ifindex;
	uint8_t router_mac[6], slot_mac[6];
	char interface[16]; /* inside the slot */
	unsigned mtu;
	bool has4, has6;
	struct prefix router4, slot4; /* /31 */
	struct prefix router6, slot6; /* /127 */
	/* Inside every slot of some networks is the same address: then the slot gets inner4 and routes by inner_gateway4, a
	 * neighbour that is not really there, and the router a route to slot4 by its interface. */
	bool has_inner4, has_inner6;
	struct prefix inner4, inner_gateway4;
	struct prefix inner6, inner_gateway6;
	const struct pairs *sysctls; /* of the slot; NULL: none */
};

/* Makes one slot: namespace, veth born on both sides, lo, addresses, routes, permanent neighbours, the router's end up last.
 * `router` is the router's socket. Nothing but `ret`, its socket included, holds it. Packets pass both ways from then on. On
 * failure nothing stays behind; ERROR_NAME_TAKEN when the router has an interface of that name or number. */
int slot_make(struct kernel *k, struct rtnl *router, const struct slot_plan *p, struct netns *ret, struct error *e);

/* A watch on a slot: a socket that hears of every change inside, until it is closed; it holds the namespace. Of the socket by
 * which a slot was made (slot_watch_take(); *r is consumed on success), or a new one. */
int slot_watch_take(struct rtnl **r, int *ret, struct error *e);
int slot_watch_open(struct kernel *k, int netns_fd, int *ret, struct error *e);
/* Has nothing changed since the watch began, but what the kernel does by itself? Never waits, takes no lock. */
bool slot_watch_is_quiet(int fd, const struct slot_plan *p);

/* Compares a slot with its plan from the inside: interface, addresses, default routes, neighbours, lo, no other interface.
 * Differences in words in `text` ("" for none). */
int slot_verify(struct kernel *k, int netns_fd, const struct slot_plan *p, char *text, size_t size, struct error *e);

/* Extras of one slot. */
struct tap_plan {
	char interface[16];
	int64_t owner; /* uid; -1: root only */
	bool has_mac;
	uint8_t mac[6];
	const struct prefix *addresses;
	unsigned n_addresses;
};
/* Makes a tap that stays, up, with no IPv6 but what its addresses ask for. The calling thread must see /dev/net/tun. On
 * failure nothing stays behind. */
int slot_add_tap(struct kernel *k, int netns_fd, const struct tap_plan *t, struct error *e);

/* Limits what a slot sends and receives, in its router. Bits a second and bytes; 0: no limit, burst 0: chosen, and never
 * less than one packet. ERROR_NOT_SUPPORTED names what the kernel lacks. On failure there are no limits. */
int slot_limit(struct rtnl *router, int router_ifindex, uint64_t send, uint64_t send_burst, uint64_t receive,
	       uint64_t receive_burst, struct error *e);

/* Takes away what slot_limit() left in the router for sending; the rest goes with the interface. Nothing there: 0. */
int slot_unlimit(struct rtnl *router, int router_ifindex, struct error *e);

/* A router between two namespaces: its uplink. */
struct router_plan {
	bool root;	     /* its uplink goes to the host; else to the root router */
	char outside[16];    /* name of the uplink's far end: the host's interface, or shard<N> in the root router */
	int outside_ifindex; /* in the root router; 0: the kernel chooses */
	uint8_t outside_mac[6], inside_mac[6];
	unsigned mtu;
	bool has4, has6;
	struct prefix outside4, inside4; /* of a root: /31 out of the network. Of a shard: a link-local /31 */
	struct prefix outside6, inside6;
	struct prefix prefix4, prefix6; /* what lies behind it: routed there from outside */
	bool forward4, forward6;	/* root: the host is to forward between this uplink and other interfaces */
};

/* Makes a router with its uplink and everything that holds for all its slots: forwarding, no redirects, no router
 * advertisements taken, IPv6 off for new interfaces where the network has none. `outside` is the root router for a shard,
 * NULL for the host. The uplink's host end carries LINK_GROUP, takes no router advertisements, and has IPv6 off without a v6
 * prefix. On failure nothing stays behind. *outside_ifindex is the uplink's far end. */
int router_make(struct kernel *k, struct netns *outside, const struct router_plan *p, struct netns *ret,
		int *outside_ifindex, struct error *e);

/* Removes a router's uplink from outside (`outside` as above) by interface name, when it has LINK_GROUP and that MAC. Absent:
 * 0. The router goes with its last pin. */
int router_remove_uplink(struct kernel *k, struct netns *outside, const struct router_plan *p, struct error *e);

/* Is the uplink there, up, with its addresses and routes on both sides? Puts back what is missing; -ENODEV when the interface
 * itself is gone. `text`: what was missing. */
int router_restore(struct kernel *k, struct netns *outside, struct netns *router, const struct router_plan *p,
		   char *text, size_t size, struct error *e);

/* Does a route of the host (main and local tables, default routes excepted) or an address overlap the prefix? Then its
 * words ("10.0.0.0/8 dev eth0") in `text`, else "". `except` is an interface whose routes do not count (NULL: none). */
int host_route_overlap(struct kernel *k, const struct prefix *p, const char *except, char *text, size_t size,
		       struct error *e);

/* A socket for the calling thread in a router; the caller closes it (rtnl_close). */
int router_rtnl(struct kernel *k, int router_fd, struct rtnl **ret, struct error *e);

/* Events of one router: EVENT_LINK for ends that are down or lost their carrier, EVENT_LINK_GONE, EVENT_NSID_GONE,
 * EVENT_OVERRUN; everything else is dropped by a filter in the kernel. Read with events_read(). */
struct events;
int router_events_open(struct kernel *k, int router_fd, struct events **ret, struct error *e);

/* Sets the group of ends and removes all of that group in one request: cheaper by far than one by one. For slots whose
 * namespace something holds although it was released. */
int router_cut(struct rtnl *router, const int *ifindexes, unsigned n, struct error *e);
