/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the vault share. */
#pragma once

#include "sandbox.h"

#include "vault.h"

#define VAULT_DIRECTORY "/run/nsd"
#define VAULT_FILE VAULT_DIRECTORY "/vault"
#define VAULT_HOST_MOUNTS 2 /* that a vault costs the host */

/* Each test starts with an empty directory. */
int vault_setup(void **state);

/* What a test has to work with in the vault. */
struct inside {
	struct vault *vault;
	struct kernel *kernel;
	struct netns_site *site;
	int proc; /* the host's: in the vault there is none */
	bool fresh;
	unsigned n;
};
void open_vault(struct inside *i);
void close_vault(struct inside *i);

/* Runs `fn` in a process that has entered the vault. go_inside() does that in the calling process. */
struct vault_errand {
	void (*fn)(struct inside *i);
	unsigned n;
};
void in_vault(void (*fn)(struct inside *i), unsigned n);
int go_inside(void *errand);

/* Fds with these flags, without a look into /proc. */
unsigned count_fds(int flags);

const char *pin_name(unsigned n); /* until the next call */

/* Pins i->n new namespaces; takes them away, and asks for one more that is not there; and both. */
void pin_n(struct inside *i);
void unpin_n(struct inside *i);
void pin_and_unpin(struct inside *i);

/* For vault_list(). check_inode() opens each pin. */
struct vault_inodes {
	struct vault *vault;
	unsigned n;
};
int count_pin(const char *name, uint64_t inode, void *counter);
int check_inode(const char *name, uint64_t inode, void *inodes);
unsigned count_pins(struct vault *v);

/* Nothing is mounted in the vault but what is listed. */
void check_whole(struct inside *i);

/* Waits until an interface is there, or is not. */
void await_interface(const char *name, bool there);
