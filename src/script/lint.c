/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "script/lint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "script/internal.h"
#include "script/lint_source.h"

/* Names that are said once. */
#define SAID_MAX 256

struct linter {
	struct lint *lint;
	struct scope scope;
	const char *text;
	size_t n;
	bool counting; /* only assignments are of interest */
	struct token assigned[SAID_MAX], said[SAID_MAX];
	unsigned nassigned, nsaid;
	lua_State *L; /* real globals are at GLOBALS */
};

enum { LINTER = 1, GLOBALS = 2 };

static void warn(struct linter *l, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void warn(struct linter *l, unsigned line, const char *fmt, ...)
{
	struct error text;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text.text, sizeof(text.text), fmt, ap);
	va_end(ap);
	script_one_line(text.text);
	l->lint->warn(l->lint->arg, line, text.text);
}

static bool is_same(const struct token *a, const struct token *b)
{
	return a->n == b->n && !memcmp(a->at, b->at, a->n);
}

static bool is_among(const struct token *list, unsigned n,
		     const struct token *name)
{
	for (unsigned i = 0; i < n; i++)
		if (is_same(&list[i], name))
			return true;
	return false;
}

/* The global that a name stands for, pushed. */
static int push_global(struct linter *l, const struct token *name)
{
	lua_pushlstring(l->L, name->at, name->n);
	return lua_rawget(l->L, GLOBALS);
}

/* ---- globals ---------------------------------------------------------- */

/* What can be seen where the name stands: locals, and globals. */
static const char *hint_for(struct linter *l, const char *name, char *buf,
			    size_t size)
{
	struct nearest n;
	char local[64];

	/* What Lua has elsewhere. */
	if (!strcmp(name, "print"))
		return "; log(...) writes a line";
	if (!strcmp(name, "dofile") || !strcmp(name, "loadfile"))
		return "; require \"NAME\" loads a module";
	nearest_start(&n, name);
	for (unsigned i = 0; i < l->scope.nlocals; i++) {
		const struct local *v = &l->scope.local[i];

		if (v->n >= sizeof(local))
			continue;
		memcpy(local, v->at, v->n);
		local[v->n] = '\0';
		nearest_try(&n, local);
	}
	for (lua_pushnil(l->L); lua_next(l->L, GLOBALS); lua_pop(l->L, 1))
		if (lua_type(l->L, -2) == LUA_TSTRING)
			nearest_try(&n, lua_tostring(l->L, -2));
	return nearest_hint(&n, buf, size);
}

static void on_read(void *arg, const struct token *name)
{
	struct linter *l = arg;
	char text[64], hint[100];
	bool there;

	if (l->counting || name->n >= sizeof(text))
		return;
	there = push_global(l, name) != LUA_TNIL;
	lua_pop(l->L, 1);
	if (there || is_among(l->assigned, l->nassigned, name) ||
	    is_among(l->said, l->nsaid, name))
		return;
	if (l->nsaid < SAID_MAX)
		l->said[l->nsaid++] = *name;
	memcpy(text, name->at, name->n);
	text[name->n] = '\0';
	warn(l, name->line, "unknown global '%s'%s", text,
	     hint_for(l, text, hint, sizeof(hint)));
}

static void on_assigned(void *arg, const struct token *name, unsigned depth)
{
	struct linter *l = arg;

	if (!l->counting) {
		if (depth)
			warn(l, name->line,
			     "assignment to global '%.*s' inside a function "
			     "fails once packets come; declare it local at "
			     "the top of the file",
			     (int)(name->n < 64 ? name->n : 64), name->at);
		return;
	}
	if (l->nassigned < SAID_MAX)
		l->assigned[l->nassigned++] = *name;
}

/* ---- the rest --------------------------------------------------------- */

static void on_method(void *arg, const struct token *name)
{
	struct linter *l = arg;

	l->lint->sets_grow |= token_is(name, "add");
}

static void on_field(void *arg, const struct token *name, struct reader r)
{
	struct linter *l = arg;
	char match[512];

	if (!l->counting && token_is(name, "where") &&
	    where_as_match(r, match, sizeof(match)))
		warn(l, name->line,
		     "where says what a match could, without Lua: match = %s",
		     match);
}

/* ---- a file ----------------------------------------------------------- */

static int lint_protected(lua_State *L)
{
	struct linter *l = lua_touserdata(L, LINTER);

	luaL_checkstack(L, LUA_MINSTACK, NULL);
	l->L = L;
	lua_pushglobaltable(L);
	if (!sandbox_behind(L, -1))
		lua_pushvalue(L, -1);
	lua_replace(L, GLOBALS);
	lua_settop(L, GLOBALS);
	l->scope.events = (struct scope_events){
		.arg = l,
		.read = on_read,
		.assigned = on_assigned,
		.method = on_method,
		.field = on_field,
	};
	/* Twice: a function may use what is assigned further down. */
	l->counting = true;
	if (!scope_read(&l->scope, l->text, l->n))
		return 0;
	l->counting = false;
	scope_read(&l->scope, l->text, l->n);
	return 0;
}

int lint_file(struct script *s, const char *path, struct lint *lint,
	      struct error *err)
{
	struct linter *l = calloc(1, sizeof(*l));
	char *text = NULL;
	int ret;

	if (!l)
		return error_set(err, -ENOMEM, "%s: no memory", path);
	l->lint = lint;
	ret = script_read(path, true, &text, &l->n, err);
	if (ret)
		goto out;
	l->text = text;
	/* A byte order mark. */
	if (l->n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		l->text += 3;
		l->n -= 3;
	}
	ret = script_enter(s, lint_protected, l, path, err);
out:
	free(text);
	free(l);
	return ret;
}
