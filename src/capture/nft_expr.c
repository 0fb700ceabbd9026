/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text and expressions of a rule, at their smallest. Must not know what any
 * of them is for.
 */
#include "capture/nft_expr.h"

#include <arpa/inet.h>
#include <stdio.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void nft_say(struct nft_rule *r, const char *fmt, ...)
{
	char *more, *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		r->failed = true;
		return;
	}
	more = realloc(r->text, r->used + (size_t)n + 2);
	if (more) {
		r->text = more;
		if (r->used)
			r->text[r->used++] = ' ';
		memcpy(r->text + r->used, text, (size_t)n + 1);
		r->used += (size_t)n;
	} else {
		r->failed = true;
	}
	free(text);
}

struct nftnl_expr *nft_add(struct nft_rule *r, const char *name)
{
	struct nftnl_expr *e = r->r ? nftnl_expr_alloc(name) : NULL;

	if (e)
		nftnl_rule_add_expr(r->r, e);
	else
		r->failed = true;
	return e;
}

void nft_load_meta(struct nft_rule *r, uint32_t key)
{
	struct nftnl_expr *e = nft_add(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG);
}

void nft_store_mark(struct nft_rule *r)
{
	struct nftnl_expr *e = nft_add(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, NFT_META_MARK);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_SREG, NFT_REG);
}

/* Without the register that it goes to or comes from. */
static struct nftnl_expr *payload(struct nft_rule *r, uint32_t base,
				  uint32_t offset, uint32_t len)
{
	struct nftnl_expr *e = nft_add(r, "payload");

	if (!e)
		return NULL;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	return e;
}

void nft_load_payload_to(struct nft_rule *r, uint32_t reg, uint32_t base,
			    uint32_t offset, uint32_t len)
{
	struct nftnl_expr *e = payload(r, base, offset, len);

	if (e)
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, reg);
}

void nft_load_payload(struct nft_rule *r, uint32_t base, uint32_t offset,
			 uint32_t len)
{
	nft_load_payload_to(r, NFT_REG, base, offset, len);
}

void nft_compare(struct nft_rule *r, uint32_t op, const void *data,
		    uint32_t len)
{
	struct nftnl_expr *e = nft_add(r, "cmp");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op);
	if (nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, data, len) < 0)
		r->failed = true;
}

/* register = register & mask ^ flip */
void nft_mask(struct nft_rule *r, const void *and_bits, const void *flip,
		 uint32_t len)
{
	struct nftnl_expr *e = nft_add(r, "bitwise");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_OP, NFT_BITWISE_BOOL);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, len);
	if (nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, and_bits, len) < 0 ||
	    nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, flip, len) < 0)
		r->failed = true;
}

void nft_mask_mark(struct nft_rule *r, uint32_t and_bits, uint32_t flip)
{
	nft_load_meta(r, NFT_META_MARK);
	nft_mask(r, &and_bits, &flip, sizeof(and_bits));
}

void nft_load_bytes(struct nft_rule *r, const void *value, uint32_t len)
{
	struct nftnl_expr *e = nft_add(r, "immediate");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG);
	if (nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, value, len) < 0)
		r->failed = true;
}

void nft_load_ends(struct nft_rule *r, uint32_t reg)
{
	nft_load_payload_to(r, reg, NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
	nft_load_payload_to(r, reg + 1, NFT_PAYLOAD_NETWORK_HEADER, 16, 4);
	nft_load_payload_to(r, reg + 2, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2);
	nft_load_payload_to(r, reg + 3, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
}

void nft_load_constant(struct nft_rule *r, uint32_t value)
{
	nft_load_bytes(r, &value, sizeof(value));
}

void nft_store_payload(struct nft_rule *r, uint32_t base, uint32_t offset,
		       uint32_t len, uint32_t csum)
{
	struct nftnl_expr *e = payload(r, base, offset, len);

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_SREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_TYPE,
			   csum ? NFT_PAYLOAD_CSUM_INET
				: NFT_PAYLOAD_CSUM_NONE);
	if (csum)
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_CSUM_OFFSET, csum);
}

