/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traffic control: what is written to a device of ours arrives at an uplink,
 * by a filter that matches all and a mirred action. Only ever on our device:
 * a filter on the uplink would outlive us and swallow everything.
 */
#include "capture/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <linux/tc_act/tc_skbedit.h>
#include <string.h>
#include <sys/socket.h>

static int qdisc_put(struct netlink *rt, int ifindex, uint32_t parent,
		     uint32_t handle, uint16_t flags, const char *kind,
		     struct error *err)
{
	uint8_t buf[256];
	struct tcmsg tcm = { .tcm_ifindex = ifindex,
			     .tcm_parent = parent,
			     .tcm_handle = handle };
	struct nlmsghdr *nlh =
		netlink_message(buf, RTM_NEWQDISC, NLM_F_CREATE | flags, &tcm,
				sizeof(tcm));

	mnl_attr_put_strz(nlh, TCA_KIND, kind);
	return netlink_ask(rt, nlh, NULL, NULL, "adding a qdisc", err);
}

int tc_noqueue(struct netlink *rt, int ifindex)
{
	return qdisc_put(rt, ifindex, TC_H_ROOT, 0, NLM_F_REPLACE, "noqueue",
			 NULL);
}

static void put_skbedit(struct nlmsghdr *nlh, uint16_t order, uint32_t mark)
{
	struct tc_skbedit parms = { .action = TC_ACT_PIPE };
	struct nlattr *act = mnl_attr_nest_start(nlh, order), *opt;

	mnl_attr_put_strz(nlh, TCA_ACT_KIND, "skbedit");
	opt = mnl_attr_nest_start(nlh, TCA_ACT_OPTIONS);
	mnl_attr_put(nlh, TCA_SKBEDIT_PARMS, sizeof(parms), &parms);
	mnl_attr_put_u32(nlh, TCA_SKBEDIT_MARK, mark);
	mnl_attr_nest_end(nlh, opt);
	mnl_attr_nest_end(nlh, act);
}

static void put_mirred(struct nlmsghdr *nlh, uint16_t order, int to)
{
	struct tc_mirred parms = { .action = TC_ACT_STOLEN,
				   .eaction = TCA_INGRESS_REDIR,
				   .ifindex = (uint32_t)to };
	struct nlattr *act = mnl_attr_nest_start(nlh, order), *opt;

	mnl_attr_put_strz(nlh, TCA_ACT_KIND, "mirred");
	opt = mnl_attr_nest_start(nlh, TCA_ACT_OPTIONS);
	mnl_attr_put(nlh, TCA_MIRRED_PARMS, sizeof(parms), &parms);
	mnl_attr_nest_end(nlh, opt);
	mnl_attr_nest_end(nlh, act);
}

static int filter_put(struct netlink *rt, int from, int to, uint32_t mark,
		      struct error *err)
{
	uint8_t buf[1024];
	struct tcmsg tcm = {
		.tcm_ifindex = from,
		.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
		.tcm_info = TC_H_MAKE(1U << 16, htons(ETH_P_ALL)),
	};
	/* match u32 0 0: one key, all zero, whose mask lets all through */
	const struct tc_u32_sel sel = { .flags = TC_U32_TERMINAL, .nkeys = 1 };
	uint8_t all[sizeof(sel) + sizeof(struct tc_u32_key)] = { 0 };
	struct nlmsghdr *nlh =
		netlink_message(buf, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL,
				&tcm, sizeof(tcm));
	struct nlattr *options, *actions;
	uint16_t order = 1;

	memcpy(all, &sel, sizeof(sel));
	mnl_attr_put_strz(nlh, TCA_KIND, "u32");
	options = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	mnl_attr_put(nlh, TCA_U32_SEL, sizeof(all), all);
	actions = mnl_attr_nest_start(nlh, TCA_U32_ACT);
	if (mark)
		put_skbedit(nlh, order++, mark);
	put_mirred(nlh, order, to);
	mnl_attr_nest_end(nlh, actions);
	mnl_attr_nest_end(nlh, options);
	return netlink_ask(rt, nlh, NULL, NULL,
			   "adding a filter (u32, mirred)", err);
}

int tc_hand_back(struct netlink *rt, int from, int to, uint32_t mark,
		 struct error *err)
{
	int r = qdisc_put(rt, from, TC_H_CLSACT,
			  TC_H_MAKE(TC_H_CLSACT, 0), NLM_F_EXCL, "clsact",
			  err);

	/* Twice the same is fine: the caller asks again without a mark. */
	if (r && r != -EEXIST)
		return r;
	r = filter_put(rt, from, to, mark, err);
	return mark && r == -ENOENT ? -EOPNOTSUPP : r;
}
