/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nsc slot exec, run: commands in slots.
 *
 * Theory of operation of `slot run`: the lease is bound to nsc's own connection, so whatever ends nsc ends the lease. nsc
 * stays beside the command, passes signals on, and gives the slot back when the command has ended. A signal of the terminal
 * reaches the command by itself, so only those that a process has sent are passed on. When nsd restarts the connection
 * breaks, and the lease goes on for a while in which it can be taken up again: nsc connects anew and renews it, which binds
 * it to the new connection. The command gets SIGTERM if nsc dies before it, for its network is gone then.
 */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "become.h"
#include "call.h"
#include "enter.h"
#include "failure.h"
#include "json.h"
#include "lease.h"
#include "member.h"
#include "model-network.h"
#include "print.h"
#include "ssh.h"
#include "verb.h"

#define RESUME_EVERY 250 /* milliseconds between two tries to reach nsd again */
#define RESUME_TIMEOUT 2 /* seconds that one of them may take */
#define RESOLVER_SIZE 1024

static const int passed_on[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

/* "nameserver ADDRESS" lines of the slot; false if it has none. An address that is none cannot add lines of its own. */
static bool
resolver_text(struct json_object *slot, char ret[RESOLVER_SIZE])
{
	size_t n = 0;

	for (size_t i = 0; i < member_count(slot, "dns") && n < RESOLVER_SIZE - 80; i++) {
		const char *address = member_text(member_item(slot, "dns", i));
		if (strspn(address, "0123456789abcdefABCDEF.:") == strlen(address))
			n += (size_t)snprintf(ret + n, RESOLVER_SIZE - n, "nameserver %.60s\n", address);
	}
	return n > 0;
}

/* `fd`: the slot's namespace. */
static int
enter_slot(struct json_object *slot, int fd, struct error *e)
{
	const char *ns = member_string(slot, "namespace");
	char resolver[RESOLVER_SIZE];
	int r = enter_namespace(fd, member_string(slot, "name"), e);
	if (r < 0)
		return r;

	if (resolver_text(slot, resolver))
		enter_resolver(resolver);
	if (ns[0] && !strchr(ns, '/'))
		enter_etc(ns);
	return 0;
}

static int
run_exec(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *parameters = NULL, *reply = NULL;
	CLEANUP(close_fd) int fd = -1;

	if (c->host)
		return ssh_exec(c, "slot exec", a->n, a->v, e);
	if (slot_name_check(a->v[0], e) < 0)
		return fail_wrap(e, FAILURE_USAGE, a->v[0]);
	int r = member_new(&parameters, e);
	if (r == 0)
		r = member_put_string(parameters, "name", a->v[0], e);
	if (r == 0)
		r = call_send(c, "OpenSlot", parameters, 0, -1, e);
	if (r == 0)
		r = enter_prepare(e);
	if (r == 0)
		r = call_receive_fd(c, &reply, &fd, e);
	if (r == 0)
		r = enter_slot(member_get(reply, "slot"), fd, e);
	return r < 0 ? r : become(a->v + 1, e);
}

/* Reads the words before the command; *command is the first word of that. */
static int
parse_words(const struct arguments *a, struct json_object *parameters, char ***command, struct error *e)
{
	struct cursor cursor = { .argv = a->v, .argc = a->n, .at = 1 };
	struct json_object *targets[] = { parameters };
	int r = words_parse(lease_words, &cursor, targets, e);

	if (r == 0)
		r = lease_complete(parameters, a->v[0], e);
	if (r < 0)
		return r;
	*command = a->v + cursor.at;
	if (**command && ***command == '-' && strcmp(**command, "--") != 0)
		return words_unknown(lease_words, **command, e);
	return 0;
}

static int
acquire(struct client *c, struct json_object *parameters, struct json_object **ret, int *fd, struct error *e)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	int r = member_put_string(parameters, "bond", "connection", e);
	if (r == 0)
		r = member_put_bool(parameters, "open", true, e);
	if (r == 0)
		r = call_send(c, "AcquireSlot", parameters, 0, -1, e);
	if (r == 0)
		r = call_receive_fd(c, &reply, fd, e);
	if (r == 0)
		*ret = json_object_get(member_get(reply, "slot"));
	return r;
}

