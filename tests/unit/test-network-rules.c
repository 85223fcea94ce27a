/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules of networks: addresses and MACs, and that nft takes every text and has in its sets what belongs there.
 * check-traffic shows what they do to packets. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "macros.h"
#include "network-rules.h"
#include "nft.h"

static struct kernel *
kernel(void **state)
{
	return ((struct sandbox *)*state)->kernel;
}

static struct network
make_network(const char *ipv4, const char *ipv6)
{
	struct network n;
	char json[512];
	snprintf(json, sizeof(json), "{\"name\":\"net\",\"uplink\":\"nsd-net\"%s%s%s%s%s%s}",
		 ipv4 ? ",\"ipv4\":\"" : "", ipv4 ? ipv4 : "", ipv4 ? "\"" : "", ipv6 ? ",\"ipv6\":\"" : "",
		 ipv6 ? ipv6 : "", ipv6 ? "\"" : "");
	assert_ok(fields_from_text(&network_type, json, VIEW_RECORD, &n, &e));
	return n;
}

static const char *
words(const struct prefix *p)
{
	static char ret[2][64];
	static unsigned turn;
	char *text = ret[turn++ % 2];
	prefix_format(p, text);
	return text;
}

static void
test_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *prefix, *router, *slot;
		unsigned number;
	} cases[] = {
		{ "10.64.0.0/16", "10.64.0.0/31", "10.64.0.1/31", 0 },
		{ "10.64.0.0/16", "10.64.0.2/31", "10.64.0.3/31", 1 },
		{ "10.64.0.0/16", "10.64.1.0/31", "10.64.1.1/31", 128 },
		{ "10.64.0.0/16", "10.64.255.254/31", "10.64.255.255/31", 32767 },
		{ "10.0.0.0/8", "10.1.255.254/31", "10.1.255.255/31", 65535 },
		{ "192.168.7.4/30", "192.168.7.6/31", "192.168.7.7/31", 1 },
		{ "fd64::/64", "fd64::/127", "fd64::1/127", 0 },
		{ "fd64::/64", "fd64::ffff:0/127", "fd64::ffff:1/127", 0x7fff8000 },
		{ "2001:db8:0:ffff::/64", "2001:db8:0:ffff::400/127", "2001:db8:0:ffff::401/127", 512 },
		{ "fd64::ffff:fff0/124", "fd64::ffff:fffe/127", "fd64::ffff:ffff/127", 7 },
		{ "fd64::ff00/112", "fd64::1:0/127", "fd64::1:1/127", 128 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool six = strchr(cases[i].prefix, ':');
		struct network n = { .ipv4 = six ? NULL : strdup(cases[i].prefix),
				     .ipv6 = six ? strdup(cases[i].prefix) : NULL };
		struct prefix router = { 0 }, slot = { 0 };
		assert_false(slot_prefix(&n, six ? AF_INET : AF_INET6, cases[i].number, &router, &slot));
		assert_true(slot_prefix(&n, six ? AF_INET6 : AF_INET, cases[i].number, &router, &slot));
		assert_string_equal(words(&router), cases[i].router);
		assert_string_equal(words(&slot), cases[i].slot);
		free(n.ipv4);
		free(n.ipv6);
	}
}

static void
assert_macs(const struct network *n, unsigned number, const char *router, const char *slot)
{
	uint8_t macs[2][6];
	char text[MAC_TEXT_SIZE];
	slot_macs(n, number, macs[0], macs[1]);
	mac_format(macs[0], text);
	assert_string_equal(text, router);
	mac_format(macs[1], text);
	assert_string_equal(text, slot);
}

static void
test_macs(void **state)
{
	(void)state;
	struct network four = make_network("10.64.0.0/16", NULL), six = make_network(NULL, "fd64::a000:0/108"),
		       both = make_network("10.64.0.0/16", "fd64::/64");
	assert_macs(&four, 0, "02:01:0a:40:00:00", "02:02:0a:40:00:00");
	assert_macs(&four, 700, "02:01:0a:40:05:78", "02:02:0a:40:05:78");
	assert_macs(&both, 700, "02:01:0a:40:05:78", "02:02:0a:40:05:78");
	assert_macs(&six, 700, "02:01:a0:00:05:78", "02:02:a0:00:05:78");
	network_done(&four);
	network_done(&six);
	network_done(&both);
}

