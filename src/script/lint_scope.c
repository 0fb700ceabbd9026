/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks a chunk by Lua's grammar (reference manual, chapter 9) and keeps
 * account of what is local where. Operators need no precedence: only names
 * are of interest.
 */
#include <string.h>

#include "script/lint_source.h"

static void read_block(struct scope *s);
static void read_expression(struct scope *s);

/* ---- tokens ----------------------------------------------------------- */

static void advance(struct scope *s)
{
	s->now = s->ahead;
	s->ahead = token_next(&s->reader);
}

static bool at(const struct scope *s, const char *text)
{
	return token_is(&s->now, text);
}

static bool take(struct scope *s, const char *text)
{
	if (!at(s, text))
		return false;
	advance(s);
	return true;
}

/* Anything else: nothing more is understood. */
static void lose(struct scope *s)
{
	s->lost = true;
	s->reader.at = s->reader.end;
	s->now = s->ahead = (struct token){.kind = TOKEN_END};
}

static void expect(struct scope *s, const char *text)
{
	if (!take(s, text))
		lose(s);
}

static struct token take_name(struct scope *s)
{
	struct token name = s->now;

	if (name.kind != TOKEN_NAME)
		lose(s);
	else
		advance(s);
	return name;
}

/* ---- locals ----------------------------------------------------------- */

static void declare(struct scope *s, const struct token *name)
{
	if (s->nlocals == SCOPE_LOCALS_MAX)
		lose(s);
	else
		s->local[s->nlocals++] = (struct local){name->at, name->n};
}

static bool is_local(const struct scope *s, const struct token *name)
{
	for (unsigned i = s->nlocals; i; i--)
		if (s->local[i - 1].n == name->n &&
		    !memcmp(s->local[i - 1].at, name->at, name->n))
			return true;
	return false;
}

static void name_read(struct scope *s, const struct token *name)
{
	if (!s->lost && !is_local(s, name))
		s->events.read(s->events.arg, name);
}

static void name_assigned(struct scope *s, const struct token *name)
{
	if (!s->lost && !is_local(s, name))
		s->events.assigned(s->events.arg, name, s->functions);
}

/* A block whose locals end with it. */
static void inner_block(struct scope *s)
{
	unsigned locals = s->nlocals;

	read_block(s);
	s->nlocals = locals;
}

/* ---- expressions ------------------------------------------------------ */

static void read_list(struct scope *s)
{
	do
		read_expression(s);
	while (take(s, ","));
}

/* From the parameters to the "end". */
static void read_body(struct scope *s, bool method)
{
	static const struct token self = {TOKEN_NAME, "self", 4, 0};
	unsigned locals = s->nlocals;
	struct token name;

	s->functions++;
	if (method)
		declare(s, &self);
	expect(s, "(");
	while (!s->lost && !take(s, ")")) {
		if (!take(s, "...")) {
			name = take_name(s);
			declare(s, &name);
		}
		take(s, ",");
	}
	read_block(s);
	expect(s, "end");
	s->functions--;
	s->nlocals = locals;
}

static void read_table(struct scope *s)
{
	expect(s, "{");
	while (!s->lost && !take(s, "}")) {
		if (take(s, "[")) {
			read_expression(s);
			expect(s, "]");
			expect(s, "=");
		} else if (s->now.kind == TOKEN_NAME &&
			   token_is(&s->ahead, "=")) {
			struct token name = s->now;

			s->events.field(s->events.arg, &name, s->reader);
			advance(s);
			advance(s);
		}
		read_expression(s);
		if (!take(s, ","))
			take(s, ";");
	}
}

static void read_arguments(struct scope *s)
{
	if (s->now.kind == TOKEN_STRING) {
		advance(s);
	} else if (at(s, "{")) {
		read_table(s);
	} else {
		expect(s, "(");
		if (take(s, ")"))
			return;
		read_list(s);
		expect(s, ")");
	}
}

static bool at_arguments(const struct scope *s)
{
	return s->now.kind == TOKEN_STRING || at(s, "(") || at(s, "{");
}

/* A name or an expression in brackets, and what is behind it. True: it is
 * nothing but the name, which is not told about yet. */
static bool read_suffixed(struct scope *s, struct token *name)
{
	bool bare = s->now.kind == TOKEN_NAME;

	*name = s->now;
	if (bare) {
		advance(s);
	} else {
		expect(s, "(");
		read_expression(s);
		expect(s, ")");
	}
	while (!s->lost) {
		if (!at(s, ".") && !at(s, "[") && !at(s, ":") &&
		    !at_arguments(s))
			return bare;
		if (bare)
			name_read(s, name);
		bare = false;
		if (take(s, ".")) {
			take_name(s);
		} else if (take(s, "[")) {
			read_expression(s);
			expect(s, "]");
		} else if (take(s, ":")) {
			struct token method = take_name(s);

			s->events.method(s->events.arg, &method);
			read_arguments(s);
		} else {
			read_arguments(s);
		}
	}
	return bare;
}

static void read_simple(struct scope *s)
{
	struct token name;

	if (s->now.kind == TOKEN_NUMBER || s->now.kind == TOKEN_STRING ||
	    at(s, "nil") || at(s, "true") || at(s, "false") || at(s, "..."))
		advance(s);
	else if (at(s, "{"))
		read_table(s);
	else if (take(s, "function"))
		read_body(s, false);
	else if (read_suffixed(s, &name))
		name_read(s, &name);
}

