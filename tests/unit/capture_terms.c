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
#include "rule_lines.h"

/* Of these nft reads back the same in other words. */
static const char *const others[] = {
	"dscp=8,9,46 : DROP",
	"tcp_flags=S,A : DROP",
};

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
	for (size_t i = 0; i < RULE_LINES; i++) {
		struct nft_how how = {
			.dev = "tun0", .divert = 0x1000, .seen = 0x2000,
			.route = true, .vias = 2, .via = { "wg1", "wg0" },
		};
		struct error err = { "" };
		struct ruleset *rs;
		struct plan *p = rule_lines_plan(&rs, &rule_lines[i], 1);
		char *ours, *theirs;
		struct nft *n;

		how.plan = p;
		assert_int_equal(nft_open(&n, &err), 0);
		if (nft_up(n, &how, NULL, 0, &err))
			fail_msg("%s: %s", rule_lines[i], err.text);
		ours = space_printed(&how, NULL, 0);
		theirs = space_output("nft list ruleset");
		check_chain(rule_lines[i], ours, theirs, "ip");
		check_chain(rule_lines[i], ours, theirs, "netdev");
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
	struct plan *p = rule_lines_plan(&rs, &line, 1);

	assert_non_null(f);
	how.plan = p;
	ours = space_printed(&how, NULL, 0);
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
	for (size_t i = 0; i < RULE_LINES; i++)
		accepted_by_nft(rule_lines[i]);
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
