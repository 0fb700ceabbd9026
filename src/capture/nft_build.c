/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our rules. Must not talk to the kernel but to ask for a device's index.
 *
 * Two bits of the mark carry the state: DIVERT (an ip rule sends it to
 * tun0) and SEEN (has been through, or is none of ours). Both together, which
 * no ip rule looks for, say in the output hook "to be diverted", and behind
 * the forward hook "is passing through, not seen yet". Bits are set with "or"
 * wherever somebody else's may stand beside them.
 */
#include "capture/nft_build.h"

#include <errno.h>
#include <linux/icmp.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>

#include "capture/nft_flow.h"
#include "capture/nft_own.h"
#include "capture/nft_pass.h"
#include "capture/nft_steps.h"
#include "capture/nft_term.h"
#include "capture/nft_via.h"

/* What older headers of the kernel lack. */
#define HOOK_INGRESS 0
#define HOOK_EGRESS  1

/* After the chains that set marks of others, so that theirs are seen. */
#define DECIDE_PRIORITY 199
#define DIVERT_PRIORITY 200
#define TOLD_PRIORITY	201
/* After every filter: what is dropped there needs no mark. */
#define THROUGH_PRIORITY 1000

/* Chains that others jump to. */
#define MARKED	 "marked"
#define OWN	 "own"
#define PLAN_OUT "plan-out"
#define FLOWS	 "flows"
#define PLAN_IN	 "plan-in"
#define PLAN_IN_BARE "plan-in-bare" /* no Ethernet header */

#define CHAINS_FIXED (24 + NFT_VIA_CHAINS)

const char *nft_family_name(uint32_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_NETDEV:
		return "netdev";
	case NFPROTO_BRIDGE:
		return "bridge";
	case NFPROTO_IPV6:
		return "ip6";
	default:
		return "?";
	}
}

struct nft_chain *nft_chain_add(struct nft_plan *p,
				const struct nft_chain *like)
{
	struct nft_chain *c = &p->chain[p->chains++];

	*c = *like;
	return c;
}

struct nft_rule *nft_rule_add(struct nft_chain *c)
{
	unsigned room = c->room ? 2 * c->room : 8;
	struct nft_rule *r;

	if (c->rules == c->room) {
		r = realloc(c->rule, room * sizeof(*r));
		if (!r) {
			c->failed = true;
			nft_rule_free(&c->spare);
			return &c->spare;
		}
		c->rule = r;
		c->room = room;
	}
	r = &c->rule[c->rules++];
	nft_rule_init(r, c->family, NFT_TABLE, c->name);
	return r;
}

/* ---- the plan ------------------------------------------------------------ */

bool nft_decides(const struct plan *p, enum packet_dir dir)
{
	return p && !plan_hands_over_all(p, dir);
}

/*
 * Which cgroup a packet is from is known in the output hook alone, and only
 * there the kernel can send by another interface. Then all is
 * decided there, and what leaves is told by its mark: whatever has DIVERT is
 * handed over, and what has SEEN alone passes.
 */
static bool tells(const struct nft_how *how)
{
	return how->only.id || plan_asks_cgroup(how->plan) ||
	       (!how->route && nft_sends_by(how));
}

/* By route, what has to be tracked after tun0 must go there. */
static const struct plan *plan_by_route(const struct nft_how *how)
{
	return (tells(how) || (how->route && !how->notrack)) &&
			       nft_decides(how->plan, DIR_OUT)
		       ? how->plan
		       : NULL;
}

bool nft_expects(const struct nft_how *how)
{
	return how->probes && (!how->in || nft_decides(how->plan, DIR_IN));
}

void nft_plan_chain(struct nft_plan *p, uint8_t family, const char *name,
		    const struct plan *plan, const struct nft_station *at)
{
	struct nft_chain proto = { .family = family };
	struct nft_chain *c;

	snprintf(proto.name, sizeof(proto.name), "%s", name);
	c = nft_chain_add(p, &proto);
	p->rules = plan;
	if (nft_steps(c, plan, at) < 0)
		p->failed = true;
}

