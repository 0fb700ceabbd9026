/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel knows of an interface that rules send packets by, and a
 * routing table of our own in which everything goes by it or nowhere. Must
 * not know who writes to which device.
 */
#include "capture/via.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* The metric of what drops all that nothing else takes: the last one. */
#define METRIC_LAST UINT32_MAX

/* ---- the interface ------------------------------------------------------ */

static int attr_int(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= 4 ? (int)mnl_attr_get_u32(a) : 0;
}

static int link_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a, *conf = NULL;
	struct via_sight *s = arg;
	const uint32_t *v;

	s->ifindex = ifi->ifi_index;
	s->up = ifi->ifi_flags & IFF_UP;
	s->arp = !(ifi->ifi_flags & (IFF_NOARP | IFF_POINTOPOINT));
	mnl_attr_for_each(a, nlh, sizeof(*ifi))
		if (mnl_attr_get_type(a) == IFLA_AF_SPEC)
			conf = netlink_inside(netlink_inside(a, AF_INET), IFLA_INET_CONF);
	if (!conf ||
	    mnl_attr_get_payload_len(conf) < 4 * IPV4_DEVCONF_RP_FILTER)
		return 0;
	v = mnl_attr_get_payload(conf);
	s->rp_filter = (int)v[IPV4_DEVCONF_RP_FILTER - 1];
	return 0;
}

static int all_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct via_sight *s = arg;
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(struct netconfmsg))
		if (mnl_attr_get_type(a) == NETCONFA_RP_FILTER &&
		    attr_int(a) > s->rp_filter)
			s->rp_filter = attr_int(a);
	return 0;
}

static int addr_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct via_sight *s = arg;

	if ((int)ifa->ifa_index == s->ifindex &&
	    ifa->ifa_scope < RT_SCOPE_LINK)
		s->addressed = true;
	return 0;
}

static int look_link(struct netlink *rt, const char *name,
		     struct via_sight *s)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct netconfmsg ncm = { .ncm_family = AF_INET };
	struct ifaddrmsg ifa = { .ifa_family = AF_INET };
	uint8_t buf[256];
	struct nlmsghdr *nlh;
	int r;

	nlh = netlink_message(buf, RTM_GETLINK, 0, &ifi, sizeof(ifi));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	r = netlink_ask(rt, nlh, link_cb, s, name, NULL);
	if (r)
		return r;
	nlh = netlink_message(buf, RTM_GETNETCONF, 0, &ncm, sizeof(ncm));
	mnl_attr_put_u32(nlh, NETCONFA_IFINDEX,
			 (uint32_t)NETCONFA_IFINDEX_ALL);
	r = netlink_ask(rt, nlh, all_cb, s, name, NULL);
	if (r)
		return r;
	nlh = netlink_message(buf, RTM_GETADDR, 0, &ifa, sizeof(ifa));
	return netlink_dump(rt, nlh, addr_cb, NULL, s);
}

/* ---- its routes --------------------------------------------------------- */

/* A route as it was read: one way of perhaps several. */
struct hop {
	struct via_route r;
	uint32_t table, metric;
};

struct reading {
	struct via_sight *s;
	/* The best default route, of the main table or else of another; and
	 * whatever next hop there is. */
	struct hop best, any;
	bool have_best, have_any;
};

static void keep_route(struct via_sight *s, const struct via_route *r)
{
	for (unsigned i = 0; i < s->routes; i++)
		if (s->route[i].len == r->len &&
		    !memcmp(s->route[i].dst, r->dst, 4))
			return;
	/* Of a host with very many the widest ones must do: what is left out
	 * goes by the default one. */
	if (s->routes < VIA_ROUTES_MAX - 1)
		s->route[s->routes++] = *r;
}

static bool is_better(const struct hop *h, const struct hop *than)
{
	bool main = h->table == RT_TABLE_MAIN;

	if (main != (than->table == RT_TABLE_MAIN))
		return main;
	return h->metric < than->metric;
}

static void take_hop(struct reading *g, const struct hop *h)
{
	if (!h->r.len && (!g->have_best || is_better(h, &g->best))) {
		g->best = *h;
		g->have_best = true;
	}
	if (h->r.gateway && (!g->have_any || h->r.len < g->any.r.len)) {
		g->any = *h;
		g->have_any = true;
	}
	if (h->table == RT_TABLE_MAIN && h->r.len)
		keep_route(g->s, &h->r);
}

static void read_gateway(struct hop *h, const struct nlattr *a)
{
	if (mnl_attr_get_payload_len(a) < 4)
		return;
	memcpy(h->r.via, mnl_attr_get_payload(a), 4);
	h->r.gateway = true;
}

/* Of a route with several ways, those by our interface. */
static void take_ways(struct reading *g, const struct hop *base,
		      const struct nlattr *ways)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(ways);
	int left = mnl_attr_get_payload_len(ways);

	for (; left >= (int)sizeof(*nh) && nh->rtnh_len >= sizeof(*nh) &&
	       nh->rtnh_len <= left;
	     left -= (int)NLMSG_ALIGN(nh->rtnh_len),
	     nh = (const void *)((const char *)nh +
				 NLMSG_ALIGN(nh->rtnh_len))) {
		const struct nlattr *a = (const void *)RTNH_DATA(nh);
		int n = nh->rtnh_len - (int)sizeof(*nh);
		struct hop h = *base;

		if (nh->rtnh_ifindex != g->s->ifindex)
			continue;
		for (; mnl_attr_ok(a, n);
		     n -= (int)NLMSG_ALIGN(a->nla_len), a = mnl_attr_next(a))
			if (mnl_attr_get_type(a) == RTA_GATEWAY)
				read_gateway(&h, a);
		take_hop(g, &h);
	}
}

