/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A match in the words of nftables. What has alternatives that no list of
 * ranges can join (names, sets, payloads) multiplies the steps. Must not know
 * what is done with what matches.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "rule/cond.h"
#include "rule/plan.h"

/* More alternatives than this are not worth a rule each. */
#define STEPS_MAX 32

#define TCP_SYN 0x02
#define TCP_RST 0x04

#define PROTO_MAX 255
#define FLAGS_MAX 255
#define ALL_DIRS  (1u << DIR_OUT | 1u << DIR_IN | 1u << DIR_FORWARD)

static const struct cond *find(const struct match *m, enum match_key key)
{
	for (struct match_cond *c = m ? m->first : NULL; c; c = c->next)
		if (c->key == key)
			return cond_of(c);
	return NULL;
}

/* ---- terms --------------------------------------------------------------- */

static void term_free(struct plan_term *t)
{
	ranges_free(&t->ranges);
}

void plan_step_free(struct plan_step *s)
{
	for (uint32_t i = 0; i < s->terms; i++)
		term_free(&s->term[i]);
	free(s->term);
	*s = (struct plan_step){0};
}

void plan_steps_free(struct plan_steps *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		plan_step_free(&list->step[i]);
	free(list->step);
	*list = (struct plan_steps){0};
}

static int ranges_copy(struct ranges *to, const struct ranges *from)
{
	*to = (struct ranges){0};
	if (!from->count)
		return 0;
	to->range = calloc(from->count, sizeof(*to->range));
	if (!to->range)
		return -ENOMEM;
	memcpy(to->range, from->range, from->count * sizeof(*to->range));
	to->count = to->room = from->count;
	return 0;
}

/* Appends a copy of t. */
static int term_add(struct plan_step *s, const struct plan_term *t)
{
	struct plan_term *more =
		realloc(s->term, (s->terms + 1) * sizeof(*more));
	struct plan_term *to;

	if (!more)
		return -ENOMEM;
	s->term = more;
	to = &s->term[s->terms];
	*to = *t;
	if (ranges_copy(&to->ranges, &t->ranges))
		return -ENOMEM;
	s->terms++;
	return 0;
}

static int step_copy(struct plan_step *to, const struct plan_step *from)
{
	int r = 0;

	*to = *from;
	to->term = NULL;
	to->terms = 0;
	for (uint32_t i = 0; i < from->terms && !r; i++)
		r = term_add(to, &from->term[i]);
	return r;
}

/* ---- steps --------------------------------------------------------------- */

/* A term that all steps get. */
static int all_get(struct plan_steps *list, const struct plan_term *t)
{
	int r = 0;

	for (uint32_t i = 0; i < list->count && !r; i++)
		r = term_add(&list->step[i], t);
	return r;
}

static void leave_out(struct plan_steps *list, enum match_key key)
{
	if (list->exact)
		list->left = key;
	list->exact = false;
}

