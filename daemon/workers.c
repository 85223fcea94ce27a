/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pool of threads with one queue in and one queue out. The worker that went to sleep last is woken first: its stack and
 * its share of the heap are still in the caches. Each sleeps on a semaphore of its own, since signalling a condition may
 * make the waker wait. */
#include "config.h"

#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>

#define STALL_NS (500 * 1000000LL)

struct queue {
	struct job *first, **last;
};

struct worker {
	struct workers *pool;
	pthread_t thread;
	sem_t wake;
	struct worker *next; /* of the sleeping ones */
};

struct workers {
	const struct workers_ops *ops;
	pthread_mutex_t lock;
	pthread_cond_t started;
	struct queue in, out;
	struct worker threads[WORKERS_MAX];
	struct worker *asleep; /* the last one to fall asleep first */
	bool stop;
	unsigned count, ready, failed;
	struct error error; /* of the first thread that failed to start */
	int64_t last_taken; /* when a worker last took a job */
	atomic_uint pending;
	int event_fd;
};

static int64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void
queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void
queue_put(struct queue *q, struct job *j)
{
	j->next = NULL;
	*q->last = j;
	q->last = &j->next;
}

static struct job *
queue_take(struct queue *q)
{
	struct job *j = q->first;
	if (j) {
		q->first = j->next;
		if (!q->first)
			q->last = &q->first;
	}
	return j;
}

/* The next job, or NULL when the pool stops and nothing is left. */
static struct job *
wait_for_job(struct worker *self)
{
	struct workers *w = self->pool;
	struct job *j;

	pthread_mutex_lock(&w->lock);
	while (!(j = queue_take(&w->in)) && !w->stop) {
		self->next = w->asleep;
		w->asleep = self;
		pthread_mutex_unlock(&w->lock);
		while (sem_wait(&self->wake) < 0)
			;
		pthread_mutex_lock(&w->lock);
	}
	if (j)
		w->last_taken = now_ns();
	pthread_mutex_unlock(&w->lock);
	return j;
}

/* With the lock held: the sleeper to wake, or NULL. */
static struct worker *
take_sleeper(struct workers *w)
{
	struct worker *sleeper = w->asleep;
	if (sleeper)
		w->asleep = sleeper->next;
	return sleeper;
}

/* The one who collects is woken without the lock held: it would only wait for it. */
static void
give_back(struct workers *w, struct job *j)
{
	pthread_mutex_lock(&w->lock);
	bool first = !w->out.first;
	queue_put(&w->out, j);
	pthread_mutex_unlock(&w->lock);
	if (first)
		eventfd_write(w->event_fd, 1);
}

static void *
worker_main(void *arg)
{
	struct worker *self = arg;
	struct workers *w = self->pool;
	struct error e = { 0 };
	void *thread = NULL;
	int r = w->ops->thread_start(w->ops->arg, &thread, &e);

	pthread_mutex_lock(&w->lock);
	w->ready++;
	if (r < 0 && w->failed++ == 0)
		w->error = e;
	pthread_cond_signal(&w->started);
	pthread_mutex_unlock(&w->lock);
	if (r < 0)
		return NULL;
	struct job *j;
	while ((j = wait_for_job(self))) {
		j->run(j, thread);
		give_back(w, j);
	}
	w->ops->thread_stop(thread);
	return NULL;
}

static int
start_thread(struct workers *w, struct error *e)
{
	struct worker *self = &w->threads[w->count];
	sigset_t all, old;

	self->pool = w;
	sem_init(&self->wake, 0, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int r = pthread_create(&self->thread, NULL, worker_main, self);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return error_errno(e, r, "starting a worker thread");
	w->count++;
	return 0;
}

int
workers_new(unsigned count, const struct workers_ops *ops, struct workers **ret, struct error *e)
{
	struct workers *w = calloc(1, sizeof(*w));
	if (!w)
		return error_errno(e, ENOMEM, "starting workers");
	w->ops = ops;
	queue_init(&w->in);
	queue_init(&w->out);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->started, NULL);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	int r = w->event_fd < 0 ? error_errno(e, errno, "starting workers") : 0;
	while (r == 0 && w->count < count)
		r = start_thread(w, e);

	pthread_mutex_lock(&w->lock);
	while (w->ready < w->count)
		pthread_cond_wait(&w->started, &w->lock);
	if (r == 0 && w->failed) {
		if (e)
			*e = w->error;
		r = -w->error.number;
	}
	pthread_mutex_unlock(&w->lock);
	if (r < 0) {
		workers_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void
workers_free(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	for (struct worker *sleeper; (sleeper = take_sleeper(w));)
		sem_post(&sleeper->wake);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->count; i++) {
		pthread_join(w->threads[i].thread, NULL);
		sem_destroy(&w->threads[i].wake);
	}
	if (w->event_fd >= 0) {
		workers_collect(w);
		close(w->event_fd);
	}
	pthread_cond_destroy(&w->started);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void
workers_submit(struct workers *w, struct job *j)
{
	j->submitted = now_ns();
	atomic_fetch_add(&w->pending, 1);
	pthread_mutex_lock(&w->lock);
	queue_put(&w->in, j);
	struct worker *sleeper = take_sleeper(w);
	pthread_mutex_unlock(&w->lock);
	if (sleeper)
		sem_post(&sleeper->wake);
}

int
workers_fd(const struct workers *w)
{
	return w->event_fd;
}

void
workers_collect(struct workers *w)
{
	eventfd_t n;
	eventfd_read(w->event_fd, &n);

	pthread_mutex_lock(&w->lock);
	struct job *j = w->out.first;
	queue_init(&w->out);
	pthread_mutex_unlock(&w->lock);

	while (j) {
		struct job *next = j->next;
		atomic_fetch_sub(&w->pending, 1);
		j->done(j);
		j = next;
	}
}

bool
workers_check(struct workers *w)
{
	pthread_mutex_lock(&w->lock);
	int64_t now = now_ns();
	bool stuck = w->in.first && !w->asleep && now - w->in.first->submitted > STALL_NS &&
		     now - w->last_taken > STALL_NS && w->count < WORKERS_MAX;
	pthread_mutex_unlock(&w->lock);
	return stuck && start_thread(w, NULL) == 0;
}

unsigned
workers_pending(const struct workers *w)
{
	return atomic_load(&w->pending);
}
