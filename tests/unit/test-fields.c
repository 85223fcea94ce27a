/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The field engine, on a type of its own that has every kind of field, required and nullable. */
#include "config.h"

#include "unit.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>

#include "fields.h"
#include "json.h"
#include "names.h"

struct part {
	char *name;
	int64_t size;
	struct list parts; /* struct leaf */
};

struct leaf {
	int64_t value;
};

struct base {
	char *title;
	int64_t secret;
};

struct thing {
	int on, off;
	int64_t number, ranged, any;
	int color, shade;
	unsigned sides, corners;
	char *name, *text;
	struct strings words, addresses;
	struct pairs labels, notes;
	struct list parts, required_parts;
	struct part *part;
	struct json_object *extra;
	struct base base;
	int64_t seen;
	int64_t stored;
};

static const struct type color_type = {
	.name = "Color",
	.values = (const char *const[]){ "red", "green", "blue", NULL },
};

#define F(struct_, member, wire, type_, ...)                                                             \
	{                                                                                                \
		.name = (wire), .type = (type_), .offset = offsetof(struct struct_, member), __VA_ARGS__ \
	}

static const struct type leaf_type = {
	.name = "Leaf",
	.size = sizeof(struct leaf),
	.fields =
		(const struct field[]){
			F(leaf, value, "value", FIELD_INT, .min = -1, .max = 10),
			{ 0 },
		},
};

static const struct type part_type = {
	.name = "Part",
	.size = sizeof(struct part),
	.fields =
		(const struct field[]){
			F(part, name, "name", FIELD_STRING, .flags = FIELD_IDENTITY | FIELD_NULLABLE,
			  .check = name_check),
			F(part, size, "size", FIELD_INT, .flags = FIELD_NULLABLE, .min = 1, .max = 9),
			F(part, parts, "parts", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &leaf_type),
			{ 0 },
		},
};

static const struct type base_type = {
	.name = "Base",
	.size = sizeof(struct base),
	.fields =
		(const struct field[]){
			F(base, title, "title", FIELD_STRING, .flags = FIELD_NULLABLE),
			F(base, secret, "secret", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_RECORD),
			{ 0 },
		},
};

static const struct type thing_type = {
	.name = "Thing",
	.size = sizeof(struct thing),
	.fields =
		(const struct field[]){
			F(thing, on, "on", FIELD_BOOL, .flags = 0),
			F(thing, off, "off", FIELD_BOOL, .flags = FIELD_NULLABLE),
			F(thing, number, "number", FIELD_INT, .flags = 0),
			F(thing, ranged, "ranged", FIELD_INT, .flags = FIELD_NULLABLE, .min = -5, .max = 5),
			F(thing, any, "any", FIELD_INT, .flags = FIELD_NULLABLE),
			F(thing, color, "color", FIELD_ENUM, .of = &color_type),
			F(thing, shade, "shade", FIELD_ENUM, .flags = FIELD_NULLABLE, .of = &color_type),
			F(thing, sides, "sides", FIELD_FLAGS, .flags = FIELD_NULLABLE, .of = &color_type),
			F(thing, corners, "corners", FIELD_FLAGS, .of = &color_type),
			F(thing, name, "name", FIELD_STRING, .flags = FIELD_IDENTITY, .check = name_check),
			F(thing, text, "text", FIELD_STRING, .flags = FIELD_NULLABLE),
			F(thing, words, "words", FIELD_STRINGS, .flags = 0),
			F(thing, addresses, "addresses", FIELD_STRINGS, .flags = FIELD_NULLABLE, .max = 2,
			  .check = address_check),
			F(thing, labels, "labels", FIELD_PAIRS, .flags = FIELD_NULLABLE, .max = 3,
			  .check = label_key_check, .check_value = label_value_check),
			F(thing, notes, "notes", FIELD_PAIRS, .flags = 0),
			F(thing, parts, "parts", FIELD_LIST, .flags = FIELD_NULLABLE, .of = &part_type, .max = 3),
			F(thing, required_parts, "requiredParts", FIELD_LIST, .of = &part_type),
			F(thing, part, "part", FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &part_type),
			F(thing, extra, "extra", FIELD_OBJECT, .flags = FIELD_NULLABLE),
			F(thing, base, "base", FIELD_EMBED, .of = &base_type),
			F(thing, seen, "seen", FIELD_INT, .flags = FIELD_STATE),
			F(thing, stored, "stored", FIELD_INT, .flags = FIELD_NULLABLE | FIELD_RECORD),
			{ 0 },
		},
};

