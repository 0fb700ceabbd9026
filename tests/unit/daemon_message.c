/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages over a real socket pair: what arrives, what is refused, and that
 * no descriptor is left open by anything a sender does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/message.h"

static int pair[2]; /* [0] sends, [1] receives */

static int setup(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK |
				  SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* n bytes and nfds descriptors, as a sender of any kind may send them. */
static void send_raw(const void *b, size_t n, const int *fds, unsigned nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control;
	struct iovec iov = {(void *)b, n};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		h.msg_control = control.bytes;
		h.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(pair[0], &h, MSG_NOSIGNAL), n);
}

static const size_t head = offsetof(struct message, uplink);

static const struct {
	uint32_t kind;
	size_t size; /* behind the kind */
} kinds[] = {
	{MESSAGE_UPLINK_UP, sizeof(struct message_uplink)},
	{MESSAGE_UPLINK_CHANGED, sizeof(struct message_uplink)},
	{MESSAGE_UPLINK_DOWN, sizeof(struct message_uplink)},
	{MESSAGE_LOCALS, sizeof(struct message_locals)},
	{MESSAGE_ROUTES, 0},
	{MESSAGE_READY, 0},
	{MESSAGE_LOG, sizeof(struct message_log)},
	{MESSAGE_EVENT, sizeof(struct event)},
	{MESSAGE_ELSEWHERE, 0},
	{MESSAGE_UP, sizeof(struct message_up)},
	{MESSAGE_EXPECT, sizeof(struct message_expect)},
	{MESSAGE_EXPECTED, sizeof(struct message_expect)},
	{MESSAGE_UNEXPECT, sizeof(struct message_expect)},
	{MESSAGE_DONE, sizeof(struct message_done)},
	{MESSAGE_VIA, sizeof(struct message_via)},
	{MESSAGE_VIA_IS, sizeof(struct message_via)},
	{MESSAGE_SET, sizeof(struct message_set)},
	{MESSAGE_FLOWS, sizeof(struct message_flows)},
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static bool is_same_file(int a, int b)
{
	struct stat x, y;

	assert_int_equal(fstat(a, &x), 0);
	assert_int_equal(fstat(b, &y), 0);
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void every_kind_arrives_as_it_was_sent(void **state)
{
	static struct message out, in;
	int fds[MESSAGE_FDS];

	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		memset(&out, (int)i + 1, sizeof(out));
		memset(&in, 0, sizeof(in));
		out.kind = kinds[i].kind;
		assert_int_equal(message_send(pair[0], &out, NULL, 0), 0);
		assert_int_equal(message_receive(pair[1], &in, fds), 1);
		assert_memory_equal(&in, &out, head + kinds[i].size);
		for (int k = 0; k < MESSAGE_FDS; k++)
			assert_int_equal(fds[k], -1);
	}
}

static void an_uplink_brings_its_descriptors_in_order(void **state)
{
	struct message m = {.kind = MESSAGE_UPLINK_UP};
	int sent[MESSAGE_FDS], fds[MESSAGE_FDS], p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	sent[0] = p[0];
	sent[1] = pair[0];
	sent[2] = open("/dev/null", O_RDONLY);
	sent[3] = open("/dev/zero", O_RDONLY);
	sent[4] = p[1];
	assert_int_equal(message_send(pair[0], &m, sent, MESSAGE_FDS), 0);
	assert_int_equal(message_receive(pair[1], &m, fds), 1);
	for (int i = 0; i < MESSAGE_FDS; i++) {
		assert_true(fds[i] >= 0 && fds[i] != sent[i]);
		assert_true(is_same_file(fds[i], sent[i]));
		/* A program that is started must not inherit them. */
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
	}
	close(sent[2]);
	close(sent[3]);
	close(p[0]);
	close(p[1]);
}

static void a_message_of_the_wrong_length_is_refused(void **state)
{
	static char bytes[sizeof(struct message) + 64];
	struct message m;
	int fds[MESSAGE_FDS];

	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		size_t right = head + kinds[i].size;
		const size_t wrong[] = {right - 1, right + 1, 4, 3, 1,
					sizeof(struct message) + 1,
					sizeof(bytes)};

		memcpy(bytes, &kinds[i].kind, sizeof(kinds[i].kind));
		for (size_t k = 0; k < sizeof(wrong) / sizeof(*wrong); k++) {
			if (wrong[k] == right)
				continue;
			send_raw(bytes, wrong[k], NULL, 0);
			assert_int_equal(message_receive(pair[1], &m, fds),
					 -EPROTO);
		}
		/* One that is refused does not spoil the next. */
		send_raw(bytes, right, NULL, 0);
		assert_int_equal(message_receive(pair[1], &m, fds), 1);
	}
}

static void a_packet_is_as_long_as_it_says(void **state)
{
	static const struct {
		uint32_t says, has;
		bool fits;
	} cases[] = {
		{1, 1, true},
		{1500, 1500, true},
		{PACKET_MAX, PACKET_MAX, true},
		{0, 0, false},
		{1500, 1499, false},
		{1500, 1501, false},
		{1500, 0, false},
		{PACKET_MAX + 1, PACKET_MAX + 1, false},
		{UINT32_MAX, 100, false},
	};
	static struct message_long in, out;
	size_t start = head + sizeof(struct message_pcap);
	int fds[MESSAGE_FDS];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint8_t *bytes = (uint8_t *)&out + start;

		memset(&out, (int)i + 1, sizeof(out));
		out.m.kind = MESSAGE_PCAP;
		out.m.pcap.len = cases[i].says;
		if (cases[i].fits)
			assert_int_equal(message_send_packet(pair[0], &out.m,
							     bytes), 0);
		else
			send_raw(&out, start + cases[i].has, NULL, 0);
		assert_int_equal(message_receive_long(pair[1], &in, fds),
				 cases[i].fits ? 1 : -EPROTO);
		if (cases[i].fits)
			assert_memory_equal(message_packet(&in), bytes,
					    cases[i].has);
	}
	/* Who has no room for it does not get it. */
	out.m.pcap.len = PACKET_MAX;
	assert_int_equal(message_send_packet(pair[0], &out.m,
					     (uint8_t *)&out + start), 0);
	assert_int_equal(message_receive(pair[1], &in.m, fds), -EPROTO);
}

