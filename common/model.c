/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Field tables of the objects: wire names, types, limits and documentation in one place. */
#include "config.h"

#include "model.h"

#include <string.h>

#include "names.h"

/* clang-format off */
const struct type lifetime_type = {
	.name = "Lifetime",
	.doc = "How long nsd keeps an object: persistent (made again at boot) or runtime (until deleted or the next boot)",
	.values = (const char *const[]){ "persistent", "runtime", NULL },
};

const struct type state_type = {
	.name = "State",
	.doc = "creating: recorded, the kernel part is under way. ready: usable. draining: deleted, the kernel still "
	       "holds a part of it. lost: recorded, but vanished from the kernel; repair or delete it",
	.values = (const char *const[]){ "creating", "ready", "draining", "lost", NULL },
};

const struct type link_kind_type = {
	.name = "LinkKind",
	.doc = "What a link is made of: a veth pair (two ends) or a bridge (one end)",
	.values = (const char *const[]){ "veth", "bridge", NULL },
};

const struct type namespace_kind_type = {
	.name = "NamespaceKind",
	.doc = "The kernel's kinds of namespaces (namespaces(7)); this version makes net only",
	.values = (const char *const[]){ "net", "uts", "ipc", "mnt", "pid", "user", "cgroup", "time", NULL },
};

#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

const struct type route_type = {
	.name = "Route",
	.doc = "A route through the interface it is listed under",
	.size = sizeof(struct route),
	.fields = (const struct field[]){
		F(route, destination, "destination", FIELD_STRING, .check = destination_check,
		  .doc = "\"default\" or NETWORK/LENGTH"),
		F(route, gateway, "gateway", FIELD_STRING, .flags = FIELD_NULLABLE, .check = gateway_check,
		  .doc = "Next hop; without it the destination is on the link. \"default\" needs it: it tells the family"),
		F(route, metric, "metric", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = UINT32_MAX,
		  .doc = "Priority, lower wins"),
		{ 0 },
	},
};

const struct type counters_type = {
	.name = "Counters",
	.doc = "Traffic of an interface since it was made",
	.size = sizeof(struct counters),
	.fields = (const struct field[]){
		F(counters, rx_bytes, "receivedBytes", FIELD_INT, .doc = "Bytes received"),
		F(counters, rx_packets, "receivedPackets", FIELD_INT, .doc = "Packets received"),
		F(counters, rx_errors, "receivedErrors", FIELD_INT, .doc = "Receive errors"),
		F(counters, rx_dropped, "receivedDropped", FIELD_INT, .doc = "Received packets dropped"),
		F(counters, tx_bytes, "sentBytes", FIELD_INT, .doc = "Bytes sent"),
		F(counters, tx_packets, "sentPackets", FIELD_INT, .doc = "Packets sent"),
		F(counters, tx_errors, "sentErrors", FIELD_INT, .doc = "Send errors"),
		F(counters, tx_dropped, "sentDropped", FIELD_INT, .doc = "Packets dropped while sending"),
		{ 0 },
	},
};

