/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Serves org.varlink.certification, the public conformance test of Varlink implementations, on nsd's own wire layer.
 *
 * Each step of the test hands the client values that it has to send back with the next step; so a step is a pair of
 * JSON texts: what the call must carry beside client_id, and what the reply carries. A client that calls the steps in
 * order with the right values gets all_ok from End.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "server.h"

#define MAX_CLIENTS 16

/* clang-format off */
static const char description[] =
	"interface org.varlink.certification\n"
	"\n"
	"type Interface (\n"
	"  foo: ?[]?[string](foo, bar, baz),\n"
	"  anon: (foo: bool, bar: bool)\n"
	")\n"
	"\n"
	"type MyType (\n"
	"  object: object,\n"
	"  enum: (one, two, three),\n"
	"  struct: (first: int, second: string),\n"
	"  array: []string,\n"
	"  dictionary: [string]string,\n"
	"  stringset: [string](),\n"
	"  nullable: ?string,\n"
	"  nullable_array_struct: ?[](first: int, second: string),\n"
	"  interface: Interface\n"
	")\n"
	"\n"
	"method Start() -> (client_id: string)\n"
	"\n"
	"method Test01(client_id: string) -> (bool: bool)\n"
	"\n"
	"method Test02(client_id: string, bool: bool) -> (int: int)\n"
	"\n"
	"method Test03(client_id: string, int: int) -> (float: float)\n"
	"\n"
	"method Test04(client_id: string, float: float) -> (string: string)\n"
	"\n"
	"method Test05(client_id: string, string: string) -> (\n"
	"  bool: bool,\n"
	"  int: int,\n"
	"  float: float,\n"
	"  string: string\n"
	")\n"
	"\n"
	"method Test06(\n"
	"  client_id: string,\n"
	"  bool: bool,\n"
	"  int: int,\n"
	"  float: float,\n"
	"  string: string\n"
	") -> (\n"
	"  struct: (\n"
	"    bool: bool,\n"
	"    int: int,\n"
	"    float: float,\n"
	"    string: string\n"
	"  )\n"
	")\n"
	"\n"
	"method Test07(\n"
	"  client_id: string,\n"
	"  struct: (\n"
	"    bool: bool,\n"
	"    int: int,\n"
	"    float: float,\n"
	"    string: string\n"
	"  )\n"
	") -> (map: [string]string)\n"
	"\n"
	"method Test08(client_id: string, map: [string]string) -> (set: [string]())\n"
	"\n"
	"method Test09(client_id: string, set: [string]()) -> (mytype: MyType)\n"
	"\n"
	"method Test10(client_id: string, mytype: MyType) -> (string: string)\n"
	"\n"
	"method Test11(\n"
	"  client_id: string,\n"
	"  last_more_replies: []string\n"
	") -> ()\n"
	"\n"
	"method End(client_id: string) -> (all_ok: bool)\n"
	"\n"
	"error ClientIdError ()\n"
	"\n"
	"error CertificationError (wants: object, got: object)\n";
/* clang-format on */

#define PI "3.141592653589793"
#define TEST_5 "\"bool\":false,\"int\":2,\"float\":" PI ",\"string\":\"a lot of string\""
#define TEST_7 "{\"bar\":\"Bar\",\"foo\":\"Foo\"}"
#define TEST_8 "{\"one\":{},\"two\":{},\"three\":{}}"
#define TEST_9                                                                                                    \
	"\"mytype\":{\"object\":{\"method\":\"org.varlink.certification.Test09\",\"parameters\":{\"map\":" TEST_7 \
	"}},\"enum\":\"two\",\"struct\":{\"first\":1,\"second\":\"2\"},\"array\":[\"one\",\"two\",\"three\"],"    \
	"\"dictionary\":" TEST_7 ",\"stringset\":" TEST_8 ",\"nullable\":null,\"nullable_array_struct\":null,"    \
	"\"interface\":{\"foo\":[null,{\"Foo\":\"foo\",\"Bar\":\"bar\"},null,{\"one\":\"foo\",\"two\":\"bar\"}]," \
	"\"anon\":{\"foo\":true,\"bar\":false}}}"
