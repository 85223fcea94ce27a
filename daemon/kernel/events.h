/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What changes in the kernel: rtnetlink's notifications of the host. Those of other namespaces could be had too, but
 * then every event inside one costs the kernel a walk over all nsids. */
#pragma once

#include <stdint.h>

#include "link.h"

struct events;

enum event_type {
	EVENT_LINK,	 /* link holds the new state */
	EVENT_LINK_GONE, /* link.ifindex, link.name */
	EVENT_ADDRESS,	 /* ifindex, prefix */
	EVENT_ADDRESS_GONE,
	EVENT_NSID,	 /* nsid was given to some namespace */
	EVENT_NSID_GONE, /* the namespace with this nsid has lost its last reference: it is really going */
	EVENT_OVERRUN,	 /* ENOBUFS: events were lost, look at everything again */
};

struct kernel_event {
	enum event_type type;
	int nsid; /* of NSID events; -1: an event of the host */
	struct link_info link;
	int ifindex;
	struct prefix prefix;
};

/* Opens the socket in the calling thread's network namespace: RTNLGRP_LINK, IPV4_IFADDR, IPV6_IFADDR, NSID,
 * 16 MiB receive buffer by SO_RCVBUFFORCE, non-blocking. */
int events_open(struct events **ret, struct error *e);
/* The same for a router: EVENT_LINK only of interfaces that were set down or have no carrier, EVENT_LINK_GONE,
 * EVENT_NSID_GONE; all else is dropped by a filter in the kernel. */
int events_open_router(struct events **ret, struct error *e);
void events_close(struct events *ev);
int events_fd(const struct events *ev);

/* Reads what is there, at most `budget` datagrams; `fn` gets each event in order. Returns the number of datagrams (0:
 * none left) or a negative errno. */
int events_read(struct events *ev, unsigned budget, void (*fn)(const struct kernel_event *event, void *arg), void *arg,
		struct error *e);
