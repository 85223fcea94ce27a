/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Slots on a router, looked at by other tools and by packets; what is refused leaves nothing. */
#include "config.h"

#include "router-sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fields.h"
#include "macros.h"

struct place {
	struct kernel *k;
	struct netns router;
	struct rtnl *rtnl;
};

static struct place
start(void **state, enum families f)
{
	struct place p = { .k = ((struct sandbox *)*state)->kernel, .router = NETNS_INIT };
	struct router_plan plan = plan_router(f);
	int ifindex;
	assert_int_equal(sandbox_run("ip link set lo up"), 0);
	assert_ok(router_make(p.k, NULL, &plan, &p.router, &ifindex, &e));
	assert_ok(router_rtnl(p.k, p.router.fd, &p.rtnl, &e));
	return p;
}

static void
stop(struct place *p)
{
	rtnl_close(p->rtnl);
	netns_close(&p->router);
}

static struct netns
make(const struct place *p, const struct slot_plan *plan)
{
	struct netns n = NETNS_INIT;
	assert_ok(slot_make(p->k, p->rtnl, plan, &n, &e));
	assert_true(n.fd >= 0 && n.cookie != 0);
	return n;
}

static void
test_v4(void **state)
{
	struct place p = start(state, V4);
	struct slot_plan plan = plan_slot(V4, 3);
	struct netns n = make(&p, &plan);

	const char *out = output_in(&n, "ip -d -j link show eth0");
	assert_in(out, "\"ifindex\":100,");
	assert_in(out, "\"flags\":[\"BROADCAST\",\"MULTICAST\",\"UP\",\"LOWER_UP\"]");
	assert_in(out, "\"mtu\":1400,");
	assert_in(out, "\"address\":\"02:02:0a:09:00:06\"");
	assert_in(out, "\"inet6_addr_gen_mode\":\"none\"");
	assert_in(out, "\"num_tx_queues\":1,\"num_rx_queues\":1");
	assert_shows_in(&n, "UP", "ip -br link show lo | tr -d \\<,");
	assert_string_equal(output_in(&n, "ip -br -4 addr show eth0 | tr -s \" \""), "eth0@if1003 UP 10.9.0.7/31 \n");
	assert_string_equal(output_in(&n, "ip -br -6 addr show eth0"), "");
	assert_string_equal(output_in(&n, "ip route"), "default via 10.9.0.6 dev eth0 proto 110 onlink \n"
						       "10.9.0.6/31 dev eth0 proto kernel scope link src 10.9.0.7 \n");
	assert_string_equal(output_in(&n, "ip neigh show nud permanent"),
			    "10.9.0.6 dev eth0 lladdr 02:01:0a:09:00:06 PERMANENT \n");

	out = output_in(&p.router, "ip -d -j link show slot3");
	assert_in(out, "\"ifindex\":1003,");
	assert_in(out, "\"flags\":[\"BROADCAST\",\"MULTICAST\",\"UP\",\"LOWER_UP\"]");
	assert_in(out, "\"address\":\"02:01:0a:09:00:06\"");
	assert_in(out, "\"num_tx_queues\":1,\"num_rx_queues\":1");
	assert_shows_in(&p.router, "inet 10.9.0.6/31 scope global slot3", "ip -o -4 addr show slot3");
	assert_string_equal(output_in(&p.router, "ip -o -6 addr"), "");
	assert_string_equal(output_in(&p.router, "ip neigh show nud permanent dev slot3"),
			    "10.9.0.7 lladdr 02:02:0a:09:00:06 PERMANENT \n");
	netns_close(&n);
	stop(&p);
}

