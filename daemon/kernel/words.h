/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Remarks one after the other in a buffer of the caller; what does not fit is left out. */
#pragma once

#include <stddef.h>

#include "macros.h"

struct words {
	char *text; /* the caller makes it "" */
	size_t size;
};

/* Adds a remark, with "; " before it when it is not the first. */
void words_add(const struct words *w, const char *fmt, ...) PRINTF(2, 3);
