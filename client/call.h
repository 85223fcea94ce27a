/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Calls to nsd: connect at the first one, send, read replies, pass file descriptors. */
#pragma once

#include <stdbool.h>

#include "error.h"
#include "client.h"
#include "varlink.h"

struct json_object;

#define CALL_REPLY_MAX (64 * 1024 * 1024) /* a longer reply is a broken server */

enum call_flags {
	CALL_MORE = 1 << 0,
	CALL_ONEWAY = 1 << 1,
	CALL_WAIT = 1 << 2, /* the answer may take as long as it likes, unless --timeout says otherwise */
};

/* Connects if that has not happened yet. */
int call_connect(struct client *c, struct error *e);
void call_disconnect(struct client *c);
int call_socket(const struct client *c); /* of the open connection */

/* Sends one call; `fd` (-1: none) travels with it. `method` without an interface is one of io.nsd.Manager's. */
int call_send(struct client *c, const char *method, struct json_object *parameters, unsigned flags, int fd,
	      struct error *e);

/* The next reply, an error reply too. */
int call_receive(struct client *c, unsigned flags, struct varlink_reply *ret, struct error *e);

/* One call and its one reply; an error reply is a failure. *ret (may be NULL) is the caller's. */
int call(struct client *c, const char *method, struct json_object *parameters, unsigned flags, struct json_object **ret,
	 struct error *e);
int call_with_fd(struct client *c, const char *method, struct json_object *parameters, int fd, struct json_object **ret,
		 struct error *e);

/* The reply to a call that was sent, with the file descriptor it brings. Both are the caller's. */
int call_receive_fd(struct client *c, struct json_object **ret, int *fd, struct error *e);

/* A call with `more`: hands each reply's parameters to `fn`, whose negative return ends it. */
typedef int call_each(struct json_object *parameters, void *arg, struct error *e);
int call_stream(struct client *c, const char *method, struct json_object *parameters, unsigned flags, call_each *fn,
		void *arg, struct error *e);

/* The same, with the arrays that the replies carry under `key` joined: *ret is {key: [...]}. */
int call_collect(struct client *c, const char *method, struct json_object *parameters, const char *key,
		 struct json_object **ret, struct error *e);
