/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Load of slots on nsd's socket. Leases are bound to nothing, so they outlive this program; each is released with its
 * generation, as a careful client does.
 *
 *   slot-client [options] acquire     --count over --connections; with --names, name and generation of each go into that
 *                                     file. With --echo, one connection takes turns with one to another server that
 *                                     answers the same requests: --block of each, and before each block a few requests
 *                                     that are not counted
 *   slot-client [options] release     those of --names; with --echo in turns with a Ping of that server
 *   slot-client [options] churn       each connection acquires and releases for --seconds: without pause, or with --rate as
 *                                     many acquires a second over all connections, each due at its time, whether or not
 *                                     those before were answered
 * Options: --socket PATH, --network NAME, --empty create|fail.
 *
 * Prints {"start":ns,"elapsed":ns,"errors":n,"operations":[ns,...],"others":[ns,...],"pairs":[n,...]}: others are the
 * other server's round trips or, of churn, the releases'; pairs are those completed in each second.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "load.h"
#include "samples.h"

#define REQUEST_SIZE 256
#define UNCOUNTED 10 /* requests before a block */
#define MAX_SECONDS 1000
#define PING "{\"method\":\"io.systemd.service.Ping\"}"

struct options {
	const char *socket, *echo, *network, *names, *empty;
	unsigned long count, connections, block, rate, seconds;
};

struct lease {
	char name[64];
	int64_t generation;
};

enum holder_state { IDLE, ACQUIRING, RELEASING };

struct holder { /* what a connection of the churn is at */
	enum holder_state state;
	struct lease lease;
	uint64_t due;	   /* of its next acquire */
	uint64_t since;	   /* of the request under way */
	uint64_t ended_at; /* of the one before */
};

struct work { /* the context of a load */
	const struct options *options;
	char acquire[REQUEST_SIZE];
	struct lease *leases; /* acquired, or to be released */
	unsigned long n_leases, next;
	uint64_t start, until;
	struct samples others;
	unsigned long pairs[MAX_SECONDS];
	struct holder holders[MAX_CONNECTIONS];
};

static void
format_release(char ret[REQUEST_SIZE], const struct lease *l)
{
	snprintf(ret, REQUEST_SIZE,
		 "{\"method\":\"io.nsd.Manager.ReleaseSlot\",\"parameters\":{\"name\":\"%s\",\"generation\":%" PRId64
		 "}}",
		 l->name, l->generation);
}

static void
parse_lease(struct lease *ret, const char *text, size_t length)
{
	static const char key[] = "\"generation\":";
	const char *generation = memmem(text, length, key, sizeof(key) - 1);
	copy_member(text, length, "name", ret->name, sizeof(ret->name));
	if (!generation)
		die(0, "no generation in %s", text);
	ret->generation = strtoll(generation + sizeof(key) - 1, NULL, 10);
}

static void
work_init(struct work *w, const struct options *o)
{
	*w = (struct work){ .options = o, .leases = calloc(o->count + 1, sizeof(*w->leases)) };
	if (!w->leases)
		die(ENOMEM, "leases");
	int n = snprintf(
		w->acquire, sizeof(w->acquire),
		"{\"method\":\"io.nsd.Manager.AcquireSlot\",\"parameters\":{\"network\":\"%s\",\"bond\":\"nothing\","
		"\"empty\":\"%s\"}}",
		o->network, o->empty);
	if (n < 0 || (size_t)n >= sizeof(w->acquire))
		die(0, "request too long");
}

static void
work_done(struct work *w)
{
	free(w->leases);
	samples_done(&w->others);
}

static void
report(const struct load *l, const struct work *w)
{
	printf("{\"start\":%" PRIu64 ",\"elapsed\":%" PRIu64 ",\"errors\":%lu,", w->start, now_ns() - w->start,
	       l->errors);
	samples_print("operations", &l->operations);
	printf(",");
	samples_print("others", &w->others);
	printf(",\"pairs\":[");
	for (unsigned long i = 0; i < w->options->seconds; i++)
		printf("%s%lu", i > 0 ? "," : "", w->pairs[i]);
	printf("]}\n");
}

/* ---- acquire and release ---- */

static void
keep_lease(struct load *l, struct connection *c UNUSED, const char *text, size_t length)
{
	struct work *w = l->context;
	parse_lease(&w->leases[w->n_leases++], text, length);
}

static bool
send_acquire(struct load *l, struct connection *c)
{
	struct work *w = l->context;
	if (w->next == w->options->count)
		return false;
	w->next++;
	connection_send(c, w->acquire);
	return true;
}

