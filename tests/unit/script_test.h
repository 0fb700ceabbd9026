/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of the script room share: a state from a text, a packet, a
 * walk through the rules. */
#ifndef SLUICE_TESTS_SCRIPT_TEST_H
#define SLUICE_TESTS_SCRIPT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "script/script.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static inline struct script *make_script(const struct script_limits *limits)
{
	static const struct script_arg args[] = {{"PORT", "8080"}};
	struct error err = {.text = ""};
	struct script *s;

	if (script_new(&s, limits, args, 1, NULL, &err))
		fail_msg("script_new: %s", err.text);
	return s;
}

/* A state with one file "t.lua", sealed. */
static inline struct script *load_script(const char *text,
					 const struct script_limits *limits)
{
	struct script *s = make_script(limits);
	struct error err = {.text = ""};

	if (script_load_text(s, "t.lua", text, strlen(text), &err))
		fail_msg("%s: %s", text, err.text);
	script_seal(s);
	return s;
}

/* A TCP SYN 192.0.2.1:1234 > 198.51.100.7:80, or UDP likewise. */
static inline void make_packet(struct packet *p, uint8_t proto)
{
	static uint8_t buffer[PACKET_BUFFER];
	struct address src = address_v4((const uint8_t[]){192, 0, 2, 1});
	struct address dst = address_v4((const uint8_t[]){198, 51, 100, 7});

	*p = (struct packet){.head = buffer, .size = sizeof(buffer)};
	assert_int_equal(packet_new(p, proto), 0);
	packet_set_address(p, FIELD_IP_SRC, &src);
	packet_set_address(p, FIELD_IP_DST, &dst);
	if (proto == 6) {
		packet_set(p, FIELD_TCP_SPORT, 1234);
		packet_set(p, FIELD_TCP_DPORT, 80);
		packet_set(p, FIELD_TCP_FLAGS, 2);
	} else if (proto == 17) {
		packet_set(p, FIELD_UDP_SPORT, 1234);
		packet_set(p, FIELD_UDP_DPORT, 80);
	}
	packet_parse(p);
}

static inline struct verdict run_packet(struct script *s, struct packet *p)
{
	struct match_context ctx = {0};
	struct verdict v;

	ruleset_run(script_ruleset(s), p, &ctx, script_calls(s), NULL, &v);
	return v;
}

static inline enum verdict_kind run(struct script *s)
{
	struct packet p;

	make_packet(&p, 6);
	return run_packet(s, &p).kind;
}

static inline void assert_has(const char *text, const char *part,
			      const char *what)
{
	if (!strstr(text, part))
		fail_msg("%s\n   said: %s\nnot have: %s", what, text, part);
	if (strchr(text, '\n'))
		fail_msg("%s: more than one line: %s", what, text);
}

/* The action's body, run on a SYN: its error. */
static inline void assert_action_fails(const char *body, const char *part,
				       const struct script_limits *limits)
{
	char text[4096];
	struct script *s;

	snprintf(text, sizeof(text),
		 "rule { name = 'r', action = function(pkt) %s\nend }", body);
	s = load_script(text, limits);
	if (run(s) != VERDICT_ERROR)
		fail_msg("not an error: %s", body);
	assert_has(script_error(s), part, body);
	/* What load() made has a name of its own. */
	assert_has(script_error(s),
		   strstr(script_error(s), "[string") ? "rule r: [string \""
						      : "rule r: t.lua:",
		   body);
	script_free(s);
}

#endif
