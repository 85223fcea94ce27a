/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtnetlink transactions against the kernel, and against answers that went wrong on the way. */
#include "config.h"

#include "sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "macros.h"

/* What happens to answers (the linker puts this in the place of recvfrom). */
static struct {
	unsigned interrupt; /* dumps that are flagged as interrupted */
	int fail;	    /* errno of the next call */
	bool oversize;	    /* the next datagram is larger than the buffer */
} trouble;

static unsigned allocations_left = UINT32_MAX;

ssize_t __real_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from, socklen_t *from_size);
ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from, socklen_t *from_size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

ssize_t
__wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from, socklen_t *from_size)
{
	if (trouble.fail != 0) {
		errno = trouble.fail;
		trouble.fail = 0;
		return -1;
	}
	ssize_t n = __real_recvfrom(fd, buffer, size, flags, from, from_size);
	if (trouble.oversize) {
		trouble.oversize = false;
		return (ssize_t)size + 1;
	}
	if (trouble.interrupt == 0 || n < (ssize_t)sizeof(struct nlmsghdr))
		return n;

	int left = (int)n;
	for (struct nlmsghdr *m = buffer; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
		m->nlmsg_flags |= NLM_F_DUMP_INTR;
		if (m->nlmsg_type == NLMSG_DONE)
			trouble.interrupt--;
	}
	return n;
}

void *
__wrap_realloc(void *p, size_t size)
{
	if (allocations_left == 0)
		return NULL;
	allocations_left--;
	return __real_realloc(p, size);
}

static struct rtnl *
host(void **state)
{
	struct sandbox *s = *state;
	return kernel_rtnl(s->kernel);
}

static void
put_bridge(struct rtnl *r, const char *name)
{
	void *header;
	char what[64];
	snprintf(what, sizeof(what), "bridge %s", name);
	struct nlmsghdr *m =
		rtnl_message(r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg), &header, what);
	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(m, info);
}

static void
remove_link(struct rtnl *r, const char *name)
{
	void *header;
	struct nlmsghdr *m = rtnl_message(r, RTM_DELLINK, 0, sizeof(struct ifinfomsg), &header, name);
	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	assert_ok(rtnl_send(r, &e));
}

/* Address number `i` of 10.0.0.0/8 on lo. */
static void
put_address(struct rtnl *r, unsigned i)
{
	uint32_t address = htonl(0x0a000000 + i);
	struct prefix p = { .family = AF_INET, .length = 32 };
	memcpy(p.address, &address, sizeof(address));
	address_put(r, 1, &p, true, "lo");
}

static unsigned
count_addresses(void)
{
	return (unsigned)atoi(sandbox_output("ip -o -4 addr show dev lo to 10.0.0.0/8 | wc -l"));
}

static void
test_options(void **state)
{
	int fd = rtnl_fd(host(state));
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	static const int options[] = { NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK };
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		int on = 0;
		socklen_t size = sizeof(on);
		assert_return_code(getsockopt(fd, SOL_NETLINK, options[i], &on, &size), errno);
		assert_int_equal(on, 1);
	}
	rtnl_close(NULL);
}

static void
test_empty_and_reset(void **state)
{
	struct rtnl *r = host(state);
	assert_ok(rtnl_send(r, &e));
	put_bridge(r, "br0");
	rtnl_reset(r);
	assert_ok(rtnl_send(r, &e));
	assert_hides("br0", "ip -j link");
}

