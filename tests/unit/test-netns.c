/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Namespaces made, pinned, looked at, opened and unpinned, by one thread or several. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "macros.h"

#define AT(name) NETNS_DIRECTORY "/" name

static struct kernel *
kernel(void **state)
{
	return ((struct sandbox *)*state)->kernel;
}

/* The namespace the thread is in, as the kernel writes it. */
static void
read_current(char ret[64])
{
	ssize_t n = readlink("/proc/thread-self/ns/net", ret, 63);
	assert_true(n > 0);
	ret[n] = '\0';
}

static void
assert_at_home(const char *home)
{
	char now[64];
	read_current(now);
	assert_string_equal(now, home);
}

static enum netns_file
probe(struct kernel *k, const char *name, uint64_t *cookie)
{
	enum netns_file file = NETNS_OTHER;
	*cookie = 0;
	assert_ok(netns_probe(k, name, &file, cookie, &e));
	return file;
}

static void
make_and_pin(struct kernel *k, const char *name, struct netns *n)
{
	assert_ok(netns_make(k, n, &e));
	assert_ok(netns_pin(k, name, n->fd, &e));
}

static void
test_make(void **state)
{
	struct kernel *k = kernel(state);
	struct netns a = NETNS_INIT, b = NETNS_INIT;
	char home[64];
	read_current(home);
	assert_ok(netns_make(k, &a, &e));
	assert_at_home(home);
	assert_ok(netns_make(k, &b, &e));
	assert_true(a.cookie != 0 && b.cookie != 0 && b.cookie != a.cookie);
	assert_true(kernel_cookie(k) != 0 && kernel_cookie(k) != a.cookie);
	assert_int_equal(fcntl(a.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_non_null(a.rtnl);

	struct rtnl *r = NULL;
	assert_ok(netns_rtnl(k, &a, &r, &e));
	assert_ptr_equal(r, a.rtnl);
	link_put_up(r, 1, true, "lo");
	assert_ok(rtnl_send(r, &e));
	assert_shows("UP", "nsenter --net=/proc/%d/fd/%d ip -j link show lo", getpid(), a.fd);
	assert_hides("\"UP\"", "nsenter --net=/proc/%d/fd/%d ip -j link show lo", getpid(), b.fd);
	assert_hides("\"UP\"", "ip -j link show lo");

	netns_close(&a);
	netns_close(&a);
	assert_int_equal(a.fd, -1);
	netns_close(&b);
	kernel_close(NULL);
}

static int
write_file(const char *path, const char *text)
{
	CLEANUP(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

static int
make_over_limit(void *arg)
{
	struct kernel *k = NULL;
	struct netns n = NETNS_INIT;
	struct error e = { 0 };
	(void)arg;
	/* A user namespace has limits of its own, so the machine's is not touched. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 77; /* the host forbids it, or a sanitizer runs a thread of its own */
	if (write_file("/proc/self/uid_map", "0 0 1") < 0 || write_file("/proc/sys/user/max_net_namespaces", "1") < 0)
		return 1;
	if (kernel_open(NULL, &k, &e) < 0)
		return 2;
	int err = netns_make(k, &n, &e);
	kernel_close(k);
	return err == -ENOSPC && e.code == ERROR_LIMIT_EXCEEDED && n.fd == -1 ? 0 : 3;
}

/* Each file descriptor that is missing on the way: an error, no leak, and the thread is home again. */
static void
test_make_fails(void **state)
{
	struct kernel *k = kernel(state);
	char home[64];
	read_current(home);
	struct rlimit limit;
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC); /* the lowest free number */
	close(next);

	unsigned fds = sandbox_open_fds();
	for (unsigned spare = 0; spare < 2; spare++) {
		struct netns n = NETNS_INIT;
		struct error e = { 0 };
		struct rlimit low = { .rlim_cur = (rlim_t)next + spare, .rlim_max = limit.rlim_max };
		assert_return_code(setrlimit(RLIMIT_NOFILE, &low), errno);
		int err = netns_make(k, &n, &e);
		assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
		assert_int_equal(err, -EMFILE);
		assert_int_equal(e.code, ERROR_LIMIT_EXCEEDED);
		assert_int_equal(n.fd, -1);
		assert_at_home(home);
		assert_int_equal(sandbox_open_fds(), fds);
	}
	int status = sandbox_child(make_over_limit, NULL);
	assert_true(status == 0 || status == 77);
}

static void
test_pin_and_open(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT, again = NETNS_INIT;
	uint64_t cookie;
	char home[64];
	read_current(home);
	assert_int_equal(probe(k, "blue", &cookie), NETNS_ABSENT);
	make_and_pin(k, "blue", &n);
	assert_int_equal(sandbox_mounts(AT("blue")), 1);
	assert_string_equal(sandbox_output("ip netns list"), "blue\n");
	assert_int_equal(sandbox_run("ip netns exec blue true"), 0);
	assert_int_equal(probe(k, "blue", &cookie), NETNS_MOUNTED);
	assert_true(cookie == n.cookie);

	struct stat one, two;
	assert_ok(netns_open(k, "blue", &again, &e));
	assert_true(again.cookie == n.cookie);
	assert_null(again.rtnl);
	assert_return_code(fstat(n.fd, &one), errno);
	assert_return_code(fstat(again.fd, &two), errno);
	assert_true(one.st_ino == two.st_ino);
	assert_int_equal(fcntl(again.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	struct rtnl *r = NULL;
	assert_ok(netns_rtnl(k, &again, &r, &e));
	link_put_up(r, 1, true, "lo");
	assert_ok(rtnl_send(r, &e));
	assert_shows("\"UP\"", "ip -n blue -j link show lo");
	netns_close(&again);

	assert_error(ERROR_NAME_TAKEN, AT("blue"), netns_pin(k, "blue", n.fd, &e));
	assert_int_equal(sandbox_mounts(AT("blue")), 1);
	assert_ok(netns_unpin(k, "blue", n.cookie, &e));
	assert_int_equal(sandbox_mounts(AT("blue")), 0);
	assert_ok(netns_unpin(k, "blue", n.cookie, &e));
	assert_ok(netns_unpin(k, "blue", 0, &e));
	assert_error(ERROR_NOT_FOUND, AT("blue"), netns_open(k, "blue", &again, &e));
	assert_int_equal(again.fd, -1);
	assert_at_home(home);
	netns_close(&n);
}

static void
test_pin_fails(void **state)
{
	struct kernel *k = kernel(state);
	static const char *const bad[] = { "", ".", "..", "a/b", "/", "../x" };
	enum netns_file file;
	uint64_t cookie;
	struct netns n = NETNS_INIT;
	char long_name[NAME_MAX + 2];
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	for (size_t i = 0; i <= ARRAY_SIZE(bad); i++) {
		const char *name = i < ARRAY_SIZE(bad) ? bad[i] : long_name;
		assert_error(ERROR_INVALID_VALUE, "file name", netns_pin(k, name, 0, &e));
		assert_error(ERROR_INVALID_VALUE, "file name", netns_unpin(k, name, 0, &e));
		assert_error(ERROR_INVALID_VALUE, "file name", netns_probe(k, name, &file, &cookie, &e));
		assert_error(ERROR_INVALID_VALUE, "file name", netns_open(k, name, &n, &e));
	}
	assert_error(ERROR_KERNEL, AT("x"), netns_pin(k, "x", -1, &e));
	assert_string_equal(sandbox_output("ls -A " NETNS_DIRECTORY), "");
	assert_ok(netns_probe(k, "\xff\xfe with blank", &file, &cookie, &e));
	assert_int_equal(file, NETNS_ABSENT);
}

/* The inode comes again, the cookie does not. */
static void
test_same_name_again(void **state)
{
	struct kernel *k = kernel(state);
	uint64_t seen[100] = { 0 }, last = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(seen); i++) {
		struct netns n = NETNS_INIT;
		uint64_t cookie;
		make_and_pin(k, "again", &n);
		for (unsigned j = 0; j < i; j++)
			assert_true(n.cookie != seen[j]);
		seen[i] = n.cookie;
		assert_int_equal(probe(k, "again", &cookie), NETNS_MOUNTED);
		assert_true(cookie == n.cookie);
		if (last != 0)
			assert_error(ERROR_FOREIGN, "another network namespace", netns_unpin(k, "again", last, &e));
		assert_ok(netns_unpin(k, "again", n.cookie, &e));
		last = n.cookie;
		netns_close(&n);
	}
}

static void
test_check(void **state)
{
	struct sandbox *s = *state;
	assert_ok(kernel_check(s->site, &e));
}

struct names {
	unsigned n, stop_after;
	char all[256];
};

static int
collect_name(const char *name, void *arg)
{
	struct names *names = arg;
	strcat(strcat(names->all, name), ",");
	return ++names->n == names->stop_after ? -ECANCELED : 0;
}

static void
test_list(void **state)
{
	struct sandbox *s = *state;
	struct names names = { 0 };
	assert_ok(netns_list(s->site, collect_name, &names, &e));
	assert_int_equal(names.n, 0);
	assert_int_equal(sandbox_run("touch " AT("a") " " AT("'b c'") " " AT(".hidden")), 0);
	assert_ok(netns_list(s->site, collect_name, &names, &e));
	assert_int_equal(names.n, 3);
	assert_non_null(strstr(names.all, "a,"));
	assert_non_null(strstr(names.all, "b c,"));
	assert_non_null(strstr(names.all, ".hidden,"));
	names = (struct names){ .stop_after = 2 };
	assert_int_equal(netns_list(s->site, collect_name, &names, NULL), -ECANCELED);
	assert_int_equal(names.n, 2);
	assert_int_equal(sandbox_run("rm " AT("a") " " AT("'b c'") " " AT(".hidden")), 0);
}

struct worker {
	struct netns_site *site;
	unsigned number;
	uint64_t cookies[30];
	bool done;
};

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct kernel *k = NULL;
	if (kernel_open(w->site, &k, NULL) < 0)
		return NULL;
	uint64_t home = kernel_cookie(k);
	unsigned i;
	for (i = 0; i < ARRAY_SIZE(w->cookies); i++) {
		struct netns n = NETNS_INIT, again = NETNS_INIT;
		char name[32];
		snprintf(name, sizeof(name), "w%u-%u", w->number, i);
		if (netns_make(k, &n, NULL) < 0 || netns_pin(k, name, n.fd, NULL) < 0 ||
		    netns_open(k, name, &again, NULL) < 0 || again.cookie != n.cookie)
			break;
		w->cookies[i] = n.cookie;
		netns_close(&again);
		netns_close(&n);
		if (netns_unpin(k, name, w->cookies[i], NULL) < 0)
			break;
	}
	struct kernel *now = NULL; /* is the thread at home? */
	w->done = i == ARRAY_SIZE(w->cookies) && kernel_open(w->site, &now, NULL) == 0 && kernel_cookie(now) == home;
	kernel_close(now);
	kernel_close(k);
	return w;
}

/* Threads at work side by side do not meet in each other's namespaces. */
static void
test_threads(void **state)
{
	struct sandbox *s = *state;
	struct worker workers[4] = { 0 };
	pthread_t threads[ARRAY_SIZE(workers)];
	for (unsigned i = 0; i < ARRAY_SIZE(workers); i++) {
		workers[i] = (struct worker){ .site = s->site, .number = i };
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(workers); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(workers[i].done);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(workers[0].cookies); i++)
		for (unsigned j = 1; j < ARRAY_SIZE(workers); j++)
			assert_true(workers[0].cookies[i] != workers[j].cookies[i]);
}

static int
work_sandboxed(void *arg)
{
	struct kernel *k = arg;
	struct netns n = NETNS_INIT, again = NETNS_INIT;
	uint64_t cookie;
	enum netns_file file;
	sandbox_refuse(SYS_setns, 1, 0, EPERM); /* as RestrictNamespaces=net does */
	char *value = NULL;
	if (netns_make(k, &n, NULL) < 0 || netns_pin(k, "boxed", n.fd, NULL) < 0)
		return 1;
	if (netns_probe(k, "boxed", &file, &cookie, NULL) < 0 || cookie != n.cookie)
		return 2;
	if (netns_open(k, "boxed", &again, NULL) < 0 ||
	    netns_sysctl_get(k, &n, "net.ipv4.ip_forward", &value, NULL) < 0)
		return 3;
	return netns_unpin(k, "boxed", n.cookie, NULL) < 0 ? 4 : 0;
}

static void
test_under_seccomp(void **state)
{
	assert_int_equal(sandbox_child(work_sandboxed, kernel(state)), 0);
}

static int
pin_without_open_tree(void *arg)
{
	struct kernel *k = arg;
	struct netns n = NETNS_INIT;
	sandbox_refuse(SYS_open_tree, 2, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH, ENOSYS);
	make_and_pin(k, "plain", &n);
	assert_int_equal(sandbox_mounts(AT("plain")), 1);
	assert_int_equal(sandbox_run("ip netns exec plain true"), 0);
	assert_error(ERROR_KERNEL, AT("x"), netns_pin(k, "x", -1, &e));
	assert_ok(netns_unpin(k, "plain", n.cookie, &e));
	return 0;
}

static void
test_without_open_tree(void **state)
{
	assert_int_equal(sandbox_child(pin_without_open_tree, kernel(state)), 0);
}

static void
test_boot_id(void **state)
{
	(void)state;
	char id[37], expected[64];
	assert_ok(boot_id_read(id, &e));
	snprintf(expected, sizeof(expected), "%s\n", id);
	assert_string_equal(sandbox_output("cat /proc/sys/kernel/random/boot_id"), expected);
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_make),
		SANDBOX_TEST(test_make_fails),
		SANDBOX_TEST(test_pin_and_open),
		SANDBOX_TEST(test_pin_fails),
		SANDBOX_TEST(test_same_name_again),
		SANDBOX_TEST(test_check),
		SANDBOX_TEST(test_list),
		SANDBOX_TEST(test_threads),
		SANDBOX_TEST(test_under_seccomp),
		SANDBOX_TEST(test_without_open_tree),
		SANDBOX_TEST(test_boot_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
