/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a specification asks of an interface or a namespace, brought to the kernel, compared with it, or restored. Runs on
 * workers. */
#include "config.h"

#include "object.h"

#include <errno.h>
#include <stdarg.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- open namespaces of one operation ---- */

int
sites_open(struct sites *s, struct kernel *k, const char *name, uint64_t cookie, struct netns **ret, struct error *e)
{
	*ret = NULL;
	if (!name)
		return 0;
	for (unsigned i = 0; i < s->n; i++)
		if (strcmp(s->v[i].name, name) == 0) {
			*ret = &s->v[i].netns;
			return 0;
		}
	struct netns n = NETNS_INIT;
	int r = netns_open(k, name, &n, e);
	if (r < 0)
		return r;
	if (cookie && n.cookie != cookie) {
		netns_close(&n);
		return error_set(e, ERROR_LOST, NULL, "the namespace at the name \"%s\" is another one than nsd made",
				 name);
	}
	sites_add(s, name, &n);
	*ret = &s->v[s->n - 1].netns;
	return 0;
}

void
sites_add(struct sites *s, const char *name, struct netns *n)
{
	s->v[s->n++] = (struct site){ .name = name, .cookie = n->cookie, .netns = *n };
	*n = (struct netns)NETNS_INIT;
}

void
sites_close(struct sites *s)
{
	for (unsigned i = 0; i < s->n; i++)
		netns_close(&s->v[i].netns);
	s->n = 0;
}

static int
site_rtnl(struct kernel *k, struct netns *n, struct rtnl **ret, struct error *e)
{
	if (n)
		return netns_rtnl(k, n, ret, e);
	*ret = kernel_rtnl(k);
	return 0;
}

/* ---- bringing it to the kernel ---- */

bool
end_has_ipv6(const struct end *e)
{
	for (size_t i = 0; i < e->addresses.n; i++)
		if (strchr(e->addresses.v[i], ':'))
			return true;
	return false;
}

static int
put_addresses(struct rtnl *r, const struct end *e, int ifindex, struct error *err)
{
	for (size_t i = 0; i < e->addresses.n; i++) {
		struct prefix p;
		int result = prefix_parse(e->addresses.v[i], false, &p, err);
		if (result < 0)
			return result;
		address_put(r, ifindex, &p, true, e->interface);
		rtnl_blame(r, "addresses", (unsigned)i);
	}
	return 0;
}

static int
put_route(struct rtnl *r, const struct end *e, size_t i, int ifindex, struct error *err)
{
	int result = route_put(r, ifindex, (const struct route *)e->routes.v + i, true, e->interface, err);
	rtnl_blame(r, "routes", (unsigned)i);
	return result;
}

static int
put_routes(struct rtnl *r, const struct end *e, int ifindex, struct error *err)
{
	int result = 0;
	for (size_t i = 0; i < e->routes.n && result == 0; i++)
		result = put_route(r, e, i, ifindex, err);
	return result;
}

static int
master_of(struct rtnl *r, const struct end *e, int *ret, struct error *err)
{
	struct link_info bridge;
	*ret = 0;
	if (!e->bridge)
		return 0;
	int result = link_get(r, 0, e->bridge, &bridge, err);
	if (result == -ENODEV)
		return error_set(err, ERROR_NOT_FOUND, "bridge", "no bridge \"%s\" where %s is", e->bridge,
				 e->interface);
	if (result == 0 && strcmp(bridge.kind, "bridge") != 0)
		return error_set(err, ERROR_INVALID_VALUE, "bridge", "\"%s\" is not a bridge", e->bridge);
	*ret = bridge.ifindex;
	return result;
}

int
put_end(struct rtnl *r, const struct end *e, int ifindex, struct error *err)
{
	int result = put_addresses(r, e, ifindex, err);

	if (result == 0 && e->up)
		link_put_up(r, ifindex, true, e->interface);
	return result < 0 ? result : put_routes(r, e, ifindex, err);
}

/* IPv6 is switched off on a host end without v6 addresses before it comes up: its link-local routes would make every
 * later interface slower to add (fib6 keeps those of all interfaces in one list). */
int
configure_end(struct kernel *k, struct netns *n, const struct end *e, int ifindex, struct error *err)
{
	struct rtnl *r = NULL;
	int master, result = site_rtnl(k, n, &r, err);

	if (result == 0 && !n)
		result = netns_host_ipv6(k, e->interface, end_has_ipv6(e), err);
	if (result == 0)
		result = master_of(r, e, &master, err);
	if (result < 0)
		return result;
	if (master)
		link_put_master(r, ifindex, master, e->interface);
	result = put_end(r, e, ifindex, err);
	if (result < 0) {
		rtnl_reset(r);
		return result;
	}
	return rtnl_send(r, err);
}

int
set_lo_up(struct kernel *k, struct netns *n, struct error *e)
{
	struct rtnl *r;
	int result = netns_rtnl(k, n, &r, e);

	if (result < 0)
		return result;
	link_put_up(r, 1, true, "lo");
	return rtnl_send(r, e);
}

