/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Addresses, routes and neighbours of an interface. */
#include "config.h"

#include "sandbox.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net/if.h>

#include "macros.h"

/* One bridge, up, is enough of an interface. */
static int
setup(void **state)
{
	sandbox_setup(state);
	assert_int_equal(sandbox_run("ip link add br0 type bridge && ip link set br0 up"), 0);
	return 0;
}

static int
teardown(void **state)
{
	assert_int_equal(sandbox_run("ip link del br0; ip link set lo down"), 0);
	return sandbox_teardown(state);
}

static struct rtnl *
host(void **state)
{
	return kernel_rtnl(((struct sandbox *)*state)->kernel);
}

static int
br0(void)
{
	return (int)if_nametoindex("br0");
}

static void
put(struct rtnl *r, const char *text, bool add)
{
	struct prefix p;
	assert_ok(prefix_parse(text, false, &p, &e));
	address_put(r, br0(), &p, add, "br0");
}

static void
put_route(struct rtnl *r, const char *destination, const char *gateway, int64_t metric, bool add)
{
	char d[64], g[64] = "";
	snprintf(d, sizeof(d), "%s", destination);
	snprintf(g, sizeof(g), "%s", gateway ? gateway : "");
	struct route route = { .destination = d, .gateway = gateway ? g : NULL, .metric = metric };
	assert_ok(route_put(r, br0(), &route, add, "br0", &e));
}

static void
test_addresses(void **state)
{
	struct rtnl *r = host(state);
	static const char *const all[] = { "10.1.2.3/24", "10.2.0.0/31", "10.3.0.7/32", "fd00::7/64", "fd01::1/128" };
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		put(r, all[i], true);
	assert_ok(rtnl_send(r, &e));
	const char *out = sandbox_output("ip -j addr show br0");
	assert_in(out, "\"local\":\"10.1.2.3\",\"prefixlen\":24,\"broadcast\":\"10.1.2.255\"");
	assert_in(out, "\"local\":\"10.2.0.0\",\"prefixlen\":31,\"scope\"");
	assert_in(out, "\"local\":\"10.3.0.7\",\"prefixlen\":32,\"scope\"");
	assert_in(out, "\"local\":\"fd00::7\",\"prefixlen\":64,");
	assert_in(out, "\"nodad\":true");
	assert_in(sandbox_output("ip route show dev br0"), "10.1.2.0/24");
	assert_string_equal(sandbox_output("ip -6 addr show dev br0 to fd00::/8 tentative"), "");

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) /* again is fine */
		put(r, all[i], true);
	assert_ok(rtnl_send(r, &e));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		put(r, all[i], false);
	assert_ok(rtnl_send(r, &e));
	assert_string_equal(sandbox_output("ip -o addr show br0 scope global"), "");
	put(r, "10.1.2.3/24", false);
	assert_errno(EADDRNOTAVAIL, "address 10.1.2.3/24 on br0", rtnl_send(r, &e));

	struct prefix p = { .family = AF_INET, .length = 24, .address = { 10, 0, 0, 1 } };
	address_put(r, 4711, &p, true, "nothing");
	assert_errno(ENODEV, "address 10.0.0.1/24 on nothing", rtnl_send(r, &e));
}

struct notes {
	char text[4096];
	unsigned n, stop_after;
};

static int
note_address(int ifindex, const struct prefix *p, void *arg)
{
	struct notes *l = arg;
	char text[INET6_ADDRSTRLEN + 4];
	prefix_format(p, text);
	snprintf(l->text + strlen(l->text), sizeof(l->text) - strlen(l->text), "%d:%s,", ifindex, text);
	return ++l->n == l->stop_after ? -ECANCELED : 0;
}

static void
test_address_dump(void **state)
{
	struct rtnl *r = host(state);
	assert_int_equal(
		sandbox_run("ip link set lo up; ip addr add 10.0.0.1/24 dev br0; "
			    "ip addr add 10.0.0.5 peer 10.9.9.9/32 dev br0; ip addr add fd00::1/64 dev br0 nodad"),
		0);
	char part[64];
	struct notes l = { 0 };
	assert_ok(address_dump(r, 0, note_address, &l, &e));
	assert_in(l.text, "1:127.0.0.1/8,");
	assert_in(l.text, "1:::1/128,");
	assert_int_equal(l.n, atoi(sandbox_output("ip -o addr | wc -l")));

	l = (struct notes){ 0 };
	assert_ok(address_dump(r, br0(), note_address, &l, &e));
	snprintf(part, sizeof(part), "%d:10.0.0.1/24,", br0());
	assert_in(l.text, part);
	snprintf(part, sizeof(part), "%d:10.0.0.5/32,", br0()); /* ours, and not the peer's */
	assert_in(l.text, part);
	snprintf(part, sizeof(part), "%d:fd00::1/64,", br0());
	assert_in(l.text, part);
	assert_int_equal(l.n, atoi(sandbox_output("ip -o addr show br0 | wc -l")));

	l = (struct notes){ .stop_after = 1 };
	assert_int_equal(address_dump(r, 0, note_address, &l, NULL), -ECANCELED);
	assert_int_equal(l.n, 1);
	assert_int_equal(address_dump(r, 4711, note_address, &l, NULL), -ENODEV);
}

