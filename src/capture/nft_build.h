/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which rules our two tables hold, for a way of capturing and a list of
 * uplinks: the one place that says so. Knows no socket.
 */
#ifndef SLUICE_CAPTURE_NFT_BUILD_H
#define SLUICE_CAPTURE_NFT_BUILD_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture/nft.h"
#include "capture/nft_rule.h"
#include "packet/packet.h"

#define NFT_TABLE     "sluice" /* both */
#define NFT_EXPECTED  "expected" /* netdev; see nft_expect */
#define NFT_CHAIN_MAX 32

struct nft_chain {
	uint8_t family; /* NFPROTO_IPV4 or NFPROTO_NETDEV */
	char name[NFT_CHAIN_MAX];
	/* NULL: no hook, others jump to it; and no more of what follows. */
	const char *type; /* "filter" or "route" */
	uint32_t hook;
	const char *hook_name;
	int32_t priority;
	const char *priority_name;
	char dev[IFNAMSIZ]; /* NFPROTO_NETDEV only */
	int ifindex;	    /* its */
	struct nft_rule *rule;
	unsigned rules, room;
	struct nft_rule spare; /* what is added without memory for it */
	bool failed;	       /* no memory */
	bool dangling; /* a device to forward to is not there */
	uint64_t sum;  /* of all that its rules say */
};

struct nft_plan {
	struct nft_chain *chain;
	unsigned chains;
	bool failed;
	bool late;     /* see nft_late.h */
	bool in_place; /* for what arrives the steps stand in the chains of the
			  hooks themselves */
	const struct plan *rules; /* its counters and sets are needed; NULL:
				     none */
};
#define NFT_PLAN_NONE ((struct nft_plan){ .chain = NULL })

/* Whether there is a set NFT_EXPECTED: where all that arrives is taken,
 * whatever it is, nothing has to be told apart. */
bool nft_expects(const struct nft_how *how);

const char *nft_family_name(uint32_t family);

/* ---- for the files that make chains ------------------------------------- */

/* More rules than this are not written once for each uplink. */
#define NFT_IN_PLACE_MAX 256

/* The bits of the mark that are ours. */
static inline uint32_t nft_both(const struct nft_how *how)
{
	return how->divert | how->seen;
}

struct nft_station;

/* Appends a chain like this one, without rules. */
struct nft_chain *nft_chain_add(struct nft_plan *p,
				const struct nft_chain *like);
/* Appends that of the output hook in which what gets another mark is routed
 * again: behind the chains that set marks of others, so that theirs are seen. */
struct nft_chain *nft_divert_chain(struct nft_plan *p);
/* Appends a chain with the steps of a plan, for others to jump to. */
void nft_plan_chain(struct nft_plan *p, uint8_t family, const char *name,
		    const struct plan *plan, const struct nft_station *at);
/* Chains that those of several hooks jump to, in both tables. */
#define NFT_PLAN_OUT "plan-out"
#define NFT_FLOWS    "flows"
/* Whether all that is sent is decided, and told by its mark, in the output
 * hook, by whatever way it goes on. */
bool nft_tells(const struct nft_how *how);
/* What is decided in the output hook; NULL, false: nothing. */
const struct plan *nft_plan_by_route(const struct nft_how *how);
bool nft_flows_by_route(const struct nft_how *how);
/* Whether any packet of a direction can be decided without us. */
bool nft_decides(const struct plan *plan, enum packet_dir dir);
/* To the device of u whose name has this form, see nft.h. */
void nft_hand_over(struct nft_chain *c, struct nft_rule *r, const char *form,
		   const struct uplink *u);
/* Appends a rule, empty yet: valid until the next one. */
struct nft_rule *nft_rule_add(struct nft_chain *c);

/* 0 or -ENOMEM; nft_plan_free in either case. Devices that do not exist yet
 * are named in the text and have index 0 in the expressions. */
int nft_plan_make(struct nft_plan *p, const struct nft_how *how,
		  struct uplink *const *list, unsigned count);
void nft_plan_free(struct nft_plan *p);

#endif
