/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A TCP stream whose length changes on the way, between a sender and a
 * receiver that lose, repeat and reorder: every byte that the receiver gets
 * is the right one at its number, and the sender is told of nothing that did
 * not arrive.
 */
#include "script_test.h"

#include "base/bytes.h"
#include "base/clock.h"

#define STREAM 40000u
#define WANT   (4 * STREAM)
#define ISN    0xffff8000u /* wraps on the way */
#define THEIRS 0x7ffffff0u

static uint64_t random_state;

static uint32_t rnd(uint32_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) +
		       UINT64_C(1442695040888963407);
	return (uint32_t)(random_state >> 33) % n;
}

struct world {
	struct script *s;
	uint8_t data[STREAM], want[WANT];
	uint32_t n, nwant;
	/* The sender: first byte not acknowledged, first not sent, first that
	 * may not be sent. */
	uint32_t una, nxt, end;
	/* The receiver: what it has, and all before. */
	uint8_t have[WANT + 1];
	uint32_t received, edge;
	bool fin_sent, fin_received, fin_acked;
	uint32_t segments, changed, splits;
};
static struct world w;

/* ---- the receiver ---------------------------------------------------- */

static void arrive(struct packet *p)
{
	uint32_t n = p->len - p->payload, seq, flags;
	const uint8_t *b = p->data + p->payload;

	assert_false(p->flags & PACKET_ODD);
	assert_int_equal(packet_get(p, FIELD_TCP_SEQ, &seq), 0);
	assert_int_equal(packet_get(p, FIELD_TCP_FLAGS, &flags), 0);
	seq -= ISN + 1;
	if ((int32_t)(seq + n - w.edge) > 0)
		fail_msg("%u is beyond the window's end %u", seq + n, w.edge);
	if (!n && !(flags & 1))
		return;
	if ((int32_t)seq < 0 || seq + n > w.nwant)
		fail_msg("bytes %d to %u of %u", (int32_t)seq, seq + n,
			 w.nwant);
	if (memcmp(b, w.want + seq, n))
		fail_msg("other bytes at %u (%u)", seq, n);
	memset(w.have + seq, 1, n);
	while (w.received < w.nwant && w.have[w.received])
		w.received++;
	if (flags & 1) {
		assert_int_equal(seq + n, w.nwant);
		w.fin_received = true;
	}
}

static int host_send(void *arg, struct packet *p)
{
	(void)arg;
	w.splits++;
	arrive(p);
	return 0;
}

/* ---- the path between ------------------------------------------------ */

static uint8_t bytes[PACKET_BUFFER], before[PACKET_BUFFER];

static void build(struct packet *p, bool out, uint32_t seq, uint32_t ack,
		  uint8_t flags, const uint8_t *b, uint32_t n)
{
	struct address near = address_v4((const uint8_t[]){192, 0, 2, 1});
	struct address far = address_v4((const uint8_t[]){198, 51, 100, 7});

	*p = (struct packet){.head = bytes, .size = sizeof(bytes)};
	assert_int_equal(packet_new(p, 6), 0);
	packet_set_address(p, FIELD_IP_SRC, out ? &near : &far);
	packet_set_address(p, FIELD_IP_DST, out ? &far : &near);
	packet_set(p, FIELD_TCP_SPORT, out ? 1234 : 80);
	packet_set(p, FIELD_TCP_DPORT, out ? 80 : 1234);
	packet_set(p, FIELD_TCP_SEQ, seq);
	packet_set(p, FIELD_TCP_ACK_SEQ, ack);
	packet_set(p, FIELD_TCP_FLAGS, flags);
	assert_int_equal(packet_splice(p, p->payload, 0, b, n), 0);
	p->dir = out ? DIR_OUT : DIR_IN;
	p->flags = 0;
}

