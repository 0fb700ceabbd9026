/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that a rule makes: from a table, from bytes, from a packet. Judged
 * by their bytes and checksums, not by what the object says of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "script/object.h"

/* clang-format off */
static const char syn[] =
	"4500003c1234400040063c4bc0000202c63364079c4001bb01020304"
	"00000000a002faf0b3180000020405b40402080a000003e8000007d0"
	"01030307";
static const char data[] =
	"4500003a1235400040063c4cc0000202c63364079c400050000003e8"
	"000007d0501801f63a9e0000474554202f20485454502f312e310d0a"
	"0d0a";
static const char rst[] =
	"450000281235400040063c5ec0000202c63364079c400050000003e8"
	"00000000500400009f350000";
static const char dns[] =
	"45b9002800010000111124d4c0000202c00002351388003500142785"
	"68656c6c6f2c20776f726c64";
static const char echo[] =
	"450000240007000040018e95c0000202c63364070800555011110009"
	"6162636465666768";
static const char expired[] = /* quotes 8 bytes of a TCP header */
	"450000380063000040017c5ecb007101c00002020b0052fe00000000"
	"4500003c1234400001067b4bc0000202c63364079c4001bb01020304";
static const char gre[] =
	"4500001b00030000402f8e74c0000202c633640700000800616263";
/* clang-format on */

static lua_State *L;
static struct object_env env;
static struct object_view view;
static uint8_t buffer[PACKET_BUFFER];

static uint32_t bytes_of(const char *hex, uint8_t *b)
{
	uint32_t n = 0;
	unsigned v;

	for (; hex[2 * n]; n++) {
		assert_int_equal(sscanf(hex + 2 * n, "%2x", &v), 1);
		b[n] = (uint8_t)v;
	}
	return n;
}

static struct packet packet_of(const char *hex)
{
	uint8_t *at = buffer + PACKET_HEADROOM;
	struct packet p;

	packet_init(&p, buffer, sizeof(buffer), at, bytes_of(hex, at), NULL);
	p.dir = DIR_IN;
	p.ifindex = 7;
	return p;
}

/* Runs code on the packet; its two results are left on the stack. */
static int run(const char *hex, const char *code)
{
	static struct packet p;
	int r;

	p = packet_of(hex);
	lua_settop(L, 0);
	lua_pushfstring(L, "local pkt = ... %s", code);
	if (luaL_loadbuffer(L, lua_tostring(L, -1), lua_rawlen(L, -1), "=t"))
		fail_msg("%s: %s", code, lua_tostring(L, -1));
	lua_remove(L, 1);
	object_push_view(L, &view, &p);
	r = lua_pcall(L, 1, 2, 0);
	object_end_view(&view);
	return r;
}

