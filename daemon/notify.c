/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The service manager, by libsystemd. Nothing here fails a caller who has no service manager. */
#include "config.h"

#include "notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

#define FIELDS_MAX 32
#define LISTEN_NAME "varlink"

void
notify_ready(void)
{
	sd_notify(0, "READY=1");
}

void
notify_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		   (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

void
notify_stopping(void)
{
	sd_notify(0, "STOPPING=1");
}

/* A line break would begin another assignment. */
static void
one_line(char *text)
{
	for (; *text; text++)
		if (*text == '\n' || *text == '\r')
			*text = ' ';
}

void
notify_status(const char *fmt, ...)
{
	char text[400];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	one_line(text);
	sd_notifyf(0, "STATUS=%s", text);
}

void
notify_error(const struct error *e)
{
	char text[sizeof(e->text)];

	snprintf(text, sizeof(text), "%s", e->text);
	one_line(text);
	sd_notifyf(0, "STATUS=%s\nERRNO=%d", text, e->number);
}

void
notify_extend_timeout(uint64_t usec)
{
	sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, usec);
}

void
notify_watchdog(void)
{
	sd_notify(0, "WATCHDOG=1");
}

uint64_t
notify_watchdog_interval(void)
{
	uint64_t usec;

	return sd_watchdog_enabled(0, &usec) > 0 ? usec / 2 : 0;
}

static void
free_strings(char ***v)
{
	for (char **p = *v; p && *p; p++)
		free(*p);
	free(*v);
}

static int
refuse_several(char **names, struct error *e)
{
	char list[200] = "";
	size_t n = 0;

	for (char **p = names; p && *p && n < sizeof(list); p++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", *p);
	return error_set(
		e, ERROR_INVALID_VALUE, NULL,
		"the service manager passed several sockets (%s); nsd takes one, FileDescriptorName=" LISTEN_NAME,
		list);
}

int
notify_listen_fd(int *ret, struct error *e)
{
	CLEANUP(free_strings) char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names), fd = SD_LISTEN_FDS_START, flags;

	if (n < 0)
		return error_errno(e, -n, "cannot take the socket passed by the service manager");
	if (n > 1)
		return refuse_several(names, e);
	if (n == 1) {
		if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) <= 0)
			return error_set(e, ERROR_INVALID_VALUE, NULL,
					 "the file descriptor passed by the service manager (%s) is no listening Unix "
					 "stream socket",
					 names && names[0] ? names[0] : "without a name");
		flags = fcntl(fd, F_GETFL);
		if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
			return error_errno(e, errno, "cannot take the socket passed by the service manager");
	}
	*ret = n == 1 ? fd : -1;
	return 0;
}

bool
notify_on_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

/* One "KEY=value" of a log line, from the buffer it is printed into. */
static void
put_field(struct iovec *v, int *n, char *buffer, size_t size, const char *key, const char *value)
{
	int length = snprintf(buffer, size, "%s=%s", key, value);

	v[(*n)++] = (struct iovec){ buffer, (size_t)length < size ? (size_t)length : size - 1 };
}

void
notify_journal_sink(int level, const char *message_id, const char *const *fields, const char *text)
{
	char message[2048], priority[16], id[64], number[4];
	struct iovec v[FIELDS_MAX + 3];
	int n = 0;

	snprintf(number, sizeof(number), "%d", level & 7);
	put_field(v, &n, message, sizeof(message), "MESSAGE", text);
	put_field(v, &n, priority, sizeof(priority), "PRIORITY", number);
	if (message_id)
		put_field(v, &n, id, sizeof(id), "MESSAGE_ID", message_id);
	for (; fields && *fields && n < FIELDS_MAX + 3; fields++)
		v[n++] = (struct iovec){ (void *)(uintptr_t)*fields, strlen(*fields) };
	if (sd_journal_sendv(v, n) < 0)
		dprintf(STDERR_FILENO, "<%s>%s\n", number, text);
}
