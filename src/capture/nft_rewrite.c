/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rewrites, as nft would load the text beside them, and what of them the
 * kernel gets wrong. Must not know chains.
 */
#include "capture/nft_rewrite.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include <libnftnl/expr.h>

#include "capture/nft_expr.h"
#include "capture/nft_term.h"
#include "capture/nft_word.h"

#define SYN	       0x02
#define TCPOPT_MSS     2 /* RFC 9293 3.2 */
#define TCPOPT_MSS_LEN 4

#define NH NFT_PAYLOAD_NETWORK_HEADER
#define TH NFT_PAYLOAD_TRANSPORT_HEADER

#define IP_CSUM	 10
#define TCP_CSUM 16

static void rewrite(struct nft_rule *r, const struct rewrite *w)
{
	static const char *const ecn[] = { "not-ect", "ect1", "ect0", "ce" };
	uint32_t v = w->number;
	char word[NFT_WORD];

	if (w->key != REWRITE_SPORT && w->key != REWRITE_DPORT)
		nft_need_ip(r);
	switch (w->key) {
	case REWRITE_TTL:
		nft_say(r, "ip ttl set %u", v);
		nft_write_bits(r, NH, 8, 0x00ff, (uint16_t)(v << 8), IP_CSUM);
		break;
	case REWRITE_DSCP:
		nft_dscp_word(word, v);
		nft_say(r, "ip dscp set %s", word);
		nft_write_bits(r, NH, 0, 0xff03, (uint16_t)(v << 2), IP_CSUM);
		break;
	case REWRITE_ECN:
		nft_say(r, "ip ecn set %s", ecn[v & 3]);
		nft_write_bits(r, NH, 0, 0xfffc, (uint16_t)v, IP_CSUM);
		break;
	case REWRITE_DF:
		nft_say(r, "ip frag-off set ip frag-off %s",
			v ? "| 16384" : "& 49151");
		nft_write_bits(r, NH, 6, 0xbfff, (uint16_t)(v << 14), IP_CSUM);
		break;
	case REWRITE_ID:
		nft_say(r, "ip id set %u", v);
		nft_write_bits(r, NH, 4, 0, (uint16_t)v, IP_CSUM);
		break;
	case REWRITE_SPORT:
		nft_say(r, "tcp sport set %u", v);
		nft_write_bits(r, TH, 0, 0, (uint16_t)v, TCP_CSUM);
		break;
	case REWRITE_DPORT:
		nft_say(r, "tcp dport set %u", v);
		nft_write_bits(r, TH, 2, 0, (uint16_t)v, TCP_CSUM);
		break;
	default:
		r->failed = true;
		break;
	}
}

bool nft_needs_rule(const struct rewrite *w)
{
	return w->key == REWRITE_MSS;
}

void nft_rewrites(struct nft_rule *r, const struct rewrite *w)
{
	for (; w; w = w->next)
		if (!nft_needs_rule(w))
			rewrite(r, w);
}

static void is_tcp(struct nft_rule *r)
{
	uint8_t proto = IPPROTO_TCP;

	nft_load_meta(r, NFT_META_L4PROTO);
	nft_compare(r, NFT_CMP_EQ, &proto, sizeof(proto));
}

static void is_syn(struct nft_rule *r)
{
	uint8_t syn = SYN, none = 0;

	is_tcp(r);
	nft_say(r, "tcp flags & syn == syn");
	nft_load_payload(r, TH, 13, 1);
	nft_mask(r, &syn, &none, 1);
	nft_compare(r, NFT_CMP_EQ, &syn, 1);
}

/* An MSS at an odd offset, where the kernel makes a wrong checksum. That it
 * need not be odd where the option comes first is all that can be asked. */
static void has_late_mss(struct nft_rule *r)
{
	uint16_t option = htons(TCPOPT_MSS << 8 | TCPOPT_MSS_LEN);
	uint8_t there = 1;
	struct nftnl_expr *e;

	is_syn(r);
	nft_say(r, "@th,160,16 != 0x%x", ntohs(option));
	nft_load_payload(r, TH, 20, sizeof(option));
	nft_compare(r, NFT_CMP_NEQ, &option, sizeof(option));
	nft_say(r, "tcp option maxseg exists");
	e = nft_add(r, "exthdr");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_DREG, NFT_REG);
	nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, TCPOPT_MSS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OFFSET, 0);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_LEN, 1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_FLAGS, NFT_EXTHDR_F_PRESENT);
	nft_compare(r, NFT_CMP_EQ, &there, sizeof(there));
}

/* A TCP header may be cut off before its checksum: a write to a port would
 * fail. Without IP options the length tells. */
static void is_short_tcp(struct nft_rule *r)
{
	uint16_t len = htons(40);

	nft_say(r, "meta l4proto tcp");
	is_tcp(r);
	nft_say(r, "ip length < %u", ntohs(len));
	nft_need_ip(r);
	nft_load_payload(r, NH, 2, sizeof(len));
	nft_compare(r, NFT_CMP_LT, &len, sizeof(len));
}

static void is_tcp_behind_options(struct nft_rule *r)
{
	uint8_t bits = 0x0f, none = 0, words = 5;

	nft_say(r, "meta l4proto tcp");
	is_tcp(r);
	nft_say(r, "ip hdrlength != %u", words);
	nft_need_ip(r);
	nft_load_payload(r, NH, 0, sizeof(words));
	nft_mask(r, &bits, &none, sizeof(bits));
	nft_compare(r, NFT_CMP_NEQ, &words, sizeof(words));
}

const struct nft_too_hard nft_too_hard[] = {
	{1u << REWRITE_MSS, has_late_mss},
	{1u << REWRITE_SPORT | 1u << REWRITE_DPORT, is_short_tcp},
	{1u << REWRITE_SPORT | 1u << REWRITE_DPORT, is_tcp_behind_options},
	{0, NULL},
};

/* The kernel, too, only ever lowers an MSS. */
void nft_rewrite_apart(struct nft_rule *r, const struct rewrite *w)
{
	uint16_t mss = htons((uint16_t)w->number);
	struct nftnl_expr *e;

	is_syn(r);
	nft_say(r, "tcp option maxseg size set %u", w->number);
	nft_load_bytes(r, &mss, sizeof(mss));
	e = nft_add(r, "exthdr");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_SREG, NFT_REG);
	nftnl_expr_set_u8(e, NFTNL_EXPR_EXTHDR_TYPE, TCPOPT_MSS);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OFFSET, 2);
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_LEN, sizeof(mss));
	nftnl_expr_set_u32(e, NFTNL_EXPR_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
}
