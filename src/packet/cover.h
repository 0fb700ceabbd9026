/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which bytes a transport checksum covers, for the files of this room that
 * change bytes. Not for other rooms: they use packet.h.
 */
#ifndef SLUICE_PACKET_COVER_H
#define SLUICE_PACKET_COVER_H

#include "base/bytes.h"
#include "packet/packet.h"

/* Where a checksum stands in its header. */
#define IP_CSUM_AT   10u
#define TCP_CSUM_AT  16u
#define UDP_CSUM_AT  6u
#define ICMP_CSUM_AT 2u

/* Fixed parts of the headers, in bytes. */
#define IP_FIXED   20u
#define TCP_FIXED  20u
#define UDP_FIXED  8u
#define ICMP_FIXED 8u

#define PROTO_ICMP 1u
#define PROTO_TCP  6u
#define PROTO_UDP  17u

struct cover {
	uint32_t field;	 /* offset of the checksum; 0: there is none to keep */
	uint32_t start;	 /* the transport header */
	uint32_t end;	 /* behind the last byte covered */
	uint32_t length; /* as the pseudo-header has it */
	bool pseudo;	 /* the pseudo-header is covered as well */
	bool partial; /* offload completes it: only the pseudo-header's sum */
	bool whole;   /* all that it covers is here, so it can be judged */
};

void cover_find(const struct packet *p, struct cover *c);

/* A word of 1, 2 or 4 bytes. */
static inline uint32_t word_get(const uint8_t *b, uint32_t bytes)
{
	return bytes == 1 ? *b : bytes == 2 ? get_be16(b) : get_be32(b);
}

static inline void word_put(uint8_t *b, uint32_t bytes, uint32_t v)
{
	if (bytes == 1)
		*b = (uint8_t)v;
	else if (bytes == 2)
		put_be16(b, (uint16_t)v);
	else
		put_be32(b, v);
}

/*
 * packet_write for a word at off, which the caller knows to be all there, not
 * to straddle words of the checksum's, to be covered whole or not at all, and
 * to hold no checksum, no length and nothing that says where headers are.
 */
void cover_write(struct packet *p, uint32_t off, uint32_t word, uint32_t bytes);

/* The sum of what is covered, without the checksum field itself; of the
 * pseudo-header alone where partial. */
uint64_t cover_sum(const struct packet *p, const struct cover *c);

/* What the field has to hold if sum is covered. */
uint16_t cover_value(const struct packet *p, const struct cover *c,
		     uint64_t sum);

/* What the stored one becomes after old_sum became new_sum (RFC 1624).
 * Writes it, unless the packet carries none (UDP zero). */
void cover_update(struct packet *p, const struct cover *c, uint64_t old_sum,
		  uint64_t new_sum);

/* True where it is right if sum is covered, or cannot be judged. */
bool cover_ok(const struct packet *p, const struct cover *c, uint64_t sum);

/* Fills in the checksum that offload left open, as a device would, and
 * clears need_csum. */
void cover_complete(struct packet *p);

/* The sum of the IP header without its checksum field. */
uint64_t ip_header_sum(const struct packet *p);

/* The sum of the bytes from a up to b. */
uint64_t range_sum(const struct packet *p, uint32_t a, uint32_t b);

#endif
