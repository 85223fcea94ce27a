/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The vault: made once and whole, found again after kill -9, no burden to the host, and pins that come and go in it. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "macros.h"
#include "vault.h"

#define DIRECTORY "/run/nsd"
#define FILE_NAME DIRECTORY "/vault"
#define VAULT_MOUNTS 2 /* in it, without pins */
#define HOST_MOUNTS 2  /* that a vault costs */
#define MANY 1000

/* What a test has to work with in the vault. */
struct inside {
	struct vault *vault;
	struct kernel *kernel;
	struct netns_site *site;
	int proc; /* the host's */
	bool fresh;
	unsigned n;
};

static void
take_vault_away(void)
{
	sandbox_run("while umount -l " FILE_NAME " 2>/dev/null; do :; done; rm -rf " DIRECTORY);
	assert_int_equal(sandbox_mounts(FILE_NAME), 0);
}

static int
setup(void **state)
{
	(void)state;
	take_vault_away();
	assert_return_code(mkdir(DIRECTORY, 0755), errno);
	return 0;
}

/* There is no /proc in the vault. */
static unsigned
count_fds(int flags)
{
	unsigned n = 0;
	for (int fd = 0; fd < 1024; fd++) {
		int r = fcntl(fd, F_GETFD);
		n += r >= 0 && (r & flags) == flags;
	}
	return n;
}

static void
open_vault(struct inside *i)
{
	i->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(i->proc, errno);
	assert_ok(netns_site_open(NETNS_DIRECTORY, true, &i->site, &e));
	assert_ok(kernel_open(i->site, &i->kernel, &e));
	assert_ok(vault_open(DIRECTORY, &i->vault, &i->fresh, &e));
}

static void
close_vault(struct inside *i)
{
	vault_free(i->vault);
	kernel_close(i->kernel);
	netns_site_free(i->site);
	close(i->proc);
}

struct entry {
	void (*fn)(struct inside *i);
	unsigned n;
};

static int
go_inside(void *arg)
{
	const struct entry *a = arg;
	struct inside i = { .n = a->n };
	open_vault(&i);
	assert_ok(vault_enter(i.vault, &e));
	a->fn(&i);
	close_vault(&i);
	return 0;
}

/* Runs `fn` in a process that has entered the vault. */
static void
in_vault(void (*fn)(struct inside *i), unsigned n)
{
	struct entry a = { .fn = fn, .n = n };
	assert_int_equal(sandbox_child(go_inside, &a), 0);
}

static const char *
pin_name(unsigned n)
{
	static char name[32];
	snprintf(name, sizeof(name), "net.%u", n);
	return name;
}

static void
pin_new(struct inside *i, const char *name)
{
	struct netns n = NETNS_INIT;
	assert_ok(netns_make(i->kernel, &n, &e));
	assert_ok(vault_pin(i->vault, name, n.fd, &e));
	netns_close(&n);
}

static void
pin_n(struct inside *i)
{
	for (unsigned n = 0; n < i->n; n++)
		pin_new(i, pin_name(n));
}

/* All of them and one that is not there. */
static void
unpin_n(struct inside *i)
{
	char(*names)[32] = calloc(i->n + 1, sizeof(*names));
	const char **list = calloc(i->n + 1, sizeof(*list));
	assert_non_null(names);
	assert_non_null(list);
	for (unsigned n = 0; n <= i->n; n++) {
		snprintf(names[n], sizeof(names[n]), "%s", pin_name(n));
		list[n] = names[n];
	}
	assert_ok(vault_unpin(i->vault, list, i->n + 1, &e));
	free(list);
	free(names);
}

static int
count(const char *name, uint64_t inode, void *arg)
{
	(void)name;
	(void)inode;
	++*(unsigned *)arg;
	return 0;
}

static unsigned
count_pins(struct vault *v)
{
	unsigned n = 0;
	assert_ok(vault_list(v, count, &n, &e));
	return n;
}

