/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changing bytes, and what follows from a change: checksums (RFC 1624),
 * lengths, and where the headers are. All changes go through here. Must not
 * know what the bytes mean to the one who changes them.
 *
 * A change that leaves the headers where they are costs the bytes changed.
 * One that moves them, or what the checksum covers, adds up what is covered
 * before and after.
 */
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "base/bytes.h"
#include "packet/cover.h"

#define OPTIONS_MAX 40u
/* The longest IP header and the longest TCP header. */
#define HEADERS_MAX 120u

/* What the checksums covered before the headers or lengths changed. */
struct sums {
	bool odd;
	uint64_t ip;
	uint64_t l4;
	struct cover cover;
	uint8_t proto;
	bool fragment;
	bool l4_ok;
};

static void sums_take(const struct packet *p, struct sums *s)
{
	memset(s, 0, sizeof(*s));
	s->odd = !p->header;
	if (s->odd)
		return;
	s->ip = ip_header_sum(p);
	s->proto = p->proto;
	s->fragment = p->flags & PACKET_FRAGMENT;
	cover_find(p, &s->cover);
	s->l4 = s->cover.field ? cover_sum(p, &s->cover) : 0;
	s->l4_ok = cover_ok(p, &s->cover, s->l4);
}

/*
 * Brings the checksums in line with what the packet is now. The transport
 * checksum follows by difference while it is the same one; else a new one is
 * computed, if the old one was not wrong.
 */
static void sums_settle(struct packet *p, const struct sums *s)
{
	struct cover c;
	uint64_t sum;

	/* Bytes that are no packet have no checksums to keep. */
	if (s->odd || !p->header)
		return;
	sum = ip_header_sum(p);
	if (!(p->flags & PACKET_IP_CSUM_KEPT) &&
	    checksum_fold(sum) != checksum_fold(s->ip))
		put_be16(p->data + IP_CSUM_AT,
			 checksum_update(get_be16(p->data + IP_CSUM_AT), s->ip,
					 sum));
	cover_find(p, &c);
	if (!c.field || p->flags & PACKET_L4_CSUM_KEPT)
		return;
	sum = cover_sum(p, &c);
	/* The checksum of a datagram that was here in part only is no longer
	 * the right one when the packet says that it is all. */
	if (s->cover.field == c.field && s->proto == p->proto &&
	    (!s->fragment || p->flags & PACKET_FRAGMENT))
		cover_update(p, &c, s->l4, sum);
	else if (s->l4_ok && !cover_ok(p, &c, sum))
		put_be16(p->data + c.field, cover_value(p, &c, sum));
}

/* True where [off, off + n) and [a, b) share bytes; then *a and *b become
 * the bounds of those. */
static bool overlap(uint32_t off, uint32_t n, uint32_t *a, uint32_t *b)
{
	if (*a < off)
		*a = off;
	if (*b > off + n)
		*b = off + n;
	return *a < *b;
}

static bool touches(uint32_t off, uint32_t n, uint32_t at, uint32_t size)
{
	uint32_t end = at + size;

	return overlap(off, n, &at, &end);
}

/* True where a bit of mask at byte `at` would change. */
static bool changes(const struct packet *p, uint32_t off, const uint8_t *src,
		    uint32_t n, uint32_t at, uint8_t mask)
{
	return at >= off && at - off < n &&
	       ((src[at - off] ^ p->data[at]) & mask);
}

/* Version, header length, MF, fragment offset, protocol: where the headers
 * are, and which. (DF, in the same word, is none of these.) */
static bool changes_layout(const struct packet *p, uint32_t off,
			   const uint8_t *src, uint32_t n)
{
	return changes(p, off, src, n, 0, 0xff) ||
	       changes(p, off, src, n, 6, 0x3f) ||
	       changes(p, off, src, n, 7, 0xff) ||
	       changes(p, off, src, n, 9, 0xff);
}

/* Total length, UDP length: how much is covered. */
static bool changes_length(const struct packet *p, uint32_t off,
			   const uint8_t *src, uint32_t n)
{
	if (changes(p, off, src, n, 2, 0xff) ||
	    changes(p, off, src, n, 3, 0xff))
		return true;
	return packet_has_layer(p, LAYER_UDP) &&
	       (changes(p, off, src, n, p->transport + 4u, 0xff) ||
		changes(p, off, src, n, p->transport + 5u, 0xff));
}

