/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one error convention. A function that can fail returns 0 or a negative errno and takes a `struct error *` last.
 * The error is filled once, where it is found; callers may prefix context with error_wrap(); it is answered or logged
 * once, at the edge. On success the struct is left as it was. `e` may be NULL: then only the return value tells.
 */
#pragma once

#include "macros.h"

/* What went wrong, in the terms of the wire. The table in error.c maps each to its wire name and parameters. */
enum error_code {
	ERROR_NONE,
	/* org.varlink.service */
	ERROR_INTERFACE_NOT_FOUND,    /* field: the interface */
	ERROR_METHOD_NOT_FOUND,	      /* field: the method */
	ERROR_METHOD_NOT_IMPLEMENTED, /* field: the method */
	ERROR_INVALID_PARAMETER,      /* field: the parameter; unknown, missing or of the wrong type */
	ERROR_PERMISSION_DENIED,
	ERROR_EXPECTED_MORE,
	/* io.nsd.Manager: each carries message and, where one field is to blame, field */
	ERROR_INVALID_VALUE,	/* right type, but the value is outside its grammar or range */
	ERROR_NOT_FOUND,	/* no such object, or not yours */
	ERROR_ALREADY_EXISTS,	/* nsd has an object of this name */
	ERROR_SPEC_DIFFERS,	/* ensure: it exists, with another value in `field` */
	ERROR_NAME_TAKEN,	/* something foreign in the kernel has this name or address */
	ERROR_BUSY,		/* another request is working on this object */
	ERROR_DRAINING,		/* it is being removed, and something still holds it */
	ERROR_LOST,		/* the kernel object vanished; repair or delete it */
	ERROR_FOREIGN,		/* not made by nsd: shown, never changed */
	ERROR_STALE_GENERATION, /* the caller means an earlier object of that name */
	ERROR_QUOTA_EXCEEDED,	/* the caller's own share is used up */
	ERROR_LIMIT_EXCEEDED,	/* the host's or the daemon's limit is reached */
	ERROR_NOT_SUPPORTED,	/* by this kernel, or not by this version of nsd */
	ERROR_NO_SUCH_PROCESS,
	ERROR_KERNEL, /* the kernel refused; text holds its words */
	ERROR_STORE,  /* the state could not be written or read: nothing was changed */
	ERROR_SHUTTING_DOWN,
	ERROR_TIMED_OUT,
	ERROR_INTERNAL,
	ERROR_CODE_MAX,
};

struct error {
	enum error_code code;
	int number;	/* errno, positive; 0 where none applies */
	char field[96]; /* path of the field to blame, like "ends[1].addresses[0]"; "" where none is */
	char text[400]; /* one line: what was asked, what is wrong, what to do */
};

/* How a code looks on the wire and to a shell. */
struct error_desc {
	const char *name; /* qualified Varlink error name */
	const char *doc;  /* one sentence for the interface description */
	int number;	  /* errno returned by error_set() for it, positive */
	int exit_status;  /* of nsc */
	/* The parameter that carries the field, "" where there is none; NULL: message, field and errno (io.nsd.Manager) */
	const char *parameter;
};

/* The entry of a code; never NULL. */
const struct error_desc *error_desc(enum error_code code);

/* The code whose wire name is `name`; ERROR_NONE if no code has it. */
enum error_code error_code_of(const char *name);

/* Fills `e` and returns the negative errno of the code. `field` may be NULL. Text and field become one clean line. */
int error_set(struct error *e, enum error_code code, const char *field, const char *fmt, ...) PRINTF(4, 5);

/* Fills `e` with ERROR_KERNEL (ERROR_LIMIT_EXCEEDED for EMFILE, ENFILE, ENOMEM and ENOSPC), appends ": <strerror>" to
 * the text and returns -number. `number` is positive. */
int error_errno(struct error *e, int number, const char *fmt, ...) PRINTF(3, 4);

/* Puts context before the text: "<context>: <text>". Returns -e->number (or `-EIO`), so it can end a function. */
int error_wrap(struct error *e, const char *fmt, ...) PRINTF(2, 3);

/* Puts a parent before the field: "<parent>.<field>", or "<parent>[<index>].<field>" when index >= 0. */
void error_prefix_field(struct error *e, const char *parent, long index);
