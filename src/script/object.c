/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet object as Lua sees it: userdata, metatables, the look-up of a
 * name. What the names mean is in object_fields.c.
 *
 * Every byte an owned packet has is a userdata's, so Lua's collector frees
 * it and Lua's allocator counts it; no finalizer is needed.
 */
#include <string.h>

#include "script/flow_use.h"
#include "script/object.h"
#include "script/object_internal.h"

/* Bytes an owned packet can grow by before it has to move. */
#define SLACK 64u

const char object_packet_key;
const char object_part_key[LAYERS];
const char object_names_key;
const char object_part_names_key[LAYERS];
static const char view_key;
static const char env_key;

/* ---- which object ---------------------------------------------------- */

static struct object *object_at(lua_State *L, int i)
{
	struct object *o = lua_touserdata(L, i);
	bool is;

	if (!o || !lua_getmetatable(L, i))
		return NULL;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &object_packet_key);
	is = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return is ? o : NULL;
}

static void check_alive(lua_State *L, const struct object *o)
{
	if (!o->p)
		luaL_error(L, "this packet is gone: it was only valid inside "
			      "the call that got it");
}

struct object *object_self(lua_State *L, int i)
{
	struct object *o = object_at(L, i);

	if (!o)
		luaL_typeerror(L, i, "packet");
	check_alive(L, o);
	return o;
}

struct packet *object_check(lua_State *L, int i)
{
	return object_self(L, i)->p;
}

struct packet *object_test(lua_State *L, int i)
{
	struct object *o = object_at(L, i);

	return o ? o->p : NULL;
}

int64_t object_delay(lua_State *L, int i)
{
	struct object *o = object_at(L, i);

	return o && o->p ? o->delay : 0;
}

uint16_t object_drawn_port(lua_State *L, int i)
{
	return object_self(L, i)->port;
}

void object_push_view(lua_State *L, struct packet *p)
{
	struct object *o;

	lua_rawgetp(L, LUA_REGISTRYINDEX, &view_key);
	o = lua_touserdata(L, -1);
	o->p = p;
}

void object_end_view(lua_State *L)
{
	struct object *o;

	lua_rawgetp(L, LUA_REGISTRYINDEX, &view_key);
	o = lua_touserdata(L, -1);
	o->p = NULL;
	lua_pop(L, 1);
}

/* ---- owned packets --------------------------------------------------- */

struct object *object_new(lua_State *L, uint32_t room)
{
	uint32_t size = PACKET_HEADROOM + room + SLACK;
	struct object *o;

	if (size > PACKET_BUFFER)
		size = PACKET_BUFFER;
	o = lua_newuserdatauv(L, sizeof(*o) + size, SLOT_BUFFER);
	memset(o, 0, sizeof(*o));
	memset(o->bytes, 0, size);
	o->owned = true;
	o->own.head = o->bytes;
	o->own.size = size;
	o->own.data = o->bytes + PACKET_HEADROOM;
	o->p = &o->own;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &object_packet_key);
	lua_setmetatable(L, -2);
	return o;
}

void object_settle(struct object *o)
{
	o->own.undo = NULL;
	if (!o->own.iface || o->own.iface == o->iface)
		return;
	strncpy(o->iface, o->own.iface, sizeof(o->iface) - 1);
	o->own.iface = o->iface;
}

bool object_grow(lua_State *L, int i, struct object *o, uint32_t more)
{
	struct packet *p = &o->own;
	uint64_t size = (uint64_t)PACKET_HEADROOM + p->len + more + SLACK;
	uint8_t *b;

	if (!o->owned || p->len + (uint64_t)more > PACKET_MAX)
		return false;
	if (size > PACKET_BUFFER)
		size = PACKET_BUFFER;
	b = lua_newuserdatauv(L, size, 0);
	memset(b, 0, size);
	memcpy(b + PACKET_HEADROOM, p->data, p->len);
	p->head = b;
	p->data = b + PACKET_HEADROOM;
	p->size = (uint32_t)size;
	p->tail = 0;
	p->link_len = 0;
	lua_setiuservalue(L, i, SLOT_BUFFER); /* the one before may go */
	return true;
}

/* ---- look-up --------------------------------------------------------- */

/*
 * Upvalues of the four metamethods: the names, and the metatable that what
 * stands at 1 must have. A closure's upvalue is the cheapest thing to reach.
 */
#define UP_NAMES     lua_upvalueindex(1)
#define UP_METATABLE lua_upvalueindex(2)

