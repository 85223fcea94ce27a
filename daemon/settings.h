/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Configuration: nsd.conf and its drop-ins, read with libeconf; every setting is one entry of one table. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct settings {
	/* [Daemon] */
	int log_level;	 /* LogLevel= */
	int64_t workers; /* Workers=: kernel threads kept; more are started when all hang */
	int remake_lost; /* RemakeLost=: make vanished objects again by itself */
	/* [Limits] */
	int64_t connections;	      /* Connections= in total */
	int64_t connections_per_user; /* ConnectionsPerUser=; root is not limited by it */
	int64_t namespaces_per_user;  /* NamespacesPerUser=; root is not limited by it */
	int64_t links_per_user;	      /* LinksPerUser= */
	int64_t slots_per_user;	      /* SlotsPerUser=; root is not limited by it */
	int64_t acquires_per_second;  /* AcquiresPerSecond= of one user */
	int64_t slots_reserved;	      /* SlotsReserved= for root, of each network */
	int64_t idle_timeout;	      /* IdleTimeoutSec= of a connection without a request under way; 0 never */
	/* [Slots] */
	int64_t grace; /* GraceSec= for leases bound to a connection that nsd's end has broken */
};

/* Reads `file` alone if not NULL (--config), else nsd.conf and its drop-ins in the installed folders: settings_load_from()
 * with SYSCONFDIR/nsd, /run/nsd and PREFIX/lib/nsd. Call it once before threads start; later calls are free. */
int settings_load(const char *file, struct settings *ret, struct error *e);

/* The rules of UAPI.6: `folders`, ended by NULL, highest first. The first nsd.conf found counts, then every
 * nsd.conf.d/ *.conf in the order of the names, of which one in a higher folder replaces its namesakes. Missing files are
 * fine. Unknown sections and keys and bad values fail with ERROR_INVALID_VALUE naming file, line, key and what is
 * accepted; `ret` is then left as it was. */
int settings_load_from(const char *const *folders, struct settings *ret, struct error *e);

/* The defaults alone. */
void settings_default(struct settings *ret);

/* For nsd.conf(5) and the shipped file: calls `fn` per setting with its default, in table order. */
void settings_describe(void (*fn)(const char *section, const char *key, const char *value, const char *doc, void *arg),
		       void *arg);
