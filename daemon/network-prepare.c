/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks and completes what is asked of a network before anything is done. */
#include "config.h"

#include "slots.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int
check_overlap(struct manager *m, const char *text, const char *field, const struct object *self, struct error *e)
{
	struct prefix p;

	if (!text)
		return 0;
	int err = prefix_parse(text, false, &p, e);
	for (size_t i = 0; i < m->networks.n && err == 0; i++) {
		const struct object *o = m->networks.v[i];
		if (o != self && (prefix_overlap(&p, &o->net->prefix4) || prefix_overlap(&p, &o->net->prefix6)))
			err = error_set(e, ERROR_NAME_TAKEN, field,
					"%s overlaps the prefix of network \"%s\" (%s); choose another", text,
					o->network.name, p.family == AF_INET ? o->network.ipv4 : o->network.ipv6);
	}
	return err;
}

static int
check_inner(const char *inner, const char *prefix, const char *field, int family, struct error *e)
{
	struct prefix p;

	if (!inner)
		return 0;
	if (!prefix)
		return error_set(e, ERROR_INVALID_VALUE, field, "an inner address needs a prefix of its family");
	if (prefix_parse(inner, false, &p, NULL) < 0 || p.family != family)
		return error_set(e, ERROR_INVALID_VALUE, field, "%s is not of this family", inner);
	if (p.length > (family == AF_INET ? 30u : 126u))
		return error_set(e, ERROR_INVALID_VALUE, field, "the prefix of an inner address is /%u or shorter",
				 family == AF_INET ? 30 : 126);
	unsigned low = p.address[family == AF_INET ? 3 : 15] & 3;
	if (low != 1 && low != 2)
		return error_set(e, ERROR_INVALID_VALUE, field,
				 "an inner address ends in binary 01 or 10, like %s: the other one is its gateway",
				 family == AF_INET ? "172.16.0.2/30" : "fd00::2/126");
	return 0;
}

static int
check_ports(const struct list *publish, struct error *e)
{
	for (unsigned i = 0; i < publish->n; i++) {
		const struct ports *p = (const struct ports *)publish->v + i;
		if (p->first <= p->last)
			continue;
		error_set(e, ERROR_INVALID_VALUE, "last", "%lld is before %lld", (long long)p->last,
			  (long long)p->first);
		error_prefix_field(e, "publish", i);
		return -EINVAL;
	}
	return 0;
}

static int
check_numbers(const struct network *n, struct error *e)
{
	unsigned capacity = network_capacity(n);

	if (n->mtu != FIELD_ABSENT_INT && n->mtu < 1280 && n->ipv6)
		return error_set(e, ERROR_INVALID_VALUE, "mtu", "IPv6 needs an MTU of 1280 at least, not %lld",
				 (long long)n->mtu);
	if (n->maximum != FIELD_ABSENT_INT && n->maximum > capacity)
		return error_set(e, ERROR_INVALID_VALUE, "maximum",
				 "the prefixes of the network have room for %u slots, not for %lld", capacity,
				 (long long)n->maximum);
	int64_t maximum = n->maximum != FIELD_ABSENT_INT ? n->maximum : capacity;
	if (n->ready != FIELD_ABSENT_INT && n->ready > maximum)
		return error_set(e, ERROR_INVALID_VALUE, "ready",
				 "the network has %lld slots at most, so %lld cannot be ready", (long long)maximum,
				 (long long)n->ready);
	return 0;
}

int
network_check(struct manager *m, const struct network *n, const struct object *self, struct error *e)
{
	int err = 0;

	if (!n->ipv4 && !n->ipv6)
		return error_set(e, ERROR_INVALID_VALUE, "ipv4", "a network needs an IPv4 or an IPv6 prefix");
	if (n->interface && strcmp(n->interface, "lo") == 0)
		return error_set(e, ERROR_NAME_TAKEN, "interface", "every slot has its own lo; choose another name");
	err = check_numbers(n, e);
	if (err == 0)
		err = check_ports(&n->publish, e);
	if (err == 0)
		err = check_inner(n->inner4, n->ipv4, "inner4", AF_INET, e);
	if (err == 0)
		err = check_inner(n->inner6, n->ipv6, "inner6", AF_INET6, e);
	if (err == 0)
		err = check_overlap(m, n->ipv4, "ipv4", self, e);
	if (err == 0)
		err = check_overlap(m, n->ipv6, "ipv6", self, e);
	return err;
}

struct object *
find_uplink(const struct manager *m, const char *interface)
{
	for (size_t i = 0; i < m->networks.n; i++) {
		struct object *o = m->networks.v[i];
		if (o->network.uplink && strcmp(o->network.uplink, interface) == 0)
			return o;
	}
	return NULL;
}

/* nsd-NAME, or what fits of it with a number that is free. */
static int
choose_uplink(struct manager *m, struct network *n, struct error *e)
{
	char name[INTERFACE_MAX_LENGTH + 1];

	if (snprintf(name, sizeof(name), "nsd-%s", n->name) < (int)sizeof(name) && !find_host_link(m, name) &&
	    !find_uplink(m, name)) {
		n->uplink = strdup(name);
		return n->uplink ? 0 : error_errno(e, ENOMEM, "taking in network \"%s\"", n->name);
	}
	for (unsigned i = 1; i < 10000 && !n->uplink; i++) {
		snprintf(name, sizeof(name), "nsd-%.6s-%u", n->name, i);
		if (!find_host_link(m, name) && !find_uplink(m, name))
			n->uplink = strdup(name);
	}
	return n->uplink ? 0 : error_set(e, ERROR_LIMIT_EXCEEDED, "name", "no interface name is left in the host");
}

static char *
host_address(const struct network *n, int family)
{
	struct prefix host, router;
	char text[INET6_ADDRSTRLEN + 4];

	if (!slot_prefix(n, family, 0, &host, &router))
		return NULL;
	prefix_format(&host, text);
	*strchrnul(text, '/') = '\0';
	return strdup(text);
}

int
network_complete(struct manager *m, const struct peer *p, struct network *n, struct error *e)
{
	if (n->mtu == FIELD_ABSENT_INT)
		n->mtu = 1500;
	if (n->egress == FIELD_ABSENT_ENUM)
		n->egress = EGRESS_NONE;
	if (n->isolated == FIELD_ABSENT_BOOL)
		n->isolated = 1;
	if (n->ready == FIELD_ABSENT_INT)
		n->ready = 0;
	if (!n->interface)
		n->interface = strdup("eth0");
	n->state = STATE_CREATING;
	n->owner = p->uid;
	n->created = time(NULL);
	n->capacity = network_capacity(n);
	n->host4 = host_address(n, AF_INET);
	n->host6 = host_address(n, AF_INET6);
	if (!n->interface || (n->ipv4 && !n->host4) || (n->ipv6 && !n->host6))
		return error_errno(e, ENOMEM, "taking in network \"%s\"", n->name);
	int err = choose_uplink(m, n, e);
	return err < 0 ? err : store_generation(m->store, &n->generation, e);
}
