/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Load on nsd's socket: speaks Varlink as a careful client would, with nothing of nsd's own code, so that a round trip
 * measured here is what a user gets. Request texts are built before the clock starts.
 *
 *   client [options] create | delete | call METHOD       --count requests over --connections, one under way on each
 *   client [options] storm --seconds S                   creates and deletes until the time is over
 *   client [options] paced METHOD --rate R --seconds S   one request each 1/R s on one connection, whether or not the
 *                                                        answer before has come
 *   client echo                                          a server that answers everything with {}: what the transport
 *                                                        and the scheduler cost alone
 * Options: --socket PATH, --first I (number of the first name), --lifetime runtime|persistent, --more.
 *
 * Prints {"start":ns,"elapsed":ns,"errors":n,"bytes":n,"names":n,"operations":[ns,...]}. An operation lasts from before
 * the write to the last byte of the final answer; "bytes" and "names" are the size and the "name" keys of the last
 * call's answers. The first error is shown on stderr.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "load.h"
#include "samples.h"

#define FIRST_ADDRESS 0x0a400000
#define REQUEST_SIZE 640

enum verb { VERB_CREATE, VERB_DELETE, VERB_CALL };

struct options {
	const char *socket, *lifetime, *method;
	unsigned long first, count, connections, rate, seconds;
	bool more;
};

struct work { /* the context of a load */
	const struct options *options;
	char (*requests)[REQUEST_SIZE];
	unsigned long next, count;
	uint64_t until; /* storm: when to stop */
	unsigned long names;
	size_t bytes;
};

static void
format_address(char ret[16], unsigned long id, unsigned host)
{
	uint32_t a = FIRST_ADDRESS + 4 * (uint32_t)id + host;
	snprintf(ret, 16, "%u.%u.%u.%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
}

static void
format_request(char ret[REQUEST_SIZE], const struct options *o, enum verb verb, unsigned long id)
{
	char here[16], there[16];
	int n;

	format_address(here, id, 1);
	format_address(there, id, 2);
	if (verb == VERB_CREATE)
		n = snprintf(
			ret, REQUEST_SIZE,
			"{\"method\":\"io.nsd.Manager.CreateNamespace\",\"parameters\":{\"name\":\"n%lu\","
			"\"lifetime\":\"%s\",\"links\":[{\"ends\":[{\"interface\":\"nh%lu\",\"addresses\":[\"%s/30\"]},"
			"{\"namespace\":\"n%lu\",\"interface\":\"eth0\",\"addresses\":[\"%s/30\"],"
			"\"routes\":[{\"destination\":\"default\",\"gateway\":\"%s\"}]}]}]}}",
			id, o->lifetime, id, here, id, there, here);
	else if (verb == VERB_DELETE)
		n = snprintf(ret, REQUEST_SIZE,
			     "{\"method\":\"io.nsd.Manager.DeleteNamespace\",\"parameters\":{\"name\":\"n%lu\"}}", id);
	else
		n = snprintf(ret, REQUEST_SIZE, "{\"method\":\"%s\"%s}", o->method, o->more ? ",\"more\":true" : "");
	if (n < 0 || n >= REQUEST_SIZE)
		die(0, "request too long");
}

/* Counts the bytes of the call's answers, and the "name" keys in them. */
static void
count(struct load *l, struct connection *c UNUSED, const char *text, size_t length)
{
	static const char key[] = "\"name\":";
	struct work *w = l->context;
	w->bytes += length + 1;
	for (const char *p = text; (p = memmem(p, length - (size_t)(p - text), key, sizeof(key) - 1));
	     p += sizeof(key) - 1)
		w->names++;
}

/* Sends the next request of the load; false when there is none left. */
static bool
send_next(struct load *l, struct connection *c)
{
	struct work *w = l->context;
	if (w->next == w->count)
		return false;
	w->names = 0;
	w->bytes = 0;
	connection_send(c, w->requests[w->next++]);
	return true;
}

/* Storm: each connection makes one and deletes it, in turn; names are never used twice. */
static bool
send_storm(struct load *l, struct connection *c)
{
	struct work *w = l->context;
	char text[REQUEST_SIZE];
	bool make = c->id == 0;
	if (make && now_ns() >= w->until)
		return false;
	if (make)
		c->id = w->options->first + w->next++;
	format_request(text, w->options, make ? VERB_CREATE : VERB_DELETE, c->id);
	if (!make)
		c->id = 0;
	connection_send(c, text);
	return true;
}

static void
report(const struct load *l, uint64_t start)
{
	const struct work *w = l->context;
	printf("{\"start\":%" PRIu64 ",\"elapsed\":%" PRIu64 ",\"errors\":%lu,\"bytes\":%zu,\"names\":%lu,", start,
	       now_ns() - start, l->errors, w->bytes, w->names);
	samples_print("operations", &l->operations);
	printf("}\n");
}

static unsigned long
run(struct work *w, send_function *send_request)
{
	struct load l = { .take = count, .context = w };
	load_open(&l, w->options->socket, w->options->connections);
	uint64_t start = now_ns();
	w->until = start + w->options->seconds * 1000000000U;
	load_run(&l, send_request);
	report(&l, start);
	load_close(&l);
	return l.errors;
}

static unsigned long
run_requests(const struct options *o, enum verb verb)
{
	struct work w = { .options = o, .count = o->count, .requests = calloc(o->count, REQUEST_SIZE) };
	if (!w.requests)
		die(ENOMEM, "requests");
	for (unsigned long i = 0; i < o->count; i++)
		format_request(w.requests[i], o, verb, o->first + i);
	unsigned long errors = run(&w, send_next);
	free(w.requests);
	return errors;
}

static unsigned long
run_storm(const struct options *o)
{
	struct work w = { .options = o };
	return run(&w, send_storm);
}

static unsigned long
run_paced(const struct options *o)
{
	struct work w = { .options = o };
	struct load l = { .take = count, .context = &w };
	struct connection *c = &l.connections[0];
	unsigned long total = o->rate * o->seconds, sent = 0, done = 0;
	uint64_t *sent_at = calloc(total, sizeof(*sent_at)), period = 1000000000U / o->rate, at;
	char text[REQUEST_SIZE];

	if (!sent_at)
		die(ENOMEM, "paced");
	load_open(&l, o->socket, 1);
	format_request(text, o, VERB_CALL, 0);
	become_realtime();
	uint64_t start = now_ns();
	while (done < total) {
		uint64_t now = now_ns(), due = sent < total ? start + sent * period : now + 1000000000U;
		if (now >= due) {
			connection_send(c, text);
			sent_at[sent++] = c->sent_at;
			continue;
		}
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		struct timespec wait = { .tv_sec = (time_t)((due - now) / 1000000000U),
					 .tv_nsec = (long)((due - now) % 1000000000U) };
		if (ppoll(&p, 1, &wait, NULL) <= 0)
			continue;
		for (unsigned ended = connection_read(&l, c, &at); ended > 0; ended--)
			samples_add(&l.operations, at - sent_at[done++]);
	}
	report(&l, start);
	load_close(&l);
	free(sent_at);
	return l.errors;
}

/* Answers each message with an empty reply, one peer at a time, until killed. */
static noreturn void
run_echo(const struct options *o)
{
	static const char reply[] = "{\"parameters\":{}}";
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char data[4096];
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", o->socket);
	unlink(o->socket);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(listener, 8) < 0)
		die(errno, "%s", o->socket);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		ssize_t n;
		while (fd >= 0 && (n = recv(fd, data, sizeof(data), 0)) > 0)
			for (ssize_t i = 0; i < n; i++)
				if (data[i] == '\0' && send(fd, reply, sizeof(reply), MSG_NOSIGNAL) < 0)
					die(errno, "send");
		close(fd);
	}
}

