/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor: has the privileges, owns the capture, never looks at a
 * packet, and puts everything back on every way out.
 */
#ifndef SLUICE_DAEMON_SUPERVISOR_H
#define SLUICE_DAEMON_SUPERVISOR_H

#include "capture/capture.h"
#include "daemon/isolate.h"
#include "packet/pcap.h"
#include "script/script.h"

struct plan;

struct supervisor_config {
	struct capture_config capture;
	struct script *script; /* sealed */
	/* What the kernel is to decide of its rules: see supervisor_plan. */
	const struct plan *plan;
	bool audit;	       /* show each packet on standard output */
	bool json;
	const struct pcap_filter *filter; /* which to show; NULL: all */
	struct isolate_user user;	  /* whom workers become */
	char **command;			  /* NULL: until a signal */
};

/* What the kernel is to decide of these rules. -EINVAL: a rule asks for what
 * nobody can answer; -ENOMEM. */
int supervisor_plan(const struct supervisor_config *cfg,
		    const struct ruleset *rs, struct plan **plan,
		    struct error *err);

/* Runs until a signal or the end of the command. The exit status: the
 * command's, 0, or 1 after an error that has been printed. */
int supervisor_run(const struct supervisor_config *cfg);

#endif
