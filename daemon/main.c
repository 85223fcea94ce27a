/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsd: owns the network namespaces and veth pairs of a host. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "daemon.h"
#include "log.h"
#include "message-ids.h"
#include "notify.h"

#define EXIT_REFUSED 78 /* EX_CONFIG of sysexits.h; nsd.service does not try again */

/* Errors that come from how nsd is set up, as missing permissions do: another try would not help. */
static const struct refusal {
	enum error_code code;
	const char *message_id;
} refusals[] = {
	{ ERROR_INVALID_VALUE, MESSAGE_SETTINGS_REFUSED },
	{ ERROR_STORE, MESSAGE_STORE_REFUSED },
	{ ERROR_NOT_SUPPORTED, MESSAGE_MOUNTS_HIDDEN },
	{ ERROR_ALREADY_EXISTS, NULL },
};

static int
fail(const struct error *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].code == e->code) {
			log_event(LOG_ERR, refusals[i].message_id, NULL, "%s", e->text);
			return EXIT_REFUSED;
		}
	log_error("%s", e->text);
	return e->number == EPERM || e->number == EACCES || e->number == EROFS ? EXIT_REFUSED : EXIT_FAILURE;
}

int
main(int argc, char *argv[])
{
	struct options o;
	struct error e = { 0 };
	int err = options_parse(argc, argv, &o, &e);

	if (err < 0) {
		fprintf(stderr, "nsd: %s\n", e.text);
		return EXIT_REFUSED;
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
	return err < 0 ? fail(&e) : 0;
}