/* What follows a refused message is carried out, and the refusal is reported with its own words and the kernel's. */
static void
test_refusal_amid_batch(void **state)
{
	struct rtnl *r = host(state);
	put_bridge(r, "br0");
	put_bridge(r, "br0");
	put_bridge(r, "");
	put_bridge(r, "br1");
	assert_errno(EEXIST, "bridge br0: it exists already", rtnl_send(r, &e));
	assert_shows("\"br0\"", "ip -j link");
	assert_shows("\"br1\"", "ip -j link");

	link_put_up(r, 1, false, "lo");
	link_put_mtu(r, (int)if_nametoindex("br0"), 1, "br0");
	assert_errno(EINVAL, "MTU 1 on br0: mtu less than device minimum: Invalid argument", rtnl_send(r, &e));

	assert_int_equal(rtnl_send(r, NULL), 0);
	put_bridge(r, "br0");
	assert_int_equal(rtnl_send(r, NULL), -EEXIST);
	remove_link(r, "br0");
	remove_link(r, "br1");
}

static void
test_not_supported(void **state)
{
	struct rtnl *r = host(state);
	void *header;
	struct nlmsghdr *m =
		rtnl_message(r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(struct ifinfomsg), &header, "nothing");
	struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "no-such-kind");
	mnl_attr_nest_end(m, info);
	assert_error(ERROR_NOT_SUPPORTED, "nothing: Unknown device type", rtnl_send(r, &e));
}

/* More than fits one send, and more refusals than fit the receive buffer. */
static void
test_large_batch(void **state)
{
	struct rtnl *r = host(state);
	for (unsigned i = 1; i <= 1000; i++)
		put_address(r, i);
	assert_ok(rtnl_send(r, &e));
	assert_int_equal(count_addresses(), 1000);

	for (unsigned i = 1; i <= 1000; i++) {
		struct prefix p = { .family = AF_INET,
				    .length = 32,
				    .address = { 11, 0, (uint8_t)(i >> 8), (uint8_t)i } };
		address_put(r, 1, &p, false, "lo");
	}
	put_address(r, 1001);
	assert_errno(EADDRNOTAVAIL, "address 11.0.0.1/32 on lo", rtnl_send(r, &e));
	assert_int_equal(count_addresses(), 1001);
	assert_int_equal(sandbox_run("ip addr flush dev lo"), 0);
}

static void
test_oversized_batch(void **state)
{
	struct rtnl *r = host(state);
	for (unsigned i = 1; i <= 10000; i++)
		put_address(r, i);
	assert_error(ERROR_KERNEL, "cannot put together", rtnl_send(r, &e));
	assert_int_equal(count_addresses(), 0);

	put_address(r, 1);
	assert_ok(rtnl_send(r, &e));
	assert_int_equal(count_addresses(), 1);
	assert_int_equal(sandbox_run("ip addr flush dev lo"), 0);
}

/* Each allocation of a batch fails once: nothing is sent, and the socket goes on. */
static void
test_out_of_memory(void **state)
{
	struct rtnl *r = NULL;
	unsigned failures = 0;
	(void)state;
	for (unsigned n = 0;; n++) {
		assert_ok(rtnl_open(&r, &e));
		allocations_left = n;
		for (unsigned i = 1; i <= 100; i++)
			put_address(r, i);
		allocations_left = UINT32_MAX;
		int err = rtnl_send(r, NULL);
		rtnl_close(r);
		if (err == 0)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(count_addresses(), 0);
		failures++;
	}
	assert_true(failures >= 3);
	assert_int_equal(count_addresses(), 100);
	assert_int_equal(sandbox_run("ip addr flush dev lo"), 0);
}

struct tally {
	unsigned links, restarts, stop_after;
};

static int
count_link(const struct link_info *i, void *arg)
{
	struct tally *t = arg;
	(void)i;
	t->links++;
	return t->links == t->stop_after ? -ECANCELED : 0;
}

static void
restart_count(void *arg)
{
	struct tally *t = arg;
	t->links = 0;
	t->restarts++;
}