static void
test_routes(void **state)
{
	struct rtnl *r = host(state);
	put(r, "10.0.0.2/24", true);
	put(r, "fd00::2/64", true);
	put_route(r, "default", "10.0.0.1", FIELD_ABSENT_INT, true);
	put_route(r, "default", "fd00::1", FIELD_ABSENT_INT, true);
	put_route(r, "10.7.0.0/16", "10.0.0.9", 50, true);
	put_route(r, "10.8.0.0/16", NULL, 0, true);
	put_route(r, "fd07::/32", "fd00::9", 50, true);
	put_route(r, "fd08::/32", NULL, FIELD_ABSENT_INT, true);
	assert_ok(rtnl_send(r, &e));
	const char *out = sandbox_output("ip -d route");
	assert_in(out, "unicast default via 10.0.0.1 dev br0 proto 110 scope global");
	assert_in(out, "unicast 10.7.0.0/16 via 10.0.0.9 dev br0 proto 110 scope global metric 50");
	assert_in(out, "unicast 10.8.0.0/16 dev br0 proto 110 scope link");
	out = sandbox_output("ip -6 -d route");
	assert_in(out, "unicast default via fd00::1 dev br0 proto 110");
	assert_in(out, "unicast fd07::/32 via fd00::9 dev br0 proto 110 scope global metric 50");
	assert_in(out, "unicast fd08::/32 dev br0 proto 110");

	put_route(r, "default", "10.0.0.3", FIELD_ABSENT_INT, true); /* never replaced */
	assert_errno(EEXIST, "route default via 10.0.0.3 on br0", rtnl_send(r, &e));
	put_route(r, "fd08::/32", "fd00::3", FIELD_ABSENT_INT, true);
	assert_errno(EEXIST, "route fd08::/32 via fd00::3 on br0", rtnl_send(r, &e));
	put_route(r, "10.9.0.0/16", "192.168.0.1", 0, true);
	assert_errno(ENETUNREACH, "route 10.9.0.0/16 via 192.168.0.1 on br0: Nexthop has invalid gateway",
		     rtnl_send(r, &e));

	put_route(r, "default", "10.0.0.1", FIELD_ABSENT_INT, false);
	put_route(r, "default", "fd00::1", FIELD_ABSENT_INT, false);
	put_route(r, "10.7.0.0/16", "10.0.0.9", 50, false);
	put_route(r, "10.8.0.0/16", NULL, 0, false);
	put_route(r, "fd07::/32", "fd00::9", 50, false);
	put_route(r, "fd08::/32", NULL, 0, false);
	assert_ok(rtnl_send(r, &e));
	assert_string_equal(sandbox_output("ip route show proto 110; ip -6 route show proto 110"), "");
	put_route(r, "10.7.0.0/16", "10.0.0.9", 50, false);
	assert_errno(ESRCH, "route 10.7.0.0/16 via 10.0.0.9 on br0", rtnl_send(r, &e));
}

