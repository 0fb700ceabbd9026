/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The capture: a table of steps, done in order and undone in reverse, whether
 * because all is over or because one of them failed. Must not know how any
 * of them is done.
 */
#include "capture/capture.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/internal.h"
#include "rule/plan.h"

#define TUN_MTU	      65535
#define TUN_QUEUE_LEN 1000

/* ---- the steps ---------------------------------------------------------- */

static int sockets_open(struct capture *c, struct error *err)
{
	int r = netlink_open(&c->rt, NETLINK_ROUTE);

	if (r)
		return error_set(err, r, "opening rtnetlink: %s",
				 strerror(-r));
	return nft_open(&c->nft, err);
}

static int sockets_close(struct capture *c, struct error *err)
{
	(void)err;
	netlink_close(&c->rt);
	nft_close(c->nft);
	c->nft = NULL;
	return 0;
}

static int device_open(struct capture *c, struct error *err)
{
	c->offload = c->cfg.offload;
	return tun_open(c->dev, false, c->cfg.workers, &c->offload, c->tun,
			&c->tun_ifindex, err);
}

static int device_close(struct capture *c, struct error *err)
{
	int r = c->tun_ifindex ? link_delete(&c->rt, c->tun_ifindex) : 0;

	c->tun_ifindex = 0;
	tun_close(c->tun);
	if (!r || r == -ENODEV)
		return 0;
	return error_set(err, r, "removing %s: %s", c->dev, strerror(-r));
}

static int settings_put(struct capture *c, struct error *err)
{
	const struct link_settings s = { .mtu = TUN_MTU,
					 .queue_len = TUN_QUEUE_LEN,
					 .conf = true,
					 .noipv6 = true };
	int r = link_set(&c->rt, c->tun_ifindex, &s, c->dev, err);

	return r ? r : link_check(&c->rt, c->tun_ifindex, c->dev, err);
}

/* Scope host: no packet ever takes it as its source. */
static int address_put(struct capture *c, struct error *err)
{
	static const struct link_settings up = { .up = true };
	static const uint8_t address[4] = TUN_ADDRESS;
	int r = link_address(&c->rt, c->tun_ifindex, address, 32,
			     RT_SCOPE_HOST, err);

	return r ? r : link_set(&c->rt, c->tun_ifindex, &up, c->dev, err);
}

int accepts_put(struct capture *c, struct error *err)
{
	const char *dev[2];
	unsigned n = 0;
	int r;

	/* At the wire nothing is forwarded by the device until a rule sends a
	 * packet elsewhere. */
	if (c->mode == CAPTURE_ROUTE || c->cfg.elsewhere)
		dev[n++] = c->dev;
	if (c->vias || c->cfg.vias)
		dev[n++] = NFT_VIA_DEVICES;
	r = n ? nft_accept_put(dev, n, err) : 0;
	return r < 0 ? r : 0;
}

int capture_elsewhere(struct capture *c, struct error *err)
{
	int r;

	if (c->cfg.elsewhere)
		return 0;
	c->cfg.elsewhere = c->how.elsewhere = true;
	c->wraps_at = 0; /* to be looked at at once */
	if (!c->up)
		return 0;
	r = c->how.route ? 0 : nft_change(c->nft, &c->how, err);
	return r ? r : accepts_put(c, err);
}

int capture_counters(struct capture *c,
		     void (*f)(void *arg, uint32_t rule, uint64_t packets,
			       uint64_t bytes),
		     void *arg, struct error *err)
{
	return c->up ? nft_counters(c->nft, f, arg, err) : 0;
}

static int accept_remove(struct capture *c, struct error *err)
{
	int r = nft_accept_remove(err);

	(void)c;
	return r < 0 ? r : 0;
}

static int table_put(struct capture *c, struct error *err)
{
	return route_put(&c->rt, c->tun_ifindex, c->cfg.table, err);
}

static int table_drop(struct capture *c, struct error *err)
{
	return route_drop(&c->rt, c->tun_ifindex, c->cfg.table, err);
}

/* Only by route: where there is a rule of any kind, the kernel looks for the
 * way back of every datagram that arrives. */
int selector_put(struct capture *c, struct error *err)
{
	return c->mode == CAPTURE_ROUTE ? rule_put(&c->rt, &c->cfg, err) : 0;
}

int selector_drop(struct capture *c, struct error *err)
{
	return rule_drop(&c->rt, &c->cfg, err);
}

static int rules_put(struct capture *c, struct error *err)
{
	struct uplink *list[PORTS_MAX];
	struct error why;
	int r;

	for (unsigned i = 0; i < c->ports; i++)
		list[i] = &c->port[i].u;
	r = nft_up(c->nft, &c->how, list, c->ports, &why);
	if (r && r != -EPERM && r != -EEXIST && c->how.plan &&
	    !plan_asks_sender(c->how.plan)) {
		/* It may be the plan that asks too much of this kernel. */
		c->how.plan = NULL;
		c->how.flows = false;
		r = nft_up(c->nft, &c->how, list, c->ports, err);
		if (!r)
			log_warn("nothing is decided in the kernel: %s",
				 why.text);
		return r;
	}
	return r ? error_set(err, r, "%s", why.text) : 0;
}

