/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The vault: made once and whole wherever that is possible, found again after kill -9, and nobody else's. */
#include "config.h"

#include "vault-sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "macros.h"

static void
test_fresh_and_again(void **state)
{
	(void)state;
	struct vault *v = NULL;
	char id[64] = "";
	unsigned fds = sandbox_open_fds(), mounts = sandbox_mounts(NULL);
	unsigned inherited = count_fds(0) - count_fds(FD_CLOEXEC);
	for (unsigned i = 0; i < 3; i++) {
		bool fresh = i > 0;
		assert_ok(vault_open(VAULT_DIRECTORY, &v, &fresh, &e));
		assert_int_equal(fresh, i == 0);
		if (i == 0)
			snprintf(id, sizeof(id), "%s", vault_id(v));
		assert_int_equal(strlen(vault_id(v)), 36);
		assert_string_equal(vault_id(v), id);
		assert_string_equal(vault_path(v), VAULT_DIRECTORY "/slots");
		assert_int_equal(count_pins(v), 0);
		assert_int_equal(count_fds(0) - count_fds(FD_CLOEXEC), inherited);
		vault_free(v);
		assert_int_equal(sandbox_mounts(NULL), mounts + VAULT_HOST_MOUNTS);
		assert_int_equal(sandbox_open_fds(), fds);
	}
	vault_free(NULL);
	in_vault(check_whole, 0);

	bool fresh = false;
	vault_setup(NULL);
	assert_ok(vault_open(VAULT_DIRECTORY, &v, &fresh, &e));
	assert_true(fresh);
	assert_string_not_equal(vault_id(v), id);
	vault_free(v);
}

static int
without_open_tree(void *arg)
{
	sandbox_refuse(SYS_open_tree, 2, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH, *(int *)arg);
	struct vault_errand a = { .fn = pin_and_unpin, .n = 5 };
	return go_inside(&a);
}

static int
without_move_mount(void *arg)
{
	sandbox_refuse(SYS_move_mount, 4, 0, *(int *)arg);
	return without_open_tree(arg);
}

/* Where the newer calls are refused: by paths, and one by one. */
static void
test_by_path(void **state)
{
	(void)state;
	static const int numbers[] = { ENOSYS, EPERM };
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int number = numbers[i];
		vault_setup(NULL);
		assert_int_equal(sandbox_child(without_open_tree, &number), 0);
		assert_int_equal(sandbox_mounts(VAULT_FILE), VAULT_HOST_MOUNTS);
		assert_int_equal(sandbox_child(without_move_mount, &number), 0);
		assert_int_equal(sandbox_mounts(VAULT_FILE), VAULT_HOST_MOUNTS);
		in_vault(pin_and_unpin, 5);
	}
}

/* Mounts that were there before the vault was: when the host is through with them, they are gone. Here a namespace that
 * nothing else holds, and a mount point. */
static void
test_host_not_busy(void **state)
{
	(void)state;
	assert_int_equal(
		sandbox_run("ip netns add before && ip link add veth-b type veth peer name eth0 netns before &&"
			    "mkdir /run/other && mount -t tmpfs other /run/other && touch /run/other/file"),
		0);
	in_vault(pin_n, 3);
	assert_int_equal(sandbox_run("umount /run/other && rmdir /run/other && ip netns del before"), 0);
	await_interface("veth-b", false);
}

/* A thread that lives in the vault, while the others stay. */
struct resident {
	struct vault *vault;
	pthread_barrier_t ready, done;
	int result;
};

static void *
reside(void *arg)
{
	struct resident *r = arg;
	r->result = vault_enter(r->vault, NULL);
	if (r->result == 0)
		r->result = vault_publish(r->vault, NULL);
	pthread_barrier_wait(&r->ready);
	pthread_barrier_wait(&r->done);
	return NULL;
}

static void
refuse_to_publish(struct inside *i)
{
	assert_errno(EISDIR, VAULT_DIRECTORY "/slots", vault_publish(i->vault, &e));
}

static void
test_published(void **state)
{
	(void)state;
	in_vault(pin_n, 2);
	assert_int_equal(sandbox_run("ln -s nowhere " VAULT_DIRECTORY "/slots.new"), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct resident r = { 0 };
		pthread_t thread;
		bool fresh;
		assert_ok(vault_open(VAULT_DIRECTORY, &r.vault, &fresh, &e));
		pthread_barrier_init(&r.ready, NULL, 2);
		pthread_barrier_init(&r.done, NULL, 2);
		assert_int_equal(pthread_create(&thread, NULL, reside, &r), 0);
		pthread_barrier_wait(&r.ready);
		assert_int_equal(r.result, 0);
		assert_int_equal(access(VAULT_DIRECTORY "/vault", F_OK), 0); /* this thread has not moved */
		assert_string_equal(sandbox_output("ls %s/", vault_path(r.vault)), "net.0\nnet.1\n");
		assert_string_equal(
			sandbox_output("nsenter --net=%s/net.1 ip -o link | cut -d: -f2", vault_path(r.vault)),
			" lo\n");
		assert_string_equal(sandbox_output("ls -A " VAULT_DIRECTORY), "slots\nvault\n");
		pthread_barrier_wait(&r.done);
		assert_int_equal(pthread_join(thread, NULL), 0);
		pthread_barrier_destroy(&r.ready);
		pthread_barrier_destroy(&r.done);
		vault_free(r.vault);
	}
	assert_int_equal(sandbox_run("rm " VAULT_DIRECTORY "/slots && mkdir -p " VAULT_DIRECTORY "/slots/full"), 0);
	in_vault(refuse_to_publish, 0);
}

