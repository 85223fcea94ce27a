/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Theory of operation
 *
 * A subscriber first gets every object as `present`, in the order of names, a few at a time, then `synced`, then every
 * change. While the snapshot is on its way, a change to an object that was already told is passed on at once; one to an
 * object that is still to come is not, since the snapshot will tell its newest state. So each object's story is complete
 * and nothing is told twice. From `synced` on the sequence grows by one with each message.
 *
 * A subscriber that does not read has its changes queued up to QUEUE_MAX; then it is told so and ended: it has to start
 * again from a snapshot, rather than miss something.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "methods.h"
#include "object.h"

#define QUEUE_MAX 16384
#define SNAPSHOT_BATCH 32

struct monitor_reply {
	int64_t sequence;
	int event;
	struct namespace *ns;
	struct link *link;
};

/* clang-format off */
static const struct type event_type = {
	.name = "Event",
	.doc = "present: part of the snapshot. synced: the snapshot is complete. created: recorded, under way. ready: usable. "
	       "changed: by nsd, on request. draining: deleted, the kernel still holds a part. gone: nothing is left. drift: "
	       "somebody else changed or removed it in the kernel; message says what",
	.values = (const char *const[]){ "present", "synced", "created", "ready", "changed", "draining", "gone", "drift",
					 NULL },
};

const struct type monitor_reply_type = {
	.size = sizeof(struct monitor_reply),
	.fields = (const struct field[]){
		{ .name = "sequence", .type = FIELD_INT, .offset = offsetof(struct monitor_reply, sequence),
		  .doc = "Grows by one with each message after synced" },
		{ .name = "event", .type = FIELD_ENUM, .of = &event_type, .offset = offsetof(struct monitor_reply, event),
		  .doc = "What happened" },
		{ .name = "namespace", .type = FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &namespace_type,
		  .offset = offsetof(struct monitor_reply, ns), .doc = "To which namespace, as it is now" },
		{ .name = "link", .type = FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &link_type,
		  .offset = offsetof(struct monitor_reply, link), .doc = "To which link, as it is now" },
		{ 0 },
	},
};
/* clang-format on */

/* One change, shared by the subscribers that still have to get it. */
struct news {
	unsigned references;
	enum change change;
	struct object *copy; /* the object as it was then */
};

struct subscriber {
	LIST_ENTRY(subscriber) entry;
	struct manager *m;
	struct request *request;
	struct peer peer;
	enum { TELL_NAMESPACES, TELL_LINKS, TELL_SYNCED, TELL_CHANGES } phase;
	char cursor[NAME_MAX_LENGTH + 1]; /* the last name told of this phase; "" at its start */
	int64_t sequence;
	struct news **queue;
	size_t first, n, size;
	bool overrun;
};

static void
news_release(struct news *news)
{
	if (--news->references > 0)
		return;
	object_free(news->copy);
	free(news);
}

static struct news *
news_new(enum change change, const struct object *o)
{
	struct news *news = calloc(1, sizeof(*news));
	struct object *copy = object_new(o->kind);
	int err = news && copy ? 0 : -ENOMEM;

	if (err == 0)
		err = o->kind == OBJECT_NAMESPACE ? fields_copy(&namespace_type, &o->ns, &copy->ns, NULL) :
						    fields_copy(&link_type, &o->link, &copy->link, NULL);
	if (err < 0) {
		object_free(copy);
		free(news);
		return NULL;
	}
	copy->nsid = o->nsid;
	*news = (struct news){ .references = 1, .change = change, .copy = copy };
	return news;
}

static void
tell(struct subscriber *s, enum change change, struct object *o)
{
	struct monitor_reply reply = { .sequence = s->sequence, .event = change };
	struct namespace ns;

	if (o && o->kind == OBJECT_NAMESPACE) {
		ns = shown(o); /* a worker may be reading the object itself */
		reply.ns = &ns;
	} else if (o) {
		reply.link = &o->link;
	}
	request_continue(s->request, &monitor_reply_type, &reply);
}

/* The next objects of the snapshot; false when the phase is over. */
static bool
tell_objects(struct subscriber *s, const struct index *x)
{
	int found;
	size_t i = index_position(x, s->cursor, &found);

	i += found ? 1 : 0;
	for (unsigned n = 0; n < SNAPSHOT_BATCH; n++, i++) {
		if (i >= x->n)
			return false;
		struct object *o = x->v[i];
		snprintf(s->cursor, sizeof(s->cursor), "%s", object_name(o));
		if (peer_sees(&s->peer, o))
			tell(s, CHANGE_PRESENT, o);
	}
	return true;
}

