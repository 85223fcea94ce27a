/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See samples.h. */
#include "config.h"

#include "samples.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

void
samples_add(struct samples *s, uint64_t ns)
{
	if (s->n == s->size) {
		s->size = s->size ? s->size * 2 : 1024;
		uint64_t *v = realloc(s->v, s->size * sizeof(*v));
		if (!v)
			die(ENOMEM, "samples");
		s->v = v;
	}
	s->v[s->n++] = ns;
}

void
samples_append(struct samples *s, const struct samples *more)
{
	for (size_t i = 0; i < more->n; i++)
		samples_add(s, more->v[i]);
}

void
samples_done(struct samples *s)
{
	free(s->v);
	*s = (struct samples){ 0 };
}

void
samples_print(const char *name, const struct samples *s)
{
	printf("\"%s\":[", name);
	for (size_t i = 0; i < s->n; i++)
		printf("%s%" PRIu64, i > 0 ? "," : "", s->v[i]);
	printf("]");
}

void
die(int number, const char *fmt, ...)
{
	va_list ap;
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "%s%s\n", number ? ": " : "", number ? strerror(number) : "");
	exit(EXIT_FAILURE);
}

unsigned long
parse_number(const char *text, const char *what)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);
	if (errno || end == text || *end)
		die(0, "%s: \"%s\" is not a number", what, text);
	return n;
}
