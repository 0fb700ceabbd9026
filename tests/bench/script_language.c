/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the rule language costs: a TCP packet through one rule whose function
 * does one thing ten times, beside a rule whose function does nothing, and
 * beside a userdata that does nothing in C (the call that cannot be saved).
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "script/script.h"

#define SAME2(x)  x "; " x "; "
#define SAME10(x) SAME2(x) SAME2(x) SAME2(x) SAME2(x) SAME2(x)

static uint8_t buffer[PACKET_BUFFER];
static uint8_t undo_bytes[PACKET_MAX];

struct load {
	struct script *script;
	struct packet packet; /* as it arrives */
	bool hosts;	      /* each time for another one */
};

static void make_packet(struct packet *p)
{
	struct address src = address_v4((const uint8_t[]){192, 0, 2, 1});
	struct address dst = address_v4((const uint8_t[]){198, 51, 100, 27});
	static const uint8_t data[64] = "GET / HTTP/1.1\r\n";

	*p = (struct packet){.head = buffer, .size = sizeof(buffer)};
	if (packet_new(p, 6) || packet_set_address(p, FIELD_IP_SRC, &src) ||
	    packet_set_address(p, FIELD_IP_DST, &dst) ||
	    packet_set(p, FIELD_TCP_SPORT, 40000) ||
	    packet_set(p, FIELD_TCP_DPORT, 443) ||
	    packet_set(p, FIELD_TCP_FLAGS, 0x18) ||
	    packet_splice(p, p->payload, 0, data, sizeof(data)))
		bench_die("cannot make a packet");
	p->flags = 0;
}

static void load_rules(struct load *l, const char *text)
{
	struct error err = {.text = ""};

	if (script_new(&l->script, NULL, NULL, 0, NULL, &err) ||
	    script_load_text(l->script, "bench.lua", text, strlen(text), &err))
		bench_die(err.text);
	script_seal(l->script);
	make_packet(&l->packet);
}

static void run_rules(void *arg, unsigned n)
{
	const struct load *l = arg;
	const struct ruleset *rs = script_ruleset(l->script);
	const struct ruleset_calls *calls = script_calls(l->script);
	const struct match_context ctx = {.now = 1};
	struct packet_undo undo = {.bytes = undo_bytes};
	struct verdict v;

	for (unsigned i = 0; i < n; i++) {
		struct packet p = l->packet;

		undo.saved = 0;
		p.undo = &undo;
		if (l->hosts)
			p.data[19] = (uint8_t)(i % 200);
		ruleset_run(rs, &p, &ctx, calls, NULL, &v);
		if (v.kind == VERDICT_ERROR)
			bench_die(script_error(l->script));
	}
}

/* ---- the call that cannot be saved ------------------------------------- */

static int answer(lua_State *L)
{
	lua_pushinteger(L, 64);
	return 1;
}

static int ignore(lua_State *L)
{
	(void)L;
	return 0;
}

static void count_hook(lua_State *L, lua_Debug *ar)
{
	(void)L;
	(void)ar;
}

static void run_plain(void *arg, unsigned n)
{
	lua_State *L = arg;

	for (unsigned i = 0; i < n; i++) {
		lua_pushvalue(L, 1);
		lua_pushvalue(L, 2);
		if (lua_pcall(L, 1, 0, 0))
			bench_die(lua_tostring(L, -1));
	}
}

/* A function of a userdata u at 1, and u at 2. */
static void load_plain(lua_State **out, const char *body)
{
	lua_State *L = luaL_newstate();
	char text[1024];

	if (!L)
		bench_die("no memory for Lua");
	snprintf(text, sizeof(text), "local u = ... %s", body);
	if (luaL_loadstring(L, text))
		bench_die(lua_tostring(L, -1));
	lua_newuserdatauv(L, 16, 1);
	lua_newtable(L);
	lua_pushcfunction(L, answer);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, ignore);
	lua_setfield(L, -2, "__newindex");
	lua_setmetatable(L, -2);
	lua_sethook(L, count_hook, LUA_MASKCOUNT, 1000);
	*out = L;
}

/* ---- the cases --------------------------------------------------------- */

#define ACTION(body) "rule { action = function(pkt) " body " end }"

enum {
	NO_RULE,
	EMPTY,
	WHERE,
	GET_TTL,
	GET_SPORT,
	GET_PAYLOAD_PART,
	GET_DST,
	GET_HOSTS,
	GET_FLAGS,
	PART_HELD,
	SHORT_SPORT,
	SET_TTL,
	SET_SPORT,
	SET_SEQ,
	SET_DST,
	TWO_TWO,
	PASSED_ON,
	CLONE,
	BUILD,
	RULES
};

