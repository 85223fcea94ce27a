/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vault: a mount namespace of its own in which the namespaces of slots and routers are pinned by bind mounts, so that
 * the host's mount table does not grow with them. It is itself pinned by one bind mount, DIRECTORY/vault (on a second one
 * that makes its place private), and survives kill -9, restart, and stop and start of nsd. Nothing is mounted in it but its
 * own tmpfs and the pins, so it keeps no file system of the host busy. For a thread inside there are no files of the host
 * and no /proc: it opens what it needs before it enters.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct vault;

/* Opens DIRECTORY/vault, made when it is missing or an empty file (then *fresh is true: nothing is in it). ERROR_FOREIGN
 * when it is anything else, ERROR_BUSY while another process has it open. Any thread; the caller stays where it is. */
int vault_open(const char *directory, struct vault **ret, bool *fresh, struct error *e);
void vault_free(struct vault *v);

/* A random id, kept inside, that tells this vault from any other. 36 characters. */
const char *vault_id(const struct vault *v);

/* Moves the calling thread into the vault for good: a file-system context of its own, then setns(CLONE_NEWNS). Its root
 * and working directory are the vault's from then on. */
int vault_enter(struct vault *v, struct error *e);

/* Points DIRECTORY/slots to the calling thread's root (/proc/PID/task/TID/root/pins), so that DIRECTORY/slots/NAME is a path
 * for setns(2), nsenter(1) and NetworkNamespacePath= as long as the thread, which must have entered, lives. */
int vault_publish(struct vault *v, struct error *e);
const char *vault_path(const struct vault *v); /* DIRECTORY/slots */

/* By threads that have entered. Pins the namespace of `fd` under NAME; ERROR_NAME_TAKEN when something is pinned there. */
int vault_pin(struct vault *v, const char *name, int fd, struct error *e);

/* Takes pins away, many in one go: what each costs is a move; one unmount for all of them. Names that are not pinned are
 * fine. On failure some may be left. */
int vault_unpin(struct vault *v, const char *const *names, unsigned n, struct error *e);

/* Any thread: calls `fn` with every pin, in no order, and the inode number of the namespace. A negative return ends the
 * walk and is returned. */
int vault_list(struct vault *v, int (*fn)(const char *name, uint64_t inode, void *arg), void *arg, struct error *e);

/* Any thread: opens the namespace pinned under NAME; ERROR_NOT_FOUND when there is none. */
int vault_open_pin(const struct vault *v, const char *name, int *ret, struct error *e);
