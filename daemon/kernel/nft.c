/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nftables: rules as text through libnftables, everything that must be quick by plain netlink.
 *
 * Theory of operation
 *
 * libnftables keeps its list of interfaces in a global variable, so one thread at a time may be in it. It ends the process
 * when it cannot open its socket; that is tried beforehand.
 *
 * The watch must tell nsd's own changes from those of others. Of the sender of a transaction the kernel tells the thread's
 * number, in the first pid namespace, where nsd may not know its own, and the thread's name. So a thread has a name that
 * no other process has while it changes rules: RUNNER and the process id.
 */
#include "config.h"

#include "nft.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <nftables/libnftables.h>

#include "kernel-private.h"
#include "macros.h"

#define RUNNER "nsd-nft."
#define THREAD_NAME_SIZE 16 /* prctl(2) */
#define WORDS_SIZE 160
#define MAX_ERRNO 133 /* asm-generic/errno.h */
#define REQUEST_SIZE 256
#define DATAGRAM_SIZE (16 * 1024)
#define RECEIVE_BUFFER (16 * 1024 * 1024) /* of the kernel: a host's table with some 10,000 published ports at once */
#define READ_BUDGET 4096		  /* datagrams in one go */
#define REST_OF_BATCH_MS 50

static pthread_mutex_t libnftables = PTHREAD_MUTEX_INITIALIZER;

static void
free_nft(struct nft_ctx **nft)
{
	if (*nft)
		nft_ctx_free(*nft);
}

static int
open_socket(int flags, unsigned groups, struct error *e)
{
	CLEANUP(close_fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_NETFILTER);
	if (fd < 0)
		return error_errno(e, errno, "cannot open a socket for nftables");
	const struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return error_errno(e, errno, "cannot bind a socket for nftables");
	return TAKE_FD(fd);
}

/* The name of a thread of this process while it changes rules. */
static void
runner_name(char ret[THREAD_NAME_SIZE])
{
	snprintf(ret, THREAD_NAME_SIZE, RUNNER "%d", (int)getpid());
}

/* One line of nft's report, without blanks around it. */
static void
copy_line(const char *from, char ret[WORDS_SIZE])
{
	from += strspn(from, " \t");
	size_t n = strcspn(from, "\n");
	while (n > 0 && (from[n - 1] == ' ' || from[n - 1] == ';'))
		n--;
	snprintf(ret, WORDS_SIZE, "%.*s%s", n < WORDS_SIZE ? (int)n : WORDS_SIZE - 4, from,
		 n < WORDS_SIZE ? "" : "...");
}

static enum error_code
code_of(int number)
{
	switch (number) {
	case EEXIST:
		return ERROR_NAME_TAKEN;
	case ENOENT:
		return ERROR_NOT_FOUND;
	case EOPNOTSUPP:
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
		return ERROR_NOT_SUPPORTED;
	case ENOMEM:
	case ENOSPC:
	case EMFILE:
	case ENFILE:
		return ERROR_LIMIT_EXCEEDED;
	default:
		return ERROR_KERNEL;
	}
}

/* nft hands on the kernel's errno only in words, as the end of its own. */
static int
number_of(const char *words)
{
	size_t length = strlen(words);
	for (int number = 1; number <= MAX_ERRNO; number++) {
		const char *end = strerror(number);
		size_t n = strlen(end);
		if (n <= length && strcmp(words + length - n, end) == 0)
			return number;
	}
	return EIO;
}

/* nft's report: "Error: WORDS" and the command, of several ones always the first. */
static int
report(const char *commands, const char *words, struct error *e)
{
	char what[WORDS_SIZE], command[WORDS_SIZE] = "";
	const char *start = strstr(words, "Error: ");
	copy_line(start ? start + strlen("Error: ") : words, what);
	if (!strchr(commands, '\n'))
		copy_line(commands, command);

	int number = number_of(what);
	error_set(e, code_of(number), NULL, "nftables%s%s: %s", command[0] ? ": " : "", command,
		  what[0] ? what : "no reason given");
	if (e)
		e->number = number;
	return -number;
}

static int
run_unlocked(const char *commands, struct error *e)
{
	CLEANUP(close_fd) int probe = open_socket(0, 0, e);
	if (probe < 0)
		return probe;
	close(TAKE_FD(probe));

	CLEANUP(free_nft) struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!nft || nft_ctx_buffer_output(nft) != 0 || nft_ctx_buffer_error(nft) != 0)
		return error_errno(e, ENOMEM, "cannot prepare for nftables");
	if (nft_run_cmd_from_buffer(nft, commands) == 0)
		return 0;
	return report(commands, nft_ctx_get_error_buffer(nft), e);
}

/* In the namespace of the thread. */
static int
run(const char *commands, struct error *e)
{
	char name[THREAD_NAME_SIZE] = "", runner[THREAD_NAME_SIZE];
	runner_name(runner);
	prctl(PR_GET_NAME, name);

	pthread_mutex_lock(&libnftables);
	prctl(PR_SET_NAME, runner);
	int err = run_unlocked(commands, e);
	prctl(PR_SET_NAME, name);
	pthread_mutex_unlock(&libnftables);
	return err;
}

int
nft_run(struct kernel *k, int netns_fd, const char *commands, struct error *e)
{
	if (netns_fd < 0)
		return run(commands, e);
	int err = kernel_enter(netns_fd);
	if (err < 0)
		return error_errno(e, -err, "cannot enter the network namespace");
	err = run(commands, e);
	kernel_leave(k);
	return err;
}

