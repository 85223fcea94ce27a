/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Varlink for the soak clients: connections that may break at any time, requests, replies with file descriptors. Nothing of
 * nsd's own code, and replies are not believed: what is no proper slot is told. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "record.h"

#define N_REPLY_FDS 4
#define SILENCE_SECONDS 60

struct connection {
	int fd; /* -1: closed */
	uint64_t id;
	char *data;
	size_t used, size;
	int fds[N_REPLY_FDS]; /* received and not yet taken */
	unsigned n_fds;
};

enum received { RECEIVED, BROKEN, SILENT };

/* Tries for up to `patience` seconds while nobody listens. */
bool connection_open(struct connection *c, const char *path, uint64_t id, unsigned patience);
void connection_close(struct connection *c);
/* Did the other side hang up? */
bool connection_is_dead(const struct connection *c);

/* Sends a text with its NUL, and a file descriptor with it (-1: none). */
bool connection_send(struct connection *c, const char *text, int fd);
/* The next reply, the caller's; *at is when its last byte was there. */
enum received connection_receive(struct connection *c, struct json_object **ret, uint64_t *at);
/* The only file descriptor of the last reply, the caller's; -1 when there was none. Closes any others. */
int connection_take_fd(struct connection *c);

/* OUTCOME_OK or what the error means. */
enum record_outcome reply_outcome(struct json_object *reply);
/* Fills a record from "slot" in the reply, whose network must be one of the names; false when that is malformed. */
bool reply_slot(struct json_object *reply, const char *const *networks, unsigned n_networks, struct record *r);
