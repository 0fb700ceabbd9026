/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Bytes spliced in and out, and options: lengths and checksums follow. */
#include "packet_sample.h"

#include <errno.h>
#include <linux/virtio_net.h>

static const uint8_t protos[] = {6, 17, 1, 2};

/* The packet's payload must be what the same splice makes of a copy. */
static void payloads_grow_and_shrink(void **state)
{
	(void)state;
	print_message("seed %016llx\n", (unsigned long long)sample_seed);
	for (unsigned i = 0; i < 4000; i++) {
		uint8_t b[600], expect[1200], with[300];
		uint8_t proto = protos[i % 4];
		uint32_t n = sample_make(b, proto, sample_random() % 300);
		struct packet p = sample_packet(b, n);
		uint32_t off =
			p.payload + sample_random() % (n - p.payload + 1);
		uint32_t old = sample_random() % (n - off + 1);
		uint32_t size = sample_random() % 300;

		sample_fill(with, size);
		memcpy(expect, b, off);
		memcpy(expect + off, with, size);
		memcpy(expect + off + size, b + off + old, n - off - old);
		assert_int_equal(packet_splice(&p, off, old, with, size), 0);
		n = n - old + size;
		assert_int_equal(p.len, n);
		assert_int_equal(p.tail, 0);
		assert_int_equal(get_be16(p.data + 2), n);
		assert_memory_equal(p.data + p.payload, expect + p.payload,
				    n - p.payload);
		if (proto == 17)
			assert_int_equal(get_be16(p.data + p.transport + 4),
					 n - p.transport);
		if (!reference_ip_ok(p.data) || !reference_l4_ok(p.data))
			fail_msg("packet %u, proto %u, at %u: %u for %u", i,
				 proto, off, size, old);
		memcpy(expect, p.data, n);
		packet_checksum(&p, false);
		assert_memory_equal(p.data, expect, n);
	}
}

static void a_wrong_checksum_is_not_repaired(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint8_t b[300];
		uint32_t n = sample_make(b, protos[i], 51), at;
		struct packet p;

		at = (b[0] & 15u) * 4 + sample_field(protos[i]);
		b[at] ^= 0x10;
		b[10] ^= 1;
		p = sample_packet(b, n);
		assert_int_equal(packet_splice(&p, n - 3, 2, "longer", 6), 0);
		assert_int_equal(packet_set_ip_options(&p, "\1\1\1\1\1", 5), 0);
		assert_false(packet_ip_checksum_ok(&p));
		assert_false(packet_l4_checksum_ok(&p));
	}
}

static void an_open_checksum_stays_the_pseudo_headers_sum(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 600; i++) {
		uint8_t b[300], proto = i & 1 ? 6 : 17;
		uint32_t n = sample_make(b, proto, 60), l4 = (b[0] & 15u) * 4;
		uint32_t field = sample_field(proto);
		struct packet p;

		put_be16(b + l4 + field, reference_pseudo(b, n - l4));
		p = sample_packet(b, n);
		p.offload = (struct packet_offload){
			.need_csum = true,
			.csum_start = (uint16_t)l4,
			.csum_offset = (uint16_t)field,
			.hdr_len = p.payload,
		};
		switch (i / 2 % 3) {
		case 0:
			assert_int_equal(
				packet_splice(&p, p.payload + 1u, 9, b, i % 50),
				0);
			break;
		case 1:
			assert_int_equal(packet_set_ip_options(&p, b, i % 41),
					 0);
			break;
		default:
			assert_int_equal(packet_set_tcp_options(&p, b, i % 41),
					 proto == 6 ? 0 : -ERANGE);
		}
		assert_int_equal(p.offload.csum_start, p.transport);
		assert_int_equal(p.offload.hdr_len, p.payload);
		assert_int_equal(get_be16(p.data + p.transport + field),
				 reference_pseudo(p.data, p.len - p.transport));
		packet_checksum(&p, true);
		assert_true(reference_l4_ok(p.data));
		assert_true(reference_ip_ok(p.data));
	}
}

