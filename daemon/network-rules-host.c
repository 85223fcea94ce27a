/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's only table, for all networks: it translates addresses, and is a second fence behind the routers' rules, which
 * hold without it. What it accepts other firewalls may still refuse; it drops nothing that is none of nsd's.
 */
#include "config.h"

#include "network-rules-private.h"

#include <sys/socket.h>

static void
put_uplinks(struct text *t, const struct network *const *networks, unsigned n)
{
	struct rules_set uplinks = rules_set_begin(t, "\tset uplinks { type ifname;");
	for (unsigned i = 0; i < n; i++)
		if (networks[i]->uplink)
			rules_element(&uplinks, "\"%s\"", networks[i]->uplink);
	rules_set_end(&uplinks);

	struct rules_set routed = rules_set_begin(t, "\tset routed { type ifname;");
	for (unsigned i = 0; i < n; i++)
		if (networks[i]->uplink && networks[i]->egress == EGRESS_ROUTED)
			rules_element(&routed, "\"%s\"", networks[i]->uplink);
	rules_set_end(&routed);

	struct rules_set services = rules_set_begin(t, "\tset services { type ifname . inet_proto . inet_service;");
	for (unsigned i = 0; i < n; i++) {
		const struct service *s = networks[i]->services.v;
		for (size_t k = 0; k < networks[i]->services.n && networks[i]->uplink; k++)
			rules_element(&services, "\"%s\" . %d . %u", networks[i]->uplink, rules_protocol(s[k].protocol),
				      (uint16_t)s[k].port);
	}
	rules_set_end(&services);
}

static void
put_family_sets(struct text *t, const struct rules_family *f, const struct network *const *networks, unsigned n,
		const struct rules_published *p, unsigned n_published)
{
	struct rules_set set =
		rules_set_begin(t, "\tset masquerade%c { type %s; flags interval;", f->version, f->address);
	for (unsigned i = 0; i < n; i++) {
		struct rules_side sides[RULES_FAMILIES];
		unsigned n_sides = networks[i]->egress == EGRESS_MASQUERADE ? rules_sides(networks[i], sides) : 0;
		for (unsigned k = 0; k < n_sides; k++) {
			char words[RULE_ADDRESS_SIZE];
			if (sides[k].words == f)
				rules_element(&set, "%s/%u", rules_address(&sides[k].prefix, words),
					      sides[k].prefix.length);
		}
	}
	rules_set_end(&set);

	set = rules_set_begin(t, "\tmap published%c { type inet_proto . inet_service : %s . inet_service;", f->version,
			      f->address);
	for (unsigned i = 0; i < n_published; i++) {
		const char *own = rules_published_address(&p[i], f);
		if (own)
			rules_element(&set, "%d . %u : %s . %u", rules_protocol(p[i].protocol), p[i].host_port, own,
				      p[i].port);
	}
	rules_set_end(&set);
}

/* Not from the slots: they reach the host's services and nothing else by its addresses. Not to the loopback: what has its
 * address as the source cannot leave. A published port is reached from outside by the host's port, and not by the slot's
 * address, unless its network is routed. */
static const char chains[] = "\tchain prerouting {\n"
			     "\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
			     "\t\tiifname @uplinks accept\n"
			     "\t\tfib daddr type local goto published\n"
			     "\t}\n"
			     "\tchain output {\n"
			     "\t\ttype nat hook output priority -100; policy accept;\n"
			     "\t\tfib daddr type local goto published\n"
			     "\t}\n"
			     "\tchain published {\n"
			     "\t\tip daddr 127.0.0.0/8 accept\n"
			     "\t\tip6 daddr ::1 accept\n"
			     "\t\tmeta nfproto ipv4 dnat ip to meta l4proto . th dport map @published4\n"
			     "\t\tmeta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @published6\n"
			     "\t}\n"
			     "\tchain postrouting {\n"
			     "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
			     "\t\toifname @uplinks accept\n"
			     "\t\tip saddr @masquerade4 masquerade\n"
			     "\t\tip6 saddr @masquerade6 masquerade\n"
			     "\t}\n"
			     "\tchain input {\n"
			     "\t\ttype filter hook input priority filter; policy accept;\n"
			     "\t\tct state established,related accept\n"
			     "\t\tiifname != @uplinks accept\n"
			     "\t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n"
			     "\t\tiifname . meta l4proto . th dport @services accept\n"
			     "\t\tcounter drop\n"
			     "\t}\n"
			     "\tchain forward {\n"
			     "\t\ttype filter hook forward priority filter; policy accept;\n"
			     "\t\tct state established,related accept\n"
			     "\t\toifname != @uplinks accept\n"
			     "\t\tiifname @uplinks counter drop\n"
			     "\t\tfib saddr type local counter drop\n"
			     "\t\tct status dnat accept\n"
			     "\t\toifname @routed accept\n"
			     "\t\tcounter drop\n"
			     "\t}\n";

int
rules_host(const struct network *const *networks, unsigned n, const struct rules_published *p, unsigned n_published,
	   char **ret, struct error *e)
{
	struct text t = { 0 };
	text_puts(&t, "add table inet " RULES_TABLE "\n"
		      "delete table inet " RULES_TABLE "\n");
	if (n > 0) {
		text_puts(&t, "table inet " RULES_TABLE " {\n");
		put_uplinks(&t, networks, n);
		for (const struct rules_family *f = rules_families; f < rules_families + RULES_FAMILIES; f++)
			put_family_sets(&t, f, networks, n, p, n_published);
		text_puts(&t, chains);
		text_puts(&t, "}\n");
	}
	return rules_take(&t, ret, e);
}

int
rules_host_publish(const struct rules_published *p, bool add, char **ret, struct error *e)
{
	struct text t = { 0 };
	for (const struct rules_family *f = rules_families; f < rules_families + RULES_FAMILIES; f++) {
		const char *own = rules_published_address(p, f);
		if (own)
			rules_put_change(&t, add, "published%c { %d . %u : %s . %u }", f->version,
					 rules_protocol(p->protocol), p->host_port, own, p->port);
	}
	return rules_take(&t, ret, e);
}
