/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Stored records, as an older or damaged database may hold them: each text is tried as every kind of object. */
#include "config.h"

#include "fuzz.h"

#include <string.h>

#include "model.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text CLEANUP(free_ptr) = strndup((const char *)data, size);
	CHECK(text);
	round_trip(&namespace_type, text, VIEW_RECORD);
	round_trip(&link_type, text, VIEW_RECORD);
	return 0;
}
