/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nsc completion: what may stand in place of the last word of a command line, from the tables, with live names from nsd.
 *
 * Names come from others and go to a shell. Only those made of harmless characters are offered.
 */
#include "config.h"

#include <dirent.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "json.h"
#include "member.h"
#include "verb.h"

#define PATIENCE 2 /* seconds that someone who pressed Tab waits for names */

#define HARMLESS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/@%+=-"

static void
offer(const char *text, const char *start)
{
	if (text[0] && strncmp(text, start, strlen(start)) == 0 && !text[strspn(text, HARMLESS)])
		puts(text);
}

/* Each word of a list: "up|down", "delete rm". */
static void
offer_list(const char *list, const char *separator, const char *start)
{
	char word[64];

	while (list && *list) {
		size_t n = strcspn(list, separator);
		if (n < sizeof(word)) {
			memcpy(word, list, n);
			word[n] = '\0';
			offer(word, start);
		}
		list += n + strspn(list + n, separator);
	}
}

static void
offer_namespaces(struct client *c, bool own, const char *start)
{
	CLEANUP(json_put) struct json_object *parameters = NULL, *reply = NULL;
	struct error ignored;

	if (member_new(&parameters, &ignored) < 0 ||
	    (own && member_put_bool(parameters, "foreign", false, &ignored) < 0) ||
	    call_collect(c, "ListNamespaces", parameters, "namespaces", &reply, &ignored) < 0)
		return;
	for (size_t i = 0; i < member_count(reply, "namespaces"); i++)
		offer(member_string(member_item(reply, "namespaces", i), "name"), start);
}

static void
offer_links(struct client *c, bool names, const char *start)
{
	CLEANUP(json_put) struct json_object *reply = NULL;
	struct error ignored;

	if (call_collect(c, "ListLinks", NULL, "links", &reply, &ignored) < 0)
		return;
	for (size_t i = 0; i < member_count(reply, "links"); i++) {
		struct json_object *link = member_item(reply, "links", i);
		if (names)
			offer(member_string(link, "name"), start);
		for (size_t j = 0; j < member_count(link, "ends"); j++)
			offer(member_string(member_item(link, "ends", j), "interface"), start);
	}
}

/* The names of all objects that a method lists under `key`. */
static void
offer_names(struct client *c, const char *method, const char *key, const char *start)
{
	CLEANUP(json_put) struct json_object *reply = NULL;

	if (call_collect(c, method, NULL, key, &reply, &(struct error){ 0 }) < 0)
		return;
	for (size_t i = 0; i < member_count(reply, key); i++)
		offer(member_string(member_item(reply, key, i), "name"), start);
}

