/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See nft_count.h. Must not know chains. */
#include "capture/nft_count.h"

#include <errno.h>
#include <string.h>

#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "capture/nft_batch.h"
#include "capture/nft_flow.h"

/* The next rule behind *step that has a counter; NULL: none. The steps of a
 * rule follow each other. */
static const struct rule *next_counted(const struct plan *p, uint32_t *step,
				       const struct rule *last)
{
	while (*step < p->steps) {
		const struct plan_step *s = &p->step[(*step)++];

		if (s->act != STEP_HAND_OVER && s->rule && s->rule != last)
			return s->rule;
	}
	return NULL;
}

void nft_counters_put(struct netlink_batch *b, uint8_t family,
		      const struct plan *p)
{
	const struct rule *r = NULL;
	char name[NFT_COUNTER_MAX];
	uint32_t step = 0;

	if (p->policy == VERDICT_DROP)
		nft_put_counter(b, family, NFT_COUNTER_POLICY);
	while ((r = next_counted(p, &step, r))) {
		snprintf(name, sizeof(name), NFT_COUNTER, r->index);
		nft_put_counter(b, family, name);
	}
}

void nft_counters_print(const struct plan *p, FILE *f)
{
	const struct rule *r = NULL;
	uint32_t step = 0;

	while ((r = next_counted(p, &step, r)))
		fprintf(f, "\n\tcounter " NFT_COUNTER " { # %s\n\t}\n",
			r->index, r->name ? r->name : "");
	if (p->policy == VERDICT_DROP)
		fputs("\n\tcounter " NFT_COUNTER_POLICY " {\n\t}\n", f);
}

struct counting {
	void (*f)(void *arg, uint32_t rule, uint64_t packets, uint64_t bytes);
	void *arg;
};

static int one_counter(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_obj *o = nftnl_obj_alloc();
	const struct counting *c = arg;
	uint32_t rule = UINT32_MAX;
	const char *table, *name;

	if (!o)
		return -ENOMEM;
	if (nftnl_obj_nlmsg_parse(nlh, o) < 0)
		goto out;
	table = nftnl_obj_get_str(o, NFTNL_OBJ_TABLE);
	name = nftnl_obj_get_str(o, NFTNL_OBJ_NAME);
	if (!table || !name || strcmp(table, NFT_TABLE) ||
	    nftnl_obj_get_u32(o, NFTNL_OBJ_TYPE) != NFT_OBJECT_COUNTER ||
	    (strcmp(name, NFT_COUNTER_POLICY) &&
	     strcmp(name, NFT_BYPASSED) && strcmp(name, NFT_DROPPED) &&
	     sscanf(name, NFT_COUNTER, &rule) != 1))
		goto out;
	c->f(c->arg, rule, nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_PKTS),
	     nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_BYTES));
out:
	nftnl_obj_free(o);
	return 0;
}

int nft_counters_read(struct netlink *nl,
		      void (*f)(void *arg, uint32_t rule, uint64_t packets,
				uint64_t bytes),
		      void *arg, struct error *err)
{
	struct counting c = { .f = f, .arg = arg };
	char buf[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *nlh;
	int r;

	nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETOBJ, NFPROTO_UNSPEC, 0, 0);
	r = netlink_dump(nl, nlh, one_counter, NULL, &c);
	return r < 0 ? error_set(err, r, "reading our nftables counters: %s",
				 strerror(-r)) : 0;
}