#define SMALL                                                                                                 \
	"\"on\":true,\"number\":7,\"color\":\"red\",\"corners\":[],\"name\":\"n\",\"words\":[],\"notes\":{}," \
	"\"requiredParts\":[]"

/* All of it, in the order of the table and as fields_print() writes it. */
#define FULL_INPUT                                                                                                \
	"{\"on\":true,\"off\":false,\"number\":-7,\"ranged\":5,\"any\":9223372036854775807,\"color\":\"red\","    \
	"\"shade\":\"blue\",\"sides\":[\"red\",\"blue\"],\"corners\":[\"green\"],\"name\":\"thing\","             \
	"\"text\":\"caf\xc3\xa9 /\",\"words\":[\"b\",\"a\",\"\"],\"addresses\":[\"10.0.0.1/24\",\"fd00::1/64\"]," \
	"\"labels\":{\"a\":\"1\",\"b\":\"\"},\"notes\":{\"\":\"x\",\"k\":\"v\"},"                                 \
	"\"parts\":[{\"name\":\"p\",\"size\":1,\"parts\":[{\"value\":-1},{\"value\":10}]},{},{\"parts\":[]}],"    \
	"\"requiredParts\":[{\"size\":2}],\"part\":{\"name\":\"q\"},\"extra\":{\"x\":[1,null,{\"y\":0.5}]},"      \
	"\"title\":\"t\""
#define FULL_RECORD FULL_INPUT ",\"secret\":1,\"seen\":2,\"stored\":3}"

static void
thing_done(struct thing *t)
{
	fields_done(&thing_type, t);
}

static void
parse(const char *text, enum fields_view view, struct thing *ret)
{
	struct error e = { 0 };
	if (fields_from_text(&thing_type, text, view, ret, &e) < 0)
		fail_msg("%s: %s: %s", text, e.field, e.text);
}

static void
expect_print(const struct thing *t, enum fields_view view, const char *want)
{
	char *text CLEANUP(free_ptr) = NULL;
	struct error e = { 0 };
	assert_int_equal(fields_to_text(&thing_type, t, view, &text, &e), 0);
	assert_string_equal(text, want);
}

static void
is_all_absent(const struct thing *t)
{
	assert_int_equal(t->on, FIELD_ABSENT_BOOL);
	assert_true(t->number == FIELD_ABSENT_INT);
	assert_int_equal(t->color, FIELD_ABSENT_ENUM);
	assert_int_equal(t->sides, 0);
	assert_null(t->name);
	assert_null(t->words.v);
	assert_false(t->words.set || t->labels.set || t->parts.set);
	assert_null(t->labels.v);
	assert_null(t->parts.v);
	assert_null(t->part);
	assert_null(t->extra);
	assert_null(t->base.title);
	assert_true(t->base.secret == FIELD_ABSENT_INT);
}

static void
init_and_done_leave_all_absent(UNUSED void **state)
{
	struct thing t;
	memset(&t, 0xff, sizeof(t));
	fields_init(&thing_type, &t);
	is_all_absent(&t);
	fields_done(&thing_type, &t);
	is_all_absent(&t);
	parse(FULL_RECORD, VIEW_RECORD, &t);
	fields_done(&thing_type, &t);
	is_all_absent(&t);
}

static void
every_type_is_read(UNUSED void **state)
{
	struct thing t CLEANUP(thing_done);
	parse(FULL_RECORD, VIEW_RECORD, &t);
	assert_int_equal(t.on, 1);
	assert_int_equal(t.off, 0);
	assert_int_equal(t.number, -7);
	assert_true(t.any == INT64_MAX);
	assert_int_equal(t.shade, 2);
	assert_int_equal(t.sides, 5);
	assert_int_equal(t.corners, 2);
	assert_string_equal(t.name, "thing");
	assert_int_equal(t.words.n, 3);
	assert_string_equal(t.words.v[1], "a");
	assert_string_equal(pairs_get(&t.labels, "a"), "1");
	assert_int_equal(t.parts.n, 3);
	struct part *parts = t.parts.v;
	assert_int_equal(((struct leaf *)parts[0].parts.v)[1].value, 10);
	assert_null(parts[1].name);
	assert_false(parts[1].parts.set);
	assert_true(parts[2].parts.set);
	assert_null(parts[2].parts.v);
	assert_string_equal(t.part->name, "q");
	assert_non_null(t.extra);
	assert_string_equal(t.base.title, "t");
	assert_int_equal(t.base.secret, 1);
	assert_int_equal(t.seen, 2);
	assert_int_equal(t.stored, 3);
}