static void an_unknown_kind_is_refused_at_every_length(void **state)
{
	static const uint32_t unknown[] = {0, MESSAGE_VIA + 1, 99,
					   UINT32_MAX};
	static struct message m;
	int fds[MESSAGE_FDS];

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		for (size_t n = 1; n <= sizeof(m); n += n < 64 ? 1 : 97) {
			m.kind = unknown[i];
			send_raw(&m, n, NULL, 0);
			assert_int_equal(message_receive(pair[1], &m, fds),
					 -EPROTO);
		}
}

static void descriptors_nobody_asked_for_are_closed(void **state)
{
	static const struct {
		uint32_t kind;
		size_t less; /* bytes that are missing */
		unsigned nfds;
		int expected;
		int kept; /* descriptors the receiver gets */
	} cases[] = {
		{MESSAGE_READY, 0, 1, 1, 0},
		{MESSAGE_ROUTES, 0, 3, 1, 0},
		{MESSAGE_UPLINK_DOWN, 0, 3, 1, 0},
		{MESSAGE_LOG, 0, 2, 1, 0},
		{MESSAGE_EVENT, 0, 3, 1, 0},
		{MESSAGE_UPLINK_UP, 1, 3, -EPROTO, 0},
		{99, 0, 3, -EPROTO, 0},
		{MESSAGE_UPLINK_UP, 0, 2, 1, 2},
		{MESSAGE_UPLINK_UP, 0, 3, 1, 3},
		{MESSAGE_UPLINK_UP, 0, 5, 1, 5},
		/* Six and more do not fit: what does is not lost. */
		{MESSAGE_UPLINK_UP, 0, 6, 1, 5},
		{MESSAGE_UPLINK_UP, 0, 50, 1, 5},
		{MESSAGE_LOG, 0, 50, 1, 0},
	};
	static struct message m;
	int fds[MESSAGE_FDS], many[64];

	(void)state;
	for (int i = 0; i < 64; i++)
		many[i] = pair[0];
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int before = open_descriptors(), kept = 0;
		size_t n = head;

		for (size_t k = 0; k < KINDS; k++)
			if (kinds[k].kind == cases[i].kind)
				n += kinds[k].size;
		memset(&m, 0, sizeof(m));
		m.kind = cases[i].kind;
		send_raw(&m, n - cases[i].less, many, cases[i].nfds);
		assert_int_equal(message_receive(pair[1], &m, fds),
				 cases[i].expected);
		for (int k = 0; k < MESSAGE_FDS; k++)
			kept += fds[k] >= 0;
		assert_int_equal(kept, cases[i].kept);
		assert_int_equal(open_descriptors(), before + kept);
		for (int k = 0; k < MESSAGE_FDS; k++)
			if (fds[k] >= 0)
				close(fds[k]);
	}
}

static void an_empty_message_is_not_the_end(void **state)
{
	struct message m = {.kind = MESSAGE_READY};
	int fds[MESSAGE_FDS];

	(void)state;
	/* Seen from here both are a read of no bytes, so nobody may send one:
	 * whoever does is taken for gone, with what it sent closed. */
	send_raw("", 0, pair, 2);
	assert_int_equal(message_receive(pair[1], &m, fds), 0);
	for (int i = 0; i < MESSAGE_FDS; i++)
		assert_int_equal(fds[i], -1);
}

static void nothing_there_and_nobody_there_are_told_apart(void **state)
{
	struct message m = {.kind = MESSAGE_READY};
	int fds[MESSAGE_FDS];

	(void)state;
	assert_int_equal(message_receive(pair[1], &m, fds), -EAGAIN);
	assert_int_equal(message_send(pair[0], &m, NULL, 0), 0);
	close(pair[0]);
	/* What was said before the end is still heard. */
	assert_int_equal(message_receive(pair[1], &m, fds), 1);
	assert_int_equal(message_receive(pair[1], &m, fds), 0);
	/* Nobody listens; no signal ends us. */
	assert_int_equal(message_send(pair[1], &m, NULL, 0), -EPIPE);
	pair[0] = -1;
}

static void a_full_socket_is_not_waited_for(void **state)
{
	static struct message m = {.kind = MESSAGE_EVENT};
	int fds[MESSAGE_FDS], sent = 0, r;

	(void)state;
	while (!(r = message_send(pair[0], &m, NULL, 0)))
		sent++;
	assert_int_equal(r, -EAGAIN);
	assert_true(sent > 0);
	while (message_receive(pair[1], &m, fds) == 1)
		sent--;
	assert_int_equal(sent, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_kind_arrives_as_it_was_sent),
		TEST(an_uplink_brings_its_descriptors_in_order),
		TEST(a_message_of_the_wrong_length_is_refused),
		TEST(a_packet_is_as_long_as_it_says),
		TEST(an_unknown_kind_is_refused_at_every_length),
		TEST(descriptors_nobody_asked_for_are_closed),
		TEST(an_empty_message_is_not_the_end),
		TEST(nothing_there_and_nobody_there_are_told_apart),
		TEST(a_full_socket_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
