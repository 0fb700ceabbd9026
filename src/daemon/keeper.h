/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's half of sets that rules change: it does to its own sets
 * what workers did to theirs, brings what the kernel holds in line, and lets
 * members expire. New workers begin with its sets.
 */
#ifndef SLUICE_DAEMON_KEEPER_H
#define SLUICE_DAEMON_KEEPER_H

#include "capture/capture.h"
#include "daemon/message.h"
#include "rule/ruleset.h"

struct keeper {
	struct capture *capture; /* NULL until there is one */
	struct kept *kept;
	struct set **set; /* as ruleset_sets lists them */
	uint32_t count;
	int64_t not_before; /* ns, monotonic; of the next change */
	int64_t said;	    /* when an error was logged last */
};

/* 0 or -ENOMEM. */
int keeper_open(struct keeper *k, const struct ruleset *rs);
void keeper_close(struct keeper *k);

/* Does what a worker did; what is not possible is taken out of m. True: the
 * other workers are to have it. */
bool keeper_take(struct keeper *k, struct message_set *m);

/* Does what is due. ns until more is, -1: nothing waits. */
int64_t keeper_tick(struct keeper *k);

#endif
