/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The envelope: what a connection survives, what it does not, and messages there and back. */
#include "config.h"

#include "unit.h"

#include <errno.h>
#include <json-c/json.h>

#include "json.h"
#include "varlink.h"

static void
good_calls(UNUSED void **state)
{
	static const struct {
		const char *text, *method, *parameters;
		bool oneway, more, upgrade;
	} rows[] = {
		{ "{\"method\":\"a.b.C\"}", "a.b.C", "{}", false, false, false },
		{ "{\"method\":\"a.b.C\",\"parameters\":null}", "a.b.C", "{}", false, false, false },
		{ "{\"method\":\"a.b.C\",\"parameters\":{}}", "a.b.C", "{}", false, false, false },
		{ " { \"parameters\" : { \"x\" : [ 1 ] } , \"method\" : \"a.b.C\" } ", "a.b.C", "{\"x\":[1]}", false,
		  false, false },
		{ "{\"method\":\"M\",\"more\":true}", "M", "{}", false, true, false },
		{ "{\"method\":\"M\",\"oneway\":true}", "M", "{}", true, false, false },
		{ "{\"method\":\"M\",\"upgrade\":true}", "M", "{}", false, false, true },
		{ "{\"method\":\"M\",\"more\":false,\"oneway\":false,\"upgrade\":false}", "M", "{}", false, false,
		  false },
		{ "{\"method\":\"M\",\"more\":true,\"oneway\":false}", "M", "{}", false, true, false },
		{ "{\"method\":\"\"}", "", "{}", false, false, false },
		{ "{\"method\":\"M\",\"org.example\":{\"x\":1}}", "M", "{}", false, false, false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct varlink_call c CLEANUP(varlink_call_done) = { 0 };
		struct error e = { 0 };
		size_t length;
		if (varlink_parse_call(rows[i].text, strlen(rows[i].text), &c, &e) < 0)
			fail_msg("%s: %s", rows[i].text, e.text);
		assert_string_equal(c.method, rows[i].method);
		assert_string_equal(json_text(c.parameters, &length), rows[i].parameters);
		assert_int_equal(c.oneway, rows[i].oneway);
		assert_int_equal(c.more, rows[i].more);
		assert_int_equal(c.upgrade, rows[i].upgrade);
	}
}

static void
calls_that_close_the_connection(UNUSED void **state)
{
	static const char *const rows[] = {
		"",
		"{}",
		"[]",
		"nonsense",
		"{\"method\":null}",
		"{\"method\":1}",
		"{\"method\":[\"a.b.C\"]}",
		"{\"parameters\":{}}",
		"{\"method\":\"M\",\"parameters\":[]}",
		"{\"method\":\"M\",\"parameters\":\"x\"}",
		"{\"method\":\"M\",\"parameters\":1}",
		"{\"method\":\"M\",\"parameters\":false}",
		"{\"method\":\"M\",\"more\":1}",
		"{\"method\":\"M\",\"more\":null}",
		"{\"method\":\"M\",\"oneway\":\"true\"}",
		"{\"method\":\"M\",\"upgrade\":{}}",
		"{\"method\":\"M\",\"more\":true,\"oneway\":true}",
		"{\"method\":\"M\",\"more\":true,\"upgrade\":true}",
		"{\"method\":\"M\",\"oneway\":true,\"upgrade\":true}",
		"{\"method\":\"M\",\"extra\":1}",
		"{\"method\":\"M\",\"extra\":{}}",
		"{\"method\":\"M\",\"continues\":true}",
		"{\"method\":\"M\",\"error\":\"x\"}",
		"{\"method\":\"M\",\"org.example\":1}",
		"{\"method\":\"M\",\"org.example\":null}",
		"{\"method\":\"M\",\"org.example\":[]}",
		"{\"method\":\"M\",\"method\":\"M\"}",
		"{\"method\":\"M\"}{\"method\":\"M\"}",
		"{\"method\":\"M\\u0000\"}",
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct varlink_call c = { .method = NULL };
		struct error e = { 0 };
		if (varlink_parse_call(rows[i], strlen(rows[i]), &c, &e) != -EINVAL)
			fail_msg("accepted: %s", rows[i]);
		assert_int_equal(e.code, ERROR_INVALID_VALUE);
		assert_null(c.method);
		assert_null(c.parameters);
	}
}

static void
replies(UNUSED void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{\"x\":1}",
		"{\"error\":1}",
		"{\"error\":null}",
		"{\"parameters\":[]}",
		"{\"continues\":null}",
		"{\"error\":\"a.b.C\",\"continues\":true}",
		"{\"method\":\"M\"}",
		"{\"a.b\":1}",
	};
	struct error e = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct varlink_reply r = { 0 };
		if (varlink_parse_reply(bad[i], strlen(bad[i]), &r, &e) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_null(r.parameters);
	}

	static const char good[] = "{\"parameters\":{\"x\":1},\"continues\":true,\"a.b\":{}}";
	struct varlink_reply r CLEANUP(varlink_reply_done) = { 0 };
	assert_int_equal(varlink_parse_reply(good, sizeof(good) - 1, &r, &e), 0);
	assert_null(r.error);
	assert_true(r.continues);
	assert_int_equal(json_object_object_length(r.parameters), 1);
}

/* Checks a text that a format function gave, and frees it. */
static void
expect_text(int r, char *text, size_t length, const char *want)
{
	assert_int_equal(r, 0);
	assert_string_equal(text, want);
	assert_int_equal(length, strlen(want));
	free(text);
}

static void
formatted(UNUSED void **state)
{
	char *text = NULL;
	size_t n = 0;
	struct error e = { 0 };
	struct json_object *empty CLEANUP(json_put) = json_object_new_object();
	struct json_object *full CLEANUP(json_put) = json_object_new_object();
	json_object_object_add(full, "path", json_object_new_string("/run/x"));

	int r = varlink_format_call("a.b.C", NULL, false, false, &text, &n, &e);
	expect_text(r, text, n, "{\"method\":\"a.b.C\"}");
	r = varlink_format_call("a.b.C", empty, true, false, &text, &n, &e);
	expect_text(r, text, n, "{\"method\":\"a.b.C\",\"more\":true}");
	r = varlink_format_call("a.b.\"C", full, false, true, &text, &n, &e);
	expect_text(r, text, n, "{\"method\":\"a.b.\\\"C\",\"parameters\":{\"path\":\"/run/x\"},\"oneway\":true}");
	r = varlink_format_reply(NULL, false, &text, &n, &e);
	expect_text(r, text, n, "{}");
	r = varlink_format_reply(empty, true, &text, &n, &e);
	expect_text(r, text, n, "{\"continues\":true}");
	r = varlink_format_reply(full, true, &text, &n, &e);
	expect_text(r, text, n, "{\"parameters\":{\"path\":\"/run/x\"},\"continues\":true}");
}

/* One error through the wire and back. */
static struct error
carried(const struct error *error, const char *want)
{
	char *text CLEANUP(free_ptr) = NULL;
	size_t length = 0;
	struct error e = { 0 }, back = { 0 };
	struct varlink_reply reply CLEANUP(varlink_reply_done) = { 0 };
	assert_int_equal(varlink_format_error(error, &text, &length, &e), 0);
	assert_int_equal(strlen(text), length);
	if (want)
		assert_string_equal(text, want);
	assert_int_equal(varlink_parse_reply(text, length, &reply, &e), 0);
	assert_string_equal(reply.error, error_desc(error->code)->name);
	varlink_error_of_reply(&reply, &back);
	return back;
}

static void
errors_on_the_wire(UNUSED void **state)
{
	struct error e = { 0 };
	error_set(&e, ERROR_INVALID_PARAMETER, "ends[0].x", "is unknown");
	carried(&e,
		"{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"ends[0].x\"}}");
	error_set(&e, ERROR_METHOD_NOT_FOUND, "a.b.C", "no such method");
	carried(&e, "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"a.b.C\"}}");
	error_set(&e, ERROR_PERMISSION_DENIED, NULL, "root only");
	carried(&e, "{\"error\":\"org.varlink.service.PermissionDenied\"}");
	error_set(&e, ERROR_NOT_FOUND, NULL, "no \"blue\"");
	carried(&e, "{\"error\":\"io.nsd.Manager.NotFound\",\"parameters\":{\"message\":\"no \\\"blue\\\"\"}}");
	error_errno(&e, EPERM, "mount");
	carried(&e, "{\"error\":\"io.nsd.Manager.KernelError\",\"parameters\":{\"message\":\"mount: Operation not "
		    "permitted\","
		    "\"errno\":1}}");
	error_set(&e, ERROR_INVALID_VALUE, "mtu", "must be less");
	carried(&e, "{\"error\":\"io.nsd.Manager.InvalidValue\",\"parameters\":{\"message\":\"must be less\",\"field\":"
		    "\"mtu\"}}");
}

static void
errors_come_back(UNUSED void **state)
{
	for (unsigned code = ERROR_NONE + 1; code < ERROR_CODE_MAX; code++) {
		struct error e = { 0 };
		const char *parameter = error_desc(code)->parameter;
		error_set(&e, code, parameter && !parameter[0] ? NULL : "field", "in words");
		struct error back = carried(&e, NULL);
		assert_int_equal(back.code, e.code);
		assert_int_equal(back.number, e.number);
		assert_string_equal(back.field, e.field);
		assert_string_equal(back.text, parameter ? error_desc(code)->doc : "in words");
	}
	struct error e = { 0 };
	error_errno(&e, EMFILE, "open");
	assert_int_equal(carried(&e, NULL).number, EMFILE);
}

static void
unknown_errors_are_internal(UNUSED void **state)
{
	static const char text[] =
		"{\"error\":\"io.nsd.Manager.Future\",\"parameters\":{\"message\":\"new\",\"field\":7,"
		"\"errno\":\"x\"}}";
	struct varlink_reply reply CLEANUP(varlink_reply_done) = { 0 };
	struct error e = { 0 };
	assert_int_equal(varlink_parse_reply(text, sizeof(text) - 1, &reply, &e), 0);
	varlink_error_of_reply(&reply, &e);
	assert_int_equal(e.code, ERROR_INTERNAL);
	assert_string_equal(e.text, "io.nsd.Manager.Future: new");
	assert_string_equal(e.field, "");
	assert_int_equal(e.number, error_desc(ERROR_INTERNAL)->number);
}

static void
an_empty_error_is_internal(UNUSED void **state)
{
	struct error none = { 0 }, e = { 0 };
	char *text CLEANUP(free_ptr) = NULL;
	size_t length;
	assert_int_equal(varlink_format_error(&none, &text, &length, &e), 0);
	assert_string_equal(text, "{\"error\":\"io.nsd.Manager.InternalError\",\"parameters\":{\"message\":\"\"}}");
}

static void
split(UNUSED void **state)
{
	static const struct {
		const char *method, *member;
		size_t length;
	} rows[] = {
		{ "io.nsd.Manager.GetStatus", "GetStatus", 14 },
		{ "a.B", "B", 1 },
		{ "", NULL, 0 },
		{ "Plain", NULL, 0 },
		{ ".B", NULL, 0 },
		{ "a.b.", NULL, 0 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t length = 0;
		const char *member = varlink_split_method(rows[i].method, &length);
		if (!rows[i].member) {
			assert_null(member);
			continue;
		}
		assert_string_equal(member, rows[i].member);
		assert_int_equal(length, rows[i].length);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_calls),
		cmocka_unit_test(calls_that_close_the_connection),
		cmocka_unit_test(replies),
		cmocka_unit_test(formatted),
		cmocka_unit_test(errors_on_the_wire),
		cmocka_unit_test(errors_come_back),
		cmocka_unit_test(unknown_errors_are_internal),
		cmocka_unit_test(an_empty_error_is_internal),
		cmocka_unit_test(split),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
