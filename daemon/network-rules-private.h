/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the rules share: how nft's language is written, and what a router's rules are made of. */
#pragma once

#include "macros.h"
#include "network-rules.h"
#include "text.h"

#define RULE_ADDRESS_SIZE 48 /* of an address in words, with its NUL */

/* IP protocols are written as numbers: names would be looked up in /etc/protocols, which need not be there. */
#define RULE_TCP 6
#define RULE_UDP 17

void rules_put(struct text *t, const char *fmt, ...) PRINTF(2, 3);

/* Hands the text over. -ENOMEM only. */
int rules_take(struct text *t, char **ret, struct error *e);

/* A set or map, or the elements to add to one: `head` says everything but the elements, which may be none. */
struct rules_set {
	struct text *text;
	unsigned n;
};
struct rules_set rules_set_begin(struct text *t, const char *fmt, ...) PRINTF(2, 3);
void rules_element(struct rules_set *s, const char *fmt, ...) PRINTF(2, 3);
void rules_set_end(struct rules_set *s);

/* Adds or removes elements ("SET { ELEMENT, ... }"). Those that are there, or gone, already are fine. */
void rules_put_change(struct text *t, bool add, const char *fmt, ...) PRINTF(3, 4);

/* An address without its length. */
const char *rules_address(const struct prefix *p, char ret[RULE_ADDRESS_SIZE]);
int rules_protocol(int protocol); /* RULE_TCP, RULE_UDP */

/* The words for a family. */
struct rules_family {
	int family;
	char version;	     /* '4', '6': ends the names of sets and chains */
	const char *ip;	     /* of its headers */
	const char *address; /* the type of its addresses */
};
#define RULES_FAMILIES 2
extern const struct rules_family rules_families[RULES_FAMILIES];

/* The slot's address in a family; NULL: none. */
const char *rules_published_address(const struct rules_published *p, const struct rules_family *f);

/* A network in one family. */
struct rules_side {
	const struct rules_family *words;
	struct prefix prefix; /* of the network */
	struct prefix host;   /* the host's end of the uplink */
	bool has_inner;	      /* all slots have `inner` inside */
	struct prefix inner;
};

/* The families that a network has; returns how many. */
unsigned rules_sides(const struct network *n, struct rules_side ret[RULES_FAMILIES]);

/* The chains that exchange slots' own addresses for the one inside, and back. */
void rules_put_inner(struct text *t, const struct rules_side *sides, unsigned n_sides);
