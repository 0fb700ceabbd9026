/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet object over literal packets: what a line of Lua reads, and what
 * the bytes and checksums are after a line of Lua wrote.
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
static const char dns[] =
	"45b9002800010000111124d4c0000202c00002351388003500142785"
	"68656c6c6f2c20776f726c64";
static const char echo[] =
	"450000240007000040018e95c0000202c63364070800555011110009"
	"6162636465666768";
static const char expired[] = /* quotes 8 bytes of a TCP header */
	"450000380063000040017c5ecb007101c00002020b0052fe00000000"
	"4500003c1234400001067b4bc0000202c63364079c4001bb01020304";
static const char redirect[] = /* quotes a whole datagram */
	"450000390063000040017c5dcb007101c00002020501ab4ccb007109"
	"4500001d000100000311cb92c0000202c63364070001000200099b9b"
	"78";
static const char gre[] =
	"4500001b00030000402f8e74c0000202c633640700000800616263";
static const char unnamed[] = /* protocol 253 */
	"450000160003000040fd8dabc0000202c63364077a7a";
static const char cut[] = /* 10 bytes of a TCP header */
	"4500001e0003000040068e9ac0000202c63364079c4001bb00000005"
	"0000";
static const char later[] = /* a later fragment */
	"4500001c0003006440118e2dc0000202c63364076162636465666768";
static const char with_options[] =
	"46000021000300004011f987c0000202c63364079404000000010002"
	"00099b9b78";
static const char ipv6[] = "6000000000001140";
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
	p.dir = DIR_FORWARD;
	p.way = WAY_WIRE;
	p.time = INT64_C(1500000000);
	p.iface = "eth7";
	p.ifindex = 7;
	return p;
}

/* What the code returns as text, "error: ..." if it raised one. */
static const char *run(struct packet *p, const char *code)
{
	static char result[2048];
	const char *text;
	size_t n;
	int r;

	lua_settop(L, 0);
	lua_pushfstring(L, "local pkt = ... %s", code);
	if (luaL_loadbuffer(L, lua_tostring(L, -1), lua_rawlen(L, -1), "=t"))
		fail_msg("%s: %s", code, lua_tostring(L, -1));
	object_push_view(L, &view, p);
	r = lua_pcall(L, 1, 1, 0);
	text = luaL_tolstring(L, -1, &n);
	if (r && !strncmp(text, "t:1: ", 5))
		text += 5;
	snprintf(result, sizeof(result), "%s%s", r ? "error: " : "", text);
	lua_settop(L, 0);
	object_end_view(&view);
	return result;
}

static void expect(const char *hex, const char *code, const char *want)
{
	struct packet p = packet_of(hex);
	const char *got = run(&p, code);

	if (strcmp(got, want))
		fail_msg("%s\n  gave   %s\n  wanted %s", code, got, want);
}

struct read_case {
	const char *hex, *code, *want;
};

