/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow object as Lua sees it: pkt.flow. It holds the flow's place and
 * generation, so that one that has gone says so. There is one object for a
 * flow, kept in a table by place until the flow is dropped; what the author
 * hangs on it goes with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/flow_use.h"
#include "script/object_internal.h"

struct flow_object {
	uint32_t place, generation;
};

static const char flow_key; /* metatable of flows */

/* ---- the tables ------------------------------------------------------ */

struct script_flows *flows_need(lua_State *L)
{
	struct script *s = script_of(L);
	struct script_flows *fs = s->flows;

	if (fs && fs->objects)
		return fs;
	if (!fs) {
		fs = calloc(1, sizeof(*fs));
		if (fs)
			fs->table = flow_table_new(FLOW_TABLE_SIZE,
						   flow_object_dropped,
						   hold_idle, fs);
		if (!fs || !fs->table) {
			flows_free(fs);
			luaL_error(L, "flow: no memory for the table of flows");
		}
		fs->script = s;
		s->flows = fs;
	}
	lua_newtable(L);
	fs->objects = luaL_ref(L, LUA_REGISTRYINDEX);
	return fs;
}

/* Called at any time; neither allocates nor raises. */
void flow_object_dropped(void *arg, struct flow *f)
{
	struct script_flows *fs = arg;
	lua_State *L = fs->script->L;
	lua_Integer place = (lua_Integer)flow_place(fs->table, f) + 1;

	if (f == fs->flow)
		fs->flow = NULL;
	hold_end(fs, f);
	if (f->adjust)
		tcp_adjust_give(fs->pool, f->adjust);
	if (!f->anchored || !lua_checkstack(L, 3))
		return;
	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->objects);
	if (lua_rawgeti(L, -1, place) == LUA_TUSERDATA)
		for (int i = 1; i <= FLOW_SLOTS; i++) {
			lua_pushnil(L);
			lua_setiuservalue(L, -2, i);
		}
	lua_pop(L, 1);
	lua_pushnil(L);
	lua_rawseti(L, -2, place);
	lua_pop(L, 1);
}

/* ---- objects --------------------------------------------------------- */

static void push(lua_State *L, struct script_flows *fs, struct flow *f)
{
	uint32_t place = flow_place(fs->table, f);
	struct flow_object *o;

	lua_rawgeti(L, LUA_REGISTRYINDEX, fs->objects);
	if (f->anchored && lua_rawgeti(L, -1, (lua_Integer)place + 1) ==
				   LUA_TUSERDATA) {
		lua_remove(L, -2);
		return;
	}
	if (f->anchored)
		lua_pop(L, 1);
	o = lua_newuserdatauv(L, sizeof(*o), FLOW_SLOTS);
	*o = (struct flow_object){place, f->generation};
	lua_rawgetp(L, LUA_REGISTRYINDEX, &flow_key);
	lua_setmetatable(L, -2);
	lua_pushvalue(L, -1);
	lua_rawseti(L, -3, (lua_Integer)place + 1);
	f->anchored = true;
	lua_remove(L, -2);
}

int flow_object_push(lua_State *L, struct packet *p, bool view)
{
	struct script_flows *fs = flows_need(L);
	struct flow_packet fp;
	struct flow *f = NULL;

	if (view)
		f = flows_current(fs, p);
	else if (flow_read(&fp, p->data, p->len))
		f = flow_get(fs->table, &fp, p->dir, script_now(fs->script));
	if (f)
		push(L, fs, f);
	else
		lua_pushnil(L);
	return 1;
}

/* The flow of the object at 1; raises where it is none, or gone. */
static struct flow *flow_self(lua_State *L)
{
	const struct flow_object *o = lua_touserdata(L, 1);
	struct script_flows *fs = script_of(L)->flows;
	struct flow *f;
	bool is = false;

	if (o && lua_getmetatable(L, 1)) {
		lua_rawgetp(L, LUA_REGISTRYINDEX, &flow_key);
		is = lua_rawequal(L, -1, -2);
		lua_pop(L, 2);
	}
	if (!is)
		luaL_typeerror(L, 1, "flow");
	f = flow_at(fs->table, o->place, o->generation);
	if (!f)
		luaL_error(L, "this flow is gone: it was idle for too long, "
			      "or ended and began anew");
	return f;
}

/* ---- lengths that change --------------------------------------------- */