/* Methods, from the lines "method NAME(" of the description. */
static void
offer_methods(struct client *c, const char *start)
{
	CLEANUP(json_put) struct json_object *parameters = NULL, *reply = NULL;
	struct error ignored;

	if (member_new(&parameters, &ignored) < 0 ||
	    member_put_string(parameters, "interface", "io.nsd.Manager", &ignored) < 0 ||
	    call(c, "org.varlink.service.GetInterfaceDescription", parameters, 0, &reply, &ignored) < 0)
		return;
	const char *line = member_string(reply, "description");
	while (line) {
		char name[64];
		if (sscanf(line, "method %63[A-Za-z0-9]", name) == 1)
			offer(name, start);
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
}

static void
offer_processes(const char *start)
{
	DIR *d = opendir("/proc");

	for (const struct dirent *entry; d && (entry = readdir(d));)
		if (!entry->d_name[strspn(entry->d_name, "0123456789")])
			offer(entry->d_name, start);
	if (d)
		closedir(d);
}

/* The first words of all verbs, or with `first` the second words of those. */
static void
offer_verbs(const char *first, const char *start)
{
	char last[64] = "";
	size_t n = first ? strlen(first) : 0;

	for (const struct family *f = families; f->title; f++)
		for (const struct verb *v = f->verbs; v->name; v++) {
			if (first && strncmp(v->name, first, n) == 0 && v->name[n] == ' ')
				offer(v->name + n + 1, start);
			if (first)
				continue;
			char word[64];
			snprintf(word, sizeof(word), "%.*s", (int)strcspn(v->name, " "), v->name);
			if (strcmp(word, last) != 0)
				offer(word, start);
			memcpy(last, word, sizeof(last));
		}
}

static void
offer_noun(struct client *c, enum noun noun, const char *start)
{
	switch (noun) {
	case NOUN_NAMESPACE:
	case NOUN_OWN_NAMESPACE:
		offer_namespaces(c, noun == NOUN_OWN_NAMESPACE, start);
		break;
	case NOUN_LINK:
	case NOUN_INTERFACE:
		offer_links(c, noun == NOUN_LINK, start);
		break;
	case NOUN_NETWORK:
		offer_names(c, "ListNetworks", "networks", start);
		break;
	case NOUN_SLOT:
		offer_names(c, "ListSlots", "slots", start);
		break;
	case NOUN_METHOD:
		offer_methods(c, start);
		break;
	case NOUN_PROCESS:
		offer_processes(start);
		break;
	case NOUN_VERB:
		offer_verbs(NULL, start);
		break;
	case NOUN_NONE:
	case NOUN_COMMAND:
		break;
	}
}

static void
offer_options(const char *start)
{
	for (const struct option_desc *o = client_options; o->name; o++)
		offer(o->name, start);
}

/* Where the arguments of a verb have got to. */
struct progress {
	const struct word *open; /* wants its value next */
	int positional;
};

static struct progress
walk_arguments(const struct verb *v, int argc, char *const *argv)
{
	struct progress p = { 0 };

	for (int i = 0; i < argc; i++) {
		const struct word *w =
			p.positional >= v->min || v->flags & VERB_RAW ? words_find(v->words, argv[i]) : NULL;
		if (p.open)
			p.open = NULL;
		else if (w)
			p.open = w->value ? w : NULL;
		else
			p.positional++;
	}
	return p;
}

static void
complete_argument(struct client *c, const struct verb *v, int argc, char *const *argv, const char *start)
{
	struct progress p = walk_arguments(v, argc, argv);

	if (p.open) {
		offer_noun(c, p.open->noun, start);
		if (strchr(p.open->value, '|') && !strpbrk(p.open->value, " []"))
			offer_list(p.open->value, "|", start);
		return;
	}
	if (v->max < 0 || p.positional < v->max)
		offer_noun(c, v->nouns[p.positional > 0], start);
	if (p.positional >= v->min)
		for (const struct word *w = words_first(v->words); w; w = words_next(w))
			offer(w->name, start);
	if (start[0] == '-')
		offer_options(start);
}

/* Where the command of another program starts among the arguments: behind the first positional one and the words of the
 * verb. -1: not yet. */
static int
command_at(const struct verb *v, int argc, char *const *argv)
{
	if (v->nouns[1] != NOUN_COMMAND || argc == 0)
		return -1;
	for (int i = 1; i < argc; i++) {
		const struct word *w = words_find(v->words, argv[i]);
		if (strcmp(argv[i], "--") == 0)
			return i + 1;
		if (!w)
			return i;
		i += w->value ? 1 : 0;
	}
	return v->words ? -1 : 1;
}

/* Does the word before the last want a value, as an option of nsc does? */
static bool
option_is_open(int argc, char *const *argv)
{
	const char *before = argc >= 2 ? argv[argc - 2] : "";

	for (const struct option_desc *o = client_options; o->name; o++)
		if (o->value && (strcmp(o->name, before) == 0 || (o->letter && strcmp(o->letter, before) == 0)))
			return true;
	return false;
}

/* The words before the last one decide; without nsd there are no names, and no failure. */
static int
run_completion(struct client *c, const struct arguments *a, struct error *e)
{
	bool dashes = a->n && strcmp(a->v[0], "--") == 0;
	char **argv = a->v + dashes;
	int argc = a->n - dashes, used;
	const char *start = argc ? argv[argc - 1] : "";

	if (option_is_open(argc, argv))
		return 0;
	int n = client_parse_options(c, argc ? argc - 1 : 0, argv, true, e);
	if (c->timeout == TIMEOUT_UNSET)
		c->timeout = PATIENCE;
	if (n <= 0) {
		offer_verbs(NULL, start);
		if (start[0] == '-')
			offer_options(start);
		return 0;
	}
	const struct verb *v = verb_find(n, argv, &used, &(struct error){ 0 });
	int command = v ? command_at(v, n - used, argv + used) : -1;
	if (command >= 0)
		printf(":command %d\n", argc - 1 - n + used + command);
	else if (v && !(used == 1 && v->flags & VERB_DEFAULT))
		complete_argument(c, v, n - used, argv + used, start);
	else if (n == 1)
		offer_verbs(argv[0], start);
	return 0;
}

/* clang-format off */
const struct verb completion_verbs[] = {
	{ .name = "completion", .arguments = "WORD...", .help = "print what may stand in place of the last word", .max = -1,
	  .flags = VERB_RAW | VERB_COMMAND, .run = run_completion,
	  .text = "For the completion scripts of shells. Where a command of another program starts it prints \":command N\".\n" },
	{ 0 },
};
/* clang-format on */
