/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of a network's routers.
 *
 * Theory of operation
 *
 * A packet on its way through a router meets up to three chains.
 *
 * source: before anything else, connection tracking too. What comes from a slot passes when interface, MAC and source
 * address are found together in one set, which has all slots that the router can ever have: one look-up, and nothing to
 * change when slots come and go. Where all slots have the same address inside, the set is a map: the look-up brings the
 * slot's own address, which replaces the source there and then, so that everything behind sees own addresses only.
 *
 * forward: in a root router by connection. Most packets belong to a known one and pass by the first rule. A new one is
 * judged by where it comes from and goes to: the sets `host` have the host's own addresses, `networks` the prefixes of all
 * networks of nsd. In a shard nothing is tracked: what does not stay among its slots goes by the root router, which judges.
 *
 * target (network-rules-inner.c): last of all, puts the address that slots have inside in the place of their own.
 *
 * Packets to the router itself meet `input`: echo requests and neighbour discovery. ARP has a table of its own. It and the
 * rule for neighbour discovery keep a slot from filling the neighbour tables, which are one for all namespaces.
 */
#include "config.h"

#include "network-rules-private.h"

#include <sys/socket.h>

#define LINK_LOCAL4 "169.254.0.0/16"
#define DISCOVERY "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"

static bool
leaves(const struct network *n)
{
	return n->egress == EGRESS_ROUTED || n->egress == EGRESS_MASQUERADE;
}

/* What a MAC makes of fe80::/64 (RFC 4291, appendix A). */
static struct prefix
link_local(const uint8_t mac[6])
{
	return (struct prefix){ .family = AF_INET6,
				.length = 128,
				.address = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 0x02, mac[1], mac[2], 0xff, 0xfe,
					     mac[3], mac[4], mac[5] } };
}

/* What the set of a router's slots says beside interface and MAC. */
enum sources {
	SOURCES_INSIDE,	    /* the address that they have inside */
	SOURCES_TRANSLATED, /* that, and as a map to their own */
	SOURCES_LINK_LOCAL,
};

static void
put_source(struct rules_set *set, const struct rules_side *s, enum sources kind, int ifindex, const uint8_t mac[6],
	   const struct prefix *own)
{
	struct prefix local = link_local(mac);
	const struct prefix *inside = s->has_inner ? &s->inner : own;
	if (kind == SOURCES_LINK_LOCAL)
		inside = &local;

	char mac_text[MAC_TEXT_SIZE], inside_text[RULE_ADDRESS_SIZE], own_text[RULE_ADDRESS_SIZE] = "";
	mac_format(mac, mac_text);
	rules_address(inside, inside_text);
	const char *colon = kind == SOURCES_TRANSLATED ? " : " : "";
	if (kind == SOURCES_TRANSLATED)
		rules_address(own, own_text);
	rules_element(set, "%d . %s . %s%s%s", ifindex, mac_text, inside_text, colon, own_text);
}

/* Number 0 is the uplink, and numbers behind the prefix's end have no address. */
static void
put_sources(struct text *t, const struct network *n, const struct rules_range *r, const struct rules_side *s,
	    enum sources kind, const char *name)
{
	const char *address = s->words->address;
	bool map = kind == SOURCES_TRANSLATED;
	unsigned capacity = network_capacity(n);
	struct rules_set set = rules_set_begin(
		t, "\t%s %s { type iface_index . ether_addr . %s%s%s; flags constant; size %u;", map ? "map" : "set",
		name, address, map ? " : " : "", map ? address : "", r->count > 0 ? r->count : 1);
	for (unsigned i = 0; i < r->count; i++) {
		unsigned number = r->first + i;
		uint8_t router_mac[6], mac[6];
		struct prefix router, own;
		if (number == 0 || number > capacity || !slot_prefix(n, s->words->family, number, &router, &own))
			continue;
		slot_macs(n, number, router_mac, mac);
		put_source(&set, s, kind, r->first_ifindex + (int)i, mac, &own);
	}
	rules_set_end(&set);
}

/* Passes what comes from the slot that it says it comes from, and what comes from other routers, which have looked. */
static void
put_source_chain(struct text *t, bool root, const struct rules_side *sides, unsigned n_sides)
{
	text_puts(t, "\tchain source {\n"
		     "\t\ttype filter hook prerouting priority raw; policy drop;\n"
		     "\t\tiifname \"" UPLINK "\" accept\n");
	if (root)
		text_puts(t, "\t\tiifname \"" SHARD_INTERFACE "*\" accept\n");
	for (const struct rules_side *s = sides; s < sides + n_sides; s++) {
		const char *ip = s->words->ip;
		char v = s->words->version;
		if (s->has_inner)
			rules_put(t,
				  "\t\t%s saddr set iif . ether saddr . %s saddr map @sources%c goto inner_source%c\n",
				  ip, ip, v, v);
		else
			rules_put(t, "\t\tiif . ether saddr . %s saddr @sources%c accept\n", ip, v);
		if (s->words->family == AF_INET6)
			text_puts(t, "\t\tiif . ether saddr . ip6 saddr @neighbours6 " DISCOVERY
				     " ip6 hoplimit 255 accept\n");
	}
	text_puts(t, "\t\tcounter drop\n"
		     "\t}\n");
}

