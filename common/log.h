/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Levelled logging to stderr or to a sink (the journal). The level is the only global state of the project. */
#pragma once

#include <stdarg.h>
#include <syslog.h>

#include "macros.h"

/* One log line. fields: "KEY=value" strings for a structured sink, ended by NULL, or NULL; message_id: 32 hex digits of
 * a catalog entry, or NULL. */
typedef void log_sink(int level, const char *message_id, const char *const *fields, const char *text);

/* level: LOG_ERR .. LOG_DEBUG (syslog.h, 0..7); lines above it are dropped. Safe from any thread. */
void log_set_level(int level);
int log_level(void);

/* "debug", "info", "notice", "warning", "err" or 0..7 -> level; -EINVAL for anything else. */
int log_level_from_string(const char *text);
const char *log_level_to_string(int level);

/* Replaces the default sink (stderr, with "<N>" before each line when stderr goes to the journal). Call before threads
 * start. */
void log_set_sink(log_sink *sink);

void log_msg(int level, const char *fmt, ...) PRINTF(2, 3);

/* A state change an administrator may look for: with catalog id and structured fields. */
void log_event(int level, const char *message_id, const char *const *fields, const char *fmt, ...) PRINTF(4, 5);

#define log_debug(...) log_msg(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_msg(LOG_INFO, __VA_ARGS__)
#define log_notice(...) log_msg(LOG_NOTICE, __VA_ARGS__)
#define log_warning(...) log_msg(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_msg(LOG_ERR, __VA_ARGS__)
