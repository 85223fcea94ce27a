/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See router-sandbox.h. */
#include "config.h"

#include "router-sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "macros.h"

#define PORT 7000
#define WAIT_MS 250

struct prefix
prefix_of(const char *text)
{
	struct prefix p = { 0 };
	assert_ok(prefix_parse(text, true, &p, &e));
	return p;
}

static struct prefix
number4(unsigned low, unsigned length)
{
	return (struct prefix){ .family = AF_INET,
				.length = length,
				.address = { 10, 9, (uint8_t)(low >> 8), (uint8_t)low } };
}

static struct prefix
number6(unsigned low, unsigned length)
{
	return (struct prefix){ .family = AF_INET6,
				.length = length,
				.address = { 0xfd, 0x09, [14] = (uint8_t)(low >> 8), [15] = (uint8_t)low } };
}

struct router_plan
plan_router(enum families f)
{
	return (struct router_plan){
		.root = true,
		.outside = "nsd-test",
		.outside_mac = { 2, 1, 10, 9, 0, 0 },
		.inside_mac = { 2, 2, 10, 9, 0, 0 },
		.mtu = 1400,
		.has4 = f & V4,
		.has6 = f & V6,
		.outside4 = number4(0, 31),
		.inside4 = number4(1, 31),
		.outside6 = number6(0, 127),
		.inside6 = number6(1, 127),
		.prefix4 = number4(0, 16),
		.prefix6 = number6(0, 112),
	};
}

struct router_plan
plan_shard(enum families f)
{
	struct router_plan p = plan_router(f);
	p.root = false;
	strcpy(p.outside, "shard1");
	p.outside_mac[1] = 3;
	p.inside_mac[1] = 4;
	p.outside4 = prefix_of("169.254.128.2/31");
	p.inside4 = prefix_of("169.254.128.3/31");
	p.outside6 = prefix_of("fe80::1:2/127");
	p.inside6 = prefix_of("fe80::1:3/127");
	p.prefix4 = number4(1024, 22);
	p.prefix6 = number6(1024, 118);
	return p;
}

struct slot_plan
plan_slot(enum families f, unsigned number)
{
	struct slot_plan p = {
		.router_ifindex = 1000 + (int)number % 512,
		.router_mac = { 2, 1, 10, 9, (uint8_t)(number >> 7), (uint8_t)(2 * number) },
		.slot_mac = { 2, 2, 10, 9, (uint8_t)(number >> 7), (uint8_t)(2 * number) },
		.interface = "eth0",
		.mtu = 1400,
		.has4 = f & V4,
		.has6 = f & V6,
		.router4 = number4(2 * number, 31),
		.slot4 = number4(2 * number + 1, 31),
		.router6 = number6(2 * number, 127),
		.slot6 = number6(2 * number + 1, 127),
	};
	snprintf(p.router_interface, sizeof(p.router_interface), "slot%u", number % 100000);
	return p;
}

struct slot_plan
plan_inner_slot(enum families f, unsigned number)
{
	struct slot_plan p = plan_slot(f, number);
	p.has_inner4 = p.has4;
	p.has_inner6 = p.has6;
	p.inner4 = prefix_of("172.16.0.2/30");
	p.inner_gateway4 = prefix_of("172.16.0.1/30");
	p.inner6 = prefix_of("fd00:16::2/128"); /* its gateway is outside of that */
	p.inner_gateway6 = prefix_of("fd00:16::1/128");
	return p;
}

__attribute__((format(printf, 4, 0))) static void
format_in(const struct netns *n, char *ret, size_t size, const char *fmt, va_list args)
{
	char command[768];
	int length = vsnprintf(command, sizeof(command), fmt, args);
	assert_in_range(length, 0, sizeof(command) - 1);
	length = snprintf(ret, size, "nsenter --net=/proc/%d/fd/%d sh -c '%s' 2>&1", getpid(), n->fd, command);
	assert_in_range(length, 0, size - 1);
}

const char *
output_in(const struct netns *n, const char *fmt, ...)
{
	char command[1000];
	va_list args;
	va_start(args, fmt);
	format_in(n, command, sizeof(command), fmt, args);
	va_end(args);
	return sandbox_output("%s", command);
}

