/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ip rule that sends marked packets to table T, and T's only route. Both
 * carry our protocol number, by which what a killed instance left is known.
 */
#include "capture/internal.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int route_send(struct netlink *rt, uint16_t type, uint16_t flags,
		      int ifindex, uint32_t table, struct error *err)
{
	uint8_t buf[256];
	struct rtmsg rtm = {
		.rtm_family = AF_INET,
		.rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC,
		.rtm_protocol = CAPTURE_PROTOCOL,
		.rtm_scope = RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};
	struct nlmsghdr *nlh =
		netlink_message(buf, type, flags, &rtm, sizeof(rtm));
	char what[64];

	mnl_attr_put_u32(nlh, RTA_TABLE, table);
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)ifindex);
	snprintf(what, sizeof(what), "%s the route of table %u",
		 type == RTM_NEWROUTE ? "adding" : "removing", table);
	return netlink_ask(rt, nlh, NULL, NULL, what, err);
}

int route_put(struct netlink *rt, int ifindex, uint32_t table,
	      struct error *err)
{
	return route_send(rt, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, ifindex,
			  table, err);
}

int route_drop(struct netlink *rt, int ifindex, uint32_t table,
	       struct error *err)
{
	struct error e;
	int r = route_send(rt, RTM_DELROUTE, 0, ifindex, table, &e);

	/* Gone already: with its device, or by somebody else's hand. */
	if (r == -ESRCH || r == -ENODEV)
		return 0;
	return r ? error_set(err, r, "%s", e.text) : 0;
}

/* What has this mark, or comes from this device. */
struct rule {
	uint32_t pref, mark, mask, table;
	char dev[IFNAMSIZ]; /* "": any */
	uint8_t protocol;
};

static int rule_send(struct netlink *rt, uint16_t type, uint16_t flags,
		     const struct rule *rule, struct error *err)
{
	uint8_t buf[256];
	struct fib_rule_hdr frh = {
		.family = AF_INET,
		.action = FR_ACT_TO_TBL,
		.table = rule->table < 256 ? (uint8_t)rule->table :
					     RT_TABLE_UNSPEC,
	};
	struct nlmsghdr *nlh =
		netlink_message(buf, type, flags, &frh, sizeof(frh));

	mnl_attr_put_u32(nlh, FRA_PRIORITY, rule->pref);
	if (*rule->dev) {
		mnl_attr_put_strz(nlh, FRA_IIFNAME, rule->dev);
	} else {
		mnl_attr_put_u32(nlh, FRA_FWMARK, rule->mark);
		mnl_attr_put_u32(nlh, FRA_FWMASK, rule->mask);
	}
	mnl_attr_put_u32(nlh, FRA_TABLE, rule->table);
	mnl_attr_put_u8(nlh, FRA_PROTOCOL, CAPTURE_PROTOCOL);
	return netlink_ask(rt, nlh, NULL, NULL,
			   type == RTM_NEWRULE ? "adding the ip rule" :
						 "removing the ip rule",
			   err);
}

static int rule_add(struct netlink *rt, const struct rule *rule,
		    struct error *err)
{
	return rule_send(rt, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule,
			 err);
}

static int rule_remove(struct netlink *rt, const struct rule *rule,
		       struct error *err)
{
	struct error e;
	int r = rule_send(rt, RTM_DELRULE, 0, rule, &e);

	if (r == -ENOENT)
		return 0;
	return r ? error_set(err, r, "%s", e.text) : 0;
}

/* Exactly our bit: a mark of somebody else that has it among others goes its
 * own way, and is taken at the wire. */
static struct rule selector(const struct capture_config *cfg)
{
	return (struct rule){ .pref = cfg->pref,
			      .mark = cfg->mark,
			      .mask = UINT32_MAX,
			      .table = cfg->table };
}

int rule_put(struct netlink *rt, const struct capture_config *cfg,
	     struct error *err)
{
	const struct rule rule = selector(cfg);

	return rule_add(rt, &rule, err);
}

int rule_drop(struct netlink *rt, const struct capture_config *cfg,
	      struct error *err)
{
	const struct rule rule = selector(cfg);

