/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The worker: a process without privileges that holds the packet path. It
 * may die at any moment; the supervisor starts another from the same state.
 */
#ifndef SLUICE_DAEMON_WORKER_H
#define SLUICE_DAEMON_WORKER_H

#include "daemon/isolate.h"
#include "daemon/path.h"

struct worker_config {
	int sock; /* to the supervisor */
	int tun;
	struct script *script;
	struct path_shared *shared;
	const uint8_t *marker;
	struct set *const *set; /* of ruleset_sets, which workers share */
	uint32_t sets;
	bool flows; /* the kernel can decide about connections */
	bool audit;
	const struct pcap_filter *filter;
	struct isolate_user user;
};

/* Runs in a forked child and never returns. */
void worker_run(const struct worker_config *cfg) __attribute__((noreturn));

#endif
