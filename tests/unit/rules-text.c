/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints the rules of a network for tests that load them: rules-text WHAT NETWORK [OPTION...]; NETWORK is its JSON. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "macros.h"
#include "network-rules.h"

#define MAX_ITEMS 64

struct arguments {
	struct rules_range range;
	struct prefix addresses[MAX_ITEMS], networks[MAX_ITEMS];
	unsigned n_addresses, n_networks;
	struct rules_published published[MAX_ITEMS];
	unsigned n_published;
};

static void
need(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr,
		"rules-text: %s\n"
		"usage: rules-text router|shard|sets|host|publish|unpublish NETWORK [range=FIRST,COUNT,IFINDEX]\n"
		"       [host=ADDRESS] [network=PREFIX] [publish=tcp|udp,HOSTPORT,PORT,ADDRESS4,ADDRESS6]\n",
		what);
	exit(2);
}

static void
read_published(char *text, struct rules_published *ret)
{
	char *word[5] = { NULL }, *rest = text;
	for (unsigned i = 0; i < 5 && rest; i++)
		word[i] = strsep(&rest, ",");
	need(word[4] && !rest, "publish=PROTOCOL,HOSTPORT,PORT,ADDRESS4,ADDRESS6");
	*ret = (struct rules_published){ .protocol = strcmp(word[0], "tcp") == 0 ? PROTOCOL_TCP : PROTOCOL_UDP,
					 .host_port = (uint16_t)atoi(word[1]),
					 .port = (uint16_t)atoi(word[2]),
					 .address4 = word[3][0] ? word[3] : NULL,
					 .address6 = word[4][0] ? word[4] : NULL };
}

static void
read_argument(struct arguments *a, char *text)
{
	char *value = strchr(text, '=');
	need(value && a->n_addresses < MAX_ITEMS && a->n_networks < MAX_ITEMS && a->n_published < MAX_ITEMS, text);
	*value++ = '\0';
	if (strcmp(text, "range") == 0)
		need(sscanf(value, "%u,%u,%d", &a->range.first, &a->range.count, &a->range.first_ifindex) == 3, value);
	else if (strcmp(text, "host") == 0)
		need(prefix_parse(value, true, &a->addresses[a->n_addresses++], NULL) == 0, value);
	else if (strcmp(text, "network") == 0)
		need(prefix_parse(value, false, &a->networks[a->n_networks++], NULL) == 0, value);
	else if (strcmp(text, "publish") == 0)
		read_published(value, &a->published[a->n_published++]);
	else
		need(false, text);
}

static int
write_rules(const char *what, const struct network *n, const struct arguments *a, char **text, struct error *e)
{
	const struct rules_host host = { a->addresses, a->n_addresses, a->networks, a->n_networks };
	if (strcmp(what, "router") == 0)
		return rules_router(n, &a->range, true, &host, a->published, a->n_published, text, e);
	if (strcmp(what, "shard") == 0)
		return rules_router(n, &a->range, false, NULL, NULL, 0, text, e);
	if (strcmp(what, "sets") == 0)
		return rules_router_sets(&host, text, e);
	if (strcmp(what, "host") == 0)
		return rules_host(&n, 1, a->published, a->n_published, text, e);
	return -1;
}

int
main(int argc, char *argv[])
{
	struct error e = { 0 };
	struct network n;
	struct arguments a = { 0 };
	char *text CLEANUP(free_ptr) = NULL;

	need(argc >= 3, "too few arguments");
	if (fields_from_text(&network_type, argv[2], VIEW_RECORD, &n, &e) < 0)
		need(false, e.text);
	for (int i = 3; i < argc; i++)
		read_argument(&a, argv[i]);
	need(write_rules(argv[1], &n, &a, &text, &e) == 0, argv[1]);
	fputs(text, stdout);
	network_done(&n);
	return 0;
}