	return rule_remove(rt, &rule, err);
}

static struct rule by_device(const struct capture_config *cfg,
			     const char *dev, uint32_t mark, uint32_t table)
{
	struct rule rule = { .pref = cfg->pref,
			     .mark = mark,
			     .mask = UINT32_MAX,
			     .table = table };

	snprintf(rule.dev, sizeof(rule.dev), "%s", dev);
	return rule;
}

int via_rule_put(struct netlink *rt, const struct capture_config *cfg,
		 const char *dev, uint32_t mark, uint32_t table,
		 struct error *err)
{
	const struct rule rule = by_device(cfg, dev, mark, table);

	return rule_add(rt, &rule, err);
}

int via_rule_drop(struct netlink *rt, const struct capture_config *cfg,
		  const char *dev, uint32_t mark, uint32_t table,
		  struct error *err)
{
	const struct rule rule = by_device(cfg, dev, mark, table);

	return rule_remove(rt, &rule, err);
}

/* ---- what is there ------------------------------------------------------ */

static uint32_t attr_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : 0;
}

static struct rule rule_read(const struct nlmsghdr *nlh)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	struct rule r = { .table = frh->table };
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(*frh)) {
		switch (mnl_attr_get_type(a)) {
		case FRA_PRIORITY:
			r.pref = attr_u32(a);
			break;
		case FRA_FWMARK:
			r.mark = attr_u32(a);
			break;
		case FRA_FWMASK:
			r.mask = attr_u32(a);
			break;
		case FRA_TABLE:
			r.table = attr_u32(a);
			break;
		case FRA_IIFNAME:
			snprintf(r.dev, sizeof(r.dev), "%.*s",
				 (int)mnl_attr_get_payload_len(a),
				 mnl_attr_get_str(a));
			break;
		case FRA_PROTOCOL:
			r.protocol = mnl_attr_get_u8(a);
			break;
		}
	}
	return r;
}

static struct nlmsghdr *rule_dump(uint8_t *buf)
{
	struct fib_rule_hdr frh = { .family = AF_INET };

	return netlink_message(buf, RTM_GETRULE, 0, &frh, sizeof(frh));
}

#define LEFT_MAX 64

struct leftovers {
	struct rule rule[LEFT_MAX];
	unsigned n;
};

static int left_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct leftovers *l = arg;
	struct rule r = rule_read(nlh);

	if (r.protocol == CAPTURE_PROTOCOL && (r.mark || *r.dev) &&
	    l->n < LEFT_MAX)
		l->rule[l->n++] = r;
	return 0;
}

static void left_again(void *arg)
{
	((struct leftovers *)arg)->n = 0;
}

int rule_clean(struct netlink *rt, struct error *err)
{
	struct leftovers l = { .n = 0 };
	uint8_t buf[128];
	int r = netlink_dump(rt, rule_dump(buf), left_cb, left_again, &l);

	if (r)
		return error_set(err, r, "listing ip rules: %s", strerror(-r));
	for (unsigned i = 0; i < l.n; i++) {
		r = rule_remove(rt, &l.rule[i], err);
		if (r)
			return r;
	}
	return (int)l.n;
}

struct wanted {
	const struct capture_config *cfg;
	struct error *err;
};

/* Would that rule take what we divert, or does it ask for the bit that says
 * seen, which we clear from whatever else carries it? */
static bool rule_collides(const struct rule *r,
			  const struct capture_config *cfg)
{
	uint32_t value = r->mark & r->mask;

	return value && (value == (cfg->mark & r->mask) ||
			 value & cfg->mask & ~cfg->mark);
}

static int rule_cb(const struct nlmsghdr *nlh, void *arg)
{
	struct wanted *w = arg;
	struct rule r = rule_read(nlh);

	if (r.pref == w->cfg->pref)
		return error_set(w->err, -EEXIST,
				 "an ip rule of preference %u exists: choose "
				 "another with --pref", r.pref);
	if (rule_collides(&r, w->cfg))
		return error_set(w->err, -EEXIST,
				 "the ip rule of preference %u uses the mark "
				 "0x%x/0x%x: choose other bits with --mark",
				 r.pref, r.mark, r.mask);
	if (r.table == w->cfg->table)
		return error_set(w->err, -EEXIST,
				 "the ip rule of preference %u uses table %u: "
				 "choose another with --table", r.pref,
				 r.table);
	return 0;
}

