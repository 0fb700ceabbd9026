/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers as nft writes them. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_NFT_WORD_H
#define SLUICE_CAPTURE_NFT_WORD_H

#include <stdint.h>

#include "rule/match.h"

/* Room for a value; a range needs twice as much. */
#define NFT_WORD 48

void nft_value_word(char buf[NFT_WORD], enum match_key key, uint32_t v);
void nft_range_word(char buf[2 * NFT_WORD], enum match_key key, uint32_t low,
		    uint32_t high);
void nft_proto_word(char buf[NFT_WORD], uint32_t proto);
/* "syn,ack" */
void nft_flags_word(char buf[NFT_WORD], uint32_t flags);
void nft_dscp_word(char buf[NFT_WORD], uint32_t dscp);

/* The bits of a prefix that is exactly this range of addresses, or -1. */
int nft_prefix_bits(uint32_t low, uint32_t high);

#endif
