/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conditions, as nft would load the text beside them. What is
 * compared has network byte order. Must not know chains.
 */
#include "capture/nft_term.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnftnl/expr.h>

#include "base/bytes.h"
#include "capture/nft_expr.h"
#include "capture/nft_set.h"
#include "capture/nft_word.h"
#include "packet/packet.h"

#define HEADERS_MAX 120 /* bytes of IP and TCP, all options taken */

/* nft's numbers for the types of values, for whoever lists the rules. */
enum {
	TYPE_INTEGER = 4,
	TYPE_IPADDR = 7,
	TYPE_INET_PROTO = 12,
	TYPE_INET_SERVICE = 13,
	TYPE_ICMP_TYPE = 14,
	TYPE_TCP_FLAG = 15,
	TYPE_UID = 24,
	TYPE_GID = 25,
	TYPE_ICMP_CODE = 32,
	TYPE_DSCP = 36,
};

/* Where the numbers of a key are. */
struct place {
	const char *name; /* NULL: not a number with a place */
	uint32_t base, offset, len;
	uint32_t max;
	uint32_t type;
	uint8_t shift; /* of the value in its byte */
};

#define NH NFT_PAYLOAD_NETWORK_HEADER
#define TH NFT_PAYLOAD_TRANSPORT_HEADER

static const struct place places[MATCH_KEYS] = {
	[MATCH_SRC] = { "ip saddr", NH, 12, 4, UINT32_MAX, TYPE_IPADDR, 0 },
	[MATCH_DST] = { "ip daddr", NH, 16, 4, UINT32_MAX, TYPE_IPADDR, 0 },
	[MATCH_SPORT] = { "sport", TH, 0, 2, 65535, TYPE_INET_SERVICE, 0 },
	[MATCH_DPORT] = { "dport", TH, 2, 2, 65535, TYPE_INET_SERVICE, 0 },
	[MATCH_ICMP_TYPE] = { "icmp type", TH, 0, 1, 255, TYPE_ICMP_TYPE, 0 },
	[MATCH_ICMP_CODE] = { "icmp code", TH, 1, 1, 255, TYPE_ICMP_CODE, 0 },
	[MATCH_TCP_FLAGS] = { "tcp flags", TH, 13, 1, 255, TYPE_TCP_FLAG, 0 },
	[MATCH_DSCP] = { "ip dscp", NH, 1, 1, 63, TYPE_DSCP, 2 },
	[MATCH_TTL] = { "ip ttl", NH, 8, 1, 255, TYPE_INTEGER, 0 },
	[MATCH_LEN] = { "ip length", NH, 2, 2, 65535, TYPE_INTEGER, 0 },
	/* Not a place in the packet, but a number like the others. */
	[MATCH_PROTO] = { "meta l4proto", TH, 0, 1, 255, TYPE_INET_PROTO, 0 },
	[MATCH_USER] = { "meta skuid", 0, 0, 4, UINT32_MAX - 1, TYPE_UID, 0 },
	[MATCH_GROUP] = { "meta skgid", 0, 0, 4, UINT32_MAX - 1, TYPE_GID, 0 },
};

/* These two the kernel has in the order of the host; to be compared with more
 * than one value they are turned. */
static bool is_of_host(enum match_key key)
{
	return key == MATCH_USER || key == MATCH_GROUP;
}

/* ---- where a key is ----------------------------------------------------- */

static bool is_one(const struct ranges *x)
{
	return x->count == 1 && x->range[0].low == x->range[0].high;
}

static bool is_port(enum match_key key)
{
	return key == MATCH_SPORT || key == MATCH_DPORT;
}

static bool is_transport(enum match_key key)
{
	return key != MATCH_PROTO && places[key].name && places[key].base == TH;
}

/*
 * Whether its protocol is looked at in the header. nft has words for what
 * comes behind only if that are ports, and nothing is written there; and a
 * header may be unsound, which only they tell.
 */