struct processors {
	int older, younger;
};

static int
nest(void *arg)
{
	const struct processors *p = arg;
	cpu_set_t set, after;
	struct vault *v = NULL;
	bool fresh;

	CPU_ZERO(&set);
	CPU_SET(p->older, &set);
	assert_return_code(sched_setaffinity(0, sizeof(set), &set), errno);
	assert_return_code(unshare(CLONE_NEWNS), errno);
	CPU_ZERO(&set);
	CPU_SET(p->younger, &set);
	assert_return_code(sched_setaffinity(0, sizeof(set), &set), errno);
	unsigned mounts = sandbox_mounts(NULL);
	for (unsigned i = 0; i < 3; i++) {
		assert_ok(vault_open(VAULT_DIRECTORY, &v, &fresh, &e));
		assert_int_equal(fresh, i == 0);
		vault_free(v);
		assert_int_equal(sandbox_mounts(NULL), mounts + VAULT_HOST_MOUNTS);
	}
	assert_return_code(sched_getaffinity(0, sizeof(after), &after), errno);
	assert_true(CPU_EQUAL(&after, &set));
	return 0;
}

/* A mount namespace in a mount namespace, made on whatever processors. */
static void
test_nested(void **state)
{
	(void)state;
	cpu_set_t set;
	assert_return_code(sched_getaffinity(0, sizeof(set), &set), errno);
	int processors[8], n = 0;
	for (int i = 0; i < CPU_SETSIZE && n < (int)ARRAY_SIZE(processors); i++)
		if (CPU_ISSET(i, &set))
			processors[n++] = i;
	for (int i = 0; i < n * n; i++) {
		struct processors p = { processors[i / n], processors[i % n] };
		assert_int_equal(sandbox_child(nest, &p), 0);
		vault_setup(NULL);
	}
}

static int
on_propagation(void *arg)
{
	struct vault *v = NULL;
	bool fresh;
	unsigned long propagation = *(unsigned long *)arg;
	if (propagation != 0) {
		assert_return_code(unshare(CLONE_NEWNS), errno);
		assert_return_code(mount("none", "/", NULL, MS_REC | propagation, NULL), errno);
	}
	for (unsigned i = 0; i < 2; i++) {
		unsigned mounts = sandbox_mounts(NULL);
		assert_ok(vault_open(VAULT_DIRECTORY, &v, &fresh, &e));
		assert_int_equal(fresh, i == 0);
		vault_free(v);
		assert_int_equal(sandbox_mounts(NULL), mounts + (i == 0 ? VAULT_HOST_MOUNTS : 0));
	}
	struct vault_errand a = { .fn = pin_and_unpin, .n = 3 };
	return go_inside(&a);
}

static void
test_propagation(void **state)
{
	(void)state;
	static const unsigned long kinds[] = { 0, MS_PRIVATE, MS_SLAVE, MS_SHARED };
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		unsigned long kind = kinds[i];
		vault_setup(NULL);
		assert_int_equal(sandbox_child(on_propagation, &kind), 0);
	}
}

/* What is at VAULT_DIRECTORY/vault and is none is refused, and left as it is. */
static void
test_garbage(void **state)
{
	(void)state;
	static const struct {
		const char *command, *contains;
	} garbage[] = {
		{ "echo text >" VAULT_FILE, "not an empty file" },
		{ "mkdir " VAULT_FILE, "a directory" },
		{ "ln -s /run/other " VAULT_FILE, "link" },
		{ "mkfifo " VAULT_FILE, "not an empty file" },
		{ "touch " VAULT_FILE " && mount --bind /proc/self/ns/net " VAULT_FILE, "another kind" },
		/* unshare(1), too, may not pin on every processor */
		{ "touch " VAULT_FILE " && mount --bind " VAULT_FILE " " VAULT_FILE
		  " && mount --make-private " VAULT_FILE
		  " && for c in $(seq 0 $(nproc --all)); do taskset -c $c unshare --mount=" VAULT_FILE
		  " true && exit; done 2>/dev/null",
		  "not made by nsd" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		struct vault *v = NULL;
		bool fresh;
		vault_setup(NULL);
		assert_int_equal(sandbox_run("%s", garbage[i].command), 0);
		unsigned fds = sandbox_open_fds(), mounts = sandbox_mounts(NULL);
		assert_error(ERROR_FOREIGN, garbage[i].contains, vault_open(VAULT_DIRECTORY, &v, &fresh, &e));
		assert_null(v);
		assert_int_equal(sandbox_open_fds(), fds);
		assert_int_equal(sandbox_mounts(NULL), mounts);
	}
}

/* What an earlier try may have left is used. */
static void
test_leftovers(void **state)
{
	(void)state;
	static const char *const commands[] = {
		"touch " VAULT_FILE,
		"touch " VAULT_FILE " && mount --bind " VAULT_FILE " " VAULT_FILE,
		"touch " VAULT_FILE " && mount --bind " VAULT_FILE " " VAULT_FILE
		" && mount --make-private " VAULT_FILE,
	};
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		vault_setup(NULL);
		assert_int_equal(sandbox_run("%s", commands[i]), 0);
		in_vault(pin_and_unpin, 3);
		assert_int_equal(sandbox_mounts(VAULT_FILE), VAULT_HOST_MOUNTS);
	}
}

