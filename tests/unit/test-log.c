/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Levels, sinks and the form of lines on stderr. */
#include "config.h"

#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "log.h"

static char seen[4096];
static int seen_level, seen_count;
static const char *seen_id;
static const char *const *seen_fields;

static void
remember(int level, const char *message_id, const char *const *fields, const char *text)
{
	seen_level = level;
	seen_id = message_id;
	seen_fields = fields;
	seen_count++;
	snprintf(seen, sizeof(seen), "%s", text);
	errno = EIO;
}

static void
levels_have_names_and_numbers(UNUSED void **state)
{
	for (int level = 0; level <= LOG_DEBUG; level++) {
		char number[2] = { (char)('0' + level), '\0' };
		assert_int_equal(log_level_from_string(log_level_to_string(level)), level);
		assert_int_equal(log_level_from_string(number), level);
	}
	static const char *const bad[] = { "", "8", "-1", "07", "Debug", "debug ", "error", "verbose" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(log_level_from_string(bad[i]), -EINVAL);
	assert_string_equal(log_level_to_string(8), "");
	assert_string_equal(log_level_to_string(-1), "");
}

static void
lines_above_the_level_are_dropped(UNUSED void **state)
{
	log_set_sink(remember);
	log_set_level(LOG_NOTICE);
	assert_int_equal(log_level(), LOG_NOTICE);
	seen_count = 0;
	log_info("no");
	log_debug("no");
	assert_int_equal(seen_count, 0);
	log_notice("yes %d", 1);
	assert_int_equal(seen_count, 1);
	assert_int_equal(seen_level, LOG_NOTICE);
	assert_string_equal(seen, "yes 1");
	log_error("yes");
	assert_int_equal(seen_count, 2);
	log_set_sink(NULL);
}

static void
events_carry_id_and_fields(UNUSED void **state)
{
	const char *const fields[] = { "NSD_NAMESPACE=blue", NULL };
	log_set_sink(remember);
	log_set_level(LOG_INFO);
	log_event(LOG_INFO, "0123456789abcdef0123456789abcdef", fields, "made %s", "blue");
	assert_string_equal(seen, "made blue");
	assert_string_equal(seen_id, "0123456789abcdef0123456789abcdef");
	assert_ptr_equal(seen_fields, fields);
	log_set_sink(NULL);
}

static void
one_clean_line_and_errno_kept(UNUSED void **state)
{
	log_set_sink(remember);
	log_set_level(LOG_INFO);
	errno = EAGAIN;
	log_info("a\nb\x1b[0m\xff");
	assert_int_equal(errno, EAGAIN);
	assert_string_equal(seen, "a?b?[0m?");
	log_info("%05000d", 1);
	assert_true(strlen(seen) < sizeof(seen) / 2 + 1);
	log_set_sink(NULL);
}

/* What a line looks like on a stderr that is the file `fd`. */
static void
line_on(int fd, char *ret, size_t size)
{
	int saved = dup(STDERR_FILENO);
	assert_true(saved >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	log_warning("careful");
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	ssize_t n = pread(fd, ret, size - 1, 0);
	assert_true(n >= 0);
	ret[n] = '\0';
}

static void
journal_lines_have_a_priority(UNUSED void **state)
{
	char line[64], stream[64];
	struct stat st;
	FILE *file = tmpfile();
	assert_non_null(file);
	int fd = fileno(file);
	assert_int_equal(fstat(fd, &st), 0);

	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	line_on(fd, line, sizeof(line));
	assert_string_equal(line, "careful\n");

	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	line_on(fd, line, sizeof(line));
	assert_string_equal(line, "<4>careful\n");

	assert_int_equal(setenv("JOURNAL_STREAM", "1:1", 1), 0);
	line_on(fd, line, sizeof(line));
	assert_string_equal(line, "careful\n");
	fclose(file);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_have_names_and_numbers), cmocka_unit_test(lines_above_the_level_are_dropped),
		cmocka_unit_test(events_carry_id_and_fields),	 cmocka_unit_test(one_clean_line_and_errno_kept),
		cmocka_unit_test(journal_lines_have_a_priority),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
