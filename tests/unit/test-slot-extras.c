/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a slot may have beside its interface: taps that their owners open, and limits that limit. */
#include "config.h"

#include "router-sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <net/if.h>

#include "macros.h"

#define OWNER 65534
#define PORT 7001
#define SIZE 1200    /* of a packet */
#define RATE 8000000 /* bits a second */
#define BURST 20000

struct place {
	struct kernel *k;
	struct netns router, slot;
	struct rtnl *rtnl;
};

static struct place
start(void **state)
{
	struct place p = { .k = ((struct sandbox *)*state)->kernel, .router = NETNS_INIT, .slot = NETNS_INIT };
	struct router_plan plan = plan_router(V4);
	struct slot_plan slot = plan_slot(V4, 1);
	int ifindex;
	assert_ok(router_make(p.k, NULL, &plan, &p.router, &ifindex, &e));
	assert_ok(router_rtnl(p.k, p.router.fd, &p.rtnl, &e));
	assert_ok(slot_make(p.k, p.rtnl, &slot, &p.slot, &e));
	return p;
}

static void
stop(struct place *p)
{
	rtnl_close(p->rtnl);
	netns_close(&p->slot);
	netns_close(&p->router);
}

/* ---- taps ---- */

struct opening {
	int netns_fd;
	uid_t uid;
};

/* errno of opening the tap. The device file may be root's alone here, so it is opened before the change of user. */
static int
open_tap(void *arg)
{
	const struct opening *o = arg;
	struct ifreq request = { .ifr_name = "tap0", .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	if (setns(o->netns_fd, CLONE_NEWNET) < 0)
		return 255;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0 || setresuid(o->uid, o->uid, o->uid) < 0)
		return 255;
	return ioctl(fd, TUNSETIFF, &request) < 0 ? errno : 0;
}

static void
test_tap(void **state)
{
	struct place p = start(state);
	const struct prefix addresses[] = { prefix_of("192.168.7.1/24") };
	struct tap_plan t = {
		.interface = "tap0",
		.owner = OWNER,
		.has_mac = true,
		.mac = { 2, 0, 0, 0, 0, 7 },
		.addresses = addresses,
		.n_addresses = 1,
	};
	assert_ok(slot_add_tap(p.k, p.slot.fd, &t, &e));
	assert_shows_in(&p.slot, "\"address\":\"02:00:00:00:00:07\"", "ip -j link show tap0");
	assert_shows_in(&p.slot, "\"UP\"", "ip -j link show tap0");
	assert_shows_in(&p.slot, "192.168.7.1/24", "ip -br addr show tap0");
	assert_shows_in(&p.slot, "\"user\":\"nobody\"", "ip -d -j link show tap0");
	assert_string_equal(output_in(&p.slot, "cat /proc/sys/net/ipv6/conf/tap0/disable_ipv6"), "1\n");
	assert_hides("tap0", "ip -br link");

	struct opening o = { .netns_fd = p.slot.fd, .uid = OWNER };
	assert_int_equal(sandbox_child(open_tap, &o), 0);
	o.uid = OWNER - 1;
	assert_int_equal(sandbox_child(open_tap, &o), EPERM);
	assert_error(ERROR_NAME_TAKEN, "tap0", slot_add_tap(p.k, p.slot.fd, &t, &e));
	stop(&p);
}

static void
test_tap_ipv6(void **state)
{
	struct place p = start(state);
	const struct prefix addresses[] = { prefix_of("fd00:7::1/64") };
	struct tap_plan t = { .interface = "tap.0", .owner = -1, .addresses = addresses, .n_addresses = 1 };
	assert_ok(slot_add_tap(p.k, p.slot.fd, &t, &e));
	assert_shows_in(&p.slot, "fd00:7::1/64", "ip -br addr show tap.0");
	assert_string_equal(output_in(&p.slot, "cd /proc/sys/net/ipv6/conf/tap.0; "
					       "cat disable_ipv6 accept_ra accept_redirects | tr \"\\n\" \" \""),
			    "0 0 0 ");
	stop(&p);
}

static void
test_tap_refused(void **state)
{
	struct place p = start(state);
	struct prefix addresses[] = { prefix_of("192.168.7.1/24") };
	struct tap_plan t = { .interface = "eth0", .owner = -1, .addresses = addresses, .n_addresses = 1 };
	unsigned fds = sandbox_open_fds();
	assert_error(ERROR_NAME_TAKEN, "eth0", slot_add_tap(p.k, p.slot.fd, &t, &e));
	strcpy(t.interface, "tap0");
	addresses[0].length = 33;
	assert_error(ERROR_KERNEL, "192.168.7.1/33 on tap0", slot_add_tap(p.k, p.slot.fd, &t, &e));
	t.n_addresses = 0;
	t.has_mac = true; /* all zero */
	assert_error(ERROR_KERNEL, "MAC", slot_add_tap(p.k, p.slot.fd, &t, &e));
	assert_hides_in(&p.slot, "tap0", "ip -br link");
	assert_error(ERROR_KERNEL, "cannot enter", slot_add_tap(p.k, -1, &t, &e));
	assert_int_equal(sandbox_open_fds(), fds);
	stop(&p);
}

