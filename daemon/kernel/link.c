/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces: make them by kind, change them, remove them. */
#include "config.h"

#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "macros.h"

#define WHAT_SIZE 80

const struct link_kind_ops *
link_kind_ops(enum link_kind kind)
{
	static const struct link_kind_ops *const kinds[] = {
		[LINK_VETH] = &link_veth,
		[LINK_BRIDGE] = &link_bridge,
	};
	return kinds[kind];
}

void
link_put_interface(struct nlmsghdr *m, const struct link_site *site)
{
	static const uint8_t no_mac[6];

	mnl_attr_put_strz(m, IFLA_IFNAME, site->end->interface);
	if (site->end->mtu > 0)
		mnl_attr_put_u32(m, IFLA_MTU, (uint32_t)site->end->mtu);
	if (memcmp(site->mac, no_mac, sizeof(no_mac)) != 0)
		mnl_attr_put(m, IFLA_ADDRESS, sizeof(site->mac), site->mac);
	mnl_attr_put_u32(m, IFLA_GROUP, LINK_GROUP);
	/* One queue per CPU is the default, and half the cost of a veth or more. */
	mnl_attr_put_u32(m, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(m, IFLA_NUM_RX_QUEUES, 1);
}

static int
site_rtnl(struct kernel *k, const struct link_site *site, struct rtnl **ret, struct error *e)
{
	if (site->netns)
		return netns_rtnl(k, site->netns, ret, e);
	*ret = kernel_rtnl(k);
	return 0;
}

static uint64_t
site_cookie(const struct kernel *k, const struct link_site *site)
{
	return site->netns ? site->netns->cookie : kernel_cookie(k);
}

static void
put_create(struct kernel *k, struct rtnl *r, const struct link_kind_ops *ops, const struct link_site *sites)
{
	char what[WHAT_SIZE];
	snprintf(what, sizeof(what), "%s %s", ops->name, sites[0].end->interface);

	void *header;
	struct nlmsghdr *m = rtnl_message(r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO,
					  sizeof(struct ifinfomsg), &header, what);
	((struct ifinfomsg *)header)->ifi_index = sites[0].ifindex;
	link_put_interface(m, &sites[0]);

	struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, ops->name);
	if (ops->put_data) {
		const struct link_site *peer = ops->ends > 1 ? &sites[1] : NULL;
		int fd = -1;
		if (peer && site_cookie(k, peer) != site_cookie(k, &sites[0]))
			fd = peer->netns ? peer->netns->fd : kernel_netns_fd(k);
		struct nlattr *data = mnl_attr_nest_start(m, IFLA_INFO_DATA);
		ops->put_data(m, peer, fd);
		mnl_attr_nest_end(m, data);
	}
	mnl_attr_nest_end(m, info);
}

/* The creation was refused because something is there: finds out which end's name, and says so. */
static int
explain_taken(struct kernel *k, const struct link_site *sites, unsigned n, struct error *e)
{
	for (unsigned i = 0; i < n; i++) {
		struct rtnl *r;
		struct link_info found;
		char field[32];
		snprintf(field, sizeof(field), "ends[%u].interface", sites[i].index);

		bool twin = i > 0 && site_cookie(k, &sites[i]) == site_cookie(k, &sites[0]) &&
			    strcmp(sites[i].end->interface, sites[0].end->interface) == 0;
		if (twin)
			return error_set(e, ERROR_NAME_TAKEN, field, "both ends are called %s in the same namespace",
					 sites[i].end->interface);
		if (site_rtnl(k, &sites[i], &r, NULL) == 0 &&
		    link_get(r, 0, sites[i].end->interface, &found, NULL) == 0)
			return error_set(e, ERROR_NAME_TAKEN, field, "there is an interface %s %s already",
					 sites[i].end->interface, sites[i].netns ? "in the namespace" : "in the host");
	}
	return error_set(e, ERROR_NAME_TAKEN, NULL, "an interface of the name or number of %s existed just now",
			 sites[0].end->interface);
}

