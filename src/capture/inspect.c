/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Would it hurt here to route a packet twice? Others' chains say so: those
 * that translate what this host sends, filter it by connection state, drop
 * what is forwarded, or ask for the way back to its source. Each finding
 * names its chain, so that a person can look there.
 */
#include "capture/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <string.h>

#include "capture/nft_build.h"
#include "capture/nft_own.h"
#include "capture/survey.h"
#include "rule/plan.h"

#define LEGACY_LIST "/proc/net/ip_tables_names"

/* The first finding of a kind is the one that is told. */
static void find(char *line, const struct survey_chain *c, const char *what)
{
	if (!line[0])
		snprintf(line, NFT_WHY_MAX, "chain %s %.80s %.80s %s",
			 nft_family_name(c->family), c->table, c->name, what);
}

static void look_at(struct nft_sight *s, const struct survey_chain *c)
{
	bool nat = c->base && survey_type_is(c, "nat");

	s->accepts += c->ours_n;
	if (nat && c->rules && survey_sees(c, NF_INET_POST_ROUTING))
		find(s->nat, c, "translates what this host sends");
	if (nat && c->rules && survey_sees(c, NF_INET_LOCAL_OUT))
		find(s->dnat, c, "redirects what this host sends");
	if (!nat && survey_sees(c, NF_INET_LOCAL_OUT) &&
	    c->does & SURVEY_STATE)
		find(s->stateful, c, "filters what this host sends by "
		     "connection state");
	if (survey_sees(c, NF_INET_FORWARD) &&
	    (c->drops || c->does & SURVEY_REFUSES))
		find(s->forward, c, "drops what is forwarded");
	if (survey_sees(c, NF_INET_PRE_ROUTING) && c->does & SURVEY_RPF)
		find(s->rpf, c, "asks for the way back to the source");
}

/* iptables-legacy keeps its rules where nftables cannot see them; only the
 * names of its tables can be read. */
static void look_legacy(struct nft_sight *s)
{
	FILE *f = fopen(LEGACY_LIST, "re");
	char name[32];
	size_t used = 0;

	while (f && fscanf(f, "%31s", name) == 1 &&
	       used + strlen(name) + 2 < 100)
		used += (size_t)snprintf(s->legacy + used, 100 - used, "%s%s",
					 used ? " " : "", name);
	if (f)
		fclose(f);
	if (used)
		snprintf(s->legacy + used, NFT_WHY_MAX - used,
			 ": tables of iptables-legacy, which may translate or "
			 "drop, and nobody can tell");
}

int nft_inspect(struct nft_sight *s, struct error *err)
{
	struct netlink nl = NETLINK_NONE;
	struct survey v = SURVEY_NONE;
	unsigned i;
	int r;

	memset(s, 0, sizeof(*s));
	r = netlink_open(&nl, NETLINK_NETFILTER);
	if (r)
		return error_set(err, r, "opening nftables: %s", strerror(-r));
	r = survey_make(&v, &nl, err);
	if (r)
		goto out;
	for (i = 0; i < v.chains; i++)
		look_at(s, &v.chain[i]);
	look_legacy(s);
out:
	survey_free(&v);
	netlink_close(&nl);
	return r;
}

/* ---- what follows ------------------------------------------------------- */

static int insisted(struct nft_how *how, const struct nft_sight *s,
		    char why[NFT_WHY_MAX], struct error *err)
{
	if (s->nat[0] && s->stateful[0])
		return error_set(err, -ENOTSUP, "--capture route cannot work "
				 "here: %s, so it would have to be tracked "
				 "after tun0 only, and %s, which then finds "
				 "none; use --capture wire", s->nat,
				 s->stateful);
	if (nft_own_arrives(how))
		return error_set(err, -ENOTSUP, "--capture route cannot tell "
				 "what arrives for a command: with --only "
				 "such rules work at the wire; use --capture "
				 "wire");
	if (s->nat[0] && (how->only.id || plan_asks_sender(how->plan)))
		return error_set(err, -ENOTSUP, "--capture route cannot tell "
				 "senders apart here: %s, so all of it would "
				 "have to go by tun0; use --capture wire",
				 s->nat);
	if (s->rpf[0])
		return error_set(err, -ENOTSUP, "--capture route cannot work "
				 "here: %s, and would not find it for packets "
				 "that come back by tun0; use --capture wire",
				 s->rpf);
	how->route = true;
	how->notrack = s->nat[0] != 0;
	if (how->notrack)
		snprintf(why, NFT_WHY_MAX, "as asked; tracked after %s only, "
			 "since %.180s", how->dev, s->nat);
	else
		snprintf(why, NFT_WHY_MAX, "as asked%s%.200s",
			 s->dnat[0] || s->legacy[0] ? ", although " : "",
			 s->dnat[0] ? s->dnat : s->legacy);
	return CAPTURE_ROUTE;
}

int nft_decide(struct nft_how *how, enum capture_mode wanted,
	       const struct nft_sight *s, char why[NFT_WHY_MAX],
	       struct error *err)
{
	const char *finding[] = { s->nat, s->dnat, s->stateful, s->forward,
				  s->rpf, s->legacy };
	unsigned i;

	if (wanted == CAPTURE_ROUTE)
		return insisted(how, s, why, err);
	how->route = how->notrack = false;
	if (nft_own_arrives(how)) {
		snprintf(why, NFT_WHY_MAX, "what arrives for a command is "
			 "known by what it sent there");
		return CAPTURE_WIRE;
	}
	if (wanted == CAPTURE_WIRE) {
		snprintf(why, NFT_WHY_MAX, "as asked");
		return CAPTURE_WIRE;
	}
	for (i = 0; i < sizeof(finding) / sizeof(finding[0]); i++) {
		if (!finding[i][0])
			continue;
		memcpy(why, finding[i], NFT_WHY_MAX);
		return CAPTURE_WIRE;
	}
	how->route = true;
	snprintf(why, NFT_WHY_MAX, "nothing here minds that packets are routed "
		 "twice");
	return CAPTURE_ROUTE;
}