static void
test_capacity(void **state)
{
	(void)state;
	static const struct {
		const char *ipv4, *ipv6;
		unsigned capacity;
	} cases[] = {
		{ "10.0.0.0/30", NULL, 1 },	     { "10.0.0.0/29", NULL, 3 },
		{ "10.0.0.0/24", NULL, 127 },	     { "10.0.0.0/16", NULL, 32767 },
		{ "10.0.0.0/15", NULL, 65535 },	     { "10.0.0.0/8", NULL, 65535 },
		{ NULL, "fd64::/126", 1 },	     { NULL, "fd64::/113", 16383 },
		{ NULL, "fd64::/111", 65535 },	     { NULL, "fd64::/64", 65535 },
		{ "10.0.0.0/24", "fd64::/64", 127 }, { "10.0.0.0/16", "fd64::/120", 127 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct network n = make_network(cases[i].ipv4, cases[i].ipv6);
		assert_int_equal(network_capacity(&n), cases[i].capacity);
		network_done(&n);
	}
}

/* ---- texts ---- */

static const struct prefix addresses[] = {
	{ AF_INET, 24, { 192, 0, 2, 1 } },
	{ AF_INET, 31, { 10, 64, 0, 0 } },
	{ AF_INET, 32, { 192, 0, 2, 1 } }, /* on a second interface */
	{ AF_INET6, 64, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } },
};
static const struct prefix networks[] = {
	{ AF_INET, 16, { 10, 64 } },
	{ AF_INET, 16, { 10, 65 } },
	{ AF_INET6, 64, { 0xfd, 0x64 } },
};
static const struct rules_host host = { addresses, ARRAY_SIZE(addresses), networks, ARRAY_SIZE(networks) };
static const struct rules_host empty_host = { NULL, 0, NULL, 0 };
static const struct rules_published published[] = {
	{ PROTOCOL_TCP, 8080, 80, "10.64.0.3", "fd64::3" },
	{ PROTOCOL_UDP, 5353, 53, "10.64.0.5", NULL },
	{ PROTOCOL_TCP, 8081, 81, NULL, "fd64::5" },
};

static void
load(struct kernel *k, char *text)
{
	assert_ok(nft_run(k, -1, text, &e));
	free(text);
}

static void
load_router(struct kernel *k, const struct network *n, unsigned first, bool root)
{
	const struct rules_range r = { .first = first, .count = 512, .first_ifindex = 1000 };
	char *text = NULL;
	assert_ok(
		rules_router(n, &r, root, root ? &host : NULL, published, root ? ARRAY_SIZE(published) : 0, &text, &e));
	load(k, text);
}

static void
assert_count(unsigned count, const char *set, const char *what)
{
	char expected[16];
	snprintf(expected, sizeof(expected), "%u\n", count);
	assert_string_equal(sandbox_output("nft list set inet nsd %s | grep -o '%s' | wc -l", set, what), expected);
}

static int
flush(void **state)
{
	assert_int_equal(sandbox_run("nft flush ruleset"), 0);
	return sandbox_teardown(state);
}

static void
test_router(void **state)
{
	struct kernel *k = kernel(state);
	struct network n = make_network("10.64.0.0/16", "fd64::/64");
	struct service services[] = { { PROTOCOL_UDP, 53 }, { PROTOCOL_TCP, 53 } };
	n.services = (struct list){ services, ARRAY_SIZE(services), true };
	load_router(k, &n, 0, true);
	assert_count(511, "sources4", "02:02:0a:40:");
	assert_count(511, "sources6", "02:02:0a:40:");
	assert_count(511, "neighbours6", "fe80::2:aff:fe40:");
	assert_string_equal(sandbox_output("nft list set arp nsd sources | grep -c 02:02:"), "511\n");
	assert_shows("1001 . 02:02:0a:40:00:02 . 10.64.0.3", "nft list set inet nsd sources4");
	assert_shows("1511 . 02:02:0a:40:03:fe . 10.64.3.255", "nft list set inet nsd sources4");
	assert_shows("1511 . 02:02:0a:40:03:fe . fd64::3ff", "nft list set inet nsd sources6");
	assert_shows("1001 . 02:02:0a:40:00:02 . 10.64.0.3", "nft list set arp nsd sources");
	assert_count(2, "host4", "[0-9.]*\\.[0-9.]*");
	assert_count(2, "networks4", "10.6[45].0.0/16");
	assert_count(1, "networks6", "fd64::/64");
	assert_count(1, "published4", "10.64.0.3 . tcp . 80");
	assert_count(1, "published4", "10.64.0.5 . udp . 53");
	assert_count(2, "published6", "fd64::");
	assert_count(2, "services", "... . 53");

	/* Put in the place of what is there. */
	n.isolated = 0;
	n.egress = EGRESS_ROUTED;
	n.services = (struct list){ 0 };
	load_router(k, &n, 0, true);
	assert_count(511, "sources4", "02:02:0a:40:");
	assert_count(0, "services", "... . 53");
	assert_string_equal(sandbox_output("nft list tables"), "table inet nsd\ntable arp nsd\n");
	network_done(&n);
}

