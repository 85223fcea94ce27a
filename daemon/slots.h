/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The insides of networks, pools and leases, shared by their files and by nobody else.
 *
 * Theory of operation
 *
 * A network is an object like a namespace: recorded in the store, changed by operations. Its slots are not: each is one
 * record of the slot table (slot-table.h), written before the kernel is touched and before anybody is answered, and one
 * struct slot_object beside it in memory. The main thread owns both, but a record in the state MAKING belongs to the job
 * that makes the slot.
 *
 *   free -> MAKING -> READY -> (PREPARING ->) LEASED -> DRAINING -> free
 *
 * Jobs about slots and routers run on threads that live in the vault, where those namespaces are pinned: `quick` ones for
 * what somebody waits for, one `slow` one, of low priority, that fills the pools.
 *
 * Taking a slot out of a pool touches the kernel nowhere: fill the lease into the record, give it its state, answer. A
 * released slot loses its pin together with all others released meanwhile. Its number is free again when the router has
 * told that the slot's interface is gone, which happens when nothing holds the namespace any more. One that does not go is
 * cut off the router after GRACE_MS and stays draining until the kernel has withdrawn its number in the router.
 *
 * What writes nftables rules runs alone (rules jobs), since the host's table is made of all networks.
 */
#pragma once

#include <pthread.h>

#include "events.h"
#include "network-rules.h"
#include "object.h"
#include "router.h"
#include "slot-table.h"
#include "vault.h"

#define SHARD_SLOTS 512
#define ROUTER_IFINDEX 1000 /* of the first slot's end in a router */
#define GRACE_MS 1000	    /* in which an unpinned namespace is expected to go */
#define KEY_BUCKETS 4096
#define ROUTER_NAME_SIZE (NETWORK_NAME_MAX_LENGTH + 6) /* NETWORK@NUMBER */

struct router;

/* A slot in memory. */
struct slot_object {
	uint32_t record;
	struct router *router;
	TAILQ_ENTRY(slot_object) entry; /* in the list of its network that slot_set_state() chose */
	TAILQ_ENTRY(slot_object) queue; /* of those to be unpinned */
	LIST_ENTRY(slot_object) same_key;
	struct slot_list *list; /* the list it is on; NULL: none */
	bool busy;		/* a job has it */
	bool keyed;		/* it is among the keys */
	bool verified;		/* READY: may be handed out */
	bool queued;		/* DRAINING: among those to be unpinned */
	bool unpinned;		/* DRAINING: the pin is gone */
	bool gone;		/* its end in the router is gone */
	bool cut;		/* nsd removed that; then it is free when its number in the router is withdrawn */
	bool orphan;		/* bound to a connection to the nsd before this one */
	int nsid;		/* of a cut one: its number in the router; -1 unknown */
	unsigned undoing;	/* DRAINING: extras that are still being taken away */
	int64_t since;		/* CLOCK_MONOTONIC milliseconds: of its state */
	struct bond bond;
	struct holder *holder;
	LIST_ENTRY(slot_object) held; /* by the holder */
	LIST_HEAD(, waiter) waiters;  /* requests that want to know when it is gone */
	char *message;
};

TAILQ_HEAD(slot_list, slot_object);

/* A process that leases are bound to. */
struct holder {
	int64_t pid;
	int pidfd;
	LIST_HEAD(, slot_object) slots;
};

/* A router namespace; number 0 is the root. */
struct router {
	struct object *network;
	unsigned number;
	int fd; /* -1: not there */
	uint64_t cookie;
	struct events *events;
	pthread_mutex_t lock; /* of the sockets, which the threads share */
	struct rtnl *sockets[4];
	unsigned n_sockets;
	uint16_t free[SHARD_SLOTS]; /* a ring of numbers within the router: what has rested longest is used first */
	unsigned first_free, n_free;
	struct slot_object *slots[SHARD_SLOTS];
};

/* Things a second, over the last ten seconds. */
struct meter {
	int64_t count[10], second;
};

