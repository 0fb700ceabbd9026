/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a match says, in words; and whether it says anything possible. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "rule/cond.h"

/* A list longer than this is only counted. */
#define VALUES_SHOWN 8

/* A text that is filled from the left, cut where it ends, always ended. */
struct out {
	char *buf;
	size_t size, used;
};

static void put(struct out *o, const char *text)
{
	while (*text && o->used + 1 < o->size)
		o->buf[o->used++] = *text++;
	if (o->size)
		o->buf[o->used] = '\0';
}

static void put_bytes(struct out *o, const char *b, size_t n)
{
	size_t most = n < 32 ? n : 32;

	put(o, "\"");
	for (size_t i = 0; i < most; i++) {
		unsigned char c = (unsigned char)b[i];
		char text[8];

		snprintf(text, sizeof(text),
			 c == '"' || c == '\\'	? "\\%c"
			 : c < ' ' || c >= 0x7f ? "\\x%02x"
						: "%c",
			 c);
		put(o, text);
	}
	put(o, most < n ? "...\"" : "\"");
}

static void put_value(struct out *o, const struct match_cond *c,
		      const struct match_value *v)
{
	if (v->negate)
		put(o, "!");
	if (v->set) {
		put(o, "@");
		put(o, set_name(v->set));
	} else if (c->key == MATCH_PAYLOAD) {
		put_bytes(o, v->text, v->text_len);
	} else {
		put(o, v->text);
	}
}

const char *match_text(const struct match *m, char *buf, size_t size)
{
	struct out o = {.buf = buf, .size = size};

	put(&o, m->first ? "" : "any packet");
	for (struct match_cond *c = m->first; c; c = c->next) {
		char more[32];

		put(&o, c == m->first ? "" : " ");
		put(&o, match_key_name(c->key));
		for (uint32_t i = 0; i < c->count && i < VALUES_SHOWN; i++) {
			put(&o, i ? "," : "=");
			put_value(&o, c, &c->value[i]);
		}
		if (c->count <= VALUES_SHOWN)
			continue;
		snprintf(more, sizeof(more), ",(%u more)",
			 c->count - VALUES_SHOWN);
		put(&o, more);
	}
	return buf;
}

static const struct cond *find(const struct match *m, enum match_key key)
{
	for (struct match_cond *c = m->first; c; c = c->next)
		if (c->key == key)
			return cond_of(c);
	return NULL;
}

static bool ranges_empty(const struct ranges *in, const struct ranges *out,
			 bool positive, u128 max)
{
	if (!positive)
		return ranges_cover(out, 0, max);
	for (uint32_t i = 0; i < in->count; i++)
		if (!ranges_cover(out, in->range[i].low, in->range[i].high))
			return false;
	return true;
}

static bool flags_empty(const struct cond *c)
{
	for (uint32_t flags = 0; flags < 256; flags++) {
		bool in = !c->positive, out = false;

		for (uint32_t i = 0; i < c->pub.count; i++) {
			const struct match_value *v = &c->pub.value[i];

			if (flags_within(flags, v))
				*(v->negate ? &out : &in) = true;
		}
		if (in && !out)
			return false;
	}
	return true;
}

static bool is_excluded(const struct match_cond *c, const struct match_value *v)
{
	for (uint32_t i = 0; i < c->count; i++)
		if (c->value[i].negate && text_value_within(c->key, v, &c->value[i]))
			return true;
	return false;
}

/* Interfaces and payloads: every value lies within one that is excluded. */
static bool texts_empty(const struct cond *c)
{
	static const struct match_value any = {.text = "*", .text_len = 1};

	/* No prefix of a payload is a prefix of all of them, and no cgroup
	 * that can be named is above all. */
	if (!c->positive)
		return match_keys[c->pub.key].kind == KEY_IFACE &&
		       is_excluded(&c->pub, &any);
	for (uint32_t i = 0; i < c->pub.count; i++)
		if (!c->pub.value[i].negate &&
		    !is_excluded(&c->pub, &c->pub.value[i]))
			return false;
	return true;
}

static bool cond_empty(const struct cond *c)
{
	bool pos = c->positive;

	switch (match_keys[c->pub.key].kind) {
	case KEY_NUMBER:
	case KEY_CHOICE:
		return ranges_empty(&c->in[0], &c->out[0], pos,
				    match_keys[c->pub.key].max);
	case KEY_ADDRESS:
		return !c->sets &&
		       ranges_empty(&c->in[0], &c->out[0], pos,
				    address_last(4)) &&
		       ranges_empty(&c->in[1], &c->out[1], pos,
				    address_last(16));
	case KEY_FLAGS:
		return flags_empty(c);
	case KEY_IFACE:
	case KEY_BYTES:
	case KEY_CGROUP:
		return texts_empty(c);
	}
	return false;
}

