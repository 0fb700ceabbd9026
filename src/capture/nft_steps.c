/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first step that holds decides, in the order of the rules. To return is
 * to hand over. Must not know who jumps here.
 */
#include "capture/nft_steps.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "capture/nft_count.h"
#include "capture/nft_rewrite.h"
#include "capture/nft_term.h"
#include "capture/nft_via.h"

/* The look-up of an address costs more than all else, so it comes last. */
static void guard(struct nft_rule *r, const struct nft_station *at)
{
	if (at->any_protocol && at->frame)
		nft_ether_type_ip(r);
	else if (at->any_protocol && !r->is_ip)
		nft_protocol_ip(r);
	if (at->not_from)
		nft_ether_saddr_not(r, at->not_from);
	if (at->not_marked)
		nft_mark_lacks(r, at->not_marked);
	if (at->types)
		nft_daddr_types(r, at->type, at->types);
}

static void give(struct nft_rule *r, const struct nft_station *at)
{
	if (at->hand)
		nft_goto(r, at->hand);
	else
		nft_return(r);
}

void nft_let_by(struct nft_rule *r, const struct nft_station *at)
{
	if (at->marker)
		nft_ether_saddr_set(r, at->marker);
	else if (at->within)
		nft_mark_put(r, at->within, at->seen);
	else if (at->seen)
		nft_mark_set(r, at->seen);
	nft_accept(r);
}

/* Whether any packet can meet it where its way has led it. */
static bool may_hold(const struct plan_step *s, const struct nft_station *at)
{
	for (uint32_t i = 0; i < s->terms; i++)
		if (at->unknown & 1u << s->term[i].key)
			return false;
	return s->dirs & 1u << at->dir;
}

/* The condition of two protocols, such as TCP and UDP; NULL: none. */
static const struct plan_term *two_protocols(const struct plan_step *s)
{
	for (uint32_t i = 0; i < s->terms; i++) {
		const struct ranges *x = &s->term[i].ranges;

		if (s->term[i].key == MATCH_PROTO && x->count == 2 &&
		    x->range[0].low == x->range[0].high &&
		    x->range[1].low == x->range[1].high)
			return &s->term[i];
	}
	return NULL;
}

/* What meets a step that is not to be handed over meets none that is, even if
 * it goes on: else the plan would hand it over at once. */
static void send_on(struct nft_rule *r, const struct plan_step *s,
		    const struct nft_station *at)
{
	if (plan_step_hands_over(s))
		give(r, at);
	else if (at->asked)
		nft_goto(r, at->asked);
	else
		nft_accept(r);
}

/* Two rules with a protocol each cost less than one that looks it up. */
static void ask(struct nft_chain *c, const struct plan *p,
		const struct plan_step *s, const struct nft_station *at)
{
	const struct plan_term *both = two_protocols(s);
	struct plan_term term[NFT_ANON_MAX];
	struct plan_step one = *s;
	struct nft_rule *r;

	if (s->terms > NFT_ANON_MAX)
		both = NULL;
	if (both) {
		memcpy(term, s->term, s->terms * sizeof(*term));
		one.term = term;
	}
	for (unsigned i = 0; i < (both ? 2 : 1); i++) {
		if (both)
			term[both - s->term].ranges = (struct ranges){
				.range = &both->ranges.range[i], .count = 1 };
		r = nft_rule_add(c);
		r->hasty = at->hand;
		nft_terms(r, p, &one, at->cgroups);
		send_on(r, s, at);
	}
}

/* What none of them meets. */
static void ask_rest(struct nft_chain *c, const struct plan *p,
		     const struct nft_station *at)
{
	if (!at->asked)
		nft_accept(nft_rule_add(c));
	else if (p->policy == VERDICT_DROP)
		nft_goto(nft_rule_add(c), at->asked);
}

static void count(struct nft_rule *r, const struct rule *rule)
{
	char name[NFT_COUNTER_MAX];

	snprintf(name, sizeof(name), NFT_COUNTER, rule->index);
	nft_count(r, name);
}

/*
 * A rule ends where it asks for a cgroup further down than the socket's is: it
 * cannot say "not in it". So a bit of the mark, which has no meaning yet, says
 * while the step is tried that the packet is from one that is excluded. A
 * packet without a socket is from none, which is no answer either.
 */
static uint32_t excluded_bit(const struct nft_station *at)
{
	return at->within & ~at->seen;
}

static bool excludes(const struct plan_step *s)
{
	for (uint32_t i = 0; i < s->terms; i++)
		if (s->term[i].kind == TERM_CGROUP && s->term[i].negate)
			return true;
	return false;
}

static void mark_excluded(struct nft_chain *c, const struct plan_step *s,
			  const struct nft_station *at)
{
	struct cgroup_place place;
	struct nft_rule *r;

	for (uint32_t i = 0; i < s->terms; i++) {
		const struct plan_term *t = &s->term[i];

		if (t->kind != TERM_CGROUP || !t->negate)
			continue;
		r = nft_rule_add(c);
		cgroup_find(at->cgroups, t->text, &place);
		nft_socket_cgroup(r, t->text, &place);
		nft_mark_or(r, excluded_bit(at));
	}
}

static void unmark_excluded(struct nft_chain *c, const struct nft_station *at)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_mark_has(r, excluded_bit(at));
	nft_mark_clear(r, excluded_bit(at));
}