/* What arrives for this host. */
#define TO_HOST RTN_LOCAL, RTN_MULTICAST, RTN_BROADCAST

/* Whether what was handed back has to be told apart before all else; else it
 * is only where something would be done with it. */
static bool marked_first(const struct nft_how *how)
{
	return how->forward || nft_expects(how) || nft_own_arrives(how);
}

/* More rules than this are not written once for each uplink. */
#define IN_PLACE_MAX 256

/*
 * Where nearly all that leaves, or arrives, is new to us, the steps stand in
 * the chains of the hooks, and what no step meets is asked nothing else. By
 * route it has been decided before, and so it is asked for its mark first.
 */
static bool in_place(const struct nft_how *how, enum packet_dir dir,
		     unsigned count)
{
	if (!nft_decides(how->plan, dir) || nft_wants_sound(how->plan, dir) ||
	    !count || how->plan->steps * count > IN_PLACE_MAX)
		return false;
	return dir == DIR_IN ? how->in && !marked_first(how)
			     : !how->route && !how->forward && !tells(how) &&
				       !nft_own_arrives(how);
}

static struct nft_station station_out(void)
{
	return (struct nft_station){ .dir = DIR_OUT,
				     .unknown = 1u << MATCH_CGROUP,
				     .any_protocol = true };
}

static struct nft_station station_in(const struct nft_how *how, bool frame)
{
	struct nft_station at = { .dir = DIR_IN,
				  .any_protocol = true,
				  .frame = frame,
				  .type = { TO_HOST },
				  .types = 3 };

	if (marked_first(how))
		return at;
	if (frame)
		at.not_from = how->marker;
	else
		at.not_marked = how->seen;
	return at;
}

/* The steps in c; and the chain that they give to, of the same device. */
static struct nft_chain *steps_in_place(struct nft_plan *p,
					struct nft_chain *c,
					const struct nft_how *how,
					struct nft_station at)
{
	struct nft_chain hand = { .family = c->family, .ifindex = c->ifindex };

	snprintf(hand.name, sizeof(hand.name), "take-%.*s",
		 NFT_CHAIN_MAX - 6, c->name);
	at.hand = hand.name;
	p->rules = how->plan;
	if (nft_steps(c, how->plan, &at) < 0)
		p->failed = true;
	return nft_chain_add(p, &hand);
}

static bool has_bare(struct uplink *const *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (list[i]->in && !list[i]->link_len)
			return true;
	return false;
}

static void plan_chains(struct nft_plan *p, const struct nft_how *how,
			struct uplink *const *list, unsigned count)
{
	struct nft_station at = { .dir = DIR_OUT, .seen = how->seen,
				  .cgroups = how->cgroups };

	if (tells(how))
		at.within = how->divert | how->seen;
	if (nft_sends_by(how))
		at.via = how;
	if (plan_by_route(how))
		nft_plan_chain(p, NFPROTO_IPV4, PLAN_OUT, how->plan, &at);
	p->in_place[DIR_OUT] = in_place(how, DIR_OUT, count);
	p->in_place[DIR_IN] = in_place(how, DIR_IN, count);
	at = station_out();
	if (nft_decides(how->plan, DIR_OUT) && !how->only.id &&
	    !p->in_place[DIR_OUT])
		nft_plan_chain(p, NFPROTO_NETDEV, PLAN_OUT, how->plan, &at);
	if (!how->in || !nft_decides(how->plan, DIR_IN) || p->in_place[DIR_IN])
		return;
	at = station_in(how, true);
	nft_plan_chain(p, NFPROTO_NETDEV, PLAN_IN, how->plan, &at);
	at = station_in(how, false);
	if (has_bare(list, count))
		nft_plan_chain(p, NFPROTO_NETDEV, PLAN_IN_BARE, how->plan,
			       &at);
}

