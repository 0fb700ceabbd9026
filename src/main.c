/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of commands: dispatch, help and contents page. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "command/command.h"
#include "command/options.h"

static const struct command commands[] = {
	{"run", "[OPTION...] [RULE.lua...] [-- CMD...]",
	 "capture this host's traffic through the rules", options_help_run,
	 command_run},
	{"lab", "[OPTION...] RULE.lua... [-- CMD...]",
	 "the same in a private namespace: no root, host untouched",
	 options_help_run, command_lab},
	{"audit", "[OPTION...] [FILTER] [-- CMD...]",
	 "show every packet; FILTER is pcap-filter(7) syntax",
	 options_help_capture, command_audit},
	{"replay", "[OPTION...] RULE.lua... IN.pcap",
	 "run the rules over a capture file: no root, no network",
	 options_help_replay, command_replay},
	{"test", "[OPTION...] [FILE...]",
	 "run rule tests: packets in, expectations on what comes out",
	 options_help_rules, command_test},
	{"check", "[OPTION...] RULE.lua...",
	 "load the rules and print the plan", options_help_check,
	 command_check},
	{"down", "", "remove whatever a killed instance left behind", NULL,
	 command_down},
	{"doctor", "[OPTION...]", "say whether this host can run it, and what interferes",
	 options_help_capture, command_doctor},
};
#define COMMANDS (sizeof(commands) / sizeof(*commands))

void command_help(const struct command *self)
{
	printf("usage: sluice %s %s\n%s\n", self->name, self->arguments,
	       self->summary);
	if (self->options)
		printf("\n%s", self->options);
	printf("\nsluice(8) tells more.\n");
}

static void help(void)
{
	printf("usage: sluice COMMAND [ARGUMENT...]\n"
	       "An inline packet-modifier firewall: what this host sends goes "
	       "through Lua rules.\n\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	printf("\n  sluice run rules/ttl.lua -- curl http://example.com/\n"
	       "  sluice COMMAND --help   its arguments and options\n"
	       "  sluice --version\n");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(name, "--help") || !strcmp(name, "-h") ||
	    !strcmp(name, "help")) {
		help();
		return argc > 1 ? EXIT_DONE : EXIT_USAGE;
	}
	if (!strcmp(name, "--version")) {
		printf("sluice %s\n", SLUICE_VERSION);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(&commands[i], argc - 1,
					       argv + 1);
	log_error("there is no command '%s'; sluice --help lists them", name);
	return EXIT_USAGE;
}