static void options_of_any_size_replace_those_there(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t b[300], options[40];
		uint32_t n = sample_make(b, protos[i % 4], 33), payload;
		uint32_t size = sample_random() % 41,
			 padded = (size + 3) / 4 * 4;
		struct packet p = sample_packet(b, n);
		bool tcp = i & 4 && p.proto == 6;
		uint32_t at = tcp ? p.transport + 20u : 20u, old;

		payload = p.payload;
		old = tcp ? p.payload - at : p.header - 20u;
		sample_fill(options, size);
		if (tcp)
			assert_int_equal(
				packet_set_tcp_options(&p, options, size), 0);
		else
			assert_int_equal(
				packet_set_ip_options(&p, options, size), 0);
		assert_int_equal(p.len, n - old + padded);
		assert_int_equal(p.payload, payload - old + padded);
		assert_memory_equal(p.data + at, options, size);
		for (uint32_t k = size; k < padded; k++)
			assert_int_equal(p.data[at + k], 0);
		assert_memory_equal(p.data + p.payload, b + payload,
				    n - payload);
		assert_true(reference_ip_ok(p.data));
		assert_true(reference_l4_ok(p.data));
		assert_false(p.flags & PACKET_L4_CSUM_KEPT);
	}
}

static void udp_padding_is_no_part_of_the_datagram(void **state)
{
	uint8_t b[sizeof(sample_udp) + 6];
	struct packet p;

	(void)state;
	memcpy(b, sample_udp, sizeof(sample_udp));
	memset(b + sizeof(sample_udp), 0x5a, 6);
	put_be16(b + 2, sizeof(b));
	p = SAMPLE(b);
	packet_checksum(&p, false);
	assert_int_equal(get_be16(p.data + 26), 0xbaa6);
	/* Across the datagram's end: two of its bytes, three of the rest. */
	assert_int_equal(packet_splice(&p, 31, 5, "spliced", 7), 0);
	assert_int_equal(get_be16(p.data + 24), 13 - 2 + 7);
	assert_true(reference_l4_ok(p.data));
	/* Behind it: it keeps its length and checksum. */
	assert_int_equal(packet_splice(&p, p.len - 1, 1, "", 0), 0);
	assert_int_equal(get_be16(p.data + 24), 18);
	assert_true(reference_l4_ok(p.data));
	assert_true(reference_ip_ok(p.data));
}

static void a_later_fragment_has_its_ip_length_changed_only(void **state)
{
	struct packet p = SAMPLE(sample_udp);

	(void)state;
	assert_int_equal(packet_set(&p, FIELD_IP_FRAG_OFFSET, 7), 0);
	assert_int_equal(packet_splice(&p, 20, 0, "12345678", 8), 0);
	assert_int_equal(p.len, 41);
	assert_memory_equal(p.data + 28, sample_udp + 20, 13);
	assert_true(reference_ip_ok(p.data));
	assert_int_equal(packet_splice(&p, 19, 0, "1", 1), -ERANGE);
}

static void what_does_not_fit_is_refused(void **state)
{
	static uint8_t much[PACKET_MAX];
	struct packet p = SAMPLE(sample_udp);
	uint8_t exact[33 + 8];

	(void)state;
	assert_int_equal(packet_splice(&p, 27, 1, "x", 1), -ERANGE);
	assert_int_equal(packet_splice(&p, 34, 0, "x", 1), -ERANGE);
	assert_int_equal(packet_splice(&p, 30, 4, "x", 1), -ERANGE);
	assert_int_equal(packet_splice(&p, 30, UINT32_MAX, "x", 1), -ERANGE);
	assert_int_equal(packet_write(&p, 30, "1234", 4), -ERANGE);
	assert_int_equal(packet_splice(&p, 33, 0, much, PACKET_MAX - 32),
			 -EMSGSIZE);
	assert_int_equal(packet_set_ip_options(&p, much, 41), -EMSGSIZE);
	assert_int_equal(packet_set_tcp_options(&p, much, 4), -ERANGE);
	assert_int_equal(p.flags, 0);
	assert_memory_equal(p.data, sample_udp, sizeof(sample_udp));
	assert_int_equal(packet_splice(&p, 33, 0, much, PACKET_MAX - 33), 0);
	assert_int_equal(p.len, PACKET_MAX);
	assert_true(reference_l4_ok(p.data));

	memcpy(exact, sample_udp, 33);
	packet_init(&p, exact, sizeof(exact), exact, 33, NULL);
	assert_int_equal(packet_splice(&p, 33, 0, much, 9), -EMSGSIZE);
	assert_int_equal(packet_splice(&p, 33, 0, much, 8), 0);
	assert_int_equal(packet_set_ip_options(&p, much, 1), -EMSGSIZE);

	p = sample_packet(sample_udp, 12);
	assert_int_equal(packet_splice(&p, 2, 1, "xy", 2), -ERANGE);
	assert_int_equal(packet_set_ip_options(&p, much, 4), -ERANGE);
}

