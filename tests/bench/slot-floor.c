/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floor of slots: what the kernel alone needs for a complete slot on a router, from one thread. No daemon, no socket,
 * no store, no rules, no checks that the kernel does not make itself.
 *
 * Theory of operation
 *
 * The host ends lie in hubs: namespaces that forward, one after the other filled with --per-hub slots (512; with --dual
 * 128, for whatever comes up in a namespace with IPv6 makes the kernel walk all IPv6 routes there). Without --dual they have
 * no IPv6. With it, new interfaces in them get no link-local address (addr_gen_mode), for the same reason. One slot is, the clock running from before the first step to after the last:
 *
 *   1. unshare(CLONE_NEWNET); the namespace's fd is its only pin
 *   2. a NETLINK_ROUTE socket inside; back to the hub
 *   3. hub, one send: veth, its end in the hub down, its peer born in the slot as eth0; names, indexes, MACs and one queue
 *      each are given
 *   4. slot, one send: lo up; the address; eth0 up; the default route; the hub's end as permanent neighbour
 *   5. hub, one send: the address; up; the slot's end as permanent neighbour
 *   6. the socket inside is closed
 *
 * Each message is acknowledged. Step 4 comes before the hub's end is up, so no packet ever waits. --dual adds an IPv6
 * address (/127, not tentative), default route and neighbour to step 4, address and neighbour to step 5.
 *
 *   slot-floor [--dual] [--per-hub N]     reads commands from its standard input, a line each, and answers each with a line:
 *       make N     {"start":ns,"elapsed":ns,"operations":[ns,...],"phases":{"NAME":ns,...}}
 *       drop N     the newest N lose their pins: {"start":ns,"elapsed":ns}
 *       gone       waits until the hubs' ends of all that were dropped are gone: {"at":ns}
 *       churn N    make N, each from the 500th on in the place of the oldest, whose pin goes first; then drop the others and
 *                  wait until all are gone; the answer is that of make, without phases
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "batch.h"
#include "samples.h"

#define FIRST_ADDRESS 0x0a000000
#define FIRST_IFINDEX 1000
#define POLL_NS 300000
#define MAX_SLOTS 16000
#define MAX_HUBS 128
#define CHURN_STORE 500

enum phase { PHASE_UNSHARE, PHASE_LINK, PHASE_INSIDE, PHASE_HUB, PHASE_CLOSE, PHASES };

static const char *const phase_names[PHASES] = { "unshare", "link", "inside", "hub", "close" };

struct hub {
	int ns, nl;
};

struct floor {
	bool dual;
	unsigned per_hub, n_hubs, made, most;
	struct hub hubs[MAX_HUBS];
	int pins[MAX_SLOTS];
	uint64_t phases[PHASES];
};

struct address {
	uint8_t family, bytes[16];
};

static struct address
address4(unsigned id, unsigned host)
{
	struct address a = { .family = AF_INET };
	uint32_t value = htonl(FIRST_ADDRESS + 4 * id + host);
	memcpy(a.bytes, &value, sizeof(value));
	return a;
}

/* fd00::ID:0 and :1: the pair of a /127. */
static struct address
address6(unsigned id, unsigned host)
{
	return (struct address){ AF_INET6,
				 { 0xfd, [12] = (uint8_t)(id >> 8), [13] = (uint8_t)id, [15] = (uint8_t)(host - 1) } };
}

static size_t
address_size(const struct address *a)
{
	return a->family == AF_INET ? 4 : 16;
}

