/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interfaces made, changed and removed; other tools look. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "macros.h"

/* What happens to answers (the linker puts this in the place of recvfrom). */
static unsigned hide_answers; /* that show an interface */
static unsigned lose_call;    /* the n-th from now on fails */

ssize_t __real_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from, socklen_t *from_size);
ssize_t __wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from, socklen_t *from_size);

ssize_t
__wrap_recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *from, socklen_t *from_size)
{
	ssize_t n = __real_recvfrom(fd, buffer, size, flags, from, from_size);
	if (lose_call > 0 && --lose_call == 0) {
		errno = ENOBUFS;
		return -1;
	}
	struct nlmsghdr *m = buffer;
	if (hide_answers > 0 && n >= (ssize_t)sizeof(*m) && m->nlmsg_type == RTM_NEWLINK) {
		m->nlmsg_type = NLMSG_NOOP;
		hide_answers--;
	}
	return n;
}

static struct kernel *
kernel(void **state)
{
	return ((struct sandbox *)*state)->kernel;
}

/* The first end of a veth from `a` to `b`, each in its namespace (NULL: the host). */
static void
describe(struct link_site sites[2], struct end ends[2], struct netns *a, struct netns *b)
{
	static char names[2][8] = { "left", "right" };
	ends[0] = (struct end){ .interface = names[0], .mtu = 1400 };
	ends[1] = (struct end){ .interface = names[1], .mtu = 9000 };
	sites[0] = (struct link_site){ .end = &ends[0], .netns = a, .mac = { 2, 0, 0, 0, 0, 1 } };
	sites[1] = (struct link_site){ .end = &ends[1], .netns = b, .mac = { 2, 0, 0, 0, 0, 2 }, .index = 1 };
}

/* `ip` in the namespace. */
static const char *
show(const struct netns *n, const char *command)
{
	if (!n)
		return sandbox_output("ip %s", command);
	return sandbox_output("nsenter --net=/proc/%d/fd/%d ip %s", getpid(), n->fd, command);
}

static void
assert_site(const struct link_site *s, const char *mac, int peer)
{
	char text[64];
	const char *out =
		show(s->netns, s->end->interface[0] == 'l' ? "-d -j link show left" : "-d -j link show right");
	snprintf(text, sizeof(text), "\"ifindex\":%d,", s->ifindex);
	assert_in(out, text);
	snprintf(text, sizeof(text), "\"mtu\":%d,", (int)s->end->mtu);
	assert_in(out, text);
	snprintf(text, sizeof(text), "\"address\":\"%s\"", mac);
	assert_in(out, text);
	snprintf(text, sizeof(text), "\"group\":\"%d\"", LINK_GROUP);
	assert_in(out, text);
	assert_in(out, "\"flags\":[\"BROADCAST\",\"MULTICAST\"");
	assert_in(out, "\"info_kind\":\"veth\"");
	assert_in(out, "\"num_tx_queues\":1,\"num_rx_queues\":1");

	if (s->netns) { /* and nsd's own eye agrees */
		struct link_info info;
		assert_ok(link_get(s->netns->rtnl, s->ifindex, NULL, &info, &e));
		assert_string_equal(info.name, s->end->interface);
		assert_int_equal(info.peer_ifindex, peer);
		assert_string_equal(info.kind, "veth");
		assert_int_equal(info.group, LINK_GROUP);
		assert_false(info.up);
	}
}

/* Both ends in each combination of the host and two namespaces. */
static void
test_veth(void **state)
{
	struct kernel *k = kernel(state);
	struct netns one = NETNS_INIT, two = NETNS_INIT;
	assert_ok(netns_make(k, &one, &e));
	assert_ok(netns_make(k, &two, &e));
	struct netns *const where[][2] = {
		{ NULL, NULL }, { NULL, &one }, { &one, NULL }, { &one, &one }, { &one, &two }
	};
	for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
		struct link_site sites[2];
		struct end ends[2];
		struct rtnl *r = kernel_rtnl(k);
		describe(sites, ends, where[i][0], where[i][1]);
		assert_ok(link_create(k, &link_veth, sites, NULL, &e));
		assert_site(&sites[0], "02:00:00:00:00:01", sites[1].ifindex);
		assert_site(&sites[1], "02:00:00:00:00:02", sites[0].ifindex);
		if (where[i][0])
			assert_ok(netns_rtnl(k, where[i][0], &r, &e));
		assert_ok(link_delete(r, sites[0].ifindex, &e));
		assert_ok(link_delete(r, sites[0].ifindex, &e));
		assert_null(strstr(show(where[i][1], "-j link"), "right"));
	}
	netns_close(&one);
	netns_close(&two);
}

