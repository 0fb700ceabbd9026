/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * By route or at the wire: asked at the start, and again when the ruleset or
 * the uplinks have changed and settled. Must not know what the rules say.
 */
#include "capture/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

/* Whoever changes the ruleset seldom does so only once. */
#define SETTLE	     (200 * NSEC_PER_MSEC)
#define SWITCH_EVERY NSEC_PER_SEC

void mode_stale(struct capture *c)
{
	if (c->look_at < 0)
		c->look_at = clock_monotonic() + SETTLE;
}

int mode_choose(const struct capture *c, const struct nft_sight *sight,
		struct nft_how *how, char *why, struct error *err)
{
	const struct port *fifo = links_fifo(c);
	int r = nft_decide(how, c->cfg.mode, sight, why, err);

	if (r != CAPTURE_ROUTE || c->cfg.mode != CAPTURE_AUTO || !fifo)
		return r;
	/* A TUN takes a packet off its socket's account: only the queue in
	 * front of the packet socket keeps a plain queue short. */
	r = nft_decide(how, CAPTURE_WIRE, sight, why, err);
	snprintf(why, NFT_WHY_MAX, "%s queues first in, first out (%s)",
		 fifo->u.name, fifo->qdisc);
	return r;
}

/* Packets are sent by route only while the ip rule is there. Returns the
 * mode. */
static int change_to(struct capture *c, enum capture_mode mode,
		     const struct nft_how *how, struct error *err)
{
	enum capture_mode old = c->mode;
	int r;

	c->mode = mode;
	r = selector_put(c, err);
	if (!r || r == -EEXIST)
		r = nft_change(c->nft, how, err) ? -EIO : 0;
	if (r) {
		c->mode = old;
		return r;
	}
	if (mode != CAPTURE_ROUTE && selector_drop(c, err))
		log_warn("%s", err->text);
	return (int)mode;
}

int mode_decide(struct capture *c, struct error *err)
{
	struct nft_how how = c->how;
	char why[NFT_WHY_MAX] = "";
	int64_t now = clock_monotonic();
	struct nft_sight sight;
	bool change;
	int r = nft_inspect(&sight, err);

	if (!r)
		r = mode_choose(c, &sight, &how, why, err);
	if (r < 0)
		return r;
	change = how.route != c->how.route || how.notrack != c->how.notrack ||
		 (enum capture_mode)r != c->mode;
	if (change && c->switched_at && now - c->switched_at < SWITCH_EVERY) {
		c->look_at = c->switched_at + SWITCH_EVERY;
		return 0;
	}
	if (change && c->up) {
		r = change_to(c, (enum capture_mode)r, &how, err);
		if (r < 0)
			return r;
	}
	c->how = how;
	c->mode = (enum capture_mode)r;
	memcpy(c->why, why, sizeof(c->why));
	if (!change)
		return 0;
	if (c->up)
		c->switched_at = now;
	if (!c->quiet && c->ev.mode)
		c->ev.mode(c->ev.arg, c->mode, c->why);
	return 0;
}

int mode_handle(struct capture *c, struct error *err)
{
	int r, accepts;

	if (c->look_at < 0 || clock_monotonic() < c->look_at)
		return 0;
	c->look_at = -1;
	r = mode_decide(c, err);
	if (!c->up)
		return r;
	/* A chain that drops what is forwarded may be new. */
	accepts = accepts_put(c, r ? NULL : err);
	return r ? r : accepts;
}
