/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads one rule: its expressions in order, with what the registers hold as
 * far as the mark is concerned. Extensions of iptables are known by name,
 * since iptables-nft loads them as such. What is not known counts as a
 * condition and nothing else.
 */
#include "capture/survey_rule.h"

#include <stdio.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/xt_mark.h>
#include <string.h>

#define REGS 24 /* NFT_REG_VERDICT to NFT_REG32_15 */

/* Nothing of interest, a part of the mark, a number. */
struct reg {
	enum { OTHER, MARK, CONSTANT } is;
	uint32_t mask, flip; /* MARK */
	uint32_t value;	     /* CONSTANT */
};

struct state {
	struct survey_rule *out;
	struct reg reg[REGS];
	unsigned conditions;
	bool accepts;
	bool strange; /* something that our accept does not have */
};

static struct reg *reg_of(struct state *s, const struct nftnl_expr *e,
			  uint16_t attr)
{
	uint32_t n;

	if (!nftnl_expr_is_set(e, attr))
		return NULL;
	n = nftnl_expr_get_u32(e, attr);
	return n < REGS ? &s->reg[n] : NULL;
}

static uint32_t word(const struct nftnl_expr *e, uint16_t attr)
{
	uint32_t len = 0, v = 0;
	const void *p = nftnl_expr_get(e, attr, &len);

	if (p && len >= sizeof(v))
		memcpy(&v, p, sizeof(v));
	return v;
}

/* A value that replaces the whole mark uses the bits it sets; one under a
 * mask those of the mask. */
static uint32_t used(uint32_t mask, uint32_t value)
{
	return mask == UINT32_MAX ? value : mask;
}

static void refuse(struct state *s)
{
	if (!s->conditions)
		s->out->does |= SURVEY_REFUSES;
}

static void read_meta(struct state *s, const struct nftnl_expr *e)
{
	uint32_t key = nftnl_expr_get_u32(e, NFTNL_EXPR_META_KEY);
	bool mark = key == NFT_META_MARK;
	struct reg *to = reg_of(s, e, NFTNL_EXPR_META_DREG);
	struct reg *from = reg_of(s, e, NFTNL_EXPR_META_SREG);

	s->strange |= key != NFT_META_IIFNAME;
	if (to)
		*to = (struct reg){ .is = mark ? MARK : OTHER,
				    .mask = UINT32_MAX };
	else if (from && mark && from->is == CONSTANT)
		s->out->marks |= from->value;
	else if (from && mark && from->is == MARK)
		s->out->marks |= ~from->mask | from->flip;
}

static void read_bitwise(struct state *s, const struct nftnl_expr *e)
{
	struct reg *from = reg_of(s, e, NFTNL_EXPR_BITWISE_SREG);
	struct reg *to = reg_of(s, e, NFTNL_EXPR_BITWISE_DREG);

	if (!from || !to)
		return;
	*to = *from;
	if (from->is != MARK ||
	    !nftnl_expr_is_set(e, NFTNL_EXPR_BITWISE_MASK)) {
		to->is = OTHER;
		return;
	}
	to->mask = word(e, NFTNL_EXPR_BITWISE_MASK);
	to->flip = word(e, NFTNL_EXPR_BITWISE_XOR);
}

static void read_cmp(struct state *s, const struct nftnl_expr *e)
{
	struct reg *r = reg_of(s, e, NFTNL_EXPR_CMP_SREG);

	s->conditions++;
	if (r && r->is == MARK)
		s->out->marks |= used(r->mask, word(e, NFTNL_EXPR_CMP_DATA));
}

static void read_immediate(struct state *s, const struct nftnl_expr *e)
{
	struct reg *to = reg_of(s, e, NFTNL_EXPR_IMM_DREG);

	if (!nftnl_expr_is_set(e, NFTNL_EXPR_IMM_VERDICT)) {
		if (to)
			*to = (struct reg){
				.is = CONSTANT,
				.value = word(e, NFTNL_EXPR_IMM_DATA),
			};
		return;
	}
	switch ((int)nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT)) {
	case NF_ACCEPT:
		s->accepts = true;
		break;
	case NF_DROP:
		refuse(s);
		break;
	case NFT_JUMP:
	case NFT_GOTO:
		s->out->to = nftnl_expr_get_str(e, NFTNL_EXPR_IMM_CHAIN);
		break;
	}
}

static void read_lookup(struct state *s, const struct nftnl_expr *e)
{
	struct reg *to;

	s->conditions++;
	if (!nftnl_expr_is_set(e, NFTNL_EXPR_LOOKUP_DREG))
		return;
	to = reg_of(s, e, NFTNL_EXPR_LOOKUP_DREG);
	if (to == &s->reg[NFT_REG_VERDICT])
		s->out->does |= SURVEY_VMAP;
	else if (to)
		to->is = OTHER;
}