static void
put_input_chain(struct text *t)
{
	text_puts(t, "\tchain input {\n"
		     "\t\ttype filter hook input priority filter; policy drop;\n"
		     "\t\t" DISCOVERY " accept\n"
		     "\t\ticmp type echo-request iifname \"" UPLINK "\" accept\n"
		     "\t\ticmpv6 type echo-request iifname \"" UPLINK "\" accept\n"
		     "\t\ticmp type echo-request fib daddr . iif type local accept\n"
		     "\t\ticmpv6 type echo-request fib daddr . iif type local accept\n"
		     "\t}\n");
}

/* Not in and out by the uplink: an address that no slot has just now would go to and fro until its hop limit ends. */
static void
put_shard_forward(struct text *t, const struct network *n)
{
	rules_put(t,
		  "\tchain forward {\n"
		  "\t\ttype filter hook forward priority filter; policy drop;\n"
		  "\t\tiifname \"" UPLINK "\" oifname != \"" UPLINK "\" accept\n"
		  "\t\tiifname != \"" UPLINK "\" oifname \"" UPLINK "\" accept\n"
		  "%s\t}\n",
		  n->isolated ? "" : "\t\toifname != \"" UPLINK "\" accept\n");
}

/* New connections from the uplink: of the host itself, to published ports, and where the network is routed of all others
 * but nsd's. */
static void
put_from_uplink(struct text *t, const struct network *n, const struct rules_side *s)
{
	const char *ip = s->words->ip;
	char v = s->words->version, host[RULE_ADDRESS_SIZE];
	rules_put(t,
		  "\t\t%s saddr %s accept\n"
		  "\t\t%s saddr @host%c accept\n"
		  "\t\t%s saddr @networks%c drop\n"
		  "\t\t%s daddr . meta l4proto . th dport @published%c accept\n",
		  ip, rules_address(&s->host, host), ip, v, ip, v, ip, v);
	if (n->egress == EGRESS_ROUTED)
		rules_put(t, "\t\tmeta nfproto ipv%c accept\n", v);
}

/* New connections to the uplink. No router forwards to link-local addresses (RFC 3927); the metadata services of clouds,
 * which know the host's secrets, live there. The inner prefix belongs to the slot itself. */
static void
put_to_uplink(struct text *t, const struct network *n, const struct rules_side *s)
{
	const char *ip = s->words->ip;
	char v = s->words->version, host[RULE_ADDRESS_SIZE];
	rules_put(t,
		  "\t\t%s daddr %s goto to_host\n"
		  "\t\t%s daddr @host%c goto to_host\n",
		  ip, rules_address(&s->host, host), ip, v);
	if (!leaves(n))
		return;
	rules_put(t, "\t\t%s daddr @networks%c drop\n", ip, v);
	if (s->words->family == AF_INET)
		text_puts(t, "\t\tip daddr " LINK_LOCAL4 " drop\n");
	if (s->has_inner)
		rules_put(t, "\t\t%s daddr %s/%u drop\n", ip, rules_address(&s->inner, host), s->inner.length);
	rules_put(t, "\t\tmeta nfproto ipv%c accept\n", v);
}

static void
put_root_forward(struct text *t, const struct network *n, const struct rules_side *sides, unsigned n_sides)
{
	rules_put(t,
		  "\tchain forward {\n"
		  "\t\ttype filter hook forward priority filter; policy drop;\n"
		  "\t\tct state established accept\n"
		  "\t\tct state related goto related\n"
		  "\t\tct state != new drop\n"
		  "\t\tiifname \"" UPLINK "\" goto from_uplink\n"
		  "\t\toifname \"" UPLINK "\" goto to_uplink\n"
		  "%s\t}\n",
		  n->isolated ? "" : "\t\taccept\n");
	text_puts(t, "\tchain related {\n"
		     "\t\ticmp type { destination-unreachable, time-exceeded, parameter-problem } accept\n"
		     "\t\ticmpv6 type 1-4 accept\n"
		     "\t}\n");
	text_puts(t, "\tchain from_uplink {\n"
		     "\t\toifname \"" UPLINK "\" drop\n");
	for (unsigned i = 0; i < n_sides; i++)
		put_from_uplink(t, n, &sides[i]);
	text_puts(t, "\t}\n"
		     "\tchain to_uplink {\n");
	for (unsigned i = 0; i < n_sides; i++)
		put_to_uplink(t, n, &sides[i]);
	text_puts(t, "\t}\n"
		     "\tchain to_host {\n"
		     "\t\tmeta l4proto . th dport @services accept\n"
		     "\t}\n");
}

