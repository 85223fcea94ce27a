/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rtnetlink transactions.
 *
 * Theory of operation
 *
 * The kernel carries out a request inside send(), message by message, and has queued every answer when the call
 * returns; of a dump it queues the next piece inside recvfrom(). So nothing here ever waits for the socket: an answer
 * that is not there was lost (the receive buffer overflowed), and is reported instead of waited for.
 *
 * Only the last message of a send asks for an acknowledgement. A refused message is answered in any case, and answers
 * come in order: the last one says that every message before it without an answer was carried out. Sequence numbers
 * grow by one per message over the life of the socket; answers to anything but the send under way are passed over, so
 * that a transaction that failed halfway cannot be taken for the next one.
 */
#include "config.h"

#include "rtnl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "macros.h"

#define BATCH_START 2048	 /* bytes of a new buffer: a namespace with one link fits */
#define BATCH_LIMIT (256 * 1024) /* far above two ends with all the addresses and routes they may have */
#define PENDING_START 16
#define SLICE_MESSAGES 64	 /* in one send(): 64 refusals fit the default receive buffer, ... */
#define SLICE_BYTES (64 * 1024)	 /* ... and these the default send buffer */
#define RECEIVE_SIZE (32 * 1024) /* the most that the kernel puts into one piece of a dump */
#define QUERY_ATTEMPTS 9	 /* the first and 8 more */
#define WHAT_SIZE 80

struct pending {
	size_t offset;	  /* of the message in the buffer */
	const char *list; /* the field that asked for it is element `index` of this list; NULL: none */
	unsigned index;
	char what[WHAT_SIZE];
};

struct rtnl {
	int fd;
	uint32_t sequence; /* of the first message in the batch */
	char *buffer;
	size_t size;
	struct pending *pending; /* one per message */
	unsigned n, room;
	int failure; /* of the batch while it was built; negative errno */
};

typedef int answer_fn(const struct nlmsghdr *m, void *arg);

/* What came of one send. */
struct outcome {
	int refusal; /* the first one; negative errno */
	char what[WHAT_SIZE];
	char field[32];	 /* to blame, "" for none */
	char words[160]; /* the kernel's, "" for none */
	int walk;	 /* negative return of the callback */
	bool interrupted;
};

int
rtnl_open(struct rtnl **ret, struct error *e)
{
	CLEANUP(rtnl_closep) struct rtnl *r = calloc(1, sizeof(*r));
	if (!r)
		return error_errno(e, ENOMEM, "cannot open an rtnetlink socket");
	r->sequence = 1;
	r->size = BATCH_START;
	r->room = PENDING_START;

	r->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (r->fd < 0)
		return error_errno(e, errno, "cannot open an rtnetlink socket");
	r->buffer = malloc(r->size);
	r->pending = malloc(r->room * sizeof(*r->pending));
	if (!r->buffer || !r->pending)
		return error_errno(e, ENOMEM, "cannot open an rtnetlink socket");

	static const int options[] = { NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK };
	const int on = 1;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (setsockopt(r->fd, SOL_NETLINK, options[i], &on, sizeof(on)) < 0)
			return error_errno(e, errno, "cannot set option %d of an rtnetlink socket", options[i]);

	*ret = TAKE_PTR(r);
	return 0;
}

void
rtnl_close(struct rtnl *r)
{
	if (!r)
		return;
	close_fd(&r->fd);
	free(r->buffer);
	free(r->pending);
	free(r);
}

void
rtnl_closep(struct rtnl **r)
{
	rtnl_close(*r);
}

int
rtnl_take_fd(struct rtnl *r)
{
	int fd = TAKE_FD(r->fd);

	rtnl_close(r);
	return fd;
}

int
rtnl_fd(const struct rtnl *r)
{
	return r->fd;
}

static struct nlmsghdr *
message_at(const struct rtnl *r, unsigned i)
{
	return (struct nlmsghdr *)(void *)(r->buffer + r->pending[i].offset);
}

/* Where the first `n` messages end. */
static size_t
batch_end(const struct rtnl *r, unsigned n)
{
	return n == 0 ? 0 : r->pending[n - 1].offset + NLMSG_ALIGN(message_at(r, n - 1)->nlmsg_len);
}

/* Makes room for one more message at `offset`. */
static int
reserve(struct rtnl *r, size_t offset)
{
	if (offset + RTNL_MESSAGE_MAX > BATCH_LIMIT)
		return -E2BIG;

	if (offset + RTNL_MESSAGE_MAX > r->size) {
		char *buffer = realloc(r->buffer, r->size * 2);
		if (!buffer)
			return -ENOMEM;
		r->buffer = buffer;
		r->size *= 2;
	}
	if (r->n == r->room) {
		struct pending *pending = realloc(r->pending, 2 * r->room * sizeof(*pending));
		if (!pending)
			return -ENOMEM;
		r->pending = pending;
		r->room *= 2;
	}
	return 0;
}

