/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Namespaces made in advance. Making one takes a third of the time of a whole request, and nobody needs to wait for it
 * when requests come one after the other. A spare is held by this process alone, so it is gone with it, and it is used
 * only while it is young: a namespace takes some of its settings from the host when it is made.
 */
#pragma once

#include "netns.h"

#define SPARES_MAX 2
#define SPARE_MS 1500

struct spares;

struct spares *spares_new(void); /* NULL: out of memory */
void spares_free(struct spares *s);

/* Keeps `n` (taken over) unless there are enough; closes it then. Any thread. */
void spares_put(struct spares *s, struct netns *n);

/* A young one in *ret, or false. */
bool spares_take(struct spares *s, struct netns *ret);

/* Closes those that are no longer young; returns how many are left. */
unsigned spares_drop_old(struct spares *s);
