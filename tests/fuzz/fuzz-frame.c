/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes of a peer: the first byte says in how large pieces the rest arrives. Each message is read as a call and as a
 * reply, and what could be read must be written and read again alike. */
#include "config.h"

#include "fuzz.h"

#include <json-c/json.h>
#include <string.h>

#include "frame.h"
#include "json.h"
#include "varlink.h"

#define LIMIT 512  /* small, so that inputs reach it */
#define MAX_READ 8 /* messages of an input that are looked into: thousands of empty ones teach nothing */

static void
check_text(struct json_object *o)
{
	size_t length = 0, again_length = 0;
	struct json_object *again CLEANUP(json_put) = NULL;
	const char *text = json_text(o, &length);
	CHECK(text && strlen(text) == length);
	if (json_parse(text, length, &again, NULL) < 0)
		abort();
	CHECK(json_object_equal(o, again));
	CHECK(strcmp(json_text(again, &again_length), text) == 0);
}

static void
check_call(const char *message, size_t length)
{
	struct varlink_call call CLEANUP(varlink_call_done) = { 0 }, again CLEANUP(varlink_call_done) = { 0 };
	struct error e = { 0 };
	char *text CLEANUP(free_ptr) = NULL;
	size_t n, interface_length;
	if (varlink_parse_call(message, length, &call, &e) < 0) {
		CHECK(e.code == ERROR_INVALID_VALUE && e.text[0]);
		return;
	}

	check_text(call.parameters);
	const char *member = varlink_split_method(call.method, &interface_length);
	CHECK(!member || call.method + interface_length + 1 == member);
	CHECK(varlink_format_call(call.method, call.parameters, call.more, call.oneway, &text, &n, &e) == 0);
	CHECK(varlink_parse_call(text, n, &again, &e) == 0);
	CHECK(strcmp(call.method, again.method) == 0 && json_object_equal(call.parameters, again.parameters));
	CHECK(call.more == again.more && call.oneway == again.oneway);
}

static void
check_error_reply(const struct varlink_reply *reply)
{
	struct varlink_reply again CLEANUP(varlink_reply_done) = { 0 };
	struct error error = { 0 }, back = { 0 }, e = { 0 };
	char *text CLEANUP(free_ptr) = NULL;
	size_t n;
	varlink_error_of_reply(reply, &error);
	CHECK(error.code != ERROR_NONE && error.number > 0);
	CHECK(varlink_format_error(&error, &text, &n, &e) == 0);
	CHECK(varlink_parse_reply(text, n, &again, &e) == 0);
	varlink_error_of_reply(&again, &back);
	CHECK(back.code == error.code && strcmp(back.field, error.field) == 0);
}

static void
check_reply(const char *message, size_t length)
{
	struct varlink_reply reply CLEANUP(varlink_reply_done) = { 0 }, again CLEANUP(varlink_reply_done) = { 0 };
	struct error e = { 0 };
	char *text CLEANUP(free_ptr) = NULL;
	size_t n;
	if (varlink_parse_reply(message, length, &reply, &e) < 0)
		return;
	if (reply.error) {
		check_error_reply(&reply);
		return;
	}
	CHECK(varlink_format_reply(reply.parameters, reply.continues, &text, &n, &e) == 0);
	CHECK(varlink_parse_reply(text, n, &again, &e) == 0);
	CHECK(reply.continues == again.continues && json_object_equal(reply.parameters, again.parameters));
}

/* Messages must be those that lie between the NULs of the stream; returns how many bytes they took. */
static size_t
take_messages(struct frame *f, const char *stream, unsigned *count)
{
	size_t taken = 0, length;
	for (const char *message; (message = frame_next(f, &length)); taken += length + 1) {
		CHECK(length < LIMIT && strlen(message) == length);
		CHECK(memcmp(message, stream + taken, length + 1) == 0);
		if (++*count > MAX_READ)
			continue;
		check_call(message, length);
		check_reply(message, length);
	}
	return taken;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	const char *stream = (const char *)data + 1;
	size_t step = data[0] + 1U, left = size - 1, done = 0, taken = 0;
	unsigned count = 0;
	struct frame *f = frame_new(LIMIT);
	CHECK(f);
	while (left > 0) {
		size_t room, part = left < step ? left : step;
		char *space = frame_space(f, &room);
		if (!space) {
			CHECK(done - taken == LIMIT);
			break;
		}
		if (part > room)
			part = room;
		memcpy(space, stream + done, part);
		frame_filled(f, part);
		done += part;
		left -= part;
		taken += take_messages(f, stream + taken, &count);
		CHECK(frame_pending(f) == done - taken);
	}
	frame_free(f);
	return 0;
}
