/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * via(): names of interfaces, each kept once, so that a verdict can point to
 * one and whoever runs the rules can prepare what a name needs before the
 * first packet. A name that a source says outright is known when the source
 * is read, even where the call is inside a function.
 */
#include <string.h>

#include "script/internal.h"
#include "script/lint_source.h"

/* As the kernel has it, and no loopback. */
static bool is_name(const char *name, size_t n)
{
	if (!n || n >= SCRIPT_VIA_MAX || strlen(name) != n)
		return false;
	if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "lo"))
		return false;
	for (const char *c = name; *c; c++)
		if (*c <= ' ' || *c > '~' || strchr("/:%\"\\", *c))
			return false;
	return true;
}

/* Its place; -1: there are too many. */
static int keep(struct script *s, const char *name)
{
	for (unsigned i = 0; i < s->vias; i++)
		if (!strcmp(s->via[i], name))
			return (int)i;
	if (s->vias == SCRIPT_VIAS_MAX)
		return -1;
	strcpy(s->via[s->vias], name);
	return (int)s->vias++;
}

int via_place(lua_State *L, int i)
{
	size_t n;
	const char *name = luaL_checklstring(L, i, &n);
	int place;

	if (!is_name(name, n))
		return luaL_error(L, "via: '%s' is no name of an interface "
				     "that packets can leave by", name);
	place = keep(script_of(L), name);
	if (place < 0)
		return luaL_error(L, "via: more than %d interfaces",
				  SCRIPT_VIAS_MAX);
	return place;
}

/* The text between plain quotes. */
static void keep_literal(struct script *s, const struct token *t)
{
	char name[SCRIPT_VIA_MAX];

	if (t->kind != TOKEN_STRING || *t->at == '[' || t->n < 3 ||
	    t->n - 2 >= sizeof(name))
		return;
	memcpy(name, t->at + 1, t->n - 2);
	name[t->n - 2] = '\0';
	if (is_name(name, t->n - 2))
		keep(s, name);
}

void via_read(struct script *s, const char *text, size_t n)
{
	struct reader r = {.at = text, .end = text + n, .line = 1};
	struct token t = {.kind = TOKEN_MARK}, before, name;

	while (t.kind != TOKEN_END) {
		before = t;
		t = token_next(&r);
		if (!token_is(&t, "via") || token_is(&before, ".") ||
		    token_is(&before, ":"))
			continue;
		t = name = token_next(&r);
		if (token_is(&t, "(")) {
			name = token_next(&r);
			t = token_next(&r);
			/* Else it is only a part of the name. */
			if (!token_is(&t, ")"))
				continue;
		}
		keep_literal(s, &name);
	}
}

unsigned script_vias(const struct script *s,
		     const char *name[SCRIPT_VIAS_MAX])
{
	for (unsigned i = 0; i < s->vias; i++)
		name[i] = s->via[i];
	return s->vias;
}
