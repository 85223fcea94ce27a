/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From processes to namespaces and back, with pids that are used again and kernels that know less. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/sched.h>

#include "macros.h"

#define GET_NET_NAMESPACE 0xff04 /* PIDFD_GET_NET_NAMESPACE */

/* Runs when the kernel layer opens a path (the linker puts __wrap_open in the place of open). */
static void (*before_open)(const char *path);

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int
__wrap_open(const char *path, int flags, ...)
{
	if (before_open)
		before_open(path);
	return __real_open(path, flags, 0);
}

static struct kernel *
kernel(void **state)
{
	return ((struct sandbox *)*state)->kernel;
}

/* A process with a pid of our choice, in a namespace of its own. */
static pid_t
start_with_pid(pid_t pid)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1 };
	long result = syscall(SYS_clone3, &args, sizeof(args));
	if (result == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || unshare(CLONE_NEWNET) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	return (pid_t)result;
}

/* All the ways to a process, with the ioctl or without. */
static int
check_processes(void *arg)
{
	struct kernel *k = arg;
	struct netns n = NETNS_INIT, found = NETNS_INIT;
	int pidfd = -1;
	assert_ok(netns_make(k, &n, &e));
	pid_t pid = sandbox_start(n.fd);

	assert_ok(netns_of_pid(k, pid, &found, &pidfd, &e));
	assert_true(found.cookie == n.cookie);
	assert_int_equal(fcntl(found.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(pidfd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	netns_close(&found);
	assert_ok(netns_of_pidfd(k, pidfd, &found, &e));
	assert_true(found.cookie == n.cookie);
	netns_close(&found);
	assert_ok(netns_of_pid(k, getpid(), &found, NULL, &e));
	assert_true(found.cookie == kernel_cookie(k));
	netns_close(&found);

	/* a zombie, then none */
	siginfo_t info;
	assert_return_code(kill(pid, SIGKILL), errno);
	assert_return_code(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), errno);
	assert_error(ERROR_NO_SUCH_PROCESS, "ended", netns_of_pidfd(k, pidfd, &found, &e));
	assert_error(ERROR_NO_SUCH_PROCESS, "ended", netns_of_pid(k, pid, &found, NULL, &e));
	assert_return_code(waitid(P_PID, (id_t)pid, &info, WEXITED), errno);
	assert_error(ERROR_NO_SUCH_PROCESS, "ended", netns_of_pidfd(k, pidfd, &found, &e));
	assert_error(ERROR_NO_SUCH_PROCESS, "no process", netns_of_pid(k, pid, &found, NULL, &e));

	/* its pid has gone to another */
	assert_int_equal(start_with_pid(pid), pid);
	assert_error(ERROR_NO_SUCH_PROCESS, "ended", netns_of_pidfd(k, pidfd, &found, &e));
	assert_ok(netns_of_pid(k, pid, &found, NULL, &e));
	assert_true(found.cookie != n.cookie);
	sandbox_end(pid);

	netns_close(&found);
	netns_close(&n);
	close(pidfd);
	return 0;
}

static int
check_without_ioctl(void *arg)
{
	sandbox_refuse(SYS_ioctl, 1, GET_NET_NAMESPACE, ENOTTY);
	return check_processes(arg);
}

static void
test_process(void **state)
{
	check_processes(kernel(state));
}

/* Before Linux 6.11 there is no PIDFD_GET_NET_NAMESPACE. */
static void
test_process_on_older_kernel(void **state)
{
	assert_int_equal(sandbox_child(check_without_ioctl, kernel(state)), 0);
}

static pid_t victim;

/* The process ends, and another gets its pid, after the pid was read and before its file is opened. */
static void
swap_process(const char *path)
{
	char expected[64];
	snprintf(expected, sizeof(expected), "/proc/%d/ns/net", victim);
	if (strcmp(path, expected) != 0)
		return;
	before_open = NULL;
	sandbox_end(victim);
	assert_int_equal(start_with_pid(victim), victim);
}

static int
check_reuse_amid_look_up(void *arg)
{
	struct kernel *k = arg;
	struct netns found = NETNS_INIT;
	sandbox_refuse(SYS_ioctl, 1, GET_NET_NAMESPACE, ENOTTY);
	victim = sandbox_start(-1);
	before_open = swap_process;
	assert_error(ERROR_NO_SUCH_PROCESS, "ended", netns_of_pid(k, victim, &found, NULL, &e));
	assert_null(before_open);
	assert_int_equal(found.fd, -1);
	sandbox_end(victim);
	return 0;
}

static void
test_pid_reused_amid_look_up(void **state)
{
	assert_int_equal(sandbox_child(check_reuse_amid_look_up, kernel(state)), 0);
}

static void *
report_thread(void *arg)
{
	int *pipes = arg;
	pid_t tid = (pid_t)syscall(SYS_gettid);
	char c;
	if (write(pipes[1], &tid, sizeof(tid)) != sizeof(tid) || read(pipes[2], &c, 1) != 1)
		return arg;
	return NULL;
}

static void
test_no_process(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	static const pid_t pids[] = { 0, -1, INT32_MAX };
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		assert_error(ERROR_NO_SUCH_PROCESS, "no process", netns_of_pid(k, pids[i], &n, NULL, &e));

	int pipes[4];
	pthread_t thread;
	pid_t tid;
	assert_return_code(pipe2(pipes, O_CLOEXEC), errno);
	assert_return_code(pipe2(pipes + 2, O_CLOEXEC), errno);
	assert_int_equal(pthread_create(&thread, NULL, report_thread, pipes), 0);
	assert_int_equal(read(pipes[0], &tid, sizeof(tid)), sizeof(tid));
	assert_error(ERROR_NO_SUCH_PROCESS, "no process", netns_of_pid(k, tid, &n, NULL, &e));
	assert_int_equal(write(pipes[3], "x", 1), 1);
	void *result;
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_null(result);
	for (size_t i = 0; i < ARRAY_SIZE(pipes); i++)
		close(pipes[i]);

	int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
	    null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_error(ERROR_INVALID_VALUE, "not a pidfd", netns_of_pidfd(k, proc, &n, &e));
	assert_error(ERROR_INVALID_VALUE, "not a pidfd", netns_of_pidfd(k, null, &n, &e));
	assert_error(ERROR_INVALID_VALUE, "not a pidfd", netns_of_pidfd(k, -1, &n, &e));
	assert_int_equal(n.fd, -1);
	close(proc);
	close(null);
}

static int
look_without_ptrace(void *arg)
{
	struct kernel *k = arg;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) < 0)
		return 1;
	data[0].effective &= ~(1U << CAP_SYS_PTRACE);
	data[0].permitted &= ~(1U << CAP_SYS_PTRACE);
	data[0].inheritable = data[1].inheritable = 0;
	if (syscall(SYS_capset, &header, data) < 0)
		return 2;

	struct netns n = NETNS_INIT;
	assert_error(ERROR_PERMISSION_DENIED, "CAP_SYS_PTRACE", netns_of_pid(k, getppid(), &n, NULL, &e));
	sandbox_refuse(SYS_ioctl, 1, GET_NET_NAMESPACE, ENOTTY);
	assert_error(ERROR_PERMISSION_DENIED, "CAP_SYS_PTRACE", netns_of_pid(k, getppid(), &n, NULL, &e));
	return 0;
}

