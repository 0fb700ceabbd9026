/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Candidates as bit vectors. For every field, the values that the same rules
 * admit form a class; a trie of bytes leads from a value to its class, and
 * the class has a bit for every rule. The rules that could hold are those
 * whose bit is set in the classes of all fields of the packet.
 *
 * A thousand rules are sixteen words a class, and a word that says which of
 * them are worth reading. Longer rulesets are cut into segments of that
 * length, so that what is stored grows with their number and not its square.
 */
#include "rule/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "rule/cond.h"

#define WORDS	16u
#define SEGMENT (WORDS * 64u)

#define LEAF 0x8000u /* of a node's entry: the rest is a class, not a node */

/* An edge makes at most three nodes, so their number stays below LEAF. */
#define EDGES_MAX	10000u
#define EDGES_RULE_MAX	1000u /* a longer list is left to the match */
#define MEMORY_MAX	((size_t)64 << 20)
#define ADDRESS_V4_LAST UINT32_MAX

struct index_class {
	uint32_t words; /* 1 << word: it has a bit */
	uint64_t bit[WORDS];
};

struct field {
	uint16_t (*node)[256]; /* the first is the root */
	struct index_class *class;
	uint32_t nodes, room, classes;
	/* For a packet that has no such field: the rules that do not ask. */
	struct index_class absent;
};

struct segment {
	const struct rule *rule[SEGMENT];
	uint32_t count;
	struct index_class all;
	uint64_t certain[WORDS]; /* rules that the fields alone decide */
	struct field field[INDEX_FIELDS];
	uint8_t used[INDEX_FIELDS]; /* fields that tell rules apart */
	unsigned uses;
};

struct rule_index {
	struct segment *segment;
	uint32_t segments;
	uint8_t fields; /* 1 << field: some segment uses it */
	size_t memory;
};

static const struct {
	enum match_key key;
	uint32_t last;
	uint8_t shift; /* of the first byte */
} fields[INDEX_FIELDS] = {
	[INDEX_PROTO] = {MATCH_PROTO, UINT8_MAX, 0},
	[INDEX_SRC] = {MATCH_SRC, ADDRESS_V4_LAST, 24},
	[INDEX_DST] = {MATCH_DST, ADDRESS_V4_LAST, 24},
	[INDEX_SPORT] = {MATCH_SPORT, UINT16_MAX, 8},
	[INDEX_DPORT] = {MATCH_DPORT, UINT16_MAX, 8},
};

/* ---- making one ------------------------------------------------------- */

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
		add_without(e, rule, 0, fields[f].last, &c->out[0]);
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

	while (c && c->key != fields[f].key)
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

static void set_bit(struct index_class *c, uint32_t rule, bool on)
{
	uint64_t bit = UINT64_C(1) << rule % 64;

	if (on)
		c->bit[rule / 64] |= bit;
	else
		c->bit[rule / 64] &= ~bit;
}

static void note_words(struct index_class *c)
{
	c->words = 0;
	for (unsigned i = 0; i < WORDS; i++)
		if (c->bit[i])
			c->words |= 1u << i;
}

static uint32_t class_hash(const struct index_class *c)
{
	uint64_t h = 0;

	for (unsigned i = 0; i < WORDS; i++)
		h = (h ^ c->bit[i]) * UINT64_C(0x9e3779b97f4a7c15) ^ h >> 29;
	return (uint32_t)(h >> 32);
}

/* The class like c, new if there is none yet; found: a hash table of size
 * places, a power of two, for class numbers + 1. */
static uint16_t class_find(struct field *f, const struct index_class *c,
			   uint16_t *found, uint32_t size)
{
	uint32_t i = class_hash(c) & (size - 1);

	for (; found[i]; i = (i + 1) & (size - 1))
		if (!memcmp(f->class[found[i] - 1].bit, c->bit, sizeof(c->bit)))
			return (uint16_t)(found[i] - 1);
	f->class[f->classes] = *c;
	note_words(&f->class[f->classes]);
	found[i] = (uint16_t)++f->classes;
	return (uint16_t)(f->classes - 1);
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
		 const struct edges *e, uint16_t *found, uint32_t size)
{
	struct index_class now = f->absent;
	uint64_t at = 0;
	uint32_t i = 0;
	int ret = 0;

	while (!ret && at <= fields[which].last) {
		uint64_t next = (uint64_t)fields[which].last + 1;

		for (; i < e->count && e->edge[i].at <= at; i++)
			set_bit(&now, e->edge[i].rule, e->edge[i].begins);
		if (i < e->count && e->edge[i].at < next)
			next = e->edge[i].at;
		ret = fill(f, 0, 0, fields[which].shift, at, next - 1,
			   LEAF | class_find(f, &now, found, size));
		at = next;
	}
	return ret;
}

static void field_free(struct field *f)
{
	free(f->node);
	free(f->class);
	memset(f, 0, sizeof(*f));
}

/* Gives back what turned out not to be needed. */
static void shrink(struct field *f)
{
	void *p = realloc(f->class, f->classes * sizeof(*f->class));

	if (p)
		f->class = p;
	p = realloc(f->node, f->nodes * sizeof(*f->node));
	if (p)
		f->node = p;
	f->room = f->nodes;
}

