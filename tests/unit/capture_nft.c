/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Our nftables rules: what they say, and that the kernel holds just that.
 * The second half runs in a user and network namespace of its own, with veth
 * devices in place of our TAPs; where that or nft is missing it is skipped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/nft.h"
#include "capture_space.h"

static const struct nft_how how_route = {
	.dev = "tun0", .divert = 0x1000, .seen = 0x2000, .route = true,
	.marker = { 2, 3, 4, 5, 6, 7 },
};

static struct uplink uplink(int ifindex, const char *name, bool ethernet,
			    bool in)
{
	struct uplink u = { .ifindex = ifindex, .in = in,
			    .link_len = ethernet ? 14 : 0,
			    .mac = { 10, 0, 0, 0, 0, 1 } };

	snprintf(u.name, sizeof(u.name), "%s", name);
	return u;
}

/* ---- text --------------------------------------------------------------- */

static const struct {
	const char *name;
	bool route, elsewhere, notrack, in, forward, probes, ethernet, uplink_in, bridge;
	const char *has[6];
	const char *lacks[6];
} texts[] = {
	{ "only route diverts", .route = true, .ethernet = true,
	  .has = { "\t\tmeta mark 0x00003000 meta mark set 0x00001000\n",
		   "chain divert", "meta mark != 0x00000000 goto marked",
		   "ip ttl >= 254 accept", "oif \"lo\" accept" },
	  .lacks = { "notrack", "chain in-" } },
	{ "where nothing goes to tun0 nothing looks for it", .ethernet = true,
	  .lacks = { "notrack", "prerouting" } },
	{ "wire diverts nothing and tracks once", .elsewhere = true,
	  .ethernet = true,
	  .has = { "iif \"tun0\" notrack",
		   "meta mark & 0x00002000 == 0x00002000 "
		   "meta mark set meta mark & 0xffffcfff\n" },
	  .lacks = { "meta mark set 0x00001000", "fib daddr type",
		     "chain divert" } },
	{ "route tracks after tun0 where asked", .route = true,
	  .notrack = true, .ethernet = true,
	  .has = { "hook output priority raw", "\t\tnotrack\n" },
	  .lacks = { "\"tun0\" notrack" } },
	{ "what passes through is marked unless captured", .route = true,
	  .ethernet = true,
	  .has = { "\n\t\tmeta mark set meta mark | 0x00002000\n" } },
	{ "what passes through is seen where it was handed back, else where "
	  "it leaves", .forward = true, .ethernet = true,
	  .has = { "iifname \"tun0\" meta mark set meta mark & 0xffffefff | "
		   "0x00002000 accept\n\t\tether saddr 02:03:04:05:06:07 "
		   "meta mark set meta mark & 0xffffefff | 0x00002000 "
		   "accept\n\t\tmeta iiftype != ether "
		   "meta mark & 0x00002000 == 0x00002000 accept\n"
		   "\t\tmeta mark set meta mark | 0x00003000\n",
		   "meta mark & 0x00003000 == 0x00003000 meta protocol ip "
		   "goto leave-up7\n",
		   "chain leave-up7 {\n\t\tfwd to \"slg7\"\n" },
	  .lacks = { "\n\t\tmeta mark set meta mark | 0x00002000\n",
		     "bridged" } },
	{ "arrivals are those for this host", .in = true, .ethernet = true,
	  .uplink_in = true,
	  .has = { "ether saddr 02:03:04:05:06:07 accept\n",
		   "ether type ip fib daddr type local fwd to \"sli7\"",
		   "fib daddr type multicast", "fib daddr type broadcast" },
	  .lacks = { "unicast" } },
	{ "arrivals without a frame know themselves by the mark", .in = true,
	  .uplink_in = true,
	  .has = { "hook ingress device \"up7\" priority filter; policy "
		   "accept;\n\t\tmeta mark & 0x00002000 == 0x00002000 "
		   "accept\n",
		   "meta protocol ip fib daddr type local" },
	  .lacks = { "ether" } },
	{ "what passes through is taken where it arrives", .forward = true,
	  .ethernet = true, .uplink_in = true,
	  .has = { "\n\t\tether saddr 02:03:04:05:06:07 accept\n",
		   "ether type ip meta pkttype host fib daddr type unicast "
		   "goto pass-up7\n",
		   "chain pass-up7 {\n\t\tfwd to \"slf7\"\n" },
	  .lacks = { "type local", "sli7", "bridged" } },
	{ "with both what arrives is told apart", .in = true, .forward = true,
	  .ethernet = true, .uplink_in = true,
	  .has = { "fib daddr type unicast goto pass-up7\n\t\tether type ip "
		   "fib daddr type local fwd to \"sli7\"",
		   "fib daddr type multicast fwd to \"sli7\"" } },
	{ "what comes by a bridge is not tracked before it is taken",
	  .forward = true, .ethernet = true, .uplink_in = true, .bridge = true,
	  .has = { "iifname \"up7\" ether daddr 0a:00:00:00:00:01 "
		   "ether saddr != 02:03:04:05:06:07 fib daddr type local "
		   "meta mark set meta mark | 0x00003000 accept\n",
		   "fib daddr type unicast goto bridged-new\n",
		   "chain bridged-new {\n\t\tnotrack\n",
		   "chain pass-up7 {\n\t\tmeta mark & 0x00003000 == "
		   "0x00003000 accept\n\t\tfwd to" } },
	{ "what may answer a probe is taken", .probes = true,
	  .ethernet = true, .uplink_in = true,
	  .has = { "\tset expected {\n\t\ttype inet_proto . inet_service\n",
		   "accept\n\t\tether type ip meta l4proto . th dport "
		   "@expected fwd to \"sli7\"\n",
		   "\t\ticmp type echo-reply fib daddr type local fwd to "
		   "\"sli7\"\n",
		   "\t\ticmp type destination-unreachable fib",
		   "\t\ticmp type time-exceeded fib",
		   "\t\ticmp type parameter-problem fib" },
	  .lacks = { "ip fib daddr type" } },
	{ "probes need nothing where all arrivals are taken", .probes = true,
	  .in = true, .ethernet = true, .uplink_in = true,
	  .has = { "ether type ip fib daddr type local fwd to \"sli7\"" },
	  .lacks = { "expected", "icmp" } },
	{ "an uplink without arrivals has no ingress chain", .in = true,
	  .ethernet = true, .has = { "chain out-up7" },
	  .lacks = { "chain in-up7", "sli7" } },
};

