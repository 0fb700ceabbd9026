/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sets that workers share: what a worker tells, and what becomes of it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/keeper.h"
#include "daemon/share.h"

/* A rule set with a rule for each of two sets, the second in another one
 * besides. */
struct side {
	struct ruleset *rules;
	struct set *set[2];
};

static void side_rule(struct side *s, unsigned first, unsigned count)
{
	struct rule *r = calloc(1, sizeof(*r));
	struct error err;

	r->match = match_new();
	r->name = strdup("rule");
	r->origin = strdup("rule");
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(match_add_set(r->match, MATCH_DST,
					       s->set[first + i], &err), 0);
	ruleset_add(s->rules, r);
}

static void side_open(struct side *s)
{
	s->rules = ruleset_new();
	s->set[0] = set_new("one");
	s->set[1] = set_new("two");
	side_rule(s, 0, 1);
	side_rule(s, 0, 2);
}

static void side_close(struct side *s)
{
	set_unref(s->set[0]);
	set_unref(s->set[1]);
	ruleset_free(s->rules);
}

struct world {
	struct side worker, supervisor;
	struct set **list;
	uint32_t lists;
	struct share *share;
	int room;
	struct keeper keeper;
	int sock[2];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	side_open(&w->worker);
	side_open(&w->supervisor);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, w->sock))
		return -1;
	if (ruleset_sets(w->worker.rules, &w->list, &w->lists))
		return -1;
	w->room = message_room(w->sock[1]);
	w->share = share_new(w->list, w->lists, w->sock[1], w->room);
	*state = w;
	return !w->share || keeper_open(&w->keeper, w->supervisor.rules);
}

static int teardown(void **state)
{
	struct world *w = *state;

	keeper_close(&w->keeper);
	close(w->room);
	free(w->share);
	free(w->list);
	close(w->sock[0]);
	close(w->sock[1]);
	side_close(&w->worker);
	side_close(&w->supervisor);
	free(w);
	return 0;
}

static void add(struct set *s, const char *text, int64_t until)
{
	struct error err;

	if (set_add_text(s, text, until, &err))
		fail_msg("%s", err.text);
}

static void take_away(struct set *s, const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(&p, text, NULL), 0);
	assert_int_equal(set_remove(s, &p), 0);
}

static bool has(const struct set *s, const char *text)
{
	struct address a;

	assert_int_equal(address_parse(&a, text), 0);
	return set_has(s, &a, clock_wall());
}

/* Hands on what waits in the socket; how many changes. */
static uint32_t deliver(struct world *w)
{
	int fds[MESSAGE_FDS];
	struct message m;
	uint32_t n = 0;

	while (message_receive(w->sock[0], &m, fds) == 1) {
		assert_int_equal(m.kind, MESSAGE_SET);
		n += m.set.count;
		keeper_take(&w->keeper, &m.set);
	}
	return n;
}

/* All that waits. */
static uint32_t tell(struct world *w)
{
	uint32_t n = 0;
	int64_t ns;

	while ((ns = share_tell(w->share)) >= 0) {
		n += deliver(w);
		poll(NULL, 0, (int)(ns / NSEC_PER_MSEC) + 1);
	}
	return n + deliver(w);
}

static void sets_of_matches_are_listed_once(void **state)
{
	struct world *w = *state;

	assert_int_equal(w->lists, 2);
	assert_ptr_equal(w->list[0], w->worker.set[0]);
	assert_ptr_equal(w->list[1], w->worker.set[1]);
}

static void what_a_rule_does_to_a_set_is_done_to_the_other(void **state)
{
	struct world *w = *state;
	struct set **to = w->supervisor.set;

	add(w->worker.set[0], "10.0.0.0/8", 0);
	add(w->worker.set[0], "!10.1.0.0/16", 0);
	add(w->worker.set[1], "2001:db8::/32", 0);
	assert_int_equal(tell(w), 3);
	assert_true(has(to[0], "10.0.0.1"));
	assert_false(has(to[0], "10.1.0.1"));
	assert_false(has(to[1], "10.0.0.1"));
	assert_true(has(to[1], "2001:db8::1"));
	take_away(w->worker.set[0], "10.0.0.0/8");
	assert_int_equal(tell(w), 1);
	assert_false(has(to[0], "10.0.0.1"));
}

static void of_each_member_the_last_change_is_told(void **state)
{
	struct world *w = *state;

	for (int i = 0; i < 1000; i++) {
		add(w->worker.set[0], "192.0.2.1", 0);
		add(w->worker.set[0], i % 2 ? "192.0.2.2" : "!192.0.2.2", 0);
		add(w->worker.set[1], "192.0.2.1", 0);
		take_away(w->worker.set[1], "192.0.2.1");
	}
	assert_int_equal(tell(w), 3);
	assert_true(has(w->supervisor.set[0], "192.0.2.1"));
	assert_true(has(w->supervisor.set[0], "192.0.2.2"));
	assert_false(has(w->supervisor.set[1], "192.0.2.1"));
}

