/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sluice check: the plan, what would be installed, and what a careful reader
 * of the rules would notice. */
#include <stdio.h>

#include "base/json.h"
#include "command/warnings.h"
#include "rule/plan.h"

static const char *const places[] = {
	[PLAN_KERNEL] = "kernel",
	[PLAN_MATCH] = "match",
	[PLAN_LUA] = "lua",
};

static void print_member(const char *name, const char *text)
{
	char quoted[2048];

	printf(",\"%s\":%s", name, json_string(quoted, sizeof(quoted), text));
}

static void print_rule(const struct options *o, const struct plan *plan,
		       const struct ruleset *rs, const struct rule *r)
{
	char why[512], match[512] = "any packet";
	enum plan_place place = plan_place(plan, rs, r, why, sizeof(why));

	if (r->match)
		match_text(r->match, match, sizeof(match));
	if (o->run.json) {
		printf("{\"rule\":%u", r->index + 1);
		print_member("name", r->name);
		print_member("origin", r->origin);
		print_member("place", places[place]);
		print_member("match", match);
		print_member("why", why);
		printf("}\n");
		return;
	}
	printf("%3u  %-6s  %-20s  %s\n", r->index + 1, places[place], r->name,
	       match);
	printf("%13s%s (%s)\n", "", why, r->origin);
}

int command_check(const struct command *self, int argc, char **argv)
{
	struct script *script = NULL;
	const struct ruleset *rs;
	struct options o;
	bool done;
	int r = options_parse(&o, self, TAKES_RULES | TAKES_CAPTURE, argc,
			      argv, &done);

	if (r || done)
		return r;
	if (!o.nwords) {
		log_error("check: which rules? Name at least one rule file");
		return EXIT_USAGE;
	}
	r = options_load(&o, &script);
	if (!r)
		r = options_apply(&o, script);
	if (r)
		goto out;
	rs = script_ruleset(script);
	o.run.capture.plan = o.plan;
	o.run.capture.flows = ruleset_connections(rs);
	if (!o.run.json)
		printf("# order, decided by, name, match\n");
	for (const struct rule *rule = rs->first; rule; rule = rule->next)
		print_rule(&o, o.plan, rs, rule);
	if (!o.run.json) {
		printf("     policy %s, on_error %s\n\n",
		       verdict_name(rs->policy), verdict_name(rs->on_error));
		printf("# installed while it runs\n");
		r = capture_print(&o.run.capture, stdout) ? EXIT_FAILED : 0;
	}
	if (warnings_print(&o, script)) {
		log_error("check: no memory");
		r = EXIT_FAILED;
	}
out:
	options_end(&o, script);
	return r;
}