static const struct read_case reads[] = {
	{syn, "return pkt.len", "60"},
	{syn, "return pkt.dir", "forward"},
	{syn, "return pkt.way", "wire"},
	{syn, "return pkt.iface", "eth7"},
	{syn, "return pkt.time", "1.5"},
	{syn, "return pkt.proto", "tcp"},
	{dns, "return pkt.proto", "udp"},
	{echo, "return pkt.proto", "icmp"},
	{unnamed, "return math.type(pkt.proto) .. pkt.proto", "integer253"},
	{syn, "return pkt.src .. ' ' .. pkt.dst", "192.0.2.2 198.51.100.7"},
	{dns, "return pkt.sport .. ' ' .. pkt.dport", "5000 53"},
	{echo, "return pkt.sport", "nil"},
	/* wrong by one, and by hand; what was right stays right */
	{echo, "return pkt.checksum_ok", "true"},
	{echo, "pkt.ip.ttl = 9 return pkt.checksum_ok", "true"},
	{echo, "pkt.ip.checksum = pkt.ip.checksum ~ 1 return pkt.checksum_ok",
	 "false"},
	{echo,
	 "pkt.icmp.checksum = pkt.icmp.checksum ~ 1 return pkt.checksum_ok",
	 "false"},
	{echo, "pkt.icmp.checksum = pkt.icmp.checksum ~ 1 pkt.ip.mf = true "
	       "return pkt.checksum_ok", "true"},
	/* absent layers */
	{syn, "return not (pkt.udp or pkt.icmp) and pkt.tcp ~= nil", "true"},
	{later, "return pkt.udp", "nil"},
	{ipv6, "return pkt.ip", "nil"},
	{ipv6, "return pkt.src", "nil"},
	{ipv6, "return pkt.proto", "nil"},
	{ipv6, "return pkt.payload", "nil"},
	{ipv6, "return pkt.len", "8"},
	/* ip */
	{dns, "return pkt.ip.version", "4"},
	{dns, "return pkt.ip.ihl", "5"},
	{dns, "return pkt.ip.dscp", "46"},
	{dns, "return pkt.ip.ecn", "1"},
	{dns, "return pkt.ip.len", "40"},
	{syn, "return pkt.ip.id", "4660"},
	{syn, "return pkt.ip.df", "true"},
	{dns, "return pkt.ip.df", "false"},
	{syn, "return pkt.ip.mf", "false"},
	{later, "return pkt.ip.frag_offset", "100"},
	{dns, "return pkt.ip.ttl", "17"},
	{dns, "return pkt.ip.proto", "17"},
	{syn, "return pkt.ip.src .. pkt.ip.dst", "192.0.2.2198.51.100.7"},
	{syn, "return pkt.ip.checksum == 0x3c4b", "true"},
	{syn, "return #pkt.ip.options", "0"},
	{with_options, "return ('%q'):format(pkt.ip.options)",
	 "\"\x94\\4\\0\\0\""},
	/* tcp */
	{syn, "return pkt.tcp.sport .. ' ' .. pkt.tcp.dport", "40000 443"},
	{syn, "return pkt.tcp.seq == 0x01020304", "true"},
	{data, "return pkt.tcp.ack_seq", "2000"},
	{syn, "return pkt.tcp.window", "64240"},
	{syn, "return pkt.tcp.urg_ptr", "0"},
	{syn, "return pkt.tcp.flags", "S"},
	{data, "return pkt.tcp.flags", "PA"},
	{data,
	 "local t = pkt.tcp return tostring(t.fin) .. "
	 "tostring(t.syn) .. tostring(t.rst) .. tostring(t.psh) .. "
	 "tostring(t.ack) .. tostring(t.urg) .. tostring(t.ece) .. "
	 "tostring(t.cwr)",
	 "falsefalsefalsetruetruefalsefalsefalse"},
	{syn, "return pkt.tcp.mss", "1460"},
	{syn, "return pkt.tcp.wscale", "7"},
	{syn, "return pkt.tcp.sack_permitted", "true"},
	{data, "return pkt.tcp.sack_permitted", "false"},
	{syn, "return pkt.tcp.tsval .. ' ' .. pkt.tcp.tsecr", "1000 2000"},
	{data, "return pkt.tcp.mss", "nil"},
	{data, "return pkt.tcp.tsval", "nil"},
	{syn, "return #pkt.tcp.options", "20"},
	{syn, "return pkt.tcp.checksum == 0xb318", "true"},
	/* udp, icmp */
	{dns, "return pkt.udp.sport .. ' ' .. pkt.udp.dport", "5000 53"},
	{dns, "return pkt.udp.len", "20"},
	{echo, "return pkt.icmp.type .. ' ' .. pkt.icmp.code", "8 0"},
	{echo, "return pkt.icmp.id .. ' ' .. pkt.icmp.seq", "4369 9"},
	{redirect, "return pkt.icmp.gateway", "203.0.113.9"},
	{echo, "return pkt.icmp.mtu", "9"},
	{echo, "return pkt.icmp.inner", "nil"},
	{expired, "return pkt.icmp.inner.dst", "198.51.100.7"},
	{expired, "return pkt.icmp.inner.tcp.dport", "443"},
	{expired, "return pkt.icmp.inner.tcp.seq == 0x01020304", "true"},
	{expired, "return pkt.icmp.inner.len", "60"},
	{expired, "return pkt.icmp.inner.iface", "eth7"},
	{redirect, "return pkt.icmp.inner.payload", "x"},
	/* payload */
	{dns, "return pkt.payload", "hello, world"},
	{data, "return pkt.payload:sub(1, 5)", "GET /"},
	{syn, "return pkt.payload", ""},
	{echo, "return pkt.payload", "abcdefgh"},
	{unnamed, "return pkt.payload", "zz"},
	{gre, "return pkt:bytes(5)", "abc"},
	{later, "return pkt.payload", "abcdefgh"},
	{dns, "return pkt:u8(1)", "104"},
	{dns, "return pkt:u16(11) == 0x6c64", "true"},
	{dns, "return pkt:u32(9) == 0x6f726c64", "true"},
	{dns, "return pkt:bytes(1, 5)", "hello"},
	{dns, "return pkt:bytes(-5)", "world"},
	{dns, "return pkt:bytes(-99, -8)", "hello"},
	{dns, "return pkt:bytes(0, 99)", "hello, world"},
	{dns, "return pkt:bytes(9, 2)", ""},
	{dns, "local a, b = pkt:find('o, ') return a .. ' ' .. b", "5 7"},
	{dns, "return pkt:find('o', 6)", "9"},
	{dns, "return pkt:find('.', 1, true)", "nil"},
	{dns, "return select(3, pkt:find('(w.)'))", "wo"},
	/* text */
	{echo, "return tostring(pkt)",
	 "icmp 192.0.2.2 > 198.51.100.7 echo request id 4369 seq 9 len 36"},
	{echo, "return select(2, pkt:dump():gsub('\\n', ''))", "3"},
	{echo, "return getmetatable(pkt)", "packet"},
	{echo, "return getmetatable(pkt.icmp)", "packet.icmp"},
	/* the parts of it are the same each time */
	{syn, "return rawequal(pkt.tcp, pkt.tcp)", "true"},
	{syn, "local c = pkt:clone() return rawequal(c.ip, c.ip)", "true"},
	{syn, "local t = pkt:clone().tcp collectgarbage() return t.mss",
	 "1460"},
};

