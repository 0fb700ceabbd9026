/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules for what is only passing through this host, where that is
 * captured. Inside nft_build.c only.
 *
 * Where it arrives it has seen no NAT yet: there it is taken, unless it looks
 * as if it were for the host. What looked so, and passes through after all
 * once its address was translated, is taken where it leaves; and so is what
 * IPsec has decrypted here. Which of the two
 * it is shows in the forward hook: what was handed back, or accepted, where it
 * arrived has our source MAC, and keeps it whatever becomes of its mark.
 */
#ifndef SLUICE_CAPTURE_NFT_PASS_H
#define SLUICE_CAPTURE_NFT_PASS_H

#include "capture/nft_build.h"

/* Chains that belong to no uplink. */
void nft_pass_chains(struct nft_plan *p, const struct nft_how *how,
		     struct uplink *const *list, unsigned count);
/* Rules for c, the chain in the forward hook. */
void nft_pass_through(struct nft_chain *c, const struct nft_how *how);
/* Rules for c, the chain in the ingress or egress hook of u. */
void nft_pass_arriving(struct nft_plan *p, struct nft_chain *c,
		       const struct nft_how *how, const struct uplink *u);
void nft_pass_leaving(struct nft_plan *p, struct nft_chain *c,
		      const struct nft_how *how, const struct uplink *u);

#endif
