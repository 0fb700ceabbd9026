/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the names of a packet's fields mean: reading and setting them, and
 * the words of the errors. Knows no metatables; bytes are packet/'s business.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "script/object_internal.h"

enum { IP, TCP, UDP, ICMP }; /* enum packet_layer, shorter */

const char *const object_layer_name[LAYERS] = {"ip", "tcp", "udp", "icmp"};
static const uint8_t layer_proto[LAYERS] = {0, 6, 17, 1};

/* The members beyond the fixed fields. */
static const struct {
	const char *name;
	int layer; /* -1: the packet */
} extra[MEMBER_PART - FIELD_COUNT] = {
	[MEMBER_IP_OPTIONS - FIELD_COUNT] = {"options", IP},
	[MEMBER_TCP_FIN - FIELD_COUNT] = {"fin", TCP},
	[MEMBER_TCP_SYN - FIELD_COUNT] = {"syn", TCP},
	[MEMBER_TCP_RST - FIELD_COUNT] = {"rst", TCP},
	[MEMBER_TCP_PSH - FIELD_COUNT] = {"psh", TCP},
	[MEMBER_TCP_ACK - FIELD_COUNT] = {"ack", TCP},
	[MEMBER_TCP_URG - FIELD_COUNT] = {"urg", TCP},
	[MEMBER_TCP_ECE - FIELD_COUNT] = {"ece", TCP},
	[MEMBER_TCP_CWR - FIELD_COUNT] = {"cwr", TCP},
	[MEMBER_TCP_MSS - FIELD_COUNT] = {"mss", TCP},
	[MEMBER_TCP_WSCALE - FIELD_COUNT] = {"wscale", TCP},
	[MEMBER_TCP_SACK_PERMITTED - FIELD_COUNT] = {"sack_permitted", TCP},
	[MEMBER_TCP_TSVAL - FIELD_COUNT] = {"tsval", TCP},
	[MEMBER_TCP_TSECR - FIELD_COUNT] = {"tsecr", TCP},
	[MEMBER_TCP_OPTIONS - FIELD_COUNT] = {"options", TCP},
	[MEMBER_ICMP_INNER - FIELD_COUNT] = {"inner", ICMP},
	[MEMBER_SPORT - FIELD_COUNT] = {"sport", -1},
	[MEMBER_DPORT - FIELD_COUNT] = {"dport", -1},
	[MEMBER_PAYLOAD - FIELD_COUNT] = {"payload", -1},
	[MEMBER_LEN - FIELD_COUNT] = {"len", -1},
	[MEMBER_DIR - FIELD_COUNT] = {"dir", -1},
	[MEMBER_IFACE - FIELD_COUNT] = {"iface", -1},
	[MEMBER_WAY - FIELD_COUNT] = {"way", -1},
	[MEMBER_TIME - FIELD_COUNT] = {"time", -1},
	[MEMBER_PROTO - FIELD_COUNT] = {"proto", -1},
	[MEMBER_FLOW - FIELD_COUNT] = {"flow", -1},
	[MEMBER_CHECKSUM_OK - FIELD_COUNT] = {"checksum_ok", -1},
};

static bool is_flag(int m)
{
	return m >= MEMBER_TCP_FIN && m <= MEMBER_TCP_CWR;
}

static bool is_option(int m)
{
	return (m >= MEMBER_TCP_MSS && m <= MEMBER_TCP_OPTIONS) ||
	       m == MEMBER_IP_OPTIONS;
}

/* ---- names ----------------------------------------------------------- */

const char *member_name(int m)
{
	return m < FIELD_COUNT ? packet_fields[m].name
			       : extra[m - FIELD_COUNT].name;
}

int member_layer(int m)
{
	return m < FIELD_COUNT ? (int)packet_fields[m].layer
			       : extra[m - FIELD_COUNT].layer;
}

