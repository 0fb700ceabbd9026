/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Accepts in the forward chains of others. A drop in any base chain is the
 * end of a packet, so an accept in a chain of ours does not help: it has to
 * stand in theirs. Such a rule outlives us; its comment is how it is found.
 */
#include "capture/nft.h"

#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

#include "capture/netlink.h"
#include "capture/nft_batch.h"
#include "capture/nft_build.h"
#include "capture/survey.h"

/* In front of the first rule of its chain. */
static void put_accept(struct netlink_batch *b, const struct survey_chain *c,
		       const char *dev)
{
	char *room = netlink_batch_room(b);
	struct nft_rule r;

	nft_rule_init(&r, (uint8_t)c->family, c->table, c->name);
	nft_iifname(&r, dev);
	nft_accept(&r);
	nft_comment(&r, SURVEY_COMMENT);
	if (r.failed || !room) {
		b->error = -ENOMEM;
	} else {
		struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(
			room, NFT_MSG_NEWRULE, (uint16_t)c->family,
			NLM_F_CREATE | NLM_F_ACK, 0);

		nftnl_rule_nlmsg_build_payload(nlh, r.r);
		netlink_batch_add(b, "accept in chain %s %.24s %.24s",
				  nft_family_name(c->family), c->table,
				  c->name);
	}
	nft_rule_free(&r);
}

static void put_removal(struct netlink_batch *b,
			const struct survey_chain *c, uint64_t handle)
{
	char *room = netlink_batch_room(b);
	struct nftnl_rule *r = nftnl_rule_alloc();
	struct nlmsghdr *nlh;

	if (!r || !room) {
		b->error = -ENOMEM;
		goto out;
	}
	nftnl_rule_set_str(r, NFTNL_RULE_TABLE, c->table);
	nftnl_rule_set_str(r, NFTNL_RULE_CHAIN, c->name);
	nftnl_rule_set_u64(r, NFTNL_RULE_HANDLE, handle);
	nlh = nftnl_nlmsg_build_hdr(room, NFT_MSG_DELRULE,
				    (uint16_t)c->family, NLM_F_ACK, 0);
	nftnl_rule_nlmsg_build_payload(nlh, r);
	netlink_batch_add(b, "accept of ours in chain %s %.20s %.20s",
			  nft_family_name(c->family), c->table, c->name);
out:
	if (r)
		nftnl_rule_free(r);
}

/* Our accepts in that chain become those for n devices. One transaction for
 * each chain: one owner may refuse, and that is no reason to leave the others
 * alone. */
static int change(struct netlink *nl, const struct survey_chain *c,
		  const char *const *dev, unsigned n, struct error *err)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	unsigned i;
	int r;

	nft_put_begin(&b);
	for (i = 0; i < n; i++)
		put_accept(&b, c, dev[i]);
	for (i = 0; i < c->ours_n; i++)
		put_removal(&b, c, c->ours[i]);
	nft_put_end(&b);
	r = netlink_batch_send(nl, &b, err);
	netlink_batch_free(&b);
	return r;
}

static bool would_drop(const struct survey_chain *c)
{
	return survey_sees(c, NF_INET_FORWARD) &&
	       (c->drops || c->does & SURVEY_REFUSES);
}

/* n 0: they are removed. */
static int accepts(const char *const *dev, unsigned n, struct error *err)
{
	struct netlink nl = NETLINK_NONE;
	struct survey v = SURVEY_NONE;
	unsigned i, count = 0;
	int first = 0, r;

	r = netlink_open(&nl, NETLINK_NETFILTER);
	if (r)
		return error_set(err, r, "opening nftables: %s", strerror(-r));
	r = survey_make(&v, &nl, err);
	if (r) {
		first = r;
		goto out;
	}
	for (i = 0; i < v.chains; i++) {
		const struct survey_chain *c = &v.chain[i];

		if (c->ours_n == n || (n && !would_drop(c)))
			continue;
		r = change(&nl, c, dev, n, first ? NULL : err);
		/* Gone meanwhile is as good as removed. */
		if (r && !first && (n || r != -ENOENT))
			first = r;
		count += !r;
	}
out:
	survey_free(&v);
	netlink_close(&nl);
	return first ? first : (int)count;
}

int nft_accept_put(const char *const *dev, unsigned n, struct error *err)
{
	return accepts(dev, n, err);
}

int nft_accept_remove(struct error *err)
{
	return accepts(NULL, 0, err);
}
