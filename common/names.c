/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Grammars of names, labels, MACs and addresses. Nothing here depends on the locale. */
#include "config.h"

#include "names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* First byte a letter, digit or '_', the others also one of `more`; 1 to `max` bytes in all. */
static bool
is_word(const char *text, const char *more, size_t max)
{
	size_t length = strlen(text);
	return length >= 1 && length <= max && strchr(LETTERS, text[0]) && strspn(text, more) == length;
}

int
name_check(const char *text, struct error *e)
{
	if (is_word(text, LETTERS ".-", NAME_MAX_LENGTH))
		return 0;
	return error_set(e, ERROR_INVALID_VALUE, NULL,
			 "a name has 1 to %d letters, digits, '.', '_' and '-', the first one a letter, digit or '_'",
			 NAME_MAX_LENGTH);
}

int
interface_check(const char *text, struct error *e)
{
	if (!is_word(text, LETTERS ".-", INTERFACE_MAX_LENGTH))
		return error_set(e, ERROR_INVALID_VALUE, NULL,
				 "an interface name has 1 to %d letters, digits, '.', '_' and '-', the first one a "
				 "letter, digit or '_'",
				 INTERFACE_MAX_LENGTH);
	if (strcmp(text, "all") == 0 || strcmp(text, "default") == 0)
		return error_set(e, ERROR_INVALID_VALUE, NULL,
				 "an interface may not be called \"%s\": the kernel's settings use that word", text);
	return 0;
}

int
label_key_check(const char *text, struct error *e)
{
	if (is_word(text, LETTERS "./-", LABEL_KEY_MAX_LENGTH))
		return 0;
	return error_set(e, ERROR_INVALID_VALUE, NULL,
			 "a label's key has 1 to %d letters, digits, '.', '_', '/' and '-', the first one a letter, "
			 "digit or '_'",
			 LABEL_KEY_MAX_LENGTH);
}

static bool
is_printable(const char *text, size_t length)
{
	for (size_t i = 0; i < length;) {
		uint32_t code;
		size_t n = utf8_decode(text + i, length - i, &code);
		if (n == 0 || utf8_is_control(code))
			return false;
		i += n;
	}
	return true;
}

