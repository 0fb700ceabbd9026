/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notifications of the kernel, boiled down to what has to be looked at again.
 * Must not act on any of them.
 */
#include "capture/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/xfrm.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static int poll_add(const struct capture *c, const struct netlink *n)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return epoll_ctl(c->epoll, EPOLL_CTL_ADD, netlink_fd(n), &ev) ?
		       -errno :
		       0;
}

/*
 * That the ruleset changed, not what of it: a set of 100,000 addresses would
 * be told one by one. Without it the same is learned with more ado.
 */
static void only_generations(const struct netlink *n)
{
	const uint16_t type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
			 offsetof(struct nlmsghdr, nlmsg_type)),
		/* Such a load takes the bytes to be in network order. */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(type), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog f = { .len = sizeof(code) / sizeof(*code),
				.filter = code };

	(void)setsockopt(netlink_fd(n), SOL_SOCKET, SO_ATTACH_FILTER, &f,
			 sizeof(f));
}

int watch_open(struct capture *c, struct error *err)
{
	static const unsigned group[] = {
		RTNLGRP_LINK,	     RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
		RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV4_RULE,	  RTNLGRP_TC,
		RTNLGRP_IPV4_NETCONF,
	};
	int r;

	c->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = c->epoll < 0 ? -errno : 0;
	if (!r)
		r = netlink_open(&c->watch, NETLINK_ROUTE);
	for (unsigned i = 0; !r && i < sizeof(group) / sizeof(*group); i++)
		r = netlink_join(&c->watch, group[i]);
	if (!r)
		r = netlink_open(&c->nf_watch, NETLINK_NETFILTER);
	if (!r)
		r = netlink_join(&c->nf_watch, NFNLGRP_NFTABLES);
	if (!r)
		only_generations(&c->nf_watch);
	if (!r)
		r = poll_add(c, &c->watch);
	if (!r)
		r = poll_add(c, &c->nf_watch);
	return r ? error_set(err, r, "watching for changes: %s",
			     strerror(-r)) : 0;
}

void watch_policies(struct capture *c)
{
	if (c->policies.sock || c->epoll < 0 ||
	    netlink_open(&c->policies, NETLINK_XFRM))
		return;
	if (netlink_join(&c->policies, XFRMNLGRP_POLICY) ||
	    poll_add(c, &c->policies))
		netlink_close(&c->policies);
}

int watch_close(struct capture *c, struct error *err)
{
	(void)err;
	netlink_close(&c->watch);
	netlink_close(&c->nf_watch);
	netlink_close(&c->policies);
	if (c->epoll >= 0)
		close(c->epoll);
	c->epoll = -1;
	return 0;
}

/* Changes of our own devices are our own doing, but for their end. */
static bool is_ours(const struct capture *c, int ifindex)
{
	if (ifindex == c->tun_ifindex)
		return true;
	for (unsigned i = 0; i < c->ports; i++)
		if (port_has(&c->port[i], ifindex))
			return true;
	for (unsigned i = 0; i < c->vias; i++)
		if (ifindex == c->via[i].ifindex)
			return true;
	return false;
}

static bool is_our_table(const struct capture *c, uint32_t table)
{
	return table >= c->cfg.table && table <= c->cfg.table + c->vias;
}

/* 0: it is not there. */
static uint32_t get_u32(const struct nlmsghdr *nlh, size_t skip, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, skip)
		if (mnl_attr_get_type(a) == type &&
		    mnl_attr_get_payload_len(a) >= 4)
			return mnl_attr_get_u32(a);
	return 0;
}

static int route_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	struct capture *c = arg;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
		c->stale_links |= !is_ours(c, ifi->ifi_index);
		break;
	case RTM_NEWQDISC:
	case RTM_DELQDISC:
		c->stale_links |= !is_ours(c, tcm->tcm_ifindex);
		break;
	case RTM_DELLINK:
	case RTM_NEWADDR:
	case RTM_DELADDR:
		c->stale_links = true;
		break;
	case RTM_DELROUTE:
		if (is_our_table(c, get_u32(nlh, sizeof(struct rtmsg),
					    RTA_TABLE)))
			c->stale_ours = true;
		c->stale_routes = true;
		break;
	case RTM_DELRULE:
		if (get_u32(nlh, sizeof(struct fib_rule_hdr), FRA_PRIORITY) ==
		    c->cfg.pref)
			c->stale_ours = true;
		c->stale_routes = true;
		break;
	case RTM_NEWNETCONF:
		c->stale_conf = true;
		break;
	case RTM_NEWROUTE:
	case RTM_NEWRULE:
		c->stale_routes = true;
		break;
	}
	return 0;
}

static int nft_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct capture *c = arg;

	if (nft_changed(c->nft, nlh))
		c->stale_nft = true;
	return 0;
}

static int policy_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct capture *c = arg;

	(void)nlh;
	c->stale_links = true;
	return 0;
}

void watch_read(struct capture *c)
{
	if (netlink_drain(&c->watch, route_cb, c))
		c->stale_links = c->stale_routes = c->stale_ours = true;
	if (netlink_drain(&c->nf_watch, nft_cb, c))
		c->stale_nft = true;
	if (c->policies.sock && netlink_drain(&c->policies, policy_cb, c))
		c->stale_links = true;
}
