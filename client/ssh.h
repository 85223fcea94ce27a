/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Another host through ssh(1), or whatever $NSC_SSH names. */
#pragma once

#include <sys/types.h>

#include "client.h"

/* Starts `ssh HOST nsc bridge`; its stdin and stdout are the socket *ret_fd. */
int ssh_bridge(const struct client *c, int *ret_fd, pid_t *ret_pid, struct error *e);

/* Why the stream ended, from the wait status of ssh: fills `e`. */
int ssh_explain(const struct client *c, int status, struct error *e);

/* Replaces this process by `ssh HOST nsc VERB ARGV...`, with a terminal there if there is one here. Returns on failure. */
int ssh_exec(const struct client *c, const char *verb, int argc, char *const *argv, struct error *e);