static void
print_gives_back_what_was_read(UNUSED void **state)
{
	struct thing t CLEANUP(thing_done);
	parse(FULL_RECORD, VIEW_RECORD, &t);
	expect_print(&t, VIEW_RECORD, FULL_RECORD);
	expect_print(&t, VIEW_OUTPUT, FULL_INPUT ",\"seen\":2}");
	expect_print(&t, VIEW_INPUT, FULL_INPUT "}");
}

static void
absent_is_null_is_left_out(UNUSED void **state)
{
	static const char *const texts[] = {
		"{" SMALL "}",
		"{" SMALL
		",\"off\":null,\"ranged\":null,\"shade\":null,\"sides\":null,\"text\":null,\"addresses\":null,"
		"\"labels\":null,\"parts\":null,\"part\":null,\"extra\":null,\"title\":null}",
	};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct thing t CLEANUP(thing_done);
		parse(texts[i], VIEW_INPUT, &t);
		assert_int_equal(t.off, FIELD_ABSENT_BOOL);
		assert_true(t.ranged == FIELD_ABSENT_INT);
		assert_false(t.addresses.set || t.labels.set || t.parts.set);
		expect_print(&t, VIEW_INPUT, "{" SMALL "}");
	}
}

static void
empty_is_not_absent(UNUSED void **state)
{
	static const char text[] =
		"{\"on\":true,\"number\":7,\"color\":\"red\",\"corners\":[],\"name\":\"n\","
		"\"text\":\"\",\"words\":[],\"addresses\":[],\"labels\":{},\"notes\":{},\"parts\":[],"
		"\"requiredParts\":[],\"part\":{},\"extra\":{}}";
	struct thing t CLEANUP(thing_done);
	parse(text, VIEW_INPUT, &t);
	assert_true(t.addresses.set && t.labels.set && t.parts.set);
	expect_print(&t, VIEW_INPUT, text);
}

/* What nobody filled in: required containers come out empty, the rest not at all. */
static void
required_containers_are_always_written(UNUSED void **state)
{
	struct thing t;
	fields_init(&thing_type, &t);
	expect_print(&t, VIEW_OUTPUT, "{\"corners\":[],\"words\":[],\"notes\":{},\"requiredParts\":[]}");
}

struct refusal {
	const char *members; /* after the small good ones, or instead of them when it starts with '{' */
	enum error_code code;
	const char *field;
};

