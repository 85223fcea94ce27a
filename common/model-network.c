/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Field tables of networks, pools and slots, and the grammars that only they have. */
#include "config.h"

#include "model-network.h"

#include <arpa/inet.h>
#include <string.h>

#include "names.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

static int
plain_address_check(const char *text, struct error *e)
{
	return gateway_check(text, e) < 0 ?
		       error_set(e, ERROR_INVALID_VALUE, NULL, "\"%.64s\" is not a unicast address", text) :
		       0;
}

/* clang-format off */
const struct type egress_type = {
	.name = "Egress",
	.doc = "What of a network's slots leaves the host: nothing (none), packets with their own address (routed), or with "
	       "the host's (masquerade)",
	.values = (const char *const[]){ "none", "routed", "masquerade", NULL },
};

const struct type protocol_type = {
	.name = "Protocol",
	.doc = "Of a port",
	.values = (const char *const[]){ "tcp", "udp", NULL },
};

const struct type slot_state_type = {
	.name = "SlotState",
	.doc = "making: the kernel part is under way. ready: in the pool. leased: somebody has it. draining: released; the "
	       "kernel still holds a part of it",
	.values = (const char *const[]){ "making", "ready", "leased", "draining", NULL },
};

const struct type lease_bond_type = {
	.name = "Bond",
	.doc = "What ends a lease beside its release: the end of the connection, of a process, of a time, or nothing",
	.values = (const char *const[]){ "connection", "process", "time", "nothing", NULL },
};

#define F(struct_, member, wire, type_, ...) \
	{ .name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ }

const struct type service_type = {
	.name = "Service",
	.doc = "A port of the host that slots may reach, on any address of the host",
	.size = sizeof(struct service),
	.fields = (const struct field[]){
		F(service, protocol, "protocol", FIELD_ENUM, .of = &protocol_type, .doc = "tcp or udp"),
		F(service, port, "port", FIELD_INT, .min = 1, .max = 65535, .doc = "The port"),
		{ 0 },
	},
};

const struct type ports_type = {
	.name = "Ports",
	.doc = "Ports of the host that slots may publish",
	.size = sizeof(struct ports),
	.fields = (const struct field[]){
		F(ports, protocol, "protocol", FIELD_ENUM, .of = &protocol_type, .doc = "tcp or udp"),
		F(ports, first, "first", FIELD_INT, .min = 1, .max = 65535, .doc = "The first of them"),
		F(ports, last, "last", FIELD_INT, .min = 1, .max = 65535, .doc = "The last of them"),
		{ 0 },
	},
};

