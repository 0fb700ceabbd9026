/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The texts that fields read as. Lua collects a string that nobody holds, and
 * would make it again for the next packet; so those that come again and again
 * are held here: an address whose place another one takes is let go.
 */
#include <string.h>

#include "script/object_internal.h"

#define ADDRESSES 256u

static const char texts_key;

/* Its user value is a table: the texts of the flags from 1, then those of the
 * addresses. */
struct texts {
	uint64_t address[ADDRESSES]; /* which one stands here; none: too big */
};

#define AT_FLAGS   1
#define AT_ADDRESS (AT_FLAGS + 256)

static const char *const words[] = {"tcp", "udp",     "icmp", "out",
				    "in",  "forward", "wire", "route"};
#define WORDS	(sizeof(words) / sizeof(*words))
#define AT_WORD (AT_ADDRESS + ADDRESSES)

void text_open(lua_State *L)
{
	struct texts *t = lua_newuserdatauv(L, sizeof(*t), 1);

	memset(t, 0xff, sizeof(*t));
	lua_createtable(L, AT_WORD + WORDS - 1, 0);
	for (size_t i = 0; i < WORDS; i++) {
		lua_pushstring(L, words[i]);
		lua_rawseti(L, -2, (lua_Integer)(AT_WORD + i));
	}
	lua_setiuservalue(L, -2, 1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &texts_key);
}

/* Pushes the table; pops nothing. */
static struct texts *push_texts(lua_State *L)
{
	struct texts *t;

	lua_rawgetp(L, LUA_REGISTRYINDEX, &texts_key);
	t = lua_touserdata(L, -1);
	lua_getiuservalue(L, -1, 1);
	return t;
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
	struct texts *t = push_texts(L);
	unsigned i = (v * UINT32_C(0x9e3779b1)) >> 24;
	lua_Integer at = AT_ADDRESS + (lua_Integer)i;
	char text[16];

	if (t->address[i] == v) {
		lua_rawgeti(L, -1, at);
		return 1;
	}
	lua_pushlstring(L, text, v4_text(v, text));
	lua_pushvalue(L, -1);
	lua_rawseti(L, -3, at);
	t->address[i] = v;
	return 1;
}

int text_push_flags(lua_State *L, uint8_t flags)
{
	char text[9];

	push_texts(L);
	if (lua_rawgeti(L, -1, AT_FLAGS + flags) != LUA_TNIL)
		return 1;
	lua_pop(L, 1);
	lua_pushstring(L, tcp_flags_text(flags, text));
	lua_pushvalue(L, -1);
	lua_rawseti(L, -3, AT_FLAGS + flags);
	return 1;
}
