/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the rules to steps. The first match wins, so a rule that only we can
 * decide stands in the way of what comes behind it, as it should. What is not
 * the last word on a packet (a rewrite, a count) is done in the kernel only
 * if nobody may try the rules on the packet again.
 */
#include "rule/plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The kernel tries one after another; from here on our index is faster. */
#define PLAN_STEPS_MAX 256

#define TCP 6

struct maker {
	struct plan *plan;
	const struct ruleset *rs;
	const struct plan_options *o;
	struct plan_steps *of; /* by rule->index: its alternatives */
	bool asks;	       /* a rule asks who sends */
};

static int add_step(struct plan *p, const struct plan_step *s)
{
	if (p->steps == p->room) {
		uint32_t room = p->room ? 2 * p->room : 16;
		struct plan_step *more = realloc(p->step, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		p->step = more;
		p->room = room;
	}
	p->step[p->steps++] = *s;
	return 0;
}

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	for (uint32_t i = 0; i < plan->steps; i++)
		plan_step_free(&plan->step[i]);
	free(plan->step);
	free(plan->rule);
	free(plan->set);
	free(plan);
}

/* ---- what the kernel can do ---------------------------------------------- */

/* All that it matches is TCP and has ports: a write to them cannot fail. */
static bool has_tcp_ports(const struct plan_steps *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		const struct plan_step *s = &list->step[i];
		bool tcp = false, ports = false;

		for (uint32_t k = 0; k < s->terms; k++) {
			const struct plan_term *t = &s->term[k];

			tcp |= t->key == MATCH_PROTO && t->ranges.count == 1 &&
			       t->ranges.range[0].low == TCP &&
			       t->ranges.range[0].high == TCP;
			ports |= t->key == MATCH_SPORT ||
				 t->key == MATCH_DPORT ||
				 t->key == MATCH_TCP_FLAGS;
		}
		if (!tcp || !ports)
			return false;
	}
	return true;
}

/* Another source or destination is a matter of routing, and a UDP checksum
 * may be none at all, which the kernel does not heed. */
static bool can_rewrite(const struct maker *m, const struct rule *r,
			const struct plan_steps *list)
{
	for (const struct rewrite *w = r->rewrite; w; w = w->next)
		switch (w->key) {
		case REWRITE_TTL:
		case REWRITE_DSCP:
		case REWRITE_ECN:
		case REWRITE_DF:
			break;
		/* Of these two there are packets that the kernel cannot
		 * rewrite, and hands over before it looks at any rule: nobody
		 * was asked then who sends. */
		case REWRITE_MSS:
			if (m->asks)
				return false;
			break;
		case REWRITE_ID: /* those it is cut into count on from it */
			if (m->o->cut)
				return false;
			break;
		case REWRITE_SPORT:
		case REWRITE_DPORT:
			if (m->asks || !has_tcp_ports(list))
				return false;
			break;
		default:
			return false;
		}
	return true;
}

static bool lists_meet(const struct plan_steps *a, const struct plan_steps *b,
		       bool rewrite)
{
	const struct plan_meeting how = {.rewrite = rewrite};

	for (uint32_t i = 0; i < a->count; i++)
		for (uint32_t k = 0; k < b->count; k++)
			if (plan_may_meet(&a->step[i], &b->step[k], how))
				return true;
	return false;
}

/* All of a connection has to go the same way: none of it by us, who must not
 * get any of it because of a rule before this one. */
static bool can_send_by(const struct maker *m, const struct rule *r)
{
	if (!m->o->via || r->rewrite || !m->of[r->index].exact)
		return false;
	for (const struct rule *o = m->rs->first; o != r; o = o->next)
		if ((o->where || o->action ||
		     o->constant.kind == VERDICT_NONE ||
		     !m->of[o->index].exact) &&
		    lists_meet(&m->of[o->index], &m->of[r->index], true))
			return false;
	return true;
}

