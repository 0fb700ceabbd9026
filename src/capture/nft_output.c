/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Marks, and who sets them. Must not know the uplinks.
 *
 * Two bits of the mark carry the state: DIVERT (an ip rule sends it to
 * tun0) and SEEN (has been through, or is none of ours). Both together, which
 * no ip rule looks for, say in the output hook "to be diverted", and behind
 * the forward hook "is passing through, not seen yet". Bits are set with "or"
 * wherever somebody else's may stand beside them.
 */
#include "capture/nft_output.h"

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>

#include "capture/nft_flow.h"
#include "capture/nft_own.h"
#include "capture/nft_pass.h"
#include "capture/nft_steps.h"
#include "capture/nft_term.h"
#include "capture/nft_via.h"

/* Before and behind what nft_divert_chain makes. */
#define DECIDE_PRIORITY 199
#define TOLD_PRIORITY	201
/* After every filter: what is dropped there needs no mark. */
#define THROUGH_PRIORITY 1000

/* Chains that others jump to. */
#define MARKED "marked"
#define OWN    "own"

/*
 * What must not go by route: routing cannot take it, or its TTL could not be
 * given back. It is left to the wire.
 */
static void leave_to_wire(struct nft_chain *c)
{
	struct nft_rule *r;

	r = nft_rule_add(c);
	nft_daddr_type_not(r, RTN_UNICAST);
	nft_accept(r);
	/* 255 has no room for the one that forwarding takes, and forwarding
	 * turns 254 into 255: see through. */
	r = nft_rule_add(c);
	nft_ttl_from(r, 254);
	nft_accept(r);
}

static void never_leaves(struct nft_chain *c)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_oif_lo(r);
	nft_accept(r);
}

/* What rules or held connections decide does not come back. */
static void ask(struct nft_chain *c, const struct nft_how *how)
{
	if (nft_plan_by_route(how))
		nft_jump(nft_rule_add(c), NFT_PLAN_OUT);
	if (nft_flows_by_route(how))
		nft_jump(nft_rule_add(c), NFT_FLOWS);
}

/*
 * What carries a mark of somebody else is left to the wire: ours would
 * replace it, and its owner may rely on it to keep packets out of a tunnel.
 * But no socket may claim to have been through; and a tunnel's outer packet
 * is a packet of its own, that of one passing through too.
 */
static void marked(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = MARKED,
	});
	struct nft_rule *r = nft_rule_add(c);

	nft_mark_has(r, how->seen);
	nft_mark_clear(r, nft_both(how));
}

/*
 * What is known of all that the host sends, or of one command. By route DIVERT
 * alone would be sent to tun0, and not all of it can be; but both bits mean
 * something else where it leaves beside what passes through.
 */
static void decide_and_tell(struct nft_plan *p, const struct nft_how *how,
			    struct nft_chain *c)
{
	uint32_t both = nft_both(how);
	struct nft_rule *r = nft_rule_add(c);

	nft_marked(r);
	nft_mark_clear(r, both);
	never_leaves(c);
	if (how->only.id) {
		r = nft_rule_add(c);
		nft_socket_cgroup(r, how->only_path, &how->only);
		nft_goto(r, OWN);
		c = nft_chain_add(p, &(struct nft_chain){
			.family = NFPROTO_IPV4,
			.name = OWN,
		});
	}
	ask(c, how);
	nft_mark_or(nft_rule_add(c), how->route ? both : how->divert);
	if (!how->route || !how->forward)
		return;
	c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = "told",
		.type = "filter",
		.hook = NF_INET_LOCAL_OUT,
		.hook_name = "output",
		.priority = TOLD_PRIORITY,
		.priority_name = "201",
	});
	r = nft_rule_add(c);
	nft_mark_has(r, both);
	nft_mark_clear(r, how->seen);
}

/*
 * What is decided here is marked as such, and what is to be handed over gets
 * both bits: in a chain of this type nothing is routed again.
 */