static void
test_dual(void **state)
{
	struct place p = start(state, DUAL);
	struct slot_plan plan = plan_slot(DUAL, 300);
	struct netns n = make(&p, &plan);

	assert_shows_in(&n, "10.9.2.89/31", "ip addr show eth0");
	assert_shows_in(&n, "inet6 fd09::259/127 scope global nodad", "ip addr show eth0");
	assert_shows_in(&n, "default via fd09::258 dev eth0 proto 110", "ip -6 route");
	assert_shows_in(&n, "fd09::258 dev eth0 lladdr 02:01:0a:09:02:58 PERMANENT", "ip -6 neigh");
	assert_shows_in(&n, "local fd09::259 dev eth0 proto 110 metric 1024 expires", "ip -6 route show table local");
	assert_shows_in(&p.router, "inet6 fd09::258/127 scope global nodad", "ip addr show slot300");
	assert_shows_in(&p.router, "fd09::259 lladdr 02:02:0a:09:02:58 PERMANENT", "ip -6 neigh show dev slot300");
	assert_hides_in(&p.router, "fe80", "ip -6 addr"); /* each would be dear for all others */
	netns_close(&n);

	plan = plan_slot(V6, 301); /* one family alone */
	n = make(&p, &plan);
	assert_string_equal(output_in(&n, "ip -4 addr show eth0"), "");
	assert_string_equal(output_in(&n, "ip route"), "");
	assert_shows_in(&n, "default via fd09::25a", "ip -6 route");
	assert_true(packets_pass(p.k, NULL, &n, "fd09::25b") >= 0);
	netns_close(&n);
	stop(&p);
}

static unsigned
requests_seen(int fd)
{
	char frame[256];
	unsigned n = 0;
	while (recv(fd, frame, sizeof(frame), MSG_DONTWAIT) > 0)
		n++;
	assert_int_equal(errno, EAGAIN);
	return n;
}

/* Nobody has to ask for a neighbour before the first packet of a cold slot, in either direction. */
static void
test_first_packet(void **state)
{
	struct place p = start(state, DUAL);
	CLEANUP(close_fd) int arp = socket_in(p.k, &p.router, AF_PACKET, SOCK_DGRAM, htons(ETH_P_ARP));

	for (unsigned i = 1; i <= 20; i++) {
		struct slot_plan plan = plan_slot(DUAL, i);
		char four[INET6_ADDRSTRLEN + 4], six[INET6_ADDRSTRLEN + 4];
		struct netns n = make(&p, &plan);
		prefix_format(&plan.slot4, four);
		prefix_format(&plan.slot6, six);
		long taken;
		if (i % 2)
			taken = packets_pass(p.k, NULL, &n, i % 4 == 1 ? four : six);
		else
			taken = packets_pass(p.k, &n, NULL, i % 4 == 0 ? "10.9.0.0" : "fd09::");
		assert_in_range(taken, 0, 100 * 1000);
		netns_close(&n);
	}
	assert_int_equal(requests_seen(arp), 0);
	stop(&p);
}

