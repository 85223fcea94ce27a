/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtnetlink transactions: batches of requests sent at once, dumps that survive interruption, the kernel's own words in
 * errors. Each socket works in the network namespace it was opened in, whatever namespace its user is in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct nlmsghdr;
struct rtnl;

/* Opens a NETLINK_ROUTE socket in the calling thread's network namespace: CLOEXEC, NETLINK_EXT_ACK, NETLINK_CAP_ACK,
 * NETLINK_GET_STRICT_CHK. */
int rtnl_open(struct rtnl **ret, struct error *e);
void rtnl_close(struct rtnl *r);
void rtnl_closep(struct rtnl **r);
int rtnl_fd(const struct rtnl *r);
int rtnl_take_fd(struct rtnl *r); /* frees all but the socket, which is the caller's from then on */

/* The longest message, header included, that a builder may put together. */
#define RTNL_MESSAGE_MAX 1024

/* Starts a message in the batch, with `extra` bytes of family header (zeroed, *extra_header); NLM_F_REQUEST is added
 * to `flags`. The header stays valid until the next rtnl_message() or rtnl_send(). Never NULL: a batch that cannot be
 * built whole fails in rtnl_send(). `what` is put before the error text if the kernel refuses this message ("address
 * 10.0.0.1/24 on veth-a"); it is copied. */
struct nlmsghdr *rtnl_message(struct rtnl *r, uint16_t type, uint16_t flags, size_t extra, void **extra_header,
			      const char *what);

/* The last message stands for element `index` of the list `list` (a literal) in what a user asked for: a refusal names it
 * as its field. */
void rtnl_blame(struct rtnl *r, const char *list, unsigned index);

/* Sends the batch in one send() (64 messages at a time) and reads every answer. The first refusal is reported, with the
 * text of the extended acknowledgement, and its errno is returned: ERROR_NAME_TAKEN for EEXIST, ERROR_NOT_SUPPORTED for
 * EOPNOTSUPP, else as error_errno() has it. The kernel has carried out all the other messages. -ENODATA where
 * its answer got lost, so that nobody knows what it has carried out. An empty batch is a success. */
int rtnl_send(struct rtnl *r, struct error *e);

/* The same, and hands what NLM_F_ECHO gives back to `fn`. */
int rtnl_exchange(struct rtnl *r, int (*fn)(const struct nlmsghdr *m, void *arg), void *arg, struct error *e);

/* Forgets an unsent batch. */
void rtnl_reset(struct rtnl *r);

/* Sends the batch, which is one request, and hands each answer to `fn`: to a GET, to all of a dump (NLM_F_DUMP), or
 * what NLM_F_ECHO gives back. An interrupted dump (NLM_F_DUMP_INTR) is repeated, up to 8 times, after calling
 * `restart` if not NULL; then -EINTR. A negative return of `fn` ends the walk and is returned, without touching `e`. */
int rtnl_query(struct rtnl *r, int (*fn)(const struct nlmsghdr *m, void *arg), void (*restart)(void *arg), void *arg,
	       struct error *e);