struct network_state {
	struct object *object;
	struct prefix prefix4, prefix6;
	unsigned capacity;
	struct router **routers;
	unsigned n_routers;
	struct slot_list ready;	     /* verified; the one verified last is handed out first */
	struct slot_list unverified; /* ready, too, but to be looked at before */
	struct slot_list leased;
	struct slot_list draining;
	unsigned n[RECORD_DRAINING + 1]; /* slots by state of their records */
	unsigned jobs;			 /* making slots or routers of it */
	unsigned pool_jobs;		 /* of these: making slots for the pool */
	bool making_router;
	bool going;		 /* is being deleted: nothing new is made */
	int64_t make_again;	 /* CLOCK_MONOTONIC milliseconds: not before, after a failure */
	struct waiter *deleting; /* the request that waits for its end */
	struct pool pool;	 /* the counters */
	struct meter acquires, makes;
};

/* What one user has. */
struct user {
	int64_t uid;
	unsigned slots;
	double tokens;	/* acquires allowed at once */
	int64_t filled; /* CLOCK_MONOTONIC milliseconds */
};

/* Work that writes rules, waiting for its turn. `run` is on a thread of the vault. */
struct rules_job {
	struct operation op;
	TAILQ_ENTRY(rules_job) entry;
	int (*prepare)(struct rules_job *j, struct error *e); /* on the main thread, when its turn has come */
	int (*run)(struct rules_job *j, struct kernel *k, struct error *e);
	void (*done)(struct rules_job *j); /* on the main thread, with op.result; owns the job */
};

struct slots {
	struct manager *m;
	struct slot_table *table;
	struct vault *vault;
	struct workers *quick, *slow;
	struct slot_object **by_record;
	uint32_t n_records;
	struct index holders; /* struct holder by pid */
	struct index users;   /* struct user by uid */
	LIST_HEAD(, slot_object) keys[KEY_BUCKETS];
	struct slot_list unpin; /* the queue */
	bool unpinning, cutting, verifying, audited;
	int poll_fd;  /* epoll: threads, events of routers, ends of processes, the host's rules */
	int watch_fd; /* the host's rules */
	bool rules_running;
	TAILQ_HEAD(, rules_job) rules;
	bool host_rules_wanted, host_rules_queued;
	bool addresses_wanted;	/* the host's own have changed */
	int64_t next_deadline;	/* CLOCK_BOOTTIME nanoseconds: no lease ends before */
	int64_t orphans_end;	/* CLOCK_MONOTONIC milliseconds; 0: there are none */
	bool reserving;		/* generations */
	bool attention;		/* slots_settle() has something to do */
	char unavailable[400];	/* why there are no slots here; "" there are */
};

static inline struct network_state *
slot_network(const struct slot_object *s)
{
	return s->router->network->net;
}

static inline const struct network *
slot_spec(const struct slot_object *s)
{
	return &s->router->network->network;
}

static inline struct slot_record *
slot_record(const struct manager *m, const struct slot_object *s)
{
	return slot_table_at(m->slots->table, s->record);
}

static inline enum record_state
slot_state(const struct manager *m, const struct slot_object *s)
{
	return (enum record_state)slot_record(m, s)->state;
}

/* ---- slots.c: start, stop, the loop's part ---- */

int slots_new(struct manager *m, const char *runtime_directory, struct error *e);
void slots_stop(struct manager *m); /* joins the threads */
void slots_free(struct manager *m);
void slots_tick(struct manager *m);
void slots_settle(struct manager *m); /* what has become possible since */
/* ERROR_NOT_SUPPORTED with the reason where this host cannot have slots. */
int slots_available(const struct manager *m, struct error *e);
int slots_watch(struct manager *m, int fd, void *who); /* adds a descriptor to the poll; `who` as slots.c knows it */
void slots_unwatch(struct manager *m, int fd);
int64_t boottime_ns(void);

/* ---- network-state.c ---- */