static void
put_mac(struct nlmsghdr *m, uint16_t attribute, unsigned id, uint8_t side)
{
	uint8_t mac[6] = { 0x02, side, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
	mnl_attr_put(m, attribute, sizeof(mac), mac);
}

static void
put_end(struct nlmsghdr *m, const char *name, unsigned id, uint8_t side)
{
	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	mnl_attr_put_u32(m, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(m, IFLA_NUM_RX_QUEUES, 1);
	put_mac(m, IFLA_ADDRESS, id, side);
}

static void
put_veth(struct batch *b, const char *hub_end, int ifindex, unsigned id, int pin)
{
	struct ifinfomsg *i = batch_message(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(*i));
	struct nlmsghdr *m = b->last;
	i->ifi_index = ifindex;
	put_end(m, hub_end, id, 1);
	struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(m, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(m, VETH_INFO_PEER);
	i = mnl_nlmsg_put_extra_header(m, sizeof(*i));
	i->ifi_index = 2;
	put_end(m, "eth0", id, 2);
	mnl_attr_put_u32(m, IFLA_NET_NS_FD, (uint32_t)pin);
	mnl_attr_nest_end(m, peer);
	mnl_attr_nest_end(m, data);
	mnl_attr_nest_end(m, info);
}

static void
put_address(struct batch *b, int ifindex, const struct address *address)
{
	struct ifaddrmsg *a = batch_message(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*a));
	a->ifa_family = address->family;
	a->ifa_prefixlen = address->family == AF_INET ? 30 : 127;
	a->ifa_flags = address->family == AF_INET ? 0 : IFA_F_NODAD;
	a->ifa_index = (unsigned)ifindex;
	mnl_attr_put(b->last, IFA_LOCAL, address_size(address), address->bytes);
	mnl_attr_put(b->last, IFA_ADDRESS, address_size(address), address->bytes);
}

static void
put_default_route(struct batch *b, const struct address *gateway)
{
	struct rtmsg *r = batch_message(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*r));
	r->rtm_family = gateway->family;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_STATIC;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put(b->last, RTA_GATEWAY, address_size(gateway), gateway->bytes);
	mnl_attr_put_u32(b->last, RTA_OIF, 2);
}

static void
put_neighbour(struct batch *b, int ifindex, const struct address *address, unsigned id, uint8_t side)
{
	struct ndmsg *n = batch_message(b, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*n));
	n->ndm_family = address->family;
	n->ndm_ifindex = ifindex;
	n->ndm_state = NUD_PERMANENT;
	mnl_attr_put(b->last, NDA_DST, address_size(address), address->bytes);
	put_mac(b->last, NDA_LLADDR, id, side);
}

static void
put_inside(struct batch *b, unsigned id, bool dual)
{
	struct address here4 = address4(id, 2), there4 = address4(id, 1);
	struct address here6 = address6(id, 2), there6 = address6(id, 1);

	put_up(b, 1);
	put_address(b, 2, &here4);
	put_up(b, 2);
	put_default_route(b, &there4);
	put_neighbour(b, 2, &there4, id, 1);
	if (!dual)
		return;
	put_address(b, 2, &here6);
	put_default_route(b, &there6);
	put_neighbour(b, 2, &there6, id, 1);
}

static void
put_hub(struct batch *b, int ifindex, unsigned id, bool dual)
{
	struct address here4 = address4(id, 1), there4 = address4(id, 2);
	struct address here6 = address6(id, 1), there6 = address6(id, 2);

	put_address(b, ifindex, &here4);
	put_up(b, ifindex);
	put_neighbour(b, ifindex, &there4, id, 2);
	if (!dual)
		return;
	put_address(b, ifindex, &here6);
	put_neighbour(b, ifindex, &there6, id, 2);
}

static void
enter(int ns)
{
	if (setns(ns, CLONE_NEWNET) < 0)
		die(errno, "setns");
}

static void
set(const char *name, const char *value)
{
	char path[96];
	snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	int fd = open_or_die(path, O_WRONLY);
	if (write(fd, value, strlen(value)) < 0)
		die(errno, "%s", path);
	close(fd);
}

static struct hub
make_hub(bool dual)
{
	struct batch b = { .flags = NLM_F_ACK };
	if (unshare(CLONE_NEWNET) < 0)
		die(errno, "unshare");
	set("ipv4/ip_forward", "1");
	if (dual) {
		set("ipv6/conf/all/forwarding", "1");
		set("ipv6/conf/default/addr_gen_mode", "1");
	} else {
		set("ipv6/conf/all/disable_ipv6", "1");
		set("ipv6/conf/default/disable_ipv6", "1");
	}
	struct hub h = { .ns = open_or_die("/proc/thread-self/ns/net", O_RDONLY), .nl = netlink_open() };
	put_up(&b, 1);
	batch_send(&b, h.nl);
	return h;
}

/* The hub of a slot, made when the one before is full; the thread is in it then. */
static const struct hub *
hub_of(struct floor *f, unsigned id)
{
	unsigned i = id / f->per_hub;
	if (i >= MAX_HUBS)
		die(0, "too many hubs");
	for (; f->n_hubs <= i; f->n_hubs++)
		f->hubs[f->n_hubs] = make_hub(f->dual);
	enter(f->hubs[i].ns);
	return &f->hubs[i];
}

static void
hub_end(char ret[IFNAMSIZ], unsigned id)
{
	snprintf(ret, IFNAMSIZ, "h%x", id);
}

static void
passed(struct floor *f, enum phase phase, uint64_t *since)
{
	uint64_t now = now_ns();
	f->phases[phase] += now - *since;
	*since = now;
}