static bool is_hasty(const struct nft_rule *r, const struct plan_step *s)
{
	bool ports = false;

	if (!r->hasty || s->rewrite)
		return false;
	for (uint32_t i = 0; i < s->terms; i++) {
		enum match_key key = s->term[i].key;

		ports |= is_port(key);
		if (key == MATCH_PROTO ? !is_one(&s->term[i].ranges)
				       : is_transport(key) && !is_port(key))
			return false;
	}
	return ports || s->act == STEP_HAND_OVER;
}

/* "tcp dport" where the protocol is one, "th dport" where it may be some. */
static void say_place(struct nft_rule *r, const struct plan_step *s,
		      enum match_key key, const char *rest)
{
	char proto[NFT_WORD] = "th";

	if (!is_port(key)) {
		nft_say(r, "%s %s", places[key].name, rest);
		return;
	}
	for (uint32_t i = 0; i < s->terms; i++)
		if (s->term[i].key == MATCH_PROTO &&
		    is_one(&s->term[i].ranges) &&
		    (r->family == NFPROTO_IPV4 || !is_hasty(r, s)))
			nft_proto_word(proto, (uint32_t)s->term[i]
						      .ranges.range[0].low);
	nft_say(r, "%s %s %s", proto, places[key].name, rest);
}

/* ---- numbers ------------------------------------------------------------- */

static void store(uint8_t *b, const struct place *p, uint32_t v, bool ordered)
{
	v <<= p->shift;
	if (!ordered && is_of_host((enum match_key)(p - places)))
		memcpy(b, &v, sizeof(v));
	else if (p->len == 1)
		b[0] = (uint8_t)v;
	else if (p->len == 2)
		put_be16(b, (uint16_t)v);
	else
		put_be32(b, v);
}

/* Whose socket it is, as it is stored by store(). */
static void load_owner(struct nft_rule *r, enum match_key key, bool ordered)
{
	struct nftnl_expr *e;

	nft_load_meta(r, key == MATCH_USER ? NFT_META_SKUID : NFT_META_SKGID);
	e = ordered ? nft_add(r, "byteorder") : NULL;
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_DREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_OP, NFT_BYTEORDER_HTON);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_LEN, 4);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BYTEORDER_SIZE, 4);
}

/* ordered: to be compared with more than one value. */
static void load(struct nft_rule *r, enum match_key key, bool ordered)
{
	const struct place *p = &places[key];
	uint8_t bits = (uint8_t)(p->max << p->shift), none = 0;

	if (key == MATCH_PROTO) {
		nft_load_meta(r, NFT_META_L4PROTO);
		return;
	}
	if (is_of_host(key)) {
		load_owner(r, key, ordered);
		return;
	}
	if (p->base == NH)
		nft_need_ip(r);
	nft_load_payload(r, p->base, p->offset, p->len);
	if (p->shift)
		nft_mask(r, &bits, &none, 1);
}

static void in_range(struct nft_rule *r, const struct place *p, uint32_t op,
		     uint32_t low, uint32_t high)
{
	struct nftnl_expr *e = nft_add(r, "range");
	uint8_t a[4], b[4];

	if (!e)
		return;
	store(a, p, low, true);
	store(b, p, high, true);
	nftnl_expr_set_u32(e, NFTNL_EXPR_RANGE_SREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_RANGE_OP, op);
	if (nftnl_expr_set(e, NFTNL_EXPR_RANGE_FROM_DATA, a, p->len) < 0 ||
	    nftnl_expr_set(e, NFTNL_EXPR_RANGE_TO_DATA, b, p->len) < 0)
		r->failed = true;
}

static void compare(struct nft_rule *r, const struct place *p, uint32_t op,
		    uint32_t v)
{
	uint8_t b[4];

	store(b, p, v, op != NFT_CMP_EQ && op != NFT_CMP_NEQ);
	nft_compare(r, op, b, p->len);
}

