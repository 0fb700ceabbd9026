/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a packet's headers are (RFC 791). The bytes come from anybody: every
 * length in them is checked against those that are there. Must not change a
 * byte.
 */
#include <string.h>

#include "base/bytes.h"
#include "packet/cover.h"

#define FLAGS_THAT_STAY                                                        \
	(PACKET_MODIFIED | PACKET_REDIRECTED | PACKET_IP_CSUM_KEPT |           \
	 PACKET_L4_CSUM_KEPT)

/* The bytes from data to the end of the buffer. */
static uint32_t buffer_room(const struct packet *p)
{
	return p->size - (uint32_t)(p->data - p->head);
}

void packet_init(struct packet *p, uint8_t *head, uint32_t size, uint8_t *data,
		 uint32_t n, const struct packet_offload *offload)
{
	*p = (struct packet){.head = head, .data = data, .size = size};
	p->len = n < buffer_room(p) ? n : buffer_room(p);
	if (offload)
		p->offload = *offload;
	packet_parse(p);
}

/* False where the IP header cannot be used. */
static bool parse_ip(struct packet *p)
{
	uint32_t header, total, fragment;

	if (p->len < IP_FIXED || p->data[0] >> 4 != 4)
		return false;
	header = (p->data[0] & 0xfu) * 4;
	total = get_be16(p->data + 2);
	/* The length of a super-packet may not fit its field. */
	if (!total && p->offload.gso_type)
		total = p->len;
	if (header < IP_FIXED || header > p->len || total < header ||
	    total > p->len)
		return false;
	p->header = (uint16_t)header;
	p->tail = p->len - total;
	p->len = total;
	p->proto = p->data[9];
	fragment = get_be16(p->data + 6);
	if (fragment & 0x3fff)
		p->flags |= PACKET_FRAGMENT;
	if (fragment & 0x1fff)
		p->flags |= PACKET_LATER_FRAGMENT;
	return true;
}

/* Bytes of the transport header at the end of the IP header; more than there
 * are where it is cut off or makes no sense. */
static uint32_t transport_size(const struct packet *p)
{
	uint32_t n = p->len - p->header, size;

	switch (p->proto) {
	case PROTO_TCP:
		if (n < TCP_FIXED)
			return TCP_FIXED;
		size = (p->data[p->header + 12] >> 4) * 4u;
		return size < TCP_FIXED ? UINT32_MAX : size;
	case PROTO_UDP:
		return UDP_FIXED;
	case PROTO_ICMP:
		return ICMP_FIXED;
	}
	return 0;
}

void packet_parse(struct packet *p)
{
	uint32_t room = buffer_room(p) - p->len, size;

	/* The total length may have been raised since it was last read. */
	p->len += p->tail < room ? p->tail : room;
	p->tail = 0;
	p->flags &= FLAGS_THAT_STAY;
	p->header = 0;
	p->transport = 0;
	p->payload = 0;
	p->proto = 0;
	if (!parse_ip(p)) {
		p->flags |= PACKET_ODD;
		return;
	}
	if (p->flags & PACKET_LATER_FRAGMENT)
		return;
	p->transport = p->header;
	size = transport_size(p);
	if (size > p->len - p->header)
		p->flags |= PACKET_TRUNCATED;
	else
		p->payload = (uint16_t)(p->header + size);
}

const uint8_t *packet_at(const struct packet *p, uint32_t off, uint32_t n)
{
	if (off > p->len || n > p->len - off)
		return NULL;
	return p->data + off;
}

struct address packet_src(const struct packet *p)
{
	return p->header ? address_v4(p->data + 12) : (struct address){0};
}

struct address packet_dst(const struct packet *p)
{
	return p->header ? address_v4(p->data + 16) : (struct address){0};
}

bool packet_lacks_source(const struct packet *p)
{
	static const uint8_t unset[4], everyone[4] = {255, 255, 255, 255};
	const uint8_t *addresses = packet_at(p, 12, 8);

	return addresses && !memcmp(addresses, unset, 4) &&
	       memcmp(addresses + 4, everyone, 4);
}
