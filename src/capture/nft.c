/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our tables in the kernel: installed, changed and removed, each by one
 * transaction, which happens whole or not at all. They belong to the socket
 * here; when its last copy closes, the kernel removes them. Must not know
 * what the rules say: that is nft_build.c.
 */
#include "capture/nft.h"

#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "capture/netlink.h"
#include "capture/nft_batch.h"
#include "capture/nft_build.h"
#include "capture/nft_count.h"
#include "capture/nft_flow.h"
#include "capture/nft_own.h"
#include "capture/nft_set.h"
#include "capture/nft_via.h"

#define UPLINKS_MAX 128
#define TRIES	    3

static const uint8_t families[] = { NFPROTO_IPV4, NFPROTO_NETDEV };
#define FAMILIES (sizeof(families) / sizeof(families[0]))

struct nft {
	struct netlink nl;
	bool up;
	bool tables; /* are there, if without chains yet */
	bool no_sockets; /* this kernel does not know how->sockets */
	struct nft_sets sets;
	struct nft_how how;
	struct uplink uplink[UPLINKS_MAX]; /* without descriptors */
	unsigned uplinks;
	/* What our chains say, as they were written last. */
	struct nft_said {
		uint8_t family;
		char name[NFT_CHAIN_MAX];
		uint64_t sum;
	} *said;
	unsigned saids;
	struct nft_known known[12 * UPLINKS_MAX + 48];
	unsigned knowns;
};

/* ---- what is there, and what shall be ----------------------------------- */

static void forget_known(void *arg)
{
	((struct nft *)arg)->knowns = 0;
}

static int learn(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_chain *c = nftnl_chain_alloc();
	struct nft *n = arg;
	struct nft_known *k = &n->known[n->knowns];
	const char *table, *name;
	int r = 0;

	if (!c)
		return -ENOMEM;
	if (nftnl_chain_nlmsg_parse(nlh, c) < 0)
		goto out;
	table = nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE);
	name = nftnl_chain_get_str(c, NFTNL_CHAIN_NAME);
	if (!table || !name || strcmp(table, NFT_TABLE) ||
	    strlen(name) >= sizeof(k->name))
		goto out;
	if (n->knowns == sizeof(n->known) / sizeof(n->known[0])) {
		r = -ENOSPC;
		goto out;
	}
	k->family = (uint8_t)nftnl_chain_get_u32(c, NFTNL_CHAIN_FAMILY);
	strcpy(k->name, name);
	if (k->family == NFPROTO_IPV4 || k->family == NFPROTO_NETDEV)
		n->knowns++;
out:
	nftnl_chain_free(c);
	return r;
}

static int look(struct nft *n, struct error *err)
{
	char buf[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *nlh;
	int r;

	nlh = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC, 0,
				    0);
	r = netlink_dump(&n->nl, nlh, learn, forget_known, n);
	return r < 0 ? error_set(err, r, "reading our nftables chains: %s",
				 strerror(-r)) : 0;
}

static const struct nft_known *find_known(const struct nft *n,
				      const struct nft_chain *c)
{
	unsigned i;

	for (i = 0; i < n->knowns; i++)
		if (n->known[i].family == c->family &&
		    !strcmp(n->known[i].name, c->name))
			return &n->known[i];
	return NULL;
}

/* Uplinks under the names they have now; those that have gone are left out
 * and will be reported gone. */
static unsigned present(struct nft *n, struct uplink **list)
{
	unsigned i, count = 0;
	char name[IFNAMSIZ];

	for (i = 0; i < n->uplinks; i++) {
		struct uplink *u = &n->uplink[i];

		if (!if_indextoname((unsigned)u->ifindex, name))
			continue;
		memcpy(u->name, name, sizeof(name));
		list[count++] = u;
	}
	return count;
}

static bool says_the_same(const struct nft *n, const struct nft_chain *c)
{
	for (unsigned i = 0; i < n->saids; i++)
		if (n->said[i].family == c->family &&
		    !strcmp(n->said[i].name, c->name))
			return n->said[i].sum == c->sum;
	return false;
}

/* The kernel has all of plan; without memory to remember, all of it is
 * written anew the next time. */
static void remember(struct nft *n, const struct nft_plan *plan)
{
	free(n->said);
	n->said = calloc(plan->chains, sizeof(*n->said));
	n->saids = n->said ? plan->chains : 0;
	for (unsigned i = 0; i < n->saids; i++) {
		n->said[i].family = plan->chain[i].family;
		n->said[i].sum = plan->chain[i].sum;
		memcpy(n->said[i].name, plan->chain[i].name,
		       sizeof(n->said[i].name));
	}
}

