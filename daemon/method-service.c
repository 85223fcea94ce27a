/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io.systemd.service: what generic tools of the service manager ask every daemon. */
#include "config.h"

#include "service.h"

#include <errno.h>

#include "log.h"

struct level {
	int64_t level;
};

struct environment {
	struct strings variables;
};

/* clang-format off */
static const struct type level_type = {
	.size = sizeof(struct level),
	.fields = (const struct field[]){
		{ .name = "level", .type = FIELD_INT, .offset = offsetof(struct level, level), .min = LOG_EMERG, .max = LOG_DEBUG,
		  .doc = "As in syslog(3): 0 (emergencies only) to 7 (debug)" },
		{ 0 },
	},
};

static const struct type environment_type = {
	.size = sizeof(struct environment),
	.fields = (const struct field[]){
		{ .name = "environment", .type = FIELD_STRINGS, .flags = FIELD_NULLABLE,
		  .offset = offsetof(struct environment, variables), .doc = "NAME=VALUE each" },
		{ 0 },
	},
};
/* clang-format on */

static int
ping(void *context UNUSED, struct request *r, void *in UNUSED, struct error *e UNUSED)
{
	request_reply(r, NULL, NULL);
	return 0;
}

static int
set_level(void *context UNUSED, struct request *r, void *in, struct error *e UNUSED)
{
	log_set_level((int)((const struct level *)in)->level);
	request_reply(r, NULL, NULL);
	return 0;
}

static int
get_level(void *context UNUSED, struct request *r, void *in UNUSED, struct error *e UNUSED)
{
	struct level reply = { .level = log_level() };
	request_reply(r, &level_type, &reply);
	return 0;
}

static int
get_environment(void *context UNUSED, struct request *r, void *in UNUSED, struct error *e)
{
	struct environment reply = { .variables = { .set = true } };
	int err = 0;

	for (char **v = environ; *v && err == 0; v++)
		err = strings_add(&reply.variables, *v);
	if (err == 0)
		request_reply(r, &environment_type, &reply);
	else
		error_errno(e, ENOMEM, "listing the environment");
	strings_done(&reply.variables);
	return err;
}

static int
reload(void *context, struct request *r, void *in UNUSED, struct error *e)
{
	const struct service *s = context;
	int err = s->reload(s->arg, e);
	if (err == 0)
		request_reply(r, NULL, NULL);
	return err;
}

static const struct method methods[] = {
	{ .name = "Ping", .doc = "Answers", .handler = ping },
	{ .name = "SetLogLevel",
	  .doc = "Changes the log level until the next reload or restart",
	  .in = &level_type,
	  .permission = PERMISSION_ROOT,
	  .handler = set_level },
	{ .name = "GetLogLevel", .doc = "The log level", .out = &level_type, .handler = get_level },
	{ .name = "GetEnvironment",
	  .doc = "The environment of the daemon",
	  .out = &environment_type,
	  .permission = PERMISSION_ROOT,
	  .handler = get_environment },
	{ .name = "Reload",
	  .doc = "Reads the configuration again, like SIGHUP",
	  .permission = PERMISSION_ROOT,
	  .handler = reload },
	{ 0 },
};

const struct interface service_interface = {
	.name = "io.systemd.service",
	.doc = "What every service may be asked",
	.tables = (const struct method *const[]){ methods, NULL },
};