static int rules_drop(struct capture *c, struct error *err)
{
	return nft_down(c->nft, err);
}

struct step {
	const char *name;
	int (*up)(struct capture *c, struct error *err);
	/* NULL: nothing to undo, or it goes with an earlier step's. Also
	 * called when up failed, so it takes what it finds. */
	int (*down)(struct capture *c, struct error *err);
};

static const struct step opening[] = {
	{ "sockets", sockets_open, sockets_close },
	{ "check", capture_check, NULL },
	{ "device", device_open, device_close },
	{ "settings", settings_put, NULL },
	{ "address", address_put, NULL },
	{ "watch", watch_open, watch_close },
	{ "uplinks", links_look, links_close },
	{ "senders", senders_open, senders_close },
	{ "mode", mode_decide, NULL },
};

/* Packets are sent nowhere before somebody is there to take them on. */
static const struct step raising[] = {
	{ "accept", accepts_put, accept_remove },
	{ "route", table_put, table_drop },
	{ "rule", selector_put, selector_drop },
	{ "via", vias_put, vias_drop },
	{ "rules", rules_put, rules_drop },
};

#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

const char *capture_step(unsigned i)
{
	if (i < COUNT(opening))
		return opening[i].name;
	i -= COUNT(opening);
	return i < COUNT(raising) ? raising[i].name : NULL;
}

static bool shall_fail(const struct capture *c, const char *name)
{
#ifdef SLUICE_FAULTS
	return c->cfg.fail_at && !strcmp(c->cfg.fail_at, name);
#else
	(void)c;
	(void)name;
	return false;
#endif
}

/* Goes on after an error and returns the first. */
static int steps_down(struct capture *c, const struct step *s, unsigned *done,
		      struct error *err)
{
	int result = 0;

	while (*done) {
		const struct step *i = &s[--*done];
		int r = i->down ? i->down(c, result ? NULL : err) : 0;

		if (r && !result)
			result = r;
	}
	return result;
}

static int steps_up(struct capture *c, const struct step *s, unsigned count,
		    unsigned *done, struct error *err)
{
	int r = 0;

	while (*done < count && !r) {
		const struct step *i = &s[(*done)++];

		r = i->up(c, err);
		if (!r && shall_fail(c, i->name))
			r = error_set(err, -ECANCELED,
				      "step %s was told to fail", i->name);
	}
	if (r)
		steps_down(c, s, done, NULL);
	return r;
}

/* ---- the interface ------------------------------------------------------ */

void capture_defaults(struct capture_config *cfg)
{
	*cfg = (struct capture_config){
		.mode = CAPTURE_AUTO,
		.dev = "tun0",
		.table = 100,
		.pref = 100,
		.mark = 0x1000,
		.mask = 0x3000,
		.workers = 1,
		.offload = true,
	};
}

void capture_init(struct capture *c, const struct capture_config *cfg)
{
	c->cfg = *cfg;
	snprintf(c->dev, sizeof(c->dev), "%s", cfg->dev);
	if (strlen(cfg->dev) < sizeof(c->dev))
		c->cfg.dev = c->dev;
	c->rt = c->watch = c->nf_watch = c->policies = NETLINK_NONE;
	c->cgroup = CGROUP_NONE;
	c->epoll = -1;
	c->mode = CAPTURE_AUTO;
	c->look_at = c->wraps_at = -1;
	for (unsigned i = 0; i < CAPTURE_WORKERS_MAX; i++)
		c->tun[i] = -1;
	memcpy(c->how.dev, c->dev, sizeof(c->how.dev));
	c->how.divert = cfg->mark;
	c->how.seen = capture_seen(cfg);
	c->how.in = cfg->in;
	c->how.elsewhere = cfg->elsewhere;
	c->how.sockets = true;
	c->how.forward = cfg->forward;
	c->how.probes = cfg->probes;
	c->how.ipsec = !access("/proc/sys/net/core/xfrm_acq_expires", F_OK);
	c->how.plan = cfg->plan;
	c->how.cgroups = -1;
	c->how.vias = cfg->vias;
	for (unsigned i = 0; i < cfg->vias; i++)
		snprintf(c->how.via[i], sizeof(c->how.via[i]), "%s",
			 cfg->via[i]);
	c->how.flows = cfg->flows;
}

/* Locally administered, unicast, and nobody's: 46 random bits. */
static int draw_marker(struct capture *c, struct error *err)
{
	uint8_t *m = c->how.marker;

	if (getrandom(m, 6, 0) != 6)
		return error_set(err, -EIO, "drawing a marker: no randomness");
	m[0] = (uint8_t)((m[0] & 0xfc) | 0x02);
	return 0;
}