static void fields_read_as_they_are_in_the_packet(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++)
		expect(reads[i].hex, reads[i].code, reads[i].want);
}

/* A write, and where in the packet which bytes are then. */
static const struct {
	const char *hex, *code;
	uint32_t at;
	const char *want;
} writes[] = {
	{syn, "pkt.ip.ttl = 3", 8, "03"},
	{syn, "pkt.ip.ttl = '9'", 8, "09"},
	{syn, "pkt.ip.ttl = 9.0", 8, "09"},
	{syn, "pkt.ip.dscp = 'ef'", 1, "b8"},
	{dns, "pkt.ip.dscp = 1", 1, "05"},
	{syn, "pkt.ip.ecn = 3", 1, "03"},
	{syn, "pkt.ip.id = 65535", 4, "ffff"},
	{syn, "pkt.ip.df = false", 6, "0000"},
	{dns, "pkt.ip.df = 1", 6, "4000"},
	{later, "pkt.ip.mf = true", 6, "2064"},
	{syn, "pkt.src = '10.0.0.1'", 12, "0a000001"},
	{syn, "pkt.dst = '10.0.0.9'", 16, "0a000009"},
	{dns, "pkt.ip.dst = '10.0.0.9'", 16, "0a000009"},
	{dns, "pkt.ip.options = '\\1\\1\\1'", 20, "010101001388"},
	{with_options, "pkt.ip.options = ''", 20, "0001000200099b9b78"},
	{gre, "pkt.ip.proto = 'esp'", 9, "32"},
	{syn, "pkt.sport = 1", 20, "0001"},
	{dns, "pkt.dport = 5353", 22, "14e9"},
	{syn, "pkt.tcp.sport = 2", 20, "0002"},
	{syn, "pkt.tcp.dport = 3", 22, "0003"},
	{syn, "pkt.tcp.seq = 0xffffffff", 24, "ffffffff"},
	{syn, "pkt.tcp.ack_seq = 7", 28, "00000007"},
	{syn, "pkt.tcp.window = 0", 34, "0000"},
	{syn, "pkt.tcp.urg_ptr = 5", 38, "0005"},
	{syn, "pkt.tcp.flags = 'SA'", 33, "12"},
	{syn, "pkt.tcp.flags = 0x29", 33, "29"},
	{syn, "pkt.tcp.syn = false", 33, "00"},
	{syn, "pkt.tcp.cwr = true", 33, "82"},
	{syn, "pkt.tcp.fin = true pkt.tcp.ack = 1", 33, "13"},
	{syn, "pkt.tcp.mss = 1400", 40, "02040578"},
	{syn, "pkt.tcp.wscale = 3", 57, "030303"},
	{syn, "pkt.tcp.tsval = 0x01020304", 46, "080a01020304"},
	{syn, "pkt.tcp.tsecr = 0x01020304", 46, "080a000003e801020304"},
	{syn, "pkt.tcp.sack_permitted = false", 44, "0101080a"},
	{syn, "pkt.tcp.tsval = nil", 44, "040201010101010101010101"},
	{data, "pkt.tcp.mss = 1400", 40, "02040578474554"},
	{data, "pkt.tcp.sack_permitted = true", 40, "04020000474554"},
	{data, "pkt.tcp.tsval = 5", 40, "080a00000005000000000000474554"},
	{data, "pkt.tcp.mss = nil", 32, "5018"},
	{syn, "pkt.tcp.options = '\\2\\4\\0\\1\\1'", 40, "0204000101000000"},
	{syn, "pkt.tcp.options = ''", 32, "5002"},
	{dns, "pkt.udp.sport = 1 pkt.udp.dport = 2", 20, "00010002"},
	{echo, "pkt.icmp.type = 'echo-reply'", 20, "00"},
	{echo, "pkt.icmp.code = 3", 21, "03"},
	{echo, "pkt.icmp.id = 1 pkt.icmp.seq = 2", 24, "00010002"},
	{redirect, "pkt.icmp.gateway = '10.0.0.1'", 24, "0a000001"},
	{expired, "pkt.icmp.mtu = 1280", 26, "0500"},
	{dns, "pkt.payload = 'HELLO, WORLD'", 24, "0014"},
	{dns, "pkt.payload = 'hi'", 24, "000a"},
	{dns, "pkt.payload = 'hi'", 2, "001e"},
	{dns, "pkt.payload = ('a'):rep(1000)", 2, "0404"},
	{echo, "pkt.payload = ''", 2, "001c"},
	{gre, "pkt.payload = 'abcdefgh'", 20, "6162636465666768"},
	{data, "pkt.payload = 'get / http/1.1\\r\\n\\r\\n'", 40,
	 "676574202f2068747470"},
	{dns, "pkt:set_u8(1, 0xff)", 28, "ff65"},
	{dns, "pkt:set_u16(11, 0x1234)", 38, "1234"},
	{data, "pkt:set_u32(2, 0x01020304)", 40, "470102030420"},
	{dns, "assert(pkt:replace('l', 'L') == 3)", 28, "68654c4c6f"},
	{dns, "assert(pkt:replace('(%w+), (%w+)', '%2') == 1)", 28,
	 "776f726c64"},
	{dns, "assert(pkt:replace('l', '', 1) == 1)", 2, "0027"},
	{dns, "assert(pkt:replace('x', 'y') == 0)", 28, "68656c6c6f"},
};

