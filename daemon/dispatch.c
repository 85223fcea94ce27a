/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * dispatch_message() makes a request, decodes its parameters by the method's table and calls the handler. The handler
 * answers at once, or keeps the request and answers later. A request ends once: by its final answer, or by the peer going
 * away while it is a stream or has an end callback. After a hangup without either, it lives on until the handler
 * answers (a worker may hold it), and the answer goes nowhere.
 *
 * `busy` counts the calls of ours that are on the stack with this request; it is freed when it has ended and none is.
 */
#include "config.h"

#include "dispatch.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "varlink.h"

struct request {
	const struct reply_sink *sink;
	void *connection; /* NULL once the peer is gone */
	struct peer peer;
	const struct method *method;
	void *in;
	bool raw; /* `in` is a json_object */
	bool more, oneway, ended;
	unsigned busy;
	const int *fds;
	unsigned n_fds;

	int (*fill)(struct request *r, void *arg);
	void (*drop)(void *arg);
	void *stream;
	void (*on_end)(struct request *r, void *arg);
	void *on_end_arg;
};

const struct peer *
request_peer(const struct request *r)
{
	return &r->peer;
}

bool
request_more(const struct request *r)
{
	return r->more;
}

bool
request_gone(const struct request *r)
{
	return !r->connection || r->sink->gone(r->connection);
}

int
request_fd(const struct request *r, int64_t index)
{
	return index >= 0 && index < r->n_fds ? r->fds[index] : -1;
}

int
request_pidfd(const struct request *r)
{
	return r->connection ? r->sink->pidfd(r->connection) : -ESRCH;
}

int
request_bond(struct request *r, struct bond *b)
{
	if (request_gone(r))
		return -ENOTCONN;
	bond_release(b);
	LIST_INSERT_HEAD(r->sink->bonds(r->connection), b, link);
	return 0;
}

void
bond_release(struct bond *b)
{
	if (!b->link.le_prev)
		return;
	LIST_REMOVE(b, link);
	b->link.le_prev = NULL;
}

void
bonds_break(struct bonds *bonds)
{
	struct bond *b;

	while ((b = LIST_FIRST(bonds))) {
		bond_release(b);
		b->broken(b);
	}
}

void
request_on_end(struct request *r, void (*ended)(struct request *r, void *arg), void *arg)
{
	r->on_end = ended;
	r->on_end_arg = arg;
}

static void
request_free(struct request *r)
{
	if (r->raw)
		json_object_put(r->in);
	else if (r->in)
		fields_done(r->method->in, r->in);
	if (!r->raw)
		free(r->in);
	free(r);
}

static void
release(struct request *r)
{
	if (--r->busy == 0 && r->ended)
		request_free(r);
}

/* The one place where a request ends. */
static void
finish(struct request *r)
{
	r->ended = true;
	if (r->drop)
		r->drop(r->stream);
	if (r->on_end)
		r->on_end(r, r->on_end_arg);
	if (r->connection)
		r->sink->finished(r->connection);
	r->connection = NULL;
}

static void
send_text(struct request *r, const char *text, size_t length, int fd)
{
	if (r->connection && !r->oneway)
		r->sink->send(r->connection, text, length, fd);
	else if (fd >= 0)
		close(fd);
}

/* Sends a reply that is text already. */
static void
answer(struct request *r, const char *text, size_t length, bool continues, int fd)
{
	r->busy++;
	if (text)
		send_text(r, text, length, fd);
	else if (fd >= 0)
		close(fd);
	if (!continues)
		finish(r);
	release(r);
}

static void
answer_json(struct request *r, struct json_object *parameters, bool continues)
{
	CLEANUP(free_ptr) char *text = NULL;
	size_t length = 0;

	varlink_format_reply(parameters, continues, &text, &length, NULL);
	answer(r, text, length, continues, -1);
}

void
request_error(struct request *r, const struct error *error)
{
	CLEANUP(free_ptr) char *text = NULL;
	size_t length;

	r->busy++;
	if (varlink_format_error(error, &text, &length, NULL) == 0)
		send_text(r, text, length, -1);
	finish(r);
	release(r);
}