const char *member_text(lua_State *L, int m)
{
	int layer = member_layer(m);

	if (layer < 0)
		return lua_pushstring(L, member_name(m));
	return lua_pushfstring(L, "%s.%s", object_layer_name[layer],
			       member_name(m));
}

void member_push_names(lua_State *L, enum packet_layer layer)
{
	lua_newtable(L);
	for (int m = 0; m < MEMBER_PART; m++) {
		if (member_layer(m) != (int)layer)
			continue;
		lua_pushinteger(L, m);
		lua_setfield(L, -2, member_name(m));
	}
}

bool member_has_layer(const struct packet *p, enum packet_layer layer)
{
	if (layer == LAYER_IP)
		return p->header != 0;
	/* A cut-off header is there: its fields say so themselves. */
	return p->transport && p->proto == layer_proto[layer];
}

/* ---- reading --------------------------------------------------------- */

static uint32_t get(lua_State *L, const struct object *o, int field)
{
	uint32_t v = 0;
	int r = packet_get(o->p, (enum packet_field)field, &v);

	if (r)
		object_raise(L, field, r);
	return v;
}

static int push_address(lua_State *L, const struct packet *p, int field)
{
	struct address a =
		field == FIELD_IP_SRC ? packet_src(p) : packet_dst(p);
	char text[ADDRESS_TEXT_MAX];

	if (a.size == 4)
		return text_push_v4(L, (uint32_t)a.byte[0] << 24 |
					  (uint32_t)a.byte[1] << 16 |
					  (uint32_t)a.byte[2] << 8 | a.byte[3]);
	if (a.size)
		lua_pushstring(L, address_text(&a, text, sizeof(text)));
	else
		lua_pushnil(L);
	return 1;
}

static int push_port(lua_State *L, const struct packet *p, bool dst)
{
	uint16_t sport, dport;

	if (packet_ports(p, &sport, &dport))
		lua_pushnil(L);
	else
		lua_pushinteger(L, dst ? dport : sport);
	return 1;
}

static int push_proto(lua_State *L, const struct packet *p)
{
	const char *name;

	if (!p->header) {
		lua_pushnil(L);
		return 1;
	}
	name = packet_proto_name(p->proto);
	if (!name || (*name >= '0' && *name <= '9'))
		lua_pushinteger(L, p->proto);
	else
		lua_pushstring(L, name);
	return 1;
}

static int push_whole(lua_State *L, const struct object *o, int m)
{
	static const char *const dir[] = {"out", "in", "forward"};
	const struct packet *p = o->p;
	const uint8_t *b;
	uint32_t n;

	switch (m) {
	case MEMBER_SPORT:
	case MEMBER_DPORT:
		return push_port(L, p, m == MEMBER_DPORT);
	case MEMBER_LEN:
		lua_pushinteger(L,
				o->frozen ? get(L, o, FIELD_IP_LEN) : p->len);
		break;
	case MEMBER_DIR:
		lua_pushstring(L, dir[p->dir]);
		break;
	case MEMBER_WAY:
		lua_pushstring(L, p->way == WAY_WIRE ? "wire" : "route");
		break;
	case MEMBER_TIME:
		if (p->time)
			lua_pushnumber(L, (lua_Number)p->time / NSEC_PER_SEC);
		else
			lua_pushnil(L);
		break;
	case MEMBER_PROTO:
		return push_proto(L, p);
	case MEMBER_CHECKSUM_OK:
		/* A quoted packet is not whole. */
		lua_pushboolean(L, packet_ip_checksum_ok(p) &&
				   (o->frozen ||
				    packet_l4_checksum_ok(p)));
		break;
	case MEMBER_PAYLOAD:
		b = payload_bytes(L, p, &n);
		if (b)
			lua_pushlstring(L, (const char *)b, n);
		else
			lua_pushnil(L);
		break;
	}
	return 1;
}

