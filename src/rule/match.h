/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A match: conditions on a packet, every one of which must hold. It is data,
 * so that whoever decides cheapest can evaluate it: the kernel, this file,
 * never Lua. Compiled once, evaluated without allocation.
 */
#ifndef SLUICE_RULE_MATCH_H
#define SLUICE_RULE_MATCH_H

#include "base/log.h"
#include "packet/packet.h"
#include "rule/set.h"

enum match_key {
	MATCH_PROTO,
	MATCH_SRC,
	MATCH_DST,
	MATCH_SPORT,
	MATCH_DPORT,
	MATCH_ICMP_TYPE,
	MATCH_ICMP_CODE,
	MATCH_TCP_FLAGS,
	MATCH_DIR,
	MATCH_OIF,
	MATCH_IIF,
	MATCH_USER,   /* answered by the kernel alone: see match_assume */
	MATCH_GROUP,  /* likewise */
	MATCH_CGROUP, /* likewise */
	MATCH_DSCP,
	MATCH_TTL,
	MATCH_LEN,
	MATCH_FRAGMENT,
	MATCH_PAYLOAD,
	MATCH_KEYS
};

/* One alternative of a condition. */
struct match_value {
	bool negate;
	uint32_t low, high;	 /* numbers, inclusive; flags: value, mask */
	struct address from, to; /* addresses, inclusive */
	const char *text;	 /* interface name (may end in '*'), payload,
				    cgroup ("system.slice/ssh.service") */
	uint32_t text_len;
	struct set *set; /* a reference of ours */
};

/* key in any of the values: true if some value without negate covers it (or
 * there is none without) and no value with negate does. */
struct match_cond {
	enum match_key key;
	uint32_t count;
	struct match_value *value;
	struct match_cond *next;
};

struct match; /* conditions in the order they are cheapest to try */

struct match *match_new(void);
void match_free(struct match *m);
const struct match_cond *match_conds(const struct match *m);

/* "src" -> MATCH_SRC; unknown: -ENOENT and err names the nearest key. */
int match_key_parse(const char *name, struct error *err);
const char *match_key_name(enum match_key key);

/*
 * Adds one alternative to the condition on key, from the text a person
 * wrote: a value, a range "1024-65535", "!x". For MATCH_PAYLOAD text is
 * bytes, n of them. err says what would have been right. Users and groups are
 * looked up by name here, once.
 */
int match_add(struct match *m, enum match_key key, const char *text, size_t n,
	      struct error *err);
int match_add_set(struct match *m, enum match_key key, struct set *s,
		  struct error *err);
int match_add_bool(struct match *m, enum match_key key, bool value,
		   struct error *err);

/*
 * Whose packet it is, user, group and cgroup, is written in no packet: the
 * kernel knows it of what it sends. What such conditions are taken to be of
 * packets that leave, for m as a whole: false until it is said otherwise, by
 * somebody who knows which packets get here.
 */
bool match_key_is_kernel(enum match_key key);
/* The first such key of m, or MATCH_KEYS. m may be NULL. */
enum match_key match_asks_kernel(const struct match *m);
void match_assume(struct match *m, bool hold);

/* Who can tell the uplink of a packet that came by route. May be NULL. */
struct match_context {
	int64_t now; /* ns, for sets */
	/* Fills p->ifindex and p->iface if it can. */
	void (*resolve)(struct packet *p, void *arg);
	void *arg;
};

bool match_holds(const struct match *m, struct packet *p,
		 const struct match_context *ctx);

/* Like match_holds; failed gets the key of the first condition that does
 * not hold. For explanations. */
bool match_explain(const struct match *m, struct packet *p,
		   const struct match_context *ctx, enum match_key *failed);

/* "proto=icmp icmp_type=echo-request"; "any packet" for none. */
const char *match_text(const struct match *m, char *buf, size_t size);

/* True if no packet can meet it (an empty range, proto=tcp with icmp_type):
 * why says so. */
bool match_is_empty(const struct match *m, struct error *why);

/* True if whatever meets a certainly meets b. */
bool match_within(const struct match *a, const struct match *b);

#endif
