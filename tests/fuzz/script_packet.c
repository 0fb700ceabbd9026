/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hostile packet and a rule that touches everything there is: reads every
 * field, writes it back, writes nonsense, resizes, makes answers. Whatever
 * the packet, the call must end with a verdict and what comes out must be
 * inside its buffer.
 *
 * Input: 4 bytes of choices, then the packet.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "script/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHOICES 4

static const char rules[] =
	"local fields = {\n"
	"  ip = { 'version', 'ihl', 'dscp', 'ecn', 'len', 'id', 'df', 'mf',\n"
	"    'frag_offset', 'ttl', 'proto', 'src', 'dst', 'options', "
	"'checksum' },\n"
	"  tcp = { 'sport', 'dport', 'seq', 'ack_seq', 'window', 'urg_ptr', "
	"'flags',\n"
	"    'fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr', 'mss',\n"
	"    'wscale', 'sack_permitted', 'tsval', 'tsecr', 'options' },\n"
	"  udp = { 'sport', 'dport', 'len' },\n"
	"  icmp = { 'type', 'code', 'id', 'seq', 'mtu', 'gateway' },\n"
	"}\n"
	"local own = { 'len', 'dir', 'iface', 'way', 'time', 'proto',"
	"  'checksum_ok', 'src', "
	"'dst',\n"
	"  'sport', 'dport', 'payload' }\n"
	"local values = { 0, 1, 255, 65535, 0xffffffff, -1, 1 << 40, 2.5, "
	"true,\n"
	"  false, '', 'SA', 'echo-reply', '192.0.2.9', ('x'):rep(40),\n"
	"  '\\2\\4\\5\\180' }\n"
	"local blocked = set{ '10.0.0.0/8' }\n"
	"local function get(o, k) return o[k] end\n"
	"local function put(o, k, v) o[k] = v end\n"
	"local function touch(o, names, choice, what)\n"
	"  for i, name in ipairs(names) do\n"
	"    local ok, v = pcall(get, o, name)\n"
	"    if choice & 1 ~= 0 and ok and v ~= nil then pcall(put, o, name, "
	"v) end\n"
	"    if choice & 2 ~= 0 then\n"
	"      pcall(put, o, name, values[(i * 7 + what) % #values + 1])\n"
	"    end\n"
	"  end\n"
	"end\n"
	"local function visit(p, choice, what, depth)\n"
	"  touch(p, own, choice, what)\n"
	"  for layer, names in pairs(fields) do\n"
	"    local ok, l = pcall(get, p, layer)\n"
	"    if ok and l then touch(l, names, choice, what) end\n"
	"  end\n"
	"  local ok, icmp = pcall(get, p, 'icmp')\n"
	"  if ok and icmp and depth < 3 then\n"
	"    local found, inner = pcall(get, icmp, 'inner')\n"
	"    if found and inner then visit(inner, choice, what, depth + 1) "
	"end\n"
	"  end\n"
	"end\n"
	"local function methods(p, what)\n"
	"  for _, o in ipairs{ 1, 2, what, 0, -1, 65536, 1 << 40 } do\n"
	"    for _, m in ipairs{ 'u8', 'u16', 'u32' } do\n"
	"      pcall(p[m], p, o) pcall(p['set_' .. m], p, o, what)\n"
	"    end\n"
	"    pcall(p.bytes, p, o, what) pcall(p.bytes, p, what, o)\n"
	"  end\n"
	"  pcall(p.find, p, 'x+') pcall(p.find, p, '%z', what, true)\n"
	"  pcall(p.replace, p, 'x', 'yy') pcall(p.replace, p, '.', '')\n"
	"  pcall(tostring, p) pcall(p.dump, p)\n"
	"end\n"
	"local makers = { 'clone', 'reply', 'echo_reply', 'rst', "
	"'unreachable',\n"
	"  'time_exceeded' }\n"
	"local options = { {}, { ttl = 3, payload = 'abc' }, { from = "
	"'10.0.0.1' },\n"
	"  { tcp = { flags = 'SA', mss = 1400 } }, 'admin-prohibited', 3 }\n"
	"rule {\n"
	"  where = function(pkt) return blocked:has(pkt.src or '0.0.0.0') or "
	"true end,\n"
	"  action = function(pkt)\n"
	"    local time = math.floor((pkt.time or 0) + 0.5)\n"
	"    local choice, what = time & 0xff, time >> 8\n"
	"    local list = {}\n"
	"    if choice & 4 ~= 0 then\n"
	"      for i, m in ipairs(makers) do\n"
	"        local ok, p = pcall(pkt[m], pkt, options[(i + what) % "
	"#options + 1])\n"
	"        if ok and p then visit(p, choice, what, 0) methods(p, what)\n"
	"          send(p) list[#list + 1] = p end\n"
	"      end\n"
	"      local ok, p = pcall(function() return packet(pkt:bytes(1, -1)) "
	"end)\n"
	"      if ok then list[#list + 1] = p end\n"
	"    end\n"
	"    visit(pkt, choice, what, 0)\n"
	"    if choice & 8 ~= 0 then methods(pkt, what) end\n"
	"    audit(pkt, 'seen')\n"
	"    log(pkt)\n"
	"    count('packets')\n"
	"    if choice & 16 ~= 0 then list[#list + 1] = pkt end\n"
	"    if #list > 0 then return list end\n"
	"    if choice & 32 ~= 0 then return reject(what % 16) end\n"
	"  end,\n"
	"}\n";

