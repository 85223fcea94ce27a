/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces: make by kind, configure, look up, remove. Message builders append to a batch (rtnl.h) and do not send. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "names.h"
#include "netns.h"

/* Interfaces of nsd carry this group (IFLA_GROUP, "nsd" in ASCII): the tag by which udev rules, other software and nsd
 * itself know them. Costs nothing at creation and survives restarts. */
#define LINK_GROUP 0x6e7364

/* One end on its way into the kernel. */
struct link_site {
	const struct end *end;
	struct netns *netns; /* NULL: the host */
	uint8_t mac[6];	     /* all zero: the kernel chooses */
	int ifindex;	     /* 0: the kernel chooses; set by link_create() */
	unsigned index;	     /* of the end in its link, for errors */
};

/* A kind of link: one file and one const entry each. */
struct link_kind_ops {
	enum link_kind kind;
	const char *name; /* IFLA_INFO_KIND */
	unsigned ends;	  /* how many a link of this kind has */
	bool moves;	  /* its ends may be moved to another namespace */
	/* Appends what goes into IFLA_INFO_DATA of the first end; `peer` is the second one (NULL: there is none), and
	 * `peer_netns_fd` its namespace, -1 where that is the same. */
	void (*put_data)(struct nlmsghdr *m, const struct link_site *peer, int peer_netns_fd);
};

const struct link_kind_ops *link_kind_ops(enum link_kind kind); /* never NULL for a valid kind */
extern const struct link_kind_ops link_veth, link_bridge;

/* What every kind sets on each interface at creation: name, MTU, MAC, group, one queue each way; for put_data. */
void link_put_interface(struct nlmsghdr *m, const struct link_site *site);

/* Messages that belong right behind the creation, in the same batch: they configure the first interface, whose ifindex
 * was asked for and is `ifindex`. A negative return gives the batch up. */
struct link_sequel {
	int (*put)(struct rtnl *r, int ifindex, void *arg, struct error *e);
	void *arg;
};

/* Makes the interfaces of a link, down, directly where they belong, by one RTM_NEWLINK sent in the namespace of
 * sites[0] with names, MACs, MTU, group, one TX and one RX queue. ifindexes are filled in from the kernel's answer
 * (NLM_F_ECHO, before Linux 6.2 a look-up by name); the peer's comes with its end, so no other call is needed.
 * `sequel` may be NULL. It needs an ifindex in sites[0], and that must be free, as all are in a new namespace: where
 * the creation is refused, the kernel has still gone on to the sequel. ERROR_NAME_TAKEN names the interface, its field
 * is "ends[I].interface", I being the site's index. On failure no interface stays behind. */
int link_create(struct kernel *k, const struct link_kind_ops *ops, struct link_site *sites,
		const struct link_sequel *sequel, struct error *e);

/* Builders, for the socket of the namespace in which the interface lives. */
void link_put_up(struct rtnl *r, int ifindex, bool up, const char *name);
void link_put_mtu(struct rtnl *r, int ifindex, unsigned mtu, const char *name);
void link_put_mac(struct rtnl *r, int ifindex, const uint8_t mac[6], const char *name);
void link_put_name(struct rtnl *r, int ifindex, const char *from, const char *to); /* before 6.2: down */
void link_put_master(struct rtnl *r, int ifindex, int master, const char *name);   /* 0: none */
void link_put_netns(struct rtnl *r, int ifindex, int netns_fd, const char *name);  /* slow: about 20 ms */
void link_put_group(struct rtnl *r, int ifindex, unsigned group, const char *name);

/* Addresses: IFA_F_NODAD on v6, IFA_F_NOPREFIXROUTE never; broadcast set for v4 prefixes shorter than /31. Adding one
 * that is there already is a success. */
void address_put(struct rtnl *r, int ifindex, const struct prefix *p, bool add, const char *name);

/* Routes: table main, protocol ROUTE_PROTOCOL; "default" takes its family from the gateway, and is v4 without one.
 * Never replaces a route: adding one that is there gives ERROR_NAME_TAKEN. `e` is for values that cannot be sent. */
#define ROUTE_PROTOCOL 110
int route_put(struct rtnl *r, int ifindex, const struct route *route, bool add, const char *name, struct error *e);

/* Permanent neighbour. */
void neighbour_put(struct rtnl *r, int ifindex, const struct prefix *address, const uint8_t mac[6], const char *name);

/* The permanent neighbours on one interface. */
int neighbour_dump(struct rtnl *r, int ifindex,
		   int (*fn)(const struct prefix *address, const uint8_t mac[6], void *arg), void *arg,
		   struct error *e);

/* Removes an interface (its veth peer goes along); about 20 ms. By group: all of that group in one go, much cheaper for
 * many; refused for group 0, which is everybody's. -ENODEV is success. */
int link_delete(struct rtnl *r, int ifindex, struct error *e);
int link_delete_group(struct rtnl *r, unsigned group, struct error *e);

/* An interface as the kernel shows it, from an answer, a dump or an event (RTM_NEWLINK, RTM_DELLINK). */
struct link_info {
	int ifindex;
	char name[16]; /* bytes outside printable ASCII are shown as '?' */
	char kind[16]; /* IFLA_INFO_KIND, "" for none */
	uint8_t mac[6];
	bool has_mac;
	unsigned mtu, group;
	bool up, running;
	int peer_ifindex; /* IFLA_LINK; 0 none */
	int peer_nsid;	  /* IFLA_LINK_NETNSID; -1: same namespace or none */
	int master;	  /* 0 none */
	bool has_counters;
	struct counters counters;
};
int link_info_parse(const struct nlmsghdr *m, struct link_info *ret);

/* One interface by index (> 0) or by name; -ENODEV with ERROR_NOT_FOUND. */
int link_get(struct rtnl *r, int ifindex, const char *name, struct link_info *ret, struct error *e);

/* Waits until an interface that is up can send, its peer being up, too. One that came up without a carrier throws away what
 * it is given until the kernel has taken note of the carrier, which it does later. ERROR_TIMED_OUT after a second. */
int link_await_carrier(struct rtnl *r, int ifindex, struct error *e);

/* Every interface of the socket's namespace, with counters if asked for. */
int link_dump(struct rtnl *r, bool counters, int (*fn)(const struct link_info *i, void *arg),
	      void (*restart)(void *arg), void *arg, struct error *e);

/* Every address of the socket's namespace, or of one interface (ifindex > 0); link-local v6 included. */
int address_dump(struct rtnl *r, int ifindex, int (*fn)(int ifindex, const struct prefix *p, void *arg), void *arg,
		 struct error *e);
/* Waits until packets for an address of this namespace are taken in: IPv6 does so only once a work queue got to it.
 * ERROR_TIMED_OUT after a second. */
int address_await(struct rtnl *r, const struct prefix *p, struct error *e);
int address_parse(const struct nlmsghdr *m, int *ifindex, struct prefix *ret); /* RTM_NEWADDR, RTM_DELADDR */

/* Routes of protocol ROUTE_PROTOCOL through one interface, or all of the main table when ifindex is 0. */
int route_dump(struct rtnl *r, int ifindex, int (*fn)(int ifindex, const struct route *route, int protocol, void *arg),
	       void *arg, struct error *e);
