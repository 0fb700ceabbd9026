/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The shortest way for what no rule could match: in the hooks it is asked for
 * the conditions of the steps and nothing else. Only where one holds the other
 * questions come: whether it has been through, whether routing can take it,
 * what the plan says. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_NFT_LATE_H
#define SLUICE_CAPTURE_NFT_LATE_H

#include "capture/nft_build.h"

/* Whether all that the host sends is asked so; uplinks: how many there are. */
bool nft_asks_late(const struct nft_how *how, unsigned uplinks);
/* The chains that those of the hooks go on to; and, by route, that of the
 * output hook. */
void nft_late_chains(struct nft_plan *p, const struct nft_how *how);
/* The rules of c, the chain of the egress hook of u. */
void nft_late_leaving(struct nft_plan *p, struct nft_chain *c,
		      const struct nft_how *how, const struct uplink *u);

#endif
