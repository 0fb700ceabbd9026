/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue with a clock of its own: what waits, in which order, for how
 * long, and what is dropped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/clock.h"
#include "daemon/queue.h"

static uint8_t frame[70000];

static uint32_t gather(struct queue *q, int64_t now, uint8_t *out)
{
	struct iovec iov[QUEUE_IOV];
	int n = queue_peek(q, now, iov);
	uint32_t len = 0;

	for (int i = 0; i < n; i++) {
		memcpy(out + len, iov[i].iov_base, iov[i].iov_len);
		len += (uint32_t)iov[i].iov_len;
	}
	return len;
}

static void frames_come_out_as_they_went_in(void **state)
{
	static const uint32_t sizes[] = {1, 60, 2047, 2048, 2049, 1514, 65559};
	static uint8_t out[70000];
	struct queue *q = queue_new(&queue_defaults);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (uint32_t k = 0; k < sizes[i]; k++)
			frame[k] = (uint8_t)(k * 7 + i);
		assert_true(queue_push(q, frame, sizes[i], 5, 0));
		assert_int_equal(gather(q, 0, out), sizes[i]);
		assert_memory_equal(out, frame, sizes[i]);
		/* Looking twice does not send twice. */
		assert_int_equal(gather(q, 0, out), sizes[i]);
		queue_pop(q);
		assert_true(queue_empty(q));
	}
	assert_false(queue_push(q, frame, QUEUE_IOV * QUEUE_BLOCK + 1, 5, 0));
	queue_free(q);
}

static void one_flow_keeps_its_order(void **state)
{
	struct queue *q = queue_new(&queue_defaults);
	static uint8_t out[70000];

	(void)state;
	for (uint8_t i = 0; i < 100; i++) {
		frame[0] = i;
		queue_push(q, frame, 1000, 9, 0);
	}
	for (uint8_t i = 0; i < 100; i++) {
		gather(q, 1, out);
		assert_int_equal(out[0], i);
		queue_pop(q);
	}
	queue_free(q);
}

static void a_new_flow_does_not_wait_behind_a_long_one(void **state)
{
	struct queue *q = queue_new(&queue_defaults);
	static uint8_t out[70000];

	(void)state;
	frame[0] = 'L';
	for (int i = 0; i < 100; i++)
		queue_push(q, frame, 1514, 1, 0);
	gather(q, 0, out);
	queue_pop(q); /* the long flow has had its turn */
	frame[0] = 'S';
	queue_push(q, frame, 100, 2, 0);
	gather(q, 0, out);
	assert_int_equal(out[0], 'S');
	queue_free(q);
}

static void two_long_flows_share_by_bytes(void **state)
{
	struct queue *q = queue_new(&queue_defaults);
	static uint8_t out[70000];
	uint32_t bytes[2] = {0, 0};

	(void)state;
	for (int i = 0; i < 600; i++) {
		frame[0] = 0;
		queue_push(q, frame, 1500, 1, 0);
		frame[0] = 1;
		queue_push(q, frame, 300, 2, 0);
	}
	for (int i = 0; i < 600; i++) {
		uint32_t n = gather(q, 0, out);

		bytes[out[0]] += n;
		queue_pop(q);
	}
	assert_true(bytes[0] > bytes[1] * 8 / 10);
	assert_true(bytes[1] > bytes[0] * 8 / 10);
	queue_free(q);
}

static void a_short_burst_is_not_dropped(void **state)
{
	struct queue *q = queue_new(&queue_defaults);
	static uint8_t out[70000];
	struct queue_stats s;
	int sent = 0;

	(void)state;
	for (int i = 0; i < 50; i++)
		queue_push(q, frame, 1514, 1, 0);
	/* 50 frames within 50 ms: above target, but not for an interval. */
	for (int64_t t = 0; gather(q, t, out); t += NSEC_PER_MSEC, sent++)
		queue_pop(q);
	queue_stats(q, &s);
	assert_int_equal(sent, 50);
	assert_int_equal(s.dropped_codel, 0);
	queue_free(q);
}

/* Sends with load in and out at fixed rates; returns the longest wait of the
 * last second. */
static int64_t standing_wait(struct queue *q, int64_t seconds)
{
	int64_t longest = 0, next_in = 0;

	for (int64_t t = 0; t < seconds * NSEC_PER_SEC; t += NSEC_PER_MSEC) {
		struct iovec iov[QUEUE_IOV];

		/* In: what a window of 300 frames allows, refilled when one
		 * leaves; out: one frame a millisecond. */
		for (; next_in <= t; next_in += NSEC_PER_MSEC) {
			memcpy(frame, &t, sizeof(t));
			queue_push(q, frame, 1514, 1, t);
		}
		if (queue_peek(q, t, iov)) {
			int64_t since;

			memcpy(&since, iov[0].iov_base, sizeof(since));
			if (t > (seconds - 1) * NSEC_PER_SEC &&
			    t - since > longest)
				longest = t - since;
			queue_pop(q);
		}
	}
	return longest;
}

static void a_standing_queue_is_worked_off(void **state)
{
	struct queue *q = queue_new(&queue_defaults);
	struct queue_stats s;

	(void)state;
	/* 300 frames are there already; then as much comes as goes. Without
	 * drops the wait would stay at 300 ms for ever. */
	memset(frame, 0, sizeof(frame));
	for (int i = 0; i < 300; i++)
		queue_push(q, frame, 1514, 1, 0);
	assert_true(standing_wait(q, 30) <= 20 * NSEC_PER_MSEC);
	queue_stats(q, &s);
	assert_true(s.dropped_codel > 200);
	queue_free(q);
}

static void the_longest_flow_pays_when_it_is_full(void **state)
{
	struct queue_config cfg = queue_defaults;
	static uint8_t out[70000];
	struct queue_stats s;
	struct queue *q;
	int small = 0;

	(void)state;
	cfg.blocks = 64;
	q = queue_new(&cfg);
	frame[0] = 'S';
	for (int i = 0; i < 4; i++)
		queue_push(q, frame, 100, 2, 0);
	frame[0] = 'L';
	for (int i = 0; i < 1000; i++)
		queue_push(q, frame, 2000, 1, 0);
	queue_stats(q, &s);
	assert_int_equal(s.dropped_full, 1000 - 60);
	for (; gather(q, 0, out); queue_pop(q))
		small += out[0] == 'S';
	assert_int_equal(small, 4);
	queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_out_as_they_went_in),
		cmocka_unit_test(one_flow_keeps_its_order),
		cmocka_unit_test(a_new_flow_does_not_wait_behind_a_long_one),
		cmocka_unit_test(two_long_flows_share_by_bytes),
		cmocka_unit_test(a_short_burst_is_not_dropped),
		cmocka_unit_test(a_standing_queue_is_worked_off),
		cmocka_unit_test(the_longest_flow_pays_when_it_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
