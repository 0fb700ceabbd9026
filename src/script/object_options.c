/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of the IP and TCP headers (RFC 791, 9293, 7323, 2018) as
 * members of the packet object. Setting one that is there overwrites it in
 * place; setting one that is not adds it, if the header has room; setting
 * one to nil puts no-operations in its place.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "script/object_internal.h"

enum { KIND_END = 0, KIND_NOP = 1, OPTIONS_MAX = 40, FIXED = 20 };

static const struct option {
	uint8_t kind, length; /* of the whole option */
	uint8_t at, bytes;    /* where its number is; bytes 0: a flag */
} options[] = {
	[MEMBER_TCP_MSS - MEMBER_TCP_MSS] = {2, 4, 2, 2},
	[MEMBER_TCP_WSCALE - MEMBER_TCP_MSS] = {3, 3, 2, 1},
	[MEMBER_TCP_SACK_PERMITTED - MEMBER_TCP_MSS] = {4, 2, 0, 0},
	[MEMBER_TCP_TSVAL - MEMBER_TCP_MSS] = {8, 10, 2, 4},
	[MEMBER_TCP_TSECR - MEMBER_TCP_MSS] = {8, 10, 6, 4},
};

/* Where the option is in the packet, 0: nowhere (or of the wrong length). */
static uint32_t find(const struct packet *p, const struct option *opt)
{
	uint8_t n = 0;
	const uint8_t *b = packet_tcp_option(p, opt->kind, &n);

	return b && n == opt->length ? (uint32_t)(b - p->data) : 0;
}

/* All the options of the header that m belongs to. */
static const uint8_t *raw(lua_State *L, const struct packet *p, int m,
			  uint32_t *n)
{
	uint32_t from = FIXED, to = p->header;
	const uint8_t *b;

	if (!p->header ||
	    (m != MEMBER_IP_OPTIONS && !member_has_layer(p, LAYER_TCP)))
		object_raise(L, m, -ENOENT);
	if (m != MEMBER_IP_OPTIONS) {
		from = p->transport + FIXED;
		to = p->payload;
	}
	*n = to - from;
	b = p->transport || m == MEMBER_IP_OPTIONS ? packet_at(p, from, *n)
						   : NULL;
	if (!b || to < from)
		object_raise(L, m, -ENODATA);
	return b;
}

int option_push(lua_State *L, const struct packet *p, int m)
{
	const struct option *opt;
	uint32_t at, n;
	const uint8_t *b = raw(L, p, m, &n);

	if (m == MEMBER_IP_OPTIONS || m == MEMBER_TCP_OPTIONS) {
		lua_pushlstring(L, (const char *)b, n);
		return 1;
	}
	opt = &options[m - MEMBER_TCP_MSS];
	at = find(p, opt);
	if (!opt->bytes) {
		lua_pushboolean(L, at != 0);
		return 1;
	}
	if (!at) {
		lua_pushnil(L);
		return 1;
	}
	b = p->data + at + opt->at;
	lua_pushinteger(L, opt->bytes == 1   ? b[0]
			   : opt->bytes == 2 ? get_be16(b)
					     : get_be32(b));
	return 1;
}

/* ---- setting --------------------------------------------------------- */

static void set_raw(lua_State *L, int obj, struct object *o, int m,
		    const void *b, size_t n)
{
	int r;

	if (n > OPTIONS_MAX)
		luaL_error(L,
			   "%s: a header has room for 40 bytes of options, "
			   "not %d",
			   member_text(L, m), (int)n);
	for (int tries = 0;; tries++) {
		r = m == MEMBER_IP_OPTIONS
			    ? packet_set_ip_options(o->p, b, (uint32_t)n)
			    : packet_set_tcp_options(o->p, b, (uint32_t)n);
		if (r != -EMSGSIZE || tries ||
		    !object_grow(L, obj, o, OPTIONS_MAX))
			break;
	}
	if (r)
		object_raise(L, m, r);
}

/* How many of n bytes come before the end of the list. */
static uint32_t used(const uint8_t *b, uint32_t n)
{
	uint32_t i = 0;

	while (i < n && b[i] != KIND_END) {
		if (b[i] == KIND_NOP)
			i++;
		else if (i + 1 < n && b[i + 1] >= 2 && i + b[i + 1] <= n)
			i += b[i + 1];
		else
			break; /* nonsense: what follows is no option */
	}
	return i;
}

static uint32_t add(lua_State *L, int obj, struct object *o, int m,
		    const struct option *opt)
{
	uint8_t list[OPTIONS_MAX];
	uint32_t n, at;
	const uint8_t *b = raw(L, o->p, m, &n);

	n = used(b, n);
	if (n + opt->length > OPTIONS_MAX)
		luaL_error(L,
			   "%s: the TCP header has no room for another "
			   "option",
			   member_text(L, m));
	memcpy(list, b, n);
	memset(list + n, 0, opt->length);
	list[n] = opt->kind;
	list[n + 1] = opt->length;
	set_raw(L, obj, o, m, list, n + opt->length);
	at = find(o->p, opt);
	if (!at) /* one of that kind and another length comes first */
		luaL_error(L, "%s: the option that is there is malformed",
			   member_text(L, m));
	return at;
}

static void write_at(lua_State *L, struct object *o, int m, uint32_t at,
		     const uint8_t *b, uint32_t n)
{
	int r = packet_write(o->p, at, b, n);

	if (r)
		object_raise(L, m, r);
}

void option_set(lua_State *L, int obj, struct object *o, int m, int v)
{
	static const uint8_t nop[10] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
	const struct option *opt;
	uint32_t at, n, value = 0;
	uint8_t b[4];

	raw(L, o->p, m, &n);
	if (m == MEMBER_IP_OPTIONS || m == MEMBER_TCP_OPTIONS) {
		size_t len;
		const char *s = lua_tolstring(L, v, &len);

		if (lua_type(L, v) != LUA_TSTRING)
			luaL_error(L, "%s must be a string, not %s",
				   member_text(L, m), luaL_typename(L, v));
		set_raw(L, obj, o, m, s, len);
		return;
	}
	opt = &options[m - MEMBER_TCP_MSS];
	at = find(o->p, opt);
	if (lua_isnil(L, v) || (!opt->bytes && !lua_toboolean(L, v))) {
		if (at)
			write_at(L, o, m, at, nop, opt->length);
		return;
	}
	if (opt->bytes)
		value = member_number(
			L, m, v,
			(uint32_t)(UINT64_MAX >> (64 - 8 * opt->bytes)));
	if (!at)
		at = add(L, obj, o, m, opt);
	put_be32(b, value);
	write_at(L, o, m, at + opt->at, b + 4 - opt->bytes, opt->bytes);
}
