/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What would be installed, as text, for people who want to read it first.
 * The rules' text comes from where the rules come from. Needs no privilege.
 */
#include "capture/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <string.h>

#include "base/clock.h"
#include "capture/internal.h"
#include "capture/nft_build.h"
#include "capture/nft_count.h"
#include "capture/nft_own.h"
#include "capture/nft_flow.h"
#include "capture/nft_set.h"
#include "capture/nft_via.h"

static void print_chain(const struct nft_chain *c, FILE *f)
{
	unsigned i;

	fprintf(f, "\tchain %s {\n", c->name);
	if (c->type) {
		fprintf(f, "\t\ttype %s hook %s ", c->type, c->hook_name);
		if (c->dev[0])
			fprintf(f, "device \"%s\" ", c->dev);
		fprintf(f, "priority %s; policy accept;\n", c->priority_name);
	}
	for (i = 0; i < c->rules; i++)
		fprintf(f, "\t\t%s\n", c->rule[i].text);
	fputs("\t}\n", f);
}

static int print_table(const struct nft_plan *p, const struct nft_how *how,
		       uint8_t family, FILE *f)
{
	unsigned i;
	int r = 0;

	fprintf(f, "table %s " NFT_TABLE " {\n\tflags owner\n",
		nft_family_name(family));
	if (how->flows)
		nft_flows_print(f);
	for (i = 0; how->plan && i < how->plan->sets && !r; i++)
		r = nft_set_print(how->plan->set[i], i, clock_wall(), f);
	if (nft_expects(how) && family == NFPROTO_NETDEV)
		fputs("\n\tset " NFT_EXPECTED " {\n"
		      "\t\ttype inet_proto . inet_service\n\t}\n", f);
	if (nft_own_arrives(how) && family == NFPROTO_NETDEV)
		nft_own_print_set(f);
	if (how->vias && family == NFPROTO_IPV4)
		nft_via_print_set(f);
	if (p->rules)
		nft_counters_print(p->rules, f);
	for (i = 0; i < p->chains; i++) {
		if (p->chain[i].family != family)
			continue;
		fputc('\n', f);
		print_chain(&p->chain[i], f);
	}
	fputs("}\n", f);
	return r;
}

int nft_print(const struct nft_how *how, struct uplink *const *list,
	      unsigned count, FILE *f)
{
	struct nft_plan p = NFT_PLAN_NONE;
	int r = nft_plan_make(&p, how, list, count);

	if (!r)
		r = print_table(&p, how, NFPROTO_IPV4, f);
	if (!r)
		r = print_table(&p, how, NFPROTO_NETDEV, f);
	nft_plan_free(&p);
	return r;
}