/* What cannot be a route does not enter the batch. */
static void
test_route_refused(void **state)
{
	struct rtnl *r = host(state);
	static const char wrong[][3][16] = {
		{ "10.0.0.0/8", "fd00::1", "gateway" },
		{ "fd00::/8", "10.0.0.1", "gateway" },
		{ "default", "words", "gateway" },
		{ "words", "10.0.0.1", "destination" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		char destination[16], gateway[16];
		strcpy(destination, wrong[i][0]);
		strcpy(gateway, wrong[i][1]);
		struct route route = { .destination = destination, .gateway = gateway };
		struct error e = { 0 };
		assert_true(route_put(r, br0(), &route, true, "br0", &e) < 0);
		assert_int_equal(e.code, ERROR_INVALID_VALUE);
		assert_string_equal(e.field, wrong[i][2]);
	}
	assert_ok(rtnl_send(r, &e));
}

static int
note_route(int ifindex, const struct route *route, int protocol, void *arg)
{
	struct notes *l = arg;
	snprintf(l->text + strlen(l->text), sizeof(l->text) - strlen(l->text), "%s%s via %s metric %d proto %d,",
		 ifindex == br0() ? "" : "?", route->destination, route->gateway ? route->gateway : "-",
		 (int)route->metric, protocol);
	return ++l->n == l->stop_after ? -ECANCELED : 0;
}

static void
test_route_dump(void **state)
{
	struct rtnl *r = host(state);
	assert_int_equal(
		sandbox_run("ip link add br1 type bridge && ip link set br1 up && ip addr add 10.1.0.1/24 dev br1 && "
			    "ip route add 10.50.0.0/16 dev br1 proto 110"),
		0);
	put(r, "10.0.0.2/24", true);
	put(r, "fd00::2/64", true);
	put_route(r, "default", "10.0.0.1", 7, true);
	put_route(r, "fd07::/32", "fd00::1", 0, true);
	assert_ok(rtnl_send(r, &e));
	assert_int_equal(
		sandbox_run("ip route add 10.60.0.0/16 dev br0 proto static && ip route add 10.70.0.0/16 dev br0 "
			    "proto 110 table 100 && ip route add blackhole 10.80.0.0/16 proto 110"),
		0);

	struct notes l = { 0 };
	assert_ok(route_dump(r, br0(), note_route, &l, &e));
	assert_string_equal(l.text,
			    "default via 10.0.0.1 metric 7 proto 110,fd07::/32 via fd00::1 metric 0 proto 110,");
	l = (struct notes){ 0 };
	assert_ok(route_dump(r, 0, note_route, &l, &e));
	assert_in(l.text, "default via 10.0.0.1 metric 7 proto 110,");
	assert_in(l.text, ",10.60.0.0/16 via - metric 0 proto 4,");
	assert_in(l.text, "10.0.0.0/24 via - metric 0 proto 2,");
	assert_in(l.text, "?10.50.0.0/16 via - metric 0 proto 110,");
	assert_null(strstr(l.text, "10.70"));
	assert_null(strstr(l.text, "10.80"));
	l = (struct notes){ .stop_after = 1 };
	assert_int_equal(route_dump(r, 0, note_route, &l, NULL), -ECANCELED);
	assert_int_equal(route_dump(r, 4711, note_route, &l, NULL), -ENODEV);
	assert_int_equal(sandbox_run("ip link del br1; ip route flush proto 110; ip route flush table 100"), 0);
}

/* A namespace of its own, where nothing was ever routed: no table is no error. */
static void
test_dumps_of_fresh_namespace(void **state)
{
	struct kernel *k = ((struct sandbox *)*state)->kernel;
	struct netns n = NETNS_INIT;
	struct notes l = { 0 };
	assert_ok(netns_make(k, &n, &e));
	assert_ok(route_dump(n.rtnl, 0, note_route, &l, &e));
	assert_ok(route_dump(n.rtnl, 1, note_route, &l, &e));
	assert_ok(address_dump(n.rtnl, 0, note_address, &l, &e));
	assert_int_equal(l.n, 0);
	netns_close(&n);
}

static void
test_neighbour(void **state)
{
	struct rtnl *r = host(state);
	const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 }, other[6] = { 2, 0, 0, 0, 0, 8 };
	struct prefix four, six;
	assert_ok(prefix_parse("10.0.0.7", true, &four, &e));
	assert_ok(prefix_parse("fd00::7", true, &six, &e));
	neighbour_put(r, br0(), &four, mac, "br0");
	neighbour_put(r, br0(), &six, mac, "br0");
	neighbour_put(r, br0(), &six, other, "br0");
	assert_ok(rtnl_send(r, &e));
	assert_in(sandbox_output("ip -4 neigh show dev br0"), "10.0.0.7 lladdr 02:00:00:00:00:07 PERMANENT");
	assert_in(sandbox_output("ip -6 neigh show dev br0"), "fd00::7 lladdr 02:00:00:00:00:08 PERMANENT");
	neighbour_put(r, 4711, &four, mac, "nothing");
	assert_errno(ENODEV, "neighbour 10.0.0.7/32 on nothing", rtnl_send(r, &e));
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_address_dump, setup, teardown),
		cmocka_unit_test_setup_teardown(test_routes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_route_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_route_dump, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dumps_of_fresh_namespace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_neighbour, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
