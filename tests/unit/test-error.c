/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The error table and the functions that fill a struct error. */
#include "config.h"

#include "unit.h"

#include <errno.h>

#include "error.h"

static void
every_code_is_described(UNUSED void **state)
{
	for (unsigned code = ERROR_NONE + 1; code < ERROR_CODE_MAX; code++) {
		const struct error_desc *desc = error_desc(code);
		assert_non_null(strrchr(desc->name, '.'));
		assert_true(strlen(desc->doc) > 10);
		assert_true(desc->number > 0);
		assert_in_range(desc->exit_status, 1, 99);
		assert_int_not_equal(desc->exit_status, 2); /* left to mistakes on the command line */
		assert_int_equal(error_code_of(desc->name), code);
		assert_int_equal(desc->parameter != NULL, strncmp(desc->name, "org.varlink.service.", 20) == 0);
	}
}

static void
codes_out_of_range_have_an_entry(UNUSED void **state)
{
	assert_ptr_equal(error_desc(ERROR_CODE_MAX), error_desc(ERROR_INTERNAL));
	assert_ptr_equal(error_desc((enum error_code) - 1), error_desc(ERROR_INTERNAL));
	assert_int_equal(error_desc(ERROR_NONE)->number, 0);
	assert_int_equal(error_code_of("io.nsd.Manager.Nonsense"), ERROR_NONE);
	assert_int_equal(error_code_of(""), ERROR_NONE);
}

static void
set_fills_and_returns(UNUSED void **state)
{
	struct error e = { 0 };
	assert_int_equal(error_set(&e, ERROR_NOT_FOUND, "name", "no \"%s\" here", "blue"), -ENOENT);
	assert_int_equal(e.code, ERROR_NOT_FOUND);
	assert_int_equal(e.number, ENOENT);
	assert_string_equal(e.field, "name");
	assert_string_equal(e.text, "no \"blue\" here");

	assert_int_equal(error_set(&e, ERROR_BUSY, NULL, "later"), -EBUSY);
	assert_string_equal(e.field, "");
}

static void
null_is_allowed_everywhere(UNUSED void **state)
{
	assert_int_equal(error_set(NULL, ERROR_BUSY, "x", "y"), -EBUSY);
	assert_int_equal(error_errno(NULL, EPERM, "y"), -EPERM);
	assert_int_equal(error_wrap(NULL, "y"), -EIO);
	error_prefix_field(NULL, "x", 1);
}

static void
text_is_one_clean_line(UNUSED void **state)
{
	struct error e = { 0 };
	error_set(&e, ERROR_INVALID_VALUE, "a\x1b[31m", "one\ntwo\x1b[0m\xff \xc3\xa9");
	assert_string_equal(e.text, "one?two?[0m? \xc3\xa9");
	assert_string_equal(e.field, "a?[31m");
}

static void
long_text_is_cut_to_valid_utf8(UNUSED void **state)
{
	struct error e = { 0 };
	char text[2 * sizeof(e.text)];
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 3);
	error_set(&e, ERROR_INVALID_VALUE, text, "%s", text);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_int_equal(e.text[sizeof(e.text) - 2], '?'); /* half a character was left */
	assert_int_equal(strlen(e.field), sizeof(e.field) - 1);
	assert_int_equal(e.field[sizeof(e.field) - 2], '?');
}

static void
errno_tells_limits_from_refusals(UNUSED void **state)
{
	static const int limits[] = { EMFILE, ENFILE, ENOMEM, ENOSPC };
	struct error e = { .field = "old" };
	assert_int_equal(error_errno(&e, EPERM, "setting %s up", "eth0"), -EPERM);
	assert_int_equal(e.code, ERROR_KERNEL);
	assert_int_equal(e.number, EPERM);
	assert_string_equal(e.text, "setting eth0 up: Operation not permitted");
	assert_string_equal(e.field, "");
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		assert_int_equal(error_errno(&e, limits[i], "x"), -limits[i]);
		assert_int_equal(e.code, ERROR_LIMIT_EXCEEDED);
		assert_int_equal(e.number, limits[i]);
	}
}

static void
wrap_puts_context_before(UNUSED void **state)
{
	struct error e = { 0 };
	error_errno(&e, ENODEV, "finding %s", "eth0");
	assert_int_equal(error_wrap(&e, "link \"%s\"", "web"), -ENODEV);
	assert_string_equal(e.text, "link \"web\": finding eth0: No such device");
	assert_int_equal(e.code, ERROR_KERNEL);

	for (int i = 0; i < 100; i++)
		error_wrap(&e, "again and again and again");
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);

	e = (struct error){ 0 };
	assert_int_equal(error_wrap(&e, "nothing was set"), -EIO);
}

static void
prefix_builds_a_path(UNUSED void **state)
{
	struct error e = { 0 };
	error_prefix_field(&e, "addresses", 3);
	assert_string_equal(e.field, "addresses[3]");
	error_prefix_field(&e, "ends", 1);
	assert_string_equal(e.field, "ends[1].addresses[3]");
	error_prefix_field(&e, "link", -1);
	assert_string_equal(e.field, "link.ends[1].addresses[3]");
	for (int i = 0; i < 50; i++)
		error_prefix_field(&e, "deeper", -1);
	assert_int_equal(strlen(e.field), sizeof(e.field) - 1);
	assert_memory_equal(e.field, "deeper.deeper.", 14);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_is_described),
		cmocka_unit_test(codes_out_of_range_have_an_entry),
		cmocka_unit_test(set_fills_and_returns),
		cmocka_unit_test(null_is_allowed_everywhere),
		cmocka_unit_test(text_is_one_clean_line),
		cmocka_unit_test(long_text_is_cut_to_valid_utf8),
		cmocka_unit_test(errno_tells_limits_from_refusals),
		cmocka_unit_test(wrap_puts_context_before),
		cmocka_unit_test(prefix_builds_a_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
