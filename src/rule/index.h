/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which rules could hold for a packet, by its protocol, addresses and ports,
 * so that a walk need not try them all. It never leaves out a rule that
 * holds; of one that has other conditions too it cannot tell, and its match
 * is to be asked. Internal to rule/; knows nothing of actions and verdicts.
 *
 * What can change while it is in use (sets) and what is not an address, a
 * port or a protocol has no part in it. Nothing here allocates once it is
 * made.
 */
#ifndef SLUICE_RULE_INDEX_H
#define SLUICE_RULE_INDEX_H

#include "packet/packet.h"
#include "rule/ruleset.h"

enum index_field {
	INDEX_PROTO,
	INDEX_SRC,
	INDEX_DST,
	INDEX_SPORT,
	INDEX_DPORT,
	INDEX_FIELDS
};

struct rule_index;

/* For the rules as they are now. NULL: no memory. */
struct rule_index *index_new(const struct ruleset *rs);
void index_free(struct rule_index *x); /* NULL is fine */

/* What is looked up of a packet. */
struct index_keys {
	uint32_t value[INDEX_FIELDS];
	uint8_t has;   /* 1 << field: there is a value */
	uint8_t other; /* 1 << field: there is one that no table has */
};

/* A class that a value of the packet is in: words, the words that have a bit,
 * of which bit[0] is the one numbered first. */
struct index_bits {
	const uint64_t *bit;
	uint16_t words, first;
};

/* A walk: a place in the order, for a packet. The caller's, on its stack. */
struct index_walk {
	const struct rule_index *index;
	struct index_keys keys;
	uint32_t segment; /* where it is */
	uint32_t word, bit;
	uint64_t left;	/* candidates of that word that are still to come */
	uint32_t words; /* words of the segment that are still to come */
	unsigned classes;
	struct index_bits class[INDEX_FIELDS];
	bool certain; /* the rule given last holds: no need to ask */
};

void index_start(struct index_walk *w, const struct rule_index *x,
		 const struct packet *p);

/* The next rule that could hold; NULL: no more. */
const struct rule *index_next(struct index_walk *w);

/* To be called when p may have changed since it was last looked at: what
 * comes after the last rule given is found anew. */
void index_again(struct index_walk *w, const struct packet *p);

#endif
