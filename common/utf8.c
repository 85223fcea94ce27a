/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks and cleans UTF-8. */
#include "config.h"

#include "utf8.h"

#include <string.h>

/* The lowest code point that needs a sequence of so many bytes; anything lower is an overlong form. */
static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };

/* What the lead byte says the sequence's length is; 0 for a byte that cannot lead. */
static size_t
sequence_length(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead < 0xe0)
		return 2;
	if (lead >= 0xe0 && lead < 0xf0)
		return 3;
	if (lead >= 0xf0 && lead < 0xf5)
		return 4;
	return 0;
}

size_t
utf8_decode(const char *text, size_t length, uint32_t *ret)
{
	if (length == 0)
		return 0;

	unsigned char lead = (unsigned char)text[0];
	size_t n = sequence_length(lead);
	if (n == 0 || n > length)
		return 0;

	uint32_t code = n == 1 ? lead : lead & (0x7fU >> n);
	for (size_t i = 1; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		if ((c & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (c & 0x3f);
	}
	if (code < lowest[n] || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
		return 0;
	if (ret)
		*ret = code;
	return n;
}

size_t
utf8_valid_length(const char *text, size_t length)
{
	size_t i = 0;
	while (i < length) {
		uint64_t word;
		if (length - i >= sizeof(word)) {
			memcpy(&word, text + i, sizeof(word));
			if ((word & 0x8080808080808080U) == 0) {
				i += sizeof(word);
				continue;
			}
		}
		size_t n = utf8_decode(text + i, length - i, NULL);
		if (n == 0)
			break;
		i += n;
	}
	return i;
}

bool
utf8_is_valid(const char *text, size_t length)
{
	return utf8_valid_length(text, length) == length;
}

bool
utf8_is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
	       (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void
utf8_clean(char *text)
{
	size_t length = strlen(text), to = 0;
	for (size_t i = 0; i < length;) {
		uint32_t code = 0;
		size_t n = utf8_decode(text + i, length - i, &code);
		if (n == 0 || utf8_is_control(code)) {
			text[to++] = '?';
			i += n ? n : 1;
		} else {
			memmove(text + to, text + i, n);
			to += n;
			i += n;
		}
	}
	text[to] = '\0';
}
