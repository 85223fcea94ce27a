/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Router namespaces: made with their uplink and everything that holds for all slots on them, restored, removed. */
#include "config.h"

#include "router.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "events.h"
#include "kernel-private.h"
#include "macros.h"

#define UPLINK_INTERFACE "uplink"
#define UPLINK_IFINDEX 100
#define GROUP_CUT (LINK_GROUP + 2)

/* ---- settings ---- */

struct setting {
	const char *key, *value;
};

/* Of a router, before it has an interface: "default" is what each gets. The rules check sources, so rp_filter need not. */
static const struct setting always[] = {
	{ "net.ipv4.ip_forward", "1" },
	{ "net.ipv4.conf.all.send_redirects", "0" },
	{ "net.ipv4.conf.default.send_redirects", "0" },
	{ "net.ipv4.conf.all.accept_redirects", "0" },
	{ "net.ipv4.conf.default.accept_redirects", "0" },
	{ "net.ipv4.conf.all.rp_filter", "0" },
	{ "net.ipv4.conf.default.rp_filter", "0" },
	{ NULL, NULL },
};
static const struct setting with_ipv6[] = {
	{ "net.ipv6.conf.all.forwarding", "1" },
	{ "net.ipv6.conf.default.accept_ra", "0" },
	{ "net.ipv6.conf.default.accept_redirects", "0" },
	{ "net.ipv6.conf.default.autoconf", "0" },
	{ "net.ipv6.conf.default.addr_gen_mode", "1" }, /* none: each automatic address costs every other slot */
	{ NULL, NULL },
};
static const struct setting without_ipv6[] = {
	{ "net.ipv6.conf.all.disable_ipv6", "1" },
	{ "net.ipv6.conf.default.disable_ipv6", "1" },
	{ NULL, NULL },
};

static int
apply_settings(struct kernel *k, const struct netns *n, const struct setting *v, bool may_lack, struct error *e)
{
	struct error why = { 0 };

	for (; v->key; v++) {
		int err = netns_sysctl_set(k, n, v->key, v->value, &why);
		if (err == -ENOENT && may_lack) /* a kernel without IPv6 */
			continue;
		if (err < 0) {
			if (e)
				*e = why;
			return err;
		}
	}
	return 0;
}

static int
configure_router(struct kernel *k, const struct netns *n, const struct router_plan *p, struct error *e)
{
	int err = apply_settings(k, n, always, false, e);

	if (err == 0)
		err = apply_settings(k, n, p->has6 ? with_ipv6 : without_ipv6, !p->has6, e);
	return err;
}

/* ---- the host's forwarding ---- */

struct advertised {
	bool found;
	int ifindex;
};

static int
note_advertised(int ifindex, const struct route *route, int protocol, void *arg)
{
	struct advertised *a = arg;

	if (protocol == RTPROT_RA && strcmp(route->destination, "default") == 0) {
		a->found = true;
		a->ifindex = ifindex;
	}
	return 0;
}

/* A host that forwards takes no router advertisements, unless accept_ra is 2: it would lose its default route. */
static int
check_advertised(struct kernel *k, struct error *e)
{
	struct advertised a = { 0 };
	struct link_info info;
	char key[64];
	CLEANUP(free_ptr) char *value = NULL;
	int err = route_dump(kernel_rtnl(k), 0, note_advertised, &a, e);

	if (err < 0 || !a.found || link_get(kernel_rtnl(k), a.ifindex, NULL, &info, NULL) < 0)
		return err;
	snprintf(key, sizeof(key), "net.ipv6.conf.%s.accept_ra", info.name);
	if (netns_sysctl_get(k, NULL, key, &value, NULL) == 0 && strcmp(value, "2") == 0)
		return 0;
	return error_set(e, ERROR_NOT_SUPPORTED, "egress",
			 "the host has its IPv6 default route from router advertisements on %s, which it would lose by "
			 "forwarding; set %s=2 first",
			 info.name, key);
}

static int
switch_on(struct kernel *k, const char *key, struct error *e)
{
	CLEANUP(free_ptr) char *value = NULL;
	int err = netns_sysctl_get(k, NULL, key, &value, e);

	if (err < 0 || strcmp(value, "0") != 0)
		return err;
	return netns_sysctl_set(k, NULL, key, "1", e);
}

