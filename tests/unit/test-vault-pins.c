/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pins of the vault: they hold namespaces, outlive their maker, cost the host nothing and go without a trace. */
#include "config.h"

#include "vault-sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "macros.h"

#define MANY 1500

static int
pin_and_die(void *arg)
{
	struct vault_errand a = { .fn = pin_n, .n = *(unsigned *)arg };
	go_inside(&a);
	raise(SIGKILL);
	return 0;
}

static int
end_the_walk(const char *name, uint64_t inode, void *arg)
{
	count_pin(name, inode, arg);
	return -ECANCELED;
}

static void
test_survives(void **state)
{
	(void)state;
	unsigned n = 10, seen = 0;
	assert_int_equal(sandbox_child(pin_and_die, &n), 128 + SIGKILL);

	bool fresh = true;
	unsigned fds = sandbox_open_fds();
	struct vault_inodes all = { 0 };
	assert_ok(vault_open(VAULT_DIRECTORY, &all.vault, &fresh, &e));
	assert_false(fresh);
	assert_ok(vault_list(all.vault, check_inode, &all, &e));
	assert_int_equal(all.n, n);
	assert_int_equal(vault_list(all.vault, end_the_walk, &seen, NULL), -ECANCELED);
	assert_int_equal(seen, 1);
	vault_free(all.vault);
	assert_int_equal(sandbox_open_fds(), fds);
}