void flows_check_dirs(lua_State *L, const char *what)
{
	const unsigned both = 1u << DIR_OUT | 1u << DIR_IN;
	unsigned dirs = script_of(L)->rules->dirs;

	/* What is forwarded is captured both ways. */
	if ((dirs & both) != both && !(dirs & 1u << DIR_FORWARD))
		luaL_error(L,
			   "%s: changing the length of a TCP payload needs "
			   "the answers as well: add capture { dir = "
			   "{\"out\", \"in\"} }",
			   what);
}

void flows_start(lua_State *L, struct flow *f, unsigned end, uint32_t number)
{
	struct script_flows *fs = script_of(L)->flows;

	if (!fs->pool)
		fs->pool = tcp_pool_new(FLOW_TABLE_SIZE, FLOWS_BLOCKS,
					FLOWS_CHUNKS);
	if (fs->pool && !f->adjust)
		f->adjust = tcp_adjust_take(fs->pool);
	if (!f->adjust)
		luaL_error(L, "payload: no memory for what changes its length");
	tcp_side_start(&f->adjust->side[end], number);
}

void flows_resize(lua_State *L, struct packet *p, const char *what)
{
	struct script_flows *fs;
	struct packet was;
	struct flow *f;
	uint32_t at;
	unsigned end;

	if (!p->undo)
		luaL_error(L, "%s: a TCP payload keeps its length here", what);
	if (p->dir != DIR_FORWARD)
		flows_check_dirs(L, what);
	fs = flows_need(L);
	f = flows_current(fs, p);
	was = flows_arrived(p);
	end = fs->fp.side;
	if (!f || !fs->fp.tcp || !was.payload)
		luaL_error(L, "%s: a fragment of a TCP segment keeps its "
			      "length",
			   what);
	if (p->dir == DIR_FORWARD && !f->known[!end] &&
	    script_of(L)->rules->dirs & 1u << DIR_IN)
		luaL_error(L, "%s: the answers of this connection do not pass "
			      "as \"forward\": with NAT they arrive as \"in\", "
			      "which must not be captured then",
			   what);
	if (was.len == was.payload)
		luaL_error(L, "%s: a TCP segment without data has none to "
			      "replace",
			   what);
	if (!packet_l4_checksum_ok(&was))
		luaL_error(L, "%s: the checksum of this segment is wrong",
			   what);
	/* What has passed already stays as it was, and what is behind a gap
	 * waits: see flow_path.c. */
	at = f->known[end] ? f->passed[end] : flows_number(&was);
	flows_start(L, f, end, at);
}

/* ---- methods --------------------------------------------------------- */

static int decide(lua_State *L, enum verdict_kind kind)
{
	struct flow *f = flow_self(L);

	if (f->verdict != kind)
		hold_end(script_of(L)->flows, f);
	f->verdict = (uint8_t)kind;
	return 0;
}

static int flow_bypass(lua_State *L)
{
	return decide(L, VERDICT_ACCEPT);
}

static int flow_drop(lua_State *L)
{
	return decide(L, VERDICT_DROP);
}

static int flow_stream(lua_State *L)
{
	static const char *const dirs[] = {"out", "in", NULL};
	struct flow *f = flow_self(L);
	int dir = luaL_checkoption(L, 2, NULL, dirs);
	unsigned end = dir ? !f->out : f->out;
	struct script_flows *fs = script_of(L)->flows;
	bool known = f->known[end];
	uint32_t number = f->passed[end];

	lua_settop(L, 3);
	if (lua_isnil(L, 3)) {
		f->streams &= (uint8_t) ~(1u << end);
		lua_setiuservalue(L, 1, FLOW_STREAM + (int)end);
		return 0;
	}
	luaL_checktype(L, 3, LUA_TFUNCTION);
	if (f->key.proto != 6)
		return luaL_error(L, "stream: this flow is not TCP");
	script_of(L)->view.kept = true;
	flows_check_dirs(L, "stream");
	/* Whoever has decided about it before does not change his mind, but
	 * the bytes have to come here. */
	hold_end(fs, f);
	/* From this packet on, or from the next one of that direction. */
	if (!known && fs->flow == f && fs->fp.tcp && fs->fp.side == end) {
		struct packet was = flows_arrived(fs->p);

		known = true;
		number = flows_number(&was);
	}
	flows_start(L, f, end, number);
	if (!known)
		f->adjust->side[end].any = true;
	f->streams |= (uint8_t)(1u << end);
	lua_setiuservalue(L, 1, FLOW_STREAM + (int)end);
	return 0;
}

