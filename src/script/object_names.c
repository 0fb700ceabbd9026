/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the name of a field to its member, quicker than by a Lua table. Lua
 * keeps one copy of a short string, so a name that was seen before can be
 * told by where it stands: equal addresses are equal strings, as long as the
 * string is alive, and the table of names keeps these alive. A name that is
 * not found here may still be in that table: it has the last word.
 */
#include <string.h>

#include "script/object_internal.h"

static unsigned place(const char *text)
{
	uint64_t v = (uintptr_t)text * UINT64_C(0x9e3779b97f4a7c15);

	return (unsigned)(v >> 32) & (NAMES_SIZE - 1);
}

void names_new(lua_State *L, int table, const void *key)
{
	struct names *n = lua_newuserdatauv(L, sizeof(*n), 0);
	unsigned count = 0;

	table = lua_absindex(L, table);
	memset(n, 0, sizeof(*n));
	for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
		const char *text = lua_tostring(L, -2);
		unsigned i = place(text);

		if (++count > NAMES_SIZE / 2)
			continue; /* the table has it */
		while (n->slot[i].text)
			i = (i + 1) & (NAMES_SIZE - 1);
		n->slot[i].text = text;
		n->slot[i].member = lua_isfunction(L, -1)
					    ? NAME_METHOD
					    : (int)lua_tointeger(L, -1);
	}
	lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

int names_find(const struct names *n, const char *text)
{
	unsigned i = place(text);

	for (; n->slot[i].text; i = (i + 1) & (NAMES_SIZE - 1))
		if (n->slot[i].text == text)
			return n->slot[i].member;
	return NAME_UNKNOWN;
}
