/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The uplinks as they come, change and go: compares what is there with what
 * was made for it. A notification only says that it is time to compare, so
 * that a lost one costs nothing. Must not know how a device is made.
 */
#include "capture/internal.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <stdlib.h>
#include <string.h>

/* Whether packets leave it bare, without a header of the link. */
static bool is_bare(uint16_t type)
{
	return type == ARPHRD_NONE || type == ARPHRD_PPP ||
	       type == ARPHRD_RAWIP || type == ARPHRD_TUNNEL ||
	       type == ARPHRD_TUNNEL6 || type == ARPHRD_SIT;
}

/* What passes through may come by a device that has no address. */
bool links_wants(const struct capture *c, const struct port *found)
{
	return found->addressed ||
	       (c->cfg.forward && !found->enslaved &&
		(found->type == ARPHRD_ETHER || is_bare(found->type)));
}

/* True once for each device: an uplink that cannot be captured is named, but
 * not at every change of it. */
static bool refuse(struct capture *c, int ifindex)
{
	for (unsigned i = 0; i < c->refusals && i < REFUSED_MAX; i++)
		if (c->refused[i] == ifindex)
			return false;
	c->refused[c->refusals++ % REFUSED_MAX] = ifindex;
	return true;
}

static void remove_port(struct capture *c, unsigned i)
{
	struct error e;

	if (!c->quiet && c->ev.uplink_down)
		c->ev.uplink_down(c->ev.arg, c->port[i].u.ifindex);
	/* First nobody sends there, then it goes. */
	if (c->up && nft_uplink_drop(c->nft, c->port[i].u.ifindex, &e))
		log_error("%s", e.text);
	port_close(c, &c->port[i]);
	c->ports--;
	memmove(&c->port[i], &c->port[i + 1],
		(c->ports - i) * sizeof(c->port[0]));
}

static int add_port(struct capture *c, const struct port *found,
		    struct error *err)
{
	struct port *p = &c->port[c->ports];
	int r;

	*p = *found;
	r = port_open(c, p, err);
	if (r)
		return r;
	c->ports++;
	/* First somebody reads, then it is sent there. */
	if (!c->quiet && c->ev.uplink_up)
		c->ev.uplink_up(c->ev.arg, &p->u);
	if (c->up)
		r = nft_uplink_put(c->nft, &p->u, err);
	if (r)
		remove_port(c, c->ports - 1);
	return r;
}

static int consider(struct capture *c, const struct port *found,
		    struct error *err)
{
	struct error e;
	int r;

	if (found->type != ARPHRD_ETHER && !is_bare(found->type)) {
		if (refuse(c, found->u.ifindex))
			log_warn("%s is not captured at the wire: links of "
				 "type %u are not supported", found->u.name,
				 found->type);
		return 0;
	}
	if (c->ports == PORTS_MAX)
		return 0;
	r = add_port(c, found, &e);
	if (!r)
		return 0;
	/* It went while we looked: that will be notified. */
	if (!if_nametoindex(found->u.name))
		return 0;
	if (c->quiet)
		return error_set(err, r, "%s: %s", found->u.name, e.text);
	if (refuse(c, found->u.ifindex))
		log_error("%s is not captured at the wire: %s", found->u.name,
			  e.text);
	return 0;
}

static void update_port(struct capture *c, struct port *p,
			const struct port *found)
{
	bool mac = memcmp(p->u.mac, found->u.mac, sizeof(p->u.mac));
	bool name = strcmp(p->u.name, found->u.name);
	bool mtu = p->u.mtu != found->u.mtu;
	struct error e;

	p->fifo = found->fifo;
	memcpy(p->qdisc, found->qdisc, sizeof(p->qdisc));
	if (!mac && !name && !mtu)
		return;
	memcpy(p->u.mac, found->u.mac, sizeof(p->u.mac));
	memcpy(p->u.name, found->u.name, sizeof(p->u.name));
	p->u.mtu = found->u.mtu;
	if (mac && port_update(c, p, &e))
		log_error("%s: %s", p->u.name, e.text);
	if (!c->quiet && c->ev.uplink_changed)
		c->ev.uplink_changed(c->ev.arg, &p->u);
	if (c->up && (mac || name) && nft_uplink_put(c->nft, &p->u, &e))
		log_error("%s: %s", p->u.name, e.text);
}

