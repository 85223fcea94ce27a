/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Routers: how they and the host look afterwards, what is put back, cut off and told; what is refused leaves nothing. */
#include "config.h"

#include "router-sandbox.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "events.h"
#include "macros.h"

#define MANY 20

/* Slots first to first + n - 1. */
static void
make_slots(struct kernel *k, const struct netns *router, enum families f, unsigned first, unsigned n, struct netns *ret)
{
	struct rtnl *r;
	assert_ok(router_rtnl(k, router->fd, &r, &e));
	for (unsigned i = 0; i < n; i++) {
		struct slot_plan plan = plan_slot(f, first + i);
		ret[i] = (struct netns)NETNS_INIT;
		assert_ok(slot_make(k, r, &plan, &ret[i], &e));
	}
	rtnl_close(r);
}

/* The host's own settings: those of all, default, and all other interfaces. */
static const char *
host_settings(void)
{
	return sandbox_output("grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 | "
			      "grep -v -e /nsd-test/ -e /neigh/ -e stat_ -e /route/flush | sort | md5sum");
}

static void
test_v4(void **state)
{
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(V4);
	char before[64];
	snprintf(before, sizeof(before), "%s", host_settings());
	struct netns n = make_router(k, NULL, &plan);
	assert_string_equal(host_settings(), before);

	const char *out = sandbox_output("ip -d -j link show nsd-test");
	assert_in(out, "\"group\":\"7238500\"");
	assert_in(out, "\"mtu\":1400,");
	assert_in(out, "\"address\":\"02:01:0a:09:00:00\"");
	assert_in(out, "LOWER_UP");
	assert_string_equal(sandbox_output("ip -br addr show nsd-test | tr -s ' '"),
			    "nsd-test@if100 UP 10.9.0.0/31 \n");
	assert_string_equal(sandbox_output("ip route; ip neigh show nud permanent"),
			    "10.9.0.0/31 dev nsd-test proto kernel scope link src 10.9.0.0 \n"
			    "10.9.0.0/16 via 10.9.0.1 dev nsd-test proto 110 onlink \n"
			    "10.9.0.1 dev nsd-test lladdr 02:02:0a:09:00:00 PERMANENT \n");
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv6/conf/nsd-test/disable_ipv6"), "1\n");
	assert_string_equal(sandbox_output("cat /proc/sys/net/ipv4/conf/nsd-test/*_redirects | tr '\\n' ' '"),
			    "0 1 0 ");

	assert_shows_in(&n, "UP 10.9.0.1/31", "ip -br addr show uplink | tr -s \" \"");
	assert_string_equal(output_in(&n, "ip route; ip neigh show nud permanent"),
			    "default via 10.9.0.0 dev uplink proto 110 onlink \n"
			    "10.9.0.0/31 dev uplink proto kernel scope link src 10.9.0.1 \n"
			    "unreachable 10.9.0.0/16 proto 110 \n"
			    "10.9.0.0 dev uplink lladdr 02:01:0a:09:00:00 PERMANENT \n");
	assert_string_equal(output_in(&n, "cat /proc/sys/net/ipv4/ip_forward "
					  "/proc/sys/net/ipv4/conf/uplink/send_redirects "
					  "/proc/sys/net/ipv4/conf/uplink/rp_filter "
					  "/proc/sys/net/ipv6/conf/default/disable_ipv6 | tr \"\\n\" \" \""),
			    "1 0 0 1 ");
	assert_string_equal(output_in(&n, "ip -6 addr"), "");
	assert_true(packets_pass(k, NULL, &n, "10.9.0.1") >= 0);
	/* what has no slot comes to an end in the router */
	assert_shows_in(&n, "No route to host", "ip route get 10.9.7.7");
	netns_close(&n);
}

