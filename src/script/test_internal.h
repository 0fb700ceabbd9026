/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of script/test*.c share; nobody else includes it. Functions
 * that take a lua_State may raise. */
#ifndef SLUICE_SCRIPT_TEST_INTERNAL_H
#define SLUICE_SCRIPT_TEST_INTERNAL_H

#include "packet/pcap.h"
#include "script/internal.h"
#include "script/object_internal.h"
#include "script/test.h"

/* A text that grows. Out of memory it is cut: it is for people. */
struct text {
	char *buf; /* NULL: empty; else ended */
	size_t n, room;
};
void text_add(struct text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void text_clear(struct text *t);

struct test {
	struct script *script;
	struct test_host host;
	char *folder; /* of the file; paths are relative to it */
	char *source; /* its text, to quote from; NULL: could not be read */
	const char *path;

	char **names; /* of tests */
	int *functions; /* their registry slots */
	unsigned count, room;

	/* Of the test that runs. */
	bool running, failed;
	unsigned made, checked; /* expectations */
	char at[LUA_IDSIZE + 16];
	struct text message;
	struct error rule_error; /* the last one, ended; "" */

	struct pcap_reader *reader; /* while a capture is read */
};

struct test *test_of(lua_State *L);

/* Ends the running test: message is complete. Raises. */
int test_fail(lua_State *L);

/* Pushes path as seen from the test file's folder. */
const char *test_path(lua_State *L, const char *path);

/* Pushes a packet of Lua's own with p's bytes. */
void test_push_packet(lua_State *L, const struct packet *p);

/* Each sets its globals. */
void test_rig_open(lua_State *L);
void test_expect_open(lua_State *L);

/* ---- test_diff.c ------------------------------------------------------ */

/* The value at i as a person would write it, on one line, not too long. */
void diff_value(lua_State *L, int i, struct text *out);

/* True if what stands at got is what want describes: equal values; lists and
 * tables alike; packets with the same bytes; a packet that has the fields of
 * a table. */
bool diff_is_same(lua_State *L, int want, int got);

/* Adds lines that say how they differ. */
void diff_explain(lua_State *L, int want, int got, struct text *out);

/* ---- test_packet.c ---------------------------------------------------- */

/* Adds a line for each field that differs. */
void diff_packets(const struct packet *want, const struct packet *got,
		  struct text *out);

/* Adds two hex dumps from where they begin to differ. */
void diff_bytes(const uint8_t *want, size_t nwant, const uint8_t *got,
		size_t ngot, struct text *out);

#endif
