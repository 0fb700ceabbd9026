/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The capture in a user and network namespace of its own, with the lab's
 * uplink: whatever is done to the host is undone. Skipped where namespaces or
 * /dev/net/tun are not for us.
 */
#include "capture/capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "capture/netlink.h"

#define VNET 10 /* struct virtio_net_hdr */
#define ETHER 14

static int lab = -1; /* what leaves by eth0 */
static bool ready;

static int enter(void **state)
{
	struct error e;

	(void)state;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) && unshare(CLONE_NEWNET)) {
		print_message("no namespace: skipped\n");
		return 0;
	}
	lab = lab_uplink(&e);
	if (lab < 0) {
		print_message("no lab: %s: skipped\n", e.text);
		return 0;
	}
	ready = true;
	return 0;
}

#define NEED_LAB()                                                             \
	do {                                                                   \
		(void)state;                                                   \
		if (!ready)                                                    \
			skip();                                                \
	} while (0)

/* ---- what the kernel holds, as bytes ------------------------------------ */

struct picture {
	char *text;
	size_t len;
	FILE *f;
};

static int draw(const struct nlmsghdr *nlh, void *arg)
{
	struct picture *p = arg;
	const struct nlattr *a;

	if (nlh->nlmsg_type == RTM_NEWLINK) {
		mnl_attr_for_each(a, nlh, sizeof(struct ifinfomsg))
			if (mnl_attr_get_type(a) == IFLA_IFNAME)
				fprintf(p->f, "%s\n", mnl_attr_get_str(a));
		return 0;
	}
	fwrite(mnl_nlmsg_get_payload(nlh), 1, mnl_nlmsg_get_payload_len(nlh),
	       p->f);
	return 0;
}

static void draw_bus(struct picture *p, int bus, uint16_t type, void *header,
		     size_t size)
{
	struct netlink n;
	uint8_t buf[128];

	assert_int_equal(netlink_open(&n, bus), 0);
	assert_int_equal(netlink_dump(&n, netlink_message(buf, type, 0, header,
							  size),
				      draw, NULL, p), 0);
	netlink_close(&n);
}

/* Links, addresses, routes, rules and nftables' tables, all of them. */
static struct picture picture(void)
{
	struct ifinfomsg link = { .ifi_family = AF_UNSPEC };
	struct ifaddrmsg addr = { .ifa_family = AF_INET };
	struct rtmsg route = { .rtm_family = AF_INET };
	struct fib_rule_hdr rule = { .family = AF_INET };
	struct nfgenmsg nf = { .nfgen_family = AF_UNSPEC };
	struct picture p = { .text = NULL };

	p.f = open_memstream(&p.text, &p.len);
	assert_non_null(p.f);
	draw_bus(&p, NETLINK_ROUTE, RTM_GETLINK, &link, sizeof(link));
	draw_bus(&p, NETLINK_ROUTE, RTM_GETADDR, &addr, sizeof(addr));
	draw_bus(&p, NETLINK_ROUTE, RTM_GETROUTE, &route, sizeof(route));
	draw_bus(&p, NETLINK_ROUTE, RTM_GETRULE, &rule, sizeof(rule));
	draw_bus(&p, NETLINK_NETFILTER,
		 NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, &nf,
		 sizeof(nf));
	fclose(p.f);
	return p;
}

static bool same(const struct picture *a, const struct picture *b)
{
	return a->len == b->len && !memcmp(a->text, b->text, a->len);
}

/* ---- what the owner is told --------------------------------------------- */

struct told {
	unsigned ups, downs, changes, locals, routes, modes;
	struct uplink u;
	struct address local[8];
	unsigned locals_n;
	enum capture_mode mode;
	int down;
};

static void on_up(void *arg, const struct uplink *u)
{
	struct told *t = arg;

	t->ups++;
	t->u = *u;
}

static void on_change(void *arg, const struct uplink *u)
{
	struct told *t = arg;

	t->changes++;
	t->u = *u;
}