/* All that a packet must be for the step. */
static void meets(struct nft_rule *r, const struct plan *p,
		  const struct plan_step *s, const struct nft_station *at)
{
	struct cgroup_place top;

	r->hasty = at->hand;

	nft_terms(r, p, s, at->cgroups);
	if (excludes(s)) {
		cgroup_top(at->cgroups, &top);
		nft_mark_lacks(r, excluded_bit(at));
		nft_socket_cgroup(r, "/", &top);
	}
	if (s->act != STEP_HAND_OVER)
		guard(r, at);
}

/* What routing cannot send there, or carries a mark of somebody else, is
 * handed over. */
static void send_by(struct nft_chain *c, const struct plan *p,
		    const struct plan_step *s, const struct nft_station *at)
{
	struct nft_rule *r = nft_rule_add(c);

	meets(r, p, s, at);
	nft_mark_is(r, 0);
	nft_daddr_type(r, RTN_UNICAST);
	count(r, s->rule);
	nft_via_send(r, at->via, s->rule->constant.via);
	r = nft_rule_add(c);
	meets(r, p, s, at);
	give(r, at);
}

static void one_step(struct nft_chain *c, const struct plan *p,
		     const struct plan_step *s, const struct nft_station *at)
{
	const struct rewrite *w = s->rewrite ? s->rule->rewrite : NULL;
	struct nft_rule *r;

	if (s->act == STEP_VIA && at->via) {
		send_by(c, p, s, at);
		return;
	}
	if (s->act == STEP_HAND_OVER && !excludes(s)) {
		ask(c, p, s, at);
		return;
	}
	for (; w; w = w->next) {
		if (!nft_needs_rule(w))
			continue;
		r = nft_rule_add(c);
		meets(r, p, s, at);
		nft_rewrite_apart(r, w);
	}
	r = nft_rule_add(c);
	meets(r, p, s, at);
	if (plan_step_hands_over(s)) {
		give(r, at);
		return;
	}
	count(r, s->rule);
	if (s->rewrite)
		nft_rewrites(r, s->rule->rewrite);
	if (s->act == STEP_ACCEPT)
		nft_let_by(r, at);
	else if (s->act == STEP_DROP)
		nft_drop(r);
}

static void step(struct nft_chain *c, const struct plan *p,
		 const struct plan_step *s, const struct nft_station *at)
{
	bool excluding = excludes(s);

	if (excluding)
		mark_excluded(c, s, at);
	one_step(c, p, s, at);
	if (excluding)
		unmark_excluded(c, at);
}

/* 1 << REWRITE_* of all that is rewritten here. */
static unsigned rewrites_of(const struct plan *p, enum packet_dir dir)
{
	unsigned all = 0;

	for (uint32_t i = 0; i < p->steps; i++) {
		const struct plan_step *s = &p->step[i];

		if (!s->rewrite || !(s->dirs & 1u << dir))
			continue;
		for (const struct rewrite *w = s->rule->rewrite; w; w = w->next)
			all |= 1u << w->key;
	}
	return all;
}

/* What the kernel would get wrong, before anything of it was counted or
 * rewritten. */
static void leave_to_us(struct nft_chain *c, const struct plan *p,
			const struct nft_station *at)
{
	unsigned rewrites = rewrites_of(p, at->dir);

	for (const struct nft_too_hard *h = nft_too_hard; h->rewrites; h++) {
		struct nft_rule *r;

		if (!(h->rewrites & rewrites))
			continue;
		r = nft_rule_add(c);
		h->is(r);
		give(r, at);
	}
	/* Only at the wire is a packet in a frame. */
	for (uint32_t i = 0; i < p->steps && c->family != NFPROTO_IPV4; i++) {
		const struct plan_step *s = &p->step[i];
		struct nft_rule *r;

		if (s->act == STEP_HAND_OVER || !may_hold(s, at) ||
		    !nft_asks_for_payload(s))
			continue;
		r = nft_rule_add(c);
		nft_terms(r, p, s, at->cgroups);
		nft_may_end_before(r, s);
		give(r, at);
	}
}

bool nft_wants_sound(const struct plan *p, enum packet_dir dir)
{
	for (uint32_t i = 0; i < p->steps; i++) {
		const struct plan_step *s = &p->step[i];

		if (s->rewrite && s->dirs & 1u << dir && !nft_knows_protocol(s))
			return true;
	}
	return false;
}

int nft_steps(struct nft_chain *c, const struct plan *p,
	      const struct nft_station *at)
{
	struct nft_rule *r;

	/* Whoever asks more looks at these there. */
	if (!at->asked)
		leave_to_us(c, p, at);
	for (uint32_t i = 0; i < p->steps; i++) {
		if (!may_hold(&p->step[i], at))
			continue;
		if (at->asks)
			ask(c, p, &p->step[i], at);
		else
			step(c, p, &p->step[i], at);
	}
	if (at->asks) {
		ask_rest(c, p, at);
		return c->failed ? -ENOMEM : (int)c->rules;
	}
	if (p->policy == VERDICT_DROP) {
		r = nft_rule_add(c);
		guard(r, at);
		nft_count(r, NFT_COUNTER_POLICY);
		nft_drop(r);
	}
	if (p->policy != VERDICT_DROP || at->types || at->any_protocol)
		nft_let_by(nft_rule_add(c), at);
	return c->failed ? -ENOMEM : (int)c->rules;
}
