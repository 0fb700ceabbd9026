/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is changed can be given back as it arrived, and costs no more than
 * what was changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "packet/packet.h"

static uint8_t buffer[PACKET_BUFFER], arrived[PACKET_MAX], kept[PACKET_BUFFER];
static uint32_t seed = 20240229;

static uint32_t next(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* A UDP packet with n bytes of payload and a tail of padding. */
static struct packet make(uint32_t n, uint32_t tail)
{
	struct packet p, made = {.head = kept, .size = sizeof(kept)};
	static uint8_t payload[1 << 15];

	for (uint32_t i = 0; i < n; i++)
		payload[i] = (uint8_t)next();
	assert_int_equal(packet_new(&made, 17), 0);
	assert_int_equal(packet_splice(&made, made.payload, 0, payload, n), 0);
	memcpy(buffer + PACKET_HEADROOM, made.data, made.len);
	memset(buffer + PACKET_HEADROOM + made.len, 0xa5, tail);
	memcpy(arrived, buffer + PACKET_HEADROOM, made.len + tail);
	packet_init(&p, buffer, sizeof(buffer), buffer + PACKET_HEADROOM,
		    made.len + tail, NULL);
	return p;
}

static void restore(struct packet *p, const struct packet *was,
		    const struct packet_undo *undo)
{
	*p = *was;
	memcpy(p->data, undo->bytes, undo->saved);
}

static void whatever_is_changed_comes_back(void **state)
{
	static uint8_t bytes[PACKET_MAX], text[4096];
	struct packet_undo undo = {.bytes = bytes};

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct packet p = make(next() % 3000, next() % 20), was = p;

		undo.saved = 0;
		p.undo = &undo;
		for (uint32_t k = next() % 8; k; k--) {
			uint32_t at = next() % p.len;

			switch (next() % 4) {
			case 0:
				packet_set(&p, FIELD_IP_TTL, next() & 255);
				break;
			case 1:
				text[0] = (uint8_t)next();
				packet_write(&p, at, text, 1);
				break;
			case 2:
				packet_splice(&p, at, 0, text, next() % 1000);
				break;
			default:
				packet_set_ip_options(&p, text, next() % 41);
				break;
			}
		}
		restore(&p, &was, &undo);
		assert_memory_equal(p.data, arrived, was.len + was.tail);
	}
}

static void a_header_field_costs_no_pass_over_the_payload(void **state)
{
	static uint8_t bytes[PACKET_MAX];
	struct packet_undo undo = {.bytes = bytes};
	struct packet p = make(30000, 0);

	(void)state;
	p.undo = &undo;
	assert_int_equal(packet_set(&p, FIELD_IP_TTL, 3), 0);
	assert_true(undo.saved <= 120);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whatever_is_changed_comes_back),
		cmocka_unit_test(a_header_field_costs_no_pass_over_the_payload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
