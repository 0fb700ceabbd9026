/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Super-packets and the segments they are cut into. */
#include "packet_sample.h"

#include <errno.h>
#include <linux/virtio_net.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

static uint8_t scratch[PACKET_BUFFER];
static uint8_t super_bytes[PACKET_MAX];

/* A super-packet as the kernel hands it over. */
static struct packet super_packet(uint8_t proto, uint32_t payload,
				  uint16_t size, uint8_t gso)
{
	uint32_t n = sample_make(super_bytes, proto, payload);
	uint32_t l4 = (super_bytes[0] & 15u) * 4, field = sample_field(proto);
	struct packet p;

	put_be16(super_bytes + l4 + field,
		 reference_pseudo(super_bytes, n - l4));
	p = sample_packet(super_bytes, n);
	p.offload = (struct packet_offload){
		.need_csum = true,
		.csum_start = (uint16_t)l4,
		.csum_offset = (uint16_t)field,
		.gso_type = gso,
		.gso_size = size,
		.hdr_len = p.payload,
	};
	return p;
}

/* What has come so far, and what it came from. */
struct seen {
	const struct packet *p;
	uint32_t count, bytes;
	int stop_at; /* answer with -EINTR at this segment; 0: never */
};

static void check_tcp(const struct seen *seen, const struct packet *s,
		      bool last)
{
	const uint8_t *was = seen->p->data + seen->p->transport;
	const uint8_t *is = s->data + s->transport;
	uint8_t flags = was[13];

	if (!last)
		flags &= (uint8_t)~0x09;
	if (seen->count)
		flags &= (uint8_t)~0x80;
	assert_int_equal(is[13], flags);
	assert_int_equal(get_be32(is + 4), get_be32(was + 4) + seen->bytes);
	assert_memory_equal(is + 8, was + 8, 5);
	assert_memory_equal(is + 18, was + 18,
			    (size_t)(s->payload - s->transport - 18));
}

static int check_segment(struct packet *s, void *arg)
{
	struct seen *seen = arg;
	const struct packet *p = seen->p;
	uint32_t n = s->len - s->payload;
	bool last = seen->bytes + n == p->len - p->payload;

	assert_ptr_equal(s->head, scratch);
	assert_int_equal(s->flags, p->flags);
	assert_int_equal(s->payload, p->payload);
	assert_int_equal(get_be16(s->data + 2), s->len);
	assert_int_equal(get_be16(s->data + 4),
			 (get_be16(p->data + 4) + seen->count) & 0xffff);
	assert_int_equal(s->offload.gso_type, 0);
	assert_false(s->offload.need_csum);
	assert_true(last ? n <= p->offload.gso_size : n == p->offload.gso_size);
	assert_true(reference_ip_ok(s->data));
	assert_true(reference_l4_ok(s->data));
	assert_memory_equal(s->data + s->payload,
			    p->data + p->payload + seen->bytes, n);
	if (s->proto == 6)
		check_tcp(seen, s, last);
	else
		assert_int_equal(get_be16(s->data + s->transport + 4), 8 + n);
	assert_int_equal(s->ifindex, p->ifindex);
	assert_int_equal(s->link_len, p->link_len);
	assert_memory_equal(s->data - s->link_len, p->data - p->link_len,
			    p->link_len);
	seen->bytes += n;
	seen->count++;
	return seen->stop_at && (int)seen->count == seen->stop_at ? -EINTR : 0;
}

struct segment_case {
	uint8_t proto, gso;
	uint32_t payload;
	uint16_t size;
	uint32_t count;
};

#define TCPV4  VIRTIO_NET_HDR_GSO_TCPV4
#define UDP_L4 VIRTIO_NET_HDR_GSO_UDP_L4

static const struct segment_case segment_cases[] = {
	{6, TCPV4, 64000, 1460, 44},
	{6, TCPV4, 2920, 1460, 2},
	{6, TCPV4, 2921, 1460, 3},
	{6, TCPV4, 100, 1460, 1},
	{6, TCPV4, 1001, 333, 4},
	{6, TCPV4 | VIRTIO_NET_HDR_GSO_ECN, 3000, 1000, 3},
	{17, UDP_L4, 60000, 1472, 41},
	{17, UDP_L4, 5, 1, 5},
};

