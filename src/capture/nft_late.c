/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See nft_late.h. What is decided in the output hook gets no mark: that would
 * cost every packet, and routing it again. The egress hook tells it by what
 * only a packet from there has, see decided_before. Must not know who sends by an
 * interface.
 */
#include "capture/nft_late.h"

#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "capture/nft_flow.h"
#include "capture/nft_own.h"
#include "capture/nft_pass.h"
#include "capture/nft_steps.h"

/* Chains, in table ip and, with the name of an uplink, in table netdev: to
 * which a step gives that hands over, and any other step; what is behind the
 * held connections; and who knows a mark. */
#define TAKE	"take"
#define ASKED	"asked"
#define HAND	"hand"
#define BOTH	"both"
#define FOREIGN "foreign"
#define SEEN	"seen"

/* ---- whether ------------------------------------------------------------ */

/* In a chain that routes again, what changes the type of service is routed
 * again as well. */
static bool rewrites_service(const struct plan *p)
{
	for (uint32_t i = 0; i < p->steps; i++) {
		const struct plan_step *s = &p->step[i];

		if (!s->rewrite || !(s->dirs & 1u << DIR_OUT))
			continue;
		for (const struct rewrite *w = s->rule->rewrite; w; w = w->next)
			if (w->key == REWRITE_DSCP || w->key == REWRITE_ECN)
				return true;
	}
	return false;
}

bool nft_asks_late(const struct nft_how *how, unsigned uplinks)
{
	const struct plan *p = how->plan;

	if (!how->sockets || !nft_decides(p, DIR_OUT) || nft_tells(how) ||
	    nft_own_arrives(how) || !uplinks ||
	    p->steps * uplinks > NFT_IN_PLACE_MAX)
		return false;
	return !how->route ||
	       (!how->notrack && !how->vias && !rewrites_service(p));
}

/* ---- what both hooks ask ------------------------------------------------ */

/* The steps' conditions in c. */
static void conditions(struct nft_plan *p, struct nft_chain *c,
		       const struct nft_how *how, const char *take,
		       const char *asked)
{
	struct nft_station at = { .dir = DIR_OUT,
				  .asks = true,
				  .hand = take,
				  .asked = asked };

	if (c->family == NFPROTO_NETDEV)
		at.unknown = 1u << MATCH_CGROUP;
	if (nft_steps(c, how->plan, &at) < 0)
		p->failed = true;
}

/* Whether the plan says more than what is to be handed over. */
static bool has_verdicts(const struct plan *p)
{
	for (uint32_t i = 0; i < p->steps; i++)
		if (!plan_step_hands_over(&p->step[i]) &&
		    p->step[i].dirs & 1u << DIR_OUT)
			return true;
	return p->policy == VERDICT_DROP;
}

static void to_plan(struct nft_chain *c, const struct nft_how *how,
		    bool socket)
{
	struct nft_rule *r = nft_rule_add(c);

	if (c->family == NFPROTO_NETDEV)
		nft_protocol_ip(r);
	if (socket)
		nft_has_socket(r);
	if (nft_wants_sound(how->plan, DIR_OUT))
		nft_has_protocol(r);
	nft_jump(r, NFT_PLAN_OUT);
}

static struct nft_chain *other_chain(struct nft_plan *p,
				     const struct nft_chain *c,
				     const char *name)
{
	struct nft_chain like = { .family = c->family, .ifindex = c->ifindex };

	snprintf(like.name, sizeof(like.name), "%s", name);
	return nft_chain_add(p, &like);
}

/* ---- the output hook, by route ------------------------------------------ */

/* What carries a mark of somebody else is left to the wire: ours would replace
 * it. But no socket may claim to have been through. */
static void foreign(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = FOREIGN,
	});
	struct nft_rule *r = nft_rule_add(c);

	nft_mark_has(r, how->seen);
	nft_mark_clear(r, nft_both(how));
	r = nft_rule_add(c);
	nft_marked(r);
	nft_accept(r);
}

/* Nothing is decided here of what the egress hook could not tell that it was
 * (see decided_before), nor of what never gets there. */
static void leave_to_wire(struct nft_chain *c)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_marked(r);
	nft_jump(r, FOREIGN);
	r = nft_rule_add(c);
	nft_oif_lo(r);
	nft_accept(r);
	r = nft_rule_add(c);
	nft_daddr_group(r);
	nft_accept(r);
}

/*
 * To tun0. What routing cannot take says by both bits that it is to be handed
 * over at the wire: a broadcast, and a TTL that could not be given back: 255
 * has no room for the one that forwarding takes, and forwarding turns 254 into
 * 255.
 */
static void divert(struct nft_chain *c, const struct nft_how *how)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_daddr_type_not(r, RTN_UNICAST);
	nft_mark_set(r, nft_both(how));
	nft_accept(r);
	r = nft_rule_add(c);
	nft_ttl_from(r, 254);
	nft_mark_set(r, nft_both(how));
	nft_accept(r);
	nft_mark_set(nft_rule_add(c), how->divert);
}

static void by_route(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c = nft_divert_chain(p), *next;
	struct nft_rule *r;

	foreign(p, how);
	conditions(p, c, how, TAKE, ASKED);
	if (has_verdicts(how->plan)) {
		next = other_chain(p, c, ASKED);
		leave_to_wire(next);
		to_plan(next, how, true);
		nft_goto(nft_rule_add(next), TAKE);
	}
	next = other_chain(p, c, TAKE);
	leave_to_wire(next);
	r = nft_rule_add(next);
	nft_has_socket(r);
	nft_goto(r, how->flows ? NFT_FLOWS : HAND);
	if (how->flows) {
		next = other_chain(p, c, NFT_FLOWS);
		nft_flow_rules(next, &(struct nft_station){ .hand = HAND });
		nft_goto(nft_rule_add(next), HAND);
	}
	divert(other_chain(p, c, HAND), how);
}

