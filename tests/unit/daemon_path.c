/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packet path between socket pairs: what is read from a way in comes out
 * at which exit, with which link header and which TTL.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "daemon/exit.h"
#include "daemon/path.h"

enum place { NOWHERE, TUN, OUT, BACK, PASSING, LEAVING, SOCK, PLACES };

static const uint8_t mac_host[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t mac_peer[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t marker[6] = {6, 1, 2, 3, 4, 5};
static const uint8_t host[4] = {10, 0, 0, 1}, peer[4] = {10, 0, 0, 2};

static struct path path;
static struct port port;
static int ours[PLACES], theirs[PLACES];
static int elsewhere;

static void on_event(struct path *w, const struct event *e)
{
	(void)w;
	(void)e;
}

static void on_elsewhere(struct path *w)
{
	(void)w;
	elsewhere++;
}

static void path_open(const char *rules)
{
	struct error err;
	size_t size;

	for (int i = TUN; i < PLACES; i++) {
		int pair[2], room = 1 << 20;

		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_DGRAM | SOCK_NONBLOCK, 0,
					    pair), 0);
		setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
		ours[i] = pair[0];
		theirs[i] = pair[1];
	}
	memset(&path, 0, sizeof(path));
	memset(&port, 0, sizeof(port));
	elsewhere = 0;
	if (script_new(&path.script, NULL, NULL, 0, NULL, &err) ||
	    script_load_text(path.script, "t.lua", rules, strlen(rules), &err))
		fail_msg("%s", err.text);
	script_seal(path.script);
	path.rules = script_ruleset(path.script);
	size = sizeof(*path.shared) +
	       (path.rules->count + 1) * sizeof(struct rule_counter);
	path.shared = calloc(1, size);
	path.tun = (struct way){WAY_ROUTE, DIR_OUT, true, ours[TUN], NULL};
	path.epoll = epoll_create1(0);
	path.route_lookup = -1;
	memcpy(path.marker, marker, 6);
	path.event = on_event;
	path.elsewhere = on_elsewhere;
	path.locals[path.nlocals++] = address_v4(host);
	port.ifindex = 7;
	strcpy(port.name, "up0");
	memcpy(port.mac, mac_host, 6);
	port.link_len = 14;
	port.mtu = 1500;
	port.out = (struct way){WAY_WIRE, DIR_OUT, true, ours[OUT], &port};
	port.in = (struct way){WAY_WIRE, DIR_IN, false, ours[BACK], &port};
	port.passing = (struct way){WAY_WIRE, DIR_FORWARD, false, ours[PASSING],
				    &port};
	port.leaving = (struct way){WAY_WIRE, DIR_FORWARD, true, ours[LEAVING],
				    &port};
	port.sock = ours[SOCK];
	port.queue = queue_new(&queue_defaults);
	path.ports = &port;
	path_init(&path);
}

static void path_close(void)
{
	for (int i = TUN; i < PLACES; i++) {
		close(ours[i]);
		close(theirs[i]);
	}
	close(path.epoll);
	queue_free(port.queue);
	script_free(path.script);
	free(path.shared);
}

/* A UDP packet of the host's to the peer, or the other way round, behind a
 * virtio_net_hdr and (at the wire) an Ethernet header. */
static size_t frame_make(uint8_t *out, bool link, bool from_host, uint8_t ttl,
			 uint32_t payload)
{
	static uint8_t buffer[PACKET_BUFFER], zeros[PACKET_MAX];
	struct packet p = {.head = buffer, .size = sizeof(buffer)};
	struct address src = address_v4(from_host ? host : peer);
	struct address dst = address_v4(from_host ? peer : host);
	size_t n = VIRTIO_HDR;

	assert_int_equal(packet_new(&p, 17), 0);
	packet_set_address(&p, FIELD_IP_SRC, &src);
	packet_set_address(&p, FIELD_IP_DST, &dst);
	packet_set(&p, FIELD_IP_TTL, ttl);
	packet_set(&p, FIELD_UDP_SPORT, 1000);
	packet_set(&p, FIELD_UDP_DPORT, 2000);
	packet_set(&p, FIELD_IP_DF, 1);
	assert_int_equal(packet_splice(&p, p.payload, 0, zeros, payload), 0);
	memset(out, 0, n);
	if (link) {
		memcpy(out + n, from_host ? mac_peer : mac_host, 6);
		memcpy(out + n + 6, from_host ? mac_host : mac_peer, 6);
		put_be16(out + n + 12, 0x0800);
		n += 14;
	}
	memcpy(out + n, p.data, p.len);
	return n + p.len;
}

struct expectation {
	const char *what;
	enum place in;
	uint8_t ttl;
	uint32_t payload;
	const char *rules;
	/* What comes out. */
	enum place at;
	uint8_t ttl_out;
	const uint8_t *to, *from; /* of the link header */
	const uint8_t *src, *dst;
	int elsewhere;
};

static const uint8_t other[4] = {198, 51, 100, 9};

#define BOTH "capture { dir = {'out', 'in'} } "
#define PASS "capture { dir = 'forward' } "

