/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet that a rule sends by an interface was tracked before, on its way
 * to us. Behind the device that leads there it is tracked anew, in a zone of
 * its own as far as its way out goes, and gets the source that belongs there.
 * What answers is found in the zone of all that arrives, and translated back.
 *
 * So the first entry never sees an answer. To TCP that is a connection which
 * goes on without having been accepted, "invalid" to the host's own rules.
 * Hence all that follows the SYN of a connection that was sent by an
 * interface is tracked in yet another zone, where it counts as one whose
 * beginning was missed.
 */
#include "capture/nft_via.h"

#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "capture/nft_batch.h"
#include "capture/nft_expr.h"
#include "rule/plan.h"

#define FLOWS	  "via-flows"
#define FLOWS_MAX 65536
/* ms; what comes later is a connection whose beginning was missed in any
 * case. */
#define FLOWS_TIMEOUT (10 * 60 * 1000)

/* Before the translations of others. */
#define PRIORITY_OUT (NF_IP_PRI_NAT_SRC - 10)
/* Zones: of what follows a SYN, and behind it of each device. */
#define ZONE 0x5300

/* ---- pieces of rules ---------------------------------------------------- */

/* Its source is an address of the device that it leaves by. */
static void saddr_of_oif(struct nft_rule *r)
{
	struct nftnl_expr *e;
	uint32_t local = RTN_LOCAL;

	nft_say(r, "fib saddr . oif type local");
	e = nft_add(r, "fib");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS,
			   NFTA_FIB_F_SADDR | NFTA_FIB_F_OIF);
	nft_compare(r, NFT_CMP_EQ, &local, sizeof(local));
}

/* Its connection is tracked in this zone; out: its way out is, the way back in
 * that of all others. */
static void zone_set(struct nft_rule *r, uint16_t zone, bool out)
{
	struct nftnl_expr *e;

	nft_load_constant(r, zone);
	nft_say(r, "ct %szone set %u", out ? "original " : "", zone);
	e = nft_add(r, "ct");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, NFT_CT_ZONE);
	if (out)
		nftnl_expr_set_u8(e, NFTNL_EXPR_CT_DIR, 0);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CT_SREG, NFT_REG);
}

static void masquerade(struct nft_rule *r)
{
	nft_say(r, "masquerade");
	nft_add(r, "masq");
}

static void need_tcp(struct nft_rule *r)
{
	uint8_t proto = IPPROTO_TCP;

	nft_load_meta(r, NFT_META_L4PROTO);
	nft_compare(r, NFT_CMP_EQ, &proto, sizeof(proto));
}

#define TCP_KEY "ip saddr . ip daddr . tcp sport . tcp dport"

/* TCP without SYN, whose addresses and ports are in that set. */
static void tcp_known(struct nft_rule *r, const char *set)
{
	uint8_t syn = 0x02, none = 0;

	nft_say(r, "tcp flags ! syn " TCP_KEY " @%s", set);
	need_tcp(r);
	nft_load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
	nft_mask(r, &syn, &none, 1);
	nft_compare(r, NFT_CMP_EQ, &none, 1);
	nft_load_ends(r, NFT_REG32_00);
	nft_lookup(r, set);
}

/* Its addresses and TCP ports become a member of that set, or stay one. */
static void tcp_remember(struct nft_rule *r, const char *set)
{
	struct nftnl_expr *e;

	nft_say(r, "update @%s { " TCP_KEY " }", set);
	need_tcp(r);
	nft_load_ends(r, NFT_REG32_00);
	e = nft_add(r, "dynset");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, set) < 0)
		r->failed = true;
}

/* ---- by the kernel alone ------------------------------------------------ */

/* Behind the host's own translations, too. */
#define PRIORITY_LEFT 300

/*
 * What the kernel sends by an interface on its own needs no device of ours: it
 * is routed again in the output hook, by a mark of the interface, and tracked
 * once, with its translation. The number of the interface stands in four bits
 * that are none of ours.
 */
static uint32_t mark_of(const struct nft_how *how, unsigned i)
{
	return nft_via_mark(how->divert, nft_both(how), i);
}

uint32_t nft_via_mark(uint32_t divert, uint32_t both, unsigned i)
{
	unsigned shift = 0;

	while (both & 0xfu << shift)
		shift += 4;
	return divert | (uint32_t)(i + 1) << shift;
}

bool nft_sends_by(const struct nft_how *how)
{
	return how->vias && !how->notrack && plan_sends_by(how->plan, NULL);
}

/* In a chain of this hook nothing is routed again: the mark changes once
 * more. */
void nft_via_send(struct nft_rule *r, const struct nft_how *how,
		  const char *interface)
{
	unsigned i = 0;

	while (i < how->vias && strcmp(how->via[i], interface))
		i++;
	if (i == how->vias || how->via_lost & 1u << i) {
		nft_drop(r);
		return;
	}
	nft_mark_set(r, how->seen | mark_of(how, i));
	nft_accept(r);
}

