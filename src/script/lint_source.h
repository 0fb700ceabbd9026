/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lua's source as tokens, and who a name in it belongs to. Internal to who
 * reads sources, and knows nothing of a running Lua: the source is one that
 * Lua has compiled, so that what is not expected ends the reading.
 */
#ifndef SLUICE_SCRIPT_LINT_SOURCE_H
#define SLUICE_SCRIPT_LINT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_WORD, /* reserved */
	TOKEN_NUMBER,
	TOKEN_STRING, /* with its quotes or brackets */
	TOKEN_MARK,   /* an operator or a bracket */
};

struct token {
	enum token_kind kind;
	const char *at;
	size_t n;
	unsigned line;
};

/* ---- lint_token.c ----------------------------------------------------- */

struct reader {
	const char *at, *end;
	unsigned line;
};

struct token token_next(struct reader *r);

/* The token is this text: a name, a word or a mark. */
bool token_is(const struct token *t, const char *text);

/* ---- lint_scope.c ----------------------------------------------------- */

/* What is found in a source. */
struct scope_events {
	void *arg;
	/* A global is read. */
	void (*read)(void *arg, const struct token *name);
	/* A global is assigned to; depth: functions around it. */
	void (*assigned)(void *arg, const struct token *name, unsigned depth);
	/* A method is called: x:name(). */
	void (*method)(void *arg, const struct token *name);
	/* Behind "name =" in a table: a reader that begins with the value. */
	void (*field)(void *arg, const struct token *name, struct reader r);
};

struct local {
	const char *at;
	size_t n;
};

#define SCOPE_LOCALS_MAX 1024
#define SCOPE_DEPTH_MAX	 250

struct scope {
	struct reader reader;
	struct token now, ahead;
	struct scope_events events;
	struct local local[SCOPE_LOCALS_MAX]; /* that can be seen here */
	unsigned nlocals;
	unsigned functions; /* around what is read */
	unsigned nesting;
	bool lost; /* not understood: nothing more is said */
};

/* Reads a whole chunk. False: it was not understood to its end. */
bool scope_read(struct scope *s, const char *text, size_t n);

/* ---- lint_where.c ----------------------------------------------------- */

/* The match that says what a where's function does, as a person would write
 * it, in buf; false: it is not known to be one. r begins with the function. */
bool where_as_match(struct reader r, char *buf, size_t size);

#endif