static void writes_change_the_bytes_and_keep_checksums_right(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
		struct packet p = packet_of(writes[i].hex);
		uint8_t want[64];
		uint32_t n = bytes_of(writes[i].want, want);
		const char *r = run(&p, writes[i].code);
		const uint8_t *b = packet_at(&p, writes[i].at, n);

		if (strcmp(r, "nil"))
			fail_msg("%s: %s", writes[i].code, r);
		if (!b || memcmp(b, want, n))
			fail_msg("%s: other bytes at %u", writes[i].code,
				 writes[i].at);
		if (!packet_ip_checksum_ok(&p) || !packet_l4_checksum_ok(&p))
			fail_msg("%s: checksum", writes[i].code);
		if (p.len != (uint32_t)(p.data[2] << 8 | p.data[3]))
			fail_msg("%s: length", writes[i].code);
	}
}

static const struct read_case errors[] = {
	{syn, "pkt.ip.ttl = 300", "ip.ttl must be 0 to 255, not 300"},
	{syn, "pkt.ip.ttl = -1", "ip.ttl must be 0 to 255, not -1"},
	{syn, "pkt.ip.ttl = 1.5", "ip.ttl must be 0 to 255, not 1.5"},
	{syn, "pkt.ip.ttl = nil", "ip.ttl must be 0 to 255, not nil"},
	{syn, "pkt.ip.ttl = 'x'", "ip.ttl must be 0 to 255, not \"x\""},
	{syn, "pkt.ip.ttl = {}", "ip.ttl must be 0 to 255, not a table"},
	{syn, "pkt.tcp.seq = 1 << 32",
	 "tcp.seq must be 0 to 4294967295, not 4294967296"},
	{syn, "pkt.ip.df = 'no'", "ip.df must be true or false, not \"no\""},
	{syn, "pkt.dst = '10.0.0'",
	 "ip.dst must be an IPv4 address such as \"192.0.2.1\", not "
	 "\"10.0.0\""},
	{syn, "pkt.dst = '::1'",
	 "ip.dst must be an IPv4 address such as \"192.0.2.1\", not "
	 "\"::1\""},
	{syn, "pkt.tcp.flags = 'XY'",
	 "tcp.flags must be letters of FSRPAUEC such as \"SA\", not "
	 "\"XY\""},
	{echo, "pkt.icmp.type = 'bing'",
	 "icmp.type must be a name that is known, or 0 to 255, not "
	 "\"bing\""},
	{syn, "return pkt.tcp.sprot",
	 "tcp has no field 'sprot'; did you mean 'sport'?"},
	{syn, "pkt.tcp.windw = 1",
	 "tcp has no field 'windw'; did you mean 'window'?"},
	{syn, "return pkt.tcp.zzzzzz", "tcp has no field 'zzzzzz'"},
	{syn, "return pkt.tcp[1]", "tcp has no field '1'"},
	{syn, "return pkt.ttl",
	 "a packet has no field 'ttl'; did you mean 'ip.ttl'?"},
	{syn, "return pkt.paylod",
	 "a packet has no field 'paylod'; did you mean 'payload'?"},
	{syn, "pkt.len = 4", "len can be read, not set"},
	{syn, "pkt.dir = 'in'", "dir can be read, not set"},
	{syn, "pkt.iface = 'x'", "iface can be read, not set"},
	{syn, "pkt.way = 'x'", "way can be read, not set"},
	{syn, "pkt.time = 1", "time can be read, not set"},
	{syn, "pkt.proto = 'udp'", "proto can be read, not set"},
	{syn, "pkt.checksum_ok = true", "checksum_ok can be read, not set"},
	{syn, "pkt.clone = 1", "pkt:clone is a method and cannot be set"},
	{syn, "pkt.ip = 1", "pkt.ip cannot be set, only its fields"},
	{echo, "pkt.icmp.inner = 1", "icmp.inner can be read, not set"},
	{echo, "pkt.sport = 1", "sport: this packet is neither TCP nor UDP"},
	{cut, "return pkt.tcp.ack_seq",
	 "tcp.ack_seq: the header is cut off before it"},
	{cut, "pkt.tcp.window = 1",
	 "tcp.window: the header is cut off before it"},
	{cut, "return pkt.tcp.mss", "tcp.mss: the header is cut off before it"},
	{cut, "return pkt.payload", "payload: the header is cut off before it"},
	{expired, "return pkt.icmp.inner.tcp.window",
	 "tcp.window: the header is cut off before it"},
	{expired, "pkt.icmp.inner.ip.ttl = 1",
	 "ip.ttl: a quoted packet (icmp.inner) is for reading; :clone() it "
	 "to change it"},
	{redirect, "pkt.icmp.inner:set_u8(1, 2)",
	 "set_u8: a quoted packet is for reading"},
	{data, "pkt.payload = 'x'",
	 "payload: a TCP payload keeps its length here"},
	{data, "pkt:replace('GET', 'POST')",
	 "payload: a TCP payload keeps its length here"},
	{dns, "pkt.payload = ('x'):rep(65535)",
	 "payload: the packet would be too long"},
	{dns, "pkt.payload = nil", "payload must be a string, not nil"},
	{ipv6, "pkt.payload = 'x'", "payload: this packet has none to set"},
	{ipv6, "return pkt:u8(1)",
	 "u8: this packet has no payload to look into"},
	{dns, "return pkt:u8(0)", "u8(0): the payload has 12 bytes"},
	{dns, "return pkt:u8(13)", "u8(13): the payload has 12 bytes"},
	{dns, "return pkt:u32(10)", "u32(10): the payload has 12 bytes"},
	{syn, "return pkt:u16(1)", "u16(1): the payload has 0 bytes"},
	{dns, "pkt:set_u16(12, 1)", "set_u16(12): the payload has 12 bytes"},
	{dns, "pkt:set_u8(1, 256)",
	 "set_u8: the value must be 0 to 255, not 256"},
	{syn, "pkt.tcp.options = ('\\1'):rep(41)",
	 "tcp.options: a header has room for 40 bytes of options, not 41"},
	{syn, "pkt.tcp.options = ('\\1'):rep(40) pkt.tcp.mss = 1",
	 "tcp.mss: the TCP header has no room for another option"},
	{syn, "return pkt.clone(1)",
	 "bad argument #1 to 'clone' (packet expected, got number)"},
	{syn, "return pkt.clone(io.stdout)",
	 "bad argument #1 to 'clone' (packet expected, got FILE*)"},
};

