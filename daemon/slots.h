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
	bool counted;		/* in the share of its owner: he has it, or holds it although it was released */
	bool verified;		/* READY: may be handed out */
	int watch;		/* READY: tells of changes inside; -1: nothing does, and it was looked at a while ago */
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
	struct waiter_list waiters;   /* requests that want to know when it is gone */
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
	struct manager *m;
	struct object *object;
	struct prefix prefix4, prefix6;
	unsigned capacity;
	struct router **routers;
	unsigned n_routers;
	struct slot_list ready;	     /* verified and watched: handed out first */
	struct slot_list stock;	     /* verified a while ago; the one verified last is handed out first */
	struct slot_list unverified; /* ready, too, but to be looked at before */
	struct slot_list leased;
	struct slot_list draining;
	unsigned n[RECORD_DRAINING + 1]; /* slots by state of their records */
	unsigned charged;		 /* slots in somebody's share */
	unsigned jobs;			 /* making slots of it */
	unsigned pool_jobs;		 /* of these: making slots for the pool */
	bool making_router;
	bool going;	    /* is being deleted: nothing new is made */
	int64_t make_again; /* CLOCK_MONOTONIC milliseconds: not before, after a failure */
	int64_t looked;	    /* CLOCK_MONOTONIC milliseconds: at its uplink */
	struct pool pool;   /* the counters */
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
	struct workers_ops quick_ops, slow_ops;
	struct slot_object **by_record;
	uint32_t n_records;
	struct index holders; /* struct holder by pid */
	struct index users;   /* struct user by uid */
	LIST_HEAD(, slot_object) keys[KEY_BUCKETS];
	struct slot_list unpin; /* the queue */
	unsigned n_unpin;
	unsigned n_watches; /* on ready slots, those included that are being opened */
	bool unpinning, cutting, verifying, audited;
	int unpin_timer; /* when the queue is to be worked off */
	bool unpin_due;
	int poll_fd;  /* epoll: threads, events of routers, ends of processes, the host's rules */
	int watch_fd; /* the host's rules */
	bool rules_running;
	TAILQ_HEAD(, rules_job) rules;
	bool refresh_wanted, refreshing;  /* of the rules */
	bool sets_wanted;		  /* of these only what follows the host's addresses */
	uint8_t ports_used[2][65536 / 8]; /* published, by protocol: a bit for each */
	int64_t next_deadline;		  /* CLOCK_BOOTTIME nanoseconds: no lease ends before */
	int64_t orphans_end;		  /* CLOCK_MONOTONIC milliseconds; 0: there are none */
	bool reserving;			  /* generations */
	bool attention;			  /* slots_settle() has something to do */
	char unavailable[400];		  /* why there are no slots here; "" there are */
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

int network_state_new(struct manager *m, struct object *o, struct error *e);
void network_state_free(struct network_state *n);
void router_name(const struct object *network, unsigned number, char ret[ROUTER_NAME_SIZE]);
/* A router that is there: takes over `fd` and `events`. Its numbers become usable. */
int router_attach(struct manager *m, struct object *network, unsigned number, int fd, uint64_t cookie,
		  struct events *events, struct error *e);
void router_detach(struct manager *m, struct router *r);     /* closes what it holds */
int router_expect(struct network_state *n, unsigned number); /* makes room for a router that is not there yet */
struct router *router_of(const struct network_state *n, unsigned number);
int router_take_socket(struct kernel *k, struct router *r, struct rtnl **ret, struct error *e); /* any thread */
void router_put_socket(struct router *r, struct rtnl *socket, bool sound);
/* How a router is to be made. */
bool network_forwards(const struct network *spec); /* the host is to forward for it */
void router_plan_fill(const struct object *network, unsigned number, struct router_plan *p);
unsigned network_maximum(const struct network_state *n);
unsigned network_used(const struct network_state *n); /* slots in whatever state */
void meter_count(struct meter *t);
int64_t meter_rate(struct meter *t);

/* ---- slot.c ---- */

