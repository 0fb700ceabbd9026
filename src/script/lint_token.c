/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <ctype.h>
#include <string.h>

#include "script/lint_source.h"

static bool has(const struct reader *r, size_t n)
{
	return (size_t)(r->end - r->at) >= n;
}

static bool begins(const struct reader *r, const char *text)
{
	size_t n = strlen(text);

	return has(r, n) && !memcmp(r->at, text, n);
}

static void step(struct reader *r)
{
	if (*r->at++ == '\n')
		r->line++;
}

/* The number of '=' in a long bracket that opens here, or -1. */
static int long_level(const struct reader *r)
{
	const char *p = r->at;
	int level = 0;

	if (p == r->end || *p++ != '[')
		return -1;
	for (; p < r->end && *p == '='; p++)
		level++;
	return p < r->end && *p == '[' ? level : -1;
}

/* To behind the bracket that closes it. */
static void skip_long(struct reader *r, int level)
{
	for (int i = 0; i < level + 2; i++)
		step(r);
	for (; r->at < r->end; step(r)) {
		const char *p = r->at;
		int n = 0;

		if (*p++ != ']')
			continue;
		for (; p < r->end && *p == '='; p++)
			n++;
		if (n != level || p == r->end || *p != ']')
			continue;
		r->at = p + 1;
		return;
	}
}

static void skip_space(struct reader *r)
{
	int level;

	while (r->at < r->end) {
		if (isspace((unsigned char)*r->at)) {
			step(r);
			continue;
		}
		if (!begins(r, "--"))
			return;
		r->at += 2;
		level = long_level(r);
		if (level >= 0)
			skip_long(r, level);
		else
			while (r->at < r->end && *r->at != '\n')
				r->at++;
	}
}

static void skip_string(struct reader *r)
{
	char quote = *r->at++;

	while (r->at < r->end && *r->at != quote) {
		if (*r->at == '\\' && has(r, 2))
			step(r);
		step(r);
	}
	if (r->at < r->end)
		r->at++;
}

static void skip_number(struct reader *r)
{
	bool hex = has(r, 2) && r->at[0] == '0' && (r->at[1] | 32) == 'x';

	for (; r->at < r->end; r->at++) {
		char c = *r->at;

		if (isalnum((unsigned char)c) || c == '.')
			continue;
		/* The sign of an exponent. */
		if ((c == '+' || c == '-') &&
		    (r->at[-1] | 32) == (hex ? 'p' : 'e'))
			continue;
		return;
	}
}

static bool is_word(const char *at, size_t n)
{
	static const char *const words[] = {
		"and",	 "break", "do",	    "else",   "elseif", "end",
		"false", "for",	  "function", "goto", "if",	"in",
		"local", "nil",	  "not",    "or",     "repeat", "return",
		"then",	 "true",  "until",  "while",
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strlen(words[i]) == n && !memcmp(words[i], at, n))
			return true;
	return false;
}

static void skip_mark(struct reader *r)
{
	static const char *const marks[] = {
		"...", "..", "==", "~=", "<=", ">=", "//", "::", "<<", ">>",
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (begins(r, marks[i])) {
			r->at += strlen(marks[i]);
			return;
		}
	r->at++;
}

struct token token_next(struct reader *r)
{
	struct token t = {.kind = TOKEN_END};
	unsigned char c;

	skip_space(r);
	t.at = r->at;
	t.line = r->line;
	if (r->at == r->end)
		return t;
	c = (unsigned char)*r->at;
	if (isalpha(c) || c == '_') {
		while (r->at < r->end &&
		       (isalnum((unsigned char)*r->at) || *r->at == '_'))
			r->at++;
		t.n = (size_t)(r->at - t.at);
		t.kind = is_word(t.at, t.n) ? TOKEN_WORD : TOKEN_NAME;
		return t;
	}
	if (isdigit(c) ||
	    (c == '.' && has(r, 2) && isdigit((unsigned char)r->at[1]))) {
		t.kind = TOKEN_NUMBER;
		skip_number(r);
	} else if (c == '"' || c == '\'') {
		t.kind = TOKEN_STRING;
		skip_string(r);
	} else if (long_level(r) >= 0) {
		t.kind = TOKEN_STRING;
		skip_long(r, long_level(r));
	} else {
		t.kind = TOKEN_MARK;
		skip_mark(r);
	}
	t.n = (size_t)(r->at - t.at);
	return t;
}

bool token_is(const struct token *t, const char *text)
{
	return (t->kind == TOKEN_NAME || t->kind == TOKEN_WORD ||
		t->kind == TOKEN_MARK) &&
	       strlen(text) == t->n && !memcmp(t->at, text, t->n);
}
