/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rule/review.h"

#include <stdio.h>

struct review {
	const struct ruleset *rs;
	bool sets_grow;
	void (*warn)(void *arg, const struct rule *r, const char *text);
	void *arg;
};

static void warn(struct review *v, const struct rule *r, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void warn(struct review *v, const struct rule *r, const char *fmt, ...)
{
	struct error text;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text.text, sizeof(text.text), fmt, ap);
	va_end(ap);
	v->warn(v->arg, r, text.text);
}

static bool is_open(const struct rule *r)
{
	return !r->match || !match_conds(r->match);
}

/* ---- rules that are never reached --------------------------------------- */

static bool is_constant(const struct rule *r)
{
	return !r->where && !r->action && r->constant.kind != VERDICT_NONE;
}

/* A packet may be another one behind it. */
static bool may_change(const struct rule *r)
{
	return r->where || r->action ||
	       (r->rewrite && r->constant.kind == VERDICT_NONE);
}

/* The rule before r that decides whatever r could match, or NULL. */
static const struct rule *decided_before(const struct ruleset *rs,
					 const struct rule *r)
{
	const struct rule *by = NULL;

	for (const struct rule *o = rs->first; o != r; o = o->next) {
		if (is_constant(o) && is_open(o))
			return o;
		if (may_change(o))
			by = NULL;
		else if (!by && is_constant(o) && r->match &&
			 match_within(r->match, o->match))
			by = o;
	}
	return by;
}

/* ---- directions ------------------------------------------------------- */

static const char *const dirs[] = {
	[DIR_OUT] = "out",
	[DIR_IN] = "in",
	[DIR_FORWARD] = "forward",
};

/* The directions that a match speaks of, 1 << DIR_*. */
static unsigned dirs_named(const struct match *m)
{
	unsigned named = 0;

	for (const struct match_cond *c = match_conds(m); c; c = c->next) {
		if (c->key == MATCH_IIF)
			named |= 1u << DIR_IN;
		for (uint32_t i = 0; c->key == MATCH_DIR && i < c->count; i++)
			if (!c->value[i].negate)
				named |= 1u << c->value[i].low;
	}
	return named;
}

static void review_dirs(struct review *v, const struct rule *r)
{
	unsigned missing = dirs_named(r->match) & ~v->rs->dirs;

	for (int d = DIR_OUT; d <= DIR_FORWARD; d++)
		if (missing & 1u << d)
			warn(v, r,
			     "rule %s speaks of packets that go %s, and those "
			     "are not captured; capture { dir = { \"out\", "
			     "\"%s\" } } at the top of the file asks for them",
			     r->name, dirs[d], dirs[d]);
}

/* ---- sets ------------------------------------------------------------- */

static void review_sets(struct review *v, const struct rule *r)
{
	for (const struct match_cond *c = match_conds(r->match); c;
	     c = c->next)
		for (uint32_t i = 0; i < c->count; i++)
			if (c->value[i].set && !v->sets_grow &&
			    !set_count(c->value[i].set))
				warn(v, r,
				     "rule %s: set %s of %s is empty, and "
				     "nothing adds to it",
				     r->name, set_name(c->value[i].set),
				     match_key_name(c->key));
}

/* ---- all -------------------------------------------------------------- */

static void review_rule(struct review *v, const struct rule *r)
{
	const struct rule *by = decided_before(v->rs, r);
	struct error why;

	if (r->match && match_is_empty(r->match, &why))
		warn(v, r, "rule %s can never hold: %s", r->name, why.text);
	else if (by)
		warn(v, r, "rule %s is never reached: rule %s (%s) decides %s",
		     r->name, by->name, by->origin,
		     is_open(by) ? "every packet before it"
				 : "all that it matches");
	if (!r->match)
		return;
	review_dirs(v, r);
	review_sets(v, r);
}

void ruleset_review(const struct ruleset *rs, bool sets_grow,
		    void (*f)(void *arg, const struct rule *r,
			      const char *text),
		    void *arg)
{
	struct review v = {rs, sets_grow, f, arg};

	for (const struct rule *r = rs->first; r; r = r->next)
		review_rule(&v, r);
}
