/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Routes in binary; nobody outside of the kernel layer includes this. */
#pragma once

#include "link.h"

struct nlmsghdr;

/* A route as it comes in a message. */
struct raw_route {
	struct prefix destination;
	const void *gateway; /* of the same family, in the message; NULL: none */
	uint32_t table, oif, metric;
	uint8_t type, protocol;
};
int route_parse(const struct nlmsghdr *m, struct raw_route *ret); /* RTM_NEWROUTE of IPv4 or IPv6; no cached one */
