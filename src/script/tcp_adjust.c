/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "script/tcp_adjust.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
	uint32_t next; /* + 1; 0: the last */
	uint8_t byte[TCP_CHUNK];
};

union block {
	uint32_t next; /* of those that are free */
	struct tcp_edit edits[TCP_EDITS];
};

/* Places never used start at fresh; links are places + 1. */
struct tcp_pool {
	struct tcp_adjust *adjusts;
	uint32_t adjusts_size, adjusts_fresh, adjusts_free;
	union block *blocks;
	uint32_t blocks_size, blocks_fresh, blocks_free;
	struct chunk *chunks;
	uint32_t chunks_size, chunks_fresh, chunks_free, chunks_used;
};

struct tcp_pool *tcp_pool_new(uint32_t adjusts, uint32_t blocks,
			      uint32_t chunks)
{
	struct tcp_pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->adjusts = calloc(adjusts, sizeof(*pool->adjusts));
	pool->chunks = calloc(chunks, sizeof(*pool->chunks));
	pool->blocks = calloc(blocks, sizeof(*pool->blocks));
	if (!pool->adjusts || !pool->blocks || !pool->chunks) {
		tcp_pool_free(pool);
		return NULL;
	}
	pool->adjusts_size = adjusts;
	pool->blocks_size = blocks;
	pool->chunks_size = chunks;
	return pool;
}

void tcp_pool_free(struct tcp_pool *pool)
{
	if (!pool)
		return;
	free(pool->adjusts);
	free(pool->blocks);
	free(pool->chunks);
	free(pool);
}

/* ---- blocks ---------------------------------------------------------- */

static bool has_block(const struct tcp_pool *pool)
{
	return pool->blocks_free || pool->blocks_fresh < pool->blocks_size;
}

/* One that the caller has seen to be there. */
static struct tcp_edit *block_take(struct tcp_pool *pool)
{
	uint32_t link = pool->blocks_free;

	if (link)
		pool->blocks_free = pool->blocks[link - 1].next;
	else
		link = ++pool->blocks_fresh;
	return pool->blocks[link - 1].edits;
}

static void block_give(struct tcp_pool *pool, struct tcp_side *s)
{
	union block *b = (union block *)s->edits;

	if (!b)
		return;
	s->edits = NULL;
	b->next = pool->blocks_free;
	pool->blocks_free = (uint32_t)(b - pool->blocks) + 1;
}

/* ---- chunks ---------------------------------------------------------- */

static uint32_t chunk_take(struct tcp_pool *pool)
{
	uint32_t link = pool->chunks_free;

	if (link)
		pool->chunks_free = pool->chunks[link - 1].next;
	else
		link = ++pool->chunks_fresh;
	pool->chunks_used++;
	return link;
}

static void chunks_give(struct tcp_pool *pool, uint32_t link)
{
	while (link) {
		struct chunk *c = &pool->chunks[link - 1];
		uint32_t next = c->next;

		c->next = pool->chunks_free;
		pool->chunks_free = link;
		pool->chunks_used--;
		link = next;
	}
}

/* Keeps size bytes; the caller has seen that there is room. */
static uint32_t chunks_keep(struct tcp_pool *pool, const uint8_t *b,
			    uint32_t size)
{
	uint32_t first = 0, *at = &first;

	while (size) {
		uint32_t n = size < TCP_CHUNK ? size : TCP_CHUNK;
		struct chunk *c;

		*at = chunk_take(pool);
		c = &pool->chunks[*at - 1];
		c->next = 0;
		memcpy(c->byte, b, n);
		at = &c->next;
		b += n;
		size -= n;
	}
	return first;
}

static void chunks_copy(const struct tcp_pool *pool, const struct tcp_edit *e,
			uint8_t *out)
{
	uint32_t link = e->chunk, size = e->size;

	while (size) {
		const struct chunk *c = &pool->chunks[link - 1];
		uint32_t n = size < TCP_CHUNK ? size : TCP_CHUNK;

		memcpy(out, c->byte, n);
		out += n;
		size -= n;
		link = c->next;
	}
}

/* ---- one for each connection ------------------------------------------ */

struct tcp_adjust *tcp_adjust_take(struct tcp_pool *pool)
{
	uint32_t link = pool->adjusts_free;
	struct tcp_adjust *a;

	if (link)
		pool->adjusts_free = pool->adjusts[link - 1].free;
	else if (pool->adjusts_fresh < pool->adjusts_size)
		link = ++pool->adjusts_fresh;
	else
		return NULL;
	a = &pool->adjusts[link - 1];
	for (int i = 0; i < 2; i++) {
		a->side[i] = (struct tcp_side){.active = false};
	}
	return a;
}

