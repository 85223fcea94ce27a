/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads and writes the Varlink envelope. */
#include "config.h"

#include "varlink.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "text.h"

static int
refuse(struct error *e, const char *key, const char *what)
{
	return error_set(e, ERROR_INVALID_VALUE, NULL, "no valid message: \"%.64s\" %s", key, what);
}

static int
out_of_memory(struct error *e)
{
	return error_errno(e, ENOMEM, "a Varlink message");
}

static int
take_string(struct json_object *value, const char *key, char **ret, struct error *e)
{
	if (!json_object_is_type(value, json_type_string))
		return refuse(e, key, "is not a string");
	*ret = strdup(json_object_get_string(value));
	return *ret ? 0 : out_of_memory(e);
}

static int
take_flag(struct json_object *value, const char *key, bool *ret, struct error *e)
{
	if (!json_object_is_type(value, json_type_boolean))
		return refuse(e, key, "is not a boolean");
	*ret = json_object_get_boolean(value);
	return 0;
}

static int
take_parameters(struct json_object *value, const char *key, struct json_object **ret, struct error *e)
{
	if (value && !json_object_is_type(value, json_type_object))
		return refuse(e, key, "is not an object");
	*ret = json_object_get(value);
	return 0;
}

/* A key that is no part of the envelope: a vendor's own, with a dot and an object in it, does no harm. */
static int
pass_vendor(struct json_object *value, const char *key, struct error *e)
{
	if (strchr(key, '.') && json_object_is_type(value, json_type_object))
		return 0;
	return refuse(e, key, "is unknown");
}

/* Absent and null parameters are an empty object to all layers above. */
static int
fill_parameters(struct json_object **parameters, struct error *e)
{
	if (!*parameters)
		*parameters = json_object_new_object();
	return *parameters ? 0 : out_of_memory(e);
}

static int
take_call_member(struct varlink_call *c, const char *key, struct json_object *value, struct error *e)
{
	if (strcmp(key, "method") == 0)
		return take_string(value, key, &c->method, e);
	if (strcmp(key, "parameters") == 0)
		return take_parameters(value, key, &c->parameters, e);
	if (strcmp(key, "oneway") == 0)
		return take_flag(value, key, &c->oneway, e);
	if (strcmp(key, "more") == 0)
		return take_flag(value, key, &c->more, e);
	if (strcmp(key, "upgrade") == 0)
		return take_flag(value, key, &c->upgrade, e);
	return pass_vendor(value, key, e);
}

int
varlink_parse_call(const char *text, size_t length, struct varlink_call *ret, struct error *e)
{
	struct varlink_call c CLEANUP(varlink_call_done) = { 0 };
	struct json_object *o CLEANUP(json_put) = NULL;
	int r = json_parse(text, length, &o, e);
	if (r < 0)
		return r;

	struct json_object_iter member;
	json_object_object_foreachC (o, member) {
		r = take_call_member(&c, member.key, member.val, e);
		if (r < 0)
			return r;
	}
	if (!c.method)
		return refuse(e, "method", "is missing");
	if (c.oneway + c.more + c.upgrade > 1)
		return error_set(e, ERROR_INVALID_VALUE, NULL,
				 "no valid message: oneway, more and upgrade exclude each "
				 "other");
	r = fill_parameters(&c.parameters, e);
	if (r < 0)
		return r;

	*ret = c;
	c = (struct varlink_call){ 0 };
	return 0;
}

void
varlink_call_done(struct varlink_call *c)
{
	free(c->method);
	json_object_put(c->parameters);
	*c = (struct varlink_call){ 0 };
}

static int
take_reply_member(struct varlink_reply *reply, const char *key, struct json_object *value, struct error *e)
{
	if (strcmp(key, "parameters") == 0)
		return take_parameters(value, key, &reply->parameters, e);
	if (strcmp(key, "error") == 0)
		return take_string(value, key, &reply->error, e);
	if (strcmp(key, "continues") == 0)
		return take_flag(value, key, &reply->continues, e);
	return pass_vendor(value, key, e);
}

int
varlink_parse_reply(const char *text, size_t length, struct varlink_reply *ret, struct error *e)
{
	struct varlink_reply reply CLEANUP(varlink_reply_done) = { 0 };
	struct json_object *o CLEANUP(json_put) = NULL;
	int r = json_parse(text, length, &o, e);
	if (r < 0)
		return r;

	struct json_object_iter member;
	json_object_object_foreachC (o, member) {
		r = take_reply_member(&reply, member.key, member.val, e);
		if (r < 0)
			return r;
	}
	if (reply.error && reply.continues)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "no valid message: an error never continues");
	r = fill_parameters(&reply.parameters, e);
	if (r < 0)
		return r;

	*ret = reply;
	reply = (struct varlink_reply){ 0 };
	return 0;
}

void
varlink_reply_done(struct varlink_reply *r)
{
	free(r->error);
	json_object_put(r->parameters);
	*r = (struct varlink_reply){ 0 };
}

static int
add_flag(struct json_object *o, const char *key, bool value)
{
	return value ? json_add(o, key, json_object_new_boolean(true)) : 0;
}

