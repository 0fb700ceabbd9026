/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checksums: the sums themselves against a reference, and that those of a
 * packet stay right whatever is written into it.
 */
#include "packet_sample.h"

#include <linux/virtio_net.h>

static void sums_are_those_of_the_reference(void **state)
{
	uint8_t b[2000];

	(void)state;
	sample_fill(b, sizeof(b));
	memset(b, 0xff, 300);
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t at = sample_random() % 100, start = sample_random();
		uint32_t n = sample_random() % (sizeof(b) - at);
		uint16_t even = reference_sum(start & 0xffff, b + at, n);
		uint16_t got = checksum_fold(
			checksum_add(start & 0xffff, b + at, n, false));
		uint8_t shifted[2001] = {0};

		assert_int_equal(got, even);
		memcpy(shifted + 1, b + at, n);
		got = checksum_fold(checksum_add(0, b + at, n, true));
		assert_int_equal(got, reference_sum(0, shifted, n + 1));
	}
	assert_int_equal(checksum_add(7, b, 0, false), 7);
	assert_int_equal(checksum_fold(UINT64_MAX), 0xffff);
	assert_int_equal(checksum_fold(0), 0);
}

/* RFC 1624, section 4: the case in which RFC 1141 gives 0xffff. */
static void the_example_of_rfc_1624_gives_zero(void **state)
{
	(void)state;
	assert_int_equal(checksum_update(0xdd2f, 0x5555, 0x3285), 0x0000);
}

struct known_case {
	const char *name;
	const uint8_t *bytes;
	uint32_t size;
	uint16_t ip, l4; /* the literal's own */
	uint32_t l4_at;
};

static const struct known_case known_cases[] = {
	{"tcp", sample_syn, sizeof(sample_syn), 0x3239, 0xbf59, 36},
	{"udp", sample_udp, sizeof(sample_udp), 0x8e8e, 0xbaa6, 26},
	{"icmp", sample_icmp, sizeof(sample_icmp), 0x8e9f, 0x2168, 22},
	{"igmp", sample_igmp, sizeof(sample_igmp), 0xf998, 0x0904, 26},
};

static void known_packets_have_their_known_checksums(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known_cases) / sizeof(known_cases[0]);
	     i++) {
		const struct known_case *c = &known_cases[i];
		struct packet p = sample_packet(c->bytes, c->size);

		assert_true(packet_ip_checksum_ok(&p));
		assert_true(packet_l4_checksum_ok(&p));
		put_be16(p.data + 10, 0x1111);
		if (p.proto != 2)
			put_be16(p.data + c->l4_at, 0x2222);
		assert_false(packet_ip_checksum_ok(&p));
		assert_int_equal(packet_l4_checksum_ok(&p), p.proto == 2);
		packet_checksum(&p, false);
		if (get_be16(p.data + 10) != c->ip ||
		    get_be16(p.data + c->l4_at) != c->l4)
			fail_msg("%s: %04x %04x", c->name,
				 get_be16(p.data + 10),
				 get_be16(p.data + c->l4_at));
	}
}

static const uint8_t protos[] = {6, 17, 1, 2, 132};

/* Up to 8 bytes, or now and then any number, anywhere but the checksums and
 * the bytes that say where the headers are. */
static void random_edit(struct packet *p)
{
	uint8_t b[1600];
	uint32_t n = sample_random() % 8 ? 1 + sample_random() % 8
					 : 1 + sample_random() % 1500;
	uint32_t off = sample_random() % p->len;
	uint32_t l4 = (p->data[0] & 15u) * 4;

	if (n > p->len - off)
		n = p->len - off;
	sample_fill(b, n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = off + i, in = at - l4;
		uint8_t proto = p->proto;
		bool fixed = at < 4 || at == 6 || at == 7 || at == 9;

		if (at >= l4)
			fixed |= (proto == 6 && in == 12) ||
				 (proto == 17 && (in == 4 || in == 5));
		if (fixed)
			b[i] = p->data[at];
		/* Stop short of a checksum; the next edit starts behind. */
		if (at == 10 || at == 11 ||
		    (at >= l4 && sample_field(proto) &&
		     (in == sample_field(proto) ||
		      in == sample_field(proto) + 1))) {
			n = i;
			break;
		}
	}
	assert_int_equal(packet_write(p, off, b, n), 0);
}

