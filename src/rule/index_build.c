/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes an index from the conditions of the rules: for each field the values
 * at which a rule begins or ends to hold, in order, and from each of these to
 * the next a class. Knows no packets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rule/cond.h"
#include "rule/index_data.h"

/* An edge makes at most three nodes, so their number stays below LEAF. */
#define EDGES_MAX	10000u
#define EDGES_RULE_MAX	1000u /* a longer list is left to the match */
#define MEMORY_MAX	((size_t)64 << 20)
#define ADDRESS_V4_LAST UINT32_MAX

const struct index_field_info index_fields[INDEX_FIELDS] = {
	[INDEX_PROTO] = {MATCH_PROTO, UINT8_MAX, 0},
	[INDEX_SRC] = {MATCH_SRC, ADDRESS_V4_LAST, 24},
	[INDEX_DST] = {MATCH_DST, ADDRESS_V4_LAST, 24},
	[INDEX_SPORT] = {MATCH_SPORT, UINT16_MAX, 8},
	[INDEX_DPORT] = {MATCH_DPORT, UINT16_MAX, 8},
};

/* Where a rule begins to admit values, or ends to. */
struct edge {
	uint64_t at;
	uint16_t rule;
	bool begins;
};

struct edges {
	struct edge *edge;
	uint32_t count;
};

static int edge_compare(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->begins - y->begins;
}

static void add_range(struct edges *e, uint32_t rule, u128 low, u128 high)
{
	e->edge[e->count++] = (struct edge){(uint64_t)low, (uint16_t)rule, true};
	e->edge[e->count++] =
		(struct edge){(uint64_t)high + 1, (uint16_t)rule, false};
}

/* low..high without what is in out. */
static void add_without(struct edges *e, uint32_t rule, u128 low, u128 high,
			const struct ranges *out)
{
	for (uint32_t i = 0; i < out->count; i++) {
		const struct range *o = &out->range[i];

		if (o->high < low || o->low > high)
			continue;
		if (o->low > low)
			add_range(e, rule, low, o->low - 1);
		if (o->high >= high)
			return;
		low = o->high + 1;
	}
	add_range(e, rule, low, high);
}

/* The values that c admits of field f. */
static void add_cond(struct edges *e, uint32_t rule, enum index_field f,
		     const struct cond *c)
{
	if (!c->positive)
		add_without(e, rule, 0, index_fields[f].last, &c->out[0]);
	for (uint32_t i = 0; i < c->in[0].count && c->positive; i++)
		add_without(e, rule, c->in[0].range[i].low,
			    c->in[0].range[i].high, &c->out[0]);
}

/* The condition that r has on field f, if it is one for an index. */
static const struct cond *cond_for(const struct rule *r, enum index_field f,
				   const struct edges *e)
{
	struct match_cond *c = r->match ? r->match->first : NULL;
	const struct cond *cond;
	uint64_t n;

	while (c && c->key != index_fields[f].key)
		c = c->next;
	if (!c)
		return NULL;
	cond = cond_of(c);
	/* Each range that is taken out can cut one in two. */
	n = 2 * ((uint64_t)cond->in[0].count + cond->out[0].count + 1);
	if (cond->sets || n > EDGES_RULE_MAX || e->count + n > EDGES_MAX)
		return NULL;
	return cond;
}

static void set_bit(struct rules *c, uint32_t rule, bool on)
{
	uint64_t bit = UINT64_C(1) << rule % 64;

	if (on)
		c->bit[rule / 64] |= bit;
	else
		c->bit[rule / 64] &= ~bit;
}

static uint16_t words_of(const struct rules *c)
{
	unsigned words = 0;

	for (unsigned i = 0; i < WORDS; i++)
		if (c->bit[i])
			words |= 1u << i;
	return (uint16_t)words;
}

