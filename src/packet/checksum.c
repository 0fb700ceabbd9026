/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Internet checksum (RFC 1071, 1141, 1624), of bytes and of packets.
 * Knows which bytes a checksum covers; must not know why they change.
 */
#include <string.h>

#include "base/bytes.h"
#include "packet/cover.h"

static uint16_t swap16(uint16_t v)
{
	return (uint16_t)(v << 8 | v >> 8);
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/*
 * Whole words are added in the machine's own order and the result turned
 * round at the end (RFC 1071, 2.B): the sum does not mind.
 */
uint64_t checksum_add(uint64_t sum, const uint8_t *b, size_t n, bool odd)
{
	uint64_t words = 0;
	uint16_t part;
	uint8_t rest[4] = {0};

	for (; n >= 4; n -= 4, b += 4) {
		uint32_t w;

		memcpy(&w, b, 4);
		words += w;
	}
	if (n) {
		uint32_t w;

		memcpy(rest, b, n);
		memcpy(&w, rest, 4);
		words += w;
	}
	part = checksum_fold(words);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	part = swap16(part);
#endif
	return sum + (odd ? swap16(part) : part);
}

/* sum with old_sum taken out and new_sum put in, all one's complement. */
static uint16_t replace_sum(uint16_t sum, uint64_t old_sum, uint64_t new_sum)
{
	uint16_t out = (uint16_t)~checksum_fold(old_sum);

	return checksum_fold((uint64_t)sum + out + checksum_fold(new_sum));
}

uint16_t checksum_update(uint16_t stored, uint64_t old_sum, uint64_t new_sum)
{
	return (uint16_t)~replace_sum((uint16_t)~stored, old_sum, new_sum);
}

uint64_t range_sum(const struct packet *p, uint32_t a, uint32_t b)
{
	return a < b ? checksum_add(0, p->data + a, b - a, a & 1) : 0;
}

uint64_t ip_header_sum(const struct packet *p)
{
	return range_sum(p, 0, IP_CSUM_AT) +
	       range_sum(p, IP_CSUM_AT + 2, p->header);
}

/* A UDP datagram may end before the IP packet does; what follows is not
 * covered. In a first fragment the length is that of the whole datagram. */
static void cover_udp(const struct packet *p, struct cover *c)
{
	uint32_t length = get_be16(p->data + c->start + 4);

	c->field = c->start + UDP_CSUM_AT;
	c->length = length;
	if (length < UDP_FIXED || length > p->len - c->start)
		c->whole = false;
	else
		c->end = c->start + length;
}

void cover_find(const struct packet *p, struct cover *c)
{
	const struct packet_offload *o = &p->offload;

	uint32_t n = p->transport ? p->len - p->transport : 0;

	*c = (struct cover){.start = p->transport, .end = p->len};
	c->whole = !(p->flags & PACKET_FRAGMENT);
	/* As packet_has_layer, asked once. */
	if (p->proto == PROTO_TCP && n >= TCP_FIXED) {
		c->field = c->start + TCP_CSUM_AT;
		c->length = n;
		c->pseudo = true;
	} else if (p->proto == PROTO_UDP && n >= UDP_FIXED) {
		c->pseudo = true;
		cover_udp(p, c);
	} else if (p->proto == PROTO_ICMP && n >= ICMP_FIXED) {
		c->field = c->start + ICMP_CSUM_AT;
	} else {
		return;
	}
	if (!o->need_csum)
		return;
	if (o->csum_start == c->start &&
	    (uint32_t)o->csum_start + o->csum_offset == c->field) {
		c->partial = true;
		return;
	}
	/* The open checksum is one further in (of a tunnel's inner packet).
	 * Once complete, all from csum_start on adds up to a constant, so
	 * changes there do not matter to the outer one. */
	c->whole = false;
	if (o->csum_start > c->start && o->csum_start < c->end)
		c->end = o->csum_start;
}

static uint64_t pseudo_sum(const struct packet *p, const struct cover *c)
{
	return range_sum(p, 12, 20) + p->proto + c->length;
}

uint64_t cover_sum(const struct packet *p, const struct cover *c)
{
	uint64_t sum = c->pseudo ? pseudo_sum(p, c) : 0;

	if (c->partial)
		return sum;
	return sum + range_sum(p, c->start, c->field) +
	       range_sum(p, c->field + 2, c->end);
}

/* RFC 768: a computed zero is sent as all ones; only UDP has "none". */
static uint16_t without_none(const struct packet *p, uint16_t value)
{
	return p->proto == PROTO_UDP && !value ? 0xffff : value;
}

uint16_t cover_value(const struct packet *p, const struct cover *c,
		     uint64_t sum)
{
	if (c->partial)
		return checksum_fold(sum);
	return without_none(p, (uint16_t)~checksum_fold(sum));
}

void cover_update(struct packet *p, const struct cover *c, uint64_t old_sum,
		  uint64_t new_sum)
{
	uint16_t stored, value;

	if (checksum_fold(old_sum) == checksum_fold(new_sum))
		return;
	stored = get_be16(p->data + c->field);
	if (c->partial) {
		/* The sum itself, not its complement. */
		put_be16(p->data + c->field,
			 replace_sum(stored, old_sum, new_sum));
		return;
	}
	if (p->proto == PROTO_UDP && !stored)
		return;
	value = without_none(p, checksum_update(stored, old_sum, new_sum));
	/* Where all else is zero the difference cannot tell the two zeros of
	 * one's complement apart. Without a pseudo-header that can be. */
	if (!value && !c->pseudo && !cover_sum(p, c))
		value = 0xffff;
	put_be16(p->data + c->field, value);
}

bool cover_ok(const struct packet *p, const struct cover *c, uint64_t sum)
{
	uint16_t stored;

	if (!c->field || !c->whole || c->partial)
		return true;
	stored = get_be16(p->data + c->field);
	if (p->proto == PROTO_UDP && !stored)
		return true;
	return checksum_fold(sum + stored) == 0xffff;
}

void cover_complete(struct packet *p)
{
	const struct packet_offload *o = &p->offload;
	uint32_t field = (uint32_t)o->csum_start + o->csum_offset;
	uint16_t value;

	/* Inside the IP header there is no checksum to complete. */
	if (o->need_csum && o->csum_start >= p->header &&
	    o->csum_start <= p->len && packet_at(p, field, 2)) {
		/* The field holds the pseudo-header's sum: it is part of
		 * what is added up. */
		value = checksum_fold(checksum_add(0, p->data + o->csum_start,
						   p->len - o->csum_start,
						   false));
		value = (uint16_t)~value;
		/* As a device does, which does not know the protocol: for
		 * TCP the two zeros are equal. */
		put_be16(p->data + field, value ? value : 0xffff);
	}
	p->offload.need_csum = false;
}

void packet_checksum(struct packet *p, bool complete)
{
	bool kept = p->flags & PACKET_L4_CSUM_KEPT;
	struct cover c;

	if (!p->header) {
		if (complete)
			cover_complete(p);
		return;
	}
	if (!(p->flags & PACKET_IP_CSUM_KEPT))
		put_be16(p->data + IP_CSUM_AT,
			 (uint16_t)~checksum_fold(ip_header_sum(p)));
	cover_find(p, &c);
	if (c.partial && !kept && c.pseudo)
		put_be16(p->data + c.field,
			 cover_value(p, &c, cover_sum(p, &c)));
	if (complete && p->offload.need_csum) {
		if (kept && c.partial)
			p->offload.need_csum = false;
		else
			cover_complete(p);
		/* One further in is complete now; next the outer one. */
		if (!c.partial)
			cover_find(p, &c);
	}
	if (c.field && c.whole && !c.partial && !kept)
		put_be16(p->data + c.field,
			 cover_value(p, &c, cover_sum(p, &c)));
}

bool packet_ip_checksum_ok(const struct packet *p)
{
	if (!p->header)
		return true;
	return checksum_fold(range_sum(p, 0, p->header)) == 0xffff;
}

bool packet_l4_checksum_ok(const struct packet *p)
{
	struct cover c;

	cover_find(p, &c);
	if (!c.field || !c.whole || c.partial)
		return true;
	return cover_ok(p, &c, cover_sum(p, &c));
}
