/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A rule for every kind of condition, verdict and rewrite, each as a line of
 * rule_line.h. Included by one file a program.
 */
#ifndef SLUICE_TESTS_RULE_LINES_H
#define SLUICE_TESTS_RULE_LINES_H

#include "rule/plan.h"
#include "rule_line.h"

static const char *const rule_lines[] = {
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

#define RULE_LINES (sizeof(rule_lines) / sizeof(*rule_lines))

/* The plan of up to count such lines, NULL behind the last. */
static inline struct plan *rule_lines_plan(struct ruleset **rs,
					   const char *const *lines,
					   size_t count)
{
	const struct plan_options o = { .sets = true, .via = true };
	struct plan *p;

	*rs = ruleset_new();
	for (size_t i = 0; i < count && lines[i]; i++)
		rule_line(*rs, lines[i]);
	assert_int_equal(plan_make(&p, *rs, &o), 0);
	return p;
}

#endif