static void rules_say_what_is_wanted(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct nft_how how = how_route;
		struct uplink u = uplink(7, "up7", texts[i].ethernet,
					 texts[i].uplink_in);
		struct uplink *list = &u;
		char *text;

		how.route = texts[i].route;
		how.elsewhere = texts[i].elsewhere;
		how.notrack = texts[i].notrack;
		how.in = texts[i].in;
		how.forward = texts[i].forward;
		how.probes = texts[i].probes;
		u.bridge = texts[i].bridge;
		text = space_printed(&how, &list, 1);
		space_says(texts[i].name, text, texts[i].has, texts[i].lacks, 6);
		free(text);
	}
}

static const struct {
	const char *name;
	enum capture_mode wanted;
	struct nft_sight sight;
	int result;
	bool notrack;
	const char *why;
} decisions[] = {
	{ "an empty host takes the route", CAPTURE_AUTO, { .accepts = 0 },
	  CAPTURE_ROUTE, false, "nothing here" },
	{ "SNAT takes the wire", CAPTURE_AUTO, { .nat = "NAT" }, CAPTURE_WIRE,
	  false, "NAT" },
	{ "DNAT takes the wire", CAPTURE_AUTO, { .dnat = "DNAT" },
	  CAPTURE_WIRE, false, "DNAT" },
	{ "stateful output takes the wire", CAPTURE_AUTO,
	  { .stateful = "STATE" }, CAPTURE_WIRE, false, "STATE" },
	{ "a forward drop takes the wire", CAPTURE_AUTO,
	  { .forward = "DROP" }, CAPTURE_WIRE, false, "DROP" },
	{ "reverse path rules take the wire", CAPTURE_AUTO, { .rpf = "RPF" },
	  CAPTURE_WIRE, false, "RPF" },
	{ "iptables-legacy takes the wire", CAPTURE_AUTO,
	  { .legacy = "LEGACY" }, CAPTURE_WIRE, false, "LEGACY" },
	{ "who insists on route gets it with SNAT, tracked later",
	  CAPTURE_ROUTE, { .nat = "NAT" }, CAPTURE_ROUTE, true, "NAT" },
	{ "who insists on route gets it with stateful output", CAPTURE_ROUTE,
	  { .stateful = "STATE" }, CAPTURE_ROUTE, false, "as asked" },
	{ "SNAT and stateful output refuse the route", CAPTURE_ROUTE,
	  { .nat = "NAT", .stateful = "STATE" }, -ENOTSUP, false, "STATE" },
	{ "reverse path rules refuse the route", CAPTURE_ROUTE,
	  { .rpf = "RPF" }, -ENOTSUP, false, "RPF" },
	{ "who wants the wire gets it", CAPTURE_WIRE, { .nat = "NAT" },
	  CAPTURE_WIRE, false, "as asked" },
};