/* The bytes a made packet must have; in want, '.' is any digit. */
static const struct {
	const char *hex, *code, *want;
} made[] = {
	{syn,
	 "return packet{ src='192.0.2.2', dst='192.0.2.53', id=1, "
	 "dscp='ef', ecn=1, ttl=17, udp={sport=5000, dport=53}, "
	 "payload='hello, world' }",
	 "45b9002800010000111124d4c0000202c0000235138800350014278568656c6c"
	 "6f2c20776f726c64"},
	{syn,
	 "return packet{ src='192.0.2.2', dst='192.0.2.53', id=1, "
	 "sport=5000, dport=53, proto='udp', ip={dscp=46, ecn=1}, "
	 "ttl=17, payload='hello, world' }",
	 "45b9002800010000111124d4c0000202c0000235138800350014278568656c6c"
	 "6f2c20776f726c64"},
	{dns,
	 "return packet{ src='192.0.2.2', dst='198.51.100.7', "
	 "id=0x1235, df=true, payload='GET / HTTP/1.1\\r\\n\\r\\n', "
	 "tcp={sport=40000, dport=80, seq=1000, ack_seq=2000, "
	 "window=502} }",
	 data},
	{dns,
	 "return packet{ src='192.0.2.2', dst='198.51.100.7', "
	 "id=0x1234, df=true, tcp={sport=40000, dport=443, "
	 "seq=0x01020304, options='\\2\\4\\5\\xb4\\4\\2\\8\\10"
	 "\\0\\0\\3\\xe8\\0\\0\\7\\xd0\\1\\3\\3\\7'} }",
	 syn},
	{dns,
	 "return packet{ src='192.0.2.2', dst='198.51.100.7', id=7, "
	 "icmp={id=0x1111, seq=9}, payload='abcdefgh' }",
	 echo},
	{dns,
	 "return packet{ src='192.0.2.2', dst='198.51.100.7', id=3, "
	 "proto='gre', payload='\\0\\0\\8\\0abc' }",
	 gre},
	/* defaults: a SYN from a port of its own */
	{dns, "return packet{ dst='1.2.3.4', tcp={dport=80} }",
	 "45000028....00004006....0000000001020304....0050........00000000"
	 "5002faf0....0000"},
	{dns, "return packet{ dst='1.2.3.4', tcp={dport=80, ack_seq=5} }",
	 "45000028....00004006....0000000001020304....0050........00000005"
	 "5010faf0....0000"},
	{dns, "return packet{ dst='1.2.3.4', tcp={flags='R', fin=true} }",
	 "45000028....00004006....0000000001020304....0000........00000000"
	 "5005faf0....0000"},
	{dns, "return packet{ dst='1.2.3.4', tcp={mss=1400} }",
	 "4500002c....00004006....0000000001020304....0000........00000000"
	 "6002faf0....000002040578"},
	{dns, "return packet{ dst='1.2.3.4', icmp={} }",
	 "4500001c....00004001....00000000010203040800........0000"},
	{dns,
	 "return packet{ dst='1.2.3.4', "
	 "icmp={type='destination-unreachable', "
	 "code='admin-prohibited'} }",
	 "4500001c....00004001....0000000001020304030d....00000000"},
	{dns, "return packet{ dst='1.2.3.4', proto=253 }",
	 "45000014....000040fd....0000000001020304"},
	{dns,
	 "return packet{ dst='1.2.3.4', id=1, options='\\1\\1', "
	 "udp={sport=1, dport=2}, payload='x' }",
	 "4600002100010000401174c500000000010203040101000000010002000983d3"
	 "78"},
	/* answers */
	{data, "return pkt:reply()",
	 "450000281235000040067c5ec6336407c000020200509c40000007d0000003fa"
	 "5010ffff1b3d0000"},
	{data, "return pkt:reply{ payload='x', ttl=3, tcp={flags='SA'} }",
	 "45000029123500000306b95dc6336407c000020200509c40000007d0000003fa"
	 "5012ffffa339000078"},
	{dns, "return pkt:reply{ payload='yes' }",
	 "4500001f000100004011f695c0000235c000020200351388000b7b7d796573"},
	{echo, "return pkt:reply()",
	 "4500001c0007000040018e9dc6336407c00002020000eee511110009"},
	{echo, "return pkt:echo_reply()",
	 "450000240007000040018e95c6336407c00002020000....1111000961626364"
	 "65666768"},
	{echo, "return pkt:echo_reply{ ttl=200, payload='xy' }",
	 "4500001e00070000c801069bc6336407c00002020000766c111100097879"},
	{syn, "return pkt:rst()",
	 "45000028123400004006....c6336407c000020201bb9c400000000001020305"
	 "50140000....0000"},
	{dns, "return pkt:unreachable()",
	 "45c00044000100004001....c0000235c00002020303....0000000045b90028"
	 "00010000111124d4c0000202c0000235138800350014278568656c6c6f2c2077"
	 "6f726c64"},
	{dns, "return pkt:unreachable('admin-prohibited')",
	 "45c00044000100004001....c0000235c0000202030d....0000000045b90028"
	 "00010000111124d4c0000202c0000235138800350014278568656c6c6f2c2077"
	 "6f726c64"},
	{dns, "return pkt:unreachable{ code=4, mtu=1280, from='10.0.0.1' }",
	 "45c00044000100004001....0a000001c00002020304....0000050045b90028"
	 "00010000111124d4c0000202c0000235138800350014278568656c6c6f2c2077"
	 "6f726c64"},
	{dns, "return pkt:time_exceeded{ from='10.0.0.1', ttl=9 }",
	 "45c00044000100000901....0a000001c00002020b00....0000000045b90028"
	 "00010000111124d4c0000202c0000235138800350014278568656c6c6f2c2077"
	 "6f726c64"},
	{dns, "return pkt:time_exceeded{ code=1 }",
	 "45c00044000100004001....c0000235c00002020b01....0000000045b90028"
	 "00010000111124d4c0000202c0000235138800350014278568656c6c6f2c2077"
	 "6f726c64"},
	/* copies */
	{data, "return pkt:clone()", data},
	{data, "local c = pkt:clone() c.payload = 'POST' return c",
	 "4500002c1235400040063c5ac0000202c63364079c400050000003e8000007d0"
	 "501801f675a90000504f5354"},
	{data, "local c = pkt:clone() pkt.payload = ('x'):rep(18) return c",
	 data},
	{expired, "return pkt.icmp.inner:clone()",
	 "4500001c1234400001067b6bc0000202c63364079c4001bb01020304"},
};

