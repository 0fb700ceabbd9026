/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a careful reader of a rule file's source would notice: names that
 * nothing has, assignments that will fail, conditions that a match could say.
 * The file is only read, never run.
 */
#ifndef SLUICE_SCRIPT_LINT_H
#define SLUICE_SCRIPT_LINT_H

#include "script/script.h"

struct lint {
	void (*warn)(void *arg, unsigned line, const char *text);
	void *arg;
	bool sets_grow; /* set: somewhere a member is added to something */
};

/* path is a rule file or a module that s has loaded. 0, or -errno and err if it cannot be
 * read again. */
int lint_file(struct script *s, const char *path, struct lint *lint,
	      struct error *err);

#endif