/* Every step once for each of these terms. */
static int multiply(struct plan_steps *list, const struct plan_term *t,
		    uint32_t n)
{
	uint32_t old = list->count;
	struct plan_step *more;
	int r = 0;

	if (!old)
		return 0;
	if (n * old > STEPS_MAX) {
		leave_out(list, t->key);
		return 0;
	}
	more = realloc(list->step, (size_t)n * old * sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->step = more;
	for (uint32_t k = 1; k < n; k++)
		for (uint32_t i = 0; i < old; i++) {
			struct plan_step *to = &list->step[list->count];

			r = step_copy(to, &list->step[i]);
			list->count++;
			if (!r)
				r = term_add(to, &t[k]);
			if (r)
				return r;
		}
	for (uint32_t i = 0; i < old && !r; i++)
		r = term_add(&list->step[i], &t[0]);
	return r;
}

/* ---- conditions ---------------------------------------------------------- */

static bool is_all(const struct ranges *r, u128 max)
{
	return r->count == 1 && !r->range[0].low && r->range[0].high == max;
}

/* Empties the list: nothing meets a term without a value. */
static void never(struct plan_steps *list)
{
	for (uint32_t i = 0; i < list->count; i++)
		plan_step_free(&list->step[i]);
	list->count = 0;
}

static int numbers(struct plan_steps *list, const struct cond *c, u128 max)
{
	struct plan_term t = {.kind = TERM_RANGES, .key = c->pub.key};
	int r = cond_admits(&t.ranges, c, 0, max);

	/* A key that every packet has needs no word for all its values. */
	if (!r && !t.ranges.count)
		never(list);
	else if (!r && !(is_all(&t.ranges, max) &&
			 !match_key_protos(c->pub.key) &&
			 !match_key_is_kernel(c->pub.key)))
		r = all_get(list, &t);
	term_free(&t);
	return r;
}

static int flags(struct plan_steps *list, const struct cond *c)
{
	const struct match_value *v = c->pub.value;
	struct plan_term t = {.key = MATCH_TCP_FLAGS};
	int r = 0;

	if (c->pub.count == 1) {
		t.kind = TERM_MASK;
		t.negate = v->negate;
		t.value = v->low;
		t.mask = v->high;
		return all_get(list, &t);
	}
	t.kind = TERM_RANGES;
	for (uint32_t i = 0; i <= FLAGS_MAX && !r; i++)
		if (cond_admits_flags(c, i))
			r = ranges_add(&t.ranges, i, i);
	if (!r && !t.ranges.count)
		never(list);
	else if (!r)
		r = all_get(list, &t);
	term_free(&t);
	return r;
}

/* Of an address: in one of the sets or of the ranges, and in no range that is
 * excluded. */
static int addresses(struct plan_steps *list, const struct cond *c,
		     const struct plan_options *o)
{
	struct plan_term *t, all = {.kind = TERM_RANGES, .key = c->pub.key};
	uint32_t n = 0;
	int r;

	if (!c->sets)
		return numbers(list, c, address_last(4));
	if (!o->sets) {
		leave_out(list, c->pub.key);
		return 0;
	}
	t = calloc(c->sets + 1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->pub.count; i++)
		if (c->pub.value[i].set)
			t[n++] = (struct plan_term){
				.kind = TERM_SET,
				.key = c->pub.key,
				.set = c->pub.value[i].set,
			};
	t[n].kind = TERM_RANGES;
	t[n].key = c->pub.key;
	r = ranges_copy(&t[n].ranges, &c->in[0]);
	if (!r)
		r = multiply(list, t, n + (t[n].ranges.count != 0));
	if (!r && c->out[0].count) {
		struct cond out = *c;

		out.positive = 0;
		r = cond_admits(&all.ranges, &out, 0, address_last(4));
		if (!r && !all.ranges.count)
			never(list);
		else if (!r)
			r = all_get(list, &all);
	}
	term_free(&t[n]);
	term_free(&all);
	free(t);
	return r;
}

/* Names and bytes: any of those without negate, none of those with. */
static int texts(struct plan_steps *list, const struct cond *c)
{
	struct plan_term *t = calloc(c->pub.count, sizeof(*t));
	bool bytes = c->pub.key == MATCH_PAYLOAD;
	enum term_kind kind = bytes ? TERM_BYTES
			      : c->pub.key == MATCH_CGROUP ? TERM_CGROUP
							   : TERM_NAME;
	uint32_t n = 0;
	int r = 0;

	if (!t)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->pub.count && !r; i++) {
		const struct match_value *v = &c->pub.value[i];
		struct plan_term one = {
			.kind = kind,
			.key = c->pub.key,
			.negate = v->negate,
			.text = v->text,
			.text_len = bytes ? v->text_len
					  : (uint32_t)strlen(v->text),
		};

		if (bytes && v->text_len > PLAN_BYTES_MAX) {
			one.text_len = PLAN_BYTES_MAX;
			leave_out(list, c->pub.key);
		}
		if (!v->negate)
			t[n++] = one;
		else if (bytes) /* a payload that is shorter has no bytes */
			leave_out(list, c->pub.key);
		else
			r = all_get(list, &one);
	}
	if (!r && n)
		r = multiply(list, t, n);
	free(t);
	return r;
}

/* The protocols that a match admits, by what it says of them and by what else
 * it asks for. */
static int protocols(struct ranges *r, const struct match *m)
{
	const struct cond *proto = find(m, MATCH_PROTO);
	int ret = 0;

	for (unsigned p = 0; p <= PROTO_MAX && !ret; p++) {
		bool in = !proto ||
			  ((!proto->positive || ranges_has(&proto->in[0], p)) &&
			   !ranges_has(&proto->out[0], p));

		for (struct match_cond *c = m->first; c && in; c = c->next) {
			const uint8_t *list = match_key_protos(c->key);

			if (!list)
				continue;
			while (*list && *list != p)
				list++;
			in = *list;
		}
		if (in)
			ret = ranges_add(r, p, p);
	}
	return ret;
}