static bool alike(const struct packet *p, const char *want)
{
	char hex[3];

	if (strlen(want) != 2 * (size_t)p->len)
		return false;
	for (uint32_t i = 0; i < p->len; i++) {
		snprintf(hex, sizeof(hex), "%02x", p->data[i]);
		for (int k = 0; k < 2; k++)
			if (want[2 * i + k] != '.' && want[2 * i + k] != hex[k])
				return false;
	}
	return true;
}

static void fail_packet(const struct packet *p, const char *code,
			const char *want)
{
	static char hex[2 * PACKET_MAX + 1];

	for (uint32_t i = 0; i < p->len; i++)
		snprintf(hex + 2 * i, 3, "%02x", p->data[i]);
	fail_msg("%s\n  gave   %s\n  wanted %s", code, hex, want);
}

static void made_packets_are_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		struct packet *p;

		if (run(made[i].hex, made[i].code))
			fail_msg("%s: %s", made[i].code, lua_tostring(L, -1));
		p = object_check(L, 1);
		if (!alike(p, made[i].want))
			fail_packet(p, made[i].code, made[i].want);
		if (!packet_ip_checksum_ok(p) || !packet_l4_checksum_ok(p))
			fail_packet(p, made[i].code, "right checksums");
	}
}

/* Broken on purpose, and so they stay. */
static void what_is_set_by_hand_is_kept(void **state)
{
	static const struct {
		const char *code, *want;
	} cases[] = {
		{"checksum=0x1234, proto=253",
		 "450000140001000040fd12340000000001020304"},
		{"udp={sport=1, dport=2, checksum=0xdead}, payload='x'",
		 "4500001d00010000401176ca000000000102030400010002"
		 "0009dead78"},
		{"udp={sport=1, dport=2, checksum=0}, payload='x'",
		 "4500001d00010000401176ca000000000102030400010002"
		 "0009000078"},
		{"udp={sport=1, dport=2, len=99, checksum=7}",
		 "4500001c00010000401176cb000000000102030400010002"
		 "00630007"},
		{"tcp={sport=1, dport=2, seq=3, doff=15, checksum=1}",
		 "4500002800010000400676ca000000000102030400010002"
		 "0000000300000000f002faf000010000"},
		{"icmp={id=1, checksum=0xffff}",
		 "4500001c00010000400176db00000000010203040800ffff"
		 "00010000"},
		{"len=60, proto=253", "4500003c00010000"
				      "40fd75bf0000000001020304"},
		{"version=6, proto=253, checksum=9",
		 "650000140001000040fd00090000000001020304"},
		{"ihl=15, proto=253, checksum=9",
		 "4f0000140001000040fd00090000000001020304"},
		{"mf=true, frag_offset=3, proto=253, payload='abcdefgh'",
		 "4500001c0001200340fd55dc0000000001020304"
		 "6162636465666768"},
		{"udp={sport=1, dport=2}, mf=true, payload='x'",
		 "4500001d00012000401156ca000000000102030400010002"
		 "000983d378"},
	};
	char code[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet *p;

		snprintf(code, sizeof(code),
			 "return packet{ dst='1.2.3.4', id=1, %s }",
			 cases[i].code);
		if (run(dns, code))
			fail_msg("%s: %s", code, lua_tostring(L, -1));
		p = object_check(L, 1);
		if (!alike(p, cases[i].want))
			fail_packet(p, code, cases[i].want);
	}
}

