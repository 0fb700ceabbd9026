/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The workers, as the supervisor sees them: processes it starts, talks to,
 * watches, and replaces when they die or hang.
 */
#ifndef SLUICE_DAEMON_CREW_H
#define SLUICE_DAEMON_CREW_H

#include "capture/capture.h"
#include "daemon/message.h"
#include "daemon/worker.h"

/* CPU time that one packet may spend in the rules, and time that a worker may
 * be silent: a dead one is harmless, a silent one is a black hole. */
#define CREW_STUCK_CPU	 (1 * NSEC_PER_SEC)
#define CREW_SILENT_TIME (10 * NSEC_PER_SEC)

struct crew_member {
	pid_t pid; /* 0: none */
	int sock;
	bool ready;
	struct path_shared *shared;
	int64_t started;
	/* The step at which it was last seen, and its CPU time then; the beat,
	 * and since when. */
	uint64_t step;
	int64_t step_cpu;
	uint64_t beat;
	int64_t beat_since;
};

struct crew {
	const struct capture *capture;
	struct script *script;
	const struct pcap_filter *filter;
	struct set *const *set; /* of ruleset_sets */
	uint32_t sets;
	bool flows; /* the kernel can decide about connections */
	struct isolate_user user;
	bool audit;
	unsigned count;
	size_t shared_size;
	struct crew_member member[CAPTURE_WORKERS_MAX];
	bool up; /* what was said by crew_up */

	/* What a new worker has to be told. */
	struct uplink *uplinks;
	unsigned nuplinks;
	struct address *locals;
	unsigned nlocals;
	struct via vias[CAPTURE_VIAS_MAX];
	unsigned nvias;
};

/* Maps the shared memory. 0 or -errno. */
int crew_open(struct crew *c, unsigned count, struct error *err);
/* Ends the workers and frees everything. */
void crew_close(struct crew *c);

/* Starts worker i; it says READY later. */
int crew_start(struct crew *c, unsigned i, struct error *err);

/* Which worker that pid is, or -1. */
int crew_find(const struct crew *c, pid_t pid);

/* Kills workers that have been inside a rule for too long, saying so. */
void crew_watch(struct crew *c, int64_t now);

/* True once no worker has read a packet since the last call. */
bool crew_idle(struct crew *c);

/* Tells all workers, and remembers for those to come. */
void crew_uplink_up(struct crew *c, const struct uplink *u);
void crew_uplink_changed(struct crew *c, const struct uplink *u);
void crew_uplink_down(struct crew *c, int ifindex);
void crew_locals(struct crew *c, const struct address *list, unsigned n);
void crew_routes(struct crew *c);
void crew_via(struct crew *c, const struct via *v);
/* Packets are taken. Tasks run in the first worker, and not again in those
 * that come for one that died. */
void crew_up(struct crew *c);
/* Answers one worker. */
void crew_tell(struct crew_member *m, const struct message *msg);
/* Tells the others. */
void crew_tell_others(struct crew *c, const struct crew_member *m,
		      const struct message *msg);

#endif
