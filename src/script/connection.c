/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a source looks at connections or changes what TCP carries: then all
 * packets of a connection are wanted, not only those that a match names. Only
 * the names are looked at; one that is put together at run time is missed.
 */
#include <string.h>

#include "script/internal.h"
#include "script/lint_source.h"

static bool is_wanted(const struct token *t)
{
	static const char *const names[] = {"flow", "payload", "replace",
					    "stream"};
	/* A string has its quotes. */
	size_t skip = t->kind == TOKEN_STRING ? 1 : 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (t->n == strlen(names[i]) + 2 * skip &&
		    !memcmp(t->at + skip, names[i], t->n - 2 * skip))
			return true;
	return false;
}

bool source_wants_connections(const char *text, size_t n)
{
	struct reader r = {.at = text, .end = text + n, .line = 1};
	struct token t, before = {0};

	for (t = token_next(&r); t.kind != TOKEN_END; t = token_next(&r)) {
		/* pkt.flow, pkt:replace(), pkt["flow"]; not { payload = } */
		bool member = t.kind == TOKEN_NAME && (token_is(&before, ".") ||
						       token_is(&before, ":"));
		bool key = t.kind == TOKEN_STRING && token_is(&before, "[");

		if ((member || key) && is_wanted(&t))
			return true;
		before = t;
	}
	return false;
}
