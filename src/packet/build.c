/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets made up: fresh ones, and answers to a packet at hand (RFC 792, 1122,
 * 1812, 9293). They are bare IP packets without link header, and know of the
 * capture what the packet they answer knew. Must not know how they are sent.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "packet/cover.h"

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

#define ICMP_ECHO_REPLY	   0
#define ICMP_UNREACHABLE   3
#define ICMP_ECHO	   8
#define ICMP_TIME_EXCEEDED 11
#define CODE_FRAG_NEEDED   4

#define DEFAULT_TTL    64
#define DEFAULT_WINDOW 65535
#define DSCP_MASK      0xfc
/* Of an address's first byte: from here on it is no host's. */
#define MULTICAST      224

/* RFC 1812, 4.3.2.5: errors have precedence "internetwork control"; 4.3.2.3:
 * they are no longer than every host must be able to take. */
#define ICMP_ERROR_TOS 0xc0
#define ICMP_ERROR_MAX 576u

/* What the IP header of a made-up packet says. */
struct ip_fields {
	uint8_t proto;
	uint8_t tos;
	uint16_t id;
	uint8_t src[4];
	uint8_t dst[4];
};

/* An IP header in front of room for n more bytes of zero; returns those, or
 * NULL when out is too small for them. */
static uint8_t *put_ip(struct packet *out, const struct ip_fields *ip,
		       uint32_t n)
{
	uint8_t *b;

	n += IP_FIXED;
	if (n > PACKET_MAX || out->size < PACKET_HEADROOM + n)
		return NULL;
	b = memset(out->head + PACKET_HEADROOM, 0, n);
	b[0] = 0x45;
	b[1] = ip->tos;
	put_be16(b + 2, (uint16_t)n);
	put_be16(b + 4, ip->id);
	b[8] = DEFAULT_TTL;
	b[9] = ip->proto;
	memcpy(b + 12, ip->src, 4);
	memcpy(b + 16, ip->dst, 4);
	return b + IP_FIXED;
}

/* Parses what was built and completes it; in may be NULL. */
static void finish(struct packet *out, const struct packet *in)
{
	uint8_t *data = out->head + PACKET_HEADROOM;

	packet_init(out, out->head, out->size, data, get_be16(data + 2), NULL);
	packet_checksum(out, false);
	if (!in)
		return;
	out->dir = in->dir;
	out->way = in->way;
	/* What answers goes the other way by the same uplink. */
	out->leaving = !in->leaving;
	out->ifindex = in->ifindex;
	out->iface = in->iface;
	out->time = in->time;
}

/* The header of an answer to in. The id is in's, so that the fragments of
 * two large answers to two packets are told apart (RFC 6864). */
static int answer_fields(struct ip_fields *ip, const struct packet *in,
			 uint8_t proto, uint8_t tos)
{
	const uint8_t *b = packet_at(in, 0, IP_FIXED);

	if (!b || !in->header)
		return -ENOENT;
	ip->proto = proto;
	ip->tos = tos;
	ip->id = get_be16(b + 4);
	memcpy(ip->src, b + 16, 4);
	memcpy(ip->dst, b + 12, 4);
	return 0;
}

int packet_clone(struct packet *out, const struct packet *in)
{
	uint8_t *head = out->head, *data = head + PACKET_HEADROOM;
	uint32_t size = out->size;

	if (size < PACKET_HEADROOM || in->len > size - PACKET_HEADROOM)
		return -EMSGSIZE;
	memcpy(data, in->data, in->len);
	/* What parse found, and offload, count from data: they hold here. */
	*out = *in;
	out->head = head;
	out->size = size;
	out->data = data;
	out->tail = 0;
	out->link_len = 0;
	out->undo = NULL; /* keeps another packet's bytes */
	return 0;
}

int packet_new(struct packet *out, uint8_t proto)
{
	struct ip_fields ip = {.proto = proto};
	uint32_t n = proto == PROTO_TCP	   ? TCP_FIXED
		     : proto == PROTO_UDP  ? UDP_FIXED
		     : proto == PROTO_ICMP ? ICMP_FIXED
					   : 0;
	uint8_t *b = put_ip(out, &ip, n);

	if (!b)
		return -EMSGSIZE;
	if (proto == PROTO_TCP)
		b[12] = TCP_FIXED / 4 << 4;
	if (proto == PROTO_UDP)
		put_be16(b + 4, UDP_FIXED);
	finish(out, NULL);
	return 0;
}

