/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The error codes with their names on the wire, and the functions that fill a struct error. */
#include "config.h"

#include "error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "utf8.h"

#define SERVICE "org.varlink.service."
#define MANAGER "io.nsd.Manager."

/* clang-format off */
static const struct error_desc descs[ERROR_CODE_MAX] = {
	[ERROR_NONE] = { "", "", 0, 0, "" },
	[ERROR_INTERFACE_NOT_FOUND] = { SERVICE "InterfaceNotFound",
		"No such interface", ENOENT, 6, "interface" },
	[ERROR_METHOD_NOT_FOUND] = { SERVICE "MethodNotFound",
		"No such method", ENOSYS, 6, "method" },
	[ERROR_METHOD_NOT_IMPLEMENTED] = { SERVICE "MethodNotImplemented",
		"The method is not implemented", ENOSYS, 11, "method" },
	[ERROR_INVALID_PARAMETER] = { SERVICE "InvalidParameter",
		"A parameter is unknown, missing or of the wrong type", EINVAL, 6, "parameter" },
	[ERROR_PERMISSION_DENIED] = { SERVICE "PermissionDenied",
		"The caller may not do this", EACCES, 5, "" },
	[ERROR_EXPECTED_MORE] = { SERVICE "ExpectedMore",
		"The method answers in several replies and wants the flag \"more\"", EPROTO, 6, "" },
	[ERROR_INVALID_VALUE] = { MANAGER "InvalidValue",
		"The value of a parameter is outside its grammar or range", EINVAL, 6, NULL },
	[ERROR_NOT_FOUND] = { MANAGER "NotFound",
		"There is no such object, or it is not the caller's", ENOENT, 3, NULL },
	[ERROR_ALREADY_EXISTS] = { MANAGER "AlreadyExists",
		"nsd has an object of this name", EEXIST, 4, NULL },
	[ERROR_SPEC_DIFFERS] = { MANAGER "SpecDiffers",
		"The object exists with another value in the named field", EEXIST, 4, NULL },
	[ERROR_NAME_TAKEN] = { MANAGER "NameTaken",
		"Something in the kernel that is not nsd's has this name or address", EADDRINUSE, 4, NULL },
	[ERROR_BUSY] = { MANAGER "Busy",
		"Another request is working on this object; try again", EBUSY, 7, NULL },
	[ERROR_DRAINING] = { MANAGER "Draining",
		"The object is being removed and something still holds it", EBUSY, 7, NULL },
	[ERROR_LOST] = { MANAGER "Lost",
		"The object vanished from the kernel; repair or delete it", ENODEV, 9, NULL },
	[ERROR_FOREIGN] = { MANAGER "Foreign",
		"The object was not made by nsd, which shows it but never changes it", EPERM, 9, NULL },
	[ERROR_STALE_GENERATION] = { MANAGER "StaleGeneration",
		"The request means an earlier object of this name", ESTALE, 9, NULL },
	[ERROR_QUOTA_EXCEEDED] = { MANAGER "QuotaExceeded",
		"The caller's own share is used up", EDQUOT, 8, NULL },
	[ERROR_LIMIT_EXCEEDED] = { MANAGER "LimitExceeded",
		"A limit of the host or of nsd is reached", ENOSPC, 8, NULL },
	[ERROR_NOT_SUPPORTED] = { MANAGER "NotSupported",
		"This kernel or this version of nsd cannot do it", EOPNOTSUPP, 11, NULL },
	[ERROR_NO_SUCH_PROCESS] = { MANAGER "NoSuchProcess",
		"There is no such process", ESRCH, 3, NULL },
	[ERROR_KERNEL] = { MANAGER "KernelError",
		"The kernel refused; the message holds its words", EIO, 12, NULL },
	[ERROR_STORE] = { MANAGER "StoreError",
		"The state could not be written or read; nothing was changed", EIO, 13, NULL },
	[ERROR_SHUTTING_DOWN] = { MANAGER "ShuttingDown",
		"nsd is stopping", ESHUTDOWN, 7, NULL },
	[ERROR_TIMED_OUT] = { MANAGER "TimedOut",
		"It took too long", ETIMEDOUT, 14, NULL },
	[ERROR_INTERNAL] = { MANAGER "InternalError",
		"A fault in nsd itself; please report it", EIO, 1, NULL },
};
/* clang-format on */

const struct error_desc *
error_desc(enum error_code code)
{
	return &descs[(unsigned)code < ERROR_CODE_MAX ? code : ERROR_INTERNAL];
}

enum error_code
error_code_of(const char *name)
{
	for (unsigned code = ERROR_NONE + 1; code < ERROR_CODE_MAX; code++)
		if (strcmp(descs[code].name, name) == 0)
			return (enum error_code)code;
	return ERROR_NONE;
}

static void PRINTF(2, 0) set_text(struct error *e, const char *fmt, va_list args)
{
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	utf8_clean(e->text);
}

int
error_set(struct error *e, enum error_code code, const char *field, const char *fmt, ...)
{
	int number = error_desc(code)->number;
	if (!e)
		return -number;

	va_list args;
	va_start(args, fmt);
	set_text(e, fmt, args);
	va_end(args);

	e->code = code;
	e->number = number;
	snprintf(e->field, sizeof(e->field), "%s", field ? field : "");
	utf8_clean(e->field);
	return -number;
}

static bool
is_limit(int number)
{
	return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOSPC;
}

int
error_errno(struct error *e, int number, const char *fmt, ...)
{
	if (!e)
		return -number;

	va_list args;
	va_start(args, fmt);
	set_text(e, fmt, args);
	va_end(args);

	size_t used = strlen(e->text);
	snprintf(e->text + used, sizeof(e->text) - used, ": %s", strerror(number));
	e->code = is_limit(number) ? ERROR_LIMIT_EXCEEDED : ERROR_KERNEL;
	e->number = number;
	e->field[0] = '\0';
	return -number;
}

int
error_wrap(struct error *e, const char *fmt, ...)
{
	if (!e)
		return -EIO;

	char text[sizeof(e->text)];
	memcpy(text, e->text, sizeof(text));

	va_list args;
	va_start(args, fmt);
	set_text(e, fmt, args);
	va_end(args);

	size_t used = strlen(e->text);
	snprintf(e->text + used, sizeof(e->text) - used, ": %s", text);
	utf8_clean(e->text);
	return e->number > 0 ? -e->number : -EIO;
}

void
error_prefix_field(struct error *e, const char *parent, long index)
{
	if (!e)
		return;

	char path[2 * sizeof(e->field)] = "", number[24] = "";
	if (index >= 0)
		snprintf(number, sizeof(number), "[%ld]", index);
	snprintf(path, sizeof(path), "%s%s%s%s", parent, number, e->field[0] ? "." : "", e->field);
	memcpy(e->field, path, sizeof(e->field) - 1);
	e->field[sizeof(e->field) - 1] = '\0';
	utf8_clean(e->field);
}
