/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Kernel settings of routers, and those of the host that an uplink needs: its own interface's, and forwarding. */
#include "config.h"

#include "router-private.h"

#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "kernel-private.h"
#include "macros.h"
#include "route-private.h"

#define ADVERTISED_MAX 16 /* interfaces with a default route from router advertisements */

struct setting {
	const char *key, *value;
};

/*
 * Of a router, before it has an interface: "default" is what each gets, and counts for nothing where "all" says otherwise.
 * A new namespace begins with what the host has there (net.core.devconf_inherit_init_net), so what matters is said. Rules
 * check sources, so rp_filter need not. ARP is answered to a slot that asks for its gateway, by its own address and for no
 * other (arp_ignore 2); what a slot says does not enter the table (permanent entries cannot be changed by it anyway).
 */
static const struct setting ipv4[] = {
	{ "net.ipv4.ip_forward", "1" }, /* first: it changes others */
	{ "net.ipv4.conf.all.send_redirects", "0" },
	{ "net.ipv4.conf.default.send_redirects", "0" },
	{ "net.ipv4.conf.all.accept_redirects", "0" },
	{ "net.ipv4.conf.default.accept_redirects", "0" },
	{ "net.ipv4.conf.all.accept_source_route", "0" },
	{ "net.ipv4.conf.all.rp_filter", "0" },
	{ "net.ipv4.conf.default.rp_filter", "0" },
	{ "net.ipv4.conf.all.arp_ignore", "2" },
	{ "net.ipv4.conf.all.arp_accept", "0" },
	{ "net.ipv4.conf.default.arp_accept", "0" },
	{ "net.ipv4.conf.all.proxy_arp", "0" },
	{ "net.ipv4.conf.default.proxy_arp", "0" },
	{ "net.ipv4.conf.all.route_localnet", "0" },
	{ "net.ipv4.conf.default.route_localnet", "0" },
	{ "net.ipv4.conf.all.accept_local", "0" },
	{ "net.ipv4.conf.default.accept_local", "0" },
};
static const struct setting ipv6[] = {
	{ "net.ipv6.conf.all.forwarding", "1" },	   { "net.ipv6.conf.default.accept_ra", "0" },
	{ "net.ipv6.conf.default.accept_redirects", "0" }, { "net.ipv6.conf.default.autoconf", "0" },
	{ "net.ipv6.conf.default.addr_gen_mode", "1" }, /* none: each automatic address costs every other slot */
};
static const struct setting no_ipv6[] = {
	{ "net.ipv6.conf.all.disable_ipv6", "1" },
	{ "net.ipv6.conf.default.disable_ipv6", "1" },
};

static int
apply(struct kernel *k, const struct netns *n, const struct setting *v, size_t count, struct error *e)
{
	int err = 0;

	for (size_t i = 0; i < count && err == 0; i++)
		err = netns_sysctl_set(k, n, v[i].key, v[i].value, e);
	return err;
}

int
router_settings(struct kernel *k, const struct netns *router, bool has6, struct error *e)
{
	int err = apply(k, router, ipv4, ARRAY_SIZE(ipv4), e);

	if (err < 0)
		return err;
	if (has6)
		return apply(k, router, ipv6, ARRAY_SIZE(ipv6), e);
	return k->ipv6 ? apply(k, router, no_ipv6, ARRAY_SIZE(no_ipv6), e) : 0;
}

/* It takes nothing from the router but packets. */
int
host_end_settings(struct kernel *k, const struct router_plan *p, struct error *e)
{
	static const char *const off[] = { "accept_redirects", "send_redirects" };
	int err = netns_host_ipv6(k, p->outside, p->has6, e);

	if (err < 0)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(off) && err == 0; i++)
		err = interface_sysctl_set(k, NULL, "ipv4", p->outside, off[i], "0");
	if (err == 0 && p->forward4)
		err = interface_sysctl_set(k, NULL, "ipv4", p->outside, "forwarding", "1");
	return err < 0 ? error_errno(e, -err, "cannot set up %s", p->outside) : 0;
}

/* ---- forwarding ---- */

struct advertised {
	unsigned n;
	int ifindex[ADVERTISED_MAX];
};

static int
note_advertised(const struct nlmsghdr *m, void *arg)
{
	struct advertised *a = arg;
	struct raw_route route;

	if (route_parse(m, &route) == 0 && route.protocol == RTPROT_RA && route.destination.length == 0 &&
	    route.oif > 0 && a->n < ADVERTISED_MAX)
		a->ifindex[a->n++] = (int)route.oif;
	return 0;
}

/* Where accept_ra is 0 a network manager reads the advertisements, and is not kept from it. */
static int
check_interface(struct kernel *k, int ifindex, struct error *e)
{
	struct link_info info;
	char value[8];

	if (link_get(kernel_rtnl(k), ifindex, NULL, &info, NULL) < 0 ||
	    interface_sysctl_get(k, NULL, "ipv6", info.name, "accept_ra", value, sizeof(value)) < 0 ||
	    strcmp(value, "1") != 0)
		return 0;
	return error_set(e, ERROR_NOT_SUPPORTED, "egress",
			 "the host has its IPv6 default route from router advertisements on %s, and would lose it by "
			 "forwarding IPv6; set net.ipv6.conf.%s.accept_ra=2 first",
			 info.name, info.name);
}

/* A host that forwards takes router advertisements no more, unless accept_ra is 2. */
static int
check_advertised(struct kernel *k, struct error *e)
{
	struct rtnl *r = kernel_rtnl(k);
	struct advertised a = { 0 };
	void *extra;

	rtnl_message(r, RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg), &extra, "routes");
	((struct rtmsg *)extra)->rtm_family = AF_INET6;
	int err = rtnl_query(r, note_advertised, NULL, &a, e);
	for (unsigned i = 0; i < a.n && err == 0; i++)
		err = check_interface(k, a.ifindex[i], e);
	return err;
}

static int
read_switch(struct kernel *k, const char *key, bool *ret, struct error *e)
{
	CLEANUP(free_ptr) char *value = NULL;
	int err = netns_sysctl_get(k, NULL, key, &value, e);

	if (err == 0)
		*ret = strcmp(value, "0") != 0;
	return err;
}

int
host_forwarding(struct kernel *k, const struct router_plan *p, struct error *e)
{
	static const char key4[] = "net.ipv4.ip_forward", key6[] = "net.ipv6.conf.all.forwarding";
	bool on4 = true, on6 = true;
	int err = p->forward4 ? read_switch(k, key4, &on4, e) : 0;

	if (err == 0 && p->forward6)
		err = read_switch(k, key6, &on6, e);
	if (err == 0 && !on6)
		err = check_advertised(k, e);
	if (err == 0 && !on4)
		err = netns_sysctl_set(k, NULL, key4, "1", e);
	if (err == 0 && !on6)
		err = netns_sysctl_set(k, NULL, key6, "1", e);
	return err;
}
