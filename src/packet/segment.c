/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Super-packets into the packets that a network device would send (TCP
 * segmentation, UDP segmentation). Must not know where they go.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "base/bytes.h"
#include "packet/cover.h"

/* Newer than the headers of some distributions (Linux 6.2). */
#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define TCP_FLAGS_AT 13u
#define TCP_FIN	     0x01u
#define TCP_PSH	     0x08u
#define TCP_CWR	     0x80u

static bool can_segment(const struct packet *p)
{
	uint8_t type = p->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN;

	if (!p->payload || p->flags & PACKET_FRAGMENT || !p->offload.gso_size ||
	    (uint32_t)p->payload + p->offload.gso_size > PACKET_MAX ||
	    p->link_len > PACKET_HEADROOM)
		return false;
	if (type == VIRTIO_NET_HDR_GSO_TCPV4)
		return packet_has_layer(p, LAYER_TCP);
	return type == VIRTIO_NET_HDR_GSO_UDP_L4 &&
	       packet_has_layer(p, LAYER_UDP);
}

/* RFC 9293, 3168: what belongs to the beginning of the data stays with the
 * first segment, what belongs to its end goes with the last. */
static void adjust_tcp(uint8_t *tcp, uint32_t done, bool first, bool last)
{
	put_be32(tcp + 4, get_be32(tcp + 4) + done);
	if (!last)
		tcp[TCP_FLAGS_AT] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (!first)
		tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR;
}

/* The n bytes of payload from done on, as a packet of their own, number i. */
static void cut(const struct packet *p, struct packet *s, uint8_t *scratch,
		uint32_t i, uint32_t done, uint32_t n)
{
	uint32_t total = p->payload + n;
	uint8_t *data = scratch + PACKET_HEADROOM;
	uint8_t *transport = data + p->transport;
	bool none = p->proto == PROTO_UDP && !p->offload.need_csum &&
		    !get_be16(p->data + p->transport + UDP_CSUM_AT);

	*s = *p;
	s->head = scratch;
	s->size = PACKET_BUFFER;
	s->data = data;
	s->len = total;
	s->tail = 0;
	s->offload = (struct packet_offload){0};
	memcpy(data - p->link_len, p->data - p->link_len,
	       (size_t)p->link_len + p->payload);
	memcpy(data + p->payload, p->data + p->payload + done, n);
	put_be16(data + 2, (uint16_t)total);
	put_be16(data + 4, (uint16_t)(get_be16(data + 4) + i));
	if (p->proto == PROTO_TCP)
		adjust_tcp(transport, done, !done,
			   p->payload + done + n == p->len);
	else
		put_be16(transport + 4, (uint16_t)(UDP_FIXED + n));
	packet_parse(s);
	packet_checksum(s, true);
	if (none && !(s->flags & PACKET_L4_CSUM_KEPT))
		put_be16(transport + UDP_CSUM_AT, 0);
}

int packet_segment(const struct packet *p, uint8_t *scratch,
		   int (*f)(struct packet *segment, void *arg), void *arg)
{
	uint32_t done = 0, i = 0;
	int ret;

	if (!can_segment(p))
		return -EINVAL;
	do {
		uint32_t left = p->len - p->payload - done;
		uint32_t n =
			left < p->offload.gso_size ? left : p->offload.gso_size;
		struct packet s;

		cut(p, &s, scratch, i++, done, n);
		ret = f(&s, arg);
		done += n;
	} while (!ret && p->payload + done < p->len);
	return ret;
}
