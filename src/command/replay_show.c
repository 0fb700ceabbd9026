/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a replay says: of each packet, and at its end. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "command/replay.h"

#define LINE_MAX_BYTES 4096

void replay_show(struct replay *r)
{
	char line[LINE_MAX_BYTES];
	size_t n;

	if (r->o->run.json) {
		n = event_json(&r->seen, r->rules, NULL, line, sizeof(line));
		/* The notes go before the brace that ends the object. */
		fwrite(line, 1, n - 2, stdout);
		notes_json(&r->notes, stdout);
		fputs("}\n", stdout);
		return;
	}
	n = event_line(&r->seen, r->rules, NULL, r->colour, line, sizeof(line));
	fwrite(line, 1, n, stdout);
	if (event_changes(&r->seen, line, sizeof(line)))
		printf("    %s\n", line);
	notes_text(&r->notes, stdout);
}

void replay_show_sent(const struct replay *r, const char *text)
{
	int64_t now = r->context.now;
	time_t sec = (time_t)(now / NSEC_PER_SEC);
	char clock[16] = "", quoted[LINE_MAX_BYTES];
	struct tm tm;

	if (r->o->run.json) {
		printf("{\"time\":%" PRId64 ".%09" PRId64 ",\"sent\":[%s]}\n",
		       now / NSEC_PER_SEC, now % NSEC_PER_SEC,
		       json_string(quoted, sizeof(quoted), text));
		return;
	}
	localtime_r(&sec, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	printf("%s.%06" PRId64 " sent %s\n", clock,
	       now % NSEC_PER_SEC / NSEC_PER_USEC, text);
}

void replay_summary(const struct replay *r)
{
	struct script_waiting waiting;
	char verdicts[256] = "";
	size_t n = 0;

	for (int i = 0; i <= VERDICT_ERROR; i++)
		if (r->verdict[i])
			n += (size_t)snprintf(verdicts + n,
					      sizeof(verdicts) - n,
					      "%s%" PRIu64 " %s",
					      n ? ", " : " (", r->verdict[i],
					      verdict_name(i));
	log_info("done: %" PRIu64 " packets%s%s, %" PRIu64 " errors in rules",
		 r->packets, verdicts, n ? ")" : "", r->errors);
	if (r->others)
		log_info("%" PRIu64 " frame%s without IPv4 passed untouched",
			 r->others, r->others == 1 ? "" : "s");
	if (r->passing)
		log_info("%" PRIu64 " packet%s passed untouched: no capture "
			 "{ dir = ... } asks for that direction", r->passing,
			 r->passing == 1 ? "" : "s");
	if (r->answers)
		log_info("%" PRIu64 " packet%s answered a task of the rules",
			 r->answers, r->answers == 1 ? "" : "s");
	script_waiting(r->script, &waiting);
	if (waiting.timers || waiting.tasks)
		log_info("time ended with %u timer%s and %u task%s waiting",
			 waiting.timers, waiting.timers == 1 ? "" : "s",
			 waiting.tasks, waiting.tasks == 1 ? "" : "s");
	for (const struct rule *rule = r->rules->first; rule; rule = rule->next)
		log_info("rule %s: %" PRIu64 " packets", rule->name,
			 r->counters[rule->index].packets);
	for (int i = 0; i < PATH_NAMED_MAX && *r->named[i].name; i++)
		log_info("count %s: %" PRIu64, r->named[i].name, r->named[i].n);
}
