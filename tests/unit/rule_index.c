/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk with the index against the plain walk: random rules, random
 * packets, from fixed seeds. Values come from a small world, so that rules
 * overlap and packets meet them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "rule/index.h"
#include "rule/ruleset.h"

#define RULES_MAX 3000

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) +
	       UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % below;
}

static bool chance(uint32_t percent)
{
	return draw(100) < percent;
}

/* ---- rules ------------------------------------------------------------ */

static void must_add(struct match *m, enum match_key key, const char *text)
{
	struct error err = {.text = ""};

	if (match_add(m, key, text, strlen(text), &err))
		fail_msg("%s: %s", text, err.text);
}

static void draw_address(char *text, size_t n)
{
	unsigned a = draw(4), b = draw(16);

	switch (draw(8)) {
	case 0:
		snprintf(text, n, "10.%u.0.0/16", a);
		break;
	case 1:
		snprintf(text, n, "10.%u.0.%u/%u", a, b & 12, 30);
		break;
	case 2:
		snprintf(text, n, "10.%u.0.%u-10.%u.0.%u", a, b, a + draw(2),
			 b + draw(9));
		break;
	case 3:
		snprintf(text, n, "2001:db8::%x", b);
		break;
	case 4:
		snprintf(text, n, "%s", chance(50) ? "0.0.0.0/0"
						   : "255.255.255.255");
		break;
	default:
		snprintf(text, n, "10.%u.0.%u", a, b);
	}
}

static void draw_port(char *text, size_t n)
{
	unsigned a = draw(20);

	switch (draw(6)) {
	case 0:
		snprintf(text, n, "%u-%u", a, a + draw(10));
		break;
	case 1:
		snprintf(text, n, "%s", chance(50) ? "0" : "65535");
		break;
	case 2:
		snprintf(text, n, "%u-65535", a);
		break;
	default:
		snprintf(text, n, "%u", a);
	}
}

static void draw_value(enum match_key key, char *text, size_t n)
{
	static const char *const protos[] = {"tcp", "udp", "icmp",
					     "132", "0",   "6-17"};

	switch (key) {
	case MATCH_PROTO:
		snprintf(text, n, "%s", protos[draw(6)]);
		break;
	case MATCH_SRC:
	case MATCH_DST:
		draw_address(text, n);
		break;
	case MATCH_SPORT:
	case MATCH_DPORT:
		draw_port(text, n);
		break;
	case MATCH_TTL:
		snprintf(text, n, "%u-%u", draw(70), 70 + draw(70));
		break;
	default:
		snprintf(text, n, "%u-%u", draw(60), 60 + draw(1000));
	}
}

static void add_set(struct match *m, enum match_key key)
{
	struct set *s = set_new("s");
	struct error err;

	assert_non_null(s);
	assert_int_equal(set_add_text(s, "10.1.0.0/28", 0, &err), 0);
	assert_int_equal(match_add_set(m, key, s, &err), 0);
	set_unref(s);
}

static struct match *draw_match(void)
{
	static const enum match_key keys[] = {MATCH_PROTO, MATCH_SRC,
					      MATCH_DST,   MATCH_SPORT,
					      MATCH_DPORT, MATCH_TTL,
					      MATCH_LEN};
	struct match *m = match_new();

	assert_non_null(m);
	for (size_t k = 0; k < sizeof(keys) / sizeof(*keys); k++) {
		unsigned values = 1 + (chance(30) ? draw(4) : 0);
		char text[80] = "!";

		if (!chance(k < 5 ? 35 : 8))
			continue;
		while (values--) {
			bool not = chance(20);

			draw_value(keys[k], text + 1, sizeof(text) - 1);
			must_add(m, keys[k], not ? text : text + 1);
		}
		if ((keys[k] == MATCH_SRC || keys[k] == MATCH_DST) &&
		    chance(10))
			add_set(m, keys[k]);
	}
	if (chance(5))
		assert_int_equal(match_add_bool(m, MATCH_FRAGMENT, chance(50),
						NULL),
				 0);
	return m;
}

/* What a function does: see act. */
enum {
	NOTHING = 1,
	NEW_DST,
	NEW_PORT,
	NEW_PROTO,
	BREAKS,
	DECIDES,
	FAILS,
	ACTS
};

static void add_rule(struct ruleset *rs, unsigned decide)
{
	struct rule *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->name = strdup("r");
	r->origin = strdup("t:1");
	if (!chance(4))
		r->match = draw_match();
	if (chance(10))
		r->where = 1 + (int)draw(BREAKS);
	if (chance(20)) {
		r->rewrite = calloc(1, sizeof(*r->rewrite));
		assert_non_null(r->rewrite);
		r->rewrite->key = chance(50) ? REWRITE_DPORT : REWRITE_DST;
		assert_int_equal(rewrite_parse(r->rewrite,
					       r->rewrite->key == REWRITE_DST
						       ? "10.2.0.5"
						       : "7",
					       NULL),
				 0);
	}
	r->constant = (struct verdict){.reject_code = REJECT_DEFAULT};
	if (chance(20))
		r->action = 1 + (int)draw(chance(decide) ? ACTS - 1 : BREAKS);
	else if (chance(decide))
		r->constant.kind = chance(50) ? VERDICT_DROP : VERDICT_ACCEPT;
	ruleset_add(rs, r);
}

