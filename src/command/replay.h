/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A replay, for the files it is made of. */
#ifndef SLUICE_COMMAND_REPLAY_H
#define SLUICE_COMMAND_REPLAY_H

#include "command/notes.h"
#include "command/options.h"
#include "daemon/event.h"
#include "daemon/original.h"
#include "daemon/path.h"
#include "daemon/store.h"

struct replay {
	const struct options *o;
	struct script *script;
	const struct ruleset *rules;
	struct pcap_reader *in;
	struct pcap_writer *out; /* NULL: nothing is written */
	int failed;		 /* what writing came to: -errno */
	struct store store;	 /* what rules write with pcap() */
	const char *capture;	 /* the name of what is read */
	bool colour;

	struct match_context context; /* its now: the file's time */
	int64_t clock; /* of timers: the same, but it never goes back */
	bool started;
	struct rule_counter *counters;
	struct path_named named[PATH_NAMED_MAX];
	uint64_t packets, others, passing, answers, errors;
	uint64_t verdict[VERDICT_ERROR + 1];

	/* The packet that is in the rules now. */
	const struct packet *current;
	struct original original;
	struct event seen;
	struct notes notes;

	uint8_t copy[PACKET_BUFFER];   /* of what rules made */
	uint8_t answer[PACKET_BUFFER]; /* of a REJECT */
};

/* Shows the packet that was in the rules, on standard output. */
void replay_show(struct replay *r);

/* What is sent while no packet is in the rules has a line of its own. */
void replay_show_sent(const struct replay *r, const char *text);

/* What it came to, on standard error. */
void replay_summary(const struct replay *r);

#endif