static const struct expectation cases[] = {
	{"by route it goes on by tun0, the TTL made up for", TUN, 64, 10, "",
	 TUN, 65, NULL, NULL, host, peer, 1},
	{"a TTL of 1 survives being forwarded", TUN, 1, 10, "", TUN, 2, NULL,
	 NULL, host, peer, 1},
	{"255 cannot be raised", TUN, 255, 10, "", TUN, 255, NULL, NULL, host,
	 peer, 1},
	{"at the wire nothing is touched", OUT, 64, 10, "", SOCK, 64, mac_peer,
	 mac_host, host, peer, 0},
	{"an arrival is marked and handed on", BACK, 1, 10, BOTH, BACK, 1,
	 mac_host, marker, peer, host, 0},
	{"DROP goes nowhere", OUT, 64, 10, "rule { action = DROP }", NOWHERE,
	 0, NULL, NULL, NULL, NULL, 0},
	{"policy(DROP) goes nowhere", TUN, 64, 10, "policy(DROP)", NOWHERE, 0,
	 NULL, NULL, NULL, NULL, 0},
	{"a rewritten TTL leaves as it was set, by route", TUN, 9, 10,
	 "rule { rewrite = { ttl = 33 } }", TUN, 34, NULL, NULL, host, peer, 1},
	{"a rewritten TTL leaves as it was set, at the wire", OUT, 9, 10,
	 "rule { rewrite = { ttl = 33 } }", SOCK, 33, mac_peer, mac_host, host,
	 peer, 0},
	{"another destination takes the main table", OUT, 64, 10,
	 "rule { rewrite = { dst = '198.51.100.9' } }", TUN, 65, NULL, NULL,
	 host, other, 1},
	{"an arrival for somebody else is forwarded", BACK, 64, 10,
	 BOTH "rule { rewrite = { dst = '198.51.100.9' } }", TUN, 65, NULL,
	 NULL, peer, other, 1},
	{"an arrival under another name is still one", BACK, 64, 10,
	 BOTH "rule { rewrite = { src = '198.51.100.9' } }", BACK, 64,
	 mac_host, marker, other, host, 0},
	{"what grew beyond the MTU is the kernel's to cut", OUT, 64, 1400,
	 "rule { action = function(p) p.payload = ('x'):rep(2000) end }", TUN,
	 65, NULL, NULL, host, peer, 1},
	{"what grew within the MTU is not", OUT, 64, 10,
	 "rule { action = function(p) p.payload = ('x'):rep(1000) end }", SOCK,
	 64, mac_peer, mac_host, host, peer, 0},
	{"a reply by route is delivered with its own TTL", TUN, 64, 10,
	 "rule { action = function(p) return p:reply { ttl = 7 } end }", TUN, 7,
	 NULL, NULL, peer, host, 0},
	{"a reply at the wire arrives from the uplink", OUT, 64, 10,
	 "rule { action = function(p) return p:reply { ttl = 7 } end }", BACK,
	 7, mac_host, marker, peer, host, 0},
	{"a reply to an arrival leaves to its sender", BACK, 64, 10,
	 BOTH "rule { action = function(p) return p:reply { ttl = 7 } end }",
	 SOCK, 7, mac_peer, mac_host, host, peer, 0},
	{"a copy keeps the next hop", OUT, 64, 10,
	 "rule { action = function(p) return p:clone() end }", SOCK, 64,
	 mac_peer, mac_host, host, peer, 0},
	{"what is made up for elsewhere takes the main table", OUT, 64, 10,
	 "rule { action = function(p) return packet { src = '10.0.0.1',"
	 " dst = '198.51.100.9', udp = { dport = 9 } } end }", TUN, 65, NULL,
	 NULL, host, other, 1},
	{"what passes through arrives again, to be routed", PASSING, 1, 10,
	 PASS, BACK, 1, mac_peer, marker, host, peer, 0},
	{"under another destination too", PASSING, 64, 10,
	 PASS "rule { rewrite = { dst = '198.51.100.9' } }", BACK, 64, mac_peer,
	 marker, host, other, 0},
	{"however long it grew", PASSING, 64, 1400,
	 PASS "rule { action = function(p) p.payload = ('x'):rep(2000) end }",
	 BACK, 64, mac_peer, marker, host, peer, 0},
	{"a reply to it goes back where it came from", PASSING, 64, 10,
	 PASS "rule { action = function(p) return p:reply { ttl = 7 } end }",
	 SOCK, 7, mac_host, mac_host, peer, host, 0},
	{"a copy of it for elsewhere is routed as it would be", PASSING, 64, 10,
	 PASS "rule { action = function(p) p.dst = '198.51.100.9' "
	 "return p:clone() end }",
	 BACK, 64, mac_peer, marker, host, other, 0},
	{"what is made up for elsewhere takes the main table there too",
	 PASSING, 64, 10,
	 PASS "rule { action = function(p) return packet { src = '10.0.0.7',"
	 " dst = '198.51.100.9', udp = { dport = 9 } } end }", TUN, 65, NULL,
	 NULL, (const uint8_t[]){10, 0, 0, 7}, other, 1},
	{"what was routed already leaves", LEAVING, 63, 10, PASS, SOCK, 63,
	 mac_peer, mac_host, host, peer, 0},
	{"but under another destination it is routed anew", LEAVING, 63, 10,
	 PASS "rule { rewrite = { dst = '198.51.100.9' } }", TUN, 64, NULL,
	 NULL, host, other, 1},
	{"a reply to it arrives as if from where it was to go", LEAVING, 63, 10,
	 PASS "rule { action = function(p) return p:reply { ttl = 7 } end }",
	 BACK, 7, mac_host, marker, peer, host, 0},
	{"a rule that fails lets the packet go as it arrived", OUT, 64, 10,
	 "rule { action = function(p) p.ip.ttl = 3 p.dst = '198.51.100.9' "
	 "error('no') end }", SOCK, 64, mac_peer, mac_host, host, peer, 0},
	{"or nowhere, if on_error says so", OUT, 64, 10,
	 "on_error(DROP) rule { action = function(p) error('no') end }",
	 NOWHERE, 0, NULL, NULL, NULL, NULL, 0},
};