enum chain_change { CHAIN_GOES, CHAIN_STAYS, CHAIN_IS_REWRITTEN };

/*
 * From the chains that the kernel has to those of plan. One that says the same
 * is left alone: a packet that is in it just now would look into a set that
 * belongs to its rules and find nothing there. Those of the uplink fresh are
 * made anew, since the device may be another one of the same name.
 */
static void put_changes(struct netlink_batch *b, const struct nft *n,
			const struct nft_plan *plan, int fresh)
{
	enum chain_change change[sizeof(n->known) / sizeof(n->known[0])] = {
		CHAIN_GOES };
	unsigned i;

	for (i = 0; i < plan->chains; i++) {
		const struct nft_known *k = find_known(n, &plan->chain[i]);

		if (k && (!fresh || plan->chain[i].ifindex != fresh))
			change[k - n->known] =
				says_the_same(n, &plan->chain[i])
					? CHAIN_STAYS
					: CHAIN_IS_REWRITTEN;
	}
	/* One jumps to another: all rules go before the first chain does,
	 * all chains come before the first rule does. */
	for (i = 0; i < n->knowns; i++)
		if (change[i] != CHAIN_STAYS)
			nft_put_flush(b, &n->known[i]);
	for (i = 0; i < n->knowns; i++)
		if (change[i] == CHAIN_GOES)
			nft_put_delete(b, &n->known[i]);
	for (i = 0; i < plan->chains; i++) {
		const struct nft_known *k = find_known(n, &plan->chain[i]);

		if (!k || change[k - n->known] == CHAIN_GOES)
			nft_put_chain(b, &plan->chain[i]);
	}
	for (i = 0; i < plan->chains; i++) {
		const struct nft_known *k = find_known(n, &plan->chain[i]);

		if (!k || change[k - n->known] != CHAIN_STAYS)
			nft_put_rules(b, &plan->chain[i]);
	}
}

static int all_there(const struct nft_plan *plan, struct error *err)
{
	unsigned i;

	for (i = 0; i < plan->chains; i++)
		if (plan->chain[i].dangling)
			return error_set(err, -ENODEV,
					 "chain netdev " NFT_TABLE " %s: the "
					 "device it forwards to is missing",
					 plan->chain[i].name);
	return 0;
}

/* Both tables with their sets, which are empty. */
static void put_tables(struct netlink_batch *b, const struct nft *n)
{
	unsigned i;

	for (i = 0; i < FAMILIES; i++) {
		nft_put_table(b, NFT_MSG_NEWTABLE, families[i]);
		if (n->how.flows)
			nft_flows_put(b, families[i]);
		nft_sets_put(b, &n->sets, families[i]);
	}
	if (nft_expects(&n->how))
		nft_put_set(b);
	if (nft_own_arrives(&n->how))
		nft_own_put_set(b);
	if (n->how.plan)
		for (i = 0; i < FAMILIES; i++)
			nft_counters_put(b, families[i], n->how.plan);
}

static int apply_once(struct nft *n, int fresh, struct error *err)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	struct nft_plan plan = NFT_PLAN_NONE;
	struct uplink *list[UPLINKS_MAX];
	int r;

	r = nft_plan_make(&plan, &n->how, list, present(n, list));
	if (r) {
		error_set(err, r, "making nftables rules: %s", strerror(-r));
		goto out;
	}
	r = all_there(&plan, err);
	if (r)
		goto out;
	forget_known(n);
	if (n->tables) {
		r = look(n, err);
		if (r)
			goto out;
	}
	nft_put_begin(&b);
	if (!n->tables)
		put_tables(&b, n);
	if (n->how.vias)
		nft_via_put_set(&b);
	put_changes(&b, n, &plan, fresh);
	nft_put_end(&b);
	r = netlink_batch_send(&n->nl, &b, err);
	if (!r)
		remember(n, &plan);
out:
	netlink_batch_free(&b);
	nft_plan_free(&plan);
	return r;
}

