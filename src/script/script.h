/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The Lua that acts: loads rule files in a sandbox, runs their functions on
 * packets. The only room that includes lua.h, and nothing of Lua shows here.
 * Knows nothing of the kernel or of the network: what a rule asks of the
 * world it asks of struct script_host.
 *
 * Limits: an instruction budget a call (sticky: once overrun, the call
 * cannot be saved by pcall), a ceiling on the memory of the whole state.
 * Neither stops a C function that is slow: that is for a watchdog outside.
 */
#ifndef SLUICE_SCRIPT_SCRIPT_H
#define SLUICE_SCRIPT_SCRIPT_H

#include "base/log.h"
#include "rule/ruleset.h"

struct script;

struct script_limits {
	uint64_t instructions; /* a call; 0: the default, 1,000,000 */
	uint64_t load_instructions; /* to load; 0: 50,000,000 */
	size_t memory;	       /* bytes; 0: the default, 64 MiB */
};

struct script_arg { /* --arg NAME=VALUE */
	const char *name, *value;
};

/* A connection of TCP or UDP. */
struct script_flow {
	uint8_t proto;
	struct address end[2];
	uint16_t port[2]; /* theirs */
};

/*
 * What the world does for a rule. Every member may be NULL: then the call
 * raises an error that says it is not available here. Packets are borrowed
 * for the call.
 */
struct script_host {
	void *arg;
	/* Sends a packet that a rule made, to where its destination is. */
	int (*send)(void *arg, struct packet *p);
	/* Text of a rule's log(); no newline. */
	void (*log)(void *arg, const char *text);
	/* count(name, n) */
	void (*count)(void *arg, const char *name, uint64_t n);
	/* audit(pkt, note) */
	void (*audit)(void *arg, struct packet *p, const char *note);
	/* Fills p->ifindex and p->iface if it can. */
	void (*resolve)(struct packet *p, void *arg);
	/* ns since the epoch; NULL: the wall clock. */
	int64_t (*now)(void *arg);
	/* ns on a clock that is never set, for timers; NULL: that of now. */
	int64_t (*clock)(void *arg);
	/* pcap(pkt, file); file is a plain name. 0 or -errno. */
	int (*pcap)(void *arg, const struct packet *p, const char *file);
	/* A timer or a task ended with this error; NULL: it is logged. */
	void (*failed)(void *arg, const char *text);
	/* Fills a source address of 0.0.0.0 if it can. */
	void (*source)(void *arg, struct packet *p);
	/*
	 * What comes for (proto, port) of this host is to go to
	 * script_answer and not to the kernel; any: another port will do as
	 * well. 0: script_expected is called later, with this id. NULL: it
	 * comes in any case. unexpect: no longer, once for each success.
	 */
	int (*expect)(void *arg, uint32_t id, uint8_t proto, uint16_t port,
		      bool any);
	void (*unexpect)(void *arg, uint8_t proto, uint16_t port);
	/*
	 * A rule has decided about a connection for good: its packets are all
	 * let by (accept) or dropped, and need not come any more, but for
	 * TCP's SYN, FIN and RST. release: they have to come again. ask: how
	 * many there have been; script_counted is called later. NULL: they
	 * come in any case.
	 */
	void (*hold)(void *arg, const struct script_flow *f, bool accept);
	void (*release)(void *arg, const struct script_flow *f, bool accept);
	void (*ask)(void *arg, const struct script_flow *f);
};

/* rules_dir: the installed rule library, for require; may be NULL. -ENOMEM. */
int script_new(struct script **s, const struct script_limits *limits,
	       const struct script_arg *args, size_t nargs,
	       const char *rules_dir, struct error *err);
void script_free(struct script *s);

/*
 * Runs one rule file (its rules are appended). -ENOENT and other errno from
 * opening it, -EINVAL: it does not load; err is one line with file:line.
 */
int script_load(struct script *s, const char *path, struct error *err);

/* The same from memory; name is what messages call it. */
int script_load_text(struct script *s, const char *name, const char *text,
		     size_t n, struct error *err);

/* Ends loading: from now on rules, policy and captures are fixed and the
 * globals are frozen. */
void script_seal(struct script *s);

const struct ruleset *script_ruleset(const struct script *s);

/* The files that the rules required, by number from 0 on; NULL: no more.
 * Valid as long as s. */
const char *script_module(struct script *s, unsigned i);

void script_set_host(struct script *s, const struct script_host *host);

/* How a ruleset_run reaches the functions. Valid as long as s. */
const struct ruleset_calls *script_calls(struct script *s);

/*
 * Flows, for whoever walks packets through the rules. begin: p arrived; true
 * where a rule has decided about its flow for good: v says how, and no rule
 * runs. Costs nothing until a rule asks for a flow. end: v is p's verdict; if
 * p goes on, the numbers of its TCP stream follow what was made of it, or it
 * becomes DROP. -EINVAL: a function of a rule failed, see script_error(); v
 * is what on_error says. Both belong into the time that the watchdog counts
 * as the rules'.
 */
bool script_flow_begin(struct script *s, struct packet *p, struct verdict *v);
int script_flow_end(struct script *s, struct packet *p, struct verdict *v);

/* The numbers of p, a copy of what a rule made while a packet was in the
 * rules, if it goes where that one goes. */
void script_flow_made(struct script *s, const struct packet *made,
		      struct packet *p);

/* What host.ask asked: so many packets of f have not come since it is held. */
void script_counted(struct script *s, const struct script_flow *f,
		    uint64_t packets);

/* After VERDICT_ERROR: one line "rule NAME: file:line: what". */
const char *script_error(const struct script *s);

/*
 * Time. Timers begin to run at script_start, and tasks with them (tasks
 * false: they are forgotten instead). script_timeout: ns until something is
 * due, 0: now, -1: nothing waits. script_tick does the one thing that has
 * been due for longest; false: there was none. Between two of them the host's
 * clock should not pass by what is due.
 */
void script_start(struct script *s, bool tasks);
int64_t script_timeout(const struct script *s);
bool script_tick(struct script *s);

struct script_waiting {
	uint32_t timers; /* delayed packets included */
	uint32_t tasks;
	uint32_t failed; /* tasks that ended with an error */
};
void script_waiting(const struct script *s, struct script_waiting *w);

/* A packet that arrived, before any rule has it. True: it answers what a
 * task sent, or did so already, and is nobody else's business. */
bool script_answer(struct script *s, const struct packet *p);

/* What host.expect asked for is so, for this port; or error (-errno). */
void script_expected(struct script *s, uint32_t id, int error, uint16_t port);

/* Longest name of a file that a rule writes to, its end included. */
#define SCRIPT_FILE_MAX 64
/* Files that one program writes to. */
#define SCRIPT_FILES_MAX 16
/* A plain name that ends in .pcap or .pcapng. */
bool script_file_name_ok(const char *name);

/* Longest name of an interface, its end included; and how many of them the
 * rules of one program may name in via(). */
#define SCRIPT_VIA_MAX	16
#define SCRIPT_VIAS_MAX 8
/* Those that are known by now; the names are valid as long as s. How many. */
unsigned script_vias(const struct script *s,
		     const char *name[SCRIPT_VIAS_MAX]);

struct script_usage {
	size_t memory, memory_peak; /* bytes */
	uint64_t calls, errors, over_budget, out_of_memory;
};
void script_usage(const struct script *s, struct script_usage *u);

#endif
