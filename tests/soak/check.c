/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * soak-check: reads the logs of soak clients (record.h) and says whether nsd kept its promises.
 *
 *   soak-check --grace-ms N LOGS
 *
 * Prints a JSON object with what was counted; the first violations of each kind in words on stderr. Status 1 when there is
 * any.
 */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "../bench/samples.h"
#include "check.h"

#define N_TOLD 8

static const char *const violation_names[N_VIOLATIONS] = {
	"slotOverlaps",	  "addressOverlaps", "keyOverlaps", "namespacesTwice", "generations", "lost", "stale",
	"releasedListed", "nobodyAsked",     "left",	    "kernelDiffers",   "answers",
};

void *
allocate(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);
	if (!p)
		die(ENOMEM, "%zu times %zu bytes", n, size);
	return p;
}

void
violate(struct check *c, enum violation v, const char *fmt, ...)
{
	va_list ap;
	if (c->violations[v]++ >= N_TOLD)
		return;
	fprintf(stderr, "%s: ", violation_names[v]);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
}

const char *
lease_name(const struct lease *l)
{
	static char texts[4][96];
	static unsigned next;
	char *text = texts[next++ % 4];
	snprintf(text, sizeof(texts[0]), "slot %u of network %u, generation %" PRId64, l->number, l->network,
		 l->generation);
	return text;
}

static int
compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static double
percentile_ms(const uint64_t *sorted, size_t n, double share)
{
	size_t i = (size_t)(share * (double)n);
	return n == 0 ? 0 : (double)sorted[i < n ? i : n - 1] / 1e6;
}

/* How long acquires took that were answered with a new lease. */
static void
report_latency(const struct check *c)
{
	uint64_t *times = allocate(c->n_requests, sizeof(*times));
	size_t n = 0;
	for (size_t i = 0; i < c->n_requests; i++) {
		const struct record *r = c->requests[i];
		if (r->answered && r->outcome == OUTCOME_OK && r->flags & FLAG_CREATED)
			times[n++] = r->answered - r->asked;
	}
	qsort(times, n, sizeof(*times), compare_times);
	printf(",\"acquireMs\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", percentile_ms(times, n, 0.5),
	       percentile_ms(times, n, 0.99), percentile_ms(times, n, 1));
	free(times);
}

static void
report_counts(const struct check *c)
{
	static const struct {
		enum record_kind kind;
		const char *name;
	} kinds[] = {
		{ RECORD_ACQUIRE, "acquires" }, { RECORD_RELEASE, "releases" },
		{ RECORD_RENEW, "renewals" },	{ RECORD_OPEN, "opens" },
		{ RECORD_GET, "gets" },		{ RECORD_PIN, "pins" },
		{ RECORD_NSD_KILL, "kills" },	{ RECORD_HOLDER_END, "holdersEnded" },
	};
	uint64_t counts[256] = { 0 }, unanswered = 0, refused = 0;
	for (size_t i = 0; i < c->n_records; i++) {
		const struct record *r = c->records[i];
		counts[r->kind]++;
		unanswered += !r->answered && r->kind <= RECORD_GET;
		refused += r->kind == RECORD_ACQUIRE && r->answered && r->outcome == OUTCOME_LIMIT;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		printf("\"%s\":%" PRIu64 ",", kinds[i].name, counts[kinds[i].kind]);
	printf("\"leases\":%zu,\"unanswered\":%" PRIu64 ",\"full\":%" PRIu64 ",\"looks\":%" PRIu64 ",\"lists\":%" PRIu64
	       ",\"lookedFor\":%" PRIu64 ",\"heldConfirmed\":%" PRIu64 ",\"staleRefused\":%" PRIu64
	       ",\"orphans\":%" PRIu64,
	       c->n_leases, unanswered, refused, c->looks, c->lists, c->looked_for, c->held_confirmed, c->stale_refused,
	       c->orphans);
}

static uint64_t
report(const struct check *c)
{
	uint64_t total = 0;
	printf("{");
	report_counts(c);
	report_latency(c);
	printf(",\"violations\":{");
	for (unsigned i = 0; i < N_VIOLATIONS; i++) {
		printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", violation_names[i], c->violations[i]);
		total += c->violations[i];
	}
	printf("}}\n");
	return total;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "grace-ms", required_argument, NULL, 'g' }, { 0 } };
	struct check c = { .grace = UINT64_C(10000000000) };
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (o != 'g')
			exit(EXIT_FAILURE);
		c.grace = parse_number(optarg, "--grace-ms") * 1000000;
	}
	if (optind + 1 != argc)
		die(0, "say the directory of the logs");
	load_logs(&c, argv[optind]);
	make_leases(&c);
	check_leases(&c);
	check_overlaps(&c);
	check_answers(&c);
	check_lists(&c);
	return report(&c) > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
