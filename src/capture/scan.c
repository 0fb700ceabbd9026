/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What this host has: links, addresses, queues, and which links forward. Four
 * dumps, nothing changed, no privilege needed. Must not know what is done about it.
 */
#include "capture/internal.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool qdisc_is_fair(const char *kind)
{
	static const char *const fair[] = { "noqueue", "fq_codel", "fq",
					    "cake",    "fq_pie",   "sfq",
					    "mq",      "clsact",   "ingress",
					    "noop",    "codel" };

	for (unsigned i = 0; i < sizeof(fair) / sizeof(*fair); i++)
		if (!strcmp(kind, fair[i]))
			return true;
	return false;
}

/* Makes room for one more; false without memory. */
static bool grow(void **list, unsigned n, unsigned *size, size_t each)
{
	unsigned more = *size ? 2 * *size : 32;
	void *p;

	if (n < *size)
		return true;
	p = realloc(*list, more * each);
	if (!p)
		return false;
	*list = p;
	*size = more;
	return true;
}

static void copy_text(char to[IFNAMSIZ], const struct nlattr *a)
{
	size_t n = mnl_attr_get_payload_len(a);

	if (n >= IFNAMSIZ)
		n = IFNAMSIZ - 1;
	memset(to, 0, IFNAMSIZ);
	memcpy(to, mnl_attr_get_payload(a), n);
}

static bool is_kind(const struct nlattr *info, const char *kind)
{
	const struct nlattr *a = netlink_inside(info, IFLA_INFO_KIND);
	size_t n = a ? mnl_attr_get_payload_len(a) : 0;

	return a && n >= strlen(kind) &&
	       !strncmp(mnl_attr_get_payload(a), kind, n);
}

/* Whether the packets of such a device become part of others that inherit
 * their mark. (WireGuard's inherit nothing.) What has no kind is hardware. */
static bool is_tunnel(const struct nlattr *info)
{
	static const char *const plain[] = {
		"veth",	   "bridge",  "vlan",	"bond",	  "team",     "dummy",
		"macvlan", "macvtap", "ipvlan", "ipvtap", "tun",      "ifb",
		"vrf",	   "nlmon",   "hsr",	"vcan",	  "wireguard", "netdevsim",
		"ovpn",
	};

	for (unsigned i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		if (is_kind(info, plain[i]))
			return false;
	return netlink_inside(info, IFLA_INFO_KIND);
}

/* Devices of ours, or of an instance that runs: they are no uplinks. */
static bool is_ours(const struct scan *s, const char *name, bool tun)
{
	size_t digits = name[0] ? strspn(name + 3, "0123456789") : 0;

	if (!strcmp(name, s->dev))
		return true;
	return tun && digits && !name[3 + digits] &&
	       !strncmp(name, "sl", 2) && strchr("oifgv", name[2]);
}

static void port_read(struct port *p, const struct nlmsghdr *nlh, bool *tun,
		      bool *tunnel)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	memset(p, 0, sizeof(*p));
	p->u.ifindex = ifi->ifi_index;
	p->type = ifi->ifi_type;
	mnl_attr_for_each(a, nlh, sizeof(*ifi)) {
		size_t n = mnl_attr_get_payload_len(a);

		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			copy_text(p->u.name, a);
			break;
		case IFLA_MTU:
			if (n >= 4)
				p->u.mtu = mnl_attr_get_u32(a);
			break;
		case IFLA_ADDRESS:
			if (n == 6 && ifi->ifi_type == ARPHRD_ETHER)
				memcpy(p->u.mac, mnl_attr_get_payload(a), 6);
			break;
		case IFLA_MASTER:
			p->enslaved = true;
			break;
		case IFLA_LINKINFO:
			*tun = is_kind(a, "tun");
			p->u.bridge = is_kind(a, "bridge");
			*tunnel = is_tunnel(a);
			break;
		}
	}
	p->u.link_len = ifi->ifi_type == ARPHRD_ETHER ? 14 : 0;
	port_init(p);
}

static int link_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct scan *s = arg;
	struct port p;
	bool tun = false, tunnel = false;

	if (nlh->nlmsg_type != RTM_NEWLINK || ifi->ifi_family != AF_UNSPEC)
		return 0;
	port_read(&p, nlh, &tun, &tunnel);
	s->tunnels |= tunnel && ifi->ifi_flags & IFF_UP;
	if (is_ours(s, p.u.name, tun)) {
		p.u.ifindex = 0; /* there, but none of the host's */
	} else if ((ifi->ifi_flags & IFF_UP) &&
		   !(ifi->ifi_flags & IFF_LOOPBACK) &&
		   ifi->ifi_type != ARPHRD_LOOPBACK) {
		if (s->ports < PORTS_MAX)
			s->port[s->ports++] = p;
		else
			s->lost++;
	}
	if (!grow((void **)&s->index, s->indexes, &s->indexes_size,
		  sizeof(*s->index)))
		return -ENOMEM;
	/* Ours are remembered by the negative number: see addr_cb. */
	s->index[s->indexes++] = p.u.ifindex ? ifi->ifi_index :
					       -ifi->ifi_index;
	return 0;
}

static struct port *find(struct scan *s, int ifindex)
{
	for (unsigned i = 0; i < s->ports; i++)
		if (s->port[i].u.ifindex == ifindex)
			return &s->port[i];
	return NULL;
}

static bool listed(const struct scan *s, int number)
{
	for (unsigned i = 0; i < s->indexes; i++)
		if (s->index[i] == number)
			return true;
	return false;
}

