/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc, the client of nsd: options, verb, exit status. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "call.h"
#include "failure.h"
#include "print.h"
#include "verb.h"

static int
run(struct client *c, int argc, char **argv, struct error *e)
{
	int used, n = client_parse_options(c, argc, argv, true, e);

	if (n < 0)
		return n;
	if (c->version || (c->help && n == 0)) {
		if (c->version)
			puts("nsc " PACKAGE_VERSION);
		else
			help_all(stdout);
		return 0;
	}
	const struct verb *v = verb_find(n, argv, &used, e);
	return v ? verb_run(c, v, n - used, argv + used, e) : -EINVAL;
}

int
main(int argc, char **argv)
{
	struct client c;
	struct error e = { 0 };

	client_init(&c);
	int r = run(&c, argc > 0 ? argc - 1 : 0, argv + 1, &e);
	call_disconnect(&c);
	if ((fflush(stdout) != 0 || ferror(stdout)) && r >= 0)
		r = fail_errno(&e, FAILURE_LOCAL, errno, "cannot write the output");
	if (r >= 0)
		return c.status;
	print_error(&e);
	int status = failure_status(&e);
	return c.exec && status < EXEC_FAILED ? EXEC_FAILED : status;
}
