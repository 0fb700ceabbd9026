/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input: a byte of options; lines of words, each a rule: conditions KEY=VALUE,
 * '>', rewrites KEY=VALUE, and one letter: f and c are functions (c wants whole
 * connections), A and D verdicts, V a via; an empty line; a byte for the
 * direction; the rest is a packet. The plan is carried out here, step by step:
 * what it decides for the packet must be what the rules decide, no function
 * having been asked, byte for byte; and what went on in it must not be handed
 * over.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule/match.h"
#include "rule/plan.h"
#include "rule/ruleset.h"
#include "require.h"

#define LINE_MAX_BYTES 256
#define RULES_MAX      32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- rules ------------------------------------------------------------ */

static void condition(struct rule *r, char *key, struct set *set)
{
	char *value = strchr(key, '=');
	int id;

	*value++ = '\0';
	id = match_key_parse(key, NULL);
	/* Who sent it the kernel alone knows. */
	if (id < 0 || match_key_is_kernel((enum match_key)id))
		return;
	if (!r->match)
		r->match = match_new();
	if (*value == '@')
		match_add_set(r->match, (enum match_key)id, set, NULL);
	else
		match_add(r->match, (enum match_key)id, value, strlen(value),
			  NULL);
}

static void rewrite(struct rule *r, char *key)
{
	char *value = strchr(key, '=');
	struct rewrite w = {0}, *copy;
	int id;

	*value++ = '\0';
	id = rewrite_key_parse(key, NULL);
	if (id < 0)
		return;
	w.key = (enum rewrite_key)id;
	if (rewrite_parse(&w, value, NULL))
		return;
	copy = malloc(sizeof(*copy));
	*copy = w;
	copy->next = r->rewrite;
	r->rewrite = copy;
}

static void action(struct rule *r, char letter)
{
	r->action = letter == 'f' || letter == 'c';
	r->connection = letter == 'c';
	r->constant.kind = letter == 'A'   ? VERDICT_ACCEPT
			   : letter == 'D' ? VERDICT_DROP
			   : letter == 'V' ? VERDICT_VIA
					   : VERDICT_NONE;
	r->constant.via = letter == 'V' ? "wg0" : NULL;
}

static void add_rule(struct ruleset *rs, const uint8_t *line, size_t n,
		     struct set *set)
{
	struct rule *r = calloc(1, sizeof(*r));
	char copy[LINE_MAX_BYTES], *save = NULL, *word;
	bool behind = false;

	snprintf(copy, sizeof(copy), "%.*s",
		 (int)(n < sizeof(copy) ? n : sizeof(copy) - 1),
		 (const char *)line);
	r->name = strdup("r");
	r->origin = strdup("fuzz:1");
	for (word = strtok_r(copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		if (!strcmp(word, ">"))
			behind = true;
		else if (!strchr(word, '='))
			action(r, *word);
		else if (behind)
			rewrite(r, word);
		else
			condition(r, word, set);
	}
	ruleset_add(rs, r);
}

/* ---- the rules, as we walk through them ---------------------------------- */

static int where(void *arg, const struct rule *r, struct packet *p)
{
	(void)r;
	(void)p;
	*(bool *)arg = true;
	return 0;
}

static void act(void *arg, const struct rule *r, struct packet *p,
		struct verdict *v)
{
	(void)r;
	(void)p;
	*(bool *)arg = true;
	v->kind = VERDICT_NONE;
}

static void resolve(struct packet *p, void *arg)
{
	(void)arg;
	p->iface = "eth0";
}

/* ---- the plan, as nftables would ------------------------------------------- */

static bool is_leaving(const struct packet *p)
{
	return p->dir == DIR_OUT || (p->dir == DIR_FORWARD && p->leaving);
}

/* The number that a term looks at; false: the packet has none. */
static bool number(const struct packet *p, enum match_key key, uint32_t *v)
{
	uint16_t sport, dport;

	switch (key) {
	case MATCH_LEN:
		*v = p->len;
		return true;
	case MATCH_PROTO:
		*v = p->proto;
		return !(p->flags & PACKET_ODD);
	case MATCH_FRAGMENT:
		*v = p->flags & PACKET_FRAGMENT ? 1 : 0;
		return !(p->flags & PACKET_ODD);
	case MATCH_SRC:
		return !packet_get(p, FIELD_IP_SRC, v);
	case MATCH_DST:
		return !packet_get(p, FIELD_IP_DST, v);
	case MATCH_DSCP:
		return !packet_get(p, FIELD_IP_DSCP, v);
	case MATCH_TTL:
		return !packet_get(p, FIELD_IP_TTL, v);
	case MATCH_ICMP_TYPE:
		return !packet_get(p, FIELD_ICMP_TYPE, v);
	case MATCH_ICMP_CODE:
		return !packet_get(p, FIELD_ICMP_CODE, v);
	case MATCH_TCP_FLAGS:
		return !packet_get(p, FIELD_TCP_FLAGS, v);
	case MATCH_SPORT:
	case MATCH_DPORT:
		if (packet_ports(p, &sport, &dport))
			return false;
		*v = key == MATCH_SPORT ? sport : dport;
		return true;
	default:
		require(false, "a term that is known");
		return false;
	}
}

static bool name_holds(const char *pattern, const char *name)
{
	size_t n = strlen(pattern);

	return n && pattern[n - 1] == '*' ? !strncmp(pattern, name, n - 1)
					  : !strcmp(pattern, name);
}

static bool term_holds(const struct plan_term *t, const struct packet *p)
{
	struct address a;
	const uint8_t *b;
	uint32_t v;

	switch (t->kind) {
	case TERM_RANGES:
		return number(p, t->key, &v) && ranges_has(&t->ranges, v);
	case TERM_MASK:
		return number(p, t->key, &v) &&
		       ((v & t->mask) == t->value) != t->negate;
	case TERM_SET:
		a = t->key == MATCH_SRC ? packet_src(p) : packet_dst(p);
		return a.size == 4 && set_has(t->set, &a, 1);
	case TERM_NAME:
		return is_leaving(p) == (t->key == MATCH_OIF) &&
		       name_holds(t->text, "eth0") != t->negate;
	case TERM_BYTES:
		b = p->payload ? packet_at(p, p->payload, t->text_len) : NULL;
		return b && !memcmp(b, t->text, t->text_len);
	case TERM_CGROUP:
		break;
	}
	require(false, "a kind of term that is known");
	return false;
}

static bool step_holds(const struct plan_step *s, const struct packet *p)
{
	if (!(s->dirs & 1u << p->dir))
		return false;
	for (uint32_t i = 0; i < s->terms; i++)
		if (!term_holds(&s->term[i], p))
			return false;
	return true;
}

/* The step that ends it; NULL: the policy does. */
static const struct plan_step *carry_out(const struct plan *plan,
					 struct packet *p)
{
	bool went_on = false;

