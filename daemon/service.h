/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The interface io.systemd.service; its handlers' context is a struct service. */
#pragma once

#include "method.h"

struct service {
	int (*reload)(void *arg, struct error *e);
	void *arg;
};

extern const struct interface service_interface;