/* A single range, in or (negate) out. */
static void one_range(struct nft_rule *r, const struct plan_step *s,
		      enum match_key key, uint32_t low, uint32_t high,
		      bool negate)
{
	const struct place *p = &places[key];
	char word[2 * NFT_WORD], text[2 * NFT_WORD + 4];
	int bits = p->type == TYPE_IPADDR ? nft_prefix_bits(low, high) : -1;
	const char *sign = negate ? "!= " : "";
	uint32_t op = negate ? NFT_CMP_NEQ : NFT_CMP_EQ, v = low;

	nft_range_word(word, key, low, high);
	if (low != high && bits < 0 && !negate && high == p->max) {
		sign = ">= ";
		op = NFT_CMP_GTE;
		nft_value_word(word, key, low);
	} else if (low != high && bits < 0 && !negate && !low) {
		sign = "<= ";
		op = NFT_CMP_LTE;
		v = high;
		nft_value_word(word, key, high);
	}
	snprintf(text, sizeof(text), "%s%s", sign, word);
	say_place(r, s, key, text);
	load(r, key, low != high);
	if (low == high || op == NFT_CMP_GTE || op == NFT_CMP_LTE) {
		compare(r, p, op, v);
	} else if (bits >= 0) {
		uint32_t mask = htonl(~(low ^ high)), none = 0;

		nft_mask(r, &mask, &none, sizeof(mask));
		compare(r, p, op, low);
	} else {
		in_range(r, p, negate ? NFT_RANGE_NEQ : NFT_RANGE_EQ, low,
			 high);
	}
}

/* Nothing comes behind it; an id has one more that is none. */
static bool is_last(enum match_key key, u128 value)
{
	return value == (is_of_host(key) ? UINT32_MAX : places[key].max);
}

static void many_ranges(struct nft_rule *r, const struct plan_step *s,
			const struct plan_term *t)
{
	const struct place *p = &places[t->key];
	size_t room = (size_t)t->ranges.count * (2 * NFT_WORD + 2) + 8, used = 0;
	char *text = malloc(room), word[2 * NFT_WORD];
	bool wide = false;
	struct nft_anon *a;

	if (!text) {
		r->failed = true;
		return;
	}
	for (uint32_t i = 0; i < t->ranges.count; i++) {
		const struct range *x = &t->ranges.range[i];

		wide |= x->low != x->high;
		nft_range_word(word, t->key, (uint32_t)x->low, (uint32_t)x->high);
		used += (size_t)snprintf(text + used, room - used, "%s%s",
					 i ? ", " : "{ ", word);
	}
	snprintf(text + used, room - used, " }");
	say_place(r, s, t->key, text);
	free(text);
	load(r, t->key, true);
	a = nft_lookup_anon(r, p->type, p->len, wide);
	for (uint32_t i = 0; i < t->ranges.count; i++) {
		const struct range *x = &t->ranges.range[i];
		uint8_t from[4], behind[4];

		store(from, p, (uint32_t)x->low, true);
		store(behind, p, (uint32_t)x->high + 1, true);
		nft_anon_add(r, a, from,
			     wide && !is_last(t->key, x->high) ? behind : NULL,
			     p->len);
	}
}

/* Whether any of these bits is set in the field of the fragment's offset. */
static void frag_off(struct nft_rule *r, uint16_t which, bool is)
{
	uint16_t bits = htons(which), none = 0;

	nft_say(r, "ip frag-off & %u %s 0", which, is ? "!=" : "==");
	nft_need_ip(r);
	nft_load_payload(r, NH, 6, 2);
	nft_mask(r, &bits, &none, sizeof(bits));
	nft_compare(r, is ? NFT_CMP_NEQ : NFT_CMP_EQ, &none, sizeof(none));
}

static void fragment(struct nft_rule *r, const struct plan_term *t)
{
	frag_off(r, 0x3fff, t->ranges.range[0].low);
}

/* Nobody has to be told the protocol where the next word says it. */
static bool goes_without_saying(const struct plan_step *s,
				const struct plan_term *proto)
{
	for (uint32_t i = 0; i < s->terms && is_one(&proto->ranges); i++)
		if (is_transport(s->term[i].key))
			return true;
	return false;
}