static void
test_shard(void **state)
{
	struct kernel *k = kernel(state);
	struct network n = make_network("10.64.0.0/16", "fd64::/64");
	load_router(k, &n, 512, false);
	assert_count(512, "sources4", "02:02:0a:40:");
	assert_shows("1000 . 02:02:0a:40:04:00 . 10.64.4.1", "nft list set inet nsd sources4");
	assert_shows("1511 . 02:02:0a:40:07:fe . fd64::7ff", "nft list set inet nsd sources6");
	assert_hides(" ct ", "nft list ruleset"); /* nothing is tracked */
	network_done(&n);

	/* The end of a prefix in the middle of a shard. */
	n = make_network(NULL, "fd64::/117");
	load_router(k, &n, 512, false);
	assert_count(512, "sources6", "02:02:");
	network_done(&n);
	n = make_network("10.64.0.0/24", NULL);
	load_router(k, &n, 0, true);
	assert_count(127, "sources4", "02:02:");
	assert_shows("1127 . 02:02:0a:40:00:fe . 10.64.0.255", "nft list set inet nsd sources4");
	network_done(&n);
}

static void
test_inner(void **state)
{
	struct kernel *k = kernel(state);
	struct network n = make_network("10.64.0.0/16", "fd64::/64");
	n.inner4 = strdup("172.16.0.2/30");
	n.inner6 = strdup("fd00::2/64");
	for (unsigned root = 0; root < 2; root++) {
		load_router(k, &n, 512, root);
		assert_shows("1000 . 02:02:0a:40:04:00 . 172.16.0.2 : 10.64.4.1", "nft list map inet nsd sources4");
		assert_shows("1000 . 02:02:0a:40:04:00 . fd00::2 : fd64::401", "nft list map inet nsd sources6");
		assert_shows("1000 . 02:02:0a:40:04:00 . 172.16.0.2", "nft list set arp nsd sources");
		assert_string_equal(sandbox_output("nft list map inet nsd sources4 | grep -c 02:02:"), "512\n");
	}
	free(n.inner6);
	n.inner6 = NULL;
	load_router(k, &n, 512, true);
	assert_shows("fd64::401", "nft list set inet nsd sources6");
	network_done(&n);
}

static void
test_router_sets(void **state)
{
	struct kernel *k = kernel(state);
	struct network n = make_network("10.64.0.0/16", NULL);
	char *text = NULL;
	load_router(k, &n, 0, true);
	for (unsigned i = 0; i < 3; i++) {
		assert_ok(rules_router_sets(&empty_host, &text, &e));
		load(k, text);
		assert_count(0, "host4", "192.0.2.1");
		assert_count(0, "networks4", "/16");
		assert_ok(rules_router_sets(&host, &text, &e));
		load(k, text);
		assert_count(1, "host4", "192.0.2.1");
		assert_count(1, "host6", "2001:db8::1");
		assert_count(2, "networks4", "/16");
		assert_count(1, "published4", "10.64.0.3");
	}
	network_done(&n);
}

static void
publish(struct kernel *k, int (*write)(const struct rules_published *p, bool add, char **ret, struct error *e),
	const struct rules_published *p, bool add)
{
	char *text = NULL;
	assert_ok(write(p, add, &text, &e));
	load(k, text);
}

