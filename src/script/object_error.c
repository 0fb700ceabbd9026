/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a packet object says of a wrong name or an impossible change. Each
 * raises, and names the field as the author wrote it.
 */
#include <errno.h>
#include <string.h>

#include "script/object_internal.h"

/* Edit distance of two short names, a swap of neighbours counting as one:
 * it is the commonest slip of the hand. */
static unsigned distance(const char *a, const char *b)
{
	enum { MAX = 24 };
	unsigned d[MAX + 1][MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > MAX || m > MAX)
		return MAX;
	for (size_t i = 0; i <= n; i++) {
		for (size_t j = 0; j <= m; j++) {
			unsigned best;

			if (!i || !j) {
				d[i][j] = (unsigned)(i + j);
				continue;
			}
			best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			if (best > d[i - 1][j] + 1)
				best = d[i - 1][j] + 1;
			if (best > d[i][j - 1] + 1)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && best > d[i - 2][j - 2] + 1)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[n][m];
}

int object_unknown(lua_State *L, const char *what, int names, const char *name)
{
	unsigned best_d = strlen(name) < 4 ? 2 : 3;
	const char *best = NULL;

	names = lua_absindex(L, names);
	for (lua_pushnil(L); lua_next(L, names); lua_pop(L, 1)) {
		const char *s = lua_tostring(L, -2);
		unsigned d = distance(name, s);

		/* the table's order is random, an answer must not be */
		if (d < best_d ||
		    (d == best_d && best && strcmp(s, best) < 0)) {
			best = s;
			best_d = d;
		}
	}
	if (best)
		return luaL_error(L, "%s has no field '%s'; did you mean '%s'?",
				  what, name, best);
	return luaL_error(L, "%s has no field '%s'", what, name);
}

int object_raise(lua_State *L, int m, int error)
{
	int layer = member_layer(m);

	switch (error) {
	case -ENOENT:
		if (layer >= 0)
			return luaL_error(L, "%s: this packet has no %s header",
					  member_text(L, m),
					  object_layer_name[layer]);
		return luaL_error(L, "%s: this packet has none",
				  member_text(L, m));
	case -ENODATA:
		return luaL_error(L, "%s: the header is cut off before it",
				  member_text(L, m));
	case -ERANGE:
		return luaL_error(L, "%s: outside the packet",
				  member_text(L, m));
	case -EMSGSIZE:
		return luaL_error(L, "%s: the packet would be too long",
				  member_text(L, m));
	case -EOPNOTSUPP:
		return luaL_error(L,
				  "%s: the length of a packet that stands "
				  "for several (offload) cannot change",
				  member_text(L, m));
	default:
		return luaL_error(L, "%s: %s", member_text(L, m),
				  strerror(-error));
	}
}