static void
test_without_ptrace(void **state)
{
	assert_int_equal(sandbox_child(look_without_ptrace, kernel(state)), 0);
}

static void
test_of_fd(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT, same = NETNS_INIT;
	assert_ok(netns_make(k, &n, &e));
	assert_ok(netns_of_fd(k, n.fd, &same, &e));
	assert_true(same.cookie == n.cookie && same.fd != n.fd);
	netns_close(&same);

	int path = open("/proc/self/ns/net", O_PATH | O_CLOEXEC), pipes[2], pair[2];
	assert_return_code(pipe2(pipes, O_CLOEXEC), errno);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), errno);
	const struct {
		int fd;
		const char *words;
	} wrong[] = {
		{ -1, "not of a network namespace" },
		{ path, "not of a network namespace" },
		{ pipes[0], "not of a network namespace" },
		{ pair[0], "not of a network namespace" },
		{ open("/dev/null", O_RDONLY | O_CLOEXEC), "not of a network namespace" },
		{ open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC), "not of a network namespace" },
		{ open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), "not of a network namespace" },
		{ open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "not of a network namespace" },
		{ pidfd_open(getpid(), 0), "of a process" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_true(i == 0 || wrong[i].fd >= 0);
		assert_error(ERROR_INVALID_VALUE, wrong[i].words, netns_of_fd(k, wrong[i].fd, &same, &e));
		assert_int_equal(same.fd, -1);
		close_fd(&wrong[i].fd);
	}
	close(pipes[1]);
	close(pair[1]);
	netns_close(&n);
}

