/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtnetlink's notifications of the host as a flat list of events. */
#include "config.h"

#include "events.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/if.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "macros.h"

#define RECEIVE_BUFFER (16 * 1024 * 1024) /* of the kernel: some 20,000 links at once */
#define DATAGRAM_SIZE (32 * 1024)
#define GROUP(n) (1U << ((n)-1))
#define HOST (-1)

struct events {
	int fd;
	_Alignas(struct nlmsghdr) char datagram[DATAGRAM_SIZE];
};

static int
set_options(int fd, struct error *e)
{
	const int size = RECEIVE_BUFFER;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return error_errno(e, errno, "cannot enlarge the buffer for the kernel's events");
	return 0;
}

static int
open_socket(unsigned groups, const struct sock_fprog *filter, struct events **ret, struct error *e)
{
	CLEANUP(close_fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0)
		return error_errno(e, errno, "cannot open a socket for the kernel's events");
	int err = set_options(fd, e);
	if (err < 0)
		return err;

	if (filter && setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, sizeof(*filter)) < 0)
		return error_errno(e, errno, "cannot filter the kernel's events");
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(e, errno, "cannot subscribe to the kernel's events");

	struct events *ev = malloc(sizeof(*ev));
	if (!ev)
		return error_errno(e, ENOMEM, "cannot listen to the kernel's events");
	ev->fd = TAKE_FD(fd);
	*ret = ev;
	return 0;
}

int
events_open(struct events **ret, struct error *e)
{
	return open_socket(GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_IPV4_IFADDR) | GROUP(RTNLGRP_IPV6_IFADDR) |
				   GROUP(RTNLGRP_NSID),
			   NULL, ret, e);
}

/* The filter sees the message in network order. What a slot says of its interface while it is made is no news: it is down as
 * something new (ifi_change has all bits), then up with a carrier. One that goes away says that it is down, too, and then that
 * it is gone; what is left is an interface that was set down (ifi_change is IFF_UP), and one without a carrier, whose peer
 * was. */
int
events_open_router(struct events **ret, struct error *e)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELLINK), 7, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_DELNSID), 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWLINK), 0, 6),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NLMSG_HDRLEN + offsetof(struct ifinfomsg, ifi_flags)),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htonl(IFF_UP), 2, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NLMSG_HDRLEN + offsetof(struct ifinfomsg, ifi_change)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(IFF_UP), 1, 2),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htonl(IFF_LOWER_UP), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog filter = { .len = ARRAY_SIZE(code), .filter = code };
	return open_socket(GROUP(RTNLGRP_LINK) | GROUP(RTNLGRP_NSID), &filter, ret, e);
}

void
events_close(struct events *ev)
{
	if (!ev)
		return;
	close_fd(&ev->fd);
	free(ev);
}

int
events_fd(const struct events *ev)
{
	return ev->fd;
}

static bool
read_nsid(const struct nlmsghdr *m, struct kernel_event *event)
{
	if (mnl_nlmsg_get_payload_len(m) < sizeof(struct rtgenmsg))
		return false;

	struct nlattr *a;
	mnl_attr_for_each (a, m, sizeof(struct rtgenmsg)) {
		if (mnl_attr_get_type(a) != NETNSA_NSID || mnl_attr_validate(a, MNL_TYPE_U32) < 0)
			continue;
		event->nsid = (int)mnl_attr_get_u32(a);
		event->type = m->nlmsg_type == RTM_NEWNSID ? EVENT_NSID : EVENT_NSID_GONE;
		return true;
	}
	return false;
}

/* Does the message hold an event? */
static bool
read_event(const struct nlmsghdr *m, struct kernel_event *event)
{
	switch (m->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		if (link_info_parse(m, &event->link) < 0)
			return false;
		event->type = m->nlmsg_type == RTM_NEWLINK ? EVENT_LINK : EVENT_LINK_GONE;
		event->ifindex = event->link.ifindex;
		return true;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		if (address_parse(m, &event->ifindex, &event->prefix) < 0)
			return false;
		event->type = m->nlmsg_type == RTM_NEWADDR ? EVENT_ADDRESS : EVENT_ADDRESS_GONE;
		return true;
	case RTM_NEWNSID:
	case RTM_DELNSID:
		return read_nsid(m, event);
	default:
		return false;
	}
}

/* Reads one datagram; its length, 0 for one to pass over, or a negative errno. */
static ssize_t
receive(struct events *ev)
{
	struct sockaddr_nl from = { 0 };
	socklen_t from_size = sizeof(from);

	ssize_t n;
	do
		n = recvfrom(ev->fd, ev->datagram, sizeof(ev->datagram), MSG_DONTWAIT | MSG_TRUNC,
			     (struct sockaddr *)&from, &from_size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (from.nl_pid != 0) /* another process */
		return 0;
	return (size_t)n > sizeof(ev->datagram) ? -ENOBUFS : n;
}

int
events_read(struct events *ev, unsigned budget, void (*fn)(const struct kernel_event *event, void *arg), void *arg,
	    struct error *e)
{
	unsigned datagrams = 0;
	for (; datagrams < budget; datagrams++) {
		ssize_t n = receive(ev);
		if (n == -EAGAIN)
			break;
		if (n == -ENOBUFS) {
			fn(&(struct kernel_event){ .type = EVENT_OVERRUN, .nsid = HOST }, arg);
			continue;
		}
		if (n < 0)
			return error_errno(e, (int)-n, "cannot read the kernel's events");

		int left = (int)n;
		const struct nlmsghdr *m = (const struct nlmsghdr *)(const void *)ev->datagram;
		for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
			struct kernel_event event = { .nsid = HOST };
			if (read_event(m, &event))
				fn(&event, arg);
		}
	}
	return (int)datagrams;
}
