/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Varlink envelope (UAPI.20 "Varlink IPC" 0.1): calls and replies between text and structs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct json_object;

#define VARLINK_MESSAGE_MAX (64 * 1024) /* of a call, terminator included */

struct varlink_call {
	char *method;
	struct json_object *parameters; /* never NULL: absent and null become {} */
	bool oneway, more, upgrade;
};

struct varlink_reply {
	char *error;			/* qualified name, NULL for success */
	struct json_object *parameters; /* never NULL */
	bool continues;
};

/* A failure here means that the connection must be closed (UAPI.20: invalid JSON, no object, no method, unknown header
 * key, a flag that is no boolean, more than one flag). Vendor keys (with a dot, holding an object) are passed over. */
int varlink_parse_call(const char *text, size_t length, struct varlink_call *ret, struct error *e);
void varlink_call_done(struct varlink_call *c);

int varlink_parse_reply(const char *text, size_t length, struct varlink_reply *ret, struct error *e);
void varlink_reply_done(struct varlink_reply *r);

/* Message texts, terminator not counted in *length but present. Caller frees *ret. `parameters` is borrowed and may be
 * NULL. Flags that are false and empty parameters are left out. */
int varlink_format_call(const char *method, struct json_object *parameters, bool more, bool oneway, char **ret,
			size_t *length, struct error *e);
int varlink_format_reply(struct json_object *parameters, bool continues, char **ret, size_t *length, struct error *e);

/* The same of parameters that are text already: a JSON object, or NULL for none. */
int varlink_format_reply_text(const char *parameters, bool continues, char **ret, size_t *length, struct error *e);

/* The reply for an error: its wire name with the parameters that its description declares. */
int varlink_format_error(const struct error *error, char **ret, size_t *length, struct error *e);

/* An error reply back to a struct: code by name (ERROR_INTERNAL for an unknown one), field, message. */
void varlink_error_of_reply(const struct varlink_reply *reply, struct error *ret);

/* Splits "io.nsd.Manager.GetStatus": *interface_length bytes before the last dot; returns the member after it, or NULL
 * if the name is not of that form. */
const char *varlink_split_method(const char *method, size_t *interface_length);
