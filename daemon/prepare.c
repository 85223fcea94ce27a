/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checks before the kernel is touched: who may, what is missing, what collides. Completes a specification with nsd's
 * choices, so that the record alone is enough to make the object again. */
#include "config.h"

#include "prepare.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define IPV6_MIN_MTU 1280 /* RFC 8200, section 5 */
#define DEFAULT_MTU 1500  /* ETH_DATA_LEN, the kernel's own for both kinds */

/* ---- canonical texts, so that equal things compare equal ---- */

static int
replace_text(char **text, const char *with, struct error *e)
{
	if (strcmp(*text, with) == 0)
		return 0;
	char *copy = strdup(with);
	if (!copy)
		return error_errno(e, ENOMEM, "reading the specification");
	free(*text);
	*text = copy;
	return 0;
}

static int
canonical_prefix(char **text, bool bare, struct error *e)
{
	char buffer[INET6_ADDRSTRLEN + 4];
	struct prefix p;
	int err = prefix_parse(*text, bare, &p, e);

	if (err < 0)
		return err;
	prefix_format(&p, buffer);
	if (bare)
		*strchr(buffer, '/') = '\0';
	return replace_text(text, buffer, e);
}

static int
canonical_route(struct route *r, struct error *e)
{
	bool is_default = strcmp(r->destination, "default") == 0;
	int err = is_default ? 0 : canonical_prefix(&r->destination, false, e);

	if (err == 0 && r->gateway)
		err = canonical_prefix(&r->gateway, true, e);
	if (err < 0)
		return err;
	if (is_default && !r->gateway)
		return error_set(e, ERROR_INVALID_VALUE, "gateway",
				 "a default route needs a gateway: it tells the family");
	if (!is_default && r->gateway && !strchr(r->gateway, ':') != !strchr(r->destination, ':'))
		return error_set(e, ERROR_INVALID_VALUE, "gateway", "gateway %s is of another family than %s",
				 r->gateway, r->destination);
	return 0;
}

int
prepare_end(struct end *end, struct error *e)
{
	int err = 0;

	if (end->mac) {
		uint8_t mac[6];
		char text[MAC_TEXT_SIZE];
		err = mac_parse(end->mac, mac, e);
		if (err == 0) {
			mac_format(mac, text);
			err = replace_text(&end->mac, text, e);
		}
	}
	for (size_t i = 0; i < end->addresses.n && err == 0; i++) {
		err = canonical_prefix(&end->addresses.v[i], false, e);
		for (size_t j = 0; j < i && err == 0; j++)
			if (strcmp(end->addresses.v[i], end->addresses.v[j]) == 0) {
				err = error_set(e, ERROR_INVALID_VALUE, NULL, "address %s is given twice",
						end->addresses.v[i]);
				error_prefix_field(e, "addresses", (long)i);
			}
	}
	for (size_t i = 0; i < end->routes.n && err == 0; i++) {
		err = canonical_route((struct route *)end->routes.v + i, e);
		if (err < 0)
			error_prefix_field(e, "routes", (long)i);
	}
	return err;
}

int
prepare_check_end(const struct end *end, struct error *e)
{
	if (end->routes.n && end->up == 0)
		return error_set(e, ERROR_INVALID_VALUE, "routes", "an interface that is down carries no routes");
	if (end_has_ipv6(end) && end->mtu != FIELD_ABSENT_INT && end->mtu < IPV6_MIN_MTU)
		return error_set(e, ERROR_INVALID_VALUE, "mtu", "IPv6 addresses need an MTU of at least %d",
				 IPV6_MIN_MTU);
	return 0;
}

static int
canonical_link(struct link *l, struct error *e)
{
	int err = 0;

	for (size_t i = 0; i < l->ends.n && err == 0; i++) {
		err = prepare_end((struct end *)l->ends.v + i, e);
		if (err < 0)
			error_prefix_field(e, "ends", (long)i);
	}
	return err;
}

/* ---- defaults ---- */

static int
out_of_memory(struct error *e)
{
	return error_errno(e, ENOMEM, "preparing an object");
}