static void on_down(void *arg, int ifindex)
{
	struct told *t = arg;

	t->downs++;
	t->down = ifindex;
}

static void on_locals(void *arg, const struct address *list, unsigned n)
{
	struct told *t = arg;

	t->locals++;
	t->locals_n = n < 8 ? n : 8;
	memcpy(t->local, list, t->locals_n * sizeof(*list));
}

static void on_routes(void *arg)
{
	((struct told *)arg)->routes++;
}

static void on_mode(void *arg, enum capture_mode mode, const char *why)
{
	struct told *t = arg;

	assert_true(why[0]);
	t->modes++;
	t->mode = mode;
}

static struct capture_events events(struct told *t)
{
	memset(t, 0, sizeof(*t));
	return (struct capture_events){ .arg = t,
					.uplink_up = on_up,
					.uplink_changed = on_change,
					.uplink_down = on_down,
					.locals = on_locals,
					.routes = on_routes,
					.mode = on_mode };
}

static void handle_for(struct capture *c, int64_t ms)
{
	int64_t end = clock_monotonic() + ms * NSEC_PER_MSEC;
	struct error e = { .text = "" };

	while (clock_monotonic() < end) {
		struct pollfd p = { capture_fd(c), POLLIN, 0 };

		poll(&p, 1, 20);
		if (p.revents || !capture_timeout(c))
			assert_int_equal(capture_handle(c, &e), 0);
	}
}

static struct capture *open_up(const struct capture_config *cfg,
			       struct told *t)
{
	struct capture_events ev = events(t);
	struct capture *c = NULL;
	struct error e = { .text = "" };

	if (capture_open(&c, cfg, &ev, &e))
		fail_msg("open: %s", e.text);
	if (capture_up(c, &e))
		fail_msg("up: %s", e.text);
	return c;
}

/* ---- promises ----------------------------------------------------------- */

static const struct {
	enum capture_mode mode;
	bool in, forward, offload;
	unsigned workers;
	const char *via;
} ways[] = {
	{ CAPTURE_AUTO, false, false, true, 1, NULL },
	{ CAPTURE_ROUTE, true, false, true, 3, "up0" },
	{ CAPTURE_WIRE, false, false, false, 1, "none0" },
	{ CAPTURE_WIRE, true, true, true, CAPTURE_WORKERS_MAX, NULL },
};
#define WAYS (sizeof(ways) / sizeof(*ways))

static struct capture_config way(size_t i)
{
	struct capture_config cfg;

	capture_defaults(&cfg);
	cfg.mode = ways[i].mode;
	cfg.in = ways[i].in;
	cfg.forward = ways[i].forward;
	cfg.offload = ways[i].offload;
	cfg.workers = ways[i].workers;
	cfg.via[0] = ways[i].via;
	cfg.vias = ways[i].via != NULL;
	return cfg;
}

static void everything_is_put_back(void **state)
{
	NEED_LAB();
	for (size_t i = 0; i < WAYS; i++) {
		struct picture before = picture(), during, after;
		struct capture_config cfg = way(i);
		struct told t;
		struct capture *c = open_up(&cfg, &t);

		during = picture();
		assert_false(same(&before, &during));
		capture_close(c);
		after = picture();
		assert_true(same(&before, &after));
		free(before.text);
		free(during.text);
		free(after.text);
	}
}

static void a_step_that_fails_leaves_nothing(void **state)
{
	const char *step;

	NEED_LAB();
#ifndef SLUICE_FAULTS
	skip();
#endif
	for (size_t i = 0; i < WAYS; i++) {
		struct picture before = picture();

		for (unsigned k = 0; (step = capture_step(k)); k++) {
			struct capture_config cfg = way(i);
			struct capture *c = NULL;
			struct error e = { .text = "" };
			struct picture after;
			int r;

			cfg.fail_at = step;
			r = capture_open(&c, &cfg, NULL, &e);
			if (!r)
				r = capture_up(c, &e);
			assert_int_equal(r, -ECANCELED);
			assert_non_null(strstr(e.text, step));
			capture_close(c);
			after = picture();
			if (!same(&before, &after))
				fail_msg("way %zu, step %s left something", i,
					 step);
			free(after.text);
		}
		free(before.text);
	}
}

