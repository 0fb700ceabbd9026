/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A condition as it is evaluated, and what is known of each match key.
 * Internal to the match files.
 */
#ifndef SLUICE_RULE_COND_H
#define SLUICE_RULE_COND_H

#include "rule/match.h"
#include "rule/range.h"

enum key_kind {
	KEY_NUMBER, /* or a name that stands for one */
	KEY_CHOICE, /* names only */
	KEY_ADDRESS,
	KEY_FLAGS,
	KEY_IFACE,
	KEY_BYTES,
	KEY_CGROUP, /* a path, and all that is below it */
};

struct key_info {
	const char *name;
	enum key_kind kind;
	uint8_t cost;			 /* the order of evaluation */
	uint32_t max;			 /* of a number */
	int (*number)(const char *name); /* <0: no such name; may be NULL */
	const char *want;		 /* "is not ..." */
};
extern const struct key_info match_keys[MATCH_KEYS];

struct cond {
	struct match_cond pub; /* first: the list is of these */
	uint32_t room;	       /* values allocated */
	uint32_t positive;     /* values without negate */
	uint32_t sets;	       /* of them, sets */
	bool assumed;	       /* see match_assume */
	/* Numbers and addresses once more, to be searched: without negate,
	 * and with it. Of addresses the second is IPv6; else it is unused. */
	struct ranges in[2], out[2];
};

struct match {
	struct match_cond *first;
};

static inline struct cond *cond_of(struct match_cond *c)
{
	return (struct cond *)c;
}

/* The protocols that have what key is about, 0 ends them; NULL: any may. */
const uint8_t *match_key_protos(enum match_key key);

/* The values a condition admits, of those up to max, added to r. Sets have no
 * part in it. family: 0, but 1 for IPv6 addresses. 0 or -ENOMEM. */
int cond_admits(struct ranges *r, const struct cond *c, int family, u128 max);

/* Whether a condition on flags admits exactly these. */
bool cond_admits_flags(const struct cond *c, uint32_t flags);

/* True if an interface name that pattern a admits is one that b admits,
 * whichever it is; a may be a name. */
bool iface_within(const char *a, const char *b);

/* The same of the paths of two cgroups: a is b or below it. */
bool cgroup_within(const char *a, const char *b);

/* True if every packet that begins like a, is of an interface like a or of a
 * cgroup like a does so like b. The two are of one key. */
bool text_value_within(enum match_key key, const struct match_value *a,
		       const struct match_value *b);

/* The TCP flags that a value of MATCH_TCP_FLAGS admits. */
static inline bool flags_within(uint32_t flags, const struct match_value *v)
{
	return (flags & v->high) == v->low;
}

#endif
