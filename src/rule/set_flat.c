/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members in the order of their first address, a shorter prefix before those
 * inside it: one walk with a stack of the prefixes that are open says for
 * every address which is the longest. Must not know how a set keeps them.
 */
#include "rule/set_flat.h"

#include <errno.h>
#include <stdlib.h>

/* Open at once: one of each length. */
#define DEPTH 129

/* For sorting: the first address, and the length behind it. */
struct piece {
	u128 low;
	uint8_t length;
	bool exclude;
};

struct collect {
	const struct ranges *within;
	unsigned size;
	struct piece *piece;
	size_t count, room;
	bool failed;
};

/* Ones behind the prefix. */
static u128 host_bits(unsigned size, unsigned length)
{
	return length < size * 8 ? address_last(size) >> length : 0;
}

struct range prefix_range(const struct prefix *p)
{
	u128 low = address_number(&p->address);

	return (struct range){low,
			      low | host_bits(p->address.size, p->length)};
}

/* The first range of r that does not end before v. */
static uint32_t first_from(const struct ranges *r, u128 v)
{
	uint32_t low = 0, high = r->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (r->range[mid].high < v)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void take(const struct prefix *p, bool exclude, int64_t until,
		 void *arg)
{
	struct range r = prefix_range(p);
	struct collect *c = arg;
	uint32_t i;

	(void)until;
	if (p->address.size != c->size || c->failed)
		return;
	if (c->within) {
		i = first_from(c->within, r.low);
		if (i == c->within->count || c->within->range[i].low > r.high)
			return;
	}
	if (c->count == c->room) {
		size_t room = c->room ? 2 * c->room : 64;
		struct piece *more = reallocarray(c->piece, room,
						  sizeof(*more));

		if (!more) {
			c->failed = true;
			return;
		}
		c->piece = more;
		c->room = room;
	}
	c->piece[c->count++] = (struct piece){r.low, p->length, exclude};
}

static int order(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return x->length - y->length;
}

/* Adds low..high, of which only what is in within counts; *at: the first of
 * within that may matter, since they come in order. */
static int put(struct ranges *out, const struct ranges *within, uint32_t *at,
	       u128 low, u128 high)
{
	int ret = 0;

	if (!within)
		return ranges_append(out, low, high);
	while (*at < within->count && within->range[*at].high < low)
		++*at;
	for (uint32_t i = *at; !ret && i < within->count; i++) {
		const struct range *w = &within->range[i];

		if (w->low > high)
			break;
		ret = ranges_append(out, w->low > low ? w->low : low,
				    w->high < high ? w->high : high);
	}
	return ret;
}

static int sweep(const struct collect *c, struct ranges *out)
{
	struct {
		u128 high;
		bool in;
	} open[DEPTH];
	u128 last = address_last(c->size), from = 0;
	uint32_t at = 0;
	int depth = 0, ret = 0;

	for (size_t i = 0; !ret && i <= c->count; i++) {
		const struct piece *p = i < c->count ? &c->piece[i] : NULL;

		while (depth && !ret &&
		       (!p || open[depth - 1].high < p->low)) {
			depth--;
			if (open[depth].in && from <= open[depth].high)
				ret = put(out, c->within, &at, from,
					  open[depth].high);
			/* All that are open end there. */
			if (open[depth].high == last)
				return ret;
			from = open[depth].high + 1;
		}
		if (!p || ret)
			break;
		if (depth && open[depth - 1].in && from < p->low)
			ret = put(out, c->within, &at, from, p->low - 1);
		from = p->low;
		open[depth].high = p->low | host_bits(c->size, p->length);
		open[depth++].in = !p->exclude;
	}
	return ret;
}

int set_flatten(const struct set *s, unsigned size, int64_t now,
		const struct ranges *within, struct ranges *out)
{
	struct collect c = {.within = within, .size = size};
	int ret = -ENOMEM;

	out->count = 0;
	set_each(s, now, take, &c);
	if (!c.failed) {
		if (c.count)
			qsort(c.piece, c.count, sizeof(*c.piece), order);
		ret = sweep(&c, out);
	}
	free(c.piece);
	return ret;
}

/* have without within. */
static int subtract(const struct ranges *have, const struct ranges *within,
		    struct ranges *out)
{
	uint32_t k = 0;
	int ret = 0;

	for (uint32_t i = 0; !ret && i < have->count; i++) {
		const struct range *h = &have->range[i], *w;
		u128 from = h->low;
		bool left = true;

		while (k < within->count && within->range[k].high < from)
			k++;
		for (uint32_t n = k; left && !ret && n < within->count; n++) {
			w = &within->range[n];
			if (w->low > h->high)
				break;
			if (w->low > from)
				ret = ranges_append(out, from, w->low - 1);
			left = w->high < h->high;
			from = w->high + 1;
		}
		if (left && !ret)
			ret = ranges_append(out, from, h->high);
	}
	return ret;
}

int ranges_update(const struct ranges *have, const struct ranges *within,
		  const struct ranges *part, struct ranges *out)
{
	struct ranges rest = RANGES_NONE;
	uint32_t i = 0, k = 0;
	int ret = subtract(have, within, &rest);

	out->count = 0;
	while (!ret && (i < rest.count || k < part->count)) {
		const struct range *r;

		if (k == part->count ||
		    (i < rest.count && rest.range[i].low < part->range[k].low))
			r = &rest.range[i++];
		else
			r = &part->range[k++];
		ret = ranges_append(out, r->low, r->high);
	}
	ranges_free(&rest);
	return ret;
}

int ranges_compare(const struct ranges *a, const struct ranges *b,
		   int (*f)(void *arg, const struct range *r, bool gone),
		   void *arg)
{
	uint32_t i = 0, k = 0;
	int ret = 0;

	while (!ret && (i < a->count || k < b->count)) {
		const struct range *x = i < a->count ? &a->range[i] : NULL;
		const struct range *y = k < b->count ? &b->range[k] : NULL;

		if (x && y && x->low == y->low && x->high == y->high) {
			i++;
			k++;
		} else if (x && (!y || x->low <= y->low)) {
			ret = f(arg, x, true);
			i++;
		} else {
			ret = f(arg, y, false);
			k++;
		}
	}
	return ret;
}
