/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Grammars: accepted and refused texts, and every byte at every place where it may matter. */
#include "config.h"

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>

#include "names.h"

typedef int check(const char *text, struct error *e);

#define WORD "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

static void
accepts(check *c, const char *const *texts)
{
	for (; *texts; texts++) {
		struct error e = { 0 };
		if (c(*texts, &e) != 0)
			fail_msg("\"%s\" is refused: %s", *texts, e.text);
		assert_int_equal(e.code, ERROR_NONE);
	}
}

static void
refuses(check *c, const char *const *texts)
{
	for (; *texts; texts++) {
		struct error e = { 0 };
		if (c(*texts, &e) != -EINVAL || e.code != ERROR_INVALID_VALUE)
			fail_msg("\"%s\" is accepted", *texts);
		assert_string_equal(e.field, "");
		assert_true(strlen(e.text) > 10);
		assert_int_equal(c(*texts, NULL), -EINVAL);
	}
}

#define ACCEPTS(c, ...) accepts(c, (const char *const[]){ __VA_ARGS__, NULL })
#define REFUSES(c, ...) refuses(c, (const char *const[]){ __VA_ARGS__, NULL })

/* Tries each byte as the first, a middle and the last one of a word, against the set of those allowed there. */
static void
every_byte(check *c, const char *first, const char *others)
{
	for (int byte = 1; byte < 256; byte++) {
		char b = (char)byte;
		const char head[] = { b, 'x', '\0' }, middle[] = { 'x', b, 'x', '\0' }, tail[] = { 'x', b, '\0' },
			   alone[] = { b, '\0' };
		bool may_lead = strchr(first, b), may_follow = strchr(others, b);
		if ((c(head, NULL) == 0) != may_lead || (c(alone, NULL) == 0) != may_lead ||
		    (c(middle, NULL) == 0) != may_follow || (c(tail, NULL) == 0) != may_follow)
			fail_msg("byte 0x%02x", byte);
	}
}

static void
longest(check *c, size_t max)
{
	char text[512];
	memset(text, 'a', sizeof(text));
	text[max] = '\0';
	assert_int_equal(c(text, NULL), 0);
	text[max] = 'a';
	text[max + 1] = '\0';
	assert_int_equal(c(text, NULL), -EINVAL);
}

static void
names(UNUSED void **state)
{
	every_byte(name_check, WORD, WORD ".-");
	longest(name_check, 64);
	ACCEPTS(name_check, "a", "0", "_", "blue", "web-1.example", "A..b", "x-", "x.");
	REFUSES(name_check, "", ".", "..", "...", ".hidden", "-v", "--help", "a/b", "/", "../../etc/passwd", "a b",
		" a", "a ", "a\n", "\ta", "a\x1b[0m", "a:b", "a@b", "a%s", "a*", "a?", "a;b", "a|b", "a&b", "a$b",
		"a`b`", "a'b", "a\"b", "a\\b", "a,b", "a=b", "a+b", "a~", "a#b", "(a)", "[a]", "{a}", "<a>", "!a",
		"\xc3\xa9", "\xff\xfe", "a\x7f");
}

static void
interfaces(UNUSED void **state)
{
	every_byte(interface_check, WORD, WORD ".-");
	longest(interface_check, 15);
	ACCEPTS(interface_check, "eth0", "a", "br-lan", "eth0.100", "alls", "defaults", "All");
	REFUSES(interface_check, "", ".", "..", "all", "default", "a%d", "a/b", "eth0:1", "sixteen-letters0");
}

static void
macs(UNUSED void **state)
{
	ACCEPTS(mac_check, "02:00:5e:10:00:01", "FE:dc:BA:98:76:54", "00:00:00:00:00:01");
	REFUSES(mac_check, "", "00:00:00:00:00:00", "01:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02:00:5e:10:00",
		"02:00:5e:10:00:01:", "02:00:5e:10:00:01:02", "02-00-5e-10-00-01", "02005e100001", "2:0:5e:10:0:1",
		"02:00:5e:10:00:0g", "02:00:5e:10:00:0 ", " 2:00:5e:10:00:01", "+2:00:5e:10:00:01", "0x:00:5e:10:00:01",
		"02:00:5e:10:00:0", ":::::::::::::::::");

	uint8_t mac[6];
	char text[MAC_TEXT_SIZE];
	assert_int_equal(mac_parse("FE:dc:BA:98:76:54", mac, NULL), 0);
	mac_format(mac, text);
	assert_string_equal(text, "fe:dc:ba:98:76:54");
	assert_int_equal(mac_parse("nonsense", mac, NULL), -EINVAL);
	assert_int_equal(mac[0], 0xfe); /* untouched */
}

