/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's notifications, from several namespaces, in order, and what is said when some were lost. */
#include "config.h"

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "events.h"
#include "macros.h"

#define ALL 100000

struct log {
	struct kernel_event v[4096];
	unsigned n;
};

static struct log seen;

static void
note(const struct kernel_event *event, void *arg)
{
	struct log *l = arg;
	assert_true(l->n < ARRAY_SIZE(l->v));
	l->v[l->n++] = *event;
}

static int
setup(void **state)
{
	seen.n = 0;
	return sandbox_setup(state);
}

static void
read_all(struct events *ev)
{
	assert_ok(events_read(ev, ALL, note, &seen, &e));
	assert_int_equal(events_read(ev, ALL, note, &seen, NULL), 0);
}

/* How many events of this kind were seen, of an interface by name (NULL: any). */
static unsigned
count(enum event_type type, int nsid, const char *name)
{
	unsigned n = 0;
	for (unsigned i = 0; i < seen.n; i++)
		n += seen.v[i].type == type && seen.v[i].nsid == nsid &&
		     (!name || strcmp(seen.v[i].link.name, name) == 0);
	return n;
}

static void
await_more(struct events *ev)
{
	struct pollfd p = { .fd = events_fd(ev), .events = POLLIN };
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_ok(events_read(ev, ALL, note, &seen, &e));
}

/* Waits for events until one of this kind is there. */
static void
await(struct events *ev, enum event_type type, int nsid, const char *name)
{
	while (count(type, nsid, name) == 0)
		await_more(ev);
}

static bool
has_address(const char *address, int ifindex)
{
	bool found = false;
	for (unsigned i = 0; i < seen.n; i++) {
		char text[INET6_ADDRSTRLEN + 4] = "";
		if (seen.v[i].type == EVENT_ADDRESS && seen.v[i].nsid == -1 && seen.v[i].ifindex == ifindex)
			prefix_format(&seen.v[i].prefix, text);
		found |= strcmp(text, address) == 0;
	}
	return found;
}

static void
await_address(struct events *ev, const char *address, int ifindex)
{
	while (!has_address(address, ifindex))
		await_more(ev);
}

