/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A small stack of namespaces made in advance, the youngest on top. */
#include "config.h"

#include "spares.h"

#include <pthread.h>
#include <time.h>

struct spare {
	struct netns netns;
	int64_t made; /* CLOCK_MONOTONIC milliseconds */
};

struct spares {
	pthread_mutex_t lock;
	struct spare v[SPARES_MAX];
	unsigned n;
};

static int64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

struct spares *
spares_new(void)
{
	struct spares *s = calloc(1, sizeof(*s));
	if (s)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

void
spares_free(struct spares *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->n; i++)
		netns_close(&s->v[i].netns);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
spares_put(struct spares *s, struct netns *n)
{
	pthread_mutex_lock(&s->lock);
	if (s->n < SPARES_MAX) {
		s->v[s->n++] = (struct spare){ .netns = *n, .made = now_ms() };
		*n = (struct netns)NETNS_INIT;
	}
	pthread_mutex_unlock(&s->lock);
	netns_close(n);
}

bool
spares_take(struct spares *s, struct netns *ret)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	if (s->n > 0 && now_ms() - s->v[s->n - 1].made < SPARE_MS) {
		*ret = s->v[--s->n].netns;
		found = true;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}

/* They are closed outside of the lock; the younger ones move down. */
unsigned
spares_drop_old(struct spares *s)
{
	struct netns old[SPARES_MAX];
	unsigned n = 0, left;
	int64_t now = now_ms();

	pthread_mutex_lock(&s->lock);
	while (n < s->n && now - s->v[n].made >= SPARE_MS) {
		old[n] = s->v[n].netns;
		n++;
	}
	for (unsigned i = n; i < s->n; i++)
		s->v[i - n] = s->v[i];
	left = s->n -= n;
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < n; i++)
		netns_close(&old[i]);
	return left;
}
