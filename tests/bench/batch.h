/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Batches of rtnetlink messages, several in one send, as the measuring programs use them; whatever fails ends the program. */
#pragma once

#include <libmnl/libmnl.h>
#include <stddef.h>
#include <stdint.h>

struct batch {
	uint16_t flags; /* added to every message; NLM_F_ACK: each is acknowledged, else the last one alone */
	char data[2048];
	size_t used;
	unsigned acks; /* that the batch will bring */
	struct nlmsghdr *last;
};

int open_or_die(const char *path, int flags);

/* A NETLINK_ROUTE socket in the thread's network namespace whose acknowledgements do not repeat the request. */
int netlink_open(void);

/* Begins one more message; returns its fixed header of `extra` bytes. Attributes go to b->last. */
void *batch_message(struct batch *b, uint16_t type, uint16_t flags, size_t extra);

/* Sends the batch, waits for its acknowledgements and empties it. */
void batch_send(struct batch *b, int fd);

/* RTM_NEWLINK: up. */
void put_up(struct batch *b, int ifindex);
