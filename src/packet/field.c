/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The fields with a fixed place, as one table, and reading and writing by it.
 * Knows where fields are; what follows from a change is packet_write's.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "packet/cover.h"

const struct packet_field_info packet_fields[FIELD_COUNT] = {
	/* RFC 791, 2474 (DSCP), 3168 (ECN) */
	[FIELD_IP_VERSION] = {"version", LAYER_IP, 0, 4, 4, 1},
	[FIELD_IP_IHL] = {"ihl", LAYER_IP, 0, 4, 0, 1},
	[FIELD_IP_DSCP] = {"dscp", LAYER_IP, 1, 6, 2, 1},
	[FIELD_IP_ECN] = {"ecn", LAYER_IP, 1, 2, 0, 1},
	[FIELD_IP_LEN] = {"len", LAYER_IP, 2, 16, 0, 2},
	[FIELD_IP_ID] = {"id", LAYER_IP, 4, 16, 0, 2},
	[FIELD_IP_DF] = {"df", LAYER_IP, 6, 1, 14, 2},
	[FIELD_IP_MF] = {"mf", LAYER_IP, 6, 1, 13, 2},
	[FIELD_IP_FRAG_OFFSET] = {"frag_offset", LAYER_IP, 6, 13, 0, 2},
	[FIELD_IP_TTL] = {"ttl", LAYER_IP, 8, 8, 0, 1},
	[FIELD_IP_PROTO] = {"proto", LAYER_IP, 9, 8, 0, 1},
	[FIELD_IP_CHECKSUM] = {"checksum", LAYER_IP, 10, 16, 0, 2},
	[FIELD_IP_SRC] = {"src", LAYER_IP, 12, 32, 0, 4},
	[FIELD_IP_DST] = {"dst", LAYER_IP, 16, 32, 0, 4},
	/* RFC 9293 */
	[FIELD_TCP_SPORT] = {"sport", LAYER_TCP, 0, 16, 0, 2},
	[FIELD_TCP_DPORT] = {"dport", LAYER_TCP, 2, 16, 0, 2},
	[FIELD_TCP_SEQ] = {"seq", LAYER_TCP, 4, 32, 0, 4},
	[FIELD_TCP_ACK_SEQ] = {"ack_seq", LAYER_TCP, 8, 32, 0, 4},
	[FIELD_TCP_DOFF] = {"doff", LAYER_TCP, 12, 4, 4, 1},
	[FIELD_TCP_FLAGS] = {"flags", LAYER_TCP, 13, 8, 0, 1},
	[FIELD_TCP_WINDOW] = {"window", LAYER_TCP, 14, 16, 0, 2},
	[FIELD_TCP_CHECKSUM] = {"checksum", LAYER_TCP, 16, 16, 0, 2},
	[FIELD_TCP_URG_PTR] = {"urg_ptr", LAYER_TCP, 18, 16, 0, 2},
	/* RFC 768 */
	[FIELD_UDP_SPORT] = {"sport", LAYER_UDP, 0, 16, 0, 2},
	[FIELD_UDP_DPORT] = {"dport", LAYER_UDP, 2, 16, 0, 2},
	[FIELD_UDP_LEN] = {"len", LAYER_UDP, 4, 16, 0, 2},
	[FIELD_UDP_CHECKSUM] = {"checksum", LAYER_UDP, 6, 16, 0, 2},
	/* RFC 792, 1191 */
	[FIELD_ICMP_TYPE] = {"type", LAYER_ICMP, 0, 8, 0, 1},
	[FIELD_ICMP_CODE] = {"code", LAYER_ICMP, 1, 8, 0, 1},
	[FIELD_ICMP_CHECKSUM] = {"checksum", LAYER_ICMP, 2, 16, 0, 2},
	[FIELD_ICMP_ID] = {"id", LAYER_ICMP, 4, 16, 0, 2},
	[FIELD_ICMP_SEQ] = {"seq", LAYER_ICMP, 6, 16, 0, 2},
	[FIELD_ICMP_MTU] = {"mtu", LAYER_ICMP, 6, 16, 0, 2},
	[FIELD_ICMP_GATEWAY] = {"gateway", LAYER_ICMP, 4, 32, 0, 4},
};

/* Fields that are no more than themselves: no checksum, no length, nothing
 * that says where a header is. */
static const bool is_plain[FIELD_COUNT] = {
	[FIELD_IP_DSCP] = true,	    [FIELD_IP_ECN] = true,
	[FIELD_IP_ID] = true,	    [FIELD_IP_DF] = true,
	[FIELD_IP_TTL] = true,	    [FIELD_IP_SRC] = true,
	[FIELD_IP_DST] = true,	    [FIELD_TCP_SPORT] = true,
	[FIELD_TCP_DPORT] = true,   [FIELD_TCP_SEQ] = true,
	[FIELD_TCP_ACK_SEQ] = true, [FIELD_TCP_FLAGS] = true,
	[FIELD_TCP_WINDOW] = true,  [FIELD_TCP_URG_PTR] = true,
	[FIELD_UDP_SPORT] = true,   [FIELD_UDP_DPORT] = true,
	[FIELD_ICMP_TYPE] = true,   [FIELD_ICMP_CODE] = true,
	[FIELD_ICMP_ID] = true,	    [FIELD_ICMP_SEQ] = true,
	[FIELD_ICMP_MTU] = true,    [FIELD_ICMP_GATEWAY] = true,
};