int
label_value_check(const char *text, struct error *e)
{
	size_t length = strlen(text);
	if (length <= LABEL_VALUE_MAX_LENGTH && is_printable(text, length))
		return 0;
	return error_set(e, ERROR_INVALID_VALUE, NULL, "a label's value is at most %d bytes of printable UTF-8",
			 LABEL_VALUE_MAX_LENGTH);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
mac_parse(const char *text, uint8_t ret[6], struct error *e)
{
	uint8_t mac[6];
	if (strlen(text) != MAC_TEXT_SIZE - 1)
		goto bad;
	for (size_t i = 0; i < sizeof(mac); i++) {
		const char *pair = text + 3 * i;
		int high = hex_digit(pair[0]), low = hex_digit(pair[1]);
		if (high < 0 || low < 0 || (i < 5 && pair[2] != ':'))
			goto bad;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret, mac, sizeof(mac));
	return 0;
bad:
	return error_set(e, ERROR_INVALID_VALUE, NULL,
			 "a MAC address has six pairs of hex digits, like 02:00:5e:10:00:01");
}

void
mac_format(const uint8_t mac[6], char ret[MAC_TEXT_SIZE])
{
	snprintf(ret, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

int
mac_check(const char *text, struct error *e)
{
	static const uint8_t zero[6];
	uint8_t mac[6];
	int r = mac_parse(text, mac, e);
	if (r < 0)
		return r;
	if (mac[0] & 1 || memcmp(mac, zero, sizeof(mac)) == 0)
		return error_set(e, ERROR_INVALID_VALUE, NULL,
				 "a MAC address of an interface is neither multicast (odd first byte) nor all zero");
	return 0;
}

static unsigned
family_bits(int family)
{
	return family == AF_INET ? 32 : 128;
}

/* A decimal number without sign or leading zeros. */
static bool
parse_length(const char *text, unsigned max, unsigned *ret)
{
	size_t n = strlen(text);
	if (n < 1 || n > 3 || strspn(text, "0123456789") != n || (text[0] == '0' && n > 1))
		return false;
	unsigned value = (unsigned)atoi(text);
	if (value > max)
		return false;
	*ret = value;
	return true;
}

static bool
parse_prefix(const char *text, bool allow_bare, struct prefix *ret)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	if (n >= sizeof(address) || (!slash && !allow_bare))
		return false;
	memcpy(address, text, n);
	address[n] = '\0';

	struct prefix p = { .family = strchr(address, ':') ? AF_INET6 : AF_INET };
	if (inet_pton(p.family, address, p.address) != 1)
		return false;
	p.length = family_bits(p.family);
	if (slash && !parse_length(slash + 1, p.length, &p.length))
		return false;
	*ret = p;
	return true;
}

int
prefix_parse(const char *text, bool allow_bare, struct prefix *ret, struct error *e)
{
	if (parse_prefix(text, allow_bare, ret))
		return 0;
	return error_set(e, ERROR_INVALID_VALUE, NULL, "\"%.64s\" is not of the form ADDRESS/LENGTH%s, like %s", text,
			 allow_bare ? " or ADDRESS" : "", "10.0.0.1/24 or fd00::1/64");
}

void
prefix_format(const struct prefix *p, char *ret)
{
	char address[INET6_ADDRSTRLEN] = "";
	inet_ntop(p->family, p->address, address, sizeof(address));
	snprintf(ret, INET6_ADDRSTRLEN + 4, "%s/%u", address, p->length);
}

/* Are all bits of the host part (after the prefix) equal to `bit`? True of an empty host part. */
static bool
host_part_is(const struct prefix *p, unsigned bit)
{
	for (unsigned i = p->length; i < family_bits(p->family); i++)
		if ((p->address[i / 8] >> (7 - i % 8) & 1U) != bit)
			return false;
	return true;
}

/* Why `p` is not the address of one host; NULL if it is one. */
static const char *
not_unicast(const struct prefix *p)
{
	static const uint8_t zero[16], loopback[16] = { [15] = 1 };
	size_t size = family_bits(p->family) / 8;
	const uint8_t *a = p->address;

	if (memcmp(a, zero, size) == 0)
		return "is the unspecified address";
	if (p->family == AF_INET6 && a[0] == 0xff)
		return "is a multicast address";
	if (p->family == AF_INET6)
		return memcmp(a, loopback, size) == 0 ? "is the loopback" : NULL;
	if (a[0] >= 224 && a[0] < 240)
		return "is a multicast address";
	if (a[0] == 255 && a[1] == 255 && a[2] == 255 && a[3] == 255)
		return "is the broadcast address";
	return NULL;
}

int
address_check(const char *text, struct error *e)
{
	struct prefix p;
	int r = prefix_parse(text, false, &p, e);
	if (r < 0)
		return r;

	const char *why = not_unicast(&p);
	if (!why && p.family == AF_INET && p.length < 31 && host_part_is(&p, 0))
		why = "is the address of the network itself";
	if (!why && p.family == AF_INET && p.length < 31 && host_part_is(&p, 1))
		why = "is the broadcast address of its network";
	if (why)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "%s %s; an interface needs one of a host", text, why);
	return 0;
}

int
destination_check(const char *text, struct error *e)
{
	struct prefix p;
	if (strcmp(text, "default") == 0)
		return 0;
	if (!parse_prefix(text, false, &p))
		return error_set(e, ERROR_INVALID_VALUE, NULL,
				 "\"%.64s\" is neither \"default\" nor of the form NETWORK/LENGTH, like 10.0.0.0/24",
				 text);
	if (!host_part_is(&p, 0))
		return error_set(e, ERROR_INVALID_VALUE, NULL, "%s has bits set after its first %u", text, p.length);
	return 0;
}

int
gateway_check(const char *text, struct error *e)
{
	struct prefix p;
	if (strchr(text, '/') || !parse_prefix(text, true, &p))
		return error_set(e, ERROR_INVALID_VALUE, NULL,
				 "\"%.64s\" is not an address, like 10.0.0.1 or fd00::1 (without a length)", text);
	const char *why = not_unicast(&p);
	if (!why && p.family == AF_INET && p.address[0] == 127)
		why = "is the loopback";
	if (why)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "%s %s; a gateway is a host", text, why);
	return 0;
}

bool
prefix_overlap(const struct prefix *a, const struct prefix *b)
{
	unsigned bits = a->length < b->length ? a->length : b->length;

	if (a->family != b->family || memcmp(a->address, b->address, bits / 8) != 0)
		return false;
	uint8_t mask = (uint8_t)(0xff00 >> bits % 8);
	return bits % 8 == 0 || (a->address[bits / 8] & mask) == (b->address[bits / 8] & mask);
}