const struct type end_type = {
	.name = "End",
	.doc = "One interface of a link",
	.size = sizeof(struct end),
	.fields = (const struct field[]){
		F(end, namespace, "namespace", FIELD_STRING, .flags = FIELD_NULLABLE, .check = name_check,
		  .doc = "Name of the namespace it sits in; absent: the host"),
		F(end, interface, "interface", FIELD_STRING, .flags = FIELD_NULLABLE, .check = interface_check,
		  .doc = "Interface name. Absent: eth0, eth1, ... in a namespace, a name of nsd's own in the host"),
		F(end, mac, "mac", FIELD_STRING, .flags = FIELD_NULLABLE, .check = mac_check,
		  .doc = "MAC address. Absent: nsd chooses one that stays the same for the life of the link"),
		F(end, mtu, "mtu", FIELD_INT, .flags = FIELD_NULLABLE, .min = 68, .max = 65535,
		  .doc = "Largest packet in bytes. Absent: 1500"),
		F(end, up, "up", FIELD_BOOL, .flags = FIELD_NULLABLE, .doc = "Administratively up; absent: true"),
		F(end, addresses, "addresses", FIELD_STRINGS, .flags = FIELD_NULLABLE, .max = 32, .check = address_check,
		  .doc = "Addresses with prefix length, usable at once (no duplicate address detection)"),
		F(end, routes, "routes", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &route_type, .max = 64,
		  .doc = "Routes through this interface, in its namespace"),
		F(end, bridge, "bridge", FIELD_STRING, .flags = FIELD_NULLABLE, .check = interface_check,
		  .doc = "Bridge in the same namespace that this interface is a port of"),
		F(end, ifindex, "ifindex", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Kernel's number of the interface, in its namespace"),
		F(end, running, "running", FIELD_BOOL, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Has a carrier: both ends are up"),
		F(end, counters, "counters", FIELD_STRUCT, .flags = FIELD_NULLABLE | FIELD_STATE, .of = &counters_type,
		  .doc = "Present where a request asks for them"),
		{ 0 },
	},
};

const struct type link_type = {
	.name = "Link",
	.doc = "A pair of interfaces, or a bridge",
	.size = sizeof(struct link),
	.fields = (const struct field[]){
		F(link, name, "name", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_IDENTITY, .check = name_check,
		  .doc = "Name of the link. Absent: the interface name of its end in the host, else "
			 "NAMESPACE.INTERFACE of its first end"),
		F(link, kind, "kind", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &link_kind_type, .doc = "Absent: veth"),
		F(link, lifetime, "lifetime", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &lifetime_type,
		  .doc = "Absent: persistent, or runtime where one of its namespaces is"),
		F(link, ends, "ends", FIELD_LIST, .of = &end_type, .max = 2, .doc = "Two ends of a veth, one of a bridge"),
		F(link, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 32, .check = label_key_check,
		  .check_value = label_value_check, .doc = "The user's own notes"),
		F(link, state, "state", FIELD_ENUM, .flags = FIELD_NULLABLE | FIELD_STATE, .of = &state_type,
		  .doc = "Where it is in its life"),
		F(link, foreign, "foreign", FIELD_BOOL, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "true: not made by nsd, shown only"),
		F(link, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Number of this object that never comes again, not even after a reboot"),
		F(link, owner, "owner", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE, .doc = "User id of its owner"),
		F(link, created, "created", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Time of its creation, seconds since 1970"),
		F(link, message, "message", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "In words: why it is lost or draining, or how it drifted"),
		F(link, boot, "boot", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_RECORD),
		F(link, cookies[0], "cookie0", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_RECORD),
		F(link, cookies[1], "cookie1", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_RECORD),
		F(link, changing, "changing", FIELD_BOOL, .flags = FIELD_NULLABLE | FIELD_RECORD),
		{ 0 },
	},
};

const struct type namespace_type = {
	.name = "Namespace",
	.doc = "A named set of kernel namespaces",
	.size = sizeof(struct namespace),
	.fields = (const struct field[]){
		F(namespace, name, "name", FIELD_STRING, .flags = FIELD_IDENTITY, .check = name_check,
		  .doc = "1 to 64 letters, digits, '.', '_', '-'; not starting with '.' or '-'"),
		F(namespace, kinds, "kinds", FIELD_FLAGS, .flags = FIELD_NULLABLE, .of = &namespace_kind_type,
		  .doc = "Absent: net"),
		F(namespace, lifetime, "lifetime", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &lifetime_type,
		  .doc = "Absent: persistent"),
		F(namespace, loopback, "loopback", FIELD_BOOL, .flags = FIELD_NULLABLE, .doc = "Its lo is up; absent: true"),
		F(namespace, nsid, "nsid", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = INT32_MAX,
		  .doc = "Number of the namespace as the host sees it (ip-netns(8)); absent: the kernel's choice when it "
			 "needs one"),
		F(namespace, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 32, .check = label_key_check,
		  .check_value = label_value_check, .doc = "The user's own notes"),
		F(namespace, sysctls, "sysctls", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 64, .check = sysctl_key_check,
		  .check_value = sysctl_value_check,
		  .doc = "Kernel settings of the namespace, like net.ipv4.ip_forward; only keys private to a network "
			 "namespace"),
		F(namespace, state, "state", FIELD_ENUM, .flags = FIELD_NULLABLE | FIELD_STATE, .of = &state_type,
		  .doc = "Where it is in its life"),
		F(namespace, foreign, "foreign", FIELD_BOOL, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "true: not made by nsd, shown only"),
		F(namespace, attached, "attached", FIELD_BOOL, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "true: a running process's namespace that nsd gave a name"),
		F(namespace, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Number of this object that never comes again, not even after a reboot"),
		F(namespace, owner, "owner", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE, .doc = "User id of its owner"),
		F(namespace, created, "created", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Time of its creation, seconds since 1970"),
		F(namespace, cookie, "cookie", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "The kernel's identity of the network namespace in this boot (SO_NETNS_COOKIE)"),
		F(namespace, path, "path", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "File that setns(2), nsenter(1) and NetworkNamespacePath= can use"),
		F(namespace, pid, "pid", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Attached: the process it was taken from"),
		F(namespace, pid_running, "pidRunning", FIELD_BOOL, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Attached: false once that process has ended; the name keeps the namespace alive"),
		F(namespace, message, "message", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "In words: why it is lost or draining, or how it drifted"),
		F(namespace, boot, "boot", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_RECORD),
		F(namespace, changing, "changing", FIELD_BOOL, .flags = FIELD_NULLABLE | FIELD_RECORD),
		F(namespace, unconfirmed, "unconfirmed", FIELD_BOOL, .flags = FIELD_NULLABLE | FIELD_RECORD),
		{ 0 },
	},
};
/* clang-format on */

/* Keys a namespace may set. "*" stands for one path component: an interface, "all" or "default". All are private to a
 * network namespace (Documentation/networking/ip-sysctl.rst). */
static const char *const sysctl_keys[] = {
	"net.core.somaxconn",
	"net.ipv4.conf.*.accept_local",
	"net.ipv4.conf.*.accept_redirects",
	"net.ipv4.conf.*.arp_announce",
	"net.ipv4.conf.*.arp_filter",
	"net.ipv4.conf.*.arp_ignore",
	"net.ipv4.conf.*.arp_notify",
	"net.ipv4.conf.*.forwarding",
	"net.ipv4.conf.*.log_martians",
	"net.ipv4.conf.*.proxy_arp",
	"net.ipv4.conf.*.route_localnet",
	"net.ipv4.conf.*.rp_filter",
	"net.ipv4.conf.*.send_redirects",
	"net.ipv4.conf.*.src_valid_mark",
	"net.ipv4.icmp_echo_ignore_all",
	"net.ipv4.icmp_echo_ignore_broadcasts",
	"net.ipv4.ip_default_ttl",
	"net.ipv4.ip_forward",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.ip_no_pmtu_disc",
	"net.ipv4.ip_nonlocal_bind",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range",
	"net.ipv4.tcp_congestion_control",
	"net.ipv4.tcp_ecn",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_max_syn_backlog",
	"net.ipv4.tcp_mtu_probing",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_sack",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_timestamps",
	"net.ipv4.tcp_tw_reuse",
	"net.ipv4.tcp_window_scaling",
	"net.ipv4.tcp_wmem",
	"net.ipv4.udp_l3mdev_accept",
	"net.ipv6.bindv6only",
	"net.ipv6.conf.*.accept_dad",
	"net.ipv6.conf.*.accept_ra",
	"net.ipv6.conf.*.accept_redirects",
	"net.ipv6.conf.*.addr_gen_mode",
	"net.ipv6.conf.*.autoconf",
	"net.ipv6.conf.*.disable_ipv6",
	"net.ipv6.conf.*.forwarding",
	"net.ipv6.conf.*.proxy_ndp",
	"net.ipv6.conf.*.use_tempaddr",
	"net.ipv6.ip_nonlocal_bind",
};

/* Does `key` follow `pattern`, "*" being one component that is an interface name, "all" or "default"? */
static bool
sysctl_key_matches(const char *pattern, const char *key)
{
	const char *star = strchr(pattern, '*');
	if (!star)
		return strcmp(pattern, key) == 0;

	size_t head = (size_t)(star - pattern), tail = strlen(star + 1), length = strlen(key);
	if (length <= head + tail || strncmp(pattern, key, head) != 0 || strcmp(key + length - tail, star + 1) != 0)
		return false;

	char middle[INTERFACE_MAX_LENGTH + 1];
	size_t n = length - head - tail;
	if (n > INTERFACE_MAX_LENGTH)
		return false;
	memcpy(middle, key + head, n);
	middle[n] = '\0';
	return strcmp(middle, "all") == 0 || strcmp(middle, "default") == 0 ||
	       (!strchr(middle, '.') && interface_check(middle, NULL) == 0);
}

int
sysctl_key_check(const char *text, struct error *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(sysctl_keys); i++)
		if (sysctl_key_matches(sysctl_keys[i], text))
			return 0;
	return error_set(e, ERROR_INVALID_VALUE, NULL,
			 "sysctl \"%.64s\" is not one that a network namespace may carry; nsd-varlink(7) lists them",
			 text);
}

int
sysctl_value_check(const char *text, struct error *e)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 \t-_,.";
	size_t n = strlen(text);
	if (strspn(text, allowed) != n)
		return error_set(e, ERROR_INVALID_VALUE, NULL,
				 "a sysctl value holds letters, digits, blanks and -_,. only");
	if (n == 0 || n > 128)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "a sysctl value has 1 to 128 characters");
	return 0;
}

void
route_done(struct route *r)
{
	fields_done(&route_type, r);
}

void
end_done(struct end *e)
{
	fields_done(&end_type, e);
}

void
link_done(struct link *l)
{
	fields_done(&link_type, l);
}

void
namespace_done(struct namespace *n)
{
	fields_done(&namespace_type, n);
}
