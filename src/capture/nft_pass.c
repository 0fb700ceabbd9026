/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See nft_pass.h. Must not know what else is captured. */
#include "capture/nft_pass.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "capture/nft_flow.h"
#include "capture/nft_steps.h"

/* In table ip it asks, in table netdev it decides. */
#define PLAN_PASSING "plan-passing"
#define PLAN_BARE    "plan-passing-bare" /* no Ethernet header */
#define PLAN_LEAVING "plan-leaving"
/* Likewise, for connections. */
#define FLOWS_PASSING "flows-passing"
#define FLOWS_BARE    "flows-passing-bare"
#define FLOWS_LEAVING "flows-leaving"
#define BRIDGED	     "bridged"
#define BRIDGED_NEW  "bridged-new"

/* ---- what was taken, and where ------------------------------------------- */

void nft_pass_through(struct nft_chain *c, const struct nft_how *how)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_iifname(r, how->dev);
	nft_mark_put(r, nft_both(how), how->seen);
	nft_accept(r);
	if (how->vias) {
		r = nft_rule_add(c);
		nft_iifname(r, NFT_VIA_DEVICES);
		nft_mark_put(r, nft_both(how), how->seen);
		nft_accept(r);
	}
	if (how->ipsec) {
		/* Its frame is that of the packet it came in. */
		r = nft_rule_add(c);
		nft_decrypted(r);
		nft_mark_or(r, nft_both(how));
		nft_accept(r);
	}
	r = nft_rule_add(c);
	nft_ether_saddr(r, how->marker);
	nft_mark_put(r, nft_both(how), how->seen);
	nft_accept(r);
	r = nft_rule_add(c);
	nft_iiftype_not_ether(r);
	nft_mark_has(r, how->seen);
	nft_accept(r);
	nft_mark_or(nft_rule_add(c), nft_both(how));
}

/* A chain of this uplink's that its own in the hook goes on to. */
static struct nft_chain *branch(struct nft_plan *p, const char *form,
				const struct uplink *u)
{
	struct nft_chain like = { .family = NFPROTO_NETDEV,
				  .ifindex = u->ifindex };

	snprintf(like.name, sizeof(like.name), form, u->name);
	return nft_chain_add(p, &like);
}

/* c as the plan decides, and what it does not decide to that device. */
static void decide(struct nft_chain *c, const struct nft_how *how,
		   const char *plan, const char *flows, const char *device,
		   const struct uplink *u)
{
	struct nft_rule *r;

	if (nft_decides(how->plan, DIR_FORWARD)) {
		r = nft_rule_add(c);
		nft_has_protocol(r);
		nft_jump(r, plan);
	}
	if (how->flows)
		nft_jump(nft_rule_add(c), flows);
	nft_hand_over(c, nft_rule_add(c), device, u);
}

void nft_pass_arriving(struct nft_plan *p, struct nft_chain *c,
		       const struct nft_how *how, const struct uplink *u)
{
	struct nft_chain *to = branch(p, "pass-%s", u);
	struct nft_rule *r = nft_rule_add(c);

	if (u->link_len)
		nft_ether_type_ip(r);
	else
		nft_protocol_ip(r);
	nft_pkttype_host(r);
	nft_daddr_type(r, RTN_UNICAST);
	nft_goto(r, to->name);
	if (how->ipsec) {
		r = nft_rule_add(to);
		nft_decrypted(r);
		nft_accept(r);
	}
	if (u->bridge) {
		r = nft_rule_add(to); /* see bridged */
		nft_mark_has(r, nft_both(how));
		nft_accept(r);
	}
	decide(to, how, u->link_len ? PLAN_PASSING : PLAN_BARE,
	       u->link_len ? FLOWS_PASSING : FLOWS_BARE, NFT_PASSING_DEVICE,
	       u);
}

void nft_pass_leaving(struct nft_plan *p, struct nft_chain *c,
		      const struct nft_how *how, const struct uplink *u)
{
	struct nft_chain *to = branch(p, "leave-%s", u);
	struct nft_rule *r = nft_rule_add(c);

	nft_mark_has(r, nft_both(how));
	nft_protocol_ip(r);
	nft_goto(r, to->name);
	decide(to, how, PLAN_LEAVING, FLOWS_LEAVING, NFT_LEAVING_DEVICE, u);
}

/* ---- bridges -------------------------------------------------------------- */

