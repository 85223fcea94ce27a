/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of nftables, as text to libnftables: slow (milliseconds), so only when a network is made or changed. */
#pragma once

#include <stdbool.h>

#include "netns.h"

/* Runs commands as one transaction in a network namespace (`netns_fd` -1: the host's): all or nothing. The error holds
 * nft's own words. */
int nft_run(struct kernel *k, int netns_fd, const char *commands, struct error *e);

/* Is TABLE of family inet there (`netns_fd` as above)? By netlink, without reading the ruleset. */
int nft_has_table(struct kernel *k, int netns_fd, const char *table, bool *ret, struct error *e);

/* Watches the host's rules: a socket in the calling thread's network namespace that becomes readable with every change;
 * nft_watch_read() empties it and returns true when a table called TABLE was deleted or changed by another process, or
 * messages were lost. */
int nft_watch_open(int *ret, struct error *e);
bool nft_watch_read(int fd, const char *table);
