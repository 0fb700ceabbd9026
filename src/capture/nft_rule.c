/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pieces of a rule. The expressions are those that nft itself would load
 * for the text beside them, dependencies included: only then does nft print
 * them as that text again. Must not know what the rules are for.
 */
#include "capture/nft_rule.h"

#include <arpa/inet.h>
#include <stdio.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip_icmp.h>
#include <stdarg.h>
#include <string.h>

#define REG NFT_REG_1
/* The second quarter of it, where the next part of a key goes. */
#define REG_NEXT NFT_REG32_01

/* Of an IPv4 header. */
#define TTL_AT	    8
#define CHECKSUM_AT 10

/* ---- text and expressions ----------------------------------------------- */

static void say(struct nft_rule *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct nft_rule *r, const char *fmt, ...)
{
	size_t left = sizeof(r->text) - r->used;
	va_list ap;
	int n;

	if (r->used && left > 1) {
		r->text[r->used++] = ' ';
		left--;
	}
	va_start(ap, fmt);
	n = vsnprintf(r->text + r->used, left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= left)
		r->failed = true;
	else
		r->used += (size_t)n;
}

static struct nftnl_expr *add(struct nft_rule *r, const char *name)
{
	struct nftnl_expr *e = r->r ? nftnl_expr_alloc(name) : NULL;

	if (e)
		nftnl_rule_add_expr(r->r, e);
	else
		r->failed = true;
	return e;
}

static void load_meta(struct nft_rule *r, uint32_t key)
{
	struct nftnl_expr *e = add(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, REG);
}

static void store_mark(struct nft_rule *r)
{
	struct nftnl_expr *e = add(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, REG);
}

static void load_payload_to(struct nft_rule *r, uint32_t reg, uint32_t base,
			    uint32_t offset, uint32_t len)
{
	struct nftnl_expr *e = add(r, "payload");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

static void load_payload(struct nft_rule *r, uint32_t base, uint32_t offset,
			 uint32_t len)
{
	load_payload_to(r, REG, base, offset, len);
}

static void compare(struct nft_rule *r, uint32_t op, const void *data,
		    uint32_t len)
{
	struct nftnl_expr *e = add(r, "cmp");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	if (nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len) < 0)
		r->failed = true;
}

/* register = register & mask ^ flip */
static void mask(struct nft_rule *r, const void *and_bits, const void *flip,
		 uint32_t len)
{
	struct nftnl_expr *e = add(r, "bitwise");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	if (nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, and_bits, len) < 0 ||
	    nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, flip, len) < 0)
		r->failed = true;
}

static void mask_mark(struct nft_rule *r, uint32_t and_bits, uint32_t flip)
{
	load_meta(r, NFT_META_MARK);
	mask(r, &and_bits, &flip, sizeof(and_bits));
}

static void load_constant(struct nft_rule *r, uint32_t value)
{
	struct nftnl_expr *e = add(r, "immediate");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DATA, value);
}

static void verdict(struct nft_rule *r, int code)
{
	struct nftnl_expr *e = add(r, "immediate");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
}

/* ---- the pieces --------------------------------------------------------- */

void nft_rule_init(struct nft_rule *r, uint8_t family, const char *table,
		   const char *chain)
{
	*r = (struct nft_rule){ .r = nftnl_rule_alloc() };
	if (!r->r) {
		r->failed = true;
		return;
	}
	nftnl_rule_set_u32(r->r, NFTNL_RULE_FAMILY, family);
	if (nftnl_rule_set_str(r->r, NFTNL_RULE_TABLE, table) < 0 ||
	    nftnl_rule_set_str(r->r, NFTNL_RULE_CHAIN, chain) < 0)
		r->failed = true;
}

void nft_rule_free(struct nft_rule *r)
{
	if (r->r)
		nftnl_rule_free(r->r);
	r->r = NULL;
}

/* The kernel compares all 16 bytes. */
static void device_name(struct nft_rule *r, uint32_t key, const char *name)
{
	char all[IFNAMSIZ] = "";

	memcpy(all, name, strnlen(name, sizeof(all) - 1));
	load_meta(r, key);
	compare(r, NFT_CMP_EQ, all, sizeof(all));
}