/* A walk that its caller ends leaves nothing on the socket for the next one to trip over. */
static void
test_walk_ended(void **state)
{
	struct rtnl *r = host(state);
	for (unsigned i = 0; i < 60; i++) {
		char name[16];
		snprintf(name, sizeof(name), "br%u", i);
		put_bridge(r, name);
	}
	assert_ok(rtnl_send(r, &e));
	for (unsigned n = 1; n <= 61; n += 10) {
		struct tally t = { .stop_after = n };
		struct error e = { 0 };
		assert_int_equal(link_dump(r, true, count_link, NULL, &t, &e), -ECANCELED);
		assert_int_equal(t.links, n);
		assert_int_equal(e.code, ERROR_NONE);
	}
	struct tally t = { 0 };
	assert_ok(link_dump(r, true, count_link, NULL, &t, &e));
	assert_int_equal(t.links, 61);
	assert_int_equal(sandbox_run("for i in $(seq 0 59); do echo link del br$i; done | ip -b -"), 0);
}

static void
test_dump_interrupted(void **state)
{
	struct tally t = { 0 };
	trouble.interrupt = 8;
	assert_ok(link_dump(host(state), false, count_link, restart_count, &t, &e));
	assert_int_equal(trouble.interrupt, 0);
	assert_int_equal(t.restarts, 8);
	assert_int_equal(t.links, 1);

	t = (struct tally){ 0 };
	trouble.interrupt = 9;
	assert_errno(EINTR, "interfaces", link_dump(host(state), false, count_link, restart_count, &t, &e));
	assert_int_equal(trouble.interrupt, 0);
	assert_int_equal(t.links, 0);

	assert_ok(link_dump(host(state), false, count_link, restart_count, &t, &e));
	assert_int_equal(t.links, 1);
}

/* Interfaces come and go while dumps are read: those that stay are in every one. */
static void
test_dump_under_churn(void **state)
{
	struct rtnl *r = host(state);
	assert_int_equal(sandbox_run("for i in $(seq 40); do echo link add stay$i type bridge; done | ip -b -"), 0);
	pid_t churn = sandbox_fork();
	if (churn == 0) {
		struct rtnl *own = NULL;
		if (rtnl_open(&own, NULL) < 0)
			_exit(1);
		for (;;) {
			put_bridge(own, "churn");
			rtnl_send(own, NULL);
			struct link_info i;
			if (link_get(own, 0, "churn", &i, NULL) == 0)
				link_delete(own, i.ifindex, NULL);
		}
	}
	unsigned restarts = 0;
	for (unsigned i = 0; i < 200; i++) {
		struct tally t = { 0 };
		assert_ok(link_dump(r, false, count_link, restart_count, &t, &e));
		assert_true(t.links >= 41 && t.links <= 42);
		restarts += t.restarts;
	}
	print_message("%u of 200 dumps were interrupted\n", restarts);
	sandbox_end(churn);
	assert_int_equal(sandbox_run("ip link del churn 2>/dev/null; "
				     "for i in $(seq 40); do echo link del stay$i; done | ip -b -"),
			 0);
}

/* An answer that got lost is an error and no wait; when it turns up later it is not taken for the next one. */
static void
test_lost_answers(void **state)
{
	struct rtnl *r = host(state);
	static const int failures[] = { EAGAIN, ENOBUFS };
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		trouble.fail = failures[i];
		put_bridge(r, "br0");
		assert_errno(ENODATA, "bridge br0: the kernel's answer got lost", rtnl_send(r, &e));
		assert_shows("\"br0\"", "ip -j link");

		put_bridge(r, "br0");
		assert_error(ERROR_NAME_TAKEN, "br0", rtnl_send(r, &e));
		remove_link(r, "br0");
	}

	trouble.fail = EINTR;
	assert_ok(rtnl_send(r, &e));
	put_bridge(r, "br0");
	assert_ok(rtnl_send(r, &e));
	remove_link(r, "br0");

	struct link_info info;
	trouble.oversize = true;
	assert_errno(ENODATA, "interface 1: the kernel's answer got lost: Message too long",
		     link_get(r, 1, NULL, &info, &e));
	assert_ok(link_get(r, 1, NULL, &info, &e));
	assert_string_equal(info.name, "lo");
}

