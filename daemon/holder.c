/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that leases are bound to: one pidfd for each, whatever the number of its leases. */
#include "config.h"

#include "slots.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Field 22 of /proc/PID/stat, proc(5); the command before it may hold blanks and parentheses. */
int
process_start_time(int64_t pid, uint64_t *ret)
{
	char path[64], text[1024];
	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	char *p = strrchr(text, ')');
	for (unsigned field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return -ESRCH;
	*ret = strtoull(p + 1, NULL, 10);
	return 0;
}

static bool
has_ended(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	return poll(&p, 1, 0) != 0;
}

static void
holder_free(struct manager *m, struct holder *h)
{
	index_remove(&m->slots->holders, &h->pid);
	slots_unwatch(m, h->pidfd);
	close(h->pidfd);
	free(h);
}

static int
holder_new(struct manager *m, int pidfd, int64_t pid, struct holder **ret)
{
	struct holder *h = calloc(1, sizeof(*h));
	int err = h ? 0 : -ENOMEM;

	if (err == 0) {
		h->pid = pid;
		h->pidfd = pidfd;
		LIST_INIT(&h->slots);
		err = index_add(&m->slots->holders, &h->pid, h);
	}
	if (err == 0 && (err = slots_watch(m, pidfd, h)) < 0)
		index_remove(&m->slots->holders, &h->pid);
	if (err < 0) {
		free(h);
		return err;
	}
	*ret = h;
	return 0;
}

int
holder_bind(struct manager *m, struct slot_object *s, int pidfd, int64_t pid, struct error *e)
{
	struct holder *h = index_find(&m->slots->holders, &pid);
	int err = 0;

	if (h && has_ended(h->pidfd)) { /* the number belongs to another process by now */
		holder_ended(m, h);
		h = NULL;
	}
	if (h)
		close(pidfd);
	else
		err = holder_new(m, pidfd, pid, &h);
	if (err < 0) {
		close(pidfd);
		return error_errno(e, -err, "watching process %lld", (long long)pid);
	}
	s->holder = h;
	LIST_INSERT_HEAD(&h->slots, s, held);
	return 0;
}

void
holder_unbind(struct manager *m, struct slot_object *s)
{
	struct holder *h = s->holder;

	if (!h)
		return;
	LIST_REMOVE(s, held);
	s->holder = NULL;
	if (LIST_EMPTY(&h->slots))
		holder_free(m, h);
}

void
holder_ended(struct manager *m, struct holder *h)
{
	struct slot_object *s, *next;

	for (s = LIST_FIRST(&h->slots); s; s = next) {
		next = LIST_NEXT(s, held);
		lease_end(m, s, "its process has ended"); /* the last one frees the holder */
	}
}

bool
holder_has_ended(struct manager *m, struct slot_object *s)
{
	if (!s->holder || !has_ended(s->holder->pidfd))
		return false;
	holder_ended(m, s->holder);
	return true;
}
