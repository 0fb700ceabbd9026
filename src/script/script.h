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
void script_set_host(struct script *s, const struct script_host *host);

/* How a ruleset_run reaches the functions. Valid as long as s. */
const struct ruleset_calls *script_calls(struct script *s);

/* After VERDICT_ERROR: one line "rule NAME: file:line: what". */
const char *script_error(const struct script *s);

struct script_usage {
	size_t memory, memory_peak; /* bytes */
	uint64_t calls, errors, over_budget, out_of_memory;
};
void script_usage(const struct script *s, struct script_usage *u);

#endif
