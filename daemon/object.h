/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The manager's insides, shared by its files and by nobody else.
 *
 * Theory of operation
 *
 * All state belongs to the main thread. A change is an `operation`: it locks its objects (`busy`), travels to a worker,
 * which commits the intent, works on the kernel and commits the result, and comes back to update the objects and answer.
 * While an object is busy the main thread does not touch its specification, so the worker reads it without a copy; what
 * the worker finds out travels in the operation. A request that meets a busy or draining object is parked and tried
 * again when some operation has ended.
 *
 * A deleted object is `draining` until the kernel has really let go of it: the namespace when the kernel withdraws its
 * nsid (its last reference is gone), a link when its interfaces are gone. Only then its record is deleted and its names
 * are free again.
 */
#pragma once

#include <sys/queue.h>

#include "events.h"
#include "index.h"
#include "link.h"
#include "manager.h"
#include "method.h"
#include "model-network.h"
#include "names.h"
#include "netns.h"
#include "store.h"
#include "workers.h"

#define MAX_LINKS_PER_REQUEST 16

enum object_kind { OBJECT_NAMESPACE, OBJECT_LINK, OBJECT_NETWORK };

/* What the kinds have in common, each at its own place. */
struct object_kind_ops {
	const char *word, *list, *repair; /* "link", "nsc link list", "nsc link repair" */
	const struct type *type;
	size_t value, name, state, owner, generation, message, boot, changing;
};
extern const struct object_kind_ops object_kinds[];

enum change { /* names in monitor.c */
	      CHANGE_PRESENT,
	      CHANGE_SYNCED,
	      CHANGE_CREATED,
	      CHANGE_READY,
	      CHANGE_CHANGED,
	      CHANGE_DRAINING,
	      CHANGE_GONE,
	      CHANGE_DRIFT,
};

/* One end of a link, as a key of the manager's indexes. */
struct place {
	struct object *object;
	unsigned end;
	uint64_t cookie; /* where it was indexed by ifindex; 0: it is not */
	int ifindex;
};

LIST_HEAD(waiter_list, waiter);

struct object {
	enum object_kind kind;
	union {
		struct namespace ns;
		struct link link;
		struct network network;
	};
	struct network_state *net; /* of a network: what is not recorded */
	bool busy;		   /* an operation has it */
	bool remake;		   /* to be made again by the start-up */
	bool suspect;		   /* an event says that it may have drifted */
	bool renew;		   /* suspect for a reason that the mirror cannot settle: ask the kernel */

	/* namespaces */
	int nsid; /* -1 unknown */
	bool unpinned, nsid_gone;
	bool unconfirmed; /* its record still says that it may have no name */
	int pidfd;	  /* attached: of the process it was taken from; -1 none */

	/* links */
	struct place places[2];

	int64_t drain_since; /* CLOCK_MONOTONIC milliseconds, as the next two: deleted, or (namespaces) dropped */
	int64_t retry_at;    /* draining: a failed removal is tried again then */
	int64_t overdue_at;  /* draining: not to be looked at as overdue before */
	bool draining;	     /* on the list of drains, or removed */
	bool removed;	     /* draining: the kernel is done with it, the record remains */
	bool remove_now;     /* draining links: to be removed by itself, not along with its namespace */
	TAILQ_ENTRY(object) drain;
	struct waiter_list waiters; /* requests that want to know when it is gone */
};

/* A request waiting for the end of a drain. */
struct waiter {
	LIST_ENTRY(waiter) entry;
	struct request *request;
};

/* A request to be tried again. */
struct parked {
	TAILQ_ENTRY(parked) entry;
	struct request *request;
	method_handler *handler;
	void *in;
	int64_t deadline;
	struct error reason; /* answered when the deadline passes */
};

/* An interface of the host as the events tell it. */
struct host_link {
	struct link_info info;
};

TAILQ_HEAD(object_list, object);
TAILQ_HEAD(parked_list, parked);

struct subscriber;
LIST_HEAD(subscriber_list, subscriber);

struct manager {
	struct workers *workers;
	struct store *store;
	struct netns_site *site;
	struct events *events;
	int watch_fd;
	char boot[37];
	char *state_directory;
	int64_t started; /* CLOCK_REALTIME seconds */
	uint64_t host_cookie;
	struct manager_policy policy;
	void (*gauges)(void *arg, int64_t *connections, int64_t *requests);
	void *gauges_arg;

