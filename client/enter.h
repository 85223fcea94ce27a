/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves this process into a network namespace, with the /sys and /etc that belong to it. */
#pragma once

#include "error.h"

/* The part that needs no namespace yet, to be done while nsd looks for it: a mount namespace of our own. After a failure
 * of either function the process is half inside and must end. */
int enter_prepare(struct error *e);

/* `fd`: the network namespace; `name`: of it, for messages and the mount table. */
int enter_namespace(int fd, const char *name, struct error *e);

/* Lays each file of /etc/netns/NAME over its namesake in /etc. One that cannot be is told, as iproute2 does. */
void enter_etc(const char *name);

/* The same with a text over /etc/resolv.conf. Both want to be inside, where mounts are private. */
void enter_resolver(const char *text);