/* A checksum that is written by hand is left alone from then on. */
static void keep_written(struct packet *p, uint32_t off, uint32_t n)
{
	struct cover c;

	if (!p->header)
		return;
	if (touches(off, n, IP_CSUM_AT, 2))
		p->flags |= PACKET_IP_CSUM_KEPT;
	if (off + n <= p->header)
		return;
	cover_find(p, &c);
	if (!c.field || !touches(off, n, c.field, 2))
		return;
	p->flags |= PACKET_L4_CSUM_KEPT;
	/* Else it would be taken for the pseudo-header's sum. A super-packet
	 * cannot go without: there each segment gets the value written. */
	if (c.partial && !p->offload.gso_type) {
		p->offload.need_csum = false;
		p->flags |= PACKET_MODIFIED;
	}
}

/* Keeps the first end bytes as they are before any of them changes; and the
 * headers, where checksums will follow. */
static void undo_save(struct packet *p, uint32_t end)
{
	struct packet_undo *undo = p->undo;

	if (!undo)
		return;
	if (end < HEADERS_MAX)
		end = HEADERS_MAX;
	if (end > p->len + p->tail)
		end = p->len + p->tail;
	if (end <= undo->saved)
		return;
	memcpy(undo->bytes + undo->saved, p->data + undo->saved,
	       end - undo->saved);
	undo->saved = end;
}

/* Bytes that change where the headers are or how much is covered. */
static void write_structure(struct packet *p, uint32_t off, const uint8_t *src,
			    uint32_t n)
{
	struct sums s;

	/* What offload says would no longer be true of it. */
	if (p->header && !p->offload.gso_type && p->offload.need_csum &&
	    changes_layout(p, off, src, n)) {
		/* Which may stand anywhere. */
		undo_save(p, PACKET_MAX);
		cover_complete(p);
	}
	sums_take(p, &s);
	memmove(p->data + off, src, n);
	packet_parse(p);
	/* The bytes written may hold a checksum of the new layout. */
	keep_written(p, off, n);
	sums_settle(p, &s);
}

/* What a checksum covers of the bytes written. */
struct span {
	uint32_t a, b;
	uint64_t sum;
};

static struct span span_take(const struct packet *p, uint32_t off, uint32_t n,
			     uint32_t a, uint32_t b)
{
	struct span s = {a, b, 0};

	if (overlap(off, n, &s.a, &s.b))
		s.sum = range_sum(p, s.a, s.b);
	else
		s.a = s.b = 0;
	return s;
}

/* Bytes that leave the headers where they are. */
static void write_plain(struct packet *p, uint32_t off, const uint8_t *src,
			uint32_t n)
{
	struct span ip = span_take(p, off, n, 0, p->header);
	struct span addresses = {0}, covered = {0};
	struct cover c = {0};

	if (off + n > 12 && !(p->flags & PACKET_L4_CSUM_KEPT)) {
		cover_find(p, &c);
		if (c.field && c.pseudo)
			addresses = span_take(p, off, n, 12, 20);
		if (c.field && !c.partial)
			covered = span_take(p, off, n, c.start, c.end);
	}
	memmove(p->data + off, src, n);
	if (ip.b && !(p->flags & PACKET_IP_CSUM_KEPT)) {
		uint64_t sum = range_sum(p, ip.a, ip.b);

		if (checksum_fold(sum) != checksum_fold(ip.sum))
			put_be16(p->data + IP_CSUM_AT,
				 checksum_update(get_be16(p->data + IP_CSUM_AT),
						 ip.sum, sum));
	}
	if (addresses.b || covered.b)
		cover_update(p, &c, addresses.sum + covered.sum,
			     range_sum(p, addresses.a, addresses.b) +
				     range_sum(p, covered.a, covered.b));
}

/* As it stands in a 16-bit sum. */
static uint32_t word_sum(uint32_t off, uint32_t word, uint32_t bytes)
{
	if (bytes == 1)
		return off & 1 ? word : word << 8;
	return (word >> 16) + (word & 0xffff);
}

