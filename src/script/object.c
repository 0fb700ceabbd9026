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
static const char object_lookup_key;
static const char part_lookup_key[LAYERS];
static const char env_key;

/* ---- which object ---------------------------------------------------- */

static struct object *object_at(lua_State *L, int i)
{
	struct object *o = lua_touserdata(L, i);

	/* A light one has no length. */
	if (!o || lua_rawlen(L, i) < sizeof(*o))
		return NULL;
	return o->tag == &object_packet_key ? o : NULL;
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

void object_push_view(lua_State *L, const struct object_view *view,
		      struct packet *p)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, view->ref);
	view->object->p = p;
}

void object_end_view(const struct object_view *view)
{
	view->object->p = NULL;
}

/* ---- owned packets --------------------------------------------------- */

/* What a new userdata on top of the stack needs to be an object. */
static void object_begin(lua_State *L, struct object *o)
{
	memset(o, 0, sizeof(*o));
	o->tag = &object_packet_key;
	lua_rawgetp(L, LUA_REGISTRYINDEX, &object_lookup_key);
	o->names = lua_touserdata(L, -1);
	lua_pop(L, 1);
	lua_rawgetp(L, LUA_REGISTRYINDEX, &object_packet_key);
	lua_setmetatable(L, -2);
}

struct object *object_new(lua_State *L, uint32_t room)
{
	uint32_t size = PACKET_HEADROOM + room + SLACK;
	struct object *o;

	if (size > PACKET_BUFFER)
		size = PACKET_BUFFER;
	o = lua_newuserdatauv(L, sizeof(*o) + size, SLOT_BUFFER);
	object_begin(L, o);
	memset(o->bytes, 0, size);
	o->owned = true;
	o->own.head = o->bytes;
	o->own.size = size;
	o->own.data = o->bytes + PACKET_HEADROOM;
	o->p = &o->own;
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
 * The metamethods below are called by Lua alone, always with a userdata of
 * their kind at 1: no rule can get at them, since __metatable hides where
 * they are. So they need not ask what it is.
 *
 * Their upvalue is the table of names: a number is a member, a function a
 * method.
 */
#define UP_NAMES lua_upvalueindex(1)

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
	lua_rawgetp(L, LUA_REGISTRYINDEX, &part_lookup_key[layer]);
	part->names = lua_touserdata(L, -1);
	lua_pop(L, 1);
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

/* The member that the name at 2 stands for, NAME_METHOD or NAME_UNKNOWN. */
static int find_member(lua_State *L, const struct names *names)
{
	int m = names_find(names, lua_tostring(L, 2));

	if (m != NAME_UNKNOWN)
		return m;
	lua_pushvalue(L, 2);
	switch (lua_rawget(L, UP_NAMES)) {
	case LUA_TNUMBER:
		m = (int)lua_tointeger(L, -1);
		break;
	case LUA_TFUNCTION:
		m = NAME_METHOD;
		break;
	}
	lua_pop(L, 1);
	return m;
}

static int packet_index(lua_State *L)
{
	struct object *o = lua_touserdata(L, 1);
	int m;

	check_alive(L, o);
	m = find_member(L, o->names);
	switch (m) {
	case NAME_METHOD:
		lua_rawget(L, UP_NAMES); /* by the name at the top */
		return 1;
	case NAME_UNKNOWN:
		return unknown_of_packet(L);
	case MEMBER_IFACE:
		return push_iface(L, o);
	case MEMBER_FLOW:
		return flow_object_push(L, o->p, !o->owned && !o->frozen);
	}
	if (m < MEMBER_PART)
		return member_push(L, o, m);
	push_part(L, 1, o, (enum packet_layer)(m - MEMBER_PART));
	return 1;
}

static int packet_newindex(lua_State *L)
{
	struct object *o = lua_touserdata(L, 1);
	int m;

	check_alive(L, o);
	m = find_member(L, o->names);
	switch (m) {
	case NAME_METHOD:
		return luaL_error(L, "pkt:%s is a method and cannot be set",
				  lua_tostring(L, 2));
	case NAME_UNKNOWN:
		return unknown_of_packet(L);
	}
	if (m >= MEMBER_PART)
		return luaL_error(L, "pkt.%s cannot be set, only its fields",
				  lua_tostring(L, 2));
	member_set(L, 1, o, m, 3);
	return 0;
}

static int part_member(lua_State *L, const struct part *part)
{
	int m;

	check_alive(L, part->object);
	m = find_member(L, part->names);
	if (m < 0)
		object_unknown(L, object_layer_name[part->layer], UP_NAMES,
			       luaL_tolstring(L, 2, NULL));
	return m;
}

static int part_index(lua_State *L)
{
	struct part *part = lua_touserdata(L, 1);

	return member_push(L, part->object, part_member(L, part));
}

static int part_newindex(lua_State *L)
{
	struct part *part = lua_touserdata(L, 1);
	int m = part_member(L, part);

	/* Only what may change the packet's length asks for its userdata. */
	if (m >= FIELD_COUNT)
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
			  const void *names_key, const void *lookup_key,
			  lua_CFunction index, lua_CFunction newindex)
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
		lua_pushcclosure(L, f[i], 1);
		lua_setfield(L, -2, event[i]);
	}
	names_new(L, names, lookup_key);
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
		{"checksum_ok", MEMBER_CHECKSUM_OK},
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
		      &object_lookup_key, packet_index, packet_newindex);
	lua_pushcfunction(L, packet_tostring);
	lua_setfield(L, -2, "__tostring");
	lua_pop(L, 1);
}

/* The view and its parts are made now, so that a packet allocates nothing. */
static struct object *open_view(lua_State *L)
{
	static const uint8_t proto[LAYERS] = {0, 6, 17, 1};
	struct object *o = lua_newuserdatauv(L, sizeof(*o), SLOT_BUFFER);

	object_begin(L, o);
	for (int layer = 0; layer < LAYERS; layer++) {
		o->own = (struct packet){
			.header = 20, .transport = 20, .proto = proto[layer]};
		o->p = &o->own;
		push_part(L, lua_gettop(L), o, (enum packet_layer)layer);
		lua_pop(L, 1);
	}
	o->p = NULL;
	return o;
}

void object_renew_view(lua_State *L, struct object_view *view)
{
	struct object *o = open_view(L);

	lua_rawseti(L, LUA_REGISTRYINDEX, view->ref);
	view->object = o;
	view->kept = false;
}

void object_open(lua_State *L, const struct object_env *env,
		 struct object_view *view)
{
	static const char *const name[LAYERS] = {"packet.ip", "packet.tcp",
						 "packet.udp", "packet.icmp"};

	lua_pushlightuserdata(L, (void *)env);
	lua_rawsetp(L, LUA_REGISTRYINDEX, &env_key);
	for (int layer = 0; layer < LAYERS; layer++) {
		member_push_names(L, (enum packet_layer)layer);
		new_metatable(L, name[layer], &object_part_key[layer],
			      &object_part_names_key[layer],
			      &part_lookup_key[layer], part_index,
			      part_newindex);
		lua_pop(L, 1);
	}
	text_open(L);
	open_packet(L);
	view->object = open_view(L);
	view->ref = luaL_ref(L, LUA_REGISTRYINDEX);
	view->kept = false;
	build_open(L);
}
