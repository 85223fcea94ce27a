/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether nsd may do here what all of its work is made of, found out before anything depends on it. */
#include "config.h"

#include "kernel-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#include "macros.h"

static const struct {
	unsigned number;
	const char *name;
} capabilities[] = {
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN" },
	{ CAP_NET_ADMIN, "CAP_NET_ADMIN" },
};

static int
check_capabilities(struct error *e)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return error_errno(e, errno, "cannot read the capabilities of nsd");
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (!(data[0].effective & 1U << capabilities[i].number))
			return error_errno(e, EPERM,
					   "nsd lacks %s (it must run as root; see CapabilityBoundingSet= of its unit)",
					   capabilities[i].name);
	return 0;
}

/* The mount is made detached and goes away with its fd. */
static int
check_mount(const struct netns *n, struct error *e)
{
	CLEANUP(close_fd) int tree = open_tree(n->fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	return tree < 0 ? error_errno(e, errno, "nsd may not mount (SystemCallFilter= or a container forbids it)") : 0;
}

static int
check_namespaces(struct kernel *k, struct error *e)
{
	struct netns n = NETNS_INIT;
	int err = netns_make(k, &n, NULL);

	if (err < 0)
		return error_errno(e, -err,
				   "nsd may not make network namespaces (RestrictNamespaces=, SystemCallFilter= or a "
				   "container forbids it)");
	err = check_mount(&n, e);
	netns_close(&n);
	return err;
}

int
kernel_check(struct netns_site *s, struct error *e)
{
	struct kernel *k;
	int err = check_capabilities(e);

	if (err < 0)
		return err;
	if (faccessat(s->fd, ".", W_OK, AT_EACCESS) < 0)
		return error_errno(e, errno, "nsd may not write in %s", s->path);
	err = kernel_open(s, &k, e);
	if (err == -EPERM)
		return error_errno(e, EPERM,
				   "nsd has no power over this network namespace (PrivateUsers= of its unit or a "
				   "container takes it)");
	if (err < 0)
		return err;
	err = check_namespaces(k, e);
	kernel_close(k);
	return err;
}