	for (uint32_t i = 0; i < plan->steps; i++) {
		const struct plan_step *s = &plan->step[i];

		if (!step_holds(s, p))
			continue;
		require(!plan_step_hands_over(s) || !went_on,
			"what went on is not handed over");
		for (const struct rewrite *w = s->rewrite ? s->rule->rewrite
							  : NULL;
		     w; w = w->next)
			rewrite_apply(w, p);
		if (s->act != STEP_GO_ON)
			return s;
		went_on = true;
	}
	return NULL;
}

static const enum verdict_kind kinds[] = {
	[STEP_ACCEPT] = VERDICT_ACCEPT,
	[STEP_DROP] = VERDICT_DROP,
	[STEP_VIA] = VERDICT_VIA,
};

static void compare(const struct plan *plan, const struct ruleset *rs,
		    const struct packet *like)
{
	static uint8_t ours[PACKET_BUFFER], theirs[PACKET_BUFFER];
	struct match_context ctx = {1, resolve, NULL};
	bool asked = false;
	struct ruleset_calls calls = {where, act, &asked};
	struct packet a = *like, b = *like;
	const struct plan_step *s;
	struct verdict v = {0};

	memcpy(ours, like->head, PACKET_HEADROOM + like->len + like->tail);
	memcpy(theirs, like->head, PACKET_HEADROOM + like->len + like->tail);
	a.head = ours;
	b.head = theirs;
	a.data = ours + PACKET_HEADROOM;
	b.data = theirs + PACKET_HEADROOM;
	b.iface = "eth0";
	/* What is no packet comes at the wire only, where that is known. */
	if (a.flags & PACKET_ODD)
		a.iface = "eth0";
	s = carry_out(plan, &b);
	if (s && (s->act == STEP_HAND_OVER ||
		  (s->act == STEP_VIA && b.dir != DIR_OUT)))
		return;
	ruleset_run(rs, &a, &ctx, &calls, NULL, &v);
	require(!asked, "no function wanted it");
	require(v.kind == (s ? kinds[s->act] : plan->policy),
		"the verdict is the same");
	require(v.rule == (s ? s->rule : NULL), "it is by the same rule");
	require(a.len == b.len && !memcmp(a.data, b.data, a.len),
		"the packet is the same");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buffer[PACKET_BUFFER];
	struct ruleset *rs = ruleset_new();
	struct set *set = set_new("fuzz");
	struct plan_options o = {0};
	struct packet p;
	struct plan *plan;
	char why[128];

	set_add_text(set, "10.0.0.0/8", 0, NULL);
	set_add_text(set, "!10.1.0.0/16", 0, NULL);
	if (size) {
		o = (struct plan_options){ .sets = *data & 1, .via = *data & 2,
					   .cut = *data & 4 };
		rs->policy = *data & 8 ? VERDICT_DROP : VERDICT_ACCEPT;
		rs->dirs = 7;
		data++;
		size--;
	}
	while (size && *data != '\n') {
		const uint8_t *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) : size;

		if (rs->count < RULES_MAX)
			add_rule(rs, data, n, set);
		data += n + (end != NULL);
		size -= n + (end != NULL);
	}
	ruleset_seal(rs);
	if (plan_make(&plan, rs, &o))
		abort();
	for (const struct rule *r = rs->first; r; r = r->next) {
		plan_place(plan, rs, r, why, sizeof(why));
		require(why[0] && !strchr(why, '\n'), "why is one line");
	}
	if (size > 2) {
		enum packet_dir dir = (enum packet_dir)(data[1] % 3);
		size_t n = size - 2 < PACKET_MAX ? size - 2 : PACKET_MAX;

		memcpy(buffer + PACKET_HEADROOM, data + 2, n);
		packet_init(&p, buffer, sizeof(buffer),
			    buffer + PACKET_HEADROOM, (uint32_t)n, NULL);
		p.dir = dir;
		p.leaving = data[1] & 4;
		compare(plan, rs, &p);
	}
	plan_free(plan);
	ruleset_free(rs);
	set_unref(set);
	return 0;
}
