/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of a source by the names in it: whether it looks at
 * connections or changes what TCP carries, so that all packets of a connection
 * are wanted, not only those that a match names; and whether it may send
 * packets to others than they were for. A name that is put together at run
 * time is missed.
 */
#include <string.h>

#include "script/internal.h"
#include "script/lint_source.h"

static bool is_among(const struct token *t, const char *const *names)
{
	/* A string has its quotes. */
	size_t skip = t->kind == TOKEN_STRING ? 1 : 0;

	for (; *names; names++)
		if (t->n == strlen(*names) + 2 * skip &&
		    !memcmp(t->at + skip, *names, t->n - 2 * skip))
			return true;
	return false;
}

/* Members: pkt.flow, pkt:replace(), pkt["flow"]; not { payload = }. Others:
 * names wherever they stand. */
static bool has_names(const char *text, size_t n, const char *const *members,
		      const char *const *others)
{
	struct reader r = {.at = text, .end = text + n, .line = 1};
	struct token t, before = {0};

	for (t = token_next(&r); t.kind != TOKEN_END; t = token_next(&r)) {
		bool member = t.kind == TOKEN_NAME && (token_is(&before, ".") ||
						       token_is(&before, ":"));
		bool key = t.kind == TOKEN_STRING && token_is(&before, "[");

		if ((member || key) && is_among(&t, members))
			return true;
		if (t.kind == TOKEN_NAME && is_among(&t, others))
			return true;
		before = t;
	}
	return false;
}

bool source_wants_connections(const char *text, size_t n)
{
	static const char *const members[] = {"flow", "payload", "replace",
					      "stream", NULL};
	static const char *const none[] = {NULL};

	return has_names(text, n, members, none);
}

bool source_sends_elsewhere(const char *text, size_t n)
{
	/* Another destination, or more bytes than the link takes. */
	static const char *const members[] = {
		"dst",	   "set_u8", "set_u16", "set_u32", "payload", "replace",
		"stream",  "options", "clone",	"reply",   "data",    NULL};
	static const char *const others[] = {"packet", "send", "sr1", NULL};

	return has_names(text, n, members, others);
}
