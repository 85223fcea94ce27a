/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes a slot of nsd, shows its addresses from inside, gives it back. Plain sockets and json-c, nothing of nsd's.
 *
 *   cc -o acquire acquire.c $(pkg-config --cflags --libs json-c)
 *   ./acquire NETWORK KEY
 *
 * The lease is bound to the connection: whatever happens to this program, nsd takes the slot back.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MANAGER "io.nsd.Manager."

static int
connect_nsd(void)
{
	const char *path = getenv("NSD_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path ? path : "/run/nsd/io.nsd.Manager");
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		err(1, "%s", address.sun_path);
	return fd;
}

/* A call is one JSON object and a NUL. Takes `parameters`. */
static void
send_call(int nsd, const char *method, json_object *parameters)
{
	json_object *call = json_object_new_object();

	json_object_object_add(call, "method", json_object_new_string(method));
	json_object_object_add(call, "parameters", parameters);
	const char *text = json_object_to_json_string_ext(call, JSON_C_TO_STRING_PLAIN);
	size_t left = strlen(text) + 1;
	while (left) {
		ssize_t n = send(nsd, text, left, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			err(1, "send");
		text += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	json_object_put(call);
}

/* Reads once; keeps a descriptor that comes along, which must not be left to recv(2): it would be lost. */
static size_t
read_more(int nsd, char *buffer, size_t size, int *passed)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec space = { .iov_base = buffer, .iov_len = size };
	struct msghdr m = { .msg_iov = &space,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	ssize_t n;

	do
		n = recvmsg(nsd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		errx(1, "nsd closed the connection%s%s", n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
		memcpy(passed, CMSG_DATA(h), sizeof(*passed));
	return (size_t)n;
}

/* The parameters of the one reply; an error reply ends the program. *passed (-1 before) is a descriptor that came. */
static json_object *
receive_reply(int nsd, int *passed)
{
	static char buffer[65536];
	size_t n = 0;

	do {
		if (n == sizeof(buffer))
			errx(1, "the reply is too long");
		n += read_more(nsd, buffer + n, sizeof(buffer) - n, passed);
	} while (buffer[n - 1]);
	json_object *reply = json_tokener_parse(buffer), *error, *parameters;
	if (!reply)
		errx(1, "the reply is no JSON");
	if (!json_object_object_get_ex(reply, "parameters", &parameters))
		parameters = NULL;
	if (json_object_object_get_ex(reply, "error", &error)) /* programs go by its name, people read the message */
		errx(1, "%s: %s", json_object_get_string(error), json_object_to_json_string(parameters));
	parameters = json_object_get(parameters);
	json_object_put(reply);
	return parameters;
}

static const char *
string_of(json_object *o, const char *key)
{
	json_object *value;

	return json_object_object_get_ex(o, key, &value) ? json_object_get_string(value) : "";
}

/* The addresses of an interface as the calling thread sees it. */
static void
show_addresses(const char *interface)
{
	char text[INET6_ADDRSTRLEN];
	struct ifaddrs *all;

	if (getifaddrs(&all) < 0)
		err(1, "getifaddrs");
	for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
		if (!a->ifa_addr || strcmp(a->ifa_name, interface) != 0)
			continue;
		if (a->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET, &((struct sockaddr_in *)a->ifa_addr)->sin_addr, text, sizeof(text));
		else if (a->ifa_addr->sa_family == AF_INET6)
			inet_ntop(AF_INET6, &((struct sockaddr_in6 *)a->ifa_addr)->sin6_addr, text, sizeof(text));
		else
			continue;
		printf("inside: %s %s\n", interface, text);
	}
	freeifaddrs(all);
}

/* Goes into the slot and comes back: whoever stays inside keeps the slot from going. */
static void
visit(int slot, const char *interface)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (home < 0 || setns(slot, CLONE_NEWNET) < 0)
		err(1, "cannot enter the slot");
	show_addresses(interface);
	if (setns(home, CLONE_NEWNET) < 0)
		err(1, "cannot come back");
	close(home);
}

int
main(int argc, char **argv)
{
	int slot_fd = -1, none = -1;
	json_object *slot, *generation, *created;

	if (argc != 3)
		errx(2, "usage: acquire NETWORK KEY");
	int nsd = connect_nsd();

	json_object *parameters = json_object_new_object();
	json_object_object_add(parameters, "network", json_object_new_string(argv[1]));
	json_object_object_add(parameters, "key", json_object_new_string(argv[2]));
	json_object_object_add(parameters, "bond", json_object_new_string("connection"));
	json_object_object_add(parameters, "open", json_object_new_boolean(1));
	send_call(nsd, MANAGER "AcquireSlot", parameters);
	json_object *reply = receive_reply(nsd, &slot_fd);
	if (slot_fd < 0 || !json_object_object_get_ex(reply, "slot", &slot) ||
	    !json_object_object_get_ex(reply, "created", &created) ||
	    !json_object_object_get_ex(slot, "generation", &generation))
		errx(1, "the reply is not what was asked for");
	printf("%s: %s, generation %" PRId64 "\n", string_of(slot, "name"),
	       json_object_get_boolean(created) ? "acquired" : "had it already", json_object_get_int64(generation));

	visit(slot_fd, string_of(slot, "interface"));
	close(slot_fd);

	/* With the generation nothing happens to a later lease, should this one have ended meanwhile. */
	parameters = json_object_new_object();
	json_object_object_add(parameters, "name", json_object_new_string(string_of(slot, "name")));
	json_object_object_add(parameters, "generation", json_object_get(generation));
	send_call(nsd, MANAGER "ReleaseSlot", parameters);
	json_object_put(receive_reply(nsd, &none));
	printf("%s: released\n", string_of(slot, "name"));
	json_object_put(reply);
	close(nsd);
	return 0;
}