static int
refused_to_second(void *arg)
{
	struct vault *v = NULL;
	bool fresh;
	assert_error(ERROR_BUSY, arg, vault_open(VAULT_DIRECTORY, &v, &fresh, &e));
	return 0;
}

static void
test_one_user(void **state)
{
	(void)state;
	struct vault *v = NULL;
	bool fresh;
	char uses[] = "uses " VAULT_FILE, makes[] = "makes " VAULT_FILE;
	assert_ok(vault_open(VAULT_DIRECTORY, &v, &fresh, &e));
	assert_int_equal(sandbox_child(refused_to_second, uses), 0);
	vault_free(v);
	assert_ok(vault_open(VAULT_DIRECTORY, &v, &fresh, &e));
	vault_free(v);

	vault_setup(NULL);
	int fd = open(VAULT_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_return_code(flock(fd, LOCK_EX), errno);
	assert_int_equal(sandbox_child(refused_to_second, makes), 0);
	close(fd);
}

/* All that a process may be killed in. */
static int
live(void *arg)
{
	(void)arg;
	static const char *const names[] = { "net.0", "net.1", "net.2" };
	struct inside i = { .n = ARRAY_SIZE(names) };
	open_vault(&i);
	assert_ok(vault_enter(i.vault, &e));
	assert_ok(vault_publish(i.vault, &e));
	pin_n(&i);
	assert_ok(vault_unpin(i.vault, names, 2, &e));
	assert_ok(vault_unpin(i.vault, &names[2], 1, &e));
	close_vault(&i);
	return 0;
}

/* Runs live() and kills it when any of its threads makes system call number `n`. False: it made fewer. */
static bool
kill_at(unsigned n)
{
	int gate[2];
	char c = 0;
	assert_return_code(pipe2(gate, O_CLOEXEC), errno);
	pid_t pid = sandbox_fork();
	if (pid == 0)
		_exit(read(gate[0], &c, 1) == 1 ? live(NULL) : 1);
	assert_return_code(ptrace(PTRACE_SEIZE, pid, NULL,
				  (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)),
			   errno);
	assert_return_code(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), errno);
	assert_int_equal(write(gate[1], &c, 1), 1);
	close(gate[0]);
	close(gate[1]);

	unsigned seen = 0;
	for (;;) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL);
		assert_true(tid > 0);
		if (tid == pid && WIFSIGNALED(status))
			return true;
		if (tid == pid && WIFEXITED(status)) {
			assert_int_equal(WEXITSTATUS(status), 0);
			return false;
		}
		if (!WIFSTOPPED(status))
			continue;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) && ++seen == n)
			assert_return_code(kill(pid, SIGKILL), errno);
		ptrace(PTRACE_SYSCALL, tid, NULL, NULL); /* fails on one that was just killed */
	}
}

static void
check_after_kill(struct inside *i)
{
	struct vault_inodes all = { .vault = i->vault };
	assert_ok(vault_list(i->vault, check_inode, &all, &e));
	check_whole(i);
	i->n = 3;
	unpin_n(i);
	pin_and_unpin(i);
}

static void
test_killed_anywhere(void **state)
{
	(void)state;
	unsigned n = 1;
	for (; kill_at(n); n++) {
		in_vault(check_after_kill, 0);
		assert_int_equal(sandbox_mounts(VAULT_FILE), VAULT_HOST_MOUNTS);
		if (kill_at(n)) { /* and with a vault that is there */
			in_vault(check_after_kill, 0);
			assert_int_equal(sandbox_mounts(VAULT_FILE), VAULT_HOST_MOUNTS);
		}
		vault_setup(NULL);
	}
	assert_in_range(n, 100, 10000);
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fresh_and_again, vault_setup),
		cmocka_unit_test_setup(test_by_path, vault_setup),
		cmocka_unit_test_setup(test_host_not_busy, vault_setup),
		cmocka_unit_test_setup(test_published, vault_setup),
		cmocka_unit_test_setup(test_nested, vault_setup),
		cmocka_unit_test_setup(test_propagation, vault_setup),
		cmocka_unit_test_setup(test_garbage, vault_setup),
		cmocka_unit_test_setup(test_leftovers, vault_setup),
		cmocka_unit_test_setup(test_one_user, vault_setup),
		cmocka_unit_test_setup(test_killed_anywhere, vault_setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