/* ---- packets ---------------------------------------------------------- */

#define BYTES 96

struct sample {
	uint8_t bytes[BYTES];
	uint32_t len;
};

static void draw_packet(struct sample *s)
{
	static const uint8_t protos[] = {6, 17, 1, 132, 6, 17};
	uint8_t *b = s->bytes;

	memset(s, 0, sizeof(*s));
	s->len = 28 + draw(60);
	b[0] = 0x45;
	put_be16(b + 2, (uint16_t)s->len);
	if (chance(5))
		put_be16(b + 6, chance(50) ? 0x2000 : 3);
	b[8] = (uint8_t)draw(140);
	b[9] = protos[draw(sizeof(protos))];
	for (int i = 12; i < 20; i += 4) {
		b[i] = 10;
		b[i + 1] = (uint8_t)draw(4);
		b[i + 3] = (uint8_t)draw(17);
		if (chance(3))
			memset(b + i, 0xff, 4);
	}
	put_be16(b + 20, chance(3) ? 65535 : (uint16_t)draw(22));
	put_be16(b + 22, chance(3) ? 65535 : (uint16_t)draw(22));
	b[32] = 0x50;
	if (chance(3))
		s->len = draw(24); /* cut off */
	else if (chance(3))
		b[0] = (uint8_t)draw(256);
}

/* ---- the two walks ---------------------------------------------------- */

struct walk {
	uint8_t buffer[BYTES + 64];
	struct packet p;
	struct verdict v;
	struct rule_counter counter[RULES_MAX + 1];
	uint64_t calls; /* a digest of which functions were called, in order */
};

static void act(struct walk *w, const struct rule *r, struct packet *p,
		int what)
{
	static const uint8_t odd = 0x15;

	w->calls = (w->calls ^ (uint64_t)r->index) * UINT64_C(1099511628211);
	switch (what) {
	case NEW_DST:
		packet_set(p, FIELD_IP_DST, 0x0a000000 | r->index % 16);
		break;
	case NEW_PORT:
		packet_set(p, FIELD_TCP_DPORT, r->index % 20);
		packet_set(p, FIELD_UDP_SPORT, r->index % 20);
		break;
	case NEW_PROTO:
		packet_set(p, FIELD_IP_PROTO, p->proto == 6 ? 17 : 6);
		break;
	case BREAKS:
		packet_write(p, 0, &odd, 1);
		break;
	}
}

static int run_where(void *arg, const struct rule *r, struct packet *p)
{
	act(arg, r, p, r->where);
	return r->index % 3 != 0;
}

static void run_action(void *arg, const struct rule *r, struct packet *p,
		       struct verdict *v)
{
	act(arg, r, p, r->action);
	if (r->action == DECIDES)
		v->kind = VERDICT_REJECT;
	else if (r->action == FAILS)
		v->kind = VERDICT_ERROR;
}

static void walk(struct walk *w, const struct ruleset *rs,
		 const struct sample *s)
{
	const struct ruleset_calls calls = {run_where, run_action, w};
	const struct match_context ctx = {.now = 1};

	memset(w->buffer, 0, sizeof(w->buffer));
	memcpy(w->buffer + 32, s->bytes, s->len);
	packet_init(&w->p, w->buffer, sizeof(w->buffer), w->buffer + 32, s->len,
		    NULL);
	ruleset_run(rs, &w->p, &ctx, &calls, w->counter, &w->v);
}

static void assert_same(const struct walk *a, const struct walk *b)
{
	assert_int_equal(a->v.kind, b->v.kind);
	assert_int_equal(a->v.reject_code, b->v.reject_code);
	assert_ptr_equal(a->v.rule, b->v.rule);
	assert_int_equal(a->calls, b->calls);
	assert_int_equal(a->p.flags, b->p.flags);
	assert_int_equal(a->p.len, b->p.len);
	assert_memory_equal(a->buffer, b->buffer, sizeof(a->buffer));
}

/* How many packets were decided by a rule. */
static unsigned compare(uint64_t from, unsigned rules, unsigned packets,
			unsigned decide)
{
	static struct walk with, without;
	struct ruleset *rs = ruleset_new(), plain;
	unsigned decided = 0;

	seed = from;
	memset(&with, 0, sizeof(with));
	memset(&without, 0, sizeof(without));
	assert_non_null(rs);
	for (unsigned i = 0; i < rules; i++)
		add_rule(rs, decide);
	ruleset_seal(rs);
	assert_non_null(rs->index);
	plain = *rs;
	plain.index = NULL;
	while (packets--) {
		struct sample s;

		draw_packet(&s);
		walk(&with, rs, &s);
		walk(&without, &plain, &s);
		assert_same(&with, &without);
		decided += !!with.v.rule;
	}
	assert_memory_equal(with.counter, without.counter,
			    sizeof(with.counter));
	ruleset_free(rs);
	return decided;
}