static int PRINTF(2, 3) set_text(char **text, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *copy = NULL;
	int n = vasprintf(&copy, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	*text = copy;
	return 0;
}

/* "nsd" and the generation in base 32: 14 characters, never the same again. */
static int
own_interface_name(char **ret, int64_t generation, unsigned end)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuv";
	char text[INTERFACE_MAX_LENGTH + 1] = "nsd";
	uint64_t number = (uint64_t)generation * 2 + end;

	for (unsigned i = 13; i >= 3; i--, number /= 32)
		text[i] = digits[number % 32];
	return set_text(ret, "%s", text);
}

static int
next_interface_name(const struct manager *m, const struct link *l, unsigned end, char **ret)
{
	const struct end *ends = l->ends.v;
	char text[INTERFACE_MAX_LENGTH + 1];

	for (unsigned n = 0; n < 10000; n++) {
		snprintf(text, sizeof(text), "eth%u", n);
		bool other = l->ends.n == 2 && ends[!end].interface && ends[!end].namespace &&
			     strcmp(ends[!end].namespace, ends[end].namespace) == 0 &&
			     strcmp(ends[!end].interface, text) == 0;
		if (!other && !find_end(m, ends[end].namespace, text))
			return set_text(ret, "%s", text);
	}
	return -ENOMEM;
}

static int
complete_end(const struct manager *m, struct link *l, unsigned i)
{
	struct end *end = (struct end *)l->ends.v + i;
	int err = 0;

	if (end->up == FIELD_ABSENT_BOOL)
		end->up = 1;
	if (end->mtu == FIELD_ABSENT_INT)
		end->mtu = DEFAULT_MTU;
	if (!end->interface)
		err = end->namespace ? next_interface_name(m, l, i, &end->interface) :
				       own_interface_name(&end->interface, l->generation, i);
	if (err == 0 && !end->mac) {
		uint64_t n = (uint64_t)l->generation * 2 + i;
		err = set_text(&end->mac, "02:%02x:%02x:%02x:%02x:%02x", (unsigned)(n >> 32) & 0xff,
			       (unsigned)(n >> 24) & 0xff, (unsigned)(n >> 16) & 0xff, (unsigned)(n >> 8) & 0xff,
			       (unsigned)n & 0xff);
	}
	return err;
}

static int
complete_link(struct manager *m, const struct peer *peer, struct link *l, struct error *e)
{
	int err = store_generation(m->store, &l->generation, e);
	if (err < 0)
		return err;
	l->state = STATE_CREATING;
	l->owner = peer->uid;
	l->created = time(NULL);
	if (l->kind == FIELD_ABSENT_ENUM)
		l->kind = LINK_VETH;
	for (unsigned i = 0; i < l->ends.n && err == 0; i++)
		err = complete_end(m, l, i);
	const struct end *first = l->ends.v, *second = first + (l->ends.n - 1);
	const struct end *host = !first->namespace ? first : !second->namespace ? second : NULL;
	if (err == 0 && !l->name)
		err = host ? set_text(&l->name, "%s", host->interface) :
			     set_text(&l->name, "%s.%s", first->namespace, first->interface);
	if (err == 0 && strlen(l->name) > NAME_MAX_LENGTH)
		return error_set(e, ERROR_INVALID_VALUE, "name",
				 "the name %.80s is too long; give the link another one", l->name);
	return err < 0 ? out_of_memory(e) : 0;
}

static int
complete_namespace(struct manager *m, const struct peer *peer, struct namespace *ns, struct error *e)
{
	int err = store_generation(m->store, &ns->generation, e);
	if (err < 0)
		return err;
	ns->state = STATE_CREATING;
	ns->owner = peer->uid;
	ns->created = time(NULL);
	ns->kinds = 1 << KIND_NET;
	if (ns->lifetime == FIELD_ABSENT_ENUM)
		ns->lifetime = LIFETIME_PERSISTENT;
	if (ns->loopback == FIELD_ABSENT_BOOL)
		ns->loopback = 1;
	return set_text(&ns->path, "%s/%s", netns_site_path(m->site), ns->name) < 0 ? out_of_memory(e) : 0;
}

/* ---- checks ---- */

static int
check_quota(const struct index *x, const struct peer *peer, unsigned limit, const char *what, struct error *e)
{
	unsigned n = 0;

	if (peer_is_root(peer))
		return 0;
	for (size_t i = 0; i < x->n; i++)
		n += object_owner(x->v[i]) == (int64_t)peer->uid;
	if (n >= limit)
		return error_set(e, ERROR_QUOTA_EXCEEDED, NULL,
				 "you have %u %s already and may have %u; delete one first", n, what, limit);
	return 0;
}

