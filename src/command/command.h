/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The commands: one file each, all called by main.c's table. */
#ifndef SLUICE_COMMAND_COMMAND_H
#define SLUICE_COMMAND_COMMAND_H

/* Exit statuses. */
#define EXIT_DONE   0
#define EXIT_FAILED 1 /* at run time */
#define EXIT_USAGE  2 /* wrong usage, or a rule that does not load */

struct command {
	const char *name;
	const char *arguments; /* as help shows them */
	const char *summary;   /* one line */
	const char *options;   /* lines for its own help, NULL: none */
	int (*run)(const struct command *self, int argc, char **argv);
};

int command_run(const struct command *self, int argc, char **argv);
int command_lab(const struct command *self, int argc, char **argv);
int command_audit(const struct command *self, int argc, char **argv);
int command_replay(const struct command *self, int argc, char **argv);
int command_test(const struct command *self, int argc, char **argv);
int command_check(const struct command *self, int argc, char **argv);
int command_down(const struct command *self, int argc, char **argv);
int command_doctor(const struct command *self, int argc, char **argv);

/* Prints a command's help on standard output. */
void command_help(const struct command *self);

#endif
