/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The property that holds for every struct with a field table. */
#include "config.h"

#include "fuzz.h"

#include <string.h>

static char *
print(const struct type *t, const void *s, enum fields_view view)
{
	char *text = NULL;
	CHECK(fields_to_text(t, s, view, &text, NULL) == 0);
	return text;
}

static void
check_same(const struct type *t, const void *s, const char *text, enum fields_view view)
{
	char *again CLEANUP(free_ptr) = print(t, s, view);
	CHECK(strcmp(again, text) == 0);
}

void
round_trip(const struct type *t, const char *text, enum fields_view view)
{
	void *s CLEANUP(free_ptr) = malloc(t->size), *other CLEANUP(free_ptr) = malloc(t->size);
	struct error e = { 0 };
	char path[96];
	CHECK(s && other);
	if (fields_from_text(t, text, view, s, &e) < 0) {
		CHECK(e.code != ERROR_NONE && e.text[0]);
		return;
	}

	char *printed CLEANUP(free_ptr) = print(t, s, view);
	CHECK(fields_from_text(t, printed, view, other, &e) == 0);
	check_same(t, other, printed, view);
	CHECK(fields_match(t, s, other, path, sizeof(path)));
	fields_done(t, other);

	CHECK(fields_copy(t, s, other, &e) == 0);
	fields_done(t, s);
	check_same(t, other, printed, view);
	fields_done(t, other);
}
