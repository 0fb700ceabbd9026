/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What matching costs: one match that does not hold, one rule beside a
 * thousand with disjoint matches, a set of 100,000 prefixes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "rule/ruleset.h"

#define MANY	 1000
#define MEMBERS	 100000
#define LOOK_UPS 65536 /* different addresses, so that no cache has them */

static uint8_t buffer[PACKET_BUFFER];
static uint32_t random_state = 1;
static volatile uint32_t sink;

static uint32_t random32(void)
{
	random_state = random_state * 1664525u + 1013904223u;
	return random_state ^ random_state >> 15;
}

static void make_packet(struct packet *p, uint32_t dst, uint16_t dport)
{
	*p = (struct packet){.head = buffer, .size = sizeof(buffer)};
	if (packet_new(p, 6) || packet_set(p, FIELD_IP_SRC, 0xc0000201) ||
	    packet_set(p, FIELD_IP_DST, dst) ||
	    packet_set(p, FIELD_TCP_SPORT, 40000) ||
	    packet_set(p, FIELD_TCP_DPORT, dport))
		bench_die("cannot make a packet");
}

static void add(struct match *m, enum match_key key, const char *text)
{
	struct error err = {.text = ""};

	if (!m || match_add(m, key, text, strlen(text), &err))
		bench_die(err.text);
}

/* ---- a match that does not hold ---------------------------------------- */

struct one {
	struct match *match;
	struct packet packet;
};

static void run_match(void *arg, unsigned n)
{
	struct one *o = arg;
	const struct match_context ctx = {.now = 1};
	uint32_t held = 0;

	for (unsigned i = 0; i < n; i++)
		held += match_holds(o->match, &o->packet, &ctx);
	sink += held;
}

/* ---- one rule and a thousand ------------------------------------------- */

enum kind { BY_DST, BY_DPORT, BY_BOTH, BY_GRID, KINDS };

struct rules {
	struct ruleset *set;
	struct packet packet[256]; /* taken in turn */
};

static void add_rule(struct ruleset *rs, enum kind kind, unsigned i)
{
	struct rule *r = calloc(1, sizeof(*r));
	char text[40];

	if (!r)
		bench_die("no memory");
	r->name = strdup("bench");
	r->origin = strdup("bench:1");
	r->match = match_new();
	add(r->match, MATCH_PROTO, "tcp");
	if (kind != BY_DPORT) {
		unsigned at = kind == BY_GRID ? i / 32 : i;

		snprintf(text, sizeof(text), "10.%u.%u.0/24", at >> 8,
			 at & 255);
		add(r->match, MATCH_DST, text);
	}
	if (kind != BY_DST) {
		snprintf(text, sizeof(text), "%u",
			 1000 + (kind == BY_GRID ? i % 32 : i));
		add(r->match, MATCH_DPORT, text);
	}
	r->constant = (struct verdict){.kind = VERDICT_DROP,
				       .reject_code = REJECT_DEFAULT};
	ruleset_add(rs, r);
}

/* What the rules first.. of a thousand are for; hit: some of them, or none. */
static void make_rules(struct rules *l, enum kind kind, unsigned first,
		       unsigned count, bool hit)
{
	static uint8_t bytes[4096][128];
	static unsigned used;

	l->set = ruleset_new();
	if (!l->set)
		bench_die("no memory");
	for (unsigned i = 0; i < count; i++)
		add_rule(l->set, kind, first + i);
	ruleset_seal(l->set);
	for (unsigned k = 0; k < 256; k++) {
		unsigned i = first + random32() % count;
		unsigned at = kind == BY_GRID ? i / 32 : i;
		struct packet *p = &l->packet[k];

		make_packet(p,
			    (10u << 24 | at << 8 | 5u) + (hit ? 0 : 1u << 24),
			    (uint16_t)((hit ? 1000 : 100) +
				       (kind == BY_GRID ? i % 32 : i)));
		if (used == 4096)
			bench_die("too many packets");
		memcpy(bytes[used], p->data, p->len);
		p->head = p->data = bytes[used++];
		p->size = 128;
	}
}

static void run_rules(void *arg, unsigned n)
{
	struct rules *l = arg;
	const struct match_context ctx = {.now = 1};
	struct verdict v;
	uint32_t dropped = 0;

	for (unsigned i = 0; i < n; i++) {
		ruleset_run(l->set, &l->packet[i & 255], &ctx, NULL, NULL, &v);
		dropped += v.kind == VERDICT_DROP;
	}
	sink += dropped;
}

/* ---- a set of 100,000 -------------------------------------------------- */

struct lots {
	struct set *set;
	struct address address[LOOK_UPS];
};