/* Numbers of our choice; no MAC and no MTU of our choice. */
static void
test_veth_numbers(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	struct link_site sites[2];
	struct end ends[2];
	assert_ok(netns_make(k, &n, &e));
	describe(sites, ends, NULL, &n);
	ends[0].mtu = ends[1].mtu = FIELD_ABSENT_INT;
	memset(sites[0].mac, 0, 6);
	memset(sites[1].mac, 0, 6);
	sites[0].ifindex = 1000;
	sites[1].ifindex = 77;
	assert_ok(link_create(k, &link_veth, sites, NULL, &e));
	assert_int_equal(sites[0].ifindex, 1000);
	assert_int_equal(sites[1].ifindex, 77);
	assert_int_equal(if_nametoindex("left"), 1000);
	assert_in(show(&n, "-j link show right"), "\"ifindex\":77,");
	assert_in(show(&n, "-j link show right"), "\"mtu\":1500,");

	ends[0].interface = (char[]){ "third" };
	ends[1].interface = (char[]){ "fourth" };
	sites[1].ifindex = 0;
	assert_error(ERROR_NAME_TAKEN, "third", link_create(k, &link_veth, sites, NULL, &e));
	assert_hides("third", "ip -j link");
	assert_ok(link_delete(kernel_rtnl(k), 1000, &e));
	netns_close(&n);
}

/* Linux before 6.2 gives no echo: the new interface is looked up. */
static void
test_no_echo(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	struct link_site sites[2];
	struct end ends[2];
	assert_ok(netns_make(k, &n, &e));
	assert_int_equal(sandbox_run("ip link add x type bridge && ip link add y type bridge"), 0);
	describe(sites, ends, NULL, &n);
	hide_answers = 1;
	assert_ok(link_create(k, &link_veth, sites, NULL, &e));
	assert_int_equal(hide_answers, 0);
	assert_site(&sites[0], "02:00:00:00:00:01", sites[1].ifindex);
	assert_site(&sites[1], "02:00:00:00:00:02", sites[0].ifindex);
	assert_int_equal(sandbox_run("ip link del left; ip link del x; ip link del y"), 0);
	netns_close(&n);
}

/* The kernel's answer is lost: the interface may have been made, and then it is removed. */
static void
test_answer_lost(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	struct link_site sites[2];
	struct end ends[2];
	assert_ok(netns_make(k, &n, &e));
	describe(sites, ends, NULL, &n);
	for (unsigned call = 1; call <= 3; call++) {
		lose_call = call;
		hide_answers = call == 3; /* and the look-up in place of the echo */
		assert_errno(ENODATA, "left", link_create(k, &link_veth, sites, NULL, &e));
		assert_int_equal(lose_call, 0);
		assert_hides("left", "ip -j link");
		assert_int_equal(sites[0].ifindex, 0);
	}

	/* What another made of that name is not ours to remove, whatever its group. */
	assert_int_equal(sandbox_run("ip link add left group %d type bridge", LINK_GROUP), 0);
	lose_call = 1;
	assert_errno(ENODATA, "left", link_create(k, &link_veth, sites, NULL, &e));
	assert_shows("left", "ip -j link");
	assert_int_equal(sandbox_run("ip link del left"), 0);
	netns_close(&n);
}

struct wish {
	const char *address; /* of the first end; NULL: the batch is given up */
	int ifindex;	     /* seen */
};

static int
put_wish(struct rtnl *r, int ifindex, void *arg, struct error *error)
{
	struct wish *w = arg;
	w->ifindex = ifindex;
	if (!w->address)
		return error_set(error, ERROR_INVALID_VALUE, "addresses[0]", "no address");
	struct prefix p;
	assert_ok(prefix_parse(w->address, false, &p, &e));
	address_put(r, ifindex, &p, true, "left");
	link_put_up(r, ifindex, true, "left");
	return 0;
}

