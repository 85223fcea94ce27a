/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The grammars of names, addresses and MACs: what nsd accepts before it uses a string for anything else. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "utf8.h"

#define NAME_MAX_LENGTH 64	/* of a namespace or link, in bytes */
#define INTERFACE_MAX_LENGTH 15 /* IFNAMSIZ - 1, linux/if.h */
#define LABEL_KEY_MAX_LENGTH 63
#define LABEL_VALUE_MAX_LENGTH 255
#define MAC_TEXT_SIZE sizeof("00:00:00:00:00:00")

/* An IP prefix: an address with its prefix length. */
struct prefix {
	int family;	     /* AF_INET or AF_INET6 */
	unsigned length;     /* 0..32 or 0..128 */
	uint8_t address[16]; /* network order; 4 bytes used for AF_INET */
};

/* Each check returns 0, or -EINVAL with ERROR_INVALID_VALUE whose text states the grammar. They never set the field:
 * the field engine does. All have the shape of `field_check` (fields.h). */

/* Namespaces and links: [A-Za-z0-9_][A-Za-z0-9._-]{0,63}; fits `ip netns` and a file name. */
int name_check(const char *text, struct error *e);

/* Interfaces: [A-Za-z0-9_][A-Za-z0-9._-]{0,14}; not "all" or "default" (net.ipv4.conf, net.ipv6.conf). */
int interface_check(const char *text, struct error *e);

/* Unicast MAC, six pairs of hex digits and colons; neither multicast nor all zero. */
int mac_check(const char *text, struct error *e);

/* An interface address "ADDRESS/LENGTH", v4 or v6: LENGTH is required; no multicast, unspecified or v4 broadcast
 * address; the v4 network and broadcast addresses of a prefix shorter than /31 are refused. */
int address_check(const char *text, struct error *e);

/* A route's destination: "default" or "NETWORK/LENGTH" without host bits. */
int destination_check(const char *text, struct error *e);

/* A plain address, v4 or v6, as a gateway: unicast. */
int gateway_check(const char *text, struct error *e);

/* Labels: key [A-Za-z0-9_][A-Za-z0-9._/-]{0,62}, value at most 255 bytes of printable UTF-8. */
int label_key_check(const char *text, struct error *e);
int label_value_check(const char *text, struct error *e);

/* The parsers behind the checks. `prefix_parse` wants ADDRESS/LENGTH, or a bare address (length = full) if
 * `allow_bare`; "default" gives length 0 and family AF_UNSPEC only in destination_check, not here. */
int prefix_parse(const char *text, bool allow_bare, struct prefix *ret, struct error *e);
int mac_parse(const char *text, uint8_t ret[6], struct error *e);
void mac_format(const uint8_t mac[6], char ret[MAC_TEXT_SIZE]);

/* Is one of them a part of the other? Never where the families differ. */
bool prefix_overlap(const struct prefix *a, const struct prefix *b);

/* Canonical text of a prefix, "10.0.0.1/24", "fd00::1/64"; ret holds INET6_ADDRSTRLEN + 4 bytes. */
void prefix_format(const struct prefix *p, char *ret);