/* A namespace that is going away keeps its number for a moment. */
static int
take_nsid(struct kernel *k, struct netns *n, int nsid, struct error *e)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	struct error refusal = { 0 };
	int result = netns_set_nsid(k, n, nsid, &refusal);

	for (unsigned i = 0; i < 10 && result < 0 && refusal.code == ERROR_NAME_TAKEN; i++) {
		nanosleep(&pause, NULL);
		result = netns_set_nsid(k, n, nsid, &refusal);
	}
	if (result < 0 && e)
		*e = refusal;
	return result;
}

int
configure_namespace(struct kernel *k, struct netns *n, const struct namespace *ns, struct error *e)
{
	int result = 0;

	for (size_t i = 0; i < ns->sysctls.n && result == 0; i++)
		result = netns_sysctl_set(k, n, ns->sysctls.v[i].key, ns->sysctls.v[i].value, e);
	if (result == 0 && ns->nsid != FIELD_ABSENT_INT)
		result = take_nsid(k, n, (int)ns->nsid, e);
	return result;
}

/* ---- comparing ---- */

struct report {
	char *text;
	size_t size, used;
};

static void PRINTF(2, 3) report_add(struct report *p, const char *fmt, ...)
{
	va_list ap;
	if (p->used > 0 && p->used + 2 < p->size)
		p->used += (size_t)snprintf(p->text + p->used, p->size - p->used, "; ");
	if (p->used >= p->size)
		return;
	va_start(ap, fmt);
	p->used += (size_t)vsnprintf(p->text + p->used, p->size - p->used, fmt, ap);
	va_end(ap);
}

/* The addresses an interface has. */
struct found {
	struct prefix v[64];
	unsigned n;
};

static int
note_address(int ifindex UNUSED, const struct prefix *p, void *arg)
{
	static const uint8_t link_local[] = { 0xfe, 0x80 };
	struct found *f = arg;
	bool automatic = p->family == AF_INET6 && memcmp(p->address, link_local, sizeof(link_local)) == 0;

	if (!automatic && f->n < ARRAY_SIZE(f->v))
		f->v[f->n++] = *p;
	return 0;
}

static bool
same_prefix(const struct prefix *a, const struct prefix *b)
{
	return a->family == b->family && a->length == b->length &&
	       memcmp(a->address, b->address, a->family == AF_INET ? 4 : 16) == 0;
}

static bool
has_prefix(const struct found *f, const struct prefix *p)
{
	for (unsigned i = 0; i < f->n; i++)
		if (same_prefix(&f->v[i], p))
			return true;
	return false;
}

static void
wanted_addresses(const struct end *e, struct found *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < e->addresses.n && ret->n < ARRAY_SIZE(ret->v); i++)
		if (prefix_parse(e->addresses.v[i], false, &ret->v[ret->n], NULL) == 0)
			ret->n++;
}

static void
compare_addresses(const struct found *want, const struct found *have, struct report *report)
{
	char text[INET6_ADDRSTRLEN + 4];

	for (unsigned i = 0; i < want->n; i++)
		if (!has_prefix(have, &want->v[i])) {
			prefix_format(&want->v[i], text);
			report_add(report, "address %s is missing", text);
		}
	for (unsigned i = 0; i < have->n; i++)
		if (!has_prefix(want, &have->v[i])) {
			prefix_format(&have->v[i], text);
			report_add(report, "address %s was added", text);
		}
}