static void decide(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = "decide",
		.type = "filter",
		.hook = NF_INET_LOCAL_OUT,
		.hook_name = "output",
		.priority = DECIDE_PRIORITY,
		.priority_name = "199",
	});
	struct nft_rule *r;

	if (nft_tells(how)) {
		decide_and_tell(p, how, c);
		return;
	}
	r = nft_rule_add(c);
	nft_marked(r);
	nft_goto(r, MARKED);
	if (!how->route || p->late)
		return;
	never_leaves(c);
	ask(c, how);
	leave_to_wire(c);
	r = nft_rule_add(c);
	nft_mark_set(r, nft_both(how));
}

/* A chain of this type routes a packet again when its mark changed. */
static void divert(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c;
	struct nft_rule *r;

	if (!how->route && !nft_sends_by(how))
		return;
	c = nft_divert_chain(p);
	if (nft_sends_by(how))
		nft_via_divert(c, how);
	if (!how->route)
		return;
	r = nft_rule_add(c);
	nft_mark_is(r, nft_both(how));
	/* See leave_to_wire. */
	if (nft_tells(how)) {
		nft_ttl_to(r, 253);
		nft_daddr_type(r, RTN_UNICAST);
	}
	nft_mark_set(r, how->divert);
}

/* The writer adds one, forwarding takes it away; to 255 none can be added. */
static void give_back_ttl(struct nft_chain *c, const char *dev)
{
	struct nft_rule *r = nft_rule_add(c);

	nft_iifname(r, dev);
	nft_ttl_is(r, 254);
	nft_ttl_set(r, 255);
}

/*
 * What comes out of tun0 is on its way to an uplink. Its bit is set here,
 * behind the routing decision, so that no routing rule ever meets it.
 */
static void through(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = "through",
		.type = "filter",
		.hook = NF_INET_FORWARD,
		.hook_name = "forward",
		.priority = THROUGH_PRIORITY,
		.priority_name = "1000",
	});
	struct nft_rule *r;

	give_back_ttl(c, how->dev);
	if (how->vias)
		give_back_ttl(c, NFT_VIA_DEVICES);
	/* Unless what passes through is captured, it is none of ours
	 * either; beside a command nobody asks. */
	if (how->forward) {
		nft_pass_through(c, how);
	} else {
		r = nft_rule_add(c);
		if (how->only.id)
			nft_iifname(r, how->dev);
		nft_mark_or(r, how->seen);
	}
}

/* A packet is tracked once: where the host alone would have done so, or,
 * where its translation would get lost that way, on the second pass. */
static void track_once(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c = NULL;
	struct nft_rule *r;

	if (!how->route) {
		/* Nothing comes by tun0: what arrives need not meet this. */
		if (!how->elsewhere)
			return;
		c = nft_chain_add(p, &(struct nft_chain){
			.family = NFPROTO_IPV4,
			.name = "prerouting",
			.type = "filter",
			.hook = NF_INET_PRE_ROUTING,
			.hook_name = "prerouting",
			.priority = NF_IP_PRI_RAW,
			.priority_name = "raw",
		});
		r = nft_rule_add(c);
		nft_iif(r, how->dev);
		nft_notrack(r);
	} else if (how->notrack) {
		c = nft_chain_add(p, &(struct nft_chain){
			.family = NFPROTO_IPV4,
			.name = "output",
			.type = "filter",
			.hook = NF_INET_LOCAL_OUT,
			.hook_name = "output",
			.priority = NF_IP_PRI_RAW,
			.priority_name = "raw",
		});
		r = nft_rule_add(c);
		nft_marked(r);
		nft_accept(r);
		never_leaves(c);
		leave_to_wire(c);
		r = nft_rule_add(c);
		nft_notrack(r);
	}
}

void nft_output_chains(struct nft_plan *p, const struct nft_how *how)
{
	/* An inherited mark is cleared where nothing is routed again: a tunnel
	 * may be bound to a device. */
	bool clears = !p->late || how->wraps;

	track_once(p, how);
	if (clears && !nft_tells(how))
		marked(p, how);
	if (clears)
		decide(p, how);
	if (!p->late)
		divert(p, how);
	through(p, how);
}
