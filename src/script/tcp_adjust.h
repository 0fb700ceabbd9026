/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two numberings of one TCP stream (RFC 9293, 3.4): the sender's ("old") and
 * the receiver's ("new"), which part where bytes in between were replaced by
 * more or fewer. Remembers each replacement, its bytes included, until the
 * receiver has acknowledged it, so that whatever the sender sends again, in
 * whatever pieces, gets the same bytes at the same numbers.
 *
 * Must not know packets: numbers and bytes only. All numbers wrap.
 */
#ifndef SLUICE_SCRIPT_TCP_ADJUST_H
#define SLUICE_SCRIPT_TCP_ADJUST_H

#include <stdbool.h>
#include <stdint.h>

/* Replacements of one direction that are not acknowledged yet. */
#define TCP_EDITS 512

#define TCP_CHUNK 508u /* bytes of new data a chunk holds */

struct tcp_edit {
	uint32_t at, old;  /* old numbering: where, and how many bytes (> 0) */
	uint32_t size;	   /* new bytes */
	uint32_t chunk;	   /* the first one, + 1; 0: none */
};

/* One direction. */
struct tcp_side {
	bool active;	/* false: both numberings are the same */
	bool any;	/* it starts with whatever comes next */
	uint16_t count; /* of edits, in the order of their place */
	uint32_t base;	/* old numbering: before it all is acknowledged */
	uint32_t delta; /* new minus old at base */
	uint32_t next;	/* old numbering: behind the last byte seen */
	struct tcp_edit *edits; /* a block of the pool; NULL: count is 0 */
};

struct tcp_adjust {
	struct tcp_side side[2];
	uint32_t free; /* the pool's */
};

struct tcp_pool;

/* All that it will ever have, now. blocks: directions with replacements that
 * are not acknowledged, at once. */
struct tcp_pool *tcp_pool_new(uint32_t adjusts, uint32_t blocks,
			      uint32_t chunks);
void tcp_pool_free(struct tcp_pool *pool);

/* True where size bytes in place of others could be remembered. */
bool tcp_side_has_room(const struct tcp_pool *pool, const struct tcp_side *s,
		       uint32_t size);


/* One with both sides not active; NULL: none left. */
struct tcp_adjust *tcp_adjust_take(struct tcp_pool *pool);
void tcp_adjust_give(struct tcp_pool *pool, struct tcp_adjust *a);

/* From the byte numbered next on, side has two numberings. */
void tcp_side_start(struct tcp_side *s, uint32_t next);

/*
 * The n bytes numbered from at on become size bytes at b. n > 0; at is not
 * before the end of the last edit. -ENOBUFS: no room to remember it: the
 * packet must be dropped, to be sent again later.
 */
int tcp_side_edit(struct tcp_pool *pool, struct tcp_side *s, uint32_t at,
		  uint32_t n, const uint8_t *b, uint32_t size);

/* From the old numbering to the new one. Inside of what was replaced: its
 * end, since the new bytes go with those before. */
uint32_t tcp_side_new(const struct tcp_side *s, uint32_t old);

/* From the new numbering to the old one. Inside of what was replaced: its
 * start, so that what was not all received is sent again; with end, its end. */
uint32_t tcp_side_old(const struct tcp_side *s, uint32_t number, bool end);

/* The receiver has all before number (new numbering). */
void tcp_side_acked(struct tcp_pool *pool, struct tcp_side *s, uint32_t number);

/* What n bytes numbered from at on, which were seen before, became: into out,
 * at most room bytes. The number of bytes; -EMSGSIZE. */
int tcp_side_again(const struct tcp_pool *pool, const struct tcp_side *s,
		   uint32_t at, const uint8_t *b, uint32_t n, uint8_t *out,
		   uint32_t room);

/* a is before b. */
static inline bool tcp_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

#endif
