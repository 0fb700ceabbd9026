/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet: bytes in wire format, and where its headers are (RFC 791, 792,
 * 768, 9293). Pure functions over bytes: no I/O, no globals, no Lua.
 *
 * The bytes are borrowed from a buffer that somebody else owns:
 *
 *   head              data                      data+len        head+size
 *    |  headroom, link |  IP packet              | tail, tailroom |
 *
 * Every number here is in host order, every offset counts from data (the
 * first byte of the IP header). Nothing reads or writes outside
 * [data, data+len) but packet_splice, which may move data and len within
 * [head, head+size).
 *
 * Checksums are nobody else's business: packet_write and packet_splice keep
 * those of the IP, TCP, UDP and ICMP headers right as they go, by RFC 1624,
 * so the cost is that of the bytes changed and not that of the payload.
 * A checksum that was wrong stays wrong by the same amount: an input's fault
 * is not hidden. A UDP checksum of zero (none) stays zero, a computed zero
 * becomes 0xffff. Where offload.need_csum is set the transport checksum
 * field holds the folded sum of the pseudo-header, not inverted, and only
 * pseudo-header changes touch it.
 */
#ifndef SLUICE_PACKET_PACKET_H
#define SLUICE_PACKET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* The longest IPv4 packet (RFC 791), and room in front of it for
 * virtio_net_hdr (10), an Ethernet header (14) and alignment. */
#define PACKET_MAX	65535u
#define PACKET_HEADROOM 32u
#define PACKET_BUFFER	(PACKET_HEADROOM + PACKET_MAX + 65u)

enum packet_dir { DIR_OUT, DIR_IN, DIR_FORWARD };
enum packet_way { WAY_ROUTE, WAY_WIRE };

enum packet_flag {
	/* Not a usable IPv4 header (version, header length, total length):
	 * it has no layers; it passes untouched unless a rule without a
	 * match says otherwise. */
	PACKET_ODD = 1 << 0,
	/* MF is set or the offset is not zero. */
	PACKET_FRAGMENT = 1 << 1,
	/* The offset is not zero: no transport view. */
	PACKET_LATER_FRAGMENT = 1 << 2,
	/* The transport header is not all there. */
	PACKET_TRUNCATED = 1 << 3,
	/* Some byte was changed since packet_parse. */
	PACKET_MODIFIED = 1 << 4,
	/* dst was changed since packet_parse: it needs a new route. */
	PACKET_REDIRECTED = 1 << 5,
	/* The checksum was set by hand and is left alone. */
	PACKET_IP_CSUM_KEPT = 1 << 6,
	PACKET_L4_CSUM_KEPT = 1 << 7,
};

/* What virtio_net_hdr says (virtio 1.2, 5.1.6), offsets from the IP header. */
struct packet_offload {
	bool need_csum;	     /* transport checksum still to be completed */
	uint16_t csum_start; /* from here to the end */
	uint16_t csum_offset; /* the field, from csum_start */
	uint8_t gso_type;    /* VIRTIO_NET_HDR_GSO_*, 0: one packet */
	uint16_t gso_size;   /* payload bytes a segment */
	uint16_t hdr_len;    /* all headers from data on */
};

/* Where the bytes of a packet are kept before they are first changed, so that
 * it can be given back as it arrived: always the first saved bytes. */
struct packet_undo {
	uint8_t *bytes; /* PACKET_MAX of them */
	uint32_t saved;
};

struct packet {
	uint8_t *head; /* the buffer */
	uint8_t *data; /* the IP header */
	uint32_t size; /* bytes of the buffer */
	uint32_t len;  /* bytes of the IP packet (total length, if sane) */
	uint32_t tail; /* bytes that followed it in the frame (padding) */
	uint16_t link_len; /* bytes of link header right before data */

	/* Set by packet_parse. */
	uint16_t header;    /* bytes of the IP header; 0 when ODD */
	uint16_t transport; /* offset of the transport header; 0: no view */
	uint16_t payload;   /* offset of what follows it; 0: no view. Other
			     * protocols than TCP, UDP, ICMP: == transport */
	uint8_t proto;	    /* IP protocol number */
	uint16_t flags;	    /* enum packet_flag */