/* Lines of the calling thread's mountinfo. */
static unsigned
count_mounts(const struct inside *i)
{
	int fd = openat(i->proc, "thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
	assert_return_code(fd, errno);
	FILE *f = fdopen(fd, "r");
	assert_non_null(f);
	unsigned n = 0;
	for (int c; (c = getc(f)) != EOF;)
		n += c == '\n';
	fclose(f);
	return n;
}

static void
check_whole(struct inside *i)
{
	assert_int_equal(count_mounts(i), VAULT_MOUNTS + count_pins(i->vault));
}

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
		assert_ok(vault_open(DIRECTORY, &v, &fresh, &e));
		assert_int_equal(fresh, i == 0);
		if (i == 0)
			snprintf(id, sizeof(id), "%s", vault_id(v));
		assert_int_equal(strlen(vault_id(v)), 36);
		assert_string_equal(vault_id(v), id);
		assert_string_equal(vault_path(v), DIRECTORY "/slots");
		assert_int_equal(count_pins(v), 0);
		assert_int_equal(count_fds(0) - count_fds(FD_CLOEXEC), inherited);
		vault_free(v);
		assert_int_equal(sandbox_mounts(NULL), mounts + HOST_MOUNTS);
		assert_int_equal(sandbox_open_fds(), fds);
	}
	vault_free(NULL);
	in_vault(check_whole, 0);

	bool fresh = false;
	setup(NULL);
	assert_ok(vault_open(DIRECTORY, &v, &fresh, &e));
	assert_true(fresh);
	assert_string_not_equal(vault_id(v), id);
	vault_free(v);
}

static int
pin_and_die(void *arg)
{
	struct entry a = { .fn = pin_n, .n = *(unsigned *)arg };
	go_inside(&a);
	raise(SIGKILL);
	return 0;
}

struct inodes {
	struct vault *vault;
	unsigned n;
};

static int
check_inode(const char *name, uint64_t inode, void *arg)
{
	struct inodes *all = arg;
	struct stat st;
	int fd = -1;
	assert_ok(vault_open_pin(all->vault, name, &fd, &e));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_return_code(fstat(fd, &st), errno);
	assert_int_equal(st.st_ino, inode);
	close(fd);
	all->n++;
	return 0;
}

static int
end_the_walk(const char *name, uint64_t inode, void *arg)
{
	count(name, inode, arg);
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
	struct inodes all = { 0 };
	assert_ok(vault_open(DIRECTORY, &all.vault, &fresh, &e));
	assert_false(fresh);
	assert_ok(vault_list(all.vault, check_inode, &all, &e));
	assert_int_equal(all.n, n);
	assert_int_equal(vault_list(all.vault, end_the_walk, &seen, NULL), -ECANCELED);
	assert_int_equal(seen, 1);
	vault_free(all.vault);
	assert_int_equal(sandbox_open_fds(), fds);
}

static void
pin_and_unpin(struct inside *i)
{
	check_whole(i);
	pin_n(i);
	assert_int_equal(count_pins(i->vault), i->n);
	check_whole(i);
	unpin_n(i);
	assert_int_equal(count_pins(i->vault), 0);
	check_whole(i);
}

static int
without_open_tree(void *arg)
{
	sandbox_refuse(SYS_open_tree, 2, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH, *(int *)arg);
	struct entry a = { .fn = pin_and_unpin, .n = 5 };
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
		setup(NULL);
		assert_int_equal(sandbox_child(without_open_tree, &number), 0);
		assert_int_equal(sandbox_mounts(FILE_NAME), HOST_MOUNTS);
		assert_int_equal(sandbox_child(without_move_mount, &number), 0);
		assert_int_equal(sandbox_mounts(FILE_NAME), HOST_MOUNTS);
		in_vault(pin_and_unpin, 5);
	}
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
	assert_int_equal(sandbox_mounts(NULL), mounts + HOST_MOUNTS);
	double after = time_unshare();
	if (after > 2 * before + 100)
		fail_msg("a copy of the mounts took %.0f us before and takes %.0f us now", before, after);
	in_vault(unpin_n, MANY);
	in_vault(check_whole, 0);
	assert_int_equal(sandbox_mounts(NULL), mounts + HOST_MOUNTS);
}

static void
await_interface(const char *name, bool there)
{
	for (unsigned i = 0; i < 500 && (if_nametoindex(name) != 0) != there; i++)
		usleep(10 * 1000);
	assert_int_equal(if_nametoindex(name) != 0, there);
}

