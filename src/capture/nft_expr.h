/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the pieces of a rule are made of: words of text, and expressions that
 * work on one register. Internal to the files that make rules. A lack of
 * memory is kept in the rule.
 */
#ifndef SLUICE_CAPTURE_NFT_EXPR_H
#define SLUICE_CAPTURE_NFT_EXPR_H

#include <linux/netfilter/nf_tables.h>

#include "capture/nft_rule.h"

/* The register; where a key is made of parts, the next four bytes of it. */
#define NFT_REG	     NFT_REG_1
#define NFT_REG_NEXT NFT_REG32_01

struct nftnl_expr;

void nft_say(struct nft_rule *r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* An expression without its attributes; NULL: no memory. */
struct nftnl_expr *nft_add(struct nft_rule *r, const char *name);

void nft_load_meta(struct nft_rule *r, uint32_t key);
void nft_store_mark(struct nft_rule *r);
void nft_load_payload_to(struct nft_rule *r, uint32_t reg, uint32_t base,
			 uint32_t offset, uint32_t len);
void nft_load_payload(struct nft_rule *r, uint32_t base, uint32_t offset,
		      uint32_t len);
/* Both addresses and both ports, as four parts of a key, each in four bytes from
 * this register on (NFT_REG32_*). */
void nft_load_ends(struct nft_rule *r, uint32_t reg);
void nft_load_constant(struct nft_rule *r, uint32_t value);
void nft_load_bytes(struct nft_rule *r, const void *value, uint32_t len);
/* What is loaded, into the packet; csum: where the checksum of 16 bits is that
 * counts it, from the same base; 0: none does. */
void nft_store_payload(struct nft_rule *r, uint32_t base, uint32_t offset,
		       uint32_t len, uint32_t csum);
/* Two bytes of the packet, of which the bits in keep stay: a checksum counts
 * 16 bits at a time. Both in host order. */
void nft_write_bits(struct nft_rule *r, uint32_t base, uint32_t offset,
		    uint16_t keep, uint16_t value, uint32_t csum);
/* A device's name is name, or begins like it up to a '*' at its end. */
void nft_compare_device(struct nft_rule *r, uint32_t key, uint32_t op,
			const char *name);
/* data has the byte order of what was loaded. */
void nft_compare(struct nft_rule *r, uint32_t op, const void *data,
		 uint32_t len);
/* register = register & and_bits ^ flip */
void nft_mask(struct nft_rule *r, const void *and_bits, const void *flip,
	      uint32_t len);
void nft_mask_mark(struct nft_rule *r, uint32_t and_bits, uint32_t flip);
void nft_verdict(struct nft_rule *r, int code, const char *chain);

/* That it is IPv4, where the table's family does not say so; no text, as nft
 * has it. Once a rule. */
void nft_need_ip(struct nft_rule *r);

/*
 * Asks whether the register is in a set of this rule alone, of values of len
 * bytes; type is nft's number for them. Then add its members: values, or, in
 * order, where a range begins and what comes behind its end, NULL: nothing.
 */
struct nft_anon *nft_lookup_anon(struct nft_rule *r, uint32_t type,
				 uint32_t len, bool ranges);
void nft_anon_add(struct nft_rule *r, struct nft_anon *a, const void *from,
		  const void *behind, uint32_t len);
void nft_lookup(struct nft_rule *r, const char *set);

#endif
