/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses and MACs of slots, and how rules are written. */
#include "config.h"

#include "network-rules-private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#define LINE_SIZE 512

const struct rules_family rules_families[RULES_FAMILIES] = {
	{ .family = AF_INET, .version = '4', .ip = "ip", .address = "ipv4_addr" },
	{ .family = AF_INET6, .version = '6', .ip = "ip6", .address = "ipv6_addr" },
};

static bool
network_prefix(const struct network *n, int family, struct prefix *ret)
{
	const char *text = family == AF_INET ? n->ipv4 : n->ipv6;
	return text && prefix_parse(text, false, ret, NULL) == 0 && ret->family == family;
}

/* Address number `n` of a prefix, as one of a pair. */
static struct prefix
nth_address(const struct prefix *p, unsigned n)
{
	struct prefix ret = *p;
	unsigned size = p->family == AF_INET ? 4 : 16, carry = n;
	ret.length = size * 8 - 1;
	for (unsigned i = size; i > 0 && carry > 0; i--) {
		carry += ret.address[i - 1];
		ret.address[i - 1] = (uint8_t)carry;
		carry >>= 8;
	}
	return ret;
}

bool
slot_prefix(const struct network *n, int family, unsigned number, struct prefix *router, struct prefix *slot)
{
	struct prefix p;
	if (!network_prefix(n, family, &p))
		return false;
	*router = nth_address(&p, 2 * number);
	*slot = nth_address(&p, 2 * number + 1);
	return true;
}

void
slot_macs(const struct network *n, unsigned number, uint8_t router[6], uint8_t slot[6])
{
	struct prefix first = { 0 }, second;
	const uint8_t *low = first.address;
	if (!slot_prefix(n, AF_INET, number, &first, &second) && slot_prefix(n, AF_INET6, number, &first, &second))
		low += 12;
	for (unsigned i = 0; i < 4; i++)
		router[2 + i] = slot[2 + i] = low[i];
	router[0] = slot[0] = 0x02;
	router[1] = 0x01;
	slot[1] = 0x02;
}

unsigned
network_capacity(const struct network *n)
{
	unsigned least = SLOT_NUMBER_MAX;
	for (size_t i = 0; i < RULES_FAMILIES; i++) {
		struct prefix p;
		if (!network_prefix(n, rules_families[i].family, &p))
			continue;
		unsigned bits = (rules_families[i].family == AF_INET ? 32 : 128) - p.length;
		unsigned pairs = bits > 16 ? SLOT_NUMBER_MAX + 1 : (1U << bits) / 2;
		if (pairs <= least)
			least = pairs > 0 ? pairs - 1 : 0;
	}
	return least;
}

static bool
read_inner(const char *text, int family, struct prefix *ret)
{
	return text && prefix_parse(text, false, ret, NULL) == 0 && ret->family == family;
}

unsigned
rules_sides(const struct network *n, struct rules_side ret[RULES_FAMILIES])
{
	unsigned count = 0;
	for (size_t i = 0; i < RULES_FAMILIES; i++) {
		int family = rules_families[i].family;
		struct rules_side s = { .words = &rules_families[i] };
		struct prefix router;
		if (!network_prefix(n, family, &s.prefix) || !slot_prefix(n, family, 0, &s.host, &router))
			continue;
		s.has_inner = read_inner(family == AF_INET ? n->inner4 : n->inner6, family, &s.inner);
		ret[count++] = s;
	}
	return count;
}

static void PRINTF(2, 0) put_arguments(struct text *t, const char *fmt, va_list args)
{
	char line[LINE_SIZE];
	int n = vsnprintf(line, sizeof(line), fmt, args);
	if (n < 0 || (size_t)n >= sizeof(line))
		t->failed = true;
	else
		text_put(t, line, (size_t)n);
}

void
rules_put(struct text *t, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	put_arguments(t, fmt, args);
	va_end(args);
}

int
rules_take(struct text *t, char **ret, struct error *e)
{
	char *text = text_take(t, NULL);
	if (!text)
		return error_errno(e, ENOMEM, "cannot write down the rules of a network");
	*ret = text;
	return 0;
}

struct rules_set
rules_set_begin(struct text *t, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	put_arguments(t, fmt, args);
	va_end(args);
	return (struct rules_set){ .text = t };
}

void
rules_element(struct rules_set *s, const char *fmt, ...)
{
	text_puts(s->text, s->n++ == 0 ? " elements = { " : ", ");
	va_list args;
	va_start(args, fmt);
	put_arguments(s->text, fmt, args);
	va_end(args);
}

void
rules_set_end(struct rules_set *s)
{
	text_puts(s->text, s->n > 0 ? " } }\n" : " }\n");
}

void
rules_put_change(struct text *t, bool add, const char *fmt, ...)
{
	char line[LINE_SIZE];
	va_list args;
	va_start(args, fmt);
	int n = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(line))
		t->failed = true;
	/* What is not there cannot be deleted: it is added first. */
	rules_put(t, "add element inet " RULES_TABLE " %s\n", line);
	if (!add)
		rules_put(t, "delete element inet " RULES_TABLE " %s\n", line);
}

const char *
rules_address(const struct prefix *p, char ret[RULE_ADDRESS_SIZE])
{
	if (!inet_ntop(p->family, p->address, ret, RULE_ADDRESS_SIZE))
		ret[0] = '\0';
	return ret;
}

int
rules_protocol(int protocol)
{
	return protocol == PROTOCOL_TCP ? RULE_TCP : RULE_UDP;
}

const char *
rules_published_address(const struct rules_published *p, const struct rules_family *f)
{
	return f->family == AF_INET ? p->address4 : p->address6;
}
