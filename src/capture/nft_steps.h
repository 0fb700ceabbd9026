/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plan as a chain that others jump to: it decides what the kernel can
 * decide, and returns with what is to be handed over. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_NFT_STEPS_H
#define SLUICE_CAPTURE_NFT_STEPS_H

#include "capture/nft_build.h"
#include "rule/plan.h"

struct nft_station {
	enum packet_dir dir;
	uint32_t seen; /* what is accepted gets this mark; 0: none */
	uint32_t within; /* only these bits of the mark are touched; 0: all */
	const uint8_t *marker; /* or it gets this source MAC; NULL: none */
	unsigned unknown; /* 1 << MATCH_*: a condition on it never holds */
	bool asks; /* nothing is done but to return with what is to be handed
		      over */
	const char *asked; /* and to go to this chain with what meets any other
			      step; NULL: that is accepted */
	int cgroups; /* see cgroup_root */
	const struct nft_how *via; /* who sends by an interface; NULL: that is
				      handed over */
	/* What is meant, asked for behind a step's own conditions, where few
	 * packets get to. What is handed over is not asked: whoever jumps here
	 * looks again. */
	const char *hand; /* to this chain with what is to be handed over; NULL:
			     return */
	bool any_protocol; /* others than IPv4 come here too */
	bool frame; /* they have Ethernet headers: one without a VLAN tag */
	const uint8_t *not_from; /* not from this MAC; NULL: from any */
	uint32_t not_marked;	 /* without any of these bits */
	/* To these destinations (RTN_*); none: to all. */
	unsigned type[4];
	unsigned types;
};

/* Accepts, as that is done there. */
void nft_let_by(struct nft_rule *r, const struct nft_station *at);
/* Whether something would be rewritten that has no sound IP header, and so
 * nothing that could be: such packets must not get there. */
bool nft_wants_sound(const struct plan *p, enum packet_dir dir);

/* -ENOMEM, or the number of rules that were added. */
int nft_steps(struct nft_chain *c, const struct plan *p,
	      const struct nft_station *at);

#endif
