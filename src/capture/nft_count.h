/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The counters of a plan: each rule that is decided in the kernel has one in
 * both tables, so that it keeps counting whatever way packets take. Inside the
 * room only.
 */
#ifndef SLUICE_CAPTURE_NFT_COUNT_H
#define SLUICE_CAPTURE_NFT_COUNT_H

#include <stdint.h>
#include <stdio.h>

#include "capture/netlink.h"
#include "rule/plan.h"

/* A counter for each rule, by its index, and one for the policy. */
#define NFT_COUNTER	   "r%u"
#define NFT_COUNTER_POLICY "policy"
#define NFT_COUNTER_MAX	   16

void nft_counters_put(struct netlink_batch *b, uint8_t family,
		      const struct plan *p);
/* As nft prints them, new. */
void nft_counters_print(const struct plan *p, FILE *f);
/* See nft_counters in nft.h. */
int nft_counters_read(struct netlink *nl,
		      void (*f)(void *arg, uint32_t rule, uint64_t packets,
				uint64_t bytes),
		      void *arg, struct error *err);

#endif