static void
test_dual(void **state)
{
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(DUAL);
	char before[64];
	snprintf(before, sizeof(before), "%s", host_settings());
	struct netns n = make_router(k, NULL, &plan);
	assert_string_equal(host_settings(), before);

	assert_shows("fd09::/127 ", "ip -br addr show nsd-test");
	assert_shows("fd09::/112 via fd09::1 dev nsd-test proto 110", "ip -6 route");
	assert_shows("fd09::1 dev nsd-test lladdr 02:02:0a:09:00:00", "ip -6 neigh show nud permanent");
	assert_string_equal(sandbox_output("cd /proc/sys/net/ipv6/conf/nsd-test; "
					   "cat disable_ipv6 accept_ra accept_redirects | tr '\\n' ' '"),
			    "0 0 0 ");
	assert_shows_in(&n, "default via fd09:: dev uplink proto 110", "ip -6 route");
	assert_shows_in(&n, "unreachable fd09::/112", "ip -6 route");
	assert_string_equal(output_in(&n, "cd /proc/sys/net/ipv6/conf/uplink; "
					  "cat forwarding accept_ra accept_redirects addr_gen_mode | tr \"\\n\" \" \""),
			    "1 0 0 1 ");
	assert_hides_in(&n, "fe80", "ip -6 addr");
	assert_true(packets_pass(k, NULL, &n, "fd09::1") >= 0);

	struct netns slots[3];
	make_slots(k, &n, DUAL, 1, 3, slots);
	assert_true(packets_pass(k, &slots[0], &slots[2], "10.9.0.7") >= 0);
	assert_true(packets_pass(k, &slots[0], &slots[2], "fd09::7") >= 0);
	for (unsigned i = 0; i < 3; i++)
		netns_close(&slots[i]);
	netns_close(&n);
}

/* A router is not to begin with what the host has set for itself. */
static void
test_host_settings_stay_out(void **state)
{
	static const char *const keys[] = { "proxy_arp",	"route_localnet", "accept_local", "rp_filter",
					    "accept_redirects", "send_redirects", "arp_accept" };
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(V4);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(
			sandbox_run("cd /proc/sys/net/ipv4/conf; echo 1 >all/%s; echo 1 >default/%s", keys[i], keys[i]),
			0);
	struct netns n = make_router(k, NULL, &plan);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_string_equal(output_in(&n, "cd /proc/sys/net/ipv4/conf; cat all/%s uplink/%s", keys[i], keys[i]),
				    "0\n0\n");
	netns_close(&n);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(
			sandbox_run("cd /proc/sys/net/ipv4/conf; echo 0 >all/%s; echo 0 >default/%s", keys[i], keys[i]),
			0);
}

static void
test_shard(void **state)
{
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(DUAL), shard_plan = plan_shard(DUAL);
	struct netns root = make_router(k, NULL, &plan);
	struct netns shard = make_router(k, &root, &shard_plan), near[1], far[1];

	assert_shows_in(&root, "10.9.4.0/22 via 169.254.128.3 dev shard1", "ip route");
	assert_shows_in(&root, "fd09::400/118 via fe80::1:3 dev shard1", "ip -6 route");
	assert_shows_in(&shard, "default via 169.254.128.2 dev uplink", "ip route");
	assert_shows_in(&shard, "unreachable 10.9.4.0/22", "ip route");
	make_slots(k, &root, DUAL, 1, 1, near);
	make_slots(k, &shard, DUAL, 512, 1, far);
	assert_true(packets_pass(k, NULL, &far[0], "10.9.4.1") >= 0);
	assert_true(packets_pass(k, NULL, &far[0], "fd09::401") >= 0);
	assert_true(packets_pass(k, &far[0], &near[0], "10.9.0.3") >= 0);
	assert_true(packets_pass(k, &near[0], &far[0], "fd09::401") >= 0);
	assert_true(packets_pass(k, &far[0], NULL, "10.9.0.0") >= 0);

	char text[256];
	assert_int_equal(run_in(&root, "ip link set shard1 down"), 0);
	assert_ok(router_restore(k, &root, &shard, &shard_plan, text, sizeof(text), &e));
	assert_in(text, "shard1 was down");
	assert_true(packets_pass(k, NULL, &far[0], "fd09::401") >= 0);
	assert_ok(router_remove_uplink(k, &root, &shard_plan, &e));
	assert_hides_in(&root, "shard1", "ip -br link");
	netns_close(&near[0]);
	netns_close(&far[0]);
	netns_close(&shard);
	netns_close(&root);
}

/* ---- refused ---- */