/* A query sends one request; with an unsent batch before it, it would send that. */
static void
test_query_of_batch(void **state)
{
	struct rtnl *r = host(state);
	struct link_info info;
	put_bridge(r, "br0");
	assert_error(ERROR_INTERNAL, "one request", link_get(r, 1, NULL, &info, &e));
	assert_hides("br0", "ip -j link");
	assert_ok(link_get(r, 1, NULL, &info, &e));
}

/* Another process may send to the socket: its messages are nobody's answers. */
static void
test_forged_answer(void **state)
{
	struct rtnl *r = host(state);
	put_bridge(r, "br0");
	assert_ok(rtnl_send(r, &e)); /* its sequence number is 1 */

	struct sockaddr_nl own;
	socklen_t size = sizeof(own);
	assert_return_code(getsockname(rtnl_fd(r), (struct sockaddr *)&own, &size), errno);
	int other = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	assert_true(other >= 0);
	struct {
		struct nlmsghdr header;
		struct nlmsgerr body;
	} forged = { .header = { .nlmsg_len = sizeof(forged), .nlmsg_type = NLMSG_ERROR, .nlmsg_seq = 2 },
		     .body = { .error = -EDOM } };
	assert_int_equal(sendto(other, &forged, sizeof(forged), 0, (struct sockaddr *)&own, sizeof(own)),
			 sizeof(forged));
	close(other);

	assert_int_equal(sandbox_run("ip link set br0 up"), 0);
	link_put_up(r, 1, true, "lo");
	assert_ok(rtnl_send(r, &e));
	remove_link(r, "br0");
	assert_int_equal(sandbox_run("ip link set lo down"), 0);
}

/* The socket works where it was opened. */
static void
test_stays_in_namespace(void **state)
{
	struct sandbox *s = *state;
	struct rtnl *r = host(state);
	struct netns n = NETNS_INIT;
	assert_ok(netns_make(s->kernel, &n, &e));

	int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	assert_return_code(setns(n.fd, CLONE_NEWNET), errno);
	put_bridge(r, "br0");
	int err = rtnl_send(r, NULL);
	assert_return_code(setns(back, CLONE_NEWNET), errno);
	close(back);

	assert_int_equal(err, 0);
	assert_shows("\"br0\"", "ip -j link");
	remove_link(r, "br0");
	netns_close(&n);
}

static void
test_open_without_fds(void **state)
{
	struct rtnl *r = NULL;
	(void)state;
	struct rlimit limit;
	assert_return_code(getrlimit(RLIMIT_NOFILE, &limit), errno);
	const struct rlimit none = { .rlim_cur = 0, .rlim_max = limit.rlim_max };
	assert_return_code(setrlimit(RLIMIT_NOFILE, &none), errno);
	struct error e = { 0 };
	int err = rtnl_open(&r, &e);
	assert_return_code(setrlimit(RLIMIT_NOFILE, &limit), errno);
	assert_int_equal(err, -EMFILE);
	assert_int_equal(e.code, ERROR_LIMIT_EXCEEDED);
	assert_null(r);
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_options),
		SANDBOX_TEST(test_empty_and_reset),
		SANDBOX_TEST(test_refusal_amid_batch),
		SANDBOX_TEST(test_not_supported),
		SANDBOX_TEST(test_large_batch),
		SANDBOX_TEST(test_oversized_batch),
		SANDBOX_TEST(test_out_of_memory),
		SANDBOX_TEST(test_walk_ended),
		SANDBOX_TEST(test_dump_interrupted),
		SANDBOX_TEST(test_dump_under_churn),
		SANDBOX_TEST(test_lost_answers),
		SANDBOX_TEST(test_query_of_batch),
		SANDBOX_TEST(test_forged_answer),
		SANDBOX_TEST(test_stays_in_namespace),
		SANDBOX_TEST(test_open_without_fds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