/* The namespace an end is to be in. Returns 1 when it has to be waited for. */
static int
check_site(struct manager *m, const struct peer *peer, const struct end *end, const struct object *making,
	   const struct object **ret, struct error *e)
{
	if (!end->namespace) {
		if (!peer_is_root(peer))
			return error_set(e, ERROR_PERMISSION_DENIED, "namespace",
					 "only root may put an interface in the host");
		return 0;
	}
	const struct object *o = find_namespace(m, end->namespace);
	if (o && o == making) {
		*ret = o;
		return 0;
	}
	if (!o || !peer_sees(peer, o))
		return error_set(e, ERROR_NOT_FOUND, "namespace", "no namespace \"%s\"; make it first: nsc add %s",
				 end->namespace, end->namespace);
	if (o->ns.foreign == 1)
		return error_set(e, ERROR_FOREIGN, "namespace",
				 "namespace \"%s\" was not made by nsd, so nsd leaves it alone", end->namespace);
	if (o->ns.state == STATE_LOST)
		return error_set(e, ERROR_LOST, "namespace", "namespace \"%s\" is lost: %s; nsc repair %s",
				 end->namespace, o->ns.message ? o->ns.message : "it vanished from the kernel",
				 end->namespace);
	if (o->busy || o->ns.state != STATE_READY) {
		error_set(e, ERROR_BUSY, "namespace", "another request is working on namespace \"%s\"; try again",
			  end->namespace);
		return 1;
	}
	*ret = o;
	return 0;
}

static int
check_host_name(struct manager *m, const char *interface, struct error *e)
{
	if (find_host_link(m, interface))
		watch_catch_up(m); /* it may have gone a moment ago */
	const struct host_link *h = find_host_link(m, interface);
	if (!h)
		return 0;
	const struct place *s = find_ifindex(m, m->host_cookie, h->info.ifindex);
	bool going = s && object_state(s->object) == STATE_DRAINING;
	error_set(e, ERROR_NAME_TAKEN, "interface", "the host has an interface %s already; choose another name",
		  interface);
	return going ? 1 : -EEXIST;
}

/* Is (namespace, interface) free? Returns 1 when it will be. */
static int
check_interface(struct manager *m, const struct end *end, struct error *e)
{
	const struct place *s = find_end(m, end->namespace, end->interface);

	if (strcmp(end->interface, "lo") == 0)
		return error_set(e, ERROR_NAME_TAKEN, "interface",
				 "every namespace has its own lo; choose another name");
	if (s) {
		bool going = s->object->busy || object_state(s->object) == STATE_DRAINING;
		error_set(e, ERROR_ALREADY_EXISTS, "interface", "interface %s%s%s belongs to link \"%s\" already",
			  end->interface, end->namespace ? " in namespace " : " in the host",
			  end->namespace ? end->namespace : "", s->object->link.name);
		return going ? 1 : -EEXIST;
	}
	return end->namespace ? 0 : check_host_name(m, end->interface, e);
}

static int
check_lifetime(struct link *l, const struct object *const *sites, struct error *e)
{
	const char *runtime = NULL;

	for (size_t i = 0; i < l->ends.n; i++)
		if (sites[i] && sites[i]->ns.lifetime == LIFETIME_RUNTIME)
			runtime = sites[i]->ns.name;
	if (l->lifetime == FIELD_ABSENT_ENUM)
		l->lifetime = runtime ? LIFETIME_RUNTIME : LIFETIME_PERSISTENT;
	if (l->lifetime == LIFETIME_PERSISTENT && runtime)
		return error_set(e, ERROR_INVALID_VALUE, "lifetime",
				 "namespace \"%s\" does not outlive a reboot, so a link into it cannot be persistent",
				 runtime);
	return 0;
}

