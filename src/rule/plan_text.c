/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where a rule is decided, in words. Must not decide anything. */
#include <stdarg.h>
#include <stdio.h>

#include "rule/plan.h"

static bool is_open(const struct rule *r)
{
	return !r->match || !match_conds(r->match);
}

/* The rule before r that lets nothing through to it, or NULL. */
static const struct rule *decided_before(const struct ruleset *rs,
					 const struct rule *r)
{
	for (const struct rule *o = rs->first; o && o != r; o = o->next)
		if (is_open(o) && !o->where && !o->action &&
		    o->constant.kind != VERDICT_NONE)
			return o;
	return NULL;
}

struct line {
	char *text;
	size_t size, used;
};

static void say(struct line *l, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->used, l->size - l->used, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->used += (size_t)n;
	if (l->used >= l->size)
		l->used = l->size - 1;
}

static void say_constant(struct line *l, const struct rule *r, bool kernel)
{
	const char *by =
		is_open(r) ? "for every packet" : "decided by its match";
	const char *where = kernel ? "in the kernel" : "in C";
	char verdict[VERDICT_TEXT];

	if (r->constant.kind != VERDICT_NONE)
		say(l, "constant verdict %s%s, %s %s",
		    verdict_text(&r->constant, verdict, sizeof(verdict)),
		    r->rewrite ? " after a constant rewrite" : "", by, where);
	else if (r->rewrite)
		say(l, "constant rewrite, %s %s", by, where);
	else
		say(l, "only counts packets, %s %s", by, where);
}

static void say_reason(struct line *l, const struct plan_rule *p,
		       const struct rule *r)
{
	switch (p->why) {
	case PLAN_WHY_VERDICT:
		say(l, ": the kernel leaves %s to us",
		    verdict_name(r->constant.kind));
		break;
	case PLAN_WHY_MATCH:
		say(l, ": nftables cannot tell %s", match_key_name(p->key));
		break;
	case PLAN_WHY_REWRITE:
		say(l, ": nftables cannot rewrite that");
		break;
	case PLAN_WHY_AGAIN:
		say(l, ": a later rule may want the packet too");
		break;
	case PLAN_WHY_CONNECTION:
		say(l, ": a later rule looks at whole connections");
		break;
	case PLAN_WHY_MANY:
		say(l, ": too many rules for the kernel");
		break;
	default:
		break;
	}
}

static void say_function(struct line *l, const struct plan_rule *p,
			 const struct rule *r)
{
	char match[256];

	say(l, "%s: Lua runs for ", r->action ? "function" : "where");
	if (is_open(r))
		say(l, "every packet");
	else
		say(l, "packets that match %s",
		    match_text(r->match, match, sizeof(match)));
	if (!p || is_open(r))
		return;
	if (r->connection)
		say(l, "; whole connections come, since it looks at them");
	else if (p->why == PLAN_WHY_MANY)
		say_reason(l, p, r);
	else if (p->wide)
		say(l, "; more come, nftables cannot tell %s",
		    match_key_name(p->key));
}

enum plan_place plan_place(const struct plan *plan, const struct ruleset *rs,
			   const struct rule *r, char *why, size_t size)
{
	const struct plan_rule *p = plan ? &plan->rule[r->index] : NULL;
	bool kernel = p && p->why == PLAN_WHY_KERNEL;
	enum plan_place place = r->where || r->action ? PLAN_LUA
				: kernel	      ? PLAN_KERNEL
						      : PLAN_MATCH;
	const struct rule *before = decided_before(rs, r);
	struct line l = {.text = why, .size = size};
	struct error err;

	if (!size)
		return place;
	why[0] = '\0';
	if (r->match && match_is_empty(r->match, &err)) {
		say(&l, "never runs: %s", err.text);
	} else if (before) {
		say(&l, "never runs: rule %s decides every packet before it",
		    before->name ? before->name : "-");
	} else if (place == PLAN_LUA) {
		say_function(&l, p, r);
	} else {
		say_constant(&l, r, kernel);
		if (p)
			say_reason(&l, p, r);
	}
	return place;
}
