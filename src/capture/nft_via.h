/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What our tables hold for packets that rules send by an interface. Inside
 * the files that make tables.
 */
#ifndef SLUICE_CAPTURE_NFT_VIA_H
#define SLUICE_CAPTURE_NFT_VIA_H

#include <stdio.h>

#include "capture/netlink.h"
#include "capture/nft_build.h"

#define NFT_VIA_CHAINS 5 /* at most */

/* Whether rules send by an interface without us. What is tracked behind tun0
 * only gets no other source on its way there. */
bool nft_sends_by(const struct nft_how *how);
/* What is done with a packet that a step sends by an interface; it must carry
 * no mark and be for one host. */
void nft_via_send(struct nft_rule *r, const struct nft_how *how,
		  const char *interface);
/* In the chain that routes again. */
void nft_via_divert(struct nft_chain *c, const struct nft_how *how);

void nft_via_chains(struct nft_plan *p, const struct nft_how *how);
/* The set that these chains use, unless it is there. */
void nft_via_put_set(struct netlink_batch *b);
void nft_via_print_set(FILE *f);

#endif
