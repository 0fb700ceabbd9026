/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "command/warnings.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "rule/review.h"
#include "script/lint.h"

struct warning {
	unsigned file, line, order;
	char *text, *name; /* malloced; name: of the file */
};

struct warnings {
	const struct options *o;
	struct warning *list;
	size_t count, room;
	unsigned file;	  /* that is read now; modules come behind the rules */
	const char *name; /* of it */
	int failed;
};

static void add(struct warnings *w, unsigned file, const char *name, size_t n,
		unsigned line, const char *text)
{
	struct warning *list = w->list;

	if (w->count == w->room) {
		w->room = w->room ? w->room * 2 : 16;
		list = realloc(list, w->room * sizeof(*list));
	}
	if (!list) {
		w->failed = -ENOMEM;
		return;
	}
	w->list = list;
	list += w->count;
	*list = (struct warning){
		.file = file,
		.line = line,
		.order = (unsigned)w->count,
		.name = strndup(name, n),
		.text = strdup(text),
	};
	if (!list->name || !list->text)
		w->failed = -ENOMEM;
	w->count++;
}

/* Of a rule: where it is from says which file and line. */
static void rule_warning(void *arg, const struct rule *r, const char *text)
{
	struct warnings *w = arg;
	const char *colon = strrchr(r->origin, ':');
	size_t n = colon ? (size_t)(colon - r->origin) : strlen(r->origin);
	unsigned file = (unsigned)w->o->nwords;

	for (int i = 0; i < w->o->nwords; i++)
		if (strlen(w->o->words[i]) == n &&
		    !memcmp(w->o->words[i], r->origin, n))
			file = (unsigned)i;
	add(w, file, r->origin, n,
	    colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0, text);
}

static void source_warning(void *arg, unsigned line, const char *text)
{
	struct warnings *w = arg;

	add(w, w->file, w->name, strlen(w->name), line, text);
}

/* A file that cannot be read a second time (a pipe) was loaded all the same:
 * of its source nothing is known. */
static void read_source(struct warnings *w, struct script *s, struct lint *lint,
			const char *name)
{
	struct error err;

	w->name = name;
	lint->sets_grow |= lint_file(s, name, lint, &err) != 0;
	w->file++;
}

static int compare(const void *x, const void *y)
{
	const struct warning *a = x, *b = y;

	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static void print(const struct options *o, const struct warning *w)
{
	char name[2048], text[2048];

	if (o->run.json)
		printf("{\"warning\":%s,\"file\":%s,\"line\":%u}\n",
		       json_string(text, sizeof(text), w->text),
		       json_string(name, sizeof(name), w->name), w->line);
	else
		fprintf(stderr, "%s:%u: warning: %s\n", w->name, w->line,
			w->text);
}

int warnings_print(const struct options *o, struct script *s)
{
	struct warnings w = {.o = o};
	struct lint lint = {.warn = source_warning, .arg = &w};
	const char *module;

	for (int i = 0; i < o->nwords; i++)
		read_source(&w, s, &lint, o->words[i]);
	for (unsigned i = 0; (module = script_module(s, i)); i++)
		read_source(&w, s, &lint, module);
	ruleset_review(script_ruleset(s), lint.sets_grow, rule_warning, &w);
	if (!w.failed && w.count)
		qsort(w.list, w.count, sizeof(*w.list), compare);
	for (size_t i = 0; i < w.count; i++) {
		if (!w.failed)
			print(o, &w.list[i]);
		free(w.list[i].name);
		free(w.list[i].text);
	}
	free(w.list);
	return w.failed;
}