	struct packet_offload offload;

	/* What the capture knows. */
	enum packet_dir dir;
	enum packet_way way;
	/* DIR_FORWARD: the uplink is the one by which it leaves, not the one
	 * by which it came. */
	bool leaving;
	int ifindex;	   /* of the uplink; 0: not known (yet) */
	const char *iface; /* its name, borrowed; NULL: not known (yet) */
	int64_t time;	   /* ns since the epoch */

	struct packet_undo *undo; /* NULL: what is changed is gone */
};

/*
 * Points p at an IP packet of n bytes at data inside a buffer and parses it.
 * offload may be NULL. dir, way, ifindex, iface and time are zeroed.
 */
void packet_init(struct packet *p, uint8_t *head, uint32_t size, uint8_t *data,
		 uint32_t n, const struct packet_offload *offload);

/*
 * Finds the headers again from data and len. Never fails: what is not a
 * packet is marked PACKET_ODD. Bytes after the total length move from len to
 * tail. Of the flags, MODIFIED, REDIRECTED and the KEPT ones stay.
 */
void packet_parse(struct packet *p);

/* len bytes at off if they are all there, else NULL. The one way to bytes. */
const uint8_t *packet_at(const struct packet *p, uint32_t off, uint32_t n);

/*
 * Overwrites n bytes at off; checksums follow, and so does what packet_parse
 * finds. A checksum field among the bytes is kept as written (the KEPT flags;
 * need_csum ends, but in a super-packet). -ERANGE: outside the packet.
 */
int packet_write(struct packet *p, uint32_t off, const void *src, uint32_t n);

/*
 * Replaces old bytes at off, which is at or after the end of the transport
 * header (or of the IP header where there is no transport view), by n bytes:
 * total length, UDP length and checksums follow.
 * -ERANGE: outside; -EMSGSIZE: it would not fit PACKET_MAX or the buffer;
 * -EOPNOTSUPP: a length change in a super-packet (gso_type) that is not TCP.
 * One of TCP stands for more or fewer segments of the same size then, and is
 * an ordinary packet once it fits one. src must not lie in the packet. A
 * length change drops the tail.
 */
int packet_splice(struct packet *p, uint32_t off, uint32_t old,
		  const void *src, uint32_t n);

/*
 * Lets offload cut a TCP packet into segments with at most gso_size bytes of
 * payload, if it has more. -EINVAL: it is none, a fragment, or its checksum
 * is wrong or was set by hand.
 */
int packet_make_super(struct packet *p, uint16_t gso_size);

/* The same for bytes between the fixed part of the IP or TCP header and its
 * end (options): n is padded with zeros to a multiple of 4; header length,
 * offload and checksums follow. Same errors; -ERANGE also without such a
 * header, -EMSGSIZE also for more than 40 bytes. */
int packet_set_ip_options(struct packet *p, const void *src, uint32_t n);
int packet_set_tcp_options(struct packet *p, const void *src, uint32_t n);

struct address packet_src(const struct packet *p);
struct address packet_dst(const struct packet *p);

/* True where nobody has said from whom it is (0.0.0.0) and somebody should:
 * a broadcast to 255.255.255.255 may come from a host without an address. */
bool packet_lacks_source(const struct packet *p);

/* ---- fields (field.c) ------------------------------------------------ */

/* Every field with a fixed place, by the names of lua-api: one table serves
 * the matches, the rewrites, the packet object and the audit. */