static void checksums_follow_thousands_of_random_edits(void **state)
{
	(void)state;
	print_message("seed %016llx\n", (unsigned long long)sample_seed);
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t b[1800], proto = protos[i % sizeof(protos)];
		uint32_t n = sample_make(b, proto, sample_random() % 1400);
		struct packet p = sample_packet(b, n);

		assert_true(reference_ip_ok(p.data));
		assert_true(reference_l4_ok(p.data));
		for (unsigned k = 0; k < 12; k++) {
			uint8_t before[1800];

			random_edit(&p);
			if (!reference_ip_ok(p.data) ||
			    !reference_l4_ok(p.data))
				fail_msg("packet %u, edit %u, proto %u", i, k,
					 proto);
			/* The very bytes that a fresh start would give. */
			memcpy(before, p.data, p.len);
			packet_checksum(&p, false);
			assert_memory_equal(p.data, before, p.len);
		}
		assert_int_equal(p.len, n);
		assert_int_equal(p.tail, 0);
		assert_int_equal(p.flags & PACKET_L4_CSUM_KEPT, 0);
	}
}

static void a_wrong_checksum_stays_wrong_by_the_same_amount(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 900; i++) {
		uint8_t b[400], proto = protos[i % 3];
		uint32_t n = sample_make(b, proto, sample_random() % 300);
		uint32_t l4 = (b[0] & 15u) * 4 + sample_field(proto);
		struct packet p;

		put_be16(b + 10, (uint16_t)(get_be16(b + 10) ^ 0x0101));
		put_be16(b + l4, (uint16_t)(get_be16(b + l4) ^ 0x4000));
		if (!get_be16(b + l4))
			continue;
		p = sample_packet(b, n);
		for (unsigned k = 0; k < 5; k++)
			random_edit(&p);
		assert_false(reference_ip_ok(p.data));
		assert_false(reference_l4_ok(p.data));
		/* Taking the edits back gives the first bytes again. */
		for (uint32_t at = 12; at < n; at++)
			if (at != l4 && at != l4 + 1)
				packet_write(&p, at, b + at, 1);
		packet_write(&p, 0, b, 10);
		assert_memory_equal(p.data, b, n);
	}
}

/* A packet as a local sender hands it over: the pseudo-header's sum only. */
static struct packet open_packet(uint8_t proto, uint32_t payload, uint8_t gso)
{
	uint8_t b[2000];
	uint32_t n = sample_make(b, proto, payload), l4 = (b[0] & 15u) * 4;
	struct packet p;

	put_be16(b + l4 + sample_field(proto), reference_pseudo(b, n - l4));
	p = sample_packet(b, n);
	p.offload.need_csum = true;
	p.offload.csum_start = (uint16_t)l4;
	p.offload.csum_offset = (uint16_t)sample_field(proto);
	p.offload.gso_type = gso;
	return p;
}

static void an_open_checksum_follows_the_pseudo_header_only(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t proto = i & 1 ? 6 : 17;
		struct packet p =
			open_packet(proto, sample_random() % 900,
				    i % 3 ? 0 : VIRTIO_NET_HDR_GSO_TCPV4);
		uint32_t field = p.transport + sample_field(proto);

		for (unsigned k = 0; k < 8; k++) {
			random_edit(&p);
			assert_int_equal(
				get_be16(p.data + field),
				reference_pseudo(p.data, p.len - p.transport));
			assert_true(p.offload.need_csum);
		}
		assert_true(reference_ip_ok(p.data));
		assert_true(packet_l4_checksum_ok(&p));
		p.offload.gso_type = 0;
		packet_checksum(&p, true);
		assert_false(p.offload.need_csum);
		assert_true(reference_l4_ok(p.data));
	}
}

static void what_will_be_sent_is_read_while_it_is_open(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		struct packet p =
			open_packet(i & 1 ? 6 : 17, sample_random() % 900, 0);
		uint32_t before, after;
		enum packet_field f =
			i & 1 ? FIELD_TCP_CHECKSUM : FIELD_UDP_CHECKSUM;

		assert_int_equal(packet_get(&p, f, &before), 0);
		packet_checksum(&p, true);
		assert_int_equal(packet_get(&p, f, &after), 0);
		/* The two zeros of TCP are one. */
		assert_true(before == after || before + after == 0xffff);
	}
}

static void an_open_checksum_written_by_hand_is_no_longer_open(void **state)
{
	struct packet p = open_packet(6, 10, 0);
	struct address a;
	uint32_t value;

	(void)state;
	assert_int_equal(address_parse(&a, "203.0.113.9"), 0);
	assert_int_equal(packet_set(&p, FIELD_TCP_CHECKSUM, 0xbeef), 0);
	assert_false(p.offload.need_csum);
	assert_int_equal(packet_set_address(&p, FIELD_IP_DST, &a), 0);
	packet_checksum(&p, true);
	assert_int_equal(packet_get(&p, FIELD_TCP_CHECKSUM, &value), 0);
	assert_int_equal(value, 0xbeef);
	assert_true(reference_ip_ok(p.data));
}

