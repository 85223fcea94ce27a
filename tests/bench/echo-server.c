/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A server that knows nothing, over the libraries that nsd uses: libevent waits, json-c parses each request and builds each
 * answer. What a request costs that is asked of a daemon like nsd, before it does anything.
 *
 *   echo-server --socket PATH [--reply FILE]
 *
 * FILE holds the answer, a JSON object; it is built anew for each request, value by value. Requests for another method
 * than AcquireSlot get an empty answer. Runs until it is killed.
 */
#include "config.h"

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "samples.h"

#define READ_SIZE 4096
#define DEFAULT_REPLY                                                                                        \
	"{\"parameters\":{\"slot\":{\"name\":\"bench.1234\",\"network\":\"bench\",\"state\":\"leased\","     \
	"\"generation\":1234567,\"path\":\"/run/nsd/slots/bench.1234\",\"interface\":\"eth0\","              \
	"\"mac\":\"02:02:0a:c8:09:a4\",\"addresses\":[\"10.200.9.165/31\"],\"gateways\":[\"10.200.9.164\"]," \
	"\"address4\":\"10.200.9.165\",\"mtu\":1500,\"cookie\":4711,\"owner\":0,\"bond\":\"nothing\","       \
	"\"since\":1795545600},\"created\":true}}"

struct server {
	struct event_base *base;
	struct json_object *reply;
};

struct client {
	const struct server *server;
	struct event *event;
	char data[READ_SIZE];
	size_t used;
};

static struct json_object *build(struct json_object *model);

static struct json_object *
build_object(struct json_object *model)
{
	struct json_object *o = json_object_new_object();
	struct json_object_iterator i = json_object_iter_begin(model), end = json_object_iter_end(model);
	for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i))
		json_object_object_add(o, json_object_iter_peek_name(&i), build(json_object_iter_peek_value(&i)));
	return o;
}

static struct json_object *
build_array(struct json_object *model)
{
	struct json_object *a = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(model); i++)
		json_object_array_add(a, build(json_object_array_get_idx(model, i)));
	return a;
}

static struct json_object *
build(struct json_object *model)
{
	switch (json_object_get_type(model)) {
	case json_type_object:
		return build_object(model);
	case json_type_array:
		return build_array(model);
	case json_type_string:
		return json_object_new_string(json_object_get_string(model));
	case json_type_boolean:
		return json_object_new_boolean(json_object_get_boolean(model));
	case json_type_int:
		return json_object_new_int64(json_object_get_int64(model));
	default:
		return NULL;
	}
}

static void
answer(const struct client *c, int fd, const char *text)
{
	struct json_object *request = json_tokener_parse(text), *method;
	if (!request || !json_object_object_get_ex(request, "method", &method))
		die(0, "not a request: %s", text);
	struct json_object *reply = strstr(json_object_get_string(method), "AcquireSlot") ? build(c->server->reply) :
											    json_object_new_object();
	size_t length;
	const char *bytes = json_object_to_json_string_length(reply, JSON_C_TO_STRING_PLAIN, &length);
	if (send(fd, bytes, length + 1, MSG_NOSIGNAL) != (ssize_t)length + 1)
		die(errno, "send");
	json_object_put(reply);
	json_object_put(request);
}

static void
on_readable(evutil_socket_t fd, short what UNUSED, void *arg)
{
	struct client *c = arg;
	ssize_t n = recv(fd, c->data + c->used, sizeof(c->data) - c->used, 0);
	if (n <= 0) {
		event_free(c->event);
		close(fd);
		free(c);
		return;
	}
	c->used += (size_t)n;
	char *start = c->data, *end = c->data + c->used, *nul;
	for (; (nul = memchr(start, '\0', (size_t)(end - start))); start = nul + 1)
		answer(c, fd, start);
	c->used = (size_t)(end - start);
	memmove(c->data, start, c->used);
}

static void
on_connect(evutil_socket_t listener, short what UNUSED, void *arg)
{
	struct server *s = arg;
	struct client *c = calloc(1, sizeof(*c));
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!c || fd < 0)
		die(errno, "accept");
	c->server = s;
	c->event = event_new(s->base, fd, EV_READ | EV_PERSIST, on_readable, c);
	if (!c->event || event_add(c->event, NULL) < 0)
		die(0, "cannot wait for a client");
}

static int
listen_or_die(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 64) < 0)
		die(errno, "%s", path);
	return fd;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "reply", required_argument, NULL, 'r' },
		{ 0 },
	};
	const char *path = "/run/echo", *file = NULL;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			path = optarg;
		else if (c == 'r')
			file = optarg;
		else
			return EXIT_FAILURE;
	}
	struct server s = { .base = event_base_new(),
			    .reply = file ? json_object_from_file(file) : json_tokener_parse(DEFAULT_REPLY) };
	if (!s.base || !s.reply)
		die(0, "no event loop, or no JSON object in %s", file ? file : "the default reply");
	struct event *accept_event = event_new(s.base, listen_or_die(path), EV_READ | EV_PERSIST, on_connect, &s);
	if (!accept_event || event_add(accept_event, NULL) < 0)
		die(0, "cannot listen");
	event_base_dispatch(s.base);
	return EXIT_FAILURE;
}