static int push_field(lua_State *L, struct object *o, int m)
{
	switch (m) {
	case FIELD_IP_SRC:
	case FIELD_IP_DST:
		return push_address(L, o->p, m);
	case FIELD_IP_DF:
	case FIELD_IP_MF:
		lua_pushboolean(L, (int)get(L, o, m));
		return 1;
	case FIELD_TCP_FLAGS:
		return text_push_flags(L, (uint8_t)get(L, o, m));
	case FIELD_ICMP_GATEWAY:
		return text_push_v4(L, get(L, o, m));
	default:
		lua_pushinteger(L, get(L, o, m));
		return 1;
	}
}

int member_push(lua_State *L, struct object *o, int m)
{
	if (m < FIELD_COUNT)
		return push_field(L, o, m);
	if (m >= MEMBER_SPORT)
		return push_whole(L, o, m);
	if (is_option(m))
		return option_push(L, o->p, m);
	if (m == MEMBER_ICMP_INNER)
		return make_inner(L, o->p);
	lua_pushboolean(L, (int)(get(L, o, FIELD_TCP_FLAGS) >>
					 (m - MEMBER_TCP_FIN) &
				 1));
	return 1;
}

/* ---- setting --------------------------------------------------------- */

/* Raises: "ip.ttl must be 0 to 255, not 300". */
static int bad_value(lua_State *L, int m, const char *must, int v)
{
	if (lua_type(L, v) == LUA_TSTRING)
		return luaL_error(L, "%s must be %s, not \"%s\"",
				  member_text(L, m), must, lua_tostring(L, v));
	if (lua_type(L, v) == LUA_TTABLE || lua_type(L, v) == LUA_TFUNCTION ||
	    lua_type(L, v) == LUA_TUSERDATA)
		return luaL_error(L, "%s must be %s, not a %s",
				  member_text(L, m), must, luaL_typename(L, v));
	return luaL_error(L, "%s must be %s, not %s", member_text(L, m), must,
			  luaL_tolstring(L, v, NULL));
}

uint32_t member_number(lua_State *L, int m, int v, uint32_t max)
{
	int is;
	lua_Integer n;

	v = lua_absindex(L, v); /* texts are pushed above it */
	n = lua_tointegerx(L, v, &is);
	if (!is || n < 0 || n > max)
		bad_value(L, m, lua_pushfstring(L, "0 to %I", (lua_Integer)max),
			  v);
	return (uint32_t)n;
}

/* A number, or one of the names that f knows. */
static uint32_t number_or_name(lua_State *L, int m, int v, uint32_t max,
			       int (*f)(const char *name))
{
	int n;

	if (lua_type(L, v) != LUA_TSTRING || lua_isnumber(L, v))
		return member_number(L, m, v, max);
	n = f(lua_tostring(L, v));
	if (n < 0)
		bad_value(L, m,
			  lua_pushfstring(L, "a name that is known, or 0 to %I",
					  (lua_Integer)max),
			  v);
	return (uint32_t)n;
}

static void put(lua_State *L, struct object *o, int m, uint32_t value)
{
	int r = packet_set(o->p, (enum packet_field)m, value);

	if (r)
		object_raise(L, m, r);
}

static uint32_t boolean(lua_State *L, int m, int v)
{
	if (lua_isboolean(L, v))
		return (uint32_t)lua_toboolean(L, v);
	if (!lua_isnumber(L, v))
		bad_value(L, m, "true or false", v);
	return member_number(L, m, v, 1);
}

static struct address address(lua_State *L, int m, int v)
{
	struct address a = {0};
	size_t n = 0;
	const char *text = NULL;

	if (lua_type(L, v) == LUA_TSTRING)
		text = lua_tolstring(L, v, &n);
	if (!text || strlen(text) != n || address_parse(&a, text) ||
	    a.size != 4)
		bad_value(L, m, "an IPv4 address such as \"192.0.2.1\"", v);
	return a;
}

static void set_address(lua_State *L, struct object *o, int m, int v)
{
	struct address a = address(L, m, v);
	int r = packet_set_address(o->p, (enum packet_field)m, &a);

	if (r)
		object_raise(L, m, r);
}

