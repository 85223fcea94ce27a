/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads the logs and puts the records in order (check.h). */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "../bench/samples.h"
#include "check.h"

static void
load_log(struct check *c, const char *file)
{
	struct stat st;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(errno, "%s", file);
	char *p = st.st_size < LOG_HEADER_SIZE ?
			  MAP_FAILED :
			  mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	struct log_header *h = (struct log_header *)(void *)p;
	if (p == MAP_FAILED || h->magic != LOG_MAGIC ||
	    h->count > ((size_t)st.st_size - LOG_HEADER_SIZE) / sizeof(struct record))
		die(0, "%s: no log, or a damaged one", file);
	close(fd);

	struct record *r = (struct record *)(void *)(p + LOG_HEADER_SIZE);
	size_t n = h->count;
	c->records = realloc(c->records, (c->n_records + n + 1) * sizeof(*c->records));
	if (!c->records)
		die(ENOMEM, "records");
	for (size_t i = 0; i < n; i++)
		if (r[i].asked) /* killed before even that was written */
			c->records[c->n_records++] = &r[i];
}

static size_t
count_kind(const struct check *c, enum record_kind kind)
{
	size_t n = 0;
	for (size_t i = 0; i < c->n_records; i++)
		n += c->records[i]->kind == kind;
	return n;
}

static struct record **
select_kind(const struct check *c, enum record_kind kind, size_t *n)
{
	struct record **ret = allocate(count_kind(c, kind), sizeof(struct record *));
	*n = 0;
	for (size_t i = 0; i < c->n_records; i++)
		if (c->records[i]->kind == kind)
			ret[(*n)++] = c->records[i];
	return ret;
}

#define COMPARE(a, b) ((a) > (b)) - ((a) < (b))

static int
by_holder(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int order = COMPARE(x->holder, y->holder);
	return order ? order : COMPARE(x->asked, y->asked);
}

static int
by_request(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	return COMPARE(x->request, y->request);
}

static int
by_key(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	int order = COMPARE(x->key, y->key);
	return order ? order : COMPARE(x->asked, y->asked);
}

static int
by_time(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;
	return COMPARE(x->asked, y->asked);
}

void
load_logs(struct check *c, const char *directory)
{
	char file[4096];
	struct dirent *entry;
	DIR *d = opendir(directory);
	if (!d)
		die(errno, "%s", directory);
	while ((entry = readdir(d))) {
		if (entry->d_name[0] == '.')
			continue;
		if (snprintf(file, sizeof(file), "%s/%s", directory, entry->d_name) >= (int)sizeof(file))
			die(0, "%s: too long", directory);
		load_log(c, file);
	}
	closedir(d);

	size_t n;
	struct record **starts = select_kind(c, RECORD_NSD_START, &n);
	qsort(starts, n, sizeof(*starts), by_time);
	c->starts = allocate(n, sizeof(*c->starts));
	for (; c->n_starts < n; c->n_starts++)
		c->starts[c->n_starts] = starts[c->n_starts]->asked;
	free(starts);
	c->holder_ends = select_kind(c, RECORD_HOLDER_END, &c->n_holder_ends);
	qsort(c->holder_ends, c->n_holder_ends, sizeof(*c->holder_ends), by_holder);
	c->requests = select_kind(c, RECORD_ACQUIRE, &c->n_requests);
	qsort(c->requests, c->n_requests, sizeof(*c->requests), by_request);
	c->keyed = select_kind(c, RECORD_ACQUIRE, &c->n_keyed);
	qsort(c->keyed, c->n_keyed, sizeof(*c->keyed), by_key);
}
