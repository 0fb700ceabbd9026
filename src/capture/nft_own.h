/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What arrives for one command: an arrival has no socket yet, so it is known
 * by what the command has sent before. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_NFT_OWN_H
#define SLUICE_CAPTURE_NFT_OWN_H

#include <stdio.h>

#include "capture/nft_batch.h"
#include "capture/nft_build.h"

/* Whether arrivals are to be told apart. */
static inline bool nft_own_arrives(const struct nft_how *how)
{
	return how->only.id && how->in;
}

/* The set of what may arrive, in table netdev; and as nft prints it. */
void nft_own_put_set(struct netlink_batch *b);
void nft_own_print_set(FILE *f);

/* For the chain of what leaves, of packets of the command alone: remembers
 * what may answer them. */
void nft_own_remember(struct nft_chain *c);
/* For the chain of what arrives: to that chain with what was remembered, and
 * with ICMP errors about it. */
void nft_own_goto(struct nft_chain *c, const char *chain);

#endif