/* By route as for a plan. */
static bool flows_by_route(const struct nft_how *how)
{
	return how->flows && how->route && !how->notrack;
}

static void flow_chains(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_station at = { .seen = how->seen };

	/* There those with a mark of somebody else's get here as well. */
	if (tells(how))
		at.within = how->divert | how->seen;
	if (flows_by_route(how))
		nft_flow_chain(p, NFPROTO_IPV4, FLOWS, &at);
	if (how->flows)
		nft_flow_chain(p, NFPROTO_NETDEV, FLOWS,
			       &(struct nft_station){ .seen = 0 });
}

/* ---- the output hook ------------------------------------------------------ */

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
	nft_mark_clear(r, how->seen | how->divert);
}

/*
 * What is known of all that the host sends, or of one command. By route DIVERT
 * alone would be sent to tun0, and not all of it can be; but both bits mean
 * something else where it leaves beside what passes through.
 */
static void decide_and_tell(struct nft_plan *p, const struct nft_how *how,
			    struct nft_chain *c)
{
	uint32_t both = how->divert | how->seen;
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
	if (plan_by_route(how)) {
		r = nft_rule_add(c);
		nft_jump(r, PLAN_OUT);
	}
	if (flows_by_route(how)) {
		r = nft_rule_add(c);
		nft_jump(r, FLOWS);
	}
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

	if (tells(how)) {
		decide_and_tell(p, how, c);
		return;
	}
	r = nft_rule_add(c);
	nft_marked(r);
	nft_goto(r, MARKED);
	if (!how->route)
		return;
	never_leaves(c);
	if (plan_by_route(how)) {
		r = nft_rule_add(c);
		nft_jump(r, PLAN_OUT);
	}
	if (flows_by_route(how)) {
		r = nft_rule_add(c);
		nft_jump(r, FLOWS);
	}
	leave_to_wire(c);
	r = nft_rule_add(c);
	nft_mark_set(r, how->divert | how->seen);
}

/* A chain of this type routes a packet again when its mark changed. */
static void divert(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c;
	struct nft_rule *r;

	if (!how->route && !nft_sends_by(how))
		return;
	c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = "divert",
		.type = "route",
		.hook = NF_INET_LOCAL_OUT,
		.hook_name = "output",
		.priority = DIVERT_PRIORITY,
		.priority_name = "200",
	});
	if (nft_sends_by(how))
		nft_via_divert(c, how);
	if (!how->route)
		return;
	r = nft_rule_add(c);
	nft_mark_is(r, how->divert | how->seen);
	/* See leave_to_wire. */
	if (tells(how)) {
		nft_ttl_to(r, 253);
		nft_daddr_type(r, RTN_UNICAST);
	}
	nft_mark_set(r, how->divert);
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
	struct nft_rule *r = nft_rule_add(c);

	/* The writer adds one, forwarding takes it away; to 255 none can be
	 * added. */
	nft_iifname(r, how->dev);
	nft_ttl_is(r, 254);
	nft_ttl_set(r, 255);
	if (how->vias) {
		r = nft_rule_add(c);
		nft_iifname(r, NFT_VIA_DEVICES);
		nft_ttl_is(r, 254);
		nft_ttl_set(r, 255);
	}
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

static struct nft_chain *wire_chain(struct nft_plan *p,
				    const struct uplink *u, bool egress)
{
	struct nft_chain c = {
		.family = NFPROTO_NETDEV,
		.type = "filter",
		.hook = egress ? HOOK_EGRESS : HOOK_INGRESS,
		.hook_name = egress ? "egress" : "ingress",
		.priority = 0,
		.priority_name = "filter",
		.ifindex = u->ifindex,
	};

	snprintf(c.name, sizeof(c.name), "%s-%.*s", egress ? "out" : "in",
		 IFNAMSIZ - 1, u->name);
	snprintf(c.dev, sizeof(c.dev), "%.*s", IFNAMSIZ - 1, u->name);
	return nft_chain_add(p, &c);
}

