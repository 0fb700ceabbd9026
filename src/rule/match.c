/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Evaluates a match. On the packet path: nothing here allocates, and what
 * does not hold is found out with the cheapest condition first.
 *
 * A condition on what the packet does not have does not hold, negated or
 * not: "dport = !80" is said of packets that have a port. A packet that is
 * no usable IPv4 (ODD) has nothing but its length and where it came from.
 * Whose packet it is cannot be read from it: that is assumed, or not.
 */
#include "rule/match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rule/cond.h"

struct match *match_new(void)
{
	return calloc(1, sizeof(struct match));
}

static void cond_free(struct cond *c)
{
	for (uint32_t i = 0; i < c->pub.count; i++) {
		free((char *)c->pub.value[i].text);
		set_unref(c->pub.value[i].set);
	}
	free(c->pub.value);
	for (int i = 0; i < 2; i++) {
		ranges_free(&c->in[i]);
		ranges_free(&c->out[i]);
	}
	free(c);
}

void match_free(struct match *m)
{
	if (!m)
		return;
	while (m->first) {
		struct cond *c = cond_of(m->first);

		m->first = c->pub.next;
		cond_free(c);
	}
	free(m);
}

const struct match_cond *match_conds(const struct match *m)
{
	return m->first;
}

static bool number_holds(const struct cond *c, uint32_t v)
{
	if (c->positive && !ranges_has(&c->in[0], v))
		return false;
	return !ranges_has(&c->out[0], v);
}

static bool field_holds(const struct cond *c, const struct packet *p,
			enum packet_field f)
{
	uint32_t v;

	return !packet_get(p, f, &v) && number_holds(c, v);
}

static bool port_holds(const struct cond *c, const struct packet *p)
{
	uint16_t sport, dport;

	if (packet_ports(p, &sport, &dport))
		return false;
	return number_holds(c, c->pub.key == MATCH_SPORT ? sport : dport);
}

static bool any_set_has(const struct cond *c, const struct packet *p,
			int64_t now)
{
	struct address a =
		c->pub.key == MATCH_SRC ? packet_src(p) : packet_dst(p);

	for (uint32_t i = 0; i < c->pub.count; i++)
		if (c->pub.value[i].set &&
		    set_has(c->pub.value[i].set, &a, now))
			return true;
	return false;
}

static bool address_holds(const struct cond *c, const struct packet *p,
			  int64_t now)
{
	bool src = c->pub.key == MATCH_SRC;
	unsigned family = 0;
	uint32_t v4;
	u128 v;

	/* As a number, without a struct address on the way, where it is
	 * IPv4. */
	if (!packet_get(p, src ? FIELD_IP_SRC : FIELD_IP_DST, &v4)) {
		v = v4;
	} else {
		struct address a = src ? packet_src(p) : packet_dst(p);

		if (!a.size)
			return false;
		family = a.size == 16;
		v = address_number(&a);
	}
	if (c->positive && !ranges_has(&c->in[family], v) &&
	    !(c->sets && any_set_has(c, p, now)))
		return false;
	return !ranges_has(&c->out[family], v);
}

static bool flags_hold(const struct cond *c, const struct packet *p)
{
	bool in = !c->positive;
	uint32_t flags;

	if (packet_get(p, FIELD_TCP_FLAGS, &flags))
		return false;
	for (uint32_t i = 0; i < c->pub.count; i++) {
		const struct match_value *v = &c->pub.value[i];

		if (!flags_within(flags, v))
			continue;
		if (v->negate)
			return false;
		in = true;
	}
	return in;
}

bool iface_within(const char *a, const char *b)
{
	size_t n = strlen(b);

	if (n && b[n - 1] == '*')
		return !strncmp(a, b, n - 1);
	return !strcmp(a, b);
}

bool cgroup_within(const char *a, const char *b)
{
	size_t n = strlen(b);

	return !strncmp(a, b, n) && (!a[n] || a[n] == '/');
}

bool text_value_within(enum match_key key, const struct match_value *a,
		       const struct match_value *b)
{
	if (key == MATCH_PAYLOAD)
		return b->text_len <= a->text_len &&
		       !memcmp(a->text, b->text, b->text_len);
	return key == MATCH_CGROUP ? cgroup_within(a->text, b->text)
				   : iface_within(a->text, b->text);
}

