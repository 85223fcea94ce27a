/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the measuring programs share: the clock, lists of measured times, their JSON form, and giving up. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "macros.h"

/* CLOCK_MONOTONIC in nanoseconds; the driver reads the same clock. */
uint64_t now_ns(void);

struct samples { /* nanoseconds, in the order they were taken */
	uint64_t *v;
	size_t n, size;
};

void samples_add(struct samples *s, uint64_t ns);
void samples_append(struct samples *s, const struct samples *more);
void samples_done(struct samples *s);

/* "NAME":[1,2,...] on stdout, without a comma after it. */
void samples_print(const char *name, const struct samples *s);

/* Prints "PROGRAM: TEXT[: strerror(number)]" and exits with status 1; number 0 leaves the reason out. */
noreturn void die(int number, const char *fmt, ...) PRINTF(2, 3);

/* The decimal number `text`, or die naming `what`. */
unsigned long parse_number(const char *text, const char *what);