/* A slot can send and receive at once: the kernel does the last of it (the carrier, an IPv6 address) later by itself. */
static void
test_first_packet_both_ways(void **state)
{
	struct place p = start(state, DUAL);
	struct netns n[100];
	for (unsigned i = 0; i < ARRAY_SIZE(n); i++) {
		struct slot_plan plan = plan_slot(DUAL, i + 1);
		char six[INET6_ADDRSTRLEN + 4];
		prefix_format(&plan.slot6, six);
		n[i] = make(&p, &plan);
		if (i % 3 == 0)
			assert_true(packets_pass(p.k, &n[i], NULL, "10.9.0.0") >= 0);
		else if (i % 3 == 1)
			assert_true(packets_pass(p.k, &n[i], NULL, "fd09::") >= 0);
		else
			assert_true(packets_pass(p.k, &n[i - 1], &n[i], six) >= 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(n); i++)
		netns_close(&n[i]);
	stop(&p);
}

/* The router puts the address that a slot has inside into packets, and takes it out; two slots have the same. */
static void
test_inner(void **state)
{
	struct place p = start(state, DUAL);
	struct slot_plan plans[] = { plan_inner_slot(DUAL, 1), plan_inner_slot(DUAL, 2) };
	struct netns n[] = { make(&p, &plans[0]), make(&p, &plans[1]) };
	CLEANUP(close_fd) int arp = socket_in(p.k, &p.router, AF_PACKET, SOCK_DGRAM, htons(ETH_P_ARP));

	assert_shows_in(&n[0], "172.16.0.2/30", "ip -br addr show eth0");
	assert_shows_in(&n[0], "default via 172.16.0.1 dev eth0", "ip route");
	assert_shows_in(&n[0], "default via fd00:16::1 dev eth0", "ip -6 route");
	assert_shows_in(&p.router, "172.16.0.2 lladdr 02:02:0a:09:00:04 PERMANENT", "ip neigh show dev slot2");
	for (unsigned i = 1; i <= 2; i++)
		assert_int_equal(
			run_in(&p.router,
			       "nft \"table inet t%u { chain in { type filter hook prerouting priority raw; "
			       "iifname slot%u ip saddr set 10.9.0.%u; iifname slot%u ip6 saddr set fd09::%u; }; "
			       "chain out { type filter hook postrouting priority 0; "
			       "oifname slot%u ip daddr set 172.16.0.2; "
			       "oifname slot%u ip6 daddr set fd00:16::2; }; }\"",
			       i, i, 2 * i + 1, i, 2 * i + 1, i, i),
			0);
	assert_true(packets_pass(p.k, NULL, &n[0], "10.9.0.3") >= 0);
	assert_true(packets_pass(p.k, NULL, &n[1], "10.9.0.5") >= 0);
	assert_true(packets_pass(p.k, NULL, &n[0], "fd09::3") >= 0);
	assert_true(packets_pass(p.k, NULL, &n[1], "fd09::5") >= 0);
	assert_true(packets_pass(p.k, &n[1], NULL, "10.9.0.0") >= 0);
	assert_true(packets_pass(p.k, &n[0], &n[1], "10.9.0.5") >= 0);
	assert_int_equal(requests_seen(arp), 0);
	netns_close(&n[0]);
	netns_close(&n[1]);
	stop(&p);
}

static void
assert_refused(const struct place *p, const struct slot_plan *plan, enum error_code code, const char *words)
{
	struct netns n = NETNS_INIT;
	unsigned fds = sandbox_open_fds();
	char before[4096];
	snprintf(before, sizeof(before), "%s",
		 output_in(&p->router, "ls /proc/sys/net/ipv4/conf; ip -o addr; ip neigh show nud permanent"));
	assert_error(code, words, slot_make(p->k, p->rtnl, plan, &n, &e));
	assert_int_equal(n.fd, -1);
	assert_int_equal(sandbox_open_fds(), fds);
	assert_string_equal(
		output_in(&p->router, "ls /proc/sys/net/ipv4/conf; ip -o addr; ip neigh show nud permanent"), before);
}

static void
test_refused(void **state)
{
	struct place p = start(state, DUAL);
	struct slot_plan plan = plan_slot(DUAL, 1), good = plan;
	struct netns n = make(&p, &plan);

	assert_refused(&p, &plan, ERROR_NAME_TAKEN, "there is an interface slot1 in the router already");
	good = plan_slot(DUAL, 2);
	plan = good;
	plan.router_ifindex = 1001;
	assert_refused(&p, &plan, ERROR_NAME_TAKEN, "interface slot1 of the router has the number 1001 already");
	plan = good;
	plan.slot4.length = 33;
	assert_refused(&p, &plan, ERROR_KERNEL, "slot interface slot2: address 10.9.0.5/33 on eth0");
	plan = good;
	plan.router6.length = 129;
	assert_refused(&p, &plan, ERROR_KERNEL, "fd09::4/129 on slot2");
	plan = good;
	plan.mtu = 10;
	assert_refused(&p, &plan, ERROR_KERNEL, "slot2");
	plan = good;
	plan.slot_mac[0] = 1; /* multicast */
	assert_refused(&p, &plan, ERROR_KERNEL, "slot2");

	struct pairs sysctls = { 0 };
	assert_int_equal(pairs_set(&sysctls, "net.ipv4.nothing", "1"), 0);
	plan = good;
	plan.sysctls = &sysctls;
	assert_refused(&p, &plan, ERROR_KERNEL, "net.ipv4.nothing");
	pairs_done(&sysctls);

	struct netns other = make(&p, &good); /* its name and number were free all the time */
	netns_close(&other);
	netns_close(&n);
	stop(&p);
}

static void
test_sysctls(void **state)
{
	struct place p = start(state, V4);
	struct slot_plan plan = plan_slot(V4, 1);
	struct pairs sysctls = { 0 };
	assert_int_equal(pairs_set(&sysctls, "net.ipv4.ip_unprivileged_port_start", "80"), 0);
	assert_int_equal(pairs_set(&sysctls, "net.ipv4.conf.eth0.log_martians", "1"), 0);
	plan.sysctls = &sysctls;
	struct netns n = make(&p, &plan);
	assert_string_equal(output_in(&n, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "80\n");
	assert_string_equal(output_in(&n, "cat /proc/sys/net/ipv4/conf/eth0/log_martians"), "1\n");
	pairs_done(&sysctls);
	netns_close(&n);
	stop(&p);
}

/* What verify says of a slot in which a command was run. */
static void
assert_differs(const struct place *p, const struct slot_plan *plan, const char *command, const char *expected)
{
	char text[512] = "old";
	struct netns n = make(p, plan);
	assert_ok(slot_verify(p->k, n.fd, plan, text, sizeof(text), &e));
	assert_string_equal(text, "");
	assert_int_equal(run_in(&n, "%s", command), 0);
	assert_ok(slot_verify(p->k, n.fd, plan, text, sizeof(text), &e));
	if (!expected[0])
		assert_string_equal(text, "");
	assert_in(text, expected);
	assert_ok(link_delete(p->rtnl, plan->router_ifindex, &e)); /* the name is needed again at once */
	netns_close(&n);
}

static void
test_verify(void **state)
{
	static const struct {
		const char *command, *expected;
	} cases[] = {
		{ "true", "" },
		{ "ip addr del 10.9.0.3/31 dev eth0", "its IPv4 address is missing" },
		{ "ip addr del fd09::3/127 dev eth0", "its IPv6 address is missing" },
		{ "ip addr add 192.0.2.1/32 dev eth0", "there is an address 192.0.2.1/32" },
		{ "ip addr add 192.0.2.1/32 dev lo", "there is an address 192.0.2.1/32" },
		{ "ip -6 addr add fd00::1/128 dev lo nodad", "there is an address fd00::1/128" },
		{ "ip route del default", "its IPv4 default route is missing" },
		{ "ip -6 route del default", "its IPv6 default route is missing" },
		{ "ip route add 192.0.2.0/24 via 10.9.0.2", "there is another route: IPv4 192.0.2.0/24" },
		{ "ip route add unreachable 192.0.2.0/24", "there is another route: IPv4 192.0.2.0/24" },
		{ "ip neigh del 10.9.0.2 dev eth0", "its IPv4 neighbour is missing" },
		{ "ip neigh change fd09::2 lladdr 02:00:00:00:00:01 dev eth0",
		  "there is a neighbour fd09::2 with MAC 02:00:00:00:00:01; its IPv6 neighbour is missing" },
		{ "ip link set eth0 mtu 1300", "its MTU is 1300" },
		{ "ip link set eth0 address 02:00:00:00:00:01", "its MAC is 02:00:00:00:00:01" },
		{ "ip link set eth0 down", "eth0 is down" },
		{ "ip link set eth0 down; ip link set eth0 name in0", "its interface is called in0" },
		{ "ip link add x type bridge", "there is an interface x" },
		{ "ip link set lo down", "lo is down" },
	};
	struct place p = start(state, DUAL);
	struct slot_plan plan = plan_slot(DUAL, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_differs(&p, &plan, cases[i].command, cases[i].expected);

	struct slot_plan inner = plan_inner_slot(DUAL, 2);
	assert_differs(&p, &inner, "ip route del default", "its IPv4 default route is missing");
	struct slot_plan v4 = plan_slot(V4, 3);
	assert_differs(&p, &v4, "ip link del eth0", "its interface eth0 is missing; its IPv4 address is missing");
	stop(&p);
}

/* The router's end is down: no carrier inside. */
static void
test_verify_carrier(void **state)
{
	struct place p = start(state, V4);
	struct slot_plan plan = plan_slot(V4, 1);
	struct netns n = make(&p, &plan);
	char text[512], small[8];
	assert_int_equal(run_in(&p.router, "ip link set slot1 down"), 0);
	for (unsigned i = 0; i < 100; i++) { /* the kernel tells later */
		assert_ok(slot_verify(p.k, n.fd, &plan, text, sizeof(text), &e));
		if (text[0])
			break;
		usleep(20 * 1000);
	}
	assert_string_equal(text, "eth0 has no carrier");
	assert_ok(slot_verify(p.k, n.fd, &plan, small, sizeof(small), &e));
	assert_string_equal(small, "eth0 ha");
	netns_close(&n);
	assert_error(ERROR_KERNEL, "cannot enter", slot_verify(p.k, -1, &plan, text, sizeof(text), &e));
	stop(&p);
}

/* A watch hears of each change, and of nothing that the kernel does by itself. */
static void
test_watch(void **state)
{
	static const char *const changes[] = {
		"ip addr add 192.0.2.1/32 dev eth0",
		"ip -6 addr add fd00::1/128 dev lo nodad",
		"ip addr del 10.9.0.3/31 dev eth0",
		"ip -6 addr del fd09::3/127 dev eth0",
		"ip route add unreachable 192.0.2.0/24",
		"ip -6 route del default",
		"ip neigh del 10.9.0.2 dev eth0",
		"ip link set eth0 mtu 1300",
		"ip link set eth0 down",
		"ip link set lo down",
		"ip link add x type bridge",
	};
	struct place p = start(state, DUAL);
	struct slot_plan plan = plan_slot(DUAL, 1);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct netns n = make(&p, &plan);
		CLEANUP(close_fd) int watch = -1;
		assert_ok(slot_watch_take(&n.rtnl, &watch, &e));
		assert_null(n.rtnl);
		usleep(i == 0 ? 2500 * 1000 : 20 * 1000);
		assert_true(slot_watch_is_quiet(watch, &plan));
		/* the route that stood in expires */
		assert_int_equal(run_in(&n, "ip -6 route del local fd09::3 dev eth0 table local proto 110"), 0);
		assert_true(slot_watch_is_quiet(watch, &plan));
		assert_int_equal(run_in(&n, "%s", changes[i]), 0);
		if (slot_watch_is_quiet(watch, &plan))
			fail_msg("%s was not heard of", changes[i]);
		assert_ok(link_delete(p.rtnl, plan.router_ifindex, &e));
		netns_close(&n);
	}
	stop(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_v4),
		SANDBOX_TEST(test_dual),
		SANDBOX_TEST(test_first_packet),
		SANDBOX_TEST(test_first_packet_both_ways),
		SANDBOX_TEST(test_inner),
		SANDBOX_TEST(test_refused),
		SANDBOX_TEST(test_sysctls),
		SANDBOX_TEST(test_verify),
		SANDBOX_TEST(test_verify_carrier),
		SANDBOX_TEST(test_watch),
	};
	sandbox_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
