/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What no rule could match is asked for the steps' conditions alone: when the
 * chains of the hooks say so, and that nft reads back what we say there. The
 * second half in a user and network namespace of its own; else it is skipped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "capture/nft.h"
#include "capture_space.h"
#include "rule_lines.h"

static const struct nft_how how_late = {
	.dev = "tun0", .divert = 0x1000, .seen = 0x2000, .sockets = true,
	.marker = { 2, 3, 4, 5, 6, 7 },
};

static struct uplink up7 = { .ifindex = 7, .name = "up7", .link_len = 14,
			     .in = true };
static struct uplink *const list[] = { &up7 };

/* ---- text --------------------------------------------------------------- */

#define FUNCTION "proto=tcp,udp dport=53 : function"
#define CONSTANT "proto=udp dport=5 : DROP"

static const struct {
	const char *name;
	const char *lines[3];
	struct nft_how how; /* what differs */
	const char *has[6];
	const char *lacks[6];
} texts[] = {
	{ "at the wire there is one hook, and no guard in it", { FUNCTION },
	  .has = { "chain out-up7 {\n\t\ttype filter hook egress device "
		   "\"up7\" priority filter; policy accept;\n"
		   "\t\t@nh,72,8 0x6 th dport 53 goto take-out-up7\n"
		   "\t\t@nh,72,8 0x11 th dport 53 goto take-out-up7\n\t}\n",
		   "chain take-out-up7 {\n\t\tmeta mark & 0x00002000 == "
		   "0x00002000 jump seen\n\t\tmeta protocol ip fwd to "
		   "\"slo7\"\n\t}\n",
		   "chain seen {\n\t\tmeta rtclassid != 4294967295 "
		   "meta cgroup != 4294967295 meta mark set meta mark & "
		   "0xffffcfff return\n\t\taccept\n\t}\n" },
	  .lacks = { "hook output", "plan-out", "asked", "flows" } },
	{ "by route what is dear is not asked twice", { FUNCTION,
	  "dst=@ : DROP" },
	  .how = { .route = true },
	  .has = { "policy accept;\n\t\tmeta mark 0x00000000 meta rtclassid "
		   "!= 4294967295 meta cgroup != 4294967295 ip daddr < "
		   "224.0.0.0 accept\n\t\t@nh,72,8 0x6 th dport 53 goto "
		   "take-out-up7\n" } },
	{ "at the wire it is asked once", { FUNCTION, "dst=@ : DROP" },
	  .has = { "policy accept;\n\t\t@nh,72,8 0x6 th dport 53 goto" } },
	{ "marks are cleared where they may be inherited", { FUNCTION },
	  .how = { .wraps = true },
	  .has = { "chain decide", "goto marked", "goto take-out-up7" } },
	{ "what comes back by tun0 needs none of that", { FUNCTION },
	  .how = { .elsewhere = true },
	  .has = { "iif \"tun0\" notrack" }, .lacks = { "hook output" } },
	{ "by route there is one hook more", { FUNCTION },
	  .how = { .route = true },
	  .has = { "type route hook output priority 200; policy accept;\n"
		   "\t\ttcp dport 53 goto take\n\t\tudp dport 53 goto take\n"
		   "\t}\n",
		   "oif \"lo\" accept\n\t\tip daddr >= 224.0.0.0 accept\n"
		   "\t\tmeta cgroup != 4294967295 goto hand\n",
		   "chain hand {\n\t\tfib daddr type != unicast meta mark "
		   "set 0x00003000 accept\n\t\tip ttl >= 254 meta mark set "
		   "0x00003000 accept\n\t\tmeta mark set 0x00001000\n\t}\n",
		   "chain take-out-up7 {\n\t\tmeta mark 0x00000000 "
		   "meta rtclassid != 4294967295 meta cgroup != 4294967295 "
		   "ip daddr < 224.0.0.0 accept\n\t\tmeta mark 0x00003000 "
		   "meta cgroup != 4294967295 meta protocol ip fwd to "
		   "\"slo7\"\n",
		   "meta mark & 0x00002000 == 0x00002000 meta mark set meta "
		   "mark & 0xffffcfff\n\t\tmeta mark != 0x00000000 accept\n" },
	  .lacks = { "priority 199", "asked" } },
	{ "in front of it marks are cleared", { FUNCTION },
	  .how = { .route = true, .wraps = true },
	  .has = { "chain decide {\n\t\ttype filter hook output priority 199; "
		   "policy accept;\n\t\tmeta mark != 0x00000000 goto marked\n"
		   "\t}\n", "chain foreign", "goto take" } },
	{ "a verdict is given by the plan", { FUNCTION, CONSTANT },
	  .how = { .route = true },
	  .has = { "\t\tudp dport 5 ip frag-off & 8191 == 0 goto asked\n",
		   "\t\tmeta cgroup != 4294967295 jump plan-out\n"
		   "\t\tgoto take\n",
		   "\t\t@nh,72,8 0x11 th dport 5 ip frag-off & 8191 == 0 "
		   "goto asked-out-up7\n",
		   "\t\tmeta protocol ip jump plan-out\n"
		   "\t\tgoto take-out-up7\n",
		   "counter name \"r1\" drop\n\t\taccept\n" } },
	{ "held connections are asked for where it would be handed over",
	  { FUNCTION }, .how = { .route = true, .flows = true },
	  .has = { "\t\tmeta cgroup != 4294967295 goto flows\n",
		   "chain flows {\n\t\ttcp flags fin,syn,rst goto hand\n",
		   "counter name \"dropped\" drop\n\t\tgoto hand\n",
		   "goto hand-out-up7\n",
		   "counter name \"dropped\" drop\n\t\tmeta protocol ip "
		   "fwd to \"slo7\"\n" },
	  .lacks = { "jump flows" } },
	{ "and where it arrives", { FUNCTION },
	  .how = { .in = true, .flows = true },
	  .has = { "accept\n\t\t@nh,72,8 0x6 @th,104,8 & 0x7 != 0x0 goto "
		   "hand-in-up7\n",
		   "drop\n\t\tgoto hand-in-up7\n",
		   "chain hand-in-up7 {\n\t\tether type ip fib daddr type "
		   "local fwd to \"sli7\"\n" },
	  .lacks = { "jump flows", "chain flows" } },
	{ "what has no words is left to the plan", { FUNCTION,
	  "proto=!tcp : DROP" },
	  .has = { "meta l4proto != tcp goto asked-out-up7\n" } },
	{ "where the kernel cannot tell, marks do", { FUNCTION },
	  .how = { .route = true },
	  .has = { "chain decide", "jump plan-out", "meta mark set 0x00002000" },
	  .lacks = { "goto take", "rtclassid" } },
	{ "what passes through is known by both bits and no socket", { FUNCTION },
	  .how = { .route = true, .forward = true },
	  .has = { "accept;\n\t\tmeta mark & 0x00003000 == 0x00003000 jump "
		   "both-out-up7\n\t\t@nh,72,8 0x6 th dport 53 goto "
		   "take-out-up7\n",
		   "chain both-out-up7 {\n\t\tmeta mark 0x00003000 meta "
		   "cgroup != 4294967295 meta protocol ip fwd to \"slo7\"\n"
		   "\t\tmeta rtclassid != 4294967295 meta cgroup != "
		   "4294967295 meta mark set meta mark & 0xffffcfff return\n"
		   "\t\tmeta mark & 0x00003000 == 0x00003000 meta protocol ip "
		   "goto leave-up7\n",
		   "chain take-out-up7 {\n\t\tmeta mark 0x00000000" },
	  .lacks = { "priority 199", "chain decide" } },
	{ "as where sources are translated", { FUNCTION },
	  .how = { .sockets = true, .route = true, .notrack = true },
	  .has = { "chain decide" }, .lacks = { "goto take" } },
	{ "as where routing again would see another service",
	  { FUNCTION, "proto=udp : dscp=46 ACCEPT" },
	  .how = { .sockets = true, .route = true },
	  .has = { "chain decide" }, .lacks = { "goto take" } },
	{ "but not at the wire", { FUNCTION, "proto=udp : dscp=46 ACCEPT" },
	  .has = { "goto take-out-up7" } },
	{ "what is all handed over is asked nothing", { " : function" },
	  .has = { "chain decide" }, .lacks = { "goto take", "plan-out" } },
};

