/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names in the directory that are not, or not only, ours: whatever others put there stays as it is. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "macros.h"

#define AT(name) NETNS_DIRECTORY "/" name

static struct kernel *
kernel(void **state)
{
	return ((struct sandbox *)*state)->kernel;
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
	{ "socket", NULL },
	{ "uts", "touch %s && mount --bind /proc/self/ns/uts %s" },
	{ "covered", "touch %s && mount --bind /run/victim/empty %s" },
	{ "covered-directory", "mkdir %s && mount --bind /run/victim %s" },
};

static void
plant_socket(void)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = AT("socket") };
	CLEANUP(close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_return_code(bind(fd, (const struct sockaddr *)&address, sizeof(address)), errno);
}

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
		if (!planted[i].plant) {
			plant_socket();
			continue;
		}
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
	pid_t copy = sandbox_fork();
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

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_planted_things), SANDBOX_TEST(test_placeholder), SANDBOX_TEST(test_other_cookie),
		SANDBOX_TEST(test_stacked_mounts), SANDBOX_TEST(test_unpin_held),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
