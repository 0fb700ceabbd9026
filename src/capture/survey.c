/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads the ruleset of others, chains first, then rules, and carries what a
 * chain does back to those that jump to it. Hosts with a hundred thousand
 * rules exist: chains are found by bisection, rules are not kept.
 */
#include "capture/survey.h"

#include <errno.h>
#include <stdio.h>

#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "capture/nft_build.h"
#include "capture/survey_rule.h"

static void forget_rules(void *arg)
{
	struct survey *s = arg;
	unsigned i;

	for (i = 0; i < s->chains; i++) {
		struct survey_chain *c = &s->chain[i];

		free(c->ours);
		c->ours = NULL;
		c->ours_n = c->rules = c->does = 0;
		c->marks = 0;
	}
	s->jumps = 0;
}

static void forget_chains(void *arg)
{
	struct survey *s = arg;
	unsigned i;

	forget_rules(s);
	for (i = 0; i < s->chains; i++)
		nftnl_chain_free(s->chain[i].c);
	s->chains = 0;
}

void survey_free(struct survey *s)
{
	forget_chains(s);
	free(s->chain);
	free(s->jump);
	*s = SURVEY_NONE;
}

/* Makes room for one more of size bytes in list. */
static int grow(void **list, unsigned n, unsigned *have, size_t size)
{
	unsigned want = *have ? 2 * *have : 64;
	void *p;

	if (n < *have)
		return 0;
	p = realloc(*list, want * size);
	if (!p)
		return -ENOMEM;
	*list = p;
	*have = want;
	return 0;
}

/* ---- chains ------------------------------------------------------------- */

static int compare(uint32_t family, const char *table, const char *name,
		   const struct survey_chain *c)
{
	int r;

	if (family != c->family)
		return family < c->family ? -1 : 1;
	r = strcmp(table, c->table);
	return r ? r : strcmp(name, c->name);
}

static int by_name(const void *a, const void *b)
{
	const struct survey_chain *c = a;

	return compare(c->family, c->table, c->name, b);
}