/* What configures the first end goes along with its creation; where it is refused, no interface stays. */
static void
test_sequel(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	struct link_site sites[2];
	struct end ends[2];
	struct wish w = { .address = "10.0.0.1/24" };
	const struct link_sequel sequel = { .put = put_wish, .arg = &w };
	for (unsigned hidden = 0; hidden < 2; hidden++) { /* with the echo, and without */
		assert_ok(netns_make(k, &n, &e));
		describe(sites, ends, &n, NULL);
		sites[0].ifindex = 77;
		hide_answers = hidden;
		assert_ok(link_create(k, &link_veth, sites, &sequel, &e));
		assert_int_equal(w.ifindex, 77);
		assert_int_equal(sites[0].ifindex, 77);
		assert_int_equal(sites[1].ifindex, if_nametoindex("right"));
		assert_in(show(&n, "-j addr show left"), "\"UP\"");
		assert_in(show(&n, "-j addr show left"), "\"local\":\"10.0.0.1\"");
		assert_ok(link_delete(n.rtnl, 77, &e));

		ends[0].mtu = 1000;
		hide_answers = hidden;
		w.address = "fd00::1/64"; /* the kernel has no IPv6 on so small an MTU */
		assert_errno(EINVAL, "address fd00::1/64 on left", link_create(k, &link_veth, sites, &sequel, &e));
		assert_null(strstr(show(&n, "-j link"), "left"));
		assert_hides("right", "ip -j link");
		hide_answers = 0;
		w.address = "10.0.0.1/24";
		netns_close(&n);
	}

	assert_ok(netns_make(k, &n, &e));
	describe(sites, ends, &n, NULL);
	sites[0].ifindex = 77;
	w.address = NULL;
	assert_error(ERROR_INVALID_VALUE, "no address", link_create(k, &link_veth, sites, &sequel, &e));
	assert_hides("right", "ip -j link");
	w.address = "10.0.0.1/24";
	assert_int_equal(sandbox_run("ip link add right type bridge"), 0);
	assert_error(ERROR_NAME_TAKEN, "right in the host", link_create(k, &link_veth, sites, &sequel, &e));
	assert_null(strstr(show(&n, "-j link"), "left"));
	assert_int_equal(sandbox_run("ip link del right"), 0);
	netns_close(&n);
}

static void
assert_refused(struct kernel *k, struct link_site *sites, enum error_code code, const char *field, const char *words)
{
	struct error e = { 0 };
	assert_true(link_create(k, &link_veth, sites, NULL, &e) < 0);
	if (e.code != code || !strstr(e.text, words) || strcmp(e.field, field) != 0)
		fail_msg("code %d, field \"%s\": %s", (int)e.code, e.field, e.text);
	assert_true(link_create(k, &link_veth, sites, NULL, NULL) < 0);
}

/* A name that is taken is named, and nothing of the link stays. */
static void
test_name_taken(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	struct link_site sites[2];
	struct end ends[2];
	assert_ok(netns_make(k, &n, &e));
	describe(sites, ends, NULL, &n);

	assert_int_equal(sandbox_run("ip link add left type bridge"), 0);
	assert_refused(k, sites, ERROR_NAME_TAKEN, "ends[0].interface", "left in the host");
	assert_null(strstr(show(&n, "-j link"), "right"));
	assert_int_equal(sandbox_run("ip link del left"), 0);

	show(&n, "link add right type bridge");
	assert_refused(k, sites, ERROR_NAME_TAKEN, "ends[1].interface", "right in the namespace");
	assert_hides("left", "ip -j link");
	show(&n, "link del right");

	assert_ok(link_create(k, &link_veth, sites, NULL, &e));
	sites[0].ifindex = sites[1].ifindex = 0;
	assert_refused(k, sites, ERROR_NAME_TAKEN, "ends[0].interface", "left in the host");
	ends[0].interface = (char[]){ "other" };
	assert_refused(k, sites, ERROR_NAME_TAKEN, "ends[1].interface", "right in the namespace");
	assert_hides("other", "ip -j link");
	assert_int_equal(sandbox_run("ip link del left"), 0);

	describe(sites, ends, &n, &n);
	ends[1].interface = ends[0].interface;
	assert_refused(k, sites, ERROR_NAME_TAKEN, "ends[1].interface", "both ends are called left");
	assert_int_equal(sandbox_run("ip link add plain type bridge && ip link property add dev plain altname left"),
			 0);
	describe(sites, ends, NULL, &n);
	assert_refused(k, sites, ERROR_NAME_TAKEN, "ends[0].interface", "left");
	assert_int_equal(sandbox_run("ip link del plain"), 0);
	netns_close(&n);
}

