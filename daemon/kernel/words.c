/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See words.h. */
#include "config.h"

#include "words.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
words_add(const struct words *w, const char *fmt, ...)
{
	va_list ap;
	size_t used = strlen(w->text);

	if (used > 0) {
		snprintf(w->text + used, w->size - used, "; ");
		used = strlen(w->text);
	}
	va_start(ap, fmt);
	vsnprintf(w->text + used, w->size - used, fmt, ap);
	va_end(ap);
}
