/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is the same, and how what is not differs, among Lua values. A table
 * says of a packet what packet{} would take: fields at the top, those of a
 * header in a table of its name; fields it does not name may be anything.
 */
#include <ctype.h>
#include <string.h>

#include "script/test_internal.h"

#define SHOWN_MAX 60  /* bytes of a string beside another */
#define STRING_MAX 200 /* and on a line of its own */
#define ITEMS_MAX 12 /* items of a table on one line */
#define DEPTH_MAX 16

/* ---- a value on one line ---------------------------------------------- */

static bool is_plain(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isprint((unsigned char)s[i]))
			return false;
	return true;
}

static void string_text(const char *s, size_t n, struct text *out)
{
	size_t most = n < STRING_MAX ? n : STRING_MAX;

	text_add(out, "\"");
	for (size_t i = 0; i < most; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			text_add(out, "\\%c", c);
		else if (isprint(c))
			text_add(out, "%c", c);
		else
			text_add(out, "\\x%02x", c);
	}
	text_add(out, "\"");
	if (most < n)
		text_add(out, "... (%zu bytes)", n);
}

static void value_text(lua_State *L, int i, struct text *out, int depth);

static void table_text(lua_State *L, int i, struct text *out, int depth)
{
	lua_Integer list = (lua_Integer)lua_rawlen(L, i);
	int n = 0;

	text_add(out, "{");
	for (lua_pushnil(L); lua_next(L, i); lua_pop(L, 1)) {
		text_add(out, n ? ", " : " ");
		if (n++ == ITEMS_MAX || depth > 3) {
			text_add(out, "...");
			lua_pop(L, 2);
			break;
		}
		if (lua_type(L, -2) == LUA_TSTRING)
			text_add(out, "%s = ", lua_tostring(L, -2));
		else if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) > list)
			text_add(out, "[...] = ");
		value_text(L, lua_gettop(L), out, depth + 1);
	}
	text_add(out, n ? " }" : "}");
}

static void value_text(lua_State *L, int i, struct text *out, int depth)
{
	const char *s;
	char line[256];
	size_t n;

	luaL_checkstack(L, 8, NULL);
	switch (lua_type(L, i)) {
	case LUA_TSTRING:
		s = lua_tolstring(L, i, &n);
		string_text(s, n, out);
		break;
	case LUA_TTABLE:
		table_text(L, i, out, depth);
		break;
	default:
		if (object_test(L, i))
			text_add(out, "packet %s",
				 packet_print(object_test(L, i), line,
					      sizeof(line)));
		else
			text_add(out, "%s", luaL_tolstring(L, i, NULL));
	}
}

void diff_value(lua_State *L, int i, struct text *out)
{
	int top = lua_gettop(L);

	value_text(L, lua_absindex(L, i), out, 0);
	lua_settop(L, top);
}

/* ---- a packet and a table --------------------------------------------- */

/* Names stand for numbers, as when a field is set. */
static bool named_number(int m, const char *name, lua_Integer *n)
{
	switch (m) {
	case FIELD_IP_DSCP:
		*n = name_dscp(name);
		break;
	case FIELD_IP_PROTO:
		*n = name_proto(name);
		break;
	case FIELD_ICMP_TYPE:
		*n = name_icmp_type(name);
		break;
	case FIELD_ICMP_CODE:
		*n = name_unreachable_code(name);
		break;
	default:
		return false;
	}
	return *n >= 0;
}

/* The value at the top becomes what reading the member would give. */
static void normalize(lua_State *L, int m)
{
	char flags[9];
	lua_Integer n;

	if (lua_type(L, -1) == LUA_TSTRING) {
		if (m == FIELD_TCP_FLAGS) {
			int f = name_tcp_flags(lua_tostring(L, -1));

			if (f < 0)
				return;
			lua_pushstring(L, tcp_flags_text((uint8_t)f, flags));
		} else if (named_number(m, lua_tostring(L, -1), &n)) {
			lua_pushinteger(L, n);
		} else {
			return;
		}
		lua_replace(L, -2);
	}
}

