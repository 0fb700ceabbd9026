/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of what via() needs: made with the capture or when a rule first
 * names an interface, kept in step with the host, taken away. Whatever an
 * interface does, what was meant for it goes by no other: its table ends in a
 * route that drops.
 */
#include "capture/via.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "rule/plan.h"

#define VIA_MTU	      65535
#define VIA_QUEUE_LEN 1000

/* ---- the device --------------------------------------------------------- */

static int device_open(struct capture *c, struct via_port *v,
		       struct error *err)
{
	static const uint8_t address[4] = TUN_ADDRESS;
	static const struct link_settings up = { .up = true };
	const struct link_settings s = { .mtu = VIA_MTU,
					 .queue_len = VIA_QUEUE_LEN,
					 .conf = true,
					 .noipv6 = true };
	bool offload = c->offload;
	int r = tun_open(v->dev, false, c->cfg.workers, &offload, v->pub.fd,
			 &v->ifindex, err);

	if (!r)
		r = link_set(&c->rt, v->ifindex, &s, v->dev, err);
	if (!r)
		r = link_check(&c->rt, v->ifindex, v->dev, err);
	if (!r)
		r = link_address(&c->rt, v->ifindex, address, 32,
				 RT_SCOPE_HOST, err);
	if (!r)
		r = link_set(&c->rt, v->ifindex, &up, v->dev, err);
	return r;
}

static void device_close(struct capture *c, struct via_port *v)
{
	/* A worker may still hold copies: the device goes all the same. */
	if (v->ifindex)
		link_delete(&c->rt, v->ifindex);
	v->ifindex = 0;
	tun_close(v->pub.fd);
}

/* ---- its routes --------------------------------------------------------- */

static bool has_route(const struct via_route *list, unsigned n,
		      const struct via_route *r)
{
	for (unsigned i = 0; i < n; i++)
		if (!memcmp(&list[i], r, sizeof(*r)))
			return true;
	return false;
}

/* Two routes to one destination cannot both be there: a new one has taken
 * the place of the old. */
static bool same_target(const struct via_route *list, unsigned n,
			const struct via_route *r)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].len == r->len && !memcmp(list[i].dst, r->dst, 4))
			return true;
	return false;
}

static int routes_change(struct capture *c, struct via_port *v,
			 const struct via_sight *s, bool all,
			 struct error *err)
{
	bool moved = s->ifindex != v->target;
	int first = 0, r;

	for (unsigned i = 0; i < s->routes; i++) {
		if (!all && !moved &&
		    has_route(v->route, v->routes, &s->route[i]))
			continue;
		r = via_route_put(&c->rt, v->table, s->ifindex, &s->route[i],
				  first ? NULL : err);
		first = first ? first : r;
	}
	for (unsigned i = 0; v->target && i < v->routes; i++) {
		if (same_target(s->route, s->routes, &v->route[i]))
			continue;
		r = via_route_drop(&c->rt, v->table, v->target, &v->route[i],
				   first ? NULL : err);
		first = first ? first : r;
	}
	memcpy(v->route, s->route, s->routes * sizeof(*s->route));
	v->routes = s->routes;
	v->target = s->ifindex;
	return first;
}

static void judge(const struct via_port *v, const struct via_sight *s,
		  char *why, size_t size)
{
	char name[IFNAMSIZ];

	if (!if_indextoname((unsigned)v->ifindex, name))
		snprintf(why, size, "somebody removed %s: restart", v->dev);
	else if (!s->ifindex)
		snprintf(why, size, "there is no such interface");
	else if (!s->up)
		snprintf(why, size, "the interface is down");
	else if (!s->addressed)
		snprintf(why, size, "the interface has no IPv4 address");
	else if (s->rp_filter == 1)
		snprintf(why, size, "rp_filter=1 drops what answers there: "
			 "sysctl -w net/ipv4/conf/%s/rp_filter=2",
			 v->pub.name);
	else
		*why = '\0';
}

/* Then the kernel need not find out that there is no route. */
static int mark_lost(struct capture *c, const struct via_port *v,
		     struct error *err)
{
	unsigned bit = 1u << (v - c->via), was = c->how.via_lost;

	c->how.via_lost = *v->pub.why ? was | bit : was & ~bit;
	return c->up && c->how.via_lost != was ?
		       nft_change(c->nft, &c->how, err) :
		       0;
}

/* all: routes of ours may have gone without a word. */
static int follow(struct capture *c, struct via_port *v, bool all,
		  struct error *err)
{
	char why[sizeof(v->pub.why)];
	struct via_sight s;
	int m, r = via_look(&c->rt, v->pub.name, &s);

	if (r)
		return error_set(err, r, "looking at %s: %s", v->pub.name,
				 strerror(-r));
	judge(v, &s, why, sizeof(why));
	if (*why)
		s.routes = 0;
	r = routes_change(c, v, &s, all, err);
	/* It went while we looked: that will be notified. */
	if (r && !*why && !if_nametoindex(v->pub.name))
		r = 0;
	else if (r && !*why)
		snprintf(why, sizeof(why), "its routes cannot be copied");
	if (v->told && !strcmp(why, v->pub.why))
		return r;
	memcpy(v->pub.why, why, sizeof(why));
	v->told = true;
	m = mark_lost(c, v, r ? NULL : err);
	r = r ? r : m;
	if (c->ev.via)
		c->ev.via(c->ev.arg, &v->pub);
	return r;
}

