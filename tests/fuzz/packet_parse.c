/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Any bytes as a packet, then any changes to it. The input: two bytes of
 * choices, one of how many bytes are program, the program, the packet.
 * Aborts where a promise of packet.h is broken; ASan sees the rest.
 */
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "packet/packet.h"

#define PROMISE(x)                                                             \
	do {                                                                   \
		if (!(x))                                                      \
			abort();                                               \
	} while (0)

#define TAILROOM 96u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is left of the program; zeros behind its end. */
struct program {
	const uint8_t *b;
	size_t n;
};

static uint8_t take(struct program *g)
{
	if (!g->n)
		return 0;
	g->n--;
	return *g->b++;
}

static uint32_t take32(struct program *g)
{
	uint8_t b[4];

	for (unsigned i = 0; i < 4; i++)
		b[i] = take(g);
	return get_be32(b);
}

static uint16_t reference_sum(uint32_t sum, const uint8_t *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* -1: cannot be judged; else whether a receiver would take it. */
struct verdict {
	int ip, l4;
};

static int judge_l4(const struct packet *p)
{
	const uint8_t *l4 = p->data + p->transport;
	uint32_t n = p->len - p->transport;

	if (p->flags & PACKET_FRAGMENT || p->offload.need_csum)
		return -1;
	if (packet_has_layer(p, LAYER_ICMP))
		return reference_sum(0, l4, n) == 0xffff;
	if (packet_has_layer(p, LAYER_UDP)) {
		if (!get_be16(l4 + 6))
			return -1;
		if (get_be16(l4 + 4) < 8 || get_be16(l4 + 4) > n)
			return -1;
		n = get_be16(l4 + 4);
	} else if (!packet_has_layer(p, LAYER_TCP)) {
		return -1;
	}
	return reference_sum(reference_sum(p->proto + n, p->data + 12, 8), l4,
			     n) == 0xffff;
}

static struct verdict judge(const struct packet *p)
{
	struct verdict v = {-1, -1};

	if (!p->header)
		return v;
	v.ip = reference_sum(0, p->data, p->header) == 0xffff;
	v.l4 = judge_l4(p);
	PROMISE(packet_ip_checksum_ok(p) == (v.ip == 1));
	if (v.l4 >= 0)
		PROMISE(packet_l4_checksum_ok(p) == v.l4);
	return v;
}

static void check_places(const struct packet *p)
{
	PROMISE(p->data >= p->head && p->data <= p->head + p->size);
	PROMISE((uint64_t)p->len + p->tail <=
		p->size - (size_t)(p->data - p->head));
	if (!p->header) {
		PROMISE(p->flags & PACKET_ODD);
		PROMISE(!p->transport && !p->payload && !p->tail);
		return;
	}
	PROMISE(!(p->flags & PACKET_ODD));
	PROMISE(p->header >= 20 && p->header <= p->len);
	PROMISE(!p->transport || p->transport == p->header);
	PROMISE(!p->payload ||
		(p->payload >= p->transport && p->payload <= p->len));
	PROMISE(!(p->flags & PACKET_LATER_FRAGMENT) || !p->transport);
	PROMISE(!(p->flags & PACKET_TRUNCATED) || !p->payload);
	PROMISE(get_be16(p->data + 2) == p->len || p->offload.gso_type);
}

/* Reads all there is to read; the sum keeps it from being left out. */
static uint32_t read_all(const struct packet *p)
{
	uint32_t sum = 0, value;
	uint16_t sport, dport;
	uint8_t n;

	for (enum packet_field f = 0; f < FIELD_COUNT; f++) {
		int ret = packet_get(p, f, &value);

		if (packet_has_layer(p, packet_fields[f].layer))
			PROMISE(!ret);
		if (!ret)
			sum += value;
	}
	if (!packet_ports(p, &sport, &dport))
		sum += sport + dport;
	for (unsigned kind = 0; kind < 256; kind++) {
		const uint8_t *o = packet_tcp_option(p, (uint8_t)kind, &n);

		if (!o)
			continue;
		PROMISE(packet_at(p, (uint32_t)(o - p->data), n) == o);
		for (unsigned i = 0; i < n; i++)
			sum += o[i];
	}
	return sum + packet_src(p).byte[0] + packet_dst(p).byte[3];
}

static void change(struct packet *p, struct program *g)
{
	uint8_t op = take(g), bytes[256];
	uint32_t off, old, n;

	switch (op % 6) {
	case 0:
		packet_set(p, take(g) % FIELD_COUNT, take32(g));
		return;
	case 1: /* a value that is likely to be taken */
		packet_set(p, take(g) % FIELD_COUNT, take(g) % 16);
		return;
	}
	off = take(g) % (p->len + 2);
	old = take(g) % 32;
	n = take(g) % (op & 0x40 ? 200 : 44);
	for (uint32_t i = 0; i < n; i++)
		bytes[i] = op & 0x80 ? (uint8_t)(op + i) : take(g);
	switch (op % 6) {
	case 2:
		packet_write(p, off, bytes, n % 16);
		return;
	case 3:
		if (p->payload && !(op & 0x20))
			off = p->payload + off % 8;
		packet_splice(p, off, old, bytes, n);
		return;
	case 4:
		packet_set_ip_options(p, bytes, n);
		return;
	default:
		packet_set_tcp_options(p, bytes, n);
	}
}

/*
 * One change. Where nothing is kept by hand, what was right stays right; a
 * packet that stops being one, or begins, has nothing to keep.
 */
static void change_and_check(struct packet *p, struct program *g)
{
	struct verdict was = judge(p), is;
	uint8_t before = p->proto;
	bool layer = p->transport;

	change(p, g);
	check_places(p);
	is = judge(p);
	if (was.ip == 1 && is.ip >= 0 && !(p->flags & PACKET_IP_CSUM_KEPT))
		PROMISE(is.ip);
	if (was.l4 == 1 && is.l4 >= 0 && !(p->flags & PACKET_L4_CSUM_KEPT))
		PROMISE(is.l4);
	/* What was wrong is not repaired behind anybody's back. */
	if (was.l4 == 0 && is.l4 == 1 && layer && p->proto == before &&
	    !(p->flags & PACKET_L4_CSUM_KEPT))
		PROMISE(p->flags & PACKET_MODIFIED);
	read_all(p);
}

static int count_segment(struct packet *s, void *arg)
{
	uint32_t *bytes = arg;
	struct verdict v = judge(s);

	check_places(s);
	PROMISE(v.ip == 1 || s->flags & PACKET_IP_CSUM_KEPT);
	PROMISE(v.l4 || s->flags & PACKET_L4_CSUM_KEPT);
	*bytes += s->len - s->payload;
	return 0;
}

/* An offload state from a byte; the open checksum is the transport's or,
 * now and then, somewhere else. */
static struct packet_offload offload_of(uint8_t choice)
{
	struct packet_offload o = {0};

	o.need_csum = choice & 1;
	o.csum_start = choice & 2 ? 20 : choice;
	o.csum_offset = choice & 4 ? 16 : 6;
	if (choice & 8) {
		o.gso_type = choice & 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : 5;
		o.gso_size = choice;
	}
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t scratch[PACKET_BUFFER];
	struct packet_offload o;
	struct program g;
	struct packet p;
	uint32_t room, n, cut = 0;
	uint8_t *b;

	if (size < 3 || size > 4096)
		return 0;
	g.b = data + 3;
	g.n = data[2] < size - 3 ? data[2] : size - 3;
	n = (uint32_t)(size - 3 - g.n);
	room = data[1] % TAILROOM;
	b = malloc(PACKET_HEADROOM + n + room);
	if (!b)
		return 0;
	memset(b, 0xa5, PACKET_HEADROOM);
	memcpy(b + PACKET_HEADROOM, g.b + g.n, n);
	memset(b + PACKET_HEADROOM + n, 0x5a, room);
	o = offload_of(data[0]);
	packet_init(&p, b, PACKET_HEADROOM + n + room, b + PACKET_HEADROOM, n,
		    data[0] & 0x80 ? &o : NULL);
	check_places(&p);
	read_all(&p);
	/* Half of the time it begins with right checksums. */
	if (data[1] & 0x80)
		packet_checksum(&p, data[0] & 0x40);
	while (g.n)
		change_and_check(&p, &g);
	if (!packet_segment(&p, scratch, count_segment, &cut))
		PROMISE(cut == p.len - p.payload);
	packet_checksum(&p, true);
	PROMISE(!p.offload.need_csum);
	check_places(&p);
	free(b);
	return 0;
}
