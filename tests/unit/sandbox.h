/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the kernel layer share: a place of their own in the kernel, and eyes that are not nsd's. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "link.h"

#define NETNS_DIRECTORY "/run/netns"

/* Puts the process into a network and a mount namespace of its own, with an empty /run of shared propagation. Exits with
 * 77 (skipped) where that is not possible. */
void sandbox_enter(void);

/* What each test starts from; its teardown checks that nothing is left: fds, names, mounts, interfaces. */
struct sandbox {
	struct netns_site *site;
	struct kernel *kernel;
	unsigned fds;
};
int sandbox_setup(void **state);
int sandbox_teardown(void **state);
#define SANDBOX_TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_setup, sandbox_teardown)

/* Runs a shell command. The output of sandbox_output() is valid until the next call. */
int sandbox_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *sandbox_output(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Does the output of a command hold, or lack, a text? */
#define assert_shows(text, ...) assert_non_null(strstr(sandbox_output(__VA_ARGS__), text))
#define assert_hides(text, ...) assert_null(strstr(sandbox_output(__VA_ARGS__), text))

/* Fails, and shows both, unless `part` is in `text`. */
void assert_in(const char *text, const char *part);

/* Lines of /proc/self/mountinfo whose mount point is `path`; of all, if NULL. */
unsigned sandbox_mounts(const char *path);
unsigned sandbox_open_fds(void);

/* fork() for a test: the child ends with its parent, and at the first assertion that fails. */
int sandbox_fork(void);

/* Runs `fn` in a child process; returns its exit status (fn's return), or 128 + the signal that ended it. */
int sandbox_child(int (*fn)(void *arg), void *arg);

/* In a child: from now on the system call `nr` fails with `number` when its argument `index` is `value`. */
void sandbox_refuse(int nr, unsigned index, uint32_t value, int number);

/* A process that sits in the namespace (fd; -1: in a new one of its own) and waits; sandbox_end() ends and reaps it. */
int sandbox_start(int netns_fd);
void sandbox_end(int pid);

/* 0, or the test fails with the error's text. */
#define assert_ok(call)                                                 \
	do {                                                            \
		struct error e = { 0 };                                 \
		int result_ = (call);                                   \
		if (result_ < 0)                                        \
			fail_msg("%s: %d: %s", #call, result_, e.text); \
	} while (0)

/* A failure with this code, with words, and with `text` in them. */
#define assert_error(expected, contains, call)                                   \
	do {                                                                     \
		struct error e = { 0 };                                          \
		int result_ = (call);                                            \
		if (result_ >= 0)                                                \
			fail_msg("%s succeeded", #call);                         \
		if (e.code != (expected) || !strstr(e.text, contains))           \
			fail_msg("%s: code %d: %s", #call, (int)e.code, e.text); \
	} while (0)

/* A failure with this errno, whose words have `contains` in them. */
#define assert_errno(number, contains, call)                            \
	do {                                                            \
		struct error e = { 0 };                                 \
		int result_ = (call);                                   \
		if (result_ != -(number) || !strstr(e.text, contains))  \
			fail_msg("%s: %d: %s", #call, result_, e.text); \
	} while (0)