static const struct refusal refusals[] = {
	/* missing */
	{ "{}", ERROR_INVALID_PARAMETER, "on" },
	{ "{\"on\":null}", ERROR_INVALID_PARAMETER, "on" },
	{ "{\"on\":true}", ERROR_INVALID_PARAMETER, "number" },
	{ "\"parts\":[{},{\"parts\":[{\"value\":1},{}]}]", ERROR_INVALID_PARAMETER, "parts[1].parts[1].value" },
	/* unknown */
	{ "\"x\":1", ERROR_INVALID_PARAMETER, "x" },
	{ "\"x\":null", ERROR_INVALID_PARAMETER, "x" },
	{ "\"On\":true", ERROR_INVALID_PARAMETER, "On" },
	{ "\"seen\":1", ERROR_INVALID_PARAMETER, "seen" },
	{ "\"seen\":null", ERROR_INVALID_PARAMETER, "seen" },
	{ "\"stored\":1", ERROR_INVALID_PARAMETER, "stored" },
	{ "\"secret\":1", ERROR_INVALID_PARAMETER, "secret" },
	{ "\"base\":{}", ERROR_INVALID_PARAMETER, "base" },
	{ "\"part\":{\"x\":1}", ERROR_INVALID_PARAMETER, "part.x" },
	{ "\"parts\":[{},{\"x\":1}]", ERROR_INVALID_PARAMETER, "parts[1].x" },
	/* the wrong type */
	{ "\"off\":1", ERROR_INVALID_PARAMETER, "off" },
	{ "\"off\":\"true\"", ERROR_INVALID_PARAMETER, "off" },
	{ "\"any\":true", ERROR_INVALID_PARAMETER, "any" },
	{ "\"any\":1.0", ERROR_INVALID_PARAMETER, "any" },
	{ "\"any\":\"1\"", ERROR_INVALID_PARAMETER, "any" },
	{ "\"any\":[]", ERROR_INVALID_PARAMETER, "any" },
	{ "\"shade\":1", ERROR_INVALID_PARAMETER, "shade" },
	{ "\"shade\":[\"red\"]", ERROR_INVALID_PARAMETER, "shade" },
	{ "\"sides\":\"red\"", ERROR_INVALID_PARAMETER, "sides" },
	{ "\"sides\":[\"red\",1]", ERROR_INVALID_PARAMETER, "sides[1]" },
	{ "\"sides\":[null]", ERROR_INVALID_PARAMETER, "sides[0]" },
	{ "\"text\":1", ERROR_INVALID_PARAMETER, "text" },
	{ "\"text\":{}", ERROR_INVALID_PARAMETER, "text" },
	{ "\"addresses\":\"10.0.0.1/24\"", ERROR_INVALID_PARAMETER, "addresses" },
	{ "\"addresses\":{}", ERROR_INVALID_PARAMETER, "addresses" },
	{ "\"addresses\":[\"10.0.0.1/24\",null]", ERROR_INVALID_PARAMETER, "addresses[1]" },
	{ "\"labels\":[]", ERROR_INVALID_PARAMETER, "labels" },
	{ "\"labels\":{\"a\":1}", ERROR_INVALID_PARAMETER, "labels.a" },
	{ "\"labels\":{\"a\":null}", ERROR_INVALID_PARAMETER, "labels.a" },
	{ "\"parts\":{}", ERROR_INVALID_PARAMETER, "parts" },
	{ "\"parts\":[[]]", ERROR_INVALID_PARAMETER, "parts[0]" },
	{ "\"parts\":[{},null]", ERROR_INVALID_PARAMETER, "parts[1]" },
	{ "\"part\":[]", ERROR_INVALID_PARAMETER, "part" },
	{ "\"part\":\"x\"", ERROR_INVALID_PARAMETER, "part" },
	{ "\"extra\":[]", ERROR_INVALID_PARAMETER, "extra" },
	{ "\"title\":1", ERROR_INVALID_PARAMETER, "title" },
	/* the right type, a wrong value */
	{ "\"ranged\":6", ERROR_INVALID_VALUE, "ranged" },
	{ "\"ranged\":-6", ERROR_INVALID_VALUE, "ranged" },
	{ "\"any\":-9223372036854775808", ERROR_INVALID_VALUE, "any" },
	{ "\"shade\":\"pink\"", ERROR_INVALID_VALUE, "shade" },
	{ "\"shade\":\"Red\"", ERROR_INVALID_VALUE, "shade" },
	{ "\"shade\":\"\"", ERROR_INVALID_VALUE, "shade" },
	{ "\"sides\":[]", ERROR_INVALID_VALUE, "sides" },
	{ "\"sides\":[\"red\",\"pink\"]", ERROR_INVALID_VALUE, "sides[1]" },
	{ "\"sides\":[\"red\",\"blue\",\"red\"]", ERROR_INVALID_VALUE, "sides[2]" },
	{ "\"addresses\":[\"10.0.0.1/24\",\"10.0.0.1\"]", ERROR_INVALID_VALUE, "addresses[1]" },
	{ "\"addresses\":[\"10.0.0.1/24\",\"10.0.0.2/24\",\"10.0.0.3/24\"]", ERROR_INVALID_VALUE, "addresses" },
	{ "\"labels\":{\"a b\":\"1\"}", ERROR_INVALID_VALUE, "labels" },
	{ "\"labels\":{\"a\":\"\\u0001\"}", ERROR_INVALID_VALUE, "labels.a" },
	{ "\"labels\":{\"a\":\"\",\"b\":\"\",\"c\":\"\",\"d\":\"\"}", ERROR_INVALID_VALUE, "labels" },
	{ "\"parts\":[{\"size\":0}]", ERROR_INVALID_VALUE, "parts[0].size" },
	{ "\"parts\":[{},{\"name\":\"a/b\"}]", ERROR_INVALID_VALUE, "parts[1].name" },
	{ "\"parts\":[{},{\"parts\":[{\"value\":11}]}]", ERROR_INVALID_VALUE, "parts[1].parts[0].value" },
	{ "\"parts\":[{},{},{},{}]", ERROR_INVALID_VALUE, "parts" },
	{ "\"part\":{\"size\":10}", ERROR_INVALID_VALUE, "part.size" },
};

