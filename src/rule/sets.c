/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which sets the rules' matches have. */
#include <errno.h>
#include <stdlib.h>

#include "rule/ruleset.h"

struct list {
	struct set **set;
	uint32_t count;
};

static int note(struct list *l, struct set *s)
{
	struct set **more;

	for (uint32_t i = 0; i < l->count; i++)
		if (l->set[i] == s)
			return 0;
	more = reallocarray(l->set, l->count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	l->set = more;
	l->set[l->count++] = s;
	return 0;
}

static int note_match(struct list *l, const struct match *m)
{
	const struct match_cond *c = m ? match_conds(m) : NULL;
	int r = 0;

	for (; c && !r; c = c->next)
		for (uint32_t i = 0; i < c->count && !r; i++)
			if (c->value[i].set)
				r = note(l, c->value[i].set);
	return r;
}

int ruleset_sets(const struct ruleset *rs, struct set ***set, uint32_t *count)
{
	struct list l = {NULL, 0};
	int r = 0;

	for (const struct rule *rule = rs->first; rule && !r;
	     rule = rule->next)
		r = note_match(&l, rule->match);
	if (r)
		free(l.set);
	else {
		*set = l.set;
		*count = l.count;
	}
	return r;
}