static bool any(struct uplink *const *list, unsigned count, bool bridge)
{
	for (unsigned i = 0; i < count; i++)
		if (list[i]->in &&
		    (bridge ? list[i]->bridge : !list[i]->link_len))
			return true;
	return false;
}

/* What comes by u for the host's MAC and has not been seen. */
static struct nft_rule *comes_by(struct nft_chain *c,
				 const struct nft_how *how,
				 const struct uplink *u)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_iifname(r, u->name);
	nft_ether_daddr(r, u->mac);
	nft_ether_saddr_not(r, how->marker);
	return r;
}

/*
 * Where bridged packets go through the IP tables (br_netfilter), what comes
 * by a bridge meets the prerouting hook before our ingress hook: it would be
 * tracked and translated, then taken, handed back, and tracked as another
 * connection. So what is going to be taken is not tracked yet; and what looks
 * as if it were for the host says so by both bits: if it is translated now, it
 * is left to the egress hook. Elsewhere nothing gets here that has not been
 * seen, but what is for the host.
 */
static void bridged(struct nft_plan *p, const struct nft_how *how,
		    struct uplink *const *list, unsigned count)
{
	struct nft_chain *c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = BRIDGED_NEW,
	});
	struct nft_rule *r;

	if (nft_decides(how->plan, DIR_FORWARD)) {
		r = nft_rule_add(c);
		nft_has_protocol(r);
		nft_jump(r, PLAN_PASSING);
	}
	if (how->flows)
		nft_jump(nft_rule_add(c), FLOWS_PASSING);
	nft_notrack(nft_rule_add(c));
	c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = BRIDGED,
		.type = "filter",
		.hook = NF_INET_PRE_ROUTING,
		.hook_name = "prerouting",
		.priority = NF_IP_PRI_RAW,
		.priority_name = "raw",
	});
	for (unsigned i = 0; i < count; i++) {
		if (!list[i]->in || !list[i]->bridge)
			continue;
		r = comes_by(c, how, list[i]);
		nft_daddr_type(r, RTN_LOCAL);
		nft_mark_or(r, nft_both(how));
		nft_accept(r);
		r = comes_by(c, how, list[i]);
		nft_daddr_type(r, RTN_UNICAST);
		nft_goto(r, BRIDGED_NEW);
	}
}

/* Marked and told apart as by the plan. */
static void flow_chains(struct nft_plan *p, const struct nft_how *how,
			bool bridge, bool bare)
{
	const struct nft_station asks = { .asks = true };
	const struct nft_station passing = { .marker = how->marker };
	const struct nft_station marked = { .within = nft_both(how),
					    .seen = how->seen };

	if (bridge)
		nft_flow_chain(p, NFPROTO_IPV4, FLOWS_PASSING, &asks);
	nft_flow_chain(p, NFPROTO_NETDEV, FLOWS_PASSING, &passing);
	if (bare)
		nft_flow_chain(p, NFPROTO_NETDEV, FLOWS_BARE, &marked);
	nft_flow_chain(p, NFPROTO_NETDEV, FLOWS_LEAVING, &marked);
}

void nft_pass_chains(struct nft_plan *p, const struct nft_how *how,
		     struct uplink *const *list, unsigned count)
{
	bool bridge = any(list, count, true), bare = any(list, count, false);

	if (nft_decides(how->plan, DIR_FORWARD)) {
		struct nft_station at = { .dir = DIR_FORWARD,
					  .unknown = 1u << MATCH_OIF };

		at.asks = true;
		if (bridge)
			nft_plan_chain(p, NFPROTO_IPV4, PLAN_PASSING,
				       how->plan, &at);
		at.asks = false;
		at.marker = how->marker;
		nft_plan_chain(p, NFPROTO_NETDEV, PLAN_PASSING, how->plan,
			       &at);
		at.marker = NULL;
		at.within = nft_both(how);
		at.seen = how->seen;
		if (bare)
			nft_plan_chain(p, NFPROTO_NETDEV, PLAN_BARE, how->plan,
				       &at);
		at.unknown = 1u << MATCH_IIF;
		nft_plan_chain(p, NFPROTO_NETDEV, PLAN_LEAVING, how->plan,
			       &at);
	}
	if (how->flows)
		flow_chains(p, how, bridge, bare);
	if (bridge)
		bridged(p, how, list, count);
}