static void hasty_protocol(struct nft_rule *r, const struct plan_step *s,
			   const struct plan_term *t)
{
	uint8_t proto = (uint8_t)t->ranges.range[0].low;
	char word[NFT_WORD];

	nft_proto_word(word, proto);
	if (r->family != NFPROTO_IPV4)
		nft_say(r, "@nh,72,8 0x%x", proto);
	else if (!goes_without_saying(s, t))
		nft_say(r, "ip protocol %s", word);
	nft_load_payload(r, NH, 9, 1);
	nft_compare(r, NFT_CMP_EQ, &proto, 1);
}

static void numbers(struct nft_rule *r, const struct plan_step *s,
		    const struct plan_term *t)
{
	const struct range *x = t->ranges.range;
	uint32_t max = places[t->key].max;

	if (t->key == MATCH_FRAGMENT)
		fragment(r, t);
	else if (t->ranges.count == 1)
		one_range(r, s, t->key, (uint32_t)x->low, (uint32_t)x->high,
			  false);
	else if (t->ranges.count == 2 && !x[0].low && x[1].high == max)
		one_range(r, s, t->key, (uint32_t)x[0].high + 1,
			  (uint32_t)x[1].low - 1, true);
	else
		many_ranges(r, s, t);
}

/* ---- the other kinds ----------------------------------------------------- */

static void masked_flags(struct nft_rule *r, const struct plan_term *t)
{
	uint8_t mask = (uint8_t)t->mask, none = 0, value = (uint8_t)t->value;
	char m[NFT_WORD], v[NFT_WORD];

	nft_flags_word(m, t->mask);
	nft_flags_word(v, t->value);
	if (t->value)
		nft_say(r, "tcp flags %s%s / %s", t->negate ? "!= " : "", v, m);
	else
		nft_say(r, "tcp flags %s%s", t->negate ? "" : "! ", m);
	nft_load_payload(r, TH, 13, 1);
	nft_mask(r, &mask, &none, 1);
	nft_compare(r, t->negate ? NFT_CMP_NEQ : NFT_CMP_EQ, &value, 1);
}

static void device(struct nft_rule *r, const struct plan_term *t)
{
	bool in = t->key == MATCH_IIF;

	nft_say(r, "%s %s\"%s\"", in ? "iifname" : "oifname",
		t->negate ? "!= " : "", t->text);
	nft_compare_device(r, in ? NFT_META_IIFNAME : NFT_META_OIFNAME,
			   t->negate ? NFT_CMP_NEQ : NFT_CMP_EQ, t->text);
}

static void payload(struct nft_rule *r, const struct plan_term *t)
{
	for (uint32_t at = 0; at < t->text_len; at += 16) {
		uint32_t n = t->text_len - at < 16 ? t->text_len - at : 16;
		char hex[2 * 16 + 1];

		for (uint32_t i = 0; i < n; i++)
			snprintf(hex + 2 * i, 3, "%02x",
				 (uint8_t)t->text[at + i]);
		nft_say(r, "@ih,%u,%u 0x%s", at * 8, n * 8, hex);
		nft_load_payload(r, NFT_PAYLOAD_INNER_HEADER, at, n);
		nft_compare(r, NFT_CMP_EQ, t->text + at, n);
	}
}

static void in_set(struct nft_rule *r, const struct plan *p,
		   const struct plan_term *t)
{
	char name[NFT_SET_NAME_MAX];
	uint32_t i = 0;

	while (i < p->sets && p->set[i] != t->set)
		i++;
	nft_set_name(i, name);
	nft_say(r, "%s @%s", places[t->key].name, name);
	load(r, t->key, false);
	nft_lookup(r, name);
}

void nft_socket_cgroup(struct nft_rule *r, const char *path,
		       const struct cgroup_place *place)
{
	struct nftnl_expr *e;

	nft_say(r, "socket cgroupv2 level %u \"%s\"", place->level, path);
	e = nft_add(r, "socket");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_KEY, NFT_SOCKET_CGROUPV2);
	nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_DREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_SOCKET_LEVEL, place->level);
	nft_compare(r, NFT_CMP_EQ, &place->id, sizeof(place->id));
}

