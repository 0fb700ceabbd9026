/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers as sorted ranges that neither touch nor overlap, so that one binary
 * search answers. 128 bits wide, so that addresses of both families and plain
 * numbers share it. Knows nothing of packets.
 */
#ifndef SLUICE_RULE_RANGE_H
#define SLUICE_RULE_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/bytes.h"

typedef unsigned __int128 u128;

struct range {
	u128 low, high; /* inclusive */
};

struct ranges {
	struct range *range; /* in order */
	uint32_t count, room;
};

#define RANGES_NONE ((struct ranges){ .range = NULL })

/* Adds low..high, joining what it touches. 0 or -ENOMEM (then unchanged). */
int ranges_add(struct ranges *r, u128 low, u128 high);
/* The same where low is above all that r has: in constant time. */
int ranges_append(struct ranges *r, u128 low, u128 high);
void ranges_free(struct ranges *r);

/* True if all of low..high is in r. */
bool ranges_cover(const struct ranges *r, u128 low, u128 high);

static inline bool ranges_has(const struct ranges *r, u128 v)
{
	uint32_t low = 0, high = r->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (v < r->range[mid].low)
			high = mid;
		else if (v > r->range[mid].high)
			low = mid + 1;
		else
			return true;
	}
	return false;
}

/* An address as a number, 0 to address_last. */
static inline u128 address_number(const struct address *a)
{
	u128 v = 0;

	if (a->size == 4)
		return get_be32(a->byte);
	for (unsigned i = 0; i < a->size; i += 4)
		v = v << 32 | get_be32(a->byte + i);
	return v;
}

static inline u128 address_last(unsigned size)
{
	return size == 4 ? (u128)UINT32_MAX : ~(u128)0;
}

struct address address_from_number(u128 v, unsigned size);

#endif
