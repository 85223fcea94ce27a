/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failures of nsc's own and the exit status of every failure. What nsd answers has a code (common/error.h) that tells the
 * status; what goes wrong on this side travels in a struct error of code ERROR_NONE, and its number tells the status.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "error.h"

#define EXEC_FAILED 125 /* whatever goes wrong in `exec` before the command runs, but for 126 and 127 */

enum failure {
	FAILURE_USAGE,	    /* the command line: nothing was sent */
	FAILURE_LOCAL,	    /* a system call of nsc itself, or memory */
	FAILURE_CONNECTION, /* nsd cannot be reached, or went away */
	FAILURE_PROTOCOL,   /* what came back is no Varlink */
	FAILURE_NOT_EXECUTABLE,
	FAILURE_COMMAND_NOT_FOUND,
	FAILURE_MAX,
};

/* Fills `e` and returns a negative errno. */
int fail(struct error *e, enum failure f, const char *fmt, ...) PRINTF(3, 4);

/* FAILURE_LOCAL or the given one, with ": <strerror>" after the text. `number` is positive. */
int fail_errno(struct error *e, enum failure f, int number, const char *fmt, ...) PRINTF(4, 5);

/* Makes an error of the common layers one of nsc's own: "<context>: <text>". */
int fail_wrap(struct error *e, enum failure f, const char *context);

/* Out of memory. */
int fail_memory(struct error *e);

/* Would the next call fail in the same way: has the connection, or nsc itself, broken down? */
bool failure_is_fatal(const struct error *e);

/* What nsc ends with for `e`. */
int failure_status(const struct error *e);

/* Every exit status with its meaning, one a line, for help and manual. */
void failure_list(FILE *f);
