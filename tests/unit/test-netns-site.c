/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The directory of the named namespaces: made once, shared with the host, refused where the host would not see it. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "macros.h"

#define PREPARERS 20

/* The line of the directory's mount without what differs from run to run. */
static const char *
propagation(void)
{
	return sandbox_output("grep ' " NETNS_DIRECTORY
			      " ' /proc/self/mountinfo | grep -o '[a-z]*:[0-9]* - ' | tr -d '0-9 -'");
}

/* Each test starts without the directory. */
static int
setup(void **state)
{
	(void)state;
	sandbox_run("while umount -l " NETNS_DIRECTORY " 2>/dev/null; do :; done; rm -rf " NETNS_DIRECTORY);
	assert_int_equal(sandbox_mounts(NETNS_DIRECTORY), 0);
	return 0;
}

static void
test_made_once(void **state)
{
	(void)state;
	unsigned fds = sandbox_open_fds(), mounts = sandbox_mounts(NULL);
	for (unsigned i = 0; i < 3; i++) {
		struct netns_site *s = NULL;
		assert_ok(netns_site_open(NETNS_DIRECTORY, false, &s, &e));
		assert_string_equal(netns_site_path(s), NETNS_DIRECTORY);
		assert_int_equal(fcntl(netns_site_fd(s), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		netns_site_free(s);
		assert_int_equal(sandbox_mounts(NULL), mounts + 1);
		assert_int_equal(sandbox_open_fds(), fds);
	}
	assert_string_equal(sandbox_output("stat -c %%a " NETNS_DIRECTORY), "755\n");

	/* A peer group of its own: not the one of /run around it. */
	assert_string_equal(propagation(), "shared:\n");
	assert_int_not_equal(sandbox_run("test \"$(grep ' /run ' /proc/self/mountinfo | grep -o 'shared:[0-9]*')\" = "
					 "\"$(grep ' " NETNS_DIRECTORY
					 " ' /proc/self/mountinfo | grep -o 'shared:[0-9]*')\""),
			     0);
	netns_site_free(NULL);
}

static int
prepare_in_steps(void *arg)
{
	(void)arg;
	sandbox_refuse(SYS_open_tree, 2, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH, ENOSYS);
	struct netns_site *s = NULL;
	for (unsigned i = 0; i < 2; i++) {
		assert_ok(netns_site_open(NETNS_DIRECTORY, false, &s, &e));
		netns_site_free(s);
	}
	return 0;
}

/* The same without open_tree(). */
static void
test_made_in_steps(void **state)
{
	(void)state;
	assert_int_equal(sandbox_child(prepare_in_steps, NULL), 0);
	assert_int_equal(sandbox_mounts(NETNS_DIRECTORY), 1);
	assert_string_equal(propagation(), "shared:\n");
	assert_int_equal(sandbox_run("ip netns add one"), 0);
	assert_int_equal(sandbox_mounts(NETNS_DIRECTORY "/one"), 1);
	assert_int_equal(sandbox_run("ip netns del one"), 0);
}

/* One mount per name, also under a shared /run, and seen by iproute2. */
static void
test_one_mount_per_name(void **state)
{
	(void)state;
	struct netns_site *s = NULL;
	struct kernel *k = NULL;
	struct netns n = NETNS_INIT;
	assert_ok(netns_site_open(NETNS_DIRECTORY, false, &s, &e));
	assert_ok(kernel_open(s, &k, &e));
	assert_ok(netns_make(k, &n, &e));
	assert_ok(netns_pin(k, "one", n.fd, &e));
	assert_int_equal(sandbox_mounts(NETNS_DIRECTORY "/one"), 1);
	assert_int_equal(sandbox_run("ip netns add two"), 0);
	assert_int_equal(sandbox_mounts(NETNS_DIRECTORY "/two"), 1);
	assert_int_equal(sandbox_mounts(NETNS_DIRECTORY), 1);
	assert_int_equal(sandbox_run("ip netns del two && ip netns del one"), 0);
	netns_close(&n);
	kernel_close(k);
	netns_site_free(s);
}

/* iproute2 was first: its mount is taken as it is, and doubled mounts go with the name. */
static void
test_made_by_iproute2(void **state)
{
	(void)state;
	struct netns_site *s = NULL;
	struct kernel *k = NULL;
	struct netns n = NETNS_INIT;
	assert_int_equal(sandbox_run("ip netns add first"), 0);
	unsigned mounts = sandbox_mounts(NULL);
	assert_ok(netns_site_open(NETNS_DIRECTORY, false, &s, &e));
	assert_ok(kernel_open(s, &k, &e));
	assert_int_equal(sandbox_mounts(NULL), mounts);

	assert_ok(netns_make(k, &n, &e));
	assert_ok(netns_pin(k, "ours", n.fd, &e));
	assert_shows("ours", "ip netns");
	assert_ok(netns_unpin(k, "ours", n.cookie, &e));
	assert_int_equal(sandbox_mounts(NULL), mounts);
	netns_close(&n);

	assert_ok(netns_open(k, "first", &n, &e));
	assert_ok(netns_unpin(k, "first", n.cookie, &e));
	assert_string_equal(sandbox_output("grep -c nsfs /proc/self/mountinfo; ls -A " NETNS_DIRECTORY), "0\n");
	netns_close(&n);
	kernel_close(k);
	netns_site_free(s);
}

static int
prepare_in_child(void *arg)
{
	(void)arg;
	struct netns_site *s = NULL;
	int err = netns_site_open(NETNS_DIRECTORY, false, &s, NULL);
	netns_site_free(s);
	return err < 0;
}

/* First users who race make one mount between them, iproute2 among them or not. */
static void
race(bool with_iproute2)
{
	int gate[2];
	assert_return_code(pipe2(gate, O_CLOEXEC), errno);
	pid_t pids[PREPARERS];
	for (unsigned i = 0; i < PREPARERS; i++) {
		pids[i] = sandbox_fork();
		if (pids[i] != 0)
			continue;
		char c;
		close(gate[1]);
		if (read(gate[0], &c, 1) != 0)
			_exit(1);
		if (with_iproute2 && i % 2 == 0)
			_exit(sandbox_run("ip netns add race%u", i));
		_exit(prepare_in_child(NULL));
	}
	close(gate[0]);
	close(gate[1]); /* go */
	for (unsigned i = 0; i < PREPARERS; i++) {
		int status;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

static void
test_race(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		race(false);
		assert_int_equal(sandbox_mounts(NETNS_DIRECTORY), 1);
		assert_string_equal(propagation(), "shared:\n");
		setup(NULL);
	}
	for (unsigned i = 0; i < 5; i++) {
		unsigned mounts = sandbox_mounts(NULL);
		race(true);
		assert_int_equal(sandbox_mounts(NETNS_DIRECTORY), 1);
		assert_true(sandbox_mounts(NULL) <= mounts + 1 + 2 * PREPARERS / 2);
		sandbox_run("ip -all netns del");
		setup(NULL);
	}
}

static int
in_private_mounts(void *arg)
{
	const char *expected = arg;
	struct netns_site *s = NULL;
	struct error e = { 0 };
	if (unshare(CLONE_NEWNS) < 0 ||
	    mount("none", "/", "none", MS_REC | (strcmp(expected, "master:") == 0 ? MS_SLAVE : MS_PRIVATE), NULL) < 0)
		return 2;
	unsigned mounts = sandbox_mounts(NULL);
	if (netns_site_open(NETNS_DIRECTORY, false, &s, &e) == 0)
		return 3;
	if (e.code != ERROR_NOT_SUPPORTED || !strstr(e.text, expected) || !strstr(e.text, NETNS_DIRECTORY))
		return 4;
	if (sandbox_mounts(NULL) != mounts)
		return 5;
	if (netns_site_open(NETNS_DIRECTORY, true, &s, &e) < 0 || sandbox_mounts(NETNS_DIRECTORY) != 1)
		return 6;
	netns_site_free(s);
	return 0;
}

static int
in_shared_slave(void *arg)
{
	(void)arg;
	struct netns_site *s = NULL;
	struct error e = { 0 };
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_SLAVE, NULL) < 0 ||
	    mount("none", "/", "none", MS_REC | MS_SHARED, NULL) < 0)
		return 2;
	if (netns_site_open(NETNS_DIRECTORY, false, &s, &e) == 0 || !strstr(e.text, "master:"))
		return 3;
	return 0;
}

/* What the sandboxing of a service makes of the mounts: refused with the cause, before anything is mounted. */
static void
test_would_not_propagate(void **state)
{
	(void)state;
	char slave[] = "master:", private[] = "no \"shared:\"";
	assert_int_equal(sandbox_child(in_private_mounts, slave), 0);
	assert_int_equal(sandbox_child(in_private_mounts, private), 0);
	assert_int_equal(sandbox_child(in_shared_slave, NULL), 0);
	struct netns_site *s = NULL; /* the same with a mount that is there already */
	assert_ok(netns_site_open(NETNS_DIRECTORY, false, &s, &e));
	netns_site_free(s);
	assert_int_equal(sandbox_child(in_private_mounts, slave), 0);
	assert_int_equal(sandbox_child(in_private_mounts, private), 0);
	assert_int_equal(sandbox_child(in_shared_slave, NULL), 0);
}

struct watcher {
	int look, seen;
};

/* A service with a mount namespace of its own that was there before the directory was. */
static int
watch_from_slave(void *arg)
{
	const struct watcher *w = arg;
	char c;
	while (read(w->look, &c, 1) == 1) {
		c = (char)('0' + sandbox_mounts(NETNS_DIRECTORY "/seen"));
		if (write(w->seen, &c, 1) != 1)
			return 1;
	}
	return 0;
}

static char
ask(int look, int seen)
{
	char c = 'x';
	assert_int_equal(write(look, "?", 1), 1);
	assert_int_equal(read(seen, &c, 1), 1);
	return c;
}

static void
test_seen_elsewhere(void **state)
{
	(void)state;
	int look[2], seen[2];
	assert_return_code(pipe2(look, O_CLOEXEC), errno);
	assert_return_code(pipe2(seen, O_CLOEXEC), errno);
	pid_t pid = sandbox_fork();
	if (pid == 0) {
		struct watcher w = { .look = look[0], .seen = seen[1] };
		close(look[1]);
		if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_SLAVE, NULL) < 0)
			_exit(1);
		_exit(watch_from_slave(&w));
	}
	assert_int_equal(ask(look[1], seen[0]), '0');

	struct netns_site *s = NULL;
	struct kernel *k = NULL;
	struct netns n = NETNS_INIT;
	assert_ok(netns_site_open(NETNS_DIRECTORY, false, &s, &e));
	assert_ok(kernel_open(s, &k, &e));
	assert_ok(netns_make(k, &n, &e));
	assert_ok(netns_pin(k, "seen", n.fd, &e));
	assert_int_equal(ask(look[1], seen[0]), '1');
	assert_ok(netns_unpin(k, "seen", n.cookie, &e));
	assert_int_equal(ask(look[1], seen[0]), '0');

	close(look[0]);
	close(look[1]);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(seen[0]);
	close(seen[1]);
	netns_close(&n);
	kernel_close(k);
	netns_site_free(s);
}

