/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Namespaces made, pinned, looked at, opened and unpinned, among things that others have put in their place. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
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
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 || write_file("/proc/self/uid_map", "0 0 1") < 0 ||
	    write_file("/proc/sys/user/max_net_namespaces", "1") < 0)
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
	assert_int_equal(sandbox_child(make_over_limit, NULL), 0);
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

/* Everything but a namespace, planted where a name would be; /run/victim is what must not be touched. */
static const struct {
	const char *name, *plant;
} planted[] = {
	{ "plain", "echo hello > %s" },
	{ "link", "ln -s ../victim %s" },
	{ "file-link", "ln -s ../victim/file %s" },
	{ "dangling", "ln -s /no/such/thing %s" },
	{ "link-to-namespace", "ln -s /proc/self/ns/net %s" },
	{ "directory", "mkdir %s" },
	{ "fifo", "mkfifo %s" },
	{ "device", "mknod %s c 1 3" },
	{ "socket", "python3 -c 'import socket,sys;socket.socket(socket.AF_UNIX).bind(sys.argv[1])' %s" },
	{ "uts", "touch %s && mount --bind /proc/self/ns/uts %s" },
	{ "covered", "touch %s && mount --bind /run/victim/empty %s" },
	{ "covered-directory", "mkdir %s && mount --bind /run/victim %s" },
};

static const char *
describe_site(void)
{
	static char text[8192];
	snprintf(text, sizeof(text), "%s",
		 sandbox_output("ls -lAi --time-style=full-iso " NETNS_DIRECTORY " /run/victim; cat " AT(
			 "plain") " /run/victim/file; "
				  "grep -e " NETNS_DIRECTORY " -e victim /proc/self/mountinfo"));
	return text;
}

static void
test_planted_things(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT, out = NETNS_INIT;
	assert_ok(netns_make(k, &n, &e));
	assert_int_equal(sandbox_run("mkdir /run/victim && mount -t tmpfs victim /run/victim && "
				     "echo precious > /run/victim/file && touch /run/victim/empty"),
			 0);
	for (size_t i = 0; i < ARRAY_SIZE(planted); i++) {
		char command[256], path[64];
		snprintf(path, sizeof(path), "p=%s/%s; ", NETNS_DIRECTORY, planted[i].name);
		snprintf(command, sizeof(command), "%s", planted[i].plant);
		for (char *p; (p = strstr(command, "%s"));) /* the shell puts the path in */
			memcpy(p, "$p", 2);
		if (sandbox_run("%s%s", path, command) != 0)
			fail_msg("cannot plant %s", planted[i].name);
	}

	char before[8192];
	snprintf(before, sizeof(before), "%s", describe_site());
	for (size_t i = 0; i < ARRAY_SIZE(planted); i++) {
		uint64_t cookie;
		const char *name = planted[i].name;
		assert_int_equal(probe(k, name, &cookie), NETNS_OTHER);
		assert_error(ERROR_FOREIGN, name, netns_open(k, name, &out, &e));
		assert_error(ERROR_NAME_TAKEN, name, netns_pin(k, name, n.fd, &e));
		assert_error(ERROR_FOREIGN, name, netns_unpin(k, name, 0, &e));
		assert_error(ERROR_FOREIGN, name, netns_unpin(k, name, n.cookie, &e));
	}
	assert_string_equal(describe_site(), before);
	assert_int_equal(out.fd, -1);
	netns_close(&n);
	assert_int_equal(sandbox_run("cd " NETNS_DIRECTORY " && umount uts covered covered-directory && rm -r * && "
				     "umount /run/victim && rmdir /run/victim"),
			 0);
}

/* What a crash between the two steps of pinning leaves. */
static void
test_placeholder(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	uint64_t cookie;
	assert_int_equal(sandbox_run("touch " AT("left") " && chmod 0 " AT("left")), 0);
	assert_int_equal(probe(k, "left", &cookie), NETNS_PLACEHOLDER);
	assert_error(ERROR_NOT_FOUND, "no namespace is mounted", netns_open(k, "left", &n, &e));
	assert_ok(netns_make(k, &n, &e));
	assert_error(ERROR_NAME_TAKEN, "left", netns_pin(k, "left", n.fd, &e));
	assert_error(ERROR_FOREIGN, "empty file", netns_unpin(k, "left", n.cookie, &e));
	assert_ok(netns_unpin(k, "left", 0, &e));
	assert_int_equal(probe(k, "left", &cookie), NETNS_ABSENT);
	netns_close(&n);
}