static void term(struct nft_rule *r, const struct plan *p,
		 const struct plan_step *s, const struct plan_term *t,
		 int cgroups)
{
	struct cgroup_place place;

	size_t used = r->used;

	if (t->key == MATCH_PROTO && is_hasty(r, s)) {
		hasty_protocol(r, s, t);
		return;
	}
	switch (t->kind) {
	case TERM_RANGES:
		numbers(r, s, t);
		break;
	case TERM_SET:
		in_set(r, p, t);
		break;
	case TERM_MASK:
		masked_flags(r, t);
		break;
	case TERM_NAME:
		device(r, t);
		break;
	case TERM_BYTES:
		payload(r, t);
		break;
	case TERM_CGROUP:
		if (t->negate) /* see nft_steps.c */
			break;
		cgroup_find(cgroups, t->text, &place);
		nft_socket_cgroup(r, t->text, &place);
		break;
	}
	if (t->key == MATCH_PROTO && goes_without_saying(s, t) && r->text) {
		r->text[used] = '\0';
		r->used = used;
	}
}

/* In which order: the protocol first, for the words behind it rest on it;
 * look-ups last. */
static int rank(const struct plan_term *t)
{
	if (t->key == MATCH_PROTO)
		return 0;
	if (t->kind == TERM_SET || t->kind == TERM_BYTES ||
	    match_key_is_kernel(t->key))
		return 3;
	return is_transport(t->key) ? 1 : 2;
}

/* The kernel reads a later fragment's data where a transport header would be;
 * it has none. Who hands over may hand over too much. */
static bool may_be_later_fragment(const struct plan_step *s)
{
	bool reads = false;

	for (uint32_t i = 0; i < s->terms; i++) {
		const struct plan_term *t = &s->term[i];

		if (t->key == MATCH_FRAGMENT && !t->ranges.range[0].low)
			return false;
		reads |= is_transport(t->key);
	}
	return reads && s->act != STEP_HAND_OVER;
}

bool nft_knows_protocol(const struct plan_step *s)
{
	for (uint32_t i = 0; i < s->terms; i++) {
		const struct plan_term *t = &s->term[i];

		if (t->kind == TERM_BYTES ||
		    (places[t->key].name && places[t->key].base == TH))
			return true;
	}
	return false;
}

/* Where the kernel found no sound IP header, its fields are still bytes that
 * it would compare. */
static bool reads_unsound_headers(const struct plan_step *s)
{
	bool reads = false;

	for (uint32_t i = 0; i < s->terms; i++) {
		enum match_key key = s->term[i].key;

		reads |= key == MATCH_FRAGMENT ||
			 (places[key].name && key != MATCH_LEN);
	}
	return reads && s->act != STEP_HAND_OVER && !nft_knows_protocol(s);
}

void nft_terms(struct nft_rule *r, const struct plan *p,
	       const struct plan_step *s, int cgroups)
{
	for (int k = 0; k <= 3; k++)
		for (uint32_t i = 0; i < s->terms; i++)
			if (rank(&s->term[i]) == k)
				term(r, p, s, &s->term[i], cgroups);
	if (may_be_later_fragment(s))
		frag_off(r, 0x1fff, false);
	if (reads_unsound_headers(s))
		nft_has_protocol(r);
}

static const struct plan_term *payload_of(const struct plan_step *s)
{
	for (uint32_t i = 0; i < s->terms; i++)
		if (s->term[i].kind == TERM_BYTES)
			return &s->term[i];
	return NULL;
}

bool nft_asks_for_payload(const struct plan_step *s)
{
	return payload_of(s);
}

void nft_may_end_before(struct nft_rule *r, const struct plan_step *s)
{
	const struct plan_term *t = payload_of(s);
	uint16_t len = (uint16_t)(HEADERS_MAX + (t ? t->text_len : 0));

	nft_say(r, "ip length < %u", len);
	len = htons(len);
	nft_need_ip(r);
	nft_load_payload(r, NH, 2, sizeof(len));
	nft_compare(r, NFT_CMP_LT, &len, sizeof(len));
}