static void
test_refused(void **state)
{
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(DUAL);

	assert_int_equal(sandbox_run("ip link add nsd-test type bridge"), 0);
	assert_router_refused(k, &plan, ERROR_NAME_TAKEN, "nsd-test");
	assert_ok(router_remove_uplink(k, NULL, &plan, &e)); /* is not ours */
	assert_shows("nsd-test", "ip -br link");
	assert_int_equal(sandbox_run("ip link set nsd-test group %d", LINK_GROUP), 0);
	assert_ok(router_remove_uplink(k, NULL, &plan, &e));
	assert_shows("nsd-test", "ip -br link");
	assert_int_equal(sandbox_run("ip link set nsd-test down; ip link set nsd-test name br0; ip link set br0 up; "
				     "ip addr add 192.0.2.1/24 dev br0; ip route add 10.9.0.0/16 via 192.0.2.2"),
			 0);
	assert_router_refused(k, &plan, ERROR_NAME_TAKEN, "route 10.9.0.0/16"); /* somebody's route is not taken over */
	assert_shows("10.9.0.0/16 via 192.0.2.2 dev br0", "ip route");
	assert_int_equal(sandbox_run("ip link del br0"), 0);

	plan.inside4.length = 40;
	assert_router_refused(k, &plan, ERROR_KERNEL, "10.9.0.1/40");
	plan = plan_router(DUAL);
	plan.outside6.length = 129;
	assert_router_refused(k, &plan, ERROR_KERNEL, "fd09::/129 on nsd-test");
	plan = plan_router(DUAL);
	plan.outside_mac[0] = 1;
	assert_router_refused(k, &plan, ERROR_KERNEL, "veth uplink");
	plan = plan_router(DUAL);
	struct netns n = make_router(k, NULL, &plan); /* the name was free all the time */
	netns_close(&n);
}

/* ---- restored ---- */

static void
test_restore(void **state)
{
	static const struct {
		bool inside;
		const char *command, *text;
	} cases[] = {
		{ false, "true", "" },
		{ false, "ip addr del 10.9.0.0/31 dev nsd-test", "address 10.9.0.0/31 was missing on nsd-test" },
		{ false, "ip addr del fd09::/127 dev nsd-test", "address fd09::/127 was missing on nsd-test" },
		{ false, "ip route del 10.9.0.0/16", "route 10.9.0.0/16 was missing on nsd-test" },
		{ false, "ip -6 route del fd09::/112", "route fd09::/112 was missing on nsd-test" },
		{ false, "ip neigh del 10.9.0.1 dev nsd-test", "neighbour 10.9.0.1 was missing on nsd-test" },
		{ false, "ip neigh change fd09::1 lladdr 02:00:00:00:00:01 dev nsd-test",
		  "neighbour fd09::1 was missing on nsd-test" },
		{ false, "ip link set nsd-test down", "nsd-test was down" },
		{ true, "ip addr flush dev uplink", "address 10.9.0.1/31 was missing on uplink" },
		{ true, "ip route del default", "route default was missing on uplink" },
		{ true, "ip -6 route del default", "route default was missing on uplink" },
		{ true, "ip route del unreachable 10.9.0.0/16", "unreachable route 10.9.0.0/16 was missing on uplink" },
		{ true, "ip link set uplink down", "uplink was down" },
		{ true, "ip link set lo down", "unreachable route fd09::/112 was missing on uplink" },
	};
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(DUAL);
	struct netns n = make_router(k, NULL, &plan), slot[1];
	char text[512];
	make_slots(k, &n, DUAL, 1, 1, slot);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			cases[i].inside ? run_in(&n, "%s", cases[i].command) : sandbox_run("%s", cases[i].command), 0);
		assert_ok(router_restore(k, NULL, &n, &plan, text, sizeof(text), &e));
		if (cases[i].text[0] == '\0')
			assert_string_equal(text, "");
		assert_in(text, cases[i].text);
		assert_ok(router_restore(k, NULL, &n, &plan, text, sizeof(text), &e));
		assert_string_equal(text, "");
		if (packets_pass(k, NULL, &slot[0], "10.9.0.3") < 0 || packets_pass(k, NULL, &slot[0], "fd09::3") < 0)
			fail_msg("nothing passes after %s", cases[i].command);
	}

	assert_int_equal(sandbox_run("ip link set nsd-test address 02:00:00:00:00:09"), 0);
	assert_errno(ENODEV, "not the uplink", router_restore(k, NULL, &n, &plan, text, sizeof(text), &e));
	assert_int_equal(sandbox_run("ip link del nsd-test"), 0);
	assert_errno(ENODEV, "nsd-test", router_restore(k, NULL, &n, &plan, text, sizeof(text), &e));
	assert_ok(router_remove_uplink(k, NULL, &plan, &e));
	netns_close(&slot[0]);
	netns_close(&n);
}

static void
test_remove_uplink(void **state)
{
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(V4);
	struct netns n = make_router(k, NULL, &plan);
	assert_ok(router_remove_uplink(k, NULL, &plan, &e));
	assert_hides("nsd-test", "ip -br link");
	assert_ok(router_remove_uplink(k, NULL, &plan, &e));
	netns_close(&n);
}

/* ---- events, and cutting off ---- */

struct seen {
	unsigned down, carrier, gone, nsid_gone, other;
};

