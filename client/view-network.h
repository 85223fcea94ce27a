/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How networks, pools and slots look to people. All take the objects as nsd sent them. */
#pragma once

#include "view.h"

/* Tables. */
extern const char *const view_network_headings[], *const view_slot_headings[];
void view_network_row(struct table *t, struct json_object *network);
void view_slot_row(struct table *t, struct json_object *slot);

/* All that is known of one object. */
void view_network(struct json_object *network);
void view_slot(struct json_object *slot);

/* The table of the pools in a reply of ListPools. */
int view_pools(struct json_object *reply, struct error *e);

/* "10.64.0.0/16 fd00::/64" and "10.64.0.3 fd00::3", into `ret`. */
#define VIEW_ADDRESSES_SIZE 128
const char *view_prefixes(struct json_object *network, char ret[VIEW_ADDRESSES_SIZE]);
const char *view_addresses(struct json_object *slot, char ret[VIEW_ADDRESSES_SIZE]);
