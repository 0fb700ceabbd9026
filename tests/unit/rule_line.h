/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A rule as a line: conditions KEY=VALUE, then ':' and what is done: rewrites
 * KEY=VALUE, and ACCEPT, DROP, REJECT, VIA, "function", or "connection" for a
 * function that wants all of it. A value "@" is rule_line_set. Included behind
 * cmocka.h, by one file a program.
 */
#ifndef SLUICE_TESTS_RULE_LINE_H
#define SLUICE_TESTS_RULE_LINE_H

#include <stdlib.h>
#include <string.h>

#include "rule/ruleset.h"

static struct set *rule_line_set;

static inline void rule_line_condition(struct match *m, char *word)
{
	char *value = strchr(word, '=');
	struct error err;
	int key;

	assert_non_null(value);
	*value++ = '\0';
	key = match_key_parse(word, &err);
	assert_true(key >= 0);
	for (char *save, *v = strtok_r(value, ",", &save); v;
	     v = strtok_r(NULL, ",", &save))
		if (*v == '@' ? match_add_set(m, (enum match_key)key,
					    rule_line_set, &err)
			      : match_add(m, (enum match_key)key, v, strlen(v),
					  &err))
			fail_msg("%s: %s", v, err.text);
}

static inline void rule_line_action(struct rule *r, char *word)
{
	char *value = strchr(word, '=');
	struct rewrite *w;
	struct error err;
	int key;

	if (!strcmp(word, "function") || !strcmp(word, "connection")) {
		r->action = 1;
		r->connection = *word == 'c';
	} else if (!value) {
		r->constant.kind = !strcmp(word, "DROP")     ? VERDICT_DROP
				   : !strcmp(word, "ACCEPT") ? VERDICT_ACCEPT
				   : !strcmp(word, "VIA")    ? VERDICT_VIA
							     : VERDICT_REJECT;
		r->constant.via = "wg0";
	} else {
		*value++ = '\0';
		key = rewrite_key_parse(word, &err);
		assert_true(key >= 0);
		w = calloc(1, sizeof(*w));
		w->key = (enum rewrite_key)key;
		assert_int_equal(rewrite_parse(w, value, &err), 0);
		w->next = r->rewrite;
		r->rewrite = w;
	}
}

static inline void rule_line(struct ruleset *rs, const char *line)
{
	struct rule *r = calloc(1, sizeof(*r));
	char copy[512], *save, *word;
	bool action = false;

	snprintf(copy, sizeof(copy), "%s", line);
	r->name = strdup("name");
	r->origin = strdup("test.lua:1");
	for (word = strtok_r(copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		if (!strcmp(word, ":")) {
			action = true;
		} else if (action) {
			rule_line_action(r, word);
		} else {
			if (!r->match)
				r->match = match_new();
			rule_line_condition(r->match, word);
		}
	}
	ruleset_add(rs, r);
}

#endif