struct nlmsghdr *
rtnl_message(struct rtnl *r, uint16_t type, uint16_t flags, size_t extra, void **extra_header, const char *what)
{
	size_t offset = batch_end(r, r->n);
	int err = reserve(r, offset);
	if (err < 0) { /* what follows is written over the batch, which will not be sent */
		r->failure = err;
		r->n = 0;
		offset = 0;
	}

	struct pending *p = &r->pending[r->n];
	size_t length = strnlen(what, sizeof(p->what) - 1);
	memcpy(p->what, what, length);
	p->what[length] = '\0';
	p->offset = offset;
	p->list = NULL;

	memset(r->buffer + offset, 0, RTNL_MESSAGE_MAX); /* padding, too, is sent */
	struct nlmsghdr *m = mnl_nlmsg_put_header(r->buffer + offset);
	m->nlmsg_type = type;
	m->nlmsg_flags = flags | NLM_F_REQUEST;
	m->nlmsg_seq = r->sequence + r->n;
	*extra_header = mnl_nlmsg_put_extra_header(m, extra);
	r->n++;
	return m;
}

void
rtnl_blame(struct rtnl *r, const char *list, unsigned index)
{
	if (r->n == 0)
		return;
	r->pending[r->n - 1].list = list;
	r->pending[r->n - 1].index = index;
}

void
rtnl_reset(struct rtnl *r)
{
	r->sequence += r->n;
	r->n = 0;
	r->failure = 0;
}