static const struct {
	uint8_t proto;
	uint8_t fixed;
} layers[] = {
	[LAYER_TCP] = {PROTO_TCP, TCP_FIXED},
	[LAYER_UDP] = {PROTO_UDP, UDP_FIXED},
	[LAYER_ICMP] = {PROTO_ICMP, ICMP_FIXED},
};

/* The layer begins here, though it may be cut off. */
static bool layer_begins(const struct packet *p, enum packet_layer layer)
{
	if (layer == LAYER_IP)
		return p->header;
	return p->transport && p->proto == layers[layer].proto;
}

bool packet_has_layer(const struct packet *p, enum packet_layer layer)
{
	if (layer == LAYER_IP)
		return p->header;
	return layer_begins(p, layer) &&
	       p->len - p->transport >= layers[layer].fixed;
}

/* Where the field's word is; 0 or -errno. */
static int field_place(const struct packet *p,
		       const struct packet_field_info *f, uint32_t *off)
{
	if (!layer_begins(p, f->layer))
		return -ENOENT;
	*off = f->offset + (f->layer == LAYER_IP ? 0u : p->transport);
	return packet_at(p, *off, f->bytes) ? 0 : -ENODATA;
}

static uint32_t field_max(const struct packet_field_info *f)
{
	return UINT32_MAX >> (32 - f->bits);
}

/* The transport checksum that will be sent, where offload completes it. */
static bool completed_checksum(const struct packet *p, uint32_t *value)
{
	struct cover c;

	cover_find(p, &c);
	if (!c.partial)
		return false;
	c.partial = false;
	*value = cover_value(p, &c, cover_sum(p, &c));
	return true;
}

static bool is_transport_checksum(enum packet_field f)
{
	return f == FIELD_TCP_CHECKSUM || f == FIELD_UDP_CHECKSUM ||
	       f == FIELD_ICMP_CHECKSUM;
}

int packet_get(const struct packet *p, enum packet_field f, uint32_t *value)
{
	const struct packet_field_info *info = &packet_fields[f];
	uint32_t off;
	int err = field_place(p, info, &off);

	if (err)
		return err;
	if (p->offload.need_csum && is_transport_checksum(f) &&
	    completed_checksum(p, value))
		return 0;
	*value = word_get(p->data + off, info->bytes) >> info->shift &
		 field_max(info);
	return 0;
}

int packet_set(struct packet *p, enum packet_field f, uint32_t value)
{
	const struct packet_field_info *info = &packet_fields[f];
	uint32_t off, word, mask = field_max(info);
	uint8_t b[4];
	int err = field_place(p, info, &off);

	if (err)
		return err;
	if (value > mask)
		return -ERANGE;
	word = word_get(p->data + off, info->bytes);
	word &= ~(mask << info->shift);
	word |= value << info->shift;
	/* An open checksum further in may cut what is covered anywhere. */
	if (is_plain[f] && (!p->offload.need_csum ||
			    p->offload.csum_start == p->transport)) {
		cover_write(p, off, word, info->bytes);
		return 0;
	}
	word_put(b, info->bytes, word);
	return packet_write(p, off, b, info->bytes);
}

int packet_set_address(struct packet *p, enum packet_field f,
		       const struct address *a)
{
	if (a->size != 4)
		return -EAFNOSUPPORT;
	return packet_set(p, f, get_be32(a->byte));
}

int packet_ports(const struct packet *p, uint16_t *sport, uint16_t *dport)
{
	const uint8_t *b = packet_at(p, p->transport, 4);

	if (!b || !p->transport)
		return -ENOENT;
	switch (p->proto) {
	case PROTO_TCP:
	case PROTO_UDP:
	case 33:  /* DCCP, RFC 4340 */
	case 132: /* SCTP, RFC 9260 */
	case 136: /* UDP-Lite, RFC 3828 */
		*sport = get_be16(b);
		*dport = get_be16(b + 2);
		return 0;
	}
	return -ENOENT;
}

const uint8_t *packet_tcp_option(const struct packet *p, uint8_t kind,
				 uint8_t *n)
{
	uint32_t at, end;

	if (!packet_has_layer(p, LAYER_TCP))
		return NULL;
	at = p->transport + TCP_FIXED;
	end = p->transport + (p->data[p->transport + 12] >> 4) * 4u;
	if (end > p->len)
		end = p->len;
	while (at < end) {
		const uint8_t *b = p->data + at;
		/* End of list and no-operation have no length byte. */
		uint8_t size = b[0] <= 1 ? 1 : at + 1 < end ? b[1] : 0;

		if (!size || (size < 2 && b[0] > 1) || size > end - at)
			return NULL;
		if (b[0] == kind) {
			*n = size;
			return b;
		}
		if (b[0] == 0)
			return NULL;
		at += size;
	}
	return NULL;
}
