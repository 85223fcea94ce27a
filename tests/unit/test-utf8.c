/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UTF-8: every code point by RFC 3629, and the ways to get it wrong. */
#include "config.h"

#include "unit.h"

#include <stdio.h>

#include "utf8.h"

/* The obvious encoder, surrogates and all. */
static size_t
encode(uint32_t code, char *ret)
{
	size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const unsigned lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	for (size_t i = n; i-- > 1; code >>= 6)
		ret[i] = (char)(0x80 | (code & 0x3f));
	ret[0] = (char)(lead[n] | code);
	return n;
}

static void
every_code_point(UNUSED void **state)
{
	for (uint32_t code = 0; code < 0x120000; code++) {
		char text[4];
		uint32_t back = 0;
		size_t n = encode(code, text);
		bool good = code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000);
		if (utf8_decode(text, n, &back) != (good ? n : 0) || (good && back != code))
			fail_msg("U+%X", code);
		if (utf8_decode(text, n - 1, NULL) != 0)
			fail_msg("U+%X cut short", code);
	}
}

static void
malformed(UNUSED void **state)
{
	static const char *const bad[] = {
		"\x80",
		"\xbf",
		"\xc0\xaf",
		"\xc1\xbf",
		"\xc2",
		"\xc2\x41",
		"\xe0\x9f\xbf",
		"\xe0\x80\xaf",
		"\xe2\x82",
		"\xe2\x28\xa1",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xf0\x80\x80\xaf",
		"\xf0\x8f\xbf\xbf",
		"\xf0\x9f\x98",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xf8\x88\x80\x80\x80",
		"\xfe",
		"\xff",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[64];
		assert_false(utf8_is_valid(bad[i], strlen(bad[i])));
		/* behind and before text that the fast path takes */
		snprintf(text, sizeof(text), "0123456789abcdef%sx", bad[i]);
		assert_int_equal(utf8_valid_length(text, strlen(text)), 16);
		snprintf(text, sizeof(text), "%s0123456789abcdef", bad[i]);
		assert_int_equal(utf8_valid_length(text, strlen(text)), 0);
	}
}

static void
valid(UNUSED void **state)
{
	const char *text = "plain, \xc3\xa9, \xe2\x82\xac, \xf0\x9f\x98\x80, \xef\xbf\xbf, and a long tail of ASCII";
	assert_true(utf8_is_valid(text, strlen(text)));
	assert_true(utf8_is_valid("", 0));
	assert_true(utf8_is_valid("a\0b", 3));
}

static void
clean_keeps_text_and_replaces_the_rest(UNUSED void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "tab\there", "tab?here" },
		{ "\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80" },
		{ "\xc2\x9b[2J", "?[2J" }, /* C1: CSI */
		{ "a\xe2\x80\xae"
		  "b",
		  "a?b" }, /* right-to-left override */
		{ "a\xe2\x80\xa8"
		  "b",
		  "a?b" }, /* line separator */
		{ "\xed\xa0\x80", "???" },
		{ "x\xff\xfey", "x??y" },
		{ "\x7f", "?" },
		{ "cut \xe2\x82", "cut ??" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[64];
		snprintf(text, sizeof(text), "%s", rows[i].from);
		utf8_clean(text);
		assert_string_equal(text, rows[i].to);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point),
		cmocka_unit_test(malformed),
		cmocka_unit_test(valid),
		cmocka_unit_test(clean_keeps_text_and_replaces_the_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