static void up_after_down_works_again(void **state)
{
	struct capture_config cfg = way(0);
	struct error e = { .text = "" };
	struct capture *c;
	struct told t;

	NEED_LAB();
	c = open_up(&cfg, &t);
	for (int i = 0; i < 3; i++) {
		struct picture up = picture(), again;

		assert_int_equal(capture_down(c, &e), 0);
		assert_int_equal(capture_down(c, &e), 0);
		assert_int_equal(capture_up(c, &e), 0);
		assert_int_equal(capture_up(c, &e), 0);
		again = picture();
		/* nftables numbers its tables anew: the length will do. */
		assert_int_equal(up.len, again.len);
		free(up.text);
		free(again.text);
	}
	capture_close(c);
}

static void the_owner_is_told_what_is_there(void **state)
{
	struct capture_config cfg = way(3);
	struct capture *c;
	struct told t;

	NEED_LAB();
	c = open_up(&cfg, &t);
	assert_int_equal(t.ups, 1);
	assert_string_equal(t.u.name, "eth0");
	assert_int_equal(t.u.ifindex, if_nametoindex("eth0"));
	assert_int_equal(t.u.link_len, ETHER);
	assert_int_equal(t.u.mtu, 1500);
	assert_true(t.u.in);
	assert_int_equal(t.modes, 1);
	assert_int_equal(t.mode, CAPTURE_WIRE);
	assert_int_equal(t.locals, 1);
	assert_true(t.locals_n >= 2);
	for (unsigned i = 0; i < CAPTURE_WORKERS_MAX; i++) {
		int fd[] = { t.u.out[i], t.u.back[i], t.u.sock[i],
			     capture_tun(c, i) };

		for (unsigned k = 0; k < 4; k++)
			assert_true(fcntl(fd[k], F_GETFL) & O_NONBLOCK);
	}
	assert_int_equal(capture_marker(c)[0] & 3, 2);
	capture_close(c);
}

static void a_second_instance_is_refused(void **state)
{
	struct capture_config cfg = way(0), other = way(0);
	struct capture *c, *d = NULL;
	struct error e;
	struct told t;

	NEED_LAB();
	c = open_up(&cfg, &t);
	other.dev = "tun7";
	other.table = other.pref = 77;
	assert_int_equal(capture_open(&d, &other, NULL, &e), -EEXIST);
	assert_null(d);
	assert_int_equal(capture_clean(&e), -EBUSY);
	capture_close(c);
	assert_int_equal(capture_open(&d, &other, NULL, &e), 0);
	capture_close(d);
}

static void settings_that_cannot_work_are_refused(void **state)
{
	static const struct {
		const char *dev;
		uint32_t table, pref, mark, mask;
		int error;
	} cases[] = {
		{ "eth0", 100, 100, 0x1000, 0x3000, -EEXIST },
		{ "a/b", 100, 100, 0x1000, 0x3000, -EINVAL },
		{ "", 100, 100, 0x1000, 0x3000, -EINVAL },
		{ "a_name_of_sixteen", 100, 100, 0x1000, 0x3000, -EINVAL },
		{ "tun0", 254, 100, 0x1000, 0x3000, -EINVAL },
		{ "tun0", 0, 100, 0x1000, 0x3000, -EINVAL },
		{ "tun0", 100, 0, 0x1000, 0x3000, -EINVAL },
		{ "tun0", 100, 32766, 0x1000, 0x3000, -EINVAL },
		{ "tun0", 100, 100, 0x1000, 0x1000, -EINVAL },
		{ "tun0", 100, 100, 0x4000, 0x3000, -EINVAL },
		{ "tun0", 100, 100, 0x1000, 0x7000, -EINVAL },
		{ "tun0", 100, 100, 0, 0x3000, -EINVAL },
	};
	struct picture before, after;

	NEED_LAB();
	before = picture();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct capture_config cfg = way(0);
		struct capture *c = NULL;
		struct error e = { .text = "" };

		cfg.dev = cases[i].dev;
		cfg.table = cases[i].table;
		cfg.pref = cases[i].pref;
		cfg.mark = cases[i].mark;
		cfg.mask = cases[i].mask;
		assert_int_equal(capture_open(&c, &cfg, NULL, &e),
				 cases[i].error);
		assert_true(e.text[0]);
		assert_null(c);
	}
	after = picture();
	assert_true(same(&before, &after));
	free(before.text);
	free(after.text);
}

