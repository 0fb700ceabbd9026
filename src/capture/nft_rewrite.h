/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rewrites of a plan as pieces of a rule. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_NFT_REWRITE_H
#define SLUICE_CAPTURE_NFT_REWRITE_H

#include "capture/nft_rule.h"
#include "rule/plan.h"

/* What is rewritten of every packet that got so far; a rewrite that not all
 * have a place for is left out, see nft_rewrite_apart. */
void nft_rewrites(struct nft_rule *r, const struct rewrite *w);
/* A rewrite that needs a rule of its own, because it ends where there is no
 * place for it: without a verdict, before the rule with the others. */
bool nft_needs_rule(const struct rewrite *w);
void nft_rewrite_apart(struct nft_rule *r, const struct rewrite *w);

/* Packets of which the kernel would get some rewrites wrong. */
extern const struct nft_too_hard {
	unsigned rewrites; /* 1 << REWRITE_*; 0: the last */
	void (*is)(struct nft_rule *r);
} nft_too_hard[];

#endif
