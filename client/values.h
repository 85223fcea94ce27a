/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values that people write in another form than the wire has them: rates, times, ports, users. */
#pragma once

#include <stdint.h>

#include "words.h"

/* "10mbit", "1gbit": bits a second. */
word_set value_rate;

/* "1500ms", "30s", "5m", "2h", "1d": milliseconds. */
word_set value_time;

/* A name or number: the number. */
word_set value_user;

/* One more item of a list; "none" makes it an empty one. */
word_set value_service;	  /* tcp/53 */
word_set value_ports;	  /* tcp/30000-30999, tcp/8080 */
word_set value_published; /* tcp/8080:80; tcp/80: nsd chooses the host's port */
word_set value_string;	  /* of a list of strings */

/* The forms back, for people. */
#define VALUE_SIZE 32
const char *value_show_rate(int64_t rate, char ret[VALUE_SIZE]);
const char *value_show_time(int64_t milliseconds, char ret[VALUE_SIZE]);
