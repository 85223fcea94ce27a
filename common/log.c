/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Levelled log lines to stderr or to the sink that main() sets. */
#include "config.h"

#include "log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "utf8.h"

#define LINE_SIZE 2048

static atomic_int threshold = LOG_INFO;
static log_sink *sink;

static const char *const level_names[] = { "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug" };

void
log_set_level(int level)
{
	atomic_store_explicit(&threshold, level, memory_order_relaxed);
}

int
log_level(void)
{
	return atomic_load_explicit(&threshold, memory_order_relaxed);
}

int
log_level_from_string(const char *text)
{
	for (int level = 0; level <= LOG_DEBUG; level++)
		if (strcmp(text, level_names[level]) == 0)
			return level;
	if (text[0] >= '0' && text[0] <= '7' && text[1] == '\0')
		return text[0] - '0';
	return -EINVAL;
}

const char *
log_level_to_string(int level)
{
	return level >= 0 && level <= LOG_DEBUG ? level_names[level] : "";
}

void
log_set_sink(log_sink *new_sink)
{
	sink = new_sink;
}

/* $JOURNAL_STREAM names the device and inode of the journal's socket (systemd.exec(5)). */
static bool
stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

/* One write per line, so that lines of several threads do not mix. */
static void
write_stderr(int level, const char *text)
{
	char line[LINE_SIZE + 8];
	int n = stderr_is_journal() ? snprintf(line, sizeof(line), "<%d>%s\n", level, text) :
				      snprintf(line, sizeof(line), "%s\n", text);
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return; /* nowhere is left to say so */
}

static void PRINTF(4, 0)
	log_line(int level, const char *message_id, const char *const *fields, const char *fmt, va_list args)
{
	if (level > log_level())
		return;

	int saved = errno;
	char text[LINE_SIZE];
	vsnprintf(text, sizeof(text), fmt, args);
	utf8_clean(text);
	if (sink)
		sink(level, message_id, fields, text);
	else
		write_stderr(level, text);
	errno = saved;
}

void
log_msg(int level, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	log_line(level, NULL, NULL, fmt, args);
	va_end(args);
}

void
log_event(int level, const char *message_id, const char *const *fields, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	log_line(level, message_id, fields, fmt, args);
	va_end(args);
}