static void padding_gives_way_to_a_longer_packet(void **state)
{
	uint8_t b[46] = {0};
	struct packet p;

	(void)state;
	memcpy(b, sample_udp, sizeof(sample_udp));
	p = SAMPLE(b);
	assert_int_equal(p.tail, 13);
	assert_int_equal(packet_splice(&p, 33, 0, ", world", 7), 0);
	assert_int_equal(p.len, 40);
	assert_int_equal(p.tail, 0);
	assert_memory_equal(p.data + 28, "hello, world", 12);
	assert_true(reference_l4_ok(p.data));
}

static void a_super_packet_of_datagrams_keeps_its_length(void **state)
{
	struct packet p = SAMPLE(sample_udp);

	(void)state;
	p.offload.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	p.offload.gso_size = 2;
	assert_int_equal(packet_splice(&p, 30, 1, "xy", 2), -EOPNOTSUPP);
	assert_int_equal(packet_set_ip_options(&p, "\1\1\1\1", 4), -EOPNOTSUPP);
	assert_int_equal(packet_splice(&p, 30, 2, "xy", 2), 0);
	assert_memory_equal(p.data + 28, "hexyo", 5);
	assert_true(reference_l4_ok(p.data));
}

/* A TCP super-packet as a device takes it, with n bytes of data. */
static struct packet super(uint32_t n, uint16_t gso_size)
{
	static const uint8_t data[5000];
	struct packet p = SAMPLE(sample_syn);

	assert_int_equal(packet_splice(&p, p.payload, 0, data, n), 0);
	assert_int_equal(packet_make_super(&p, gso_size), 0);
	return p;
}

static void a_tcp_super_packet_stands_for_more_or_fewer(void **state)
{
	uint8_t with[3000];

	(void)state;
	sample_fill(with, sizeof(with));
	for (unsigned i = 0; i < 500; i++) {
		struct packet p = super(3000, 1000);
		uint32_t at = p.payload + sample_random() % 3000;
		uint32_t old = sample_random() % (p.len - at + 1);
		uint32_t n = sample_random() % sizeof(with), len;

		len = p.len - old + n;
		assert_int_equal(packet_splice(&p, at, old, with, n), 0);
		assert_int_equal(p.len, len);
		assert_memory_equal(p.data + at, with, n);
		assert_true(p.offload.need_csum);
		assert_int_equal(p.offload.csum_start, p.transport);
		if (p.len - p.payload > 1000) {
			assert_int_equal(p.offload.gso_type,
					 VIRTIO_NET_HDR_GSO_TCPV4);
			assert_int_equal(p.offload.gso_size, 1000);
			assert_int_equal(p.offload.hdr_len, p.payload);
		} else {
			assert_int_equal(p.offload.gso_type, 0);
		}
		assert_int_equal(get_be16(p.data + p.transport + 16),
				 reference_pseudo(p.data, p.len - p.transport));
		assert_true(reference_ip_ok(p.data));
		packet_checksum(&p, true);
		assert_true(reference_l4_ok(p.data));
	}
}

static void what_offload_cannot_cut_is_no_super_packet(void **state)
{
	struct packet p = SAMPLE(sample_udp);

	(void)state;
	assert_int_equal(packet_make_super(&p, 1), -EINVAL);
	p = SAMPLE(sample_syn);
	assert_int_equal(packet_splice(&p, p.payload, 0, "hello", 5), 0);
	assert_int_equal(packet_make_super(&p, 0), -EINVAL);
	/* It fits one. */
	assert_int_equal(packet_make_super(&p, 5), 0);
	assert_int_equal(p.offload.gso_type, 0);
	assert_true(reference_l4_ok(p.data));
	/* Cutting it would make its checksum right. */
	p.data[p.payload] ^= 1;
	assert_int_equal(packet_make_super(&p, 4), -EINVAL);
	p.data[p.payload] ^= 1;
	packet_set(&p, FIELD_IP_MF, 1);
	assert_int_equal(packet_make_super(&p, 4), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payloads_grow_and_shrink),
		cmocka_unit_test(a_wrong_checksum_is_not_repaired),
		cmocka_unit_test(an_open_checksum_stays_the_pseudo_headers_sum),
		cmocka_unit_test(options_of_any_size_replace_those_there),
		cmocka_unit_test(udp_padding_is_no_part_of_the_datagram),
		cmocka_unit_test(
			a_later_fragment_has_its_ip_length_changed_only),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(padding_gives_way_to_a_longer_packet),
		cmocka_unit_test(
			a_super_packet_of_datagrams_keeps_its_length),
		cmocka_unit_test(a_tcp_super_packet_stands_for_more_or_fewer),
		cmocka_unit_test(what_offload_cannot_cut_is_no_super_packet),
	};

	return cmocka_run_group_tests_name("packet_splice", tests, NULL, NULL);
}
