/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the rules can be decided before a packet reaches us: steps in the
 * order of the rules, in words that nftables has. Whoever loads them into the
 * kernel needs nothing else. Knows no netlink.
 *
 * A step's terms are the conditions of a rule, one alternative of them. Who
 * only hands over may leave a condition out: all rules are tried again by
 * whom it is handed to. Who decides in the kernel may not.
 */
#ifndef SLUICE_RULE_PLAN_H
#define SLUICE_RULE_PLAN_H

#include "rule/range.h"
#include "rule/ruleset.h"

enum term_kind {
	TERM_RANGES, /* a number or IPv4 address in one of these */
	TERM_SET,    /* an address in this set */
	TERM_MASK,   /* tcp_flags & mask == value */
	TERM_NAME,   /* an interface; "eth*" for all that begin so */
	TERM_BYTES,  /* the payload of TCP or UDP begins so */
	TERM_CGROUP, /* of a process in this cgroup, or below it */
};

/* TERM_BYTES is cut to this. */
#define PLAN_BYTES_MAX 64

struct plan_term {
	enum term_kind kind;
	enum match_key key;
	bool negate;		/* MASK, NAME and CGROUP */
	struct ranges ranges;	/* sorted, not empty; owned */
	uint32_t value, mask;
	struct set *set;	/* borrowed from the rules, as is text */
	const char *text;
	uint32_t text_len;
};

enum step_act {
	STEP_HAND_OVER, /* to whoever tries all rules */
	STEP_ACCEPT,
	STEP_DROP,
	STEP_VIA,   /* it goes by the interface rule->constant.via */
	STEP_GO_ON, /* it was only counted or rewritten */
};

struct plan_step {
	const struct rule *rule; /* NULL: the policy, or too many rules */
	enum step_act act;
	unsigned dirs; /* 1 << DIR_*: in which it has a meaning */
	bool rewrite;  /* rule->rewrite is carried out first */
	struct plan_term *term;
	uint32_t terms;
};

/* Why a rule is not decided in the kernel, the first that holds. */
enum plan_why {
	PLAN_WHY_KERNEL,   /* it is */
	PLAN_WHY_FUNCTION, /* Lua decides */
	PLAN_WHY_VERDICT,  /* the verdict is carried out by us */
	PLAN_WHY_MATCH,	   /* a condition has no words in nftables */
	PLAN_WHY_REWRITE,  /* a rewrite has none */
	PLAN_WHY_AGAIN,	   /* a later rule may want the packet: it would be
			      rewritten or counted twice */
	PLAN_WHY_CONNECTION, /* a later rule wants whole connections */
	PLAN_WHY_MANY,	   /* too many rules before it */
	PLAN_WHY_NEVER,	   /* nothing gets to it */
};

/* Only one of the hooks can send by an interface; the others hand over. */
static inline bool plan_step_hands_over(const struct plan_step *s)
{
	return s->act == STEP_HAND_OVER || s->act == STEP_VIA;
}

struct plan_rule {
	enum plan_why why;
	enum match_key key; /* PLAN_WHY_MATCH: which */
	bool wide; /* more is handed over than the rule matches */
};

struct plan {
	struct plan_step *step;
	uint32_t steps, room;
	struct plan_rule *rule; /* by rule->index */
	struct set **set;	  /* those that terms name, each once */
	uint32_t sets;
	enum verdict_kind policy; /* behind the last step */
};

struct plan_options {
	bool sets; /* sets are held in the kernel as well */
	bool via;  /* it can send by an interface */
	/* A packet that stands for several is cut before we see it, but not
	 * before the kernel does: what they do not share is left to us. */
	bool cut;
};

/* True if a step is STEP_VIA, by that interface unless it is NULL. */
bool plan_sends_by(const struct plan *plan, const char *interface);

/* 0 or -ENOMEM. The plan borrows from rs, which must stay as it is. */
int plan_make(struct plan **plan, const struct ruleset *rs,
	      const struct plan_options *o);
void plan_free(struct plan *plan); /* NULL is fine */

/*
 * Whose packet it is (user, group, cgroup) only the kernel can tell. Where it
 * was asked before the packet got to us, the answer follows from that, and is
 * told to the matches of rs (match_assume). -EINVAL: it does not, err says of
 * which rule, and because of which other. Whoever hands over without this plan
 * must not have such rules.
 */
int plan_answer(const struct plan *plan, const struct ruleset *rs,
		struct error *err);

/* Whether a step asks for that, and whether by the cgroup, which not all hooks
 * know. plan may be NULL. */
bool plan_asks_sender(const struct plan *plan);
bool plan_asks_cgroup(const struct plan *plan);

/* Where a rule is decided, and why: one line, for check. plan may be NULL:
 * then it is as if the kernel decided nothing. */
enum plan_place { PLAN_KERNEL, PLAN_MATCH, PLAN_LUA };
enum plan_place plan_place(const struct plan *plan, const struct ruleset *rs,
			   const struct rule *r, char *why, size_t size);

/* True if all packets of this direction are handed over, whatever they are. */
bool plan_hands_over_all(const struct plan *plan, enum packet_dir dir);

/* ---- terms (plan_term.c), for plan.c ------------------------------------- */

/* The alternatives of a rule's match, each a step without act and rule. */
struct plan_steps {
	struct plan_step *step;
	uint32_t count;
	unsigned dirs;	 /* those the match admits */
	bool exact;	 /* nothing was left out */
	enum match_key left; /* what was, if not */
};

/* m may be NULL. connection: only what belongs to all packets of a
 * connection, and both of its directions. An empty list: nothing can meet it.
 * 0 or -ENOMEM. */
int plan_steps_make(struct plan_steps *list, const struct match *m,
		    bool connection, const struct plan_options *o);
void plan_steps_free(struct plan_steps *list);
void plan_step_free(struct plan_step *s);

/* False only if no packet can meet both; rewrite: even if those fields that a
 * rewrite may change are not what they were; anybody: whoever sends it. */
struct plan_meeting {
	bool rewrite, anybody;
};
bool plan_may_meet(const struct plan_step *a, const struct plan_step *b,
		   struct plan_meeting how);

#endif