/* A command at work in a slot. */
struct job {
	struct client *client;
	struct json_object *slot;
	pid_t pid;
	int signals;  /* signalfd */
	bool unbound; /* the connection that the lease was bound to is gone */
	bool lost;    /* and so is the lease */
};

/* The child between fork and exec: nsc is its parent as long as that lives. */
_Noreturn static void
become_inside(struct json_object *slot, int fd, char **command, const sigset_t *mask, pid_t parent)
{
	struct error e = { 0 };
	int r = 0;

	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || sigprocmask(SIG_SETMASK, mask, NULL) < 0)
		r = fail_errno(&e, FAILURE_LOCAL, errno, "cannot start the command");
	if (getppid() != parent)
		_exit(EXEC_FAILED);
	if (r == 0)
		r = enter_prepare(&e);
	if (r == 0)
		r = enter_slot(slot, fd, &e);
	if (r == 0)
		become(command, &e);
	print_error(&e);
	int status = failure_status(&e);
	_exit(status < EXEC_FAILED ? EXEC_FAILED : status);
}

/* Starts the command, with the signals that nsc wants to see held back in nsc from before. */
static int
start(struct job *j, int fd, char **command, struct error *e)
{
	sigset_t mask, before;
	pid_t parent = getpid();

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&mask, passed_on[i]);
	if (sigprocmask(SIG_BLOCK, &mask, &before) < 0 ||
	    (j->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return fail_errno(e, FAILURE_LOCAL, errno, "cannot watch signals");
	j->pid = fork();
	if (j->pid == 0)
		become_inside(j->slot, fd, command, &before, parent);
	return j->pid < 0 ? fail_errno(e, FAILURE_LOCAL, errno, "cannot start the command") : 0;
}

/* Passes on what processes have sent. */
static void
pass_signals(const struct job *j)
{
	struct signalfd_siginfo s;

	while (read(j->signals, &s, sizeof(s)) == (ssize_t)sizeof(s))
		if (s.ssi_signo != SIGCHLD && s.ssi_code <= 0 && s.ssi_pid != (uint32_t)j->pid)
			kill(j->pid, (int)s.ssi_signo);
}

/* "SLOT of generation N" as parameters. */
static int
lease_parameters(struct json_object *slot, struct json_object **ret, struct error *e)
{
	int r = member_new(ret, e);

	if (r == 0)
		r = member_put_string(*ret, "name", member_string(slot, "name"), e);
	return r < 0 ? r : member_put_int(*ret, "generation", member_int(slot, "generation", 0), e);
}

/* Binds the lease to a new connection, unless nsd is not there yet. */
static void
resume(struct job *j)
{
	CLEANUP(json_put) struct json_object *parameters = NULL;
	struct error e = { 0 };
	int timeout = j->client->timeout, r = lease_parameters(j->slot, &parameters, &e);

	call_disconnect(j->client);
	j->client->timeout = RESUME_TIMEOUT;
	if (r == 0)
		r = call(j->client, "RenewSlot", parameters, 0, NULL, &e);
	j->client->timeout = timeout;
	j->unbound = r < 0;
	if (r < 0)
		call_disconnect(j->client);
	if (r < 0 && !failure_is_fatal(&e) && e.code != ERROR_SHUTTING_DOWN) {
		j->lost = true;
		print_warning("the lease of %s has ended: %s", member_string(j->slot, "name"), e.text);
	}
}

/* Waits for the end of the command, whose wait status *ret is. */
static int
attend(struct job *j, int *ret, struct error *e)
{
	for (;;) {
		struct pollfd p[] = { { .fd = j->signals, .events = POLLIN },
				      { .fd = j->unbound ? -1 : call_socket(j->client), .events = POLLIN } };
		bool resuming = j->unbound && !j->lost;
		if (poll(p, 2, resuming ? RESUME_EVERY : -1) < 0 && errno != EINTR)
			return fail_errno(e, FAILURE_LOCAL, errno, "poll");
		pass_signals(j);
		pid_t ended = waitpid(j->pid, ret, WNOHANG);
		if (ended == j->pid)
			return 0;
		if (ended < 0 && errno != EINTR)
			return fail_errno(e, FAILURE_LOCAL, errno, "cannot wait for the command");
		if (resuming || (!j->unbound && p[1].revents)) /* nobody was asked anything: nsd is gone */
			resume(j);
	}
}

/* nsd ends the lease with the connection, if it does not hear of this. */
static void
release(struct job *j)
{
	CLEANUP(json_put) struct json_object *parameters = NULL;
	struct error e = { 0 };

	if (j->lost)
		return;
	int r = lease_parameters(j->slot, &parameters, &e);
	if (r == 0)
		r = call(j->client, "ReleaseSlot", parameters, 0, NULL, &e);
	if (r < 0)
		print_warning("%s ends with the connection, it could not be released: %s",
			      member_string(j->slot, "name"), e.text);
}

static int
run_run(struct client *c, const struct arguments *a, struct error *e)
{
	CLEANUP(json_put) struct json_object *parameters = NULL, *slot = NULL;
	CLEANUP(close_fd) int fd = -1;
	char **command = NULL;
	int status = 0;

	if (c->host)
		return ssh_exec(c, "slot run", a->n, a->v, e);
	int r = member_new(&parameters, e);
	if (r == 0)
		r = parse_words(a, parameters, &command, e);
	if (r == 0)
		r = acquire(c, parameters, &slot, &fd, e);
	if (r < 0)
		return r;
	struct job job = { .client = c, .slot = slot, .signals = -1 };
	r = start(&job, fd, command, e);
	close(TAKE_FD(fd)); /* it would keep the slot from going */
	if (r == 0)
		r = attend(&job, &status, e);
	release(&job);
	if (job.signals >= 0)
		close(job.signals);
	if (r == 0)
		c->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return r;
}

/* clang-format off */
const struct verb slot_run_verbs[] = {
	{ .name = "slot exec", .arguments = "SLOT [COMMAND [ARGUMENT...]]", .help = "run a command in a slot, or a shell",
	  .min = 1, .max = -1, .flags = VERB_RAW | VERB_COMMAND | VERB_EXEC, .nouns = { NOUN_SLOT, NOUN_COMMAND },
	  .run = run_exec,
	  .text = "As \"nsc exec\", for a slot that you hold: /etc/resolv.conf names the name servers of its network, and if it\n"
		  "was acquired with --netns NAME the files in /etc/netns/NAME/ stand over their namesakes.\n" },
	{ .name = "slot run", .arguments = "NETWORK [WORD...] [--] [COMMAND [ARGUMENT...]]",
	  .help = "take a slot, run a command in it, give it back", .min = 1, .max = -1,
	  .flags = VERB_RAW | VERB_COMMAND | VERB_EXEC, .words = lease_words, .nouns = { NOUN_NETWORK, NOUN_COMMAND },
	  .run = run_run,
	  .text = "The slot is held as long as the command runs, and not longer, however nsc or the command end. Signals sent to\n"
		  "nsc reach the command. The exit status is the command's, or 128 and the number of the signal that ended it.\n"
		  "Options of nsc go before NETWORK.\n\n"
		  "The exit status is 125 when nsc fails before the command starts, 126 when the command cannot be executed,\n"
		  "127 when it is not found.\n" },
	{ 0 },
};
/* clang-format on */
