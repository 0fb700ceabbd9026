/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fields by name: what is read, what is written, and what follows. */
#include "packet_sample.h"

#include <errno.h>

struct read_case {
	const uint8_t *bytes;
	uint32_t size;
	enum packet_field field;
	int ret;
	uint32_t value;
};

#define SYN  sample_syn, sizeof(sample_syn)
#define UDP  sample_udp, sizeof(sample_udp)
#define ICMP sample_icmp, sizeof(sample_icmp)
#define IGMP sample_igmp, sizeof(sample_igmp)

static const struct read_case read_cases[] = {
	{SYN, FIELD_IP_VERSION, 0, 4},
	{SYN, FIELD_IP_IHL, 0, 5},
	{IGMP, FIELD_IP_IHL, 0, 6},
	{SYN, FIELD_IP_DSCP, 0, 0},
	{SYN, FIELD_IP_LEN, 0, 60},
	{SYN, FIELD_IP_ID, 0, 0x1c46},
	{SYN, FIELD_IP_DF, 0, 1},
	{SYN, FIELD_IP_MF, 0, 0},
	{UDP, FIELD_IP_DF, 0, 0},
	{SYN, FIELD_IP_FRAG_OFFSET, 0, 0},
	{SYN, FIELD_IP_TTL, 0, 64},
	{SYN, FIELD_IP_PROTO, 0, 6},
	{SYN, FIELD_IP_CHECKSUM, 0, 0x3239},
	{SYN, FIELD_IP_SRC, 0, 0xc0000202},
	{SYN, FIELD_IP_DST, 0, 0xc6336407},
	{SYN, FIELD_TCP_SPORT, 0, 30732},
	{SYN, FIELD_TCP_DPORT, 0, 80},
	{SYN, FIELD_TCP_SEQ, 0, 0x01020304},
	{SYN, FIELD_TCP_ACK_SEQ, 0, 0},
	{SYN, FIELD_TCP_DOFF, 0, 10},
	{SYN, FIELD_TCP_FLAGS, 0, 2},
	{SYN, FIELD_TCP_WINDOW, 0, 8192},
	{SYN, FIELD_TCP_CHECKSUM, 0, 0xbf59},
	{SYN, FIELD_TCP_URG_PTR, 0, 0},
	{SYN, FIELD_UDP_SPORT, -ENOENT, 0},
	{SYN, FIELD_ICMP_TYPE, -ENOENT, 0},
	{UDP, FIELD_UDP_SPORT, 0, 5353},
	{UDP, FIELD_UDP_DPORT, 0, 53},
	{UDP, FIELD_UDP_LEN, 0, 13},
	{UDP, FIELD_UDP_CHECKSUM, 0, 0xbaa6},
	{ICMP, FIELD_ICMP_TYPE, 0, 8},
	{ICMP, FIELD_ICMP_CODE, 0, 0},
	{ICMP, FIELD_ICMP_CHECKSUM, 0, 0x2168},
	{ICMP, FIELD_ICMP_ID, 0, 0x1234},
	{ICMP, FIELD_ICMP_SEQ, 0, 1},
	{ICMP, FIELD_ICMP_MTU, 0, 1},
	{ICMP, FIELD_ICMP_GATEWAY, 0, 0x12340001},
	{IGMP, FIELD_TCP_SPORT, -ENOENT, 0},
	{sample_udp, 19, FIELD_IP_TTL, -ENOENT, 0},
};

static void fields_read_as_the_literal_has_them(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(read_cases) / sizeof(read_cases[0]);
	     i++) {
		const struct read_case *c = &read_cases[i];
		struct packet p = sample_packet(c->bytes, c->size);
		uint32_t value = 0;
		int ret = packet_get(&p, c->field, &value);

		if (ret != c->ret || value != c->value)
			fail_msg("case %zu (%s): %d, %u", i,
				 packet_fields[c->field].name, ret, value);
	}
}

static void reading_beyond_a_cut_header_says_so(void **state)
{
	struct packet p = SAMPLE(sample_syn);
	uint32_t value;

	(void)state;
	assert_int_equal(packet_set(&p, FIELD_IP_LEN, 26), 0);
	assert_true(p.flags & PACKET_TRUNCATED);
	assert_false(packet_has_layer(&p, LAYER_TCP));
	assert_int_equal(packet_get(&p, FIELD_TCP_DPORT, &value), 0);
	assert_int_equal(value, 80);
	assert_int_equal(packet_get(&p, FIELD_TCP_SEQ, &value), -ENODATA);
	assert_int_equal(packet_set(&p, FIELD_TCP_SEQ, 1), -ENODATA);
	assert_int_equal(packet_get(&p, FIELD_UDP_SPORT, &value), -ENOENT);
}

