/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rule/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int make_room(struct ranges *r)
{
	uint32_t room = r->room ? r->room * 2 : 2;
	struct range *range;

	if (r->count < r->room)
		return 0;
	range = realloc(r->range, room * sizeof(*range));
	if (!range)
		return -ENOMEM;
	r->range = range;
	r->room = room;
	return 0;
}

int ranges_add(struct ranges *r, u128 low, u128 high)
{
	uint32_t first = 0, end = r->count;
	int ret = make_room(r);

	if (ret)
		return ret;
	/* first: the first range that is not wholly, with a gap, below. */
	while (first < end) {
		uint32_t mid = first + (end - first) / 2;

		if (r->range[mid].high < low && low - r->range[mid].high > 1)
			first = mid + 1;
		else
			end = mid;
	}
	/* end: the first that is wholly, with a gap, above. */
	for (end = first; end < r->count; end++) {
		const struct range *x = &r->range[end];

		if (x->low > high && x->low - high > 1)
			break;
		if (x->low < low)
			low = x->low;
		if (x->high > high)
			high = x->high;
	}
	memmove(&r->range[first + 1], &r->range[end],
		(r->count - end) * sizeof(*r->range));
	r->range[first] = (struct range){low, high};
	r->count = r->count - (end - first) + 1;
	return 0;
}

int ranges_append(struct ranges *r, u128 low, u128 high)
{
	struct range *end = r->count ? &r->range[r->count - 1] : NULL;
	int ret;

	if (end && end->high + 1 == low) {
		end->high = high;
		return 0;
	}
	ret = make_room(r);
	if (!ret)
		r->range[r->count++] = (struct range){low, high};
	return ret;
}

void ranges_free(struct ranges *r)
{
	free(r->range);
	*r = (struct ranges){0};
}

bool ranges_cover(const struct ranges *r, u128 low, u128 high)
{
	/* No two touch: what is covered is covered by one of them. */
	for (uint32_t i = 0; i < r->count; i++)
		if (r->range[i].low <= low && high <= r->range[i].high)
			return true;
	return false;
}

struct address address_from_number(u128 v, unsigned size)
{
	struct address a = {.size = (uint8_t)size};

	for (unsigned i = size; i--; v >>= 8)
		a.byte[i] = (uint8_t)v;
	return a;
}
