/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables of the objects are sound, agree with the structs, and compare specifications as they should. */
#include "config.h"

#include "unit.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#include "json.h"
#include "model.h"

static const struct type *const types[] = { &route_type, &counters_type, &end_type, &link_type, &namespace_type };

static const size_t sizes[] = {
	[FIELD_BOOL] = sizeof(int),	      [FIELD_INT] = sizeof(int64_t),
	[FIELD_ENUM] = sizeof(int),	      [FIELD_FLAGS] = sizeof(unsigned),
	[FIELD_STRING] = sizeof(char *),      [FIELD_STRINGS] = sizeof(struct strings),
	[FIELD_PAIRS] = sizeof(struct pairs), [FIELD_LIST] = sizeof(struct list),
	[FIELD_STRUCT] = sizeof(void *),      [FIELD_OBJECT] = sizeof(void *),
};

/* Varlink: [A-Za-z](_?[A-Za-z0-9])* */
static bool
is_varlink_field(const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < n; i++) {
		bool letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z');
		bool digit = name[i] >= '0' && name[i] <= '9';
		bool underscore = name[i] == '_' && i > 0 && i + 1 < n && name[i - 1] != '_';
		if (!letter && !(i > 0 && digit) && !underscore)
			return false;
	}
	return n > 0;
}

static void
check_field(const struct type *t, const struct field *f)
{
	if (!is_varlink_field(f->name))
		fail_msg("%s.%s is no Varlink name", t->name, f->name);
	if (!(f->flags & FIELD_RECORD) && (!f->doc || strlen(f->doc) < 5))
		fail_msg("%s.%s has no documentation", t->name, f->name);
	if (f->offset + sizes[f->type] > t->size)
		fail_msg("%s.%s lies outside of the struct", t->name, f->name);
	bool typed =
		f->type == FIELD_ENUM || f->type == FIELD_FLAGS || f->type == FIELD_LIST || f->type == FIELD_STRUCT;
	assert_int_equal(f->of != NULL, typed);
	if (typed)
		assert_non_null(f->type == FIELD_ENUM || f->type == FIELD_FLAGS ? (const void *)f->of->values :
										  (const void *)f->of->fields);
	assert_true(f->min <= f->max);
	for (const struct field *other = t->fields; other != f; other++) {
		assert_string_not_equal(other->name, f->name);
		if (other->offset < f->offset + sizes[f->type] && f->offset < other->offset + sizes[other->type])
			fail_msg("%s.%s lies on %s", t->name, f->name, other->name);
	}
}

static void
tables_are_sound(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		assert_non_null(types[i]->doc);
		size_t total = 0;
		for (const struct field *f = types[i]->fields; f->name; f++) {
			check_field(types[i], f);
			total += sizes[f->type];
		}
		/* no member without a field: what is missing is padding */
		assert_in_range(types[i]->size - total, 0, 24);
	}
}

static void
enums_agree_with_their_names(UNUSED void **state)
{
	static const struct {
		const struct type *type;
		int value;
		const char *name;
		bool last;
	} rows[] = {
		{ &namespace_kind_type, KIND_NET, "net", false },
		{ &namespace_kind_type, KIND_TIME, "time", true },
		{ &lifetime_type, LIFETIME_PERSISTENT, "persistent", false },
		{ &lifetime_type, LIFETIME_RUNTIME, "runtime", true },
		{ &state_type, STATE_CREATING, "creating", false },
		{ &state_type, STATE_READY, "ready", false },
		{ &state_type, STATE_DRAINING, "draining", false },
		{ &state_type, STATE_LOST, "lost", true },
		{ &link_kind_type, LINK_VETH, "veth", false },
		{ &link_kind_type, LINK_BRIDGE, "bridge", true },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_string_equal(enum_name(rows[i].type, rows[i].value), rows[i].name);
		assert_int_equal(rows[i].type->values[rows[i].value + 1] == NULL, rows[i].last);
	}
}