static void a_later_fragment_has_no_transport_fields(void **state)
{
	struct packet p = SAMPLE(sample_udp);
	uint16_t sport, dport;
	uint32_t value;

	(void)state;
	assert_int_equal(packet_ports(&p, &sport, &dport), 0);
	assert_int_equal(packet_set(&p, FIELD_IP_FRAG_OFFSET, 1), 0);
	assert_false(packet_has_layer(&p, LAYER_UDP));
	assert_int_equal(packet_get(&p, FIELD_UDP_SPORT, &value), -ENOENT);
	assert_int_equal(packet_ports(&p, &sport, &dport), -ENOENT);
	assert_true(packet_has_layer(&p, LAYER_IP));
}

/* Fields that do not move the headers. */
static bool moves(enum packet_field f)
{
	return f == FIELD_IP_VERSION || f == FIELD_IP_IHL ||
	       f == FIELD_IP_LEN || f == FIELD_IP_PROTO || f == FIELD_IP_MF ||
	       f == FIELD_IP_FRAG_OFFSET || f == FIELD_TCP_DOFF ||
	       f == FIELD_UDP_LEN;
}

static bool is_checksum(enum packet_field f)
{
	return f == FIELD_IP_CHECKSUM || f == FIELD_TCP_CHECKSUM ||
	       f == FIELD_UDP_CHECKSUM || f == FIELD_ICMP_CHECKSUM;
}

static void every_field_takes_every_value_and_no_neighbour_does(void **state)
{
	static const uint8_t protos[] = {6, 17, 1};

	(void)state;
	for (unsigned i = 0; i < 6000; i++) {
		uint8_t b[300], was[300], proto = protos[i % 3];
		uint32_t n = sample_make(b, proto, sample_random() % 100);
		enum packet_field f = sample_random() % FIELD_COUNT;
		const struct packet_field_info *info = &packet_fields[f];
		uint32_t max = UINT32_MAX >> (32 - info->bits);
		uint32_t value = sample_random() & max, got, off;
		struct packet p = sample_packet(b, n);

		if (!packet_has_layer(&p, info->layer) || moves(f))
			continue;
		memcpy(was, p.data, n);
		if (max < UINT32_MAX)
			assert_int_equal(packet_set(&p, f, max + 1), -ERANGE);
		assert_memory_equal(p.data, was, n);
		assert_false(p.flags & PACKET_MODIFIED);
		assert_int_equal(packet_set(&p, f, value), 0);
		assert_int_equal(packet_get(&p, f, &got), 0);
		assert_int_equal(got, value);
		if (is_checksum(f))
			continue;
		assert_true(reference_ip_ok(p.data));
		assert_true(reference_l4_ok(p.data));
		/* Apart from the field and the checksums, nothing changed. */
		off = info->offset +
		      (info->layer == LAYER_IP ? 0u : p.transport);
		for (uint32_t at = 0; at < n; at++) {
			uint32_t c = p.transport + sample_field(proto);

			if (at == 10 || at == 11 || at == c || at == c + 1 ||
			    (at >= off && at < off + info->bytes))
				continue;
			assert_int_equal(p.data[at], was[at]);
		}
	}
}

/* A packet as it should not be, now and then: in pieces, cut off, with a
 * length or an open checksum that means nothing. */
static uint32_t make_any(uint8_t *b, uint8_t proto, struct packet_offload *o)
{
	uint32_t n = sample_make(b, proto, sample_random() % 40);
	uint32_t header = (b[0] & 15u) * 4;

	memset(o, 0, sizeof(*o));
	if (sample_random() % 4 == 0)
		put_be16(b + 6, (uint16_t)sample_random());
	if (sample_random() % 4 == 0)
		put_be16(b + header + 4, (uint16_t)(sample_random() % 60));
	if (sample_random() % 4 == 0)
		put_be16(b + header + 6, 0);
	if (sample_random() % 4 == 0)
		put_be16(b + 2, (uint16_t)(header + sample_random() %
						    (n - header + 1)));
	if (sample_random() % 2 == 0)
		return n;
	o->need_csum = true;
	o->csum_start = (uint16_t)header;
	o->csum_offset = (uint16_t)sample_field(proto);
	if (sample_random() % 4 == 0)
		o->csum_start = (uint16_t)(sample_random() % (n + 4));
	if (sample_random() % 4 == 0)
		o->csum_offset = (uint16_t)(sample_random() % 24);
	o->gso_type = sample_random() % 4 == 0;
	return n;
}