static void
answer_fields(struct request *r, const struct type *t, const void *value, bool continues, int fd)
{
	CLEANUP(free_ptr) char *parameters = NULL, *text = NULL;
	struct error e = { 0 };
	size_t length = 0;
	int err = 0;

	if (r->connection && !r->oneway) {
		if (t)
			err = fields_to_text(t, value, VIEW_OUTPUT, &parameters, &e);
		if (err == 0)
			err = varlink_format_reply_text(parameters, continues, &text, &length, &e);
	}
	if (err == 0) {
		answer(r, text, length, continues, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	request_error(r, &e);
}

void
request_reply(struct request *r, const struct type *t, const void *value)
{
	answer_fields(r, t, value, false, -1);
}

void
request_reply_fd(struct request *r, const struct type *t, const void *value, int fd)
{
	answer_fields(r, t, value, false, fd);
}

void
request_continue(struct request *r, const struct type *t, const void *value)
{
	answer_fields(r, t, value, true, -1);
}

void
request_reply_json(struct request *r, struct json_object *parameters)
{
	answer_json(r, parameters, false);
}

void
request_continue_json(struct request *r, struct json_object *parameters)
{
	answer_json(r, parameters, true);
}

void
request_stream(struct request *r, int (*fill)(struct request *r, void *arg), void (*drop)(void *arg), void *arg)
{
	r->fill = fill;
	r->drop = drop;
	r->stream = arg;
}

void
request_pump(struct request *r)
{
	r->busy++;
	while (!r->ended && r->fill && (!r->connection || r->sink->room(r->connection)) && r->fill(r, r->stream) > 0)
		;
	release(r);
}

void
request_stream_wake(struct request *r)
{
	request_pump(r);
}

void
request_hangup(struct request *r)
{
	r->busy++;
	r->connection = NULL;
	if (!r->ended && (r->fill || r->on_end))
		finish(r);
	release(r);
}

/* ---- org.varlink.service ---- */

struct info {
	const char *vendor, *product, *version, *url;
	struct strings interfaces;
};

struct description {
	char *text; /* the interface on the way in */
};

/* clang-format off */
#define F(struct_, member, wire, type_, doc_) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), .doc = (doc_) }

static const struct type info_type = {
	.size = sizeof(struct info),
	.fields = (const struct field[]){
		F(info, vendor, "vendor", FIELD_STRING, "Who makes the service"),
		F(info, product, "product", FIELD_STRING, "Its name"),
		F(info, version, "version", FIELD_STRING, "Its version"),
		F(info, url, "url", FIELD_STRING, "Where to read about it"),
		F(info, interfaces, "interfaces", FIELD_STRINGS, "The interfaces it serves"),
		{ 0 },
	},
};

static const struct type interface_type = {
	.size = sizeof(struct description),
	.fields = (const struct field[]){
		F(description, text, "interface", FIELD_STRING, "Name of an interface"),
		{ 0 },
	},
};

static const struct type description_type = {
	.size = sizeof(struct description),
	.fields = (const struct field[]){
		F(description, text, "description", FIELD_STRING, "Its description"),
		{ 0 },
	},
};
/* clang-format on */

static int get_info(void *context, struct request *r, void *in, struct error *e);
static int get_description(void *context, struct request *r, void *in, struct error *e);

static const struct method service_methods[] = {
	{ .name = "GetInfo", .doc = "Who this is", .out = &info_type, .handler = get_info },
	{ .name = "GetInterfaceDescription",
	  .doc = "The description of one interface",
	  .in = &interface_type,
	  .out = &description_type,
	  .handler = get_description },
	{ 0 },
};

static const struct interface varlink_service = {
	.name = "org.varlink.service",
	.doc = "What every Varlink service answers about itself (UAPI.20)",
	.tables = (const struct method *const[]){ service_methods, NULL },
	.errors =
		(const enum error_code[]){
			ERROR_INTERFACE_NOT_FOUND,
			ERROR_METHOD_NOT_FOUND,
			ERROR_METHOD_NOT_IMPLEMENTED,
			ERROR_INVALID_PARAMETER,
			ERROR_PERMISSION_DENIED,
			ERROR_EXPECTED_MORE,
			ERROR_NONE,
		},
};

/* The binding of an interface by name (not NUL-terminated), org.varlink.service included. */
static bool
find_binding(const struct dispatcher *d, const char *name, size_t length, struct binding *ret)
{
	const struct binding own = { &varlink_service, (void *)(uintptr_t)d };

	for (const struct binding *b = &own; b->interface; b = b == &own ? d->bindings : b + 1)
		if (strlen(b->interface->name) == length && strncmp(b->interface->name, name, length) == 0) {
			*ret = *b;
			return true;
		}
	return false;
}

static int
get_info(void *context, struct request *r, void *in UNUSED, struct error *e)
{
	const struct dispatcher *d = context;
	struct info info = { d->vendor, d->product, d->version, d->url, { .set = true } };

	int err = strings_add(&info.interfaces, varlink_service.name);
	for (const struct binding *b = d->bindings; err == 0 && b->interface; b++)
		err = strings_add(&info.interfaces, b->interface->name);
	if (err == 0)
		request_reply(r, &info_type, &info);
	else
		error_errno(e, ENOMEM, "listing interfaces");
	strings_done(&info.interfaces);
	return err;
}

static int
get_description(void *context, struct request *r, void *in, struct error *e)
{
	const struct description *asked = in;
	struct description reply = { 0 };
	struct binding b;

	if (!find_binding(context, asked->text, strlen(asked->text), &b))
		return error_set(e, ERROR_INTERFACE_NOT_FOUND, asked->text,
				 "no interface \"%s\" here; GetInfo lists them", asked->text);
	int err = interface_describe(b.interface, &reply.text, e);
	if (err == 0)
		request_reply(r, &description_type, &reply);
	free(reply.text);
	return err;
}

/* ---- calls ---- */

static const struct method *
find_method(const struct interface *i, const char *name)
{
	for (const struct method *const *table = i->tables; *table; table++)
		for (const struct method *m = *table; m->name; m++)
			if (strcmp(m->name, name) == 0)
				return m;
	return NULL;
}

static int
find_target(const struct dispatcher *d, const char *name, struct binding *binding, const struct method **method,
	    struct error *e)
{
	size_t length;
	const char *member = varlink_split_method(name, &length);

	if (!member)
		return error_set(e, ERROR_METHOD_NOT_FOUND, name, "\"%.64s\" is not INTERFACE.METHOD", name);
	if (!find_binding(d, name, length, binding)) {
		char interface[sizeof(e->field)];
		snprintf(interface, sizeof(interface), "%.*s", (int)length, name);
		return error_set(e, ERROR_INTERFACE_NOT_FOUND, interface,
				 "no interface \"%.64s\" here; GetInfo lists them", interface);
	}
	*method = find_method(binding->interface, member);
	if (!*method)
		return error_set(e, ERROR_METHOD_NOT_FOUND, name, "%s has no method \"%.64s\"",
				 binding->interface->name, member);
	return 0;
}

static int
check_call(const struct method *m, const struct request *r, const struct varlink_call *c, struct error *e)
{
	if (m->permission == PERMISSION_ROOT && r->peer.uid != 0 && r->peer.uid != geteuid())
		return error_set(e, ERROR_PERMISSION_DENIED, NULL, "%s is for root only", m->name);
	if (c->upgrade)
		return error_set(e, ERROR_METHOD_NOT_IMPLEMENTED, c->method, "%s takes no upgrade", m->name);
	if ((m->flags & METHOD_REQUIRES_MORE) && !c->more)
		return error_set(e, ERROR_EXPECTED_MORE, NULL, "%s gives several replies: call it with more", m->name);
	if (r->n_fds && !(m->flags & METHOD_TAKES_FDS))
		return error_set(e, ERROR_INVALID_PARAMETER, "fileDescriptors", "%s takes no file descriptors",
				 m->name);
	return 0;
}

static const struct field no_fields[] = { { 0 } };
static const struct type nothing = { .fields = no_fields };

static int
decode(struct request *r, struct json_object *parameters, struct error *e)
{
	if (r->method->flags & METHOD_RAW) {
		r->in = json_object_get(parameters);
		r->raw = true;
		return 0;
	}
	char none; /* a struct without members still has a place */
	if (!r->method->in)
		return fields_parse(&nothing, parameters, VIEW_INPUT, &none, e);

	void *in = calloc(1, r->method->in->size);
	if (!in)
		return error_errno(e, ENOMEM, "reading the parameters of %s", r->method->name);
	int err = fields_parse(r->method->in, parameters, VIEW_INPUT, in, e);
	if (err < 0)
		free(in);
	else
		r->in = in;
	return err;
}

/* Replies carry errors of their own interface or of org.varlink.service only (UAPI.20). */
static bool
declares(const struct interface *i, enum error_code code)
{
	for (const enum error_code *c = i->errors; c && *c != ERROR_NONE; c++)
		if (*c == code)
			return true;
	return false;
}

static void
run(const struct dispatcher *d, struct request *r, const struct varlink_call *c)
{
	struct error e = { 0 };
	struct binding b = { 0 };

	int err = find_target(d, c->method, &b, &r->method, &e);
	if (err == 0)
		err = check_call(r->method, r, c, &e);
	if (err == 0)
		err = decode(r, c->parameters, &e);
	if (err == 0)
		err = r->method->handler(b.context, r, r->in, &e);
	if (err < 0 && !r->ended) {
		if (e.code == ERROR_NONE)
			error_errno(&e, -err, "%s", c->method);
		if (e.code == ERROR_INVALID_VALUE && !declares(b.interface, e.code))
			e.code = ERROR_INVALID_PARAMETER;
		request_error(r, &e);
	}
}

int
dispatch_message(const struct dispatcher *d, const struct peer *peer, const char *text, size_t length, const int *fds,
		 unsigned n_fds, const struct reply_sink *sink, void *connection, struct request **ret, struct error *e)
{
	struct varlink_call c;
	int err = varlink_parse_call(text, length, &c, e);
	if (err < 0)
		return err;

	struct request *r = calloc(1, sizeof(*r));
	if (!r) {
		varlink_call_done(&c);
		return error_errno(e, ENOMEM, "taking a call");
	}
	*r = (struct request){ .sink = sink,
			       .connection = connection,
			       .peer = *peer,
			       .more = c.more,
			       .oneway = c.oneway,
			       .fds = fds,
			       .n_fds = n_fds,
			       .busy = 1 };
	run(d, r, &c);
	varlink_call_done(&c);
	if (!r->ended)
		request_pump(r);
	*ret = r->ended ? NULL : r;
	release(r);
	return 0;
}
