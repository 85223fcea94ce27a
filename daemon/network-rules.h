/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a network's routers and the host are to let through, as nft commands. Text only; nothing here talks to the kernel.
 * docs/NETWORKS.md shows the packet's way.
 */
#pragma once

#include <stdint.h>

#include "model-network.h"
#include "names.h"

#define RULES_TABLE "nsd"	/* family inet, in routers and in the host */
#define UPLINK "uplink"		/* in a router: towards the host, in a shard: towards the root router */
#define SLOT_INTERFACE "slot"	/* + number in the network: a slot's end in its router */
#define SHARD_INTERFACE "shard" /* + number: a shard's end in the root router */
#define SLOT_NUMBER_MAX 65535	/* network_capacity() at most */

/* The ends of slots in one router: the number-th slot of the network has interface slot<number> with index
 * first_ifindex + (number - first). */
struct rules_range {
	unsigned first, count; /* numbers in the network */
	int first_ifindex;
};

/* What of the host matters to every root router. Sets that change while networks run. */
struct rules_host {
	const struct prefix *addresses; /* of the host itself, on any interface, loopback excepted */
	unsigned n_addresses;
	const struct prefix *networks; /* of all networks of nsd, this one included */
	unsigned n_networks;
};

/* A published port, for the host's table and the root router's. */
struct rules_published {
	int protocol;
	uint16_t host_port, port;
	const char *address4, *address6; /* of the slot; NULL: none */
};

/* The addresses of slot `number` of a network: its own and its router's. Returns false where the family is not used. */
bool slot_prefix(const struct network *n, int family, unsigned number, struct prefix *router, struct prefix *slot);
void slot_macs(const struct network *n, unsigned number, uint8_t router[6], uint8_t slot[6]);
unsigned network_capacity(const struct network *n); /* highest number of a slot; number 0 is the uplink */

/* Whole tables (a router has one of family arp, too), replacing what is there in one transaction ("add table; delete table;
 * table ... {}"). *ret is the caller's. `root`: this router has the uplink to the host, else it is a shard, and `host` and `p`
 * are not looked at. */
int rules_router(const struct network *n, const struct rules_range *r, bool root, const struct rules_host *host,
		 const struct rules_published *p, unsigned n_published, char **ret, struct error *e);
/* Only the sets of a root router that follow the host. */
int rules_router_sets(const struct rules_host *host, char **ret, struct error *e);
/* One more or one less published port in a root router, which knows the slot's port and not the host's: while another port
 * of the host leads to the same one, it is not to be removed. */
int rules_router_publish(const struct rules_published *p, bool add, char **ret, struct error *e);

/* The host's only table, for all networks. `n` 0: removes it. */
int rules_host(const struct network *const *networks, unsigned n, const struct rules_published *p, unsigned n_published,
	       char **ret, struct error *e);
int rules_host_publish(const struct rules_published *p, bool add, char **ret, struct error *e);