static void
parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "first", required_argument, NULL, 'f' },
		{ "count", required_argument, NULL, 'n' },
		{ "connections", required_argument, NULL, 'c' },
		{ "rate", required_argument, NULL, 'r' },
		{ "lifetime", required_argument, NULL, 'l' },
		{ "seconds", required_argument, NULL, 't' },
		{ "more", no_argument, NULL, 'm' },
		{ 0 },
	};
	int c;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			o->socket = optarg;
			break;
		case 'l':
			o->lifetime = optarg;
			break;
		case 'm':
			o->more = true;
			break;
		case 'f':
			o->first = parse_number(optarg, "--first");
			break;
		case 'n':
			o->count = parse_number(optarg, "--count");
			break;
		case 'c':
			o->connections = parse_number(optarg, "--connections");
			break;
		case 'r':
			o->rate = parse_number(optarg, "--rate");
			break;
		case 't':
			o->seconds = parse_number(optarg, "--seconds");
			break;
		default:
			exit(EXIT_FAILURE);
		}
	}
}

int
main(int argc, char **argv)
{
	struct options o = { .socket = "/run/nsd/io.nsd.Manager",
			     .lifetime = "runtime",
			     .first = 1,
			     .count = 1,
			     .connections = 1,
			     .rate = 1000,
			     .seconds = 1 };
	parse_options(argc, argv, &o);
	const char *verb = optind < argc ? argv[optind] : "";
	o.method = optind + 1 < argc ? argv[optind + 1] : "io.systemd.service.Ping";

	if (strcmp(verb, "create") == 0)
		return run_requests(&o, VERB_CREATE) > 0;
	if (strcmp(verb, "delete") == 0)
		return run_requests(&o, VERB_DELETE) > 0;
	if (strcmp(verb, "call") == 0)
		return run_requests(&o, VERB_CALL) > 0;
	if (strcmp(verb, "storm") == 0)
		return run_storm(&o) > 0;
	if (strcmp(verb, "paced") == 0)
		return run_paced(&o) > 0;
	if (strcmp(verb, "echo") == 0)
		run_echo(&o);
	die(0, "say create, delete, call METHOD, storm, paced METHOD or echo");
}