/* ---- limits ---- */

static double
now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Bits a second that arrive of what is sent at several times the limit. */
static double
measure(struct kernel *k, const struct netns *from, const struct netns *to, const char *address)
{
	static char packet[SIZE];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	CLEANUP(close_fd) int server = socket_in(k, to, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	CLEANUP(close_fd) int client = socket_in(k, from, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_return_code(bind(server, (struct sockaddr *)&a, sizeof(a)), errno);
	assert_int_equal(inet_pton(AF_INET, address, &a.sin_addr), 1);

	double begin = now(), first = begin + 0.1, end = begin + 0.6; /* the burst is over at `first` */
	size_t received = 0;
	for (double t = begin; t < end; t = now()) {
		for (unsigned i = 0; i < 5; i++)
			sendto(client, packet, sizeof(packet), 0, (struct sockaddr *)&a, sizeof(a));
		ssize_t n;
		while ((n = recv(server, packet, sizeof(packet), 0)) > 0)
			received += t >= first ? (size_t)n : 0;
		usleep(1000);
	}
	return (double)received * 8 / (end - first);
}

static void
assert_limited(double rate)
{
	print_message("%.2f Mbit/s\n", rate / 1e6);
	assert_true(rate > 0.6 * RATE && rate < 1.2 * RATE);
}

static void
test_limits(void **state)
{
	struct place p = start(state);
	assert_true(measure(p.k, &p.slot, &p.router, "10.9.0.2") > 2 * RATE);
	assert_ok(slot_limit(p.rtnl, 1001, RATE, BURST, RATE, BURST, &e));
	assert_limited(measure(p.k, &p.slot, &p.router, "10.9.0.2"));
	assert_limited(measure(p.k, &p.router, &p.slot, "10.9.0.3"));
	assert_true(packets_pass(p.k, &p.slot, NULL, "10.9.0.0") >= 0); /* and it forwards as before */

	/* An ifb that was left behind is no hindrance, and a limit can be set anew. */
	assert_int_equal(run_in(&p.router, "tc qdisc del dev slot1 ingress"), 0);
	assert_ok(slot_limit(p.rtnl, 1001, 2 * RATE, BURST, 0, 0, &e));
	assert_shows_in(&p.router, "rate 16Mbit", "tc qdisc show dev ifb2001");
	assert_shows_in(&p.router, "rate 8Mbit", "tc qdisc show dev slot1");
	assert_ok(slot_unlimit(p.rtnl, 1001, &e));
	assert_hides_in(&p.router, "ifb", "ip -br link");
	assert_ok(slot_unlimit(p.rtnl, 1001, &e));
	stop(&p);
}

static void
test_limit_sizes(void **state)
{
	struct place p = start(state);
	assert_ok(slot_limit(p.rtnl, 1001, 0, 0, 100000000000, 0, &e)); /* more than 32 bits of bytes a second */
	assert_shows_in(&p.router, "rate 100Gbit", "tc qdisc show dev slot1");
	assert_hides_in(&p.router, "ifb", "ip -br link");
	assert_ok(slot_limit(p.rtnl, 1001, 0, 0, 1000, 1, &e)); /* a burst in which no packet fits */
	assert_shows_in(&p.router, "burst 1464b", "tc qdisc show dev slot1");
	assert_true(packets_pass(p.k, &p.router, &p.slot, "10.9.0.3") >= 0);
	assert_ok(slot_limit(p.rtnl, 1001, 1, 0, 0, 0, &e));
	assert_ok(slot_unlimit(p.rtnl, 1001, &e));

	assert_error(ERROR_NOT_FOUND, "interface 1500", slot_limit(p.rtnl, 1500, RATE, 0, RATE, 0, &e));
	stop(&p);
}

/* What was set before the refusal is taken back. */
static void
test_limit_refused(void **state)
{
	struct place p = start(state);
	assert_int_equal(run_in(&p.router, "ip link add taken index 2001 type bridge"), 0);
	assert_error(ERROR_NAME_TAKEN, "interface taken of the router has the number 2001 already",
		     slot_limit(p.rtnl, 1001, RATE, 0, RATE, 0, &e));
	assert_shows_in(&p.router, "taken", "ip -br link");
	assert_int_equal(run_in(&p.router, "ip link del taken; ip link add ifb2001 type bridge"), 0);
	assert_error(ERROR_NAME_TAKEN, "ifb2001", slot_limit(p.rtnl, 1001, RATE, 0, RATE, 0, &e));
	assert_string_equal(output_in(&p.router, "tc qdisc show dev slot1"), "qdisc noqueue 0: root refcnt 2 \n");
	stop(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_tap),	   SANDBOX_TEST(test_tap_ipv6),	   SANDBOX_TEST(test_tap_refused),
		SANDBOX_TEST(test_limits), SANDBOX_TEST(test_limit_sizes), SANDBOX_TEST(test_limit_refused),
	};
	sandbox_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
