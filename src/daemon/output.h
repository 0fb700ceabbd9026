/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Standard output, for the audit: buffered, never waited for. A terminal that
 * stands still or a slow pipe loses lines (counted), not packets.
 */
#ifndef SLUICE_DAEMON_OUTPUT_H
#define SLUICE_DAEMON_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output {
	int fd;
	size_t used;
	uint64_t lost; /* lines */
	bool closed;   /* nobody reads any more */
	char buf[1 << 18];
};

/* Takes n bytes whole or not at all. */
void output_put(struct output *o, const char *text, size_t n);

/* Writes what fd takes without waiting; wait: all of it. */
void output_flush(struct output *o, bool wait);

#endif
