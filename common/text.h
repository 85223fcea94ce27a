/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A text that grows, and JSON values put at its end. Failures (out of memory) are kept: check once, at the end. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text { /* starts as { 0 } */
	char *bytes;
	size_t length, size;
	bool failed;
};

void text_put(struct text *t, const char *bytes, size_t length);
void text_puts(struct text *t, const char *string);
void text_number(struct text *t, int64_t number);

/* "KEY": of an object, after a comma unless it is the first. The key needs no escaping. */
void text_key(struct text *t, const char *key, bool first);

/* A JSON string with its quotes (RFC 8259); bytes that are no UTF-8 are cleaned (utf8_clean()). */
void text_string(struct text *t, const char *string);

/* The text, ended by NUL, which the caller frees; NULL when anything failed. *length (may be NULL) does not count the NUL.
 * `t` is empty again. */
char *text_take(struct text *t, size_t *length);
void text_done(struct text *t);