	struct index namespaces; /* struct object by name; foreign ones too */
	struct index links;	 /* struct object by name */
	struct index networks;	 /* struct object by name */
	struct slots *slots;	 /* what belongs to networks; slots.h */
	struct index ends;	 /* struct place by (namespace, interface) */
	struct index ifindexes;	 /* struct place by (cookie, ifindex) */
	struct index nsids;	 /* struct object by nsid */
	struct index host_links; /* struct host_link by ifindex */
	struct index host_names; /* the same by name */
	struct index suspects;	 /* struct object by address */

	struct object_list drains;  /* draining, not yet unpinned, or watched */
	struct object_list removed; /* gone from the kernel, records to be deleted */
	bool unpinning;		    /* a removal job is under way */
	bool finish_failed;	    /* deleting records failed in this tick */
	bool drains_new;	    /* something on `drains` has work for one */
	struct parked_list parked;
	bool retry_parked;
	struct subscriber_list subscribers;
	int64_t sequence;

	struct strings pending_names; /* directory entries that are no namespace yet */
	int64_t gone_nsids[64];	      /* withdrawn while a removal job ran, owner unknown */
	unsigned gone_nsids_n;
	int64_t last_nsid_gone; /* CLOCK_MONOTONIC milliseconds */
	int64_t newest_gone;	/* when the latest of those that have gone was dropped */
	int64_t last_event, last_judged, last_resync;
	size_t audit_namespace, audit_link, ticks;

	unsigned unconfirmed; /* about how many objects are */
	bool confirming;

	bool reconciled, stopping;
	bool store_failed, retrying_store;
	int64_t last_store_retry;
	unsigned start_attempts;
	bool retry_start; /* the first look at the kernel failed */
	bool numbers_asked;
	bool nsids_new;		/* somebody gave a namespace a number; nobody told which */
	bool resync, resyncing; /* events were lost; the look at everything is under way */
	bool behind;		/* there are more events than one reading takes */
	bool taking_inventory;	/* events wait: those of before are read, later ones come after it */
	bool retry_audit;	/* the look at the slots failed */
	unsigned reconciling;	/* operations of the start-up still under way */
};

/* An operation: some objects, a request to answer, a result. Files derive their own by embedding it first. */
struct operation {
	struct job job;
	void (*finish)(struct operation *op);
	struct manager *m;
	struct workers *pool;	 /* NULL: the manager's */
	struct request *request; /* NULL: of nsd's own accord */
	struct object **objects; /* locked while it runs */
	unsigned n_objects;
	struct object *few[MAX_LINKS_PER_REQUEST + 1]; /* room for them where the number is small */
	int result;
	struct error error;
};

static inline void *
object_at(const struct object *o, size_t offset)
{
	return (char *)(uintptr_t)o + offset;
}

static inline const char *
object_name(const struct object *o)
{
	return *(char **)object_at(o, object_kinds[o->kind].name);
}

static inline int
object_state(const struct object *o)
{
	return *(int *)object_at(o, object_kinds[o->kind].state);
}

static inline int64_t
object_owner(const struct object *o)
{
	return *(int64_t *)object_at(o, object_kinds[o->kind].owner);
}

static inline int64_t
object_generation(const struct object *o)
{
	return *(int64_t *)object_at(o, object_kinds[o->kind].generation);
}

static inline const char *
object_message(const struct object *o)
{
	return *(char **)object_at(o, object_kinds[o->kind].message);
}

static inline const char *
object_word(const struct object *o)
{
	return object_kinds[o->kind].word;
}

static inline struct end *
link_end(const struct object *o, unsigned i)
{
	return (struct end *)o->link.ends.v + i;
}

/* ---- manager.c: objects, look-up, permission, waiting ---- */

int64_t monotonic_ms(void);
struct object *object_new(enum object_kind kind);
void object_free(struct object *o);

/* Puts an object into the indexes by its names, with everything or nothing. -EEXIST, -ENOMEM. */
int object_insert(struct manager *m, struct object *o);
void object_remove(struct manager *m, struct object *o); /* out of every index; not freed */

/* What the kernel calls it: set when known, replaced when changed. */
void object_set_nsid(struct manager *m, struct object *o, int nsid);
void object_set_ifindex(struct manager *m, struct object *o, unsigned end, uint64_t cookie, int ifindex);
void object_set_state(struct object *o, int state);
void object_set_message(struct object *o, const char *fmt, ...) PRINTF(2, 3); /* NULL: none */