static void errors_say_what_would_be_right(void **state)
{
	char want[512];

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		snprintf(want, sizeof(want), "error: %s", errors[i].want);
		expect(errors[i].hex, errors[i].code, want);
	}
}

#define GONE                                                                   \
	"error: this packet is gone: it was only valid inside the call that "  \
	"got it"

static void texts_are_right_however_many_there_are(void **state)
{
	struct packet p = packet_of(syn);
	uint32_t v = 1;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		const uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16),
				      (uint8_t)(v >> 8), (uint8_t)v};
		char address[ADDRESS_TEXT_MAX], want[120], flags[9];
		struct address a = address_v4(b);

		address_text(&a, address, sizeof(address));
		snprintf(want, sizeof(want), "%s %s %s", address, address,
			 tcp_flags_text((uint8_t)i, flags));
		assert_int_equal(packet_set_address(&p, FIELD_IP_DST, &a), 0);
		assert_int_equal(packet_set(&p, FIELD_TCP_FLAGS, i & 255), 0);
		assert_string_equal(run(&p, "return pkt.dst .. ' ' .. "
					    "pkt.ip.dst .. ' ' .. "
					    "pkt.tcp.flags"),
				    want);
		/* The first and the last address, and those that share a
		 * place with others. */
		v = i == 0 ? 0 : i == 1 ? UINT32_MAX : v * 1664525 + 1013904223;
	}
}

