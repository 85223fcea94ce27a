/* SPDX-License-Identifier: GPL-2.0-or-later */
/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, at most U+10FFFF. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the valid UTF-8 sequence that starts at `text` (1..4), or 0; *ret (may be NULL) is its code point. */
size_t utf8_decode(const char *text, size_t length, uint32_t *ret);

/* How many bytes at the start of `text` are valid; `length` if all are. */
size_t utf8_valid_length(const char *text, size_t length);

bool utf8_is_valid(const char *text, size_t length);

/* Would this code point disturb a line of text: a control, a line separator, a change of writing direction? */
bool utf8_is_control(uint32_t code);

/* Makes one clean line of `text` in place: controls and bytes that are no valid UTF-8 become '?'. */
void utf8_clean(char *text);
