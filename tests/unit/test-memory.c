/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Running out of memory: each operation is repeated with its first, second, ... allocation failing until it succeeds.
 * Whatever fails must say so, write no output and leak nothing (the sanitizer build tells).
 *
 * The linker redirects the allocating functions that libcommon calls to the __wrap_ functions here (--wrap in
 * Makefile.am).
 */
#include "config.h"

#include "unit.h"

#include <errno.h>
#include <json-c/json.h>

#include "frame.h"
#include "json.h"
#include "model.h"
#include "varlink.h"

static long left = -1; /* allocations that still succeed; -1: all */

static bool
fails(void)
{
	if (left < 0)
		return false;
	return left-- == 0;
}

#define WRAP(type, failure, name, parameters, arguments)              \
	type __real_##name parameters;                                \
	type __wrap_##name parameters;                                \
	type __wrap_##name parameters                                 \
	{                                                             \
		return fails() ? (failure) : __real_##name arguments; \
	}

WRAP(void *, NULL, malloc, (size_t n), (n))
WRAP(void *, NULL, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, NULL, realloc, (void *p, size_t n), (p, n))
WRAP(char *, NULL, strdup, (const char *s), (s))
WRAP(struct json_tokener *, NULL, json_tokener_new_ex, (int depth), (depth))
WRAP(struct json_object *, NULL, json_object_new_object, (void), ())
WRAP(struct json_object *, NULL, json_object_new_array, (void), ())
WRAP(struct json_object *, NULL, json_object_new_array_ext, (int n), (n))
WRAP(struct json_object *, NULL, json_object_new_boolean, (json_bool b), (b))
WRAP(struct json_object *, NULL, json_object_new_int, (int32_t i), (i))
WRAP(struct json_object *, NULL, json_object_new_int64, (int64_t i), (i))
WRAP(struct json_object *, NULL, json_object_new_string, (const char *s), (s))
WRAP(struct json_object *, NULL, json_object_new_string_len, (const char *s, int n), (s, n))
WRAP(int, -1, json_object_array_add, (struct json_object * o, struct json_object *v), (o, v))
WRAP(int, -1, json_object_object_add_ex, (struct json_object * o, const char *k, struct json_object *v, unsigned f),
     (o, k, v, f))
WRAP(const char *, NULL, json_object_to_json_string_length, (struct json_object * o, int f, size_t *n), (o, f, n))
WRAP(int, -1, json_object_deep_copy, (struct json_object * s, struct json_object **d, json_c_shallow_copy_fn *f),
     (s, d, f))

/* Runs `op` with ever more memory until it succeeds; the number of failures on the way. */
static long
exhaust(int (*op)(struct error *e))
{
	for (long n = 0; n < 10000; n++) {
		struct error e = { 0 };
		left = n;
		int r = op(&e);
		left = -1;
		if (r == 0)
			return n;
		assert_int_equal(r, -ENOMEM);
		if (e.code != ERROR_NONE) {
			assert_int_equal(e.code, ERROR_LIMIT_EXCEEDED);
			assert_int_equal(e.number, ENOMEM);
		}
	}
	fail_msg("never succeeds");
	return -1;
}

static const char link_text[] =
	"{\"name\":\"web\",\"kind\":\"veth\",\"ends\":[{\"namespace\":\"blue\",\"addresses\":[\"10.0.0.1/"
	"24\",\"10.0.0.2/24\"],"
	"\"routes\":[{\"destination\":\"default\",\"gateway\":\"10.0.0.2\"}],\"counters\":{\"receivedBytes\":1,"
	"\"receivedPackets\":2,\"receivedErrors\":3,\"receivedDropped\":4,\"sentBytes\":5,\"sentPackets\":6,"
	"\"sentErrors\":7,"
	"\"sentDropped\":8}},{\"mtu\":1400,\"up\":true}],\"labels\":{\"a\":\"2\",\"b\":\"1\"},\"message\":\"x\"}";

static int
parse_link(struct error *e)
{
	struct link l;
	int r = fields_from_text(&link_type, link_text, VIEW_RECORD, &l, e);
	if (r < 0)
		assert_null(l.name);
	link_done(&l);
	return r;
}

static struct link example;

static int
copy_link(struct error *e)
{
	struct link l;
	int r = fields_copy(&link_type, &example, &l, e);
	if (r < 0)
		assert_null(l.name);
	link_done(&l);
	return r;
}

static int
print_link(struct error *e)
{
	char *text CLEANUP(free_ptr) = NULL;
	int r = fields_to_text(&link_type, &example, VIEW_RECORD, &text, e);
	if (r < 0)
		assert_null(text);
	else
		assert_string_equal(text, link_text);
	return r;
}