struct object *find_namespace(const struct manager *m, const char *name);
struct object *find_link(const struct manager *m, const char *name);
struct object *find_network(const struct manager *m, const char *name);
struct place *find_end(const struct manager *m, const char *namespace, const char *interface);
struct place *find_ifindex(const struct manager *m, uint64_t cookie, int ifindex);
struct object *find_nsid(const struct manager *m, int nsid);
struct host_link *find_host_link(const struct manager *m, const char *name);

bool peer_is_root(const struct peer *p);
bool peer_sees(const struct peer *p, const struct object *o);

/* The object a request is about: ERROR_NOT_FOUND when absent or not the peer's; ERROR_FOREIGN, ERROR_STALE_GENERATION
 * (`generation` other than absent and not the object's). */
int look_up(struct manager *m, struct request *r, enum object_kind kind, const char *name, int64_t generation,
	    struct object **ret, struct error *e);

/* As look_up(), but only when the object can be worked on now. Returns 1 when the request was parked: then return 0. */
int look_up_idle(struct manager *m, struct request *r, method_handler *handler, void *in, enum object_kind kind,
		 const char *name, int64_t generation, struct object **ret, struct error *e);

/* Tries the request again later; returns 1. When it takes too long, `reason` is the answer. */
int park(struct manager *m, struct request *r, method_handler *handler, void *in, const struct error *reason);

/* May anything be changed now? Parks while the start-up goes on (returns 1), fails when stopping. */
int may_change(struct manager *m, struct request *r, method_handler *handler, void *in, struct error *e);

/* Starts an operation: locks its objects and submits it. `run` is called on a worker, `done` on the main thread with the
 * objects unlocked again. */
void operation_start(struct operation *op, void (*run)(struct job *j, void *thread),
		     void (*done)(struct operation *op));

/* Commits records of objects from a worker: `state` instead of the one they have. */
struct record {
	const struct object *object;
	const struct namespace *ns; /* what it is to be, where that differs from what the object says */
	const struct link *link;
	const struct network *network;
	int state; /* -1: delete the record */
	bool changing, unconfirmed;
	uint64_t cookie;     /* namespaces */
	uint64_t cookies[2]; /* links */
	int ifindexes[2];
};
int commit(struct manager *m, const struct record *records, unsigned n, bool durable, struct error *e);
bool object_is_persistent(const struct object *o);

/* ---- create.c ---- */
typedef void created_reply(struct request *r, struct object *ns, struct object **links, unsigned n, bool created);
int create_objects(struct manager *m, struct request *r, method_handler *handler, void *in, const struct namespace *ns,
		   const struct list *links, bool ensure, created_reply *reply, struct error *e);
/* Makes recorded objects in the kernel again: a namespace and/or links, all of which are in the indexes and idle. */
typedef void changed_reply(struct request *r, struct object *o);
int remake_objects(struct manager *m, struct request *r, struct object **objects, unsigned n, changed_reply *reply,
		   struct error *e);

/* ---- configure.c: on workers ---- */
/* One open namespace per name during an operation. */
struct site {
	const char *name; /* NULL: the host */
	uint64_t cookie;  /* expected; 0: any */
	struct netns netns;
};
struct sites {
	struct site v[2 * MAX_LINKS_PER_REQUEST + 1];
	unsigned n;
};
int sites_open(struct sites *s, struct kernel *k, const char *name, uint64_t cookie, struct netns **ret,
	       struct error *e);
void sites_add(struct sites *s, const char *name, struct netns *n); /* takes over an open one */
void sites_close(struct sites *s);
bool end_has_ipv6(const struct end *e);
int put_end(struct rtnl *r, const struct end *e, int ifindex, struct error *err); /* messages only; no bridge */
int configure_end(struct kernel *k, struct netns *n, const struct end *e, int ifindex, struct error *err);
int set_lo_up(struct kernel *k, struct netns *n, struct error *e);
int configure_namespace(struct kernel *k, struct netns *n, const struct namespace *ns, struct error *e); /* but lo */
/* Differences between the specification and the kernel, in words ("" for none) in `text`. -ENODEV: gone. */
int examine_end(struct kernel *k, struct netns *n, const struct end *e, int ifindex, char *text, size_t size,
		struct error *err);
