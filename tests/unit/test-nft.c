/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules as text, and the watch over them. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "macros.h"
#include "nft.h"

static struct kernel *
kernel(void **state)
{
	return ((struct sandbox *)*state)->kernel;
}

static bool
has_table(struct kernel *k, int netns_fd, const char *table)
{
	bool ret = false;
	assert_ok(nft_has_table(k, netns_fd, table, &ret, &e));
	return ret;
}

static int
flush(void **state)
{
	assert_int_equal(sandbox_run("nft flush ruleset"), 0);
	return sandbox_teardown(state);
}

static void
test_run(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	assert_ok(netns_make(k, &n, &e));
	assert_false(has_table(k, -1, "t"));
	assert_ok(nft_run(k, -1, "table inet t { set s { type ipv4_addr; elements = { 10.0.0.1 }; }; }", &e));
	assert_ok(nft_run(k, n.fd, "add table inet inside\nadd table ip t", &e));
	assert_shows("10.0.0.1", "nft list set inet t s");
	assert_hides("inside", "nft list ruleset");
	assert_true(has_table(k, -1, "t"));
	assert_false(has_table(k, -1, "inside"));
	assert_true(has_table(k, n.fd, "inside"));
	assert_false(has_table(k, n.fd, "t")); /* of another family */
	netns_close(&n);
}

static void
test_all_or_nothing(void **state)
{
	struct kernel *k = kernel(state);
	assert_error(ERROR_NOT_FOUND, "No such file",
		     nft_run(k, -1, "add table inet t\nadd element inet t s { 10.0.0.1 }", &e));
	assert_false(has_table(k, -1, "t"));
	assert_ok(nft_run(k, -1, "add table inet t\nadd set inet t s { type ipv4_addr; }", &e));
	assert_error(ERROR_NOT_FOUND, "No such file",
		     nft_run(k, -1, "add element inet t s { 10.0.0.1 }\ndelete element inet t s { 10.0.0.9 }", &e));
	assert_hides("10.0.0.1", "nft list ruleset");
	assert_ok(nft_run(k, -1, "delete table inet t\ntable inet t { set other { type ipv6_addr; }; }", &e));
	assert_shows("other", "nft list ruleset");
	assert_hides("ipv4_addr", "nft list ruleset");
}

/* nft's words in one line, with what they are about, and the code that fits. */
static void
test_errors(void **state)
{
	struct kernel *k = kernel(state);
	static const struct {
		const char *commands, *text;
		enum error_code code;
		int number;
	} cases[] = {
		{ "nonsense here", "nftables: nonsense here: syntax error", ERROR_KERNEL, EIO },
		{ "add rule inet none c accept;", "nftables: add rule inet none c accept: ", ERROR_NOT_FOUND, ENOENT },
		{ "add table inet t\ncreate table inet t", "nftables: Could not process rule: File exists",
		  ERROR_NAME_TAKEN, EEXIST },
		{ "add table inet t\nadd chain inet t c { type filter hook input priority dstnat; }",
		  "nftables: invalid priority", ERROR_KERNEL, EIO },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error e = { 0 };
		assert_int_equal(nft_run(k, -1, cases[i].commands, &e), -cases[i].number);
		assert_in(e.text, cases[i].text);
		assert_in(e.text, "nftables: ");
		assert_null(strstr(e.text, "^"));
		assert_null(strstr(e.text, "Error:"));
		assert_int_equal(e.code, cases[i].code);
		assert_int_equal(e.number, cases[i].number);
		assert_int_equal(nft_run(k, -1, cases[i].commands, NULL), -cases[i].number);
	}
	assert_error(ERROR_KERNEL, "enter", nft_run(k, STDERR_FILENO, "add table inet t", &e));
	bool there;
	assert_error(ERROR_KERNEL, "enter", nft_has_table(k, STDERR_FILENO, "t", &there, &e));
	assert_error(ERROR_INVALID_VALUE, "too long",
		     nft_has_table(k, -1, sandbox_output("printf %%01000d 0"), &there, &e));
}

/* libnftables would end the process. */
static int
run_without_fds(void *arg)
{
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };
	struct error e = { 0 };
	if (setrlimit(RLIMIT_NOFILE, &none) < 0)
		return 1;
	return nft_run(arg, -1, "add table inet t", &e) == -EMFILE && e.code == ERROR_LIMIT_EXCEEDED ? 0 : 2;
}

static void
test_without_fds(void **state)
{
	assert_int_equal(sandbox_child(run_without_fds, kernel(state)), 0);
}

/* The thread has its name again. */
static void
test_thread_name(void **state)
{
	char name[16];
	assert_return_code(prctl(PR_SET_NAME, "my name"), errno);
	assert_ok(nft_run(kernel(state), -1, "add table inet t", &e));
	assert_error(ERROR_KERNEL, "", nft_run(kernel(state), -1, "nonsense", &e));
	assert_return_code(prctl(PR_GET_NAME, name), errno);
	assert_string_equal(name, "my name");
}

struct runner {
	struct netns_site *site;
	unsigned failed;
};

static void *
run_often(void *arg)
{
	struct runner *r = arg;
	struct kernel *k = NULL;
	struct netns n = NETNS_INIT;
	if (kernel_open(r->site, &k, NULL) < 0 || netns_make(k, &n, NULL) < 0) {
		r->failed++;
		return NULL;
	}
	for (unsigned i = 0; i < 30; i++) {
		int fd = i % 2 ? n.fd : -1;
		r->failed += nft_run(k, fd, "table inet t { set s { type ifname; elements = { lo }; }; }", NULL) < 0;
		r->failed += nft_run(k, fd, "add rule inet t none accept", NULL) != -ENOENT;
	}
	netns_close(&n);
	kernel_close(k);
	return NULL;
}

