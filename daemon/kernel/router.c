/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Router namespaces: made with their uplink and everything that holds for all slots on them, restored, removed. */
#include "config.h"

#include "router.h"

#include <errno.h>
#include <string.h>

#include "events.h"
#include "kernel-private.h"
#include "macros.h"
#include "router-private.h"

#define GROUP_CUT (LINK_GROUP + 2)

/* Of the root router, or the host's. */
static int
outside_rtnl(struct kernel *k, struct netns *outside, struct rtnl **ret, struct error *e)
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
				      { .end = &out, .netns = outside, .ifindex = p->outside_ifindex, .index = 1 } };
	struct error refusal = { 0 };

	memcpy(outside_name, p->outside, sizeof(outside_name));
	memcpy(sites[0].mac, p->inside_mac, 6);
	memcpy(sites[1].mac, p->outside_mac, 6);
	int err = link_create(k, link_kind_ops(LINK_VETH), sites, NULL, &refusal);
	if (err < 0 && e) {
		*e = refusal;
		e->field[0] = '\0'; /* of a link, which nobody asked for */
	}
	if (err == 0)
		*ifindex = sites[1].ifindex;
	return err;
}

/* Everything of a router but its namespace; *ifindex is set once there is an uplink. The host forwards last, when nothing
 * more can fail. */
static int
furnish(struct kernel *k, struct netns *outside, struct netns *router, const struct router_plan *p, int *ifindex,
	struct error *e)
{
	struct rtnl *r;
	int err = outside_rtnl(k, outside, &r, e);

	if (err == 0)
		err = router_settings(k, router, p->has6, e);
	if (err == 0)
		err = make_uplink(k, outside, router, p, ifindex, e);
	if (err == 0 && !outside)
		err = host_end_settings(k, p, e);
	if (err == 0)
		err = uplink_configure(r, router->rtnl, *ifindex, p, e);
	if (err == 0 && !outside)
		err = host_forwarding(k, p, e);
	return err;
}

int
router_make(struct kernel *k, struct netns *outside, const struct router_plan *p, struct netns *ret,
	    int *outside_ifindex, struct error *e)
{
	struct netns n = NETNS_INIT;
	int ifindex = 0, err = netns_make(k, &n, e);

	if (err < 0)
		return err;
	err = furnish(k, outside, &n, p, &ifindex, e);
	if (err < 0) {
		link_delete(n.rtnl, UPLINK_IFINDEX, NULL); /* from inside, where nothing else can have the number */
		netns_close(&n);
		return err;
	}
	*outside_ifindex = ifindex;
	*ret = n;
	return 0;
}

/* The far end of a router's uplink, and nothing else of that name: -ENODEV. */
static int
find_uplink(struct rtnl *r, const struct router_plan *p, struct link_info *ret, struct error *e)
{
	int err = link_get(r, 0, p->outside, ret, e);

	if (err == 0 && (ret->group != LINK_GROUP || !ret->has_mac || memcmp(ret->mac, p->outside_mac, 6) != 0)) {
		error_set(e, ERROR_FOREIGN, NULL, "interface %s is not the uplink that nsd made", p->outside);
		err = -ENODEV;
	}
	return err;
}

int
router_remove_uplink(struct kernel *k, struct netns *outside, const struct router_plan *p, struct error *e)
{
	struct rtnl *r;
	struct link_info info;
	struct error why = { 0 };
	int err = outside_rtnl(k, outside, &r, e);

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

int
router_restore(struct kernel *k, struct netns *outside, struct netns *router, const struct router_plan *p, char *text,
	       size_t size, struct error *e)
{
	const struct words w = { .text = text, .size = size };
	struct link_info info;
	struct rtnl *r, *inside;
	int err = outside_rtnl(k, outside, &r, e);

	text[0] = '\0';
	if (err == 0)
		err = netns_rtnl(k, router, &inside, e);
	if (err == 0)
		err = find_uplink(r, p, &info, e);
	if (err == 0 && !outside)
		err = host_end_settings(k, p, e);
	if (err == 0)
		err = uplink_restore(r, inside, info.ifindex, p, &w, e);
	if (err == 0 && !outside)
		err = host_forwarding(k, p, e);
	return err;
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