static const struct {
	const char *hex, *code, *want;
} errors[] = {
	{dns, "packet{ tcp={} }",
	 "packet{}: dst is missing: where should it go?"},
	{dns, "packet{ dst='1.2.3.4' }",
	 "packet{}: say what it carries: tcp={}, udp={}, icmp={} or "
	 "proto="},
	{dns, "packet{ dst='1.2.3.4', tcp={}, udp={} }",
	 "packet{}: only one of tcp, udp and icmp can be given"},
	{dns, "packet{ dst='1.2.3.4', tcp=80 }",
	 "packet{}: tcp must be a table of fields, not a number"},
	{dns, "packet{ dst='1.2.3.4', proto='gro' }",
	 "ip.proto must be 0 to 255, not \"gro\""},
	{dns, "packet{ dst='1.2.3.4', udp={}, tll=3 }",
	 "packet{} has no field 'tll'; did you mean 'ttl'?"},
	{dns, "packet{ dst='1.2.3.4', udp={}, paylaod='' }",
	 "packet{} has no field 'paylaod'; did you mean 'payload'?"},
	{dns, "packet{ dst='1.2.3.4', udp={dprot=3} }",
	 "udp has no field 'dprot'; did you mean 'dport'?"},
	{dns, "packet{ dst='1.2.3.4', udp={}, 7 }",
	 "packet{}: fields have names; there is no field 1"},
	{dns, "packet{ dst='1.2.3.4', udp={dport=70000} }",
	 "udp.dport must be 0 to 65535, not 70000"},
	{dns,
	 "packet{ dst='1.2.3.4', udp={}, "
	 "payload=('x'):rep(65508) }",
	 "payload: the packet would be too long"},
	{dns, "packet('')",
	 "packet(bytes): a packet has 1 to 65535 bytes, not 0"},
	{dns, "packet(('x'):rep(65536))",
	 "packet(bytes): a packet has 1 to 65535 bytes, not 65536"},
	{dns, "packet(pkt)",
	 "bad argument #1 to 'packet' (table expected, got packet)"},
	{dns, "pkt:reply{ tcp={flags='R'} }",
	 "tcp.flags: this packet has no tcp header"},
	{dns, "pkt:reply{ from='1.2.3.4' }", "reply{} has no field 'from'"},
	{dns, "pkt:reply(3)",
	 "bad argument #1 to 'reply' (table expected, got number)"},
	{echo, "pkt:echo_reply{ delay=-1 }",
	 "echo_reply: the time must be seconds from 0 to 315360000, not -1"},
	{dns, "pkt:echo_reply()",
	 "echo_reply: this packet is not a whole ICMP echo request"},
	{dns, "pkt:rst()", "rst: this packet is not TCP"},
	{dns, "pkt:unreachable('nowhere')",
	 "unreachable: no code is called 'nowhere'; try "
	 "\"port-unreachable\" or \"admin-prohibited\""},
	{dns, "pkt:unreachable(256)",
	 "unreachable: the code must be a name or 0 to 255, not 256"},
	{dns, "pkt:time_exceeded{ from='here' }",
	 "time_exceeded: from must be an IPv4 address, not here"},
};

static void errors_say_what_would_be_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		const char *got;

		if (!run(errors[i].hex, errors[i].code))
			fail_msg("%s: no error", errors[i].code);
		got = lua_tostring(L, -1);
		if (!strncmp(got, "t:1: ", 5))
			got += 5;
		if (strcmp(got, errors[i].want))
			fail_msg("%s\n  gave   %s\n  wanted %s", errors[i].code,
				 got, errors[i].want);
	}
}

static void what_must_not_be_answered_gives_nil_and_why(void **state)
{
	(void)state;
	assert_int_equal(run(rst, "return pkt:rst()"), LUA_OK);
	assert_true(lua_isnil(L, 1));
	assert_string_equal(lua_tostring(L, 2),
			    "neither a RST nor a multicast is answered by a RST");
	assert_int_equal(run(expired, "return pkt:unreachable{ ttl=1 }"),
			 LUA_OK);
	assert_true(lua_isnil(L, 1));
	assert_string_equal(lua_tostring(L, 2),
			    "no ICMP error may answer this packet");
	assert_int_equal(run(expired, "return pkt:time_exceeded{ ttl=1 }"),
			 LUA_OK);
	assert_true(lua_isnil(L, 1));
}

static void raw_bytes_become_a_packet(void **state)
{
	uint8_t b[64];
	uint32_t n = bytes_of(data, b);
	struct packet *p;

	(void)state;
	lua_settop(L, 0);
	lua_getglobal(L, "packet");
	lua_pushlstring(L, (const char *)b, n);
	assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
	p = object_check(L, 1);
	assert_int_equal(p->len, n);
	assert_memory_equal(p->data, b, n);
	assert_int_equal(p->proto, 6);
	assert_int_equal(run(dns, "return packet('\\x45') , 1"), LUA_OK);
	p = object_check(L, 1);
	assert_true(p->flags & PACKET_ODD);
}