static void chains_say_what_is_wanted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		const struct nft_how *d = &texts[i].how;
		struct nft_how how = how_late;
		struct ruleset *rs;
		struct plan *p = rule_lines_plan(&rs, texts[i].lines, 3);
		char *text;

		how.plan = p;
		how.route = d->route;
		how.flows = d->flows;
		how.wraps = d->wraps;
		how.elsewhere = d->elsewhere;
		how.forward = d->forward;
		how.notrack = d->notrack;
		how.in = d->in;
		how.sockets = strcmp(texts[i].name,
				     "where the kernel cannot tell, marks do");
		text = space_printed(&how, list, 1);
		space_says(texts[i].name, text, texts[i].has, texts[i].lacks, 6);
		free(text);
		plan_free(p);
		ruleset_free(rs);
	}
}

/* ---- in a namespace of our own ------------------------------------------ */

/* The chains of a table of a listing. */
static char *chains(const char *text, const char *family)
{
	const char *at, *end;
	char head[40];

	snprintf(head, sizeof(head), "table %s sluice", family);
	at = strstr(text, head);
	assert_non_null(at);
	at = strstr(at, "\tchain ");
	assert_non_null(at);
	end = strstr(at, "\n}\n");
	assert_non_null(end);
	return strndup(at, (size_t)(end - at));
}

