/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The method tables of io.nsd.Manager, and what their files share. A new method is one entry in one of the tables. */
#pragma once

#include "object.h"

/* Each ended by a zero entry; interface.c puts them together. */
extern const struct method namespace_methods[], link_methods[], query_methods[], process_methods[], network_methods[],
	slot_methods[];

/* A namespace as replies show it: with the nsid that the kernel gave. Shallow. */
struct namespace shown(const struct object *o);

int merge_labels(struct pairs *into, const struct pairs *from, struct error *e);

/* ERROR_LOST or ERROR_DRAINING for an object that cannot be used. */
int not_ready(const struct object *o, struct error *e);
