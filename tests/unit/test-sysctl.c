/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The settings of a namespace: its sysctls, and the number the host knows it by. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "macros.h"

static struct kernel *
kernel(void **state)
{
	return ((struct sandbox *)*state)->kernel;
}

static const char *
inside(const struct netns *n, const char *command)
{
	return sandbox_output("nsenter --net=/proc/%d/fd/%d %s", getpid(), n->fd, command);
}

static void
test_sysctl(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	char *value = NULL;
	assert_ok(netns_make(k, &n, &e));
	assert_ok(netns_sysctl_set(k, &n, "net.ipv4.ip_forward", "1", &e));
	assert_string_equal(inside(&n, "cat /proc/sys/net/ipv4/ip_forward"), "1\n");
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv4/ip_forward"), "0\n");
	assert_ok(netns_sysctl_get(k, &n, "net.ipv4.ip_forward", &value, &e));
	assert_string_equal(value, "1");
	free(value);
	assert_ok(netns_sysctl_get(k, NULL, "net.ipv4.ip_forward", &value, &e));
	assert_string_equal(value, "0");
	free(value);

	assert_ok(netns_sysctl_set(k, NULL, "net.ipv4.conf.lo.forwarding", "1", &e));
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv4/conf/lo/forwarding"), "1\n");
	assert_ok(netns_sysctl_set(k, NULL, "net.ipv4.conf.lo.forwarding", "0", &e));
	assert_ok(netns_sysctl_set(k, &n, "net.ipv4.ip_local_port_range", "2000 3000", &e));
	assert_ok(netns_sysctl_get(k, &n, "net.ipv4.ip_local_port_range", &value, &e));
	assert_string_equal(value, "2000\t3000");
	free(value);
	netns_close(&n);
}

static void
test_sysctl_refused(void **state)
{
	struct kernel *k = kernel(state);
	static const char *const keys[] = { "kernel.hostname", "net/ipv4/ip_forward", "net.ipv4/ip_forward", "",
					    "net" };
	char *value = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		assert_error(ERROR_INVALID_VALUE, "sysctl", netns_sysctl_set(k, NULL, keys[i], "1", &e));
		assert_error(ERROR_INVALID_VALUE, "sysctl", netns_sysctl_get(k, NULL, keys[i], &value, &e));
	}
	char long_key[300] = "net.";
	memset(long_key + 4, 'a', sizeof(long_key) - 5);
	assert_error(ERROR_INVALID_VALUE, "sysctl", netns_sysctl_get(k, NULL, long_key, &value, &e));
	assert_errno(ENOENT, "net.ipv4.no_such", netns_sysctl_set(k, NULL, "net.ipv4.no_such", "1", &e));
	assert_errno(EISDIR, "net.ipv4...", netns_sysctl_set(k, NULL, "net.ipv4...", "1", &e));
	assert_errno(EINVAL, "\"words\"", netns_sysctl_set(k, NULL, "net.ipv4.ip_forward", "words", &e));
	assert_null(value);
}

/* A file bound over a sysctl, or over its directory, is not written to. */
static void
test_sysctl_covered(void **state)
{
	struct kernel *k = kernel(state);
	assert_int_equal(
		sandbox_run(
			"echo untouched > /run/file && mkdir -p /run/dir && echo untouched > /run/dir/forwarding && "
			"mount --bind /run/file /proc/sys/net/ipv4/ip_forward && "
			"mount --bind /run/dir /proc/sys/net/ipv4/conf/lo"),
		0);
	assert_errno(EXDEV, "net.ipv4.ip_forward", netns_sysctl_set(k, NULL, "net.ipv4.ip_forward", "1", &e));
	assert_errno(EXDEV, "lo", netns_sysctl_set(k, NULL, "net.ipv4.conf.lo.forwarding", "1", &e));
	assert_string_equal(sandbox_output("cat /run/file /run/dir/forwarding"), "untouched\nuntouched\n");
	assert_int_equal(
		sandbox_run(
			"umount /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/lo; rm -r /run/file /run/dir"),
		0);

	struct kernel *covered = NULL;
	assert_int_equal(sandbox_run("mount -t tmpfs none /proc/sys/net"), 0);
	assert_error(ERROR_NOT_SUPPORTED, "/proc/sys/net", kernel_open(NULL, &covered, &e));
	assert_int_equal(sandbox_run("umount /proc/sys/net"), 0);
	assert_null(covered);
}

static void
test_host_ipv6(void **state)
{
	struct kernel *k = kernel(state);
	assert_int_equal(sandbox_run("ip link add a.b type bridge"), 0);
	assert_ok(netns_host_ipv6(k, "a.b", false, &e));
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv6/conf/a.b/disable_ipv6"), "1\n");
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv6/conf/lo/disable_ipv6"), "0\n");
	assert_ok(netns_host_ipv6(k, "a.b", true, &e));
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv6/conf/a.b/disable_ipv6"), "0\n");
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv6/conf/a.b/accept_ra"), "0\n");
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv6/conf/a.b/accept_redirects"), "0\n");
	assert_ok(netns_host_ipv6(k, "nothing", false, &e));
	assert_int_equal(sandbox_run("ip link del a.b"), 0);
}

static int
ask_nsid(struct kernel *k, const struct netns *n)
{
	int nsid = -2;
	assert_ok(netns_nsid(k, n, &nsid, &e));
	return nsid;
}

static void
test_nsid(void **state)
{
	struct kernel *k = kernel(state);
	struct netns a = NETNS_INIT, b = NETNS_INIT, c = NETNS_INIT;
	assert_ok(netns_make(k, &a, &e));
	assert_ok(netns_make(k, &b, &e));
	assert_ok(netns_make(k, &c, &e));
	assert_ok(netns_pin(k, "a", a.fd, &e));
	assert_int_equal(ask_nsid(k, &a), -1);

	assert_ok(netns_set_nsid(k, &a, 1234567, &e));
	assert_int_equal(ask_nsid(k, &a), 1234567);
	assert_string_equal(sandbox_output("ip netns list"), "a (id: 1234567)\n");
	assert_ok(netns_set_nsid(k, &a, 1234567, &e));
	assert_ok(netns_set_nsid(k, &a, -1, &e));
	assert_int_equal(ask_nsid(k, &a), 1234567);
	assert_error(ERROR_ALREADY_EXISTS, "1234567", netns_set_nsid(k, &a, 5, &e));
	assert_error(ERROR_NAME_TAKEN, "1234567", netns_set_nsid(k, &b, 1234567, &e));
	assert_int_equal(ask_nsid(k, &b), -1);
	assert_ok(netns_set_nsid(k, &c, -1, &e));
	assert_true(ask_nsid(k, &c) >= 0);

	assert_ok(netns_unpin(k, "a", a.cookie, &e));
	netns_close(&a);
	netns_close(&b);
	netns_close(&c);
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_sysctl),    SANDBOX_TEST(test_sysctl_refused), SANDBOX_TEST(test_sysctl_covered),
		SANDBOX_TEST(test_host_ipv6), SANDBOX_TEST(test_nsid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