static void what_a_killed_instance_left_is_cleaned(void **state)
{
	struct picture before, after;
	struct error e;
	int status;
	pid_t pid;

	NEED_LAB();
	before = picture();
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct capture_config cfg = way(0);
		struct told t;

		open_up(&cfg, &t);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(capture_clean(&e), 1);
	assert_int_equal(capture_clean(&e), 0);
	after = picture();
	assert_true(same(&before, &after));
	free(before.text);
	free(after.text);
}

static void set_eth0(unsigned long what, int value)
{
	struct ifreq ifr = { .ifr_name = "eth0" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (what == SIOCSIFMTU) {
		ifr.ifr_mtu = value;
	} else {
		assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
		ifr.ifr_flags = (short)(value ? ifr.ifr_flags | IFF_UP :
						ifr.ifr_flags & ~IFF_UP);
	}
	assert_int_equal(ioctl(fd, what, &ifr), 0);
	close(fd);
}

static void an_uplink_may_change_go_and_come_back(void **state)
{
	struct capture_config cfg = way(3);
	struct picture before, after;
	struct capture *c;
	struct told t;

	NEED_LAB();
	c = open_up(&cfg, &t);
	before = picture();
	set_eth0(SIOCSIFMTU, 1400);
	handle_for(c, 100);
	assert_int_equal(t.changes, 1);
	assert_int_equal(t.u.mtu, 1400);
	set_eth0(SIOCSIFMTU, 1500);
	set_eth0(SIOCSIFFLAGS, 0);
	handle_for(c, 100);
	assert_int_equal(t.downs, 1);
	assert_int_equal(t.down, if_nametoindex("eth0"));
	after = picture();
	assert_true(after.len < before.len);
	free(after.text);
	set_eth0(SIOCSIFFLAGS, 1);
	handle_for(c, 100);
	assert_int_equal(t.ups, 2);
	assert_true(t.routes > 0);
	capture_close(c);
	free(before.text);
}

static void set_qdisc(const char *kind)
{
	struct tcmsg tcm = { .tcm_ifindex = (int)if_nametoindex("eth0"),
			     .tcm_parent = TC_H_ROOT };
	struct netlink n;
	uint8_t buf[256];
	struct nlmsghdr *nlh =
		netlink_message(buf, RTM_NEWQDISC,
				NLM_F_CREATE | NLM_F_REPLACE, &tcm,
				sizeof(tcm));

	mnl_attr_put_strz(nlh, TCA_KIND, kind);
	assert_int_equal(netlink_open(&n, NETLINK_ROUTE), 0);
	assert_int_equal(netlink_ask(&n, nlh, NULL, NULL, kind, NULL), 0);
	netlink_close(&n);
}

static void a_plain_queue_is_reason_to_go_to_the_wire(void **state)
{
	struct capture_config cfg = way(0);
	struct capture *c;
	struct told t;

	NEED_LAB();
	c = open_up(&cfg, &t);
	assert_int_equal(t.mode, CAPTURE_ROUTE);
	set_qdisc("pfifo");
	handle_for(c, 500);
	assert_int_equal(t.mode, CAPTURE_WIRE);
	assert_non_null(strstr(capture_mode_why(c), "pfifo"));
	set_qdisc("noqueue");
	handle_for(c, 1500);
	assert_int_equal(t.mode, CAPTURE_ROUTE);
	assert_int_equal(t.modes, 3);
	capture_close(c);
}

/* ---- packets ------------------------------------------------------------ */

#define TEXT "through the gate"

static int udp_socket(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* The next IPv4 packet with our text on fd, its length, or 0. */
static size_t next(int fd, uint8_t *buf, size_t size, size_t header)
{
	for (int i = 0; i < 100; i++) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t n;

		if (poll(&p, 1, 20) <= 0)
			continue;
		n = read(fd, buf, size);
		if (n > (ssize_t)(header + 28) && buf[header] >> 4 == 4 &&
		    memmem(buf, (size_t)n, TEXT, strlen(TEXT)))
			return (size_t)n;
	}
	return 0;
}

static void send_text(int fd)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(5353) };

	inet_pton(AF_INET, "198.51.100.9", &to.sin_addr);
	assert_int_equal(sendto(fd, TEXT, strlen(TEXT), 0,
				(struct sockaddr *)&to, sizeof(to)),
			 strlen(TEXT));
}