static void
refused_input(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *row = &refusals[i];
		char text[1024];
		struct thing t;
		struct error e = { 0 };
		if (row->members[0] == '{')
			snprintf(text, sizeof(text), "%s", row->members);
		else
			snprintf(text, sizeof(text), "{%s,%s}", SMALL, row->members);
		if (fields_from_text(&thing_type, text, VIEW_INPUT, &t, &e) >= 0)
			fail_msg("accepted: %s", text);
		if (e.code != row->code || strcmp(e.field, row->field) != 0)
			fail_msg("%s: %d \"%s\": %s", text, e.code, e.field, e.text);
		assert_true(strlen(e.text) > 5);
		is_all_absent(&t);
		assert_true(fields_from_text(&thing_type, text, VIEW_INPUT, &t, NULL) < 0);
	}
}

static void
no_object_at_all(UNUSED void **state)
{
	struct json_object *array CLEANUP(json_put) = json_object_new_array();
	struct thing t;
	struct error e = { 0 };
	assert_int_equal(fields_parse(&thing_type, array, VIEW_INPUT, &t, &e), -EINVAL);
	assert_int_equal(e.code, ERROR_INVALID_PARAMETER);
	assert_int_equal(fields_parse(&thing_type, NULL, VIEW_INPUT, &t, &e), -EINVAL);
	is_all_absent(&t);
	assert_int_equal(fields_from_text(&thing_type, "{", VIEW_INPUT, &t, &e), -EINVAL);
	is_all_absent(&t);
}

static void
strings_and_counts_are_bounded(UNUSED void **state)
{
	static char text[8192];
	char value[5000];
	struct thing t;
	struct error e = { 0 };
	memset(value, 'x', sizeof(value));
	value[4096] = '\0';
	snprintf(text, sizeof(text), "{%s,\"text\":\"%s\"}", SMALL, value);
	parse(text, VIEW_INPUT, &t);
	thing_done(&t);
	value[4096] = 'x';
	value[4097] = '\0';
	snprintf(text, sizeof(text), "{%s,\"text\":\"%s\"}", SMALL, value);
	assert_int_equal(fields_from_text(&thing_type, text, VIEW_INPUT, &t, &e), -EINVAL);
	assert_string_equal(e.field, "text");

	struct json_object *o CLEANUP(json_put) = NULL;
	assert_int_equal(json_parse("{" SMALL "}", strlen("{" SMALL "}"), &o, &e), 0);
	struct json_object *words = json_object_object_get(o, "words");
	for (int i = 0; i < FIELD_MAX_ITEMS; i++)
		json_object_array_add(words, json_object_new_string("w"));
	assert_int_equal(fields_parse(&thing_type, o, VIEW_INPUT, &t, &e), 0);
	thing_done(&t);
	json_object_array_add(words, json_object_new_string("w"));
	assert_int_equal(fields_parse(&thing_type, o, VIEW_INPUT, &t, &e), -EINVAL);
	assert_string_equal(e.field, "words");
}

/* Objects that no parser of ours made may hold what none of them lets through. */
static void
foreign_objects_are_checked(UNUSED void **state)
{
	static const struct {
		const char *bytes;
		int length;
	} bad[] = { { "a\0b", 3 }, { "\xff", 1 }, { "\xc0\xaf", 2 } };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct json_object *o CLEANUP(json_put) = NULL;
		struct thing t;
		struct error e = { 0 };
		assert_int_equal(json_parse("{" SMALL "}", strlen("{" SMALL "}"), &o, &e), 0);
		json_object_object_add(o, "text", json_object_new_string_len(bad[i].bytes, bad[i].length));
		assert_int_equal(fields_parse(&thing_type, o, VIEW_OUTPUT, &t, &e), -EINVAL);
		assert_int_equal(fields_parse(&thing_type, o, VIEW_INPUT, &t, &e), -EINVAL);
		assert_int_equal(e.code, ERROR_INVALID_VALUE);
		assert_string_equal(e.field, "text");
	}
}