static void
test_other_cookie(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	make_and_pin(k, "mine", &n);
	assert_error(ERROR_FOREIGN, "another network namespace", netns_unpin(k, "mine", n.cookie + 1, &e));
	assert_error(ERROR_FOREIGN, "another network namespace", netns_unpin(k, "mine", 0, &e));
	assert_int_equal(sandbox_mounts(AT("mine")), 1);
	assert_ok(netns_unpin(k, "mine", n.cookie, &e));
	netns_close(&n);
}

/* The same namespace mounted several times goes with one call; another one, above or below, stays. */
static void
test_stacked_mounts(void **state)
{
	struct kernel *k = kernel(state);
	struct netns ours = NETNS_INIT, other = NETNS_INIT;
	uint64_t cookie;
	make_and_pin(k, "s", &ours);
	assert_int_equal(sandbox_run("mount --bind " AT("s") " " AT("s") "; mount --bind " AT("s") " " AT("s")), 0);
	assert_true(sandbox_mounts(AT("s")) >= 3);
	assert_ok(netns_unpin(k, "s", ours.cookie, &e));
	assert_int_equal(probe(k, "s", &cookie), NETNS_ABSENT);

	make_and_pin(k, "o", &other);
	assert_ok(netns_pin(k, "s", ours.fd, &e));
	assert_int_equal(sandbox_run("mount --bind " AT("o") " " AT("s")), 0);
	assert_error(ERROR_FOREIGN, "another network namespace", netns_unpin(k, "s", ours.cookie, &e));
	assert_int_equal(sandbox_mounts(AT("s")), 2);
	assert_error(ERROR_FOREIGN, "is an empty file",
		     sandbox_run("umount " AT("s") " && umount " AT("s")) ? -1 : netns_unpin(k, "s", ours.cookie, &e));
	assert_ok(netns_unpin(k, "s", 0, &e));

	assert_ok(netns_pin(k, "s", other.fd, &e));
	assert_int_equal(sandbox_run("mount --bind /proc/%d/fd/%d " AT("s"), getpid(), ours.fd), 0);
	assert_error(ERROR_FOREIGN, "another network namespace", netns_unpin(k, "s", ours.cookie, &e));
	assert_int_equal(probe(k, "s", &cookie), NETNS_MOUNTED);
	assert_true(cookie == other.cookie);
	assert_ok(netns_unpin(k, "s", other.cookie, &e));
	assert_ok(netns_unpin(k, "o", other.cookie, &e));
	netns_close(&ours);
	netns_close(&other);
}

static int
keep_private_copy(void *arg)
{
	const int *pipes = arg;
	char c;
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0)
		return 1;
	if (write(pipes[1], "r", 1) != 1 || read(pipes[2], &c, 1) != 1)
		return 2;
	return sandbox_mounts(AT("held")) == 0 ? 0 : 3;
}

/* An fd opened through the mount, a process inside, a copy in another mount namespace: none of them keeps the name. */
static void
test_unpin_held(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	make_and_pin(k, "held", &n);
	int fd = open(AT("held"), O_RDONLY | O_CLOEXEC), process = sandbox_start(n.fd), pipes[4];
	assert_return_code(fd, errno);
	assert_return_code(pipe2(pipes, O_CLOEXEC), errno);
	assert_return_code(pipe2(pipes + 2, O_CLOEXEC), errno);
	pid_t copy = fork();
	assert_true(copy >= 0);
	if (copy == 0)
		_exit(keep_private_copy(pipes));
	char c;
	assert_int_equal(read(pipes[0], &c, 1), 1);

	assert_ok(netns_unpin(k, "held", n.cookie, &e));
	assert_int_equal(sandbox_mounts(AT("held")), 0);
	assert_int_equal(write(pipes[3], "g", 1), 1);
	int status;
	assert_int_equal(waitpid(copy, &status, 0), copy);
	assert_int_equal(status, 0);
	close(fd);
	sandbox_end(process);
	for (size_t i = 0; i < ARRAY_SIZE(pipes); i++)
		close(pipes[i]);
	netns_close(&n);
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
		SANDBOX_TEST(test_make),           SANDBOX_TEST(test_make_fails),
		SANDBOX_TEST(test_pin_and_open),   SANDBOX_TEST(test_pin_fails),
		SANDBOX_TEST(test_planted_things), SANDBOX_TEST(test_placeholder),
		SANDBOX_TEST(test_other_cookie),   SANDBOX_TEST(test_stacked_mounts),
		SANDBOX_TEST(test_unpin_held),     SANDBOX_TEST(test_same_name_again),
		SANDBOX_TEST(test_list),           SANDBOX_TEST(test_under_seccomp),
		SANDBOX_TEST(test_boot_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
