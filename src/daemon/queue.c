/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/queue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

const struct queue_config queue_defaults = {
	.flows = 1024,
	.blocks = 4096,
	.quantum = 1514,
	.target = 5 * NSEC_PER_MSEC,
	.interval = 100 * NSEC_PER_MSEC,
};

#define NONE UINT32_MAX
/* A backlog of no more than this is never too long (RFC 8290, 5.2.1). */
#define BACKLOG_SMALL 1514u

struct block {
	uint32_t next;
	uint8_t byte[QUEUE_BLOCK];
};

struct frame { /* one for each block: the first block's number names it */
	uint32_t next;
	uint32_t len;
	int64_t since;
};

enum flow_list { IDLE, NEW, OLD };

struct flow {
	uint32_t head, tail; /* frames */
	uint32_t bytes;
	int32_t deficit;
	enum flow_list list;
	uint32_t next; /* in its list */
	/* CoDel (RFC 8289, 4.1): when the wait came to stay, the count of
	 * drops and when the next one is due. */
	bool dropping;
	int64_t first_above, drop_next;
	uint32_t count, last_count;
};

struct list {
	uint32_t head, tail;
};

struct queue {
	struct queue_config cfg;
	struct flow *flow;
	struct block *block;
	struct frame *frame;
	uint32_t free;	     /* blocks */
	uint32_t free_count;
	struct list fresh, old;
	uint32_t chosen;     /* flow whose head is to be sent; NONE */
	uint32_t waiting;    /* frames */
	struct queue_stats stats;
};

struct queue *queue_new(const struct queue_config *cfg)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->cfg = *cfg;
	q->flow = calloc(cfg->flows, sizeof(*q->flow));
	q->block = malloc(cfg->blocks * sizeof(*q->block));
	q->frame = malloc(cfg->blocks * sizeof(*q->frame));
	if (!q->flow || !q->block || !q->frame) {
		queue_free(q);
		return NULL;
	}
	for (uint32_t i = 0; i < cfg->flows; i++)
		q->flow[i].head = q->flow[i].tail = q->flow[i].next = NONE;
	for (uint32_t i = 0; i < cfg->blocks; i++)
		q->block[i].next = i + 1 < cfg->blocks ? i + 1 : NONE;
	q->free_count = cfg->blocks;
	q->fresh = q->old = (struct list){NONE, NONE};
	q->chosen = NONE;
	return q;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	free(q->flow);
	free(q->block);
	free(q->frame);
	free(q);
}

bool queue_empty(const struct queue *q)
{
	return !q->waiting;
}

void queue_stats(const struct queue *q, struct queue_stats *s)
{
	*s = q->stats;
}

static void list_append(struct queue *q, struct list *l, uint32_t f)
{
	q->flow[f].next = NONE;
	if (l->tail == NONE)
		l->head = f;
	else
		q->flow[l->tail].next = f;
	l->tail = f;
}

static void list_pop(struct queue *q, struct list *l)
{
	l->head = q->flow[l->head].next;
	if (l->head == NONE)
		l->tail = NONE;
}

/* Unlinks the frame at the head of f and gives its blocks back. */
static void frame_drop(struct queue *q, struct flow *f)
{
	uint32_t first = f->head, last = first;
	uint32_t n = 1;

	f->head = q->frame[first].next;
	if (f->head == NONE)
		f->tail = NONE;
	f->bytes -= q->frame[first].len;
	q->stats.bytes -= q->frame[first].len;
	q->waiting--;
	for (; q->block[last].next != NONE; n++)
		last = q->block[last].next;
	q->block[last].next = q->free;
	q->free = first;
	q->free_count += n;
}

/* Makes room by dropping from the head of the flow that holds most. */
static void drop_from_longest(struct queue *q)
{
	uint32_t longest = NONE;

	for (uint32_t i = 0; i < q->cfg.flows; i++)
		if (q->flow[i].bytes &&
		    (longest == NONE ||
		     q->flow[i].bytes > q->flow[longest].bytes))
			longest = i;
	if (longest == NONE)
		return;
	if (q->chosen == longest)
		q->chosen = NONE;
	frame_drop(q, &q->flow[longest]);
	q->stats.dropped_full++;
}

