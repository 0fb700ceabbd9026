/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections about which a rule has decided for good: sets of them in our
 * tables, asked behind the plan, so that only packets that would be handed
 * over are. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_NFT_FLOW_H
#define SLUICE_CAPTURE_NFT_FLOW_H

#include "capture/capture.h"
#include "capture/netlink.h"
#include "capture/nft_build.h"
#include "capture/nft_steps.h"

/* Those that are let by, and those that are dropped; of each also what counts
 * their packets. */
#define NFT_BYPASSED "bypassed"
#define NFT_DROPPED  "dropped"

/* The sets and counters of a table of ours; and as nft prints the sets. */
void nft_flows_put(struct netlink_batch *b, uint8_t family);
void nft_flows_print(FILE *f);

/* Decides about packets of these connections; what begins or ends one is left
 * out, see hand. at: as for a plan. */
void nft_flow_rules(struct nft_chain *c, const struct nft_station *at);
/* Appends a chain of these rules, for others to jump to; the rest returns. */
void nft_flow_chain(struct nft_plan *p, uint8_t family, const char *name,
		    const struct nft_station *at);

/* See capture.h. */
int nft_flows_change(struct netlink *nl, const struct capture_flow *list,
		     unsigned count, struct error *err);
int nft_flows_clear(struct netlink *nl, struct error *err);
int nft_flow_count(struct netlink *nl, const struct capture_flow *f,
		   uint64_t *packets);

#endif