/* Twice added and twice removed is fine. */
static void
test_publish(void **state)
{
	struct kernel *k = kernel(state);
	struct network n = make_network("10.64.0.0/16", "fd64::/64");
	const struct network *all[] = { &n };
	const struct rules_published p = { PROTOCOL_TCP, 9090, 90, "10.64.0.9", "fd64::9" };
	char *text = NULL;
	load_router(k, &n, 0, true);
	for (unsigned i = 0; i < 4; i++) {
		publish(k, rules_router_publish, &p, i < 2);
		assert_count(i < 2, "published4", "10.64.0.9 . tcp . 90");
		assert_count(i < 2, "published6", "fd64::9 . tcp . 90");
	}
	assert_count(1, "published4", "10.64.0.3");

	assert_ok(rules_host(all, 1, published, ARRAY_SIZE(published), &text, &e));
	load(k, text);
	for (unsigned i = 0; i < 4; i++) {
		publish(k, rules_host_publish, &p, i < 2);
		for (unsigned six = 0; six < 2; six++) {
			const char *list = sandbox_output("nft list map inet nsd published%u", six ? 6 : 4);
			assert_int_equal(
				strstr(list, six ? "tcp . 9090 : fd64::9 . 90" : "tcp . 9090 : 10.64.0.9 . 90") != NULL,
				i < 2);
		}
	}
	const struct rules_published other = { PROTOCOL_TCP, 8080, 80, "10.64.0.9", NULL };
	assert_ok(rules_host_publish(&other, true, &text, &e));
	assert_error(ERROR_NAME_TAKEN, "exists", nft_run(k, -1, text, &e)); /* another slot has the port */
	free(text);
	network_done(&n);
}

static void
test_host(void **state)
{
	struct kernel *k = kernel(state);
	struct network a = make_network("10.64.0.0/16", "fd64::/64"), b = make_network("10.65.0.0/16", NULL);
	const struct network *all[] = { &a, &b };
	struct service service = { PROTOCOL_UDP, 53 };
	char *text = NULL;
	free(b.uplink);
	b.uplink = strdup("nsd-other");
	b.egress = EGRESS_MASQUERADE;
	b.services = (struct list){ &service, 1, true };

	assert_int_equal(sandbox_run("nft add table inet other"), 0);
	assert_ok(rules_host(all, 2, published, ARRAY_SIZE(published), &text, &e));
	load(k, text);
	assert_shows("\"nsd-net\"", "nft list set inet nsd uplinks");
	assert_shows("\"nsd-other\"", "nft list set inet nsd uplinks");
	assert_shows("\"nsd-other\" . udp . 53", "nft list set inet nsd services");
	assert_hides("10.64.0.0/16", "nft list set inet nsd masquerade4");
	assert_shows("10.65.0.0/16", "nft list set inet nsd masquerade4");
	assert_hides("/", "nft list set inet nsd masquerade6");
	assert_shows("tcp . 8080 : 10.64.0.3 . 80", "nft list map inet nsd published4");
	assert_shows("tcp . 8081 : fd64::5 . 81", "nft list map inet nsd published6");

	b.services = (struct list){ 0 };
	assert_ok(rules_host(all, 0, NULL, 0, &text, &e));
	for (unsigned i = 0; i < 2; i++)
		assert_ok(nft_run(k, -1, text, &e));
	free(text);
	assert_string_equal(sandbox_output("nft list tables"), "table inet other\n");
	network_done(&a);
	network_done(&b);
}

/* Where there are no files of the system, as in the vault. */
static int
load_without_files(void *arg)
{
	struct network n = make_network("10.64.0.0/16", "fd64::/64");
	const struct rules_range r = { .first = 0, .count = 512, .first_ifindex = 1000 };
	const struct network *all[] = { &n };
	struct service service = { PROTOCOL_UDP, 53 };
	char *text = NULL;
	n.inner4 = strdup("172.16.0.2/30");
	n.services = (struct list){ &service, 1, true };
	if (chroot("/run/netns") < 0 || chdir("/") < 0)
		return 1;
	assert_ok(rules_router(&n, &r, true, &host, published, ARRAY_SIZE(published), &text, &e));
	load(arg, text);
	assert_ok(rules_host(all, 1, published, ARRAY_SIZE(published), &text, &e));
	load(arg, text);
	return 0;
}

static void
test_without_files(void **state)
{
	assert_int_equal(sandbox_child(load_without_files, kernel(state)), 0);
}

#define RULES_TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_setup, flush)

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_macs), cmocka_unit_test(test_capacity),
		RULES_TEST(test_router),	  RULES_TEST(test_shard),      RULES_TEST(test_inner),
		RULES_TEST(test_router_sets),	  RULES_TEST(test_publish),    RULES_TEST(test_host),
		RULES_TEST(test_without_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