/* Brings an existing interface to its specification, whatever was changed on it. */
int restore_end(struct kernel *k, struct netns *n, const struct end *e, int ifindex, struct error *err);

/* ---- confirm.c ---- */
void confirm_later(struct manager *m, struct object *o);
void confirm_tick(struct manager *m);

/* ---- remove.c ---- */
struct removal_reply {
	int state; /* draining, or absent: it is gone */
};
extern const struct type removal_reply_type;
/* Keeps a request until the drain ends; false for want of memory. */
bool wait_for_end(struct waiter_list *l, struct request *r);
/* Answers that `o` drains, or (`wait`) answers when it is gone. */
void answer_removal(struct request *r, struct object *o, bool wait);
/* Deletes a namespace with its links, or a link; answers `r` (NULL: nobody asked). Returns 1 when parked on a busy link. */
int remove_object(struct manager *m, struct request *r, method_handler *handler, void *in, struct object *o, bool wait,
		  struct error *e);
void object_drop(struct manager *m, struct object *o,
		 bool recorded);		       /* of a request that failed: forgets it, or drains */
void drain_start(struct manager *m, struct object *o); /* recorded as draining: goes on with the kernel's part */
void drain_nsid_gone(struct manager *m, int nsid);
void drain_link_gone(struct manager *m, struct object *o);
void drain_tick(struct manager *m);
void drain_settle(struct manager *m);
/* Calls `fn` with every link that has an end in the namespace; `fn` may not change the indexes. */
void each_link_in(const struct manager *m, const char *namespace, void (*fn)(struct object *link, void *arg),
		  void *arg);

/* ---- numbers.c ---- */
void numbers_ask(struct manager *m); /* looks for draining namespaces that have gone unseen */

/* ---- verify.c ---- */
#define SETTLE_MS 30 /* events must have been quiet for so long before suspects are judged */
void suspect(struct manager *m, struct object *o);
void log_object(int level, const char *id, const struct object *o, const char *what, const char *text);
void suspects_check(struct manager *m);
int verify_object(struct manager *m, struct object *o, void (*done)(struct operation *op), struct error *e);

/* ---- attach.c ---- */
void attached_tick(struct manager *m);			   /* notices processes that have ended */
void attached_resume(struct manager *m, struct object *o); /* after a restart: finds the process again */

/* ---- change.c ---- */
/* Brings the object to `spec` (taken over, also on failure), answers `r`. Only what differs is touched. */
int change_namespace(struct manager *m, struct request *r, struct object *o, struct namespace *spec, bool assign_nsid,
		     changed_reply *reply, struct error *e);
int change_link(struct manager *m, struct request *r, struct object *o, struct link *spec, changed_reply *reply,
		struct error *e);
/* Makes a lost object again, or takes back what others changed on it. Parks (returns 1) like remove_object(). */
int repair_object(struct manager *m, struct request *r, struct object *o, changed_reply *reply, struct error *e);

/* Start-up: brings the kernel to the record of a change that was cut off, or makes the object anew; its end counts as one of
 * the start-up's operations. */
int finish_change(struct manager *m, struct object *o);

/* ---- watch.c ---- */
struct found_name {
	char name[NAME_MAX_LENGTH + 1];
	enum netns_file file;
	uint64_t cookie;
};
/* What is in the kernel: the names in /run/netns, the interfaces of the host. */
struct inventory {
	struct operation op;
	struct found_name *names;
	struct link_info *links;
	size_t n_names, names_size, n_links, links_size;
};
int inventory_start(struct manager *m, void (*done)(struct operation *op));
void inventory_free(struct inventory *v);

int watch_open(struct manager *m, struct error *e);
void watch_close(struct manager *m);
void watch_tick(struct manager *m);
void watch_name(struct manager *m, const struct found_name *found);
void watch_links(struct manager *m, struct link_info *v, size_t n); /* the whole mirror; sorts `v` */
void watch_catch_up(struct manager *m);				    /* with everything the kernel has told */
void watch_learn(struct manager *m, struct object *o);		    /* the nsid that a link just made tells */

/* ---- reconcile.c ---- */
int reconcile_load(struct manager *m, struct error *e);
void reconcile_start(struct manager *m);
void reconcile_made(struct manager *m); /* one of its operations has come back */

/* ---- monitor.c ---- */
void announce(struct manager *m, enum change c, struct object *o);
void subscribers_drop(struct manager *m);
extern const struct type monitor_reply_type;
method_handler method_monitor;
