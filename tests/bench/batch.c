/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See batch.h. */
#include "config.h"

#include "batch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include "samples.h"

int
open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		die(errno, "open %s", path);
	return fd;
}

int
netlink_open(void)
{
	int one = 1, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one)) < 0)
		die(errno, "netlink socket");
	return fd;
}

void *
batch_message(struct batch *b, uint16_t type, uint16_t flags, size_t extra)
{
	if (b->last)
		b->used += MNL_ALIGN(b->last->nlmsg_len);
	b->last = mnl_nlmsg_put_header(b->data + b->used);
	b->last->nlmsg_type = type;
	b->last->nlmsg_flags = NLM_F_REQUEST | b->flags | flags;
	b->acks += (b->last->nlmsg_flags & NLM_F_ACK) != 0;
	return mnl_nlmsg_put_extra_header(b->last, extra);
}

void
batch_send(struct batch *b, int fd)
{
	char answer[1024];
	b->acks += (b->last->nlmsg_flags & NLM_F_ACK) == 0;
	b->last->nlmsg_flags |= NLM_F_ACK;
	size_t size = b->used + MNL_ALIGN(b->last->nlmsg_len);
	if (send(fd, b->data, size, 0) != (ssize_t)size)
		die(errno, "netlink");
	for (; b->acks > 0; b->acks--) {
		if (recv(fd, answer, sizeof(answer), 0) < 0)
			die(errno, "netlink");
		const struct nlmsgerr *ack = mnl_nlmsg_get_payload((const struct nlmsghdr *)(const void *)answer);
		if (ack->error)
			die(-ack->error, "netlink message of type %u", ack->msg.nlmsg_type);
	}
	b->used = 0;
	b->last = NULL;
}

void
put_up(struct batch *b, int ifindex)
{
	struct ifinfomsg *i = batch_message(b, RTM_NEWLINK, 0, sizeof(*i));
	i->ifi_index = ifindex;
	i->ifi_flags = i->ifi_change = IFF_UP;
}