static const struct port *find(const struct scan *s, int ifindex)
{
	for (unsigned i = 0; i < s->ports; i++)
		if (s->port[i].u.ifindex == ifindex)
			return &s->port[i];
	return NULL;
}

/*
 * An uplink stays one while it is up: between one address and the next there
 * must be no way past. Taken into a bridge it carries what is not the host's.
 */
static bool stays(const struct port *found)
{
	return found->addressed || !found->enslaved;
}

static bool is_whole(const struct port *p, const struct scan *s)
{
	for (unsigned i = 0; i < TAPS; i++)
		if (p->tap[i].ifindex && !scan_has(s, p->tap[i].ifindex))
			return false;
	return true;
}

/* Drops those that went, or whose devices somebody removed; updates those
 * that stayed. */
static void compare(struct capture *c, const struct scan *s)
{
	for (unsigned i = 0; i < c->ports;) {
		struct port *p = &c->port[i];
		const struct port *f = find(s, p->u.ifindex);

		if (f && f->type == p->type && stays(f) && is_whole(p, s)) {
			update_port(c, p, f);
			i++;
		} else {
			remove_port(c, i);
		}
	}
}

static void take_locals(struct capture *c, struct scan *s)
{
	if (c->locals == s->locals &&
	    (!s->locals || !memcmp(c->local, s->local,
				   s->locals * sizeof(*s->local))))
		return;
	free(c->local);
	c->local = s->local;
	c->locals = s->locals;
	s->local = NULL;
	if (!c->quiet && c->ev.locals)
		c->ev.locals(c->ev.arg, c->local, c->locals);
}

static bool have(const struct capture *c, int ifindex)
{
	for (unsigned i = 0; i < c->ports; i++)
		if (c->port[i].u.ifindex == ifindex)
			return true;
	return false;
}

/* Whether marks have to be cleared may be another question now. */
static int wraps_look(struct capture *c, const struct scan *s,
		      struct error *err)
{
	bool wraps = wraps_now(c, s);

	if (c->how.wraps == wraps)
		return 0;
	c->how.wraps = wraps;
	return c->up ? nft_change(c->nft, &c->how, err) : 0;
}

int links_look(struct capture *c, struct error *err)
{
	struct scan *s = malloc(sizeof(*s));
	bool fifo = links_fifo(c);
	int r;

	if (!s)
		return error_set(err, -ENOMEM,
				 "looking for uplinks: no memory");
	r = scan_run(s, &c->rt, c->dev);
	if (r) {
		error_set(err, r, "looking for uplinks: %s", strerror(-r));
		goto out;
	}
	if (!scan_has(s, c->tun_ifindex)) {
		r = error_set(err, -ENODEV, "somebody removed %s", c->dev);
		goto out;
	}
	compare(c, s);
	for (unsigned i = 0; i < s->ports && !r; i++)
		if (links_wants(c, &s->port[i]) && !have(c, s->port[i].u.ifindex))
			r = consider(c, &s->port[i], err);
	if (s->lost && refuse(c, 0))
		log_warn("more than %d devices are up: %u are not looked at",
			 PORTS_MAX, s->lost);
	take_locals(c, s);
	if (!r)
		r = wraps_look(c, s, err);
	if (fifo != !!links_fifo(c))
		mode_stale(c);
out:
	scan_free(s);
	free(s);
	return r;
}

int links_close(struct capture *c, struct error *err)
{
	(void)err;
	while (c->ports) {
		port_close(c, &c->port[c->ports - 1]);
		c->ports--;
	}
	free(c->local);
	c->local = NULL;
	c->locals = 0;
	return 0;
}