/* ---- one interface ------------------------------------------------------ */

static bool is_ours(const struct capture *c, const char *name)
{
	return !strcmp(name, c->dev) || !strncmp(name, "slo", 3) ||
	       !strncmp(name, "sli", 3) || !strncmp(name, "slv", 3);
}

/* What comes from its device goes to its table, and what the kernel has sent
 * there on its own. What is there already is fine. */
static int rules_put(struct capture *c, const struct via_port *v,
		     struct error *err)
{
	int r = via_rule_put(&c->rt, &c->cfg, v->dev, 0, v->table, err);

	if ((!r || r == -EEXIST) && plan_sends_by(c->cfg.plan, v->pub.name))
		r = via_rule_put(&c->rt, &c->cfg, "", v->mark, v->table, err);
	return r == -EEXIST ? 0 : r;
}

static int add(struct capture *c, const char *name, struct error *err)
{
	struct via_port *v = &c->via[c->vias];
	int r;

	if (!*name || strlen(name) >= IFNAMSIZ || is_ours(c, name))
		return error_set(err, -EINVAL, "via(\"%s\"): not an interface "
				 "that packets can leave by", name);
	if (c->vias == CAPTURE_VIAS_MAX)
		return error_set(err, -ENOSPC, "via(\"%s\"): more than %d "
				 "interfaces", name, CAPTURE_VIAS_MAX);
	memset(v, 0, sizeof(*v));
	snprintf(v->pub.name, sizeof(v->pub.name), "%s", name);
	snprintf(v->dev, sizeof(v->dev), NFT_VIA_DEVICE, c->vias);
	v->table = via_table(&c->cfg, c->vias);
	for (unsigned i = 0; i < CAPTURE_WORKERS_MAX; i++)
		v->pub.fd[i] = -1;
	c->vias++;
	r = table_check_free(&c->rt, v->table, err);
	if (r)
		return r;
	v->owned = true;
	memcpy(c->how.via[c->vias - 1], v->pub.name, IFNAMSIZ);
	v->mark = nft_via_mark(c->cfg.mark, c->cfg.mask, c->vias - 1);
	/* First the end of the table, so that there is no way past it. */
	r = via_route_put(&c->rt, v->table, 0, NULL, err);
	if (!r)
		r = rules_put(c, v, err);
	if (!r)
		r = device_open(c, v, err);
	return r;
}

static int remove_last(struct capture *c, struct error *err)
{
	struct via_port *v = &c->via[--c->vias];
	const struct via_sight none = { .ifindex = 0 };
	int r, first = 0;

	/* Nobody can write to it any more when the table goes. */
	device_close(c, v);
	if (!v->owned)
		return 0;
	first = via_rule_drop(&c->rt, &c->cfg, v->dev, 0, v->table, err);
	r = via_rule_drop(&c->rt, &c->cfg, "", v->mark, v->table,
			  first ? NULL : err);
	first = first ? first : r;
	r = routes_change(c, v, &none, false, first ? NULL : err);
	first = first ? first : r;
	r = via_route_drop(&c->rt, v->table, 0, NULL, first ? NULL : err);
	return first ? first : r;
}

/* ---- all of them -------------------------------------------------------- */

int vias_put(struct capture *c, struct error *err)
{
	int r = 0;

	for (unsigned i = 0; !r && i < c->cfg.vias; i++)
		r = add(c, c->cfg.via[i], err);
	for (unsigned i = 0; !r && i < c->vias; i++)
		r = follow(c, &c->via[i], true, err);
	c->how.vias = c->vias;
	return r;
}

int vias_drop(struct capture *c, struct error *err)
{
	int first = 0;

	while (c->vias) {
		int r = remove_last(c, first ? NULL : err);

		first = first ? first : r;
	}
	c->how.vias = 0;
	return first;
}

int vias_follow(struct capture *c, bool all, struct error *err)
{
	int first = 0, r;

	for (unsigned i = 0; i < c->vias; i++) {
		struct via_port *v = &c->via[i];

		r = 0;
		if (all) {
			r = via_route_put(&c->rt, v->table, 0, NULL,
					  first ? NULL : err);
			if (!r)
				r = rules_put(c, v, first ? NULL : err);
		}
		if (!r)
			r = follow(c, v, all, first ? NULL : err);
		first = first ? first : r;
	}
	/* Only tun0's loss is the end of all. */
	return first == -ENODEV ? -EIO : first;
}

int capture_via(struct capture *c, const char *name, struct error *err)
{
	struct error e;
	int r;

	for (unsigned i = 0; i < c->vias; i++)
		if (!strcmp(c->via[i].pub.name, name))
			return 0;
	if (!c->up)
		return error_set(err, -EAGAIN, "via(\"%s\"): nothing is "
				 "captured", name);
	if (c->vias == CAPTURE_VIAS_MAX)
		return error_set(err, -ENOSPC, "via(\"%s\"): more than %d "
				 "interfaces", name, CAPTURE_VIAS_MAX);
	r = add(c, name, err);
	c->how.vias = c->vias;
	if (!r)
		r = nft_change(c->nft, &c->how, err);
	if (!r)
		r = accepts_put(c, err);
	if (!r)
		r = follow(c, &c->via[c->vias - 1], true, err);
	if (!r)
		return 0;
	remove_last(c, NULL);
	c->how.vias = c->vias;
	if (nft_change(c->nft, &c->how, &e))
		log_error("%s", e.text);
	return r;
}