/* Whether the rule would do if nobody came after it. */
static enum plan_why judge(const struct maker *m, const struct rule *r)
{
	const struct plan_steps *list = &m->of[r->index];

	if (!list->count)
		return PLAN_WHY_NEVER;
	if (r->action || r->where)
		return PLAN_WHY_FUNCTION;
	switch (r->constant.kind) {
	case VERDICT_NONE:
	case VERDICT_ACCEPT:
	case VERDICT_DROP:
		break;
	case VERDICT_VIA:
		if (can_send_by(m, r))
			break;
		return PLAN_WHY_VERDICT;
	default:
		return PLAN_WHY_VERDICT;
	}
	if (!list->exact)
		return PLAN_WHY_MATCH;
	if (!can_rewrite(m, r, list))
		return PLAN_WHY_REWRITE;
	/* Each of its alternatives would count and rewrite for itself. */
	if (r->constant.kind == VERDICT_NONE && list->count > 1)
		return PLAN_WHY_AGAIN;
	return PLAN_WHY_KERNEL;
}

/* ---- who comes after it -------------------------------------------------- */

/* A drop ends all; else a packet may be wanted by a later rule, be it that it
 * goes on to it, or that it belongs to a connection that is looked at. */
static enum plan_why look_behind(const struct maker *m, const struct rule *r)
{
	bool goes_on = r->constant.kind == VERDICT_NONE;

	if (r->constant.kind == VERDICT_DROP && !r->rewrite)
		return PLAN_WHY_KERNEL;
	for (const struct rule *o = r->next; o; o = o->next) {
		enum plan_why why = m->plan->rule[o->index].why;

		/* What is too many hands over everything. */
		if (why == PLAN_WHY_MANY && goes_on)
			return PLAN_WHY_AGAIN;
		if (why == PLAN_WHY_KERNEL || why == PLAN_WHY_NEVER ||
		    !(goes_on || o->connection) ||
		    !lists_meet(&m->of[r->index], &m->of[o->index],
				goes_on && r->rewrite))
			continue;
		return goes_on ? PLAN_WHY_AGAIN : PLAN_WHY_CONNECTION;
	}
	return PLAN_WHY_KERNEL;
}

/* From the last rule to the first: what is decided of a rule depends on those
 * behind it. */
static int judge_all(struct maker *m, const struct rule *r)
{
	const struct rule **order = calloc(m->rs->count + 1, sizeof(*order));
	struct plan_rule *place;

	if (!order)
		return -ENOMEM;
	for (; r; r = r->next)
		order[r->index] = r;
	for (uint32_t i = m->rs->count; i--;) {
		place = &m->plan->rule[i];
		if (place->why == PLAN_WHY_MANY)
			continue;
		place->why = judge(m, order[i]);
		if (place->why == PLAN_WHY_KERNEL)
			place->why = look_behind(m, order[i]);
		place->key = m->of[i].left;
		place->wide = !m->of[i].exact;
	}
	free(order);
	return 0;
}

/* ---- steps --------------------------------------------------------------- */

static enum step_act act_of(const struct rule *r, enum plan_why why)
{
	if (why != PLAN_WHY_KERNEL)
		return STEP_HAND_OVER;
	switch (r->constant.kind) {
	case VERDICT_ACCEPT:
		return STEP_ACCEPT;
	case VERDICT_DROP:
		return STEP_DROP;
	case VERDICT_VIA:
		return STEP_VIA;
	default:
		return STEP_GO_ON;
	}
}

/* Directions in which a step that takes everything has been. */
static int take_steps(struct maker *m, const struct rule *r, unsigned *closed)
{
	struct plan_steps *list = &m->of[r->index];
	enum plan_why why = m->plan->rule[r->index].why;
	int ret = 0;

	for (uint32_t i = 0; i < list->count && !ret; i++) {
		struct plan_step *s = &list->step[i];

		s->rule = r;
		s->act = act_of(r, why);
		s->rewrite = why == PLAN_WHY_KERNEL && r->rewrite;
		s->dirs &= ~*closed;
		if (!s->dirs)
			continue;
		if (!s->terms && s->act != STEP_GO_ON)
			*closed |= s->dirs;
		ret = add_step(m->plan, s);
		if (!ret)
			*s = (struct plan_step){0};
	}
	return ret;
}

