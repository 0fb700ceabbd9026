/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Candidates as bit vectors. For every field, the values that the same rules
 * admit form a class; a trie of bytes leads from a value to its class, and
 * the class has a bit for every rule. The rules that could hold are those
 * whose bit is set in the classes of all fields of the packet.
 *
 * A thousand rules are sixteen words a class, and one more says which of them
 * have a bit at all; only those from the first to the last of these are
 * stored, which for most classes is one. Longer rulesets are cut into
 * segments of that length, so that what is stored grows with their number and
 * not its square.
 */
#include "rule/index.h"

#include <string.h>

#include "base/bytes.h"
#include "rule/index_data.h"

static void key_put(struct index_keys *k, enum index_field f, uint32_t v)
{
	k->value[f] = v;
	k->has |= (uint8_t)(1u << f);
}

/* As the conditions see them: see match.c. */
static void read_keys(struct index_keys *k, uint8_t wanted,
		      const struct packet *p)
{
	const uint8_t *ip = packet_at(p, 0, 20);
	uint16_t sport, dport;

	*k = (struct index_keys){.has = 0};
	if (p->flags & PACKET_ODD)
		return;
	key_put(k, INDEX_PROTO, p->proto);
	if (ip && ip[0] >> 4 == 4) {
		key_put(k, INDEX_SRC, get_be32(ip + 12));
		key_put(k, INDEX_DST, get_be32(ip + 16));
	} else {
		k->other |= 1u << INDEX_SRC | 1u << INDEX_DST;
	}
	if (wanted & (1u << INDEX_SPORT | 1u << INDEX_DPORT) &&
	    !packet_ports(p, &sport, &dport)) {
		key_put(k, INDEX_SPORT, sport);
		key_put(k, INDEX_DPORT, dport);
	}
}

static struct index_bits class_of(const struct segment *s,
				  enum index_field which,
				  const struct index_keys *k)
{
	const struct field *f = &s->field[which];
	unsigned shift = index_fields[which].shift;
	uint32_t v = k->value[which];
	const struct class *c;
	uint16_t at;

	if (k->other & 1u << which)
		return (struct index_bits){s->all.bit, s->all_words, 0};
	if (!(k->has & 1u << which))
		return (struct index_bits){f->absent.bit, f->absent_words, 0};
	at = f->node[0][v >> shift & 0xff];
	while (!(at & LEAF)) {
		shift -= 8;
		at = f->node[at][v >> shift & 0xff];
	}
	c = &f->class[at & ~LEAF];
	return (struct index_bits){f->bit + c->at, c->words, c->first};
}

/* The words of the segment that have candidates. */
static uint32_t classes_find(struct index_walk *w)
{
	const struct segment *s = &w->index->segment[w->segment];
	uint32_t words = UINT32_MAX;

	w->classes = s->uses ? s->uses : 1;
	if (!s->uses)
		w->class[0] =
			(struct index_bits){s->all.bit, s->all_words, 0};
	for (unsigned i = 0; i < s->uses; i++)
		w->class[i] = class_of(s, (enum index_field)s->used[i],
				       &w->keys);
	for (unsigned i = 0; i < w->classes; i++)
		words &= w->class[i].words;
	return words;
}

static uint64_t word_of(const struct index_walk *w)
{
	uint64_t bits = UINT64_MAX;

	for (unsigned i = 0; i < w->classes; i++)
		bits &= w->class[i].bit[w->word - w->class[i].first];
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
	w->left = words >> w->word & 1
			  ? word_of(w) & ~UINT64_C(1) << w->bit
			  : 0;
}