struct route_match {
	const struct end *end;
	bool found[64];
	struct list others; /* routes of nsd's that are not wanted (struct route); only collected to be taken away */
	bool collect;
};

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static int
collect_route(struct route_match *m, const struct route *route)
{
	struct route *v = reallocarray(m->others.v, m->others.n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	m->others.v = v;
	int err = fields_copy(&route_type, route, &v[m->others.n], NULL);
	m->others.n += err == 0;
	return err;
}

static int
note_route(int ifindex UNUSED, const struct route *route, int protocol, void *arg)
{
	struct route_match *m = arg;

	for (size_t i = 0; i < m->end->routes.n && i < ARRAY_SIZE(m->found); i++) {
		const struct route *want = (const struct route *)m->end->routes.v + i;
		bool same_metric = want->metric == FIELD_ABSENT_INT || want->metric == route->metric;
		if (same_text(want->destination, route->destination) && same_text(want->gateway, route->gateway) &&
		    same_metric) {
			m->found[i] = true;
			return 0;
		}
	}
	return m->collect && protocol == ROUTE_PROTOCOL ? collect_route(m, route) : 0;
}

static int
compare_routes(struct rtnl *r, const struct end *e, int ifindex, struct report *report, struct error *err)
{
	struct route_match m = { .end = e };
	if (!e->routes.n)
		return 0;
	int result = route_dump(r, ifindex, note_route, &m, err);
	for (size_t i = 0; result == 0 && i < e->routes.n && i < ARRAY_SIZE(m.found); i++)
		if (!m.found[i])
			report_add(report, "route %s is missing", ((const struct route *)e->routes.v)[i].destination);
	return result;
}

static void
compare_link(const struct end *e, const struct link_info *i, int master, struct report *report)
{
	char mac[MAC_TEXT_SIZE];

	if (strcmp(e->interface, i->name) != 0)
		report_add(report, "it was renamed to %s", i->name);
	if (e->up != (int)i->up)
		report_add(report, "it was set %s", i->up ? "up" : "down");
	if (e->mtu != FIELD_ABSENT_INT && e->mtu != (int64_t)i->mtu)
		report_add(report, "its MTU is %u, not %lld", i->mtu, (long long)e->mtu);
	mac_format(i->mac, mac);
	if (e->mac && i->has_mac && strcmp(e->mac, mac) != 0)
		report_add(report, "its MAC is %s, not %s", mac, e->mac);
	if (e->bridge ? master != i->master : i->master != 0)
		report_add(report, e->bridge ? "it is no longer a port of %s" : "it was put under another interface",
			   e->bridge);
}

int
examine_end(struct kernel *k, struct netns *n, const struct end *e, int ifindex, char *text, size_t size,
	    struct error *err)
{
	struct report report = { .text = text, .size = size };
	struct link_info info;
	struct found want, have = { .n = 0 };
	struct rtnl *r = NULL;
	int master = 0, result = site_rtnl(k, n, &r, err);

	text[0] = '\0';
	if (result == 0)
		result = link_get(r, ifindex, NULL, &info, err);
	if (result < 0)
		return result;
	if (info.group != LINK_GROUP)
		return error_set(err, ERROR_LOST, NULL, "interface %s is another one than nsd made", e->interface) < 0 ?
			       -ENODEV :
			       0;
	if (master_of(r, e, &master, NULL) < 0)
		report_add(&report, "bridge %s is gone", e->bridge);
	compare_link(e, &info, master, &report);
	result = address_dump(r, ifindex, note_address, &have, err);
	if (result < 0)
		return result;
	wanted_addresses(e, &want);
	compare_addresses(&want, &have, &report);
	return compare_routes(r, e, ifindex, &report, err);
}

/* ---- restoring ---- */

static void
put_differences(struct rtnl *r, const struct end *e, const struct link_info *info, int master, const struct found *want,
		const struct found *have)
{
	uint8_t mac[6];
	int ifindex = info->ifindex;

	if (strcmp(e->interface, info->name) != 0) {
		link_put_up(r, ifindex, false, e->interface);
		link_put_name(r, ifindex, info->name, e->interface);
	}
	if (e->mtu != FIELD_ABSENT_INT && e->mtu != (int64_t)info->mtu)
		link_put_mtu(r, ifindex, (unsigned)e->mtu, e->interface);
	if (e->mac && mac_parse(e->mac, mac, NULL) == 0 && memcmp(mac, info->mac, sizeof(mac)) != 0)
		link_put_mac(r, ifindex, mac, e->interface);
	if (master != info->master)
		link_put_master(r, ifindex, master, e->interface);
	for (unsigned i = 0; i < have->n; i++)
		if (!has_prefix(want, &have->v[i]))
			address_put(r, ifindex, &have->v[i], false, e->interface);
	for (unsigned i = 0; i < want->n; i++)
		if (!has_prefix(have, &want->v[i]))
			address_put(r, ifindex, &want->v[i], true, e->interface);
	link_put_up(r, ifindex, e->up, e->interface);
}

/* Takes away what nsd put there and is not wanted any more, adds what is missing. */
static int
put_route_differences(struct rtnl *r, const struct end *e, int ifindex, struct error *err)
{
	struct route_match m = { .end = e, .collect = true };
	int result = route_dump(r, ifindex, note_route, &m, err);

	for (size_t i = 0; i < m.others.n; i++) {
		struct route *other = (struct route *)m.others.v + i;
		if (result == 0)
			result = route_put(r, ifindex, other, false, e->interface, err);
		route_done(other);
	}
	free(m.others.v);
	for (size_t i = 0; i < e->routes.n && i < ARRAY_SIZE(m.found) && result == 0; i++)
		if (!m.found[i])
			result = put_route(r, e, i, ifindex, err);
	return result;
}

/* The link and its addresses first: going down, or losing an address, takes routes along. */
int
restore_end(struct kernel *k, struct netns *n, const struct end *e, int ifindex, struct error *err)
{
	struct link_info info;
	struct found want, have = { .n = 0 };
	struct rtnl *r = NULL;
	int master = 0, result = site_rtnl(k, n, &r, err);

	if (result == 0)
		result = link_get(r, ifindex, NULL, &info, err);
	if (result == 0)
		result = master_of(r, e, &master, err);
	if (result == 0)
		result = address_dump(r, ifindex, note_address, &have, err);
	if (result == 0 && !n && end_has_ipv6(e))
		result = netns_host_ipv6(k, info.name, true, err);
	if (result < 0)
		return result;
	wanted_addresses(e, &want);
	put_differences(r, e, &info, master, &want, &have);
	result = rtnl_send(r, err);
	if (result < 0 && err && err->code == ERROR_NAME_TAKEN)
		error_prefix_field(err, "interface", -1);
	if (result == 0 && e->up)
		result = put_route_differences(r, e, ifindex, err);
	if (result < 0) {
		rtnl_reset(r);
		return result;
	}
	return rtnl_send(r, err);
}
