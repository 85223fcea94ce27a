/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compares a slot with its plan, from the inside. */
#include "config.h"

#include "router.h"

#include <arpa/inet.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "macros.h"
#include "route-private.h"
#include "words.h"

#define LO_IFINDEX 1

/* What a slot has of one family. */
struct half {
	const char *family;
	bool wanted;
	const struct prefix *own, *gateway;
	bool address, route, neighbour; /* found */
};

struct examination {
	const struct slot_plan *plan;
	struct half half[2]; /* IPv4, IPv6 */
	bool link, lo;
	struct words words;
};

static struct half *
half_of(struct examination *x, int family)
{
	return &x->half[family == AF_INET ? 0 : 1];
}

static bool
same_address(const struct prefix *a, const struct prefix *b)
{
	return a->family == b->family && memcmp(a->address, b->address, a->family == AF_INET ? 4 : 16) == 0;
}

/* What tunnel modules put into every new namespace (net.core.fb_tunnels_only_for_init_net). */
static bool
comes_by_itself(const struct link_info *info)
{
	static const char *const names[] = { "tunl0",	 "gre0", "gretap0", "erspan0", "ip_vti0",
					     "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(info->name, names[i]) == 0)
			return !info->up;
	return false;
}

static void
examine_own_link(struct examination *x, const struct link_info *info)
{
	const struct slot_plan *p = x->plan;
	char mac[MAC_TEXT_SIZE];

	x->link = true;
	if (strcmp(info->name, p->interface) != 0)
		words_add(&x->words, "its interface is called %s", info->name);
	mac_format(info->mac, mac);
	if (memcmp(info->mac, p->slot_mac, 6) != 0)
		words_add(&x->words, "its MAC is %s", mac);
	if (info->mtu != p->mtu)
		words_add(&x->words, "its MTU is %u", info->mtu);
	if (!info->up)
		words_add(&x->words, "%s is down", info->name);
	else if (!info->running)
		words_add(&x->words, "%s has no carrier", info->name);
}

static int
examine_link(const struct link_info *info, void *arg)
{
	struct examination *x = arg;

	if (info->ifindex == LO_IFINDEX)
		x->lo = info->up;
	else if (info->ifindex == SLOT_IFINDEX)
		examine_own_link(x, info);
	else if (!comes_by_itself(info))
		words_add(&x->words, "there is an interface %s", info->name);
	return 0;
}

/* Addresses that the kernel gives: those of lo, and link-local IPv6 ones. */
static bool
is_automatic(int ifindex, const struct prefix *a)
{
	static const struct prefix loopback4 = { .family = AF_INET, .length = 8, .address = { 127, 0, 0, 1 } };
	static const struct prefix loopback6 = { .family = AF_INET6, .length = 128, .address = { [15] = 1 } };

	if (ifindex == LO_IFINDEX)
		return same_address(a, &loopback4) || same_address(a, &loopback6);
	return ifindex == SLOT_IFINDEX && a->family == AF_INET6 && a->address[0] == 0xfe &&
	       (a->address[1] & 0xc0) == 0x80;
}

static int
examine_address(int ifindex, const struct prefix *a, void *arg)
{
	struct examination *x = arg;
	struct half *h = half_of(x, a->family);
	char text[INET6_ADDRSTRLEN + 4];

	if (is_automatic(ifindex, a))
		return 0;
	if (h->wanted && ifindex == SLOT_IFINDEX && same_address(a, h->own) && a->length == h->own->length) {
		h->address = true;
		return 0;
	}
	prefix_format(a, text);
	words_add(&x->words, "there is an address %s", text);
	return 0;
}

/* Those that addresses bring along are the kernel's. */
static int
examine_route(const struct nlmsghdr *m, void *arg)
{
	struct examination *x = arg;
	struct raw_route r;
	char text[INET6_ADDRSTRLEN + 4] = "default";

	if (route_parse(m, &r) < 0 || r.table != RT_TABLE_MAIN || r.protocol == RTPROT_KERNEL)
		return 0;
	struct half *h = half_of(x, r.destination.family);
	if (h->wanted && r.destination.length == 0 && r.type == RTN_UNICAST && r.oif == SLOT_IFINDEX && r.gateway &&
	    memcmp(r.gateway, h->gateway->address, r.destination.family == AF_INET ? 4 : 16) == 0) {
		h->route = true;
		return 0;
	}
	if (r.destination.length > 0)
		prefix_format(&r.destination, text);
	words_add(&x->words, "there is another route: %s %s", h->family, text);
	return 0;
}

static int
examine_neighbour(const struct prefix *address, const uint8_t mac[6], void *arg)
{
	struct examination *x = arg;
	struct half *h = half_of(x, address->family);

	if (h->wanted && same_address(address, h->gateway) && memcmp(mac, x->plan->router_mac, 6) == 0) {
		h->neighbour = true;
		return 0;
	}
	char text[INET6_ADDRSTRLEN + 4], mac_text[MAC_TEXT_SIZE];
	prefix_format(address, text);
	text[strcspn(text, "/")] = '\0';
	mac_format(mac, mac_text);
	words_add(&x->words, "there is a neighbour %s with MAC %s", text, mac_text);
	return 0;
}

static void
conclude(const struct examination *x)
{
	if (!x->link)
		words_add(&x->words, "its interface %s is missing", x->plan->interface);
	if (!x->lo)
		words_add(&x->words, "lo is down");
	for (const struct half *h = x->half; h < x->half + 2; h++) {
		if (!h->wanted)
			continue;
		if (!h->address)
			words_add(&x->words, "its %s address is missing", h->family);
		if (!h->route)
			words_add(&x->words, "its %s default route is missing", h->family);
		if (!h->neighbour)
			words_add(&x->words, "its %s neighbour is missing", h->family);
	}
}

static int
look(struct rtnl *r, struct examination *x, struct error *e)
{
	void *extra;
	int err = link_dump(r, false, examine_link, NULL, x, e);

	if (err == 0)
		err = address_dump(r, 0, examine_address, x, e);
	if (err == 0 && x->link)
		err = neighbour_dump(r, SLOT_IFINDEX, examine_neighbour, x, e);
	if (err < 0)
		return err;
	rtnl_message(r, RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg), &extra, "routes");
	return rtnl_query(r, examine_route, NULL, x, e);
}

int
slot_verify(struct kernel *k, int netns_fd, const struct slot_plan *p, char *text, size_t size, struct error *e)
{
	CLEANUP(rtnl_closep) struct rtnl *r = NULL;
	struct examination x = {
		.plan = p,
		.half = { { .family = "IPv4",
			    .wanted = p->has4,
			    .own = p->has_inner4 ? &p->inner4 : &p->slot4,
			    .gateway = p->has_inner4 ? &p->inner_gateway4 : &p->router4 },
			  { .family = "IPv6",
			    .wanted = p->has6,
			    .own = p->has_inner6 ? &p->inner6 : &p->slot6,
			    .gateway = p->has_inner6 ? &p->inner_gateway6 : &p->router6 } },
		.words = { .text = text, .size = size },
	};
	int err = router_rtnl(k, netns_fd, &r, e);

	text[0] = '\0';
	if (err == 0)
		err = look(r, &x, e);
	if (err == 0)
		conclude(&x);
	return err;
}
