/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The objects of nsd as they stand on the wire and in the store; each has its field table in model.c. */
#pragma once

#include "fields.h"

#define MODEL_INTERFACE "io.nsd.Manager"
#define MODEL_SOCKET "/run/nsd/io.nsd.Manager"

/* Bits of namespace.kinds. */
enum namespace_kind {
	KIND_NET,
	KIND_UTS,
	KIND_IPC,
	KIND_MNT,
	KIND_PID,
	KIND_USER,
	KIND_CGROUP,
	KIND_TIME,
};

enum lifetime {
	LIFETIME_PERSISTENT, /* made again at boot */
	LIFETIME_RUNTIME,    /* until deleted, or until the next boot */
};

enum state {
	STATE_CREATING, /* recorded, the kernel part is under way */
	STATE_READY,
	STATE_DRAINING, /* deleted; the kernel still holds a part of it */
	STATE_LOST,	/* recorded, but gone from the kernel (or something else has its name) */
};

enum link_kind {
	LINK_VETH,
	LINK_BRIDGE,
};

struct route {
	char *destination; /* "default" or NETWORK/LENGTH */
	char *gateway;	   /* NULL: on the link itself */
	int64_t metric;
};

struct counters {
	int64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
	int64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};

/* One interface of a link. */
struct end {
	char *namespace; /* NULL: in the host */
	char *interface;
	char *mac;
	int64_t mtu;
	int up;
	struct strings addresses; /* "ADDRESS/LENGTH" */
	struct list routes;	  /* struct route */
	char *bridge;		  /* interface name of a bridge in the same namespace that this end is a port of */
	/* state */
	int64_t ifindex;
	int running; /* has a carrier */
	struct counters *counters;
};

struct link {
	char *name;
	int kind; /* enum link_kind */
	int lifetime;
	struct list ends; /* struct end: two of a veth, one of a bridge */
	struct pairs labels;
	/* state */
	int state;
	int foreign;
	int64_t generation;
	int64_t owner;
	int64_t created; /* CLOCK_REALTIME seconds */
	char *message;
	/* record */
	char *boot; /* boot id of the ifindexes and cookies */
	int64_t cookies[2];
	int changing; /* a change was under way: bring the kernel to this record */
};

/* A namespace of C++ to clang-format. */
/* clang-format off */
struct namespace {
	/* clang-format on */
	char *name;
	unsigned kinds;
	int lifetime;
	int loopback; /* lo is up */
	int64_t nsid; /* asked for; absent: the kernel's choice */
	struct pairs labels;
	struct pairs sysctls; /* "net.ipv4.ip_forward" -> "1" */
	/* state */
	int state;
	int foreign;
	int attached; /* made by somebody else and given a name by nsd */
	int64_t generation;
	int64_t owner;
	int64_t created;
	int64_t cookie;
	char *path;
	int64_t pid; /* attached: of the process it was taken from */
	int pid_running;
	char *message;
	/* record */
	char *boot;
	int changing;
	int unconfirmed; /* recorded before it had its name */
};

extern const struct type lifetime_type, state_type, link_kind_type, namespace_kind_type;
extern const struct type route_type, counters_type, end_type, link_type, namespace_type;

/* The sysctls a namespace may carry: net.* keys that are private to a network namespace. */
int sysctl_key_check(const char *text, struct error *e);
int sysctl_value_check(const char *text, struct error *e);

/* Cleanup forms. */
void route_done(struct route *r);
void end_done(struct end *e);
void link_done(struct link *l);
void namespace_done(struct namespace *n);