static int
forward_host(struct kernel *k, const struct router_plan *p, struct error *e)
{
	CLEANUP(free_ptr) char *value = NULL;
	int err = p->forward4 ? switch_on(k, "net.ipv4.ip_forward", e) : 0;

	if (err < 0 || !p->forward6)
		return err;
	if (netns_sysctl_get(k, NULL, "net.ipv6.conf.all.forwarding", &value, NULL) == 0 && strcmp(value, "0") == 0)
		err = check_advertised(k, e);
	return err < 0 ? err : switch_on(k, "net.ipv6.conf.all.forwarding", e);
}

/* ---- the uplink ---- */

static int
socket_of(struct kernel *k, struct netns *outside, struct rtnl **ret, struct error *e)
{
	if (outside)
		return netns_rtnl(k, outside, ret, e);
	*ret = kernel_rtnl(k);
	return 0;
}

static int
make_uplink(struct kernel *k, struct netns *outside, struct netns *router, const struct router_plan *p, int *ifindex,
	    struct error *e)
{
	char inside_name[] = UPLINK_INTERFACE, outside_name[sizeof(p->outside)];
	struct end inside = { .interface = inside_name, .mtu = p->mtu };
	struct end out = { .interface = outside_name, .mtu = p->mtu };
	struct link_site sites[2] = { { .end = &inside, .netns = router, .ifindex = UPLINK_IFINDEX },
				      { .end = &out, .netns = outside, .index = 1 } };

	memcpy(outside_name, p->outside, sizeof(outside_name));
	memcpy(sites[0].mac, p->inside_mac, 6);
	memcpy(sites[1].mac, p->outside_mac, 6);
	int err = link_create(k, link_kind_ops(LINK_VETH), sites, NULL, e);
	if (err == 0)
		*ifindex = sites[1].ifindex;
	return err;
}

/* The host's end takes nothing from the router but packets. */
static int
configure_host_end(struct kernel *k, const struct router_plan *p, struct error *e)
{
	char key[64];
	int err = netns_host_ipv6(k, p->outside, p->has6, e);

	snprintf(key, sizeof(key), "net.ipv4.conf.%s.accept_redirects", p->outside);
	if (err == 0)
		err = netns_sysctl_set(k, NULL, key, "0", e);
	snprintf(key, sizeof(key), "net.ipv4.conf.%s.send_redirects", p->outside);
	if (err == 0)
		err = netns_sysctl_set(k, NULL, key, "0", e);
	return err < 0 ? err : forward_host(k, p, e);
}

static void
put_route(struct rtnl *r, int ifindex, const struct prefix *to, const struct prefix *via, uint8_t type)
{
	void *extra;
	char what[INET6_ADDRSTRLEN + 16], text[INET6_ADDRSTRLEN + 4] = "default";
	size_t size = via->family == AF_INET ? 4 : 16;

	if (to)
		prefix_format(to, text);
	snprintf(what, sizeof(what), "route to %s", text);
	struct nlmsghdr *m =
		rtnl_message(r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(struct rtmsg), &extra, what);
	struct rtmsg *header = extra;
	header->rtm_family = (uint8_t)via->family;
	header->rtm_dst_len = (uint8_t)(to ? to->length : 0);
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = ROUTE_PROTOCOL;
	header->rtm_type = type;
	header->rtm_scope = RT_SCOPE_UNIVERSE;
	if (to)
		mnl_attr_put(m, RTA_DST, size, to->address);
	if (type == RTN_UNICAST) {
		mnl_attr_put(m, RTA_GATEWAY, size, via->address);
		mnl_attr_put_u32(m, RTA_OIF, (uint32_t)ifindex);
	}
}

/* One family on the far end. */
static void
put_outside(struct rtnl *r, int ifindex, const struct router_plan *p, const struct prefix *other,
	    const struct prefix *behind)
{
	neighbour_put(r, ifindex, other, p->inside_mac, p->outside);
	put_route(r, ifindex, behind, other, RTN_UNICAST);
}