/* Through the rules as the data path does it. True: it goes on. */
static bool through(struct packet *p)
{
	static struct packet_undo undo;
	struct match_context ctx = {0};
	struct verdict v;

	undo = (struct packet_undo){.bytes = before};
	p->undo = &undo;
	if (!script_flow_begin(w.s, p, &v))
		ruleset_run(script_ruleset(w.s), p, &ctx, script_calls(w.s),
			    NULL, &v);
	if (v.kind == VERDICT_ERROR || script_flow_end(w.s, p, &v))
		fail_msg("%s", script_error(w.s));
	p->undo = NULL;
	assert_true(packet_ip_checksum_ok(p));
	assert_true(packet_l4_checksum_ok(p));
	return v.kind == VERDICT_ACCEPT;
}

/* ---- the sender ------------------------------------------------------ */

static void segment(uint32_t from, uint32_t n, bool fin, bool sure)
{
	struct packet p;

	build(&p, true, ISN + 1 + from, THEIRS + 1, fin ? 0x11 : 0x10,
	      w.data + from, n);
	if (n > 1460)
		assert_int_equal(packet_make_super(&p, 1460), 0);
	w.segments++;
	if ((sure || rnd(10)) && through(&p)) {
		w.changed += p.len - p.payload != n;
		if (rnd(10))
			arrive(&p);
	}
}

static void send_something(void)
{
	uint32_t sizes[] = {1, 3, 100, 1460, 20000};
	uint32_t n = 1 + rnd(sizes[rnd(5)]), from = w.nxt;

	/* Again: from the first on, or from anywhere; and in other pieces. */
	if (w.una < w.nxt && rnd(3) == 0)
		from = rnd(2) ? w.una : w.una + rnd(w.nxt - w.una);
	if (n > w.n - from)
		n = w.n - from;
	if (from + n > w.end && from + n > w.nxt)
		n = (w.end > w.nxt ? w.end : w.nxt) - from;
	if (from + n > w.nxt)
		w.nxt = from + n;
	if (from + n == w.n)
		w.fin_sent = true;
	if (n || w.fin_sent)
		segment(from, n, from + n == w.n, false);
}

static void acknowledge(void)
{
	uint32_t all = w.received + (w.fin_received && w.received == w.nwant);
	struct packet p;
	uint32_t ack, window;

	/* An old one, now and then. */
	ack = rnd(8) ? all : rnd(all + 1);
	window = 1000 + rnd(5) * 8000;
	if (ack + window < w.edge)
		window = w.edge - ack; /* never taken back */
	if (window > UINT16_MAX)
		return;
	build(&p, false, THEIRS + 1, ISN + 1 + ack, 0x10, NULL, 0);
	packet_set(&p, FIELD_TCP_WINDOW, window);
	w.edge = ack + window;
	if (rnd(8) == 0 || !through(&p))
		return;
	assert_int_equal(packet_get(&p, FIELD_TCP_ACK_SEQ, &ack), 0);
	ack -= ISN + 1;
	if (ack == w.n + 1) {
		assert_true(w.fin_received);
		w.fin_acked = true;
		ack--;
	}
	if ((int32_t)ack < 0)
		return; /* an old one, before what is remembered */
	if (ack > w.nxt)
		fail_msg("%u acknowledged, %u sent", ack, w.nxt);
	if (ack > w.una)
		w.una = ack;
	assert_int_equal(packet_get(&p, FIELD_TCP_WINDOW, &window), 0);
	if (ack + window > w.end)
		w.end = ack + window;
}

static void handshake(void)
{
	struct packet p;

	build(&p, true, ISN, 0, 2, NULL, 0);
	assert_true(through(&p));
	build(&p, false, THEIRS, ISN + 1, 0x12, NULL, 0);
	packet_set(&p, FIELD_TCP_WINDOW, w.edge);
	assert_true(through(&p));
}

/* Each byte becomes none, one, or several. */
static void expect(uint32_t n, const uint8_t times[256])
{
	w.n = n;
	w.nwant = 0;
	for (uint32_t i = 0; i < n; i++) {
		w.data[i] = (uint8_t)"abcdefgh\n"[i < 3 ? i + 1 : rnd(9)];
		for (uint8_t k = 0; k < times[w.data[i]]; k++)
			w.want[w.nwant++] = w.data[i];
	}
}

