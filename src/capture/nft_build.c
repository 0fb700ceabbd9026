/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which chains there are, and those of the uplinks' hooks. Must not talk to
 * the kernel but to ask for a device's index.
 */
#include "capture/nft_build.h"

#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <linux/icmp.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/netlink.h"
#include "capture/nft_flow.h"
#include "capture/nft_late.h"
#include "capture/nft_output.h"
#include "capture/nft_own.h"
#include "capture/nft_pass.h"
#include "capture/nft_steps.h"
#include "capture/nft_term.h"
#include "capture/nft_via.h"

/* What older headers of the kernel lack. */
#define HOOK_INGRESS 0
#define HOOK_EGRESS  1

/* Chains that others jump to. */
#define PLAN_IN	 "plan-in"
#define PLAN_IN_BARE "plan-in-bare" /* no Ethernet header */

#define CHAINS_FIXED (28 + NFT_VIA_CHAINS)
#define CHAINS_EACH  12 /* uplink */

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

struct nft_chain *nft_divert_chain(struct nft_plan *p)
{
	return nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = "divert",
		.type = "route",
		.hook = NF_INET_LOCAL_OUT,
		.hook_name = "output",
		.priority = 200,
		.priority_name = "200",
	});
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
bool nft_tells(const struct nft_how *how)
{
	return how->only.id || plan_asks_cgroup(how->plan) ||
	       (!how->route && nft_sends_by(how));
}

