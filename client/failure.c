/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Failures of nsc's own, and the one table of exit statuses. */
#include "config.h"

#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct {
	enum failure failure;
	int number; /* errno by which a struct error tells it; distinct */
	int status;
	const char *meaning;
} failures[] = {
	{ FAILURE_LOCAL, EIO, 1, "nsc itself failed: a system call, memory, output" },
	{ FAILURE_USAGE, EINVAL, 2, "the command line is wrong; nothing was changed" },
	{ FAILURE_CONNECTION, ENOTCONN, 10, "nsd cannot be reached, or closed the connection" },
	{ FAILURE_PROTOCOL, EPROTO, 15, "what came back is not a Varlink reply" },
	{ FAILURE_NOT_EXECUTABLE, ENOEXEC, 126, "exec: the command was found but cannot be executed" },
	{ FAILURE_COMMAND_NOT_FOUND, ESRCH, 127, "exec: the command was not found" },
};

static int
fail_number(enum failure f)
{
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
		if (failures[i].failure == f)
			return failures[i].number;
	return EIO;
}

static int PRINTF(3, 0) fail_va(struct error *e, enum failure f, const char *fmt, va_list ap)
{
	e->code = ERROR_NONE;
	e->number = fail_number(f);
	e->field[0] = '\0';
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	return -e->number;
}

int
fail(struct error *e, enum failure f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = fail_va(e, f, fmt, ap);
	va_end(ap);
	return r;
}

int
fail_errno(struct error *e, enum failure f, int number, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = fail_va(e, f, fmt, ap);
	va_end(ap);
	size_t n = strlen(e->text);
	snprintf(e->text + n, sizeof(e->text) - n, ": %s", strerror(number));
	return r;
}

int
fail_wrap(struct error *e, enum failure f, const char *context)
{
	char text[sizeof(e->text)];

	snprintf(text, sizeof(text), "%s", e->text);
	return fail(e, f, "%s: %s", context, text);
}

int
fail_memory(struct error *e)
{
	return fail(e, FAILURE_LOCAL, "out of memory");
}

bool
failure_is_fatal(const struct error *e)
{
	return e->code == ERROR_NONE || e->code == ERROR_TIMED_OUT;
}

int
failure_status(const struct error *e)
{
	if (e->code != ERROR_NONE)
		return error_desc(e->code)->exit_status;
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
		if (failures[i].number == e->number)
			return failures[i].status;
	return EXIT_FAILURE;
}

/* What a status means: nsc's own failures, then the errors of nsd that share it. Prints nothing for an unused one. */
static void
list_status(FILE *f, int status)
{
	const char *before = "";

	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		if (failures[i].status != status)
			continue;
		fprintf(f, "  %3d  %s", status, failures[i].meaning);
		before = "; ";
	}
	for (int code = ERROR_NONE + 1; code < ERROR_CODE_MAX; code++) {
		const struct error_desc *d = error_desc((enum error_code)code);
		const char *dot = strrchr(d->name, '.');
		if (d->exit_status != status)
			continue;
		if (!before[0])
			fprintf(f, "  %3d  ", status);
		fprintf(f, "%s%s", before, dot ? dot + 1 : d->name);
		before = before[0] == ';' || !before[0] ? ", " : before;
	}
	if (before[0])
		fputc('\n', f);
}

void
failure_list(FILE *f)
{
	fprintf(f, "  %3d  success\n", 0);
	for (int status = 1; status < EXEC_FAILED; status++)
		list_status(f, status);
	fprintf(f, "  %3d  exec: nsc failed before the command was started\n", EXEC_FAILED);
	for (int status = EXEC_FAILED + 1; status < 128; status++)
		list_status(f, status);
}
