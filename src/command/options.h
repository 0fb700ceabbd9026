/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of those commands that load rules. */
#ifndef SLUICE_COMMAND_OPTIONS_H
#define SLUICE_COMMAND_OPTIONS_H

#include "command/command.h"
#include "daemon/supervisor.h"

#define OPTIONS_ARGS_MAX   64
#define OPTIONS_LOCALS_MAX 64

struct options {
	struct supervisor_config run;
	struct plan *plan; /* run.plan, made by options_apply */
	struct script_limits limits;
	struct script_arg arg[OPTIONS_ARGS_MAX];
	unsigned nargs;
	const char *user;
	const char *write; /* a capture file; NULL: none */
	bool explain;
	struct prefix local[OPTIONS_LOCALS_MAX];
	unsigned nlocals;
	char **words; /* what is neither an option nor behind "--" */
	int nwords;
	bool help;
};

/* What a command takes. */
enum options_taken {
	TAKES_RULES = 1 << 0,	/* --arg, --instructions, --memory */
	TAKES_CAPTURE = 1 << 1, /* the options of run */
	TAKES_COMMAND = 1 << 2, /* -- CMD... */
	TAKES_JSON = 1 << 3,
	TAKES_REPLAY = 1 << 4, /* -w, --explain, --local */
};

/* The options' lines for help. */
extern const char options_help_run[], options_help_capture[],
	options_help_check[],
	options_help_rules[], options_help_replay[];

/*
 * Reads argv (argv[0] is the command's name). 0, or the exit status to end
 * with, what was wrong having been printed; with --help: *done is true.
 */
int options_parse(struct options *o, const struct command *self,
		  unsigned takes, int argc, char **argv, bool *done);

/* The rule library's folder. */
const char *options_rules_dir(void);

/* Loads and seals the rule files of o->words, in order. 0 or an exit status;
 * what was wrong has been printed. s is freed by the caller. */
int options_load(const struct options *o, struct script **s);

/* What the rules want captured, and whom workers become, into o->run. */
int options_apply(struct options *o, struct script *s);
/* Frees what these two made. s may be NULL. */
void options_end(struct options *o, struct script *s);

#endif
