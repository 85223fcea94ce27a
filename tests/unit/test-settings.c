/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings: what is read from where, in which order, and how mistakes are told. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <syslog.h>

#include "settings.h"
#include "unit.h"

/* ---- a tree of configuration files: high/ over middle/ over low/ ---- */

static char top[64];
static const char *const folders[] = { "high", "middle", "low", NULL };
static char paths[3][96];
static const char *tree[4];

static int
setup(void **state UNUSED)
{
	snprintf(top, sizeof(top), "/tmp/nsd-test-settings-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	for (unsigned i = 0; folders[i]; i++) {
		char drop_ins[320];

		snprintf(paths[i], sizeof(paths[i]), "%s/%s", top, folders[i]);
		snprintf(drop_ins, sizeof(drop_ins), "%s/nsd.conf.d", paths[i]);
		tree[i] = paths[i];
		if (mkdir(paths[i], 0755) < 0 || mkdir(drop_ins, 0755) < 0)
			return -1;
	}
	return 0;
}

static int
teardown(void **state UNUSED)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

static const char *
path_of(const char *name)
{
	static char path[192];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static void
write_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct settings
must_load(void)
{
	struct settings s = { 0 };
	struct error e = { 0 };

	if (settings_load_from(tree, &s, &e) < 0)
		fail_msg("%s", e.text);
	return s;
}

/* The text of the refusal, without the folder's path before it. */
static const char *
must_refuse(void)
{
	static struct error e;
	struct settings s = { .workers = 77 };

	e = (struct error){ 0 };
	assert_true(settings_load_from(tree, &s, &e) < 0);
	assert_int_equal(e.code, ERROR_INVALID_VALUE);
	assert_int_equal(s.workers, 77);
	assert_memory_equal(e.text, top, strlen(top));
	return e.text + strlen(top) + 1;
}

static void
assert_defaults(const struct settings *s)
{
	struct settings d = { 0 };

	settings_default(&d);
	assert_int_equal(s->log_level, d.log_level);
	assert_int_equal(s->workers, d.workers);
	assert_int_equal(s->remake_lost, d.remake_lost);
	assert_int_equal(s->connections, d.connections);
	assert_int_equal(s->connections_per_user, d.connections_per_user);
	assert_int_equal(s->namespaces_per_user, d.namespaces_per_user);
	assert_int_equal(s->links_per_user, d.links_per_user);
	assert_int_equal(s->slots_per_user, d.slots_per_user);
	assert_int_equal(s->acquires_per_second, d.acquires_per_second);
	assert_int_equal(s->slots_reserved, d.slots_reserved);
	assert_int_equal(s->idle_timeout, d.idle_timeout);
	assert_int_equal(s->grace, d.grace);
}

/* ---- what is read ---- */

static void
test_defaults(void **state UNUSED)
{
	struct settings s = must_load();

	assert_defaults(&s);
	assert_int_equal(s.log_level, LOG_INFO);
	assert_int_equal(s.workers, 4);
	assert_false(s.remake_lost);
	assert_int_equal(s.connections, 1024);
	assert_int_equal(s.slots_per_user, 256);
	assert_int_equal(s.acquires_per_second, 1000);
	assert_int_equal(s.slots_reserved, 16);
	assert_int_equal(s.idle_timeout, 0);
	assert_int_equal(s.grace, 10);
}

static void
test_all_settings(void **state UNUSED)
{
	struct settings s;

	write_file("low/nsd.conf", "# a comment\n\n[Daemon]\nLogLevel=debug\nWorkers = 8 # more\nRemakeLost=yes\n"
				   "[Limits]\nConnections=10\nConnectionsPerUser=\"5\"\nNamespacesPerUser=0\n"
				   "LinksPerUser=1000000\nSlotsPerUser=7\nAcquiresPerSecond=1\nSlotsReserved=0\n"
				   "IdleTimeoutSec=60\n[Slots]\nGraceSec=3600\n");
	s = must_load();
	assert_int_equal(s.log_level, LOG_DEBUG);
	assert_int_equal(s.workers, 8);
	assert_int_equal(s.remake_lost, 1);
	assert_int_equal(s.connections, 10);
	assert_int_equal(s.connections_per_user, 5);
	assert_int_equal(s.namespaces_per_user, 0);
	assert_int_equal(s.links_per_user, 1000000);
	assert_int_equal(s.slots_per_user, 7);
	assert_int_equal(s.acquires_per_second, 1);
	assert_int_equal(s.slots_reserved, 0);
	assert_int_equal(s.idle_timeout, 60);
	assert_int_equal(s.grace, 3600);
}

static void
test_words(void **state UNUSED)
{
	static const char *const yes[] = { "yes", "true", "on", "1", "Yes", "TRUE" };
	static const char *const no[] = { "no", "false", "off", "0" };
	char text[64];

	for (unsigned i = 0; i < ARRAY_SIZE(yes) + ARRAY_SIZE(no); i++) {
		bool on = i < ARRAY_SIZE(yes);

		snprintf(text, sizeof(text), "[Daemon]\nRemakeLost=%s\n", on ? yes[i] : no[i - ARRAY_SIZE(yes)]);
		write_file("high/nsd.conf", text);
		assert_int_equal(must_load().remake_lost, on);
	}
	write_file("high/nsd.conf", "[Daemon]\nLogLevel=4\n");
	assert_int_equal(must_load().log_level, LOG_WARNING);
}

static void
test_highest_main_file_counts(void **state UNUSED)
{
	struct settings s;

	write_file("low/nsd.conf", "[Daemon]\nWorkers=2\nLogLevel=debug\n");
	write_file("middle/nsd.conf", "[Daemon]\nWorkers=3\n");
	s = must_load();
	assert_int_equal(s.workers, 3);
	assert_int_equal(s.log_level, LOG_INFO);
	write_file("high/nsd.conf", "");
	assert_int_equal(must_load().workers, 4);
}

/* By name over all folders, not folder by folder. */
static void
test_order_of_drop_ins(void **state UNUSED)
{
	write_file("high/nsd.conf", "[Daemon]\nWorkers=2\n");
	write_file("low/nsd.conf.d/50-b.conf", "[Daemon]\nWorkers=50\n");
	write_file("high/nsd.conf.d/10-a.conf", "[Daemon]\nWorkers=10\n");
	write_file("middle/nsd.conf.d/30-c.conf", "[Daemon]\nWorkers=30\n[Limits]\nConnections=30\n");
	write_file("high/nsd.conf.d/99-not-a-drop-in", "[Daemon]\nWorkers=60\n");
	write_file("high/nsd.conf.d/.99-hidden.conf", "[Daemon]\nWorkers=61\n");
	assert_int_equal(must_load().workers, 50);
	assert_int_equal(must_load().connections, 30);
}

static void
test_drop_in_replaces_its_namesake(void **state UNUSED)
{
	write_file("low/nsd.conf.d/50-b.conf", "[Daemon]\nWorkers=50\nLogLevel=debug\n");
	write_file("middle/nsd.conf.d/50-b.conf", "[Daemon]\nWorkers=40\n");
	assert_int_equal(must_load().workers, 40);
	assert_int_equal(must_load().log_level, LOG_INFO);
	assert_int_equal(symlink("/dev/null", path_of("high/nsd.conf.d/50-b.conf")), 0);
	assert_int_equal(must_load().workers, 4);
}

static void
test_missing_folders(void **state UNUSED)
{
	static const char *const nowhere[] = { "/nonexistent/a", "/nonexistent/b", NULL };
	struct settings s = { 0 };

	assert_int_equal(settings_load_from(nowhere, &s, NULL), 0);
	assert_int_equal(s.workers, 4);
}

static void
test_one_file(void **state UNUSED)
{
	struct settings s = { 0 };
	struct error e = { 0 };

	write_file("low/other.conf", "[Daemon]\nWorkers=9\n");
	assert_int_equal(settings_load(path_of("low/other.conf"), &s, &e), 0);
	assert_int_equal(s.workers, 9);
	assert_int_equal(settings_load(path_of("low/missing.conf"), &s, &e), -ENOENT);
	assert_non_null(strstr(e.text, "low/missing.conf"));
	assert_int_equal(settings_load(path_of("low"), &s, &e), -EISDIR);
	assert_int_equal(s.workers, 9);
}

/* ---- what is refused ---- */

static void
test_mistakes(void **state UNUSED)
{
	static const struct {
		const char *text, *message;
	} table[] = {
		{ "[Daemon]\n\nWorkerz=4\n",
		  "high/nsd.conf:3: there is no Workerz= in [Daemon]; there are LogLevel, Workers, "
		  "RemakeLost" },
		{ "[Limits]\nWorkers=4\n", "high/nsd.conf:2: there is no Workers= in [Limits]; there are Connections, "
					   "ConnectionsPerUser, NamespacesPerUser, LinksPerUser, SlotsPerUser, "
					   "AcquiresPerSecond, SlotsReserved, IdleTimeoutSec" },
		{ "[Other]\nWorkers=4\n",
		  "high/nsd.conf:2: there is no section [Other]; there are [Daemon], [Limits], [Slots]" },
		{ "[Limits]\nAcquiresPerSecond=0\n",
		  "high/nsd.conf:2: AcquiresPerSecond=0: give a number from 1 to 1000000" },
		{ "[Limits]\nSlotsReserved=65537\n",
		  "high/nsd.conf:2: SlotsReserved=65537: give a number from 0 to 65536" },
		{ "[Slots]\nGraceSec=3601\n", "high/nsd.conf:2: GraceSec=3601: give a number from 0 to 3600" },
		{ "[Daemon]\nWorkers=0\n", "high/nsd.conf:2: Workers=0: give a number from 1 to 64" },
		{ "[Daemon]\nWorkers=65\n", "high/nsd.conf:2: Workers=65: give a number from 1 to 64" },
		{ "[Daemon]\nWorkers=4k\n", "high/nsd.conf:2: Workers=4k: give a number from 1 to 64" },
		{ "[Daemon]\nWorkers=-1\n", "high/nsd.conf:2: Workers=-1: give a number from 1 to 64" },
		{ "[Daemon]\nWorkers=99999999999999999999\n",
		  "high/nsd.conf:2: Workers=99999999999999999999: give a number from 1 to 64" },
		{ "[Daemon]\nRemakeLost=maybe\n", "high/nsd.conf:2: RemakeLost=maybe: give yes or no" },
		{ "[Daemon]\nLogLevel=loud\n",
		  "high/nsd.conf:2: LogLevel=loud: give err, warning, notice, info, debug or 0 to 7" },
		{ "[Daemon]\nWorkers=\n", "high/nsd.conf:2: Workers= has no value" },
		{ "[Daemon]\nWorkers=4\nWorkers=5\n",
		  "high/nsd.conf:2: Workers= is given twice, or a line after it has no \"=\"" },
		{ "[Daemon]\nWorkers=4\nRemakeLost\n",
		  "high/nsd.conf:3: Workers= is given twice, or a line after it has no \"=\"" },
		{ "Workers=4\n", "high/nsd.conf: Workers= stands before the first [Section]" },
		{ "[Daemon\nWorkers=4\n", "high/nsd.conf:1: Missing bracket" },
		{ "[Daemon] x\nWorkers=4\n", "high/nsd.conf:1: Text after section" },
		{ "[]\nWorkers=4\n", "high/nsd.conf:1: Empty section name" },
		{ "[Daemon]\nWorkers 4\n", "high/nsd.conf:2: Missing delimiter" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		write_file("high/nsd.conf", table[i].text);
		assert_string_equal(must_refuse(), table[i].message);
	}
}

static void
test_mistake_in_a_drop_in(void **state UNUSED)
{
	struct settings s;
	struct error e = { 0 };

	write_file("high/nsd.conf", "[Daemon]\nWorkers=2\n");
	write_file("low/nsd.conf.d/10.conf", "[Daemon]\n# fine\nNope=1\n");
	assert_memory_equal(must_refuse(), "low/nsd.conf.d/10.conf:3: ", 26);
	assert_true(settings_load_from(tree, &s, &e) < 0);
	assert_string_equal(e.field, "Nope");
}

/* ---- the table ---- */

struct shipped {
	char text[8192];
	unsigned n;
};

static void
check_shipped(const char *section, const char *key, const char *value, const char *doc, void *arg)
{
	struct shipped *s = arg;
	char line[128];

	snprintf(line, sizeof(line), "\n#%s=%s\n", key, value);
	if (!strstr(s->text, line))
		fail_msg("systemd/nsd.conf lacks \"#%s=%s\"", key, value);
	snprintf(line, sizeof(line), "\n[%s]\n", section);
	assert_non_null(strstr(s->text, line));
	assert_true(strlen(doc) > 10);
	s->n++;
}

/* The shipped file shows every setting with its default, and means nothing. */
static void
test_shipped_file(void **state UNUSED)
{
	struct shipped s = { 0 };
	struct settings loaded = { 0 };
	struct error e = { 0 };
	FILE *f = fopen(TEST_SOURCE "/systemd/nsd.conf", "re");

	assert_non_null(f);
	assert_true(fread(s.text, 1, sizeof(s.text) - 1, f) > 0);
	fclose(f);
	settings_describe(check_shipped, &s);
	assert_int_equal(s.n, 12);
	assert_int_equal(settings_load(TEST_SOURCE "/systemd/nsd.conf", &loaded, &e), 0);
	assert_defaults(&loaded);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_defaults),
		T(test_all_settings),
		T(test_words),
		T(test_highest_main_file_counts),
		T(test_order_of_drop_ins),
		T(test_drop_in_replaces_its_namesake),
		T(test_missing_folders),
		T(test_one_file),
		T(test_mistakes),
		T(test_mistake_in_a_drop_in),
		T(test_shipped_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