struct found {
	pid_t pids[64];
	char command[64];
	unsigned n, stop_after;
};

static int
collect(pid_t pid, const char *command, void *arg)
{
	struct found *f = arg;
	snprintf(f->command, sizeof(f->command), "%s", command);
	if (f->n < ARRAY_SIZE(f->pids))
		f->pids[f->n] = pid;
	return ++f->n == f->stop_after ? -ECANCELED : 0;
}

static bool
contains(const struct found *f, pid_t pid)
{
	unsigned times = 0;
	for (unsigned i = 0; i < f->n; i++)
		times += f->pids[i] == pid;
	assert_true(times <= 1);
	return times == 1;
}

static void
test_processes(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	assert_ok(netns_make(k, &n, &e));
	struct found f = { 0 };
	assert_ok(netns_processes(k, &n, collect, &f, &e));
	assert_int_equal(f.n, 0);

	pid_t pids[3];
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++)
		pids[i] = sandbox_start(n.fd);
	assert_ok(netns_processes(k, &n, collect, &f, &e));
	assert_int_equal(f.n, 3);
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++)
		assert_true(contains(&f, pids[i]));

	f = (struct found){ .stop_after = 2 };
	assert_int_equal(netns_processes(k, &n, collect, &f, NULL), -ECANCELED);
	assert_int_equal(f.n, 2);
	f = (struct found){ 0 };
	assert_ok(netns_processes(k, NULL, collect, &f, &e));
	assert_true(contains(&f, getpid()));
	assert_false(contains(&f, pids[0]));
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++)
		sandbox_end(pids[i]);
	netns_close(&n);
}

struct threaded {
	int fd, ready;
};

static void *
enter_and_wait(void *arg)
{
	const struct threaded *t = arg;
	if (setns(t->fd, CLONE_NEWNET) < 0 || write(t->ready, "r", 1) != 1)
		_exit(1);
	for (;;)
		pause();
	return NULL;
}

/* Only one of its threads is inside, and its name is none that a terminal should see. */
static void
test_thread_inside(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	int ready[2];
	char c;
	assert_ok(netns_make(k, &n, &e));
	assert_return_code(pipe2(ready, O_CLOEXEC), errno);
	pid_t pid = sandbox_fork();
	if (pid == 0) {
		struct threaded t = { .fd = n.fd, .ready = ready[1] };
		pthread_t thread;
		prctl(PR_SET_NAME, "a\n\033[31m\xff");
		if (pthread_create(&thread, NULL, enter_and_wait, &t) != 0)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	struct found f = { 0 };
	assert_ok(netns_processes(k, &n, collect, &f, &e));
	assert_int_equal(f.n, 1);
	assert_int_equal(f.pids[0], pid);
	assert_string_equal(f.command, "a??[31m?");
	sandbox_end(pid);
	close(ready[0]);
	close(ready[1]);
	netns_close(&n);
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_process),
		SANDBOX_TEST(test_process_on_older_kernel),
		SANDBOX_TEST(test_pid_reused_amid_look_up),
		SANDBOX_TEST(test_no_process),
		SANDBOX_TEST(test_without_ptrace),
		SANDBOX_TEST(test_of_fd),
		SANDBOX_TEST(test_processes),
		SANDBOX_TEST(test_thread_inside),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