/* 0 or -ENOMEM; a field that no rule asks for stays without nodes. */
static int field_build(struct segment *s, enum index_field which)
{
	struct field *f = &s->field[which];
	struct edges e = {.edge = calloc(EDGES_MAX, sizeof(*e.edge))};
	uint16_t *found = NULL;
	uint32_t size = 4;
	int ret = -ENOMEM;

	if (!e.edge)
		return ret;
	f->absent = s->all;
	for (uint32_t i = 0; i < s->count; i++) {
		const struct cond *c = cond_for(s->rule[i], which, &e);

		if (!c)
			continue;
		set_bit(&f->absent, i, false);
		add_cond(&e, i, which, c);
	}
	note_words(&f->absent);
	ret = 0;
	if (!memcmp(f->absent.bit, s->all.bit, sizeof(s->all.bit)))
		goto out;
	ret = -ENOMEM;
	qsort(e.edge, e.count, sizeof(*e.edge), edge_compare);
	while (size < 2 * (e.count + 1))
		size *= 2;
	found = calloc(size, sizeof(*found));
	f->class = calloc(e.count + 1, sizeof(*f->class));
	if (!found || !f->class || node_new(f, LEAF) < 0)
		goto out;
	ret = sweep(f, which, &e, found, size);
	shrink(f);
out:
	free(found);
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
	note_words(&s->all);
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
			     s->field[f].classes * sizeof(*s->field[f].class);
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

/* ---- asking it -------------------------------------------------------- */

static void key_put(struct index_keys *k, enum index_field f, uint32_t v)
{
	k->value[f] = v;
	k->has |= (uint8_t)(1u << f);
}

/* As the conditions see them: see match.c. */
static void read_keys(struct index_keys *k, uint8_t wanted,
		      const struct packet *p)
{
	const uint8_t *addresses = packet_at(p, 12, 8);
	uint16_t sport, dport;

	*k = (struct index_keys){.has = 0};
	if (p->flags & PACKET_ODD)
		return;
	key_put(k, INDEX_PROTO, p->proto);
	if (packet_src(p).size == 4 && addresses) {
		key_put(k, INDEX_SRC, get_be32(addresses));
		key_put(k, INDEX_DST, get_be32(addresses + 4));
	} else {
		k->other |= 1u << INDEX_SRC | 1u << INDEX_DST;
	}
	if (wanted & (1u << INDEX_SPORT | 1u << INDEX_DPORT) &&
	    !packet_ports(p, &sport, &dport)) {
		key_put(k, INDEX_SPORT, sport);
		key_put(k, INDEX_DPORT, dport);
	}
}

static const struct index_class *class_of(const struct segment *s,
					  enum index_field which,
					  const struct index_keys *k)
{
	const struct field *f = &s->field[which];
	unsigned shift = fields[which].shift;
	uint32_t v = k->value[which];
	uint16_t at;

	if (!(k->has & 1u << which))
		return k->other & 1u << which ? &s->all : &f->absent;
	at = f->node[0][v >> shift & 0xff];
	while (!(at & LEAF)) {
		shift -= 8;
		at = f->node[at][v >> shift & 0xff];
	}
	return &f->class[at & ~LEAF];
}

/* The words of the segment that have candidates. */
static uint32_t classes_find(struct index_walk *w)
{
	const struct segment *s = &w->index->segment[w->segment];
	uint32_t words = s->all.words;

	w->class[0] = &s->all;
	w->classes = s->uses ? s->uses : 1;
	for (unsigned i = 0; i < s->uses; i++) {
		w->class[i] = class_of(s, (enum index_field)s->used[i],
				       &w->keys);
		words &= w->class[i]->words;
	}
	return words;
}

static uint64_t word_of(const struct index_walk *w)
{
	uint64_t bits = w->class[0]->bit[w->word];

	for (unsigned i = 1; i < w->classes; i++)
		bits &= w->class[i]->bit[w->word];
	return bits;
}

void index_start(struct index_walk *w, const struct rule_index *x,
		 const struct packet *p)
{
	w->index = x;
	w->segment = w->word = w->bit = 0;
	w->left = 0;
	w->words = 0;
	read_keys(&w->keys, x->fields, p);
	if (x->segments)
		w->words = classes_find(w);
}

const struct rule *index_next(struct index_walk *w)
{
	const struct segment *s;

	while (!w->left) {
		if (w->words) {
			w->word = (uint32_t)__builtin_ctz(w->words);
			w->words &= w->words - 1;
			w->left = word_of(w);
		} else if (w->segment + 1 < w->index->segments) {
			w->segment++;
			w->words = classes_find(w);
		} else {
			return NULL;
		}
	}
	w->bit = (uint32_t)__builtin_ctzll(w->left);
	w->left &= w->left - 1;
	s = &w->index->segment[w->segment];
	w->certain = !w->keys.other && s->certain[w->word] >> w->bit & 1;
	return s->rule[w->word * 64 + w->bit];
}

void index_again(struct index_walk *w, const struct packet *p)
{
	struct index_keys keys;
	uint32_t words;

	read_keys(&keys, w->index->fields, p);
	if (!memcmp(&keys, &w->keys, sizeof(keys)))
		return;
	w->keys = keys;
	words = classes_find(w);
	w->words = words & ~UINT32_C(1) << w->word;
	w->left = word_of(w) & ~UINT64_C(1) << w->bit;
}
