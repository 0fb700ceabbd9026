/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Test files: Lua that loads rules, feeds packets to them and says what is
 * expected. A test file runs in a sandboxed state of its own; the rules run
 * in theirs, which whoever runs the tests makes and walks packets through:
 * what becomes of a verdict is not known here. Nothing of Lua shows.
 */
#ifndef SLUICE_SCRIPT_TEST_H
#define SLUICE_SCRIPT_TEST_H

#include "script/script.h"

struct test; /* a test file */
struct rig;  /* rules under test, of whoever runs them */

/* What to put under test: rule files in their order, or else a text. */
struct test_rules {
	const char *const *files;
	size_t nfiles;
	const char *name, *text; /* text: NULL for files; name: in messages */
	size_t n;
	const struct script_arg *args;
	size_t nargs;
};

struct test_packets {
	const struct packet *const *packet;
	size_t count;
};

struct test_texts {
	const char *const *text;
	size_t count;
};

/* What came of a packet, or of time that passed. Valid until the rig's next
 * call. */
struct test_seen {
	const char *verdict; /* "PASS": not captured; NULL: no packet */
	const char *via;     /* interface it goes by; NULL: not by VIA */
	const char *rule;    /* which decided; NULL: none */
	const char *error;   /* a rule that failed; NULL: none */
	const struct packet *packet; /* as the rules left it; NULL: none */
	struct test_packets leaving; /* in its place, itself included */
	struct test_packets sent;    /* by send() */
	struct test_texts log, notes; /* log(), audit() */
};

/* Who puts rules to the test. Returned errors are -errno. */
struct test_host {
	void *arg;
	int (*open)(void *arg, const struct test_rules *rules,
		    struct rig **rig, struct error *err);
	void (*close)(struct rig *rig);
	/* Copies p's bytes; dir, iface and way are p's. */
	int (*feed)(struct rig *rig, const struct packet *p,
		    struct test_seen *seen);
	/* Lets time pass until now, in ns since the rules were loaded. */
	int (*pass)(struct rig *rig, int64_t now, struct test_seen *seen);
	int64_t (*now)(const struct rig *rig);
	/* count(name, n) so far. */
	uint64_t (*counted)(const struct rig *rig, const char *name);
	/* Packets a rule was hit by; -ENOENT: there is no such rule. */
	int (*hits)(const struct rig *rig, const char *rule, uint64_t *n);
	/* Text of the test file's own log(). */
	void (*log)(void *arg, const char *text);
};

/*
 * Loads a test file; its tests are run by testfile_run. -ENOENT and other errno
 * from opening it, -EINVAL: it does not load, or there is no test in it; err
 * is one line.
 */
int testfile_new(struct test **t, const char *path,
	     const struct script_limits *limits, const struct script_arg *args,
	     size_t nargs, const char *rules_dir, const struct test_host *host,
	     struct error *err);
void testfile_free(struct test *t); /* NULL is fine */

unsigned testfile_count(const struct test *t);
/* One line; valid as long as t. */
const char *testfile_name(const struct test *t, unsigned i);

/* How a test ended; valid until the next one runs. */
struct test_report {
	bool passed;
	const char *at;	  /* "file:line" of what failed; NULL: not known */
	const char *text; /* lines, each ended by a newline */
};
void testfile_run(struct test *t, unsigned i, struct test_report *report);

#endif
