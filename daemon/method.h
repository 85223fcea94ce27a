/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces and methods as tables: one const entry defines a method completely. Parameters, validation, permission,
 * introspection and documents follow from it. */
#pragma once

#include "fields.h"
#include "request.h"

enum permission {
	PERMISSION_ANY,	 /* whoever may connect */
	PERMISSION_ROOT, /* uid 0 (or the daemon's own uid) */
};

enum method_flags {
	METHOD_REQUIRES_MORE = 1 << 0, /* streams: without `more` it answers ExpectedMore */
	METHOD_TAKES_FDS = 1 << 1,     /* the call may carry file descriptors */
	METHOD_RETURNS_FDS = 1 << 2,
	METHOD_RAW = 1 << 3, /* `in` is the json_object itself; nothing is validated (tests of the wire layer) */
};

/*
 * in: the decoded parameter struct (all strings owned by the dispatcher and freed after the final reply), or the JSON
 * object for METHOD_RAW. Returns 0 when it has replied or will reply later through `r`, or a negative errno with `e`
 * filled: then the dispatcher answers with that error. A handler that replies later must keep `r`.
 */
typedef int method_handler(void *context, struct request *r, void *in, struct error *e);

struct method {
	const char *name;
	const char *doc;
	const struct type *in;	/* NULL: no parameters */
	const struct type *out; /* NULL: empty reply */
	unsigned flags;
	enum permission permission;
	method_handler *handler;
};

struct interface {
	const char *name;
	const char *doc;
	const struct method *const *tables; /* ended by NULL; each ended by a zero entry */
	const enum error_code *errors;	    /* ended by ERROR_NONE; may be NULL */
	const char *description;	    /* the literal text, instead of one made from the tables */
};

/* The Varlink interface description of the tables: documented, portable to every client (no `any`, no nested arrays).
 * Caller frees *ret. */
int interface_describe(const struct interface *i, char **ret, struct error *e);