int network_state_new(struct object *o, struct error *e);
void network_state_free(struct network_state *n);
void router_name(const struct object *network, unsigned number, char ret[ROUTER_NAME_SIZE]);
/* A router that is there: takes over `fd` and `events`. Its numbers become usable. */
int router_attach(struct manager *m, struct object *network, unsigned number, int fd, uint64_t cookie,
		  struct events *events, struct error *e);
void router_detach(struct manager *m, struct router *r); /* closes what it holds */
struct router *router_of(const struct network_state *n, unsigned number);
int router_take_socket(struct kernel *k, struct router *r, struct rtnl **ret, struct error *e); /* any thread */
void router_put_socket(struct router *r, struct rtnl *socket, bool sound);
/* How a router is to be made. */
void router_plan_fill(const struct object *network, unsigned number, struct router_plan *p);
unsigned network_maximum(const struct network_state *n);
unsigned network_used(const struct network_state *n); /* slots in whatever state */
void meter_count(struct meter *t);
int64_t meter_rate(struct meter *t);

/* ---- slot.c ---- */

/* A new one in the state MAKING, with a number of its own. ERROR_LIMIT_EXCEEDED: no number is free. */
int slot_take(struct manager *m, struct network_state *n, struct slot_object **ret, struct error *e);
/* As it was found in the table; its number is taken from its router. */
int slot_found(struct manager *m, struct network_state *n, uint32_t record, struct slot_object **ret, struct error *e);
void slot_forget(struct manager *m, struct slot_object *s); /* its number and record are free */
void slot_set_state(struct manager *m, struct slot_object *s, enum record_state state);
void slot_set_message(struct slot_object *s, const char *fmt, ...) PRINTF(2, 3); /* NULL: none */
void slot_name(const struct manager *m, const struct slot_object *s, char ret[SLOT_NAME_MAX_LENGTH + 1]);
struct slot_object *find_slot(const struct manager *m, const char *name);
void slot_plan_fill(const struct manager *m, const struct slot_object *s, struct slot_plan *p);

/* A slot as replies show it; texts lie in the view itself. */
struct slot_view {
	struct slot slot;
	char name[SLOT_NAME_MAX_LENGTH + 1], mac[MAC_TEXT_SIZE];
	char addresses[2][INET6_ADDRSTRLEN + 4], gateways[2][INET6_ADDRSTRLEN + 4], own[2][INET6_ADDRSTRLEN + 4];
	char *address_list[2], *gateway_list[2];
	char path[256];
	struct pair labels[32];
	struct tap tap;
	struct rate rate;
	struct published published[SLOT_PUBLISHED_MAX];
};
void slot_show(const struct manager *m, const struct slot_object *s, struct slot_view *v);

/* ---- slot-make.c ---- */
struct acquire;
#define MAKE_BATCH 8
/* Has slots in the state MAKING made. `acquire`: the one that waits for the only one; NULL: they are for the pool. */
int slots_make(struct manager *m, struct slot_object **v, unsigned n, struct acquire *acquire, struct error *e);

/* ---- slot-drain.c ---- */
void slot_drain(struct manager *m, struct slot_object *s); /* from any state on; not while a job has it */
void slot_unpin_later(struct manager *m, struct slot_object *s);
void slot_link_gone(struct manager *m, struct router *r, int ifindex);
void slot_nsid_gone(struct manager *m, struct router *r, int nsid);
void drain_slots_settle(struct manager *m);
void drain_slots_tick(struct manager *m);

/* ---- pool.c ---- */
void pool_settle(struct manager *m, struct network_state *n);
void pool_tick(struct manager *m, struct network_state *n);
void slot_ready(struct manager *m, struct slot_object *s);	    /* into the pool */
void slot_discard(struct manager *m, struct slot_object *s, const char *why); /* out of the pool */
void slot_suspect(struct manager *m, struct slot_object *s);