static void
views_differ_in_what_they_know(UNUSED void **state)
{
	struct thing t;
	struct error e = { 0 };
	/* state is required where it is known */
	assert_int_equal(fields_from_text(&thing_type, "{" SMALL "}", VIEW_OUTPUT, &t, &e), -EINVAL);
	assert_string_equal(e.field, "seen");
	/* the future is passed over, but not in requests */
	parse("{" SMALL ",\"seen\":1,\"future\":[{}]}", VIEW_OUTPUT, &t);
	thing_done(&t);
	parse("{" SMALL ",\"seen\":1,\"stored\":5,\"part\":{\"future\":1}}", VIEW_RECORD, &t);
	assert_int_equal(t.stored, 5);
	thing_done(&t);
	/* records keep the grammar; replies may show what others made */
	static const char odd[] = "{" SMALL ",\"seen\":1,\"ranged\":9,\"addresses\":[\"odd\",\"odd\",\"odd\"],"
				  "\"labels\":{\"a b\":\"\\u0001\"},\"parts\":[{\"name\":\"/\"},{},{},{}]}";
	parse(odd, VIEW_OUTPUT, &t);
	thing_done(&t);
	assert_int_equal(fields_from_text(&thing_type, odd, VIEW_RECORD, &t, &e), -EINVAL);
	/* record fields never come over the wire */
	parse("{" SMALL ",\"seen\":1,\"stored\":5}", VIEW_OUTPUT, &t);
	assert_true(t.stored == FIELD_ABSENT_INT);
	thing_done(&t);
}

static void
copies_are_deep_and_equal(UNUSED void **state)
{
	struct thing from, to CLEANUP(thing_done);
	struct error e = { 0 };
	parse(FULL_RECORD, VIEW_RECORD, &from);
	assert_int_equal(fields_copy(&thing_type, &from, &to, &e), 0);
	assert_ptr_not_equal(from.extra, to.extra);
	fields_done(&thing_type, &from);
	expect_print(&to, VIEW_RECORD, FULL_RECORD);

	struct thing empty, copy;
	fields_init(&thing_type, &empty);
	assert_int_equal(fields_copy(&thing_type, &empty, &copy, &e), 0);
	is_all_absent(&copy);
}

/* The path of the first difference between two records, "" for none. */
static const char *
difference(const char *want, const char *have)
{
	static char path[96];
	struct thing w CLEANUP(thing_done), h CLEANUP(thing_done);
	parse(want, VIEW_RECORD, &w);
	parse(have, VIEW_RECORD, &h);
	path[0] = '\0';
	fields_match(&thing_type, &w, &h, path, sizeof(path));
	return path;
}

static void
match_looks_into_everything_that_is_asked_for(UNUSED void **state)
{
	static const struct {
		const char *want, *path;
	} rows[] = {
		{ "\"seen\":9,\"stored\":9", "" },
		{ "\"part\":{}", "" },
		{ "\"part\":{\"name\":\"other\"}", "" },
		{ "\"part\":{\"size\":3}", "" },
		{ "\"part\":{\"size\":4}", "part.size" },
		{ "\"part\":{\"parts\":[{\"value\":1}]}", "part.parts[0].value" },
		{ "\"parts\":[]", "" },
		{ "\"extra\":{\"x\":[1]}", "" },
		{ "\"extra\":{\"x\":[2]}", "extra" },
		{ "\"title\":\"t\"", "" },
		{ "\"title\":\"u\"", "title" },
		{ "\"secret\":5", "" },
		{ "\"text\":\"x\"", "text" },
		{ "\"any\":1", "any" },
		{ "\"sides\":[\"red\"]", "sides" },
	};
	static const char have[] = "{" SMALL ",\"part\":{\"size\":3,\"parts\":[{\"value\":2}]},\"extra\":{\"x\":[1]},"
				   "\"title\":\"t\",\"seen\":1,\"stored\":2}";
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char want[512];
		snprintf(want, sizeof(want), "{%s%s,%s}", SMALL, strstr(rows[i].want, "seen") ? "" : ",\"seen\":1",
			 rows[i].want);
		if (strcmp(difference(want, have), rows[i].path) != 0)
			fail_msg("%s: \"%s\"", rows[i].want, difference(want, have));
	}
	assert_string_equal(difference("{" SMALL ",\"seen\":1,\"part\":{}}", "{" SMALL ",\"seen\":1}"), "part");
	assert_string_equal(difference("{" SMALL ",\"seen\":1,\"extra\":{}}", "{" SMALL ",\"seen\":1}"), "extra");
}