/* why: what the batch said. */
static int explain(int r, const struct error *why, struct error *err)
{
	/* The kernel keeps strangers off an owned table before it says that
	 * it exists; who has no privilege fails before any table. */
	if (r == -EPERM && !strncmp(why->text, "table ", 6))
		r = -EEXIST;
	switch (r) {
	case -EEXIST:
		return error_set(err, r, "nftables: a table " NFT_TABLE
				 " is there already: another instance runs in "
				 "this network namespace: stop it first");
	case -EOPNOTSUPP:
		return error_set(err, r, "nftables: %.300s: this needs Linux "
				 "5.16 or later with its egress hook and table "
				 "owners, see 'sluice doctor'", why->text);
	case -EPERM:
		return error_set(err, r, "nftables: %.300s: root is needed "
				 "(or CAP_NET_ADMIN)", why->text);
	default:
		return error_set(err, r, "nftables: %.400s", why->text);
	}
}

/* A device may go between the look and the transaction, and takes its chain
 * with it: then it is worth another look. */
static int apply(struct nft *n, int fresh, struct error *err)
{
	struct error why = { "" };
	int i, r = 0;

	n->how.sockets &= !n->no_sockets;
	for (i = 0; i < TRIES; i++) {
		r = apply_once(n, fresh, &why);
		if (r == -EOPNOTSUPP && n->how.sockets) {
			/* It is little that older or smaller kernels lack. */
			n->how.sockets = false;
			n->no_sockets = !apply_once(n, fresh, &why);
			r = n->no_sockets ? 0 : -EOPNOTSUPP;
			break;
		}
		if (r != -ENOENT && r != -ENODEV)
			break;
	}
	return r ? explain(r, &why, err) : 0;
}

/* ---- the interface ------------------------------------------------------ */

int nft_open(struct nft **n, struct error *err)
{
	struct nft *x = calloc(1, sizeof(*x));
	int r;

	*n = NULL;
	if (!x)
		return error_set(err, -ENOMEM, "opening nftables: no memory");
	r = netlink_open(&x->nl, NETLINK_NETFILTER);
	if (r) {
		free(x);
		return error_set(err, r, "opening nftables: %s", strerror(-r));
	}
	*n = x;
	return 0;
}

void nft_close(struct nft *n)
{
	if (!n)
		return;
	netlink_close(&n->nl);
	nft_sets_close(&n->sets);
	free(n->said);
	free(n);
}

void nft_forget(struct nft *n)
{
	/* The kernel counts sockets, not descriptors of them. */
	nft_close(n);
}

/*
 * Both are one as a transaction made them; but if somebody with more power
 * took one away, the other has to go alone.
 */
static int tables_drop(struct nft *n, struct error *err)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	struct error why = { "" };
	int first = 0, r;
	unsigned i;

	for (i = 0; i < FAMILIES; i++) {
		nft_put_begin(&b);
		nft_put_table(&b, NFT_MSG_DELTABLE, families[i]);
		nft_put_end(&b);
		r = netlink_batch_send(&n->nl, &b, first ? NULL : &why);
		if (r && r != -ENOENT && !first)
			first = r;
		netlink_batch_free(&b);
	}
	n->tables = false;
	n->saids = 0;
	nft_sets_close(&n->sets);
	return first ? explain(first, &why, err) : 0;
}

/* Sets are filled before a chain looks anything up: that is more than one
 * transaction, and comes first. */
static int fill_sets(struct nft *n, struct error *err)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	struct error why = { "" };
	const struct plan *p = n->how.plan;
	unsigned i;
	int r = nft_sets_open(&n->sets, p ? p->set : NULL, p ? p->sets : 0);

	if (r)
		return error_set(err, r, "nftables: no memory for sets");
	if (!n->sets.count)
		return 0;
	nft_put_begin(&b);
	put_tables(&b, n);
	nft_put_end(&b);
	r = netlink_batch_send(&n->nl, &b, &why);
	netlink_batch_free(&b);
	n->tables = !r;
	for (i = 0; i < n->sets.count && !r; i++)
		r = nft_set_update(&n->nl, &n->sets.list[i], i, NULL,
				   clock_wall(), &why);
	return r ? explain(r, &why, err) : 0;
}

int nft_up(struct nft *n, const struct nft_how *how,
	   struct uplink *const *list, unsigned count, struct error *err)
{
	unsigned i;
	int r;

	if (n->up)
		return error_set(err, -EALREADY, "nftables: already up");
	if (count > UPLINKS_MAX)
		return error_set(err, -E2BIG, "nftables: %u uplinks, %u at "
				 "most", count, UPLINKS_MAX);
	n->how = *how;
	n->uplinks = count;
	for (i = 0; i < count; i++)
		n->uplink[i] = *list[i];
	r = fill_sets(n, err);
	if (!r)
		r = apply(n, 0, err);
	if (!r)
		n->up = n->tables = true;
	else if (n->tables)
		tables_drop(n, NULL);
	else
		nft_sets_close(&n->sets);
	return r;
}