static const char link_record[] =
	"{\"name\":\"web\",\"kind\":\"veth\",\"lifetime\":\"persistent\",\"ends\":[{\"namespace\":\"blue\","
	"\"interface\":"
	"\"eth0\",\"mac\":\"02:00:00:00:00:01\",\"mtu\":1400,\"up\":true,\"addresses\":[\"10.0.0.1/24\"],\"routes\":[{"
	"\"destination\":\"default\",\"gateway\":\"10.0.0.2\",\"metric\":100}],\"bridge\":\"br0\",\"ifindex\":7,"
	"\"running\":true,\"counters\":{\"receivedBytes\":1,\"receivedPackets\":2,\"receivedErrors\":3,"
	"\"receivedDropped\":"
	"4,\"sentBytes\":5,\"sentPackets\":6,\"sentErrors\":7,\"sentDropped\":8}},{}],\"labels\":{\"role\":\"web\"},"
	"\"state\":\"ready\",\"foreign\":false,\"generation\":9007199254740991,\"owner\":1000,\"created\":1700000000,"
	"\"message\":\"\",\"boot\":\"b\",\"cookie0\":1,\"cookie1\":2}";

static const char namespace_record[] =
	"{\"name\":\"blue\",\"kinds\":[\"net\"],\"lifetime\":\"runtime\",\"loopback\":true,\"nsid\":0,\"labels\":{},"
	"\"sysctls\":{\"net.ipv4.conf.eth0.rp_filter\":\"2\",\"net.ipv4.ip_forward\":\"1\"},\"state\":\"lost\","
	"\"foreign\":"
	"false,\"attached\":true,\"generation\":1,\"owner\":0,\"created\":0,\"cookie\":4,\"path\":\"/run/netns/blue\","
	"\"pid\":1,\"pidRunning\":false,\"message\":\"gone\",\"boot\":\"b\"}";

static void
records_round_trip(UNUSED void **state)
{
	struct link l CLEANUP(link_done), copy CLEANUP(link_done);
	struct namespace n CLEANUP(namespace_done);
	struct end end CLEANUP(end_done);
	struct route route CLEANUP(route_done);
	char *text CLEANUP(free_ptr) = NULL, *namespace_text CLEANUP(free_ptr) = NULL;
	struct error e = { 0 };
	if (fields_from_text(&link_type, link_record, VIEW_RECORD, &l, &e) < 0)
		fail_msg("%s: %s", e.field, e.text);
	assert_int_equal(fields_copy(&link_type, &l, &copy, &e), 0);
	assert_int_equal(fields_to_text(&link_type, &copy, VIEW_RECORD, &text, &e), 0);
	assert_string_equal(text, link_record);

	if (fields_from_text(&namespace_type, namespace_record, VIEW_RECORD, &n, &e) < 0)
		fail_msg("%s: %s", e.field, e.text);
	assert_int_equal(fields_to_text(&namespace_type, &n, VIEW_RECORD, &namespace_text, &e), 0);
	assert_string_equal(namespace_text, namespace_record);

	assert_int_equal(fields_from_text(&end_type, "{\"mtu\":1400,\"bridge\":\"br0\"}", VIEW_INPUT, &end, &e), 0);
	assert_int_equal(end.mtu, 1400);
	assert_int_equal(fields_from_text(&route_type, "{\"destination\":\"default\"}", VIEW_INPUT, &route, &e), 0);
	assert_string_equal(route.destination, "default");
}

/* Tries each field of `t` that is nsd's own in a request that is good without it. */
static void
refuses_own_fields(const struct type *t, const char *good)
{
	for (const struct field *f = t->fields; f->name; f++) {
		_Alignas(8) char s[1024];
		char text[256];
		struct error e = { 0 };
		if (!(f->flags & (FIELD_STATE | FIELD_RECORD)))
			continue;
		assert_true(t->size <= sizeof(s));
		snprintf(text, sizeof(text), "{%s%s\"%s\":null}", good, good[0] ? "," : "", f->name);
		assert_int_equal(fields_from_text(t, text, VIEW_INPUT, s, &e), -EINVAL);
		assert_int_equal(e.code, ERROR_INVALID_PARAMETER);
		assert_string_equal(e.field, f->name);
	}
}