static void a_walk_with_the_index_is_the_plain_walk(void **state)
{
	unsigned decided = 0;

	(void)state;
	for (unsigned i = 1; i <= 400; i++)
		decided += compare(i, 4 + i % 60, 150, 30);
	assert_in_range(decided, 10000, 50000); /* of 60000 */
}

static void so_it_is_for_thousands_of_rules(void **state)
{
	static const unsigned counts[] = {1023, 1024, 1025, 2049, RULES_MAX};
	unsigned decided = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		for (unsigned k = 0; k < 2; k++)
			decided += compare(1000 + i, counts[i], 60, k);
	assert_in_range(decided, 100, 600);
}

/* ---- what it is for --------------------------------------------------- */

static struct ruleset *disjoint_rules(unsigned n)
{
	struct ruleset *rs = ruleset_new();

	assert_non_null(rs);
	for (unsigned i = 0; i < n; i++) {
		struct rule *r = calloc(1, sizeof(*r));
		char text[40];

		assert_non_null(r);
		r->match = match_new();
		assert_non_null(r->match);
		snprintf(text, sizeof(text), "10.%u.0.0/24", i / 50);
		must_add(r->match, MATCH_DST, text);
		snprintf(text, sizeof(text), "%u", 100 + i % 50);
		must_add(r->match, MATCH_DPORT, text);
		r->constant.kind = VERDICT_DROP;
		ruleset_add(rs, r);
	}
	ruleset_seal(rs);
	return rs;
}

static void disjoint_rules_leave_one_candidate(void **state)
{
	struct ruleset *rs = disjoint_rules(2500);
	const struct rule *r;
	struct index_walk w;
	struct sample s;
	struct walk k;
	unsigned i = 0;

	(void)state;
	for (r = rs->first; r; r = r->next, i++) {
		seed = 1;
		draw_packet(&s);
		memcpy(s.bytes + 16, (uint8_t[]){10, (uint8_t)(i / 50), 0, 9},
		       4);
		put_be16(s.bytes + 22, (uint16_t)(100 + i % 50));
		s.bytes[9] = 17;
		s.bytes[0] = 0x45;
		s.bytes[6] = s.bytes[7] = 0;
		s.len = 40;
		put_be16(s.bytes + 2, 40);
		memset(&k, 0, sizeof(k));
		memcpy(k.buffer + 32, s.bytes, s.len);
		packet_init(&k.p, k.buffer, sizeof(k.buffer), k.buffer + 32,
			    s.len, NULL);
		index_start(&w, rs->index, &k.p);
		assert_ptr_equal(index_next(&w), r);
		assert_true(w.certain);
		assert_null(index_next(&w));
	}
	ruleset_free(rs);
}

static void a_rule_added_later_is_tried(void **state)
{
	struct ruleset *rs = disjoint_rules(20);
	struct rule *r = calloc(1, sizeof(*r));
	struct walk w = {.calls = 0};
	struct sample s;

	(void)state;
	seed = 7;
	draw_packet(&s);
	s.bytes[16] = 99;
	assert_non_null(r);
	r->constant.kind = VERDICT_DROP;
	ruleset_add(rs, r);
	walk(&w, rs, &s);
	assert_ptr_equal(w.v.rule, r);
	ruleset_seal(rs);
	walk(&w, rs, &s);
	assert_ptr_equal(w.v.rule, r);
	ruleset_free(rs);
}

static void long_lists_are_left_to_the_match(void **state)
{
	struct ruleset *rs = disjoint_rules(20);
	struct rule *r = calloc(1, sizeof(*r));
	struct walk w = {.calls = 0};
	struct sample s;
	char text[40];

	(void)state;
	assert_non_null(r);
	r->match = match_new();
	assert_non_null(r->match);
	for (unsigned i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "11.%u.%u.0", i >> 8, i & 255);
		must_add(r->match, MATCH_DST, text);
	}
	r->constant.kind = VERDICT_DROP;
	ruleset_add(rs, r);
	ruleset_seal(rs);
	seed = 7;
	draw_packet(&s);
	memcpy(s.bytes + 16, (uint8_t[]){11, 1, 2, 0}, 4);
	walk(&w, rs, &s);
	assert_ptr_equal(w.v.rule, r);
	s.bytes[19] = 1;
	walk(&w, rs, &s);
	assert_null(w.v.rule);
	ruleset_free(rs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_walk_with_the_index_is_the_plain_walk),
		cmocka_unit_test(so_it_is_for_thousands_of_rules),
		cmocka_unit_test(disjoint_rules_leave_one_candidate),
		cmocka_unit_test(a_rule_added_later_is_tried),
		cmocka_unit_test(long_lists_are_left_to_the_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
