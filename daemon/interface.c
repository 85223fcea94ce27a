/* SPDX-License-Identifier: GPL-2.0-or-later */
/* io.nsd.Manager, put together from the tables of its methods. */
#include "config.h"

#include "methods.h"

const struct interface manager_interface = {
	.name = MODEL_INTERFACE,
	.doc = "The namespaces, links and networks of this host. Requests that would take something away from another user, and those "
	       "about objects that are not there, get the same answer: NotFound. A field that is absent and one that is null "
	       "are the same",
	.tables = (const struct method *const[]){ query_methods, namespace_methods, process_methods, link_methods,
						  network_methods, slot_methods, NULL },
	.errors =
		(const enum error_code[]){
			ERROR_INVALID_VALUE,  ERROR_NOT_FOUND,
			ERROR_ALREADY_EXISTS, ERROR_SPEC_DIFFERS,
			ERROR_NAME_TAKEN,     ERROR_BUSY,
			ERROR_DRAINING,	      ERROR_LOST,
			ERROR_FOREIGN,	      ERROR_STALE_GENERATION,
			ERROR_QUOTA_EXCEEDED, ERROR_LIMIT_EXCEEDED,
			ERROR_NOT_SUPPORTED,  ERROR_NO_SUCH_PROCESS,
			ERROR_KERNEL,	      ERROR_STORE,
			ERROR_SHUTTING_DOWN,  ERROR_TIMED_OUT,
			ERROR_INTERNAL,	      ERROR_NONE,
		},
};