static int
lock_for_a_while(int ready)
{
	int fd = open(NETNS_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0 || write(ready, "r", 1) != 1)
		return 1;
	usleep(200 * 1000);
	return 0;
}

/* Somebody holds the lock: waited for when there is something to do, else not even asked for. */
static void
test_lock(void **state)
{
	(void)state;
	assert_return_code(mkdir(NETNS_DIRECTORY, 0755), errno);
	int ready[2];
	char c;
	assert_return_code(pipe2(ready, O_CLOEXEC), errno);
	pid_t pid = sandbox_fork();
	if (pid == 0)
		_exit(lock_for_a_while(ready[1]));
	assert_int_equal(read(ready[0], &c, 1), 1);

	struct netns_site *s = NULL;
	assert_ok(netns_site_open(NETNS_DIRECTORY, false, &s, &e));
	netns_site_free(s);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);

	int fd = open(NETNS_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(flock(fd, LOCK_EX), errno);
	assert_ok(netns_site_open(NETNS_DIRECTORY, false, &s, &e));
	netns_site_free(s);

	setup(NULL); /* no mount any more, and the lock is kept on what will be the directory again */
	close(fd);
	assert_return_code(mkdir(NETNS_DIRECTORY, 0755), errno);
	fd = open(NETNS_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(flock(fd, LOCK_EX), errno);
	assert_error(ERROR_TIMED_OUT, "kept " NETNS_DIRECTORY " locked",
		     netns_site_open(NETNS_DIRECTORY, false, &s, &e));
	close(fd);
}

static void
test_no_directory(void **state)
{
	(void)state;
	struct netns_site *s = NULL;
	unsigned mounts = sandbox_mounts(NULL);
	assert_int_equal(sandbox_run("touch " NETNS_DIRECTORY), 0);
	assert_error(ERROR_KERNEL, NETNS_DIRECTORY, netns_site_open(NETNS_DIRECTORY, false, &s, &e));
	assert_int_equal(sandbox_run("rm " NETNS_DIRECTORY " && mkdir /run/other && ln -s other " NETNS_DIRECTORY), 0);
	assert_error(ERROR_KERNEL, NETNS_DIRECTORY, netns_site_open(NETNS_DIRECTORY, false, &s, &e));
	assert_int_equal(sandbox_run("rm " NETNS_DIRECTORY " && rmdir /run/other"), 0);
	assert_error(ERROR_KERNEL, "/run/no/such", netns_site_open("/run/no/such", false, &s, &e));
	assert_null(s);
	assert_int_equal(sandbox_mounts(NULL), mounts);
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_made_once, setup),
		cmocka_unit_test_setup(test_made_in_steps, setup),
		cmocka_unit_test_setup(test_one_mount_per_name, setup),
		cmocka_unit_test_setup(test_made_by_iproute2, setup),
		cmocka_unit_test_setup(test_race, setup),
		cmocka_unit_test_setup(test_would_not_propagate, setup),
		cmocka_unit_test_setup(test_seen_elsewhere, setup),
		cmocka_unit_test_setup(test_lock, setup),
		cmocka_unit_test_setup(test_no_directory, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