/* The devices' names follow from the uplink's index. */
void nft_hand_over(struct nft_chain *c, struct nft_rule *r, const char *form,
		   const struct uplink *u)
{
	char name[IFNAMSIZ];
	unsigned ifindex;

	snprintf(name, sizeof(name), form, u->ifindex);
	ifindex = if_nametoindex(name);
	if (!ifindex)
		c->dangling = true;
	nft_forward_to(r, ifindex, name);
}

/* What is not IPv4 passes there; few rules have to know before. */
static void go_to_plan(struct nft_chain *c, const struct nft_how *how,
		       enum packet_dir dir, const char *chain)
{
	struct nft_rule *r = nft_rule_add(c);

	if (nft_wants_sound(how->plan, dir))
		nft_has_protocol(r);
	nft_jump(r, chain);
}

static void leaving(struct nft_plan *p, const struct nft_how *how,
		    const struct uplink *u)
{
	struct nft_chain *c = wire_chain(p, u, true);
	struct nft_rule *r;

	if (how->forward)
		nft_pass_leaving(p, c, how, u);
	if (nft_own_arrives(how)) {
		r = nft_rule_add(c);
		nft_mark_lacks(r, how->divert | how->seen);
		nft_accept(r);
		nft_own_remember(c);
	}
	if (tells(how) && how->flows) {
		r = nft_rule_add(c);
		nft_mark_has(r, how->divert);
		nft_jump(r, FLOWS);
	}
	if (tells(how)) {
		/* If it was sent to tun0, its socket is bound to a device. */
		r = nft_rule_add(c);
		nft_mark_has(r, how->divert);
		nft_protocol_ip(r);
		nft_hand_over(c, r, NFT_OUT_DEVICE, u);
	}
	/* Of others nothing is wanted. */
	if (how->only.id)
		return;
	if (p->in_place[DIR_OUT]) {
		struct nft_station at = station_out();

		at.not_marked = how->seen;
		c = steps_in_place(p, c, how, at);
	}
	r = nft_rule_add(c);
	nft_mark_has(r, how->seen);
	nft_accept(r);
	if (nft_decides(how->plan, DIR_OUT) && !p->in_place[DIR_OUT])
		go_to_plan(c, how, DIR_OUT, PLAN_OUT);
	if (how->flows)
		nft_jump(nft_rule_add(c), FLOWS);
	r = nft_rule_add(c);
	nft_protocol_ip(r);
	nft_hand_over(c, r, NFT_OUT_DEVICE, u);
}

static const char *plan_in(const struct uplink *u)
{
	return u->link_len ? PLAN_IN : PLAN_IN_BARE;
}

static void is_ip(struct nft_rule *r, const struct uplink *u)
{
	if (u->link_len)
		nft_ether_type_ip(r);
	else
		nft_protocol_ip(r);
}

/*
 * What may answer a probe: the kernel must not see it, or it would answer in
 * turn. Errors are few, and what they quote cannot be looked at here.
 */
static void expected(struct nft_chain *c, const struct uplink *u)
{
	static const uint8_t types[] = { ICMP_ECHOREPLY, ICMP_DEST_UNREACH,
					 ICMP_TIME_EXCEEDED,
					 ICMP_PARAMETERPROB };
	bool ethernet = u->link_len != 0;
	struct nft_rule *r = nft_rule_add(c);
	unsigned i;

	is_ip(r, u);
	nft_destined_to(r, NFT_EXPECTED);
	nft_hand_over(c, r, NFT_IN_DEVICE, u);
	for (i = 0; i < sizeof(types); i++) {
		r = nft_rule_add(c);
		nft_icmp_type(r, types[i], ethernet);
		nft_daddr_type(r, RTN_LOCAL);
		nft_hand_over(c, r, NFT_IN_DEVICE, u);
	}
}