void nft_iifname(struct nft_rule *r, const char *name)
{
	say(r, "iifname \"%s\"", name);
	device_name(r, NFT_META_IIFNAME, name);
}

void nft_oifname(struct nft_rule *r, const char *name)
{
	say(r, "oifname \"%s\"", name);
	device_name(r, NFT_META_OIFNAME, name);
}

void nft_marked(struct nft_rule *r)
{
	uint32_t none = 0;

	say(r, "meta mark != 0x%08x", none);
	load_meta(r, NFT_META_MARK);
	compare(r, NFT_CMP_NEQ, &none, sizeof(none));
}

void nft_mark_has(struct nft_rule *r, uint32_t bits)
{
	say(r, "meta mark & 0x%08x == 0x%08x", bits, bits);
	mask_mark(r, bits, 0);
	compare(r, NFT_CMP_EQ, &bits, sizeof(bits));
}

static void ttl_compare(struct nft_rule *r, uint32_t op, uint8_t ttl)
{
	load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, TTL_AT, 1);
	compare(r, op, &ttl, sizeof(ttl));
}

void nft_ttl_is(struct nft_rule *r, uint8_t ttl)
{
	say(r, "ip ttl %u", ttl);
	ttl_compare(r, NFT_CMP_EQ, ttl);
}

void nft_ttl_from(struct nft_rule *r, uint8_t ttl)
{
	say(r, "ip ttl >= %u", ttl);
	ttl_compare(r, NFT_CMP_GTE, ttl);
}

static const char *type_name(unsigned type)
{
	switch (type) {
	case RTN_UNICAST:
		return "unicast";
	case RTN_LOCAL:
		return "local";
	case RTN_BROADCAST:
		return "broadcast";
	case RTN_MULTICAST:
		return "multicast";
	default:
		return "unspec";
	}
}

static void fib_compare(struct nft_rule *r, uint32_t op, unsigned type)
{
	struct nftnl_expr *e = add(r, "fib");
	uint32_t value = type;

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
	compare(r, op, &value, sizeof(value));
}

void nft_daddr_type(struct nft_rule *r, unsigned type)
{
	say(r, "fib daddr type %s", type_name(type));
	fib_compare(r, NFT_CMP_EQ, type);
}

void nft_daddr_type_not(struct nft_rule *r, unsigned type)
{
	say(r, "fib daddr type != %s", type_name(type));
	fib_compare(r, NFT_CMP_NEQ, type);
}

static void protocol_is_ip(struct nft_rule *r)
{
	uint16_t type = htons(ETH_P_IP);

	load_meta(r, NFT_META_PROTOCOL);
	compare(r, NFT_CMP_EQ, &type, sizeof(type));
}

void nft_protocol_ip(struct nft_rule *r)
{
	say(r, "meta protocol ip");
	protocol_is_ip(r);
}

static void is_ethernet(struct nft_rule *r)
{
	uint16_t type = ARPHRD_ETHER;

	load_meta(r, NFT_META_IIFTYPE);
	compare(r, NFT_CMP_EQ, &type, sizeof(type));
}

void nft_ether_saddr(struct nft_rule *r, const uint8_t mac[6])
{
	say(r, "ether saddr %02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
	    mac[2], mac[3], mac[4], mac[5]);
	is_ethernet(r);
	load_payload(r, NFT_PAYLOAD_LL_HEADER, ETH_ALEN, ETH_ALEN);
	compare(r, NFT_CMP_EQ, mac, ETH_ALEN);
}

static void frame_is_ip(struct nft_rule *r)
{
	uint16_t type = htons(ETH_P_IP);

	is_ethernet(r);
	load_payload(r, NFT_PAYLOAD_LL_HEADER, 2 * ETH_ALEN, sizeof(type));
	compare(r, NFT_CMP_EQ, &type, sizeof(type));
}

