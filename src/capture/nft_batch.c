/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The messages of a transaction on our tables. Must not know which chains
 * there are, nor send anything.
 */
#include "capture/nft_batch.h"

#include <errno.h>
#include <stdio.h>

#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

/* Behind the numbers of the sets that have names. */
#define NFT_ANON_FIRST 10000

/* Since Linux 5.12; headers of that time lack the name. */
#define TABLE_OWNER 0x2

static struct nlmsghdr *message(struct netlink_batch *b, uint16_t type,
				uint8_t family, uint16_t flags)
{
	char *room = netlink_batch_room(b);

	if (!room)
		return NULL;
	return nftnl_nlmsg_build_hdr(room, type, family, flags | NLM_F_ACK, 0);
}

void nft_put_begin(struct netlink_batch *b)
{
	char *room = netlink_batch_room(b);

	if (!room)
		return;
	nftnl_batch_begin(room, 0);
	netlink_batch_add(b, "nftables transaction");
}

void nft_put_end(struct netlink_batch *b)
{
	char *room = netlink_batch_room(b);

	if (!room)
		return;
	nftnl_batch_end(room, 0);
	netlink_batch_add(b, "nftables transaction");
}

void nft_put_table(struct netlink_batch *b, uint16_t type, uint8_t family)
{
	bool create = type == NFT_MSG_NEWTABLE;
	struct nftnl_table *t = nftnl_table_alloc();
	struct nlmsghdr *nlh;

	nlh = message(b, type, family,
		      create ? NLM_F_CREATE | NLM_F_EXCL : 0);
	if (!t || !nlh) {
		b->error = -ENOMEM;
		goto out;
	}
	nftnl_table_set_u32(t, NFTNL_TABLE_FAMILY, family);
	nftnl_table_set_str(t, NFTNL_TABLE_NAME, NFT_TABLE);
	if (create)
		nftnl_table_set_u32(t, NFTNL_TABLE_FLAGS, TABLE_OWNER);
	nftnl_table_nlmsg_build_payload(nlh, t);
	netlink_batch_add(b, "table %s " NFT_TABLE, nft_family_name(family));
out:
	if (t)
		nftnl_table_free(t);
}

/* nft's numbers for inet_proto and inet_service, and how it joins two. */
#define KEY_TYPE (12 << 6 | 13)
/* Each part of a key fills whole registers of four bytes. */
#define KEY_LEN 8

static struct nftnl_set *expected(void)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (!s)
		return NULL;
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_NETDEV);
	if (!nftnl_set_set_str(s, NFTNL_SET_TABLE, NFT_TABLE) &&
	    !nftnl_set_set_str(s, NFTNL_SET_NAME, NFT_EXPECTED))
		return s;
	nftnl_set_free(s);
	return NULL;
}

void nft_put_new_set(struct netlink_batch *b, const struct nft_new_set *n)
{
	struct nlmsghdr *nlh = message(b, NFT_MSG_NEWSET, n->family,
				       NLM_F_CREATE |
				       (n->may_exist ? 0 : NLM_F_EXCL));
	struct nftnl_expr *counter =
		n->counted ? nftnl_expr_alloc("counter") : NULL;
	struct nftnl_set *s = nftnl_set_alloc();

	if (s && counter)
		nftnl_set_add_expr(s, counter);
	if (!s || !nlh || (n->counted && !counter) ||
	    nftnl_set_set_str(s, NFTNL_SET_TABLE, NFT_TABLE) < 0 ||
	    nftnl_set_set_str(s, NFTNL_SET_NAME, n->name) < 0) {
		b->error = -ENOMEM;
		goto out;
	}
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, n->family);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, n->type);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, n->len);
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, n->flags);
	if (n->timeout)
		nftnl_set_set_u64(s, NFTNL_SET_TIMEOUT, n->timeout);
	if (n->size)
		nftnl_set_set_u32(s, NFTNL_SET_DESC_SIZE, n->size);
	nftnl_set_set_u32(s, NFTNL_SET_ID, n->id);
	nftnl_set_nlmsg_build_payload(nlh, s);
	netlink_batch_add(b, "set %s " NFT_TABLE " %s",
			  nft_family_name(n->family), n->name);
out:
	if (s)
		nftnl_set_free(s);
}

void nft_put_set(struct netlink_batch *b)
{
	nft_put_new_set(b, &(struct nft_new_set){
		.family = NFPROTO_NETDEV,
		.name = NFT_EXPECTED,
		.type = KEY_TYPE,
		.len = KEY_LEN,
		.id = 1,
	});
}

void nft_put_element(struct netlink_batch *b, uint16_t type, uint8_t proto,
		     uint16_t port)
{
	struct nlmsghdr *nlh = message(b, type, NFPROTO_NETDEV, NLM_F_CREATE);
	uint8_t key[KEY_LEN] = { proto, 0, 0, 0, (uint8_t)(port >> 8),
				 (uint8_t)port };
	struct nftnl_set_elem *e = nftnl_set_elem_alloc();
	struct nftnl_set *s = expected();

	if (!s || !e || !nlh ||
	    nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, sizeof(key)) < 0) {
		b->error = -ENOMEM;
		goto out;
	}
	nftnl_set_elem_add(s, e);
	e = NULL;
	nftnl_set_elems_nlmsg_build_payload(nlh, s);
	netlink_batch_add(b, "element of netdev " NFT_TABLE " " NFT_EXPECTED);
