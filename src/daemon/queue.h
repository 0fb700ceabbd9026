/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What waits for an uplink that takes no more: fair by flow, with CoDel
 * (RFC 8289, 8290), so that a long upload does not make a short question
 * wait. Keeps copies in blocks of its own; allocates only in queue_new. Knows
 * neither packets nor descriptors nor the time: it is told.
 */
#ifndef SLUICE_DAEMON_QUEUE_H
#define SLUICE_DAEMON_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct queue;

struct queue_config {
	uint32_t flows;	 /* buckets; a power of two */
	uint32_t blocks; /* of QUEUE_BLOCK bytes: what may wait in all */
	uint32_t quantum; /* bytes a flow may send in its turn */
	int64_t target;	  /* ns a packet may wait for long */
	int64_t interval; /* ns over which it may wait longer */
};
#define QUEUE_BLOCK 2048u
/* Enough for the longest frame: what queue_peek may need. */
#define QUEUE_IOV   36

/* Target 5 ms, interval 100 ms, 8 MiB, quantum 1514. */
extern const struct queue_config queue_defaults;

struct queue *queue_new(const struct queue_config *cfg); /* NULL: no memory */
void queue_free(struct queue *q);

/* Copies n bytes in. Where there is no room, packets are dropped from the
 * head of the longest flow. false: n is longer than a queue can hold. */
bool queue_push(struct queue *q, const void *frame, uint32_t n, uint32_t hash,
		int64_t now);

/*
 * Chooses the next frame (CoDel may drop some on the way) and points iov at
 * it; returns how many of iov are used, 0 when the queue is empty. The frame
 * stays chosen until queue_pop, however often it is looked at.
 */
int queue_peek(struct queue *q, int64_t now, struct iovec iov[QUEUE_IOV]);
void queue_pop(struct queue *q); /* drops the chosen frame: it was sent */

bool queue_empty(const struct queue *q);

struct queue_stats {
	uint64_t queued, sent; /* frames */
	uint64_t dropped_full, dropped_codel;
	uint32_t bytes; /* waiting now */
};
void queue_stats(const struct queue *q, struct queue_stats *s);

#endif
