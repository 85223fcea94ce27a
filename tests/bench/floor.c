/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The floor: what the kernel alone needs for the work of one CreateNamespace request with one veth link. No daemon, no
 * socket, no store, no checks that the kernel does not make itself.
 *
 * Theory of operation
 *
 * One slot is, in this order, the fastest found (the order of the messages is worth 3 %, the way of pinning 2 %):
 *
 *   1. /run/netns/NAME made exclusively, as the place of the pin
 *   2. unshare(CLONE_NEWNET); the thread stays there until its next slot: nothing needs it to go back
 *   3. a NETLINK_ROUTE socket inside
 *   4. open_tree(/proc/thread-self/ns/net) + move_mount() on NAME: the bind mount that `ip netns` makes
 *   5. one sendmsg inside, one ACK: veth with both names, MACs, one queue each and the group, its peer born in the host
 *      (IFLA_NET_NS_FD, nothing is moved); eth0 up; its address; the default route; lo up
 *   6. net.ipv6.conf.HOSTEND.disable_ipv6 = 1 through a directory opened once. Before up: it then has no IPv6 routes,
 *      which grow dearer with every interface. 25 us, which the cheaper "up" gives back
 *   7. one sendmsg in the host, one ACK: address and up of the host end
 *   8. the socket inside is closed
 *
 * Every message but the last of a batch goes without NLM_F_ACK; a refusal answers all the same. Interface indexes are
 * chosen here. Threads share nothing but the mount namespace.
 *
 *   floor create --first I --count N [--threads T]
 *                      prints {"start":ns,"elapsed":ns,"operations":[ns,...],"phases":{"NAME":ns,...}}
 *   floor delete --first I --count N                  umount2(MNT_DETACH) + unlink each; the same without phases
 *   floor survivors                                   namespaces now charged to this user namespace
 *   floor freed --survivors S                         waits until no more than S are left; prints the time
 *
 * "freed" takes user.max_net_namespaces for the sensor: the kernel gives a namespace back to its user's account after
 * all else of it is gone. Meant for a user namespace of its own.
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
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "batch.h"
#include "samples.h"

#define SITE "/run/netns"
#define GROUP 0x6e7364	      /* as nsd tags its interfaces */
#define PROTOCOL 110	      /* as nsd tags its routes */
#define FIRST_IFINDEX 1000000 /* of host ends: out of the kernel's way */
#define FIRST_ADDRESS 0x0a000000
#define POLL_NS 300000

enum phase {
	PHASE_FILE,
	PHASE_UNSHARE,
	PHASE_SOCKET,
	PHASE_PIN,
	PHASE_INSIDE,
	PHASE_IPV6,
	PHASE_HOST,
	PHASE_CLOSE,
	PHASES
};

static const char *const phase_names[PHASES] = {
	"file", "unshare", "socket", "pin", "inside", "ipv6", "host", "close"
};

struct worker {
	unsigned first, count;
	int site;    /* /run/netns */
	int host_ns; /* namespace of the host ends */
	int host_nl; /* socket there */
	int ipv6;    /* /proc/sys/net/ipv6/conf of the host */
	int own_ns;  /* /proc/thread-self/ns */
	struct samples operations;
	uint64_t phases[PHASES];
	pthread_t thread;
};

static void
put_address(struct batch *b, int ifindex, uint32_t address)
{
	struct ifaddrmsg *a = batch_message(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*a));
	a->ifa_family = AF_INET;
	a->ifa_prefixlen = 30;
	a->ifa_index = (unsigned)ifindex;
	mnl_attr_put_u32(b->last, IFA_LOCAL, htonl(address));
	mnl_attr_put_u32(b->last, IFA_ADDRESS, htonl(address));
	mnl_attr_put_u32(b->last, IFA_BROADCAST, htonl(address | 3));
}

static void
put_default_route(struct batch *b, uint32_t gateway)
{
	struct rtmsg *r = batch_message(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof(*r));
	r->rtm_family = AF_INET;
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = PROTOCOL;
	r->rtm_type = RTN_UNICAST;
	mnl_attr_put_u32(b->last, RTA_GATEWAY, htonl(gateway));
	mnl_attr_put_u32(b->last, RTA_OIF, 2);
}