static void a_layout_change_closes_an_open_checksum(void **state)
{
	struct packet p = open_packet(17, 11, 0);

	(void)state;
	assert_int_equal(packet_set(&p, FIELD_IP_MF, 1), 0);
	assert_false(p.offload.need_csum);
	assert_true(p.flags & PACKET_FRAGMENT);
	assert_true(reference_l4_ok(p.data));
	assert_true(reference_ip_ok(p.data));
}

/* A tunnel's packet: the inner checksum is open, the outer one is made for
 * what will be sent. */
static void an_open_inner_checksum_leaves_the_outer_one_right(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		uint8_t inner[600], b[700];
		uint32_t n = sample_make(inner, i & 1 ? 6 : 17,
					 sample_random() % 400);
		uint32_t l4 = (inner[0] & 15u) * 4, outer;
		struct packet p;

		sample_make(b, 17, n);
		outer = (b[0] & 15u) * 4 + 8;
		memcpy(b + outer, inner, n);
		p = sample_packet(b, outer + n);
		packet_checksum(&p, false);
		assert_true(reference_l4_ok(p.data));
		/* Now as the kernel hands it over. */
		p.offload.need_csum = true;
		p.offload.csum_start = (uint16_t)(outer + l4);
		p.offload.csum_offset = i & 1 ? 16 : 6;
		put_be16(p.data + outer + l4 + p.offload.csum_offset,
			 reference_pseudo(p.data + outer, n - l4));
		for (unsigned k = 0; k < 4; k++) {
			uint8_t byte = (uint8_t)sample_random();
			uint32_t at = outer + l4 + 20 + sample_random() % 300;

			packet_set(&p, FIELD_UDP_SPORT,
				   sample_random() & 0xffff);
			packet_set(&p, FIELD_IP_DST, sample_random());
			if (at < p.len)
				packet_write(&p, at, &byte, 1);
		}
		/* The device completes the inner one and no other. */
		{
			uint8_t *start = p.data + p.offload.csum_start;
			uint16_t sum = (uint16_t)~reference_sum(
				0, start, p.len - p.offload.csum_start);

			put_be16(start + p.offload.csum_offset,
				 sum ? sum : 0xffff);
		}
		assert_true(reference_l4_ok(p.data));
		assert_true(reference_ip_ok(p.data));
	}
}

static void udp_without_a_checksum_stays_without(void **state)
{
	struct packet p = SAMPLE(sample_udp);

	(void)state;
	put_be16(p.data + 26, 0);
	assert_true(packet_l4_checksum_ok(&p));
	assert_int_equal(packet_set(&p, FIELD_UDP_DPORT, 99), 0);
	assert_int_equal(packet_set(&p, FIELD_IP_SRC, 99), 0);
	assert_int_equal(packet_splice(&p, 28, 5, "abc", 3), 0);
	assert_int_equal(get_be16(p.data + 26), 0);
	assert_int_equal(get_be16(p.data + 24), 11);
	assert_true(reference_ip_ok(p.data));
}

static void a_computed_zero_of_udp_becomes_all_ones(void **state)
{
	struct packet p = SAMPLE(sample_udp);
	unsigned seen = 0;

	(void)state;
	/* One of all source ports makes the sum come out as zero. */
	for (uint32_t port = 0; port < 0x10000; port++) {
		assert_int_equal(packet_set(&p, FIELD_UDP_SPORT, port), 0);
		assert_int_not_equal(get_be16(p.data + 26), 0);
		seen += get_be16(p.data + 26) == 0xffff;
	}
	assert_true(seen > 0);
	assert_true(reference_l4_ok(p.data));
}

static void an_icmp_message_of_zeros_has_the_other_zero(void **state)
{
	struct packet p = SAMPLE(sample_icmp);
	static const uint8_t zeros[7];

	(void)state;
	packet_write(&p, 24, zeros, 7);
	packet_write(&p, 20, zeros, 1);
	assert_int_equal(get_be16(p.data + 22), 0xffff);
	assert_true(packet_l4_checksum_ok(&p));
	packet_write(&p, 20, "\x08", 1);
	assert_int_equal(get_be16(p.data + 22), 0xf7ff);
}

static void a_first_fragment_follows_an_address(void **state)
{
	struct address a;
	uint8_t b[2000];

	(void)state;
	assert_int_equal(address_parse(&a, "203.0.113.250"), 0);
	for (unsigned i = 0; i < 300; i++) {
		uint8_t proto = protos[i % 3];
		uint32_t n = sample_make(b, proto, 400), header;
		struct packet p;

		header = (b[0] & 15u) * 4;
		p = sample_packet(b, n);
		/* Cut it in two by hand, as a router would. */
		put_be16(p.data + 2, (uint16_t)(header + 200));
		put_be16(p.data + 6, 0x2000);
		packet_init(&p, p.head, p.size, p.data, header + 200, NULL);
		packet_checksum(&p, false);
		assert_int_equal(packet_set_address(&p, FIELD_IP_DST, &a), 0);
		assert_int_equal(packet_write(&p, p.payload + 1u, "edit", 4),
				 0);
		assert_true(p.flags & PACKET_REDIRECTED);
		assert_true(reference_ip_ok(p.data));
		assert_true(packet_l4_checksum_ok(&p)); /* not judged */
		/* Put together again it is right as a whole. */
		put_be16(p.data + 2, (uint16_t)n);
		put_be16(p.data + 6, 0);
		assert_true(reference_l4_ok(p.data));
	}
}