static int
check_shape(const struct link *l, struct error *e)
{
	const struct link_kind_ops *ops = link_kind_ops(l->kind == FIELD_ABSENT_ENUM ? LINK_VETH : l->kind);
	const struct end *ends = l->ends.v;

	if (l->ends.n != ops->ends)
		return error_set(e, ERROR_INVALID_VALUE, "ends", "a link of kind %s has %u end%s, not %zu", ops->name,
				 ops->ends, ops->ends == 1 ? "" : "s", l->ends.n);
	if (ops->kind == LINK_BRIDGE && ends[0].bridge)
		return error_set(e, ERROR_INVALID_VALUE, "ends[0].bridge",
				 "a bridge cannot be a port of another bridge");
	for (unsigned i = 0; i < ops->ends; i++)
		if (prepare_check_end(&ends[i], e) < 0) {
			error_prefix_field(e, "ends", i);
			return -EINVAL;
		}
	bool together = ops->ends == 2 && !ends[0].namespace == !ends[1].namespace &&
			(!ends[0].namespace || strcmp(ends[0].namespace, ends[1].namespace) == 0);
	if (together && ends[0].interface && ends[1].interface && strcmp(ends[0].interface, ends[1].interface) == 0)
		return error_set(e, ERROR_INVALID_VALUE, "ends[1].interface",
				 "both ends are in the same place and cannot both be called %s", ends[1].interface);
	return 0;
}

/* ---- links ---- */

static int
check_ends(struct manager *m, const struct peer *peer, struct link *l, struct preparation *p, struct error *e)
{
	const struct object *sites[2] = { NULL, NULL };
	int err = 0;

	for (unsigned i = 0; i < l->ends.n && err == 0; i++) {
		err = check_site(m, peer, (struct end *)l->ends.v + i, p->ns, &sites[i], e);
		if (err != 0)
			error_prefix_field(e, "ends", i);
		else if (sites[i] && sites[i] != p->ns)
			p->end_cookies[p->n_links][i] = (uint64_t)sites[i]->ns.cookie;
		p->host_ends |= !((struct end *)l->ends.v)[i].namespace;
	}
	return err ? err : check_lifetime(l, sites, e);
}

static int
check_names(struct manager *m, const struct link *l, struct error *e)
{
	const struct object *other = find_link(m, l->name);
	int err = 0;

	if (other) {
		error_set(e, ERROR_ALREADY_EXISTS, "name", "link \"%s\" exists already", l->name);
		return other->busy || other->link.state == STATE_DRAINING ? 1 : -EEXIST;
	}
	for (unsigned i = 0; i < l->ends.n && err == 0; i++) {
		const struct end *end = (const struct end *)l->ends.v + i;
		err = check_interface(m, end, e);
		if (err != 0)
			error_prefix_field(e, "ends", i);
	}
	return err;
}

/* ensure: the link that `want` would be, if there is one. */
static struct object *
find_same_link(const struct manager *m, const struct link *want)
{
	if (want->name)
		return find_link(m, want->name);
	for (size_t i = 0; i < want->ends.n; i++) {
		const struct end *end = (const struct end *)want->ends.v + i;
		const struct place *s = end->interface ? find_end(m, end->namespace, end->interface) : NULL;
		if (s)
			return s->object;
	}
	return NULL;
}

static int
compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The order of addresses is no difference. */
static void
sort_addresses(struct link *l)
{
	for (size_t i = 0; i < l->ends.n; i++) {
		struct strings *s = &((struct end *)l->ends.v)[i].addresses;
		if (s->n > 1)
			if (s->n > 1)
				qsort(s->v, s->n, sizeof(*s->v), compare_text);
	}
}

/* Returns 1 and the path of the first difference, or 0. */
static int
link_matches(const struct link *want, const struct link *have, char *path, size_t size, struct error *e)
{
	struct link a, b;
	int err = fields_copy(&link_type, want, &a, e);

	if (err < 0)
		return err;
	err = fields_copy(&link_type, have, &b, e);
	if (err == 0) {
		sort_addresses(&a);
		sort_addresses(&b);
		err = fields_match(&link_type, &a, &b, path, size) ? 0 : 1;
		link_done(&b);
	}
	link_done(&a);
	return err;
}

