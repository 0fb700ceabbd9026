/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sluice run, sluice audit: this host's traffic through the rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/options.h"

int command_run(const struct command *self, int argc, char **argv)
{
	struct script *script = NULL;
	struct options o;
	bool done;
	int r = options_parse(&o, self,
			      TAKES_RULES | TAKES_CAPTURE | TAKES_COMMAND,
			      argc, argv, &done);

	if (r || done)
		return r;
	/* Without a rule there is only one thing to see. */
	if (!o.nwords)
		o.run.audit = true;
	r = options_load(&o, &script);
	if (!r)
		r = options_apply(&o, script);
	if (!r)
		r = supervisor_run(&o.run);
	options_end(&o, script);
	return r;
}

/* The words of a filter, as tcpdump joins them. */
static char *join(char **words, int n)
{
	size_t size = 1;
	char *text;

	for (int i = 0; i < n; i++)
		size += strlen(words[i]) + 1;
	text = calloc(1, size);
	for (int i = 0; text && i < n; i++) {
		if (i)
			strcat(text, " ");
		strcat(text, words[i]);
	}
	return text;
}

int command_audit(const struct command *self, int argc, char **argv)
{
	struct pcap_filter *filter = NULL;
	struct script *script = NULL;
	char *expression = NULL;
	struct error err;
	struct options o;
	bool done;
	int r = options_parse(&o, self, TAKES_CAPTURE | TAKES_COMMAND, argc,
			      argv, &done);

	if (r || done)
		return r;
	o.run.audit = true;
	if (o.nwords) {
		expression = join(o.words, o.nwords);
		if (!expression ||
		    pcap_filter_new(&filter, expression, &err)) {
			log_error("audit: %s", expression ? err.text
							  : "no memory");
			r = EXIT_USAGE;
			goto out;
		}
		o.run.filter = filter;
		o.nwords = 0;
	}
	r = options_load(&o, &script);
	if (!r)
		r = options_apply(&o, script);
	if (!r)
		r = supervisor_run(&o.run);
out:
	options_end(&o, script);
	pcap_filter_free(filter);
	free(expression);
	return r;
}