static int route_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct hop h = { .table = rtm->rtm_table,
			 .r.len = rtm->rtm_dst_len };
	const struct nlattr *a, *ways = NULL;
	struct reading *g = arg;
	int oif = 0;

	if (rtm->rtm_type != RTN_UNICAST || rtm->rtm_tos ||
	    rtm->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD) ||
	    rtm->rtm_protocol == CAPTURE_PROTOCOL)
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(*rtm)) {
		switch (mnl_attr_get_type(a)) {
		case RTA_TABLE:
			h.table = (uint32_t)attr_int(a);
			break;
		case RTA_PRIORITY:
			h.metric = (uint32_t)attr_int(a);
			break;
		case RTA_DST:
			if (mnl_attr_get_payload_len(a) >= 4)
				memcpy(h.r.dst, mnl_attr_get_payload(a), 4);
			break;
		case RTA_OIF:
			oif = attr_int(a);
			break;
		case RTA_GATEWAY:
			read_gateway(&h, a);
			break;
		case RTA_MULTIPATH:
			ways = a;
			break;
		}
	}
	if (ways)
		take_ways(g, &h, ways);
	else if (oif == g->s->ifindex)
		take_hop(g, &h);
	return 0;
}

static void again(void *arg)
{
	struct reading *g = arg;

	g->s->routes = 0;
	g->have_best = g->have_any = false;
}

/*
 * Everything else goes where the interface's default route leads; where it
 * has none, to a next hop that some route by it has; without one straight out
 * by it, as the kernel does for a socket that is bound to it.
 */
static int look_routes(struct netlink *rt, struct via_sight *s)
{
	struct rtmsg rtm = { .rtm_family = AF_INET };
	struct via_route rest = { .len = 0 };
	struct reading g = { .s = s };
	uint8_t buf[128];
	int r = netlink_dump(rt, netlink_message(buf, RTM_GETROUTE, 0, &rtm,
						 sizeof(rtm)),
			     route_cb, again, &g);

	if (r)
		return r;
	if (g.have_best && (g.best.r.gateway || !s->arp || !g.have_any))
		rest = g.best.r;
	else if (g.have_any && s->arp)
		rest = g.any.r;
	rest.len = 0;
	memset(rest.dst, 0, sizeof(rest.dst));
	s->route[s->routes++] = rest;
	return 0;
}

int via_look(struct netlink *rt, const char *name, struct via_sight *s)
{
	int r;

	memset(s, 0, sizeof(*s));
	r = look_link(rt, name, s);
	if (!r && s->up)
		r = look_routes(rt, s);
	return r == -ENODEV ? 0 : r;
}

/* ---- the table and its rule --------------------------------------------- */

static int route_send(struct netlink *rt, uint16_t type, uint32_t table,
		      int ifindex, const struct via_route *v,
		      struct error *err)
{
	uint8_t buf[256];
	char what[64];
	struct rtmsg rtm = {
		.rtm_family = AF_INET,
		.rtm_dst_len = v ? v->len : 0,
		.rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC,
		.rtm_protocol = CAPTURE_PROTOCOL,
		.rtm_scope = v && !v->gateway ? RT_SCOPE_LINK :
						RT_SCOPE_UNIVERSE,
		.rtm_type = v ? RTN_UNICAST : RTN_BLACKHOLE,
		.rtm_flags = v && v->gateway ? RTNH_F_ONLINK : 0,
	};
	uint16_t flags = type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_REPLACE :
						0;
	struct nlmsghdr *nlh =
		netlink_message(buf, type, flags, &rtm, sizeof(rtm));

	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	if (v) {
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)ifindex);
		if (v->len)
			mnl_attr_put(nlh, RTA_DST, 4, v->dst);
		if (v->gateway)
			mnl_attr_put(nlh, RTA_GATEWAY, 4, v->via);
	} else {
		mnl_attr_put_u32(nlh, RTA_PRIORITY, METRIC_LAST);
	}
	snprintf(what, sizeof(what), "%s a route of table %u",
		 type == RTM_NEWROUTE ? "adding" : "removing", table);
	return netlink_ask(rt, nlh, NULL, NULL, what, err);
}

int via_route_put(struct netlink *rt, uint32_t table, int ifindex,
		  const struct via_route *v, struct error *err)
{
	return route_send(rt, RTM_NEWROUTE, table, ifindex, v, err);
}

int via_route_drop(struct netlink *rt, uint32_t table, int ifindex,
		   const struct via_route *v, struct error *err)
{
	struct error e;
	int r = route_send(rt, RTM_DELROUTE, table, ifindex, v, &e);

	/* Gone already, with its interface. */
	if (r == -ESRCH || r == -ENODEV)
		return 0;
	return r ? error_set(err, r, "%s", e.text) : 0;
}