static void
addresses(UNUSED void **state)
{
	ACCEPTS(address_check, "10.0.0.1/24", "10.0.0.0/31", "10.0.0.1/31", "10.0.0.0/32", "10.0.0.255/32",
		"127.0.0.1/8", "169.254.1.1/16", "fd00::1/64", "fe80::1/10", "2001:db8::/64", "FD00::1/128",
		"::ffff:10.0.0.1/128", "fd00:0:0:0:0:0:0:1/64", "240.0.0.1/24");
	REFUSES(address_check, "", "/", "10.0.0.1", "fd00::1", "10.0.0.1/", "/24", "10.0.0.1/33", "10.0.0.1/024",
		"10.0.0.1/-1", "10.0.0.1/+8", "10.0.0.1/ 8", "10.0.0.1/8 ", " 10.0.0.1/8", "10.0.0.1/8/8",
		"10.0.0.1/8x", "10.0.0.1/0x8", "10.0.0.1/255.255.255.0", "10.0.0.1/99999999999", "10.0.0.1/4294967304",
		"10.0.0/24", "10.0.0.256/24", "010.0.0.1/24", "10.0.0.1.1/24", "1/24", "0x0a000001/24", "10.0.0.0/24",
		"10.0.0.255/24", "10.0.0.0/30", "10.0.0.3/30", "0.0.0.0/0", "0.0.0.0/32", "255.255.255.255/32",
		"224.0.0.1/4", "239.255.255.255/32", "fd00::1/129", "fd00::1/064", "fd00::1%eth0/64", "::/64", "::/128",
		"::1/128", "ff02::1/64", "fd00:::1/64", "fd00::1::2/64", "12345::1/64", "localhost/24", "default",
		"fd00:0:0:0:0:0:0:0:1/64", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/64");
}

static void
destinations(UNUSED void **state)
{
	ACCEPTS(destination_check, "default", "10.0.0.0/24", "10.0.0.1/32", "0.0.0.0/0", "::/0", "fd00::/8",
		"fd00::1/128", "128.0.0.0/1", "10.0.0.4/30", "224.0.0.0/4");
	REFUSES(destination_check, "", "Default", "default ", "any", "10.0.0.1", "10.0.0.1/24", "10.0.0.4/29",
		"fd00::1/64", "fd00::/7", "0.0.0.1/0", "64.0.0.0/1", "default/0", "10.0.0.0/33");
}

static void
gateways(UNUSED void **state)
{
	ACCEPTS(gateway_check, "10.0.0.1", "fd00::1", "fe80::1", "192.168.255.255");
	REFUSES(gateway_check, "", "10.0.0.1/24", "fd00::1/64", "0.0.0.0", "::", "::1", "127.0.0.1", "224.0.0.1",
		"ff02::1", "255.255.255.255", "fe80::1%eth0", "gateway", "10.0.0", "10.0.0.1/", "default");
}

static void
labels(UNUSED void **state)
{
	every_byte(label_key_check, WORD, WORD "./-");
	longest(label_key_check, 63);
	ACCEPTS(label_key_check, "role", "example.org/role", "a//b");
	REFUSES(label_key_check, "", "/a", ".a", "-a", "a b", "\xc3\xa9");

	longest(label_value_check, 255);
	ACCEPTS(label_value_check, "", "web", "any text: \"quoted\", 50 % \\ done",
		"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
	REFUSES(label_value_check, "a\nb", "\x01", "\x1b[31m", "\x7f", "\xc2\x9b", "\xff", "\xc0\xaf", "\xed\xa0\x80",
		"a\xe2\x80\xae"
		"b",
		"\xe2\x80\xa8", "\xe2\x82");
}

static void
prefixes_round_trip(UNUSED void **state)
{
	static const struct {
		const char *text, *canonical;
		bool bare;
	} rows[] = {
		{ "10.0.0.1/24", "10.0.0.1/24", false },
		{ "10.0.0.1", "10.0.0.1/32", true },
		{ "FD00:0:0::0001/64", "fd00::1/64", false },
		{ "::", "::/128", true },
		{ "0.0.0.0/0", "0.0.0.0/0", false },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct prefix p, again;
		struct error e = { 0 };
		char text[INET6_ADDRSTRLEN + 4];
		assert_int_equal(prefix_parse(rows[i].text, rows[i].bare, &p, &e), 0);
		prefix_format(&p, text);
		assert_string_equal(text, rows[i].canonical);
		assert_int_equal(prefix_parse(text, false, &again, &e), 0);
		assert_memory_equal(p.address, again.address, sizeof(p.address));
		assert_int_equal(prefix_parse(rows[i].text, false, &p, &e), rows[i].bare ? -EINVAL : 0);
	}
}

static void
failed_parse_writes_nothing(UNUSED void **state)
{
	struct prefix p = { .family = 77, .length = 77 };
	assert_int_equal(prefix_parse("10.0.0.1/99", true, &p, NULL), -EINVAL);
	assert_int_equal(prefix_parse("zzz", true, &p, NULL), -EINVAL);
	assert_int_equal(p.family, 77);
	assert_int_equal(p.length, 77);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(interfaces),
		cmocka_unit_test(macs),
		cmocka_unit_test(addresses),
		cmocka_unit_test(destinations),
		cmocka_unit_test(gateways),
		cmocka_unit_test(labels),
		cmocka_unit_test(prefixes_round_trip),
		cmocka_unit_test(failed_parse_writes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
