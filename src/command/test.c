/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sluice test: runs test files and tells what came of it as TAP (version 13).
 * Without a file: every *_test.lua here and in tests/.
 */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command/options.h"
#include "command/rig.h"

struct tally {
	unsigned tests, failed, broken; /* broken: files */
};

/* A line of text, control characters shown as '?'. */
static void put_text(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		putchar((unsigned char)text[i] < ' ' && text[i] != '\t' ? '?'
			: text[i] == 0x7f				? '?'
									: text[i]);
}

/* In TAP what follows a '#' is a directive. */
static void put_name(const char *file, const char *name)
{
	printf(" - %s: ", file);
	for (; *name; name++) {
		if (*name == '#' || *name == '\\')
			putchar('\\');
		put_text(name, 1);
	}
	putchar('\n');
}

static void put_report(const struct test_report *report)
{
	const char *line = report->text, *end;

	printf("  ---\n");
	if (report->at)
		printf("  at: %s\n", report->at);
	printf("  message: |\n");
	for (; *line; line = *end ? end + 1 : end) {
		end = line + strcspn(line, "\n");
		printf("    ");
		put_text(line, (size_t)(end - line));
		putchar('\n');
	}
	printf("  ...\n");
}

static void test_log(void *arg, const char *text)
{
	(void)arg;
	printf("# ");
	put_text(text, strlen(text));
	putchar('\n');
}

/* What a file's name is worth saying: it without its folders. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void run_file(const struct options *o, const char *path,
		     struct tally *tally)
{
	struct test_host host = {.arg = (void *)&o->limits, .log = test_log};
	struct test_report report;
	struct error err;
	struct test *t;

	rig_host(&host);
	if (testfile_new(&t, path, &o->limits, o->arg, o->nargs,
		     options_rules_dir(), &host, &err)) {
		tally->broken++;
		printf("not ok %u", ++tally->tests);
		put_name(base_name(path), "loads");
		fflush(stdout);
		log_error("%s", err.text);
		return;
	}
	for (unsigned i = 0; i < testfile_count(t); i++) {
		testfile_run(t, i, &report);
		printf("%s %u", report.passed ? "ok" : "not ok",
		       ++tally->tests);
		put_name(base_name(path), testfile_name(t, i));
		if (report.passed)
			continue;
		tally->failed++;
		put_report(&report);
	}
	testfile_free(t);
}

/* Runs every *_test.lua in a folder; the number of them. */
static size_t run_folder(const struct options *o, const char *folder,
			 struct tally *tally)
{
	char pattern[4096];
	glob_t found = {0};
	size_t n = 0;

	snprintf(pattern, sizeof(pattern), "%s%s*_test.lua", folder,
		 *folder ? "/" : "");
	if (!glob(pattern, 0, NULL, &found)) {
		n = found.gl_pathc;
		for (size_t i = 0; i < n; i++)
			run_file(o, found.gl_pathv[i], tally);
	}
	globfree(&found);
	return n;
}

static int run_words(const struct options *o, struct tally *tally)
{
	struct stat st;

	for (int i = 0; i < o->nwords; i++) {
		const char *word = o->words[i];

		if (stat(word, &st) || !S_ISDIR(st.st_mode)) {
			run_file(o, word, tally);
		} else if (!run_folder(o, word, tally)) {
			log_error("test: there is no *_test.lua in %s", word);
			return EXIT_USAGE;
		}
	}
	return 0;
}

int command_test(const struct command *self, int argc, char **argv)
{
	struct tally tally = {0};
	struct options o;
	bool done;
	int r = options_parse(&o, self, TAKES_RULES, argc, argv, &done);

	if (r || done)
		return r;
	printf("TAP version 13\n");
	if (o.nwords) {
		r = run_words(&o, &tally);
	} else if (!(run_folder(&o, "", &tally) +
		     run_folder(&o, "tests", &tally))) {
		log_error("test: there is no *_test.lua here or in tests/; "
			  "name a test file");
		r = EXIT_USAGE;
	}
	printf("1..%u\n", tally.tests);
	if (tally.failed)
		printf("# %u of %u tests failed\n", tally.failed, tally.tests);
	if (fflush(stdout) || ferror(stdout)) {
		log_error("standard output cannot be written");
		return EXIT_FAILED;
	}
	if (r || tally.broken)
		return EXIT_USAGE;
	return tally.failed ? EXIT_FAILED : EXIT_DONE;
}