static void tell_all(struct capture *c)
{
	for (unsigned i = 0; i < c->ports && c->ev.uplink_up; i++)
		c->ev.uplink_up(c->ev.arg, &c->port[i].u);
	if (c->ev.locals)
		c->ev.locals(c->ev.arg, c->local, c->locals);
	if (c->ev.mode)
		c->ev.mode(c->ev.arg, c->mode, c->why);
}

int capture_open(struct capture **out, const struct capture_config *cfg,
		 const struct capture_events *ev, struct error *err)
{
	struct capture *c = calloc(1, sizeof(*c));
	int r;

	*out = NULL;
	if (!c)
		return error_set(err, -ENOMEM, "opening a capture: no memory");
	capture_init(c, cfg);
	if (ev)
		c->ev = *ev;
	c->quiet = true;
	r = draw_marker(c, err);
	if (!r)
		r = steps_up(c, opening, COUNT(opening), &c->opened, err);
	if (r) {
		free(c);
		return r;
	}
	c->quiet = false;
	tell_all(c);
	*out = c;
	return 0;
}

int capture_up(struct capture *c, struct error *err)
{
	int r;

	if (c->up)
		return 0;
	r = steps_up(c, raising, COUNT(raising), &c->raised, err);
	c->up = !r;
	return r;
}

int capture_down(struct capture *c, struct error *err)
{
	c->up = false;
	return steps_down(c, raising, &c->raised, err);
}

void capture_close(struct capture *c)
{
	struct error e;

	if (!c)
		return;
	if (capture_down(c, &e))
		log_error("%s", e.text);
	if (steps_down(c, opening, &c->opened, &e))
		log_error("%s", e.text);
	free(c);
}

void capture_forget(struct capture *c)
{
	netlink_close(&c->rt);
	nft_forget(c->nft);
	c->nft = NULL;
	watch_close(c, NULL);
}

int capture_fd(const struct capture *c)
{
	return c->epoll;
}

/* Somebody flushed what sends packets to tun0 (systemd-networkd does that to
 * rules it does not know). Until it is back they are taken at the wire. */
static int restore(struct capture *c, struct error *err)
{
	int r = table_put(c, err);

	if (!r || r == -EEXIST)
		r = selector_put(c, err);
	return r == -EEXIST ? 0 : r;
}

int capture_handle(struct capture *c, struct error *err)
{
	int r = 0, m;

	watch_read(c);
	if (c->stale_links || c->stale_conf || wraps_stale(c))
		r = links_look(c, err);
	if (c->stale_ours && c->up && !r)
		r = restore(c, err);
	if (c->up && !r && (c->stale_links || c->stale_routes ||
			    c->stale_ours || c->stale_conf))
		r = vias_follow(c, c->stale_links || c->stale_ours, err);
	if (c->stale_routes && c->ev.routes)
		c->ev.routes(c->ev.arg);
	if (c->stale_nft)
		mode_stale(c);
	c->stale_links = c->stale_routes = false;
	c->stale_ours = c->stale_nft = c->stale_conf = false;
	m = mode_handle(c, r ? NULL : err);
	r = r ? r : m;
	m = senders_handle(c, r ? NULL : err);
	return r ? r : m;
}

/* ns from now; -1: never. */
static int64_t until(int64_t at)
{
	int64_t left;

	if (at < 0)
		return -1;
	left = at - clock_monotonic();
	return left > 0 ? left : 0;
}

int64_t capture_timeout(const struct capture *c)
{
	const int64_t times[] = { senders_timeout(c), until(c->look_at),
				  until(c->wraps_at) };
	int64_t first = -1;

	for (unsigned i = 0; i < COUNT(times); i++)
		if (times[i] >= 0 && (first < 0 || times[i] < first))
			first = times[i];
	return first;
}

int capture_expect(struct capture *c, uint8_t proto, uint16_t port, bool add,
		   struct error *err)
{
	return nft_expect(c->nft, proto, port, add, err);
}

int capture_set_changed(struct capture *c, const struct set *s,
			const struct ranges *within, int64_t now,
			struct error *err)
{
	return nft_set_changed(c->nft, s, within, now, err);
}

int capture_flows(struct capture *c, const struct capture_flow *list,
		  unsigned count, struct error *err)
{
	return nft_flows(c->nft, list, count, err);
}

int capture_flows_clear(struct capture *c, struct error *err)
{
	return nft_flows(c->nft, NULL, 0, err);
}

int capture_flow_count(struct capture *c, const struct capture_flow *f,
		       uint64_t *packets)
{
	return nft_flow(c->nft, f, packets);
}

enum capture_mode capture_mode(const struct capture *c)
{
	return c->mode;
}

const char *capture_mode_why(const struct capture *c)
{
	return c->why;
}

int capture_tun(const struct capture *c, unsigned worker)
{
	return worker < CAPTURE_WORKERS_MAX ? c->tun[worker] : -1;
}

int capture_tun_ifindex(const struct capture *c)
{
	return c->tun_ifindex;
}

const uint8_t *capture_marker(const struct capture *c)
{
	return c->how.marker;
}

bool capture_offload(const struct capture *c)
{
	return c->offload;
}
