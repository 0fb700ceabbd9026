/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the packet room share: literal packets, a reference
 * checksum as RFC 1071 words it (slow, and nothing of ours in it), and random
 * packets from a seed.
 */
#ifndef SLUICE_TESTS_PACKET_SAMPLE_H
#define SLUICE_TESTS_PACKET_SAMPLE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "packet/packet.h"

/* 192.0.2.2:30732 > 198.51.100.7:80, SYN; MSS, SACK, timestamp, scale. */
static const uint8_t sample_syn[] = {
	0x45, 0x00, 0x00, 0x3c, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x06, 0x32, 0x39,
	0xc0, 0x00, 0x02, 0x02, 0xc6, 0x33, 0x64, 0x07, 0x78, 0x0c, 0x00, 0x50,
	0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x02, 0x20, 0x00,
	0xbf, 0x59, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a,
	0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07};

/* 192.0.2.2:5353 > 198.51.100.7:53, "hello": an odd length. */
static const uint8_t sample_udp[] = {
	0x45, 0x00, 0x00, 0x21, 0x00, 0x01, 0x00, 0x00, 0x40, 0x11, 0x8e,
	0x8e, 0xc0, 0x00, 0x02, 0x02, 0xc6, 0x33, 0x64, 0x07, 0x14, 0xe9,
	0x00, 0x35, 0x00, 0x0d, 0xba, 0xa6, 0x68, 0x65, 0x6c, 0x6c, 0x6f};

/* 192.0.2.2 > 198.51.100.7, echo request, id 0x1234, seq 1, "abc". */
static const uint8_t sample_icmp[] = {
	0x45, 0x00, 0x00, 0x1f, 0x00, 0x02, 0x00, 0x00, 0x40, 0x01, 0x8e,
	0x9f, 0xc0, 0x00, 0x02, 0x02, 0xc6, 0x33, 0x64, 0x07, 0x08, 0x00,
	0x21, 0x68, 0x12, 0x34, 0x00, 0x01, 0x61, 0x62, 0x63};

/* IGMP behind a router alert option: no transport header of ours. */
static const uint8_t sample_igmp[] = {
	0x46, 0x00, 0x00, 0x20, 0x00, 0x02, 0x00, 0x00, 0x40, 0x02, 0xf9,
	0x98, 0xc0, 0x00, 0x02, 0x02, 0xc6, 0x33, 0x64, 0x07, 0x94, 0x04,
	0x00, 0x00, 0x16, 0x00, 0x09, 0x04, 0xe0, 0x00, 0x00, 0xfb};

static uint8_t sample_buffer[PACKET_BUFFER];

/* A packet of these bytes, PACKET_HEADROOM into the shared buffer. */
static inline struct packet sample_packet(const uint8_t *b, uint32_t n)
{
	struct packet p;

	memset(sample_buffer, 0xee, sizeof(sample_buffer));
	memcpy(sample_buffer + PACKET_HEADROOM, b, n);
	packet_init(&p, sample_buffer, sizeof(sample_buffer),
		    sample_buffer + PACKET_HEADROOM, n, NULL);
	return p;
}
#define SAMPLE(s) sample_packet(s, sizeof(s))

/* RFC 1071: the complement of the one's complement sum of 16-bit words. */
static inline uint16_t reference_sum(uint32_t sum, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline uint16_t reference_pseudo(const uint8_t *ip, uint32_t length)
{
	return reference_sum(ip[9] + length, ip + 12, 8);
}

/* What a receiver makes of the packet, from its bytes alone. */
static inline bool reference_ip_ok(const uint8_t *ip)
{
	return reference_sum(0, ip, (ip[0] & 15u) * 4) == 0xffff;
}

static inline bool reference_l4_ok(const uint8_t *ip)
{
	uint32_t header = (ip[0] & 15u) * 4, n = get_be16(ip + 2) - header;
	const uint8_t *l4 = ip + header;

	switch (ip[9]) {
	case 1:
		return reference_sum(0, l4, n) == 0xffff;
	case 17:
		if (!get_be16(l4 + 6))
			return true;
		n = get_be16(l4 + 4);
		/* fall through */
	case 6:
		return reference_sum(reference_pseudo(ip, n), l4, n) == 0xffff;
	}
	return true;
}

/* xorshift: the same numbers everywhere. */
static uint64_t sample_seed = UINT64_C(0x2545f4914f6cdd1d);

static inline uint32_t sample_random(void)
{
	sample_seed ^= sample_seed << 13;
	sample_seed ^= sample_seed >> 7;
	sample_seed ^= sample_seed << 17;
	return (uint32_t)(sample_seed >> 16);
}

static inline void sample_fill(uint8_t *b, uint32_t n)
{
	while (n--)
		*b++ = (uint8_t)sample_random();
}

/* Where the checksum stands in a transport header; 0: it has none. */
static inline uint32_t sample_field(uint8_t proto)
{
	return proto == 6 ? 16 : proto == 17 ? 6 : proto == 1 ? 2 : 0;
}

/*
 * A whole packet of protocol proto with random fields, options and n bytes of
 * payload, checksums by the reference, at ip. Returns its length.
 */
static inline uint32_t sample_make(uint8_t *ip, uint8_t proto, uint32_t n)
{
	uint32_t header = 20 + sample_random() % 3 * 4, l4 = 0, total;
	uint8_t *t = ip + header;

	if (proto == 6)
		l4 = 20 + sample_random() % 4 * 4;
	else if (proto == 17 || proto == 1)
		l4 = 8;
	total = header + l4 + n;
	sample_fill(ip, total);
	ip[0] = (uint8_t)(0x40 | header / 4);
	put_be16(ip + 2, (uint16_t)total);
	put_be16(ip + 6, sample_random() & 1 ? 0x4000 : 0);
	ip[9] = proto;
	put_be16(ip + 10, 0);
	put_be16(ip + 10, (uint16_t)~reference_sum(0, ip, header));
	if (proto == 6)
		t[12] = (uint8_t)(l4 / 4 << 4);
	if (proto == 17)
		put_be16(t + 4, (uint16_t)(l4 + n));
	if (l4) {
		uint16_t sum;

		put_be16(t + sample_field(proto), 0);
		sum = proto == 1 ? 0 : reference_pseudo(ip, l4 + n);
		sum = (uint16_t)~reference_sum(sum, t, l4 + n);
		if (!sum && proto == 17)
			sum = 0xffff;
		put_be16(t + sample_field(proto), sum);
	}
	return total;
}

#endif