bool scan_has(const struct scan *s, int ifindex)
{
	return listed(s, ifindex) || listed(s, -ifindex);
}

static int addr_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a, *best = NULL;
	struct address *to;
	struct scan *s = arg;
	struct port *p = find(s, (int)ifa->ifa_index);
	uint8_t size = ifa->ifa_family == AF_INET ? 4 : 16;

	if (nlh->nlmsg_type != RTM_NEWADDR ||
	    (ifa->ifa_family != AF_INET && ifa->ifa_family != AF_INET6))
		return 0;
	/* On a point-to-point link IFA_ADDRESS is the other end. */
	mnl_attr_for_each(a, nlh, sizeof(*ifa)) {
		if (mnl_attr_get_payload_len(a) != size)
			continue;
		if (mnl_attr_get_type(a) == IFA_LOCAL ||
		    (mnl_attr_get_type(a) == IFA_ADDRESS && !best))
			best = a;
	}
	if (!best || listed(s, -(int)ifa->ifa_index))
		return 0;
	if (p && size == 4)
		p->addressed = true;
	if (!grow((void **)&s->local, s->locals, &s->locals_size,
		  sizeof(*s->local)))
		return -ENOMEM;
	to = &s->local[s->locals++];
	memset(to, 0, sizeof(*to));
	to->size = size;
	memcpy(to->byte, mnl_attr_get_payload(best), size);
	return 0;
}

static int qdisc_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	struct port *p = find(arg, tcm->tcm_ifindex);
	char kind[IFNAMSIZ];
	const struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWQDISC || !p || p->fifo)
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(*tcm)) {
		if (mnl_attr_get_type(a) != TCA_KIND)
			continue;
		copy_text(kind, a);
		if (!qdisc_is_fair(kind)) {
			p->fifo = true;
			memcpy(p->qdisc, kind, sizeof(kind));
		}
	}
	return 0;
}

/* Those that stand for all devices, or for new ones, have negative numbers. */
static int conf_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct scan *s = arg;
	const struct nlattr *a;
	int ifindex = 0;
	bool forwards = false;

	mnl_attr_for_each(a, nlh, sizeof(struct netconfmsg)) {
		int type = mnl_attr_get_type(a);

		if (mnl_attr_get_payload_len(a) < 4)
			continue;
		if (type == NETCONFA_IFINDEX)
			ifindex = (int)mnl_attr_get_u32(a);
		else if (type == NETCONFA_FORWARDING ||
			 type == NETCONFA_MC_FORWARDING)
			forwards |= mnl_attr_get_u32(a) != 0;
	}
	s->forwards |= forwards && ifindex > 0 && !listed(s, -ifindex);
	return 0;
}

static void links_again(void *arg)
{
	struct scan *s = arg;

	s->ports = s->indexes = s->lost = 0;
	s->tunnels = false;
}

static void settings_again(void *arg)
{
	((struct scan *)arg)->forwards = false;
}

static void addresses_again(void *arg)
{
	struct scan *s = arg;

	s->locals = 0;
	for (unsigned i = 0; i < s->ports; i++)
		s->port[i].addressed = false;
}

static void qdiscs_again(void *arg)
{
	struct scan *s = arg;

	for (unsigned i = 0; i < s->ports; i++)
		s->port[i].fifo = false;
}

static int by_address(const void *a, const void *b)
{
	return address_compare(a, b);
}

int scan_run(struct scan *s, struct netlink *rt, const char *dev)
{
	struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct ifaddrmsg ifa = { .ifa_family = AF_UNSPEC };
	struct tcmsg tcm = { .tcm_family = AF_UNSPEC };
	struct netconfmsg ncm = { .ncm_family = AF_INET };
	uint8_t buf[128];
	int r;

	memset(s, 0, sizeof(*s));
	s->dev = dev;
	r = netlink_dump(rt, netlink_message(buf, RTM_GETLINK, 0, &ifi,
					     sizeof(ifi)),
			 link_cb, links_again, s);
	if (!r)
		r = netlink_dump(rt, netlink_message(buf, RTM_GETADDR, 0, &ifa,
						     sizeof(ifa)),
				 addr_cb, addresses_again, s);
	if (!r)
		r = netlink_dump(rt, netlink_message(buf, RTM_GETQDISC, 0,
						     &tcm, sizeof(tcm)),
				 qdisc_cb, qdiscs_again, s);
	if (!r)
		r = netlink_dump(rt, netlink_message(buf, RTM_GETNETCONF, 0,
						     &ncm, sizeof(ncm)),
				 conf_cb, settings_again, s);
	if (r)
		return r;
	if (s->locals)
		qsort(s->local, s->locals, sizeof(*s->local), by_address);
	return 0;
}

void scan_free(struct scan *s)
{
	free(s->local);
	free(s->index);
	s->local = NULL;
	s->index = NULL;
}

int links_find(struct capture *c, struct error *err)
{
	struct scan *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return error_set(err, -ENOMEM,
				 "looking for uplinks: no memory");
	r = scan_run(s, &c->rt, c->dev);
	if (r)
		error_set(err, r, "looking for uplinks: %s", strerror(-r));
	c->ports = 0;
	for (unsigned i = 0; !r && i < s->ports; i++)
		if (links_wants(c, &s->port[i]))
			c->port[c->ports++] = s->port[i];
	c->how.wraps = wraps_now(c, s);
	scan_free(s);
	free(s);
	return r;
}

const struct port *links_fifo(const struct capture *c)
{
	for (unsigned i = 0; i < c->ports; i++)
		if (c->port[i].fifo)
			return &c->port[i];
	return NULL;
}