static const struct {
	const char *name, *text;
} cases[RULES] = {
	[NO_RULE] = {"no rule at all", ""},
	[EMPTY] = {"a function that does nothing", ACTION("")},
	[WHERE] = {"where that says no",
		   "rule { where = function(pkt) return false end, "
		   "action = DROP }"},
	[GET_TTL] = {"read pkt.ip.ttl, ten times",
		     ACTION(SAME10("local _ = pkt.ip.ttl"))},
	[GET_SPORT] = {"read pkt.tcp.sport, ten times",
		       ACTION(SAME10("local _ = pkt.tcp.sport"))},
	[GET_PAYLOAD_PART] = {"read pkt:u16(3), ten times",
			      ACTION(SAME10("local _ = pkt:u16(3)"))},
	[GET_DST] = {"read pkt.dst as text, ten times",
		     ACTION(SAME10("local _ = pkt.dst"))},
	[GET_HOSTS] = {"read pkt.dst of 200 hosts, ten times",
		       ACTION(SAME10("local _ = pkt.dst"))},
	[GET_FLAGS] = {"read pkt.tcp.flags as text, ten times",
		       ACTION(SAME10("local _ = pkt.tcp.flags"))},
	[PART_HELD] = {"read ip.ttl of a local ip, ten times",
		       ACTION("local ip = pkt.ip; " SAME10("local _ = ip.ttl"))},
	[SHORT_SPORT] = {"read pkt.sport, ten times",
			 ACTION(SAME10("local _ = pkt.sport"))},
	[SET_TTL] = {"write ip.ttl, ten times",
		     ACTION("local ip = pkt.ip; " SAME2(
			     "ip.ttl = 9; ip.ttl = 8; ip.ttl = 7; "
			     "ip.ttl = 6; ip.ttl = 5"))},
	[SET_SPORT] = {"write tcp.sport, ten times",
		       ACTION("local tcp = pkt.tcp; " SAME2(
			       "tcp.sport = 9; tcp.sport = 8; tcp.sport = 7; "
			       "tcp.sport = 6; tcp.sport = 5"))},
	[SET_SEQ] = {"write tcp.seq, ten times",
		     ACTION("local tcp = pkt.tcp; " SAME2(
			     "tcp.seq = 9; tcp.seq = 8; tcp.seq = 7; "
			     "tcp.seq = 6; tcp.seq = 5"))},
	[SET_DST] = {"write pkt.dst from text, ten times",
		     ACTION(SAME2("pkt.dst = '192.0.2.9'; "
				  "pkt.dst = '192.0.2.8'; "
				  "pkt.dst = '192.0.2.7'; "
				  "pkt.dst = '192.0.2.6'; "
				  "pkt.dst = '192.0.2.5'"))},
	[TWO_TWO] = {"two fields read, two written",
		     ACTION("pkt.ip.ttl = pkt.ip.ttl ~ 1; "
			    "pkt.tcp.window = pkt.tcp.window ~ 1")},
	[PASSED_ON] = {"a function that returns its packet",
		       ACTION("return pkt")},
	[CLONE] = {"pkt:clone()", ACTION("local _ = pkt:clone()")},
	[BUILD] = {"packet{ ... } of a UDP datagram",
		   ACTION("local _ = packet { dst = '192.0.2.9', "
			  "udp = { sport = 53, dport = 53 }, "
			  "payload = 'abc' }")},
};

enum { PLAIN_EMPTY = RULES, PLAIN_GET, PLAIN_SET, CASES };

/* One of the ten, without what a C call costs that does nothing. */
static void promise_field(const struct bench *b, int i, int call)
{
	char what[80];

	snprintf(what, sizeof(what), "%.*s: beyond the C call",
		 (int)strcspn(b[i].name, ","), b[i].name);
	bench_promise(what,
		      (b[i].median - b[EMPTY].median -
		       (b[call].median - b[PLAIN_EMPTY].median)) /
			      10,
		      (b[i].least - b[EMPTY].least -
		       (b[call].least - b[PLAIN_EMPTY].least)) /
			      10,
		      50, "ns");
}

int main(void)
{
	static struct load loads[RULES];
	static struct bench b[CASES];
	static const struct {
		const char *name, *body;
	} plain[] = {
		{"plain Lua: a function that does nothing", ""},
		{"plain Lua: ten C calls by __index", SAME10("local _ = u.x")},
		{"plain Lua: ten C calls by __newindex", SAME10("u.x = 5")},
	};

	for (int i = 0; i < RULES; i++) {
		load_rules(&loads[i], cases[i].text);
		b[i] = (struct bench){.name = cases[i].name,
				      .run = run_rules,
				      .arg = &loads[i]};
	}
	for (int i = PLAIN_EMPTY; i < CASES; i++) {
		lua_State *L;

		load_plain(&L, plain[i - RULES].body);
		b[i] = (struct bench){.name = plain[i - RULES].name,
				      .run = run_plain,
				      .arg = L};
	}
	loads[GET_HOSTS].hosts = true;
	bench_measure(b, CASES);
	bench_print(b, CASES);
	puts("");
	for (int i = GET_TTL; i <= SHORT_SPORT; i++)
		promise_field(b, i, PLAIN_GET);
	for (int i = SET_TTL; i <= SET_DST; i++)
		promise_field(b, i, PLAIN_SET);
	for (int i = 0; i < RULES; i++)
		script_free(loads[i].script);
	for (int i = PLAIN_EMPTY; i < CASES; i++)
		lua_close(b[i].arg);
	return 0;
}