/* Microseconds that a copy of the mounts takes; the best of some. */
static double
time_unshare(void)
{
	double best = 1e9;
	for (unsigned i = 0; i < 20; i++) {
		int result[2];
		double t = 0;
		assert_return_code(pipe2(result, O_CLOEXEC), errno);
		pid_t pid = sandbox_fork();
		if (pid == 0) {
			struct timespec a, b;
			clock_gettime(CLOCK_MONOTONIC, &a);
			if (unshare(CLONE_NEWNS) < 0)
				_exit(1);
			clock_gettime(CLOCK_MONOTONIC, &b);
			t = (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
			_exit(write(result[1], &t, sizeof(t)) != sizeof(t));
		}
		assert_int_equal(read(result[0], &t, sizeof(t)), sizeof(t));
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		close(result[0]);
		close(result[1]);
		best = t < best ? t : best;
	}
	return best;
}

static void
test_no_burden(void **state)
{
	(void)state;
	unsigned mounts = sandbox_mounts(NULL);
	double before = time_unshare();
	in_vault(pin_n, MANY);
	assert_int_equal(sandbox_mounts(NULL), mounts + VAULT_HOST_MOUNTS);
	double after = time_unshare();
	if (after > 2 * before + 100)
		fail_msg("a copy of the mounts took %.0f us before and takes %.0f us now", before, after);
	in_vault(unpin_n, MANY);
	in_vault(check_whole, 0);
	assert_int_equal(sandbox_mounts(NULL), mounts + VAULT_HOST_MOUNTS);
}

/* A veth from here into a namespace. */
static void
add_veth(const char *name, int netns_fd)
{
	int pid = sandbox_start(netns_fd);
	assert_int_equal(sandbox_run("ip link add %s type veth peer name eth0 netns %d", name, pid), 0);
	sandbox_end(pid);
}

static int
add_veths(void *arg)
{
	(void)arg;
	struct inside i = { 0 };
	open_vault(&i);
	for (unsigned j = 0; j < 3; j++) {
		char name[IF_NAMESIZE];
		int fd = -1;
		assert_ok(vault_open_pin(i.vault, pin_name(j), &fd, &e));
		snprintf(name, sizeof(name), "veth-%u", j);
		add_veth(name, fd);
		close(fd);
	}
	close_vault(&i);
	return 0;
}

static void
unpin_some(struct inside *i)
{
	static const char *const names[] = { "never.1", "net.0", "net.2", "net.0", "never.2" };
	assert_ok(vault_unpin(i->vault, names, ARRAY_SIZE(names), &e));
	assert_int_equal(count_pins(i->vault), 1);
	check_whole(i);
	/* while this process lives */
	await_interface("veth-0", false);
	await_interface("veth-2", false);
	await_interface("veth-1", true);
}

static void
unpin_one(struct inside *i)
{
	const char *one = "net.1";
	assert_ok(vault_unpin(i->vault, &one, 1, &e));
	await_interface("veth-1", false);
	assert_int_equal(count_pins(i->vault), 0);
	assert_ok(vault_unpin(i->vault, &one, 1, &e));
	assert_ok(vault_unpin(i->vault, NULL, 0, &e));
	check_whole(i);
}

/* A namespace lives as long as its pin, and no longer. */
static void
test_pins_hold(void **state)
{
	(void)state;
	in_vault(pin_n, 3);
	assert_int_equal(sandbox_child(add_veths, NULL), 0);
	usleep(100 * 1000);
	for (unsigned i = 0; i < 3; i++) {
		char name[IF_NAMESIZE];
		snprintf(name, sizeof(name), "veth-%u", i);
		await_interface(name, true);
	}
	in_vault(unpin_some, 0);
	in_vault(unpin_one, 0);
}

static void
make_mistakes(struct inside *i)
{
	struct netns n = NETNS_INIT;
	int fd = -1, mnt = openat(i->proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	const char *bad[] = { "fine", "a/b" };
	assert_ok(netns_make(i->kernel, &n, &e));
	assert_ok(vault_pin(i->vault, "one", n.fd, &e));
	unsigned fds = count_fds(0);
	assert_error(ERROR_NAME_TAKEN, "one", vault_pin(i->vault, "one", n.fd, &e));
	assert_error(ERROR_INVALID_VALUE, "two", vault_pin(i->vault, "two", i->proc, &e));
	assert_error(ERROR_INVALID_VALUE, "two", vault_pin(i->vault, "two", mnt, &e));
	assert_error(ERROR_INVALID_VALUE, "a/b", vault_pin(i->vault, "a/b", n.fd, &e));
	assert_error(ERROR_INVALID_VALUE, "..", vault_pin(i->vault, "..", n.fd, &e));
	assert_error(ERROR_INVALID_VALUE, "a/b", vault_unpin(i->vault, bad, 2, &e));
	assert_error(ERROR_INVALID_VALUE, "..", vault_open_pin(i->vault, "..", &fd, &e));
	assert_error(ERROR_NOT_FOUND, "two", vault_open_pin(i->vault, "two", &fd, &e));
	assert_int_equal(fd, -1);
	assert_int_equal(count_pins(i->vault), 1);

	/* A name is used again. */
	for (unsigned j = 0; j < 3; j++) {
		const char *one = "one";
		assert_ok(vault_unpin(i->vault, &one, 1, &e));
		assert_error(ERROR_NOT_FOUND, "one", vault_open_pin(i->vault, "one", &fd, &e));
		assert_ok(vault_pin(i->vault, "one", n.fd, &e));
	}
	check_whole(i);
	assert_int_equal(count_fds(0), fds);
	netns_close(&n);
	close(mnt);
}

static int
work_outside(void *arg)
{
	(void)arg;
	struct inside i = { 0 };
	const char *one = "one";
	open_vault(&i);
	assert_error(ERROR_INTERNAL, "not in the vault", vault_pin(i.vault, "one", kernel_netns_fd(i.kernel), &e));
	assert_error(ERROR_INTERNAL, "not in the vault", vault_unpin(i.vault, &one, 1, &e));
	assert_error(ERROR_INTERNAL, "not in the vault", vault_publish(i.vault, &e));
	assert_int_equal(count_pins(i.vault), 1);
	close_vault(&i);
	return 0;
}

static void
test_mistakes(void **state)
{
	(void)state;
	in_vault(make_mistakes, 0);
	assert_int_equal(sandbox_child(work_outside, NULL), 0);

	struct vault *v = NULL;
	bool fresh;
	assert_error(ERROR_KERNEL, "/run/no/such", vault_open("/run/no/such", &v, &fresh, &e));
	assert_null(v);
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_survives, vault_setup),
		cmocka_unit_test_setup(test_no_burden, vault_setup),
		cmocka_unit_test_setup(test_pins_hold, vault_setup),
		cmocka_unit_test_setup(test_mistakes, vault_setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