static bool
send_release(struct load *l, struct connection *c)
{
	struct work *w = l->context;
	char text[REQUEST_SIZE];
	if (w->next == w->n_leases)
		return false;
	format_release(text, &w->leases[w->next++]);
	connection_send(c, text);
	return true;
}

static void
call(struct load *l, const char *request, unsigned long times, struct samples *samples)
{
	struct connection *c = &l->connections[0];
	for (unsigned long i = 0; i < times; i++) {
		connection_send(c, request);
		uint64_t at = connection_wait(l, c);
		if (samples)
			samples_add(samples, at - c->sent_at);
	}
}

/* Blocks of the load in turn with blocks of one request to another server, the first requests of each block uncounted: the
 * first after another process had the processor are slower. */
static void
run_in_turns(struct load *l, send_function *send_request, const char *other_request)
{
	struct work *w = l->context;
	struct load other = { 0 };
	struct connection *c = &l->connections[0];
	take_function *take = l->take;
	bool more = true;

	load_open(&other, w->options->echo, 1);
	while (more) {
		l->take = NULL;
		call(l, PING, UNCOUNTED, NULL);
		l->take = take;
		for (unsigned long i = 0; more && i < w->options->block; i++) {
			more = send_request(l, c);
			if (!more)
				break;
			uint64_t at = connection_wait(l, c);
			samples_add(&l->operations, at - c->sent_at);
		}
		call(&other, other_request, UNCOUNTED, NULL);
		call(&other, other_request, w->options->block, &w->others);
	}
	load_close(&other);
}

static void
write_names(const struct work *w)
{
	FILE *f = w->options->names ? fopen(w->options->names, "a") : NULL;
	if (!f && w->options->names)
		die(errno, "%s", w->options->names);
	for (unsigned long i = 0; f && i < w->n_leases; i++)
		fprintf(f, "%s %" PRId64 "\n", w->leases[i].name, w->leases[i].generation);
	if (f && fclose(f) != 0)
		die(errno, "%s", w->options->names);
}

static void
read_names(struct work *w)
{
	FILE *f = fopen(w->options->names ? w->options->names : "", "r");
	struct lease l;
	if (!f)
		die(errno, "--names");
	while (w->n_leases < w->options->count && fscanf(f, "%63s %" SCNd64, l.name, &l.generation) == 2)
		w->leases[w->n_leases++] = l;
	fclose(f);
}

static unsigned long
run(struct load *l, send_function *send_request, const char *other_request)
{
	struct work *w = l->context;
	load_open(l, w->options->socket, w->options->connections);
	w->start = now_ns();
	if (w->options->echo)
		run_in_turns(l, send_request, other_request);
	else
		load_run(l, send_request);
	report(l, w);
	load_close(l);
	return l->errors;
}

static unsigned long
run_acquire(const struct options *o)
{
	static struct work w;
	work_init(&w, o);
	struct load l = { .take = keep_lease, .context = &w };
	unsigned long errors = run(&l, send_acquire, w.acquire);
	write_names(&w);
	work_done(&w);
	return errors;
}

static unsigned long
run_release(const struct options *o)
{
	static struct work w;
	work_init(&w, o);
	read_names(&w);
	struct load l = { .context = &w };
	unsigned long errors = run(&l, send_release, PING);
	work_done(&w);
	return errors;
}

/* ---- churn ---- */

static uint64_t
period(const struct options *o)
{
	return o->rate > 0 ? 1000000000U * o->connections / o->rate : 0;
}

static void
take_churn(struct load *l, struct connection *c, const char *text, size_t length)
{
	struct work *w = l->context;
	struct holder *h = &w->holders[c - l->connections];
	if (h->state == ACQUIRING)
		parse_lease(&h->lease, text, length);
}

/* One that is late because its answer before was late has waited since its time came. */
static void
start_acquire(const struct work *w, struct holder *h, struct connection *c)
{
	bool late = w->options->rate > 0 && h->ended_at > h->due;
	h->state = ACQUIRING;
	h->lease.name[0] = '\0';
	connection_send(c, w->acquire);
	h->since = late ? h->due : c->sent_at;
	h->due += period(w->options);
}

static void
start_release(struct holder *h, struct connection *c)
{
	char text[REQUEST_SIZE];
	format_release(text, &h->lease);
	h->state = RELEASING;
	connection_send(c, text);
	h->since = c->sent_at;
}

