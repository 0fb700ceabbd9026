/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker's part of connections that the kernel decides about: what the
 * rules' host is asked for goes to the supervisor, several at once. What
 * cannot be told matters only where a connection has to come back: that is
 * waited for. Must not know when a connection can be handed off.
 */
#ifndef SLUICE_DAEMON_HANDOFF_H
#define SLUICE_DAEMON_HANDOFF_H

#include "daemon/message.h"

/* As many as wait at once. */
#define HANDOFF_MAX 1024

struct handoff {
	int sock, room; /* see message_room */
	uint32_t count;
	int64_t due; /* ns, monotonic; while some wait */
	uint32_t lost; /* that had to be told and were not */
	struct message_flow waits[HANDOFF_MAX];
};

/* drop: its packets are, or were, dropped and not let by. */
void handoff_put(struct handoff *h, enum message_what what,
		 const struct script_flow *f, bool drop);

/* Tells what has waited long enough. ns until there is more to tell, -1:
 * nothing waits. */
int64_t handoff_tell(struct handoff *h);

/* The connection that an answer is about. */
struct script_flow handoff_flow(const struct message_flow *m);

#endif