/* Takes the new interface, and with it its peer, from the kernel's echo. */
static int
read_echo(const struct nlmsghdr *m, void *arg)
{
	struct link_info *info = arg;
	if (m->nlmsg_type == RTM_NEWLINK)
		link_info_parse(m, info);
	return 0;
}

/* Nobody knows whether the interface was made: if there is one of that name, group and MAC, it is the one. */
static void
undo_create(struct rtnl *r, const struct link_site *site)
{
	struct link_info found;
	if (link_get(r, 0, site->end->interface, &found, NULL) == 0 && found.group == LINK_GROUP && found.has_mac &&
	    memcmp(found.mac, site->mac, sizeof(found.mac)) == 0)
		link_delete(r, found.ifindex, NULL);
}

/* A closed namespace would be taken for that of the other end. */
static int
check_open(const struct link_site *sites, unsigned n, struct error *e)
{
	for (unsigned i = 0; i < n; i++)
		if (sites[i].netns && sites[i].netns->fd < 0)
			return error_set(e, ERROR_INTERNAL, NULL, "the namespace of %s is closed",
					 sites[i].end->interface);
	return 0;
}

/* What was made, as far as the echo did not tell (before Linux 6.2 there is none). */
static int
look_up_made(struct rtnl *r, const struct link_site *site, struct link_info *made, struct error *e)
{
	int err = link_get(r, site->ifindex, site->ifindex ? NULL : site->end->interface, made, e);
	if (err == 0 &&
	    (made->group != LINK_GROUP || (made->has_mac && memcmp(made->mac, site->mac, sizeof(made->mac)) != 0)))
		return error_errno(e, ENODEV, "%s was taken away again by somebody else", site->end->interface);
	return err;
}

int
link_create(struct kernel *k, const struct link_kind_ops *ops, struct link_site *sites,
	    const struct link_sequel *sequel, struct error *e)
{
	struct rtnl *r;
	int err = check_open(sites, ops->ends, e);
	if (err == 0)
		err = site_rtnl(k, &sites[0], &r, e);
	if (err < 0)
		return err;

	struct link_info made = { 0 };
	struct error refusal = { 0 };
	put_create(k, r, ops, sites);
	err = sequel ? sequel->put(r, sites[0].ifindex, sequel->arg, e) : 0;
	if (err < 0) {
		rtnl_reset(r);
		return err;
	}
	err = rtnl_exchange(r, read_echo, &made, &refusal);
	if ((err == -EEXIST || err == -EBUSY) && made.ifindex == 0) /* EBUSY: the ifindex that was asked for */
		return explain_taken(k, sites, ops->ends, e);
	if (err == 0 && made.ifindex == 0)
		err = look_up_made(r, &sites[0], &made, &refusal);
	if (err < 0) {
		if (sequel && (made.ifindex || look_up_made(r, &sites[0], &made, NULL) == 0))
			link_delete(r, made.ifindex, NULL); /* made, but its sequel was refused */
		else if (err == -ENODATA)
			undo_create(r, &sites[0]);
		if (e)
			*e = refusal;
		return err;
	}
	sites[0].ifindex = made.ifindex;
	if (ops->ends > 1)
		sites[1].ifindex = made.peer_ifindex;
	return 0;
}

/* Starts a change of one interface. RTM_SETLINK, for an RTM_NEWLINK without an ifindex may mean a whole group. */
static struct nlmsghdr *
start_change(struct rtnl *r, int ifindex, struct ifinfomsg **header, const char *what)
{
	void *extra;
	struct nlmsghdr *m = rtnl_message(r, RTM_SETLINK, 0, sizeof(**header), &extra, what);
	*header = extra;
	(*header)->ifi_index = ifindex;
	return m;
}

