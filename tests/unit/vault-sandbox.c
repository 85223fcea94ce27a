/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A vault for a test, and the way into it. */
#include "config.h"

#include "vault-sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN_MOUNTS 2 /* in a vault without pins */

int
vault_setup(void **state)
{
	(void)state;
	sandbox_run("while umount -l " VAULT_FILE " 2>/dev/null; do :; done; rm -rf " VAULT_DIRECTORY);
	assert_int_equal(sandbox_mounts(VAULT_FILE), 0);
	assert_return_code(mkdir(VAULT_DIRECTORY, 0755), errno);
	return 0;
}

unsigned
count_fds(int flags)
{
	unsigned n = 0;
	for (int fd = 0; fd < 1024; fd++) {
		int r = fcntl(fd, F_GETFD);
		n += r >= 0 && (r & flags) == flags;
	}
	return n;
}

void
open_vault(struct inside *i)
{
	i->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(i->proc, errno);
	assert_ok(netns_site_open(NETNS_DIRECTORY, true, &i->site, &e));
	assert_ok(kernel_open(i->site, &i->kernel, &e));
	assert_ok(vault_open(VAULT_DIRECTORY, &i->vault, &i->fresh, &e));
}

void
close_vault(struct inside *i)
{
	vault_free(i->vault);
	kernel_close(i->kernel);
	netns_site_free(i->site);
	close(i->proc);
}

int
go_inside(void *arg)
{
	const struct vault_errand *a = arg;
	struct inside i = { .n = a->n };
	open_vault(&i);
	assert_ok(vault_enter(i.vault, &e));
	a->fn(&i);
	close_vault(&i);
	return 0;
}

void
in_vault(void (*fn)(struct inside *i), unsigned n)
{
	struct vault_errand a = { .fn = fn, .n = n };
	assert_int_equal(sandbox_child(go_inside, &a), 0);
}

const char *
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

void
pin_n(struct inside *i)
{
	for (unsigned n = 0; n < i->n; n++)
		pin_new(i, pin_name(n));
}

void
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

int
count_pin(const char *name, uint64_t inode, void *arg)
{
	(void)name;
	(void)inode;
	++*(unsigned *)arg;
	return 0;
}

unsigned
count_pins(struct vault *v)
{
	unsigned n = 0;
	assert_ok(vault_list(v, count_pin, &n, &e));
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

void
check_whole(struct inside *i)
{
	assert_int_equal(count_mounts(i), OWN_MOUNTS + count_pins(i->vault));
}

int
check_inode(const char *name, uint64_t inode, void *arg)
{
	struct vault_inodes *all = arg;
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

void
pin_and_unpin(struct inside *i)
{
	unsigned fds = count_fds(0);
	check_whole(i);
	pin_n(i);
	assert_int_equal(count_pins(i->vault), i->n);
	check_whole(i);
	unpin_n(i);
	assert_int_equal(count_pins(i->vault), 0);
	check_whole(i);
	assert_int_equal(count_fds(0), fds);
}

void
await_interface(const char *name, bool there)
{
	for (unsigned i = 0; i < 500 && (if_nametoindex(name) != 0) != there; i++)
		usleep(10 * 1000);
	assert_int_equal(if_nametoindex(name) != 0, there);
}