void cover_write(struct packet *p, uint32_t off, uint32_t word, uint32_t bytes)
{
	uint32_t old = word_get(p->data + off, bytes);
	uint32_t old_sum = word_sum(off, old, bytes);
	uint32_t new_sum = word_sum(off, word, bytes);
	bool ip = off < IP_FIXED;
	struct cover c;

	if (word == old)
		return;
	undo_save(p, off + bytes);
	p->flags |= off == 16 ? PACKET_MODIFIED | PACKET_REDIRECTED
			      : PACKET_MODIFIED;
	word_put(p->data + off, bytes, word);
	if (ip && !(p->flags & PACKET_IP_CSUM_KEPT) &&
	    checksum_fold(old_sum) != checksum_fold(new_sum))
		put_be16(p->data + IP_CSUM_AT,
			 checksum_update(get_be16(p->data + IP_CSUM_AT),
					 old_sum, new_sum));
	/* Of the IP header the addresses are in the pseudo-header. */
	if (off < 12 || p->flags & PACKET_L4_CSUM_KEPT)
		return;
	cover_find(p, &c);
	if (c.field && (ip ? c.pseudo : !c.partial && off < c.end))
		cover_update(p, &c, old_sum, new_sum);
}

int packet_write(struct packet *p, uint32_t off, const void *src, uint32_t n)
{
	const uint8_t *old = packet_at(p, off, n);
	bool reparse;

	if (!old)
		return -ERANGE;
	if (!n)
		return 0;
	keep_written(p, off, n);
	if (!memcmp(old, src, n))
		return 0;
	undo_save(p, off + n);
	p->flags |= PACKET_MODIFIED;
	if (!p->header || changes_layout(p, off, src, n) ||
	    changes_length(p, off, src, n)) {
		uint8_t dst[4] = {0};
		bool had = p->header;

		if (had)
			memcpy(dst, p->data + 16, 4);
		write_structure(p, off, src, n);
		if (had && p->header && memcmp(dst, p->data + 16, 4))
			p->flags |= PACKET_REDIRECTED;
		return 0;
	}
	for (uint32_t i = 16; i < 20; i++)
		if (changes(p, off, src, n, i, 0xff))
			p->flags |= PACKET_REDIRECTED;
	/* The data offset moves the payload, though not what is covered. */
	reparse = packet_has_layer(p, LAYER_TCP) &&
		  changes(p, off, src, n, p->transport + 12u, 0xf0);
	write_plain(p, off, src, n);
	if (reparse)
		packet_parse(p);
	return 0;
}

/* 0 where old bytes can become n. */
static int resize_check(const struct packet *p, uint32_t old, uint32_t n)
{
	uint64_t len = (uint64_t)p->len - old + n;

	if (len > PACKET_MAX || len > p->size - (uint64_t)(p->data - p->head))
		return -EMSGSIZE;
	return 0;
}

/* Replaces old bytes at off by n and sets the total length. The tail gives
 * way: padding is the next device's business. */
static void resize(struct packet *p, uint32_t off, uint32_t old,
		   const void *src, uint32_t n)
{
	memmove(p->data + off + n, p->data + off + old, p->len - off - old);
	if (n)
		memcpy(p->data + off, src, n);
	p->len = p->len - old + n;
	p->tail = 0;
	p->flags |= PACKET_MODIFIED;
	put_be16(p->data + 2, (uint16_t)p->len);
}

/* What is spliced in or out of the datagram changes its length; what follows
 * it inside the IP packet does not. */
static void resize_udp(struct packet *p, uint32_t off, uint32_t old, uint32_t n)
{
	uint32_t length, end;

	if (!packet_has_layer(p, LAYER_UDP))
		return;
	length = get_be16(p->data + p->transport + 4);
	end = p->transport + length;
	if (length < UDP_FIXED || off > end)
		return;
	if (old > end - off)
		old = end - off;
	length = length - old + n;
	if (length <= UINT16_MAX)
		put_be16(p->data + p->transport + 4, (uint16_t)length);
}

/* The end of the headers: before it nothing may be spliced. */
static uint32_t headers_end(const struct packet *p)
{
	if (p->payload)
		return p->payload;
	/* A TCP header whose length makes no sense. */
	if (packet_has_layer(p, LAYER_TCP))
		return p->transport + TCP_FIXED;
	return p->header;
}

static bool is_tcp_super(const struct packet *p)
{
	return (p->offload.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) ==
		       VIRTIO_NET_HDR_GSO_TCPV4 &&
	       p->payload && packet_has_layer(p, LAYER_TCP);
}

/* What has become short enough for one packet must be one: some kernels drop
 * a super-packet that stands for a single segment. */