/* From what eth0 sent to what it would get as an answer. */
static void turn_round(uint8_t *frame, const struct uplink *u)
{
	uint8_t *ip = frame + VNET + ETHER, was[4];

	memcpy(frame + VNET, u->mac, 6);
	memcpy(frame + VNET + 6, "\x02\x00\x00\x00\x00\x01", 6);
	memcpy(was, ip + 12, 4);
	memcpy(ip + 12, ip + 16, 4);
	memcpy(ip + 16, was, 4);
	memcpy(was, ip + 20, 2);
	memcpy(ip + 20, ip + 22, 2);
	memcpy(ip + 22, was, 2);
}

static void assert_arrived(int udp)
{
	struct pollfd p = { udp, POLLIN, 0 };
	uint8_t text[64];

	assert_int_equal(poll(&p, 1, 2000), 1);
	assert_int_equal(recv(udp, text, sizeof(text), 0), strlen(TEXT));
	assert_memory_equal(text, TEXT, strlen(TEXT));
}

static void an_arrival_is_captured_once_and_handed_on(void **state)
{
	struct capture_config cfg = way(2);
	uint8_t frame[2048];
	struct capture *c;
	struct told t;
	size_t n;
	int udp;

	NEED_LAB();
	cfg.in = true;
	c = open_up(&cfg, &t);
	udp = udp_socket(4000);
	send_text(udp);
	n = next(t.u.out[0], frame, sizeof(frame), VNET + ETHER);
	assert_true(n > 0);
	turn_round(frame, &t.u);
	assert_int_equal(write(lab, frame, n), n);
	assert_int_equal(next(t.u.back[0], frame, sizeof(frame),
			      VNET + ETHER), n);
	assert_int_equal(recv(udp, frame, 1, 0), -1);
	memcpy(frame + VNET + 6, capture_marker(c), 6);
	assert_int_equal(write(t.u.back[0], frame, n), n);
	assert_arrived(udp);
	assert_int_equal(read(t.u.back[0], frame, sizeof(frame)), -1);
	close(udp);
	capture_close(c);
}

static void by_the_wire_a_packet_comes_goes_and_comes_back(void **state)
{
	uint8_t out[2048], there[2048];
	struct capture_config cfg = way(2);
	struct capture *c;
	struct told t;
	size_t n;
	int udp;

	NEED_LAB();
	c = open_up(&cfg, &t);
	udp = udp_socket(4000);
	send_text(udp);
	n = next(t.u.out[0], out, sizeof(out), VNET + ETHER);
	assert_true(n > 0);
	/* What is written to the packet socket leaves, byte for byte. */
	assert_int_equal(write(t.u.sock[0], out, n), n);
	assert_int_equal(next(lab, there, sizeof(there), VNET + ETHER), n);
	assert_memory_equal(out + VNET, there + VNET, n - VNET);
	assert_int_equal(there[VNET + ETHER + 8], 64); /* its TTL */
	/* And nothing of it is captured again. */
	assert_int_equal(read(t.u.out[0], there, sizeof(there)), -1);

	/* What is written back arrives here, as from its uplink. */
	turn_round(out, &t.u);
	memcpy(out + VNET + 6, capture_marker(c), 6);
	assert_int_equal(write(t.u.back[0], out, n), n);
	assert_arrived(udp);
	close(udp);
	capture_close(c);
}

