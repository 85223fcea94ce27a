/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another host through ssh(1).
 *
 * ssh hands its words to a shell on the other side, so each is quoted here. The host goes after "--" and never starts
 * with "-" (client.c), so it cannot become an option of ssh.
 */
#include "config.h"

#include "ssh.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "failure.h"

#define SSH_UNREACHABLE 255 /* exit status of ssh for its own failures, ssh(1) */

/* The words of one ssh command. */
struct command {
	char **v;
	int n, size;
	bool failed; /* out of memory somewhere */
};

static int
command_new(struct command *k, int size, struct error *e)
{
	*k = (struct command){ .v = calloc((size_t)size + 1, sizeof(*k->v)), .size = size };
	return k->v ? 0 : fail_memory(e);
}

static void
command_done(struct command *k)
{
	for (int i = 0; i < k->n; i++)
		free(k->v[i]);
	free(k->v);
}

/* Takes `word`, NULL being a failed allocation. */
static void
command_add(struct command *k, char *word)
{
	if (word && k->n < k->size) {
		k->v[k->n++] = word;
		return;
	}
	free(word);
	k->failed = true;
}

/* `word` in single quotes, as sh(1) reads them back. */
static char *
quote(const char *word)
{
	char *text = malloc(strlen(word) * 4 + 3), *p = text;

	if (!text)
		return NULL;
	*p++ = '\'';
	for (; *word; word++) {
		if (*word == '\'')
			p = stpcpy(p, "'\\'");
		*p++ = *word;
	}
	strcpy(p, "'");
	return text;
}

/* ssh://[USER@]HOST[:PORT] or [USER@]HOST[:PORT]; an IPv6 address that a port follows stands in brackets. */
static int
command_add_host(struct command *k, const char *text, struct error *e)
{
	char *host = strdup(strncmp(text, "ssh://", 6) == 0 ? text + 6 : text);
	if (!host)
		return fail_memory(e);

	char *colon = strrchr(host, ':');
	if (colon && colon[1] && !colon[1 + strspn(colon + 1, "0123456789")] &&
	    (strchr(host, ':') == colon || colon[-1] == ']')) {
		*colon = '\0';
		command_add(k, strdup("-p"));
		command_add(k, strdup(colon + 1));
	}
	char *at = strrchr(host, '@'), *name = at ? at + 1 : host;
	size_t n = strlen(name);
	if (n > 2 && name[0] == '[' && name[n - 1] == ']') {
		name[n - 1] = '\0';
		memmove(name, name + 1, n - 1);
	}
	if (!name[0] || host[0] == '-') {
		free(host);
		return fail(e, FAILURE_USAGE, "--host wants [USER@]HOST, not \"%s\"", text);
	}
	command_add(k, strdup("--"));
	command_add(k, host);
	return 0;
}

/* `ssh HOST nsc VERB WORDS...`, with the socket of that host if one was given. */
static int
command_make(const struct client *c, bool terminal, const char *verb, int argc, char *const *argv, struct command *ret,
	     struct error *e)
{
	const char *program = getenv("NSC_SSH");
	struct command k;
	int r = command_new(&k, argc + 12, e);
	if (r < 0)
		return r;

	command_add(&k, strdup(program && *program ? program : "ssh"));
	command_add(&k, strdup(terminal ? "-xt" : "-xT"));
	command_add(&k, strdup("-oConnectTimeout=30"));
	r = command_add_host(&k, c->host, e);
	command_add(&k, strdup("nsc"));
	if (c->socket) {
		command_add(&k, strdup("--socket"));
		command_add(&k, quote(c->socket));
	}
	command_add(&k, strdup(verb));
	for (int i = 0; i < argc; i++)
		command_add(&k, quote(argv[i]));
	if (r == 0 && k.failed)
		r = fail_memory(e);
	if (r < 0)
		command_done(&k);
	else
		*ret = k;
	return r;
}

/* The child between fork and exec. */
_Noreturn static void
become_ssh(struct command *k, int fd)
{
	if (dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
		execvp(k->v[0], k->v);
	_exit(errno == ENOENT ? 127 : 126);
}

int
ssh_bridge(const struct client *c, int *ret_fd, pid_t *ret_pid, struct error *e)
{
	struct command k;
	int fds[2], r = command_make(c, false, "bridge", 0, NULL, &k, e);
	if (r < 0)
		return r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		command_done(&k);
		return fail_errno(e, FAILURE_LOCAL, errno, "cannot make a socket pair");
	}
	pid_t pid = fork();
	if (pid == 0)
		become_ssh(&k, fds[1]);
	int number = errno;
	close(fds[1]);
	command_done(&k);
	if (pid < 0) {
		close(fds[0]);
		return fail_errno(e, FAILURE_LOCAL, number, "cannot start ssh");
	}
	*ret_fd = fds[0];
	*ret_pid = pid;
	return 0;
}

int
ssh_explain(const struct client *c, int status, struct error *e)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == SSH_UNREACHABLE)
		return fail(e, FAILURE_CONNECTION, "ssh cannot reach %s", c->host);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return fail(e, FAILURE_CONNECTION, "there is no ssh here, or no nsc in the PATH of %s", c->host);
	if (WIFEXITED(status) && WEXITSTATUS(status))
		return fail(e, FAILURE_CONNECTION, "nsc bridge on %s ended with status %d", c->host,
			    WEXITSTATUS(status));
	return fail(e, FAILURE_CONNECTION, "%s closed the connection", c->host);
}

int
ssh_exec(const struct client *c, const char *verb, int argc, char *const *argv, struct error *e)
{
	struct command k;
	int r = command_make(c, isatty(STDIN_FILENO) && isatty(STDOUT_FILENO), verb, argc, argv, &k, e);
	if (r < 0)
		return r;

	execvp(k.v[0], k.v);
	r = fail_errno(e, FAILURE_CONNECTION, errno, "cannot run %s", k.v[0]);
	command_done(&k);
	return r;
}