static void the_mode_follows_from_what_was_seen(void **state)
{
	(void)state;
	for (unsigned i = 0; i < sizeof(decisions) / sizeof(*decisions); i++) {
		struct nft_how how = { .dev = "tun0" };
		char why[NFT_WHY_MAX] = "";
		struct error err = { "" };
		int r = nft_decide(&how, decisions[i].wanted,
				   &decisions[i].sight, why, &err);
		const char *said = r < 0 ? err.text : why;

		if (r != decisions[i].result ||
		    !strstr(said, decisions[i].why) ||
		    how.notrack != decisions[i].notrack ||
		    how.route != (r == CAPTURE_ROUTE))
			fail_msg("%s: %d, notrack %d, '%s'", decisions[i].name,
				 r, how.notrack, said);
	}
}

/* ---- in a namespace of our own ------------------------------------------ */

static int run(const char *command)
{
	return system(command);
}

static void enter(void)
{
	if (run("ip -V >/dev/null 2>&1"))
		skip();
	space_enter();
	if (run("ip link set lo up && "
		"ip link add tun0 type veth peer name tun1 && "
		"ip link add up7 index 7 type veth peer name pe7 && "
		"ip link add up8 index 8 type veth peer name pe8 && "
		"ip link add slo7 type veth peer name sli7 && "
		"ip link add slo8 type veth peer name sli8 && "
		"ip link add slf7 type veth peer name slg7 && "
		"ip link add slf8 type veth peer name slg8"))
		skip();
}

static bool loaded(const char *what)
{
	char *text = space_output("nft list ruleset");
	bool yes = strstr(text, what) != NULL;

	free(text);
	return yes;
}

static struct nft *up(const struct nft_how *how, struct uplink *u,
		      unsigned count)
{
	struct uplink *list[8];
	struct error err = { "" };
	struct nft *n;

	for (unsigned i = 0; i < count; i++)
		list[i] = &u[i];
	assert_int_equal(nft_open(&n, &err), 0);
	if (nft_up(n, how, list, count, &err))
		fail_msg("nft_up: %s", err.text);
	return n;
}

static void nft_prints_what_we_print(void **state)
{
	struct uplink u[2] = { uplink(7, "up7", true, true),
			       uplink(8, "up8", false, true) };
	struct uplink *list[2] = { &u[0], &u[1] };

	(void)state;
	enter();
	for (unsigned i = 0; i < 64; i++) {
		struct nft_how how = how_route;
		char *ours, *theirs;
		struct nft *n;

		how.elsewhere = true;
		how.route = i & 1;
		how.notrack = i & 1 && i & 8;
		how.in = i & 2;
		how.forward = i & 4;
		how.probes = i & 16;
		how.flows = i & 32;
		u[0].bridge = i & 8;
		how.vias = i & 32 ? 2 : 0;
		n = up(&how, u, 2);
		ours = space_printed(&how, list, 2);
		theirs = space_output("nft list ruleset");
		assert_string_equal(ours, theirs);
		free(ours);
		free(theirs);
		nft_close(n);
		assert_false(loaded("sluice"));
	}
}

