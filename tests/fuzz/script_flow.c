/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A series of packets, hostile in every number, through rules that change the
 * length of what they carry, by assignment and by functions for both
 * directions. Whatever the order and the numbers: what comes out is inside
 * its buffer and has right checksums, and no call fails but as a rule's error.
 *
 * Input: for each packet 12 bytes: kind, port, TCP flags, room, sequence
 * number (4; from a base, scaled), acknowledgement (2, likewise), bytes of
 * data (2).
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "script/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OP   12
#define OPS  200
#define BASE UINT32_C(0xffffff00)

static const char rules[] =
	"capture { dir = { 'out', 'in' } }\n"
	"local function double(b) return (b:gsub('[a-m]', '%0%0')) end\n"
	"local function half(b) return (b:gsub('[n-z]', '')) end\n"
	"local held = ''\n"
	"local function hold(b)\n"
	"  local all = held .. b\n"
	"  held = all:sub(-7)\n"
	"  return all:sub(1, -8)\n"
	"end\n"
	"local n, kept = 0, {}\n"
	"rule { where = function(pkt) return pkt.flow ~= nil end,\n"
	"  action = function(pkt)\n"
	"    local f = pkt.flow\n"
	"    n = n + 1\n"
	"    kept[n % 8] = f\n"
	"    if f.packets < 1 or f.bytes < 20 or f.age < 0 then\n"
	"      error('counts')\n"
	"    end\n"
	"    f.data[n % 4] = tostring(f)\n"
	"    pcall(function() return kept[(n + 3) % 8].data end)\n"
	"  end }\n"
	"rule { match = { proto = 'tcp', tcp_flags = 'S/S' },\n"
	"  action = function(pkt)\n"
	"    local f, p = pkt.flow, pkt.sport + pkt.dport\n"
	"    if p % 4 == 1 then f:stream('out', double) f:stream('in', half) "
	"end\n"
	"    if p % 4 == 2 then f:stream('out', hold) end\n"
	"    if p % 64 == 63 then f:bypass() end\n"
	"    if p % 64 == 62 then f:drop() end\n"
	"  end }\n"
	"rule { match = { proto = 'tcp', dport = '0-32767' },\n"
	"  action = function(pkt)\n"
	"    pcall(pkt.replace, pkt, '[a-f]+', 'xyz')\n"
	"  end }\n"
	"rule { match = { proto = 'tcp', dport = '32768-65535' },\n"
	"  action = function(pkt)\n"
	"    local p = pkt:clone()\n"
	"    pcall(pkt.replace, pkt, 'a', '')\n"
	"    if n % 5 == 0 then return { p, pkt } end\n"
	"  end }\n";

static void check(const struct packet *p, bool right)
{
	if (p->data < p->head || p->data + p->len > p->head + p->size)
		abort();
	if (right &&
	    (!packet_ip_checksum_ok(p) || !packet_l4_checksum_ok(p)))
		abort();
}

static struct script *script;
static int64_t now;

static int host_send(void *arg, struct packet *p)
{
	(void)arg;
	check(p, true);
	return 0;
}

static int64_t host_now(void *arg)
{
	(void)arg;
	return now;
}

static struct script *start(void)
{
	const struct script_host host = {.send = host_send, .now = host_now};
	struct error err = {.text = ""};
	struct script *s;

