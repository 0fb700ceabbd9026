/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sets of addresses that rules have, as sets of ranges in our tables: how
 * they are made and filled, and changed by what is different. Knows the rules'
 * sets, and neither chains nor who changes a set.
 */
#ifndef SLUICE_CAPTURE_NFT_SET_H
#define SLUICE_CAPTURE_NFT_SET_H

#include <stdio.h>

#include "capture/netlink.h"
#include "rule/set_flat.h"

/* The name of a set in both tables, from its place in the list. */
#define NFT_SET_NAME "set-%u"
#define NFT_SET_NAME_MAX 16
const char *nft_set_name(unsigned index, char name[NFT_SET_NAME_MAX]);

/* One of them. */
struct nft_set {
	struct set *set;    /* borrowed */
	struct ranges have; /* what the kernel holds */
	bool unknown;	    /* it does not hold that: something failed */
};

/* The list; NULL, 0 where rules need none. */
struct nft_sets {
	struct nft_set *list;
	unsigned count;
};
#define NFT_SETS_NONE ((struct nft_sets){ .list = NULL })

int nft_sets_open(struct nft_sets *s, struct set *const *set, unsigned count);
void nft_sets_close(struct nft_sets *s);

/* Puts the messages that make all of them, empty, into a table of ours. */
void nft_sets_put(struct netlink_batch *b, const struct nft_sets *s,
		  uint8_t family);

/*
 * Brings what the kernel holds of one of them, in every table, to what the
 * set has at now; looks only at the addresses within, unless it is NULL. One
 * transaction, if the kernel takes as much at once. After an error all of the
 * set is written anew the next time. 0 or -errno.
 */
int nft_set_update(struct netlink *nl, struct nft_set *s, unsigned index,
		   const struct ranges *within, int64_t now,
		   struct error *err);

/* As nft prints it, the first of its ranges. */
int nft_set_print(const struct set *set, unsigned index, int64_t now, FILE *f);

#endif