/* What is quick about a field gives what its bytes written give. */
static void a_field_set_is_its_bytes_written(void **state)
{
	static const uint8_t protos[] = {6, 17, 1};
	static uint8_t once[300], kept[2][PACKET_MAX];
	unsigned set = 0;

	(void)state;
	for (unsigned i = 0; i < 60000; i++) {
		uint8_t b[300] = {0}, word[4], proto = protos[i % 3];
		enum packet_field f = sample_random() % FIELD_COUNT;
		const struct packet_field_info *info = &packet_fields[f];
		struct packet_undo undo[2] = {{kept[0], 0}, {kept[1], 0}};
		struct packet_offload o;
		uint32_t n = make_any(b, proto, &o);
		uint32_t max = UINT32_MAX >> (32 - info->bits), off, v;
		uint32_t value = sample_random() % 8
					 ? sample_random() & max
					 : sample_random() % 2 * max;
		struct packet p = sample_packet(b, n), q = p;

		p.offload = o;
		p.flags |= sample_random() & sample_random() &
			   (PACKET_IP_CSUM_KEPT | PACKET_L4_CSUM_KEPT);
		p.undo = &undo[0];
		q = p;
		if (packet_set(&p, f, value))
			continue;
		set++;
		memcpy(once, sample_buffer, sizeof(once));
		memcpy(sample_buffer + PACKET_HEADROOM, b, n);
		q.undo = &undo[1];
		off = info->offset +
		      (info->layer == LAYER_IP ? 0u : q.transport);
		v = info->bytes == 1   ? b[off]
		    : info->bytes == 2 ? get_be16(b + off)
				       : get_be32(b + off);
		v = (v & ~(max << info->shift)) | value << info->shift;
		put_be32(word, v << (32 - 8 * info->bytes));
		assert_int_equal(packet_write(&q, off, word, info->bytes), 0);
		if (memcmp(once, sample_buffer, sizeof(once)))
			fail_msg("packet %u: %s = %u", i, info->name, value);
		assert_int_equal(p.flags, q.flags);
		assert_int_equal(p.len, q.len);
		assert_int_equal(p.offload.need_csum, q.offload.need_csum);
		assert_int_equal(undo[0].saved, undo[1].saved);
		assert_memory_equal(kept[0], kept[1], undo[0].saved);
	}
	assert_in_range(set, 10000, 60000);
}

/* Each change of the layout gives what the same bytes parsed afresh give. */
static void a_field_that_moves_the_headers_is_parsed_again(void **state)
{
	static const struct {
		enum packet_field f;
		uint32_t value;
	} cases[] = {
		{FIELD_IP_IHL, 7},   {FIELD_IP_IHL, 5},
		{FIELD_IP_LEN, 48},  {FIELD_IP_PROTO, 6},
		{FIELD_IP_PROTO, 1}, {FIELD_IP_PROTO, 17},
		{FIELD_IP_MF, 1},    {FIELD_IP_FRAG_OFFSET, 3},
		{FIELD_TCP_DOFF, 6}, {FIELD_TCP_DOFF, 3},
		{FIELD_UDP_LEN, 12}, {FIELD_IP_VERSION, 5},
		{FIELD_IP_IHL, 15},  {FIELD_IP_LEN, 65535},
	};
	static const uint8_t protos[] = {6, 17, 1, 2};

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		uint8_t b[300];
		uint32_t n = sample_make(b, protos[i % 4],
					 40 + sample_random() % 50);
		struct packet p = sample_packet(b, n), q;
		unsigned k = sample_random() % (sizeof(cases) / sizeof(*cases));
		int ret = packet_set(&p, cases[k].f, cases[k].value);
		uint32_t udp_len;

		if (ret) {
			assert_int_equal(ret, -ENOENT);
			continue;
		}
		packet_init(&q, p.head, p.size, p.data, n, NULL);
		assert_int_equal(q.header, p.header);
		assert_int_equal(q.transport, p.transport);
		assert_int_equal(q.payload, p.payload);
		assert_int_equal(q.len, p.len);
		assert_int_equal(q.tail, p.tail);
		assert_int_equal(q.flags, p.flags & ~PACKET_MODIFIED);
		if (!p.header)
			continue;
		assert_true(reference_ip_ok(p.data));
		assert_true(packet_l4_checksum_ok(&p));
		/* A UDP length that is none cannot be judged. */
		udp_len =
			p.proto == 17 ? get_be16(p.data + p.transport + 4) : 8;
		if (!(p.flags & (PACKET_FRAGMENT | PACKET_TRUNCATED)) &&
		    udp_len >= 8 && udp_len <= p.len - p.transport)
			assert_true(reference_l4_ok(p.data));
	}
}

