/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network for one: an uplink that leads nowhere, in a network namespace
 * that is still empty, so that only the rules answer.
 */
#include "capture/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define LAB_NAME    "eth0"
#define LAB_ADDRESS { 192, 0, 2, 2 } /* RFC 5737 */
#define LAB_PREFIX  24

static int default_route(struct netlink *rt, int ifindex, struct error *err)
{
	uint8_t buf[128];
	struct rtmsg rtm = {
		.rtm_family = AF_INET,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};
	struct nlmsghdr *nlh =
		netlink_message(buf, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
				&rtm, sizeof(rtm));

	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)ifindex);
	return netlink_ask(rt, nlh, NULL, NULL, "adding the default route",
			   err);
}

static int set_up(struct netlink *rt, int ifindex, struct error *err)
{
	static const struct link_settings up = { .up = true };
	static const struct link_settings tap = { .noarp = true,
						  .noipv6 = true };
	static const uint8_t address[4] = LAB_ADDRESS;
	int lo = (int)if_nametoindex("lo"), r;

	r = link_set(rt, lo, &up, "lo", err);
	if (!r)
		r = link_set(rt, ifindex, &tap, LAB_NAME, err);
	/* Nobody reads it: what is sent shall vanish, not wait. Without this
	 * the kernel's own choice would look like an uplink with a queue. */
	if (!r && tc_noqueue(rt, ifindex))
		log_debug(LAB_NAME " keeps its queue");
	if (!r)
		r = link_address(rt, ifindex, address, LAB_PREFIX,
				 RT_SCOPE_UNIVERSE, err);
	if (!r)
		r = link_set(rt, ifindex, &up, LAB_NAME, err);
	return r ? r : default_route(rt, ifindex, err);
}

int lab_uplink(struct error *err)
{
	int fd[CAPTURE_WORKERS_MAX], ifindex, r;
	struct netlink rt = NETLINK_NONE;
	bool offload = true;

	r = tun_open(LAB_NAME, true, 1, &offload, fd, &ifindex, err);
	if (r)
		return r;
	r = netlink_open(&rt, NETLINK_ROUTE);
	if (r)
		error_set(err, r, "opening rtnetlink: %s", strerror(-r));
	else
		r = set_up(&rt, ifindex, err);
	netlink_close(&rt);
	if (!r)
		return fd[0];
	tun_close(fd);
	return r;
}
