/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports that probes hold: nobody else has them, the capture is told of each
 * once, and all that was taken is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/expect.h"

/* ---- a capture that remembers what it is told ------------------------- */

static struct {
	uint8_t proto;
	uint16_t port;
} told[EXPECT_MAX + 1];
static unsigned ntold;
static int refusal; /* what the next one is answered with */

int capture_expect(struct capture *c, uint8_t proto, uint16_t port, bool add,
		   struct error *err)
{
	(void)c;
	if (add && refusal)
		return error_set(err, refusal, "refused");
	if (add) {
		assert_true(ntold < sizeof(told) / sizeof(told[0]));
		told[ntold].proto = proto;
		told[ntold++].port = port;
		return 0;
	}
	for (unsigned i = 0; i < ntold; i++) {
		if (told[i].proto != proto || told[i].port != port)
			continue;
		told[i] = told[--ntold];
		return 0;
	}
	fail_msg("port %u is taken back, and was never given", port);
	return 0;
}

static bool is_told(uint8_t proto, uint16_t port)
{
	for (unsigned i = 0; i < ntold; i++)
		if (told[i].proto == proto && told[i].port == port)
			return true;
	return false;
}

/* ---- somebody else ----------------------------------------------------- */

/* A socket of another program on that port; -errno. */
static int other(uint8_t proto, uint16_t port, uint16_t *got)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(port)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET,
			proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		int r = -errno;

		close(fd);
		return r;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	if (got)
		*got = ntohs(a.sin_port);
	return fd;
}

static bool is_free(uint8_t proto, uint16_t port)
{
	int fd = other(proto, port, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static struct expect expect;
static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};

static int begin(void **state)
{
	(void)state;
	memset(&expect, 0, sizeof(expect));
	ntold = 0;
	refusal = 0;
	return 0;
}

static int end(void **state)
{
	(void)state;
	expect_clear(&expect);
	return 0;
}

/* A port that nobody has, at the moment: the kernel does not give the same
 * one to two that ask one after the other, as a rule. */
static uint16_t free_port(uint8_t proto)
{
	uint16_t port;
	int fd = other(proto, 0, &port);

	assert_true(fd >= 0);
	close(fd);
	return port;
}

/* ---- what is promised -------------------------------------------------- */

static void a_port_of_the_kernels_choice_is_nobody_elses(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint16_t port = 0;

		assert_int_equal(expect_add(&expect, protos[i], &port, true),
				 0);
		assert_int_not_equal(port, 0);
		assert_true(is_told(protos[i], port));
		assert_int_equal(other(protos[i], port, NULL), -EADDRINUSE);
		expect_remove(&expect, protos[i], port);
		assert_false(is_told(protos[i], port));
		assert_true(is_free(protos[i], port));
	}
	assert_int_equal(expect.count, 0);
}

static void a_chosen_port_is_that_port(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint16_t port = free_port(protos[i]), want = port;

		assert_int_equal(expect_add(&expect, protos[i], &port, false),
				 0);
		assert_int_equal(port, want);
		assert_true(is_told(protos[i], port));
		assert_false(is_free(protos[i], port));
	}
}

static void a_port_in_use_is_refused_or_another_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint16_t theirs, port;
		int fd = other(protos[i], 0, &theirs);

		assert_true(fd >= 0);
		port = theirs;
		assert_int_equal(expect_add(&expect, protos[i], &port, false),
				 -EADDRINUSE);
		assert_int_equal(expect.count, 0);
		assert_int_equal(ntold, 0);
		assert_int_equal(expect_add(&expect, protos[i], &port, true),
				 0);
		assert_int_not_equal(port, theirs);
		assert_true(is_told(protos[i], port));
		expect_clear(&expect);
		close(fd);
	}
}

/* The kernel hears of it once; the last of its users lets go of it. */
static void a_port_has_several_users(void **state)
{
	uint16_t port = 0;

	(void)state;
	assert_int_equal(expect_add(&expect, IPPROTO_TCP, &port, true), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(expect_add(&expect, IPPROTO_TCP, &port,
					    false), 0);
	assert_int_equal(ntold, 1);
	for (int i = 0; i < 2; i++) {
		expect_remove(&expect, IPPROTO_TCP, port);
		assert_true(is_told(IPPROTO_TCP, port));
		assert_false(is_free(IPPROTO_TCP, port));
	}
	expect_remove(&expect, IPPROTO_TCP, port);
	assert_int_equal(ntold, 0);
	assert_true(is_free(IPPROTO_TCP, port));
}

/* Whoever wants one of its own does not share, and gets another. */
static void a_port_of_its_own_is_not_shared(void **state)
{
	uint16_t first = 0, second;

	(void)state;
	assert_int_equal(expect_add(&expect, IPPROTO_UDP, &first, true), 0);
	second = first;
	assert_int_equal(expect_add(&expect, IPPROTO_UDP, &second, true), 0);
	assert_int_not_equal(first, second);
	assert_int_equal(ntold, 2);
	/* The same number of the other protocol is another port. */
	second = first;
	if (is_free(IPPROTO_TCP, second)) {
		assert_int_equal(expect_add(&expect, IPPROTO_TCP, &second,
					    false), 0);
		assert_int_equal(ntold, 3);
	}
}

static void what_is_not_there_is_nothing(void **state)
{
	uint16_t port = 0;

	(void)state;
	expect_remove(&expect, IPPROTO_TCP, 80);
	assert_int_equal(expect_add(&expect, IPPROTO_TCP, &port, false),
			 -EINVAL);
	assert_int_equal(expect_add(&expect, IPPROTO_ICMP, &port, true),
			 -EPROTONOSUPPORT);
	assert_int_equal(expect_add(&expect, IPPROTO_TCP, &port, true), 0);
	expect_remove(&expect, IPPROTO_UDP, port);
	assert_true(is_told(IPPROTO_TCP, port));
}

static void what_the_capture_refuses_is_not_held(void **state)
{
	uint16_t port = 0;

	(void)state;
	refusal = -ENOSPC;
	assert_int_equal(expect_add(&expect, IPPROTO_TCP, &port, true),
			 -ENOSPC);
	assert_int_equal(expect.count, 0);
	assert_true(is_free(IPPROTO_TCP, port));
}

static void more_than_there_is_room_for_is_refused(void **state)
{
	uint16_t port;

	(void)state;
	for (unsigned i = 0; i < EXPECT_MAX; i++) {
		port = 0;
		assert_int_equal(expect_add(&expect, IPPROTO_UDP, &port, true),
				 0);
	}
	port = 0;
	assert_int_equal(expect_add(&expect, IPPROTO_UDP, &port, true),
			 -ENOBUFS);
	/* One that is there has room for another user. */
	port = expect.list[0].port;
	assert_int_equal(expect_add(&expect, IPPROTO_UDP, &port, false), 0);
	assert_int_equal(ntold, EXPECT_MAX);
	expect_clear(&expect);
	assert_int_equal(ntold, 0);
	assert_int_equal(expect.count, 0);
	assert_true(is_free(IPPROTO_UDP, port));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		CASE(a_port_of_the_kernels_choice_is_nobody_elses),
		CASE(a_chosen_port_is_that_port),
		CASE(a_port_in_use_is_refused_or_another_one),
		CASE(a_port_has_several_users),
		CASE(a_port_of_its_own_is_not_shared),
		CASE(what_is_not_there_is_nothing),
		CASE(what_the_capture_refuses_is_not_held),
		CASE(more_than_there_is_room_for_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