enum packet_field {
	FIELD_IP_VERSION,
	FIELD_IP_IHL, /* 32-bit words */
	FIELD_IP_DSCP,
	FIELD_IP_ECN,
	FIELD_IP_LEN,
	FIELD_IP_ID,
	FIELD_IP_DF,
	FIELD_IP_MF,
	FIELD_IP_FRAG_OFFSET, /* units of 8 bytes */
	FIELD_IP_TTL,
	FIELD_IP_PROTO,
	FIELD_IP_CHECKSUM, /* as will be sent */
	FIELD_IP_SRC,	   /* addresses: packet_src, packet_set_address */
	FIELD_IP_DST,
	FIELD_TCP_SPORT,
	FIELD_TCP_DPORT,
	FIELD_TCP_SEQ,
	FIELD_TCP_ACK_SEQ,
	FIELD_TCP_DOFF, /* 32-bit words */
	FIELD_TCP_FLAGS, /* the 8 bits CWR..FIN */
	FIELD_TCP_WINDOW,
	FIELD_TCP_CHECKSUM,
	FIELD_TCP_URG_PTR,
	FIELD_UDP_SPORT,
	FIELD_UDP_DPORT,
	FIELD_UDP_LEN,
	FIELD_UDP_CHECKSUM,
	FIELD_ICMP_TYPE,
	FIELD_ICMP_CODE,
	FIELD_ICMP_CHECKSUM,
	FIELD_ICMP_ID,
	FIELD_ICMP_SEQ,
	FIELD_ICMP_MTU,	    /* RFC 1191: low 16 bits of the second word */
	FIELD_ICMP_GATEWAY, /* redirect: address, as a number */
	FIELD_COUNT
};

enum packet_layer { LAYER_IP, LAYER_TCP, LAYER_UDP, LAYER_ICMP };

struct packet_field_info {
	const char *name; /* "ttl" */
	enum packet_layer layer;
	uint8_t offset; /* bytes from the layer's start */
	uint8_t bits;	/* 1..32 */
	uint8_t shift;	/* of the value in its 1-, 2- or 4-byte word */
	uint8_t bytes;	/* of that word */
};
extern const struct packet_field_info packet_fields[FIELD_COUNT];

/* True where the layer can be seen (its fixed header is all there). */
bool packet_has_layer(const struct packet *p, enum packet_layer layer);

/* -ENOENT: no such layer here; -ENODATA: cut off before the field. */
int packet_get(const struct packet *p, enum packet_field f, uint32_t *value);

/*
 * Sets a field; checksums follow. A change of FIELD_*_CHECKSUM is kept as it
 * is (the KEPT flags). -ERANGE: value does not fit; others as packet_get.
 */
int packet_set(struct packet *p, enum packet_field f, uint32_t value);

/* f is FIELD_IP_SRC or FIELD_IP_DST. -EAFNOSUPPORT: another family. */
int packet_set_address(struct packet *p, enum packet_field f,
		       const struct address *a);

/* sport/dport of TCP or UDP (also UDP-Lite, SCTP, DCCP, which begin alike
 * for reading only). -ENOENT where there are none. */
int packet_ports(const struct packet *p, uint16_t *sport, uint16_t *dport);

/* TCP options by kind (RFC 9293, 7323, 2018): the option's bytes, from its
 * kind on, or NULL; n gets its length. Stops at nonsense. */
const uint8_t *packet_tcp_option(const struct packet *p, uint8_t kind,
				 uint8_t *n);

/* ---- checksum (checksum.c) ------------------------------------------- */

/* The one's complement sum of n bytes added to sum, not folded. odd: the
 * first byte is the low half of a 16-bit word. */
uint64_t checksum_add(uint64_t sum, const uint8_t *b, size_t n, bool odd);
uint16_t checksum_fold(uint64_t sum); /* not inverted */

/* RFC 1624 equation 3: a stored checksum after old became new. */
uint16_t checksum_update(uint16_t stored, uint64_t old_sum, uint64_t new_sum);

/* Writes IP header and transport checksums from scratch (but KEPT ones; a
 * UDP checksum of zero is computed as well); need_csum is left as it is
 * unless complete: then it is cleared. */
void packet_checksum(struct packet *p, bool complete);

/* True where the IP / transport checksum is right, or cannot be judged
 * (absent, a fragment, need_csum). */
bool packet_ip_checksum_ok(const struct packet *p);
bool packet_l4_checksum_ok(const struct packet *p);