static void super_settle(struct packet *p)
{
	if (!p->offload.gso_type ||
	    p->len - p->payload > p->offload.gso_size)
		return;
	p->offload.gso_type = 0;
	p->offload.gso_size = 0;
}

int packet_make_super(struct packet *p, uint16_t gso_size)
{
	struct cover c;

	if (!p->payload || !packet_has_layer(p, LAYER_TCP) || !gso_size ||
	    p->flags & (PACKET_FRAGMENT | PACKET_L4_CSUM_KEPT))
		return -EINVAL;
	if (p->offload.gso_type || p->len - p->payload <= gso_size)
		return 0;
	/* A checksum that is wrong would come out right. */
	if (!packet_l4_checksum_ok(p))
		return -EINVAL;
	undo_save(p, 0);
	p->offload = (struct packet_offload){
		.need_csum = true,
		.csum_start = p->transport,
		.csum_offset = TCP_CSUM_AT,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = gso_size,
		.hdr_len = p->payload,
	};
	cover_find(p, &c);
	put_be16(p->data + c.field, cover_value(p, &c, cover_sum(p, &c)));
	p->flags |= PACKET_MODIFIED;
	p->tail = 0;
	return 0;
}

int packet_splice(struct packet *p, uint32_t off, uint32_t old, const void *src,
		  uint32_t n)
{
	struct sums s;
	int err;

	if (!p->header || off < headers_end(p) || !packet_at(p, off, old))
		return -ERANGE;
	if (n == old)
		return packet_write(p, off, src, n);
	/* A TCP stream can be cut anywhere; datagrams have their ends. */
	if (p->offload.gso_type && !is_tcp_super(p))
		return -EOPNOTSUPP;
	err = resize_check(p, old, n);
	if (err)
		return err;
	undo_save(p, PACKET_MAX);
	/* An open checksum that is not the transport's: nobody could say
	 * where it has gone. */
	sums_take(p, &s);
	if (p->offload.need_csum && !s.cover.partial) {
		cover_complete(p);
		sums_take(p, &s);
	}
	resize_udp(p, off, old, n);
	resize(p, off, old, src, n);
	packet_parse(p);
	sums_settle(p, &s);
	super_settle(p);
	return 0;
}

/* Options of the IP header or, with tcp, of the TCP header. */
static int set_options(struct packet *p, bool tcp, const void *src, uint32_t n)
{
	uint8_t options[OPTIONS_MAX] = {0};
	uint32_t header = tcp ? p->transport : 0;
	uint32_t old = (tcp ? p->payload - header : p->header) - IP_FIXED;
	uint32_t size = (n + 3) & ~3u;
	struct sums s;
	int err;

	if (n > OPTIONS_MAX)
		return -EMSGSIZE;
	if (n)
		memcpy(options, src, n);
	if (size == old)
		return packet_write(p, header + IP_FIXED, options, size);
	if (p->offload.gso_type)
		return -EOPNOTSUPP;
	err = resize_check(p, old, size);
	if (err)
		return err;
	undo_save(p, PACKET_MAX);
	sums_take(p, &s);
	if (p->offload.need_csum && !s.cover.partial) {
		cover_complete(p);
		sums_take(p, &s);
	}
	resize(p, header + IP_FIXED, old, options, size);
	if (tcp) {
		uint8_t *doff = p->data + header + 12;

		*doff = (uint8_t)((*doff & 0xf) | (TCP_FIXED + size) / 4 << 4);
	} else {
		p->data[0] = (uint8_t)(0x40 | (IP_FIXED + size) / 4);
		/* What the transport checksum covers has moved, no more. */
		if (p->offload.need_csum)
			p->offload.csum_start =
				(uint16_t)(p->offload.csum_start - old + size);
	}
	if (p->offload.hdr_len)
		p->offload.hdr_len =
			(uint16_t)(p->offload.hdr_len - old + size);
	packet_parse(p);
	sums_settle(p, &s);
	return 0;
}

int packet_set_ip_options(struct packet *p, const void *src, uint32_t n)
{
	if (!p->header)
		return -ERANGE;
	return set_options(p, false, src, n);
}

int packet_set_tcp_options(struct packet *p, const void *src, uint32_t n)
{
	/* A header whose length makes no sense has no place for options. */
	if (!packet_has_layer(p, LAYER_TCP) || !p->payload)
		return -ERANGE;
	return set_options(p, true, src, n);
}
