/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few macros everything uses: visible ownership, array sizes, printf checks. */
#pragma once

#include <stdlib.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED __attribute__((unused))

/* Runs FUNC(&variable) when the variable leaves its scope. */
#define CLEANUP(func) __attribute__((cleanup(func)))

/* Hand a pointer or an fd on: yields the value and disarms the cleanup of the variable. */
#define TAKE_PTR(p)                         \
	__extension__({                     \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})
#define TAKE_FD(fd)                \
	__extension__({            \
		int taken_ = (fd); \
		(fd) = -1;         \
		taken_;            \
	})

static inline void
free_ptr(void *p)
{
	free(*(void **)p);
}

static inline void
close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
