/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of slots: records of fixed size in a file that is mapped into memory, so that what is written survives kill -9
 * the moment it is written, and a start reads ten thousand of them in a few milliseconds. It lives in the runtime directory:
 * slots die with the kernel, so their records need not outlive it. Knows nothing of networks and of the kernel.
 *
 * A record is filled first and then given its state by one store of one word; nothing in it that belongs to a later state
 * counts before. So every record is at any instruction wholly in one state.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#include "error.h"
#include "model-network.h"
#include "names.h"

#define SLOT_LABELS_SIZE 192 /* "KEY\0VALUE\0" one after the other */
#define SLOT_PUBLISHED_MAX 8

/* States of a record; 0 is a free one. */
enum record_state {
	RECORD_FREE,
	RECORD_MAKING,	  /* its kernel part may be there or not */
	RECORD_READY,	  /* in the pool */
	RECORD_PREPARING, /* taken out for somebody who has had no answer yet */
	RECORD_LEASED,
	RECORD_DRAINING, /* to be destroyed, or already unpinned but not gone */
};

struct record_port {
	uint8_t protocol;
	uint16_t host_port, port;
};

/* 512 bytes. Integers in the machine's order: the file never leaves it. */
struct slot_record {
	/* the slot */
	_Atomic uint32_t state; /* enum record_state; written last, by slot_table_set_state() */
	uint32_t number;	/* in its network; 1.. */
	int64_t network;	/* generation of the network */
	uint64_t cookie, inode; /* of the namespace; from READY on */
	int64_t generation;	/* of the slot, then of its lease */
	/* the lease; from PREPARING on */
	int64_t owner, pid;
	uint64_t pid_start; /* start time of the process, clock ticks since boot (proc(5)) */
	int64_t deadline;   /* CLOCK_BOOTTIME nanoseconds; 0: none */
	int64_t since;	    /* CLOCK_REALTIME seconds */
	uint64_t rate[4];   /* send, its burst, receive, its burst; 0: none */
	uint32_t bond;	    /* enum lease_bond */
	uint32_t n_ports;
	uint32_t cut; /* DRAINING, its interface removed by nsd: the number of its namespace in the router, plus 1 */
	struct record_port ports[SLOT_PUBLISHED_MAX];
	char key[LEASE_KEY_MAX_LENGTH + 1]; /* "" none */
	char namespace[NAME_MAX_LENGTH + 1];
	char tap[16]; /* interface; "" none */
	char labels[SLOT_LABELS_SIZE];
	char spare[2]; /* zero */
};
static_assert(sizeof(struct slot_record) == 512, "the records in the file have this size");

struct slot_table;

/* Opens FILE, made when missing (mode 0600; no symlink is followed), and maps it. One that belongs to another boot or
 * another vault is replaced by an empty one: its slots died; *lost is how many were leased. A damaged one (not ours, wrong
 * size, impossible records) is moved aside to FILE.damaged and *lost set to -1. ERROR_STORE where the file system refuses. */
int slot_table_open(const char *file, const char *boot, const char *vault, struct slot_table **ret, int *lost,
		    struct error *e);
void slot_table_close(struct slot_table *t); /* NULL is fine */

/* A free record, all zero; it counts from the first slot_table_set_state() on, and until then must be given back by FREE,
 * too. Grows the file, its blocks allocated before they are touched: ERROR_STORE when the file system is full. */
int slot_table_take(struct slot_table *t, uint32_t *ret, struct error *e);

/* A record keeps its address until slot_table_close(). Its strings must always end within their arrays. */
struct slot_record *slot_table_at(const struct slot_table *t, uint32_t i);
uint32_t slot_table_size(const struct slot_table *t); /* records, free ones included */

/* The commit: everything written to the record before is there before the state is. FREE gives it back, once. */
void slot_table_set_state(struct slot_table *t, uint32_t i, enum record_state state);