static void segments_are_packets_of_their_own(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++)
		for (size_t i = 0;
		     i < sizeof(segment_cases) / sizeof(segment_cases[0]);
		     i++) {
			const struct segment_case *c = &segment_cases[i];
			struct packet p = super_packet(c->proto, c->payload,
						       c->size, c->gso);
			struct seen seen = {.p = &p};

			p.ifindex = 7;
			p.link_len = 14;
			assert_int_equal(packet_segment(&p, scratch,
							check_segment, &seen),
					 0);
			assert_int_equal(seen.count, c->count);
			assert_int_equal(seen.bytes, c->payload);
		}
}

static void changes_to_a_super_packet_are_in_every_segment(void **state)
{
	struct packet p = super_packet(6, 5000, 1000, TCPV4);
	struct seen seen = {.p = &p};

	(void)state;
	assert_int_equal(packet_set(&p, FIELD_IP_DST, 0x01020304), 0);
	assert_int_equal(packet_set(&p, FIELD_TCP_DPORT, 8080), 0);
	assert_int_equal(packet_set(&p, FIELD_IP_TTL, 3), 0);
	assert_int_equal(packet_segment(&p, scratch, check_segment, &seen), 0);
	assert_int_equal(seen.count, 5);
}

static void the_callback_can_stop(void **state)
{
	struct packet p = super_packet(6, 5000, 1000, TCPV4);
	struct seen seen = {.p = &p, .stop_at = 2};

	(void)state;
	assert_int_equal(packet_segment(&p, scratch, check_segment, &seen),
			 -EINTR);
	assert_int_equal(seen.count, 2);
}

static int sum_is_kept(struct packet *s, void *arg)
{
	uint32_t value;

	(void)arg;
	assert_int_equal(packet_get(s, FIELD_TCP_CHECKSUM, &value), 0);
	assert_int_equal(value, 0xbad);
	assert_true(reference_ip_ok(s->data));
	return 0;
}

static void a_checksum_written_by_hand_is_in_every_segment(void **state)
{
	struct packet p = super_packet(6, 5000, 1000, TCPV4);

	(void)state;
	assert_int_equal(packet_set(&p, FIELD_TCP_CHECKSUM, 0xbad), 0);
	assert_int_equal(packet_segment(&p, scratch, sum_is_kept, NULL), 0);
	/* Nor does completing it as one packet touch it. */
	packet_checksum(&p, true);
	assert_false(p.offload.need_csum);
	assert_int_equal(sum_is_kept(&p, NULL), 0);
}

static int not_called(struct packet *s, void *arg)
{
	(void)s;
	(void)arg;
	fail_msg("a segment of what cannot be cut");
	return 0;
}

static void what_is_no_super_packet_is_refused(void **state)
{
	static const struct {
		uint8_t proto, gso;
		uint16_t size, fragment;
	} cases[] = {
		{6, 0, 1000, 0},
		{6, TCPV4, 0, 0},
		{6, UDP_L4, 1000, 0},
		{17, TCPV4, 1000, 0},
		{17, VIRTIO_NET_HDR_GSO_UDP, 1000, 0},
		{6, VIRTIO_NET_HDR_GSO_TCPV6, 1000, 0},
		{6, TCPV4, 1000, 0x2000},
		{6, TCPV4, 65535, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct packet p = super_packet(cases[i].proto, 3000,
					       cases[i].size, cases[i].gso);

		put_be16(p.data + 6, cases[i].fragment);
		packet_parse(&p);
		assert_int_equal(packet_segment(&p, scratch, not_called, NULL),
				 -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_are_packets_of_their_own),
		cmocka_unit_test(
			changes_to_a_super_packet_are_in_every_segment),
		cmocka_unit_test(the_callback_can_stop),
		cmocka_unit_test(
			a_checksum_written_by_hand_is_in_every_segment),
		cmocka_unit_test(what_is_no_super_packet_is_refused),
	};

	return cmocka_run_group_tests_name("packet_segment", tests, NULL, NULL);
}