	if (script_new(&s, NULL, NULL, 0, NULL, &err) ||
	    script_load_text(s, "fuzz.lua", rules, sizeof(rules) - 1, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	script_set_host(s, &host);
	script_seal(s);
	return s;
}

/* kind: direction, the shape of the packet, offload. */
enum { BACK = 1, UDP = 2, ERROR = 4, SUPER = 8, SACK = 16, ODD = 32, JUMP = 64 };

static void build_tcp(struct packet *p, const uint8_t *op, uint32_t n)
{
	static const uint8_t sack[] = {1, 1, 5, 10, 0, 0, 0, 0, 0, 0, 0, 0};
	uint8_t options[12], data[2048];
	uint32_t ack = BASE + get_be16(op + 8) * 4u;

	packet_set(p, FIELD_TCP_SPORT, op[0] & BACK ? op[1] * 257u : 1000);
	packet_set(p, FIELD_TCP_DPORT, op[0] & BACK ? 1000 : op[1] * 257u);
	packet_set(p, FIELD_TCP_SEQ,
		   BASE + get_be32(op + 4) % 65536u +
			   (op[0] & JUMP ? get_be32(op + 4) : 0));
	packet_set(p, FIELD_TCP_ACK_SEQ, ack);
	packet_set(p, FIELD_TCP_FLAGS, op[2]);
	packet_set(p, FIELD_TCP_WINDOW, op[3] * 256u);
	if (op[0] & SACK) {
		memcpy(options, sack, sizeof(sack));
		put_be32(options + 4, ack + op[3]);
		put_be32(options + 8, ack + op[3] + n);
		packet_set_tcp_options(p, options, sizeof(options));
	} else if (op[2] & 2) {
		packet_set_tcp_options(p, "\1\3\3\2", 4);
	}
	for (uint32_t i = 0; i < n; i++)
		data[i] = (uint8_t)('a' + (get_be32(op + 4) + i) % 26);
	packet_splice(p, p->payload, 0, data, n);
	if (op[0] & SUPER)
		packet_make_super(p, (uint16_t)(1 + op[3]));
}

static void build(struct packet *p, struct packet *q, const uint8_t *op)
{
	struct address a = address_v4((const uint8_t[]){192, 0, 2, 1});
	struct address b = address_v4((const uint8_t[]){198, 51, 100, 7});
	uint32_t n = get_be16(op + 10) % 2048;

	packet_new(p, op[0] & UDP ? 17 : 6);
	packet_set_address(p, FIELD_IP_SRC, op[0] & BACK ? &b : &a);
	packet_set_address(p, FIELD_IP_DST, op[0] & BACK ? &a : &b);
	if (!(op[0] & UDP))
		build_tcp(p, op, n);
	if (op[0] & ERROR) {
		packet_unreachable(q, p, 4, &a, 1400);
		packet_clone(p, q);
	}
	if (op[0] & ODD)
		packet_write(p, op[3] % p->len, op, 8);
	p->dir = op[0] & BACK ? DIR_IN : DIR_OUT;
}

static void through(const uint8_t *op)
{
	static uint8_t buffer[2][PACKET_BUFFER], before[PACKET_BUFFER];
	struct packet made = {.head = buffer[0], .size = sizeof(buffer[0])};
	struct packet other = {.head = buffer[1], .size = sizeof(buffer[1])};
	struct packet_undo undo = {.bytes = before};
	struct match_context ctx = {0};
	struct packet p;
	struct verdict v;
	uint32_t room;
	uint8_t *bytes;
	bool right;

	build(&made, &other, op);
	/* No more room than needed, so that every byte counts. */
	room = PACKET_HEADROOM + made.len + op[3] * 16u;
	bytes = malloc(room);
	if (!bytes)
		return;
	memcpy(bytes + PACKET_HEADROOM, made.data, made.len);
	packet_init(&p, bytes, room, bytes + PACKET_HEADROOM, made.len,
		    &made.offload);
	p.dir = made.dir;
	p.undo = &undo;
	right = packet_ip_checksum_ok(&p) && packet_l4_checksum_ok(&p);
	if (!script_flow_begin(script, &p, &v))
		ruleset_run(script_ruleset(script), &p, &ctx,
			    script_calls(script), NULL, &v);
	if (v.kind == VERDICT_ERROR) {
		fprintf(stderr, "%s\n", script_error(script));
		abort();
	}
	script_flow_end(script, &p, &v);
	for (uint32_t i = 0; v.kind == VERDICT_REPLACE && i < v.count; i++)
		check(v.packets[i], right);
	if (v.kind == VERDICT_ACCEPT)
		check(&p, right);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!script)
		script = start();
	for (int i = 0; i < OPS && size >= OP; i++, data += OP, size -= OP) {
		through(data);
		now += NSEC_PER_SEC / 16;
	}
	/* The next input finds no flows of this one. */
	now += 4000 * NSEC_PER_SEC;
	return 0;
}
