/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Framing: messages in all cuts, the limit to the byte, and what stays in the buffer. */
#include "config.h"

#include "unit.h"

#include "frame.h"

static void
free_frame(struct frame **f)
{
	frame_free(*f);
}

/* Puts all of `bytes` in, as much at a time as there is room, at most `step`. False if the frame takes no more. */
static bool
fill(struct frame *f, const char *bytes, size_t n, size_t step)
{
	while (n > 0) {
		size_t room = 0;
		char *space = frame_space(f, &room);
		if (!space)
			return false;
		assert_true(room > 0);
		size_t part = n < step ? n : step;
		if (part > room)
			part = room;
		memcpy(space, bytes, part);
		frame_filled(f, part);
		bytes += part;
		n -= part;
	}
	return true;
}

static void
expect(struct frame *f, const char *message)
{
	size_t length = 99;
	const char *got = frame_next(f, &length);
	assert_non_null(got);
	assert_string_equal(got, message);
	assert_int_equal(length, strlen(message));
	assert_int_equal(got[length], '\0');
}

static void
expect_none(struct frame *f, size_t pending)
{
	size_t length;
	assert_null(frame_next(f, &length));
	assert_int_equal(frame_pending(f), pending);
}

static void
starts_empty(UNUSED void **state)
{
	struct frame *f CLEANUP(free_frame) = frame_new(100);
	assert_non_null(f);
	expect_none(f, 0);
	frame_free(NULL);
}

static void
messages_in_one_read(UNUSED void **state)
{
	struct frame *f CLEANUP(free_frame) = frame_new(100);
	assert_true(fill(f, "one\0\0three\0par", 14, 100));
	expect(f, "one");
	expect(f, "");
	expect(f, "three");
	expect_none(f, 3);
	assert_true(fill(f, "t\0", 2, 100));
	expect(f, "part");
	expect_none(f, 0);
}

static void
messages_in_every_cut(UNUSED void **state)
{
	static const char bytes[] = "first\0second message\0\0x\0";
	for (size_t step = 1; step < sizeof(bytes); step++) {
		struct frame *f CLEANUP(free_frame) = frame_new(20);
		size_t seen = 0, done = 0;
		while (done < sizeof(bytes) - 1) {
			size_t part = sizeof(bytes) - 1 - done < step ? sizeof(bytes) - 1 - done : step, length;
			size_t room = 0;
			char *space = frame_space(f, &room);
			assert_non_null(space);
			part = part < room ? part : room;
			memcpy(space, bytes + done, part);
			frame_filled(f, part);
			done += part;
			for (const char *m; (m = frame_next(f, &length)); seen++) {
				static const char *const want[] = { "first", "second message", "", "x" };
				assert_in_range(seen, 0, 3);
				assert_string_equal(m, want[seen]);
				assert_int_equal(length, strlen(want[seen]));
			}
		}
		assert_int_equal(seen, 4);
		expect_none(f, 0);
	}
}

static void
limit_counts_the_terminator(UNUSED void **state)
{
	static const size_t limits[] = { 1, 2, 100, 4095, 4096, 4097, 65536 };
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		size_t limit = limits[i], length, room;
		char *bytes CLEANUP(free_ptr) = calloc(1, limit + 1);
		struct frame *f CLEANUP(free_frame) = frame_new(limit);
		assert_non_null(bytes);
		memset(bytes, 'x', limit - 1);
		for (int round = 0; round < 3; round++) {
			assert_true(fill(f, bytes, limit, 5000));
			assert_non_null(frame_next(f, &length));
			assert_int_equal(length, limit - 1);
		}
		expect_none(f, 0);

		memset(bytes, 'x', limit);
		assert_true(fill(f, bytes, limit, 5000));
		expect_none(f, limit);
		assert_null(frame_space(f, &room));
		assert_null(frame_space(f, &room));
		expect_none(f, limit);
	}
}

static void
nothing_is_lost_when_it_grows(UNUSED void **state)
{
	struct frame *f CLEANUP(free_frame) = frame_new(1 << 20);
	size_t total = 300000, length = 0;
	char *bytes CLEANUP(free_ptr) = malloc(total);
	assert_non_null(bytes);
	for (size_t i = 0; i < total; i++)
		bytes[i] = (char)('a' + i % 26);
	assert_true(fill(f, "head\0", 5, 5));
	assert_true(fill(f, bytes, total, 1000));
	expect(f, "head");
	expect_none(f, total);
	assert_true(fill(f, "\0tail", 5, 1));
	const char *message = frame_next(f, &length);
	assert_non_null(message);
	assert_int_equal(length, total);
	assert_memory_equal(message, bytes, total);
	expect_none(f, 4);
	assert_true(fill(f, "\0", 1, 1));
	expect(f, "tail");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_empty),
		cmocka_unit_test(messages_in_one_read),
		cmocka_unit_test(messages_in_every_cut),
		cmocka_unit_test(limit_counts_the_terminator),
		cmocka_unit_test(nothing_is_lost_when_it_grows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
