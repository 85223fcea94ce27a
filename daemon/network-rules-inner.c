/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One address in all slots of a network, in the place of their own.
 *
 * Theory of operation
 *
 * The source of what a slot sends was replaced when it was found in the map of sources (network-rules-router.c), before
 * connection tracking; the target of what goes to a slot is replaced behind everything else. Nothing is remembered of a
 * packet.
 *
 * An ICMP error quotes the packet it is about, with an address that must be replaced, too: else nobody in the slot would
 * know it for his own, and a path with a smaller MTU would swallow packets. nft cannot calculate. But its writes to fields
 * with names keep the checksum in step (to those of ICMP its own; to IP addresses that of TCP, UDP and ICMPv6), and those to
 * raw offsets do not. So the quoted address is written raw, and the same change is done by name somewhere else, where the
 * content is put back raw:
 *   ICMPv6: in the outer address, which has to change in the same way, and so does it twice.
 *   ICMP: in the half word at offset 6, called mtu in this type, first for the upper half of the address and then for the
 *   lower one. Its content waits in the half word at offset 4, which is unused and becomes 0. To write it by name, an error
 *   of another type bears this one meanwhile.
 * The IP checksum inside the quotation stays wrong. Nobody looks at it.
 */
#include "config.h"

#include "network-rules-private.h"

#include <sys/socket.h>

#define OFFSET_6 "@th,48,16 set "
#define SAVE "@th,32,16 set @th,48,16 "
#define RESTORE OFFSET_6 "@th,32,16 @th,32,16 set 0 "

/* The chain that jumps to QUOTED with types that quote. Parameter problems have a pointer where the others have nothing. */
static void
put_errors4(struct text *t, const char *quoted)
{
	rules_put(t,
		  "\t\ticmp type destination-unreachable jump %s\n"
		  "\t\ticmp type time-exceeded jump %s_in_time\n",
		  quoted, quoted);
}

static void
put_in_time(struct text *t, const char *quoted)
{
	rules_put(t,
		  "\tchain %s_in_time {\n"
		  "\t\t@th,0,8 set 3\n"
		  "\t\tjump %s\n"
		  "\t\t@th,0,8 set 11\n"
		  "\t}\n",
		  quoted, quoted);
}

/* From a slot: the source is its own address by now, the quoted packet went to the one inside. */
static void
put_source4(struct text *t, const struct prefix *inner)
{
	const uint8_t *a = inner->address;
	rules_put(t,
		  "\tchain quoted_target4 {\n"
		  "\t\ticmp type destination-unreachable " SAVE OFFSET_6 "0x%02x%02x icmp mtu set @nh,96,16 " OFFSET_6
		  "0x%02x%02x icmp mtu set @nh,112,16 " RESTORE "@th,192,32 set @nh,96,32\n"
		  "\t}\n",
		  a[0], a[1], a[2], a[3]);
	put_in_time(t, "quoted_target4");
	text_puts(t, "\tchain inner_source4 {\n"
		     "\t\tmeta l4proto != 1 accept\n");
	put_errors4(t, "quoted_target4");
	text_puts(t, "\t\taccept\n"
		     "\t}\n");
}

/* To a slot: the quoted packet has its own address as the source. */
static void
put_target4(struct text *t, const struct prefix *inner)
{
	char words[RULE_ADDRESS_SIZE];
	const uint8_t *a = inner->address;
	rules_put(t,
		  "\tchain quoted_source4 {\n"
		  "\t\ticmp type destination-unreachable " SAVE OFFSET_6 "@th,160,16 icmp mtu set 0x%02x%02x " OFFSET_6
		  "@th,176,16 icmp mtu set 0x%02x%02x " RESTORE "@th,160,32 set 0x%02x%02x%02x%02x\n"
		  "\t}\n",
		  a[0], a[1], a[2], a[3], a[0], a[1], a[2], a[3]);
	put_in_time(t, "quoted_source4");
	rules_put(t,
		  "\tchain inner_target4 {\n"
		  "\t\tip daddr set %s\n"
		  "\t\tmeta l4proto != 1 accept\n",
		  rules_address(inner, words));
	put_errors4(t, "quoted_source4");
	text_puts(t, "\t}\n");
}

/* An address as one number. */
static const char *
number6(const struct prefix *p, char ret[RULE_ADDRESS_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	char *c = ret;
	*c++ = '0';
	*c++ = 'x';
	for (unsigned i = 0; i < 16; i++) {
		*c++ = digits[p->address[i] >> 4];
		*c++ = digits[p->address[i] & 15];
	}
	*c = '\0';
	return ret;
}

static void
put_source6(struct text *t, const struct prefix *inner)
{
	char number[RULE_ADDRESS_SIZE];
	rules_put(t,
		  "\tchain inner_source6 {\n"
		  "\t\tmeta l4proto != 58 accept\n"
		  "\t\ticmpv6 type 1-4 @th,256,128 set @nh,64,128 @nh,64,128 set %s ip6 saddr set @th,256,128 accept\n"
		  "\t\taccept\n"
		  "\t}\n",
		  number6(inner, number));
}

static void
put_target6(struct text *t, const struct prefix *inner)
{
	char words[RULE_ADDRESS_SIZE], number[RULE_ADDRESS_SIZE];
	rules_address(inner, words);
	rules_put(t,
		  "\tchain inner_target6 {\n"
		  "\t\tip6 daddr set %s\n"
		  "\t\tmeta l4proto != 58 accept\n"
		  "\t\ticmpv6 type 1-4 @nh,192,128 set @th,128,128 @th,128,128 set %s ip6 daddr set %s\n"
		  "\t}\n",
		  words, number6(inner, number), words);
}

void
rules_put_inner(struct text *t, const struct rules_side *sides, unsigned n_sides)
{
	bool any = false;
	for (const struct rules_side *s = sides; s < sides + n_sides; s++) {
		if (!s->has_inner)
			continue;
		any = true;
		if (s->words->family == AF_INET) {
			put_source4(t, &s->inner);
			put_target4(t, &s->inner);
		} else {
			put_source6(t, &s->inner);
			put_target6(t, &s->inner);
		}
	}
	if (!any)
		return;

	text_puts(t, "\tchain target {\n"
		     "\t\ttype filter hook postrouting priority 300; policy accept;\n"
		     "\t\toifname != \"" SLOT_INTERFACE "*\" accept\n");
	for (const struct rules_side *s = sides; s < sides + n_sides; s++) {
		char words[RULE_ADDRESS_SIZE];
		if (s->has_inner)
			rules_put(t, "\t\t%s daddr %s/%u goto inner_target%c\n", s->words->ip,
				  rules_address(&s->prefix, words), s->prefix.length, s->words->version);
	}
	text_puts(t, "\t}\n");
}
