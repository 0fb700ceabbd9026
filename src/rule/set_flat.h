/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set as a firewall of the kernel can hold it: ranges of addresses that
 * neither touch nor overlap, with the longest prefix and "!" worked out.
 * Whoever has ranges and hears of a change needs only those around it anew.
 */
#ifndef SLUICE_RULE_SET_FLAT_H
#define SLUICE_RULE_SET_FLAT_H

#include "rule/range.h"
#include "rule/set.h"

/*
 * The addresses of one family (size: 4 or 16 bytes) that s has at now; only
 * those in within, unless it is NULL. out is overwritten (start with
 * RANGES_NONE), and freed by the caller, after an error too. 0 or -ENOMEM.
 * 100,000 prefixes take some 20 ms; with a small within, 2 ms.
 */
int set_flatten(const struct set *s, unsigned size, int64_t now,
		const struct ranges *within, struct ranges *out);

/*
 * have is what a set was; the addresses in within may have changed, and those
 * of them that it has now are part. out becomes what the set is. As
 * set_flatten.
 */
int ranges_update(const struct ranges *have, const struct ranges *within,
		  const struct ranges *part, struct ranges *out);

/* Calls f for each range of a that is not one of b (gone), and for each of b
 * that is not one of a, in the order of their first addresses, and of equal
 * ones the gone one first. Ends when f says other than 0, and says so. */
int ranges_compare(const struct ranges *a, const struct ranges *b,
		   int (*f)(void *arg, const struct range *r, bool gone),
		   void *arg);

/* The addresses that prefix p stands for. */
struct range prefix_range(const struct prefix *p);

#endif