/* A veth from here into a namespace. */
static void
add_veth(const char *name, int netns_fd)
{
	int pid = sandbox_start(netns_fd);
	assert_int_equal(sandbox_run("ip link add %s type veth peer name eth0 netns %d", name, pid), 0);
	sandbox_end(pid);
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

static void
pin_with_veths(struct inside *i)
{
	struct netns n[3];
	for (unsigned j = 0; j < ARRAY_SIZE(n); j++) {
		char name[IF_NAMESIZE];
		int fd = -1;
		assert_ok(vault_open_pin(i->vault, pin_name(j), &fd, &e));
		snprintf(name, sizeof(name), "veth-%u", j);
		add_veth(name, fd);
		close(fd);
	}
}

static int
from_outside(void *arg)
{
	(void)arg;
	struct inside i = { 0 };
	open_vault(&i);
	pin_with_veths(&i);
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
}

static void
unpin_one(struct inside *i)
{
	const char *one = "net.1";
	assert_ok(vault_unpin(i->vault, &one, 1, &e));
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
	assert_int_equal(sandbox_child(from_outside, NULL), 0);
	usleep(100 * 1000);
	for (unsigned i = 0; i < 3; i++) {
		char name[IF_NAMESIZE];
		snprintf(name, sizeof(name), "veth-%u", i);
		await_interface(name, true);
	}
	in_vault(unpin_some, 0);
	await_interface("veth-0", false);
	await_interface("veth-2", false);
	await_interface("veth-1", true);
	in_vault(unpin_one, 0);
	await_interface("veth-1", false);
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
	assert_errno(EISDIR, DIRECTORY "/slots", vault_publish(i->vault, &e));
}

static void
test_published(void **state)
{
	(void)state;
	in_vault(pin_n, 2);
	assert_int_equal(sandbox_run("ln -s nowhere " DIRECTORY "/slots.new"), 0);
	for (unsigned i = 0; i < 2; i++) {
		struct resident r = { 0 };
		pthread_t thread;
		bool fresh;
		assert_ok(vault_open(DIRECTORY, &r.vault, &fresh, &e));
		pthread_barrier_init(&r.ready, NULL, 2);
		pthread_barrier_init(&r.done, NULL, 2);
		assert_int_equal(pthread_create(&thread, NULL, reside, &r), 0);
		pthread_barrier_wait(&r.ready);
		assert_int_equal(r.result, 0);
		assert_int_equal(access(DIRECTORY "/vault", F_OK), 0); /* this thread has not moved */
		assert_string_equal(sandbox_output("ls %s/", vault_path(r.vault)), "net.0\nnet.1\n");
		assert_string_equal(
			sandbox_output("nsenter --net=%s/net.1 ip -o link | cut -d: -f2", vault_path(r.vault)),
			" lo\n");
		assert_string_equal(sandbox_output("ls -A " DIRECTORY), "slots\nvault\n");
		pthread_barrier_wait(&r.done);
		assert_int_equal(pthread_join(thread, NULL), 0);
		pthread_barrier_destroy(&r.ready);
		pthread_barrier_destroy(&r.done);
		vault_free(r.vault);
	}
	assert_int_equal(sandbox_run("rm " DIRECTORY "/slots && mkdir -p " DIRECTORY "/slots/full"), 0);
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
		assert_ok(vault_open(DIRECTORY, &v, &fresh, &e));
		assert_int_equal(fresh, i == 0);
		vault_free(v);
		assert_int_equal(sandbox_mounts(NULL), mounts + HOST_MOUNTS);
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
		setup(NULL);
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
		assert_ok(vault_open(DIRECTORY, &v, &fresh, &e));
		assert_int_equal(fresh, i == 0);
		vault_free(v);
		assert_int_equal(sandbox_mounts(NULL), mounts + (i == 0 ? HOST_MOUNTS : 0));
	}
	struct entry a = { .fn = pin_and_unpin, .n = 3 };
	return go_inside(&a);
}