/* ---- the egress hook ---------------------------------------------------- */

/*
 * What has the mark of what has been through: we sent it, by a packet socket,
 * so that it has no route; or it passes through, so that it has no socket.
 * What has both only claims it.
 */
static void seen(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_NETDEV,
		.name = SEEN,
	});
	struct nft_rule *r;

	r = nft_rule_add(c);
	nft_has_route(r);
	nft_has_socket(r);
	nft_mark_clear(r, nft_both(how));
	nft_return(r);
	nft_accept(nft_rule_add(c));
}

static void hand_over(struct nft_chain *c, const struct uplink *u)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_protocol_ip(r);
	nft_hand_over(c, r, NFT_OUT_DEVICE, u);
}

/* What has a socket of this host's and a route came by the output hook, and
 * was decided there: see leave_to_wire and divert. */
static void decided_before(struct nft_chain *c)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_mark_is(r, 0);
	nft_has_route(r);
	nft_has_socket(r);
	nft_daddr_single(r);
	nft_accept(r);
}

static void left_to_wire(struct nft_chain *c, const struct nft_how *how,
			 const struct uplink *u)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_mark_is(r, nft_both(how));
	nft_has_socket(r);
	nft_protocol_ip(r);
	nft_hand_over(c, r, NFT_OUT_DEVICE, u);
}

/* As many conditions cost what decided_before costs. */
#define CHEAP_MAX 5

/* By route all that is sent is asked twice. Where the conditions are dear, what
 * was decided is told first; looking up a set costs most. */
static bool is_dear(const struct plan *p)
{
	unsigned conditions = 0;

	for (uint32_t i = 0; i < p->steps; i++) {
		const struct plan_step *s = &p->step[i];

		if (!(s->dirs & 1u << DIR_OUT))
			continue;
		for (uint32_t k = 0; k < s->terms; k++) {
			const struct plan_term *t = &s->term[k];

			if (t->kind == TERM_SET || t->kind == TERM_BYTES ||
			    t->ranges.count > 2)
				return true;
		}
		conditions++;
	}
	return conditions > CHEAP_MAX;
}

static void has_been_through(struct nft_chain *c, const struct nft_how *how,
			     const struct uplink *u)
{
	struct nft_rule *r;

	if (how->route && !is_dear(how->plan))
		decided_before(c);
	if (how->route && !how->forward)
		left_to_wire(c, how, u);
	r = nft_rule_add(c);
	nft_mark_has(r, how->seen);
	nft_jump(r, SEEN);
}

/*
 * Both bits say that it passes through and has not been seen, see nft_pass.c;
 * but what the host sends has a socket: it was left to the wire, or claims to
 * pass through.
 */
static void both_bits(struct nft_plan *p, struct nft_chain *c,
		      const struct nft_how *how, const struct uplink *u)
{
	char name[NFT_CHAIN_MAX];
	struct nft_rule *r = nft_rule_add(c);

	snprintf(name, sizeof(name), BOTH "-out-%.*s", IFNAMSIZ - 1, u->name);
	nft_mark_has(r, nft_both(how));
	nft_jump(r, name);
	c = other_chain(p, c, name);
	if (how->route)
		left_to_wire(c, how, u);
	r = nft_rule_add(c);
	nft_has_route(r);
	nft_has_socket(r);
	nft_mark_clear(r, nft_both(how));
	nft_return(r);
	nft_pass_leaving(p, c, how, u);
}

void nft_late_leaving(struct nft_plan *p, struct nft_chain *c,
		      const struct nft_how *how, const struct uplink *u)
{
	char take[NFT_CHAIN_MAX], asked[NFT_CHAIN_MAX], hand[NFT_CHAIN_MAX];
	struct nft_chain *next;

	snprintf(take, sizeof(take), TAKE "-out-%.*s", IFNAMSIZ - 1, u->name);
	snprintf(asked, sizeof(asked), ASKED "-out-%.*s", IFNAMSIZ - 1, u->name);
	snprintf(hand, sizeof(hand), HAND "-out-%.*s", IFNAMSIZ - 1, u->name);
	if (how->forward)
		both_bits(p, c, how, u);
	if (how->route && is_dear(how->plan))
		decided_before(c);
	conditions(p, c, how, take, asked);
	if (has_verdicts(how->plan)) {
		next = other_chain(p, c, asked);
		has_been_through(next, how, u);
		to_plan(next, how, false);
		nft_goto(nft_rule_add(next), take);
	}
	next = other_chain(p, c, take);
	has_been_through(next, how, u);
	if (how->flows) {
		nft_flow_rules(next, &(struct nft_station){ .hand = hand });
		hand_over(next, u);
		next = other_chain(p, c, hand);
	}
	hand_over(next, u);
}

void nft_late_chains(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_station at = { .dir = DIR_OUT };
	bool verdicts = has_verdicts(how->plan);

	if (how->route && verdicts)
		nft_plan_chain(p, NFPROTO_IPV4, NFT_PLAN_OUT, how->plan, &at);
	at.unknown = 1u << MATCH_CGROUP;
	if (verdicts)
		nft_plan_chain(p, NFPROTO_NETDEV, NFT_PLAN_OUT, how->plan, &at);
	p->rules = how->plan;
	seen(p, how);
	if (how->route)
		by_route(p, how);
}
