/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terms of a plan as pieces of a rule. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_NFT_TERM_H
#define SLUICE_CAPTURE_NFT_TERM_H

#include "capture/cgroup.h"
#include "capture/nft_rule.h"
#include "rule/plan.h"

/* All terms of a step, the cheap ones first. cgroups: see cgroup_root. */
void nft_terms(struct nft_rule *r, const struct plan *p,
	       const struct plan_step *s, int cgroups);

/* Of a socket that was made in this cgroup or below it. Only where packets
 * are sent from (the output hook) and are received. */
void nft_socket_cgroup(struct nft_rule *r, const char *path,
		       const struct cgroup_place *place);

/* A frame may go on behind its packet, and the kernel reads on: that the
 * packet may be too short for the payload that the step asks for. */
bool nft_asks_for_payload(const struct plan_step *s);
void nft_may_end_before(struct nft_rule *r, const struct plan_step *s);

/* Whether a step asks for the protocol or for what is behind it: then the
 * kernel has found a sound IP header. */
bool nft_knows_protocol(const struct plan_step *s);

#endif
