/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The objects of this host: their life, their invariants, the order of every change. Only caller of kernel and store. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "request.h"

struct manager;
struct netns_site;
struct object;
struct store;
struct workers;

struct manager_policy {
	bool remake_lost;			      /* make vanished objects again by itself */
	unsigned namespaces_per_user, links_per_user; /* of a uid other than root's */
	unsigned slots_per_user, acquires_per_second; /* the same */
	unsigned slots_reserved;		      /* of each network, for root */
	unsigned grace_seconds; /* for leases bound to a connection, after a start, to be taken up again */
};

struct manager_options {
	struct workers *workers; /* whose threads have a struct kernel as their context */
	struct store *store;
	struct netns_site *site;
	const char *boot;	       /* boot id */
	const char *state_directory;   /* for GetStatus */
	const char *runtime_directory; /* of the vault and the table of slots */
	struct manager_policy policy;
};

/* Reads the store. The calling thread must be in the host's network namespace: its events are watched from here on. */
int manager_new(const struct manager_options *o, struct manager **ret, struct error *e);
void manager_free(struct manager *m);
void manager_set_policy(struct manager *m, const struct manager_policy *p);

/* Starts to bring kernel and records together, in the background. Requests that change something wait until it is done;
 * reads are answered from the records. */
void manager_start(struct manager *m);

/* No new work from here on; what is under way goes on to its end. */
void manager_stop(struct manager *m);

/* To be called when the descriptor is readable: kernel events, and the watch on the directory of namespaces. They return
 * whether there was anything. */
int manager_events_fd(const struct manager *m);
bool manager_events(struct manager *m);
int manager_watch_fd(const struct manager *m);
bool manager_watch(struct manager *m);

/* To be called when the descriptor is readable: everything about slots. */
int manager_slots_fd(const struct manager *m);
void manager_slots(struct manager *m);

/* Jobs about slots, queued or running. */
unsigned manager_slots_pending(const struct manager *m);

/* To be called about every 100 ms, and after workers_collect(). */
void manager_tick(struct manager *m);
void manager_settle(struct manager *m);

struct manager_stats {
	int64_t namespaces, links, networks, lost, draining, foreign, sequence;
	int64_t slots_ready, slots_leased, slots_draining, slots_making;
	bool reconciled, writable;
};
struct manager_stats manager_stats(const struct manager *m);

/* What GetStatus shows of the layers above. */
void manager_set_gauges(struct manager *m, void (*fn)(void *arg, int64_t *connections, int64_t *requests), void *arg);

/* The wire interface io.nsd.Manager; its handlers' context is the manager. */
struct interface;
extern const struct interface manager_interface;