void nft_ether_type_ip(struct nft_rule *r)
{
	say(r, "ether type ip");
	frame_is_ip(r);
}

static const char *icmp_name(uint8_t type)
{
	switch (type) {
	case ICMP_ECHOREPLY:
		return "echo-reply";
	case ICMP_DEST_UNREACH:
		return "destination-unreachable";
	case ICMP_TIME_EXCEEDED:
		return "time-exceeded";
	case ICMP_PARAMETERPROB:
		return "parameter-problem";
	default:
		return "?";
	}
}

void nft_icmp_type(struct nft_rule *r, uint8_t type, bool ethernet)
{
	uint8_t proto = IPPROTO_ICMP;

	say(r, "icmp type %s", icmp_name(type));
	if (ethernet)
		frame_is_ip(r);
	else
		protocol_is_ip(r);
	load_meta(r, NFT_META_L4PROTO);
	compare(r, NFT_CMP_EQ, &proto, sizeof(proto));
	load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(type));
	compare(r, NFT_CMP_EQ, &type, sizeof(type));
}

void nft_destined_to(struct nft_rule *r, const char *set)
{
	struct nftnl_expr *e;

	say(r, "meta l4proto . th dport @%s", set);
	load_meta(r, NFT_META_L4PROTO);
	load_payload_to(r, REG_NEXT, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
	e = add(r, "lookup");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, REG);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set) < 0)
		r->failed = true;
}

void nft_mark_set(struct nft_rule *r, uint32_t mark)
{
	say(r, "meta mark set 0x%08x", mark);
	load_constant(r, mark);
	store_mark(r);
}

void nft_mark_or(struct nft_rule *r, uint32_t bits)
{
	say(r, "meta mark set meta mark | 0x%08x", bits);
	mask_mark(r, ~bits, bits);
	store_mark(r);
}

void nft_mark_clear(struct nft_rule *r, uint32_t bits)
{
	say(r, "meta mark set meta mark & 0x%08x", ~bits);
	mask_mark(r, ~bits, 0);
	store_mark(r);
}

/* The checksum counts 16 bits at a time, so the TTL is written together with
 * the protocol behind it. */
void nft_ttl_set(struct nft_rule *r, uint8_t ttl)
{
	uint8_t keep[2] = { 0, 0xff }, value[2] = { ttl, 0 };
	struct nftnl_expr *e;

	say(r, "ip ttl set %u", ttl);
	load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, TTL_AT, 2);
	mask(r, keep, value, sizeof(keep));
	e = add(r, "payload");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE,
			   NFT_PAYLOAD_NETWORK_HEADER);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, TTL_AT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, 2);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_SREG, REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_TYPE,
			   NFT_PAYLOAD_CSUM_INET);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, CHECKSUM_AT);
}

void nft_notrack(struct nft_rule *r)
{
	say(r, "notrack");
	add(r, "notrack");
}

void nft_accept(struct nft_rule *r)
{
	say(r, "accept");
	verdict(r, NF_ACCEPT);
}

void nft_return(struct nft_rule *r)
{
	say(r, "return");
	verdict(r, NFT_RETURN);
}

void nft_forward_to(struct nft_rule *r, unsigned ifindex, const char *name)
{
	struct nftnl_expr *e;

	say(r, "fwd to \"%s\"", name);
	load_constant(r, ifindex);
	e = add(r, "fwd");
	if (e)
		nftnl_expr_set_u32(e, NFTNL_EXPR_FWD_SREG_DEV, REG);
}

void nft_comment(struct nft_rule *r, const char *text)
{
	struct nftnl_udata_buf *u = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);

	say(r, "comment \"%s\"", text);
	if (!r->r || !u ||
	    !nftnl_udata_put_strz(u, NFTNL_UDATA_RULE_COMMENT, text) ||
	    nftnl_rule_set_data(r->r, NFTNL_RULE_USERDATA,
				nftnl_udata_buf_data(u),
				nftnl_udata_buf_len(u)) < 0)
		r->failed = true;
	if (u)
		nftnl_udata_buf_free(u);
}
