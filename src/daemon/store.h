/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The capture files that rules write with pcap(): made in the working
 * directory when the first packet comes. The supervisor's, for a worker can
 * open nothing; so it is here that a name is looked at.
 */
#ifndef SLUICE_DAEMON_STORE_H
#define SLUICE_DAEMON_STORE_H

#include "packet/pcap.h"
#include "script/script.h"

struct store {
	struct store_file {
		char name[SCRIPT_FILE_MAX];
		struct pcap_writer *w; /* NULL: it could not be written */
		bool dirty;
	} file[SCRIPT_FILES_MAX];
	unsigned count;
};

/* Writes n bytes of an IPv4 packet. What goes wrong is said once a file. */
void store_put(struct store *s, const char *name, int64_t time,
	       const uint8_t *bytes, uint32_t n);

/* What was written can be read by others. */
void store_flush(struct store *s);
void store_close(struct store *s);

#endif
