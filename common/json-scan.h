/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The words of a JSON text, checked before json-c sees it. Used by json.c only. */
#pragma once

#include <stddef.h>

#include "error.h"

/* What the scan found; `members` is the number of ':' outside strings, one per member of an object. */
struct json_words {
	size_t members;
};

/* Checks each word (string, number, literal, bracket) and the nesting of `text`. 0 or ERROR_INVALID_VALUE. */
int json_scan(const char *text, size_t length, unsigned max_depth, struct json_words *ret, struct error *e);
