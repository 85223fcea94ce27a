/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings: one table, and the way from files to it. libeconf parses each file; the folders are walked here, because
 * libeconf 0.5 knows two of them, sorts drop-ins by folder instead of by name, and forgets in which file of a merged
 * result a value stood.
 */
#include "config.h"

#include "settings.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <libeconf.h>
#include <libeconf_ext.h>

#include "log.h"

#define FOLDERS_MAX 8

enum setting_type {
	SETTING_NUMBER, /* int64_t */
	SETTING_BOOL,	/* int */
	SETTING_LEVEL,	/* int: a level of log.h */
};

struct setting {
	const char *section, *key;
	enum setting_type type;
	size_t offset;
	int64_t min, max;  /* of a number */
	const char *value; /* the default */
	const char *doc;
};

#define S(section_, key_, type_, member, value_, ...)                                                               \
	{                                                                                                           \
		.section = (section_), .key = (key_), .type = (type_), .offset = offsetof(struct settings, member), \
		.value = (value_), __VA_ARGS__                                                                      \
	}

/* clang-format off */
static const struct setting settings[] = {
	S("Daemon", "LogLevel", SETTING_LEVEL, log_level, "info",
	  .doc = "What is logged: err, warning, notice, info or debug. io.systemd.service.SetLogLevel changes it "
		 "while nsd runs."),
	S("Daemon", "Workers", SETTING_NUMBER, workers, "4", .min = 1, .max = 64,
	  .doc = "Threads for the work in the kernel. More are started while all of them hang."),
	S("Daemon", "RemakeLost", SETTING_BOOL, remake_lost, "no",
	  .doc = "Make objects that vanished from the kernel again at once, instead of showing them as lost until they are "
		 "repaired or deleted."),
	S("Limits", "Connections", SETTING_NUMBER, connections, "1024", .min = 1, .max = 65536,
	  .doc = "Clients connected at the same time, of all users."),
	S("Limits", "ConnectionsPerUser", SETTING_NUMBER, connections_per_user, "64", .min = 1, .max = 65536,
	  .doc = "Clients connected at the same time, of one user. Root is not limited."),
	S("Limits", "NamespacesPerUser", SETTING_NUMBER, namespaces_per_user, "256", .min = 0, .max = 1000000,
	  .doc = "Namespaces owned by one user. Root is not limited."),
	S("Limits", "LinksPerUser", SETTING_NUMBER, links_per_user, "512", .min = 0, .max = 1000000,
	  .doc = "Links owned by one user. Root is not limited."),
	S("Limits", "SlotsPerUser", SETTING_NUMBER, slots_per_user, "256", .min = 0, .max = 1000000,
	  .doc = "Slots leased by one user, of all networks. Root is not limited."),
	S("Limits", "AcquiresPerSecond", SETTING_NUMBER, acquires_per_second, "1000", .min = 1, .max = 1000000,
	  .doc = "Slots that one user may acquire in a second, at once or one by one. Root is not limited."),
	S("Limits", "SlotsReserved", SETTING_NUMBER, slots_reserved, "16", .min = 0, .max = 65536,
	  .doc = "The last slots of each network, which only root gets."),
	S("Limits", "IdleTimeoutSec", SETTING_NUMBER, idle_timeout, "0", .min = 0, .max = 31536000,
	  .doc = "Seconds after which a connection without a request is closed; 0: never."),
	S("Slots", "GraceSec", SETTING_NUMBER, grace, "10", .min = 0, .max = 3600,
	  .doc = "Seconds after a start of nsd for which leases bound to a connection wait to be taken up again."),
	{ 0 },
};
/* clang-format on */

static void
free_econf(econf_file **f)
{
	econf_freeFile(*f);
}

static void
free_names(char ***names)
{
	econf_freeArray(*names);
}

static void
free_value(econf_ext_value **v)
{
	if (*v)
		econf_freeExtValue(*v);
}

static const struct setting *
find_setting(const char *section, const char *key)
{
	for (const struct setting *s = settings; s->key; s++)
		if (strcmp(s->section, section) == 0 && strcmp(s->key, key) == 0)
			return s;
	return NULL;
}

static bool
parse_number(const struct setting *s, const char *text, int64_t *ret)
{
	char *end;
	long long n;

	if (text[strspn(text, "0123456789")] != '\0' || text[0] == '\0')
		return false;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || n < s->min || n > s->max)
		return false;
	*ret = n;
	return true;
}

static bool
parse_bool(const char *text, int *ret)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(text, words[i]) == 0) {
			*ret = (int)(i & 1);
			return true;
		}
	return false;
}