/* ---- answers --------------------------------------------------------- */

/* What a segment takes of the sequence space (RFC 9293, SEG.LEN). */
static uint32_t segment_length(const struct packet *in, uint8_t flags)
{
	uint32_t n = in->payload && in->payload < in->len
			     ? in->len - in->payload
			     : 0;

	return n + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
}

/* A bare segment with the ports of in (at t) swapped. */
static int put_tcp(struct packet *out, const struct packet *in,
		   const uint8_t *t, uint32_t seq, uint32_t ack, uint8_t flags,
		   uint16_t window)
{
	struct ip_fields ip;
	uint8_t *b;
	int rc;

	rc = answer_fields(&ip, in, PROTO_TCP, 0);
	if (rc)
		return rc;
	b = put_ip(out, &ip, TCP_FIXED);
	if (!b)
		return -EMSGSIZE;
	memcpy(b, t + 2, 2);
	memcpy(b + 2, t, 2);
	put_be32(b + 4, seq);
	put_be32(b + 8, ack);
	b[12] = TCP_FIXED / 4 << 4;
	b[13] = flags;
	put_be16(b + 14, window);
	finish(out, in);
	return 0;
}

/* The fixed TCP header of in, or NULL. */
static const uint8_t *tcp_header(const struct packet *in)
{
	if (!packet_has_layer(in, LAYER_TCP))
		return NULL;
	return packet_at(in, in->transport, TCP_FIXED);
}

static int reply_tcp(struct packet *out, const struct packet *in)
{
	const uint8_t *t = tcp_header(in);

	if (!t)
		return -ENOENT;
	return put_tcp(out, in, t, get_be32(t + 8),
		       get_be32(t + 4) + segment_length(in, t[13]), TCP_ACK,
		       DEFAULT_WINDOW);
}

static int reply_udp(struct packet *out, const struct packet *in)
{
	const uint8_t *t = packet_at(in, in->transport, UDP_FIXED);
	struct ip_fields ip;
	uint8_t *b;
	int rc;

	if (!t || !packet_has_layer(in, LAYER_UDP))
		return -ENOENT;
	rc = answer_fields(&ip, in, PROTO_UDP, 0);
	if (rc)
		return rc;
	b = put_ip(out, &ip, UDP_FIXED);
	if (!b)
		return -EMSGSIZE;
	memcpy(b, t + 2, 2);
	memcpy(b + 2, t, 2);
	put_be16(b + 4, UDP_FIXED);
	finish(out, in);
	return 0;
}

/* Answers the echo request in, with its data or without. The answer has the
 * request's service class (RFC 1122, 3.2.2: the same TOS), but not its ECN
 * bits, which are each sender's own (RFC 3168). */
static int reply_echo(struct packet *out, const struct packet *in,
		      bool with_data)
{
	struct ip_fields ip;
	const uint8_t *t;
	uint32_t n;
	uint8_t *b;
	int rc;

	t = packet_at(in, in->transport, ICMP_FIXED);
	if (!t || !packet_has_layer(in, LAYER_ICMP) || t[0] != ICMP_ECHO)
		return -ENOENT;
	rc = answer_fields(&ip, in, PROTO_ICMP, in->data[1] & DSCP_MASK);
	if (rc)
		return rc;
	n = with_data ? in->len - in->transport : ICMP_FIXED;
	b = put_ip(out, &ip, n);
	if (!b)
		return -EMSGSIZE;
	b[0] = ICMP_ECHO_REPLY;
	memcpy(b + 4, t + 4, n - 4); /* id, seq, data */
	finish(out, in);
	return 0;
}

