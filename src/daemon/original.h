/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet as it arrived, kept while the rules change it: for whoever has to
 * give it back, to say what changed, or to tell its sender. Must not know
 * where packets come from or go.
 */
#ifndef SLUICE_DAEMON_ORIGINAL_H
#define SLUICE_DAEMON_ORIGINAL_H

#include "packet/packet.h"

struct original {
	/* undo.bytes is the owner's: as many as a packet's buffer has. */
	struct packet_undo undo;
	struct packet packet; /* all but its bytes */
};

/* From now on what changes in p is kept; one packet at a time. */
void original_keep(struct original *o, struct packet *p);

/* Gives p back as it arrived. */
void original_restore(const struct original *o, struct packet *p);

/* The packet as it arrived, to be read only. Of its bytes the first
 * undo->saved are there, which are all that may have changed. */
struct packet original_view(const struct original *o);

/* Makes what a REJECT tells the sender of p, which is given back as it
 * arrived, for that is what its sender knows. answer as for packet_clone.
 * -EPERM: what must not be answered (RFC 1812, 4.3.2.7). */
int original_reject(const struct original *o, struct packet *p, int code,
		    struct packet *answer);

#endif
