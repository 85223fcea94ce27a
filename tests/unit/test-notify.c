/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the service manager and the journal get to see, and which sockets are taken from the former. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "notify.h"
#include "unit.h"

/* ---- a service manager that listens ---- */

static int manager = -1;
static char address[64];

static int
bind_datagram(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static int
setup(void **state UNUSED)
{
	snprintf(address, sizeof(address), "/tmp/nsd-test-notify-%d", (int)getpid());
	manager = bind_datagram(address);
	return setenv("NOTIFY_SOCKET", address, 1);
}

static int
teardown(void **state UNUSED)
{
	close(manager);
	unsetenv("NOTIFY_SOCKET");
	return unlink(address);
}

static const char *
received(int fd)
{
	static char text[4096];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static void
test_messages(void **state UNUSED)
{
	struct error e = { .number = EROFS, .text = "two\nlines" };
	unsigned long long usec;
	int end = 0;

	notify_ready();
	assert_string_equal(received(manager), "READY=1");
	notify_stopping();
	assert_string_equal(received(manager), "STOPPING=1");
	notify_status("%d namespaces", 3);
	assert_string_equal(received(manager), "STATUS=3 namespaces");
	notify_status("a\nREADY=1");
	assert_string_equal(received(manager), "STATUS=a READY=1");
	notify_error(&e);
	assert_string_equal(received(manager), "STATUS=two lines\nERRNO=30");
	notify_extend_timeout(5000000);
	assert_string_equal(received(manager), "EXTEND_TIMEOUT_USEC=5000000");
	notify_watchdog();
	assert_string_equal(received(manager), "WATCHDOG=1");
	notify_reloading();
	assert_int_equal(sscanf(received(manager), "RELOADING=1\nMONOTONIC_USEC=%llu%n", &usec, &end), 1);
	assert_true(usec > 0 && end > 0);
}

static void
test_nobody_listens(void **state UNUSED)
{
	int fd = 5;

	unsetenv("NOTIFY_SOCKET");
	notify_ready();
	notify_status("x");
	assert_int_equal(notify_watchdog_interval(), 0);
	assert_int_equal(notify_listen_fd(&fd, NULL), 0);
	assert_int_equal(fd, -1);
	assert_false(notify_on_journal());
}

static void
test_watchdog_interval(void **state UNUSED)
{
	char pid[16];

	setenv("WATCHDOG_USEC", "2000000", 1);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_interval(), 1000000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_interval(), 0);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* ---- sockets passed in ---- */

enum passed { NOTHING, LISTENING, NOT_LISTENING, DATAGRAM, INTERNET, PLAIN_FILE };

/* Makes fd 3 (and 4) what the service manager would pass, in a child, and checks what becomes of it there. */
static int
in_child(enum passed first, unsigned n, const char *names, int (*check)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		char text[16];
		int fd = first == PLAIN_FILE ? open("/dev/null", O_RDONLY | O_CLOEXEC) :
					       socket(first == INTERNET ? AF_INET : AF_UNIX,
						      (first == DATAGRAM ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
		struct sockaddr_un a = { .sun_family = AF_UNIX };

		if (fd < 0 || ((first == LISTENING || first == INTERNET) &&
			       ((first == LISTENING && bind(fd, (struct sockaddr *)&a, sizeof(sa_family_t)) < 0) ||
				listen(fd, 1) < 0)))
			_exit(99);
		fd = fcntl(fd, F_DUPFD, 10);
		for (unsigned i = 0; i < n; i++)
			if (dup2(fd, 3 + (int)i) < 0)
				_exit(99);
		snprintf(text, sizeof(text), "%d", (int)getpid());
		setenv("LISTEN_PID", text, 1);
		snprintf(text, sizeof(text), "%u", n);
		setenv("LISTEN_FDS", text, 1);
		if (names)
			setenv("LISTEN_FDNAMES", names, 1);
		_exit(check());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
is_taken(void)
{
	struct error e = { 0 };
	int fd = -1;

	if (notify_listen_fd(&fd, &e) < 0 || fd != 3 || getenv("LISTEN_FDS"))
		return 1;
	if (!(fcntl(fd, F_GETFL) & O_NONBLOCK) || !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
		return 2;
	return 0;
}

static int
is_refused(void)
{
	struct error e = { 0 };
	int fd = -7;

	if (notify_listen_fd(&fd, &e) >= 0 || fd != -7)
		return 1;
	return strstr(e.text, "is no listening Unix stream socket") && strstr(e.text, "varlink") ? 0 : 2;
}

static int
are_several(void)
{
	struct error e = { 0 };
	int fd = -7;

	if (notify_listen_fd(&fd, &e) >= 0 || fd != -7)
		return 1;
	return strstr(e.text, "(varlink, other)") ? 0 : 2;
}

static void
test_listen_fd(void **state UNUSED)
{
	assert_int_equal(in_child(LISTENING, 1, "varlink", is_taken), 0);
	assert_int_equal(in_child(LISTENING, 1, NULL, is_taken), 0);
	assert_int_equal(in_child(NOT_LISTENING, 1, "varlink", is_refused), 0);
	assert_int_equal(in_child(DATAGRAM, 1, "varlink", is_refused), 0);
	assert_int_equal(in_child(INTERNET, 1, "varlink", is_refused), 0);
	assert_int_equal(in_child(PLAIN_FILE, 1, "varlink", is_refused), 0);
	assert_int_equal(in_child(LISTENING, 2, "varlink:other", are_several), 0);
}

/* ---- the journal ---- */

static void
test_on_journal(void **state UNUSED)
{
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	assert_true(notify_on_journal());
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	assert_false(notify_on_journal());
	setenv("JOURNAL_STREAM", "nonsense", 1);
	assert_false(notify_on_journal());
	unsetenv("JOURNAL_STREAM");
}

/* libsystemd sends to a fixed path, so the journal is one of our own in a mount namespace. */
static void
test_journal_lines(void **state UNUSED)
{
	static const char *const fields[] = { "NSD_NAMESPACE=a", "NSD_OTHER=b", NULL };
	const char *text;
	int journal;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	assert_int_equal(mount("tmpfs", "/run", "tmpfs", 0, NULL), 0);
	assert_int_equal(mkdir("/run/systemd", 0755), 0);
	assert_int_equal(mkdir("/run/systemd/journal", 0755), 0);
	journal = bind_datagram("/run/systemd/journal/socket");
	notify_journal_sink(LOG_WARNING, "8c4bcf8034a344c5b693673d833e2484", fields, "it is so");
	text = received(journal);
	assert_non_null(strstr(text, "MESSAGE=it is so\n"));
	assert_non_null(strstr(text, "PRIORITY=4\n"));
	assert_non_null(strstr(text, "MESSAGE_ID=8c4bcf8034a344c5b693673d833e2484\n"));
	assert_non_null(strstr(text, "NSD_NAMESPACE=a\n"));
	assert_non_null(strstr(text, "NSD_OTHER=b\n"));
	notify_journal_sink(LOG_INFO, NULL, NULL, "plain");
	text = received(journal);
	assert_non_null(strstr(text, "MESSAGE=plain\n"));
	assert_null(strstr(text, "MESSAGE_ID"));
	close(journal);
	assert_int_equal(umount("/run"), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_messages),
		T(test_nobody_listens),
		T(test_watchdog_interval),
		cmocka_unit_test(test_listen_fd),
		cmocka_unit_test(test_on_journal),
		cmocka_unit_test(test_journal_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
