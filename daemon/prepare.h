/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a client's specification to complete objects with reserved names; the checks before the kernel is touched. */
#pragma once

#include "object.h"

struct preparation {
	struct object *ns;				/* to be made, or NULL */
	struct object *links[MAX_LINKS_PER_REQUEST];	/* to be made */
	uint64_t end_cookies[MAX_LINKS_PER_REQUEST][2]; /* of their namespaces; 0: the host, or the new one */
	unsigned n_links;
	bool host_ends; /* one of the links has an end in the host */
	bool durable;	/* something is persistent */

	struct object *reply_ns; /* made or found (ensure) */
	struct object *reply_links[MAX_LINKS_PER_REQUEST];
	unsigned n_reply_links;
};

/* Checks a namespace (may be NULL) with links and reserves them in the indexes, in state creating. With `ensure`, what
 * exists is compared instead (ERROR_SPEC_DIFFERS) and only what is missing is prepared. Returns 1 when something has to
 * be waited for: `e` says what. On anything but 0 nothing stays reserved. */
int prepare(struct manager *m, const struct peer *peer, const struct namespace *ns, const struct list *links,
	    bool ensure, struct preparation *ret, struct error *e);

/* Gives the reserved names back and frees what was to be made. */
void preparation_withdraw(struct manager *m, struct preparation *p);

/* The same for objects that are recorded and lost. */
int prepare_again(struct manager *m, struct object **objects, unsigned n, struct preparation *ret, struct error *e);

/* Checks and completes one end that is to be changed: canonical texts, its bridge, its routes. */
int prepare_end(struct end *end, struct error *e);
/* What its fields must not say together. */
int prepare_check_end(const struct end *end, struct error *e);

/* Checks that end `i` of a link may go to the place and name it asks for; *cookie of its namespace, or of the host. A
 * place that is busy is an error here. */
int prepare_move(struct manager *m, const struct peer *peer, const struct link *l, unsigned i, uint64_t *cookie,
		 struct error *e);
