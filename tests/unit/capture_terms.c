/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules in the words of nftables: that nft reads back from the kernel what we
 * say we loaded, for every kind of condition and rewrite, in both tables. In
 * a user and network namespace of its own; else it is skipped.
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

static const char *const lines[] = {
	"proto=tcp dport=23 : DROP",
	"dport=53 : function",
	"proto=udp sport=1024-65535 : ACCEPT",
	"proto=tcp,udp,47 : function",
	"proto=!tcp : function",
	"dport=!80 : DROP",
	"dport=0-1023,!22 : DROP",
	"dport=80,443,8000-8100 : DROP",
	"src=10.0.0.1 : DROP",
	"src=10.0.0.0/8 : DROP",
	"src=!10.0.0.0/8 : DROP",
	"dst=10.0.0.1-10.0.0.9 : DROP",
	"dst=!10.0.0.1-10.0.0.9 : DROP",
	"dst=10.0.0.0/8,192.0.2.1,192.0.2.7-192.0.2.9 : DROP",
	"dst=0.0.0.0/0,!10.1.0.0/16 : DROP",
	"dst=@ : DROP",
	"src=@,10.0.0.1 : DROP",
	"icmp_type=echo-request : DROP",
	"icmp_type=echo-request,echo-reply : DROP",
	"icmp_type=destination-unreachable icmp_code=1 : DROP",
	"tcp_flags=S/SA : DROP",
	"tcp_flags=!S/SA : DROP",
	"ttl=1-5 : DROP",
	"ttl=64 len=100-200 : DROP",
	"len=1501-65535 : DROP",
	"fragment=true : DROP",
	"fragment=false proto=udp : DROP",
	"oif=up7 : DROP",
	"oif=up*,!up9 : DROP",
	"proto=tcp payload=GET : DROP",
	"proto=tcp : ttl=9 ACCEPT",
	"proto=tcp : mss=1200 ACCEPT",
	"proto=tcp dport=80 : dport=8080 ACCEPT",
	"proto=tcp sport=80 : sport=8080 ACCEPT",
	"proto=udp : id=7 ACCEPT",
	"proto=udp : dscp=46 ACCEPT",
	"proto=udp : ecn=2 ACCEPT",
	"proto=udp : df=1 ACCEPT",
	"proto=udp : df=0 ACCEPT",
	"dscp=46 : DROP",
	"dscp=8-63 : DROP",
	"proto=icmp ttl=7 :",
	"user=0 : DROP",
	"user=!1000 : DROP",
	"user=33,1000 proto=udp : DROP",
	"user=1000-1999 : DROP",
	"user=!1000-1999 : function",
	"user=0-5,100-200 : DROP",
	"user=5-4294967294 : DROP",
	"user=0-5 group=7 dport=25 : DROP",
	"group=!0,!7 : function",
	"dst=10.0.0.0/8 proto=tcp : VIA",
	"user=7 : VIA",
};

/* Of these nft reads back the same in other words. */
static const char *const others[] = {
	"dscp=8,9,46 : DROP",
	"tcp_flags=S,A : DROP",
};

static struct plan *plan_of(struct ruleset **rs, const char *line)
{
	const struct plan_options o = { .sets = true, .via = true };
	struct plan *p;

	*rs = ruleset_new();
	rule_line(*rs, line);
	assert_int_equal(plan_make(&p, *rs, &o), 0);
	return p;
}

static char *printed(const struct nft_how *how)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(nft_print(how, NULL, 0, f), 0);
	fclose(f);
	return text;
}

static void check_chain(const char *line, const char *ours, const char *theirs,
			const char *family)
{
	char *a = space_chain(ours, family, "plan-out");
	char *b = space_chain(theirs, family, "plan-out");

	if (strcmp(a, b))
		fail_msg("%s: we say\n%snft says\n%s", line, a, b);
	free(b);
	free(a);
}

static void nft_reads_back_what_we_say(void **state)
{
	(void)state;
	space_enter();
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct nft_how how = {
			.dev = "tun0", .divert = 0x1000, .seen = 0x2000,
			.route = true, .vias = 2, .via = { "wg1", "wg0" },
		};
		struct error err = { "" };
		struct ruleset *rs;
		struct plan *p = plan_of(&rs, lines[i]);
		char *ours, *theirs;
		struct nft *n;

		how.plan = p;
		assert_int_equal(nft_open(&n, &err), 0);
		if (nft_up(n, &how, NULL, 0, &err))
			fail_msg("%s: %s", lines[i], err.text);
		ours = printed(&how);
		theirs = space_output("nft list ruleset");
		check_chain(lines[i], ours, theirs, "ip");
		check_chain(lines[i], ours, theirs, "netdev");
		free(theirs);
		free(ours);
		nft_close(n);
		plan_free(p);
		ruleset_free(rs);
	}
}

static void accepted_by_nft(const char *line)
{
	struct nft_how how = { .dev = "tun0", .divert = 0x1000,
			       .seen = 0x2000 };
	FILE *f = popen("nft -c -f -", "we");
	char *ours, *rules;
	struct ruleset *rs;
	struct plan *p = plan_of(&rs, line);

	assert_non_null(f);
	how.plan = p;
	ours = printed(&how);
	rules = space_chain(ours, "netdev", "plan-out");
	fprintf(f, "table netdev t {\n\tcounter r0 {\n\t}\n"
		   "\tset set-0 {\n\t\ttype ipv4_addr\n\t\tflags interval\n"
		   "\t}\n\tchain plan-out {\n%s\t}\n}\n", rules);
	if (pclose(f))
		fail_msg("%s: nft does not take\n%s", line, rules);
	free(rules);
	free(ours);
	plan_free(p);
	ruleset_free(rs);
}

static void nft_accepts_what_we_say(void **state)
{
	(void)state;
	space_enter();
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		accepted_by_nft(lines[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		accepted_by_nft(others[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nft_reads_back_what_we_say),
		cmocka_unit_test(nft_accepts_what_we_say),
	};
	int failed;

	rule_line_set = set_new("list");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	set_unref(rule_line_set);
	return failed;
}
