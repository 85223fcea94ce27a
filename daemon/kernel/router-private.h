/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of routers share; nobody else includes this. */
#pragma once

#include "router.h"
#include "words.h"

#define UPLINK_INTERFACE "uplink"
#define UPLINK_IFINDEX 100 /* behind what tunnel modules put into every new namespace */

/* Settings of a router that has no interface of its own yet. */
int router_settings(struct kernel *k, const struct netns *router, bool has6, struct error *e);

/* Settings of the host's end of an uplink, which is still down. */
int host_end_settings(struct kernel *k, const struct router_plan *p, struct error *e);

/* Lets the host forward what the plan wants it to. */
int host_forwarding(struct kernel *k, const struct router_plan *p, struct error *e);

/* Sets up both ends of an uplink that is there. Neither end can be taken for configured before both are: on failure the
 * caller removes it. */
int uplink_configure(struct rtnl *outside, struct rtnl *inside, int outside_ifindex, const struct router_plan *p,
		     struct error *e);

/* Compares, and puts back what is missing: `w` tells what was. */
int uplink_restore(struct rtnl *outside, struct rtnl *inside, int outside_ifindex, const struct router_plan *p,
		   const struct words *w, struct error *e);
