/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/report.h"

#include <inttypes.h>
#include <string.h>

static void report_totals(const struct crew *c, uint64_t lost,
			  const struct report_kernel *kernel)
{
	const struct ruleset *rs = script_ruleset(c->script);
	uint64_t packets = 0, refused = 0, errors = 0, quiet = 0, files = 0;
	uint64_t decided = 0;
	uint64_t via = 0;

	for (unsigned i = 0; i < c->count; i++) {
		const struct path_stats *st = &c->member[i].shared->stats;

		packets += st->packets;
		errors += st->errors;
		refused += st->refused + st->queue_full + st->no_room;
		lost += st->events_lost;
		quiet += st->logs_lost;
		files += st->files_lost;
		via += st->via_lost;
	}
	log_info("done: %" PRIu64 " packets seen, %" PRIu64
		 " refused by the kernel, %" PRIu64 " errors in rules",
		 packets, refused, errors);
	for (uint32_t i = 0; kernel && i <= rs->count; i++)
		decided += kernel[i].packets;
	if (decided)
		log_info("%" PRIu64 " packets were decided in the kernel",
			 decided);
	if (via)
		log_warn("via: %" PRIu64 " packets were dropped because their "
			 "interface could not be used", via);
	if (lost)
		log_warn("%" PRIu64 " lines of the audit were lost", lost);
	if (quiet)
		log_warn("%" PRIu64 " log lines were left out", quiet);
	if (files)
		log_warn("pcap: %" PRIu64 " packets came too fast to be written",
			 files);
}

static void report_rules(const struct crew *c,
			 const struct report_kernel *kernel)
{
	const struct ruleset *rs = script_ruleset(c->script);

	for (const struct rule *r = rs->first; r; r = r->next) {
		uint64_t n = kernel ? kernel[r->index].packets : 0;

		for (unsigned i = 0; i < c->count; i++)
			n += c->member[i].shared->rules[r->index].packets;
		log_info("rule %s: %" PRIu64 " packets", r->name, n);
	}
}

/* Adds a worker's count to the one of the same name. */
static void named_add(struct path_named *sum, const struct path_named *one)
{
	for (int i = 0; i < PATH_NAMED_MAX; i++) {
		if (!*sum[i].name)
			memcpy(sum[i].name, one->name, sizeof(sum[i].name));
		else if (strncmp(sum[i].name, one->name, sizeof(sum[i].name)))
			continue;
		sum[i].n += one->n;
		return;
	}
}

static void report_counts(const struct crew *c)
{
	struct path_named sum[PATH_NAMED_MAX] = {{{0}, 0}};

	for (unsigned i = 0; i < c->count; i++)
		for (int k = 0; k < PATH_NAMED_MAX; k++)
			if (*c->member[i].shared->named[k].name)
				named_add(sum, &c->member[i].shared->named[k]);
	for (int k = 0; k < PATH_NAMED_MAX && *sum[k].name; k++)
		log_info("count %.39s: %" PRIu64, sum[k].name, sum[k].n);
}

void report_done(const struct crew *c, uint64_t lost,
		 const struct report_kernel *kernel)
{
	report_totals(c, lost, kernel);
	report_rules(c, kernel);
	report_counts(c);
}
