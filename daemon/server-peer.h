/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is at the other end of a connected socket. */
#pragma once

#include <stdbool.h>

#include "request.h"

/* The credentials at connect(2); false where there are none. */
bool peer_read(int socket, struct peer *ret);

/* Has the peer closed its end? One that only shut its writing side down has not. */
bool peer_hung_up(int socket);

/* See request_pidfd(). */
int peer_pidfd(int socket, const struct peer *p);