static void check(struct packet *p)
{
	char line[256], dump[1024];

	if (p->data < p->head || p->data + p->len > p->head + p->size)
		abort();
	packet_print(p, line, sizeof(line));
	packet_dump(p, dump, sizeof(dump));
	packet_parse(p);
	packet_checksum(p, true);
	if (!packet_ip_checksum_ok(p) && !(p->flags & PACKET_IP_CSUM_KEPT))
		abort();
}

static int host_send(void *arg, struct packet *p)
{
	(void)arg;
	check(p);
	return 0;
}

static void host_log(void *arg, const char *text)
{
	(void)arg;
	if (strlen(text) > 1024)
		abort();
}

static void host_count(void *arg, const char *name, uint64_t n)
{
	*(uint64_t *)arg += n + !*name;
}

static void host_audit(void *arg, struct packet *p, const char *note)
{
	(void)arg;
	if (strcmp(note, "seen"))
		abort();
	if (p->data < p->head || p->data + p->len > p->head + p->size)
		abort();
}

static void host_resolve(struct packet *p, void *arg)
{
	(void)arg;
	p->ifindex = 2;
	p->iface = "eth0";
}

static struct script *start(void)
{
	static uint64_t counted;
	const struct script_host host = {
		.arg = &counted,
		.send = host_send,
		.log = host_log,
		.count = host_count,
		.audit = host_audit,
		.resolve = host_resolve,
	};
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct script *s;
	struct packet_offload offload = {0};
	struct match_context ctx = {0};
	uint8_t choices[CHOICES];
	struct verdict v;
	struct packet p;
	uint32_t room;
	uint8_t *buf;

	if (!s)
		s = start();
	if (size < CHOICES || size - CHOICES > PACKET_MAX)
		return 0;
	memcpy(choices, data, CHOICES);
	data += CHOICES;
	size -= CHOICES;
	/* No more room than the input says, so that every byte counts. */
	room = PACKET_HEADROOM + (uint32_t)size + choices[2] % 80;
	buf = malloc(room);
	if (!buf)
		return 0;
	memset(buf, 0, room);
	memcpy(buf + PACKET_HEADROOM, data, size);
	if (choices[3] & 1) {
		offload.need_csum = true;
		offload.csum_start = 20;
		offload.csum_offset = choices[3] & 2 ? 16 : 6;
	}
	if (choices[3] & 4) {
		offload.gso_type = 1;
		offload.gso_size = 100;
		offload.hdr_len = 40;
	}
	packet_init(&p, buf, room, buf + PACKET_HEADROOM, (uint32_t)size,
		    &offload);
	p.time = (choices[0] | choices[1] << 8) * NSEC_PER_SEC;
	ruleset_run(script_ruleset(s), &p, &ctx, script_calls(s), NULL, &v);
	if (v.kind == VERDICT_ERROR) {
		fprintf(stderr, "%s\n", script_error(s));
		abort();
	}
	if (p.data < p.head || p.data + p.len > p.head + p.size)
		abort();
	for (uint32_t i = 0; v.kind == VERDICT_REPLACE && i < v.count; i++)
		if (v.packets[i] != &p)
			check(v.packets[i]);
	free(buf);
	return 0;
}