static int
add_parameters(struct json_object *o, struct json_object *parameters)
{
	if (!parameters || json_object_object_length(parameters) == 0)
		return 0;
	return json_add(o, "parameters", json_object_get(parameters));
}

/* Ends a message that was put together in `o`; r: the outcome of putting it together. */
static int
finish(int r, struct json_object *o, char **ret, size_t *length, struct error *e)
{
	size_t n;
	const char *text = r == 0 ? json_text(o, &n) : NULL;
	char *copy = text ? malloc(n + 1) : NULL;
	if (!copy)
		return out_of_memory(e);
	memcpy(copy, text, n + 1);
	*ret = copy;
	*length = n;
	return 0;
}

int
varlink_format_call(const char *method, struct json_object *parameters, bool more, bool oneway, char **ret,
		    size_t *length, struct error *e)
{
	struct json_object *o CLEANUP(json_put) = json_object_new_object();
	int r = -ENOMEM;
	if (o && json_add(o, "method", json_string(method)) == 0 && add_parameters(o, parameters) == 0 &&
	    add_flag(o, "more", more) == 0)
		r = add_flag(o, "oneway", oneway);
	return finish(r, o, ret, length, e);
}

int
varlink_format_reply(struct json_object *parameters, bool continues, char **ret, size_t *length, struct error *e)
{
	struct json_object *o CLEANUP(json_put) = json_object_new_object();
	int r = -ENOMEM;
	if (o && add_parameters(o, parameters) == 0)
		r = add_flag(o, "continues", continues);
	return finish(r, o, ret, length, e);
}

int
varlink_format_reply_text(const char *parameters, bool continues, char **ret, size_t *length, struct error *e)
{
	struct text text = { 0 };
	bool empty = !parameters || strcmp(parameters, "{}") == 0;

	text_puts(&text, empty ? "{" : "{\"parameters\":");
	text_puts(&text, empty ? "" : parameters);
	if (continues)
		text_puts(&text, empty ? "\"continues\":true" : ",\"continues\":true");
	text_put(&text, "}", 1);
	char *bytes = text_take(&text, length);
	if (!bytes)
		return error_errno(e, ENOMEM, "writing a reply");
	*ret = bytes;
	return 0;
}

/* The errno goes out where it says more than the error's name does. */
static bool
has_errno(const struct error *error)
{
	return error->number > 0 && (error->code == ERROR_KERNEL || error->number != error_desc(error->code)->number);
}

/* A failure that nobody described is a fault of nsd's own. */
static const struct error_desc *
desc_of(const struct error *error)
{
	return error_desc(error->code == ERROR_NONE ? ERROR_INTERNAL : error->code);
}

static int
add_error_parameters(struct json_object *o, const struct error *error)
{
	const char *parameter = desc_of(error)->parameter;
	if (parameter)
		return parameter[0] ? json_add(o, parameter, json_string(error->field)) : 0;

	int r = json_add(o, "message", json_string(error->text));
	if (r == 0 && error->field[0])
		r = json_add(o, "field", json_string(error->field));
	if (r == 0 && has_errno(error))
		r = json_add(o, "errno", json_object_new_int(error->number));
	return r;
}

int
varlink_format_error(const struct error *error, char **ret, size_t *length, struct error *e)
{
	struct json_object *o CLEANUP(json_put) = json_object_new_object();
	struct json_object *parameters CLEANUP(json_put) = json_object_new_object();
	int r = -ENOMEM;
	if (o && parameters && json_add(o, "error", json_string(desc_of(error)->name)) == 0 &&
	    add_error_parameters(parameters, error) == 0)
		r = add_parameters(o, parameters);
	return finish(r, o, ret, length, e);
}

static const char *
string_parameter(const struct varlink_reply *reply, const char *key)
{
	struct json_object *value;
	if (!json_object_object_get_ex(reply->parameters, key, &value) || !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

void
varlink_error_of_reply(const struct varlink_reply *reply, struct error *ret)
{
	enum error_code code = error_code_of(reply->error);
	const struct error_desc *desc = error_desc(code == ERROR_NONE ? ERROR_INTERNAL : code);
	const char *key = desc->parameter ? desc->parameter : "field";
	const char *field = key[0] ? string_parameter(reply, key) : "";
	const char *text = string_parameter(reply, "message");
	struct json_object *number;

	if (code == ERROR_NONE)
		error_set(ret, ERROR_INTERNAL, field, "%s%s%s", reply->error, text[0] ? ": " : "", text);
	else
		error_set(ret, code, field, "%s", text[0] ? text : desc->doc);
	if (json_object_object_get_ex(reply->parameters, "errno", &number) &&
	    json_object_is_type(number, json_type_int) && json_object_get_int(number) > 0)
		ret->number = json_object_get_int(number);
}

const char *
varlink_split_method(const char *method, size_t *interface_length)
{
	const char *dot = strrchr(method, '.');
	if (!dot || dot == method || dot[1] == '\0')
		return NULL;
	*interface_length = (size_t)(dot - method);
	return dot + 1;
}
