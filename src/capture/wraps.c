/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * May a packet that passes through (also by a device of ours, since a rule sent
 * it elsewhere) leave inside another one, which inherits its mark and is a
 * packet of its own? By a tunnel's device, or by IPsec. Only then marks have to
 * be cleared where the host sends, which costs all that it sends. Must not know
 * how that is done.
 */
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/internal.h"

/* As long as this kernel has no IPsec, nobody tells when it gets it. */
#define LOOK_EVERY NSEC_PER_SEC

/* By a socket that is there: to open one would load it. */
static bool has_xfrm(void)
{
	FILE *f = fopen("/proc/net/netlink", "re");
	char line[256];
	bool found = false;
	int bus;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*x %d", &bus) == 1 &&
			bus == NETLINK_XFRM;
	if (f)
		fclose(f);
	return found;
}

/* The other way to tell it policies, which answers no questions. */
static bool has_pfkey(void)
{
	return !access("/proc/net/pfkey", F_OK);
}

static int info_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *a;
	bool *any = arg;

	if (nlh->nlmsg_type != XFRM_MSG_NEWSPDINFO)
		return 0;
	*any = false;
	mnl_attr_for_each(a, nlh, sizeof(uint32_t)) {
		const struct xfrmu_spdinfo *n = mnl_attr_get_payload(a);

		if (mnl_attr_get_type(a) == XFRMA_SPD_INFO &&
		    mnl_attr_get_payload_len(a) >= sizeof(*n))
			*any = n->outcnt || n->fwdcnt;
	}
	return 0;
}

/* If it is not known, there are some. */
static bool has_policies(void)
{
	struct netlink nl = NETLINK_NONE;
	uint32_t flags = UINT32_MAX;
	uint8_t buf[128];
	bool any = true;

	if (netlink_open(&nl, NETLINK_XFRM))
		return true;
	if (netlink_ask(&nl, netlink_message(buf, XFRM_MSG_GETSPDINFO, 0,
					     &flags, sizeof(flags)),
			info_cb, &any, "", NULL))
		any = true;
	netlink_close(&nl);
	return any;
}

bool wraps_now(struct capture *c, const struct scan *s)
{
	c->wraps_at = -1;
	if (s->tunnels)
		return true;
	if (!s->forwards && !c->how.elsewhere && !c->how.vias)
		return false;
	if (!has_xfrm()) {
		c->wraps_at = clock_monotonic() + LOOK_EVERY;
		return has_pfkey();
	}
	/* First to be told, then to look: else a change in between is
	 * missed. */
	watch_policies(c);
	return has_policies();
}

bool wraps_stale(struct capture *c)
{
	if (c->wraps_at < 0 || clock_monotonic() < c->wraps_at)
		return false;
	c->wraps_at = clock_monotonic() + LOOK_EVERY;
	return has_xfrm() || has_pfkey() != c->how.wraps;
}
