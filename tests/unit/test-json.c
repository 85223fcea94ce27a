/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strict JSON: a table of texts with the verdict that RFC 8259 (and this project's limits) ask for. */
#include "config.h"

#include "unit.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#include "json.h"

#define TEXT(s) (s), sizeof(s) - 1

struct row {
	const char *text;
	size_t length;
	bool good;
};

static const struct row rows[] = {
	{ TEXT("{}"), true },
	{ TEXT(" \t\r\n{ \t\r\n} \t\r\n"), true },
	{ TEXT("{\"a\":1}"), true },
	{ TEXT("{\"a\":null,\"b\":true,\"c\":false}"), true },
	{ TEXT("{\"\":\"\"}"), true },
	{ TEXT("{\"a\":[],\"b\":{}}"), true },
	{ TEXT("{\"a\":{\"a\":{\"a\":1}}}"), true },
	{ TEXT("{\"a\":[{\"a\":1},{\"a\":1}]}"), true },
	/* no object, or not exactly one */
	{ TEXT(""), false },
	{ TEXT(" "), false },
	{ TEXT("[]"), false },
	{ TEXT("[{}]"), false },
	{ TEXT("1"), false },
	{ TEXT("\"a\""), false },
	{ TEXT("null"), false },
	{ TEXT("true"), false },
	{ TEXT("{}{}"), false },
	{ TEXT("{} {}"), false },
	{ TEXT("{}x"), false },
	{ TEXT("{}\0"), false },
	{ TEXT("\0{}"), false },
	{ TEXT("{}]"), false },
	{ TEXT("{}}"), false },
	{ TEXT("\xef\xbb\xbf{}"), false }, /* byte order mark */
	/* structure */
	{ TEXT("{"), false },
	{ TEXT("}"), false },
	{ TEXT("{]"), false },
	{ TEXT("{\"a\":[}"), false },
	{ TEXT("{\"a\"}"), false },
	{ TEXT("{\"a\":}"), false },
	{ TEXT("{\"a\":1,}"), false },
	{ TEXT("{,\"a\":1}"), false },
	{ TEXT("{\"a\":1,,\"b\":1}"), false },
	{ TEXT("{\"a\":1 \"b\":1}"), false },
	{ TEXT("{\"a\":1:2}"), false },
	{ TEXT("{\"a\"::1}"), false },
	{ TEXT("{\"a\",1}"), false },
	{ TEXT("{\"a\":[1,]}"), false },
	{ TEXT("{\"a\":[,1]}"), false },
	{ TEXT("{\"a\":[1 2]}"), false },
	{ TEXT("{\"a\":[\"b\":1]}"), false },
	{ TEXT("{a:1}"), false },
	{ TEXT("{1:1}"), false },
	{ TEXT("{null:1}"), false },
	/* keys twice, however they are written */
	{ TEXT("{\"a\":1,\"a\":1}"), false },
	{ TEXT("{\"a\":1,\"\\u0061\":1}"), false },
	{ TEXT("{\"a\":1,\"b\":2,\"a\":null}"), false },
	{ TEXT("{\"x\":[{\"a\":1,\"a\":2}]}"), false },
	{ TEXT("{\"\":1,\"\":2}"), false },
	/* comments and other dialects */
	{ TEXT("{/**/}"), false },
	{ TEXT("{}//x"), false },
	{ TEXT("{'a':1}"), false },
	{ TEXT("{\"a\":'b'}"), false },
	{ TEXT("{\"a\":TRUE}"), false },
	{ TEXT("{\"a\":True}"), false },
	{ TEXT("{\"a\":nul}"), false },
	{ TEXT("{\"a\":nulll}"), false },
	{ TEXT("{\"a\":truefalse}"), false },
	{ TEXT("{\"a\":undefined}"), false },
	{ TEXT("{\"a\":NaN}"), false },
	{ TEXT("{\"a\":nan}"), false },
	{ TEXT("{\"a\":Infinity}"), false },
	{ TEXT("{\"a\":-Infinity}"), false },
	{ TEXT("{\v}"), false },
	{ TEXT("{\f}"), false },
	{ TEXT("{\xc2\xa0}"), false },
	/* numbers */
	{ TEXT("{\"a\":0}"), true },
	{ TEXT("{\"a\":-0}"), true },
	{ TEXT("{\"a\":-1}"), true },
	{ TEXT("{\"a\":9223372036854775807}"), true },
	{ TEXT("{\"a\":-9223372036854775808}"), true },
	{ TEXT("{\"a\":0.5}"), true },
	{ TEXT("{\"a\":-0.0e-0}"), true },
	{ TEXT("{\"a\":1e5}"), true },
	{ TEXT("{\"a\":1E+5}"), true },
	{ TEXT("{\"a\":1.7976931348623157e308}"), true },
	{ TEXT("{\"a\":1e-999}"), true },
	{ TEXT("{\"a\":9223372036854775808}"), false },
	{ TEXT("{\"a\":-9223372036854775809}"), false },
	{ TEXT("{\"a\":18446744073709551615}"), false },
	{ TEXT("{\"a\":99999999999999999999999999999999}"), false },
	{ TEXT("{\"a\":1e999}"), false },
	{ TEXT("{\"a\":-1e999}"), false },
	{ TEXT("{\"a\":[1,[1e400]]}"), false },
	{ TEXT("{\"a\":01}"), false },
	{ TEXT("{\"a\":00}"), false },
	{ TEXT("{\"a\":-01}"), false },
	{ TEXT("{\"a\":+1}"), false },
	{ TEXT("{\"a\":--1}"), false },
	{ TEXT("{\"a\":-}"), false },
	{ TEXT("{\"a\":1.}"), false },
	{ TEXT("{\"a\":.5}"), false },
	{ TEXT("{\"a\":-.5}"), false },
	{ TEXT("{\"a\":1e}"), false },
	{ TEXT("{\"a\":1e+}"), false },
	{ TEXT("{\"a\":1.e5}"), false },
	{ TEXT("{\"a\":0x10}"), false },
	{ TEXT("{\"a\":1-2}"), false },
	{ TEXT("{\"a\":1e5e5}"), false },
	{ TEXT("{\"a\":1.2.3}"), false },
	{ TEXT("{\"a\":1_000}"), false },
	{ TEXT("{\"a\":1\0}"), false },
	{ TEXT("{\"a\":-"), false },
	{ TEXT("{\"a\":1e"), false },
	{ TEXT("{\"a\":1"), false },
	/* strings */
	{ TEXT("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"}"), true },
	{ TEXT("{\"a\":\"\\uD83D\\uDE00 \\ud83d\\ude00\"}"), true },
	{ TEXT("{\"a\":\"\xc3\xa9 \xf0\x9f\x98\x80 \xef\xbf\xbf \x7f\"}"), true },
	{ TEXT("{\"a\":\"'//{}[]:,\"}"), true },
	{ TEXT("{\"a\":\"\\uffff\\u0001\"}"), true },
	{ TEXT("{\"a\":\"\\u0000\"}"), false },
	{ TEXT("{\"a\\u0000b\":1}"), false },
	{ TEXT("{\"a\":\"x\0y\"}"), false },
	{ TEXT("{\"a\":\"\n\"}"), false },
	{ TEXT("{\"a\":\"\x1f\"}"), false },
	{ TEXT("{\"a\tb\":1}"), false },
	{ TEXT("{\"a\":\"\\x41\"}"), false },
	{ TEXT("{\"a\":\"\\'\"}"), false },
	{ TEXT("{\"a\":\"\\\0\"}"), false },
	{ TEXT("{\"a\":\"\\U0041\"}"), false },
	{ TEXT("{\"a\":\"\\u004\"}"), false },
	{ TEXT("{\"a\":\"\\u004g\"}"), false },
	{ TEXT("{\"a\":\"\\u 041\"}"), false },
	{ TEXT("{\"a\":\"\\u+041\"}"), false },
	{ TEXT("{\"a\":\"\\"), false },
	{ TEXT("{\"a\":\"\\u"), false },
	{ TEXT("{\"a\":\"\\ud83d\\u"), false },
	{ TEXT("{\"a\":\"b}"), false },
	{ TEXT("{\"a\":\"b\"\"c\"}"), false },
	{ TEXT("{\"a\":\"\\ud83d\"}"), false },
	{ TEXT("{\"a\":\"\\ude00\"}"), false },
	{ TEXT("{\"a\":\"\\ude00\\ud83d\"}"), false },
	{ TEXT("{\"a\":\"\\ud83dx\"}"), false },
	{ TEXT("{\"a\":\"\\ud83d\\n\"}"), false },
	{ TEXT("{\"a\":\"\\ud83d\\u0041\"}"), false },
	{ TEXT("{\"a\":\"\\ud83d\\ud83d\\ude00\"}"), false },
	{ TEXT("{\"\\udc00\":1}"), false },
	{ TEXT("{\"a\":\"\xc0\xaf\"}"), false },
	{ TEXT("{\"a\":\"\xe0\x80\xaf\"}"), false },
	{ TEXT("{\"a\":\"\xed\xa0\x80\"}"), false },
	{ TEXT("{\"a\":\"\xed\xa0\xbd\xed\xb8\x80\"}"), false },
	{ TEXT("{\"a\":\"\xf4\x90\x80\x80\"}"), false },
	{ TEXT("{\"a\":\"\xff\"}"), false },
	{ TEXT("{\"a\":\"\x80\"}"), false },
	{ TEXT("{\"a\":\"\xe2\x82\"}"), false },
	{ TEXT("{\"\xc0\xaf\":1}"), false },
};

static bool
is_accepted(const char *text, size_t length)
{
	struct json_object *o CLEANUP(json_put) = NULL;
	struct error e = { 0 };
	int r = json_parse(text, length, &o, &e);
	if (r == 0) {
		assert_true(json_object_is_type(o, json_type_object));
		assert_int_equal(e.code, ERROR_NONE);
		return true;
	}
	assert_int_equal(r, -EINVAL);
	assert_int_equal(e.code, ERROR_INVALID_VALUE);
	assert_null(o);
	assert_memory_equal(e.text, "no valid JSON: ", 15);
	return false;
}

/* Each text lies at the end of a block of its own size, so that a sanitizer sees a read beyond it. */
static void
table(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text CLEANUP(free_ptr) = malloc(rows[i].length + 1);
		assert_non_null(text);
		memcpy(text, rows[i].text, rows[i].length + 1);
		if (is_accepted(text, rows[i].length) != rows[i].good)
			fail_msg("row %zu: %s", i, rows[i].text);
	}
}

static void
no_part_of_an_object_is_one(UNUSED void **state)
{
	static const char text[] = "{\"a\":[1,-2.5e3,{\"b\":\"x\\u00e9\\ud83d\\ude00\\n\"}],\"c\":null,\"d\":true}";
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		if (is_accepted(text, n))
			fail_msg("the first %zu bytes are accepted", n);
	assert_true(is_accepted(text, sizeof(text) - 1));
}

static void
every_byte_in_and_outside_of_strings(UNUSED void **state)
{
	for (int byte = 0; byte < 256; byte++) {
		char inside[] = "{\"a\":\"x?y\"}", outside[] = "{\"a\":1?}";
		inside[7] = outside[6] = (char)byte;
		/* a quote would end the string */
		if (byte != '"' && byte != '\\')
			assert_int_equal(is_accepted(inside, sizeof(inside) - 1), byte >= 0x20 && byte < 0x80);
		bool fits = byte && strchr(" \t\n\r0123456789", byte);
		assert_int_equal(is_accepted(outside, sizeof(outside) - 1), fits);
	}
}

static void
every_surrogate_alone(UNUSED void **state)
{
	for (unsigned code = 0xd7ff; code <= 0xe000; code++) {
		char text[32];
		int n = snprintf(text, sizeof(text), "{\"a\":\"\\u%04x\"}", code);
		assert_int_equal(is_accepted(text, (size_t)n), code < 0xd800 || code > 0xdfff);
	}
}

/* An object with arrays in it, `depth` levels in all. */
static bool
accepts_depth(unsigned depth)
{
	char text[128] = "{\"a\":";
	for (unsigned i = 1; i < depth; i++)
		strcat(text, "[");
	strcat(text, "1");
	for (unsigned i = 1; i < depth; i++)
		strcat(text, "]");
	strcat(text, "}");
	return is_accepted(text, strlen(text));
}

static void
depth_is_limited(UNUSED void **state)
{
	for (unsigned depth = 1; depth < 40; depth++)
		assert_int_equal(accepts_depth(depth), depth <= JSON_MAX_DEPTH);
	/* brackets in strings, and closed ones, count for nothing */
	assert_true(
		is_accepted(TEXT("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[\",\"b\":[[],[],[],[],[],[],[],[],[],[],[],[],[]]}")));
}

static void
errors_tell_the_place(UNUSED void **state)
{
	static const struct {
		const char *text, *error;
	} places[] = {
		{ "{\"a\":'b'}", "no valid JSON: unknown word at byte 5" },
		{ "{\"a\":\"\\ud800\"}", "no valid JSON: lone surrogate in a string at byte 6" },
		{ "{\"a\":\"\xff\"}", "no valid JSON: invalid UTF-8 at byte 6" },
		{ "{\"a\":12345678901234567890}", "no valid JSON: integer outside 64 bits at byte 5" },
		{ "{\"a\":1} {", "no valid JSON: unexpected character at byte 8" },
		{ "{\"a\":1", "no valid JSON: unfinished" },
		{ "{\"a\":1,\"a\":1}", "no valid JSON: a key stands twice in one object" },
		{ "[]", "no valid JSON: an object is wanted" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct json_object *o = NULL;
		struct error e = { 0 };
		assert_int_equal(json_parse(places[i].text, strlen(places[i].text), &o, &e), -EINVAL);
		assert_string_equal(e.text, places[i].error);
	}
}

static void
what_is_too_long_is_not_looked_at(UNUSED void **state)
{
	struct json_object *o = NULL;
	assert_int_equal(json_parse("{}", (size_t)INT32_MAX + 1, &o, NULL), -EINVAL);
}

static void
values_arrive(UNUSED void **state)
{
	static const char text[] =
		"{\"min\":-9223372036854775808,\"max\":9223372036854775807,\"half\":5e-1,\"zero\":-0,"
		"\"text\":\"\\u00e9\\ud83d\\ude00\\/\"}";
	struct json_object *o CLEANUP(json_put) = NULL;
	assert_int_equal(json_parse(text, sizeof(text) - 1, &o, NULL), 0);
	assert_true(json_object_get_int64(json_object_object_get(o, "min")) == INT64_MIN);
	assert_true(json_object_get_int64(json_object_object_get(o, "max")) == INT64_MAX);
	assert_true(json_object_get_double(json_object_object_get(o, "half")) == 0.5);
	assert_int_equal(json_object_get_int64(json_object_object_get(o, "zero")), 0);
	assert_string_equal(json_object_get_string(json_object_object_get(o, "text")), "\xc3\xa9\xf0\x9f\x98\x80/");
}

static void
text_is_compact(UNUSED void **state)
{
	static const char text[] = "{ \"a\" : [ 1 , \"/run/x\" ] , \"b\" : \"\\u00e9\\n\" }";
	struct json_object *o CLEANUP(json_put) = NULL;
	size_t length = 0;
	assert_int_equal(json_parse(text, sizeof(text) - 1, &o, NULL), 0);
	assert_string_equal(json_text(o, &length), "{\"a\":[1,\"/run/x\"],\"b\":\"\xc3\xa9\\n\"}");
	assert_int_equal(length, strlen("{\"a\":[1,\"/run/x\"],\"b\":\"\xc3\xa9\\n\"}"));
}

/* Names that others gave to kernel objects may be any bytes; what leaves nsd is JSON all the same. */
static void
strings_are_always_valid(UNUSED void **state)
{
	for (int byte = 1; byte < 256; byte++) {
		const char text[] = { 'e', (char)byte, (char)byte, 't', '\0' };
		struct json_object *o CLEANUP(json_put) = json_object_new_object();
		assert_int_equal(json_add(o, "name", json_string(text)), 0);
		size_t length = 0;
		const char *line = json_text(o, &length);
		assert_true(is_accepted(line, length));
	}
}

static void
add_takes_the_value_in_any_case(UNUSED void **state)
{
	struct json_object *o CLEANUP(json_put) = json_object_new_object();
	assert_int_equal(json_add(o, "a", NULL), -ENOMEM);
	assert_int_equal(json_object_object_length(o), 0);
	assert_int_equal(json_add(o, "a", json_object_new_int(1)), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(no_part_of_an_object_is_one),
		cmocka_unit_test(every_byte_in_and_outside_of_strings),
		cmocka_unit_test(every_surrogate_alone),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(errors_tell_the_place),
		cmocka_unit_test(what_is_too_long_is_not_looked_at),
		cmocka_unit_test(values_arrive),
		cmocka_unit_test(text_is_compact),
		cmocka_unit_test(strings_are_always_valid),
		cmocka_unit_test(add_takes_the_value_in_any_case),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
