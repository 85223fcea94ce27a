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
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "samples.h"

#define FIRST_ADDRESS 0x0a400000
#define REQUEST_SIZE 640
#define READ_SIZE (256 * 1024)
#define MAX_CONNECTIONS 64

enum verb { VERB_CREATE, VERB_DELETE, VERB_CALL };

struct options {
	const char *socket, *lifetime, *method;
	unsigned long first, count, connections, rate, seconds;
	bool more;
};

struct connection {
	int fd;
	char *data;
	size_t used, size;
	uint64_t sent_at;
	unsigned long id; /* storm: what this connection made last */
};

struct load {
	const struct options *options;
	struct connection connections[MAX_CONNECTIONS];
	char (*requests)[REQUEST_SIZE];
	unsigned long next, count;
	uint64_t until; /* storm: when to stop */
	struct samples operations;
	unsigned long errors, names;
	size_t bytes;
	bool error_shown;
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

static int
connect_or_die(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a.sun_path))
		die(0, "%s: too long", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(errno, "%s", path);
	return fd;
}

static void
connection_open(struct connection *c, const char *path)
{
	*c = (struct connection){ .fd = connect_or_die(path), .data = malloc(READ_SIZE), .size = READ_SIZE };
	if (!c->data)
		die(ENOMEM, "connection");
}

static void
connection_close(struct connection *c)
{
	close(c->fd);
	free(c->data);
}

/* Sends a text with its NUL. Requests are far smaller than a socket buffer: a short write means a broken peer. */
static void
connection_send(struct connection *c, const char *text)
{
	size_t n = strlen(text) + 1;
	c->sent_at = now_ns();
	if (send(c->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		die(errno, "send");
}

static bool
contains(const char *text, size_t length, const char *needle)
{
	return memmem(text, length, needle, strlen(needle)) != NULL;
}

static unsigned long
count_names(const char *text, size_t length)
{
	static const char key[] = "\"name\":";
	unsigned long n = 0;
	for (const char *p = text; (p = memmem(p, length - (size_t)(p - text), key, sizeof(key) - 1));
	     p += sizeof(key) - 1)
		n++;
	return n;
}

/* Looks at one message; true if it ends the call. */
static bool
take_message(struct load *l, const char *text, size_t length)
{
	l->bytes += length + 1;
	l->names += count_names(text, length);
	if (contains(text, length, "\"error\":\"")) {
		l->errors++;
		if (!l->error_shown)
			fprintf(stderr, "client: %s\n", text);
		l->error_shown = true;
		return true;
	}
	return !contains(text, length, "\"continues\":true");
}

/* Reads what is there; returns the number of calls that ended, and the time the last byte was in in *at. */
static unsigned
connection_read(struct load *l, struct connection *c, uint64_t *at)
{
	unsigned ended = 0;
	if (c->used == c->size) {
		c->data = realloc(c->data, c->size *= 2);
		if (!c->data)
			die(ENOMEM, "connection");
	}
	ssize_t n = recv(c->fd, c->data + c->used, c->size - c->used, 0);
	*at = now_ns();
	if (n <= 0)
		die(n < 0 ? errno : 0, "the daemon closed the connection");
	c->used += (size_t)n;

	char *start = c->data, *end = c->data + c->used, *nul;
	for (; (nul = memchr(start, '\0', (size_t)(end - start))); start = nul + 1)
		ended += take_message(l, start, (size_t)(nul - start));
	c->used = (size_t)(end - start);
	memmove(c->data, start, c->used);
	return ended;
}

/* Sends the next request of the load; false when there is none left. */
static bool
send_next(struct load *l, struct connection *c)
{
	if (l->next == l->count)
		return false;
	l->names = 0;
	l->bytes = 0;
	connection_send(c, l->requests[l->next++]);
	return true;
}

/* Storm: each connection makes one and deletes it, in turn; names are never used twice. */
static bool
send_storm(struct load *l, struct connection *c)
{
	char text[REQUEST_SIZE];
	bool make = c->id == 0;
	if (make && now_ns() >= l->until)
		return false;
	if (make)
		c->id = l->options->first + l->next++;
	format_request(text, l->options, make ? VERB_CREATE : VERB_DELETE, c->id);
	if (!make)
		c->id = 0;
	connection_send(c, text);
	return true;
}

typedef bool send_function(struct load *l, struct connection *c);

/* One connection alone is read blocking, as a simple client does. */
static void
run_single(struct load *l, send_function *send_request)
{
	struct connection *c = &l->connections[0];
	uint64_t at;
	while (send_request(l, c)) {
		while (connection_read(l, c, &at) == 0)
			;
		samples_add(&l->operations, at - c->sent_at);
	}
}

static void
run_many(struct load *l, send_function *send_request)
{
	struct epoll_event events[MAX_CONNECTIONS];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	unsigned busy = 0;
	uint64_t at;

	for (unsigned long i = 0; i < l->options->connections; i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = &l->connections[i] };
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, l->connections[i].fd, &e) < 0)
			die(errno, "epoll");
		busy += send_request(l, &l->connections[i]);
	}
	while (busy > 0) {
		int n = epoll_wait(epoll, events, MAX_CONNECTIONS, -1);
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;
			if (connection_read(l, c, &at) == 0)
				continue;
			samples_add(&l->operations, at - c->sent_at);
			busy -= !send_request(l, c);
		}
	}
	close(epoll);
}

