/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Routers and slots for tests, and packets sent between them. */
#pragma once

#include "router.h"
#include "sandbox.h"

enum families { V4 = 1, V6 = 2, DUAL = 3 };

/* A network 10.9.0.0/16 and fd09::/112 whose uplink in the host is nsd-test. */
struct router_plan plan_router(enum families f);
/* The shard of slots 512 to 1023 in it. */
struct router_plan plan_shard(enum families f);
/* Slot `number` of it, as interface slot<number>. */
struct slot_plan plan_slot(enum families f, unsigned number);
/* The same, with 172.16.0.2 or fd00:16::2 inside. */
struct slot_plan plan_inner_slot(enum families f, unsigned number);

/* "ADDRESS/LENGTH", or an address. */
struct prefix prefix_of(const char *text);

/* The output, or exit status, of a command in a namespace. */
const char *output_in(const struct netns *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int run_in(const struct netns *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define assert_shows_in(n, text, ...) assert_in(output_in(n, __VA_ARGS__), text)
#define assert_hides_in(n, text, ...) assert_null(strstr(output_in(n, __VA_ARGS__), text))

/* A socket of a namespace (NULL: the host's). */
int socket_in(struct kernel *k, const struct netns *n, int family, int type, int protocol);

/* Sends one UDP packet from one namespace to `address` (of `to`), and one back; NULL is the host. Microseconds until the
 * first had arrived, or -1 when one of them had not after a quarter of a second. */
long packets_pass(struct kernel *k, const struct netns *from, const struct netns *to, const char *address);

/* The sandbox's kernel, with lo of its host up. */
struct kernel *start_kernel(void **state);

/* A router, with its uplink in `outside` (NULL: the host); and one that is refused, of which nothing stays. */
struct netns make_router(struct kernel *k, struct netns *outside, const struct router_plan *plan);
void assert_router_refused(struct kernel *k, const struct router_plan *plan, enum error_code code, const char *words);
