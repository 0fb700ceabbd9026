/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether one match lies within another: whatever meets the first meets the
 * second. Says so only where it is certain; not on the packet path.
 */
#include <string.h>

#include "rule/cond.h"

static const struct cond *find(const struct match *m, enum match_key key)
{
	for (struct match_cond *c = m->first; c; c = c->next)
		if (c->key == key)
			return cond_of(c);
	return NULL;
}

/* ---- ranges ------------------------------------------------------------- */

/* Adds low..high without what out has. */
static int add_without(struct ranges *r, u128 low, u128 high,
		       const struct ranges *out)
{
	int ret = 0;

	for (uint32_t i = 0; i < out->count && !ret; i++) {
		const struct range *o = &out->range[i];

		if (o->high < low)
			continue;
		if (o->low > high)
			break;
		if (o->low > low)
			ret = ranges_add(r, low, o->low - 1);
		if (o->high >= high)
			return ret;
		low = o->high + 1;
	}
	return ret ? ret : ranges_add(r, low, high);
}

int cond_admits(struct ranges *r, const struct cond *c, int family, u128 max)
{
	const struct ranges *in = &c->in[family], *out = &c->out[family];
	int ret = 0;

	if (!c->positive)
		return add_without(r, 0, max, out);
	for (uint32_t i = 0; i < in->count && !ret; i++)
		ret = add_without(r, in->range[i].low, in->range[i].high, out);
	return ret;
}

static bool all_covered(const struct ranges *a, const struct ranges *b)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (!ranges_cover(b, a->range[i].low, a->range[i].high))
			return false;
	return true;
}

static bool ranges_within(const struct cond *a, const struct cond *b,
			  int family, u128 max)
{
	struct ranges x = {0}, y = {0};
	bool within = !cond_admits(&x, a, family, max) &&
		      !cond_admits(&y, b, family, max) && all_covered(&x, &y);

	ranges_free(&x);
	ranges_free(&y);
	return within;
}

/* ---- addresses -------------------------------------------------------- */

static bool has_set(const struct cond *c, const struct set *s)
{
	for (uint32_t i = 0; i < c->pub.count; i++)
		if (c->pub.value[i].set == s)
			return true;
	return false;
}

/* What a set has may change, but not that it is the same set. */
static bool sets_within(const struct cond *a, const struct cond *b)
{
	if (b->positive && !a->positive)
		return false;
	for (uint32_t i = 0; i < a->pub.count && b->positive; i++) {
		const struct match_value *v = &a->pub.value[i];

		if (v->set ? !has_set(b, v->set)
			   : !v->negate &&
				     !ranges_cover(&b->in[v->from.size == 16],
						   address_number(&v->from),
						   address_number(&v->to)))
			return false;
	}
	return all_covered(&b->out[0], &a->out[0]) &&
	       all_covered(&b->out[1], &a->out[1]);
}

static bool addresses_within(const struct cond *a, const struct cond *b)
{
	if (a->sets || b->sets)
		return sets_within(a, b);
	return ranges_within(a, b, 0, address_last(4)) &&
	       ranges_within(a, b, 1, address_last(16));
}

/* ---- the other kinds -------------------------------------------------- */

bool cond_admits_flags(const struct cond *c, uint32_t flags)
{
	bool in = !c->positive;

	for (uint32_t i = 0; i < c->pub.count; i++) {
		const struct match_value *v = &c->pub.value[i];

		if (!flags_within(flags, v))
			continue;
		if (v->negate)
			return false;
		in = true;
	}
	return in;
}

static bool all_flags_within(const struct cond *a, const struct cond *b)
{
	for (uint32_t flags = 0; flags < 256; flags++)
		if (cond_admits_flags(a, flags) && !cond_admits_flags(b, flags))
			return false;
	return true;
}

/* A value of c with this sign that v lies within. */
static bool text_found(const struct cond *c, bool negate,
		       const struct match_value *v)
{
	for (uint32_t i = 0; i < c->pub.count; i++)
		if (c->pub.value[i].negate == negate &&
		    text_value_within(c->pub.key, v, &c->pub.value[i]))
			return true;
	return false;
}

static bool texts_within(const struct cond *a, const struct cond *b)
{
	if (b->positive && !a->positive)
		return false;
	for (uint32_t i = 0; i < a->pub.count && b->positive; i++)
		if (!a->pub.value[i].negate &&
		    !text_found(b, false, &a->pub.value[i]))
			return false;
	for (uint32_t i = 0; i < b->pub.count; i++)
		if (b->pub.value[i].negate &&
		    !text_found(a, true, &b->pub.value[i]))
			return false;
	return true;
}

static bool cond_within(const struct cond *a, const struct cond *b)
{
	switch (match_keys[a->pub.key].kind) {
	case KEY_NUMBER:
	case KEY_CHOICE:
		return ranges_within(a, b, 0, match_keys[a->pub.key].max);
	case KEY_ADDRESS:
		return addresses_within(a, b);
	case KEY_FLAGS:
		return all_flags_within(a, b);
	case KEY_IFACE:
	case KEY_BYTES:
	case KEY_CGROUP:
		return texts_within(a, b);
	}
	return false;
}

/* Some condition of a is only met by protocols that proto admits. */
static bool proto_implied(const struct match *a, const struct cond *proto)
{
	for (struct match_cond *c = a->first; c; c = c->next) {
		const uint8_t *list = match_key_protos(c->key);
		bool all = list != NULL;

		for (; list && *list; list++)
			all &= (!proto->positive ||
				ranges_has(&proto->in[0], *list)) &&
			       !ranges_has(&proto->out[0], *list);
		if (all)
			return true;
	}
	return false;
}

bool match_within(const struct match *a, const struct match *b)
{
	for (struct match_cond *c = b->first; c; c = c->next) {
		const struct cond *same = find(a, c->key);

		if (same ? !cond_within(same, cond_of(c))
			 : c->key != MATCH_PROTO ||
				   !proto_implied(a, cond_of(c)))
			return false;
	}
	return true;
}
