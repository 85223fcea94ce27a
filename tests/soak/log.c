/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See log.h. */
#include "config.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "../bench/samples.h"

struct log {
	struct log_header *header;
	struct record *records;
	uint64_t capacity;
};

struct log *
log_create(const char *file, uint64_t capacity)
{
	struct log *l = calloc(1, sizeof(*l));
	size_t size = LOG_HEADER_SIZE + capacity * sizeof(struct record);
	int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	/* Sparse: only what is written takes room. */
	if (!l || fd < 0 || ftruncate(fd, (off_t)size) < 0)
		die(errno, "%s", file);
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die(errno, "%s", file);
	close(fd);
	l->header = (struct log_header *)(void *)p;
	l->records = (struct record *)(void *)(p + LOG_HEADER_SIZE);
	l->capacity = capacity;
	l->header->magic = LOG_MAGIC;
	return l;
}

void
log_free(struct log *l)
{
	munmap(l->header, LOG_HEADER_SIZE + l->capacity * sizeof(struct record));
	free(l);
}

struct record *
log_add(struct log *l, enum record_kind kind)
{
	uint64_t i = atomic_fetch_add(&l->header->count, 1);
	if (i >= l->capacity)
		die(0, "the log is full after %llu records", (unsigned long long)i);
	struct record *r = &l->records[i];
	r->kind = (uint8_t)kind;
	r->asked = now_ns();
	return r;
}

void
record_answered(struct record *r, enum record_outcome outcome, uint64_t at)
{
	r->outcome = (uint8_t)outcome;
	atomic_thread_fence(memory_order_release);
	r->answered = at;
}
