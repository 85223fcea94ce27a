/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Output: escaping, colour, tables, JSON. */
#include "config.h"

#include "print.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "failure.h"
#include "utf8.h"

struct cell {
	char *text; /* escaped */
	enum colour colour;
};

struct table {
	size_t columns, n, size;
	struct cell *cells;
	bool failed; /* out of memory */
};

static const char *const colours[] = {
	[COLOUR_NONE] = "",	     [COLOUR_GOOD] = "\033[32m", [COLOUR_WARN] = "\033[33m",
	[COLOUR_BAD] = "\033[1;31m", [COLOUR_DIM] = "\033[2m",	 [COLOUR_BOLD] = "\033[1m",
};

bool
print_colours(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(f)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

void
print_text(FILE *f, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		uint32_t code = 0;
		size_t n = utf8_decode(text, left, &code);
		if (n == 0)
			fprintf(f, "\\x%02x", (unsigned char)*text);
		else if (n == 1 && utf8_is_control(code))
			fprintf(f, "\\x%02x", (unsigned)code);
		else if (utf8_is_control(code))
			fprintf(f, "\\u%04x", (unsigned)code);
		else
			fwrite(text, 1, n, f);
		n = n ? n : 1;
		text += n;
		left -= n;
	}
}

void
print_coloured(FILE *f, enum colour colour, const char *text)
{
	bool on = colour != COLOUR_NONE && print_colours(f);

	if (on)
		fputs(colours[colour], f);
	print_text(f, text);
	if (on)
		fputs("\033[0m", f);
}

void
print_lines(const char *text)
{
	char line[512];

	while (*text) {
		size_t n = strcspn(text, "\n"), part = n < sizeof(line) ? n : sizeof(line) - 1;
		memcpy(line, text, part);
		line[part] = '\0';
		print_text(stdout, line);
		text += part;
		if (*text == '\n' || !*text)
			putchar('\n');
		text += *text == '\n';
	}
}

void
print_error(const struct error *e)
{
	fputs("nsc: ", stderr);
	print_text(stderr, e->text);
	if (e->field[0] && !strstr(e->text, e->field)) {
		fputs(" (", stderr);
		print_text(stderr, e->field);
		fputc(')', stderr);
	}
	fputc('\n', stderr);
}

void
print_notice(const char *text)
{
	fputs("nsc: ", stderr);
	print_text(stderr, text);
	fputc('\n', stderr);
}

void
print_warning(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fputs("nsc: warning: ", stderr);
	print_text(stderr, text);
	fputc('\n', stderr);
}

/* JSON may carry any character but the C0 controls; those a terminal would obey are written as \u escapes. */
static void
write_json(const char *text)
{
	size_t left = strlen(text);

	while (left) {
		uint32_t code = 0;
		size_t n = utf8_decode(text, left, &code);
		if (n && code != '\n' && utf8_is_control(code))
			printf("\\u%04x", (unsigned)code);
		else
			fwrite(text, 1, n ? n : 1, stdout);
		n = n ? n : 1;
		text += n;
		left -= n;
	}
	putchar('\n');
}

int
print_json(struct json_object *o, bool pretty, struct error *e)
{
	int flags = pretty && isatty(STDOUT_FILENO) ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED :
						      JSON_C_TO_STRING_PLAIN;
	const char *text = json_object_to_json_string_ext(o, flags | JSON_C_TO_STRING_NOSLASHESCAPE);

	if (!text)
		return fail_memory(e);
	write_json(text);
	return 0;
}

/* Text as print_text() writes it. */
static char *
escaped(const char *text)
{
	char *buffer = NULL;
	size_t size;
	FILE *f = open_memstream(&buffer, &size);

	if (!f)
		return NULL;
	print_text(f, text);
	if (fclose(f) == 0)
		return buffer;
	free(buffer);
	return NULL;
}

struct table *
table_new(const char *const *headings)
{
	struct table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	while (headings[t->columns])
		t->columns++;
	for (size_t i = 0; i < t->columns; i++) {
		table_add(t, headings[i]);
		table_colour(t, COLOUR_BOLD);
	}
	return t;
}