static void who_stays_longer_is_told_at_leisure(void **state)
{
	int64_t hour = 3600 * NSEC_PER_SEC, now = clock_wall();
	struct world *w = *state;

	add(w->worker.set[0], "192.0.2.1", now + hour);
	assert_true(share_tell(w->share) <= 2 * NSEC_PER_MSEC);
	assert_int_equal(tell(w), 1);
	add(w->worker.set[0], "192.0.2.1", now + 2 * hour);
	assert_true(share_tell(w->share) > 2 * NSEC_PER_MSEC);
	/* What is urgent takes it with it. */
	add(w->worker.set[0], "192.0.2.2", 0);
	assert_true(share_tell(w->share) <= 2 * NSEC_PER_MSEC);
	assert_int_equal(tell(w), 2);
	/* Who would not be there by then is not told at leisure. */
	add(w->worker.set[0], "192.0.2.3", now + NSEC_PER_SEC);
	assert_int_equal(tell(w), 1);
	add(w->worker.set[0], "192.0.2.3", now + hour);
	assert_true(share_tell(w->share) <= 2 * NSEC_PER_MSEC);
}

static void what_others_did_is_not_told_again(void **state)
{
	struct message_set m = {.count = 2};
	struct world *w = *state;

	m.member[0].prefix.length = 32;
	address_parse(&m.member[0].prefix.address, "192.0.2.1");
	m.member[1] = m.member[0];
	m.member[1].set = 1;
	share_take(w->share, &m, clock_wall());
	assert_true(has(w->worker.set[0], "192.0.2.1"));
	assert_true(has(w->worker.set[1], "192.0.2.1"));
	m.member[1].gone = true;
	share_take(w->share, &m, clock_wall());
	assert_false(has(w->worker.set[1], "192.0.2.1"));
	assert_int_equal(share_tell(w->share), -1);
}

static void add_number(struct set *s, uint32_t v)
{
	struct prefix p = {.length = 32};
	uint8_t b[4] = {10, (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	p.address = address_v4(b);
	assert_int_equal(set_add(s, &p, false, 0), 0);
}

struct listener {
	struct world *w;
	uint32_t want, got;
};

static void *listen_to(void *arg)
{
	struct listener *l = arg;
	struct pollfd p = {.fd = l->w->sock[0], .events = POLLIN};

	while (l->got < l->want && poll(&p, 1, 20000) > 0)
		l->got += deliver(l->w);
	return NULL;
}

/* More than wait at once, and more than the socket holds. */
static void nothing_is_lost_while_the_supervisor_listens(void **state)
{
	struct world *w = *state;
	struct listener l = {w, 50000, 0};
	pthread_t thread;
	int64_t ns;

	assert_int_equal(pthread_create(&thread, NULL, listen_to, &l), 0);
	for (uint32_t i = 0; i < l.want; i++)
		add_number(w->worker.set[0], i);
	while ((ns = share_tell(w->share)) >= 0)
		poll(NULL, 0, (int)(ns / NSEC_PER_MSEC) + 1);
	pthread_join(thread, NULL);
	assert_int_equal(l.got, l.want);
	assert_int_equal(share_lost(w->share), 0);
	assert_int_equal(set_count(w->supervisor.set[0]), l.want);
}

static void what_is_lost_is_counted(void **state)
{
	struct world *w = *state;
	uint32_t told, lost, made = 0;

	do {
		add_number(w->worker.set[0], made++);
		lost = share_lost(w->share);
	} while (!lost && made < 1000000);
	assert_true(lost > 0);
	told = tell(w);
	assert_int_equal(told + lost, made);
}

static const struct message_member nonsense[] = {
	{.set = 2, .prefix = {{.size = 4}, 32}},
	{.set = UINT32_MAX, .prefix = {{.size = 4}, 32}},
	{.prefix = {{.size = 4}, 33}},
	{.prefix = {{.size = 16}, 129}},
	{.prefix = {{.size = 0}, 0}},
	{.prefix = {{.size = 7}, 8}},
	{.prefix = {{.size = 255}, 255}},
	{.gone = 1, .prefix = {{.size = 255}, 255}},
	{.gone = 1, .prefix = {{.size = 7}, 56}},
	{.gone = 1, .prefix = {{.size = 4}, 32}}, /* not there */
	{.until = -1, .prefix = {{.size = 4}, 32}},
};

static void nonsense_of_a_worker_changes_nothing(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(nonsense) / sizeof(*nonsense); i++) {
		struct message_set m = {.count = 1};

		m.member[0] = nonsense[i];
		if (keeper_take(&w->keeper, &m))
			fail_msg("case %zu", i);
	}
	assert_int_equal(set_count(w->supervisor.set[0]), 0);
	assert_int_equal(set_count(w->supervisor.set[1]), 0);
	{
		struct message_set m = {.count = UINT32_MAX};

		keeper_take(&w->keeper, &m);
		assert_true(m.count <= MESSAGE_MEMBERS_MAX);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(sets_of_matches_are_listed_once),
		TEST(what_a_rule_does_to_a_set_is_done_to_the_other),
		TEST(of_each_member_the_last_change_is_told),
		TEST(who_stays_longer_is_told_at_leisure),
		TEST(what_others_did_is_not_told_again),
		TEST(nothing_is_lost_while_the_supervisor_listens),
		TEST(what_is_lost_is_counted),
		TEST(nonsense_of_a_worker_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
