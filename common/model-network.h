/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Networks, their pools, slots and leases as they stand on the wire and in the store; the field tables are in
 * model-network.c. */
#pragma once

#include "model.h"

#define NETWORK_NAME_MAX_LENGTH 24
#define SLOT_NAME_MAX_LENGTH (NETWORK_NAME_MAX_LENGTH + 1 + 5) /* NETWORK.NUMBER */
#define LEASE_KEY_MAX_LENGTH 64

enum egress {
	EGRESS_NONE,	   /* nothing leaves but answers */
	EGRESS_ROUTED,	   /* leaves with the slot's own address */
	EGRESS_MASQUERADE, /* leaves with the host's address */
};

enum protocol { PROTOCOL_TCP, PROTOCOL_UDP };

/* A service of the host that slots may reach, on any address of the host. */
struct service {
	int protocol;
	int64_t port;
};

/* Ports of the host that slots may publish. */
struct ports {
	int protocol;
	int64_t first, last;
};

/* A subnet with a router, and how its slots are made. */
struct network {
	char *name;
	char *ipv4, *ipv6; /* prefixes, "10.64.0.0/16"; one of them at least */
	int64_t mtu;
	int egress;
	int isolated;	      /* slots do not reach each other */
	struct list services; /* struct service */
	struct strings dns;   /* addresses */
	struct list publish;  /* struct ports */
	char *interface;      /* in the slots */
	char *inner4,
		*inner6; /* "172.16.0.2/30": what every slot of the network has inside instead of its own address */
	struct pairs sysctls;	/* of its slots */
	int64_t ready, maximum; /* of the pool: slots kept ready; slots at most, whatever their state */
	struct pairs labels;
	/* state */
	int state;
	int64_t generation, owner, created;
	char *uplink;	     /* the interface in the host */
	char *host4, *host6; /* the host's own addresses on it */
	int64_t capacity;    /* slots that its prefixes have room for */
	int64_t n_ready, n_leased, n_making, n_draining;
	char *message;
	/* record */
	char *boot;
	int changing;
};

enum slot_state {
	SLOT_MAKING,   /* the kernel part is under way */
	SLOT_READY,    /* in the pool */
	SLOT_LEASED,   /* somebody has it */
	SLOT_DRAINING, /* released; the kernel still holds a part of it */
};

enum lease_bond {
	BOND_CONNECTION, /* ends with the connection that acquired it */
	BOND_PROCESS,	 /* ends with a process */
	BOND_TIME,	 /* ends at a time, unless renewed */
	BOND_NOTHING,	 /* ends when released, or with the boot */
};

/* A tap interface in the slot, beside its own. */
struct tap {
	char *interface;
	int64_t owner; /* uid that may open it */
	char *mac;
	struct strings addresses;
};

/* Traffic limits, as seen from the slot; bits a second, bytes. */
struct rate {
	int64_t send, send_burst;
	int64_t receive, receive_burst;
};

/* One port of the host that leads into the slot. */
struct published {
	int protocol;
	int64_t host_port; /* absent in a request: nsd chooses one */
	int64_t port;
};

struct slot {
	char *name;
	char *network;
	int state;
	int64_t generation; /* of the lease; of the slot itself while nobody has it */
	char *path;
	char *namespace; /* name in /run/netns, where that was asked for */
	char *interface;
	char *mac;
	struct strings addresses; /* inside */
	struct strings gateways;
	char *address4, *address6; /* the slot's own on its network, without length */
	int64_t mtu;
	struct strings dns;
	int64_t cookie;
	/* lease */
	char *key;
	int64_t owner;
	int bond;
	int64_t pid;
	int64_t expires; /* milliseconds from now */
	int64_t since;	 /* seconds since 1970 */
	struct pairs labels;
	struct tap *tap;
	struct rate *rate;
	struct list published; /* struct published */
	char *message;
};

/* How full a pool is, and how it fares since nsd started. */
struct pool {
	char *network;
	int64_t wanted, maximum, capacity;
	int64_t ready, leased, making, draining;
	int64_t acquired, warm, cold, released, refused, failed;
	int64_t acquire_rate, make_rate; /* a second, of the last ten */
	char *message;			 /* why it is not filled */
};

extern const struct type egress_type, protocol_type, service_type, ports_type, network_type;
extern const struct type slot_state_type, lease_bond_type, tap_type, rate_type, published_type, slot_type, pool_type;

/* [A-Za-z0-9_][A-Za-z0-9_-]{0,23}: no dot, since slots are called NETWORK.NUMBER. */
int network_name_check(const char *text, struct error *e);
int slot_name_check(const char *text, struct error *e);
/* A network's prefix: without host bits; v4 /8 to /30, v6 /32 to /126; no multicast, loopback or link-local one. */
int ipv4_prefix_check(const char *text, struct error *e);
int ipv6_prefix_check(const char *text, struct error *e);
/* 1 to LEASE_KEY_MAX_LENGTH bytes of printable ASCII. */
int lease_key_check(const char *text, struct error *e);

void network_done(struct network *n);
void slot_done(struct slot *s);
