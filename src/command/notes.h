/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is shown of a packet beside its line: the rules that were tried, what
 * rules sent and made. Written to as files, a line each.
 */
#ifndef SLUICE_COMMAND_NOTES_H
#define SLUICE_COMMAND_NOTES_H

#include <stdio.h>

enum notes_kind { NOTES_TRIED, NOTES_SENT, NOTES_MADE, NOTES_KINDS };

struct notes {
	FILE *f[NOTES_KINDS];
	char *text[NOTES_KINDS];
	size_t n[NOTES_KINDS];
};

int notes_open(struct notes *notes); /* -ENOMEM */
void notes_close(struct notes *notes);

/* Forgets what was noted. */
void notes_clear(struct notes *notes);

/* Writes what was noted to f: indented lines; or members of a JSON object,
 * each behind a comma. */
void notes_text(struct notes *notes, FILE *f);
void notes_json(struct notes *notes, FILE *f);

#endif
