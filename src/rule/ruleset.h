/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules in their order, and the walk of a packet through them. Knows
 * nothing of Lua: a condition or an action that is a function is an opaque
 * number, given back to whoever runs functions.
 */
#ifndef SLUICE_RULE_RULESET_H
#define SLUICE_RULE_RULESET_H

#include "packet/packet.h"
#include "rule/match.h"

enum verdict_kind {
	VERDICT_NONE, /* go on to the next rule */
	VERDICT_ACCEPT,
	VERDICT_DROP,
	VERDICT_REJECT,
	VERDICT_REPLACE, /* other packets go in its place */
	VERDICT_VIA,	 /* by another interface */
	VERDICT_ERROR,	 /* the action failed: on_error decides */
};
const char *verdict_name(enum verdict_kind kind); /* "ACCEPT" */

/* How a REJECT is told (RFC 1812 5.2.7.1). */
#define REJECT_DEFAULT (-1) /* RST for TCP, else port unreachable */

struct verdict {
	enum verdict_kind kind;
	int reject_code; /* ICMP unreachable code, or REJECT_DEFAULT */
	/* REPLACE: owned by whoever runs functions, until its next call. */
	struct packet *const *packets;
	uint32_t count;
	const struct rule *rule; /* which decided; NULL: the policy */
	const char *via;	 /* VIA: interface name, borrowed */
};
/* "ACCEPT", "VIA(wg0)" */
#define VERDICT_TEXT 32
const char *verdict_text(const struct verdict *v, char *buf, size_t size);

/* A constant rewrite, as data. */
enum rewrite_key {
	REWRITE_TTL, REWRITE_DSCP, REWRITE_ECN, REWRITE_DF, REWRITE_ID,
	REWRITE_MSS, REWRITE_SRC, REWRITE_DST, REWRITE_SPORT, REWRITE_DPORT,
	REWRITE_KEYS
};
struct rewrite {
	enum rewrite_key key;
	uint32_t number;
	struct address address;
	struct rewrite *next;
};
int rewrite_key_parse(const char *name, struct error *err);
const char *rewrite_key_name(enum rewrite_key key);
/* Reads a value as people write it. -EINVAL and err. */
int rewrite_parse(struct rewrite *r, const char *text, struct error *err);
/* Applies one; what the packet has no place for is left alone. An MSS is
 * only ever lowered, and only on SYNs (clamping). True if it changed. */
bool rewrite_apply(const struct rewrite *r, struct packet *p);

struct rule {
	uint32_t index;	     /* place in the order, from 0 */
	char *name;	     /* "fake-echo" or "file:line" */
	char *origin;	     /* "file:line" */
	struct match *match; /* NULL: every packet */
	int where;	     /* function handle, 0: none */
	struct rewrite *rewrite; /* a list, NULL: none */
	int action;	     /* function handle, 0: the constant below */
	bool elsewhere;	     /* its functions may send packets to others than
			      * they were for, or longer ones */
	bool connection;     /* its functions look at connections or change
			      * what TCP carries: they want all packets of
			      * each */
	struct verdict constant;
	struct rule *next;
};

/* Counters live in memory that several processes share: one array a worker,
 * indexed by rule->index; the last one counts the policy. */
struct rule_counter {
	uint64_t packets; /* for which the match held */
	uint64_t bytes;
	uint64_t errors;
};

struct ruleset {
	struct rule *first, **last;
	uint32_t count;
	enum verdict_kind policy;   /* ACCEPT or DROP */
	enum verdict_kind on_error; /* ACCEPT or DROP */
	unsigned dirs;		    /* 1 << DIR_*: what is to be captured */
	bool probes;		    /* tasks may send packets and wait for
				     * what answers them */
	struct rule_index *index;   /* NULL: every rule is tried */
};

struct ruleset *ruleset_new(void); /* ACCEPT, ACCEPT, DIR_OUT */
void ruleset_free(struct ruleset *rs);

/* Appends; takes r over (r, name, origin, match and rewrites were malloced,
 * and go with the ruleset). Sets index. */
void ruleset_add(struct ruleset *rs, struct rule *r);
void rule_free(struct rule *r);

/* To be called when all rules are there: the walk then tries only those that
 * can hold. Matches must not be added to any more. It changes nothing else,
 * so that without memory for it all goes on as before. */
void ruleset_seal(struct ruleset *rs);

/* The sets that matches have, each once, in the order of the rules; to be
 * freed, but not what it lists. 0 or -ENOMEM. */
int ruleset_sets(const struct ruleset *rs, struct set ***set,
		 uint32_t *count);

/* Whether functions of some rule look at connections. */
bool ruleset_connections(const struct ruleset *rs);

/* Whoever runs functions. where: 1 holds, 0 does not, <0 it failed. action:
 * fills v (NONE to go on). p may be changed by either. */
struct ruleset_calls {
	int (*where)(void *arg, const struct rule *r, struct packet *p);
	void (*action)(void *arg, const struct rule *r, struct packet *p,
		       struct verdict *v);
	void *arg;
};

/*
 * Walks p through the rules. v->kind is never NONE afterwards: a packet no
 * rule decided gets the policy (rule NULL). An ERROR is left to the caller,
 * who has the packet as it arrived. counters: count + 1 of them, or NULL.
 */
void ruleset_run(const struct ruleset *rs, struct packet *p,
		 const struct match_context *ctx,
		 const struct ruleset_calls *calls,
		 struct rule_counter *counters, struct verdict *v);

#endif