/* Returns 0 when there is none (*ret NULL) or an equal one. */
static int
ensure_link(struct manager *m, const struct peer *peer, const struct link *want, struct object **ret, struct error *e)
{
	char path[sizeof(e->field)];
	struct object *o = find_same_link(m, want);

	*ret = NULL;
	if (!o)
		return 0;
	if (!peer_sees(peer, o))
		return error_set(e, ERROR_ALREADY_EXISTS, "name", "the name is taken");
	if (o->busy || o->link.state == STATE_DRAINING) {
		error_set(e, ERROR_BUSY, "name", "another request is working on link \"%s\"; try again", o->link.name);
		return 1;
	}
	if (o->link.state == STATE_LOST)
		return error_set(e, ERROR_LOST, "name", "link \"%s\" is lost; nsc link repair %s", o->link.name,
				 o->link.name);
	int err = link_matches(want, &o->link, path, sizeof(path), e);
	if (err > 0)
		return error_set(e, ERROR_SPEC_DIFFERS, path, "link \"%s\" exists with another %s", o->link.name, path);
	*ret = err == 0 ? o : NULL;
	return err;
}

static int
prepare_new_link(struct manager *m, const struct peer *peer, struct object *o, struct preparation *p, struct error *e)
{
	struct link *l = &o->link;
	int err = check_shape(l, e);

	if (err == 0)
		err = check_quota(&m->links, peer, m->policy.links_per_user, "links", e);
	if (err == 0)
		err = check_ends(m, peer, l, p, e);
	if (err == 0)
		err = complete_link(m, peer, l, e);
	if (err == 0)
		err = check_names(m, l, e);
	if (err == 0 && object_insert(m, o) < 0)
		err = out_of_memory(e);
	return err;
}

static int
prepare_link(struct manager *m, const struct peer *peer, const struct link *spec, bool ensure, struct preparation *p,
	     struct error *e)
{
	struct object *o = object_new(OBJECT_LINK), *same = NULL;
	int err = o ? fields_copy(&link_type, spec, &o->link, e) : out_of_memory(e);

	if (err == 0)
		err = canonical_link(&o->link, e);
	if (err == 0 && ensure)
		err = ensure_link(m, peer, &o->link, &same, e);
	if (err == 0 && !same)
		err = prepare_new_link(m, peer, o, p, e);
	if (err != 0 || same) {
		object_free(o);
		o = same;
	} else {
		p->links[p->n_links++] = o;
		p->durable |= object_is_persistent(o);
	}
	if (err == 0)
		p->reply_links[p->n_reply_links++] = o;
	return err;
}

/* ---- namespaces ---- */

static int
check_kinds(const struct namespace *ns, struct error *e)
{
	if (ns->kinds & ~(1u << KIND_NET))
		return error_set(e, ERROR_NOT_SUPPORTED, "kinds", "this version makes namespaces of kind net only");
	return 0;
}

/* What is there under that name: 0 nothing, or (ensure) an equal one in *ret. */
static int
check_existing(struct manager *m, const struct peer *peer, const struct namespace *want, bool ensure,
	       struct object **ret, struct error *e)
{
	char path[sizeof(e->field)];
	struct object *o = find_namespace(m, want->name);

	*ret = NULL;
	if (!o)
		return 0;
	if (o->ns.foreign == 1)
		return error_set(e, ERROR_NAME_TAKEN, "name",
				 "%s/%s exists and was not made by nsd; choose another name", netns_site_path(m->site),
				 want->name);
	if (o->busy || o->ns.state == STATE_DRAINING || o->ns.state == STATE_CREATING) {
		error_set(e, o->busy ? ERROR_BUSY : ERROR_DRAINING, "name", "namespace \"%s\" is still being %s%s%s",
			  want->name, o->busy ? "worked on" : "removed", o->ns.message ? ": " : "",
			  o->ns.message ? o->ns.message : "");
		return 1;
	}
	if (!ensure || !peer_sees(peer, o))
		return error_set(e, ERROR_ALREADY_EXISTS, "name", "namespace \"%s\" exists already", want->name);
	if (o->ns.state == STATE_LOST)
		return error_set(e, ERROR_LOST, "name", "namespace \"%s\" is lost: %s; nsc repair %s", want->name,
				 o->ns.message ? o->ns.message : "it vanished from the kernel", want->name);
	struct namespace have = o->ns;
	if (o->nsid >= 0)
		have.nsid = o->nsid;
	if (!fields_match(&namespace_type, want, &have, path, sizeof(path)))
		return error_set(e, ERROR_SPEC_DIFFERS, path, "namespace \"%s\" exists with another %s", want->name,
				 path);
	*ret = o;
	return 0;
}