static void
links(UNUSED void **state)
{
	struct error e = { 0 };
	assert_true(exhaust(parse_link) > 10);
	assert_int_equal(fields_from_text(&link_type, link_text, VIEW_RECORD, &example, &e), 0);
	assert_true(exhaust(copy_link) > 10);
	assert_true(exhaust(print_link) > 0); /* one text */
	link_done(&example);
}

struct odd {
	struct json_object *object;
	unsigned kinds;
	char *foreign;
};

static const struct type odd_type = {
	.name = "Odd",
	.size = sizeof(struct odd),
	.fields =
		(const struct field[]){
			{ "object", NULL, FIELD_OBJECT, FIELD_NULLABLE, offsetof(struct odd, object), NULL, 0, 0, NULL,
			  NULL },
			{ "kinds", NULL, FIELD_FLAGS, FIELD_NULLABLE, offsetof(struct odd, kinds), &namespace_kind_type,
			  0, 0, NULL, NULL },
			{ "foreign", NULL, FIELD_STRING, FIELD_NULLABLE, offsetof(struct odd, foreign), NULL, 0, 0,
			  NULL, NULL },
			{ 0 },
		},
};

static int
copy_and_print_odd(struct error *e)
{
	char bad[] = "\xff\xfe";
	struct odd o = { .object = NULL, .kinds = 3, .foreign = bad }, copy;
	char *text CLEANUP(free_ptr) = NULL;
	struct json_object *object CLEANUP(json_put) = json_object_new_object();
	if (!object)
		return -ENOMEM;
	o.object = object;
	int r = fields_copy(&odd_type, &o, &copy, e);
	if (r == 0)
		r = fields_to_text(&odd_type, &copy, VIEW_OUTPUT, &text, e);
	fields_done(&odd_type, &copy);
	return r;
}

static void
odd_fields(UNUSED void **state)
{
	assert_true(exhaust(copy_and_print_odd) > 5);
}

static int
parse_call(struct error *e)
{
	static const char text[] = "{\"method\":\"a.b.C\",\"more\":true}";
	struct varlink_call c CLEANUP(varlink_call_done) = { 0 };
	return varlink_parse_call(text, sizeof(text) - 1, &c, e);
}

static int
parse_reply(struct error *e)
{
	static const char text[] = "{\"error\":\"a.b.C\"}";
	struct varlink_reply r CLEANUP(varlink_reply_done) = { 0 };
	return varlink_parse_reply(text, sizeof(text) - 1, &r, e);
}

static int
format_call(struct error *e)
{
	char *text CLEANUP(free_ptr) = NULL;
	size_t n;
	return varlink_format_call("a.b.C", NULL, true, true, &text, &n, e);
}

static int
format_reply(struct error *e)
{
	char *text CLEANUP(free_ptr) = NULL;
	size_t n;
	return varlink_format_reply(NULL, true, &text, &n, e);
}

static int
format_error(struct error *e)
{
	char *text CLEANUP(free_ptr) = NULL;
	size_t n;
	struct error error = { 0 };
	error_errno(&error, EPERM, "x");
	error_prefix_field(&error, "field", -1);
	return varlink_format_error(&error, &text, &n, e);
}

static void
envelopes(UNUSED void **state)
{
	assert_true(exhaust(parse_call) > 1);
	assert_true(exhaust(parse_reply) > 1);
	assert_true(exhaust(format_call) > 3);
	assert_true(exhaust(format_reply) > 3);
	assert_true(exhaust(format_error) > 5);
}

static int
use_frame(UNUSED struct error *e)
{
	static const char bytes[5000];
	size_t room, length;
	struct frame *f = frame_new(sizeof(bytes));
	int r = -ENOMEM;
	for (size_t done = 0; f && done < sizeof(bytes); done += room) {
		char *space = frame_space(f, &room);
		if (!space)
			goto out;
		memcpy(space, bytes + done, room);
		frame_filled(f, room);
	}
	if (f && frame_next(f, &length))
		r = 0;
out:
	frame_free(f);
	return r;
}

static int
grow_containers(UNUSED struct error *e)
{
	struct strings s = { 0 };
	struct pairs p = { 0 };
	int r = 0;
	for (int i = 0; r == 0 && i < 5; i++) {
		const char text[] = { (char)('e' - i), '\0' };
		r = strings_add(&s, text);
		if (r == 0)
			r = pairs_set(&p, text, "first");
		if (r == 0)
			r = pairs_set(&p, text, "second");
	}
	strings_done(&s);
	pairs_done(&p);
	return r;
}

static void
frames_and_containers(UNUSED void **state)
{
	assert_int_equal(exhaust(use_frame), 3);
	assert_true(exhaust(grow_containers) > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),
		cmocka_unit_test(odd_fields),
		cmocka_unit_test(envelopes),
		cmocka_unit_test(frames_and_containers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