/* A new one in the state MAKING, with a number of its own. ERROR_LIMIT_EXCEEDED: no number is free. */
int slot_take(struct manager *m, struct network_state *n, struct slot_object **ret, struct error *e);
/* As it was found in the table, before its router is attached. */
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
void slot_end(struct manager *m, struct slot_object *s);   /* the last trace of it is gone */
void slot_unpin_later(struct manager *m, struct slot_object *s);
void slot_link_gone(struct manager *m, struct router *r, int ifindex);
void slot_nsid_gone(struct manager *m, struct router *r, int nsid);
void drain_slots_settle(struct manager *m);
void unpin_timer_fired(struct manager *m);
void drain_slots_tick(struct manager *m);

/* ---- pool.c ---- */
void pool_settle(struct manager *m, struct network_state *n);
void pool_taken_from(struct manager *m, struct network_state *n); /* fills it at once when it is half empty */
void pool_tick(struct manager *m, struct network_state *n);
void slot_ready(struct manager *m, struct slot_object *s);		      /* into the pool */
void slot_discard(struct manager *m, struct slot_object *s, const char *why); /* out of the pool */
bool may_watch(struct manager *m);					      /* one slot more; counts it */
bool slot_is_pristine(struct manager *m, struct slot_object *s);	      /* READY: nothing has changed inside */
void slot_suspect(struct manager *m, struct slot_object *s);

/* ---- lease.c ---- */
/* A lease on its way into a slot's record. */
struct lease_terms {
	int64_t owner;
	int bond;
	int64_t pid; /* of BOND_PROCESS; else of whom asked */
	int pidfd;   /* BOND_PROCESS; taken by lease_bind() */
	int64_t ttl; /* milliseconds; FIELD_ABSENT_INT: none */
	const char *key;
	const struct pairs *labels;
};
int labels_check(const struct pairs *labels, struct error *e);
void lease_fill(struct manager *m, struct slot_object *s, const struct lease_terms *t, int64_t generation);
/* Ties it to what ends it. -ENOTCONN: the connection is gone already. */
int lease_bind(struct manager *m, struct slot_object *s, struct lease_terms *t, struct request *r, struct error *e);
int lease_rebind(struct manager *m, struct slot_object *s, struct request *r,
		 struct error *e); /* to a new connection */
void lease_renew(struct manager *m, struct slot_object *s, int64_t ttl);
void lease_end(struct manager *m, struct slot_object *s, const char *why); /* LEASED, or PREPARING and not busy */
void lease_found(struct manager *m, struct slot_object *s);		   /* after a restart: in the table */
void lease_resume(struct manager *m, struct slot_object *s);		   /* and in the kernel */
void leases_tick(struct manager *m);
struct slot_object *key_find(const struct manager *m, int64_t owner, int64_t network, const char *key);
void key_remember(struct manager *m, struct slot_object *s);
void key_forget(struct slot_object *s);

/* ---- lease-acquire.c ---- */
method_handler acquire_slot;
extern const struct type acquire_in_type, acquire_out_type;
/* Of a slot made for a request; `result` and `e` tell whether it could be. */
void acquire_made(struct manager *m, struct acquire *a, int result, const struct error *e);
/* The extras are there, or not. */
void acquire_prepared(struct manager *m, struct acquire *a, int result, const struct error *e);

/* ---- method-slot.c ---- */
struct release_out {
	int state;
};
extern const struct type release_out_type;
int look_up_slot(struct manager *m, struct request *r, const char *name, int64_t generation, struct slot_object **ret,
		 struct error *e);

/* ---- lease-extras.c ---- */
struct slot_extras {
	const struct tap *tap; /* as is the rest: of the request, borrowed */
	const struct rate *rate;
	const struct list *publish;
	const char *namespace;
};
bool extras_wanted(const struct slot_extras *x);
int extras_check(struct manager *m, struct request *r, const struct network_state *n, const struct slot_extras *x,
		 struct error *e);
/* Gives a slot in the state PREPARING what it is to have beside; calls acquire_prepared() with the result. */
int extras_start(struct manager *m, struct slot_object *s, const struct slot_extras *x, struct acquire *a,
		 struct error *e);
/* Takes away what is not gone with the slot's namespace: published ports, the name. slot_unpin_later() follows. */
void extras_undo(struct manager *m, struct slot_object *s);
bool extras_own_name(const struct manager *m, const char *name, uint64_t cookie); /* a slot was given it */
void extras_found(struct manager *m, struct slot_object *s); /* after a restart: its ports are in use */

