/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the soak clients write down and the checker reads: records of fixed size in files that are mapped shared, so that
 * a process that is killed leaves all it knew. `run` writes the same for its own part (tests/soak/logs.py).
 *
 * A record is there, with its time `asked`, before the request is sent; `answered` is set last, after everything that the
 * answer said. So one without it stands for a request whose outcome nobody knows. Times are CLOCK_MONOTONIC nanoseconds.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LOG_MAGIC UINT64_C(0x314b414f5344534e) /* "NSDSOAK1" */
#define LOG_HEADER_SIZE 4096

enum record_kind {
	RECORD_ACQUIRE = 1,
	RECORD_RELEASE,
	RECORD_RENEW,
	RECORD_OPEN,
	RECORD_GET,
	RECORD_LOOK, /* what the kernel says of a held slot: cookie, addresses */
	RECORD_PIN,  /* asked: the namespace is held from then on; answered: right before that ends; `holder`: how */
	RECORD_HOLDER_END, /* asked: right before a connection is closed or a process killed */
	RECORD_NSD_KILL,   /* asked: right before it is killed */
	RECORD_NSD_START,  /* asked: right before it is started; answered: it answers */
	RECORD_LIST,	   /* everything listed at one moment; `request` is its number */
	RECORD_ITEM,	   /* one slot of the LIST `holder`; `request` as the label of the lease says */
};

enum record_outcome {
	OUTCOME_UNKNOWN,
	OUTCOME_OK,
	OUTCOME_LIMIT,	   /* LimitExceeded, QuotaExceeded */
	OUTCOME_STALE,	   /* StaleGeneration */
	OUTCOME_NOT_FOUND, /* NotFound, Lost, Draining: the lease is not there */
	OUTCOME_PASSING,   /* Busy, ShuttingDown, TimedOut: may be asked again */
	OUTCOME_OTHER,	   /* any other error */
	OUTCOME_SILENCE,   /* no answer at all in a long time, the connection open */
	OUTCOME_NONSENSE,  /* an answer that is none: a malformed slot, a name that is not NETWORK.NUMBER */
	N_OUTCOMES,
};

enum bond { BOND_CONNECTION, BOND_PROCESS, BOND_TIME, BOND_NOTHING, N_BONDS };

enum record_flag {
	FLAG_CREATED = 1, /* ACQUIRE: the answer says that the lease is new */
	FLAG_BLIND = 2,	  /* RELEASE: sent without generation */
	FLAG_STALE = 4,	  /* on purpose, of a lease known to be over */
	FLAG_LEASED = 8,  /* GET, ITEM: the state is leased */
	FLAG_FINAL = 16,  /* LIST: everything should have ended */
	FLAG_CHILD = 32,  /* asked by a process that is to be killed */
};

enum pin_kind { PIN_DESCRIPTOR, PIN_SOCKET, PIN_FLIGHT, PIN_PROCESS, PIN_UNPRIVILEGED, N_PINS };

struct record {
	uint64_t asked, answered;
	uint64_t base;	    /* since when a time to live may be counted: when the first attempt was sent */
	int64_t ttl;	    /* nanoseconds; 0: none */
	int64_t generation; /* asked for, then as answered */
	uint64_t cookie;
	uint64_t holder; /* what the lease is bound to */
	uint64_t key;	 /* 0: none */
	uint64_t request;
	uint32_t network, number;
	uint8_t address4[4];
	uint8_t kind, outcome, bond, flags;
	uint8_t address6[16];
};

_Static_assert(sizeof(struct record) == 104, "logs.py has the same layout");

struct log_header {
	uint64_t magic;
	_Atomic uint64_t count;
};
