/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes to messages: a bounded buffer that yields the NUL-terminated messages in it. Knows no socket. */
#pragma once

#include <stddef.h>

struct frame;

/* limit: longest message in bytes, terminator included. NULL when out of memory. */
struct frame *frame_new(size_t limit);
void frame_free(struct frame *f);

/* Room for at least one more byte, growing up to the limit; *size tells how much. NULL if a message over the limit is
 * in the buffer (the connection is to be closed) or memory is out. */
char *frame_space(struct frame *f, size_t *size);

/* `n` bytes were put into the space. */
void frame_filled(struct frame *f, size_t n);

/* The next whole message, without its NUL (*length does not count it, message[*length] is the NUL), or NULL if none is
 * complete. Valid until the next call of any frame function. */
const char *frame_next(struct frame *f, size_t *length);

/* Bytes of an unfinished message in the buffer; call after frame_next() gave NULL. */
size_t frame_pending(const struct frame *f);