static void the_flags_tell_what_was_changed(void **state)
{
	struct packet p = SAMPLE(sample_udp);
	struct address a;

	(void)state;
	assert_int_equal(packet_set(&p, FIELD_IP_TTL, 64), 0);
	assert_int_equal(packet_set(&p, FIELD_IP_DST, 0xc6336407), 0);
	assert_int_equal(p.flags, 0);
	assert_int_equal(packet_set(&p, FIELD_IP_SRC, 5), 0);
	assert_int_equal(p.flags, PACKET_MODIFIED);
	assert_int_equal(address_parse(&a, "10.1.2.3"), 0);
	assert_int_equal(packet_set_address(&p, FIELD_IP_DST, &a), 0);
	assert_int_equal(p.flags, PACKET_MODIFIED | PACKET_REDIRECTED);
	a = packet_dst(&p);
	assert_int_equal(a.byte[3], 3);
	assert_int_equal(address_parse(&a, "::1"), 0);
	assert_int_equal(packet_set_address(&p, FIELD_IP_DST, &a),
			 -EAFNOSUPPORT);
	/* A whole header at once says the same. */
	p = SAMPLE(sample_udp);
	assert_int_equal(packet_write(&p, 0, sample_igmp, 20), 0);
	assert_false(p.flags & PACKET_REDIRECTED);
	assert_int_equal(packet_write(&p, 0,
				      "\x45\0\0\x21\0\0\0\0\x40\x11\0\0"
				      "\1\2\3\4\5\6\7\x08",
				      20),
			 0);
	assert_true(p.flags & PACKET_REDIRECTED);
	assert_true(p.flags & PACKET_IP_CSUM_KEPT);
}

static void ports_are_read_where_headers_begin_alike(void **state)
{
	static const struct {
		uint8_t proto;
		int ret;
	} cases[] = {{6, 0},   {17, 0},	     {33, 0},	    {132, 0},
		     {136, 0}, {1, -ENOENT}, {50, -ENOENT}, {47, -ENOENT}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet p = SAMPLE(sample_udp);
		uint16_t sport = 0, dport = 0;

		packet_set(&p, FIELD_IP_PROTO, cases[i].proto);
		assert_int_equal(packet_ports(&p, &sport, &dport),
				 cases[i].ret);
		assert_int_equal(sport, cases[i].ret ? 0 : 5353);
		assert_int_equal(dport, cases[i].ret ? 0 : 53);
	}
}

static void tcp_options_are_found_by_kind(void **state)
{
	struct packet p = SAMPLE(sample_syn);
	const uint8_t *o;
	uint8_t n = 0;

	(void)state;
	o = packet_tcp_option(&p, 2, &n);
	assert_non_null(o);
	assert_int_equal(n, 4);
	assert_int_equal(get_be16(o + 2), 1460);
	o = packet_tcp_option(&p, 8, &n);
	assert_non_null(o);
	assert_int_equal(n, 10);
	o = packet_tcp_option(&p, 3, &n);
	assert_non_null(o);
	assert_int_equal(o[2], 7);
	assert_null(packet_tcp_option(&p, 5, &n));
	p = SAMPLE(sample_udp);
	assert_null(packet_tcp_option(&p, 2, &n));
}

static void nonsense_among_tcp_options_ends_the_search(void **state)
{
	/* What stands before the window scale option. */
	static const struct {
		const char *name;
		uint8_t b[4];
		bool found;
	} cases[] = {
		{"no-operations", {1, 1, 1, 1}, true},
		{"end of list", {1, 0, 1, 1}, false},
		{"length 0", {1, 1, 9, 0}, false},
		{"length 1", {1, 1, 9, 1}, false},
		{"length beyond the end", {9, 9, 1, 1}, false},
		{"an unknown option", {9, 4, 3, 3}, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t options[8] = {0, 0, 0, 0, 1, 3, 3, 7}, n = 0;
		struct packet p = SAMPLE(sample_syn);
		const uint8_t *o;

		memcpy(options, cases[i].b, 4);
		assert_int_equal(packet_set_tcp_options(&p, options, 8), 0);
		o = packet_tcp_option(&p, 3, &n);
		if (!o == cases[i].found)
			fail_msg("%s", cases[i].name);
		if (o)
			assert_int_equal(o[2], 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_read_as_the_literal_has_them),
		cmocka_unit_test(reading_beyond_a_cut_header_says_so),
		cmocka_unit_test(a_later_fragment_has_no_transport_fields),
		cmocka_unit_test(
			every_field_takes_every_value_and_no_neighbour_does),
		cmocka_unit_test(a_field_set_is_its_bytes_written),
		cmocka_unit_test(
			a_field_that_moves_the_headers_is_parsed_again),
		cmocka_unit_test(the_flags_tell_what_was_changed),
		cmocka_unit_test(ports_are_read_where_headers_begin_alike),
		cmocka_unit_test(tcp_options_are_found_by_kind),
		cmocka_unit_test(nonsense_among_tcp_options_ends_the_search),
	};

	return cmocka_run_group_tests_name("packet_field", tests, NULL, NULL);
}