static void read_fib(struct state *s, const struct nftnl_expr *e)
{
	uint32_t result = nftnl_expr_get_u32(e, NFTNL_EXPR_FIB_RESULT);

	if (result != NFT_FIB_RESULT_ADDRTYPE &&
	    nftnl_expr_get_u32(e, NFTNL_EXPR_FIB_FLAGS) & NFTA_FIB_F_SADDR)
		s->out->does |= SURVEY_RPF;
}

/* An extension of iptables that tests something. */
static void read_match(struct state *s, const struct nftnl_expr *e)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_MT_NAME);
	struct xt_mark_mtinfo1 m;
	uint32_t len = 0;
	const void *info = nftnl_expr_get(e, NFTNL_EXPR_MT_INFO, &len);

	if (!name || !strcmp(name, "comment"))
		return;
	s->conditions++;
	s->strange = true;
	if (!strcmp(name, "conntrack") || !strcmp(name, "state"))
		s->out->does |= SURVEY_STATE;
	else if (!strcmp(name, "rpfilter"))
		s->out->does |= SURVEY_RPF;
	else if (!strcmp(name, "mark") && info && len >= sizeof(m)) {
		memcpy(&m, info, sizeof(m));
		s->out->marks |= used(m.mask, m.mark);
	}
}

/* An extension of iptables that does something. */
static void read_target(struct state *s, const struct nftnl_expr *e)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME);
	struct xt_mark_tginfo2 t;
	uint32_t len = 0;
	const void *info = nftnl_expr_get(e, NFTNL_EXPR_TG_INFO, &len);

	if (!name)
		return;
	if (!strcmp(name, "REJECT")) {
		refuse(s);
	} else if (!strcmp(name, "MARK") && info && len >= sizeof(t)) {
		memcpy(&t, info, sizeof(t));
		s->out->marks |= used(t.mask, t.mark);
	}
}

/* What neither decides nor narrows. */
static bool harmless(const char *name)
{
	return !strcmp(name, "counter") || !strcmp(name, "log") ||
	       !strcmp(name, "payload") || !strcmp(name, "exthdr") ||
	       !strcmp(name, "byteorder");
}

/* A rule of ours may have been through iptables-save and -restore, which adds
 * a counter and has its own way with comments. */
static bool may_be_ours(const char *name)
{
	return !strcmp(name, "meta") || !strcmp(name, "cmp") ||
	       !strcmp(name, "immediate") || !strcmp(name, "counter") ||
	       !strcmp(name, "match");
}

static int read_expr(struct nftnl_expr *e, void *arg)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
	struct state *s = arg;

	if (!name)
		return 0;
	s->strange |= !may_be_ours(name);
	if (!strcmp(name, "meta")) {
		read_meta(s, e);
	} else if (!strcmp(name, "bitwise")) {
		read_bitwise(s, e);
	} else if (!strcmp(name, "cmp")) {
		read_cmp(s, e);
	} else if (!strcmp(name, "immediate")) {
		read_immediate(s, e);
	} else if (!strcmp(name, "lookup")) {
		read_lookup(s, e);
	} else if (!strcmp(name, "fib")) {
		read_fib(s, e);
	} else if (!strcmp(name, "match")) {
		read_match(s, e);
	} else if (!strcmp(name, "target")) {
		read_target(s, e);
	} else if (!strcmp(name, "reject")) {
		refuse(s);
	} else if (!strcmp(name, "ct")) {
		if (nftnl_expr_is_set(e, NFTNL_EXPR_CT_DREG) &&
		    nftnl_expr_get_u32(e, NFTNL_EXPR_CT_KEY) == NFT_CT_STATE)
			s->out->does |= SURVEY_STATE;
	} else if (!harmless(name)) {
		s->conditions++;
	}
	return 0;
}

static bool has_comment(const struct nftnl_rule *r, const char *text)
{
	const struct nftnl_udata *u;
	uint32_t len = 0;
	const uint8_t *p = nftnl_rule_get_data(r, NFTNL_RULE_USERDATA, &len);
	size_t want = strlen(text) + 1, at = 0;

	/* A type, a length, as many bytes; others may have written it. */
	while (p && at + 2 <= len && at + 2 + p[at + 1] <= len) {
		u = (const void *)(p + at);
		if (nftnl_udata_type(u) == NFTNL_UDATA_RULE_COMMENT &&
		    p[at + 1] == want && !memcmp(p + at + 2, text, want))
			return true;
		at += 2 + (size_t)p[at + 1];
	}
	return false;
}

void survey_rule_read(struct survey_rule *out, const struct nftnl_rule *r)
{
	struct state s = { .out = out };

	*out = (struct survey_rule){ .to = NULL };
	/* It takes no const, but changes nothing. */
	nftnl_expr_foreach((struct nftnl_rule *)(uintptr_t)r, read_expr, &s);
	/* A comment alone is a word that anybody may use. */
	out->ours = s.accepts && !s.strange && s.conditions == 1 &&
		    has_comment(r, SURVEY_COMMENT);
}
