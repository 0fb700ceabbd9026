/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sluice down: away with what a killed instance left. */
#include <stdio.h>

#include "command/options.h"

int command_down(const struct command *self, int argc, char **argv)
{
	struct error err = {""};
	struct options o;
	bool done;
	int r = options_parse(&o, self, 0, argc, argv, &done);

	if (r || done)
		return r;
	if (o.nwords) {
		log_error("down: takes no arguments; see sluice down --help");
		return EXIT_USAGE;
	}
	r = capture_clean(&err);
	if (r < 0) {
		log_error("%s", err.text);
		return EXIT_FAILED;
	}
	if (r)
		log_info("removed %d thing%s that a killed instance left", r,
			 r == 1 ? "" : "s");
	else
		log_info("nothing was left behind");
	return EXIT_DONE;
}