out:
	if (e)
		nftnl_set_elem_free(e);
	if (s)
		nftnl_set_free(s);
}

void nft_put_counter(struct netlink_batch *b, uint8_t family, const char *name)
{
	struct nlmsghdr *nlh = message(b, NFT_MSG_NEWOBJ, family,
				       NLM_F_CREATE | NLM_F_EXCL);
	struct nftnl_obj *o = nftnl_obj_alloc();

	if (!o || !nlh) {
		b->error = -ENOMEM;
		goto out;
	}
	nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, NFT_TABLE);
	nftnl_obj_set_str(o, NFTNL_OBJ_NAME, name);
	nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_PKTS, 0);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_BYTES, 0);
	nftnl_obj_nlmsg_build_payload(nlh, o);
	netlink_batch_add(b, "counter %s " NFT_TABLE " %s",
			  nft_family_name(family), name);
out:
	if (o)
		nftnl_obj_free(o);
}

void nft_put_chain(struct netlink_batch *b, const struct nft_chain *c)
{
	struct nftnl_chain *n = nftnl_chain_alloc();
	struct nlmsghdr *nlh;

	nlh = message(b, NFT_MSG_NEWCHAIN, c->family,
		      NLM_F_CREATE | NLM_F_EXCL);
	if (!n || !nlh) {
		b->error = -ENOMEM;
		goto out;
	}
	nftnl_chain_set_str(n, NFTNL_CHAIN_TABLE, NFT_TABLE);
	nftnl_chain_set_str(n, NFTNL_CHAIN_NAME, c->name);
	if (c->type) {
		nftnl_chain_set_str(n, NFTNL_CHAIN_TYPE, c->type);
		nftnl_chain_set_u32(n, NFTNL_CHAIN_HOOKNUM, c->hook);
		nftnl_chain_set_s32(n, NFTNL_CHAIN_PRIO, c->priority);
		nftnl_chain_set_u32(n, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	}
	if (c->dev[0])
		nftnl_chain_set_str(n, NFTNL_CHAIN_DEV, c->dev);
	nftnl_chain_nlmsg_build_payload(nlh, n);
	netlink_batch_add(b, "chain %s " NFT_TABLE " %s%s%s%s",
			  nft_family_name(c->family), c->name,
			  c->type ? " (hook " : "",
			  c->type ? c->hook_name : "", c->type ? ")" : "");
out:
	if (n)
		nftnl_chain_free(n);
}

/* A set that only this rule has: with a number of its own, by which the rule
 * names it. */
static void put_anon(struct netlink_batch *b, const struct nft_anon *a,
		     uint8_t family, const char *chain)
{
	uint32_t id = NFT_ANON_FIRST + b->items;
	struct nlmsghdr *nlh;

	nftnl_set_set_u32(a->set, NFTNL_SET_ID, id);
	nftnl_expr_set_u32(a->lookup, NFTNL_EXPR_LOOKUP_SET_ID, id);
	nlh = message(b, NFT_MSG_NEWSET, family, NLM_F_CREATE | NLM_F_EXCL);
	if (!nlh)
		return;
	nftnl_set_nlmsg_build_payload(nlh, a->set);
	netlink_batch_add(b, "set of a rule of %s", chain);
	nlh = message(b, NFT_MSG_NEWSETELEM, family, NLM_F_CREATE);
	if (!nlh)
		return;
	nftnl_set_elems_nlmsg_build_payload(nlh, a->set);
	netlink_batch_add(b, "elements of a set of %s", chain);
}

void nft_put_rules(struct netlink_batch *b, const struct nft_chain *c)
{
	struct nlmsghdr *nlh;
	unsigned i, k;

	for (i = 0; i < c->rules; i++) {
		for (k = 0; k < c->rule[i].anons; k++)
			put_anon(b, &c->rule[i].anon[k], c->family, c->name);
		nlh = message(b, NFT_MSG_NEWRULE, c->family,
			      NLM_F_CREATE | NLM_F_APPEND);
		if (!nlh)
			return;
		nftnl_rule_nlmsg_build_payload(nlh, c->rule[i].r);
		netlink_batch_add(b, "rule of %s: %s", c->name,
				  c->rule[i].text);
	}
}

/* All rules of a chain. */
void nft_put_flush(struct netlink_batch *b, const struct nft_known *k)
{
	struct nftnl_rule *r = nftnl_rule_alloc();
	struct nlmsghdr *nlh = message(b, NFT_MSG_DELRULE, k->family, 0);

	if (!r || !nlh) {
		b->error = -ENOMEM;
		goto out;
	}
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, NFT_TABLE);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, k->name);
	nftnl_rule_nlmsg_build_payload(nlh, r);
	netlink_batch_add(b, "rules of chain %s " NFT_TABLE " %s",
			  nft_family_name(k->family), k->name);
out:
	if (r)
		nftnl_rule_free(r);
}

void nft_put_delete(struct netlink_batch *b, const struct nft_known *k)
{
	struct nftnl_chain *c = nftnl_chain_alloc();
	struct nlmsghdr *nlh = message(b, NFT_MSG_DELCHAIN, k->family, 0);

	if (!c || !nlh) {
		b->error = -ENOMEM;
		goto out;
	}
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, NFT_TABLE);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, k->name);
	nftnl_chain_nlmsg_build_payload(nlh, c);
	netlink_batch_add(b, "chain %s " NFT_TABLE " %s",
			  nft_family_name(k->family), k->name);
out:
	if (c)
		nftnl_chain_free(c);
}