static void
load_report(const struct load *l, uint64_t start)
{
	printf("{\"start\":%" PRIu64 ",\"elapsed\":%" PRIu64 ",\"errors\":%lu,\"bytes\":%zu,\"names\":%lu,", start,
	       now_ns() - start, l->errors, l->bytes, l->names);
	samples_print("operations", &l->operations);
	printf("}\n");
}

static void
load_run(struct load *l, send_function *send_request)
{
	const struct options *o = l->options;
	if (o->connections < 1 || o->connections > MAX_CONNECTIONS)
		die(0, "1 to %d connections", MAX_CONNECTIONS);
	for (unsigned long i = 0; i < o->connections; i++)
		connection_open(&l->connections[i], o->socket);

	uint64_t start = now_ns();
	l->until = start + o->seconds * 1000000000U;
	if (o->connections == 1)
		run_single(l, send_request);
	else
		run_many(l, send_request);
	load_report(l, start);
	for (unsigned long i = 0; i < o->connections; i++)
		connection_close(&l->connections[i]);
	samples_done(&l->operations);
}

static unsigned long
run_requests(const struct options *o, enum verb verb)
{
	struct load l = { .options = o, .count = o->count, .requests = calloc(o->count, REQUEST_SIZE) };
	if (!l.requests)
		die(ENOMEM, "requests");
	for (unsigned long i = 0; i < o->count; i++)
		format_request(l.requests[i], o, verb, o->first + i);
	load_run(&l, send_next);
	free(l.requests);
	return l.errors;
}

static unsigned long
run_storm(const struct options *o)
{
	struct load l = { .options = o };
	load_run(&l, send_storm);
	return l.errors;
}

/* The measured delay must be the daemon's, not that of this process waiting for a core. */
static bool
become_realtime(void)
{
	struct sched_param p = { .sched_priority = 1 };
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	return sched_setscheduler(0, SCHED_FIFO, &p) == 0;
}

static unsigned long
run_paced(const struct options *o)
{
	struct load l = { .options = o };
	struct connection *c = &l.connections[0];
	unsigned long total = o->rate * o->seconds, sent = 0, done = 0;
	uint64_t *sent_at = calloc(total, sizeof(*sent_at)), period = 1000000000U / o->rate, at;
	char text[REQUEST_SIZE];

	if (!sent_at)
		die(ENOMEM, "paced");
	connection_open(c, o->socket);
	format_request(text, o, VERB_CALL, 0);
	if (!become_realtime())
		fprintf(stderr, "client: no realtime priority: its own waits for a core are measured too\n");
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
	load_report(&l, start);
	connection_close(c);
	samples_done(&l.operations);
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