static void
test_propagation(void **state)
{
	(void)state;
	static const unsigned long kinds[] = { 0, MS_PRIVATE, MS_SLAVE, MS_SHARED };
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		unsigned long kind = kinds[i];
		setup(NULL);
		assert_int_equal(sandbox_child(on_propagation, &kind), 0);
	}
}

/* What is at DIRECTORY/vault and is none is refused, and left as it is. */
static void
test_garbage(void **state)
{
	(void)state;
	static const struct {
		const char *command, *contains;
	} garbage[] = {
		{ "echo text >" FILE_NAME, "not an empty file" },
		{ "mkdir " FILE_NAME, "a directory" },
		{ "ln -s /run/other " FILE_NAME, "link" },
		{ "mkfifo " FILE_NAME, "not an empty file" },
		{ "touch " FILE_NAME " && mount --bind /proc/self/ns/net " FILE_NAME, "another kind" },
		/* unshare(1), too, may not pin on every processor */
		{ "touch " FILE_NAME " && mount --bind " FILE_NAME " " FILE_NAME " && mount --make-private " FILE_NAME
		  " && for c in $(seq 0 $(nproc --all)); do taskset -c $c unshare --mount=" FILE_NAME
		  " true && exit; done 2>/dev/null",
		  "not made by nsd" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		struct vault *v = NULL;
		bool fresh;
		setup(NULL);
		assert_int_equal(sandbox_run("%s", garbage[i].command), 0);
		unsigned fds = sandbox_open_fds(), mounts = sandbox_mounts(NULL);
		assert_error(ERROR_FOREIGN, garbage[i].contains, vault_open(DIRECTORY, &v, &fresh, &e));
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
		"touch " FILE_NAME,
		"touch " FILE_NAME " && mount --bind " FILE_NAME " " FILE_NAME,
		"touch " FILE_NAME " && mount --bind " FILE_NAME " " FILE_NAME " && mount --make-private " FILE_NAME,
	};
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		setup(NULL);
		assert_int_equal(sandbox_run("%s", commands[i]), 0);
		in_vault(pin_and_unpin, 3);
		assert_int_equal(sandbox_mounts(FILE_NAME), HOST_MOUNTS);
	}
}

static int
refused_to_second(void *arg)
{
	struct vault *v = NULL;
	bool fresh;
	assert_error(ERROR_BUSY, arg, vault_open(DIRECTORY, &v, &fresh, &e));
	return 0;
}

static void
test_one_user(void **state)
{
	(void)state;
	struct vault *v = NULL;
	bool fresh;
	char uses[] = "uses " FILE_NAME, makes[] = "makes " FILE_NAME;
	assert_ok(vault_open(DIRECTORY, &v, &fresh, &e));
	assert_int_equal(sandbox_child(refused_to_second, uses), 0);
	vault_free(v);
	assert_ok(vault_open(DIRECTORY, &v, &fresh, &e));
	vault_free(v);

	setup(NULL);
	int fd = open(FILE_NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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
	struct inodes all = { .vault = i->vault };
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
		assert_int_equal(sandbox_mounts(FILE_NAME), HOST_MOUNTS);
		if (kill_at(n)) { /* and with a vault that is there */
			in_vault(check_after_kill, 0);
			assert_int_equal(sandbox_mounts(FILE_NAME), HOST_MOUNTS);
		}
		setup(NULL);
	}
	assert_in_range(n, 100, 10000);
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fresh_and_again, setup),
		cmocka_unit_test_setup(test_survives, setup),
		cmocka_unit_test_setup(test_by_path, setup),
		cmocka_unit_test_setup(test_no_burden, setup),
		cmocka_unit_test_setup(test_host_not_busy, setup),
		cmocka_unit_test_setup(test_pins_hold, setup),
		cmocka_unit_test_setup(test_mistakes, setup),
		cmocka_unit_test_setup(test_published, setup),
		cmocka_unit_test_setup(test_nested, setup),
		cmocka_unit_test_setup(test_propagation, setup),
		cmocka_unit_test_setup(test_garbage, setup),
		cmocka_unit_test_setup(test_leftovers, setup),
		cmocka_unit_test_setup(test_one_user, setup),
		cmocka_unit_test_setup(test_killed_anywhere, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