static void names_that_are_no_strings_are_no_fields(void **state)
{
	(void)state;
	expect(syn, "return pkt[1]", "error: a packet has no field '1'");
	expect(syn, "return pkt.ip[2.5]", "error: ip has no field '2.5'");
	expect(syn, "pkt.ip[true] = 1", "error: ip has no field 'true'");
	expect(syn, "return pkt[('t'):rep(50)]",
	       "error: a packet has no field "
	       "'tttttttttttttttttttttttttttttttttttttttttttttttttt'");
	expect(syn, "return pkt.ip[('t'):rep(2) .. 'l']", "64");
}

static void a_view_kept_beyond_its_call_is_gone(void **state)
{
	static const char *const uses[] = {
		"return p.len",	      "return t.seq",	"t.seq = 1",
		"p.payload = 'x'",    "return p:u8(1)", "return p:clone()",
		"return tostring(p)", "return p.ip",	"return p.nonsense",
		"return t.nonsense",
	};

	(void)state;
	expect(data, "p, t = pkt, pkt.tcp", "nil");
	for (size_t i = 0; i < sizeof(uses) / sizeof(uses[0]); i++) {
		const char *got;

		assert_int_equal(luaL_loadstring(L, uses[i]), LUA_OK);
		assert_int_equal(lua_pcall(L, 0, 1, 0), LUA_ERRRUN);
		got = strstr(lua_tostring(L, -1), "this packet is gone");
		assert_non_null(got);
		assert_string_equal(got, GONE + 7);
		lua_settop(L, 0);
	}
	lua_getglobal(L, "p");
	assert_null(object_test(L, -1));
}