static int
prepare_namespace(struct manager *m, const struct peer *peer, const struct namespace *spec, bool ensure,
		  struct preparation *p, struct error *e)
{
	struct object *same = NULL;
	int err = check_kinds(spec, e);

	if (err == 0)
		err = check_existing(m, peer, spec, ensure, &same, e);
	if (err != 0 || same) {
		p->reply_ns = same;
		return err;
	}
	struct object *o = object_new(OBJECT_NAMESPACE);
	err = check_quota(&m->namespaces, peer, m->policy.namespaces_per_user, "namespaces", e);
	if (err == 0)
		err = o ? fields_copy(&namespace_type, spec, &o->ns, e) : out_of_memory(e);
	if (err == 0)
		err = complete_namespace(m, peer, &o->ns, e);
	if (err == 0 && object_insert(m, o) < 0)
		err = out_of_memory(e);
	if (err < 0) {
		object_free(o);
		return err;
	}
	p->ns = p->reply_ns = o;
	p->durable |= object_is_persistent(o);
	return 0;
}

int
prepare_move(struct manager *m, const struct peer *peer, const struct link *l, unsigned i, uint64_t *cookie,
	     struct error *e)
{
	const struct object *site = NULL, *sites[2] = { NULL, NULL };
	const struct end *end = (const struct end *)l->ends.v + i;
	struct link copy = *l;
	int err = check_site(m, peer, end, NULL, &site, e);

	if (err == 0)
		err = check_interface(m, end, e);
	sites[i] = site;
	if (err == 0)
		err = check_lifetime(&copy, sites, e);
	if (err != 0)
		return err < 0 ? err : -EBUSY;
	*cookie = site ? (uint64_t)site->ns.cookie : m->host_cookie;
	return 0;
}

static void
withdraw(struct manager *m, struct object *o)
{
	object_remove(m, o);
	object_free(o);
}

void
preparation_withdraw(struct manager *m, struct preparation *p)
{
	for (unsigned i = p->n_links; i-- > 0;)
		withdraw(m, p->links[i]);
	if (p->ns)
		withdraw(m, p->ns);
}

int
prepare(struct manager *m, const struct peer *peer, const struct namespace *ns, const struct list *links, bool ensure,
	struct preparation *ret, struct error *e)
{
	struct preparation p = { 0 };
	int err = 0;

	if (links && links->n > MAX_LINKS_PER_REQUEST)
		return error_set(e, ERROR_INVALID_VALUE, "links", "at most %d links in one request",
				 MAX_LINKS_PER_REQUEST);
	if (ns)
		err = prepare_namespace(m, peer, ns, ensure, &p, e);
	for (size_t i = 0; links && i < links->n && err == 0; i++) {
		err = prepare_link(m, peer, (const struct link *)links->v + i, ensure, &p, e);
		if (err != 0 && ns)
			error_prefix_field(e, "links", (long)i);
	}
	if (err == 0) {
		*ret = p;
		return 0;
	}
	preparation_withdraw(m, &p);
	return err;
}

static int
prepare_link_again(struct manager *m, struct object *o, struct preparation *p, struct error *e)
{
	const struct peer root = { .uid = 0 };
	int err = 0;

	for (unsigned i = 0; i < o->link.ends.n && err == 0; i++) {
		const struct end *end = link_end(o, i);
		const struct object *site = NULL;
		err = check_site(m, &root, end, p->ns, &site, e);
		if (site && site != p->ns)
			p->end_cookies[p->n_links][i] = (uint64_t)site->ns.cookie;
		p->host_ends |= !end->namespace;
	}
	if (err == 0)
		p->links[p->n_links++] = o;
	return err;
}

int
prepare_again(struct manager *m, struct object **objects, unsigned n, struct preparation *ret, struct error *e)
{
	struct preparation p = { 0 };
	int err = 0;

	for (unsigned i = 0; i < n && err == 0; i++) {
		p.durable |= object_is_persistent(objects[i]);
		if (objects[i]->kind == OBJECT_NAMESPACE)
			p.ns = objects[i];
		else
			err = prepare_link_again(m, objects[i], &p, e);
	}
	if (err == 0)
		*ret = p;
	return err;
}