static void a_packet_grows_as_its_author_likes(void **state)
{
	struct packet *p;

	(void)state;
	assert_int_equal(run(dns,
			     "local p = packet{ dst='1.2.3.4', udp={dport=1} } "
			     "for i = 1, 40 do p.payload = p.payload .. "
			     "('x'):rep(100 * i % 1777) collectgarbage() end "
			     "p.payload = ('y'):rep(65507) "
			     "p.ip.ttl = 1 return p, #p.payload"),
			 LUA_OK);
	p = object_check(L, 1);
	assert_int_equal(lua_tointeger(L, 2), 65507);
	assert_int_equal(p->len, PACKET_MAX);
	assert_true(packet_ip_checksum_ok(p) && packet_l4_checksum_ok(p));
	/* options need room, too */
	assert_int_equal(run(syn,
			     "local c = pkt:clone() c.payload = ('z'):rep(64) "
			     "c.ip.options = ('\\1'):rep(40) c.tcp.mss = 1 "
			     "c.tcp.options = ('\\1'):rep(40) return c"),
			 LUA_OK);
	p = object_check(L, 1);
	assert_int_equal(p->len, 20 + 40 + 20 + 40 + 64);
	assert_true(packet_ip_checksum_ok(p) && packet_l4_checksum_ok(p));
}

static void a_small_packet_costs_little_memory(void **state)
{
	int before, after;

	(void)state;
	lua_settop(L, 0);
	lua_gc(L, LUA_GCCOLLECT);
	before = lua_gc(L, LUA_GCCOUNT);
	assert_int_equal(
		run(dns, "kept = {} for i = 1, 1000 do kept[i] = pkt:clone() "
			 "end"),
		LUA_OK);
	lua_gc(L, LUA_GCCOLLECT);
	after = lua_gc(L, LUA_GCCOUNT);
	assert_in_range(after - before, 100, 600); /* KiB */
	lua_pushnil(L);
	lua_setglobal(L, "kept");
	lua_gc(L, LUA_GCCOLLECT);
	assert_in_range(lua_gc(L, LUA_GCCOUNT), 0, before + 20);
}

static void a_seed_makes_the_same_packets(void **state)
{
	(void)state;
	assert_int_equal(
		run(dns, "local function f() math.randomseed(42) "
			 "return packet{ dst='1.2.3.4', tcp={} }:dump() end "
			 "return f() == f(), "
			 "packet{ dst='1.2.3.4', tcp={} }:dump() ~= f()"),
		LUA_OK);
	assert_true(lua_toboolean(L, 1));
	assert_true(lua_toboolean(L, 2));
}

static void an_answer_knows_of_the_capture_what_its_packet_knew(void **state)
{
	struct packet *p;

	(void)state;
	assert_int_equal(run(dns, "return pkt:reply(), pkt:clone()"), LUA_OK);
	for (int i = 1; i <= 2; i++) {
		p = object_check(L, i);
		assert_int_equal(p->dir, DIR_IN);
		assert_int_equal(p->ifindex, 7);
	}
}

/* What a rule changes must not be saved in the packet's own undo buffer. */
static void a_clone_has_no_undo(void **state)
{
	static uint8_t saved[PACKET_MAX];
	struct packet_undo undo = {saved, 0};
	struct packet p = packet_of(dns);

	(void)state;
	p.undo = &undo;
	lua_settop(L, 0);
	assert_int_equal(luaL_loadstring(L, "local p = ... return p:clone()"),
			 LUA_OK);
	object_push_view(L, &view, &p);
	assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
	object_end_view(&view);
	assert_null(object_check(L, 1)->undo);
	assert_ptr_equal(p.undo, &undo);
}

static int setup(void **state)
{
	(void)state;
	L = luaL_newstate();
	luaL_openlibs(L);
	object_open(L, &env, &view);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lua_close(L);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(made_packets_are_whole),
		cmocka_unit_test(what_is_set_by_hand_is_kept),
		cmocka_unit_test(errors_say_what_would_be_right),
		cmocka_unit_test(what_must_not_be_answered_gives_nil_and_why),
		cmocka_unit_test(raw_bytes_become_a_packet),
		cmocka_unit_test(a_packet_grows_as_its_author_likes),
		cmocka_unit_test(a_small_packet_costs_little_memory),
		cmocka_unit_test(a_seed_makes_the_same_packets),
		cmocka_unit_test(
			an_answer_knows_of_the_capture_what_its_packet_knew),
		cmocka_unit_test(a_clone_has_no_undo),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
