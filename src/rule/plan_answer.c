/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose packet is it? Only the kernel can tell, and it tells by what it hands
 * over: of the packets that get to us, those that a rule's other conditions
 * admit are either all of that rule's sender, or none is. Where neither is
 * certain the rules are refused. Must not know how the kernel is asked.
 */
#include <errno.h>

#include "rule/plan.h"

bool plan_asks_sender(const struct plan *plan)
{
	for (uint32_t i = 0; plan && i < plan->steps; i++)
		for (uint32_t k = 0; k < plan->step[i].terms; k++)
			if (match_key_is_kernel(plan->step[i].term[k].key))
				return true;
	return false;
}

bool plan_asks_cgroup(const struct plan *plan)
{
	for (uint32_t i = 0; plan && i < plan->steps; i++)
		for (uint32_t k = 0; k < plan->step[i].terms; k++)
			if (plan->step[i].term[k].kind == TERM_CGROUP)
				return true;
	return false;
}

/* No packet that it is handed goes on to a later rule. */
static bool decides(const struct plan *plan, const struct rule *r)
{
	return r && !r->where && !r->action && !r->connection &&
	       r->constant.kind != VERDICT_NONE && !plan->rule[r->index].wide;
}

static bool may_change(const struct rule *r)
{
	return r && (r->where || r->action || r->rewrite);
}

/* A rule that has others beside it, of which one step may get the same
 * packets. */
static int refuse(const struct rule *r, const struct plan_step *by,
		  const char *why, struct error *err)
{
	const char *key = match_key_name(match_asks_kernel(r->match));

	if (by && by->rule)
		return error_set(err, -EINVAL,
				 "rule %s (%s) asks for %s, which only the "
				 "kernel can tell, but rule %s (%s) %s",
				 r->name, r->origin, key, by->rule->name,
				 by->rule->origin, why);
	return error_set(err, -EINVAL,
			 "rule %s (%s) asks for %s, which only the kernel can "
			 "tell, but %s", r->name, r->origin, key, why);
}

/* Decided in the kernel: whoever gets here was asked, and it is not his. What
 * a function made of another packet was not asked, and is not his either. */
static int answer_no(const struct plan *plan, const struct rule *r,
		     uint32_t at, struct error *err)
{
	const struct plan_step *own = &plan->step[at];
	const struct plan_meeting how = {0};

	for (uint32_t i = 0; i < at; i++) {
		const struct plan_step *s = &plan->step[i];

		if (plan_step_hands_over(s) && s->rule != r &&
		    !decides(plan, s->rule) && plan_may_meet(s, own, how))
			return refuse(r, s,
				      "before it may have the same packets "
				      "brought here; let it match others, or "
				      "stand behind",
				      err);
	}
	return 0;
}

/* Every condition that only the kernel can answer is asked there. */
static bool asks_all(const struct plan_step *s, const struct match *m)
{
	for (const struct match_cond *c = match_conds(m); c; c = c->next) {
		bool asked = !match_key_is_kernel(c->key);

		for (uint32_t k = 0; k < s->terms && !asked; k++)
			asked = s->term[k].key == c->key;
		if (!asked)
			return false;
	}
	return true;
}

static const char *why_not(const struct plan_step *s,
			   const struct plan_step *own)
{
	if (!s->rule)
		return "there are too many rules for the kernel";
	if (plan_may_meet(s, own, (struct plan_meeting){.anybody = true}))
		return "may have packets of others brought here that the rest "
		       "of its match admits; let the two exclude each other "
		       "by another key";
	return "before it may change packets of others into such as the rest "
	       "of its match admits; put it behind";
}

/* Handed over: what the rest of the match admits comes by this rule alone. */
static int answer_yes(const struct plan *plan, const struct rule *r,
		      uint32_t at, struct error *err)
{
	const struct plan_step *own = &plan->step[at];

	if (!asks_all(own, r->match))
		return refuse(r, NULL, "nftables has no words for it", err);
	for (uint32_t i = 0; i < plan->steps; i++) {
		const struct plan_step *s = &plan->step[i];
		const struct plan_meeting how = {
			.rewrite = i < at && may_change(s->rule),
			.anybody = true,
		};

		if (!plan_step_hands_over(s) || s->rule == r ||
		    (i < at && decides(plan, s->rule)) ||
		    !plan_may_meet(s, own, how))
			continue;
		return refuse(r, s, why_not(s, own), err);
	}
	return 0;
}

/* yes: what is assumed of its packets here. */
static int answer(const struct plan *plan, const struct rule *r, bool *yes,
		  struct error *err)
{
	enum plan_why why = plan->rule[r->index].why;
	int ret = 0;

	if (why == PLAN_WHY_MANY)
		return refuse(r, NULL,
			      "there are too many rules for the kernel", err);
	if (r->connection && why != PLAN_WHY_KERNEL && why != PLAN_WHY_NEVER)
		return refuse(r, NULL,
			      "its file looks at connections: all packets of "
			      "those come here, whosever they are; put it "
			      "into a file of its own",
			      err);
	*yes = false;
	for (uint32_t i = 0; i < plan->steps && !ret; i++) {
		if (plan->step[i].rule != r)
			continue;
		*yes = plan_step_hands_over(&plan->step[i]);
		ret = *yes ? answer_yes(plan, r, i, err)
			   : answer_no(plan, r, i, err);
	}
	return ret;
}

int plan_answer(const struct plan *plan, const struct ruleset *rs,
		struct error *err)
{
	for (const struct rule *r = rs->first; r; r = r->next) {
		bool yes = false;
		int ret;

		if (match_asks_kernel(r->match) == MATCH_KEYS)
			continue;
		ret = answer(plan, r, &yes, err);
		if (ret)
			return ret;
		match_assume(r->match, yes);
	}
	return 0;
}
