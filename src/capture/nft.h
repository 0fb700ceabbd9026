/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this room says to nftables: our two tables, the accepts that forward
 * chains of others need, and a look at what others have loaded. Inside the
 * room only. Knows the uplinks by struct uplink, and no descriptors of them.
 */
#ifndef SLUICE_CAPTURE_NFT_H
#define SLUICE_CAPTURE_NFT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/log.h"
#include "capture/capture.h"
#include "capture/cgroup.h"
#include "rule/set_flat.h"

/* The devices that stand for an uplink: what leaves by it, what arrives. */
#define NFT_OUT_DEVICE	   "slo%d" /* by its ifindex */
#define NFT_IN_DEVICE	   "sli%d"
/* What passes through: taken where it arrives, or where it leaves. */
#define NFT_PASSING_DEVICE "slf%d"
#define NFT_LEAVING_DEVICE "slg%d"
/* The devices by which packets go that a rule sends by an interface. */
#define NFT_VIA_DEVICE	   "slv%u" /* by their number, from 0 */
#define NFT_VIA_DEVICES	   "slv*"

/* What the tables shall do. */
struct nft_how {
	char dev[IFNAMSIZ]; /* tun0 */
	uint32_t divert;    /* the bit that ip rule sends to table T */
	uint32_t seen;	    /* the bit of what has been through */
	bool route;	    /* divert to tun0 what routing can take */
	bool notrack;	    /* by route only: this host translates what it
			       sends, so it is tracked after tun0, not before */
	bool elsewhere;	    /* some goes to tun0 even if none comes from it */
	bool sockets;	    /* the kernel tells in the egress hook what has a
			       route and a socket (tried when up) */
	bool wraps;	    /* what passes through may leave inside another
			       packet, which inherits its mark */
	bool in;	    /* take arrivals for this host */
	bool forward;	    /* take what is passing through */
	bool ipsec;	    /* this kernel has it: what it decrypted is known
			       by what comes with the packet alone, and lost
			       if that is handed back */
	bool probes;	    /* take what nft_expect names, and echo replies
			       and ICMP errors for this host */
	unsigned vias;	    /* devices NFT_VIA_DEVICE, and the interfaces that
			       each stands for */
	char via[CAPTURE_VIAS_MAX][IFNAMSIZ];
	unsigned via_lost;  /* 1 << i: what is for it is dropped */
	uint8_t marker[6];  /* source MAC of what was handed back */
	/* What is decided before it comes to us; NULL: nothing. Borrowed, and
	 * the same while up. Its sets are held in both tables. */
	const struct plan *plan;
	int cgroups; /* see cgroup_root; -1: nobody asks for any */
	struct cgroup_place only; /* take only what this cgroup's processes
				     send; without an id: take all */
	const char *only_path;	  /* its, for people; borrowed */
	/* Connections that are decided are held in both tables. */
	bool flows;
};

/* The mark by which the kernel routes what it sends by the i-th interface on
 * its own; both: our two bits. */
uint32_t nft_via_mark(uint32_t divert, uint32_t both, unsigned i);

/* ---- our tables (nft.c): they live as long as the socket behind this ---- */

struct nft;

int nft_open(struct nft **n, struct error *err);
/* Takes the tables with it. n may be NULL. */
void nft_close(struct nft *n);
/* In a forked child: closes the copy of the socket and frees n. */
void nft_forget(struct nft *n);

/*
 * Installs both tables with the chains of these uplinks in one transaction.
 * The devices NFT_OUT_DEVICE (and, where u->in, NFT_IN_DEVICE) must exist,
 * with how->forward the other two as well; u->in says that what arrives can
 * be taken there, how->in and how->forward what of it is. -EEXIST: an instance
 * runs in this network namespace. err names the object that the kernel refused.
 */
int nft_up(struct nft *n, const struct nft_how *how,
	   struct uplink *const *list, unsigned count, struct error *err);
/* Removes both. 0 if they are not there. */
int nft_down(struct nft *n, struct error *err);