#define TEST_11                                                                                               \
	"\"last_more_replies\":[\"Reply number 1\",\"Reply number 2\",\"Reply number 3\",\"Reply number 4\"," \
	"\"Reply number 5\",\"Reply number 6\",\"Reply number 7\",\"Reply number 8\",\"Reply number 9\","     \
	"\"Reply number 10\"]"

/* What each step wants and gives; the index is the number in its name. Start and End are 0 and 12. */
static const struct step {
	const char *wants, *gives;
} steps[] = {
	{ "{}", "{}" },
	{ "{}", "{\"bool\":true}" },
	{ "{\"bool\":true}", "{\"int\":1}" },
	{ "{\"int\":1}", "{\"float\":1.0}" },
	{ "{\"float\":1.0}", "{\"string\":\"ping\"}" },
	{ "{\"string\":\"ping\"}", "{" TEST_5 "}" },
	{ "{" TEST_5 "}", "{\"struct\":{" TEST_5 "}}" },
	{ "{\"struct\":{" TEST_5 "}}", "{\"map\":" TEST_7 "}" },
	{ "{\"map\":" TEST_7 "}", "{\"set\":" TEST_8 "}" },
	{ "{\"set\":" TEST_8 "}", "{" TEST_9 "}" },
	{ "{" TEST_9 "}", "{}" },
	{ "{" TEST_11 "}", "{}" },
	{ "{}", "{\"all_ok\":true}" },
};

/* The steps that each client has done; a new one takes the place of the oldest. */
struct certification {
	unsigned started;
	unsigned done[MAX_CLIENTS];
};

/* ---- comparing ---- */

static bool same(struct json_object *a, struct json_object *b);

static bool
is_number(struct json_object *o)
{
	return json_object_is_type(o, json_type_int) || json_object_is_type(o, json_type_double);
}

/* Is every key of `a`, but client_id, in `b` with the same value? null and absent are the same. */
static bool
contains(struct json_object *a, struct json_object *b)
{
	struct json_object_iterator i = json_object_iter_begin(a), end = json_object_iter_end(a);

	for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
		const char *key = json_object_iter_peek_name(&i);
		if (strcmp(key, "client_id") != 0 &&
		    !same(json_object_iter_peek_value(&i), json_object_object_get(b, key)))
			return false;
	}
	return true;
}

static bool
same_items(struct json_object *a, struct json_object *b)
{
	size_t n = json_object_array_length(a);

	if (json_object_array_length(b) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!same(json_object_array_get_idx(a, i), json_object_array_get_idx(b, i)))
			return false;
	return true;
}

/* Equal values; 1 and 1.0 are the same number (a client may write a float so). */
static bool
same(struct json_object *a, struct json_object *b)
{
	if (is_number(a) && is_number(b))
		return json_object_get_double(a) - json_object_get_double(b) == 0;
	if (json_object_get_type(a) != json_object_get_type(b))
		return false;
	if (json_object_is_type(a, json_type_object))
		return contains(a, b) && contains(b, a);
	if (json_object_is_type(a, json_type_array))
		return same_items(a, b);
	return json_object_equal(a, b);
}

/* ---- the steps ---- */

/* The client's count of steps, or NULL for an id that Start did not give. */
static unsigned *
find_client(struct certification *c, struct json_object *in)
{
	const char *id = json_object_get_string(json_object_object_get(in, "client_id"));
	unsigned number;

	if (!id || sscanf(id, "client-%u", &number) != 1 || number >= c->started || number + MAX_CLIENTS < c->started)
		return NULL;
	return &c->done[number % MAX_CLIENTS];
}

static int
start(void *context, struct request *r, void *in UNUSED, struct error *e)
{
	struct certification *c = context;
	CLEANUP(json_put) struct json_object *reply = json_object_new_object();
	char id[32];

	snprintf(id, sizeof(id), "client-%u", c->started);
	if (!reply || json_object_object_add(reply, "client_id", json_object_new_string(id)) < 0)
		return error_errno(e, ENOMEM, "answering");
	c->done[c->started++ % MAX_CLIENTS] = 0;
	request_reply_json(r, reply);
	return 0;
}