/* Reads member m of a packet, which may not be there. */
static int read_member(lua_State *L)
{
	return member_push(L, lua_touserdata(L, 1), (int)lua_tointeger(L, 2));
}

static void push_member(lua_State *L, struct object *o, int m)
{
	int layer = member_layer(m);

	if (layer >= 0 && !member_has_layer(o->p, (enum packet_layer)layer)) {
		lua_pushnil(L);
		return;
	}
	/* A header that is cut off says so, in place of a value. */
	lua_pushcfunction(L, read_member);
	lua_pushlightuserdata(L, o);
	lua_pushinteger(L, m);
	lua_pcall(L, 2, 1, 0);
	limit_check(L);
}

/* One member that the table at t may name. out may be NULL. */
static bool member_same(lua_State *L, int t, struct object *o, int m,
			struct text *out)
{
	int top = lua_gettop(L), layer = member_layer(m);
	bool same = true;
	char name[40];

	lua_getfield(L, t, member_name(m));
	if (!lua_isnil(L, -1)) {
		normalize(L, m);
		push_member(L, o, m);
		same = diff_is_same(L, top + 1, top + 2);
	}
	if (!same && out) {
		snprintf(name, sizeof(name), "%s%s%s",
			 layer < 0 ? "" : object_layer_name[layer],
			 layer < 0 ? "" : ".", member_name(m));
		if (lua_type(L, -1) == LUA_TSTRING &&
		    lua_type(L, -2) == LUA_TSTRING &&
		    lua_rawlen(L, -1) + lua_rawlen(L, -2) > SHOWN_MAX) {
			text_add(out, "  %s:\n", name);
			diff_explain(L, top + 1, top + 2, out);
		} else {
			text_add(out, "  %-18s expected ", name);
			diff_value(L, top + 1, out);
			text_add(out, ", got ");
			diff_value(L, top + 2, out);
			text_add(out, "\n");
		}
	}
	lua_settop(L, top);
	return same;
}

static bool is_whole(int m)
{
	return m >= MEMBER_SPORT && m < MEMBER_PART;
}

/* At the top of a table stand the packet's own fields and those of IP that
 * have no such name. */
static bool is_top(int m)
{
	static const int both[] = {FIELD_IP_LEN, FIELD_IP_PROTO};

	for (size_t i = 0; i < sizeof(both) / sizeof(*both); i++)
		if (m == both[i])
			return false;
	return is_whole(m) || member_layer(m) == LAYER_IP;
}

/* Raises for a name that no member has. layer -1: the top. */
static void check_names(lua_State *L, int t, int layer)
{
	const char *what = layer < 0 ? "a packet" : object_layer_name[layer];
	char hint[100];
	struct nearest n;

	for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) {
		const char *name = luaL_tolstring(L, -2, NULL);
		bool known = false;

		nearest_start(&n, name);
		for (int m = 0; m < MEMBER_PART && !known; m++) {
			if (layer < 0 ? !is_top(m) : member_layer(m) != layer)
				continue;
			known = !strcmp(member_name(m), name);
			nearest_try(&n, member_name(m));
		}
		for (int l = 0; l < LAYERS && layer < 0; l++)
			known |= !strcmp(object_layer_name[l], name);
		if (!known)
			luaL_error(L, "%s has no field '%s'%s", what, name,
				   nearest_hint(&n, hint, sizeof(hint)));
		lua_pop(L, 1);
	}
}

static bool layer_same(lua_State *L, int t, struct object *o, int layer,
		       struct text *out)
{
	int top = lua_gettop(L);
	bool same = true;

	if (lua_getfield(L, t, object_layer_name[layer]) == LUA_TNIL) {
		lua_settop(L, top);
		return true;
	}
	if (!lua_istable(L, -1))
		luaL_error(L, "%s is a table of fields", object_layer_name[layer]);
	check_names(L, top + 1, layer);
	if (!member_has_layer(o->p, (enum packet_layer)layer)) {
		if (out)
			text_add(out, "  %-18s expected, got none\n",
				 object_layer_name[layer]);
		same = false;
	}
	for (int m = 0; m < MEMBER_PART && (same || out); m++)
		if (member_layer(m) == layer &&
		    member_has_layer(o->p, (enum packet_layer)layer))
			same &= member_same(L, top + 1, o, m, out);
	lua_settop(L, top);
	return same;
}

