/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's half of sets that rules change: what a rule did to a set of a
 * match is told to the supervisor, who has the same sets and holds them in
 * the kernel, and by him to the other workers.
 *
 * A fixed number of changes wait, the last one of each member; so however
 * often a rule adds an address, it is told a bounded number of times a second.
 * Must not know what the sets are for.
 */
#ifndef SLUICE_DAEMON_SHARE_H
#define SLUICE_DAEMON_SHARE_H

#include "daemon/message.h"
#include "rule/set.h"

/* Changes that wait at once. */
#define SHARE_MAX 4096

struct share;

/* set: those of ruleset_sets; from now on their changes are told by sock,
 * which does not block. room: of message_room. NULL: no memory. */
struct share *share_new(struct set *const *set, uint32_t count, int sock,
			int room);

/* What others did to a set, which is told to nobody. */
void share_take(struct share *s, const struct message_set *m, int64_t now);

/* Tells what has waited long enough. ns until there is more to tell, -1:
 * nothing waits. */
int64_t share_tell(struct share *s);

/* Changes that could not be told since the last call. */
uint32_t share_lost(struct share *s);

#endif
