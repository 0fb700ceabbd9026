/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Can this host run it, and what would interfere? Looks and changes nothing
 * (what has to be tried is tried in a namespace of its own: probe.c). Each
 * finding is one line: what there is, and what it means or what to do.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "capture/internal.h"
#include "capture/nft_build.h"
#include "capture/survey.h"

#define HOOK_EGRESS 1 /* of family netdev */

struct doctor {
	void (*f)(void *arg, enum log_level level, const char *text);
	void *arg;
	int errors;
	struct capture *c;
	int alive; /* an instance runs here: 1, 0 or -errno */
};

static void say(struct doctor *d, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct doctor *d, enum log_level level, const char *fmt, ...)
{
	char text[LOG_LINE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->errors += level == LOG_ERROR;
	d->f(d->arg, level, text);
}

/* The number in a small file of /proc; -1: there is none. */
static long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* ---- the kernel --------------------------------------------------------- */

static void look_kernel(struct doctor *d)
{
	unsigned major = 0, minor = 0;
	struct utsname u;
	struct error err = { "" };
	int r;

	if (!uname(&u) && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	    (major < 5 || (major == 5 && minor < 16)))
		say(d, LOG_ERROR, "Linux %s: the egress hook of nftables came "
		    "with 5.16", u.release);
	r = nft_probe(&err);
	if (!r)
		say(d, LOG_INFO, "Linux %u.%u takes our nftables rules, tried "
		    "in a namespace of their own", major, minor);
	else if (r == -EPERM || r == -EACCES)
		say(d, LOG_WARN, "Linux %u.%u: whether it takes our nftables "
		    "rules could not be tried: %s", major, minor, err.text);
	else
		say(d, LOG_ERROR, "Linux %u.%u does not take what is needed: "
		    "%s", major, minor, err.text);
}

static void look_tun(struct doctor *d)
{
	static const char path[] = "/dev/net/tun";
	struct stat st;
	int fd;

	if (stat(path, &st)) {
		say(d, LOG_ERROR, "%s: %s: load the module tun, or in a "
		    "container hand the device in", path, strerror(errno));
		return;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		say(d, errno == EACCES || errno == EPERM ? LOG_WARN : LOG_ERROR,
		    "%s cannot be opened: %s", path, strerror(errno));
	else
		say(d, LOG_INFO, "%s can be opened", path);
	if (fd >= 0)
		close(fd);
	if ((st.st_mode & 0006) != 0006)
		say(d, LOG_DEBUG, "%s has mode %04o: for `sluice lab' without "
		    "root it takes 0666, as udev sets it", path,
		    (unsigned)st.st_mode & 07777);
}

/* ---- the host ----------------------------------------------------------- */

static void look_uplinks(struct doctor *d)
{
	const struct capture *c = d->c;
	char names[512] = "";
	size_t used = 0;
	unsigned i;

	for (i = 0; i < c->ports && used < sizeof(names) - IFNAMSIZ - 2; i++)
		used += (size_t)snprintf(names + used, sizeof(names) - used,
					 " %s", c->port[i].u.name);
	if (!c->ports)
		say(d, LOG_WARN, "no uplink: no device but lo is up with an "
		    "IPv4 address");
	else
		say(d, LOG_INFO, "uplinks:%s", names);
}

static void look_settings(struct doctor *d)
{
	long rp = read_number("/proc/sys/net/ipv4/conf/all/rp_filter");
	long count = read_number(
		"/proc/sys/net/netfilter/nf_conntrack_count");

	if (rp >= 0)
		say(d, LOG_INFO, "rp_filter is %ld; %s gets 2 of its own, "
		    "which is the larger or as good", rp, d->c->dev);
	if (count >= 0)
		say(d, LOG_DEBUG, "connections are tracked (%ld now)", count);
}

static int left_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;
	unsigned *n = arg;

	mnl_attr_for_each(a, nlh, sizeof(*frh))
		if (mnl_attr_get_type(a) == FRA_PROTOCOL &&
		    mnl_attr_get_u8(a) == CAPTURE_PROTOCOL)
			++*n;
	return 0;
}

static void left_again(void *arg)
{
	*(unsigned *)arg = 0;
}

/* The ip rule outlives a kill: it carries our tag. */
static unsigned rules_left(struct netlink *rt)
{
	struct fib_rule_hdr frh = { .family = AF_INET };
	uint8_t buf[128];
	unsigned n = 0;

	netlink_dump(rt, netlink_message(buf, RTM_GETRULE, 0, &frh,
					 sizeof(frh)),
		     left_cb, left_again, &n);
	return n;
}

/* Marks, table and preference: what run would refuse to share. */
static void look_routing(struct doctor *d)
{
	struct error err = { "" };
	unsigned left = rules_left(&d->c->rt);
	int r;

	if (d->alive > 0)
		return;
	if (left)
		say(d, LOG_WARN, "%u ip rule%s left by a killed instance: "
		    "`sluice down' removes %s", left, left > 1 ? "s" : "",
		    left > 1 ? "them" : "it");
	if (!d->alive && if_nametoindex(d->c->dev))
		say(d, LOG_ERROR, "a device %s exists: choose another name "
		    "with --dev", d->c->dev);
	r = left ? 0 : route_check_free(&d->c->rt, &d->c->cfg, &err);
	if (r)
		say(d, LOG_ERROR, "%s", err.text);
	else if (!left)
		say(d, LOG_INFO, "table %u, preference %u and the mark bits "
		    "0x%x are free of routes and ip rules", d->c->cfg.table,
		    d->c->cfg.pref, d->c->cfg.mask);
}

/* ---- the ruleset of others ---------------------------------------------- */

static void look_chain(struct doctor *d, const struct survey_chain *c)
{
	uint32_t shared = c->marks & d->c->cfg.mask;

	if (shared)
		say(d, LOG_WARN, "chain %s %s %s uses the bits 0x%x of the "
		    "mark, which are ours: choose others with --mark",
		    nft_family_name(c->family), c->table, c->name, shared);
	if (c->base && c->family == NFPROTO_NETDEV)
		say(d, c->hook == HOOK_EGRESS ? LOG_WARN : LOG_DEBUG,
		    "chain netdev %s %s of another program sees %s hook: of "
		    "the same packets one of the two is first", c->table,
		    c->name, c->hook == HOOK_EGRESS
				     ? "what leaves at the egress"
				     : "what arrives at the ingress");
}

static void look_chains(struct doctor *d)
{
	struct netlink nl = NETLINK_NONE;
	struct survey v = SURVEY_NONE;
	struct error err = { "" };
	unsigned i;

	if (!netlink_open(&nl, NETLINK_NETFILTER) &&
	    !survey_make(&v, &nl, &err))
		for (i = 0; i < v.chains; i++)
			look_chain(d, &v.chain[i]);
	survey_free(&v);
	netlink_close(&nl);
}

static void look_sight(struct doctor *d, const struct nft_sight *s)
{
	const char *lines[] = { s->nat, s->dnat, s->stateful, s->rpf };
	unsigned i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (lines[i][0])
			say(d, LOG_DEBUG, "%s", lines[i]);
	if (s->forward[0])
		say(d, LOG_DEBUG, "%s: while it runs an accept for %s stands "
		    "in front of it", s->forward, d->c->dev);
	if (s->legacy[0])
		say(d, LOG_WARN, "%s", s->legacy);
	if (s->accepts && !d->alive)
		say(d, LOG_WARN, "%u accept%s in forward chains left by a "
		    "killed instance: `sluice down' removes %s", s->accepts,
		    s->accepts > 1 ? "s" : "", s->accepts > 1 ? "them" : "it");
}

static void look_mode(struct doctor *d)
{
	struct error err = { "" };
	int r = mode_decide(d->c, &err);

	if (r)
		say(d, LOG_ERROR, "%s", err.text);
	else
		say(d, LOG_INFO, "packets would be taken %s: %s",
		    d->c->mode == CAPTURE_WIRE ? "at the wire" : "by route",
		    d->c->why);
}

static void look_ruleset(struct doctor *d)
{
	struct error err = { "" };
	struct nft_sight s;
	int r = nft_inspect(&s, &err);

	if (r == -EPERM) {
		say(d, LOG_WARN, "without root the nftables ruleset of others "
		    "cannot be read; `sluice lab' needs none");
		return;
	}
	if (r) {
		say(d, LOG_ERROR, "%s", err.text);
		return;
	}
	look_sight(d, &s);
	look_chains(d);
	look_mode(d);
}

int capture_doctor(const struct capture_config *cfg,
		   void (*f)(void *arg, enum log_level level,
			     const char *text),
		   void *arg)
{
	struct doctor d = { .f = f, .arg = arg };
	struct error err = { "" };

	d.c = calloc(1, sizeof(*d.c));
	if (!d.c) {
		say(&d, LOG_ERROR, "no memory");
		return d.errors;
	}
	capture_init(d.c, cfg);
	d.c->quiet = true;
	look_kernel(&d);
	look_tun(&d);
	if (netlink_open(&d.c->rt, NETLINK_ROUTE) || links_find(d.c, &err)) {
		say(&d, LOG_ERROR, "%s", err.text[0] ? err.text :
		    "opening rtnetlink failed");
		goto out;
	}
	d.alive = capture_alive();
	if (d.alive > 0)
		say(&d, LOG_INFO, "an instance runs in this network namespace");
	look_uplinks(&d);
	look_settings(&d);
	look_routing(&d);
	look_ruleset(&d);
out:
	netlink_close(&d.c->rt);
	free(d.c);
	return d.errors;
}