static void feed(enum place in, const uint8_t *frame, size_t n)
{
	assert_int_equal(write(theirs[in], frame, n), n);
	path_read(&path, in == TUN	  ? &path.tun
			 : in == OUT	  ? &port.out
			 : in == BACK	  ? &port.in
			 : in == PASSING ? &port.passing
					  : &port.leaving);
}

static void check_frame(const struct expectation *c, const uint8_t *frame,
			ssize_t n)
{
	const uint8_t *ip = frame + VIRTIO_HDR;

	if (c->at != TUN) {
		assert_memory_equal(ip, c->to, 6);
		assert_memory_equal(ip + 6, c->from, 6);
		assert_int_equal(get_be16(ip + 12), 0x0800);
		ip += 14;
	}
	assert_int_equal(ip[8], c->ttl_out);
	assert_memory_equal(ip + 12, c->src, 4);
	assert_memory_equal(ip + 16, c->dst, 4);
	assert_int_equal(get_be16(ip + 2), frame + n - ip);
	assert_int_equal(checksum_fold(checksum_add(0, ip, 20, false)), 0xffff);
}

static void each_packet_leaves_where_it_should(void **state)
{
	static uint8_t frame[PACKET_BUFFER];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const struct expectation *c = &cases[i];
		size_t n = frame_make(frame, c->in != TUN, c->in != BACK,
				      c->ttl, c->payload);

		print_message("%s\n", c->what);
		path_open(c->rules);
		feed(c->in, frame, n);
		for (int at = TUN; at < PLACES; at++) {
			ssize_t r = read(theirs[at], frame, sizeof(frame));

			assert_int_equal(r > 0, at == (int)c->at);
			if (r > 0)
				check_frame(c, frame, r);
			assert_true(read(theirs[at], frame, 1) < 0);
		}
		assert_int_equal(elsewhere, c->elsewhere);
		path_close();
	}
}

static void an_untouched_frame_is_the_same_to_the_byte(void **state)
{
	static uint8_t frame[PACKET_BUFFER], seen[PACKET_BUFFER];
	size_t n;

	(void)state;
	path_open("rule { action = ACCEPT }");
	n = frame_make(frame, true, true, 64, 4);
	/* Padding to the least length of a frame, and bytes of no sense. */
	for (; n < 60 + VIRTIO_HDR; n++)
		frame[n] = (uint8_t)n;
	feed(OUT, frame, n);
	assert_int_equal(read(theirs[SOCK], seen, sizeof(seen)), n);
	assert_memory_equal(seen, frame, n);
	frame[VIRTIO_HDR + 14] = 0x4f; /* a header longer than the packet */
	feed(OUT, frame, n);
	assert_int_equal(read(theirs[SOCK], seen, sizeof(seen)), n);
	assert_memory_equal(seen, frame, n);
	path_close();
}

static void what_an_uplink_does_not_take_waits_its_turn(void **state)
{
	static uint8_t frame[PACKET_BUFFER], seen[PACKET_BUFFER];
	int small = 1, sent = 0, got = 0;

	(void)state;
	path_open("");
	setsockopt(ours[SOCK], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (; sent < 50; sent++) {
		size_t n = frame_make(frame, true, true, 64, 1000);

		put_be16(frame + VIRTIO_HDR + 14 + 20, (uint16_t)sent);
		feed(OUT, frame, n);
	}
	assert_true(port.waiting);
	for (int i = 0; i < 1000 && got < sent; i++) {
		ssize_t n = read(theirs[SOCK], seen, sizeof(seen));

		if (n < 0) {
			path_drain(&path, &port);
			continue;
		}
		got++;
	}
	assert_int_equal(got, sent);
	path_drain(&path, &port);
	assert_false(port.waiting);
	assert_int_equal(path.shared->stats.refused, 0);
	path_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_packet_leaves_where_it_should),
		cmocka_unit_test(an_untouched_frame_is_the_same_to_the_byte),
		cmocka_unit_test(what_an_uplink_does_not_take_waits_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