/* Where a payload begins is known of TCP and UDP. */
static bool payload_is_known(const struct ranges *protos)
{
	for (uint32_t i = 0; i < protos->count; i++)
		for (u128 p = protos->range[i].low;
		     p <= protos->range[i].high; p++)
			if (p != 6 && p != 17)
				return false;
	return true;
}

/* None of a SYN or a RST stands for several. */
static bool is_of_one(const struct cond *c)
{
	for (uint32_t i = 0; i < c->pub.count; i++) {
		const struct match_value *v = &c->pub.value[i];

		if (v->negate || !(v->low & (TCP_SYN | TCP_RST)))
			return false;
	}
	return true;
}

/* Whether the packets that one of TCP or UDP stands for may answer this
 * differently. */
static bool differs_when_cut(const struct cond *c, const struct ranges *protos)
{
	if (!ranges_has(protos, IPPROTO_TCP) &&
	    !ranges_has(protos, IPPROTO_UDP))
		return false;
	return c->pub.key == MATCH_LEN || c->pub.key == MATCH_PAYLOAD ||
	       (c->pub.key == MATCH_TCP_FLAGS && !is_of_one(c));
}

static int one_condition(struct plan_steps *list, const struct cond *c,
			 const struct ranges *protos,
			 const struct plan_options *o)
{
	if (o->cut && differs_when_cut(c, protos)) {
		leave_out(list, c->pub.key);
		return 0;
	}
	switch (c->pub.key) {
	case MATCH_PROTO: /* see protocols */
	case MATCH_DIR:	  /* see directions */
		return 0;
	case MATCH_SRC:
	case MATCH_DST:
		return addresses(list, c, o);
	case MATCH_TCP_FLAGS:
		return flags(list, c);
	case MATCH_OIF:
	case MATCH_IIF:
	case MATCH_CGROUP:
		return texts(list, c);
	case MATCH_PAYLOAD:
		if (payload_is_known(protos))
			return texts(list, c);
		leave_out(list, c->pub.key);
		return 0;
	default:
		return numbers(list, c, match_keys[c->pub.key].max);
	}
}

static unsigned directions(const struct match *m)
{
	const struct cond *c = find(m, MATCH_DIR);
	unsigned dirs = ALL_DIRS;

	for (unsigned d = 0; c && d <= DIR_FORWARD; d++)
		if ((c->positive && !ranges_has(&c->in[0], d)) ||
		    ranges_has(&c->out[0], d))
			dirs &= ~(1u << d);
	if (find(m, MATCH_OIF))
		dirs &= ~(1u << DIR_IN);
	if (find(m, MATCH_IIF))
		dirs &= ~(1u << DIR_OUT);
	if (match_asks_kernel(m) != MATCH_KEYS)
		dirs &= 1u << DIR_OUT;
	return dirs;
}

/* ---- connections --------------------------------------------------------- */

static bool is_of_connections(enum match_key key)
{
	return key == MATCH_SRC || key == MATCH_DST || key == MATCH_SPORT ||
	       key == MATCH_DPORT;
}

static enum match_key mirrored(enum match_key key)
{
	switch (key) {
	case MATCH_SRC:
		return MATCH_DST;
	case MATCH_DST:
		return MATCH_SRC;
	case MATCH_SPORT:
		return MATCH_DPORT;
	case MATCH_DPORT:
		return MATCH_SPORT;
	default:
		return key;
	}
}

/* What answers comes the other way. */
static unsigned mirrored_dirs(unsigned dirs)
{
	unsigned other = dirs & 1u << DIR_FORWARD;

	if (dirs & 1u << DIR_OUT)
		other |= 1u << DIR_IN;
	if (dirs & 1u << DIR_IN)
		other |= 1u << DIR_OUT;
	return other;
}