/* Test10: ten replies, the last of which ends the call. */
static int
reply_ten_times(struct request *r, struct error *e)
{
	if (!request_more(r))
		return error_set(e, ERROR_EXPECTED_MORE, NULL, "Test10 gives several replies: call it with more");
	for (int i = 1; i <= 10; i++) {
		CLEANUP(json_put) struct json_object *reply = json_object_new_object();
		char text[32];

		snprintf(text, sizeof(text), "Reply number %d", i);
		if (!reply || json_object_object_add(reply, "string", json_object_new_string(text)) < 0)
			return error_errno(e, ENOMEM, "answering");
		if (i < 10)
			request_continue_json(r, reply);
		else
			request_reply_json(r, reply);
	}
	return 0;
}

static int
take_step(struct certification *c, unsigned number, struct request *r, struct json_object *in, struct error *e)
{
	CLEANUP(json_put) struct json_object *wants = json_tokener_parse(steps[number].wants);
	CLEANUP(json_put) struct json_object *gives = json_tokener_parse(steps[number].gives);
	unsigned *done = find_client(c, in);

	if (!done || *done != number - 1)
		return error_set(e, ERROR_INVALID_PARAMETER, "client_id", "no such client, or not its turn");
	if (!contains(wants, in) || !contains(in, wants))
		return error_set(e, ERROR_INVALID_PARAMETER, "parameters", "step %u wants %s", number,
				 steps[number].wants);
	*done = number;
	if (number == 10)
		return reply_ten_times(r, e);
	request_reply_json(r, gives);
	return 0;
}

#define STEP(n)                                                                          \
	static int step_##n(void *context, struct request *r, void *in, struct error *e) \
	{                                                                                \
		return take_step(context, n, r, in, e);                                  \
	}
STEP(1)
STEP(2)
STEP(3)
STEP(4)
STEP(5)
STEP(6)
STEP(7)
STEP(8)
STEP(9)
STEP(10)
STEP(11)
STEP(12)

#define METHOD(name_, handler_)                                             \
	{                                                                   \
		.name = (name_), .flags = METHOD_RAW, .handler = (handler_) \
	}

static const struct method methods[] = {
	METHOD("Start", start),	   METHOD("Test01", step_1),
	METHOD("Test02", step_2),  METHOD("Test03", step_3),
	METHOD("Test04", step_4),  METHOD("Test05", step_5),
	METHOD("Test06", step_6),  METHOD("Test07", step_7),
	METHOD("Test08", step_8),  METHOD("Test09", step_9),
	METHOD("Test10", step_10), METHOD("Test11", step_11),
	METHOD("End", step_12),	   { 0 },
};

static const struct interface certification_interface = {
	.name = "org.varlink.certification",
	.description = description,
	.tables = (const struct method *const[]){ methods, NULL },
};

/* ---- the program ---- */

static void
stop(evutil_socket_t number UNUSED, short what UNUSED, void *base)
{
	event_base_loopbreak(base);
}

static int
serve(const char *path, struct error *e)
{
	struct certification certification = { 0 };
	const struct binding bindings[] = { { &certification_interface, &certification }, { 0 } };
	const struct dispatcher dispatcher = { bindings, "nsd", "certification", PACKAGE_VERSION,
					       "https://varlink.org" };
	const struct server_limits limits = { .connections = 16, .connections_per_user = 16 };
	struct event_base *base = event_base_new();
	struct event *term = base ? evsignal_new(base, SIGTERM, stop, base) : NULL;
	struct server *server = NULL;
	int fd, err;

	if (!term || event_add(term, NULL) < 0)
		return error_errno(e, ENOMEM, "starting");
	err = server_listen(path, (gid_t)-1, &fd, e);
	if (err == 0)
		err = server_new(base, fd, &dispatcher, &limits, &server, e);
	if (err == 0) {
		event_base_dispatch(base);
		server_free(server);
	}
	event_free(term);
	event_base_free(base);
	return err;
}

int
main(int argc, char **argv)
{
	struct error e = { 0 };

	if (argc != 2) {
		fprintf(stderr, "usage: %s SOCKET\n", argv[0]);
		return 2;
	}
	if (serve(argv[1], &e) < 0) {
		fprintf(stderr, "%s: %s\n", argv[0], e.text);
		return 1;
	}
	return 0;
}