static uint64_t
make_slot(struct floor *f, unsigned id)
{
	const struct hub *hub = hub_of(f, id);
	struct batch b = { .flags = NLM_F_ACK };
	int ifindex = FIRST_IFINDEX + (int)(id % f->per_hub);
	char name[IFNAMSIZ];

	hub_end(name, id);
	uint64_t start = now_ns(), t = start;
	if (unshare(CLONE_NEWNET) < 0)
		die(errno, "unshare");
	f->pins[id] = open_or_die("/proc/thread-self/ns/net", O_RDONLY);
	int inside = netlink_open();
	enter(hub->ns);
	passed(f, PHASE_UNSHARE, &t);
	put_veth(&b, name, ifindex, id, f->pins[id]);
	batch_send(&b, hub->nl);
	passed(f, PHASE_LINK, &t);
	put_inside(&b, id, f->dual);
	batch_send(&b, inside);
	passed(f, PHASE_INSIDE, &t);
	put_hub(&b, ifindex, id, f->dual);
	batch_send(&b, hub->nl);
	passed(f, PHASE_HUB, &t);
	close(inside);
	passed(f, PHASE_CLOSE, &t);
	return t - start;
}

static void
make(struct floor *f, unsigned count)
{
	struct samples s = { 0 };
	if (count == 0 || f->made + count > MAX_SLOTS)
		die(0, "1 to %d slots", MAX_SLOTS);
	memset(f->phases, 0, sizeof(f->phases));
	hub_of(f, f->made + count - 1);
	uint64_t start = now_ns();
	for (unsigned i = 0; i < count; i++)
		samples_add(&s, make_slot(f, f->made++));
	printf("{\"start\":%" PRIu64 ",\"elapsed\":%" PRIu64 ",", start, now_ns() - start);
	samples_print("operations", &s);
	printf(",\"phases\":{");
	for (unsigned p = 0; p < PHASES; p++)
		printf("%s\"%s\":%" PRIu64, p > 0 ? "," : "", phase_names[p], f->phases[p] / count);
	printf("}}\n");
	samples_done(&s);
	if (f->made > f->most)
		f->most = f->made;
}

static void
drop(struct floor *f, unsigned count)
{
	if (count > f->made)
		die(0, "only %u slots are there", f->made);
	for (unsigned i = 0; i < count; i++)
		close(f->pins[--f->made]);
}

static void
wait_gone(struct floor *f)
{
	for (; f->most > f->made; f->most--) {
		char name[IFNAMSIZ];
		hub_of(f, f->most - 1);
		hub_end(name, f->most - 1);
		while (if_nametoindex(name) != 0)
			nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
	}
}

/* Begins with none. */
static void
churn(struct floor *f, unsigned count)
{
	struct samples s = { 0 };
	if (f->made > 0 || count == 0 || count > MAX_SLOTS)
		die(0, "churn: 1 to %d slots, and none before", MAX_SLOTS);
	uint64_t start = now_ns();
	for (unsigned i = 0; i < count; i++) {
		if (i >= CHURN_STORE)
			close(f->pins[i - CHURN_STORE]);
		samples_add(&s, make_slot(f, i));
	}
	printf("{\"start\":%" PRIu64 ",\"elapsed\":%" PRIu64 ",", start, now_ns() - start);
	samples_print("operations", &s);
	printf("}\n");
	samples_done(&s);
	for (unsigned i = count > CHURN_STORE ? count - CHURN_STORE : 0; i < count; i++)
		close(f->pins[i]);
	f->most = count;
	wait_gone(f);
}

static void
obey(struct floor *f, const char *verb, unsigned count)
{
	uint64_t start = now_ns();
	if (strcmp(verb, "make") == 0) {
		make(f, count);
	} else if (strcmp(verb, "churn") == 0) {
		churn(f, count);
	} else if (strcmp(verb, "drop") == 0) {
		drop(f, count);
		printf("{\"start\":%" PRIu64 ",\"elapsed\":%" PRIu64 "}\n", start, now_ns() - start);
	} else if (strcmp(verb, "gone") == 0) {
		wait_gone(f);
		printf("{\"at\":%" PRIu64 "}\n", now_ns());
	} else {
		die(0, "say make N, drop N, gone or churn N, not \"%s\"", verb);
	}
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "dual", no_argument, NULL, 'd' },
		{ "per-hub", required_argument, NULL, 'h' },
		{ 0 },
	};
	static struct floor f;
	char line[64], verb[16];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'd')
			f.dual = true;
		else if (c == 'h')
			f.per_hub = (unsigned)parse_number(optarg, "--per-hub");
		else
			return EXIT_FAILURE;
	}
	if (f.per_hub == 0)
		f.per_hub = f.dual ? 128 : 512;
	while (fgets(line, sizeof(line), stdin)) {
		unsigned count = 0;
		if (sscanf(line, "%15s %u", verb, &count) >= 1)
			obey(&f, verb, count);
	}
	return EXIT_SUCCESS;
}
