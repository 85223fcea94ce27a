/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The global options. */
#include "config.h"

#include "client.h"

#include <stdlib.h>
#include <string.h>

#include "failure.h"
#include "model.h"

static int
set_socket(struct client *c, const char *value, struct error *e)
{
	if (!value[0])
		return fail(e, FAILURE_USAGE, "--socket wants a path");
	c->socket = value;
	return 0;
}

static int
set_host(struct client *c, const char *value, struct error *e)
{
	if (!value[0] || value[0] == '-')
		return fail(e, FAILURE_USAGE, "--host wants [USER@]HOST, not \"%s\"", value);
	c->host = value;
	return 0;
}

static int
set_json(struct client *c, const char *value UNUSED, struct error *e UNUSED)
{
	c->json = true;
	return 0;
}

static int
set_timeout(struct client *c, const char *value, struct error *e)
{
	char *end;
	long n = strtol(value, &end, 10);

	if (!value[0] || *end || n < 0 || n > 86400)
		return fail(e, FAILURE_USAGE, "--timeout %s: want seconds, 0 to 86400 (0: wait for ever)", value);
	c->timeout = (int)n;
	return 0;
}

static int
set_help(struct client *c, const char *value UNUSED, struct error *e UNUSED)
{
	c->help = true;
	return 0;
}

static int
set_version(struct client *c, const char *value UNUSED, struct error *e UNUSED)
{
	c->version = true;
	return 0;
}

/* clang-format off */
const struct option_desc client_options[] = {
	{ "--json", "-j", NULL, "print what nsd sent, as JSON", set_json },
	{ "--socket", NULL, "PATH", "socket of nsd [$NSD_SOCKET, else " MODEL_SOCKET "]", set_socket },
	{ "--host", "-H", "[USER@]HOST", "talk to nsd of another host, through ssh(1) [$NSC_HOST]", set_host },
	{ "--timeout", NULL, "SECONDS", "give up after so long without an answer [45; none where waiting is the point]",
	  set_timeout },
	{ "--help", "-h", NULL, "help, also for one verb", set_help },
	{ "--version", "-V", NULL, "version of nsc", set_version },
	{ 0 },
};
/* clang-format on */

void
client_init(struct client *c)
{
	const char *host = getenv("NSC_HOST");

	*c = (struct client){ .host = host && *host ? host : NULL, .timeout = TIMEOUT_UNSET };
}

const char *
client_socket(const struct client *c)
{
	const char *path = getenv("NSD_SOCKET");

	if (c->socket)
		return c->socket;
	return path && *path ? path : MODEL_SOCKET;
}

/* Does `argument` give the option `o`? *value is what follows "=", or NULL. */
static bool
option_matches(const struct option_desc *o, const char *argument, const char **value)
{
	size_t n = strlen(o->name);

	*value = NULL;
	if (o->letter && strcmp(o->letter, argument) == 0)
		return true;
	if (strncmp(o->name, argument, n) != 0)
		return false;
	if (argument[n] == '=')
		*value = argument + n + 1;
	return argument[n] == '\0' || argument[n] == '=';
}

static const struct option_desc *
find_option(const char *argument, const char **value)
{
	for (const struct option_desc *o = client_options; o->name; o++)
		if (option_matches(o, argument, value))
			return o;
	return NULL;
}

int
client_parse_options(struct client *c, int argc, char **argv, bool leading, struct error *e)
{
	int kept = 0;

	for (int i = 0; i < argc; i++) {
		const char *value;
		const struct option_desc *o = find_option(argv[i], &value);
		if (strcmp(argv[i], "--") == 0 || (leading && !o)) {
			memmove(argv + kept, argv + i, (size_t)(argc - i) * sizeof(*argv));
			return kept + argc - i;
		}
		if (!o) {
			argv[kept++] = argv[i];
			continue;
		}
		if (!o->value && value)
			return fail(e, FAILURE_USAGE, "%s takes no value", o->name);
		if (o->value && !value && !(value = i + 1 < argc ? argv[++i] : NULL))
			return fail(e, FAILURE_USAGE, "%s wants %s after it", o->name, o->value);
		int r = o->set(c, value, e);
		if (r < 0)
			return r;
	}
	return kept;
}
