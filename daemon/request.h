/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One call under way: who asks, and the ways to answer. Exactly one final answer leaves for each call; answers to a
 * connection that is gone, and to a `oneway` call, go nowhere. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "error.h"
#include "fields.h"

struct json_object;
struct request;

struct peer { /* SO_PEERCRED at accept */
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

const struct peer *request_peer(const struct request *r);
bool request_more(const struct request *r); /* the caller takes several replies */
bool request_gone(const struct request *r); /* nobody is waiting any more; asks the kernel */

/* A pidfd of the process that connected; the caller owns it. -ESRCH when that process has ended. Kernels before 6.5 know
 * it by its pid alone: there it also fails when the connection is no more, since the pid may be another's by then. */
int request_pidfd(const struct request *r);

/* Final answers. After one of them the request may be freed at any time: do not touch `r` again. `t` NULL: empty. */
void request_reply(struct request *r, const struct type *t, const void *value);
void request_reply_json(struct request *r, struct json_object *parameters);		   /* borrowed */
void request_reply_fd(struct request *r, const struct type *t, const void *value, int fd); /* takes fd */
void request_error(struct request *r, const struct error *e);

/* One of several answers (`continues`). Only when request_more(). */
void request_continue(struct request *r, const struct type *t, const void *value);
void request_continue_json(struct request *r, struct json_object *parameters);

/* A long answer in pieces: `fill` is called whenever the peer has room, emits a bounded number of request_continue() and
 * returns 1 while there is more; when it returns 0 it has given the final answer, or waits for request_stream_wake().
 * `drop` is called exactly once, when the request ends for whatever reason. */
void request_stream(struct request *r, int (*fill)(struct request *r, void *arg), void (*drop)(void *arg), void *arg);
void request_stream_wake(struct request *r);

/* Called exactly once when the request ends, by answer or by the peer going away. */
void request_on_end(struct request *r, void (*ended)(struct request *r, void *arg), void *arg);

/*
 * Something that lasts as long as a connection. It ends when the peer closes it or dies, or shuts its writing side down
 * while no call is under way, when the connection breaks the protocol or does not take its answers, and when the server
 * stops; never for being idle. `broken` is then called once, the bond being released already: it may free it, and release
 * others. Zero it before its first use.
 */
struct bond {
	void (*broken)(struct bond *b);
	LIST_ENTRY(bond) link;
};

/* Binds to the connection of a request that has had no final answer; a bond with another one goes over. -ENOTCONN when
 * the peer is gone: then the bond is what it was. */
int request_bond(struct request *r, struct bond *b);

/* `broken` is not called any more. Fine on one that is not bound. */
void bond_release(struct bond *b);

/* A file descriptor sent with the call; -1 if `index` is out of range. Borrowed: dup to keep. */
int request_fd(const struct request *r, int64_t index);