/* ---- holder.c ---- */
int holder_bind(struct manager *m, struct slot_object *s, int pidfd, int64_t pid, struct error *e); /* takes pidfd */
void holder_unbind(struct manager *m, struct slot_object *s);
void holder_ended(struct manager *m, struct holder *h);
/* Has the process that the lease is bound to ended, though that was not told yet? Then the lease is over now. */
bool holder_has_ended(struct manager *m, struct slot_object *s);
int process_start_time(int64_t pid, uint64_t *ret);

/* ---- user.c: quotas ---- */
int user_may_acquire(struct manager *m, const struct peer *p, const struct network_state *n, struct error *e);
/* The slot is in the share of its record's owner from now on; or not any more. */
void user_charge(struct manager *m, struct slot_object *s);
void user_discharge(struct manager *m, struct slot_object *s);

/* ---- network.c ---- */
typedef void network_reply(struct request *r, struct object *o, bool created);
/* All of them are rules jobs: one after the other. `r` NULL: of nsd's own accord. Specs are taken over, also on failure. */
int network_create(struct manager *m, struct request *r, struct network *spec, network_reply *reply, struct error *e);
int network_remake(struct manager *m, struct request *r, struct object *o, network_reply *reply, struct error *e);
/* Puts back what others changed on its uplink and in its rules; or what a cut-off change left. */
int network_restore(struct manager *m, struct request *r, struct object *o, network_reply *reply, struct error *e);
int network_look(struct manager *m, struct object *o, struct error *e); /* puts back what is missing of its uplink */
int network_change(struct manager *m, struct request *r, struct object *o, struct network *spec, network_reply *reply,
		   struct error *e);
/* A router more. Returns 1 when it is on its way; -ENOSPC: the prefixes have no room for one. */
int network_add_router(struct manager *m, struct network_state *n, struct error *e);
void network_lost(struct manager *m, struct object *o, const char *why);
struct object *find_uplink(const struct manager *m, const char *interface);

/* ---- network-delete.c ---- */
int network_delete(struct manager *m, struct request *r, struct object *o, bool wait, struct error *e);
void network_settle(struct manager *m, struct object *o); /* goes on when its slots are away */
void network_drain(struct manager *m,
		   struct object *o); /* recorded as draining, or creating: goes on with the removal */

/* ---- network-prepare.c ---- */
/* Checks what the field table cannot; `self`: the network that is changed, NULL: a new one. */
int network_check(struct manager *m, const struct network *n, const struct object *self, struct error *e);
int network_complete(struct manager *m, const struct peer *p, struct network *n, struct error *e);

/* ---- rules-run.c ---- */
/* Takes over the job; it runs when all before it are done. */
void rules_submit(struct manager *m, struct rules_job *j);
/* All that rules are made of. Filled on the main thread but for the host's addresses, which the worker asks for. */
struct rules_input {
	struct rules_host host;
	struct prefix *addresses, *networks;
	const struct network **all;
	unsigned n_all;
	struct rules_published *published;
	char (*texts)[2][INET6_ADDRSTRLEN + 4];
	unsigned n_published;
};
/* `also`: a network that is not ready yet; `spec`: instead of what it is; `without`: one that goes. NULL: none. */
int rules_input_fill(struct manager *m, const struct object *also, const struct network *spec,
		     const struct object *without, struct rules_input *ret, struct error *e);
int rules_input_look(struct rules_input *i, struct kernel *k, struct error *e); /* on a worker: the host's addresses */
void rules_input_done(struct rules_input *i);
/* On a worker: the rules of one router, or of the host. */
int rules_load_router(const struct rules_input *i, struct kernel *k, const struct network *spec, unsigned capacity,
		      unsigned number, int fd, struct error *e);
int rules_load_host(const struct rules_input *i, struct kernel *k, struct error *e);
/* Loads the host's rules and those of all root routers anew, soon. */
void rules_refresh(struct manager *m);
void rules_follow_addresses(struct manager *m); /* those of the host have changed */
void rules_settle(struct manager *m);

/* ---- slots-audit.c ---- */
int slots_load(struct manager *m, struct error *e); /* what the table knows; the networks are loaded */
void slots_audit_start(struct manager *m); /* after the networks are judged: finds what there is in the vault */

/* ---- explain.c ---- */
method_handler explain_slot;
extern const struct type explain_out_type;

/* ---- monitor.c ---- */
void announce_slot(struct manager *m, enum change c, const struct slot_object *s);
