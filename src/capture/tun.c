/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TUN and TAP devices: made by ioctl, set up by rtnetlink, so that neither
 * /proc nor a program is needed. Must not know what they are for.
 */
#include "capture/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* A process that died with io_uring requests under way keeps its device for
 * some tens of milliseconds. */
#define BUSY_TRIES 50
#define BUSY_WAIT  (10 * NSEC_PER_MSEC)

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TUN_PATH "/dev/net/tun"

/* One queue of the device; the first one makes it. fd or -errno. */
static int queue_open(const char *name, int flags)
{
	struct ifreq ifr = { .ifr_flags = (short)flags };
	int fd, r;

	fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* Offload is the device's, not the queue's. False: none at all. */
static bool offload_set(int fd)
{
	unsigned flags = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

	/* Kernels before 6.2 refuse the whole call for the sake of USO. */
	return !ioctl(fd, TUNSETOFFLOAD, flags | TUN_F_USO4 | TUN_F_USO6) ||
	       !ioctl(fd, TUNSETOFFLOAD, flags);
}

static int open_error(int code, const char *name, struct error *err)
{
	if (code == -EBUSY || (code == -EINVAL && if_nametoindex(name)))
		return error_set(err, -EEXIST,
				 "making %s: a device of that name exists: "
				 "choose another with --dev", name);
	if (code == -EPERM || code == -EACCES)
		return error_set(err, -EPERM,
				 "making %s: no access to " TUN_PATH
				 " or no CAP_NET_ADMIN", name);
	return error_set(err, code, "making %s: %s", name, strerror(-code));
}

int tun_open(const char *name, bool tap, unsigned queues, bool *offload,
	     int *fd, int *ifindex, struct error *err)
{
	int flags = (tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR |
		    (queues > 1 ? IFF_MULTI_QUEUE : 0);
	struct timespec wait = { .tv_nsec = BUSY_WAIT };
	unsigned i;
	int r;

	for (i = 0; i < CAPTURE_WORKERS_MAX; i++)
		fd[i] = -1;
	for (i = 0; i < BUSY_TRIES; i++) {
		/* Exclusive: never attach to a device that is there. */
		fd[0] = queue_open(name, flags | IFF_TUN_EXCL);
		if (fd[0] != -EBUSY)
			break;
		nanosleep(&wait, NULL);
	}
	for (i = 1; fd[0] >= 0 && i < queues; i++) {
		fd[i] = queue_open(name, flags);
		if (fd[i] < 0)
			break;
	}
	for (i = 0; i < queues; i++) {
		if (fd[i] < 0) {
			r = open_error(fd[i], name, err);
			goto fail;
		}
	}
	*offload = *offload && offload_set(fd[0]);
	*ifindex = (int)if_nametoindex(name);
	if (*ifindex)
		return 0;
	r = error_set(err, -ENODEV, "making %s: it vanished", name);
fail:
	tun_close(fd);
	return r;
}

void tun_close(int *fd)
{
	for (unsigned i = 0; i < CAPTURE_WORKERS_MAX; i++) {
		if (fd[i] >= 0)
			close(fd[i]);
		fd[i] = -1;
	}
}

static void put_conf(struct nlmsghdr *nlh)
{
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet = mnl_attr_nest_start(nlh, AF_INET);
	struct nlattr *conf = mnl_attr_nest_start(nlh, IFLA_INET_CONF);

	mnl_attr_put_u32(nlh, IPV4_DEVCONF_ACCEPT_LOCAL, 1);
	mnl_attr_put_u32(nlh, IPV4_DEVCONF_FORWARDING, 1);
	mnl_attr_put_u32(nlh, IPV4_DEVCONF_RP_FILTER, 2);
	mnl_attr_nest_end(nlh, conf);
	mnl_attr_nest_end(nlh, inet);
	mnl_attr_nest_end(nlh, spec);
}

/* Hosts without IPv6 refuse this, and need it not. */
static void forgo_ipv6(struct netlink *rt, int ifindex, const char *name)
{
	uint8_t buf[512];
	struct ifinfomsg ifi = { .ifi_index = ifindex };
	struct nlmsghdr *nlh =
		netlink_message(buf, RTM_SETLINK, 0, &ifi, sizeof(ifi));
	struct nlattr *spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	struct error e;

	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE,
			IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	if (netlink_ask(rt, nlh, NULL, NULL, name, &e))
		log_debug("no IPv6 on %s", e.text);
}

int link_set(struct netlink *rt, int ifindex, const struct link_settings *s,
	     const char *name, struct error *err)
{
	uint8_t buf[512];
	char what[64];
	struct ifinfomsg ifi = { .ifi_index = ifindex };
	struct nlmsghdr *nlh;

	if (s->noipv6)
		forgo_ipv6(rt, ifindex, name);
	if (s->noarp)
		ifi.ifi_flags |= IFF_NOARP;
	if (s->up)
		ifi.ifi_flags |= IFF_UP;
	ifi.ifi_change = ifi.ifi_flags;
	nlh = netlink_message(buf, RTM_SETLINK, 0, &ifi, sizeof(ifi));
	if (s->mac)
		mnl_attr_put(nlh, IFLA_ADDRESS, 6, s->mac);
	if (s->mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, s->mtu);
	if (s->queue_len)
		mnl_attr_put_u32(nlh, IFLA_TXQLEN, s->queue_len);
	if (s->conf)
		put_conf(nlh);
	snprintf(what, sizeof(what), "setting up %s", name);
	return netlink_ask(rt, nlh, NULL, NULL, what, err);
}

int link_delete(struct netlink *rt, int ifindex)
{
	uint8_t buf[128];
	struct ifinfomsg ifi = { .ifi_index = ifindex };
	struct nlmsghdr *nlh =
		netlink_message(buf, RTM_DELLINK, 0, &ifi, sizeof(ifi));

	return netlink_ask(rt, nlh, NULL, NULL, "removing a device", NULL);
}

int link_address(struct netlink *rt, int ifindex, const uint8_t address[4],
		 uint8_t prefix, uint8_t scope, struct error *err)
{
	uint8_t buf[128];
	struct ifaddrmsg ifa = { .ifa_family = AF_INET,
				 .ifa_prefixlen = prefix,
				 .ifa_scope = scope,
				 .ifa_index = (unsigned)ifindex };
	struct nlmsghdr *nlh =
		netlink_message(buf, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
				&ifa, sizeof(ifa));

	mnl_attr_put(nlh, IFA_LOCAL, 4, address);
	mnl_attr_put(nlh, IFA_ADDRESS, 4, address);
	return netlink_ask(rt, nlh, NULL, NULL, "adding an address", err);
}

static int conf_cb(const struct nlmsghdr *nlh, void *arg)
{
	static const struct {
		unsigned index;
		uint32_t value;
	} want[] = { { IPV4_DEVCONF_ACCEPT_LOCAL, 1 },
		     { IPV4_DEVCONF_FORWARDING, 1 },
		     { IPV4_DEVCONF_RP_FILTER, 2 } };
	const struct nlattr *a, *conf = NULL;
	const uint32_t *v;
	bool *good = arg;

	mnl_attr_for_each(a, nlh, sizeof(struct ifinfomsg))
		if (mnl_attr_get_type(a) == IFLA_AF_SPEC)
			conf = netlink_inside(netlink_inside(a, AF_INET), IFLA_INET_CONF);
	if (!conf)
		return 0;
	v = mnl_attr_get_payload(conf);
	*good = true;
	for (unsigned i = 0; i < sizeof(want) / sizeof(*want); i++)
		if (mnl_attr_get_payload_len(conf) < 4 * want[i].index ||
		    v[want[i].index - 1] != want[i].value)
			*good = false;
	return 0;
}

int link_check(struct netlink *rt, int ifindex, const char *name,
	       struct error *err)
{
	uint8_t buf[128];
	struct ifinfomsg ifi = { .ifi_index = ifindex };
	struct nlmsghdr *nlh =
		netlink_message(buf, RTM_GETLINK, 0, &ifi, sizeof(ifi));
	bool good = false;
	int r = netlink_ask(rt, nlh, conf_cb, &good, "reading back", err);

	if (r || good)
		return r;
	return error_set(err, -EIO,
			 "setting up %s: accept_local, forwarding or rp_filter "
			 "did not take", name);
}