void
table_free(struct table **t)
{
	if (!*t)
		return;
	for (size_t i = 0; i < (*t)->n; i++)
		free((*t)->cells[i].text);
	free((*t)->cells);
	free(*t);
	*t = NULL;
}

void
table_add(struct table *t, const char *text)
{
	if (t->n == t->size) {
		size_t size = t->size ? t->size * 2 : 64;
		struct cell *cells = realloc(t->cells, size * sizeof(*cells));
		if (!cells) {
			t->failed = true;
			return;
		}
		t->cells = cells;
		t->size = size;
	}
	char *copy = escaped(text[0] ? text : "-");
	if (copy)
		t->cells[t->n++] = (struct cell){ .text = copy };
	else
		t->failed = true;
}

void
table_addf(struct table *t, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->failed = true;
		return;
	}
	table_add(t, text);
	free(text);
}

void
table_colour(struct table *t, enum colour colour)
{
	if (t->n)
		t->cells[t->n - 1].colour = colour;
}

/* Columns on a screen, taking each character for one. */
static size_t
text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static size_t
column_width(const struct table *t, size_t column)
{
	size_t width = 0;

	for (size_t i = column; i < t->n; i += t->columns) {
		size_t w = text_width(t->cells[i].text);
		width = w > width ? w : width;
	}
	return width;
}

static void
print_cell(const struct cell *c, bool colour, size_t pad)
{
	if (colour)
		fputs(colours[c->colour], stdout);
	fputs(c->text, stdout);
	if (colour && c->colour != COLOUR_NONE)
		fputs("\033[0m", stdout);
	printf("%*s", (int)pad, "");
}

int
table_print(const struct table *t, struct error *e)
{
	bool colour = print_colours(stdout);
	CLEANUP(free_ptr) size_t *widths = calloc(t->columns, sizeof(*widths));

	if (t->failed || !widths)
		return fail_memory(e);
	for (size_t i = 0; i < t->columns; i++)
		widths[i] = column_width(t, i);
	for (size_t i = 0; i < t->n; i++) {
		size_t column = i % t->columns;
		bool last = column + 1 == t->columns || i + 1 == t->n;
		print_cell(&t->cells[i], colour, last ? 0 : widths[column] - text_width(t->cells[i].text) + 2);
		if (last)
			putchar('\n');
	}
	return 0;
}

void
print_field(const char *label, const char *value)
{
	printf("  %-12s", label);
	print_text(stdout, value);
	putchar('\n');
}

void
print_fieldf(const char *label, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_field(label, text);
}

const char *
print_age(int64_t seconds, char ret[PRINT_TIME_SIZE])
{
	static const struct {
		int64_t from, unit;
		char letter;
	} steps[] = { { 172800, 86400, 'd' }, { 7200, 3600, 'h' }, { 120, 60, 'm' }, { 0, 1, 's' } };

	seconds = seconds < 0 ? 0 : seconds;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		if (seconds >= steps[i].from) {
			snprintf(ret, PRINT_TIME_SIZE, "%" PRId64 "%c", seconds / steps[i].unit, steps[i].letter);
			break;
		}
	return ret;
}

const char *
print_time(int64_t when, char ret[PRINT_TIME_SIZE])
{
	time_t t = (time_t)when;
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(ret, PRINT_TIME_SIZE, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(ret, PRINT_TIME_SIZE, "@%" PRId64, when);
	return ret;
}

const char *
print_user(int64_t uid, char ret[PRINT_TIME_SIZE])
{
	struct passwd *p = uid > 0 && uid < UINT32_MAX ? getpwuid((uid_t)uid) : NULL;

	if (uid < 0)
		snprintf(ret, PRINT_TIME_SIZE, "-");
	else if (uid == 0)
		snprintf(ret, PRINT_TIME_SIZE, "root");
	else if (p)
		snprintf(ret, PRINT_TIME_SIZE, "%s", p->pw_name);
	else
		snprintf(ret, PRINT_TIME_SIZE, "%" PRId64, uid);
	return ret;
}
