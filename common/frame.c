/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A bounded buffer that yields NUL-terminated messages.
 *
 * Theory of operation: bytes lie in data[begin, end); those before `scanned` are known to hold no NUL, so that a sender
 * of single bytes costs one look at each. Taking a message moves `begin` only; bytes move to the front when room is
 * asked for. The buffer starts at nothing, doubles up to the limit and is given back when it is empty and large, so
 * that idle connections cost little.
 */
#include "config.h"

#include "frame.h"

#include <stdlib.h>
#include <string.h>

#include "macros.h"

#define FIRST_SIZE 4096

struct frame {
	char *data;
	size_t begin, scanned, end; /* begin <= scanned <= end <= size <= limit */
	size_t size, limit;
};

struct frame *
frame_new(size_t limit)
{
	struct frame *f = calloc(1, sizeof(*f));
	if (f)
		f->limit = limit;
	return f;
}

void
frame_free(struct frame *f)
{
	if (f)
		free(f->data);
	free(f);
}

static void
move_to_front(struct frame *f)
{
	if (f->begin == 0)
		return;
	memmove(f->data, f->data + f->begin, f->end - f->begin);
	f->scanned -= f->begin;
	f->end -= f->begin;
	f->begin = 0;
}

static int
grow(struct frame *f)
{
	size_t size = f->size ? f->size * 2 : FIRST_SIZE;
	if (size > f->limit)
		size = f->limit;
	if (size == f->size)
		return -1;

	char *data = realloc(f->data, size);
	if (!data)
		return -1;
	f->data = data;
	f->size = size;
	return 0;
}

char *
frame_space(struct frame *f, size_t *size)
{
	move_to_front(f);
	if (f->end == f->size && grow(f) < 0)
		return NULL;
	*size = f->size - f->end;
	return f->data + f->end;
}

void
frame_filled(struct frame *f, size_t n)
{
	f->end += n;
}

/* The buffer is empty: forget it if it is large. */
static void
rest(struct frame *f)
{
	f->begin = f->scanned = f->end = 0;
	if (f->size > FIRST_SIZE) {
		free(TAKE_PTR(f->data));
		f->size = 0;
	}
}

const char *
frame_next(struct frame *f, size_t *length)
{
	if (f->begin == f->end) {
		rest(f);
		return NULL;
	}

	const char *nul = memchr(f->data + f->scanned, '\0', f->end - f->scanned);
	if (!nul) {
		f->scanned = f->end;
		return NULL;
	}
	const char *message = f->data + f->begin;
	*length = (size_t)(nul - message);
	f->begin = f->scanned = (size_t)(nul + 1 - f->data);
	return message;
}

size_t
frame_pending(const struct frame *f)
{
	return f->end - f->begin;
}
