/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One soak client: its connections, what it holds, what it held. Requests are in request.c, what keeps a released slot alive
 * in pin.c, processes that leases are bound to in holder.c, and what a client decides to do next in walk.c. */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>

#include "log.h"
#include "wire.h"

#define N_NETWORKS_MAX 8
#define N_CONNECTIONS 5 /* the first is for everything, the others have leases bound to them */
#define N_LEASES 10
#define N_RECENT 32
#define N_PINS_AT_ONCE 5

struct options {
	const char *socket, *directory;
	const char *networks[N_NETWORKS_MAX];
	unsigned n_networks;
	unsigned clients, seconds, patience; /* patience: how long nsd may be away */
	uint64_t operations, seed;
};

/* Shared by all processes. */
struct progress {
	_Atomic uint64_t operations; /* acquires and releases answered */
	_Atomic uint64_t pins[N_PINS], holders_killed, unanswered;
	_Atomic bool stop;
};

struct lease {
	uint32_t network, number;
	int64_t generation;
	uint64_t cookie, key, holder, base;
	int64_t ttl;
	enum bond bond;
	uint8_t address4[4], address6[16];
	bool adrift; /* bound to a connection that broke */
	bool over;   /* released, and that was acknowledged */
};

/* Of a client and the agent it forked. */
struct shared {
	_Atomic uint64_t next_id;
	struct lease agent_lease; /* what the agent acquired last */
};

struct holder {
	pid_t pid; /* 0: none */
	int pidfd;
	uint64_t id;
	int command, done; /* pipes of one that acquires by itself; -1 */
};

struct pin {
	bool used;
	struct record *record;
	uint64_t until;
	int fd, second; /* -1: none */
	pid_t pid;	/* 0: none */
};

struct client {
	const struct options *options;
	struct progress *progress;
	struct log *log;
	unsigned number;
	struct shared *shared;
	uint64_t random, own_id; /* own_id: the holder that this process is */
	struct connection connections[N_CONNECTIONS];
	struct lease leases[N_LEASES];
	unsigned n_leases;
	struct lease recent[N_RECENT]; /* no longer held; a ring */
	unsigned n_recent;
	struct holder holder; /* processes of others' leases: bound to it by pidfd */
	struct holder agent;  /* acquires by itself */
	struct pin pins[N_PINS_AT_ONCE];
};

/* What an acquire asks for. */
struct acquire {
	uint32_t network;
	enum bond bond;
	uint64_t key; /* 0: none */
	int64_t ttl;
	uint64_t holder;
	int pidfd;     /* of the process for BOND_PROCESS; -1: the caller */
	uint64_t base; /* 0: this is the first attempt */
	bool open, only_warm, child;
};

uint64_t client_new_id(struct client *c);
/* A number below n. */
unsigned client_random(struct client *c, unsigned n);

/* Requests on a connection, each written down. `fd` is the namespace, the caller's, where one was asked for (-1: none);
 * may be NULL. OUTCOME_UNKNOWN: the connection broke. */
enum record_outcome ask_acquire(struct client *c, struct connection *on, const struct acquire *a, struct lease *ret,
				int *fd);
enum record_outcome ask_release(struct client *c, struct connection *on, const struct lease *l, unsigned flags,
				bool wait);
enum record_outcome ask_renew(struct client *c, struct connection *on, struct lease *l, unsigned flags);
enum record_outcome ask_open(struct client *c, struct connection *on, const struct lease *l, unsigned flags, int *fd);
enum record_outcome ask_get(struct client *c, struct connection *on, const struct lease *l);
/* Sends an acquire and does not wait: the record to be answered, NULL when the connection broke. */
struct record *send_acquire(struct client *c, struct connection *on, const struct acquire *a);
enum record_outcome receive_acquire(struct client *c, struct connection *on, struct record *r, struct lease *ret,
				    int *fd);

/* A process that does nothing until it is killed, for leases bound to it. */
void holder_start(struct client *c);
/* One that acquires by itself when told to, bound to itself or its connection; its lease is in shared->agent_lease then. */
void agent_start(struct client *c);
/* True: the lease is in shared->agent_lease. False: none came, or with `wait` false: nobody waited. */
bool agent_acquire(struct client *c, uint32_t network, bool by_connection, bool wait);
/* SIGKILL, with its end written down first. */
void holder_kill(struct client *c, struct holder *h);

/* Keeps the namespace of a held lease alive beyond its release, in one of the five ways; `fd` is taken. False: no room. */
bool pin_start(struct client *c, const struct lease *l, int fd, enum pin_kind kind, unsigned milliseconds);
void pin_end_due(struct client *c, bool all);

/* Writes down what the kernel says of the lease's namespace. */
void look(struct client *c, const struct lease *l, int fd);

/* Acquires and releases until told to stop, then gives back everything but what ends by itself. */
void walk(struct client *c);