static bool packet_same(lua_State *L, int t, int packet, struct text *out)
{
	struct object *o = object_self(L, packet);
	bool same = true;

	check_names(L, t, -1);
	for (int m = 0; m < MEMBER_PART && (same || out); m++)
		if (is_top(m))
			same &= member_same(L, t, o, m, out);
	for (int layer = 0; layer < LAYERS && (same || out); layer++)
		same &= layer_same(L, t, o, layer, out);
	return same;
}

/* ---- any two values --------------------------------------------------- */

static bool bytes_same(const struct packet *a, const struct packet *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

/* Every key of one has the same value in the other. */
static bool tables_same(lua_State *L, int want, int got)
{
	int top = lua_gettop(L);
	size_t n = 0;

	for (lua_pushnil(L); lua_next(L, got); lua_pop(L, 1))
		n++;
	for (lua_pushnil(L); lua_next(L, want); lua_pop(L, 2)) {
		lua_pushvalue(L, -2);
		lua_rawget(L, got);
		if (!n-- || !diff_is_same(L, top + 2, top + 3)) {
			lua_settop(L, top);
			return false;
		}
	}
	return !n;
}

bool diff_is_same(lua_State *L, int want, int got)
{
	const struct packet *a = object_test(L, want);
	const struct packet *b = object_test(L, got);

	if (lua_rawequal(L, want, got))
		return true;
	luaL_checkstack(L, 16, "tables too deep");
	if (lua_gettop(L) > DEPTH_MAX * 16)
		luaL_error(L, "tables too deep to compare");
	if (a && b)
		return bytes_same(a, b);
	if (b && lua_istable(L, want))
		return packet_same(L, want, got, NULL);
	if (lua_istable(L, want) && lua_istable(L, got))
		return tables_same(L, want, got);
	return false;
}

/* The lines for the first item of a list that differs. */
static bool lists_explain(lua_State *L, int want, int got, struct text *out)
{
	lua_Integer a = (lua_Integer)lua_rawlen(L, want);
	lua_Integer b = (lua_Integer)lua_rawlen(L, got);
	int top = lua_gettop(L);

	if (!a || !b)
		return false;
	if (a != b)
		text_add(out, "  expected %lld items, got %lld\n",
			 (long long)a, (long long)b);
	for (lua_Integer i = 1; i <= a && i <= b; i++) {
		lua_rawgeti(L, want, i);
		lua_rawgeti(L, got, i);
		if (!diff_is_same(L, top + 1, top + 2)) {
			text_add(out, "  item %lld:\n", (long long)i);
			diff_explain(L, top + 1, top + 2, out);
			lua_settop(L, top);
			return true;
		}
		lua_settop(L, top);
	}
	return a != b;
}

void diff_explain(lua_State *L, int want, int got, struct text *out)
{
	const struct packet *a = object_test(L, want);
	const struct packet *b = object_test(L, got);
	const char *x, *y;
	size_t nx, ny;

	if (a && b) {
		diff_packets(a, b, out);
		return;
	}
	if (b && lua_istable(L, want)) {
		packet_same(L, want, got, out);
		return;
	}
	if (lua_type(L, want) == LUA_TSTRING &&
	    lua_type(L, got) == LUA_TSTRING) {
		x = lua_tolstring(L, want, &nx);
		y = lua_tolstring(L, got, &ny);
		if (!is_plain(x, nx) || !is_plain(y, ny) || nx > SHOWN_MAX ||
		    ny > SHOWN_MAX) {
			diff_bytes((const uint8_t *)x, nx, (const uint8_t *)y,
				   ny, out);
			return;
		}
	}
	if (lua_istable(L, want) && lua_istable(L, got) &&
	    lists_explain(L, want, got, out))
		return;
	text_add(out, "  expected ");
	diff_value(L, want, out);
	text_add(out, "\n  got      ");
	diff_value(L, got, out);
	text_add(out, "\n");
}