/* And inside. What has no slot is answered here, and not sent back up for the host to send it down again. */
static void
put_inside(struct rtnl *r, const struct router_plan *p, const struct prefix *other, const struct prefix *behind)
{
	neighbour_put(r, UPLINK_IFINDEX, other, p->outside_mac, UPLINK_INTERFACE);
	put_route(r, UPLINK_IFINDEX, NULL, other, RTN_UNICAST);
	put_route(r, 0, behind, other, RTN_UNREACHABLE);
}

static int
configure_inside(struct rtnl *r, const struct router_plan *p, struct error *e)
{
	link_put_up(r, 1, true, "lo");
	if (p->has4)
		address_put(r, UPLINK_IFINDEX, &p->inside4, true, UPLINK_INTERFACE);
	if (p->has6)
		address_put(r, UPLINK_IFINDEX, &p->inside6, true, UPLINK_INTERFACE);
	link_put_up(r, UPLINK_IFINDEX, true, UPLINK_INTERFACE);
	if (p->has4)
		put_inside(r, p, &p->outside4, &p->prefix4);
	if (p->has6)
		put_inside(r, p, &p->outside6, &p->prefix6);
	return rtnl_send(r, e);
}

static int
configure_outside(struct rtnl *r, int ifindex, const struct router_plan *p, struct error *e)
{
	if (p->has4)
		address_put(r, ifindex, &p->outside4, true, p->outside);
	if (p->has6)
		address_put(r, ifindex, &p->outside6, true, p->outside);
	link_put_up(r, ifindex, true, p->outside);
	if (p->has4)
		put_outside(r, ifindex, p, &p->inside4, &p->prefix4);
	if (p->has6)
		put_outside(r, ifindex, p, &p->inside6, &p->prefix6);
	return rtnl_send(r, e);
}

/* ---- the whole ---- */

int
router_make(struct kernel *k, struct netns *outside, const struct router_plan *p, struct netns *ret,
	    int *outside_ifindex, struct error *e)
{
	struct netns n = NETNS_INIT;
	struct rtnl *r;
	int ifindex = 0, err = socket_of(k, outside, &r, e);

	if (err == 0)
		err = netns_make(k, &n, e);
	if (err < 0)
		return err;
	err = configure_router(k, &n, p, e);
	if (err == 0)
		err = make_uplink(k, outside, &n, p, &ifindex, e);
	if (err == 0 && !outside)
		err = configure_host_end(k, p, e);
	if (err == 0)
		err = configure_inside(n.rtnl, p, e);
	if (err == 0)
		err = configure_outside(r, ifindex, p, e);
	if (err < 0) {
		if (ifindex)
			link_delete(r, ifindex, NULL);
		netns_close(&n);
		return err;
	}
	*outside_ifindex = ifindex;
	*ret = n;
	return 0;
}

static int
find_uplink(struct rtnl *r, const struct router_plan *p, struct link_info *ret, struct error *e)
{
	int err = link_get(r, 0, p->outside, ret, e);

	if (err == 0 && (ret->group != LINK_GROUP || memcmp(ret->mac, p->outside_mac, 6) != 0))
		err = -ENODEV;
	return err;
}

int
router_remove_uplink(struct kernel *k, struct netns *outside, const struct router_plan *p, struct error *e)
{
	struct rtnl *r;
	struct link_info info;
	struct error why = { 0 };
	int err = socket_of(k, outside, &r, e);

	if (err < 0)
		return err;
	err = find_uplink(r, p, &info, &why);
	if (err == -ENODEV)
		return 0;
	if (err < 0) {
		if (e)
			*e = why;
		return err;
	}
	return link_delete(r, info.ifindex, e);
}

struct address_search {
	const struct prefix *wanted;
	bool found;
};

static int
compare_address(int ifindex UNUSED, const struct prefix *p, void *arg)
{
	struct address_search *s = arg;

	s->found |= p->family == s->wanted->family && p->length == s->wanted->length &&
		    memcmp(p->address, s->wanted->address, sizeof(p->address)) == 0;
	return 0;
}

static void
note_missing(struct rtnl *r, int ifindex, const struct prefix *wanted, char *text, size_t size)
{
	struct address_search s = { .wanted = wanted };
	char address[INET6_ADDRSTRLEN + 4];
	size_t used = strlen(text);

	if (address_dump(r, ifindex, compare_address, &s, NULL) < 0 || s.found)
		return;
	prefix_format(wanted, address);
	snprintf(text + used, size - used, "%saddress %s was missing", used ? ", " : "", address);
}

