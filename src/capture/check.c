/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether it can be done here and now: asked before anything is changed, so
 * that the answer is one clear line and not a failure half-way.
 */
#include "capture/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/nft_build.h"

/* The kernel looks for privilege before it looks for the device. */
static int check_privilege(struct netlink *rt, struct error *err)
{
	struct ifinfomsg ifi = { .ifi_index = 0x7fffffff };
	uint8_t buf[64];
	struct error e;
	int r = netlink_ask(rt,
			    netlink_message(buf, RTM_SETLINK, 0, &ifi,
					    sizeof(ifi)),
			    NULL, NULL, "probing", &e);

	if (r != -EPERM && r != -EACCES)
		return 0;
	return error_set(err, -EPERM,
			 "capturing needs CAP_NET_ADMIN in this network "
			 "namespace: run as root, or use `sluice lab`");
}

static int check_tun(struct error *err)
{
	static const char path[] = "/dev/net/tun";
	struct stat st;
	int fd = open(path, O_RDWR | O_CLOEXEC), r = -errno;

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (r == -ENOENT || r == -ENODEV || r == -ENXIO)
		return error_set(err, -ENOENT,
				 "%s: %s: load the module tun, or in a "
				 "container hand the device in", path,
				 strerror(-r));
	if (stat(path, &st))
		st.st_mode = 0;
	return error_set(err, -EPERM, "%s: %s (its mode is %04o): run as "
			 "root, or chmod 0666 it as udev does", path,
			 strerror(-r), (unsigned)st.st_mode & 07777);
}

static int check_config(const struct capture_config *cfg, struct error *err)
{
	if (!cfg->dev[0] || strlen(cfg->dev) >= IFNAMSIZ ||
	    strpbrk(cfg->dev, "/: \t\n%") || !strcmp(cfg->dev, ".") ||
	    !strcmp(cfg->dev, ".."))
		return error_set(err, -EINVAL, "`%s' is no name for a device",
				 cfg->dev);
	if (!cfg->table || (cfg->table >= RT_TABLE_COMPAT &&
			    cfg->table <= RT_TABLE_LOCAL))
		return error_set(err, -EINVAL, "table %u is the kernel's own",
				 cfg->table);
	if (!cfg->pref || cfg->pref >= 32766)
		return error_set(err, -EINVAL, "preference %u: it has to come "
				 "before the main table, 1 to 32765",
				 cfg->pref);
	if (!cfg->mark || (cfg->mark & ~cfg->mask) ||
	    __builtin_popcount(cfg->mark) != 1 ||
	    __builtin_popcount(cfg->mask) != 2)
		return error_set(err, -EINVAL, "mark 0x%x/0x%x: it takes two "
				 "bits, and the first is one of them",
				 cfg->mark, cfg->mask);
	if (!cfg->workers || cfg->workers > CAPTURE_WORKERS_MAX)
		return error_set(err, -EINVAL, "workers: 1 to %d",
				 CAPTURE_WORKERS_MAX);
	return 0;
}

static int table_there(struct netlink *nf, uint8_t family)
{
	uint8_t buf[128];
	struct nfgenmsg g = { .nfgen_family = family };
	struct nlmsghdr *nlh = netlink_message(
		buf, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0, &g,
		sizeof(g));
	int r;

	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, NFT_TABLE);
	r = netlink_ask(nf, nlh, NULL, NULL, "", NULL);
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return 0;
	return r ? r : 1;
}

int capture_alive(void)
{
	static const uint8_t family[] = { NFPROTO_IPV4, NFPROTO_NETDEV };
	struct netlink nf;
	int r = netlink_open(&nf, NETLINK_NETFILTER);

	for (unsigned i = 0; !r && i < sizeof(family); i++)
		r = table_there(&nf, family[i]);
	netlink_close(&nf);
	return r;
}

int capture_check(struct capture *c, struct error *err)
{
	int r = check_config(&c->cfg, err);

	if (!r)
		r = check_privilege(&c->rt, err);
	if (!r)
		r = check_tun(err);
	if (r)
		return r;
	r = capture_alive();
	if (r < 0)
		return error_set(err, r, "asking nftables for its tables: %s",
				 strerror(-r));
	if (r)
		return error_set(err, -EEXIST,
				 "another instance runs in this network "
				 "namespace (nftables has a table " NFT_TABLE
				 "): stop it first");
	/* Nobody is alive: a rule with our tag is a dead one's. */
	r = rule_clean(&c->rt, err);
	if (r < 0)
		return r;
	if (r)
		log_info("removed an ip rule that a killed instance left");
	r = route_clean(&c->rt, err);
	if (r < 0)
		return r;
	return route_check_free(&c->rt, &c->cfg, err);
}

int capture_clean(struct error *err)
{
	struct netlink rt = NETLINK_NONE;
	int r = capture_alive(), rules, routes, accepts, groups;

	if (r < 0)
		return error_set(err, r, "asking nftables for its tables: %s",
				 strerror(-r));
	if (r)
		return error_set(err, -EBUSY,
				 "an instance is running here: use `sluice "
				 "stop'");
	r = netlink_open(&rt, NETLINK_ROUTE);
	if (r)
		return error_set(err, r, "opening rtnetlink: %s",
				 strerror(-r));
	rules = rule_clean(&rt, err);
	routes = rules < 0 ? rules : route_clean(&rt, err);
	netlink_close(&rt);
	if (routes < 0)
		return routes;
	accepts = nft_accept_remove(err);
	if (accepts < 0)
		return accepts;
	groups = cgroup_clean(err);
	return groups < 0 ? groups : rules + routes + accepts + groups;
}
