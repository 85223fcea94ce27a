/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verbs of links share: the words of an end, and finding a link by what people call it. */
#pragma once

#include "client.h"
#include "words.h"

struct json_object;

/* Which objects the words of a link fill. */
enum link_target { TARGET_LINK, TARGET_END, TARGETS };

/* Words that mean the same for a new end and for one that is there. They go to TARGET_END. */
extern const struct word end_words[];

/* "10.0.0.1/24" */
bool end_is_prefix(const char *text);

/* A MAC: `ip link ... address MAC`. */
bool end_is_mac(const char *text);

/* DST [via GW] [metric N], joined to the routes of the end. */
word_parse end_parse_route;

/* The link called `text`: by its own name, else by the interface of an end, written IFNAME or NAMESPACE/IFNAME ("/IFNAME"
 * in the host). *end is the index of that end, or -1 where the text tells none. Several that fit are an error that names
 * them. *ret is the caller's. */
int link_find(struct client *c, const char *text, struct json_object **ret, int *end, struct error *e);

/* The same without looking for a name of a link. */
int link_find_end(struct client *c, const char *text, struct json_object **ret, int *end, struct error *e);