static void check(const char *line, const struct nft_how *how)
{
	static const char *const families[] = { "ip", "netdev" };
	struct error err = { "" };
	char *ours, *theirs;
	struct nft *n;

	assert_int_equal(nft_open(&n, &err), 0);
	if (nft_up(n, how, list, 1, &err))
		fail_msg("%s: %s", line, err.text);
	ours = space_printed(how, list, 1);
	theirs = space_output("nft list ruleset");
	for (unsigned i = 0; i < 2; i++) {
		char *a = chains(ours, families[i]);
		char *b = chains(theirs, families[i]);

		if (strcmp(a, b)) {
			size_t from = 0;

			while (a[from] == b[from])
				from++;
			while (from && a[from - 1] != '\n')
				from--;
			fail_msg("%s: we say\n%.400s\nnft says\n%.400s", line,
				 a + from, b + from);
		}
		free(b);
		free(a);
	}
	free(theirs);
	free(ours);
	nft_close(n);
}

static void nft_reads_back_what_we_say(void **state)
{
	(void)state;
	space_enter();
	if (system("ip link set lo up && "
		   "ip link add tun0 type veth peer name tun1 && "
		   "ip link add up7 index 7 type veth peer name pe7 && "
		   "ip link add slo7 type veth peer name sli7 && "
		   "ip link add slf7 type veth peer name slg7"))
		skip();
	for (size_t i = 0; i < RULE_LINES; i++)
		for (unsigned k = 0; k < 16; k++) {
			const char *const lines[] = { rule_lines[i],
				"proto=udp dport=1-9 len=1-99 : function" };
			struct nft_how how = how_late;
			struct ruleset *rs;
			struct plan *p = rule_lines_plan(&rs, lines, 2);

			how.plan = p;
			how.route = k & 1;
			how.flows = k & 2;
			how.in = k & 4;
			how.forward = k & 8;
			check(rule_lines[i], &how);
			plan_free(p);
			ruleset_free(rs);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_say_what_is_wanted),
		cmocka_unit_test(nft_reads_back_what_we_say),
	};
	int failed;

	rule_line_set = set_new("list");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	set_unref(rule_line_set);
	return failed;
}