static void what_is_expected_comes_and_goes(void **state)
{
	struct uplink u = uplink(7, "up7", true, true);
	struct nft_how how = how_route;
	struct error err = { "" };
	struct nft *n;

	(void)state;
	enter();
	how.probes = true;
	n = up(&how, &u, 1);
	assert_int_equal(nft_expect(n, 6, 40000, true, &err), 0);
	assert_int_equal(nft_expect(n, 17, 53, true, &err), 0);
	assert_true(loaded("tcp . 40000"));
	assert_true(loaded("udp . 53"));
	/* They stay whatever else changes. */
	how.route = false;
	assert_int_equal(nft_change(n, &how, &err), 0);
	assert_true(loaded("tcp . 40000"));
	assert_int_equal(nft_expect(n, 6, 40000, false, &err), 0);
	assert_false(loaded("tcp . 40000"));
	assert_true(loaded("udp . 53"));
	assert_int_equal(nft_expect(n, 6, 40000, false, &err), -ENOENT);
	assert_int_equal(nft_down(n, &err), 0);
	assert_int_equal(nft_expect(n, 6, 40000, true, &err), -EINVAL);
	nft_close(n);
	assert_false(loaded("sluice"));
}

static void nothing_is_expected_where_all_is_taken(void **state)
{
	struct uplink u = uplink(7, "up7", true, true);
	struct nft_how how = how_route;
	struct error err = { "" };
	struct nft *n;

	(void)state;
	enter();
	how.probes = how.in = true;
	n = up(&how, &u, 1);
	assert_int_equal(nft_expect(n, 6, 40000, true, &err), 0);
	assert_false(loaded("expected"));
	nft_close(n);
	how.probes = false;
	n = up(&how, &u, 1);
	assert_int_equal(nft_expect(n, 6, 40000, true, &err), -EINVAL);
	nft_close(n);
}

static void a_second_instance_is_refused(void **state)
{
	struct uplink u = uplink(7, "up7", true, false), *list = &u;
	struct error err = { "" };
	struct nft *n, *m;

	(void)state;
	enter();
	n = up(&how_route, &u, 1);
	assert_int_equal(nft_open(&m, &err), 0);
	assert_int_equal(nft_up(m, &how_route, &list, 1, &err), -EEXIST);
	assert_non_null(strstr(err.text, "another instance"));
	nft_close(m);
	assert_true(loaded("chain out-up7"));
	assert_int_equal(nft_down(n, &err), 0);
	assert_int_equal(nft_down(n, &err), 0);
	assert_false(loaded("sluice"));
	nft_close(n);
}

static void all_or_nothing_and_the_object_is_named(void **state)
{
	struct uplink u[2] = { uplink(7, "up7", true, false),
			       uplink(9, "lo", true, false) };
	struct uplink *list[2] = { &u[0], &u[1] };
	struct error err = { "" };
	struct nft *n;

	(void)state;
	enter();
	/* A device that we may not hook: the table's chains are full of it. */
	assert_int_equal(nft_open(&n, &err), 0);
	u[1] = uplink(1, "lo", true, false);
	assert_int_equal(nft_up(n, &how_route, list, 2, &err), -ENODEV);
	assert_non_null(strstr(err.text, "out-lo"));
	assert_false(loaded("sluice"));
	/* A bit pattern is always fine, a table of somebody else is not. */
	assert_int_equal(run("nft add table netdev sluice"), 0);
	assert_int_equal(nft_up(n, &how_route, list, 1, &err), -EEXIST);
	assert_false(loaded("table ip sluice"));
	nft_close(n);
}

static void a_flush_by_others_leaves_ours(void **state)
{
	struct uplink u = uplink(7, "up7", true, false);
	struct nft *n;

	(void)state;
	enter();
	n = up(&how_route, &u, 1);
	assert_int_equal(run("nft flush ruleset"), 0);
	assert_true(loaded("meta mark set 0x00001000"));
	assert_true(loaded("fwd to \"slo7\""));
	nft_close(n);
}

static void the_kernel_takes_our_tables_with_the_process(void **state)
{
	struct uplink u = uplink(7, "up7", true, false);
	int ready[2], status;
	char byte;
	pid_t pid;

	(void)state;
	enter();
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		(void)up(&how_route, &u, 1);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(loaded("chain out-up7"));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	for (int i = 0; i < 100 && loaded("sluice"); i++)
		usleep(20000);
	assert_false(loaded("sluice"));
	close(ready[0]);
	close(ready[1]);
}