static void arrives_here(struct nft_chain *c, const struct nft_how *how,
			 const struct uplink *u)
{
	static const unsigned to_host[] = { TO_HOST };
	struct nft_rule *r;
	unsigned i;

	if (nft_decides(how->plan, DIR_IN) && marked_first(how))
		go_to_plan(c, how, DIR_IN, plan_in(u));
	if (how->flows)
		nft_jump(nft_rule_add(c), FLOWS);
	/* It was seen before it was decrypted. */
	if (how->ipsec) {
		r = nft_rule_add(c);
		nft_decrypted(r);
		nft_accept(r);
	}
	for (i = 0; i < sizeof(to_host) / sizeof(to_host[0]); i++) {
		r = nft_rule_add(c);
		is_ip(r, u);
		nft_daddr_type(r, to_host[i]);
		nft_hand_over(c, r, NFT_IN_DEVICE, u);
	}
}

/*
 * What arrives. A frame with a VLAN tag belongs to the VLAN's own device,
 * which comes next, so the frame's own type is asked for: the packet's
 * protocol is that below the tag. A multicast packet that the host loops
 * back to itself has no frame, and is not taken for that reason either.
 */
static void arriving(struct nft_plan *p, const struct nft_how *how,
		     const struct uplink *u)
{
	struct nft_chain *c = wire_chain(p, u, false), own = {
		.family = NFPROTO_NETDEV,
		.ifindex = u->ifindex,
	};
	struct nft_rule *r;

	if (p->in_place[DIR_IN])
		c = steps_in_place(p, c, how, station_in(how, u->link_len));
	else if (how->in && nft_decides(how->plan, DIR_IN) &&
		 !marked_first(how))
		go_to_plan(c, how, DIR_IN, plan_in(u));
	r = nft_rule_add(c);
	if (u->link_len)
		nft_ether_saddr(r, how->marker);
	else
		nft_mark_has(r, how->seen);
	nft_accept(r);
	if (nft_expects(how))
		expected(c, u);
	if (how->forward)
		nft_pass_arriving(p, c, how, u);
	if (!how->in)
		return;
	if (nft_own_arrives(how)) {
		snprintf(own.name, sizeof(own.name), "own-%s", u->name);
		nft_own_goto(c, own.name);
		c = nft_chain_add(p, &own);
	}
	arrives_here(c, how, u);
}

int nft_plan_make(struct nft_plan *p, const struct nft_how *how,
		  struct uplink *const *list, unsigned count)
{
	unsigned i, k;

	*p = NFT_PLAN_NONE;
	p->chain = calloc(CHAINS_FIXED + 6 * (size_t)count,
			  sizeof(p->chain[0]));
	if (!p->chain)
		return -ENOMEM;
	plan_chains(p, how, list, count);
	flow_chains(p, how);
	if (how->forward)
		nft_pass_chains(p, how, list, count);
	track_once(p, how);
	if (!tells(how))
		marked(p, how);
	decide(p, how);
	divert(p, how);
	through(p, how);
	nft_via_chains(p, how);
	for (i = 0; i < count; i++) {
		leaving(p, how, list[i]);
		if (list[i]->in && (how->in || how->forward || how->probes))
			arriving(p, how, list[i]);
	}
	for (i = 0; i < p->chains; i++) {
		p->failed |= p->chain[i].failed;
		for (k = 0; k < p->chain[i].rules; k++)
			p->failed |= p->chain[i].rule[k].failed;
	}
	return p->failed ? -ENOMEM : 0;
}

void nft_plan_free(struct nft_plan *p)
{
	unsigned i, k;

	for (i = 0; i < p->chains; i++) {
		for (k = 0; k < p->chain[i].rules; k++)
			nft_rule_free(&p->chain[i].rule[k]);
		nft_rule_free(&p->chain[i].spare);
		free(p->chain[i].rule);
	}
	free(p->chain);
	*p = NFT_PLAN_NONE;
}