void
link_put_up(struct rtnl *r, int ifindex, bool up, const char *name)
{
	struct ifinfomsg *header;
	char what[WHAT_SIZE];
	snprintf(what, sizeof(what), "setting %s %s", name, up ? "up" : "down");
	start_change(r, ifindex, &header, what);
	header->ifi_change = IFF_UP;
	header->ifi_flags = up ? IFF_UP : 0;
}

void
link_put_mtu(struct rtnl *r, int ifindex, unsigned mtu, const char *name)
{
	struct ifinfomsg *header;
	char what[WHAT_SIZE];
	snprintf(what, sizeof(what), "MTU %u on %s", mtu, name);
	mnl_attr_put_u32(start_change(r, ifindex, &header, what), IFLA_MTU, mtu);
}

void
link_put_mac(struct rtnl *r, int ifindex, const uint8_t mac[6], const char *name)
{
	struct ifinfomsg *header;
	char what[WHAT_SIZE], text[MAC_TEXT_SIZE];
	mac_format(mac, text);
	snprintf(what, sizeof(what), "MAC %s on %s", text, name);
	mnl_attr_put(start_change(r, ifindex, &header, what), IFLA_ADDRESS, 6, mac);
}

void
link_put_name(struct rtnl *r, int ifindex, const char *from, const char *to)
{
	struct ifinfomsg *header;
	char what[WHAT_SIZE];
	snprintf(what, sizeof(what), "renaming %s to %s", from, to);
	mnl_attr_put_strz(start_change(r, ifindex, &header, what), IFLA_IFNAME, to);
}

void
link_put_master(struct rtnl *r, int ifindex, int master, const char *name)
{
	struct ifinfomsg *header;
	char what[WHAT_SIZE];
	snprintf(what, sizeof(what), "%s %s", master > 0 ? "bridge of" : "no bridge of", name);
	mnl_attr_put_u32(start_change(r, ifindex, &header, what), IFLA_MASTER, (uint32_t)master);
}

void
link_put_netns(struct rtnl *r, int ifindex, int netns_fd, const char *name)
{
	struct ifinfomsg *header;
	char what[WHAT_SIZE];
	snprintf(what, sizeof(what), "moving %s to another namespace", name);
	mnl_attr_put_u32(start_change(r, ifindex, &header, what), IFLA_NET_NS_FD, (uint32_t)netns_fd);
}

void
link_put_group(struct rtnl *r, int ifindex, unsigned group, const char *name)
{
	struct ifinfomsg *header;
	char what[WHAT_SIZE];
	snprintf(what, sizeof(what), "group %u of %s", group, name);
	mnl_attr_put_u32(start_change(r, ifindex, &header, what), IFLA_GROUP, group);
}

static int
send_delete(struct rtnl *r, struct error *e)
{
	struct error refusal = { 0 };
	int err = rtnl_send(r, &refusal);
	if (err == -ENODEV)
		return 0;
	if (err < 0 && e)
		*e = refusal;
	return err;
}

int
link_delete(struct rtnl *r, int ifindex, struct error *e)
{
	char what[WHAT_SIZE];
	snprintf(what, sizeof(what), "removing interface %d", ifindex);
	if (ifindex <= 0)
		return error_set(e, ERROR_INTERNAL, NULL, "no interface has the number %d", ifindex);

	void *header;
	rtnl_message(r, RTM_DELLINK, 0, sizeof(struct ifinfomsg), &header, what);
	((struct ifinfomsg *)header)->ifi_index = ifindex;
	return send_delete(r, e);
}

int
link_delete_group(struct rtnl *r, unsigned group, struct error *e)
{
	char what[WHAT_SIZE];
	snprintf(what, sizeof(what), "removing the interfaces of group %u", group);
	if (group == 0)
		return error_set(e, ERROR_INTERNAL, NULL, "group 0 is everybody's and not to be removed");

	void *header;
	struct nlmsghdr *m = rtnl_message(r, RTM_DELLINK, 0, sizeof(struct ifinfomsg), &header, what);
	mnl_attr_put_u32(m, IFLA_GROUP, group);
	return send_delete(r, e);
}
