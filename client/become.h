/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming a command: what the verbs that run one share. */
#pragma once

#include "error.h"

/* The command takes the place of nsc, so signals and exit status are its own. A "--" before it is passed over; without a
 * command it is $SHELL, else sh. Returns on failure. */
int become(char **words, struct error *e);