/* The protocols that have what key is about; packet_ports knows these. */
static const uint8_t with_ports[] = {IPPROTO_TCP,     IPPROTO_UDP,
				     IPPROTO_SCTP,    IPPROTO_DCCP,
				     IPPROTO_UDPLITE, 0};
static const uint8_t with_icmp[] = {IPPROTO_ICMP, 0};
static const uint8_t with_tcp[] = {IPPROTO_TCP, 0};

const uint8_t *match_key_protos(enum match_key key)
{
	switch (key) {
	case MATCH_SPORT:
	case MATCH_DPORT:
		return with_ports;
	case MATCH_ICMP_TYPE:
	case MATCH_ICMP_CODE:
		return with_icmp;
	case MATCH_TCP_FLAGS:
		return with_tcp;
	default:
		return NULL;
	}
}

static bool admits(const struct cond *proto, const uint8_t *list)
{
	for (; *list; list++)
		if ((!proto->positive || ranges_has(&proto->in[0], *list)) &&
		    !ranges_has(&proto->out[0], *list))
			return true;
	return false;
}

/* Conditions that exclude each other by the protocol they speak of. */
static bool protos_clash(const struct match *m, struct error *why)
{
	const struct cond *proto = find(m, MATCH_PROTO);
	const struct match_cond *icmp = NULL, *other = NULL;

	for (struct match_cond *c = m->first; c; c = c->next) {
		const uint8_t *list = match_key_protos(c->key);

		if (list && proto && !admits(proto, list)) {
			error_set(why, 0,
				  "the protocols that proto admits have no %s",
				  match_key_name(c->key));
			return true;
		}
		if (list == with_icmp)
			icmp = c;
		else if (list)
			other = c;
	}
	if (!icmp || !other)
		return false;
	error_set(why, 0, "no packet has both %s and %s",
		  match_key_name(icmp->key), match_key_name(other->key));
	return true;
}

/* The directions that a condition admits, 1 << DIR_*. oif is said of what
 * leaves or passes, iif of what arrives or passes; whose it is, of what this
 * host sends. */
static unsigned cond_dirs(const struct cond *c)
{
	unsigned dirs = 0;

	switch (c->pub.key) {
	case MATCH_DIR:
		for (uint32_t d = DIR_OUT; d <= DIR_FORWARD; d++)
			if ((!c->positive || ranges_has(&c->in[0], d)) &&
			    !ranges_has(&c->out[0], d))
				dirs |= 1u << d;
		return dirs;
	case MATCH_OIF:
		return 1u << DIR_OUT | 1u << DIR_FORWARD;
	case MATCH_IIF:
		return 1u << DIR_IN | 1u << DIR_FORWARD;
	case MATCH_USER:
	case MATCH_GROUP:
	case MATCH_CGROUP:
		return 1u << DIR_OUT;
	default:
		return ~0u;
	}
}

static bool dirs_clash(const struct match *m, struct error *why)
{
	static const char *const names[] = {
		[1u << DIR_OUT] = "out",
		[1u << DIR_OUT | 1u << DIR_FORWARD] = "out or forward",
		[1u << DIR_IN | 1u << DIR_FORWARD] = "in or forward",
	};
	struct match_cond *said, *other = NULL;
	unsigned dirs = ~0u;

	for (struct match_cond *c = m->first; c; c = c->next) {
		unsigned own = cond_dirs(cond_of(c));

		if (own == ~0u)
			continue;
		if (dirs & own) {
			dirs &= own;
			other = c;
			continue;
		}
		/* dir says it itself. */
		said = c->key == MATCH_DIR ? other : c;
		other = c->key == MATCH_DIR ? c : other;
		error_set(
			why, 0,
			"%s is said of packets that go %s, and %s excludes those",
			match_key_name(said->key),
			names[cond_dirs(cond_of(said))],
			match_key_name(other->key));
		return true;
	}
	return false;
}

bool match_is_empty(const struct match *m, struct error *why)
{
	const struct cond *src = find(m, MATCH_SRC), *dst = find(m, MATCH_DST);

	for (struct match_cond *c = m->first; c; c = c->next) {
		if (!cond_empty(cond_of(c)))
			continue;
		error_set(why, 0, "the values of %s exclude each other",
			  match_key_name(c->key));
		return true;
	}
	for (int f = 0; f < 2 && src && dst && !src->sets && !dst->sets; f++) {
		if (!src->in[f].count || !dst->in[!f].count ||
		    src->in[!f].count || dst->in[f].count)
			continue;
		error_set(why, 0,
			  "src and dst are of different address families");
		return true;
	}
	return protos_clash(m, why) || dirs_clash(m, why);
}