static void by_route_a_packet_comes_and_goes_with_one_ttl_less(void **state)
{
	uint8_t out[2048], there[2048];
	struct capture_config cfg = way(0);
	struct capture *c;
	struct told t;
	size_t n;
	int udp;

	NEED_LAB();
	c = open_up(&cfg, &t);
	udp = udp_socket(4000);
	send_text(udp);
	n = next(capture_tun(c, 0), out, sizeof(out), VNET);
	assert_true(n > 0);
	/* Its source is its uplink's, not tun0's. */
	assert_memory_equal(out + VNET + 12, "\xc0\x00\x02\x02", 4);
	assert_int_equal(write(capture_tun(c, 0), out, n), n);
	assert_int_equal(next(lab, there, sizeof(there), VNET + ETHER),
			 n + ETHER);
	assert_int_equal(there[VNET + ETHER + 8], out[VNET + 8] - 1);
	close(udp);
	capture_close(c);
}

static void what_is_not_captured_goes_its_old_way(void **state)
{
	uint8_t there[2048];
	struct capture_config cfg = way(0);
	struct capture_events ev;
	struct capture *c = NULL;
	struct error e;
	struct told t;
	int udp;

	NEED_LAB();
	ev = events(&t);
	assert_int_equal(capture_open(&c, &cfg, &ev, &e), 0);
	udp = udp_socket(4000);
	send_text(udp); /* open, but not up */
	assert_true(next(lab, there, sizeof(there), VNET + ETHER) > 0);
	assert_int_equal(capture_up(c, &e), 0);
	assert_int_equal(capture_down(c, &e), 0);
	send_text(udp);
	assert_true(next(lab, there, sizeof(there), VNET + ETHER) > 0);
	close(udp);
	capture_close(c);
}

static void a_route_is_found_or_nothing_is_known(void **state)
{
	struct address far, near;
	int fd;

	NEED_LAB();
	assert_int_equal(address_parse(&far, "198.51.100.9"), 0);
	assert_int_equal(address_parse(&near, "192.0.2.2"), 0);
	fd = route_lookup_open();
	assert_true(fd >= 0);
	assert_int_equal(route_lookup(fd, &near, &far),
			 if_nametoindex("eth0"));
	set_eth0(SIOCSIFFLAGS, 0);
	assert_int_equal(route_lookup(fd, &near, &far), 0);
	close(fd);
	set_eth0(SIOCSIFFLAGS, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_put_back),
		cmocka_unit_test(a_step_that_fails_leaves_nothing),
		cmocka_unit_test(up_after_down_works_again),
		cmocka_unit_test(the_owner_is_told_what_is_there),
		cmocka_unit_test(a_second_instance_is_refused),
		cmocka_unit_test(settings_that_cannot_work_are_refused),
		cmocka_unit_test(what_a_killed_instance_left_is_cleaned),
		cmocka_unit_test(an_arrival_is_captured_once_and_handed_on),
		cmocka_unit_test(
			by_the_wire_a_packet_comes_goes_and_comes_back),
		cmocka_unit_test(
			by_route_a_packet_comes_and_goes_with_one_ttl_less),
		cmocka_unit_test(what_is_not_captured_goes_its_old_way),
		cmocka_unit_test(a_plain_queue_is_reason_to_go_to_the_wire),
		/* These take the default route with them. */
		cmocka_unit_test(a_route_is_found_or_nothing_is_known),
		cmocka_unit_test(an_uplink_may_change_go_and_come_back),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