static void a_stale_part_says_what_is_missing(void **state)
{
	(void)state;
	expect(data, "t = pkt.tcp", "nil");
	expect(dns, "return t.seq",
	       "error: tcp.seq: this packet has no tcp header");
	expect(dns, "t.mss = 1",
	       "error: tcp.mss: this packet has no tcp header");
	expect(redirect, "i = pkt.icmp", "nil");
	expect(dns, "return i.inner",
	       "error: icmp.inner: this packet has no icmp header");
}

static void the_end_may_come_before_any_view(void **state)
{
	lua_State *fresh = luaL_newstate();
	struct object_view none;

	(void)state;
	object_open(fresh, &env, &none);
	object_end_view(&none);
	assert_int_equal(lua_gettop(fresh), 0);
	lua_close(fresh);
}

static void tests_of_what_is_no_packet_say_so(void **state)
{
	(void)state;
	lua_settop(L, 0);
	lua_pushinteger(L, 1);
	lua_newuserdatauv(L, 1, 0);
	lua_pushnil(L);
	for (int i = 1; i <= 4; i++)
		assert_null(object_test(L, i));
}

static void fields_cost_no_memory(void **state)
{
	static const char code[] =
		"local pkt = ... "
		"for i = 1, 100 do "
		" pkt.ip.ttl = pkt.ip.ttl - 1; pkt.tcp.syn = not pkt.tcp.syn "
		" local x = pkt.tcp.mss + #pkt.dir; pkt.tcp.mss = 1400 "
		" x = pkt.src == '192.0.2.2' and pkt.dport == 443 "
		" pkt.ip.ttl = 64 end";
	struct packet p = packet_of(syn);
	int before;

	(void)state;
	lua_settop(L, 0);
	assert_int_equal(luaL_loadstring(L, code), LUA_OK);
	for (int i = 0; i < 2; i++) {
		lua_pushvalue(L, 1);
		object_push_view(L, &view, &p);
		lua_gc(L, LUA_GCSTOP);
		before =
			lua_gc(L, LUA_GCCOUNT) * 1024 + lua_gc(L, LUA_GCCOUNTB);
		assert_int_equal(lua_pcall(L, 1, 0, 0), LUA_OK);
		/* the first time its strings are made */
		if (i)
			assert_int_equal(lua_gc(L, LUA_GCCOUNT) * 1024 +
						 lua_gc(L, LUA_GCCOUNTB),
					 before);
		object_end_view(&view);
	}
	lua_gc(L, LUA_GCRESTART);
}

static int resolved;

static void resolve(struct packet *p, void *arg)
{
	char *name = arg;

	resolved++;
	p->ifindex = 3;
	p->iface = name;
}

static void an_uplink_is_looked_up_once_and_only_if_asked(void **state)
{
	static char name[] = "wan0";
	struct packet p = packet_of(syn);

	(void)state;
	env = (struct object_env){resolve, name};
	resolved = 0;
	p.iface = NULL;
	p.ifindex = 0;
	run(&p, "return pkt.len");
	assert_int_equal(resolved, 0);
	assert_string_equal(
		run(&p, "c = pkt:clone() return pkt.iface .. pkt.iface"),
		"wan0wan0");
	assert_int_equal(resolved, 1);
	/* a clone's own name outlives the uplink's */
	assert_string_equal(run(&p, "return c.iface"), "wan0");
	name[0] = 'x';
	assert_string_equal(run(&p, "return c.iface"), "wan0");
	env = (struct object_env){0};
	p.iface = NULL;
	p.ifindex = 0;
	assert_string_equal(run(&p, "return pkt.iface"), "nil");
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
		cmocka_unit_test(fields_read_as_they_are_in_the_packet),
		cmocka_unit_test(
			writes_change_the_bytes_and_keep_checksums_right),
		cmocka_unit_test(errors_say_what_would_be_right),
		cmocka_unit_test(texts_are_right_however_many_there_are),
		cmocka_unit_test(names_that_are_no_strings_are_no_fields),
		cmocka_unit_test(a_view_kept_beyond_its_call_is_gone),
		cmocka_unit_test(a_stale_part_says_what_is_missing),
		cmocka_unit_test(the_end_may_come_before_any_view),
		cmocka_unit_test(tests_of_what_is_no_packet_say_so),
		cmocka_unit_test(fields_cost_no_memory),
		cmocka_unit_test(an_uplink_is_looked_up_once_and_only_if_asked),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
