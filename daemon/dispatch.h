/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a message to exactly one final answer: finds the method, checks permission and parameters, calls the handler. */
#pragma once

#include "method.h"

/* An interface with the context its handlers get. */
struct binding {
	const struct interface *interface;
	void *context;
};

struct dispatcher {
	const struct binding *bindings; /* ended by a zero entry; org.varlink.service is added by itself */
	const char *vendor, *product, *version, *url;
};

LIST_HEAD(bonds, bond);

/* Where answers go: the connection, seen from below. */
struct reply_sink {
	/* One message, NUL included in the bytes but not in `length`. Takes `fd` (-1: none). */
	void (*send)(void *connection, const char *text, size_t length, int fd);
	/* May a stream write more right now? */
	bool (*room)(void *connection);
	/* What is bound to the connection, which calls bonds_break() when it ends. */
	struct bonds *(*bonds)(void *connection);
	/* Has the peer closed it, though nobody may have been told yet? */
	bool (*gone)(void *connection);
	/* See request_pidfd(). */
	int (*pidfd)(void *connection);
	/* The request has had its final answer and is freed by the caller of this. */
	void (*finished)(void *connection);
};

/* Handles one message of `peer`. `fds` came with it; they stay the caller's and must live until the request is finished.
 * *ret is the request if it is still under way on return, else NULL. A negative return: the message breaks the protocol
 * and the connection must be closed. */
int dispatch_message(const struct dispatcher *d, const struct peer *peer, const char *text, size_t length,
		     const int *fds, unsigned n_fds, const struct reply_sink *sink, void *connection,
		     struct request **ret, struct error *e);

/* The connection has room again: goes on with a stream. */
void request_pump(struct request *r);

/* The peer is gone: nobody waits for answers. The request ends now, or when its handler answers. */
void request_hangup(struct request *r);

/* The connection ended: every bond is released and told so. */
void bonds_break(struct bonds *bonds);
