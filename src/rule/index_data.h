/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An index as it is stored: made by index_build.c, read by index.c, and
 * internal to the two.
 */
#ifndef SLUICE_RULE_INDEX_DATA_H
#define SLUICE_RULE_INDEX_DATA_H

#include "rule/index.h"

#define WORDS	16u
#define SEGMENT (WORDS * 64u)

#define LEAF 0x8000u /* of a node's entry: the rest is a class, not a node */

/* Rules of a segment. */
struct rules {
	uint64_t bit[WORDS];
};

struct class {
	uint32_t at;	/* of the field's bits */
	uint16_t words; /* 1 << word: it has a bit */
	uint16_t first; /* the word that stands at */
};

struct field {
	uint16_t (*node)[256]; /* the first is the root */
	struct class *class;
	uint64_t *bit;
	uint32_t nodes, room, classes, bits;
	/* For a packet that has no such field: the rules that do not ask. */
	struct rules absent;
	uint16_t absent_words; /* 1 << word: it has a bit */
};

struct segment {
	const struct rule *rule[SEGMENT];
	uint32_t count;
	struct rules all;
	uint16_t all_words;
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

struct index_field_info {
	enum match_key key;
	uint32_t last;
	uint8_t shift; /* of the first byte */
};
extern const struct index_field_info index_fields[INDEX_FIELDS];

#endif