static void uplinks_come_change_and_go(void **state)
{
	struct uplink u7 = uplink(7, "up7", true, false);
	struct uplink u8 = uplink(8, "up8", true, true);
	struct nft_how how = how_route;
	struct error err = { "" };
	struct nft *n;

	(void)state;
	enter();
	how.in = true;
	n = up(&how, &u7, 1);
	assert_int_equal(nft_uplink_put(n, &u8, &err), 0);
	assert_true(loaded("chain out-up8"));
	assert_true(loaded("chain in-up8"));
	assert_int_equal(nft_uplink_put(n, &u8, &err), 0);

	u8.in = false;
	assert_int_equal(nft_uplink_put(n, &u8, &err), 0);
	assert_false(loaded("chain in-up8"));

	assert_int_equal(run("ip link set up8 name other"), 0);
	snprintf(u8.name, sizeof(u8.name), "other");
	assert_int_equal(nft_uplink_put(n, &u8, &err), 0);
	assert_true(loaded("chain out-other"));
	assert_false(loaded("up8"));

	/* A device that is gone, with or without its chain. */
	assert_int_equal(run("ip link del other"), 0);
	how.elsewhere = true;
	how.route = false;
	assert_int_equal(nft_change(n, &how, &err), 0);
	assert_true(loaded("notrack"));
	assert_false(loaded("meta mark set 0x00001000"));
	assert_true(loaded("chain out-up7"));
	assert_int_equal(nft_uplink_drop(n, 8, &err), 0);
	assert_false(loaded("chain out-other"));
	assert_int_equal(nft_uplink_drop(n, 8, &err), 0);

	/* Another one of the same name. */
	assert_int_equal(run("ip link add other index 8 type veth peer pe8"),
			 0);
	assert_int_equal(nft_uplink_put(n, &u8, &err), 0);
	assert_true(loaded("device \"other\""));
	how.route = true;
	assert_int_equal(nft_change(n, &how, &err), 0);
	assert_true(loaded("meta mark set 0x00001000"));
	assert_false(loaded("notrack"));
	nft_close(n);
}

static const struct {
	const char *name, *ruleset;
	size_t line; /* offsetof the finding, or NONE */
	const char *names;
} sights[] = {
#define NONE ((size_t)-1)
	{ "an empty ruleset is no finding", "", NONE, "" },
	{ "masquerading is translation",
	  "table ip n { chain post { type nat hook postrouting priority 100; "
	  "masquerade; }; }",
	  offsetof(struct nft_sight, nat), "chain ip n post" },
	{ "a nat chain without rules is none",
	  "table ip n { chain post { type nat hook postrouting priority 100; "
	  "}; }", NONE, "" },
	{ "a redirect of what is sent",
	  "table inet n { chain o { type nat hook output priority -100; "
	  "tcp dport 80 redirect to :8080; }; }",
	  offsetof(struct nft_sight, dnat), "chain inet n o" },
	{ "connection state, by a jump and a jump",
	  "table inet f { chain b { ct state established accept; }; "
	  "chain a { tcp dport 1 jump b; }; "
	  "chain output { type filter hook output priority 0; jump a; }; }",
	  offsetof(struct nft_sight, stateful), "chain inet f output" },
	{ "connection state, by a map",
	  "table inet f { chain b { ct state new accept; }; "
	  "chain output { type filter hook output priority 0; "
	  "meta l4proto vmap { tcp : jump b }; }; }",
	  offsetof(struct nft_sight, stateful), "chain inet f output" },
	{ "state in the input chain is none",
	  "table inet f { chain i { type filter hook input priority 0; "
	  "ct state new accept; }; }", NONE, "" },
	{ "state in a chain for IPv6 is none",
	  "table ip6 f { chain i { type filter hook output priority 0; "
	  "ct state new accept; }; }", NONE, "" },
	{ "a forward policy of drop",
	  "table ip filter { chain FORWARD { type filter hook forward "
	  "priority 0; policy drop; }; }",
	  offsetof(struct nft_sight, forward), "chain ip filter FORWARD" },
	{ "a reject at the end of what forward jumps to",
	  "table inet w { chain z { iifname \"x\" accept; counter reject; }; "
	  "chain f { type filter hook forward priority 10; jump z; }; }",
	  offsetof(struct nft_sight, forward), "chain inet w f" },
	{ "a drop with a condition is none",
	  "table inet w { chain f { type filter hook forward priority 10; "
	  "ct state invalid drop; iifname \"x\" drop; }; }", NONE, "" },
	{ "a rule that asks for the way back",
	  "table inet w { chain p { type filter hook prerouting priority 0; "
	  "fib saddr . iif oif missing drop; }; }",
	  offsetof(struct nft_sight, rpf), "chain inet w p" },
	{ "the type of an address is none",
	  "table inet w { chain p { type filter hook prerouting priority 0; "
	  "fib daddr type local accept; }; }", NONE, "" },
};