static void converse(const char *rules, const uint8_t times[256], uint64_t seed)
{
	const struct script_host host = {.send = host_send};
	const struct script_limits limits = {.instructions = 100000000};

	memset(&w, 0, sizeof(w));
	w.edge = w.end = 1000;
	random_state = seed;
	expect(2000 + rnd(STREAM - 2000), times);
	w.s = load_script(rules, &limits);
	script_set_host(w.s, &host);
	handshake();
	/* Until the first change what arrives is not held to any order. */
	w.nxt = 3;
	segment(0, 3, false, true);
	for (uint32_t i = 0; !w.fin_acked; i++) {
		if (i == 200000)
			fail_msg("seed %u: stuck at %u of %u sent, %u of %u "
				 "received",
				 (unsigned)seed, w.una, w.n, w.received,
				 w.nwant);
		send_something();
		/* An ACK of data that came the other way. */
		if (rnd(4) == 0) {
			struct packet p;

			build(&p, true, ISN + 1 + w.nxt + w.fin_sent,
			      THEIRS + 1, 0x10, NULL, 0);
			if (through(&p))
				arrive(&p);
		}
		if (rnd(2))
			acknowledge();
	}
	assert_int_equal(w.received, w.nwant);
	assert_int_equal(w.una, w.n);
	assert_true(w.changed);
	script_free(w.s);
}

/* ---- cases ----------------------------------------------------------- */

#define BOTH "capture { dir = {'out', 'in'} }\n"
#define TIMES                                                                  \
	"local times = { b = '', c = 'cc', d = 'ddd', ['\\n'] = '\\n\\n' }\n"

static const uint8_t times[256] = {
	['a'] = 1, ['b'] = 0, ['c'] = 2, ['d'] = 3, ['e'] = 1,
	['f'] = 1, ['g'] = 1, ['h'] = 1, ['\n'] = 2,
};

static void what_a_rule_replaces_arrives_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++)
		converse(BOTH TIMES
			 "rule { match = { tcp_flags = 'S/SA' }, action = "
			 "function(pkt) return pkt.flow and ACCEPT end }\n"
			 "rule { match = { dir = 'out' }, action = "
			 "function(pkt) pkt:replace('.', times) end }",
			 times, seed);
}

static void what_a_stream_replaces_arrives_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++)
		converse(BOTH TIMES
			 "rule { match = { tcp_flags = 'S/SA' }, action = "
			 "function(pkt) pkt.flow:stream('out', function(b)\n"
			 "return (b:gsub('.', times)) end) end }",
			 times, seed);
}

static void what_a_stream_leaves_alone_stays(void **state)
{
	static const uint8_t ones[256] = {
		['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1,
		['f'] = 1, ['g'] = 1, ['h'] = 1, ['\n'] = 2,
	};

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++)
		converse(BOTH
			 "rule { match = { tcp_flags = 'S/SA' }, action = "
			 "function(pkt) pkt.flow:stream('out', function(b)\n"
			 "if b:find('\\n') then return (b:gsub('\\n', "
			 "'\\n\\n')) end end) end }",
			 ones, seed);
}

/* Each becomes twenty: more than one packet holds. */
static void more_than_a_packet_goes_in_several(void **state)
{
	static const uint8_t most[256] = {
		['a'] = 4, ['b'] = 4, ['c'] = 4, ['d'] = 4, ['e'] = 4,
		['f'] = 4, ['g'] = 4, ['h'] = 4, ['\n'] = 4,
	};
	uint32_t splits = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		converse(BOTH
			 "rule { match = { tcp_flags = 'S/SA' }, action = "
			 "function(pkt) pkt.flow:stream('out', function(b)\n"
			 "return (b:gsub('[a-h\\n]', '%0%0%0%0')) end) end }",
			 most, seed);
		splits += w.splits;
	}
	assert_true(splits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_rule_replaces_arrives_once),
		cmocka_unit_test(what_a_stream_replaces_arrives_once),
		cmocka_unit_test(what_a_stream_leaves_alone_stays),
		cmocka_unit_test(more_than_a_packet_goes_in_several),
	};

	return cmocka_run_group_tests_name("script_flow_tcp", tests, NULL,
					   NULL);
}