void tcp_adjust_give(struct tcp_pool *pool, struct tcp_adjust *a)
{
	for (int i = 0; i < 2; i++) {
		struct tcp_side *s = &a->side[i];

		for (uint32_t k = 0; k < s->count; k++)
			chunks_give(pool, s->edits[k].chunk);
		s->count = 0;
		block_give(pool, s);
	}
	a->free = pool->adjusts_free;
	pool->adjusts_free = (uint32_t)(a - pool->adjusts) + 1;
}

void tcp_side_start(struct tcp_side *s, uint32_t next)
{
	if (s->active)
		return;
	s->active = true;
	s->count = 0;
	s->delta = 0;
	s->base = s->next = next;
}

bool tcp_side_has_room(const struct tcp_pool *pool, const struct tcp_side *s,
		       uint32_t size)
{
	uint32_t chunks = (size + TCP_CHUNK - 1) / TCP_CHUNK;

	return s->count < TCP_EDITS && (s->edits || has_block(pool)) &&
	       chunks <= pool->chunks_size - pool->chunks_used;
}

int tcp_side_edit(struct tcp_pool *pool, struct tcp_side *s, uint32_t at,
		  uint32_t n, const uint8_t *b, uint32_t size)
{
	if (!tcp_side_has_room(pool, s, size))
		return -ENOBUFS;
	if (!s->edits)
		s->edits = block_take(pool);
	s->edits[s->count++] = (struct tcp_edit){
		.at = at,
		.old = n,
		.size = size,
		.chunk = chunks_keep(pool, b, size),
	};
	return 0;
}

/* ---- numbers --------------------------------------------------------- */

uint32_t tcp_side_new(const struct tcp_side *s, uint32_t old)
{
	uint32_t delta = s->delta;

	if (!s->active)
		return old;
	for (uint32_t i = 0; i < s->count; i++) {
		const struct tcp_edit *e = &s->edits[i];

		if (!tcp_before(e->at, old))
			break;
		if (tcp_before(old, e->at + e->old))
			return e->at + delta + e->size;
		delta += e->size - e->old;
	}
	return old + delta;
}

uint32_t tcp_side_old(const struct tcp_side *s, uint32_t number, bool end)
{
	uint32_t delta = s->delta;

	if (!s->active)
		return number;
	for (uint32_t i = 0; i < s->count; i++) {
		const struct tcp_edit *e = &s->edits[i];
		uint32_t from = e->at + delta;

		if (tcp_before(number, from))
			break;
		if (tcp_before(number, from + e->size))
			return end && number != from ? e->at + e->old : e->at;
		delta += e->size - e->old;
	}
	return number - delta;
}

void tcp_side_acked(struct tcp_pool *pool, struct tcp_side *s, uint32_t number)
{
	uint32_t n = 0;

	/* What was never sent cannot have been received. */
	if (!s->active || !s->count ||
	    tcp_before(tcp_side_new(s, s->next), number))
		return;
	for (; n < s->count; n++) {
		struct tcp_edit *e = &s->edits[n];

		if (tcp_before(number, e->at + s->delta + e->size))
			break;
		s->base = e->at + e->old;
		s->delta += e->size - e->old;
		chunks_give(pool, e->chunk);
	}
	if (!n)
		return;
	s->count = (uint16_t)(s->count - n);
	memmove(s->edits, s->edits + n, s->count * sizeof(*s->edits));
	if (!s->count)
		block_give(pool, s);
}

/* ---- bytes ----------------------------------------------------------- */

int tcp_side_again(const struct tcp_pool *pool, const struct tcp_side *s,
		   uint32_t at, const uint8_t *b, uint32_t n, uint8_t *out,
		   uint32_t room)
{
	uint32_t done = 0, size = 0;

	for (uint32_t i = 0; i < s->count && done < n; i++) {
		const struct tcp_edit *e = &s->edits[i];
		uint32_t from = e->at - at, plain; /* from this segment's start */

		if (!tcp_before(at + done, e->at + e->old))
			continue;
		if (!tcp_before(e->at, at + n))
			break;
		if (tcp_before(e->at, at + done)) {
			/* Begins inside: those bytes went with the start. */
			done = e->at + e->old - at;
			continue;
		}
		plain = from - done;
		if (size + plain + e->size > room)
			return -EMSGSIZE;
		memcpy(out + size, b + done, plain);
		size += plain;
		chunks_copy(pool, e, out + size);
		size += e->size;
		done = from + e->old;
	}
	if (done < n) {
		if (size + (n - done) > room)
			return -EMSGSIZE;
		memcpy(out + size, b + done, n - done);
		size += n - done;
	}
	return (int)size;
}
