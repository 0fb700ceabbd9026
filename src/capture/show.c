/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What capture_up would do on this host as it is now, as text. Changes
 * nothing and needs no privilege. */
#include "capture/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "rule/plan.h"

#include "rule/plan.h"

/* Without privilege nftables says nothing: then as if nobody minded. */
static enum capture_mode guess(struct capture *c)
{
	struct nft_sight s;
	int r;

	if (nft_inspect(&s, NULL))
		memset(&s, 0, sizeof(s));
	r = mode_choose(c, &s, &c->how, c->why, NULL);
	return r == CAPTURE_WIRE ? CAPTURE_WIRE : CAPTURE_ROUTE;
}

static int print(struct capture *c, FILE *f)
{
	struct uplink *list[PORTS_MAX];

	for (unsigned i = 0; i < c->ports; i++) {
		c->port[i].u.in = c->cfg.in || c->cfg.forward || c->cfg.probes;
		list[i] = &c->port[i].u;
	}
	c->mode = guess(c);
	fprintf(f, "# %s: %s\n",
		c->mode == CAPTURE_WIRE ? "at the wire" : "by route", c->why);
	fprintf(f, "# ip route add table %" PRIu32 " default dev %s protocol "
		   "%d\n", c->cfg.table, c->dev, CAPTURE_PROTOCOL);
	if (c->mode == CAPTURE_ROUTE)
		fprintf(f, "# ip rule add pref %" PRIu32 " fwmark 0x%" PRIx32
			   " lookup %" PRIu32 " protocol %d\n",
			c->cfg.pref, c->cfg.mark, c->cfg.table,
			CAPTURE_PROTOCOL);
	for (unsigned i = 0; i < c->cfg.vias; i++)
		fprintf(f, "# ip rule add pref %" PRIu32 " iif " NFT_VIA_DEVICE
			   " lookup %" PRIu32 " protocol %d # by %s, or "
			   "dropped\n",
			c->cfg.pref, i, via_table(&c->cfg, i),
			CAPTURE_PROTOCOL, c->cfg.via[i]);
	for (unsigned i = 0; i < c->cfg.vias; i++)
		if (plan_sends_by(c->cfg.plan, c->cfg.via[i]))
			fprintf(f, "# ip rule add pref %" PRIu32
				   " fwmark 0x%" PRIx32 " lookup %" PRIu32
				   " protocol %d\n",
				c->cfg.pref,
				nft_via_mark(c->cfg.mark, c->cfg.mask, i),
				via_table(&c->cfg, i), CAPTURE_PROTOCOL);
	return nft_print(&c->how, list, c->ports, f);
}

int capture_print(const struct capture_config *cfg, FILE *f)
{
	struct capture *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	capture_init(c, cfg);
	r = netlink_open(&c->rt, NETLINK_ROUTE);
	if (!r)
		r = links_find(c, NULL);
	if (plan_asks_cgroup(cfg->plan))
		c->how.cgroups = cgroup_root(NULL);
	if (!r)
		r = print(c, f);
	if (c->how.cgroups >= 0)
		close(c->how.cgroups);
	netlink_close(&c->rt);
	free(c);
	return r;
}