int
router_restore(struct kernel *k, struct netns *outside, struct netns *router, const struct router_plan *p, char *text,
	       size_t size, struct error *e)
{
	struct link_info info;
	struct rtnl *r, *inside;
	int err = socket_of(k, outside, &r, e);

	text[0] = '\0';
	if (err == 0)
		err = netns_rtnl(k, router, &inside, e);
	if (err == 0)
		err = find_uplink(r, p, &info, e);
	if (err < 0)
		return err;
	if (!info.up)
		snprintf(text, size, "%s was down", p->outside);
	if (p->has4)
		note_missing(r, info.ifindex, &p->outside4, text, size);
	if (p->has6)
		note_missing(r, info.ifindex, &p->outside6, text, size);
	if (!outside)
		err = configure_host_end(k, p, e);
	if (err == 0)
		err = configure_inside(inside, p, e);
	return err < 0 ? err : configure_outside(r, info.ifindex, p, e);
}

/* ---- the rest ---- */

struct overlap {
	const struct prefix *prefix;
	int except; /* ifindex */
	int ifindex;
	char route[INET6_ADDRSTRLEN + 4];
};

/* Default routes, and those that VPNs put above them, hold for everything that has no route of its own. */
static int
compare_route(int ifindex, const struct route *route, int protocol UNUSED, void *arg)
{
	struct overlap *o = arg;
	struct prefix p;

	if (o->route[0] || ifindex == o->except || strcmp(route->destination, "default") == 0 ||
	    prefix_parse(route->destination, true, &p, NULL) < 0 || p.length <= 1 || !prefix_overlap(&p, o->prefix))
		return 0;
	snprintf(o->route, sizeof(o->route), "%s", route->destination);
	o->ifindex = ifindex;
	return 0;
}

static int
compare_own(int ifindex, const struct prefix *p, void *arg)
{
	struct overlap *o = arg;

	if (o->route[0] || ifindex == o->except || !prefix_overlap(p, o->prefix))
		return 0;
	prefix_format(p, o->route);
	o->ifindex = ifindex;
	return 0;
}

int
host_route_overlap(struct kernel *k, const struct prefix *p, const char *except, char *text, size_t size,
		   struct error *e)
{
	struct rtnl *r = kernel_rtnl(k);
	struct overlap o = { .prefix = p };
	struct link_info info;

	text[0] = '\0';
	if (except && link_get(r, 0, except, &info, NULL) == 0)
		o.except = info.ifindex;
	int err = route_dump(r, 0, compare_route, &o, e);
	if (err == 0)
		err = address_dump(r, 0, compare_own, &o, e);
	if (err < 0 || !o.route[0])
		return err;
	bool named = o.ifindex > 0 && link_get(r, o.ifindex, NULL, &info, NULL) == 0;
	snprintf(text, size, "%s%s%s", o.route, named ? " dev " : "", named ? info.name : "");
	return 0;
}

int
router_rtnl(struct kernel *k, int router_fd, struct rtnl **ret, struct error *e)
{
	int err = kernel_enter(router_fd);

	if (err < 0)
		return error_errno(e, -err, "cannot enter a router");
	err = rtnl_open(ret, e);
	kernel_leave(k);
	return err;
}

int
router_events_open(struct kernel *k, int router_fd, struct events **ret, struct error *e)
{
	int err = kernel_enter(router_fd);

	if (err < 0)
		return error_errno(e, -err, "cannot enter a router");
	err = events_open_router(ret, e);
	kernel_leave(k);
	return err;
}

int
router_cut(struct rtnl *router, const int *ifindexes, unsigned n, struct error *e)
{
	for (unsigned i = 0; i < n; i++)
		link_put_group(router, ifindexes[i], GROUP_CUT, "slot");
	int err = rtnl_send(router, NULL); /* one that is gone meanwhile is what is wanted */
	if (err < 0 && err != -ENODEV)
		return error_errno(e, -err, "cutting slots off");
	return link_delete_group(router, GROUP_CUT, e);
}