/* Several threads at once, while others change the rules, too. */
static void
test_at_once(void **state)
{
	struct sandbox *s = *state;
	struct runner runners[3];
	pthread_t threads[ARRAY_SIZE(runners)];
	pid_t other = sandbox_fork();
	if (other == 0)
		for (;;)
			sandbox_run("nft 'table ip x { set s { type ipv4_addr; elements = { 10.0.0.1 }; }; }; "
				    "delete table ip x'");
	for (size_t i = 0; i < ARRAY_SIZE(runners); i++) {
		runners[i] = (struct runner){ .site = s->site };
		assert_int_equal(pthread_create(&threads[i], NULL, run_often, &runners[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(runners); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(runners[i].failed, 0);
	}
	sandbox_end(other);
	usleep(50 * 1000); /* its last nft ends by itself */
}

static bool
is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, 200) == 1;
}

static void
test_watch(void **state)
{
	struct kernel *k = kernel(state);
	int fd = -1;
	assert_ok(nft_watch_open(&fd, &e));
	assert_false(nft_watch_read(fd, "t"));

	static const char *const own[] = {
		"table inet t { set s { type ipv4_addr; }; chain c { }; }",
		"add rule inet t c accept",
		"add element inet t s { 10.0.0.1 }\ndelete element inet t s { 10.0.0.1 }",
		"add table inet t\ndelete table inet t\ntable inet t { set s { type ipv4_addr; }; chain c { }; }",
	};
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		assert_ok(nft_run(k, -1, own[i], &e));
		assert_true(is_readable(fd));
		assert_false(nft_watch_read(fd, "t"));
		assert_false(nft_watch_read(fd, "t"));
	}

	static const char *const harmless[] = {
		"add table ip t",
		"add table inet tt",
		"add chain ip t c",
		"add rule ip t c accept",
		"add element inet t s { 10.0.0.2 }; delete element inet t s { 10.0.0.3 }",
		"delete table inet tt",
		"delete table ip t"
	};
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
		sandbox_run("nft '%s' 2>/dev/null", harmless[i]);
		assert_false(nft_watch_read(fd, "t"));
	}

	static const char *const foreign[] = {
		"add rule inet t c drop", "flush chain inet t c", "add element inet t s { 10.0.0.4 }",
		"flush set inet t s",	  "delete set inet t s",  "delete chain inet t c",
		"flush ruleset"
	};
	for (size_t i = 0; i < ARRAY_SIZE(foreign); i++) {
		assert_int_equal(sandbox_run("nft '%s'", foreign[i]), 0);
		if (!nft_watch_read(fd, "t"))
			fail_msg("\"%s\" was not seen", foreign[i]);
		assert_false(nft_watch_read(fd, "t"));
	}

	/* Own and foreign changes in one go. */
	assert_ok(nft_run(k, -1, own[0], &e));
	assert_int_equal(sandbox_run("nft delete table inet t"), 0);
	assert_ok(nft_run(k, -1, own[0], &e));
	assert_true(nft_watch_read(fd, "t"));
	close(fd);
}

/* Ten thousand elements of our own are no lost messages; a batch in many parts is one batch. */
static void
test_watch_large(void **state)
{
	struct kernel *k = kernel(state);
	size_t size = 400 * 1000, used = 0;
	char *text CLEANUP(free_ptr) = malloc(size);
	assert_non_null(text);
	used += (size_t)snprintf(text, size, "table inet t { set s { type ipv4_addr; elements = { ");
	for (unsigned i = 0; i < 10000; i++)
		used += (size_t)snprintf(text + used, size - used, "%s10.1.%u.%u", i ? "," : "", i / 250, i % 250);
	snprintf(text + used, size - used, " }; }; }");

	int fd = -1;
	assert_ok(nft_watch_open(&fd, &e));
	assert_ok(nft_run(k, -1, text, &e));
	assert_false(nft_watch_read(fd, "t"));
	assert_ok(nft_run(k, -1, "add table inet t\ndelete table inet t", &e));
	assert_false(nft_watch_read(fd, "t"));
	close(fd);
}

/* Nothing is known of what did not fit. */
static void
test_watch_overrun(void **state)
{
	struct kernel *k = kernel(state);
	int fd = -1;
	assert_ok(nft_watch_open(&fd, &e));
	const int size = 1;
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), errno);
	for (unsigned i = 0; i < 20; i++)
		assert_ok(nft_run(k, -1, "table inet t { set s { type ipv4_addr; elements = { 10.0.0.1 }; }; }", &e));
	assert_true(nft_watch_read(fd, "t"));
	assert_false(nft_watch_read(fd, "t"));
	close(fd);
}

/* Half a batch: the socket is left in its middle. */
static void
test_watch_elsewhere(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	int fd = -1;
	assert_ok(netns_make(k, &n, &e));
	assert_ok(nft_watch_open(&fd, &e));
	assert_int_equal(sandbox_run("nsenter --net=/proc/%d/fd/%d nft add table inet t", getpid(), n.fd), 0);
	assert_ok(nft_run(k, n.fd, "add table inet t", &e));
	assert_false(nft_watch_read(fd, "t"));
	close(fd);
	netns_close(&n);
}

#define NFT_TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_setup, flush)

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		NFT_TEST(test_run),	      NFT_TEST(test_all_or_nothing),
		NFT_TEST(test_errors),	      NFT_TEST(test_without_fds),
		NFT_TEST(test_thread_name),   NFT_TEST(test_at_once),
		NFT_TEST(test_watch),	      NFT_TEST(test_watch_large),
		NFT_TEST(test_watch_overrun), NFT_TEST(test_watch_elsewhere),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