/* ---- fields ---------------------------------------------------------- */

static int flow_packets(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)flow_self(L)->packets);
	return 1;
}

static int flow_bytes(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)flow_self(L)->bytes);
	return 1;
}

static int flow_age(lua_State *L)
{
	int64_t age = script_now(script_of(L)) - flow_self(L)->created;

	lua_pushnumber(L, age < 0 ? 0 : (lua_Number)age / NSEC_PER_SEC);
	return 1;
}

static int flow_data(lua_State *L)
{
	flow_self(L);
	/* The packet in hand may be put there. */
	script_of(L)->view.kept = true;
	if (lua_getiuservalue(L, 1, FLOW_DATA) != LUA_TNIL)
		return 1;
	lua_newtable(L);
	lua_pushvalue(L, -1);
	lua_setiuservalue(L, 1, FLOW_DATA);
	return 1;
}

static const luaL_Reg fields[] = {
	{"packets", flow_packets},
	{"bytes", flow_bytes},
	{"age", flow_age},
	{"data", flow_data},
	{NULL, NULL},
};

static const luaL_Reg methods[] = {
	{"bypass", flow_bypass},
	{"drop", flow_drop},
	{"stream", flow_stream},
	{NULL, NULL},
};

static int unknown(lua_State *L, const char *name)
{
	struct nearest n;
	char hint[100];

	nearest_start(&n, name);
	for (const luaL_Reg *r = fields; r->name; r++)
		nearest_try(&n, r->name);
	for (const luaL_Reg *r = methods; r->name; r++)
		nearest_try(&n, r->name);
	return luaL_error(L, "a flow has no field '%s'%s", name,
			  nearest_hint(&n, hint, sizeof(hint)));
}

static int flow_index(lua_State *L)
{
	const char *name = lua_tostring(L, 2);

	flow_self(L);
	for (const luaL_Reg *r = fields; name && r->name; r++)
		if (!strcmp(name, r->name))
			return r->func(L);
	for (const luaL_Reg *r = methods; name && r->name; r++)
		if (!strcmp(name, r->name)) {
			lua_pushcfunction(L, r->func);
			return 1;
		}
	return unknown(L, luaL_tolstring(L, 2, NULL));
}

static int flow_newindex(lua_State *L)
{
	const char *name = luaL_tolstring(L, 2, NULL);

	flow_self(L);
	if (!strcmp(name, "data")) {
		if (!lua_istable(L, 3))
			return luaL_error(L, "flow.data is a table, not a %s; "
					     "set a field of it",
					  luaL_typename(L, 3));
		lua_pushvalue(L, 3);
		lua_setiuservalue(L, 1, FLOW_DATA);
		return 0;
	}
	for (const luaL_Reg *r = fields; r->name; r++)
		if (!strcmp(name, r->name))
			return luaL_error(L, "flow.%s can be read, not set",
					  name);
	return luaL_error(L, "flow.%s cannot be set; flow.data is for what "
			     "is yours",
			  name);
}

/* "flow tcp 192.0.2.1:1234 <> 198.51.100.7:80" */
static int flow_tostring(lua_State *L)
{
	const struct flow *f = flow_self(L);
	char text[2][ADDRESS_TEXT_MAX + 8];

	for (unsigned i = 0; i < 2; i++) {
		const struct flow_end *end = &f->key.end[i ? !f->out : f->out];
		struct address a = address_v4(end->address);
		size_t n;

		address_text(&a, text[i], sizeof(text[i]));
		n = strlen(text[i]);
		if (end->port)
			snprintf(text[i] + n, sizeof(text[i]) - n, ":%u",
				 end->port);
	}
	lua_pushfstring(L, "flow %s %s <> %s", packet_proto_name(f->key.proto),
			text[0], text[1]);
	return 1;
}

void flow_object_open(lua_State *L)
{
	static const luaL_Reg meta[] = {
		{"__index", flow_index},
		{"__newindex", flow_newindex},
		{"__tostring", flow_tostring},
		{NULL, NULL},
	};

	lua_newtable(L);
	luaL_setfuncs(L, meta, 0);
	lua_pushliteral(L, "flow");
	lua_setfield(L, -2, "__name");
	lua_pushliteral(L, "flow");
	lua_setfield(L, -2, "__metatable");
	lua_rawsetp(L, LUA_REGISTRYINDEX, &flow_key);
}
