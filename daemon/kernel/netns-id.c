/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The numbers (nsid) that the host knows other network namespaces by, and the number of the boot. */
#include "config.h"

#include "netns.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>

#include "macros.h"

static int
read_nsid(const struct nlmsghdr *m, void *arg)
{
	struct nlattr *a;
	mnl_attr_for_each (a, m, sizeof(struct rtgenmsg))
		if (mnl_attr_get_type(a) == NETNSA_NSID && mnl_attr_validate(a, MNL_TYPE_U32) >= 0)
			*(int *)arg = (int)mnl_attr_get_u32(a);
	return 0;
}

int
netns_nsid(struct kernel *k, const struct netns *n, int *ret, struct error *e)
{
	void *header;
	struct nlmsghdr *m = rtnl_message(kernel_rtnl(k), RTM_GETNSID, 0, sizeof(struct rtgenmsg), &header, "nsid");
	mnl_attr_put_u32(m, NETNSA_FD, (uint32_t)n->fd);

	int nsid = NETNSA_NSID_NOT_ASSIGNED;
	int err = rtnl_query(kernel_rtnl(k), read_nsid, NULL, &nsid, e);
	if (err < 0)
		return err;
	*ret = nsid;
	return 0;
}

struct numbers {
	void (*fn)(int nsid, void *arg);
	void *arg;
};

static int
note_number(const struct nlmsghdr *m, void *arg)
{
	const struct numbers *numbers = arg;
	int nsid = NETNSA_NSID_NOT_ASSIGNED;

	read_nsid(m, &nsid);
	if (nsid >= 0)
		numbers->fn(nsid, numbers->arg);
	return 0;
}

int
netns_numbers(struct rtnl *r, void (*fn)(int nsid, void *arg), void *arg, struct error *e)
{
	struct numbers numbers = { .fn = fn, .arg = arg };
	void *header;

	rtnl_message(r, RTM_GETNSID, NLM_F_DUMP, sizeof(struct rtgenmsg), &header, "nsids");
	return rtnl_query(r, note_number, NULL, &numbers, e);
}

/* The kernel says the same (EEXIST) for a namespace that has a number and for a number that has a namespace. */
static int
explain_taken(struct kernel *k, const struct netns *n, int wanted, struct error *e)
{
	int nsid;
	int err = netns_nsid(k, n, &nsid, e);
	if (err < 0)
		return err;
	if (nsid == NETNSA_NSID_NOT_ASSIGNED)
		return error_set(e, ERROR_NAME_TAKEN, "nsid", "another namespace has the nsid %d", wanted);
	if (wanted == NETNSA_NSID_NOT_ASSIGNED || nsid == wanted)
		return 0;
	return error_set(e, ERROR_ALREADY_EXISTS, NULL, "the namespace has the nsid %d, and that cannot be changed",
			 nsid);
}

int
netns_set_nsid(struct kernel *k, const struct netns *n, int nsid, struct error *e)
{
	void *header;
	struct nlmsghdr *m = rtnl_message(kernel_rtnl(k), RTM_NEWNSID, 0, sizeof(struct rtgenmsg), &header, "nsid");
	mnl_attr_put_u32(m, NETNSA_FD, (uint32_t)n->fd);
	mnl_attr_put_u32(m, NETNSA_NSID, (uint32_t)nsid);

	struct error refusal = { 0 };
	int err = rtnl_send(kernel_rtnl(k), &refusal);
	if (err == -EEXIST)
		return explain_taken(k, n, nsid, e);
	if (err < 0 && e)
		*e = refusal;
	return err;
}

int
boot_id_read(char ret[37], struct error *e)
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(e, errno, "cannot open %s", path);

	char text[37];
	ssize_t n = read(fd, text, sizeof(text)); /* with a newline where the terminator goes */
	if (n < 0)
		return error_errno(e, errno, "cannot read %s", path);
	if (n < 36)
		return error_set(e, ERROR_KERNEL, NULL, "%s is too short", path);
	memcpy(ret, text, 36);
	ret[36] = '\0';
	return 0;
}
