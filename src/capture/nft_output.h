/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chains of table ip: what is said of a packet where the host sends it,
 * and where it is forwarded. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_NFT_OUTPUT_H
#define SLUICE_CAPTURE_NFT_OUTPUT_H

#include "capture/nft_build.h"

void nft_output_chains(struct nft_plan *p, const struct nft_how *how);

#endif
