/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "command/notes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

static const char *const words[NOTES_KINDS] = {"tried", "sent", "made"};
/* "made" is taken in an event's JSON: how many. */
static const char *const members[NOTES_KINDS] = {"tried", "sent", "packets"};

int notes_open(struct notes *notes)
{
	memset(notes, 0, sizeof(*notes));
	for (int i = 0; i < NOTES_KINDS; i++) {
		notes->f[i] = open_memstream(&notes->text[i], &notes->n[i]);
		if (!notes->f[i])
			return -ENOMEM;
	}
	return 0;
}

void notes_close(struct notes *notes)
{
	for (int i = 0; i < NOTES_KINDS; i++) {
		if (notes->f[i])
			fclose(notes->f[i]);
		free(notes->text[i]);
	}
}

void notes_clear(struct notes *notes)
{
	for (int i = 0; i < NOTES_KINDS; i++)
		rewind(notes->f[i]);
}

/* The next text of a kind, its end made a zero byte; at is NULL before the
 * first. NULL behind the last. */
static char *next(struct notes *notes, int kind, char **at)
{
	char *text = *at ? *at : notes->text[kind], *end;
	char *stop = notes->text[kind] + notes->n[kind];

	if (text == stop)
		return NULL;
	end = memchr(text, '\n', (size_t)(stop - text));
	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return text;
}

void notes_text(struct notes *notes, FILE *f)
{
	char *text;

	for (int i = 0; i < NOTES_KINDS; i++) {
		char *at = NULL;

		fflush(notes->f[i]);
		while ((text = next(notes, i, &at)))
			fprintf(f, "    %s %s\n", words[i], text);
	}
}

void notes_json(struct notes *notes, FILE *f)
{
	char quoted[4096], *text;

	for (int i = 0; i < NOTES_KINDS; i++) {
		const char *between = "";
		char *at = NULL;

		fflush(notes->f[i]);
		if (!notes->n[i])
			continue;
		fprintf(f, ",\"%s\":[", members[i]);
		while ((text = next(notes, i, &at))) {
			fprintf(f, "%s%s", between,
				json_string(quoted, sizeof(quoted), text));
			between = ",";
		}
		fputc(']', f);
	}
}