static void
note(const struct kernel_event *event, void *arg)
{
	struct seen *s = arg;
	if (event->type == EVENT_LINK && !event->link.up)
		s->down++;
	else if (event->type == EVENT_LINK && !event->link.running)
		s->carrier++;
	else if (event->type == EVENT_LINK_GONE)
		s->gone++;
	else if (event->type == EVENT_NSID_GONE)
		s->nsid_gone++;
	else
		s->other++;
}

/* These come, however long the kernel takes, and then no other. */
static void
assert_seen(struct events *ev, struct seen expected)
{
	struct seen s = { 0 };
	struct pollfd p = { .fd = events_fd(ev), .events = POLLIN };
	while (poll(&p, 1, memcmp(&s, &expected, sizeof(s)) == 0 ? 300 : 10000) == 1)
		assert_ok(events_read(ev, 1000, note, &s, &e));
	if (memcmp(&s, &expected, sizeof(s)) != 0)
		fail_msg("down %u, carrier %u, gone %u, nsid %u, other %u", s.down, s.carrier, s.gone, s.nsid_gone,
			 s.other);
}

static void
test_events(void **state)
{
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(DUAL);
	struct netns n = make_router(k, NULL, &plan), slots[MANY];
	struct events *ev;
	assert_ok(router_events_open(k, n.fd, &ev, &e));

	make_slots(k, &n, DUAL, 1, MANY, slots);
	assert_seen(ev, (struct seen){ 0 });
	assert_int_equal(run_in(&slots[0], "ip link set eth0 down"), 0);
	assert_seen(ev, (struct seen){ .carrier = 1 });
	assert_int_equal(run_in(&slots[0], "ip link set eth0 up"), 0);
	assert_seen(ev, (struct seen){ 0 });
	assert_int_equal(run_in(&n, "ip link set slot2 down"), 0);
	assert_seen(ev, (struct seen){ .down = 1 });
	assert_int_equal(run_in(&slots[2], "ip link del eth0"), 0);
	assert_seen(ev, (struct seen){ .gone = 1 });
	for (unsigned i = 0; i < MANY; i++)
		netns_close(&slots[i]);
	assert_seen(ev, (struct seen){ .gone = MANY - 1, .nsid_gone = MANY });
	events_close(ev);
	netns_close(&n);
}

/* Something holds the namespaces: their ends go all the same, and their numbers stay until it lets go. */
static void
test_cut(void **state)
{
	struct kernel *k = start_kernel(state);
	struct router_plan plan = plan_router(V4);
	struct netns n = make_router(k, NULL, &plan), slots[4];
	struct events *ev;
	struct rtnl *r;
	int ifindexes[] = { 1001, 1003, 1400, 1002 }; /* one is not there */
	assert_ok(router_rtnl(k, n.fd, &r, &e));
	make_slots(k, &n, V4, 1, 4, slots);
	assert_ok(router_events_open(k, n.fd, &ev, &e));
	assert_ok(router_cut(r, ifindexes, ARRAY_SIZE(ifindexes), &e));
	assert_string_equal(output_in(&n, "ls /proc/sys/net/ipv4/conf | tr \"\\n\" \" \""),
			    "all default lo slot4 uplink ");
	assert_int_equal(packets_pass(k, NULL, &slots[0], "10.9.0.3"), -1);
	assert_true(packets_pass(k, NULL, &slots[3], "10.9.0.9") >= 0);
	assert_hides_in(&slots[0], "eth0", "ip -br link");
	assert_seen(ev, (struct seen){ .gone = 3 });
	assert_ok(router_cut(r, ifindexes, ARRAY_SIZE(ifindexes), &e)); /* nothing left to do */
	assert_ok(router_cut(r, ifindexes, 0, &e));
	for (unsigned i = 0; i < 3; i++)
		netns_close(&slots[i]);
	assert_seen(ev, (struct seen){ .nsid_gone = 3 });

	struct netns again[1]; /* number 1 is free */
	make_slots(k, &n, V4, 1, 1, again);
	assert_true(packets_pass(k, NULL, &again[0], "10.9.0.3") >= 0);
	netns_close(&again[0]);
	netns_close(&slots[3]);
	rtnl_close(r);
	events_close(ev);
	netns_close(&n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_v4),
		SANDBOX_TEST(test_dual),
		SANDBOX_TEST(test_host_settings_stay_out),
		SANDBOX_TEST(test_shard),
		SANDBOX_TEST(test_refused),
		SANDBOX_TEST(test_restore),
		SANDBOX_TEST(test_remove_uplink),
		SANDBOX_TEST(test_events),
		SANDBOX_TEST(test_cut),
	};
	sandbox_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