void nft_via_divert(struct nft_chain *c, const struct nft_how *how)
{
	struct nft_rule *r;

	for (unsigned i = 0; i < how->vias; i++) {
		r = nft_rule_add(c);
		nft_mark_is(r, how->seen | mark_of(how, i));
		nft_mark_set(r, mark_of(how, i));
	}
}

/* It left by its interface, with an address of it, or it does not leave. A
 * connection that was there before has the old one. */
static void left(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = "via-left",
		.type = "filter",
		.hook = NF_INET_POST_ROUTING,
		.hook_name = "postrouting",
		.priority = PRIORITY_LEFT,
		.priority_name = "300",
	});
	struct nft_rule *r;

	for (unsigned i = 0; i < how->vias; i++) {
		r = nft_rule_add(c);
		nft_mark_is(r, mark_of(how, i));
		nft_oifname(r, how->via[i]);
		saddr_of_oif(r);
		nft_mark_set(r, how->seen);
		nft_accept(r);
		r = nft_rule_add(c);
		nft_mark_is(r, mark_of(how, i));
		nft_drop(r);
	}
}

/* ---- by a device of ours ------------------------------------------------ */

static struct nft_chain *at_raw(struct nft_plan *p, uint32_t hook,
				const char *name, const char *hook_name)
{
	struct nft_chain c = {
		.family = NFPROTO_IPV4,
		.type = "filter",
		.hook = hook,
		.hook_name = hook_name,
		.priority = NF_IP_PRI_RAW,
		.priority_name = "raw",
	};

	snprintf(c.name, sizeof(c.name), "%s", name);
	return nft_chain_add(p, &c);
}

static void coming_from(struct nft_chain *c, unsigned devices)
{
	struct nft_rule *r;
	char name[IFNAMSIZ];
	unsigned i;

	for (i = 0; i < devices; i++) {
		r = nft_rule_add(c);
		snprintf(name, sizeof(name), NFT_VIA_DEVICE, i);
		nft_iifname(r, name);
		zone_set(r, (uint16_t)(ZONE + 1 + i), true);
	}
	r = nft_rule_add(c);
	nft_iifname(r, NFT_VIA_DEVICES);
	tcp_remember(r, FLOWS);
}

void nft_via_chains(struct nft_plan *p, const struct nft_how *how)
{
	struct nft_chain *c;
	struct nft_rule *r;

	if (!how->vias)
		return;
	c = at_raw(p, NF_INET_LOCAL_OUT, "via-again", "output");
	r = nft_rule_add(c);
	tcp_known(r, FLOWS);
	zone_set(r, ZONE, false);
	c = at_raw(p, NF_INET_PRE_ROUTING, "via-in", "prerouting");
	coming_from(c, how->vias);
	c = nft_chain_add(p, &(struct nft_chain){
		.family = NFPROTO_IPV4,
		.name = "via-out",
		.type = "nat",
		.hook = NF_INET_POST_ROUTING,
		.hook_name = "postrouting",
		.priority = PRIORITY_OUT,
		.priority_name = "srcnat - 10",
	});
	r = nft_rule_add(c);
	nft_iifname(r, NFT_VIA_DEVICES);
	masquerade(r);
	if (!nft_sends_by(how))
		return;
	for (unsigned i = 0; i < how->vias; i++) {
		r = nft_rule_add(c);
		nft_mark_is(r, mark_of(how, i));
		nft_oifname(r, how->via[i]);
		masquerade(r);
	}
	left(p, how);
}

/* ---- the set ------------------------------------------------------------ */

/* nft's numbers for ipv4_addr and inet_service, and how it joins them. */
#define KEY_TYPE (((7 << 6 | 7) << 6 | 13) << 6 | 13)
/* Each part of a key fills whole registers of four bytes. */
#define KEY_LEN 16

void nft_via_put_set(struct netlink_batch *b)
{
	nft_put_new_set(b, &(struct nft_new_set){
		.family = NFPROTO_IPV4,
		.name = FLOWS,
		.type = KEY_TYPE,
		.len = KEY_LEN,
		.flags = NFT_SET_TIMEOUT | NFT_SET_EVAL,
		.size = FLOWS_MAX,
		.id = 0x5300,
		.timeout = FLOWS_TIMEOUT,
		.may_exist = true,
	});
}

void nft_via_print_set(FILE *f)
{
	fprintf(f, "\n\tset " FLOWS " {\n"
		"\t\ttype ipv4_addr . ipv4_addr . inet_service . "
		"inet_service\n"
		"\t\tsize %d\n\t\tflags dynamic,timeout\n"
		"\t\ttimeout %dm\n\t}\n", FLOWS_MAX,
		FLOWS_TIMEOUT / 60000);
}
