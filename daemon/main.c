/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsd: owns the network namespaces and veth pairs of a host. */
#include "config.h"

#include <stdio.h>

#include "daemon.h"
#include "log.h"
#include "notify.h"

int
main(int argc, char *argv[])
{
	struct options o;
	struct error e = { 0 };
	int err = options_parse(argc, argv, &o, &e);

	if (err < 0) {
		fprintf(stderr, "nsd: %s\n", e.text);
		return 2;
	}
	if (o.help) {
		options_help();
		return 0;
	}
	if (o.version) {
		puts("nsd " PACKAGE_VERSION);
		return 0;
	}
	if (notify_on_journal())
		log_set_sink(notify_journal_sink);
	err = o.describe ? daemon_describe(&e) : daemon_run(&o, &e);
	if (err < 0)
		log_error("%s", e.text);
	return err < 0 ? 1 : 0;
}
