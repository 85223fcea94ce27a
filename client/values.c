/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values that people write in another form than the wire has them. */
#include "config.h"

#include "values.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "failure.h"
#include "json.h"
#include "member.h"

struct unit {
	const char *name;
	int64_t factor;
};

/* Smallest first; each ended by a zero entry. */
static const struct unit rate_units[] = {
	{ "bit", 1 }, { "kbit", 1000 }, { "mbit", 1000000 }, { "gbit", 1000000000 }, { 0 },
};
static const struct unit time_units[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { 0 },
};

static int
set_with_unit(const struct word *w, const struct unit *units, const char *text, const char *wanted,
	      struct json_object *o, struct error *e)
{
	size_t n = strspn(text, "0123456789");
	char number[VALUE_SIZE];
	int64_t value;

	for (const struct unit *u = units; n && u->name; u++) {
		if (strcasecmp(text + n, u->name) != 0)
			continue;
		errno = 0;
		if (__builtin_mul_overflow(strtoll(text, NULL, 10), u->factor, &value) || errno)
			value = INT64_MAX;
		snprintf(number, sizeof(number), "%" PRId64, value);
		return words_set(w, number, o, e);
	}
	return fail(e, FAILURE_USAGE, "%s %s: want %s", w->name, text, wanted);
}

int
value_rate(const struct word *w, const char *text, struct json_object *o, struct error *e)
{
	return set_with_unit(w, rate_units, text, "bits a second with their unit, like 500kbit, 10mbit or 1gbit", o, e);
}

int
value_time(const struct word *w, const char *text, struct json_object *o, struct error *e)
{
	return set_with_unit(w, time_units, text, "a time with its unit, like 1500ms, 30s, 5m, 2h or 1d", o, e);
}

int
value_user(const struct word *w, const char *text, struct json_object *o, struct error *e)
{
	char number[VALUE_SIZE];
	const struct passwd *user = text[strspn(text, "0123456789")] ? getpwnam(text) : NULL;

	if (!user)
		return words_set(w, text, o, e);
	snprintf(number, sizeof(number), "%lu", (unsigned long)user->pw_uid);
	return words_set(w, number, o, e);
}

/* A port at the start of *text, which moves behind it. */
static bool
parse_port(const char **text, int64_t *ret)
{
	size_t n = strspn(*text, "0123456789");

	if (n == 0 || n > 5)
		return false;
	*ret = strtol(*text, NULL, 10);
	*text += n;
	return *ret >= 1 && *ret <= 65535;
}

/* What a port specification says: PROTOCOL/FIRST, and behind `separator` a second port if there is one (else -1). */
struct ports_text {
	char protocol[4];
	int64_t first, second;
};

static bool
parse_ports(const char *text, char separator, struct ports_text *ret)
{
	if (strncmp(text, "tcp/", 4) != 0 && strncmp(text, "udp/", 4) != 0)
		return false;
	snprintf(ret->protocol, sizeof(ret->protocol), "%.3s", text);
	text += 4;
	ret->second = -1;
	if (!parse_port(&text, &ret->first))
		return false;
	if (*text && *text == separator) {
		text++;
		if (!parse_port(&text, &ret->second))
			return false;
	}
	return !*text;
}

/* The list that a word adds to. Does `text` say that it is to be empty? */
static int
open_list(const struct word *w, const char *text, struct json_object *o, struct json_object **ret, struct error *e)
{
	int r = member_open(o, w->field, true, ret, e);

	if (r < 0 || strcmp(text, "none") != 0)
		return r;
	if (json_object_array_length(*ret))
		return fail(e, FAILURE_USAGE, "\"%s none\" contradicts what was said before", w->name);
	return 1;
}

/* Adds {"protocol": ..., KEY: value, ...}; a key of NULL, or a value below 0, is left out. */
static int
add_ports(struct json_object *list, const struct ports_text *p, const char *first, const char *second, struct error *e)
{
	CLEANUP(json_put) struct json_object *item = NULL;
	int r = member_new(&item, e);

	if (r == 0)
		r = member_put_string(item, "protocol", p->protocol, e);
	if (r == 0 && first)
		r = member_put_int(item, first, p->first, e);
	if (r == 0 && second && p->second >= 0)
		r = member_put_int(item, second, p->second, e);
	return r < 0 ? r : member_append(list, json_object_get(item), e);
}

int
value_service(const struct word *w, const char *text, struct json_object *o, struct error *e)
{
	struct json_object *list;
	struct ports_text p;
	int r = open_list(w, text, o, &list, e);

	if (r)
		return r < 0 ? r : 0;
	if (!parse_ports(text, '\0', &p))
		return fail(e, FAILURE_USAGE, "%s %s: want tcp/PORT or udp/PORT, like tcp/53", w->name, text);
	return add_ports(list, &p, "port", NULL, e);
}

int
value_ports(const struct word *w, const char *text, struct json_object *o, struct error *e)
{
	struct json_object *list;
	struct ports_text p;
	int r = open_list(w, text, o, &list, e);

	if (r)
		return r < 0 ? r : 0;
	bool good = parse_ports(text, '-', &p);
	if (good && p.second < 0)
		p.second = p.first;
	if (!good || p.second < p.first)
		return fail(e, FAILURE_USAGE, "%s %s: want ports of the host, like tcp/30000-30999 or udp/53", w->name,
			    text);
	return add_ports(list, &p, "first", "last", e);
}

int
value_published(const struct word *w, const char *text, struct json_object *o, struct error *e)
{
	struct json_object *list;
	struct ports_text p;
	int r = member_open(o, w->field, true, &list, e);

	if (r < 0)
		return r;
	if (!parse_ports(text, ':', &p))
		return fail(
			e, FAILURE_USAGE,
			"%s %s: want the host's port and the slot's, like tcp/8080:80, or the slot's alone, like tcp/80",
			w->name, text);
	return p.second < 0 ? add_ports(list, &p, "port", NULL, e) : add_ports(list, &p, "hostPort", "port", e);
}

int
value_string(const struct word *w, const char *text, struct json_object *o, struct error *e)
{
	struct json_object *list;
	int r = open_list(w, text, o, &list, e);

	if (r)
		return r < 0 ? r : 0;
	return words_set(w, text, o, e);
}

/* In the largest unit that leaves no rest. */
static const char *
show_with_unit(const struct unit *units, int64_t value, char ret[VALUE_SIZE])
{
	const struct unit *best = units;

	for (const struct unit *u = units; u->name; u++)
		if (value && value % u->factor == 0)
			best = u;
	snprintf(ret, VALUE_SIZE, "%" PRId64 "%s", value / best->factor, best->name);
	return ret;
}

const char *
value_show_rate(int64_t rate, char ret[VALUE_SIZE])
{
	return show_with_unit(rate_units, rate, ret);
}

const char *
value_show_time(int64_t milliseconds, char ret[VALUE_SIZE])
{
	int64_t whole = milliseconds;

	if (milliseconds >= 10000) /* nobody wants to know the milliseconds of an hour */
		whole -= milliseconds % (milliseconds >= 600000 ? 60000 : 1000);
	return show_with_unit(time_units, whole, ret);
}
