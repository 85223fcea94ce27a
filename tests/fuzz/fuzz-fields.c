/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests and replies: the first byte chooses the type and the view, the rest is JSON. */
#include "config.h"

#include "fuzz.h"

#include <string.h>

#include "model.h"

static const struct type *const types[] = { &namespace_type, &link_type, &end_type, &route_type, &counters_type };
static const enum fields_view views[] = { VIEW_INPUT, VIEW_OUTPUT };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	/* '0' to '9', so that a seed can be written by hand */
	unsigned choice = (unsigned)(data[0] - '0') % (ARRAY_SIZE(types) * ARRAY_SIZE(views));
	char *text CLEANUP(free_ptr) = strndup((const char *)data + 1, size - 1);
	CHECK(text);
	round_trip(types[choice % ARRAY_SIZE(types)], text, views[choice / ARRAY_SIZE(types)]);
	return 0;
}
