/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections to a Varlink service and load on them, one request under way on each: what the clients share. Nothing of
 * nsd's own code is in it, so that a round trip measured here is what a user gets. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "samples.h"

#define MAX_CONNECTIONS 64

struct connection {
	int fd;
	char *data;
	size_t used, size;
	uint64_t sent_at;
	unsigned long id; /* the caller's */
};

void connection_open(struct connection *c, const char *path);
void connection_close(struct connection *c);

/* Sends a text with its NUL. Requests are far smaller than a socket buffer: a short write means a broken peer. */
void connection_send(struct connection *c, const char *text);

struct load;
typedef bool send_function(struct load *l, struct connection *c); /* false: this connection has nothing more to send */
typedef void take_function(struct load *l, struct connection *c, const char *text, size_t length);

struct load {
	struct connection connections[MAX_CONNECTIONS];
	unsigned long n_connections;
	struct samples operations;
	unsigned long errors;
	take_function *take; /* NULL, or called with each message */
	void *context;	     /* the caller's */
	bool error_shown;
};

void load_open(struct load *l, const char *socket, unsigned long connections);
void load_close(struct load *l);

/* Reads what is there; returns the number of calls that ended, and the time the last byte was in in *at. Errors are counted,
 * the first one is shown. */
unsigned connection_read(struct load *l, struct connection *c, uint64_t *at);

/* Waits for the end of the one call that is under way. */
uint64_t connection_wait(struct load *l, struct connection *c);

/* Sends on every connection until nobody has anything more to send. An operation lasts from before the write to the last
 * byte of the final answer. One connection alone is read blocking, as a simple client does. */
void load_run(struct load *l, send_function *send_request);

/* For a client that sends at given times: the measured delay must be the daemon's, not that of this process waiting for a
 * core. Complains when it may not. */
void become_realtime(void);

bool contains(const char *text, size_t length, const char *needle);

/* Copies the string member KEY out of a message; ends the program when there is none that fits. */
void copy_member(const char *text, size_t length, const char *key, char *ret, size_t size);
