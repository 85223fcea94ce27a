/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The /proc/sys/net keys of a network namespace, reached only through procfs itself. */
#include "config.h"

#include "kernel-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include <linux/openat2.h>

#include "macros.h"

#define PREFIX "net."
#define KEY_SIZE 128
#define VALUE_SIZE 256

/* "net.ipv4.ip_forward" -> "ipv4/ip_forward" */
static int
key_to_path(const char *key, char ret[KEY_SIZE], struct error *e)
{
	size_t skip = strlen(PREFIX);
	if (strncmp(key, PREFIX, skip) != 0 || strlen(key) - skip >= KEY_SIZE || strchr(key, '/'))
		return error_set(e, ERROR_INVALID_VALUE, NULL, "\"%.64s\" is not a net.* sysctl", key);

	strcpy(ret, key + skip);
	for (char *p = ret; *p; p++)
		if (*p == '.')
			*p = '/';
	return 0;
}

/* Opens a key of the namespace the thread is in. No link is followed and no mount crossed, so that what is written is a
 * sysctl, whatever was bound over it. */
static int
open_key(const struct kernel *k, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)flags | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, k->sysctl_fd, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

/* Opens a key of `n`, or of the host. An open key stays with its namespace. */
static int
open_key_in(const struct kernel *k, const struct netns *n, const char *path, int flags)
{
	if (!n)
		return open_key(k, path, flags);
	int err = kernel_enter(n->fd);
	if (err < 0)
		return err;
	int fd = open_key(k, path, flags);
	kernel_leave(k);
	return fd;
}

static int
write_key(int fd, const char *value)
{
	size_t length = strlen(value);
	ssize_t n = write(fd, value, length);
	if (n < 0)
		return -errno;
	return (size_t)n == length ? 0 : -EIO;
}

/* Without the newline at its end. */
static int
read_key(int fd, char *ret, size_t size)
{
	ssize_t length = read(fd, ret, size - 1);
	if (length < 0)
		return -errno;
	while (length > 0 && ret[length - 1] == '\n')
		length--;
	ret[length] = '\0';
	return 0;
}

int
netns_sysctl_set(struct kernel *k, const struct netns *n, const char *key, const char *value, struct error *e)
{
	char path[KEY_SIZE];
	int err = key_to_path(key, path, e);
	if (err < 0)
		return err;

	CLEANUP(close_fd) int fd = open_key_in(k, n, path, O_WRONLY);
	if (fd < 0)
		return error_errno(e, -fd, "cannot open the sysctl %s", key);
	err = write_key(fd, value);
	if (err < 0)
		return error_errno(e, -err, "cannot set the sysctl %s to \"%s\"", key, value);
	return 0;
}

int
netns_sysctl_get(struct kernel *k, const struct netns *n, const char *key, char **ret, struct error *e)
{
	char path[KEY_SIZE], value[VALUE_SIZE];
	int err = key_to_path(key, path, e);
	if (err < 0)
		return err;

	CLEANUP(close_fd) int fd = open_key_in(k, n, path, O_RDONLY);
	if (fd < 0)
		return error_errno(e, -fd, "cannot open the sysctl %s", key);
	err = read_key(fd, value, sizeof(value));
	if (err < 0)
		return error_errno(e, -err, "cannot read the sysctl %s", key);

	char *copy = strdup(value);
	if (!copy)
		return error_errno(e, ENOMEM, "cannot read the sysctl %s", key);
	*ret = copy;
	return 0;
}

static int
open_interface_key(const struct kernel *k, const struct netns *n, const char *family, const char *interface,
		   const char *name, int flags)
{
	char path[KEY_SIZE];
	snprintf(path, sizeof(path), "%s/conf/%s/%s", family, interface, name);
	return open_key_in(k, n, path, flags);
}

int
interface_sysctl_set(const struct kernel *k, const struct netns *n, const char *family, const char *interface,
		     const char *name, const char *value)
{
	CLEANUP(close_fd) int fd = open_interface_key(k, n, family, interface, name, O_WRONLY);
	return fd < 0 ? fd : write_key(fd, value);
}

int
interface_sysctl_get(const struct kernel *k, const struct netns *n, const char *family, const char *interface,
		     const char *name, char *ret, size_t size)
{
	CLEANUP(close_fd) int fd = open_interface_key(k, n, family, interface, name, O_RDONLY);
	return fd < 0 ? fd : read_key(fd, ret, size);
}

int
netns_host_ipv6(struct kernel *k, const char *interface, bool on, struct error *e)
{
	int err = 0;

	if (on)
		err = interface_sysctl_set(k, NULL, "ipv6", interface, "accept_ra", "0");
	if (err == 0 && on)
		err = interface_sysctl_set(k, NULL, "ipv6", interface, "accept_redirects", "0");
	if (err == 0)
		err = interface_sysctl_set(k, NULL, "ipv6", interface, "disable_ipv6", on ? "0" : "1");
	if (err == -ENOENT) /* a kernel without IPv6 */
		return 0;
	if (err < 0)
		return error_errno(e, -err, "cannot switch IPv6 %s on %s", on ? "on" : "off", interface);
	return 0;
}
