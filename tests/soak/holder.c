/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that leases are bound to, and that are killed (client.h). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench/samples.h"
#include "client.h"

#define FIRST_KEPT 900 /* descriptors of a child are moved there before the inherited ones are closed */

struct command {
	uint32_t network;
	bool by_connection;
};

static void
add_holder(struct holder *h, pid_t pid, uint64_t id)
{
	*h = (struct holder){ .pid = pid, .id = id, .command = -1, .done = -1 };
	h->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (h->pidfd < 0)
		die(errno, "pidfd_open");
}

void
holder_start(struct client *c)
{
	pid_t pid = fork();
	if (pid < 0)
		die(errno, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close_range(0, ~0u, 0);
		for (;;)
			pause();
	}
	add_holder(&c->holder, pid, client_new_id(c));
}

/* The child's life: commands in, leases out, until it is killed. */
static noreturn void
agent_run(struct client *c, uint64_t id, int command, int done)
{
	struct connection connection = { .fd = -1 };
	struct command next;

	while (read(command, &next, sizeof(next)) == sizeof(next)) {
		struct acquire a = { .network = next.network,
				     .bond = next.by_connection ? BOND_CONNECTION : BOND_PROCESS,
				     .holder = id,
				     .pidfd = -1,
				     .child = true };
		if (connection.fd < 0 && !connection_open(&connection, c->options->socket, id, c->options->patience))
			break;
		enum record_outcome outcome = ask_acquire(c, &connection, &a, &c->shared->agent_lease, NULL);
		if (outcome == OUTCOME_UNKNOWN)
			break;
		char told = outcome == OUTCOME_OK;
		if (write(done, &told, 1) != 1)
			break;
	}
	/* As if killed: what it holds ends with it. */
	log_add(c->log, RECORD_HOLDER_END)->holder = id;
	_exit(0);
}

void
agent_start(struct client *c)
{
	int command[2], done[2];
	uint64_t id = client_new_id(c);

	if (pipe2(command, O_CLOEXEC) < 0 || pipe2(done, O_CLOEXEC) < 0)
		die(errno, "pipe");
	pid_t pid = fork();
	if (pid < 0)
		die(errno, "fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* The client's connections are not the child's to keep open. */
		int in = fcntl(command[0], F_DUPFD_CLOEXEC, FIRST_KEPT),
		    out = fcntl(done[1], F_DUPFD_CLOEXEC, FIRST_KEPT);
		close_range(3, FIRST_KEPT - 1, 0);
		agent_run(c, id, in, out);
	}
	close(command[0]);
	close(done[1]);
	add_holder(&c->agent, pid, id);
	c->agent.command = command[1];
	c->agent.done = done[0];
}

bool
agent_acquire(struct client *c, uint32_t network, bool by_connection, bool wait)
{
	struct command command = { .network = network, .by_connection = by_connection };
	char told = 0;
	if (write(c->agent.command, &command, sizeof(command)) != sizeof(command))
		return false;
	return wait && read(c->agent.done, &told, 1) == 1 && told;
}

void
holder_kill(struct client *c, struct holder *h)
{
	if (h->pid == 0)
		return;
	log_add(c->log, RECORD_HOLDER_END)->holder = h->id;
	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
	close(h->pidfd);
	if (h->command >= 0) {
		close(h->command);
		close(h->done);
	}
	h->pid = 0;
	atomic_fetch_add(&c->progress->holders_killed, 1);
}