static void
text_that_is_no_utf8_is_cleaned(UNUSED void **state)
{
	struct thing t CLEANUP(thing_done);
	parse("{" SMALL "}", VIEW_INPUT, &t);
	t.text = strdup("eth\xff\x1b");
	assert_non_null(t.text);
	strings_done(&t.words);
	assert_int_equal(strings_add(&t.words, "\xc0\xaf"), 0);
	char *text CLEANUP(free_ptr) = NULL;
	assert_int_equal(fields_to_text(&thing_type, &t, VIEW_INPUT, &text, NULL), 0);
	assert_non_null(strstr(text, "\"text\":\"eth??\",\"words\":[\"??\"]"));
}

static void
enums_have_names(UNUSED void **state)
{
	assert_string_equal(enum_name(&color_type, 0), "red");
	assert_string_equal(enum_name(&color_type, 2), "blue");
	assert_string_equal(enum_name(&color_type, FIELD_ABSENT_ENUM), "");
	assert_string_equal(enum_name(&color_type, 3), "");
	assert_string_equal(enum_name(&color_type, INT32_MAX), "");
	assert_int_equal(enum_value(&color_type, "blue"), 2);
	assert_int_equal(enum_value(&color_type, "Blue"), -1);
	assert_int_equal(enum_value(&color_type, ""), -1);
}

static void
strings_hold_copies(UNUSED void **state)
{
	struct strings s = { 0 };
	char text[16];
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_false(strings_contain(&s, text));
		assert_int_equal(strings_add(&s, text), 0);
		assert_true(strings_contain(&s, text));
	}
	assert_true(s.set);
	assert_int_equal(s.n, 100);
	assert_string_equal(s.v[63], "63");
	assert_string_equal(s.v[64], "64");
	strings_done(&s);
	assert_null(s.v);
	assert_false(s.set);
	strings_done(&s);
}

static void
pairs_are_sorted_and_unique(UNUSED void **state)
{
	struct pairs p = { 0 };
	char key[16];
	assert_null(pairs_get(&p, "1"));
	for (int i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "%d", i * 37 % 100);
		assert_int_equal(pairs_set(&p, key, "old"), 0);
		assert_int_equal(pairs_set(&p, key, key), 0);
	}
	assert_int_equal(p.n, 100);
	for (size_t i = 0; i < p.n; i++) {
		assert_string_equal(p.v[i].key, p.v[i].value);
		assert_string_equal(pairs_get(&p, p.v[i].key), p.v[i].value);
		if (i > 0)
			assert_true(strcmp(p.v[i - 1].key, p.v[i].key) < 0);
	}
	assert_null(pairs_get(&p, "100"));
	pairs_done(&p);
	assert_null(p.v);
	pairs_done(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_and_done_leave_all_absent),
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(print_gives_back_what_was_read),
		cmocka_unit_test(absent_is_null_is_left_out),
		cmocka_unit_test(empty_is_not_absent),
		cmocka_unit_test(required_containers_are_always_written),
		cmocka_unit_test(refused_input),
		cmocka_unit_test(no_object_at_all),
		cmocka_unit_test(strings_and_counts_are_bounded),
		cmocka_unit_test(foreign_objects_are_checked),
		cmocka_unit_test(views_differ_in_what_they_know),
		cmocka_unit_test(copies_are_deep_and_equal),
		cmocka_unit_test(match_looks_into_everything_that_is_asked_for),
		cmocka_unit_test(text_that_is_no_utf8_is_cleaned),
		cmocka_unit_test(enums_have_names),
		cmocka_unit_test(strings_hold_copies),
		cmocka_unit_test(pairs_are_sorted_and_unique),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
