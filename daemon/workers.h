/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads for what may wait: kernel calls and commits. A job is a plain struct that travels to a worker, runs there, and
 * comes back to the thread that submitted it, which learns of it through a file descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct workers;

struct job {
	void (*run)(struct job *j, void *thread); /* on a worker; `thread` is that worker's own context */
	void (*done)(struct job *j);		  /* back on the submitting thread; owns the job again */
	struct job *next;
	int64_t submitted; /* CLOCK_MONOTONIC nanoseconds */
};

struct workers_ops {
	/* Makes the context of a new worker, on that worker; a failure ends the thread. */
	int (*thread_start)(void *arg, void **ret, struct error *e);
	void (*thread_stop)(void *thread);
	void *arg;
};

/* Starts `count` threads (1..WORKERS_MAX) and waits until each has its context; fails if one could not make it. The
 * threads block all signals. */
#define WORKERS_MAX 64
int workers_new(unsigned count, const struct workers_ops *ops, struct workers **ret, struct error *e);

/* Runs what is queued to its end, joins the threads and calls `done` of what came back. */
void workers_free(struct workers *w);

/* Jobs of one queue run in any order and side by side. */
void workers_submit(struct workers *w, struct job *j);

/* Becomes readable when jobs have come back; then call workers_collect(), which calls each one's done(). */
int workers_fd(const struct workers *w);
void workers_collect(struct workers *w);

/* Call about every 100 ms: when every thread has been at one job for longer than 500 ms while others wait, one more
 * thread is started (up to WORKERS_MAX), so that a kernel call that hangs delays its own request only. Returns true when
 * it started one. */
bool workers_check(struct workers *w);

/* Jobs queued or running. */
unsigned workers_pending(const struct workers *w);
