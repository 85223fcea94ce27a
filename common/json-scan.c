/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks the words of a JSON text by RFC 8259.
 *
 * Theory of operation: json-c knows the order in which words may come (values, commas, brackets), but takes words that
 * are no JSON: 'single quotes', NaN, +1, raw control characters, lone surrogates, integers of any size. So each word is
 * checked here, in one pass over the bytes and without memory of its own, and the order is left to json-c. The whole
 * text is checked for valid UTF-8 first; after that bytes of 0x80 and above need no second look in a string, and are
 * refused outside of one like any other byte that starts no word.
 */
#include "config.h"

#include "json-scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "utf8.h"

struct scan {
	const char *start, *at, *end;
	unsigned depth, max_depth;
	struct json_words words;
	struct error *error;
};

static int
refuse(struct scan *s, const char *at, const char *what)
{
	return error_set(s->error, ERROR_INVALID_VALUE, NULL, "no valid JSON: %s at byte %zu", what,
			 (size_t)(at - s->start));
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Four hex digits at `at`, or -1. */
static int
hex4(const struct scan *s, const char *at)
{
	int value = 0;
	if (s->end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		static const char digits[] = "0123456789abcdefABCDEF";
		const char *digit = memchr(digits, at[i], sizeof(digits) - 1);
		if (!digit)
			return -1;
		int nibble = (int)(digit - digits);
		value = value << 4 | (nibble < 16 ? nibble : nibble - 6);
	}
	return value;
}

/* "\uXXXX" at `at`, or a pair of surrogates; moves past it. */
static int
scan_unicode(struct scan *s, const char **at)
{
	const char *escape = *at;
	int code = hex4(s, escape + 2);
	if (code < 0)
		return refuse(s, escape, "\\u without four hex digits");
	if (code == 0)
		return refuse(s, escape, "NUL in a string");
	*at = escape + 6;
	if (code < 0xd800 || code > 0xdfff)
		return 0;

	if (code <= 0xdbff && s->end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u') {
		int low = hex4(s, *at + 2);
		*at += 6;
		if (low >= 0xdc00 && low <= 0xdfff)
			return 0;
	}
	return refuse(s, escape, "lone surrogate in a string");
}

static int
scan_string(struct scan *s)
{
	const char *p = s->at + 1;
	while (p < s->end && *p != '"') {
		if ((unsigned char)*p < 0x20)
			return refuse(s, p, "control character in a string");
		if (*p != '\\') {
			p++;
		} else if (s->end - p >= 2 && p[1] == 'u') {
			int r = scan_unicode(s, &p);
			if (r < 0)
				return r;
		} else if (s->end - p >= 2 && p[1] != '\0' && strchr("\"\\/bfnrt", p[1])) {
			p += 2;
		} else {
			return refuse(s, p, "unknown escape in a string");
		}
	}
	if (p == s->end)
		return refuse(s, s->at, "unfinished string");
	s->at = p + 1;
	return 0;
}

static const char *
skip_digits(const struct scan *s, const char *p)
{
	while (p < s->end && is_digit(*p))
		p++;
	return p;
}

/* The value of the integer in [from, to) fits an int64? */
static bool
fits_int64(const char *from, const char *to)
{
	bool negative = *from == '-';
	uint64_t value = 0, limit = (uint64_t)INT64_MAX + negative;
	for (const char *p = from + negative; p < to; p++) {
		unsigned digit = (unsigned)(*p - '0');
		if (value > (limit - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	return true;
}

/* Past the digits at `p`, or NULL if there is none. */
static const char *
skip_some_digits(const struct scan *s, const char *p)
{
	const char *end = skip_digits(s, p);
	return end > p ? end : NULL;
}

/* Past -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?, or NULL. */
static const char *
skip_number(const struct scan *s, bool *integer)
{
	const char *digits = s->at + (*s->at == '-');
	const char *p = skip_some_digits(s, digits);
	if (!p || (*digits == '0' && p - digits > 1))
		return NULL;

	*integer = true;
	if (p < s->end && *p == '.') {
		*integer = false;
		p = skip_some_digits(s, p + 1);
	}
	if (p && p < s->end && (*p == 'e' || *p == 'E')) {
		*integer = false;
		p++;
		p = skip_some_digits(s, p + (p < s->end && (*p == '+' || *p == '-')));
	}
	return p;
}

/* What follows must end the number for json-c, too: it would take "1-2" for one. */
static int
scan_number(struct scan *s)
{
	bool integer;
	const char *p = skip_number(s, &integer);
	if (!p || (p < s->end && !memchr(",]} \t\n\r", *p, 7)))
		return refuse(s, s->at, "malformed number");
	if (integer && !fits_int64(s->at, p))
		return refuse(s, s->at, "integer outside 64 bits");
	s->at = p;
	return 0;
}

static int
scan_literal(struct scan *s)
{
	static const char *const literals[] = { "true", "false", "null" };
	size_t left = (size_t)(s->end - s->at);
	for (size_t i = 0; i < ARRAY_SIZE(literals); i++) {
		size_t n = strlen(literals[i]);
		if (n <= left && memcmp(s->at, literals[i], n) == 0) {
			s->at += n;
			return 0;
		}
	}
	return refuse(s, s->at, "unknown word");
}

static int
scan_word(struct scan *s)
{
	switch (*s->at) {
	case '"':
		return scan_string(s);
	case '{':
	case '[':
		if (++s->depth > s->max_depth)
			return refuse(s, s->at, "too deep a nesting");
		break;
	case '}':
	case ']':
		if (s->depth > 0)
			s->depth--;
		break;
	case ':':
		s->words.members++;
		break;
	case ',':
	case ' ':
	case '\t':
	case '\n':
	case '\r':
		break;
	default:
		return is_digit(*s->at) || *s->at == '-' ? scan_number(s) : scan_literal(s);
	}
	s->at++;
	return 0;
}

int
json_scan(const char *text, size_t length, unsigned max_depth, struct json_words *ret, struct error *e)
{
	struct scan s = { .start = text, .at = text, .end = text + length, .max_depth = max_depth, .error = e };
	size_t valid = utf8_valid_length(text, length);
	if (valid < length)
		return refuse(&s, text + valid, "invalid UTF-8");
	while (s.at < s.end) {
		int r = scan_word(&s);
		if (r < 0)
			return r;
	}
	*ret = s.words;
	return 0;
}