static struct survey_chain *find(const struct survey *s, uint32_t family,
				 const char *table, const char *name)
{
	unsigned low = 0, high = s->chains;

	while (low < high) {
		unsigned mid = low + (high - low) / 2;
		int r = compare(family, table, name, &s->chain[mid]);

		if (!r)
			return &s->chain[mid];
		if (r < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static int read_chain(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_chain *n = nftnl_chain_alloc();
	struct survey *s = arg;
	struct survey_chain c = { .c = n };
	int r;

	if (!n)
		return -ENOMEM;
	if (nftnl_chain_nlmsg_parse(nlh, n) < 0)
		goto skip;
	c.family = nftnl_chain_get_u32(n, NFTNL_CHAIN_FAMILY);
	c.table = nftnl_chain_get_str(n, NFTNL_CHAIN_TABLE);
	c.name = nftnl_chain_get_str(n, NFTNL_CHAIN_NAME);
	if (!c.table || !c.name || !strcmp(c.table, NFT_TABLE))
		goto skip;
	c.base = nftnl_chain_is_set(n, NFTNL_CHAIN_HOOKNUM);
	if (c.base) {
		c.hook = nftnl_chain_get_u32(n, NFTNL_CHAIN_HOOKNUM);
		c.drops = nftnl_chain_is_set(n, NFTNL_CHAIN_POLICY) &&
			  nftnl_chain_get_u32(n, NFTNL_CHAIN_POLICY) ==
				  NF_DROP;
	}
	r = grow((void **)&s->chain, s->chains, &s->chains_size, sizeof(c));
	if (r) {
		nftnl_chain_free(n);
		return r;
	}
	s->chain[s->chains++] = c;
	return 0;
skip:
	nftnl_chain_free(n);
	return 0;
}

/* ---- rules -------------------------------------------------------------- */

static int keep_ours(struct survey_chain *c, const struct nftnl_rule *r)
{
	uint64_t *p = realloc(c->ours, (c->ours_n + 1) * sizeof(*p));

	if (!p)
		return -ENOMEM;
	c->ours = p;
	p[c->ours_n++] = nftnl_rule_get_u64(r, NFTNL_RULE_HANDLE);
	return 0;
}

static int keep_jump(struct survey *s, const struct survey_chain *from,
		     const char *name)
{
	const struct survey_chain *to = find(s, from->family, from->table,
					     name);
	int r;

	if (!to)
		return 0;
	r = grow((void **)&s->jump, s->jumps, &s->jumps_size,
		 sizeof(s->jump[0]));
	if (r)
		return r;
	s->jump[s->jumps++] = (struct survey_jump){
		.from = (unsigned)(from - s->chain),
		.to = (unsigned)(to - s->chain),
	};
	return 0;
}

/* The chain a rule is in, read without the library: it gives up on a rule
 * with an expression younger than itself, but such a rule counts too. */
static struct survey_chain *chain_of(const struct survey *s,
				     const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(nlh);
	const char *table = NULL, *chain = NULL;
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(*g)) {
		if (mnl_attr_get_type(a) == NFTA_RULE_TABLE &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			table = mnl_attr_get_str(a);
		if (mnl_attr_get_type(a) == NFTA_RULE_CHAIN &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			chain = mnl_attr_get_str(a);
	}
	return table && chain ? find(s, g->nfgen_family, table, chain) : NULL;
}

static int read_rule(const struct nlmsghdr *nlh, void *arg)
{
	struct survey *s = arg;
	struct survey_chain *c = chain_of(s, nlh);
	struct survey_rule does;
	struct nftnl_rule *r;
	int result = 0;

	if (!c)
		return 0;
	r = nftnl_rule_alloc();
	if (!r)
		return -ENOMEM;
	if (nftnl_rule_nlmsg_parse(nlh, r) < 0) {
		c->rules++;
		goto out;
	}
	survey_rule_read(&does, r);
	if (does.ours) {
		result = keep_ours(c, r);
		goto out;
	}
	c->rules++;
	c->does |= does.does;
	c->marks |= does.marks;
	if (does.to)
		result = keep_jump(s, c, does.to);
out:
	nftnl_rule_free(r);
	return result;
}

/* ---- all of it ---------------------------------------------------------- */

/* All chains of a table that a map may lead to. */
static unsigned whole_table(const struct survey *s,
			    const struct survey_chain *c)
{
	unsigned i, does = 0;

	for (i = 0; i < s->chains; i++)
		if (!s->chain[i].base && s->chain[i].family == c->family &&
		    !strcmp(s->chain[i].table, c->table))
			does |= s->chain[i].does;
	return does;
}

/* Until nothing changes; a ruleset has no loops and little depth. */
static void carry_back(struct survey *s)
{
	bool again = true;
	unsigned i, was;

	while (again) {
		again = false;
		for (i = 0; i < s->jumps; i++) {
			struct survey_chain *c = &s->chain[s->jump[i].from];

			was = c->does;
			c->does |= s->chain[s->jump[i].to].does;
			again |= c->does != was;
		}
		for (i = 0; i < s->chains; i++) {
			struct survey_chain *c = &s->chain[i];

			if (!(c->does & SURVEY_VMAP))
				continue;
			was = c->does;
			c->does |= whole_table(s, c);
			again |= c->does != was;
		}
	}
}

static int dump(struct netlink *nl, uint16_t type, netlink_cb *cb,
		void (*restart)(void *), struct survey *s)
{
	char buf[MNL_NLMSG_HDRLEN + 64];

	return netlink_dump(nl, nftnl_nlmsg_build_hdr(buf, type,
						      NFPROTO_UNSPEC, 0, 0),
			    cb, restart, s);
}

int survey_make(struct survey *s, struct netlink *nl, struct error *err)
{
	int r;

	*s = SURVEY_NONE;
	r = dump(nl, NFT_MSG_GETCHAIN, read_chain, forget_chains, s);
	if (r)
		goto fail;
	if (s->chains)
		qsort(s->chain, s->chains, sizeof(s->chain[0]), by_name);
	r = dump(nl, NFT_MSG_GETRULE, read_rule, forget_rules, s);
	if (r)
		goto fail;
	carry_back(s);
	return 0;
fail:
	return error_set(err, r, "reading the nftables ruleset: %s",
			 strerror(-r));
}

bool survey_type_is(const struct survey_chain *c, const char *type)
{
	const char *is = nftnl_chain_get_str(c->c, NFTNL_CHAIN_TYPE);

	return is && !strcmp(is, type);
}

bool survey_sees(const struct survey_chain *c, uint32_t hook)
{
	return c->base && c->hook == hook &&
	       (c->family == NFPROTO_IPV4 || c->family == NFPROTO_INET);
}