int packet_reply(struct packet *out, const struct packet *in)
{
	struct ip_fields ip;
	int rc;

	if (!in->header)
		return -ENOENT;
	switch (in->proto) {
	case PROTO_TCP:
		return reply_tcp(out, in);
	case PROTO_UDP:
		return reply_udp(out, in);
	case PROTO_ICMP:
		return reply_echo(out, in, false);
	}
	rc = answer_fields(&ip, in, in->proto, 0);
	if (rc)
		return rc;
	if (!put_ip(out, &ip, 0))
		return -EMSGSIZE;
	finish(out, in);
	return 0;
}

int packet_echo_reply(struct packet *out, const struct packet *in)
{
	/* Half the data would be a wrong answer: the request must be whole. */
	if (in->flags & PACKET_FRAGMENT)
		return -ENOENT;
	return reply_echo(out, in, true);
}

int packet_rst(struct packet *out, const struct packet *in)
{
	const uint8_t *t = tcp_header(in);

	if (!t)
		return -ENOENT;
	/* A connection is between two hosts: nothing else may be a RST's
	 * source or destination. */
	if (t[13] & TCP_RST || in->data[12] >= MULTICAST ||
	    in->data[16] >= MULTICAST)
		return -EPERM;
	if (t[13] & TCP_ACK)
		return put_tcp(out, in, t, get_be32(t + 8), 0, TCP_RST, 0);
	return put_tcp(out, in, t, 0,
		       get_be32(t + 4) + segment_length(in, t[13]),
		       TCP_RST | TCP_ACK, 0);
}

/* ---- ICMP errors ----------------------------------------------------- */

/* The ICMP types that are questions and answers; whatever else there is, or
 * will be, counts as an error, which no error may follow. */
static bool is_icmp_query(uint8_t type)
{
	return type == 0 || (type >= 8 && type <= 10) ||
	       (type >= 13 && type <= 18) || type == 42 || type == 43;
}

/* True for an address that is one host's: not "this network", loopback,
 * multicast, reserved or broadcast (RFC 1122, 3.2.2). */
static bool is_host(const uint8_t a[4])
{
	return a[0] != 0 && a[0] != 127 && a[0] < MULTICAST;
}

/* RFC 1812, 4.3.2.7, and RFC 1122, 3.2.2. */
static int may_answer_by_error(const struct packet *in)
{
	const uint8_t *b = packet_at(in, 0, IP_FIXED), *type;

	if (!b || !in->header)
		return -ENOENT;
	if (in->flags & PACKET_LATER_FRAGMENT)
		return -EPERM;
	if (!is_host(b + 12) || b[16] >= MULTICAST)
		return -EPERM;
	if (in->proto != PROTO_ICMP)
		return 0;
	type = packet_at(in, in->header, 1);
	return type && is_icmp_query(*type) ? 0 : -EPERM;
}

static int put_error(struct packet *out, const struct packet *in, uint8_t type,
		     uint8_t code, uint32_t word, const struct address *from)
{
	uint32_t quote = ICMP_ERROR_MAX - IP_FIXED - ICMP_FIXED;
	struct ip_fields ip;
	uint8_t *b;
	int rc;

	rc = may_answer_by_error(in);
	if (rc)
		return rc;
	rc = answer_fields(&ip, in, PROTO_ICMP, ICMP_ERROR_TOS);
	if (rc)
		return rc;
	if (from && from->size) {
		if (from->size != 4)
			return -EAFNOSUPPORT;
		memcpy(ip.src, from->byte, 4);
	}
	if (quote > in->len)
		quote = in->len;
	b = put_ip(out, &ip, ICMP_FIXED + quote);
	if (!b)
		return -EMSGSIZE;
	b[0] = type;
	b[1] = code;
	put_be32(b + 4, word);
	memcpy(b + ICMP_FIXED, in->data, quote);
	finish(out, in);
	return 0;
}

int packet_unreachable(struct packet *out, const struct packet *in,
		       uint8_t code, const struct address *from, uint16_t mtu)
{
	return put_error(out, in, ICMP_UNREACHABLE, code,
			 code == CODE_FRAG_NEEDED ? mtu : 0, from);
}

int packet_time_exceeded(struct packet *out, const struct packet *in,
			 uint8_t code, const struct address *from)
{
	return put_error(out, in, ICMP_TIME_EXCEEDED, code, 0, from);
}
