/* SPDX-License-Identifier: GPL-2.0-or-later */
/* veth: two ends, each may be in any namespace; the peer is made in its own at once and never moved. */
#include "config.h"

#include "link.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

static void
put_data(struct nlmsghdr *m, const struct link_site *peer, int peer_netns_fd)
{
	struct nlattr *nest = mnl_attr_nest_start(m, VETH_INFO_PEER);
	struct ifinfomsg *header = mnl_nlmsg_put_extra_header(m, sizeof(*header));
	header->ifi_index = peer->ifindex;
	link_put_interface(m, peer);
	if (peer_netns_fd >= 0)
		mnl_attr_put_u32(m, IFLA_NET_NS_FD, (uint32_t)peer_netns_fd);
	mnl_attr_nest_end(m, nest);
}

const struct link_kind_ops link_veth = {
	.kind = LINK_VETH,
	.name = "veth",
	.ends = 2,
	.moves = true,
	.put_data = put_data,
};
