/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names for namespaces that somebody else made. */
#pragma once

#include "object.h"

/* Where the namespace comes from; exactly one is given: pid > 0, pidfd >= 0 or ns_fd >= 0. Borrowed. With a pidfd, `pid`
 * does not count. */
struct attach_source {
	pid_t pid;
	int pidfd, ns_fd;
};

int attach_namespace(struct manager *m, struct request *r, const struct namespace *spec,
		     const struct attach_source *source, changed_reply *reply, struct error *e);