/* ---- lease.c ---- */
struct acquire_in;
method_handler acquire_slot, release_slot, renew_slot;
extern const struct type acquire_in_type, acquire_out_type, release_in_type, release_out_type, renew_in_type,
	slot_out_type;
/* Of a slot made for a request; `result` and `e` tell whether it could be. */
void acquire_made(struct manager *m, struct acquire *a, int result, const struct error *e);
void lease_end(struct manager *m, struct slot_object *s, const char *why); /* in whatever way */
void lease_unbind(struct manager *m, struct slot_object *s);
void lease_resume(struct manager *m, struct slot_object *s); /* after a restart */
void leases_tick(struct manager *m);
void key_remember(struct manager *m, struct slot_object *s);
void key_forget(struct slot_object *s);
int look_up_slot(struct manager *m, struct request *r, const char *name, int64_t generation, struct slot_object **ret,
		 struct error *e);

/* ---- lease-extras.c ---- */
struct slot_extras {
	struct tap *tap; /* as is the rest: of the request, borrowed */
	struct rate *rate;
	const struct list *publish;
	const char *namespace;
};
int extras_check(struct manager *m, struct request *r, const struct network_state *n, const struct slot_extras *x,
		 struct error *e);
/* Gives a slot in the state PREPARING what it is to have beside; calls acquire_prepared() with the result. */
int extras_start(struct manager *m, struct slot_object *s, const struct slot_extras *x, struct acquire *a,
		 struct error *e);
void acquire_prepared(struct manager *m, struct acquire *a, int result, const struct error *e);
/* Takes away what is not gone with the slot's namespace: published ports, the name. slot_unpin_later() follows. */
void extras_undo(struct manager *m, struct slot_object *s);

/* ---- holder.c ---- */
int holder_bind(struct manager *m, struct slot_object *s, int pidfd, int64_t pid, struct error *e); /* takes pidfd */
void holder_unbind(struct manager *m, struct slot_object *s);
void holder_ended(struct manager *m, struct holder *h);
int process_start_time(int64_t pid, uint64_t *ret);

/* ---- user.c: quotas ---- */
int user_may_acquire(struct manager *m, const struct peer *p, const struct network_state *n, struct error *e);
void user_count(struct manager *m, int64_t uid, int change);

/* ---- network.c ---- */
method_handler create_network, ensure_network, change_network, delete_network, repair_network;
void network_show(const struct object *o, struct network *ret); /* shallow */
void network_remake(struct manager *m, struct object *o);	/* of nsd's own accord */
void network_lost(struct manager *m, struct object *o, const char *why);
void network_settle(struct manager *m, struct object *o); /* goes on with a deletion when its slots are away */
int network_add_router(struct manager *m, struct network_state *n, struct error *e);

/* ---- network-prepare.c ---- */
int network_check(struct manager *m, const struct network *n, const struct object *self, struct error *e);
int network_complete(struct manager *m, const struct peer *p, struct network *n, struct error *e);

/* ---- rules-run.c ---- */
void rules_submit(struct manager *m, struct rules_job *j);
void rules_next(struct manager *m);
/* All that the host's table and a root router's sets are made of, as it is now. */
struct rules_input {
	struct rules_host host;
	struct prefix *addresses, *networks;
	const struct network **all;
	unsigned n_all;
	struct rules_published *published;
	char (*texts)[INET6_ADDRSTRLEN + 4];
	unsigned n_published;
};
int rules_input_fill(struct manager *m, const struct object *also, const struct object *without,
		     struct rules_input *ret, struct error *e);
void rules_input_done(struct rules_input *i);
void host_rules_refresh(struct manager *m); /* puts the host's table back, and the sets of all routers */

/* ---- slots-audit.c ---- */
void slots_audit_start(struct manager *m); /* after the networks are judged: finds what there is in the vault */

/* ---- explain.c ---- */
method_handler explain_slot;
extern const struct type explain_out_type;

/* ---- monitor.c ---- */
void announce_slot(struct manager *m, enum change c, const struct slot_object *s);