/* ---- making packets (build.c) ---------------------------------------- */

/*
 * These write into out, whose head and size (PACKET_BUFFER is always enough)
 * the caller has set; they place the packet PACKET_HEADROOM bytes in, copy
 * what the capture knows, and parse it. in is unchanged and must not share
 * bytes with out. -ENOENT: in has not the layer that is asked about.
 */
int packet_clone(struct packet *out, const struct packet *in);

/* A bare IPv4 packet of protocol proto with a zeroed minimal transport
 * header: TTL 64, id 0, DF clear, lengths and checksums right. -EINVAL when
 * proto is ICMP/TCP/UDP and something is off; other protocols get none. */
int packet_new(struct packet *out, uint8_t proto);

/* Addresses and ports swapped, TTL 64, no payload, no options; for TCP
 * seq = their ack_seq, ack_seq = their seq + payload + SYN + FIN, flags ACK.
 * ICMP: an echo request becomes an echo reply (without data). */
int packet_reply(struct packet *out, const struct packet *in);

/* RFC 792 echo reply with the request's id, seq and data. */
int packet_echo_reply(struct packet *out, const struct packet *in);

/* The RST a closed port would send (RFC 9293 3.10.7.1). -ENOENT: not TCP;
 * -EPERM: in is itself a RST, or to or from more than one host. */
int packet_rst(struct packet *out, const struct packet *in);

/* ICMP errors (RFC 792, 1812 4.3.2): quotes the IP header and as much as
 * fits 576 bytes. from: the address it comes from, size 0: in's dst. mtu for
 * code 4. -EPERM for what must not be answered by an error: ICMP errors,
 * later fragments, multicast or broadcast destination or a source that is no
 * single host. */
int packet_unreachable(struct packet *out, const struct packet *in,
		       uint8_t code, const struct address *from, uint16_t mtu);
int packet_time_exceeded(struct packet *out, const struct packet *in,
			 uint8_t code, const struct address *from);

/* ---- segments (segment.c) -------------------------------------------- */

/*
 * Cuts a super-packet (offload.gso_type TCPV4 or UDP_L4) into ordinary
 * packets with complete checksums, in order, and gives each to f, which
 * returns 0 to go on. scratch is a buffer of PACKET_BUFFER bytes.
 * -EINVAL: not a super-packet it understands. Else what f returned.
 */
int packet_segment(const struct packet *p, uint8_t *scratch,
		   int (*f)(struct packet *segment, void *arg), void *arg);

/* ---- print (print.c) ------------------------------------------------- */

/* One tcpdump-like line without time: "tcp  192.0.2.2:30732 >
 * 34.194.149.67:80 [S] len 44". Returns buf, always ended. */
const char *packet_print(const struct packet *p, char *buf, size_t size);

/* The parts of it: "tcp", "192.0.2.2:30732", "[S]", for the audit's columns
 * and JSON. A protocol without a name is its number. */
const char *packet_proto_name(uint8_t proto);
const char *packet_endpoint(const struct packet *p, bool dst, char *buf,
			    size_t size);
const char *packet_detail(const struct packet *p, char *buf, size_t size);

/* A hex dump, 16 bytes a line, as tcpdump -X. Returns the bytes it wanted. */
size_t packet_dump(const struct packet *p, char *buf, size_t size);

/* ---- names (names.c) ------------------------------------------------- */

/* Names to numbers and back; nft's and iptables' names. -ENOENT unknown. */
int name_proto(const char *name);	 /* "tcp" -> 6 */
int name_icmp_type(const char *name);	 /* "echo-request" -> 8 */
int name_unreachable_code(const char *name); /* "admin-prohibited" -> 13 */
int name_dscp(const char *name);	 /* "ef" -> 46 */
int name_tcp_flags(const char *text);	 /* "SA" -> 0x12; -EINVAL */
const char *tcp_flags_text(uint8_t flags, char buf[9]); /* FSRPAUEC order */
const char *icmp_type_name(uint8_t type); /* NULL: none */

#endif