static void
put_host_sets(struct text *t, const struct rules_family *f, const struct rules_host *host)
{
	char words[RULE_ADDRESS_SIZE];
	struct rules_set set = rules_set_begin(t, "\tset host%c { type %s;", f->version, f->address);
	for (unsigned i = 0; i < host->n_addresses; i++)
		if (host->addresses[i].family == f->family)
			rules_element(&set, "%s", rules_address(&host->addresses[i], words));
	rules_set_end(&set);

	set = rules_set_begin(t, "\tset networks%c { type %s; flags interval;", f->version, f->address);
	for (unsigned i = 0; i < host->n_networks; i++) {
		const struct prefix *p = &host->networks[i];
		if (p->family == f->family)
			rules_element(&set, "%s/%u", rules_address(p, words), p->length);
	}
	rules_set_end(&set);
}

static void
put_root_sets(struct text *t, const struct network *n, const struct rules_host *host, const struct rules_published *p,
	      unsigned n_published)
{
	struct rules_set set;
	for (const struct rules_family *f = rules_families; f < rules_families + RULES_FAMILIES; f++) {
		put_host_sets(t, f, host);
		set = rules_set_begin(t, "\tset published%c { type %s . inet_proto . inet_service;", f->version,
				      f->address);
		for (unsigned i = 0; i < n_published; i++)
			if (rules_published_address(&p[i], f))
				rules_element(&set, "%s . %d . %u", rules_published_address(&p[i], f),
					      rules_protocol(p[i].protocol), p[i].port);
		rules_set_end(&set);
	}

	const struct service *services = n->services.v;
	set = rules_set_begin(t, "\tset services { type inet_proto . inet_service;");
	for (size_t i = 0; i < n->services.n; i++)
		rules_element(&set, "%d . %u", rules_protocol(services[i].protocol), (uint16_t)services[i].port);
	rules_set_end(&set);
}

/* A slot is asked for its address, and says it, only as itself. */
static void
put_arp_table(struct text *t, const struct network *n, bool root, const struct rules_range *r,
	      const struct rules_side *s)
{
	text_puts(t, "add table arp " RULES_TABLE "\n"
		     "delete table arp " RULES_TABLE "\n"
		     "table arp " RULES_TABLE " {\n");
	put_sources(t, n, r, s, SOURCES_INSIDE, "sources");
	text_puts(t, "\tchain input {\n"
		     "\t\ttype filter hook input priority filter; policy drop;\n"
		     "\t\tiifname \"" UPLINK "\" accept\n");
	if (root)
		text_puts(t, "\t\tiifname \"" SHARD_INTERFACE "*\" accept\n");
	text_puts(t, "\t\tiif . arp saddr ether . arp saddr ip @sources accept\n"
		     "\t\tcounter drop\n"
		     "\t}\n"
		     "}\n");
}

int
rules_router(const struct network *n, const struct rules_range *r, bool root, const struct rules_host *host,
	     const struct rules_published *p, unsigned n_published, char **ret, struct error *e)
{
	struct text t = { 0 };
	struct rules_side sides[RULES_FAMILIES];
	unsigned n_sides = rules_sides(n, sides);

	text_puts(&t, "add table inet " RULES_TABLE "\n"
		      "delete table inet " RULES_TABLE "\n"
		      "table inet " RULES_TABLE " {\n");
	for (const struct rules_side *s = sides; s < sides + n_sides; s++) {
		char name[] = "sources4";
		name[sizeof(name) - 2] = s->words->version;
		put_sources(&t, n, r, s, s->has_inner ? SOURCES_TRANSLATED : SOURCES_INSIDE, name);
		if (s->words->family == AF_INET6)
			put_sources(&t, n, r, s, SOURCES_LINK_LOCAL, "neighbours6");
	}
	if (root)
		put_root_sets(&t, n, host, p, n_published);
	put_source_chain(&t, root, sides, n_sides);
	put_input_chain(&t);
	if (root)
		put_root_forward(&t, n, sides, n_sides);
	else
		put_shard_forward(&t, n);
	rules_put_inner(&t, sides, n_sides);
	text_puts(&t, "}\n");
	if (n_sides > 0 && sides[0].words->family == AF_INET)
		put_arp_table(&t, n, root, r, &sides[0]);
	return rules_take(&t, ret, e);
}

int
rules_router_sets(const struct rules_host *host, char **ret, struct error *e)
{
	struct text t = { 0 };
	for (const struct rules_family *f = rules_families; f < rules_families + RULES_FAMILIES; f++)
		rules_put(&t,
			  "flush set inet " RULES_TABLE " host%c\n"
			  "flush set inet " RULES_TABLE " networks%c\n",
			  f->version, f->version);
	text_puts(&t, "table inet " RULES_TABLE " {\n");
	for (const struct rules_family *f = rules_families; f < rules_families + RULES_FAMILIES; f++)
		put_host_sets(&t, f, host);
	text_puts(&t, "}\n");
	return rules_take(&t, ret, e);
}

int
rules_router_publish(const struct rules_published *p, bool add, char **ret, struct error *e)
{
	struct text t = { 0 };
	for (const struct rules_family *f = rules_families; f < rules_families + RULES_FAMILIES; f++) {
		const char *own = rules_published_address(p, f);
		if (!own)
			continue;
		rules_put_change(&t, add, "published%c { %s . %d . %u }", f->version, own, rules_protocol(p->protocol),
				 p->port);
	}
	return rules_take(&t, ret, e);
}