static void findings_name_their_chain(void **state)
{
	static const size_t all[] = { offsetof(struct nft_sight, nat),
				      offsetof(struct nft_sight, dnat),
				      offsetof(struct nft_sight, stateful),
				      offsetof(struct nft_sight, forward),
				      offsetof(struct nft_sight, rpf) };
	struct uplink u = uplink(7, "up7", true, false);
	struct error err = { "" };
	struct nft *n;

	(void)state;
	enter();
	n = up(&how_route, &u, 1); /* ours are no finding */
	for (unsigned i = 0; i < sizeof(sights) / sizeof(*sights); i++) {
		FILE *p = popen("nft -f -", "we");
		struct nft_sight s;

		fprintf(p, "flush ruleset\n%s\n", sights[i].ruleset);
		if (pclose(p))
			fail_msg("%s: nft does not take it", sights[i].name);
		assert_int_equal(nft_inspect(&s, &err), 0);
		for (unsigned k = 0; k < sizeof(all) / sizeof(*all); k++) {
			const char *line = (const char *)&s + all[k];
			bool want = all[k] == sights[i].line;

			if (want ? !strstr(line, sights[i].names) : !!line[0])
				fail_msg("%s: '%s'", sights[i].name, line);
		}
	}
	nft_close(n);
}

static void accepts_are_put_once_and_taken_away(void **state)
{
	static const char *const dev[] = { "tun0", "slv*" };
	struct error err = { "" };
	struct nft_sight s;

	(void)state;
	enter();
	assert_int_equal(run("nft add table ip filter && nft add chain ip "
			     "filter FORWARD '{ type filter hook forward "
			     "priority 0; policy drop; }' && nft add rule ip "
			     "filter FORWARD counter comment other && "
			     "nft add rule ip filter FORWARD udp dport 1 "
			     "accept comment sluice && "
			     "nft add table inet ok && nft add chain inet ok "
			     "f '{ type filter hook forward priority 0; }'"),
			 0);
	assert_int_equal(nft_accept_put(dev, 1, &err), 1);
	assert_int_equal(nft_accept_put(dev, 1, &err), 0);
	assert_true(loaded("policy drop;\n\t\tiifname \"tun0\" accept comment "
			   "\"sluice\"\n\t\tcounter"));
	assert_int_equal(nft_inspect(&s, &err), 0);
	assert_int_equal(s.accepts, 1);

	/* A rule of somebody who only uses the same word stays. */
	assert_int_equal(nft_accept_remove(&err), 1);
	assert_true(loaded("udp dport 1 accept comment \"sluice\""));
	assert_int_equal(nft_accept_put(dev, 1, &err), 1);

	/* One device more. */
	assert_int_equal(nft_accept_put(dev, 2, &err), 1);
	assert_int_equal(nft_accept_put(dev, 2, &err), 0);
	assert_int_equal(nft_inspect(&s, &err), 0);
	assert_int_equal(s.accepts, 2);
	assert_true(loaded("iifname \"slv*\" accept comment \"sluice\""));

	assert_int_equal(run("nft flush chain ip filter FORWARD"), 0);
	assert_int_equal(nft_accept_put(dev, 1, &err), 1);
	assert_int_equal(nft_accept_remove(&err), 1);
	assert_int_equal(nft_accept_remove(&err), 0);
	assert_false(loaded("tun0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_say_what_is_wanted),
		cmocka_unit_test(the_mode_follows_from_what_was_seen),
		cmocka_unit_test(nft_prints_what_we_print),
		cmocka_unit_test(what_is_expected_comes_and_goes),
		cmocka_unit_test(nothing_is_expected_where_all_is_taken),
		cmocka_unit_test(a_second_instance_is_refused),
		cmocka_unit_test(all_or_nothing_and_the_object_is_named),
		cmocka_unit_test(a_flush_by_others_leaves_ours),
		cmocka_unit_test(the_kernel_takes_our_tables_with_the_process),
		cmocka_unit_test(uplinks_come_change_and_go),
		cmocka_unit_test(findings_name_their_chain),
		cmocka_unit_test(accepts_are_put_once_and_taken_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
