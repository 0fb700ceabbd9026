/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages of an nftables transaction: each puts one, named for the error
 * that may come back. A lack of memory is kept in the batch.
 */
#ifndef SLUICE_CAPTURE_NFT_BATCH_H
#define SLUICE_CAPTURE_NFT_BATCH_H

#include <stdint.h>

#include "capture/netlink.h"
#include "capture/nft_build.h"

/* A chain that the kernel has in one of our tables. */
struct nft_known {
	uint8_t family;
	char name[NFT_CHAIN_MAX];
};

void nft_put_begin(struct netlink_batch *b);
void nft_put_end(struct netlink_batch *b);

/* Our table of that family: NFT_MSG_NEWTABLE (it must be new, and belongs to
 * the sending socket) or NFT_MSG_DELTABLE (and all in it). */
void nft_put_table(struct netlink_batch *b, uint16_t type, uint8_t family);
/* A new set of ours, empty. */
struct nft_new_set {
	uint8_t family;
	const char *name;
	uint32_t type;	    /* nft's number of what a member is */
	uint32_t len;	    /* bytes of a member */
	uint32_t flags;	    /* NFT_SET_* */
	uint32_t size;	    /* members at most, 0: any number */
	uint32_t id;	    /* its own in this transaction */
	uint64_t timeout;   /* ms that a member stays, 0: for ever */
	bool counted;	    /* each member counts */
	bool may_exist;
};
void nft_put_new_set(struct netlink_batch *b, const struct nft_new_set *n);
/* The set of expected arrivals, new and empty; and a member of it, of
 * NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM. */
void nft_put_set(struct netlink_batch *b);
void nft_put_element(struct netlink_batch *b, uint16_t type, uint8_t proto,
		     uint16_t port);
/* A new counter of that name in our table of that family. */
void nft_put_counter(struct netlink_batch *b, uint8_t family,
		     const char *name);
/* A new chain, without its rules; and its rules, behind those it has. */
void nft_put_chain(struct netlink_batch *b, const struct nft_chain *c);
void nft_put_rules(struct netlink_batch *b, const struct nft_chain *c);
/* All rules of a chain go; a chain without rules goes. */
void nft_put_flush(struct netlink_batch *b, const struct nft_known *k);
void nft_put_delete(struct netlink_batch *b, const struct nft_known *k);

#endif
