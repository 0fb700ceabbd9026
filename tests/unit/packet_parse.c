/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the headers of a packet are found, and what counts as none. */
#include "packet_sample.h"

#include <linux/virtio_net.h>

/* A sample, with n bytes of patch written at off, cut to len bytes. */
struct layout_case {
	const char *name;
	const uint8_t *bytes;
	uint32_t size, len;
	uint32_t off, n;
	uint8_t patch[4];
	/* expected */
	uint16_t flags, header, transport, payload;
	uint32_t packet_len, tail;
};

#define SYN  sample_syn, sizeof(sample_syn)
#define UDP  sample_udp, sizeof(sample_udp)
#define ICMP sample_icmp, sizeof(sample_icmp)
#define IGMP sample_igmp, sizeof(sample_igmp)

static const struct layout_case layout_cases[] = {
	{"tcp", SYN, 60, 0, 0, {0}, 0, 20, 20, 60, 60, 0},
	{"udp", UDP, 33, 0, 0, {0}, 0, 20, 20, 28, 33, 0},
	{"icmp", ICMP, 31, 0, 0, {0}, 0, 20, 20, 28, 31, 0},
	{"unknown protocol with IP options",
	 IGMP,
	 32,
	 0,
	 0,
	 {0},
	 0,
	 24,
	 24,
	 24,
	 32,
	 0},
	{"esp is no transport of ours",
	 UDP,
	 33,
	 9,
	 1,
	 {50},
	 0,
	 20,
	 20,
	 20,
	 33,
	 0},
	{"version 6", UDP, 33, 0, 1, {0x65}, PACKET_ODD, 0, 0, 0, 33, 0},
	{"header length 16", UDP, 33, 0, 1, {0x44}, PACKET_ODD, 0, 0, 0, 33, 0},
	{"header beyond the end",
	 UDP,
	 33,
	 0,
	 1,
	 {0x4f},
	 PACKET_ODD,
	 0,
	 0,
	 0,
	 33,
	 0},
	{"total length below the header",
	 UDP,
	 33,
	 2,
	 2,
	 {0, 19},
	 PACKET_ODD,
	 0,
	 0,
	 0,
	 33,
	 0},
	{"total length beyond the end",
	 UDP,
	 33,
	 2,
	 2,
	 {0, 34},
	 PACKET_ODD,
	 0,
	 0,
	 0,
	 33,
	 0},
	{"total length zero",
	 UDP,
	 33,
	 2,
	 2,
	 {0, 0},
	 PACKET_ODD,
	 0,
	 0,
	 0,
	 33,
	 0},
	{"nothing at all", UDP, 0, 0, 0, {0}, PACKET_ODD, 0, 0, 0, 0, 0},
	{"19 bytes", UDP, 19, 0, 0, {0}, PACKET_ODD, 0, 0, 0, 19, 0},
	{"padding goes to the tail",
	 UDP,
	 33,
	 2,
	 2,
	 {0, 30},
	 0,
	 20,
	 20,
	 28,
	 30,
	 3},
	{"only an IP header",
	 UDP,
	 20,
	 2,
	 2,
	 {0, 20},
	 PACKET_TRUNCATED,
	 20,
	 20,
	 0,
	 20,
	 0},
	{"half a UDP header",
	 UDP,
	 24,
	 2,
	 2,
	 {0, 24},
	 PACKET_TRUNCATED,
	 20,
	 20,
	 0,
	 24,
	 0},
	{"half an ICMP header",
	 ICMP,
	 27,
	 2,
	 2,
	 {0, 27},
	 PACKET_TRUNCATED,
	 20,
	 20,
	 0,
	 27,
	 0},
	{"TCP without its options",
	 SYN,
	 59,
	 2,
	 2,
	 {0, 59},
	 PACKET_TRUNCATED,
	 20,
	 20,
	 0,
	 59,
	 0},
	{"TCP data offset 4",
	 SYN,
	 60,
	 32,
	 1,
	 {0x40},
	 PACKET_TRUNCATED,
	 20,
	 20,
	 0,
	 60,
	 0},
	{"TCP data offset beyond the end",
	 SYN,
	 60,
	 32,
	 1,
	 {0xb0},
	 PACKET_TRUNCATED,
	 20,
	 20,
	 0,
	 60,
	 0},
	{"first fragment",
	 UDP,
	 33,
	 6,
	 2,
	 {0x20, 0},
	 PACKET_FRAGMENT,
	 20,
	 20,
	 28,
	 33,
	 0},
	{"later fragment",
	 UDP,
	 33,
	 6,
	 2,
	 {0x20, 1},
	 PACKET_FRAGMENT | PACKET_LATER_FRAGMENT,
	 20,
	 0,
	 0,
	 33,
	 0},
	{"last fragment",
	 UDP,
	 33,
	 6,
	 2,
	 {0x1f, 0xff},
	 PACKET_FRAGMENT | PACKET_LATER_FRAGMENT,
	 20,
	 0,
	 0,
	 33,
	 0},
	{"DF is no fragment", UDP, 33, 6, 2, {0x40, 0}, 0, 20, 20, 28, 33, 0},
};