int nft_down(struct nft *n, struct error *err)
{
	if (!n->up)
		return 0;
	n->up = false;
	n->uplinks = 0;
	return tables_drop(n, err);
}

int nft_change(struct nft *n, const struct nft_how *how, struct error *err)
{
	struct nft_how old = n->how;
	int r;

	n->how = *how;
	if (!n->up)
		return 0;
	r = apply(n, 0, err);
	if (!r)
		return 0;
	n->how = old;
	return r;
}

static void remove_at(struct nft *n, unsigned i)
{
	memmove(&n->uplink[i], &n->uplink[i + 1],
		(n->uplinks - i - 1) * sizeof(n->uplink[0]));
	n->uplinks--;
}

int nft_uplink_put(struct nft *n, const struct uplink *u, struct error *err)
{
	unsigned i = 0;
	int r;

	if (!n->up)
		return 0;
	/* Also one that had this name before: its new one is still to come. */
	while (i < n->uplinks)
		if (n->uplink[i].ifindex == u->ifindex ||
		    !strcmp(n->uplink[i].name, u->name))
			remove_at(n, i);
		else
			i++;
	if (n->uplinks == UPLINKS_MAX)
		return error_set(err, -ENOSPC, "nftables: uplink %s: %u at "
				 "most", u->name, UPLINKS_MAX);
	n->uplink[n->uplinks++] = *u;
	r = apply(n, u->ifindex, err);
	if (!r)
		return 0;
	n->uplinks--;
	return r;
}

int nft_uplink_drop(struct nft *n, int ifindex, struct error *err)
{
	unsigned i;

	for (i = 0; i < n->uplinks && n->uplink[i].ifindex != ifindex; i++)
		;
	if (!n->up || i == n->uplinks)
		return 0;
	remove_at(n, i);
	return apply(n, 0, err);
}

int nft_expect(struct nft *n, uint8_t proto, uint16_t port, bool add,
	       struct error *err)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	struct error why = { "" };
	int r;

	if (!n->up || !n->how.probes)
		return error_set(err, -EINVAL, "nftables: probes were not "
				 "asked for");
	if (!nft_expects(&n->how))
		return 0;
	nft_put_begin(&b);
	nft_put_element(&b, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM,
			proto, port);
	nft_put_end(&b);
	r = netlink_batch_send(&n->nl, &b, &why);
	netlink_batch_free(&b);
	return r ? explain(r, &why, err) : 0;
}

int nft_set_changed(struct nft *n, const struct set *s,
		    const struct ranges *within, int64_t now,
		    struct error *err)
{
	struct error why = { "" };
	unsigned i = 0;
	int r;

	while (i < n->sets.count && n->sets.list[i].set != s)
		i++;
	/* Until it is up nothing is held, and then all of it; or, if this
	 * kernel took no plan, nothing ever. */
	if (!n->up || i == n->sets.count)
		return 0;
	r = nft_set_update(&n->nl, &n->sets.list[i], i, within, now, &why);
	return r ? explain(r, &why, err) : 0;
}

int nft_counters(struct nft *n,
		 void (*f)(void *arg, uint32_t rule, uint64_t packets,
			   uint64_t bytes),
		 void *arg, struct error *err)
{
	return n->up && n->how.plan ? nft_counters_read(&n->nl, f, arg, err)
				    : 0;
}

int nft_flows(struct nft *n, const struct capture_flow *list, unsigned count,
	      struct error *err)
{
	struct error why = { "" };
	int r;

	if (!n->up || !n->how.flows)
		return 0;
	r = count ? nft_flows_change(&n->nl, list, count, &why) :
		    nft_flows_clear(&n->nl, &why);
	return r ? explain(r, &why, err) : 0;
}

int nft_flow(struct nft *n, const struct capture_flow *f, uint64_t *packets)
{
	*packets = 0;
	return n->up && n->how.flows ? nft_flow_count(&n->nl, f, packets) : 0;
}

bool nft_changed(const struct nft *n, const struct nlmsghdr *nlh)
{
	uint32_t own = n->nl.sock ? mnl_socket_get_portid(n->nl.sock) : 0;

	return nlh->nlmsg_type ==
		       (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) &&
	       nlh->nlmsg_pid != own;
}
