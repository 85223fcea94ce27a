/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compares a slot with its plan, from the inside. */
#include "config.h"

#include "router.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "macros.h"

struct examination {
	const struct slot_plan *plan;
	struct prefix own[2], gateway[2];
	bool has[2];
	bool link, lo, address[2], route[2], neighbour[2];
	char *text;
	size_t size, used;
};

static void PRINTF(2, 3) differ(struct examination *x, const char *fmt, ...)
{
	va_list ap;

	if (x->used && x->used + 2 < x->size)
		x->used += (size_t)snprintf(x->text + x->used, x->size - x->used, "; ");
	va_start(ap, fmt);
	if (x->used < x->size)
		x->used += (size_t)vsnprintf(x->text + x->used, x->size - x->used, fmt, ap);
	va_end(ap);
}

static bool
same_address(const struct prefix *a, const struct prefix *b)
{
	return a->family == b->family && memcmp(a->address, b->address, a->family == AF_INET ? 4 : 16) == 0;
}

/* Tunnel modules put a device of theirs into every new namespace; it is down. */
static int
examine_link(const struct link_info *info, void *arg)
{
	struct examination *x = arg;
	const struct slot_plan *p = x->plan;

	if (info->ifindex == 1) {
		x->lo = info->up;
	} else if (info->ifindex == SLOT_IFINDEX) {
		x->link = true;
		if (strcmp(info->name, p->interface) != 0)
			differ(x, "its interface is called %s", info->name);
		if (memcmp(info->mac, p->slot_mac, 6) != 0)
			differ(x, "its MAC was changed");
		if (info->mtu != p->mtu)
			differ(x, "its MTU is %u", info->mtu);
		if (!info->up || !info->running)
			differ(x, "%s is down", info->name);
	} else if (info->up) {
		differ(x, "there is an interface %s", info->name);
	}
	return 0;
}

static int
examine_address(int ifindex, const struct prefix *a, void *arg)
{
	struct examination *x = arg;
	unsigned i = a->family == AF_INET ? 0 : 1;
	char text[INET6_ADDRSTRLEN + 4];

	if (ifindex == 1 || (a->family == AF_INET6 && a->address[0] == 0xfe && (a->address[1] & 0xc0) == 0x80))
		return 0;
	if (ifindex == SLOT_IFINDEX && x->has[i] && same_address(a, &x->own[i]) && a->length == x->own[i].length) {
		x->address[i] = true;
		return 0;
	}
	prefix_format(a, text);
	differ(x, "there is an address %s", text);
	return 0;
}

static int
examine_route(int ifindex, const struct route *route, int protocol UNUSED, void *arg)
{
	struct examination *x = arg;
	struct prefix gateway;

	if (ifindex != SLOT_IFINDEX || strcmp(route->destination, "default") != 0 || !route->gateway ||
	    prefix_parse(route->gateway, true, &gateway, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < 2; i++)
		x->route[i] |= x->has[i] && same_address(&gateway, &x->gateway[i]);
	return 0;
}

static int
examine_neighbour(const struct nlmsghdr *m, void *arg)
{
	struct examination *x = arg;
	const struct ndmsg *header = mnl_nlmsg_get_payload(m);
	const uint8_t *mac = NULL, *address = NULL;
	struct nlattr *a;

	if (m->nlmsg_type != RTM_NEWNEIGH || header->ndm_ifindex != SLOT_IFINDEX ||
	    !(header->ndm_state & NUD_PERMANENT))
		return 0;
	mnl_attr_for_each (a, m, sizeof(*header)) {
		if (mnl_attr_get_type(a) == NDA_DST)
			address = mnl_attr_get_payload(a);
		if (mnl_attr_get_type(a) == NDA_LLADDR && mnl_attr_get_payload_len(a) == 6)
			mac = mnl_attr_get_payload(a);
	}
	for (unsigned i = 0; i < 2 && mac && address; i++)
		x->neighbour[i] |= x->has[i] && header->ndm_family == x->gateway[i].family &&
				   memcmp(address, x->gateway[i].address, i == 0 ? 4 : 16) == 0 &&
				   memcmp(mac, x->plan->router_mac, 6) == 0;
	return 0;
}

static void
conclude(struct examination *x)
{
	static const char *const family[] = { "IPv4", "IPv6" };

	if (!x->link)
		differ(x, "its interface is missing");
	if (!x->lo)
		differ(x, "lo is down");
	for (unsigned i = 0; i < 2; i++) {
		if (!x->has[i])
			continue;
		if (!x->address[i])
			differ(x, "its %s address is missing", family[i]);
		if (!x->route[i])
			differ(x, "its %s default route is missing", family[i]);
		if (!x->neighbour[i])
			differ(x, "its %s neighbour is missing", family[i]);
	}
}

static int
look(struct rtnl *r, struct examination *x, struct error *e)
{
	void *extra;
	int err = link_dump(r, false, examine_link, NULL, x, e);

	if (err == 0)
		err = address_dump(r, 0, examine_address, x, e);
	if (err == 0)
		err = route_dump(r, SLOT_IFINDEX, examine_route, x, e);
	if (err < 0)
		return err;
	rtnl_message(r, RTM_GETNEIGH, NLM_F_DUMP, sizeof(struct ndmsg), &extra, "neighbours");
	return rtnl_query(r, examine_neighbour, NULL, x, e);
}

int
slot_verify(struct kernel *k, int netns_fd, const struct slot_plan *p, char *text, size_t size, struct error *e)
{
	CLEANUP(rtnl_closep) struct rtnl *r = NULL;
	struct examination x = { .plan = p, .text = text, .size = size, .has = { p->has4, p->has6 } };
	int err = router_rtnl(k, netns_fd, &r, e);

	x.own[0] = p->has_inner4 ? p->inner4 : p->slot4;
	x.own[1] = p->has_inner6 ? p->inner6 : p->slot6;
	x.gateway[0] = p->has_inner4 ? p->inner_gateway4 : p->router4;
	x.gateway[1] = p->has_inner6 ? p->inner_gateway6 : p->router6;
	text[0] = '\0';
	if (err == 0)
		err = look(r, &x, e);
	if (err == 0)
		conclude(&x);
	return err;
}