static void
put_end(struct nlmsghdr *m, const char *name, unsigned id, uint8_t side)
{
	uint8_t mac[6] = { 0x02, side, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id };
	mnl_attr_put_strz(m, IFLA_IFNAME, name);
	mnl_attr_put(m, IFLA_ADDRESS, sizeof(mac), mac);
	mnl_attr_put_u32(m, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(m, IFLA_NUM_RX_QUEUES, 1);
	mnl_attr_put_u32(m, IFLA_GROUP, GROUP);
}

/* eth0 (index 2) in the namespace of the socket, its peer in the one of `host_ns`. */
static void
put_veth(struct batch *b, const char *host_end, unsigned id, int host_ns)
{
	struct ifinfomsg *i = batch_message(b, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(*i));
	struct nlmsghdr *m = b->last;
	i->ifi_index = 2;
	put_end(m, "eth0", id, 2);
	struct nlattr *info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_strz(m, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(m, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(m, VETH_INFO_PEER);
	i = mnl_nlmsg_put_extra_header(m, sizeof(*i));
	i->ifi_index = FIRST_IFINDEX + (int)id;
	put_end(m, host_end, id, 1);
	mnl_attr_put_u32(m, IFLA_NET_NS_FD, (uint32_t)host_ns);
	mnl_attr_nest_end(m, peer);
	mnl_attr_nest_end(m, data);
	mnl_attr_nest_end(m, info);
}

static void
make_place(const struct worker *w, const char *name)
{
	int fd = openat(w->site, name, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		die(errno, SITE "/%s", name);
	close(fd);
}

static void
pin(const struct worker *w, const char *name)
{
	int tree = open_tree(w->own_ns, "net", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0 || move_mount(tree, "", w->site, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		die(errno, "pin " SITE "/%s", name);
	close(tree);
}

static void
disable_ipv6(const struct worker *w, const char *interface)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/disable_ipv6", interface);
	int fd = openat(w->ipv6, path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) != 1)
		die(errno, "net.ipv6.conf.%s", path);
	close(fd);
}

static void
passed(struct worker *w, enum phase phase, uint64_t *since)
{
	uint64_t now = now_ns();
	w->phases[phase] += now - *since;
	*since = now;
}

static void
make_slot(struct worker *w, unsigned id)
{
	struct batch b = { 0 };
	char name[16], host_end[IFNAMSIZ];
	uint32_t base = FIRST_ADDRESS + 4 * id;
	uint64_t start = now_ns(), t = start;

	snprintf(name, sizeof(name), "f%u", id);
	snprintf(host_end, sizeof(host_end), "fh%u", id);
	make_place(w, name);
	passed(w, PHASE_FILE, &t);
	if (unshare(CLONE_NEWNET) < 0)
		die(errno, "unshare");
	passed(w, PHASE_UNSHARE, &t);
	int inside = netlink_open();
	passed(w, PHASE_SOCKET, &t);
	pin(w, name);
	passed(w, PHASE_PIN, &t);

	put_veth(&b, host_end, id, w->host_ns);
	put_up(&b, 2);
	put_address(&b, 2, base + 2);
	put_default_route(&b, base + 1);
	put_up(&b, 1);
	batch_send(&b, inside);
	passed(w, PHASE_INSIDE, &t);

	disable_ipv6(w, host_end);
	passed(w, PHASE_IPV6, &t);
	put_address(&b, FIRST_IFINDEX + (int)id, base + 1);
	put_up(&b, FIRST_IFINDEX + (int)id);
	batch_send(&b, w->host_nl);
	passed(w, PHASE_HOST, &t);
	close(inside);
	passed(w, PHASE_CLOSE, &t);
	samples_add(&w->operations, t - start);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	w->own_ns = open_or_die("/proc/thread-self/ns", O_PATH | O_DIRECTORY);
	w->host_nl = netlink_open();
	for (unsigned i = 0; i < w->count; i++)
		make_slot(w, w->first + i);
	return NULL;
}

static void
print_phases(const uint64_t *sum, unsigned count)
{
	printf("\"phases\":{");
	for (unsigned p = 0; p < PHASES; p++)
		printf("%s\"%s\":%" PRIu64, p > 0 ? "," : "", phase_names[p], sum[p] / count);
	printf("}");
}

static void
create(unsigned first, unsigned count, unsigned threads)
{
	struct worker *workers = calloc(threads, sizeof(*workers));
	struct samples all = { 0 };
	uint64_t phases[PHASES] = { 0 };
	if (!workers || count < threads)
		die(0, "at least one slot for each thread");

	int site = open_or_die(SITE, O_PATH | O_DIRECTORY);
	int host_ns = open_or_die("/proc/self/ns/net", O_RDONLY);
	int ipv6 = open_or_die("/proc/sys/net/ipv6/conf", O_PATH | O_DIRECTORY);
	uint64_t start = now_ns();
	for (unsigned t = 0; t < threads; t++) {
		unsigned from = count * t / threads, to = count * (t + 1) / threads;
		workers[t] = (struct worker){ first + from, to - from, site, host_ns, .ipv6 = ipv6 };
		if (pthread_create(&workers[t].thread, NULL, work, &workers[t]) != 0)
			die(0, "cannot start a thread");
	}
	for (unsigned t = 0; t < threads; t++)
		pthread_join(workers[t].thread, NULL);
	uint64_t elapsed = now_ns() - start;

	for (unsigned t = 0; t < threads; t++) {
		samples_append(&all, &workers[t].operations);
		samples_done(&workers[t].operations);
		for (unsigned p = 0; p < PHASES; p++)
			phases[p] += workers[t].phases[p];
	}
	printf("{\"start\":%" PRIu64 ",\"elapsed\":%" PRIu64 ",", start, elapsed);
	samples_print("operations", &all);
	printf(",");
	print_phases(phases, count);
	printf("}\n");
	samples_done(&all);
	free(workers);
}

static void delete (unsigned first, unsigned count)
{
	struct samples s = { 0 };
	uint64_t start = now_ns();
	for (unsigned i = 0; i < count; i++) {
		char path[64];
		uint64_t t = now_ns();
		snprintf(path, sizeof(path), SITE "/f%u", first + i);
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 || unlink(path) < 0)
			die(errno, "%s", path);
		samples_add(&s, now_ns() - t);
	}
	printf("{\"start\":%" PRIu64 ",\"elapsed\":%" PRIu64 ",", start, now_ns() - start);
	samples_print("operations", &s);
	printf("}\n");
	samples_done(&s);
}

static void
allow_namespaces(unsigned long limit)
{
	char text[24];
	int fd = open_or_die("/proc/sys/user/max_net_namespaces", O_WRONLY);
	int n = snprintf(text, sizeof(text), "%lu", limit);
	if (write(fd, text, (size_t)n) != n)
		die(errno, "user.max_net_namespaces");
	close(fd);
}

/* Is there room for one more namespace? It lives only until the caller ends. */
static bool
try_namespace(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return true;
	if (errno != ENOSPC)
		die(errno, "unshare");
	return false;
}

#define UNLIMITED 100000

static void
survivors(void)
{
	for (unsigned long n = 0;; n++) {
		allow_namespaces(n + 1);
		if (!try_namespace())
			continue;
		allow_namespaces(UNLIMITED);
		printf("{\"survivors\":%lu}\n", n);
		return;
	}
}

static void
freed(unsigned long left)
{
	allow_namespaces(left + 1);
	while (!try_namespace())
		nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
	printf("{\"at\":%" PRIu64 "}\n", now_ns());
	allow_namespaces(UNLIMITED);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "first", required_argument, NULL, 'f' },
		{ "count", required_argument, NULL, 'n' },
		{ "threads", required_argument, NULL, 't' },
		{ "survivors", required_argument, NULL, 's' },
		{ 0 },
	};
	unsigned long first = 1, count = 1, threads = 1, left = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'f')
			first = parse_number(optarg, "--first");
		else if (c == 'n')
			count = parse_number(optarg, "--count");
		else if (c == 't')
			threads = parse_number(optarg, "--threads");
		else if (c == 's')
			left = parse_number(optarg, "--survivors");
		else
			return EXIT_FAILURE;
	}
	const char *verb = optind < argc ? argv[optind] : "";
	if (strcmp(verb, "create") == 0)
		create((unsigned)first, (unsigned)count, (unsigned)threads);
	else if (strcmp(verb, "delete") == 0)
		delete ((unsigned)first, (unsigned)count);
	else if (strcmp(verb, "survivors") == 0)
		survivors();
	else if (strcmp(verb, "freed") == 0)
		freed(left);
	else
		die(0, "say create, delete, survivors or freed");
	return EXIT_SUCCESS;
}