/* By route, what has to be tracked after tun0 must go there. */
const struct plan *nft_plan_by_route(const struct nft_how *how)
{
	return (nft_tells(how) || (how->route && !how->notrack)) &&
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
#define TO_HOST RTN_LOCAL, RTN_BROADCAST, RTN_MULTICAST

/* Whether what was handed back has to be told apart before all else; else it
 * is only where something would be done with it. */
static bool marked_first(const struct nft_how *how)
{
	return how->forward || nft_expects(how) || nft_own_arrives(how);
}

/* Where nearly all that arrives is new to us, the steps stand in the chains of
 * the hooks, and what no step meets is asked nothing else. */
static bool in_place(const struct nft_how *how, unsigned count)
{
	return how->in && nft_decides(how->plan, DIR_IN) &&
	       !nft_wants_sound(how->plan, DIR_IN) && count &&
	       how->plan->steps * count <= NFT_IN_PLACE_MAX && !marked_first(how);
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

/* The held connections in c; and the chain behind them. */
static struct nft_chain *flows_in_place(struct nft_plan *p,
					struct nft_chain *c,
					const struct uplink *u)
{
	struct nft_chain hand = { .family = c->family, .ifindex = c->ifindex };

	snprintf(hand.name, sizeof(hand.name), "hand-in-%.*s", IFNAMSIZ - 1,
		 u->name);
	nft_flow_rules(c, &(struct nft_station){ .hand = hand.name });
	nft_goto(nft_rule_add(c), hand.name);
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

	if (nft_tells(how))
		at.within = nft_both(how);
	if (nft_sends_by(how))
		at.via = how;
	if (p->late)
		nft_late_chains(p, how);
	else if (nft_plan_by_route(how))
		nft_plan_chain(p, NFPROTO_IPV4, NFT_PLAN_OUT, how->plan, &at);
	at = (struct nft_station){ .dir = DIR_OUT,
				   .unknown = 1u << MATCH_CGROUP,
				   .any_protocol = true };
	if (nft_decides(how->plan, DIR_OUT) && !how->only.id && !p->late)
		nft_plan_chain(p, NFPROTO_NETDEV, NFT_PLAN_OUT, how->plan, &at);
	if (!how->in || !nft_decides(how->plan, DIR_IN) || p->in_place)
		return;
	at = station_in(how, true);
	nft_plan_chain(p, NFPROTO_NETDEV, PLAN_IN, how->plan, &at);
	at = station_in(how, false);
	if (has_bare(list, count))
		nft_plan_chain(p, NFPROTO_NETDEV, PLAN_IN_BARE, how->plan,
			       &at);
}

/* By route as for a plan. */
bool nft_flows_by_route(const struct nft_how *how)
{
	return how->flows && how->route && !how->notrack;
}

static void flow_chains(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_station at = { .seen = how->seen };

	if (!how->flows)
		return;
	/* There those with a mark of somebody else's get here as well. */
	if (nft_tells(how))
		at.within = nft_both(how);
	if (nft_flows_by_route(how) && !p->late)
		nft_flow_chain(p, NFPROTO_IPV4, NFT_FLOWS, &at);
	if (!p->late || (how->in && !p->in_place))
		nft_flow_chain(p, NFPROTO_NETDEV, NFT_FLOWS,
			       &(struct nft_station){ .seen = 0 });
}

/* ---- the hooks of the uplinks --------------------------------------------- */

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

	if (p->late) {
		nft_late_leaving(p, c, how, u);
		return;
	}
	if (how->forward)
		nft_pass_leaving(p, c, how, u);
	if (nft_own_arrives(how)) {
		r = nft_rule_add(c);
		nft_mark_lacks(r, nft_both(how));
		nft_accept(r);
		nft_own_remember(c);
	}
	if (nft_tells(how) && how->flows) {
		r = nft_rule_add(c);
		nft_mark_has(r, how->divert);
		nft_jump(r, NFT_FLOWS);
	}
	if (nft_tells(how)) {
		/* If it was sent to tun0, its socket is bound to a device. */
		r = nft_rule_add(c);
		nft_mark_has(r, how->divert);
		nft_protocol_ip(r);
		nft_hand_over(c, r, NFT_OUT_DEVICE, u);
	}
	/* Of others nothing is wanted. */
	if (how->only.id)
		return;
	r = nft_rule_add(c);
	nft_mark_has(r, how->seen);
	nft_accept(r);
	if (nft_decides(how->plan, DIR_OUT))
		go_to_plan(c, how, DIR_OUT, NFT_PLAN_OUT);
	if (how->flows)
		nft_jump(nft_rule_add(c), NFT_FLOWS);
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

static void arrives_here(struct nft_plan *p, struct nft_chain *c,
			 const struct nft_how *how, const struct uplink *u)
{
	static const unsigned to_host[] = { TO_HOST };
	struct nft_rule *r;
	unsigned i;

	if (nft_decides(how->plan, DIR_IN) && marked_first(how))
		go_to_plan(c, how, DIR_IN, plan_in(u));
	if (how->flows && p->in_place)
		c = flows_in_place(p, c, u);
	else if (how->flows)
		nft_jump(nft_rule_add(c), NFT_FLOWS);
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

	if (p->in_place)
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
	arrives_here(p, c, how, u);
}

static uint64_t add_bytes(uint64_t sum, const void *data, size_t n)
{
	for (const uint8_t *b = data; n--; b++)
		sum = (sum ^ *b) * 0x100000001b3;
	return sum;
}

/* The text says what is in the sets that belong to a rule, the message what
 * the text leaves out, such as the number of a cgroup. */
static int sum_up(struct nft_plan *p)
{
	struct nlmsghdr *nlh;
	char *room = calloc(1, NETLINK_ROOM);

	if (!room)
		return -ENOMEM;
	for (unsigned i = 0; i < p->chains; i++) {
		struct nft_chain *c = &p->chain[i];

		c->sum = 0xcbf29ce484222325;
		for (unsigned k = 0; k < c->rules; k++) {
			const struct nft_rule *r = &c->rule[k];

			memset(room, 0, sizeof(*nlh) + 64);
			nlh = nftnl_nlmsg_build_hdr(room, NFT_MSG_NEWRULE,
						    c->family, 0, 0);
			nftnl_rule_nlmsg_build_payload(nlh, r->r);
			c->sum = add_bytes(c->sum, nlh, nlh->nlmsg_len);
			c->sum = add_bytes(c->sum, r->text, r->used);
		}
	}
	free(room);
	return 0;
}

int nft_plan_make(struct nft_plan *p, const struct nft_how *how,
		  struct uplink *const *list, unsigned count)
{
	unsigned i, k;

	*p = NFT_PLAN_NONE;
	p->chain = calloc(CHAINS_FIXED + CHAINS_EACH * (size_t)count,
			  sizeof(p->chain[0]));
	if (!p->chain)
		return -ENOMEM;
	p->late = nft_asks_late(how, count);
	p->in_place = in_place(how, count);
	plan_chains(p, how, list, count);
	flow_chains(p, how);
	if (how->forward)
		nft_pass_chains(p, how, list, count);
	nft_output_chains(p, how);
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
	return p->failed ? -ENOMEM : sum_up(p);
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