/* Prefixes as lists of networks have them: mostly /24 to /32, some wider. */
static void make_set(struct lots *s)
{
	static const uint8_t lengths[] = {32, 32, 24, 24, 24, 28,
					  22, 20, 19, 16, 30, 25};

	s->set = set_new("bench");
	if (!s->set)
		bench_die("no memory");
	for (unsigned i = 0; i < MEMBERS; i++) {
		uint32_t v = random32();
		struct prefix p = {
			.address = address_v4((uint8_t[]){
				(uint8_t)(v >> 24), (uint8_t)(v >> 16),
				(uint8_t)(v >> 8), (uint8_t)v}),
			.length = lengths[random32() % sizeof(lengths)]};

		if (set_add(s->set, &p, false, 0))
			bench_die("cannot add to a set");
		/* Every other address asked for is of a member. */
		if (i < LOOK_UPS)
			s->address[i] = p.address;
	}
	for (unsigned i = 0; i < LOOK_UPS; i += 2) {
		uint32_t v = random32();

		memcpy(s->address[i].byte, &v, sizeof(v));
	}
}

static void run_set(void *arg, unsigned n)
{
	struct lots *s = arg;
	uint32_t has = 0;

	for (unsigned i = 0; i < n; i++)
		has += set_has(s->set, &s->address[i % LOOK_UPS], 1);
	sink += has;
}

/* ---- the cases --------------------------------------------------------- */

static const struct {
	const char *name;
	enum match_key key[3];
	const char *value[3];
} misses[] = {
	{"a miss: proto=udp", {MATCH_PROTO}, {"udp"}},
	{"a miss: dport=80", {MATCH_DPORT}, {"80"}},
	{"a miss: dst=10.0.0.0/8", {MATCH_DST}, {"10.0.0.0/8"}},
	{"a miss: ttl=1", {MATCH_TTL}, {"1"}},
	{"a miss: proto=tcp dport=80", {MATCH_PROTO, MATCH_DPORT},
	 {"tcp", "80"}},
	{"a miss: proto=tcp dst dport, the last",
	 {MATCH_PROTO, MATCH_DST, MATCH_DPORT},
	 {"tcp", "198.51.100.0/24", "80"}},
	{"a miss: tcp_flags=S/SA", {MATCH_TCP_FLAGS}, {"S/SA"}},
};
#define MISSES (sizeof(misses) / sizeof(*misses))

static const struct {
	const char *name;
	enum kind kind;
	unsigned first, count;
	bool hit;
} sets[] = {
	{"1 rule by dst, held", BY_DST, 700, 1, true},
	{"1,000 rules by dst, one held", BY_DST, 0, MANY, true},
	{"1 rule by dst, not held", BY_DST, 700, 1, false},
	{"1,000 rules by dst, none held", BY_DST, 0, MANY, false},
	{"1 rule by dport, held", BY_DPORT, 700, 1, true},
	{"1,000 rules by dport, one held", BY_DPORT, 0, MANY, true},
	{"1 rule by dst and dport, held", BY_BOTH, 700, 1, true},
	{"1,000 rules by dst and dport, one held", BY_BOTH, 0, MANY, true},
	{"1 rule of 32 dst by 32 dport, held", BY_GRID, 700, 1, true},
	{"1,000 rules, 32 dst by 32 dport, one held", BY_GRID, 0, MANY, true},
};
#define SETS (sizeof(sets) / sizeof(*sets))

int main(void)
{
	static struct one one[MISSES];
	static struct rules rules[SETS];
	static struct lots lots;
	static struct bench b[MISSES + SETS + 1];
	struct bench *of_sets = b + MISSES, *of_lots = of_sets + SETS;

	for (unsigned i = 0; i < MISSES; i++) {
		one[i].match = match_new();
		for (int k = 0; k < 3 && misses[i].value[k]; k++)
			add(one[i].match, misses[i].key[k], misses[i].value[k]);
		b[i] = (struct bench){.name = misses[i].name,
				      .run = run_match,
				      .arg = &one[i]};
	}
	for (unsigned i = 0; i < SETS; i++) {
		make_rules(&rules[i], sets[i].kind, sets[i].first,
			   sets[i].count, sets[i].hit);
		of_sets[i] = (struct bench){.name = sets[i].name,
					    .run = run_rules,
					    .arg = &rules[i]};
	}
	make_set(&lots);
	*of_lots = (struct bench){.name = "a set of 100,000 prefixes",
				  .run = run_set,
				  .arg = &lots};
	/* Its bytes stay in the one buffer. */
	for (unsigned i = 0; i < MISSES; i++)
		make_packet(&one[i].packet, 0xc633641b, 443);

	bench_measure(b, MISSES + SETS + 1);
	bench_print(b, MISSES + SETS + 1);
	puts("");
	for (unsigned i = 0; i < MISSES; i++)
		bench_promise(b[i].name, b[i].median, b[i].least, 15, "ns");
	for (unsigned i = 0; i < SETS; i += 2)
		bench_promise(of_sets[i + 1].name,
			      of_sets[i + 1].median / of_sets[i].median,
			      of_sets[i + 1].least / of_sets[i].least, 2, "x");
	bench_promise(of_lots->name, of_lots->median, of_lots->least, 100,
		      "ns");

	for (unsigned i = 0; i < MISSES; i++)
		match_free(one[i].match);
	for (unsigned i = 0; i < SETS; i++)
		ruleset_free(rules[i].set);
	set_unref(lots.set);
	return 0;
}
