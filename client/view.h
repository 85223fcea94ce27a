/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How namespaces and links look to people. All take the objects as nsd sent them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct json_object;
struct table;

/* Tables. */
extern const char *const view_namespace_headings[], *const view_link_headings[], *const view_counter_headings[];
void view_namespace_row(struct table *t, struct json_object *ns);
void view_link_row(struct table *t, struct json_object *link);
void view_counter_rows(struct table *t, struct json_object *link); /* one of each end */

/* The parts of which blocks are made: nothing is printed where the object does not have the key. */
void view_field_number(struct json_object *o, const char *key, const char *label);
void view_field_string(struct json_object *o, const char *key, const char *label);
void view_field_joined(struct json_object *o, const char *key, const char *label);
void view_field_state(struct json_object *o);	/* with the message */
void view_fields_common(struct json_object *o); /* owner, created, generation, labels */

/* Cells of tables. */
void view_cell_state(struct table *t, struct json_object *o);
void view_cell_number(struct table *t, struct json_object *o, const char *key);
void view_cell_joined(struct table *t, struct json_object *array_or_object);
void view_cell_age(struct table *t, struct json_object *o, const char *key);

/* The names of the objects in an array, one a line. */
void view_names(struct json_object *reply, const char *key);

/* All that is known of one object. */
void view_namespace(struct json_object *ns);
void view_link(struct json_object *link);

/* "NAMESPACE/INTERFACE", or "INTERFACE" for one in the host, into `ret`. */
#define VIEW_END_SIZE 128
const char *view_end(struct json_object *end, char ret[VIEW_END_SIZE]);

/* "veth-a - nstest/veth-b" */
const char *view_ends(struct json_object *link, char ret[2 * VIEW_END_SIZE]);

/* The strings of an array, or the pairs of an object as K=V, separated by blanks; "" for none. Caller frees; NULL when
 * out of memory. */
char *view_join(struct json_object *array_or_object);

/* "ready", or "foreign" for what nsd did not make. */
const char *view_state(struct json_object *object);