static void a_fragment_that_is_declared_whole_gets_a_checksum(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint8_t b[200];
		uint32_t n = sample_make(b, protos[i], 64);
		struct packet p;

		/* The rest of the datagram is elsewhere, so this is not the
		 * checksum of what is here. */
		b[n - 1] ^= 0x55;
		put_be16(b + 6, 0x2000);
		p = sample_packet(b, n);
		packet_checksum(&p, false);
		assert_false(reference_l4_ok(p.data));
		assert_int_equal(packet_set(&p, FIELD_IP_MF, 0), 0);
		assert_true(reference_l4_ok(p.data));
		assert_true(reference_ip_ok(p.data));
	}
}

static void a_later_fragment_changes_only_the_ip_checksum(void **state)
{
	struct packet p = SAMPLE(sample_udp);
	uint8_t rest[13];

	(void)state;
	assert_int_equal(packet_set(&p, FIELD_IP_FRAG_OFFSET, 5), 0);
	memcpy(rest, p.data + 20, 13);
	assert_int_equal(packet_set(&p, FIELD_IP_DST, 0x01020304), 0);
	assert_memory_equal(rest, p.data + 20, 13);
	assert_true(reference_ip_ok(p.data));
	assert_true(packet_l4_checksum_ok(&p));
}

static void checksums_written_by_hand_are_kept(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		static const enum packet_field fields[] = {FIELD_TCP_CHECKSUM,
							   FIELD_UDP_CHECKSUM,
							   FIELD_ICMP_CHECKSUM};
		uint8_t b[200];
		uint32_t n = sample_make(b, protos[i], 50), value;
		struct packet p = sample_packet(b, n);

		assert_int_equal(packet_set(&p, FIELD_IP_CHECKSUM, 0x1234), 0);
		assert_int_equal(packet_set(&p, fields[i], 0x5678), 0);
		assert_int_equal(
			p.flags & (PACKET_IP_CSUM_KEPT | PACKET_L4_CSUM_KEPT),
			PACKET_IP_CSUM_KEPT | PACKET_L4_CSUM_KEPT);
		random_edit(&p);
		assert_int_equal(packet_set(&p, FIELD_IP_SRC, 1), 0);
		assert_int_equal(packet_splice(&p, p.payload, 3, "xy", 2), 0);
		assert_int_equal(packet_set_ip_options(&p, "\x01", 1), 0);
		packet_checksum(&p, true);
		assert_int_equal(packet_get(&p, FIELD_IP_CHECKSUM, &value), 0);
		assert_int_equal(value, 0x1234);
		assert_int_equal(packet_get(&p, fields[i], &value), 0);
		assert_int_equal(value, 0x5678);
		assert_false(packet_ip_checksum_ok(&p));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_are_those_of_the_reference),
		cmocka_unit_test(the_example_of_rfc_1624_gives_zero),
		cmocka_unit_test(known_packets_have_their_known_checksums),
		cmocka_unit_test(checksums_follow_thousands_of_random_edits),
		cmocka_unit_test(
			a_wrong_checksum_stays_wrong_by_the_same_amount),
		cmocka_unit_test(
			an_open_checksum_follows_the_pseudo_header_only),
		cmocka_unit_test(what_will_be_sent_is_read_while_it_is_open),
		cmocka_unit_test(
			an_open_checksum_written_by_hand_is_no_longer_open),
		cmocka_unit_test(a_layout_change_closes_an_open_checksum),
		cmocka_unit_test(
			an_open_inner_checksum_leaves_the_outer_one_right),
		cmocka_unit_test(udp_without_a_checksum_stays_without),
		cmocka_unit_test(a_computed_zero_of_udp_becomes_all_ones),
		cmocka_unit_test(an_icmp_message_of_zeros_has_the_other_zero),
		cmocka_unit_test(a_first_fragment_follows_an_address),
		cmocka_unit_test(
			a_fragment_that_is_declared_whole_gets_a_checksum),
		cmocka_unit_test(a_later_fragment_changes_only_the_ip_checksum),
		cmocka_unit_test(checksums_written_by_hand_are_kept),
	};

	return cmocka_run_group_tests_name("packet_checksum", tests, NULL,
					   NULL);
}