/* What the kernel will not have: its words, and nothing behind. */
static void
test_refused(void **state)
{
	struct kernel *k = kernel(state);
	struct netns n = NETNS_INIT;
	struct link_site sites[2];
	struct end ends[2];
	assert_ok(netns_make(k, &n, &e));
	describe(sites, ends, NULL, &n);
	ends[0].mtu = 70000;
	assert_refused(k, sites, ERROR_KERNEL, "", "veth left: Invalid argument");
	ends[0].mtu = 1500;
	ends[1].mtu = 70000;
	assert_refused(k, sites, ERROR_KERNEL, "", "veth left");
	ends[1].mtu = 1500;
	ends[1].interface = (char[]){ "a/b" };
	assert_refused(k, sites, ERROR_KERNEL, "", "veth left");
	ends[1].interface = (char[]){ "a_name_of_16_char" };
	assert_refused(k, sites, ERROR_KERNEL, "", "veth left");
	ends[1].interface = (char[]){ "right" };
	sites[1].mac[0] = 1; /* multicast */
	assert_refused(k, sites, ERROR_KERNEL, "", "veth left");
	sites[1].mac[0] = 2;

	struct netns closed = { .fd = -1, .cookie = 1 };
	struct netns file = { .fd = open("/dev/null", O_RDONLY | O_CLOEXEC), .cookie = 1 };
	sites[1].netns = &closed;
	assert_refused(k, sites, ERROR_INTERNAL, "", "the namespace of right is closed");
	sites[1].netns = &file;
	assert_refused(k, sites, ERROR_KERNEL, "", "veth left");
	netns_close(&file);
	assert_hides("left", "ip -j link");
	netns_close(&n);
}

static void
test_bridge(void **state)
{
	struct kernel *k = kernel(state);
	struct rtnl *r = kernel_rtnl(k);
	struct end end = { .interface = (char[]){ "br0" }, .mtu = 1400 };
	struct link_site site = { .end = &end, .mac = { 2, 0, 0, 0, 0, 9 } };
	struct link_info info;
	assert_ptr_equal(link_kind_ops(LINK_BRIDGE), &link_bridge);
	assert_ptr_equal(link_kind_ops(LINK_VETH), &link_veth);
	assert_ok(link_create(k, link_kind_ops(LINK_BRIDGE), &site, NULL, &e));
	assert_int_equal(if_nametoindex("br0"), site.ifindex);
	assert_in(show(NULL, "-d -j link show br0"), "\"info_kind\":\"bridge\"");
	assert_in(show(NULL, "-d -j link show br0"), "\"02:00:00:00:00:09\"");
	assert_error(ERROR_NAME_TAKEN, "br0", link_create(k, &link_bridge, &site, NULL, &e));

	struct link_site sites[2];
	struct end ends[2];
	describe(sites, ends, NULL, NULL);
	assert_ok(link_create(k, &link_veth, sites, NULL, &e));
	link_put_master(r, sites[0].ifindex, site.ifindex, "left");
	assert_ok(rtnl_send(r, &e));
	assert_in(show(NULL, "-j link show left"), "\"master\":\"br0\"");
	assert_in(show(NULL, "-j link show br0"), "\"02:00:00:00:00:09\"");
	assert_ok(link_get(r, sites[0].ifindex, NULL, &info, &e));
	assert_int_equal(info.master, site.ifindex);
	link_put_master(r, sites[0].ifindex, 0, "left");
	assert_ok(rtnl_send(r, &e));
	assert_null(strstr(show(NULL, "-j link show left"), "master"));
	assert_ok(link_delete_group(r, LINK_GROUP, &e));
}

