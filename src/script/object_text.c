/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The texts that fields read as. Lua collects a string that nobody holds, and
 * would make it again for the next packet; so those that come again and again
 * are held here: an address whose place another one takes is let go.
 */
#include <string.h>

#include "script/object_internal.h"

#define ADDRESSES 256u

static const char flags_key, words_key, addresses_key;

/* Its user value is a table of their texts, from 1. */
struct addresses {
	uint64_t here[ADDRESSES]; /* no address: nothing yet */
};

static const char *const words[] = {"tcp", "udp",     "icmp", "out",
				    "in",  "forward", "wire", "route"};
#define WORDS (sizeof(words) / sizeof(*words))

void text_open(lua_State *L)
{
	struct addresses *a = lua_newuserdatauv(L, sizeof(*a), 1);

	memset(a, 0xff, sizeof(*a));
	lua_createtable(L, ADDRESSES, 0);
	lua_setiuservalue(L, -2, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &addresses_key);
	lua_createtable(L, 256, 0);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &flags_key);
	lua_createtable(L, WORDS, 0);
	for (size_t i = 0; i < WORDS; i++) {
		lua_pushstring(L, words[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	lua_rawsetp(L, LUA_REGISTRYINDEX, &words_key);
}

/* inet_ntop goes by way of printf, which is most of a rule's cost. */
static size_t v4_text(uint32_t v, char text[16])
{
	char *t = text;

	for (int shift = 24; shift >= 0; shift -= 8) {
		unsigned b = v >> shift & 0xff;

		if (b >= 100)
			*t++ = (char)('0' + b / 100);
		if (b >= 10)
			*t++ = (char)('0' + b / 10 % 10);
		*t++ = (char)('0' + b % 10);
		*t++ = '.';
	}
	return (size_t)(t - text) - 1;
}

int text_push_v4(lua_State *L, uint32_t v)
{
	unsigned i = (v * UINT32_C(0x9e3779b1)) >> 24;
	struct addresses *a;
	char text[16];

	lua_rawgetp(L, LUA_REGISTRYINDEX, &addresses_key);
	a = lua_touserdata(L, -1);
	lua_getiuservalue(L, -1, 1);
	if (a->here[i] == v) {
		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		return 1;
	}
	lua_pushlstring(L, text, v4_text(v, text));
	lua_pushvalue(L, -1);
	lua_rawseti(L, -3, (lua_Integer)i + 1);
	a->here[i] = v;
	return 1;
}

int text_push_flags(lua_State *L, uint8_t flags)
{
	char text[9];

	lua_rawgetp(L, LUA_REGISTRYINDEX, &flags_key);
	if (lua_rawgeti(L, -1, flags + 1) != LUA_TNIL)
		return 1;
	lua_pop(L, 1);
	lua_pushstring(L, tcp_flags_text(flags, text));
	lua_pushvalue(L, -1);
	lua_rawseti(L, -3, flags + 1);
	return 1;
}
