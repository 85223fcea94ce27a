/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soak-clients: many clients that acquire and release slots, each a process of its own with a log of all it asked and was
 * told (record.h), until so many operations or seconds are over.
 *
 *   soak-clients --socket PATH --directory LOGS --network NAME... [--clients N] [--operations N] [--seconds S] [--seed N]
 *
 * Prints "operations N" now and then, and at the end a JSON object with what else it did. Status 1 when a client failed.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../bench/samples.h"
#include "client.h"

#define ROOM_BESIDE_OPERATIONS 200000
#define REPORT_NS 200000000

uint64_t
client_new_id(struct client *c)
{
	return (uint64_t)(c->number + 1) << 32 | ++c->shared->next_id;
}

unsigned
client_random(struct client *c, unsigned n)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	return (unsigned)((c->random >> 16) % n);
}

static void *
share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		die(errno, "mmap");
	return p;
}

static noreturn void
run_client(const struct options *o, struct progress *progress, unsigned number)
{
	char file[4096];
	struct client c = { .options = o,
			    .progress = progress,
			    .number = number,
			    .random = (o->seed + number + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1 };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(file, sizeof(file), "%s/client-%u", o->directory, number);
	c.log = log_create(file, o->operations + ROOM_BESIDE_OPERATIONS);
	c.shared = share(sizeof(*c.shared));
	c.own_id = client_new_id(&c);
	walk(&c);
	exit(EXIT_SUCCESS);
}

/* Waits for a client to end; false when it failed. */
static bool
reap(int flags, unsigned *running)
{
	int status;
	pid_t pid = waitpid(-1, &status, flags);
	if (pid <= 0)
		return true;
	--*running;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	fprintf(stderr, "soak-clients: client %d ended with status %#x\n", (int)pid, (unsigned)status);
	return false;
}

static bool
supervise(const struct options *o, struct progress *p, unsigned running)
{
	uint64_t end = now_ns() + o->seconds * UINT64_C(1000000000);
	bool good = true;

	while (good && running > 0 && now_ns() < end && atomic_load(&p->operations) < o->operations) {
		nanosleep(&(struct timespec){ .tv_nsec = REPORT_NS }, NULL);
		printf("operations %" PRIu64 "\n", atomic_load(&p->operations));
		fflush(stdout);
		good = reap(WNOHANG, &running);
	}
	printf("ending\n");
	fflush(stdout);
	atomic_store(&p->stop, true);
	while (running > 0)
		good &= reap(0, &running);
	return good;
}

static void
report(const struct options *o, const struct progress *p)
{
	static const char *const names[N_PINS] = { "descriptor", "socket", "descriptor in flight", "process",
						   "without privileges" };
	printf("{\"clients\":%u,\"operations\":%" PRIu64 ",\"holdersKilled\":%" PRIu64 ",\"unanswered\":%" PRIu64
	       ",\"pins\":{",
	       o->clients, p->operations, p->holders_killed, p->unanswered);
	for (unsigned i = 0; i < N_PINS; i++)
		printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", names[i], p->pins[i]);
	printf("}}\n");
}

static void
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },	{ "directory", required_argument, NULL, 'd' },
		{ "network", required_argument, NULL, 'n' },	{ "clients", required_argument, NULL, 'c' },
		{ "operations", required_argument, NULL, 'o' }, { "seconds", required_argument, NULL, 't' },
		{ "seed", required_argument, NULL, 'r' },	{ 0 },
	};
	int c;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'd':
			o->directory = optarg;
			break;
		case 'n':
			if (o->n_networks == N_NETWORKS_MAX)
				die(0, "%d networks at most", N_NETWORKS_MAX);
			o->networks[o->n_networks++] = optarg;
			break;
		case 'c':
			o->clients = (unsigned)parse_number(optarg, "--clients");
			break;
		case 'o':
			o->operations = parse_number(optarg, "--operations");
			break;
		case 't':
			o->seconds = (unsigned)parse_number(optarg, "--seconds");
			break;
		case 'r':
			o->seed = parse_number(optarg, "--seed");
			break;
		default:
			exit(EXIT_FAILURE);
		}
	}
	if (!o->directory || o->n_networks == 0)
		die(0, "say --directory and --network");
}

int
main(int argc, char **argv)
{
	struct options o = { .socket = "/run/nsd/io.nsd.Manager",
			     .clients = 32,
			     .operations = 20000,
			     .seconds = 3600,
			     .patience = 30,
			     .seed = 1 };
	parse_options(argc, argv, &o);
	signal(SIGPIPE, SIG_IGN);

	struct progress *p = share(sizeof(*p));
	for (unsigned i = 0; i < o.clients; i++) {
		pid_t pid = fork();
		if (pid < 0)
			die(errno, "fork");
		if (pid == 0)
			run_client(&o, p, i);
	}
	bool good = supervise(&o, p, o.clients);
	report(&o, p);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