static bool iface_holds(const struct cond *c, struct packet *p,
			const struct match_context *ctx)
{
	bool in = !c->positive;

	/* By route the uplink is known only to who asks for it. */
	if (!p->iface && ctx && ctx->resolve && !(p->flags & PACKET_ODD))
		ctx->resolve(p, ctx->arg);
	if (!p->iface)
		return false;
	for (uint32_t i = 0; i < c->pub.count; i++) {
		const struct match_value *v = &c->pub.value[i];

		if (!iface_within(p->iface, v->text))
			continue;
		if (v->negate)
			return false;
		in = true;
	}
	return in;
}

/* Of what passes through only one of its two uplinks is known. */
static bool is_leaving(const struct packet *p)
{
	return p->dir == DIR_OUT || (p->dir == DIR_FORWARD && p->leaving);
}

static bool payload_holds(const struct cond *c, const struct packet *p)
{
	bool in = !c->positive;

	if (!p->payload)
		return false;
	for (uint32_t i = 0; i < c->pub.count; i++) {
		const struct match_value *v = &c->pub.value[i];
		const uint8_t *b = packet_at(p, p->payload, v->text_len);

		if (!b || memcmp(b, v->text, v->text_len))
			continue;
		if (v->negate)
			return false;
		in = true;
	}
	return in;
}

/* What holds for a packet whose headers can be read. */
static bool header_holds(const struct cond *c, const struct packet *p,
			 const struct match_context *ctx)
{
	switch (c->pub.key) {
	case MATCH_PROTO:
		return number_holds(c, p->proto);
	case MATCH_FRAGMENT:
		return number_holds(c, !!(p->flags & PACKET_FRAGMENT));
	case MATCH_SRC:
	case MATCH_DST:
		return address_holds(c, p, ctx ? ctx->now : 0);
	case MATCH_SPORT:
	case MATCH_DPORT:
		return port_holds(c, p);
	case MATCH_ICMP_TYPE:
		return field_holds(c, p, FIELD_ICMP_TYPE);
	case MATCH_ICMP_CODE:
		return field_holds(c, p, FIELD_ICMP_CODE);
	case MATCH_TCP_FLAGS:
		return flags_hold(c, p);
	case MATCH_DSCP:
		return field_holds(c, p, FIELD_IP_DSCP);
	case MATCH_TTL:
		return field_holds(c, p, FIELD_IP_TTL);
	case MATCH_PAYLOAD:
		return payload_holds(c, p);
	default:
		return false;
	}
}

bool match_key_is_kernel(enum match_key key)
{
	return key == MATCH_USER || key == MATCH_GROUP || key == MATCH_CGROUP;
}

enum match_key match_asks_kernel(const struct match *m)
{
	for (struct match_cond *c = m ? m->first : NULL; c; c = c->next)
		if (match_key_is_kernel(c->key))
			return c->key;
	return MATCH_KEYS;
}

void match_assume(struct match *m, bool hold)
{
	for (struct match_cond *c = m->first; c; c = c->next)
		cond_of(c)->assumed = hold;
}

static bool cond_holds(const struct cond *c, struct packet *p,
		       const struct match_context *ctx)
{
	switch (c->pub.key) {
	case MATCH_USER:
	case MATCH_GROUP:
	case MATCH_CGROUP:
		return c->assumed && p->dir == DIR_OUT;
	case MATCH_DIR:
		return number_holds(c, p->dir);
	case MATCH_LEN:
		return number_holds(c, p->len);
	case MATCH_OIF:
		return is_leaving(p) && iface_holds(c, p, ctx);
	case MATCH_IIF:
		return p->dir != DIR_OUT && !is_leaving(p) &&
		       iface_holds(c, p, ctx);
	default:
		return !(p->flags & PACKET_ODD) && header_holds(c, p, ctx);
	}
}

bool match_holds(const struct match *m, struct packet *p,
		 const struct match_context *ctx)
{
	for (struct match_cond *c = m->first; c; c = c->next)
		if (!cond_holds(cond_of(c), p, ctx))
			return false;
	return true;
}

bool match_explain(const struct match *m, struct packet *p,
		   const struct match_context *ctx, enum match_key *failed)
{
	for (struct match_cond *c = m->first; c; c = c->next) {
		if (cond_holds(cond_of(c), p, ctx))
			continue;
		*failed = c->key;
		return false;
	}
	return true;
}