static uint32_t flags(lua_State *L, int v)
{
	int f;

	if (lua_type(L, v) == LUA_TNUMBER)
		return member_number(L, FIELD_TCP_FLAGS, v, 255);
	f = lua_isstring(L, v) ? name_tcp_flags(lua_tostring(L, v)) : -EINVAL;
	if (f < 0)
		bad_value(L, FIELD_TCP_FLAGS,
			  "letters of FSRPAUEC such as \"SA\"", v);
	return (uint32_t)f;
}

static void set_flag(lua_State *L, struct object *o, int m, int v)
{
	uint32_t bit = 1u << (m - MEMBER_TCP_FIN);
	uint32_t on = boolean(L, m, v);
	uint32_t old = get(L, o, FIELD_TCP_FLAGS);

	put(L, o, FIELD_TCP_FLAGS, on ? old | bit : old & ~bit);
}

static void set_port(lua_State *L, struct object *o, int m, int v)
{
	bool dst = m == MEMBER_DPORT;
	uint32_t port = member_number(L, m, v, 65535);

	if (member_has_layer(o->p, LAYER_TCP))
		put(L, o, dst ? FIELD_TCP_DPORT : FIELD_TCP_SPORT, port);
	else if (member_has_layer(o->p, LAYER_UDP))
		put(L, o, dst ? FIELD_UDP_DPORT : FIELD_UDP_SPORT, port);
	else
		luaL_error(L, "%s: this packet is neither TCP nor UDP",
			   member_name(m));
}

static uint32_t max_of(int m)
{
	uint8_t bits = packet_fields[m].bits;

	return bits >= 32 ? UINT32_MAX : (UINT32_C(1) << bits) - 1;
}

static uint32_t gateway(lua_State *L, int v)
{
	struct address a = address(L, FIELD_ICMP_GATEWAY, v);

	return (uint32_t)a.byte[0] << 24 | (uint32_t)a.byte[1] << 16 |
	       (uint32_t)a.byte[2] << 8 | a.byte[3];
}

static void set_field(lua_State *L, struct object *o, int m, int v)
{
	uint32_t n;

	switch (m) {
	case FIELD_IP_SRC:
	case FIELD_IP_DST:
		set_address(L, o, m, v);
		return;
	case FIELD_IP_DF:
	case FIELD_IP_MF:
		n = boolean(L, m, v);
		break;
	case FIELD_TCP_FLAGS:
		n = flags(L, v);
		break;
	case FIELD_ICMP_GATEWAY:
		n = gateway(L, v);
		break;
	case FIELD_IP_PROTO:
		n = number_or_name(L, m, v, 255, name_proto);
		break;
	case FIELD_IP_DSCP:
		n = number_or_name(L, m, v, 63, name_dscp);
		break;
	case FIELD_ICMP_TYPE:
		n = number_or_name(L, m, v, 255, name_icmp_type);
		break;
	case FIELD_ICMP_CODE:
		n = number_or_name(L, m, v, 255, name_unreachable_code);
		break;
	default:
		n = member_number(L, m, v, max_of(m));
	}
	put(L, o, m, n);
}

void member_set(lua_State *L, int obj, struct object *o, int m, int v)
{
	if (o->frozen)
		luaL_error(L,
			   "%s: a quoted packet (icmp.inner) is for "
			   "reading; :clone() it to change it",
			   member_text(L, m));
	if (m < FIELD_COUNT) {
		set_field(L, o, m, v);
		return;
	}
	if (is_flag(m)) {
		set_flag(L, o, m, v);
		return;
	}
	if (is_option(m)) {
		option_set(L, obj, o, m, v);
		return;
	}
	switch (m) {
	case MEMBER_SPORT:
	case MEMBER_DPORT:
		set_port(L, o, m, v);
		break;
	case MEMBER_PAYLOAD:
		payload_set(L, obj, o, v);
		break;
	default:
		luaL_error(L, "%s can be read, not set", member_text(L, m));
	}
}
