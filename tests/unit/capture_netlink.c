/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The netlink helper, tried on questions that need no privilege. */
#include "capture/netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct nlmsghdr *get_link(uint8_t *buf, int ifindex)
{
	struct ifinfomsg ifi = { .ifi_index = ifindex };

	return netlink_message(buf, RTM_GETLINK, 0, &ifi, sizeof(ifi));
}

static int remember(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type == RTM_NEWLINK)
		*(int *)arg = ifi->ifi_index;
	return 0;
}

static void asking_for_one_link_gives_that_link(void **state)
{
	int lo = (int)if_nametoindex("lo"), got = 0;
	struct netlink n;
	uint8_t buf[128];

	(void)state;
	assert_int_equal(netlink_open(&n, NETLINK_ROUTE), 0);
	assert_int_equal(netlink_ask(&n, get_link(buf, lo), remember, &got,
				     "lo", NULL), 0);
	assert_int_equal(got, lo);
	netlink_close(&n);
	assert_int_equal(netlink_fd(&n), -1);
}

static void a_failure_is_named_and_the_next_question_works(void **state)
{
	int lo = (int)if_nametoindex("lo"), got = 0;
	struct netlink n;
	struct error e;
	uint8_t buf[128];

	(void)state;
	assert_int_equal(netlink_open(&n, NETLINK_ROUTE), 0);
	assert_int_equal(netlink_ask(&n, get_link(buf, 0x7ffffff0), remember,
				     &got, "looking at it", &e), -ENODEV);
	assert_non_null(strstr(e.text, "looking at it: "));
	assert_non_null(strstr(e.text, strerror(ENODEV)));
	assert_int_equal(netlink_ask(&n, get_link(buf, lo), remember, &got,
				     "lo", &e), 0);
	assert_int_equal(got, lo);
	netlink_close(&n);
}

struct tally {
	unsigned restarts, messages;
	int answer;
};

static int count(const struct nlmsghdr *nlh, void *arg)
{
	struct tally *t = arg;

	(void)nlh;
	t->messages++;
	return t->answer;
}

static void again(void *arg)
{
	struct tally *t = arg;

	t->restarts++;
	t->messages = 0;
}

static void a_dump_starts_over_before_its_first_message(void **state)
{
	struct tally t = { .answer = 0 };
	struct netlink n;
	uint8_t buf[128];

	(void)state;
	assert_int_equal(netlink_open(&n, NETLINK_ROUTE), 0);
	assert_int_equal(netlink_dump(&n, get_link(buf, 0), count, again, &t),
			 0);
	assert_true(t.restarts >= 1);
	assert_true(t.messages >= 1);
	netlink_close(&n);
}

static void a_callbacks_error_is_returned_and_nothing_is_left(void **state)
{
	struct tally t = { .answer = -EXDEV }, whole = { .answer = 0 };
	int lo = (int)if_nametoindex("lo"), got = 0;
	struct netlink n;
	uint8_t buf[128];

	(void)state;
	assert_int_equal(netlink_open(&n, NETLINK_ROUTE), 0);
	assert_int_equal(netlink_dump(&n, get_link(buf, 0), count, again, &t),
			 -EXDEV);
	assert_int_equal(t.messages, 1);
	assert_int_equal(netlink_drain(&n, count, &whole), 0);
	assert_int_equal(whole.messages, 0);
	assert_int_equal(netlink_ask(&n, get_link(buf, lo), remember, &got,
				     "lo", NULL), 0);
	assert_int_equal(got, lo);
	netlink_close(&n);
}

static void put(struct netlink_batch *b, int ifindex, const char *what)
{
	uint8_t *room = netlink_batch_room(b);
	struct nlmsghdr *nlh;

	assert_non_null(room);
	nlh = get_link(room, ifindex);
	nlh->nlmsg_flags |= NLM_F_ACK;
	netlink_batch_add(b, "%s", what);
}

static void a_batch_names_the_message_that_failed(void **state)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	int lo = (int)if_nametoindex("lo");
	struct netlink n;
	struct error e;

	(void)state;
	assert_int_equal(netlink_open(&n, NETLINK_ROUTE), 0);
	put(&b, lo, "the first");
	put(&b, 0x7ffffff0, "the second");
	put(&b, 0x7ffffff1, "the third");
	for (int i = 0; i < 2; i++) { /* it can be sent again */
		assert_int_equal(netlink_batch_send(&n, &b, &e), -ENODEV);
		assert_non_null(strstr(e.text, "the second: "));
	}
	netlink_batch_free(&b);
	netlink_close(&n);
}

static void a_batch_of_a_thousand_is_acknowledged_whole(void **state)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	int lo = (int)if_nametoindex("lo");
	struct netlink n;
	struct error e = { .text = "" };

	(void)state;
	assert_int_equal(netlink_open(&n, NETLINK_ROUTE), 0);
	for (int i = 0; i < 1000; i++)
		put(&b, lo, "lo");
	assert_int_equal(b.items, 1000);
	assert_true(b.size - b.used < b.size);
	assert_int_equal(netlink_batch_send(&n, &b, &e), 0);
	assert_string_equal(e.text, "");
	netlink_batch_free(&b);
	assert_null(b.buf);
	netlink_close(&n);
}

static void the_room_for_a_message_is_whole_and_empty(void **state)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	uint8_t *room;

	(void)state;
	for (int i = 0; i < 100; i++) {
		room = netlink_batch_room(&b);
		assert_non_null(room);
		assert_true(b.size - b.used >= NETLINK_ROOM);
		for (int k = 0; k < NETLINK_ROOM; k++)
			assert_int_equal(room[k], 0);
		get_link(room, 1)->nlmsg_len = 20000;
		memset(room + 16, 0xff, NETLINK_ROOM - 16);
		netlink_batch_add(&b, "message %d", i);
	}
	assert_string_equal(b.item[99].what, "message 99");
	netlink_batch_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asking_for_one_link_gives_that_link),
		cmocka_unit_test(
			a_failure_is_named_and_the_next_question_works),
		cmocka_unit_test(a_dump_starts_over_before_its_first_message),
		cmocka_unit_test(
			a_callbacks_error_is_returned_and_nothing_is_left),
		cmocka_unit_test(a_batch_names_the_message_that_failed),
		cmocka_unit_test(a_batch_of_a_thousand_is_acknowledged_whole),
		cmocka_unit_test(the_room_for_a_message_is_whole_and_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