static int
ask_table(int fd, const char *table, bool *ret, struct error *e)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_SIZE], answer[DATAGRAM_SIZE];
	struct nlmsghdr *m = mnl_nlmsg_put_header(buffer);
	m->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	m->nlmsg_flags = NLM_F_REQUEST;
	m->nlmsg_seq = 1;
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(m, sizeof(*header));
	*header = (struct nfgenmsg){ .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
	if (!mnl_attr_put_strz_check(m, sizeof(buffer), NFTA_TABLE_NAME, table))
		return error_set(e, ERROR_INVALID_VALUE, NULL, "\"%.64s\" is too long for a table's name", table);

	if (send(fd, m, m->nlmsg_len, 0) < 0)
		return error_errno(e, errno, "cannot ask for the table %s", table);
	ssize_t n = recv(fd, answer, sizeof(answer), 0);
	if (n < 0)
		return error_errno(e, errno, "cannot ask for the table %s", table);

	const struct nlmsghdr *a = (const struct nlmsghdr *)(const void *)answer;
	if (!mnl_nlmsg_ok(a, (int)n) || a->nlmsg_seq != 1)
		return error_errno(e, EPROTO, "cannot ask for the table %s", table);
	if (a->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *failure = mnl_nlmsg_get_payload(a);
		if (mnl_nlmsg_get_payload_len(a) < sizeof(*failure) || failure->error != -ENOENT)
			return error_errno(e, failure->error < 0 ? -failure->error : EPROTO,
					   "cannot ask for the table %s", table);
	}
	*ret = a->nlmsg_type != NLMSG_ERROR;
	return 0;
}

int
nft_has_table(struct kernel *k, int netns_fd, const char *table, bool *ret, struct error *e)
{
	int err = netns_fd >= 0 ? kernel_enter(netns_fd) : 0;
	if (err < 0)
		return error_errno(e, -err, "cannot enter the network namespace");
	CLEANUP(close_fd) int fd = open_socket(0, 0, e);
	if (netns_fd >= 0)
		kernel_leave(k);
	return fd < 0 ? fd : ask_table(fd, table, ret, e);
}

int
nft_watch_open(int *ret, struct error *e)
{
	CLEANUP(close_fd) int fd = open_socket(SOCK_NONBLOCK, 1U << (NFNLGRP_NFTABLES - 1), e);
	if (fd < 0)
		return fd;
	const int size = RECEIVE_BUFFER;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return error_errno(e, errno, "cannot enlarge the buffer for changes of rules");
	*ret = TAKE_FD(fd);
	return 0;
}

/* An attribute that is a string and ended as one; NULL when there is none. */
static const char *
string_attribute(const struct nlmsghdr *m, unsigned type)
{
	struct nlattr *a;
	mnl_attr_for_each (a, m, sizeof(struct nfgenmsg))
		if (mnl_attr_get_type(a) == type && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
			return mnl_attr_get_str(a);
	return NULL;
}

/* Is the message about TABLE? Every kind of object has the name of its table as its first attribute. */
static bool
is_about(const struct nlmsghdr *m, const char *table)
{
	const struct nfgenmsg *header = mnl_nlmsg_get_payload(m);
	const char *name = string_attribute(m, NFTA_TABLE_NAME);
	return header->nfgen_family == NFPROTO_INET && name && strcmp(name, table) == 0;
}

static bool
is_by_us(const struct nlmsghdr *end_of_batch)
{
	char runner[THREAD_NAME_SIZE];
	runner_name(runner);
	const char *name = string_attribute(end_of_batch, NFTA_GEN_PROC_NAME);
	return name && strcmp(name, runner) == 0;
}

/* Of the batch that is being read: does it concern our table? And of all batches: did somebody else make one that does? */
struct reading {
	const char *table;
	bool concerns, foreign;
};

static void
read_messages(struct reading *r, const char *datagram, ssize_t size)
{
	int left = (int)size;
	const struct nlmsghdr *m = (const struct nlmsghdr *)(const void *)datagram;
	for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
		if (m->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES ||
		    mnl_nlmsg_get_payload_len(m) < sizeof(struct nfgenmsg))
			continue;
		if ((m->nlmsg_type & 0xff) != NFT_MSG_NEWGEN) {
			r->concerns = r->concerns || is_about(m, r->table);
			continue;
		}
		if (r->concerns && !is_by_us(m))
			r->foreign = true;
		r->concerns = false;
	}
}

/* The kernel sends the parts of a batch one right after the other: worth a short wait. */
static bool
await_more(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, REST_OF_BATCH_MS) > 0;
}

bool
nft_watch_read(int fd, const char *table)
{
	_Alignas(struct nlmsghdr) char datagram[DATAGRAM_SIZE];
	struct reading r = { .table = table };

	for (unsigned i = 0; i < READ_BUDGET; i++) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_size = sizeof(from);
		ssize_t n = recvfrom(fd, datagram, sizeof(datagram), MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from,
				     &from_size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN && r.concerns && await_more(fd))
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 || (size_t)n > sizeof(datagram))
			r.foreign = true; /* lost */
		else if (from.nl_pid == 0)
			read_messages(&r, datagram, n);
	}
	return r.foreign || r.concerns;
}
