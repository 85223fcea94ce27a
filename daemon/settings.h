/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration: nsd.conf and its drop-ins, read with libeconf; every setting is one entry of one table. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct settings {
	/* [Daemon] */
	int log_level;		 /* LogLevel= */
	int64_t workers;	 /* Workers=: kernel threads kept; more are started when all hang */
	int remake_lost;	 /* RemakeLost=: make vanished objects again by itself */
	/* [Limits] */
	int64_t connections;	 /* Connections= in total */
	int64_t connections_per_user; /* ConnectionsPerUser=; root is not limited by it */
	int64_t namespaces_per_user;  /* NamespacesPerUser=; root is not limited by it */
	int64_t links_per_user;	 /* LinksPerUser= */
	int64_t idle_timeout;	 /* IdleTimeoutSec= of a connection without a request under way; 0 never */
};

/* Reads `file` alone if not NULL (--config), else /usr/lib/nsd/nsd.conf, /etc/nsd/nsd.conf, /run/nsd/nsd.conf with
 * nsd.conf.d/ *.conf drop-ins by libeconf's rules (UAPI.6). Missing files are fine (defaults), but not a missing `file`.
 * Unknown sections and keys and bad values fail with ERROR_INVALID_VALUE naming file, line, key and what is accepted. */
int settings_load(const char *file, struct settings *ret, struct error *e);

/* The defaults alone. */
void settings_default(struct settings *ret);

/* For nsd.conf(5) and the shipped file: calls `fn` per setting, in table order. */
void settings_describe(void (*fn)(const char *section, const char *key, const char *value, const char *doc, void *arg),
		       void *arg);