static uint32_t rules_hash(const struct rules *c)
{
	uint64_t h = 0;

	for (unsigned i = 0; i < WORDS; i++)
		h = (h ^ c->bit[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ h >> 29;
	return (uint32_t)(h >> 32);
}

/* The classes of a field, while they are found. */
struct finder {
	struct rules *rules; /* by class */
	uint32_t count;
	uint16_t *table; /* by hash: class + 1 */
	uint32_t size;	 /* of it, a power of two */
};

/* The class of these rules, new if there is none yet. */
static uint16_t class_find(struct finder *found, const struct rules *c)
{
	uint32_t mask = found->size - 1, i = rules_hash(c) & mask;

	for (; found->table[i]; i = (i + 1) & mask)
		if (!memcmp(&found->rules[found->table[i] - 1], c, sizeof(*c)))
			return (uint16_t)(found->table[i] - 1);
	found->rules[found->count] = *c;
	found->table[i] = (uint16_t)++found->count;
	return (uint16_t)(found->count - 1);
}

/* Stores what was found, without the words at the ends that are zero. */
static int classes_store(struct field *f, const struct finder *found)
{
	f->class = calloc(found->count, sizeof(*f->class));
	f->bit = calloc(found->count * WORDS, sizeof(*f->bit));
	if (!f->class || !f->bit)
		return -ENOMEM;
	for (; f->classes < found->count; f->classes++) {
		const struct rules *c = &found->rules[f->classes];
		uint16_t words = words_of(c);
		uint32_t first = words ? (uint32_t)__builtin_ctz(words) : 0;
		uint32_t n = words ? 32u - (uint32_t)__builtin_clz(words) -
					     first
				   : 0;

		f->class[f->classes] = (struct class){
			.at = f->bits, .words = words, .first = (uint16_t)first};
		memcpy(f->bit + f->bits, c->bit + first, n * sizeof(*f->bit));
		f->bits += n;
	}
	return 0;
}

/* A node all of whose entries are entry; its number, or -ENOMEM. */
static int node_new(struct field *f, uint16_t entry)
{
	if (f->nodes == f->room) {
		uint32_t room = f->room ? f->room * 2 : 4;
		void *node = realloc(f->node, room * sizeof(*f->node));

		if (!node)
			return -ENOMEM;
		f->node = node;
		f->room = room;
	}
	for (unsigned i = 0; i < 256; i++)
		f->node[f->nodes][i] = entry;
	return (int)f->nodes++;
}

/* Leads low..high to leaf, as far as they are below node, whose first value
 * is base. An entry stands for 1 << shift values. */
static int fill(struct field *f, uint32_t node, uint64_t base, unsigned shift,
		uint64_t low, uint64_t high, uint16_t leaf)
{
	uint64_t from = low > base ? low - base : 0;
	uint64_t to = (high - base) >> shift;

	for (uint64_t i = from >> shift; i <= to && i < 256; i++) {
		uint64_t first = base + (i << shift);
		uint64_t last = first + (UINT64_C(1) << shift) - 1;
		uint16_t entry = f->node[node][i];
		int below, ret;

		if (low <= first && last <= high) {
			f->node[node][i] = leaf;
			continue;
		}
		below = entry & LEAF ? node_new(f, entry) : entry;
		if (below < 0)
			return below;
		f->node[node][i] = (uint16_t)below;
		ret = fill(f, (uint32_t)below, first, shift - 8, low, high,
			   leaf);
		if (ret)
			return ret;
	}
	return 0;
}

/* From one edge to the next the rules are the same ones. */
static int sweep(struct field *f, enum index_field which,
		 const struct edges *e, struct finder *found)
{
	struct rules now = f->absent;
	uint64_t at = 0;
	uint32_t i = 0;
	int ret = 0;

	while (!ret && at <= index_fields[which].last) {
		uint64_t next = (uint64_t)index_fields[which].last + 1;

		for (; i < e->count && e->edge[i].at <= at; i++)
			set_bit(&now, e->edge[i].rule, e->edge[i].begins);
		if (i < e->count && e->edge[i].at < next)
			next = e->edge[i].at;
		ret = fill(f, 0, 0, index_fields[which].shift, at, next - 1,
			   LEAF | class_find(found, &now));
		at = next;
	}
	return ret;
}

static void field_free(struct field *f)
{
	free(f->node);
	free(f->class);
	free(f->bit);
	memset(f, 0, sizeof(*f));
}

/* Gives back what turned out not to be needed. */
static void shrink(struct field *f)
{
	void *p = realloc(f->bit, (f->bits + 1) * sizeof(*f->bit));

	if (p)
		f->bit = p;
	p = realloc(f->node, f->nodes * sizeof(*f->node));
	if (p)
		f->node = p;
	f->room = f->nodes;
}

static int tables_build(struct field *f, enum index_field which,
			const struct edges *e)
{
	struct finder found = {.size = 4};
	int ret = -ENOMEM;

	while (found.size < 2 * (e->count + 1))
		found.size *= 2;
	found.table = calloc(found.size, sizeof(*found.table));
	found.rules = calloc(e->count + 1, sizeof(*found.rules));
	if (!found.table || !found.rules || node_new(f, LEAF) < 0)
		goto out;
	ret = sweep(f, which, e, &found);
	if (!ret)
		ret = classes_store(f, &found);
	if (!ret)
		shrink(f);
out:
	free(found.table);
	free(found.rules);
	return ret;
}

/* 0 or -ENOMEM; a field that no rule asks for stays without nodes. */
static int field_build(struct segment *s, enum index_field which)
{
	struct field *f = &s->field[which];
	struct edges e = {.edge = calloc(EDGES_MAX, sizeof(*e.edge))};
	bool asked = false;
	int ret = 0;

	if (!e.edge)
		return -ENOMEM;
	f->absent = s->all;
	for (uint32_t i = 0; i < s->count; i++) {
		const struct cond *c = cond_for(s->rule[i], which, &e);

		if (!c)
			continue;
		asked = true;
		set_bit(&f->absent, i, false);
		add_cond(&e, i, which, c);
	}
	f->absent_words = words_of(&f->absent);
	qsort(e.edge, e.count, sizeof(*e.edge), edge_compare);
	if (asked)
		ret = tables_build(f, which, &e);
	free(e.edge);
	if (ret)
		field_free(f);
	return ret;
}

/* A condition is in a field's table where the rule is none of those that do
 * not ask; a rule all of whose conditions are is certain. */
static void note_certain(struct segment *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct match *m = s->rule[i]->match;
		uint64_t bit = UINT64_C(1) << i % 64;
		unsigned conds = 0, tables = 0;

		for (struct match_cond *c = m ? m->first : NULL; c; c = c->next)
			conds++;
		for (unsigned f = 0; f < s->uses; f++)
			tables += !(s->field[s->used[f]].absent.bit[i / 64] &
				    bit);
		if (conds == tables)
			s->certain[i / 64] |= bit;
	}
}

static int segment_build(struct rule_index *x, struct segment *s)
{
	for (uint32_t i = 0; i < s->count; i++)
		set_bit(&s->all, i, true);
	s->all_words = words_of(&s->all);
	for (int f = 0; f < INDEX_FIELDS; f++) {
		int ret = x->memory < MEMORY_MAX
				  ? field_build(s, (enum index_field)f)
				  : 0;

		if (ret)
			return ret;
		if (!s->field[f].nodes)
			continue;
		s->used[s->uses++] = (uint8_t)f;
		x->fields |= (uint8_t)(1u << f);
		x->memory += s->field[f].nodes * sizeof(*s->field[f].node) +
			     s->field[f].classes * sizeof(*s->field[f].class) +
			     s->field[f].bits * sizeof(*s->field[f].bit);
	}
	note_certain(s);
	return 0;
}

struct rule_index *index_new(const struct ruleset *rs)
{
	struct rule_index *x = calloc(1, sizeof(*x));
	const struct rule *r = rs->first;

	if (!x)
		return NULL;
	x->segments = (rs->count + SEGMENT - 1) / SEGMENT;
	x->segment = calloc(x->segments ? x->segments : 1, sizeof(*x->segment));
	if (!x->segment)
		goto fail;
	for (uint32_t i = 0; i < x->segments; i++) {
		struct segment *s = &x->segment[i];

		for (; r && s->count < SEGMENT; r = r->next)
			s->rule[s->count++] = r;
		if (segment_build(x, s))
			goto fail;
	}
	return x;
fail:
	index_free(x);
	return NULL;
}

void index_free(struct rule_index *x)
{
	if (!x)
		return;
	for (uint32_t i = 0; x->segment && i < x->segments; i++)
		for (int f = 0; f < INDEX_FIELDS; f++)
			field_free(&x->segment[i].field[f]);
	free(x->segment);
	free(x);
}