static bool
parse_value(const struct setting *s, const char *text, struct settings *to)
{
	void *member = (char *)to + s->offset;
	int level;

	switch (s->type) {
	case SETTING_NUMBER:
		return parse_number(s, text, member);
	case SETTING_BOOL:
		return parse_bool(text, member);
	case SETTING_LEVEL:
		level = log_level_from_string(text);
		if (level >= 0)
			*(int *)member = level;
		return level >= 0;
	}
	return false;
}

static int
bad_value(const struct setting *s, const char *place, const char *text, struct error *e)
{
	switch (s->type) {
	case SETTING_NUMBER:
		return error_set(e, ERROR_INVALID_VALUE, s->key,
				 "%s: %s=%.64s: give a number from %" PRId64 " to %" PRId64, place, s->key, text,
				 s->min, s->max);
	case SETTING_BOOL:
		return error_set(e, ERROR_INVALID_VALUE, s->key, "%s: %s=%.64s: give yes or no", place, s->key, text);
	case SETTING_LEVEL:
		return error_set(e, ERROR_INVALID_VALUE, s->key,
				 "%s: %s=%.64s: give err, warning, notice, info, debug or 0 to 7", place, s->key, text);
	}
	return error_set(e, ERROR_INTERNAL, s->key, "%s has no type", s->key);
}

static void
list_sections(char *ret, size_t size)
{
	const char *last = "";
	size_t n = 0;

	for (const struct setting *s = settings; s->key && n < size; last = s->section, s++)
		if (strcmp(s->section, last) != 0)
			n += (size_t)snprintf(ret + n, size - n, "%s[%s]", n ? ", " : "", s->section);
}

static int
unknown(const char *place, const char *section, const char *key, struct error *e)
{
	char known[200] = "";
	size_t n = 0;

	for (const struct setting *s = settings; s->key; s++)
		if (strcmp(s->section, section) == 0 && n < sizeof(known))
			n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", s->key);
	if (n == 0) {
		list_sections(known, sizeof(known));
		return error_set(e, ERROR_INVALID_VALUE, key, "%s: there is no section [%.64s]; there are %s", place,
				 section, known);
	}
	return error_set(e, ERROR_INVALID_VALUE, key, "%s: there is no %.64s= in [%s]; there are %s", place, key,
			 section, known);
}

static int
read_key(econf_file *file, const char *section, const char *key, struct settings *to, struct error *e)
{
	const struct setting *s = find_setting(section, key);
	CLEANUP(free_value) econf_ext_value *v = NULL;
	char place[300];

	if (econf_getExtValue(file, section, key, &v) != ECONF_SUCCESS || !v)
		return error_errno(e, ENOMEM, "cannot read %s", key);
	snprintf(place, sizeof(place), "%s:%" PRIu64, v->file ? v->file : "?", v->line_number);
	if (!s)
		return unknown(place, section, key, e);
	if (!v->values || !v->values[0])
		return error_set(e, ERROR_INVALID_VALUE, key, "%s: %s= has no value", place, key);
	if (v->values[1])
		return error_set(e, ERROR_INVALID_VALUE, key, "%s: %s= is given twice, or a line after it has no \"=\"",
				 place, key);
	return parse_value(s, v->values[0], to) ? 0 : bad_value(s, place, v->values[0], e);
}

static int
read_section(econf_file *file, const char *section, struct settings *to, struct error *e)
{
	CLEANUP(free_names) char **keys = NULL;
	size_t n = 0;
	int r = 0;

	if (econf_getKeys(file, section, &n, &keys) != ECONF_SUCCESS)
		return 0; /* an empty section */
	for (size_t i = 0; r == 0 && i < n; i++)
		r = read_key(file, section, keys[i], to, e);
	return r;
}

static int
read_sections(econf_file *file, const char *path, struct settings *to, struct error *e)
{
	CLEANUP(free_names) char **sections = NULL, **loose = NULL;
	size_t n = 0, n_loose = 0;
	int r = 0;

	if (econf_getKeys(file, NULL, &n_loose, &loose) == ECONF_SUCCESS && n_loose > 0)
		return error_set(e, ERROR_INVALID_VALUE, loose[0], "%s: %.64s= stands before the first [Section]", path,
				 loose[0]);
	if (econf_getGroups(file, &n, &sections) != ECONF_SUCCESS)
		return 0; /* an empty file */
	for (size_t i = 0; r == 0 && i < n; i++)
		r = read_section(file, sections[i], to, e);
	return r;
}

static int
parse_error(const char *path, econf_err found, struct error *e)
{
	CLEANUP(free_ptr) char *file = NULL;
	uint64_t line = 0;

	if (found == ECONF_NOMEM)
		return error_errno(e, ENOMEM, "cannot read %s", path);
	econf_errLocation(&file, &line);
	return error_set(e, ERROR_INVALID_VALUE, NULL, "%s:%" PRIu64 ": %s", path, line, econf_errString(found));
}

