/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Output: aligned tables, blocks of labelled values, JSON. Whatever comes from elsewhere is made harmless to a terminal. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

struct json_object;
struct table;

enum colour { COLOUR_NONE, COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD, COLOUR_DIM, COLOUR_BOLD };

/* Colour only on a terminal, and not where NO_COLOR or TERM=dumb forbid it. */
bool print_colours(FILE *f);

/* Text with controls and invalid bytes written as "\\x1b" and "\\u202e". */
void print_text(FILE *f, const char *text);
void print_lines(const char *text); /* to stdout, line by line, the last one ended */
void print_coloured(FILE *f, enum colour colour, const char *text);

/* "nsc: ..." on stderr, one line. */
void print_error(const struct error *e);
void print_notice(const char *text);
void print_warning(const char *fmt, ...) PRINTF(1, 2);

/* One JSON value and a newline: in one line, or indented where `pretty` and stdout is a terminal. */
int print_json(struct json_object *o, bool pretty, struct error *e);

/* A table: headings (ended by NULL), then cells row by row. Printed with aligned columns; nothing for one of no rows but
 * the headings. Running out of memory is told by table_print(). */
struct table *table_new(const char *const *headings);
void table_free(struct table **t);
void table_add(struct table *t, const char *text);
void table_addf(struct table *t, const char *fmt, ...) PRINTF(2, 3);
void table_colour(struct table *t, enum colour colour); /* of the cell added last */
int table_print(const struct table *t, struct error *e);

/* "  label       value" */
void print_field(const char *label, const char *value);
void print_fieldf(const char *label, const char *fmt, ...) PRINTF(2, 3);

/* Short forms of a duration ("3d", "12m") and of a point in time ("2026-05-01 12:30:00"). */
#define PRINT_TIME_SIZE 32
const char *print_age(int64_t seconds, char ret[PRINT_TIME_SIZE]);
const char *print_time(int64_t when, char ret[PRINT_TIME_SIZE]);

/* "root", or the number of a user without a name; "-" for a negative one. */
const char *print_user(int64_t uid, char ret[PRINT_TIME_SIZE]);
