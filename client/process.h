/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process as a parameter: by pidfd, which stays right when the number is used again, or by number. */
#pragma once

#include "client.h"

struct json_object;

/* The pidfd of a process that is given by number; the caller's. */
int process_open(const char *text, int *ret, struct error *e);

/* Reads a PID and puts "pidFileDescriptor" or "pid" into `parameters`. *fd is the caller's pidfd, or stays -1 where the
 * kernel has no pidfds, or where descriptors do not travel (another host). */
int process_parameter(const struct client *c, const char *text, struct json_object *parameters, int *fd,
		      struct error *e);
