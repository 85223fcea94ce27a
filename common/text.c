/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Growing texts. Replies and records are written straight into one: thousands of objects pass here, and a tree of JSON
 * values for each would take longer than the kernel's part of a request allows. */
#include "config.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "macros.h"
#include "utf8.h"

#define FIRST_SIZE 1024

static bool
make_room(struct text *t, size_t length)
{
	if (t->failed)
		return false;
	if (t->size - t->length > length)
		return true;
	size_t size = t->size ? t->size : FIRST_SIZE;
	while (size - t->length <= length)
		size *= 2;
	char *bytes = realloc(t->bytes, size);
	if (!bytes) {
		t->failed = true;
		return false;
	}
	t->bytes = bytes;
	t->size = size;
	return true;
}

void
text_put(struct text *t, const char *bytes, size_t length)
{
	if (!make_room(t, length))
		return;
	memcpy(t->bytes + t->length, bytes, length);
	t->length += length;
}

void
text_puts(struct text *t, const char *string)
{
	text_put(t, string, strlen(string));
}

void
text_number(struct text *t, int64_t number)
{
	char digits[24], *end = digits + sizeof(digits), *d = end;
	uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;

	do
		*--d = (char)('0' + left % 10);
	while (left /= 10);
	if (number < 0)
		*--d = '-';
	text_put(t, d, (size_t)(end - d));
}

void
text_key(struct text *t, const char *key, bool first)
{
	size_t n = strlen(key);

	if (!make_room(t, n + 4))
		return;
	char *p = t->bytes + t->length;
	if (!first)
		*p++ = ',';
	*p++ = '"';
	p = mempcpy(p, key, n);
	*p++ = '"';
	*p++ = ':';
	t->length = (size_t)(p - t->bytes);
}

static bool
is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

/* How many bytes of the string are plain ASCII, with nothing to check or to escape. */
static size_t
plain_length(const char *string)
{
	size_t n = 0;

	while (is_plain((unsigned char)string[n]) && (unsigned char)string[n] < 0x80)
		n++;
	return n;
}

static void
put_escaped(struct text *t, unsigned char c)
{
	static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	char escape[8];

	for (const char *l = letters; *l; l += 2)
		if ((unsigned char)l[0] == c) {
			text_put(t, (const char[]){ '\\', l[1] }, 2);
			return;
		}
	text_put(t, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", c));
}

static void
put_string(struct text *t, const char *string)
{
	text_put(t, "\"", 1);
	while (*string) {
		size_t n = 0;
		while (string[n] && is_plain((unsigned char)string[n]))
			n++;
		text_put(t, string, n);
		string += n;
		if (*string)
			put_escaped(t, (unsigned char)*string++);
	}
	text_put(t, "\"", 1);
}

void
text_string(struct text *t, const char *string)
{
	size_t n = plain_length(string);

	if (string[n] == '\0' && make_room(t, n + 2)) { /* nearly all of them */
		char *p = t->bytes + t->length;
		*p++ = '"';
		p = mempcpy(p, string, n);
		*p = '"';
		t->length += n + 2;
		return;
	}
	if (utf8_is_valid(string, strlen(string))) {
		put_string(t, string);
		return;
	}
	CLEANUP(free_ptr) char *copy = strdup(string);
	if (!copy) {
		t->failed = true;
		return;
	}
	utf8_clean(copy);
	put_string(t, copy);
}

char *
text_take(struct text *t, size_t *length)
{
	text_put(t, "", 1);
	if (t->failed) {
		text_done(t);
		return NULL;
	}
	char *bytes = t->bytes;
	if (length)
		*length = t->length - 1;
	*t = (struct text){ 0 };
	return bytes;
}

void
text_done(struct text *t)
{
	free(t->bytes);
	*t = (struct text){ 0 };
}
