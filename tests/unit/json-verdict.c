/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filter for tests/unit/check-json: reads texts, each with its length (4 bytes, little endian) before it, and writes one
 * line for each: "-", or "+" and what json_parse() made of it. */
#include "config.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "json.h"

static bool
read_length(uint32_t *ret)
{
	uint8_t b[4];
	if (fread(b, 1, sizeof(b), stdin) != sizeof(b))
		return false;
	*ret = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
	return true;
}

static void
judge(const char *text, size_t length)
{
	struct json_object *o CLEANUP(json_put) = NULL;
	if (json_parse(text, length, &o, NULL) < 0) {
		puts("-");
		return;
	}
	printf("+%s\n", json_text(o, &length));
}

int
main(void)
{
	uint32_t length;
	while (read_length(&length)) {
		char *text CLEANUP(free_ptr) = calloc(1, (size_t)length + 1);
		if (!text || fread(text, 1, length, stdin) != length)
			return EXIT_FAILURE;
		judge(text, length);
	}
	return EXIT_SUCCESS;
}
