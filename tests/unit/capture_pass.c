/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules for what passes through, with a plan: where each step has a
 * meaning, and that the kernel holds what we say. In a user and network
 * namespace of its own; else it is skipped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "capture/nft.h"
#include "capture_space.h"
#include "rule/plan.h"
#include "rule_line.h"

static const char *const rules[] = {
	"dir=forward proto=udp dport=1 : function",
	"dir=forward iif=up7 : DROP",
	"dir=forward oif=!up7 : ACCEPT",
	"dir=forward proto=tcp : ttl=9 ACCEPT",
	"dir=out : ACCEPT",
	"dir=forward src=10.0.0.0/8 : DROP",
};

static struct plan *plan;
static struct ruleset *ruleset;
static char *ours, *theirs;

/* A bridge, and an uplink without an Ethernet header. */
static struct uplink uplinks[2] = {
	{ .ifindex = 7, .name = "up7", .link_len = 14, .in = true,
	  .bridge = true, .mac = { 10, 0, 0, 0, 0, 1 } },
	{ .ifindex = 8, .name = "up8", .in = true },
};
static struct uplink *const list[2] = { &uplinks[0], &uplinks[1] };

static struct nft_how how = {
	.dev = "tun0", .divert = 0x1000, .seen = 0x2000, .in = true,
	.forward = true, .ipsec = true, .marker = { 2, 3, 4, 5, 6, 7 },
};

static int setup(void **state)
{
	const struct plan_options o = { .sets = true };
	size_t len = 0;
	FILE *f;

	(void)state;
	ruleset = ruleset_new();
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++)
		rule_line(ruleset, rules[i]);
	if (plan_make(&plan, ruleset, &o))
		return -1;
	how.plan = plan;
	f = open_memstream(&ours, &len);
	if (!f || nft_print(&how, list, 2, f))
		return -1;
	return fclose(f);
}

static int teardown(void **state)
{
	(void)state;
	free(ours);
	free(theirs);
	plan_free(plan);
	ruleset_free(ruleset);
	return 0;
}

static const struct {
	const char *family, *chain, *has[6], *lacks[6];
} chains[] = {
	{ "netdev", "plan-passing",
	  { "udp dport 1 return\n", "iifname \"up7\" counter name \"r1\" drop",
	    "ip ttl set 9 ether saddr set 02:03:04:05:06:07 accept",
	    "ip saddr 10.0.0.0/8 meta l4proto >= ip counter name \"r5\" "
	    "drop",
	    "\n\t\tether saddr set 02:03:04:05:06:07 accept\n" },
	  { "oifname", "mark", "r4" } },
	{ "netdev", "plan-passing-bare",
	  { "iifname \"up7\" counter name \"r1\" drop",
	    "ip ttl set 9 meta mark set meta mark & 0xffffefff | 0x00002000 "
	    "accept" },
	  { "oifname", "ether" } },
	{ "netdev", "plan-leaving",
	  { "udp dport 1 return\n",
	    "oifname != \"up7\" counter name \"r2\" meta mark set meta mark & "
	    "0xffffefff | 0x00002000 accept" },
	  { "iifname", "ether", "r1" } },
	/* What only asks changes, drops and counts nothing. */
	{ "ip", "plan-passing",
	  { "udp dport 1 return\n", "iifname \"up7\" accept\n",
	    "meta l4proto tcp accept\n",
	    "ip saddr 10.0.0.0/8 meta l4proto >= ip accept\n" },
	  { "counter", "drop", "set", "oifname" } },
	{ "ip", "bridged-new",
	  { "jump plan-passing\n\t\tnotrack\n" }, { NULL } },
	{ "ip", "bridged", { "iifname \"up7\"" }, { "up8" } },
	{ "netdev", "in-up7",
	  { "ether type ip meta pkttype host fib daddr type unicast goto "
	    "pass-up7\n" }, { NULL } },
	{ "netdev", "pass-up7",
	  { "meta ipsec exists accept\n\t\tmeta mark & 0x00003000 == 0x00003000 "
	    "accept\n",
	    "jump plan-passing\n\t\tfwd to \"slf7\"\n" }, { NULL } },
	{ "netdev", "pass-up8",
	  { "jump plan-passing-bare\n\t\tfwd to \"slf8\"\n" },
	  { "meta mark" } },
	{ "ip", "through",
	  { "meta ipsec exists meta mark set meta mark | 0x00003000 accept\n"
	    "\t\tether saddr" }, { NULL } },
	{ "netdev", "in-up8", { "meta ipsec exists accept\n" }, { NULL } },
	{ "netdev", "leave-up8",
	  { "jump plan-leaving\n\t\tfwd to \"slg8\"\n" }, { NULL } },
};

#define CHAINS (sizeof(chains) / sizeof(*chains))

static void each_step_stands_where_it_can_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < CHAINS; i++) {
		char *text = space_chain(ours, chains[i].family,
					 chains[i].chain);

		for (int k = 0; k < 6 && chains[i].has[k]; k++)
			if (!strstr(text, chains[i].has[k]))
				fail_msg("%s: no '%s' in\n%s", chains[i].chain,
					 chains[i].has[k], text);
		for (int k = 0; k < 6 && chains[i].lacks[k]; k++)
			if (strstr(text, chains[i].lacks[k]))
				fail_msg("%s: '%s' in\n%s", chains[i].chain,
					 chains[i].lacks[k], text);
		free(text);
	}
}

static void nft_reads_back_what_we_say(void **state)
{
	struct error err = { "" };
	struct nft *n;

	(void)state;
	space_enter();
	if (system("ip link add up7 index 7 type veth peer name pe7 && "
		   "ip link add up8 index 8 type veth peer name pe8 && "
		   "for d in o i f g; do ip link add sl${d}7 type veth "
		   "peer name sl${d}8 || exit; done"))
		skip();
	assert_int_equal(nft_open(&n, &err), 0);
	if (nft_up(n, &how, list, 2, &err))
		fail_msg("%s", err.text);
	theirs = space_output("nft list ruleset");
	for (size_t i = 0; i < CHAINS; i++) {
		char *a = space_chain(ours, chains[i].family, chains[i].chain);
		char *b = space_chain(theirs, chains[i].family,
				      chains[i].chain);

		if (strcmp(a, b))
			fail_msg("%s: we say\n%snft says\n%s", chains[i].chain,
				 a, b);
		free(a);
		free(b);
	}
	nft_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step_stands_where_it_can_hold),
		cmocka_unit_test(nft_reads_back_what_we_say),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
