/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a router asks of the host: that it forwards, and that nobody else has its addresses. */
#include "config.h"

#include "router-sandbox.h"

#include "macros.h"

static void
assert_forwarding(const char *expected)
{
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | "
					   "tr '\\n' ' '"),
			    expected);
}

static void
forget_forwarding(void)
{
	assert_int_equal(sandbox_run("echo 0 >/proc/sys/net/ipv4/ip_forward; "
				     "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding"),
			 0);
}

static void
test_forwarding(void **state)
{
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(DUAL);
	struct netns n = make_router(k, NULL, &plan);
	assert_forwarding("0 0 ");
	netns_close(&n);
	assert_ok(router_remove_uplink(k, NULL, &plan, &e));

	plan.forward4 = true;
	n = make_router(k, NULL, &plan);
	assert_forwarding("1 0 ");
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv4/conf/nsd-test/forwarding"), "1\n");
	netns_close(&n);
	assert_ok(router_remove_uplink(k, NULL, &plan, &e));

	plan.forward6 = true;
	n = make_router(k, NULL, &plan);
	assert_forwarding("1 1 ");
	forget_forwarding();
	char text[256];
	assert_ok(router_restore(k, NULL, &n, &plan, text, sizeof(text), &e));
	assert_forwarding("1 1 ");
	forget_forwarding();
	netns_close(&n);
}

/* Two interfaces have their default route from router advertisements, and one would lose it. */
static void
test_advertised(void **state)
{
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(DUAL);
	plan.forward4 = plan.forward6 = true;
	assert_int_equal(sandbox_run("for i in br0 br.1; do ip link add $i type bridge && ip link set $i up && "
				     "ip -6 route add default via fe80::1 dev $i proto ra metric 100 onlink; "
				     "ip -6 addr add fe80::2/64 dev $i nodad; done; "
				     "ip -6 route add default via fe80::1 dev br0 proto ra metric 101; "
				     "ip -6 route add default via fe80::1 dev br.1 proto ra metric 102; "
				     "echo 2 >/proc/sys/net/ipv6/conf/br0/accept_ra"),
			 0);
	assert_router_refused(k, &plan, ERROR_NOT_SUPPORTED, "set net.ipv6.conf.br.1.accept_ra=2 first");
	assert_forwarding("0 0 ");
	assert_int_equal(sandbox_run("echo 0 >/proc/sys/net/ipv6/conf/br.1/accept_ra"), 0); /* read by a daemon */
	struct netns n = make_router(k, NULL, &plan);
	assert_forwarding("1 1 ");
	forget_forwarding();
	netns_close(&n);
	assert_int_equal(sandbox_run("ip link del br0; ip link del br.1"), 0);
}

static void
assert_overlap(struct kernel *k, const char *prefix, const char *except, const char *expected)
{
	struct prefix p = prefix_of(prefix);
	char text[64] = "old";
	assert_ok(host_route_overlap(k, &p, except, text, sizeof(text), &e));
	assert_string_equal(text, expected);
}

static void
test_overlap(void **state)
{
	struct kernel *k = start_kernel(state);
	assert_overlap(k, "10.9.0.0/16", NULL, "");
	assert_int_equal(sandbox_run("ip link add br0 type bridge && ip addr add 192.0.2.1/24 dev br0"), 0);
	assert_overlap(k, "192.0.2.128/25", NULL, "192.0.2.1/24 dev br0");
	assert_int_equal(sandbox_run("ip link set br0 up && ip addr add fd01::1/64 dev br0 nodad && "
				     "ip route add default via 192.0.2.2 && ip route add 0.0.0.0/1 via 192.0.2.2 && "
				     "ip route add 128.0.0.0/1 via 192.0.2.2 && "
				     "ip -6 route add 2000::/3 via fd01::2 && ip -6 route add default via fd01::2 && "
				     "ip route add 10.0.0.0/8 via 192.0.2.2 && "
				     "ip route add unreachable 172.16.0.0/12 && "
				     "ip route add local 198.51.100.0/24 dev lo && "
				     "ip route add 203.0.113.0/24 via 192.0.2.2 table 7"),
			 0);
	assert_overlap(k, "10.9.0.0/16", NULL, "10.0.0.0/8 dev br0");
	assert_overlap(k, "10.9.0.0/16", "br0", "");
	assert_overlap(k, "8.0.0.0/7", NULL, "");
	assert_overlap(k, "10.0.0.0/7", NULL, "10.0.0.0/8 dev br0");
	assert_overlap(k, "192.0.0.0/16", NULL, "192.0.2.0/24 dev br0");
	assert_overlap(k, "172.20.0.0/16", NULL, "");
	assert_overlap(k, "198.51.100.128/25", NULL, "198.51.100.0/24 dev lo");
	assert_overlap(k, "203.0.113.0/24", NULL, "");
	assert_overlap(k, "fd01::/48", NULL, "fd01::/64 dev br0");
	assert_overlap(k, "2001:db8::/64", NULL, "");
	assert_overlap(k, "fd02::/64", "no-such", "");
	assert_int_equal(sandbox_run("ip link del br0; ip route del local 198.51.100.0/24 dev lo; "
				     "ip route del unreachable 172.16.0.0/12"),
			 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_forwarding),
		SANDBOX_TEST(test_advertised),
		SANDBOX_TEST(test_overlap),
	};
	sandbox_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
