/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sluice doctor: can this host run it, and what would interfere. */
#include <stdio.h>

#include "base/json.h"
#include "command/options.h"

static const char *const words[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "ok",
	[LOG_DEBUG] = "note",
};

static void finding(void *arg, enum log_level level, const char *text)
{
	const struct options *o = arg;

	char quoted[2048];

	if (o->run.json)
		printf("{\"level\":\"%s\",\"finding\":%s}\n", words[level],
		       json_string(quoted, sizeof(quoted), text));
	else
		printf("%-5s  %s\n", words[level], text);
}

int command_doctor(const struct command *self, int argc, char **argv)
{
	struct options o;
	bool done;
	int r = options_parse(&o, self, TAKES_CAPTURE, argc, argv, &done);

	if (r || done)
		return r;
	if (o.nwords) {
		log_error("doctor: takes no arguments; see sluice doctor "
			  "--help");
		return EXIT_USAGE;
	}
	return capture_doctor(&o.run.capture, finding, &o) ? EXIT_FAILED
							   : EXIT_DONE;
}