const struct type network_type = {
	.name = "Network",
	.doc = "A subnet with a router of nsd's, from which slots are handed out",
	.size = sizeof(struct network),
	.fields = (const struct field[]){
		F(network, name, "name", FIELD_STRING, .flags = FIELD_IDENTITY, .check = network_name_check,
		  .doc = "1 to 24 letters, digits, '_', '-'; not starting with '-'"),
		F(network, ipv4, "ipv4", FIELD_STRING, .flags = FIELD_NULLABLE, .check = ipv4_prefix_check,
		  .doc = "Its IPv4 prefix, /8 to /30; each slot takes two addresses. A network has one prefix at least"),
		F(network, ipv6, "ipv6", FIELD_STRING, .flags = FIELD_NULLABLE, .check = ipv6_prefix_check,
		  .doc = "Its IPv6 prefix, /32 to /126"),
		F(network, mtu, "mtu", FIELD_INT, .flags = FIELD_NULLABLE, .min = 576, .max = 65535,
		  .doc = "Largest packet in bytes, 1280 at least with IPv6. Absent: 1500"),
		F(network, egress, "egress", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &egress_type, .doc = "Absent: none"),
		F(network, isolated, "isolated", FIELD_BOOL, .flags = FIELD_NULLABLE,
		  .doc = "Slots do not reach each other. Absent: true"),
		F(network, services, "services", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &service_type, .max = 64,
		  .doc = "What of the host slots may reach. Absent: nothing"),
		F(network, dns, "dns", FIELD_STRINGS, .flags = FIELD_NULLABLE, .max = 8, .check = plain_address_check,
		  .doc = "Name servers told to the slots' holders"),
		F(network, publish, "publish", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &ports_type, .max = 16,
		  .doc = "Ports of the host that slots may publish. Absent: none"),
		F(network, interface, "interface", FIELD_STRING, .flags = FIELD_NULLABLE, .check = interface_check,
		  .doc = "Name of the slots' interface. Absent: eth0"),
		F(network, inner4, "inner4", FIELD_STRING, .flags = FIELD_NULLABLE, .check = address_check,
		  .doc = "ADDRESS/LENGTH that every slot of the network has inside instead of its own, for clones of one "
			 "machine; the router translates"),
		F(network, inner6, "inner6", FIELD_STRING, .flags = FIELD_NULLABLE, .check = address_check,
		  .doc = "The same for IPv6"),
		F(network, sysctls, "sysctls", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 64, .check = sysctl_key_check,
		  .check_value = sysctl_value_check, .doc = "Kernel settings of the slots"),
		F(network, ready, "ready", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = 65535,
		  .doc = "Slots that its pool keeps ready. Absent: 0"),
		F(network, maximum, "maximum", FIELD_INT, .flags = FIELD_NULLABLE, .min = 1, .max = 65535,
		  .doc = "Slots at most, in whatever state. Absent: as many as its prefixes have room for"),
		F(network, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 32, .check = label_key_check,
		  .check_value = label_value_check, .doc = "The user's own notes"),
		F(network, state, "state", FIELD_ENUM, .flags = FIELD_NULLABLE | FIELD_STATE, .of = &state_type,
		  .doc = "Where it is in its life"),
		F(network, generation, "generation", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Number of this object that never comes again, not even after a reboot"),
		F(network, owner, "owner", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE, .doc = "User id of its owner"),
		F(network, created, "created", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Time of its creation, seconds since 1970"),
		F(network, uplink, "uplink", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Its only interface in the host"),
		F(network, host4, "host4", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "The host's own IPv4 address on it"),
		F(network, host6, "host6", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "The host's own IPv6 address on it"),
		F(network, capacity, "capacity", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Slots that its prefixes have room for"),
		F(network, n_ready, "readySlots", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Slots in its pool now"),
		F(network, n_leased, "leasedSlots", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Slots that somebody has"),
		F(network, n_making, "makingSlots", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Slots that are being made"),
		F(network, n_draining, "drainingSlots", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "Slots that are being destroyed"),
		F(network, message, "message", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_STATE,
		  .doc = "In words: why it is lost or draining, or how it drifted"),
		F(network, boot, "boot", FIELD_STRING, .flags = FIELD_NULLABLE | FIELD_RECORD),
		F(network, changing, "changing", FIELD_BOOL, .flags = FIELD_NULLABLE | FIELD_RECORD),
		{ 0 },
	},
};

const struct type tap_type = {
	.name = "Tap",
	.doc = "A tap interface in the slot, beside its own, for a virtual machine",
	.size = sizeof(struct tap),
	.fields = (const struct field[]){
		F(tap, interface, "interface", FIELD_STRING, .check = interface_check, .doc = "Its name"),
		F(tap, owner, "owner", FIELD_INT, .flags = FIELD_NULLABLE, .min = 0, .max = UINT32_MAX - 1,
		  .doc = "User id that may open it. Absent: the caller's"),
		F(tap, mac, "mac", FIELD_STRING, .flags = FIELD_NULLABLE, .check = mac_check,
		  .doc = "MAC address of the slot's side. Absent: the kernel's choice"),
		F(tap, addresses, "addresses", FIELD_STRINGS, .flags = FIELD_NULLABLE, .max = 8, .check = address_check,
		  .doc = "Addresses of the slot's side"),
		{ 0 },
	},
};

const struct type rate_type = {
	.name = "Rate",
	.doc = "Limits of a slot's traffic, as the slot sees it. Absent: no limit",
	.size = sizeof(struct rate),
	.fields = (const struct field[]){
		F(rate, send, "send", FIELD_INT, .flags = FIELD_NULLABLE, .min = 8000, .max = INT64_C(100000000000),
		  .doc = "Bits a second that it sends at most"),
		F(rate, send_burst, "sendBurst", FIELD_INT, .flags = FIELD_NULLABLE, .min = 1500, .max = INT64_C(1) << 30,
		  .doc = "Bytes it may send at once. Absent: nsd chooses"),
		F(rate, receive, "receive", FIELD_INT, .flags = FIELD_NULLABLE, .min = 8000, .max = INT64_C(100000000000),
		  .doc = "Bits a second that it receives at most"),
		F(rate, receive_burst, "receiveBurst", FIELD_INT, .flags = FIELD_NULLABLE, .min = 1500,
		  .max = INT64_C(1) << 30, .doc = "Bytes it may receive at once. Absent: nsd chooses"),
		{ 0 },
	},
};

const struct type published_type = {
	.name = "Published",
	.doc = "A port of the host that leads into the slot",
	.size = sizeof(struct published),
	.fields = (const struct field[]){
		F(published, protocol, "protocol", FIELD_ENUM, .of = &protocol_type, .doc = "tcp or udp"),
		F(published, host_port, "hostPort", FIELD_INT, .flags = FIELD_NULLABLE, .min = 1, .max = 65535,
		  .doc = "The host's port. Absent: nsd chooses one that the network allows"),
		F(published, port, "port", FIELD_INT, .min = 1, .max = 65535, .doc = "The slot's port"),
		{ 0 },
	},
};

const struct type slot_type = {
	.name = "Slot",
	.doc = "A namespace with an interface on a network, ready to use",
	.size = sizeof(struct slot),
	.fields = (const struct field[]){
		F(slot, name, "name", FIELD_STRING, .doc = "NETWORK.NUMBER"),
		F(slot, network, "network", FIELD_STRING, .doc = "The network it is on"),
		F(slot, state, "state", FIELD_ENUM, .of = &slot_state_type, .doc = "Where it is in its life"),
		F(slot, generation, "generation", FIELD_INT,
		  .doc = "Number of its lease that never comes again; of the slot itself while nobody has it"),
		F(slot, path, "path", FIELD_STRING, .flags = FIELD_NULLABLE,
		  .doc = "File that setns(2), nsenter(1) and NetworkNamespacePath= can use while nsd runs"),
		F(slot, namespace, "namespace", FIELD_STRING, .flags = FIELD_NULLABLE,
		  .doc = "Its name in /run/netns, where one was asked for"),
		F(slot, interface, "interface", FIELD_STRING, .doc = "Its interface"),
		F(slot, mac, "mac", FIELD_STRING, .doc = "MAC address of that"),
		F(slot, addresses, "addresses", FIELD_STRINGS, .doc = "Addresses on it, with prefix length"),
		F(slot, gateways, "gateways", FIELD_STRINGS, .doc = "Next hops of its default routes"),
		F(slot, address4, "address4", FIELD_STRING, .flags = FIELD_NULLABLE,
		  .doc = "IPv4 address by which others reach it"),
		F(slot, address6, "address6", FIELD_STRING, .flags = FIELD_NULLABLE,
		  .doc = "IPv6 address by which others reach it"),
		F(slot, mtu, "mtu", FIELD_INT, .doc = "Largest packet in bytes"),
		F(slot, dns, "dns", FIELD_STRINGS, .flags = FIELD_NULLABLE, .doc = "Name servers for its resolv.conf"),
		F(slot, cookie, "cookie", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "The kernel's identity of its network namespace in this boot (SO_NETNS_COOKIE)"),
		F(slot, key, "key", FIELD_STRING, .flags = FIELD_NULLABLE, .doc = "The key it was acquired with"),
		F(slot, owner, "owner", FIELD_INT, .flags = FIELD_NULLABLE, .doc = "User id of its holder"),
		F(slot, bond, "bond", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &lease_bond_type,
		  .doc = "What ends the lease"),
		F(slot, pid, "pid", FIELD_INT, .flags = FIELD_NULLABLE, .doc = "Process that it is bound to, or that acquired it"),
		F(slot, expires, "expires", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Milliseconds until the lease ends, unless it is renewed"),
		F(slot, since, "since", FIELD_INT, .flags = FIELD_NULLABLE,
		  .doc = "Time at which it was acquired, seconds since 1970"),
		F(slot, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .doc = "The holder's own notes"),
		F(slot, tap, "tap", FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &tap_type, .doc = "Its tap interface"),
		F(slot, rate, "rate", FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &rate_type, .doc = "Its limits"),
		F(slot, published, "published", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &published_type,
		  .doc = "Ports of the host that lead into it"),
		F(slot, message, "message", FIELD_STRING, .flags = FIELD_NULLABLE,
		  .doc = "In words: what it waits for"),
		{ 0 },
	},
};

const struct type pool_type = {
	.name = "Pool",
	.doc = "How full a network's pool is, and how it has fared since nsd started",
	.size = sizeof(struct pool),
	.fields = (const struct field[]){
		F(pool, network, "network", FIELD_STRING, .doc = "The network"),
		F(pool, wanted, "wanted", FIELD_INT, .doc = "Slots to be kept ready"),
		F(pool, maximum, "maximum", FIELD_INT, .doc = "Slots at most, in whatever state"),
		F(pool, capacity, "capacity", FIELD_INT, .doc = "Slots that the network's prefixes have room for"),
		F(pool, ready, "ready", FIELD_INT, .doc = "Slots ready now"),
		F(pool, leased, "leased", FIELD_INT, .doc = "Slots that somebody has"),
		F(pool, making, "making", FIELD_INT, .doc = "Slots being made"),
		F(pool, draining, "draining", FIELD_INT, .doc = "Slots being destroyed"),
		F(pool, acquired, "acquired", FIELD_INT, .doc = "Slots handed out"),
		F(pool, warm, "warm", FIELD_INT, .doc = "of these: from the pool"),
		F(pool, cold, "cold", FIELD_INT, .doc = "of these: made on request"),
		F(pool, released, "released", FIELD_INT, .doc = "Leases that have ended"),
		F(pool, refused, "refused", FIELD_INT, .doc = "Requests that got none"),
		F(pool, failed, "failed", FIELD_INT, .doc = "Slots that could not be made, or were found changed"),
		F(pool, acquire_rate, "acquireRate", FIELD_INT, .doc = "Slots handed out a second, in the last ten seconds"),
		F(pool, make_rate, "makeRate", FIELD_INT, .doc = "Slots made a second, in the last ten seconds"),
		F(pool, message, "message", FIELD_STRING, .flags = FIELD_NULLABLE, .doc = "In words: why it is not full"),
		{ 0 },
	},
};
/* clang-format on */

int
network_name_check(const char *text, struct error *e)
{
	size_t n = strlen(text);
	if (n == 0 || n > NETWORK_NAME_MAX_LENGTH || text[0] == '-' || strspn(text, NAME_CHARACTERS) != n)
		return error_set(e, ERROR_INVALID_VALUE, NULL,
				 "a network's name is 1 to %d letters, digits, '_', '-', and does not start with '-'",
				 NETWORK_NAME_MAX_LENGTH);
	return 0;
}

int
slot_name_check(const char *text, struct error *e)
{
	char network[SLOT_NAME_MAX_LENGTH + 1];
	size_t n = strlen(text);
	const char *dot = strchr(text, '.');

	if (dot && n <= SLOT_NAME_MAX_LENGTH && dot[1] >= '1' && dot[1] <= '9' &&
	    strspn(dot + 1, "0123456789") == strlen(dot + 1)) {
		memcpy(network, text, (size_t)(dot - text));
		network[dot - text] = '\0';
		if (network_name_check(network, NULL) == 0)
			return 0;
	}
	return error_set(e, ERROR_INVALID_VALUE, NULL, "a slot's name is NETWORK.NUMBER, like web.17");
}

static bool
has_host_bits(const struct prefix *p)
{
	for (unsigned bit = p->length; bit < (p->family == AF_INET ? 32u : 128u); bit++)
		if (p->address[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

static bool
is_special(const struct prefix *p)
{
	const uint8_t *a = p->address;
	if (p->family == AF_INET)
		return a[0] == 0 || a[0] == 127 || a[0] >= 224 || (a[0] == 169 && a[1] == 254);
	return a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || (a[0] == 0 && a[1] == 0);
}

static int
check_prefix(const char *text, int family, unsigned shortest, unsigned longest, struct error *e)
{
	struct prefix p;
	const char *version = family == AF_INET ? "IPv4" : "IPv6";

	if (prefix_parse(text, false, &p, NULL) < 0 || p.family != family)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "\"%.64s\" is not an %s prefix NETWORK/LENGTH", text,
				 version);
	if (p.length < shortest || p.length > longest)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "the %s prefix of a network is /%u to /%u, not /%u",
				 version, shortest, longest, p.length);
	if (has_host_bits(&p))
		return error_set(e, ERROR_INVALID_VALUE, NULL, "\"%.64s\" has bits behind its length", text);
	if (is_special(&p))
		return error_set(e, ERROR_INVALID_VALUE, NULL, "\"%.64s\" is no prefix for hosts", text);
	return 0;
}

int
ipv4_prefix_check(const char *text, struct error *e)
{
	return check_prefix(text, AF_INET, 8, 30, e);
}

int
ipv6_prefix_check(const char *text, struct error *e)
{
	return check_prefix(text, AF_INET6, 32, 126, e);
}

int
lease_key_check(const char *text, struct error *e)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~')
			n = 0;
	if (n == 0 || n > LEASE_KEY_MAX_LENGTH)
		return error_set(e, ERROR_INVALID_VALUE, NULL,
				 "a key is 1 to %d printable ASCII characters without blanks", LEASE_KEY_MAX_LENGTH);
	return 0;
}

void
network_done(struct network *n)
{
	fields_done(&network_type, n);
}

void
slot_done(struct slot *s)
{
	fields_done(&slot_type, s);
}
