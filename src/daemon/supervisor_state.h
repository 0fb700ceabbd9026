/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two files of the supervisor share. Included by nobody else.
 */
#ifndef SLUICE_DAEMON_SUPERVISOR_STATE_H
#define SLUICE_DAEMON_SUPERVISOR_STATE_H

#include <signal.h>
#include <sys/resource.h>

#include "daemon/crew.h"
#include "daemon/expect.h"
#include "daemon/keeper.h"
#include "daemon/output.h"
#include "daemon/report.h"
#include "daemon/store.h"
#include "daemon/supervisor.h"
#include "daemon/takeover.h"
#include "rule/plan.h"

struct supervisor {
	const struct supervisor_config *cfg;
	struct capture *capture;
	struct crew crew;
	struct output out;
	struct owner_lookup *owners;
	struct expect expect;
	struct keeper keeper;
	struct takeover takeover;
	struct store store;
	const struct plan *plan; /* NULL: the kernel decides nothing */
	struct report_kernel *kernel; /* what it counted; NULL: not known */
	struct message_long message; /* the one that came last */
	int signals;
	sigset_t old_mask;
	struct rlimit old_files;
	pid_t command;
	bool colour;
	bool up;
	bool stop;
	bool tasks; /* some have not ended */
	bool failed; /* one ended with an error */
	int status;
};

/* ---- supervisor_turn.c -------------------------------------------------- */

/* Waits for what there is to do, a tenth of a second at most, and does it. */
void supervisor_turn(struct supervisor *s);
/* Takes what a worker has to say. */
void supervisor_hear(struct supervisor *s, struct crew_member *m);
/* Starts the command; it is one of what is waited for. */
void supervisor_command(struct supervisor *s);

#endif
