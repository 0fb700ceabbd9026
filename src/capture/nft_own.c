/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A member of the set is a protocol, both addresses and both ports of what may
 * arrive; a ping has its id for both ports. Must not know who the command is.
 */
#include "capture/nft_own.h"

#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>
#include <linux/netfilter/nf_tables.h>
#include <netinet/ip_icmp.h>
#include <linux/netfilter.h>

#include "capture/nft_batch.h"
#include "capture/nft_expr.h"

#define OWN_SET "own"
#define SET_ID	9980
/* 65,536 connections; a hash table that grows with what is in it. */
#define MEMBERS_MAX 65536

/* nft's numbers for inet_proto, ipv4_addr, inet_service, and how they are
 * joined; each part of a key takes four bytes. */
#define KEY_TYPE (12u << 24 | 7u << 18 | 7u << 12 | 13u << 6 | 13u)
#define KEY_LEN	 20

/* As long as a connection may be idle before it is forgotten. */
#define TCP_MS	3600000
#define UDP_MS	180000
#define PING_MS 60000

#define NH NFT_PAYLOAD_NETWORK_HEADER
#define TH NFT_PAYLOAD_TRANSPORT_HEADER

/* ---- the set -------------------------------------------------------------- */

void nft_own_put_set(struct netlink_batch *b)
{
	nft_put_new_set(b, &(struct nft_new_set){
		.family = NFPROTO_NETDEV,
		.name = OWN_SET,
		.type = KEY_TYPE,
		.len = KEY_LEN,
		.flags = NFT_SET_TIMEOUT | NFT_SET_EVAL,
		.size = MEMBERS_MAX,
		.id = SET_ID,
	});
}

void nft_own_print_set(FILE *f)
{
	fprintf(f, "\n\tset " OWN_SET " {\n\t\ttype inet_proto . ipv4_addr . "
		   "ipv4_addr . inet_service . inet_service\n"
		   "\t\tsize %u\n\t\tflags dynamic,timeout\n\t}\n",
		MEMBERS_MAX);
}

/* ---- keys ---------------------------------------------------------------- */

/* Where the parts of a key are: an offset and its base each. */
struct key {
	uint32_t base; /* of the IP header's parts */
	uint32_t proto, source, target;
	uint32_t sport, dport; /* from the transport header */
};

static const struct key arrival = { NH, 9, 12, 16, 0, 2 };
static const struct key departure = { NH, 9, 16, 12, 2, 0 };
static const struct key ping_arrival = { NH, 9, 12, 16, 4, 4 };
static const struct key ping_departure = { NH, 9, 16, 12, 4, 4 };
/* Of the packet that an ICMP error quotes behind its eight bytes: it was
 * sent, and has no options. */
static const struct key quoted = { TH, 8 + 9, 8 + 16, 8 + 12, 28 + 2, 28 };
static const struct key quoted_ping = { TH,	8 + 9,	8 + 16,
					8 + 12, 28 + 4, 28 + 4 };

static void load_key(struct nft_rule *r, const struct key *k)
{
	nft_load_payload_to(r, NFT_REG32_00, k->base, k->proto, 1);
	nft_load_payload_to(r, NFT_REG32_01, k->base, k->source, 4);
	nft_load_payload_to(r, NFT_REG32_02, k->base, k->target, 4);
	nft_load_payload_to(r, NFT_REG32_03, TH, k->sport, 2);
	nft_load_payload_to(r, NFT_REG32_04, TH, k->dport, 2);
}

/* As nft has it, in bits. */
static void say_key(struct nft_rule *r, const char *before,
		    const struct key *k, const char *behind)
{
	const char *base = k->base == NH ? "nh" : "th";

	nft_say(r, "%s@%s,%u,8 . @%s,%u,32 . @%s,%u,32 . @th,%u,16 . "
		   "@th,%u,16%s",
		before, base, 8 * k->proto, base, 8 * k->source, base,
		8 * k->target, 8 * k->sport, 8 * k->dport, behind);
}

static void is_number(struct nft_rule *r, uint32_t base, uint32_t offset,
		      uint8_t value)
{
	nft_load_payload(r, base, offset, 1);
	nft_compare(r, NFT_CMP_EQ, &value, sizeof(value));
}

static void is_proto(struct nft_rule *r, uint8_t proto)
{
	nft_need_ip(r);
	nft_load_meta(r, NFT_META_L4PROTO);
	nft_compare(r, NFT_CMP_EQ, &proto, sizeof(proto));
}

static void is_icmp(struct nft_rule *r, uint8_t type)
{
	nft_say(r, "icmp type %u", type);
	is_proto(r, IPPROTO_ICMP);
	is_number(r, TH, 0, type);
}

/* ---- rules ---------------------------------------------------------------- */

static void remember(struct nft_rule *r, const struct key *k, uint64_t ms)
{
	struct nftnl_expr *e;
	char behind[32];

	snprintf(behind, sizeof(behind), " timeout %us }",
		 (unsigned)(ms / 1000));
	say_key(r, "update @" OWN_SET " { ", k, behind);
	load_key(r, k);
	e = nft_add(r, "dynset");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_SREG_KEY, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	nftnl_expr_set_u64(e, NFTNL_EXPR_DYNSET_TIMEOUT, ms);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_DYNSET_SET_NAME, OWN_SET) < 0)
		r->failed = true;
}

static const struct {
	uint8_t proto;
	const char *name;
	uint64_t ms;
} protos[] = {
	{ IPPROTO_TCP, "tcp", TCP_MS },
	{ IPPROTO_UDP, "udp", UDP_MS },
};
#define PROTOS (sizeof(protos) / sizeof(protos[0]))

void nft_own_remember(struct nft_chain *c)
{
	struct nft_rule *r;

	for (unsigned i = 0; i < PROTOS; i++) {
		r = nft_rule_add(c);
		nft_say(r, "meta l4proto %s", protos[i].name);
		is_proto(r, protos[i].proto);
		remember(r, &departure, protos[i].ms);
	}
	r = nft_rule_add(c);
	is_icmp(r, ICMP_ECHO);
	remember(r, &ping_departure, PING_MS);
}

static void member_goto(struct nft_rule *r, const struct key *k,
			const char *chain)
{
	say_key(r, "", k, " @" OWN_SET);
	load_key(r, k);
	nft_lookup(r, OWN_SET);
	nft_goto(r, chain);
}

void nft_own_goto(struct nft_chain *c, const char *chain)
{
	static const uint8_t errors[] = { ICMP_DEST_UNREACH, ICMP_TIME_EXCEEDED,
					  ICMP_PARAMETERPROB };
	struct nft_rule *r;
	unsigned i;

	for (i = 0; i < PROTOS; i++) {
		r = nft_rule_add(c);
		nft_say(r, "meta l4proto %s", protos[i].name);
		is_proto(r, protos[i].proto);
		member_goto(r, &arrival, chain);
	}
	r = nft_rule_add(c);
	is_icmp(r, ICMP_ECHOREPLY);
	member_goto(r, &ping_arrival, chain);
	for (i = 0; i < sizeof(errors); i++) {
		r = nft_rule_add(c);
		is_icmp(r, errors[i]);
		nft_say(r, "@th,136,8 icmp");
		is_number(r, TH, quoted.proto, IPPROTO_ICMP);
		member_goto(r, &quoted_ping, chain);
		r = nft_rule_add(c);
		is_icmp(r, errors[i]);
		member_goto(r, &quoted, chain);
	}
}
