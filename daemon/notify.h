/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The service manager: readiness, state, watchdog, inherited sockets, journal. The only user of libsystemd; all of it is
 * harmless without a service manager. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "log.h"

void notify_ready(void);
void notify_reloading(void); /* with MONOTONIC_USEC; notify_ready() ends it */
void notify_stopping(void);
void notify_status(const char *fmt, ...) PRINTF(1, 2); /* one line */
void notify_error(const struct error *e);	       /* STATUS= and ERRNO= before a failed start */
void notify_extend_timeout(uint64_t usec);
void notify_watchdog(void);

/* How often notify_watchdog() is to be called, usec: half the watchdog's time; 0: no watchdog wanted. */
uint64_t notify_watchdog_interval(void);

/* The listening AF_UNIX stream socket passed by the service manager (FileDescriptorName=varlink, or the only one), CLOEXEC
 * and non-blocking; -1 if there is none. Wrong fds (several, not listening, another family) are an error that names
 * them. Call once; the environment is cleared. */
int notify_listen_fd(int *ret, struct error *e);

/* Is stderr connected to the journal (JOURNAL_STREAM)? Then the sink for log.h that sends structured fields. */
bool notify_on_journal(void);
log_sink notify_journal_sink;
