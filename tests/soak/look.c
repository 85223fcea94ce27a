/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel itself says of a slot (client.h), from the inside. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../bench/samples.h"
#include "client.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* The addresses inside, but those that each namespace has. */
static void
read_addresses(struct record *r)
{
	struct ifaddrs *all;
	if (getifaddrs(&all) < 0)
		return;
	for (struct ifaddrs *a = all; a; a = a->ifa_next) {
		if (!a->ifa_addr)
			continue;
		if (a->ifa_addr->sa_family == AF_INET) {
			const struct in_addr *address = &((struct sockaddr_in *)(void *)a->ifa_addr)->sin_addr;
			if (ntohl(address->s_addr) >> 24 != IN_LOOPBACKNET)
				memcpy(r->address4, address, sizeof(r->address4));
		} else if (a->ifa_addr->sa_family == AF_INET6) {
			const struct in6_addr *address = &((struct sockaddr_in6 *)(void *)a->ifa_addr)->sin6_addr;
			if (!IN6_IS_ADDR_LINKLOCAL(address) && !IN6_IS_ADDR_LOOPBACK(address))
				memcpy(r->address6, address, sizeof(r->address6));
		}
	}
	freeifaddrs(all);
}

void
look(struct client *c, const struct lease *l, int fd)
{
	struct record *r = log_add(c->log, RECORD_LOOK);
	int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	socklen_t size = sizeof(r->cookie);

	r->network = l->network;
	r->number = l->number;
	r->generation = l->generation;
	if (back < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(errno, "setns");
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0 || getsockopt(s, SOL_SOCKET, SO_NETNS_COOKIE, &r->cookie, &size) < 0)
		die(errno, "SO_NETNS_COOKIE");
	close(s);
	read_addresses(r);
	if (setns(back, CLONE_NEWNET) < 0)
		die(errno, "setns");
	close(back);
	record_answered(r, OUTCOME_OK, now_ns());
}
