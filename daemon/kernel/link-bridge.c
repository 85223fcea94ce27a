/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bridge: one end, an Ethernet switch with the kernel's defaults: no spanning tree, so a port forwards as soon as it is
 * up. */
#include "config.h"

#include "link.h"

const struct link_kind_ops link_bridge = {
	.kind = LINK_BRIDGE,
	.name = "bridge",
	.ends = 1,
};
