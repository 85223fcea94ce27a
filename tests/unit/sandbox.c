/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A place of its own in the kernel for a test, and eyes that are not nsd's. */
#include "config.h"

#include "sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>

#include "macros.h"

#define SKIPPED 77

static void
need(int result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(errno == EPERM ? SKIPPED : 1);
}

void
sandbox_enter(void)
{
	if (geteuid() != 0) {
		fprintf(stderr, "these tests make namespaces and need root\n");
		exit(SKIPPED);
	}
	need(unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare");
	need(mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL), "make mounts private");
	need(mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755"), "mount /run");
	need(mount("none", "/run", "none", MS_SHARED, NULL), "share /run");
	umask(022);
}

unsigned
sandbox_open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	unsigned n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

unsigned
sandbox_mounts(const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	assert_non_null(f);
	char line[4096], point[2048];
	unsigned n = 0;
	while (fgets(line, sizeof(line), f))
		n += !path || (sscanf(line, "%*s %*s %*s %*s %2047s", point) == 1 && strcmp(point, path) == 0);
	fclose(f);
	return n;
}

int
sandbox_setup(void **state)
{
	struct sandbox *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	s->fds = sandbox_open_fds();
	assert_ok(netns_site_open(NETNS_DIRECTORY, false, &s->site, &e));
	assert_ok(kernel_open(s->site, &s->kernel, &e));
	*state = s;
	return 0;
}

static unsigned
count_interfaces(void)
{
	struct if_nameindex *list = if_nameindex();
	assert_non_null(list);
	unsigned n = 0;
	while (list[n].if_index != 0)
		n++;
	if_freenameindex(list);
	return n;
}

/* Interfaces whose namespace has lost its last reference go a little later. */
static void
assert_interfaces_gone(void)
{
	for (unsigned i = 0; i < 500 && count_interfaces() > 1; i++)
		usleep(10 * 1000);
	if (count_interfaces() > 1)
		fail_msg("interfaces are left: %s", sandbox_output("ip -br link"));
}

int
sandbox_teardown(void **state)
{
	struct sandbox *s = *state;
	assert_shows("", "true"); /* frees the output */
	kernel_close(s->kernel);
	netns_site_free(s->site);
	assert_int_equal(sandbox_open_fds(), s->fds);
	assert_string_equal(sandbox_output("ls -A " NETNS_DIRECTORY), "");
	assert_int_equal(sandbox_mounts(NETNS_DIRECTORY), 1);
	assert_string_equal(sandbox_output("grep -c nsfs /proc/self/mountinfo"), "0\n");
	assert_interfaces_gone();
	sandbox_output("true");
	free(s);
	return 0;
}

__attribute__((format(printf, 3, 0))) static void
format_command(char *command, size_t size, const char *fmt, va_list args)
{
	int n = vsnprintf(command, size, fmt, args);
	assert_true(n >= 0 && (size_t)n < size);
}

int
sandbox_run(const char *fmt, ...)
{
	char command[1024];
	va_list args;
	va_start(args, fmt);
	format_command(command, sizeof(command), fmt, args);
	va_end(args);
	int status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *
sandbox_output(const char *fmt, ...)
{
	static char output[256 * 1024];
	char command[1024];
	va_list args;
	va_start(args, fmt);
	format_command(command, sizeof(command), fmt, args);
	va_end(args);

	FILE *f = popen(command, "re");
	assert_non_null(f);
	size_t n = fread(output, 1, sizeof(output) - 1, f);
	output[n] = '\0';
	pclose(f);
	return output;
}

void
assert_in(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in %s", part, text);
}

static int
await(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int
sandbox_fork(void)
{
	pid_t parent = getpid(), pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* cmocka would go on with the next test, in the child */
		if (setenv("CMOCKA_TEST_ABORT", "1", 1) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
		    getppid() != parent)
			_exit(1);
	}
	return pid;
}

int
sandbox_child(int (*fn)(void *arg), void *arg)
{
	pid_t pid = sandbox_fork();
	if (pid == 0)
		_exit(fn(arg));
	return await(pid);
}

void
sandbox_refuse(int nr, unsigned index, uint32_t value, int number)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (uint32_t)(offsetof(struct seccomp_data, args) + index * sizeof(uint64_t))),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)number),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(filter), .filter = filter };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(99);
}

int
sandbox_start(int netns_fd)
{
	int ready[2];
	assert_return_code(pipe2(ready, O_CLOEXEC), errno);
	pid_t pid = sandbox_fork();
	if (pid == 0) {
		int result = netns_fd >= 0 ? setns(netns_fd, CLONE_NEWNET) : unshare(CLONE_NEWNET);
		if (result < 0 || write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	char c;
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

void
sandbox_end(int pid)
{
	assert_return_code(kill(pid, SIGKILL), errno);
	await(pid);
}