static int take_all(struct maker *m)
{
	const struct plan_step rest = {
		.act = STEP_HAND_OVER,
		.dirs = 1u << DIR_OUT | 1u << DIR_IN | 1u << DIR_FORWARD,
	};
	unsigned closed = 0;

	for (const struct rule *r = m->rs->first; r; r = r->next) {
		int ret = m->plan->rule[r->index].why == PLAN_WHY_MANY
				  ? add_step(m->plan, &rest)
				  : take_steps(m, r, &closed);

		if (ret || m->plan->rule[r->index].why == PLAN_WHY_MANY)
			return ret;
	}
	return 0;
}

/* Rules that do not fit are left to us, one and all. */
static void limit(struct maker *m)
{
	uint32_t steps = 0;

	for (uint32_t i = 0; i < m->rs->count; i++) {
		steps += m->of[i].count;
		if (steps > PLAN_STEPS_MAX)
			m->plan->rule[i].why = PLAN_WHY_MANY;
	}
}

static int name_sets(struct plan *p)
{
	for (uint32_t i = 0; i < p->steps; i++)
		for (uint32_t k = 0; k < p->step[i].terms; k++) {
			struct set *s = p->step[i].term[k].set;
			struct set **more;
			uint32_t n = 0;

			while (n < p->sets && p->set[n] != s)
				n++;
			if (!s || n < p->sets)
				continue;
			more = realloc(p->set, (n + 1) * sizeof(*more));
			if (!more)
				return -ENOMEM;
			p->set = more;
			p->set[p->sets++] = s;
		}
	return 0;
}

static int make(struct maker *m)
{
	int r = 0;

	for (const struct rule *u = m->rs->first; u && !r; u = u->next) {
		m->asks |= match_asks_kernel(u->match) != MATCH_KEYS;
		r = plan_steps_make(&m->of[u->index], u->match, u->connection,
				    m->o);
	}
	if (r)
		return r;
	limit(m);
	r = judge_all(m, m->rs->first);
	if (!r)
		r = take_all(m);
	return r ? r : name_sets(m->plan);
}

int plan_make(struct plan **plan, const struct ruleset *rs,
	      const struct plan_options *o)
{
	struct maker m = {.rs = rs, .o = o};
	int r = -ENOMEM;

	m.plan = calloc(1, sizeof(*m.plan));
	m.of = calloc(rs->count + 1, sizeof(*m.of));
	if (!m.plan || !m.of)
		goto out;
	m.plan->policy = rs->policy;
	m.plan->rule = calloc(rs->count + 1, sizeof(*m.plan->rule));
	if (m.plan->rule)
		r = make(&m);
out:
	for (uint32_t i = 0; m.of && i < rs->count; i++)
		plan_steps_free(&m.of[i]);
	free(m.of);
	if (r) {
		plan_free(m.plan);
		m.plan = NULL;
	}
	*plan = m.plan;
	return r;
}

bool plan_sends_by(const struct plan *plan, const char *interface)
{
	for (uint32_t i = 0; plan && i < plan->steps; i++)
		if (plan->step[i].act == STEP_VIA &&
		    (!interface ||
		     !strcmp(plan->step[i].rule->constant.via, interface)))
			return true;
	return false;
}

bool plan_hands_over_all(const struct plan *plan, enum packet_dir dir)
{
	for (uint32_t i = 0; i < plan->steps; i++)
		if (plan->step[i].dirs & 1u << dir)
			return plan->step[i].act == STEP_HAND_OVER &&
			       !plan->step[i].terms;
	return false;
}
