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

#define NFT_VIA_CHAINS 3 /* at most */

void nft_via_chains(struct nft_plan *p, const struct nft_how *how);
/* The set that these chains use, unless it is there. */
void nft_via_put_set(struct netlink_batch *b);
void nft_via_print_set(FILE *f);

#endif