void nft_write_bits(struct nft_rule *r, uint32_t base, uint32_t offset,
		    uint16_t keep, uint16_t value, uint32_t csum)
{
	keep = htons(keep);
	value = htons(value);
	if (keep) {
		nft_load_payload(r, base, offset, 2);
		nft_mask(r, &keep, &value, 2);
	} else {
		nft_load_bytes(r, &value, 2);
	}
	nft_store_payload(r, base, offset, 2, csum);
}

/* The kernel compares all 16 bytes of a name. */
void nft_compare_device(struct nft_rule *r, uint32_t key, uint32_t op,
			const char *name)
{
	size_t n = strnlen(name, IFNAMSIZ - 1);
	char all[IFNAMSIZ] = "";

	memcpy(all, name, n);
	nft_load_meta(r, key);
	if (n && name[n - 1] == '*')
		nft_compare(r, op, all, (uint32_t)n - 1);
	else
		nft_compare(r, op, all, sizeof(all));
}

void nft_verdict(struct nft_rule *r, int code, const char *chain)
{
	struct nftnl_expr *e = nft_add(r, "immediate");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, (uint32_t)code);
	if (chain && nftnl_expr_set_str(e, NFTNL_EXPR_IMM_CHAIN, chain) < 0)
		r->failed = true;
}

void nft_need_ip(struct nft_rule *r)
{
	uint16_t type = htons(ETH_P_IP);

	if (r->is_ip || r->family == NFPROTO_IPV4)
		return;
	r->is_ip = true;
	nft_load_meta(r, NFT_META_PROTOCOL);
	nft_compare(r, NFT_CMP_EQ, &type, sizeof(type));
}

/* ---- sets ---------------------------------------------------------------- */

/* The kernel gives it a number of its own. */
#define ANON_NAME "__set%d"

static struct nftnl_expr *lookup(struct nft_rule *r, const char *set)
{
	struct nftnl_expr *e = nft_add(r, "lookup");

	if (!e)
		return NULL;
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, set) < 0)
		r->failed = true;
	return e;
}

void nft_lookup(struct nft_rule *r, const char *set)
{
	lookup(r, set);
}

struct nft_anon *nft_lookup_anon(struct nft_rule *r, uint32_t type,
				 uint32_t len, bool ranges)
{
	uint32_t flags = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT |
			 (ranges ? NFT_SET_INTERVAL : 0);
	struct nftnl_set *s = nftnl_set_alloc();
	struct nftnl_expr *e = lookup(r, ANON_NAME);
	struct nft_anon *a = &r->anon[r->anons];

	if (!s || !e || r->anons == NFT_ANON_MAX ||
	    nftnl_set_set_str(s, NFTNL_SET_TABLE, r->table) < 0 ||
	    nftnl_set_set_str(s, NFTNL_SET_NAME, ANON_NAME) < 0) {
		r->failed = true;
		if (s)
			nftnl_set_free(s);
		return NULL;
	}
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, r->family);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, len);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, flags);
	*a = (struct nft_anon){ .set = s, .lookup = e };
	r->anons++;
	return a;
}

static void element(struct nft_rule *r, struct nftnl_set *s, const void *key,
		    uint32_t len, uint32_t flags)
{
	struct nftnl_set_elem *e = nftnl_set_elem_alloc();

	if (!e || nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, len) < 0) {
		r->failed = true;
		if (e)
			nftnl_set_elem_free(e);
		return;
	}
	if (flags)
		nftnl_set_elem_set_u32(e, NFTNL_SET_ELEM_FLAGS, flags);
	nftnl_set_elem_add(s, e);
}

void nft_anon_add(struct nft_rule *r, struct nft_anon *a, const void *from,
		  const void *behind, uint32_t len)
{
	if (!a)
		return;
	element(r, a->set, from, len, 0);
	if (behind)
		element(r, a->set, behind, len, NFT_SET_ELEM_INTERVAL_END);
}