int
run_in(const struct netns *n, const char *fmt, ...)
{
	char command[1000];
	va_list args;
	va_start(args, fmt);
	format_in(n, command, sizeof(command), fmt, args);
	va_end(args);
	return sandbox_run("%s", command);
}

int
socket_in(struct kernel *k, const struct netns *n, int family, int type, int protocol)
{
	if (n)
		assert_return_code(setns(n->fd, CLONE_NEWNET), errno);
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);
	if (n)
		assert_return_code(setns(kernel_netns_fd(k), CLONE_NEWNET), errno);
	assert_return_code(fd, errno);
	return fd;
}

/* A socket address, and its size. */
static socklen_t
address_to(const char *address, struct sockaddr_storage *ret)
{
	struct prefix p = prefix_of(address);
	memset(ret, 0, sizeof(*ret));
	if (p.family == AF_INET) {
		struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
		memcpy(&a.sin_addr, p.address, sizeof(a.sin_addr));
		memcpy(ret, &a, sizeof(a));
		return sizeof(a);
	}
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(PORT) };
	memcpy(&a.sin6_addr, p.address, sizeof(a.sin6_addr));
	memcpy(ret, &a, sizeof(a));
	return sizeof(a);
}

static long
now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool
arrives(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return poll(&p, 1, WAIT_MS) == 1 && (p.revents & POLLIN);
}

long
packets_pass(struct kernel *k, const struct netns *from, const struct netns *to, const char *address)
{
	struct sockaddr_storage target, any, sender;
	socklen_t size = address_to(address, &target), sender_size = sizeof(sender);
	address_to(target.ss_family == AF_INET ? "0.0.0.0" : "::", &any);
	CLEANUP(close_fd) int server = socket_in(k, to, target.ss_family, SOCK_DGRAM, 0);
	CLEANUP(close_fd) int client = socket_in(k, from, target.ss_family, SOCK_DGRAM, 0);
	assert_return_code(bind(server, (struct sockaddr *)&any, size), errno);

	char c = 'x';
	long start = now_us();
	if (sendto(client, &c, 1, 0, (struct sockaddr *)&target, size) != 1 || !arrives(server))
		return -1;
	long taken = now_us() - start;
	assert_int_equal(recvfrom(server, &c, 1, 0, (struct sockaddr *)&sender, &sender_size), 1);
	if (sendto(server, &c, 1, 0, (struct sockaddr *)&sender, sender_size) != 1 || !arrives(client))
		return -1;
	return taken;
}

struct kernel *
start_kernel(void **state)
{
	assert_int_equal(sandbox_run("ip link set lo up"), 0);
	return ((struct sandbox *)*state)->kernel;
}

struct netns
make_router(struct kernel *k, struct netns *outside, const struct router_plan *plan)
{
	struct netns n = NETNS_INIT;
	int ifindex = 0;
	assert_ok(router_make(k, outside, plan, &n, &ifindex, &e));
	assert_true(n.fd >= 0 && ifindex > 0);
	if (!outside)
		assert_int_equal(ifindex, if_nametoindex(plan->outside));
	return n;
}

void
assert_router_refused(struct kernel *k, const struct router_plan *plan, enum error_code code, const char *words)
{
	struct netns n = NETNS_INIT;
	int ifindex = -1;
	unsigned fds = sandbox_open_fds();
	char before[4096];
	static const char look[] =
		"ls /proc/sys/net/ipv4/conf; ip route; ip -6 route; cat /proc/sys/net/ipv4/ip_forward "
		"/proc/sys/net/ipv6/conf/all/forwarding";
	snprintf(before, sizeof(before), "%s", sandbox_output(look));
	assert_error(code, words, router_make(k, NULL, plan, &n, &ifindex, &e));
	assert_int_equal(n.fd, -1);
	assert_int_equal(ifindex, -1);
	assert_int_equal(sandbox_open_fds(), fds);
	assert_string_equal(sandbox_output(look), before);
}