static bool is_one_of(const struct token *t, const char *const *list)
{
	for (; *list; list++)
		if (token_is(t, *list))
			return true;
	return false;
}

static void read_expression(struct scope *s)
{
	static const char *const unary[] = {"not", "-", "#", "~", NULL};
	static const char *const binary[] = {
		"+",  "-",  "*", "/",  "//", "%", "^",	"..",  "<",  ">",  "<=",
		">=", "==", "~=", "and", "or", "&", "|", "~", "<<", ">>", NULL};

	if (++s->nesting > SCOPE_DEPTH_MAX)
		lose(s);
	while (!s->lost) {
		while (is_one_of(&s->now, unary))
			advance(s);
		read_simple(s);
		if (!is_one_of(&s->now, binary))
			break;
		advance(s);
	}
	s->nesting--;
}

/* ---- statements ------------------------------------------------------- */

static void read_if(struct scope *s)
{
	do {
		read_expression(s);
		expect(s, "then");
		inner_block(s);
	} while (take(s, "elseif"));
	if (take(s, "else"))
		inner_block(s);
	expect(s, "end");
}

static void read_for(struct scope *s)
{
	unsigned locals = s->nlocals;
	struct token names[16];
	unsigned n = 0;

	do {
		struct token name = take_name(s);

		if (n < 16)
			names[n++] = name;
	} while (take(s, ","));
	if (!take(s, "="))
		expect(s, "in");
	read_list(s);
	for (unsigned i = 0; i < n; i++)
		declare(s, &names[i]);
	expect(s, "do");
	read_block(s);
	expect(s, "end");
	s->nlocals = locals;
}

static void read_function(struct scope *s)
{
	struct token name = take_name(s);
	bool bare = true, method = false;

	while (!method && (at(s, ".") || at(s, ":"))) {
		method = at(s, ":");
		advance(s);
		take_name(s);
		bare = false;
	}
	if (bare)
		name_assigned(s, &name);
	else
		name_read(s, &name);
	read_body(s, method);
}

static void read_local(struct scope *s)
{
	struct token names[64], name;
	unsigned n = 0;

	if (take(s, "function")) {
		name = take_name(s);
		declare(s, &name);
		read_body(s, false);
		return;
	}
	do {
		name = take_name(s);
		if (n < 64)
			names[n++] = name;
		if (take(s, "<")) {
			take_name(s);
			expect(s, ">");
		}
	} while (take(s, ","));
	if (take(s, "="))
		read_list(s);
	for (unsigned i = 0; i < n; i++)
		declare(s, &names[i]);
}

/* A call, or an assignment. */
static void read_other(struct scope *s)
{
	struct token names[64], name;
	unsigned n = 0;
	bool bare;

	do {
		bare = read_suffixed(s, &name);
		if (bare && n < 64)
			names[n++] = name;
	} while (take(s, ","));
	if (!take(s, "="))
		return;
	read_list(s);
	for (unsigned i = 0; i < n; i++)
		name_assigned(s, &names[i]);
}

static void read_repeat(struct scope *s)
{
	unsigned locals = s->nlocals;

	read_block(s);
	expect(s, "until");
	/* It sees the block's locals. */
	read_expression(s);
	s->nlocals = locals;
}

static void read_loop(struct scope *s)
{
	if (take(s, "while"))
		read_expression(s);
	expect(s, "do");
	inner_block(s);
	expect(s, "end");
}

static void read_statement(struct scope *s)
{
	if (take(s, ";") || take(s, "break"))
		return;
	if (take(s, "::")) {
		take_name(s);
		expect(s, "::");
	} else if (take(s, "goto")) {
		take_name(s);
	} else if (at(s, "do") || at(s, "while")) {
		read_loop(s);
	} else if (take(s, "repeat")) {
		read_repeat(s);
	} else if (take(s, "if")) {
		read_if(s);
	} else if (take(s, "for")) {
		read_for(s);
	} else if (take(s, "function")) {
		read_function(s);
	} else if (take(s, "local")) {
		read_local(s);
	} else {
		read_other(s);
	}
}

static bool ends_block(const struct scope *s)
{
	static const char *const ends[] = {"end", "else", "elseif", "until",
					   NULL};

	return s->now.kind == TOKEN_END || is_one_of(&s->now, ends);
}

static void read_block(struct scope *s)
{
	if (++s->nesting > SCOPE_DEPTH_MAX)
		lose(s);
	while (!ends_block(s)) {
		if (!take(s, "return")) {
			read_statement(s);
			continue;
		}
		if (!ends_block(s) && !at(s, ";"))
			read_list(s);
		take(s, ";");
		break;
	}
	s->nesting--;
}

bool scope_read(struct scope *s, const char *text, size_t n)
{
	s->reader = (struct reader){text, text + n, 1};
	s->nlocals = s->functions = s->nesting = 0;
	s->lost = false;
	/* A first line "#!" is no Lua. */
	if (n && *text == '#')
		while (s->reader.at < s->reader.end && *s->reader.at != '\n')
			s->reader.at++;
	advance(s);
	advance(s);
	read_block(s);
	return !s->lost && s->now.kind == TOKEN_END;
}