static bool
tell_queued(struct subscriber *s)
{
	if (s->n == 0)
		return false;
	struct news *news = s->queue[s->first];
	s->first = (s->first + 1) % s->size;
	s->n--;
	if (s->phase == TELL_CHANGES)
		s->sequence++;
	tell(s, news->change, news->copy);
	news_release(news);
	return true;
}

static int
fill(struct request *r, void *arg)
{
	struct subscriber *s = arg;

	if (s->overrun) {
		struct error e = { 0 };
		error_set(&e, ERROR_LIMIT_EXCEEDED, NULL,
			  "you read too slowly: more than %d changes were waiting; call again", QUEUE_MAX);
		request_error(r, &e);
		return 0;
	}
	if (tell_queued(s))
		return 1;
	if (s->phase == TELL_CHANGES)
		return 0;
	if (s->phase == TELL_SYNCED) {
		s->sequence = s->m->sequence;
		tell(s, CHANGE_SYNCED, NULL);
		s->phase = TELL_CHANGES;
	} else if (!tell_objects(s, s->phase == TELL_NAMESPACES ? &s->m->namespaces : &s->m->links)) {
		s->phase++;
		s->cursor[0] = '\0';
	}
	return 1;
}

static void
drop(void *arg)
{
	struct subscriber *s = arg;

	LIST_REMOVE(s, entry);
	for (; s->n > 0; s->n--, s->first = (s->first + 1) % s->size)
		news_release(s->queue[s->first]);
	free(s->queue);
	free(s);
}

int
method_monitor(void *context, struct request *r, void *in UNUSED, struct error *e)
{
	struct manager *m = context;
	struct subscriber *s = calloc(1, sizeof(*s));

	if (!s)
		return error_errno(e, ENOMEM, "starting to monitor");
	*s = (struct subscriber){ .m = m, .request = r, .peer = *request_peer(r) };
	LIST_INSERT_HEAD(&m->subscribers, s, entry);
	request_stream(r, fill, drop, s);
	return 0;
}

/* Has the snapshot passed this object already, so that the subscriber must hear of the change? */
static bool
is_told(const struct subscriber *s, const struct object *o)
{
	if (s->phase >= TELL_SYNCED)
		return true;
	if (o->kind == OBJECT_LINK && s->phase == TELL_NAMESPACES)
		return false;
	if (o->kind == OBJECT_NAMESPACE && s->phase == TELL_LINKS)
		return true;
	return strcmp(object_name(o), s->cursor) <= 0;
}

static int
enqueue(struct subscriber *s, struct news *news)
{
	if (s->n == s->size) {
		size_t size = s->size ? 2 * s->size : 32;
		struct news **v = size <= QUEUE_MAX ? calloc(size, sizeof(*v)) : NULL;
		if (!v)
			return -ENOMEM;
		for (size_t i = 0; i < s->n; i++)
			v[i] = s->queue[(s->first + i) % s->size];
		free(s->queue);
		s->queue = v;
		s->first = 0;
		s->size = size;
	}
	s->queue[(s->first + s->n++) % s->size] = news;
	news->references++;
	return 0;
}

void
announce(struct manager *m, enum change change, struct object *o)
{
	struct subscriber *s, *next;
	struct news *news = NULL;

	m->sequence++;
	if (LIST_EMPTY(&m->subscribers))
		return;
	news = news_new(change, o);
	for (s = LIST_FIRST(&m->subscribers); s; s = next) {
		next = LIST_NEXT(s, entry);
		if (!peer_sees(&s->peer, o) || !is_told(s, o))
			continue;
		if (!news || enqueue(s, news) < 0)
			s->overrun = true;
		request_stream_wake(s->request);
	}
	if (news)
		news_release(news);
}

void
subscribers_drop(struct manager *m)
{
	struct subscriber *s;
	struct error e = { 0 };

	error_set(&e, ERROR_SHUTTING_DOWN, NULL, "nsd is stopping; call again when it runs");
	while ((s = LIST_FIRST(&m->subscribers)))
		request_error(s->request, &e);
}