static int route_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct wanted *w = arg;
	uint32_t table = rtm->rtm_table;
	const struct nlattr *a;

	mnl_attr_for_each(a, nlh, sizeof(*rtm))
		if (mnl_attr_get_type(a) == RTA_TABLE)
			table = attr_u32(a);
	if (table != w->cfg->table || (rtm->rtm_flags & RTM_F_CLONED))
		return 0;
	return error_set(w->err, -EEXIST,
			 "table %u has routes: choose another with --table",
			 table);
}

int route_check_free(struct netlink *rt, const struct capture_config *cfg,
		     struct error *err)
{
	struct rtmsg rtm = { .rtm_family = AF_INET };
	struct error e = { .text = "listing ip rules and routes" };
	struct wanted w = { .cfg = cfg, .err = &e };
	uint8_t buf[128];
	struct nlmsghdr *nlh;
	int r = netlink_dump(rt, rule_dump(buf), rule_cb, NULL, &w);

	if (!r) {
		nlh = netlink_message(buf, RTM_GETROUTE, 0, &rtm, sizeof(rtm));
		mnl_attr_put_u32(nlh, RTA_TABLE, cfg->table);
		r = netlink_dump(rt, nlh, route_cb, NULL, &w);
	}
	if (r == -ENOENT) /* there is no such table at all */
		r = 0;
	if (r)
		error_set(err, r, "%s%s%s", e.text, r == -EEXIST ? "" : ": ",
			  r == -EEXIST ? "" : strerror(-r));
	return r;
}

int table_check_free(struct netlink *rt, uint32_t table, struct error *err)
{
	/* No rule has this preference, and none these bits. */
	const struct capture_config cfg = { .table = table,
					    .pref = UINT32_MAX };

	return route_check_free(rt, &cfg, err);
}

/* ---- what a killed instance left ---------------------------------------- */

#define LEFT_ROUTES_MAX 1024

struct left_routes {
	struct {
		_Alignas(struct nlmsghdr) uint8_t bytes[256];
	} *message;
	unsigned n;
};

static int left_route_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct left_routes *l = arg;

	if (rtm->rtm_protocol == CAPTURE_PROTOCOL &&
	    !(rtm->rtm_flags & RTM_F_CLONED) && l->n < LEFT_ROUTES_MAX &&
	    nlh->nlmsg_len <= sizeof(l->message[0]))
		memcpy(&l->message[l->n++], nlh, nlh->nlmsg_len);
	return 0;
}

static void left_routes_again(void *arg)
{
	((struct left_routes *)arg)->n = 0;
}

int route_clean(struct netlink *rt, struct error *err)
{
	struct rtmsg rtm = { .rtm_family = AF_INET };
	struct left_routes l = { .n = 0 };
	uint8_t buf[128];
	int r = -ENOMEM;

	l.message = calloc(LEFT_ROUTES_MAX, sizeof(*l.message));
	if (l.message)
		r = netlink_dump(rt, netlink_message(buf, RTM_GETROUTE, 0,
						     &rtm, sizeof(rtm)),
				 left_route_cb, left_routes_again, &l);
	if (r) {
		error_set(err, r, "listing routes: %s", strerror(-r));
		goto out;
	}
	/* What the kernel says of a route is what removes it. */
	for (unsigned i = 0; i < l.n && !r; i++) {
		struct nlmsghdr *nlh = (void *)l.message[i].bytes;

		nlh->nlmsg_type = RTM_DELROUTE;
		nlh->nlmsg_flags = 0;
		nlh->nlmsg_pid = 0;
		r = netlink_ask(rt, nlh, NULL, NULL, "removing a route", err);
		r = r == -ESRCH || r == -ENODEV ? 0 : r;
	}
	if (!r)
		r = (int)l.n;
out:
	free(l.message);
	return r;
}
