/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each rule is run as a ruleset of its own, so that what is told is what the
 * engine does and not a second opinion. Must not decide anything itself.
 */
#include "command/explain.h"

#include <string.h>

#define MATCH_TEXT_MAX 2048

/* The part of a match's text that is about key; its name alone where the text
 * was cut before it. Conditions are separated by a space, and a value may
 * hold one: the next condition's name tells where this one ends. */
static void tell_condition(FILE *f, const struct match *m, enum match_key key)
{
	char text[MATCH_TEXT_MAX], name[40];
	const struct match_cond *c = match_conds(m);
	char *at = text, *end;

	match_text(m, text, sizeof(text));
	for (; c && at; c = c->next) {
		size_t n = strlen(match_key_name(c->key));

		if (strncmp(at, match_key_name(c->key), n))
			break;
		end = NULL;
		if (c->next) {
			snprintf(name, sizeof(name), " %s=",
				 match_key_name(c->next->key));
			end = strstr(at + n, name);
		}
		if (c->key == key) {
			if (end)
				*end = '\0';
			fputs(at, f);
			return;
		}
		at = end ? end + 1 : NULL;
	}
	fputs(match_key_name(key), f);
}

/* What became of a rule whose match held. */
static void tell_outcome(FILE *f, struct script *s, const struct rule *r,
			 const struct verdict *v, bool counted)
{
	char text[VERDICT_TEXT];

	if (v->kind == VERDICT_ERROR)
		fprintf(f, "failed: %s\n", script_error(s));
	else if (!counted)
		fputs("no, where said no\n", f);
	else if (v->kind != VERDICT_NONE)
		fprintf(f, "%s\n", verdict_text(v, text, sizeof(text)));
	else if (r->action)
		fputs("held, its action returned nothing\n", f);
	else
		fputs("held, rewrote\n", f);
}

static void run_one(struct script *s, const struct rule *r, struct packet *p,
		    const struct match_context *ctx,
		    struct rule_counter *counters, struct verdict *v, FILE *f)
{
	const struct ruleset *rs = script_ruleset(s);
	struct rule alone = *r;
	struct ruleset one = {
		.first = &alone,
		.count = rs->count + 1, /* the counter for nothing */
		.policy = VERDICT_NONE,
	};
	uint64_t before = counters[r->index].packets;
	enum match_key failed;

	alone.next = NULL;
	fprintf(f, "%s: ", r->name);
	if (r->match && !match_explain(r->match, p, ctx, &failed)) {
		fputs("no, ", f);
		tell_condition(f, r->match, failed);
		fputs(" does not hold\n", f);
		v->kind = VERDICT_NONE;
		return;
	}
	ruleset_run(&one, p, ctx, script_calls(s), counters, v);
	if (v->rule)
		v->rule = r;
	tell_outcome(f, s, r, v, counters[r->index].packets != before);
}

void explain_run(struct script *s, struct packet *p,
		 const struct match_context *ctx, struct rule_counter *counters,
		 struct verdict *v, FILE *f)
{
	const struct ruleset *rs = script_ruleset(s);
	struct ruleset none = {.count = rs->count, .policy = rs->policy};

	for (const struct rule *r = rs->first; r; r = r->next) {
		run_one(s, r, p, ctx, counters, v, f);
		if (v->kind != VERDICT_NONE)
			return;
	}
	ruleset_run(&none, p, ctx, NULL, counters, v);
	fprintf(f, "policy: %s\n", verdict_name(v->kind));
}