/* While up, each one transaction: other rules in the same chains (the mode
 * was decided again); an uplink that is new or that changed its name, MAC or
 * in; one that has gone (0 if it is unknown). */
int nft_change(struct nft *n, const struct nft_how *how, struct error *err);
int nft_uplink_put(struct nft *n, const struct uplink *u, struct error *err);
int nft_uplink_drop(struct nft *n, int ifindex, struct error *err);

/* While up: what the counters of the plan say, in sum over both tables. rule:
 * its index, UINT32_MAX: the policy. */
int nft_counters(struct nft *n,
		 void (*f)(void *arg, uint32_t rule, uint64_t packets,
			   uint64_t bytes),
		 void *arg, struct error *err);

/* While up: what arrives for that port of a protocol with ports is taken too
 * (add), or no longer. 0 where all that arrives is taken already. */
int nft_expect(struct nft *n, uint8_t proto, uint16_t port, bool add,
	       struct error *err);

/* See capture_set_changed. */
int nft_set_changed(struct nft *n, const struct set *s,
		    const struct ranges *within, int64_t now,
		    struct error *err);

/* See capture_flows; count 0: all are forgotten. And capture_flow_count. */
int nft_flows(struct nft *n, const struct capture_flow *list, unsigned count,
	      struct error *err);
int nft_flow(struct nft *n, const struct capture_flow *f, uint64_t *packets);

/* ---- accepts in forward chains of others (accept.c) --------------------- */

/* Puts `iifname dev accept` for each of n devices in front of every forward
 * chain of others that would drop what comes from them, where it has not as
 * many. Returns how many chains it put them into, or -errno; goes on after an
 * error and reports the first. Call again when the ruleset or the devices
 * changed. A leftover counts as ours whatever device it names: remove those
 * first. */
int nft_accept_put(const char *const *dev, unsigned n, struct error *err);
/* Removes them, those of a killed instance too. How many, or -errno. */
int nft_accept_remove(struct error *err);

/* ---- what others have loaded (inspect.c) -------------------------------- */

/* Room for "chain inet filter output" and what it does. */
#define NFT_WHY_MAX 256

/* Each is empty, or one line that names the first such chain. */
struct nft_sight {
	char nat[NFT_WHY_MAX];	    /* translates sources of what is sent */
	char dnat[NFT_WHY_MAX];	    /* translates its destinations */
	char stateful[NFT_WHY_MAX]; /* filters output by connection state */
	char forward[NFT_WHY_MAX];  /* drops what is forwarded */
	char rpf[NFT_WHY_MAX];	    /* drops by its own reverse path rule */
	char legacy[NFT_WHY_MAX];   /* iptables-legacy, unseen by nftables */
	unsigned accepts;	    /* of ours, see nft_accept_put */
};

/* -EPERM without privilege. */
int nft_inspect(struct nft_sight *s, struct error *err);

/*
 * Decides between route and wire for what is wanted and what was seen, sets
 * how->route and how->notrack, and says why in a line (the reason alone,
 * without the mode). Returns CAPTURE_ROUTE or CAPTURE_WIRE, or -ENOTSUP:
 * route was insisted upon and cannot work.
 */
int nft_decide(struct nft_how *how, enum capture_mode wanted,
	       const struct nft_sight *s, char why[NFT_WHY_MAX],
	       struct error *err);

struct nlmsghdr;
/* Whether a notification of NFNLGRP_NFTABLES says that the ruleset changed,
 * and not by n's own doing: then nft_inspect again, once it has settled. */
bool nft_changed(const struct nft *n, const struct nlmsghdr *nlh);

/* ---- the same as text (print.c), and a trial (probe.c) ----------------- */

/* Both tables as `nft list ruleset` prints them. 0 or -errno. */
int nft_print(const struct nft_how *how, struct uplink *const *list,
	      unsigned count, FILE *f);

/* 0 if this kernel takes tables like ours, tried with `lo` in a child with a
 * network namespace of its own; -EPERM: it may not be tried; else -errno and
 * the kernel's word in err. */
int nft_probe(struct error *err);

#endif