static void *checked_self(lua_State *L)
{
	void *u = lua_touserdata(L, 1);

	if (!u || !lua_getmetatable(L, 1) || !lua_rawequal(L, -1, UP_METATABLE))
		luaL_error(L, "not a packet");
	lua_pop(L, 1);
	return u;
}

static int unknown_of_packet(lua_State *L)
{
	const char *name = luaL_tolstring(L, 2, NULL);

	for (int layer = 0; layer < LAYERS; layer++) {
		lua_rawgetp(L, LUA_REGISTRYINDEX,
			    &object_part_names_key[layer]);
		if (lua_getfield(L, -1, name) != LUA_TNIL)
			return luaL_error(L,
					  "a packet has no field '%s'; did you "
					  "mean '%s.%s'?",
					  name, object_layer_name[layer], name);
		lua_pop(L, 2);
	}
	return object_unknown(L, "a packet", UP_NAMES, name);
}

static void push_part(lua_State *L, int obj, struct object *o,
		      enum packet_layer layer)
{
	struct part *part;

	if (!member_has_layer(o->p, layer)) {
		lua_pushnil(L);
		return;
	}
	if (lua_getiuservalue(L, obj, SLOT_PART + (int)layer) != LUA_TNIL)
		return;
	lua_pop(L, 1);
	part = lua_newuserdatauv(L, sizeof(*part), 1);
	part->object = o;
	part->layer = layer;
	lua_pushvalue(L, obj);
	lua_setiuservalue(L, -2, 1);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &object_part_key[layer]);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_setiuservalue(L, obj, SLOT_PART + (int)layer);
}

static int push_iface(lua_State *L, struct object *o)
{
	struct packet *p = o->p;

	if (!p->iface && !p->ifindex) {
		const struct object_env *env;

		lua_rawgetp(L, LUA_REGISTRYINDEX, &env_key);
		env = lua_touserdata(L, -1);
		lua_pop(L, 1);
		if (env && env->resolve)
			env->resolve(p, env->arg);
		if (o->owned)
			object_settle(o);
	}
	lua_pushstring(L, p->iface); /* NULL pushes nil */
	return 1;
}

static int packet_index(lua_State *L)
{
	struct object *o = checked_self(L);
	int m;

	check_alive(L, o);
	lua_pushvalue(L, 2);
	switch (lua_rawget(L, UP_NAMES)) {
	case LUA_TNUMBER:
		break;
	case LUA_TFUNCTION:
		return 1;
	default:
		return unknown_of_packet(L);
	}
	m = (int)lua_tointeger(L, -1);
	if (m >= MEMBER_PART) {
		push_part(L, 1, o, (enum packet_layer)(m - MEMBER_PART));
		return 1;
	}
	if (m == MEMBER_IFACE)
		return push_iface(L, o);
	if (m == MEMBER_FLOW)
		return flow_object_push(L, o->p, !o->owned && !o->frozen);
	return member_push(L, o, m);
}

static int packet_newindex(lua_State *L)
{
	struct object *o = checked_self(L);
	int m;

	check_alive(L, o);
	lua_pushvalue(L, 2);
	switch (lua_rawget(L, UP_NAMES)) {
	case LUA_TNUMBER:
		break;
	case LUA_TFUNCTION:
		return luaL_error(L, "pkt:%s is a method and cannot be set",
				  lua_tostring(L, 2));
	default:
		return unknown_of_packet(L);
	}
	m = (int)lua_tointeger(L, -1);
	if (m >= MEMBER_PART)
		return luaL_error(L, "pkt.%s cannot be set, only its fields",
				  lua_tostring(L, 2));
	member_set(L, 1, o, m, 3);
	return 0;
}

static int part_lookup(lua_State *L, const struct part *part)
{
	check_alive(L, part->object);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, UP_NAMES) != LUA_TNUMBER)
		object_unknown(L, object_layer_name[part->layer], UP_NAMES,
			       luaL_tolstring(L, 2, NULL));
	return (int)lua_tointeger(L, -1);
}

static int part_index(lua_State *L)
{
	struct part *part = checked_self(L);
	int m = part_lookup(L, part);

	lua_settop(L, 2);
	return member_push(L, part->object, m);
}

static int part_newindex(lua_State *L)
{
	struct part *part = checked_self(L);
	int m = part_lookup(L, part);

	lua_settop(L, 3);
	lua_getiuservalue(L, 1, 1);
	member_set(L, 4, part->object, m, 3);
	return 0;
}

