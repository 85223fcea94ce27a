/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Moves this process into a network namespace, with the /sys and /etc that belong to it. */
#pragma once

#include "error.h"

/* `fd`: the network namespace; `name`: whose /etc/netns/NAME applies. On failure the process may be half inside: it must
 * end. */
int enter_namespace(int fd, const char *name, struct error *e);