static void
test_changes(void **state)
{
	struct kernel *k = kernel(state);
	struct rtnl *r = kernel_rtnl(k);
	struct netns n = NETNS_INIT;
	struct link_site sites[2];
	struct end ends[2];
	assert_ok(netns_make(k, &n, &e));
	describe(sites, ends, NULL, NULL);
	assert_ok(link_create(k, &link_veth, sites, NULL, &e));
	int left = sites[0].ifindex, right = sites[1].ifindex;
	static const uint8_t mac[6] = { 2, 3, 4, 5, 6, 7 };

	link_put_name(r, left, "left", "west");
	link_put_mtu(r, left, 1300, "west");
	link_put_mac(r, left, mac, "west");
	link_put_group(r, left, 5, "west");
	link_put_up(r, left, true, "west");
	link_put_up(r, right, true, "right");
	assert_ok(rtnl_send(r, &e));
	const char *out = show(NULL, "-j link show west");
	assert_in(out, "\"UP\"");
	assert_in(out, "\"mtu\":1300,");
	assert_in(out, "\"02:03:04:05:06:07\"");
	assert_in(out, "\"group\":\"5\"");
	assert_in(out, "LOWER_UP");
	link_put_up(r, right, false, "right");
	assert_ok(rtnl_send(r, &e));
	assert_in(show(NULL, "-j link show west"), "NO-CARRIER");

	link_put_netns(r, right, n.fd, "right");
	assert_ok(rtnl_send(r, &e));
	assert_hides("right", "ip -j link");
	struct link_info info;
	assert_ok(link_get(n.rtnl, 0, "right", &info, &e));
	link_put_netns(n.rtnl, info.ifindex, kernel_netns_fd(k), "right");
	assert_ok(rtnl_send(n.rtnl, &e));
	assert_in(show(NULL, "-j link show right"), "right");

	link_put_up(r, 4711, true, "nothing");
	assert_errno(ENODEV, "setting nothing up", rtnl_send(r, &e));
	link_put_name(r, left, "west", "right");
	assert_errno(EEXIST, "renaming west to right", rtnl_send(r, &e));
	link_put_group(r, 0, 5, "everything");
	assert_errno(EINVAL, "group 5 of everything", rtnl_send(r, &e));
	link_put_group(r, left, LINK_GROUP, "west");
	assert_ok(rtnl_send(r, &e));
	assert_ok(link_delete_group(r, LINK_GROUP, &e));
	netns_close(&n);
}

static void
test_delete(void **state)
{
	struct kernel *k = kernel(state);
	struct rtnl *r = kernel_rtnl(k);
	assert_int_equal(
		sandbox_run("ip link add g0 type bridge; ip link add g7a group 7 type bridge; ip link add g7b group 7 "
			    "type bridge; ip link add g8 group 8 type bridge"),
		0);
	assert_error(ERROR_INTERNAL, "0", link_delete(r, 0, &e));
	assert_error(ERROR_INTERNAL, "-1", link_delete(r, -1, &e));
	assert_error(ERROR_INTERNAL, "everybody", link_delete_group(r, 0, &e));
	assert_error(ERROR_NOT_SUPPORTED, "interface 1", link_delete(r, 1, &e));
	assert_ok(link_delete_group(r, 7, &e));
	assert_ok(link_delete_group(r, 7, &e));
	assert_string_equal(sandbox_output("ls /proc/sys/net/ipv4/conf"), "all\ndefault\ng0\ng8\nlo\n");
	assert_ok(link_delete(r, (int)if_nametoindex("g0"), &e));
	assert_ok(link_delete(r, (int)if_nametoindex("g8"), &e));
	assert_ok(link_delete(r, 4711, &e));
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		SANDBOX_TEST(test_veth),	SANDBOX_TEST(test_veth_numbers), SANDBOX_TEST(test_no_echo),
		SANDBOX_TEST(test_answer_lost), SANDBOX_TEST(test_sequel),	 SANDBOX_TEST(test_name_taken),
		SANDBOX_TEST(test_refused),	SANDBOX_TEST(test_bridge),	 SANDBOX_TEST(test_changes),
		SANDBOX_TEST(test_delete),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