static int
read_file(const char *path, struct settings *to, struct error *e)
{
	CLEANUP(free_econf) econf_file *file = NULL;
	struct stat st;
	econf_err found;

	if (stat(path, &st) < 0)
		return error_errno(e, errno, "cannot read %s", path);
	if (S_ISDIR(st.st_mode))
		return error_errno(e, EISDIR, "cannot read %s", path);
	if (access(path, R_OK) < 0)
		return error_errno(e, errno, "cannot read %s", path);
	found = econf_readFile(&file, path, "=", "#;");
	if (found != ECONF_SUCCESS)
		return parse_error(path, found, e);
	return read_sections(file, path, to, e);
}

static int
is_drop_in(const struct dirent *d)
{
	size_t length = strlen(d->d_name);

	return d->d_name[0] != '.' && length > 5 && strcmp(d->d_name + length - 5, ".conf") == 0;
}

/* The highest folder that has this file. */
static const char *
find_file(const char *const *folders, const char *name, char *path, size_t size)
{
	for (; *folders; folders++) {
		snprintf(path, size, "%s/%s", *folders, name);
		if (access(path, F_OK) == 0)
			return path;
	}
	return NULL;
}

struct drop_ins {
	struct dirent **v;
	int n;
};

static void drop_ins_done(struct drop_ins (*d)[FOLDERS_MAX])
{
	for (unsigned f = 0; f < FOLDERS_MAX; f++) {
		for (int i = 0; i < (*d)[f].n; i++)
			free((*d)[f].v[i]);
		free((*d)[f].v);
	}
}

/* The least name of all folders that is greater than `last`; the lists are sorted. */
static const char *
next_name(struct drop_ins *d, const char *last)
{
	const char *least = NULL;

	for (unsigned f = 0; f < FOLDERS_MAX; f++)
		for (int i = 0; i < d[f].n; i++) {
			const char *name = d[f].v[i]->d_name;

			if (strcmp(name, last) > 0 && (!least || strcmp(name, least) < 0))
				least = name;
		}
	return least;
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
read_drop_ins(const char *const *folders, struct settings *to, struct error *e)
{
	CLEANUP(drop_ins_done) struct drop_ins d[FOLDERS_MAX] = { { 0 } };
	char path[4096], file[300];
	int r = 0;

	for (unsigned f = 0; folders[f] && f < FOLDERS_MAX; f++) {
		snprintf(path, sizeof(path), "%s/nsd.conf.d", folders[f]);
		d[f].n = scandir(path, &d[f].v, is_drop_in, by_bytes);
		if (d[f].n < 0 && errno != ENOENT)
			return error_errno(e, errno, "cannot read %s", path);
	}
	for (const char *name = next_name(d, ""); r == 0 && name; name = next_name(d, name)) {
		snprintf(file, sizeof(file), "nsd.conf.d/%s", name);
		if (find_file(folders, file, path, sizeof(path)))
			r = read_file(path, to, e);
	}
	return r;
}

void
settings_default(struct settings *ret)
{
	for (const struct setting *s = settings; s->key; s++)
		parse_value(s, s->value, ret);
}

/* Without this libeconf takes the first of two values of one key and says nothing. */
static int
join_same_entries(struct error *e)
{
	if (getenv("ECONF_JOIN_SAME_ENTRIES") || setenv("ECONF_JOIN_SAME_ENTRIES", "1", 1) == 0)
		return 0;
	return error_errno(e, errno, "cannot read settings");
}

int
settings_load_from(const char *const *folders, struct settings *ret, struct error *e)
{
	struct settings found;
	char path[4096];
	int r = join_same_entries(e);

	if (r < 0)
		return r;
	settings_default(&found);
	if (find_file(folders, "nsd.conf", path, sizeof(path)))
		r = read_file(path, &found, e);
	if (r == 0)
		r = read_drop_ins(folders, &found, e);
	if (r == 0)
		*ret = found;
	return r;
}

int
settings_load(const char *file, struct settings *ret, struct error *e)
{
	static const char *const folders[] = { NSD_SYSCONFDIR "/nsd", "/run/nsd", NSD_LIBDIR "/nsd", NULL };
	struct settings found;
	int r;

	if (!file)
		return settings_load_from(folders, ret, e);
	settings_default(&found);
	r = join_same_entries(e);
	if (r == 0)
		r = read_file(file, &found, e);
	if (r == 0)
		*ret = found;
	return r;
}

void
settings_describe(void (*fn)(const char *section, const char *key, const char *value, const char *doc, void *arg),
		  void *arg)
{
	for (const struct setting *s = settings; s->key; s++)
		fn(s->section, s->key, s->value, s->doc, arg);
}
