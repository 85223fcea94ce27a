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
#include "slots.h"

#define QUEUE_MAX 16384
#define SNAPSHOT_BATCH 32

struct monitor_reply {
	int64_t sequence;
	int event;
	struct namespace *ns;
	struct link *link;
	struct network *network;
	const struct slot *slot;
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
		{ .name = "network", .type = FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &network_type,
		  .offset = offsetof(struct monitor_reply, network), .doc = "To which network, as it is now" },
		{ .name = "slot", .type = FIELD_STRUCT, .flags = FIELD_NULLABLE, .of = &slot_type,
		  .offset = offsetof(struct monitor_reply, slot), .doc = "To which slot, as it is now" },
		{ 0 },
	},
};
/* clang-format on */

/* One change, shared by the subscribers that still have to get it. */
struct news {
	unsigned references;
	enum change change;
	struct object *copy; /* the object as it was then */
	struct slot slot;    /* or this slot */
};

struct subscriber {
	LIST_ENTRY(subscriber) entry;
	struct manager *m;
	struct request *request;
	struct peer peer;
	enum { TELL_NAMESPACES, TELL_LINKS, TELL_NETWORKS, TELL_SLOTS, TELL_SYNCED, TELL_CHANGES } phase;
	char cursor[NAME_MAX_LENGTH + 1]; /* the last name told of this phase; "" at its start */
	uint32_t record;		  /* TELL_SLOTS: the next of the table */
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
	slot_done(&news->slot);
	free(news);
}

static struct news *
news_new(enum change change, const struct object *o)
{
	struct news *news = calloc(1, sizeof(*news));
	struct object *copy = object_new(o->kind);
	int err = news && copy ? 0 : -ENOMEM;

	if (err == 0) {
		const struct object_kind_ops *kind = &object_kinds[o->kind];
		fields_init(&slot_type, &news->slot);
		err = fields_copy(kind->type, object_at(o, kind->value), object_at(copy, kind->value), NULL);
	}
	if (err < 0) {
		object_free(copy);
		free(news);
		return NULL;
	}
	copy->nsid = o->nsid;
	news->references = 1;
	news->change = change;
	news->copy = copy;
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
	} else if (o && o->kind == OBJECT_LINK) {
		reply.link = &o->link;
	} else if (o) {
		reply.network = &o->network;
	}
	request_continue(s->request, &monitor_reply_type, &reply);
}

static void
tell_slot(struct subscriber *s, enum change change, const struct slot *slot)
{
	struct monitor_reply reply = { .sequence = s->sequence, .event = change, .slot = slot };
	request_continue(s->request, &monitor_reply_type, &reply);
}

static const struct index *
index_of_phase(const struct subscriber *s)
{
	return s->phase == TELL_NAMESPACES ? &s->m->namespaces :
	       s->phase == TELL_LINKS	   ? &s->m->links :
					     &s->m->networks;
}

static bool
sees_slot(const struct subscriber *s, const struct slot *slot)
{
	return peer_is_root(&s->peer) || slot->owner == (int64_t)s->peer.uid;
}

/* As tell_objects(). */
static bool
tell_slots(struct subscriber *s)
{
	const struct slots *slots = s->m->slots;

	for (unsigned n = 0; n < SNAPSHOT_BATCH; s->record++) {
		if (s->record >= slots->n_records)
			return false;
		const struct slot_object *o = slots->by_record[s->record];
		if (!o)
			continue;
		struct slot_view v;
		slot_show(s->m, o, &v);
		n++;
		if (sees_slot(s, &v.slot))
			tell_slot(s, CHANGE_PRESENT, &v.slot);
	}
	return true;
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
	if (news->copy)
		tell(s, news->change, news->copy);
	else
		tell_slot(s, news->change, &news->slot);
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
	} else if (!(s->phase == TELL_SLOTS ? tell_slots(s) : tell_objects(s, index_of_phase(s)))) {
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
	if ((int)o->kind != (int)s->phase) /* both begin with namespaces, links, networks */
		return (int)o->kind < (int)s->phase;
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

/* What nobody hears of costs next to nothing: slots come and go by the thousand. */
void
announce_slot(struct manager *m, enum change change, const struct slot_object *o)
{
	struct subscriber *s, *next;
	struct slot_view v;

	m->sequence++;
	if (LIST_EMPTY(&m->subscribers))
		return;
	slot_show(m, o, &v);
	struct news *news = calloc(1, sizeof(*news));
	if (news) {
		news->references = 1;
		news->change = change;
		if (fields_copy(&slot_type, &v.slot, &news->slot, NULL) < 0)
			free(TAKE_PTR(news));
	}
	for (s = LIST_FIRST(&m->subscribers); s; s = next) {
		next = LIST_NEXT(s, entry);
		bool told = s->phase >= TELL_SYNCED || (s->phase == TELL_SLOTS && o->record < s->record);
		if (!told || !sees_slot(s, &v.slot))
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