/* Sends messages [first, end). */
static int
transmit(struct rtnl *r, unsigned first, unsigned end)
{
	message_at(r, end - 1)->nlmsg_flags |= NLM_F_ACK;

	size_t from = r->pending[first].offset;
	ssize_t n;
	do
		n = send(r->fd, r->buffer + from, batch_end(r, end) - from, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* The next datagram of the kernel; its length, or a negative errno. */
static ssize_t
receive(struct rtnl *r, char *buffer, size_t size)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_size = sizeof(from);
		ssize_t n =
			recvfrom(r->fd, buffer, size, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &from_size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ENODATA : -errno;
		if (from.nl_pid != 0) /* another process */
			continue;
		return (size_t)n > size ? -EMSGSIZE : n;
	}
}

/* The extended acknowledgement's text, from the attributes at `offset` of the payload. */
static void
read_words(const struct nlmsghdr *m, size_t offset, char *ret, size_t size)
{
	if (!(m->nlmsg_flags & NLM_F_ACK_TLVS) || mnl_nlmsg_get_payload_len(m) < offset)
		return;

	struct nlattr *a;
	mnl_attr_for_each (a, m, offset) {
		if (mnl_attr_get_type(a) != NLMSGERR_ATTR_MSG)
			continue;
		const char *text = mnl_attr_get_payload(a);
		size_t length = strnlen(text, mnl_attr_get_payload_len(a));
		if (length >= size)
			length = size - 1;
		memcpy(ret, text, length);
		ret[length] = '\0';
	}
}

static void
note_refusal(const struct rtnl *r, const struct nlmsghdr *m, int number, size_t words, struct outcome *o)
{
	if (o->refusal != 0)
		return;
	o->refusal = number;
	const struct pending *p = &r->pending[m->nlmsg_seq - r->sequence];
	memcpy(o->what, p->what, sizeof(o->what));
	if (p->list)
		snprintf(o->field, sizeof(o->field), "%s[%u]", p->list, p->index);
	read_words(m, words, o->words, sizeof(o->words));
}

/* NLMSG_ERROR: a refusal, or the acknowledgement. */
static int
read_error(const struct rtnl *r, const struct nlmsghdr *m, struct outcome *o)
{
	if (mnl_nlmsg_get_payload_len(m) < sizeof(struct nlmsgerr))
		return -EBADMSG;

	const struct nlmsgerr *answer = mnl_nlmsg_get_payload(m);
	size_t words = sizeof(*answer); /* NETLINK_CAP_ACK: of the refused message only the header comes back */
	if (!(m->nlmsg_flags & NLM_F_CAPPED))
		words += NLMSG_ALIGN(answer->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (answer->error < 0)
		note_refusal(r, m, answer->error, words, o);
	return 0;
}

/* One message of an answer. Returns 1 when it ends the answers to message `last`. */
static int
read_answer(const struct rtnl *r, const struct nlmsghdr *m, unsigned last, answer_fn *fn, void *arg, struct outcome *o)
{
	if (m->nlmsg_flags & NLM_F_DUMP_INTR)
		o->interrupted = true;

	int status = 0;
	switch (m->nlmsg_type) {
	case NLMSG_NOOP:
		return 0;
	case NLMSG_OVERRUN:
		return -ENOBUFS;
	case NLMSG_ERROR:
		status = read_error(r, m, o);
		return status < 0 ? status : m->nlmsg_seq == r->sequence + last;
	case NLMSG_DONE:
		if (mnl_nlmsg_get_payload_len(m) >= sizeof(status))
			memcpy(&status, mnl_nlmsg_get_payload(m), sizeof(status));
		if (status < 0)
			note_refusal(r, m, status, sizeof(status), o);
		return 1;
	default:
		if (fn && o->walk == 0 && !o->interrupted)
			o->walk = fn(m, arg);
		return 0;
	}
}

/* Reads all the answers to messages [first, end). */
static int
collect(struct rtnl *r, unsigned first, unsigned end, answer_fn *fn, void *arg, struct outcome *o)
{
	_Alignas(struct nlmsghdr) char buffer[RECEIVE_SIZE];

	for (;;) {
		ssize_t n = receive(r, buffer, sizeof(buffer));
		if (n < 0)
			return (int)n;

		int left = (int)n;
		const struct nlmsghdr *m = (const struct nlmsghdr *)(const void *)buffer;
		for (; mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
			if (m->nlmsg_seq - r->sequence < first || m->nlmsg_seq - r->sequence >= end)
				continue;
			int done = read_answer(r, m, end - 1, fn, arg, o);
			if (done != 0)
				return done < 0 ? done : 0;
		}
	}
}

/* Puts a refusal into words. */
static int
report(const struct outcome *o, struct error *e)
{
	int number = -o->refusal;
	const char *colon = o->words[0] ? ": " : "";

	if (number == EEXIST)
		error_set(e, ERROR_NAME_TAKEN, o->field, "%s%s%s: it exists already", o->what, colon, o->words);
	else if (number == EOPNOTSUPP)
		error_set(e, ERROR_NOT_SUPPORTED, o->field, "%s%s%s: not supported by this kernel", o->what, colon,
			  o->words);
	else
		error_errno(e, number, "%s%s%s", o->what, colon, o->words);
	if (e && o->field[0] && !e->field[0])
		error_prefix_field(e, o->field, -1);
	if (e)
		e->number = number;
	return -number;
}

/* The kernel did something, and what it said of it got lost on the way. */
static int
report_lost(int err, const char *what, struct error *e)
{
	error_set(e, ERROR_KERNEL, NULL, "%s: the kernel's answer got lost: %s", what, strerror(-err));
	if (e)
		e->number = ENODATA;
	return -ENODATA;
}

/* Was the batch built whole? If not, it is dropped. */
static int
check_built(struct rtnl *r, struct error *e)
{
	int failure = r->failure;
	if (failure == 0)
		return 0;
	rtnl_reset(r);
	return error_errno(e, -failure, "cannot put together an rtnetlink batch");
}

/* Where the slice that starts at message `first` ends. */
static unsigned
slice_end(const struct rtnl *r, unsigned first)
{
	unsigned end = first + 1;
	while (end < r->n && end - first < SLICE_MESSAGES &&
	       batch_end(r, end + 1) - r->pending[first].offset <= SLICE_BYTES)
		end++;
	return end;
}

int
rtnl_exchange(struct rtnl *r, answer_fn *fn, void *arg, struct error *e)
{
	int err = check_built(r, e);
	if (err < 0)
		return err;

	struct outcome o = { 0 };
	int lost = 0;
	char what[WHAT_SIZE] = "";
	for (unsigned first = 0, end; first < r->n && err == 0 && lost == 0; first = end) {
		end = slice_end(r, first);
		memcpy(what, r->pending[first].what, sizeof(what));
		err = transmit(r, first, end);
		if (err == 0)
			lost = collect(r, first, end, fn, arg, &o);
	}
	rtnl_reset(r);

	if (o.refusal < 0)
		return report(&o, e);
	if (lost < 0)
		return report_lost(lost, what, e);
	return err < 0 ? error_errno(e, -err, "%s: cannot send to rtnetlink", what) : 0;
}

int
rtnl_send(struct rtnl *r, struct error *e)
{
	return rtnl_exchange(r, NULL, NULL, e);
}

int
rtnl_query(struct rtnl *r, answer_fn *fn, void (*restart)(void *arg), void *arg, struct error *e)
{
	int err = check_built(r, e);
	if (err < 0)
		return err;
	if (r->n != 1) {
		rtnl_reset(r);
		return error_set(e, ERROR_INTERNAL, NULL, "a query is one request, and no batch");
	}

	struct outcome o;
	int lost = 0;
	bool again = true;
	for (unsigned attempt = 0; attempt < QUERY_ATTEMPTS && again; attempt++) {
		o = (struct outcome){ 0 };
		err = transmit(r, 0, 1);
		if (err == 0)
			lost = collect(r, 0, 1, fn, arg, &o);
		again = err == 0 && lost == 0 && o.walk == 0 && o.refusal == 0 && o.interrupted;
		if (again && restart)
			restart(arg);
		if (again)
			message_at(r, 0)->nlmsg_seq = ++r->sequence;
	}
	char what[WHAT_SIZE];
	memcpy(what, r->pending[0].what, sizeof(what));
	rtnl_reset(r);

	if (o.walk < 0)
		return o.walk;
	if (o.refusal < 0)
		return report(&o, e);
	if (lost < 0)
		return report_lost(lost, what, e);
	if (again)
		return error_errno(e, EINTR, "%s: every dump was interrupted by changes", what);
	return err < 0 ? error_errno(e, -err, "%s: cannot send to rtnetlink", what) : 0;
}