bool queue_push(struct queue *q, const void *frame, uint32_t n, uint32_t hash,
		int64_t now)
{
	uint32_t need = n ? (n + QUEUE_BLOCK - 1) / QUEUE_BLOCK : 1;
	uint32_t id = hash & (q->cfg.flows - 1), first, b;
	const uint8_t *src = frame;
	struct flow *f = &q->flow[id];

	if (need > QUEUE_IOV || need > q->cfg.blocks)
		return false;
	while (q->free_count < need)
		drop_from_longest(q);
	first = b = q->free;
	for (uint32_t left = n;; b = q->block[b].next) {
		uint32_t part = left < QUEUE_BLOCK ? left : QUEUE_BLOCK;

		memcpy(q->block[b].byte, src, part);
		src += part;
		left -= part;
		if (!left)
			break;
	}
	q->free = q->block[b].next;
	q->block[b].next = NONE;
	q->free_count -= need;
	q->frame[first] = (struct frame){NONE, n, now};
	if (f->tail == NONE)
		f->head = first;
	else
		q->frame[f->tail].next = first;
	f->tail = first;
	f->bytes += n;
	q->stats.bytes += n;
	q->stats.queued++;
	q->waiting++;
	if (f->list == IDLE) {
		f->list = NEW;
		f->deficit = (int32_t)q->cfg.quantum;
		list_append(q, &q->fresh, id);
	}
	return true;
}

static int64_t control_law(const struct queue *q, int64_t t, uint32_t count)
{
	return t + (int64_t)((double)q->cfg.interval / sqrt(count));
}

/* True if the frame at the head of f has waited too long for too long. */
static bool should_drop(const struct queue *q, struct flow *f, int64_t now)
{
	int64_t wait = now - q->frame[f->head].since;

	if (wait < q->cfg.target || f->bytes <= BACKLOG_SMALL) {
		f->first_above = 0;
		return false;
	}
	if (!f->first_above) {
		f->first_above = now + q->cfg.interval;
		return false;
	}
	return now >= f->first_above;
}

static void codel_drop(struct queue *q, struct flow *f)
{
	frame_drop(q, f);
	q->stats.dropped_codel++;
}

/* Lets CoDel drop what it will from f; false if nothing is left. */
static bool codel(struct queue *q, struct flow *f, int64_t now)
{
	bool drop;

	if (f->head == NONE) {
		f->dropping = false;
		return false;
	}
	drop = should_drop(q, f, now);
	if (f->dropping) {
		if (!drop)
			f->dropping = false;
		while (f->dropping && now >= f->drop_next) {
			codel_drop(q, f);
			f->count++;
			if (f->head == NONE || !should_drop(q, f, now))
				f->dropping = false;
			else
				f->drop_next = control_law(q, f->drop_next,
							   f->count);
		}
	} else if (drop) {
		uint32_t delta = f->count - f->last_count;

		codel_drop(q, f);
		f->dropping = true;
		/* Dropping again soon: start from the rate that controlled
		 * the queue last time. */
		f->count = 1;
		if (delta > 1 && now - f->drop_next < 16 * q->cfg.interval)
			f->count = delta;
		f->drop_next = control_law(q, now, f->count);
		f->last_count = f->count;
		if (f->head != NONE)
			should_drop(q, f, now);
	}
	return f->head != NONE;
}

/* The flow whose turn it is (RFC 8290, 4.2), or NONE. */
static uint32_t choose(struct queue *q, int64_t now)
{
	for (;;) {
		bool fresh = q->fresh.head != NONE;
		struct list *l = fresh ? &q->fresh : &q->old;
		uint32_t id = l->head;
		struct flow *f;

		if (id == NONE)
			return NONE;
		f = &q->flow[id];
		if (f->deficit <= 0) {
			f->deficit += (int32_t)q->cfg.quantum;
			list_pop(q, l);
			f->list = OLD;
			list_append(q, &q->old, id);
			continue;
		}
		if (codel(q, f, now))
			return id;
		list_pop(q, l);
		/* A new flow that ran empty waits among the old ones once,
		 * so that it cannot stay new by sending little and often. */
		if (fresh && q->old.head != NONE) {
			f->list = OLD;
			list_append(q, &q->old, id);
		} else {
			f->list = IDLE;
		}
	}
}

int queue_peek(struct queue *q, int64_t now, struct iovec iov[QUEUE_IOV])
{
	uint32_t left, b;
	int n = 0;

	if (q->chosen == NONE)
		q->chosen = choose(q, now);
	if (q->chosen == NONE)
		return 0;
	b = q->flow[q->chosen].head;
	left = q->frame[b].len;
	do {
		uint32_t part = left < QUEUE_BLOCK ? left : QUEUE_BLOCK;

		iov[n].iov_base = q->block[b].byte;
		iov[n++].iov_len = part;
		left -= part;
		b = q->block[b].next;
	} while (left);
	return n;
}

void queue_pop(struct queue *q)
{
	struct flow *f;

	if (q->chosen == NONE)
		return;
	f = &q->flow[q->chosen];
	f->deficit -= (int32_t)q->frame[f->head].len;
	frame_drop(q, f);
	q->chosen = NONE;
	q->stats.sent++;
}
