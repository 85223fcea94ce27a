/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verbs that acquire a slot share. */
#pragma once

#include "words.h"

struct json_object;

/* What may be asked of a slot, whatever ends its lease: parameters of AcquireSlot. */
extern const struct word lease_words[];

/* Checks what the words leave open, and puts the network into the parameters. */
int lease_complete(struct json_object *parameters, const char *network, struct error *e);