static void
answered(struct load *l, struct holder *h, struct connection *c, uint64_t at)
{
	struct work *w = l->context;
	uint64_t second = (at - w->start) / 1000000000U;

	samples_add(h->state == ACQUIRING ? &l->operations : &w->others, at - h->since);
	if (h->state == ACQUIRING && h->lease.name[0]) {
		start_release(h, c);
		return;
	}
	if (h->state == RELEASING && second < w->options->seconds)
		w->pairs[second]++;
	h->state = IDLE;
	h->ended_at = at;
}

/* Starts what is due. Returns when the next is, 0 when nothing is left. */
static uint64_t
start_due(struct load *l)
{
	struct work *w = l->context;
	uint64_t next = 0;
	for (unsigned long i = 0; i < l->n_connections; i++) {
		struct holder *h = &w->holders[i];
		uint64_t now = now_ns();
		if (h->state == IDLE && now < w->until && now >= h->due)
			start_acquire(w, h, &l->connections[i]);
		uint64_t due = h->state == IDLE ? h->due : now + 1000000000U;
		if ((h->state != IDLE || now < w->until) && (next == 0 || due < next))
			next = due;
	}
	return next;
}

static void
wait_for_answers(struct load *l, uint64_t until)
{
	struct work *w = l->context;
	struct pollfd p[MAX_CONNECTIONS];
	uint64_t now = now_ns(), wait = until > now ? until - now : 0, at;
	struct timespec t = { .tv_sec = (time_t)(wait / 1000000000U), .tv_nsec = (long)(wait % 1000000000U) };

	for (unsigned long i = 0; i < l->n_connections; i++)
		p[i] = (struct pollfd){ .fd = l->connections[i].fd, .events = POLLIN };
	if (ppoll(p, l->n_connections, &t, NULL) < 0)
		die(errno, "poll");
	for (unsigned long i = 0; i < l->n_connections; i++)
		if (p[i].revents && connection_read(l, &l->connections[i], &at) > 0)
			answered(l, &w->holders[i], &l->connections[i], at);
}

static unsigned long
run_churn(const struct options *o)
{
	static struct work w;
	struct load l = { .take = take_churn, .context = &w };
	uint64_t next;

	if (o->seconds > MAX_SECONDS)
		die(0, "%d seconds at most", MAX_SECONDS);
	work_init(&w, o);
	load_open(&l, o->socket, o->connections);
	if (o->rate > 0)
		become_realtime();
	w.start = now_ns();
	w.until = w.start + o->seconds * 1000000000U;
	for (unsigned long i = 0; i < o->connections; i++)
		w.holders[i].due = w.start + period(o) * i / o->connections;
	while ((next = start_due(&l)) > 0)
		wait_for_answers(&l, next);
	report(&l, &w);
	load_close(&l);
	work_done(&w);
	return l.errors;
}

static void
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "echo", required_argument, NULL, 'e' },
		{ "network", required_argument, NULL, 'n' },
		{ "names", required_argument, NULL, 'f' },
		{ "empty", required_argument, NULL, 'm' },
		{ "count", required_argument, NULL, 'c' },
		{ "connections", required_argument, NULL, 'k' },
		{ "block", required_argument, NULL, 'b' },
		{ "rate", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 't' },
		{ 0 },
	};
	const char **texts[] = {
		['s'] = &o->socket, ['e'] = &o->echo, ['n'] = &o->network, ['f'] = &o->names, ['m'] = &o->empty,
	};
	unsigned long *numbers[] = {
		['c'] = &o->count, ['k'] = &o->connections, ['b'] = &o->block, ['r'] = &o->rate, ['t'] = &o->seconds,
	};
	int c, index;
	while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (c == '?')
			exit(EXIT_FAILURE);
		if ((size_t)c < ARRAY_SIZE(texts) && texts[c])
			*texts[c] = optarg;
		else
			*numbers[c] = parse_number(optarg, options[index].name);
	}
}

int
main(int argc, char **argv)
{
	struct options o = { .socket = "/run/nsd/io.nsd.Manager",
			     .network = "bench",
			     .empty = "create",
			     .count = 1,
			     .connections = 1,
			     .block = 50,
			     .rate = 0,
			     .seconds = 1 };
	parse_options(argc, argv, &o);
	const char *verb = optind < argc ? argv[optind] : "";

	if (strcmp(verb, "acquire") == 0)
		return run_acquire(&o) > 0;
	if (strcmp(verb, "release") == 0)
		return run_release(&o) > 0;
	if (strcmp(verb, "churn") == 0)
		return run_churn(&o) > 0;
	die(0, "say acquire, release or churn");
}
