/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces looked up, listed and parsed, whatever they are called. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "macros.h"

static struct kernel *
kernel(void **state)
{
	return ((struct sandbox *)*state)->kernel;
}

/* `n` datagrams of 100 bytes through lo. */
static void
send_to_self(unsigned n)
{
	const struct sockaddr_in to = { .sin_family = AF_INET,
					.sin_port = htons(9),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	static const char data[100];
	for (unsigned i = 0; i < n; i++) { /* a socket each, for the answer is an error to the next send */
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(sendto(fd, data, sizeof(data), 0, (const struct sockaddr *)&to, sizeof(to)),
				 sizeof(data));
		close(fd);
	}
}

static void
test_get(void **state)
{
	struct rtnl *r = kernel_rtnl(kernel(state));
	struct link_info info = { .ifindex = 99 };
	struct error e1 = { 0 };
	assert_int_equal(link_get(r, 0, "nothing", &info, &e1), -ENODEV);
	assert_int_equal(e1.code, ERROR_NOT_FOUND);
	assert_non_null(strstr(e1.text, "there is no interface nothing"));
	assert_int_equal(link_get(r, 4711, NULL, &info, NULL), -ENODEV);
	assert_int_equal(info.ifindex, 99);

	assert_int_equal(sandbox_run("ip link set lo up"), 0);
	send_to_self(6);
	assert_ok(link_get(r, 0, "lo", &info, &e));
	assert_int_equal(info.ifindex, 1);
	assert_true(info.up && info.running && info.has_counters && !info.has_mac);
	assert_true(info.counters.rx_packets >= 6 && info.counters.rx_packets == info.counters.tx_packets);
	assert_true(info.counters.rx_bytes >= 6 * 100);
	assert_int_equal(info.mtu, 65536);
	assert_int_equal(info.peer_nsid, -1);
	assert_string_equal(info.kind, "");
	assert_int_equal(sandbox_run("ip link set lo down"), 0);
}

struct seen {
	char names[512];
	unsigned n, counters;
};

static int
see(const struct link_info *i, void *arg)
{
	struct seen *s = arg;
	strcat(strcat(s->names, i->name), "\n");
	s->counters += i->has_counters;
	s->n++;
	return 0;
}

/* Names that are no text: only what is printable reaches anybody. */
static void
test_dump_hostile_names(void **state)
{
	struct rtnl *r = kernel_rtnl(kernel(state));
	static const char *const names[] = { "\xff\xfe", "\033[31m\a", "q\"uote\\", "\xc3\xa4", "a$(id)`x`", "%s%n" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		void *header;
		struct nlmsghdr *m =
			rtnl_message(r, RTM_NEWLINK, NLM_F_CREATE, sizeof(struct ifinfomsg), &header, names[i]);
		mnl_attr_put_strz(m, IFLA_IFNAME, names[i]);
		struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO);
		mnl_attr_put_strz(m, IFLA_INFO_KIND, "bridge");
		mnl_attr_nest_end(m, info);
	}
	rtnl_send(r, NULL); /* not every kernel takes each of them */
	struct seen s = { 0 };
	assert_ok(link_dump(r, false, see, NULL, &s, &e));
	assert_true(s.n >= 5);
	assert_int_equal(s.counters, 0);
	for (const char *p = s.names; *p; p++)
		assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
	assert_in(s.names, "\n??\n");
	assert_in(s.names, "\nq\"uote\\\n");
	s = (struct seen){ 0 };
	assert_ok(link_dump(r, true, see, NULL, &s, &e));
	assert_int_equal(s.counters, s.n);
	struct if_nameindex *left = if_nameindex();
	for (size_t i = 0; left[i].if_index != 0; i++)
		if (left[i].if_index != 1)
			assert_ok(link_delete(r, (int)left[i].if_index, &e));
	if_freenameindex(left);
}

/* Messages of every length and with any byte changed: nothing is read past their end. */
static void
test_parse_anything(void **state)
{
	(void)state;
	static const uint16_t types[] = { RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR, RTM_NEWROUTE };
	unsigned seed = 1;
	for (unsigned round = 0; round < 20000; round++) {
		size_t size = sizeof(struct nlmsghdr) + (unsigned)rand_r(&seed) % 128;
		struct nlmsghdr *m = calloc(1, NLMSG_ALIGN(size)); /* the kernel's messages are aligned */
		assert_non_null(m);
		for (size_t i = 0; i < size; i++)
			((uint8_t *)m)[i] = (uint8_t)((unsigned)rand_r(&seed) % (i % 4 == 0 ? 64 : 8));
		m->nlmsg_len = (uint32_t)size;
		m->nlmsg_type = types[round % ARRAY_SIZE(types)];
		if (size > sizeof(*m) && round % 2 == 0)
			((uint8_t *)m)[sizeof(*m)] = round % 4 == 0 ? AF_UNSPEC : AF_INET;
		struct link_info info;
		struct prefix prefix;
		int ifindex;
		if (link_info_parse(m, &info) == 0)
			assert_true(strnlen(info.name, sizeof(info.name)) < sizeof(info.name));
		address_parse(m, &ifindex, &prefix);
		free(m);
	}
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_get),
		SANDBOX_TEST(test_dump_hostile_names),
		SANDBOX_TEST(test_parse_anything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