static int packet_tostring(lua_State *L)
{
	char line[256];

	lua_pushstring(L, packet_print(object_check(L, 1), line, sizeof(line)));
	return 1;
}

static int packet_dump_text(lua_State *L)
{
	const struct packet *p = object_check(L, 1);
	size_t n = packet_dump(p, NULL, 0);
	luaL_Buffer b;
	char *text = luaL_buffinitsize(L, &b, n + 1);

	packet_dump(p, text, n + 1);
	luaL_pushresultsize(&b, n);
	return 1;
}

/* ---- opening --------------------------------------------------------- */

/*
 * Makes a metatable from the names on top of the stack (which it pops) and
 * registers both. name shows in messages, and is all that getmetatable tells.
 */
static void new_metatable(lua_State *L, const char *name, const void *key,
			  const void *names_key, lua_CFunction index,
			  lua_CFunction newindex)
{
	int names = lua_gettop(L);
	static const char *const event[] = {"__index", "__newindex"};
	lua_CFunction f[] = {index, newindex};

	lua_newtable(L);
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__name");
	lua_pushstring(L, name);
	lua_setfield(L, -2, "__metatable");
	for (int i = 0; i < 2; i++) {
		lua_pushvalue(L, names);
		lua_pushvalue(L, names + 1);
		lua_pushcclosure(L, f[i], 2);
		lua_setfield(L, -2, event[i]);
	}
	lua_pushvalue(L, names);
	lua_rawsetp(L, LUA_REGISTRYINDEX, names_key);
	lua_pushvalue(L, -1);
	lua_rawsetp(L, LUA_REGISTRYINDEX, key);
	lua_remove(L, names);
}

static void open_packet(lua_State *L)
{
	static const struct {
		const char *name;
		int member;
	} names[] = {
		{"src", FIELD_IP_SRC},	     {"dst", FIELD_IP_DST},
		{"sport", MEMBER_SPORT},     {"dport", MEMBER_DPORT},
		{"payload", MEMBER_PAYLOAD}, {"len", MEMBER_LEN},
		{"dir", MEMBER_DIR},	     {"iface", MEMBER_IFACE},
		{"way", MEMBER_WAY},	     {"time", MEMBER_TIME},
		{"proto", MEMBER_PROTO},     {"flow", MEMBER_FLOW},
	};

	lua_newtable(L);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		lua_pushinteger(L, names[i].member);
		lua_setfield(L, -2, names[i].name);
	}
	for (int layer = 0; layer < LAYERS; layer++) {
		lua_pushinteger(L, MEMBER_PART + layer);
		lua_setfield(L, -2, object_layer_name[layer]);
	}
	lua_pushcfunction(L, packet_dump_text);
	lua_setfield(L, -2, "dump");
	payload_open(L);
	make_open(L);
	new_metatable(L, "packet", &object_packet_key, &object_names_key,
		      packet_index, packet_newindex);
	lua_pushcfunction(L, packet_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pop(L, 1);
}

/* The view and its parts are made now, so that a packet allocates nothing. */
static void open_view(lua_State *L)
{
	static const uint8_t proto[LAYERS] = {0, 6, 17, 1};
	struct object *o = lua_newuserdatauv(L, sizeof(*o), SLOT_BUFFER);

	memset(o, 0, sizeof(*o));
	lua_rawgetp(L, LUA_REGISTRYINDEX, &object_packet_key);
	lua_setmetatable(L, -2);
	for (int layer = 0; layer < LAYERS; layer++) {
		o->own = (struct packet){
			.header = 20, .transport = 20, .proto = proto[layer]};
		o->p = &o->own;
		push_part(L, lua_gettop(L), o, (enum packet_layer)layer);
		lua_pop(L, 1);
	}
	o->p = NULL;
	lua_rawsetp(L, LUA_REGISTRYINDEX, &view_key);
}

void object_open(lua_State *L, const struct object_env *env)
{
	static const char *const name[LAYERS] = {"packet.ip", "packet.tcp",
						 "packet.udp", "packet.icmp"};

	lua_pushlightuserdata(L, (void *)env);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &env_key);
	for (int layer = 0; layer < LAYERS; layer++) {
		member_push_names(L, (enum packet_layer)layer);
		new_metatable(L, name[layer], &object_part_key[layer],
			      &object_part_names_key[layer], part_index,
			      part_newindex);
		lua_pop(L, 1);
	}
	open_packet(L);
	open_view(L);
	build_open(L);
}