static int add_mirrored(struct plan_steps *list)
{
	uint32_t old = list->count;
	struct plan_step *more;
	int r = 0;

	if (!old)
		return 0;
	more = realloc(list->step, 2 * (size_t)old * sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->step = more;
	for (uint32_t i = 0; i < old && !r; i++) {
		struct plan_step *s = &list->step[list->count];

		r = step_copy(s, &list->step[i]);
		list->count++;
		s->dirs = mirrored_dirs(s->dirs);
		for (uint32_t k = 0; k < s->terms; k++)
			s->term[k].key = mirrored(s->term[k].key);
	}
	return r;
}

/* ---- the interface ------------------------------------------------------- */

static int conditions(struct plan_steps *list, const struct match *m,
		      bool connection, const struct plan_options *o)
{
	struct plan_term proto = {.kind = TERM_RANGES, .key = MATCH_PROTO};
	int r = protocols(&proto.ranges, m);

	if (!r && !proto.ranges.count)
		never(list);
	else if (!r && !is_all(&proto.ranges, PROTO_MAX))
		r = all_get(list, &proto);
	for (struct match_cond *c = m->first; c && !r; c = c->next)
		if (!connection || is_of_connections(c->key))
			r = one_condition(list, cond_of(c), &proto.ranges, o);
	term_free(&proto);
	return r;
}

int plan_steps_make(struct plan_steps *list, const struct match *m,
		    bool connection, const struct plan_options *o)
{
	int r = 0;

	*list = (struct plan_steps){.exact = !connection, .dirs = ALL_DIRS};
	list->step = calloc(1, sizeof(*list->step));
	if (!list->step)
		return -ENOMEM;
	list->count = 1;
	if (m)
		list->dirs = directions(m);
	list->step[0].dirs = list->dirs;
	if (!list->dirs)
		never(list);
	if (m)
		r = conditions(list, m, connection, o);
	if (!r && connection)
		r = add_mirrored(list);
	if (r)
		plan_steps_free(list);
	return r;
}

/* ---- what may meet ------------------------------------------------------- */

static bool ranges_meet(const struct ranges *a, const struct ranges *b)
{
	for (uint32_t i = 0, k = 0; i < a->count && k < b->count;) {
		if (a->range[i].high < b->range[k].low)
			i++;
		else if (b->range[k].high < a->range[i].low)
			k++;
		else
			return true;
	}
	return false;
}

static bool terms_meet(const struct plan_term *a, const struct plan_term *b)
{
	if (a->key != b->key || a->kind != b->kind)
		return true;
	switch (a->kind) {
	case TERM_RANGES:
		return ranges_meet(&a->ranges, &b->ranges);
	case TERM_NAME:
		return a->negate || b->negate ||
		       iface_within(a->text, b->text) ||
		       iface_within(b->text, a->text);
	case TERM_CGROUP:
		if (a->negate || b->negate)
			return a->negate == b->negate ||
			       !(a->negate ? cgroup_within(b->text, a->text)
					   : cgroup_within(a->text, b->text));
		return cgroup_within(a->text, b->text) ||
		       cgroup_within(b->text, a->text);
	case TERM_MASK:
		return a->negate || b->negate ||
		       !((a->value ^ b->value) & a->mask & b->mask);
	case TERM_BYTES:
		return !memcmp(a->text, b->text,
			       a->text_len < b->text_len ? a->text_len
							 : b->text_len);
	default:
		return true;
	}
}

static bool may_be_rewritten(enum match_key key)
{
	switch (key) {
	case MATCH_PROTO:
	case MATCH_ICMP_TYPE:
	case MATCH_ICMP_CODE:
	case MATCH_TCP_FLAGS:
	case MATCH_OIF:
	case MATCH_IIF:
	case MATCH_USER:
	case MATCH_GROUP:
	case MATCH_CGROUP:
	case MATCH_FRAGMENT:
	case MATCH_PAYLOAD:
		return false;
	default:
		return true;
	}
}

bool plan_may_meet(const struct plan_step *a, const struct plan_step *b,
		   struct plan_meeting how)
{
	if (!(a->dirs & b->dirs))
		return false;
	for (uint32_t i = 0; i < a->terms; i++) {
		enum match_key key = a->term[i].key;

		if ((how.rewrite && may_be_rewritten(key)) ||
		    (how.anybody && match_key_is_kernel(key)))
			continue;
		for (uint32_t k = 0; k < b->terms; k++)
			if (!terms_meet(&a->term[i], &b->term[k]))
				return false;
	}
	return true;
}