static void
no_client_may_send_state_or_record(UNUSED void **state)
{
	refuses_own_fields(&end_type, "");
	refuses_own_fields(&link_type, "\"ends\":[{},{}]");
	refuses_own_fields(&namespace_type, "\"name\":\"blue\"");
}

/* Reads two links; the path of the first difference, "" for none. */
static const char *
difference(const char *want, const char *have)
{
	static char path[96];
	struct link w CLEANUP(link_done), h CLEANUP(link_done);
	struct error e = { 0 };
	if (fields_from_text(&link_type, want, VIEW_RECORD, &w, &e) < 0 ||
	    fields_from_text(&link_type, have, VIEW_RECORD, &h, &e) < 0)
		fail_msg("%s: %s", e.field, e.text);
	strcpy(path, "unset");
	if (fields_match(&link_type, &w, &h, path, sizeof(path))) {
		assert_string_equal(path, "unset");
		path[0] = '\0';
	}
	return path;
}

static void
match_asks_for_what_the_specification_says(UNUSED void **state)
{
	static const struct {
		const char *want, *path;
	} rows[] = {
		{ link_record, "" },
		{ "{\"ends\":[{},{}]}", "" },
		{ "{\"name\":\"other\",\"ends\":[{},{}]}", "" },		  /* identity */
		{ "{\"ends\":[{},{}],\"state\":\"lost\",\"generation\":1}", "" }, /* state */
		{ "{\"ends\":[{},{}],\"boot\":\"other\"}", "" },		  /* record */
		{ "{\"ends\":[{\"ifindex\":8},{}]}", "" },
		{ "{\"ends\":[{}]}", "ends" },
		{ "{\"kind\":\"bridge\",\"ends\":[{},{}]}", "kind" },
		{ "{\"lifetime\":\"runtime\",\"ends\":[{},{}]}", "lifetime" },
		{ "{\"ends\":[{\"mtu\":1400},{}]}", "" },
		{ "{\"ends\":[{\"mtu\":1401},{}]}", "ends[0].mtu" },
		{ "{\"ends\":[{},{\"mtu\":1401}]}", "ends[1].mtu" },
		{ "{\"ends\":[{\"up\":false},{}]}", "ends[0].up" },
		{ "{\"ends\":[{\"namespace\":\"red\"},{}]}", "ends[0].namespace" },
		{ "{\"ends\":[{},{\"namespace\":\"red\"}]}", "ends[1].namespace" },
		{ "{\"ends\":[{\"addresses\":[\"10.0.0.1/24\"]},{}]}", "" },
		{ "{\"ends\":[{\"addresses\":[]},{}]}", "ends[0].addresses" },
		{ "{\"ends\":[{\"addresses\":[\"10.0.0.2/24\"]},{}]}", "ends[0].addresses[0]" },
		{ "{\"ends\":[{},{\"addresses\":[]}]}", "" },
		{ "{\"ends\":[{\"routes\":[{\"destination\":\"default\"}]},{}]}", "" },
		{ "{\"ends\":[{\"routes\":[{\"destination\":\"10.0.0.0/8\"}]},{}]}", "ends[0].routes[0].destination" },
		{ "{\"ends\":[{\"routes\":[{\"destination\":\"default\",\"metric\":1}]},{}]}",
		  "ends[0].routes[0].metric" },
		{ "{\"ends\":[{},{}],\"labels\":{\"role\":\"web\"}}", "" },
		{ "{\"ends\":[{},{}],\"labels\":{\"role\":\"db\"}}", "labels.role" },
		{ "{\"ends\":[{},{}],\"labels\":{}}", "labels.role" },
		{ "{\"ends\":[{},{}],\"labels\":{\"a\":\"\",\"role\":\"web\"}}", "labels.a" },
		{ "{\"ends\":[{},{}],\"labels\":{\"role\":\"web\",\"z\":\"\"}}", "labels.z" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(difference(rows[i].want, link_record), rows[i].path) != 0)
			fail_msg("%s: %s", rows[i].want, difference(rows[i].want, link_record));
}

static void
match_of_kinds(UNUSED void **state)
{
	struct namespace want CLEANUP(namespace_done), have CLEANUP(namespace_done);
	char path[8] = "";
	fields_init(&namespace_type, &want);
	fields_init(&namespace_type, &have);
	assert_true(fields_match(&namespace_type, &want, &have, path, sizeof(path)));
	want.kinds = 1U << KIND_NET;
	have.kinds = 1U << KIND_NET | 1U << KIND_UTS;
	assert_false(fields_match(&namespace_type, &want, &have, path, sizeof(path)));
	assert_string_equal(path, "kinds");
	have.kinds = want.kinds;
	assert_int_equal(pairs_set(&want.sysctls, "net.ipv4.ip_forward", "1"), 0);
	assert_false(fields_match(&namespace_type, &want, &have, path, sizeof(path)));
	assert_string_equal(path, "sysctls"); /* cut to its room */
}

static void
sysctl_keys(UNUSED void **state)
{
	static const char *const good[] = {
		"net.ipv4.ip_forward",
		"net.ipv4.conf.all.rp_filter",
		"net.ipv4.conf.default.forwarding",
		"net.ipv4.conf.eth0.proxy_arp",
		"net.ipv6.conf.a-b_c.accept_ra",
		"net.core.somaxconn",
		"net.ipv6.conf.fifteen-letters.autoconf",
	};
	static const char *const bad[] = {
		"",
		"net",
		"net.ipv4.",
		"net.ipv4.ip_forward ",
		" net.ipv4.ip_forward",
		"net.ipv4.ip_forward.x",
		"Net.ipv4.ip_forward",
		"net/ipv4/ip_forward",
		"kernel.core_pattern",
		"kernel.hostname",
		"fs.file-max",
		"vm.overcommit_memory",
		"net.core.rmem_max",
		"net.netfilter.nf_conntrack_max",
		"net.ipv4.neigh.default.gc_thresh3",
		"net.ipv4.conf.rp_filter",
		"net.ipv4.conf..rp_filter",
		"net.ipv4.conf.*.rp_filter",
		"net.ipv4.conf.a.b.rp_filter",
		"net.ipv4.conf.../rp_filter",
		"net.ipv4.conf.../../../kernel/x.rp_filter",
		"net.ipv4.conf.a/b.rp_filter",
		"net.ipv4.conf.a b.rp_filter",
		"net.ipv4.conf.sixteen-letters0.rp_filter",
		"net.ipv4.conf.all.rp_filter.rp_filter",
		"net.ipv4.conf.all.nonsense",
	};
	struct error e = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (sysctl_key_check(good[i], &e) != 0)
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (sysctl_key_check(bad[i], &e) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
}

static void
sysctl_values(UNUSED void **state)
{
	static const char *const good[] = { "0",	 "-1",		 "1024\t65535",	 "bbr",
					    "8080,9148", "0 2147483647", "stable_secret" };
	static const char *const bad[] = { "", "1\n", "a/b", "$(x)", "\xc3\xa9", "\x01", "1;2", "a:b" };
	struct error e = { 0 };
	char text[130];
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(sysctl_value_check(good[i], &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(sysctl_value_check(bad[i], &e), -EINVAL);
	memset(text, '1', sizeof(text));
	text[128] = '\0';
	assert_int_equal(sysctl_value_check(text, &e), 0);
	text[128] = '1';
	text[129] = '\0';
	assert_int_equal(sysctl_value_check(text, &e), -EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_sound),
		cmocka_unit_test(enums_agree_with_their_names),
		cmocka_unit_test(records_round_trip),
		cmocka_unit_test(no_client_may_send_state_or_record),
		cmocka_unit_test(match_asks_for_what_the_specification_says),
		cmocka_unit_test(match_of_kinds),
		cmocka_unit_test(sysctl_keys),
		cmocka_unit_test(sysctl_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