static void headers_are_where_the_bytes_say(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(layout_cases) / sizeof(layout_cases[0]);
	     i++) {
		const struct layout_case *c = &layout_cases[i];
		uint8_t *b = malloc(c->len ? c->len : 1), whole[64];
		struct packet p;

		memcpy(whole, c->bytes, c->size);
		memcpy(whole + c->off, c->patch, c->n);
		memcpy(b, whole, c->len);
		/* A buffer of that very size, so that ASan sees more. */
		packet_init(&p, b, c->len, b, c->len, NULL);
		if (p.flags != c->flags || p.header != c->header ||
		    p.transport != c->transport || p.payload != c->payload ||
		    p.len != c->packet_len || p.tail != c->tail)
			fail_msg("%s: flags %x header %u transport %u payload "
				 "%u len %u tail %u",
				 c->name, p.flags, p.header, p.transport,
				 p.payload, p.len, p.tail);
		free(b);
	}
}

static void a_super_packet_may_have_total_length_zero(void **state)
{
	struct packet_offload o = {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				   .gso_size = 1000};
	uint8_t b[sizeof(sample_syn)];
	struct packet p;

	(void)state;
	memcpy(b, sample_syn, sizeof(b));
	put_be16(b + 2, 0);
	packet_init(&p, b, sizeof(b), b, sizeof(b), &o);
	assert_int_equal(p.flags, 0);
	assert_int_equal(p.len, sizeof(b));
	assert_int_equal(p.payload, 60);
}

static void a_packet_longer_than_its_buffer_is_cut(void **state)
{
	uint8_t b[sizeof(sample_udp)];
	struct packet p;

	(void)state;
	memcpy(b, sample_udp, sizeof(b));
	packet_init(&p, b, sizeof(b), b, 1000, NULL);
	assert_int_equal(p.len, sizeof(b));
	assert_int_equal(p.flags, 0);
}

static void packet_at_gives_only_what_is_there(void **state)
{
	struct packet p = SAMPLE(sample_udp);

	(void)state;
	assert_ptr_equal(packet_at(&p, 0, 33), p.data);
	assert_ptr_equal(packet_at(&p, 33, 0), p.data + 33);
	assert_null(packet_at(&p, 33, 1));
	assert_null(packet_at(&p, 34, 0));
	assert_null(packet_at(&p, 0, 34));
	assert_null(packet_at(&p, UINT32_MAX, 2));
	assert_null(packet_at(&p, 1, UINT32_MAX));
}

static void addresses_are_those_of_the_header(void **state)
{
	struct packet p = SAMPLE(sample_udp);
	char text[ADDRESS_TEXT_MAX];
	struct address a = packet_src(&p);

	(void)state;
	assert_string_equal(address_text(&a, text, sizeof(text)), "192.0.2.2");
	a = packet_dst(&p);
	assert_string_equal(address_text(&a, text, sizeof(text)),
			    "198.51.100.7");
	p = sample_packet(sample_udp, 19);
	assert_int_equal(packet_src(&p).size, 0);
	assert_int_equal(packet_dst(&p).size, 0);
}

static void parsing_again_keeps_what_was_done_to_the_packet(void **state)
{
	struct packet p = SAMPLE(sample_udp);
	uint16_t stay = PACKET_MODIFIED | PACKET_REDIRECTED |
			PACKET_IP_CSUM_KEPT | PACKET_L4_CSUM_KEPT;

	(void)state;
	p.flags |= stay | PACKET_FRAGMENT | PACKET_TRUNCATED;
	packet_parse(&p);
	assert_int_equal(p.flags, stay);
}

static void a_raised_total_length_takes_the_tail_back(void **state)
{
	struct packet p = SAMPLE(sample_udp);

	(void)state;
	assert_int_equal(packet_set(&p, FIELD_IP_LEN, 30), 0);
	assert_int_equal(p.len, 30);
	assert_int_equal(p.tail, 3);
	assert_int_equal(packet_set(&p, FIELD_IP_LEN, 33), 0);
	assert_int_equal(p.len, 33);
	assert_int_equal(p.tail, 0);
	assert_memory_equal(p.data, sample_udp, sizeof(sample_udp));
}

static void only_a_packet_to_one_host_lacks_a_source(void **state)
{
	static const struct {
		uint8_t src[4], dst[4];
		bool lacks;
	} cases[] = {
		{{0, 0, 0, 0}, {192, 0, 2, 1}, true},
		{{0, 0, 0, 0}, {255, 255, 255, 255}, false},
		{{192, 0, 2, 2}, {192, 0, 2, 1}, false},
	};
	uint8_t bytes[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memcpy(bytes + 12, cases[i].src, 4);
		memcpy(bytes + 16, cases[i].dst, 4);
		packet_init(&p, bytes, sizeof(bytes), bytes, sizeof(bytes),
			    NULL);
		assert_int_equal(packet_lacks_source(&p), cases[i].lacks);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_a_packet_to_one_host_lacks_a_source),
		cmocka_unit_test(headers_are_where_the_bytes_say),
		cmocka_unit_test(a_super_packet_may_have_total_length_zero),
		cmocka_unit_test(a_packet_longer_than_its_buffer_is_cut),
		cmocka_unit_test(packet_at_gives_only_what_is_there),
		cmocka_unit_test(addresses_are_those_of_the_header),
		cmocka_unit_test(
			parsing_again_keeps_what_was_done_to_the_packet),
		cmocka_unit_test(a_raised_total_length_takes_the_tail_back),
	};

	return cmocka_run_group_tests_name("packet_parse", tests, NULL, NULL);
}