static void
test_links_and_addresses(void **state)
{
	(void)state;
	struct events *ev = NULL;
	assert_ok(events_open(&ev, &e));
	assert_int_equal(fcntl(events_fd(ev), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(events_read(ev, ALL, note, &seen, NULL), 0);

	assert_int_equal(sandbox_run("ip link add br0 type bridge && ip link set br0 up mtu 1300 && "
				     "ip addr add 10.0.0.1/24 dev br0 && ip addr add fd00::1/64 dev br0 nodad"),
			 0);
	int ifindex = (int)if_nametoindex("br0");
	read_all(ev);
	assert_true(count(EVENT_LINK, -1, "br0") >= 2);
	assert_int_equal(seen.v[0].type, EVENT_LINK);
	assert_int_equal(seen.v[0].ifindex, ifindex);
	assert_false(seen.v[0].link.up);
	await_address(ev, "10.0.0.1/24", ifindex);
	await_address(ev, "fd00::1/64", ifindex); /* the kernel says that of IPv6 later, from a work queue */

	seen.n = 0;
	assert_int_equal(sandbox_run("ip addr del 10.0.0.1/24 dev br0; ip link del br0"), 0);
	read_all(ev);
	assert_true(count(EVENT_ADDRESS_GONE, -1, NULL) >= 2);
	assert_int_equal(count(EVENT_LINK_GONE, -1, "br0"), 1);
	assert_int_equal(seen.v[seen.n - 1].type, EVENT_LINK_GONE);
	assert_int_equal(seen.v[seen.n - 1].ifindex, ifindex);
	events_close(ev);
	events_close(NULL);
}

/* Of a namespace with an nsid the host hears its number and its end, and not what happens inside. */
static void
test_other_namespace(void **state)
{
	struct kernel *k = ((struct sandbox *)*state)->kernel;
	struct events *ev = NULL;
	struct netns n = NETNS_INIT;
	assert_ok(events_open(&ev, &e));
	assert_ok(netns_make(k, &n, &e));
	assert_ok(netns_set_nsid(k, &n, 4321, &e));
	read_all(ev);
	assert_int_equal(count(EVENT_NSID, 4321, NULL), 1);
	link_put_up(n.rtnl, 1, true, "lo");
	assert_ok(rtnl_send(n.rtnl, &e));
	read_all(ev);
	assert_int_equal(seen.n, 1);

	netns_close(&n);
	await(ev, EVENT_NSID_GONE, 4321, NULL);
	assert_int_equal(seen.n, 2);
	events_close(ev);
}

/* A veth whose other end is in a namespace that dies: the host hears of both. */
static void
test_namespace_dies(void **state)
{
	struct kernel *k = ((struct sandbox *)*state)->kernel;
	struct events *ev = NULL;
	struct netns n = NETNS_INIT;
	struct end ends[2] = { { .interface = (char[]){ "left" } }, { .interface = (char[]){ "right" } } };
	struct link_site sites[2] = { { .end = &ends[0] }, { .end = &ends[1] } };
	assert_ok(events_open(&ev, &e));
	assert_ok(netns_make(k, &n, &e));
	sites[1].netns = &n;
	assert_ok(link_create(k, &link_veth, sites, NULL, &e));
	int nsid;
	assert_ok(netns_nsid(k, &n, &nsid, &e));
	read_all(ev);
	assert_int_equal(count(EVENT_NSID, nsid, NULL), 1);
	assert_true(count(EVENT_LINK, -1, "left") >= 1);

	netns_close(&n);
	await(ev, EVENT_LINK_GONE, -1, "left");
	await(ev, EVENT_NSID_GONE, nsid, NULL);
	assert_int_equal(count(EVENT_LINK_GONE, -1, "left"), 1);
	events_close(ev);
}

/* What a bridge says of its port is not said of the interface. */
static void
test_port_removed(void **state)
{
	(void)state;
	struct events *ev = NULL;
	assert_int_equal(sandbox_run("ip link add br0 type bridge && ip link add port type veth peer name other && "
				     "ip link set port master br0"),
			 0);
	assert_ok(events_open(&ev, &e));
	assert_int_equal(sandbox_run("ip link set port nomaster"), 0);
	read_all(ev);
	assert_true(count(EVENT_LINK, -1, "port") >= 1);
	assert_int_equal(count(EVENT_LINK_GONE, -1, NULL), 0);
	assert_int_equal(sandbox_run("ip link del br0; ip link del port"), 0);
	events_close(ev);
}

/* More events than the buffer holds: said once, and what comes later is heard. */
static void
test_overrun(void **state)
{
	(void)state;
	struct events *ev = NULL;
	assert_ok(events_open(&ev, &e));
	const int small = 4096;
	assert_return_code(setsockopt(events_fd(ev), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), errno);
	assert_int_equal(sandbox_run("ip link add br0 type bridge; "
				     "for i in $(seq 100); do echo link set br0 mtu $((1000 + i)); done | ip -b -"),
			 0);
	read_all(ev);
	assert_int_equal(count(EVENT_OVERRUN, -1, NULL), 1);
	assert_true(count(EVENT_LINK, -1, "br0") < 100);

	seen.n = 0;
	assert_int_equal(sandbox_run("ip link set br0 mtu 1400"), 0);
	read_all(ev);
	assert_int_equal(count(EVENT_OVERRUN, -1, NULL), 0);
	assert_true(count(EVENT_LINK, -1, "br0") >= 1);
	assert_int_equal(seen.v[seen.n - 1].link.mtu, 1400);
	assert_int_equal(sandbox_run("ip link del br0"), 0);
	events_close(ev);
}

/* A reader that was away for a while misses nothing, and takes as much at a time as it likes. */
static void
test_burst_and_budget(void **state)
{
	(void)state;
	struct events *ev = NULL;
	assert_ok(events_open(&ev, &e));
	assert_int_equal(sandbox_run("ip link add br0 type bridge; "
				     "for i in $(seq 2000); do echo link set br0 mtu $((1000 + i)); done | ip -b -"),
			 0);
	assert_int_equal(events_read(ev, 7, note, &seen, NULL), 7);
	assert_true(seen.n <= 7);
	assert_int_equal(events_read(ev, 0, note, &seen, NULL), 0);
	read_all(ev);
	assert_int_equal(count(EVENT_OVERRUN, -1, NULL), 0);
	assert_true(count(EVENT_LINK, -1, "br0") >= 2000);
	assert_int_equal(sandbox_run("ip link del br0"), 0);
	events_close(ev);
}

/* Another process may send to the socket: nothing of it is an event. */
static void
test_forged_event(void **state)
{
	(void)state;
	struct events *ev = NULL;
	struct sockaddr_nl own;
	socklen_t size = sizeof(own);
	assert_ok(events_open(&ev, &e));
	assert_return_code(getsockname(events_fd(ev), (struct sockaddr *)&own, &size), errno);
	own.nl_groups = 0;
	struct {
		struct nlmsghdr header;
		struct ifinfomsg body;
	} forged = { .header = { .nlmsg_len = sizeof(forged), .nlmsg_type = RTM_DELLINK }, .body = { .ifi_index = 1 } };
	int other = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	assert_int_equal(sendto(other, &forged, sizeof(forged), 0, (struct sockaddr *)&own, sizeof(own)),
			 sizeof(forged));
	close(other);
	assert_int_equal(events_read(ev, ALL, note, &seen, NULL), 1);
	assert_int_equal(seen.n, 0);
	events_close(ev);
}

int
main(void)
{
	sandbox_enter();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_links_and_addresses, setup, sandbox_teardown),
		cmocka_unit_test_setup_teardown(test_other_namespace, setup, sandbox_teardown),
		cmocka_unit_test_setup_teardown(test_namespace_dies, setup, sandbox_teardown),
		cmocka_unit_test_setup_teardown(test_port_removed, setup, sandbox_teardown),
		cmocka_unit_test_setup_teardown(test_overrun, setup, sandbox_teardown),
		cmocka_unit_test_setup_teardown(test_burst_and_budget, setup, sandbox_teardown),
		cmocka_unit_test_setup_teardown(test_forged_event, setup, sandbox_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
