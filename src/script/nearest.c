/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which name did a person mean? The number of letters to change decides
 * (Levenshtein's distance, capitals aside). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "script/internal.h"

void nearest_start(struct nearest *n, const char *word)
{
	size_t len = strlen(word);

	n->word = word;
	n->best[0] = '\0';
	/* One above what is near: a third of the word, two at most. */
	n->distance = (len < 3 ? 0 : len < 6 ? 1 : 2) + 1;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
	if (b < a)
		a = b;
	return c < a ? c : a;
}

static unsigned distance(const char *a, size_t na, const char *b, size_t nb)
{
	unsigned row[sizeof(((struct nearest *)0)->best)];

	for (size_t j = 0; j <= nb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			bool same = tolower((unsigned char)a[i - 1]) ==
				    tolower((unsigned char)b[j - 1]);
			unsigned above = row[j];

			row[j] = least(above + 1, row[j - 1] + 1,
				       diagonal + !same);
			diagonal = above;
		}
	}
	return row[nb];
}

void nearest_try(struct nearest *n, const char *candidate)
{
	size_t na = strlen(n->word), nb = strlen(candidate);
	unsigned d;

	if (na >= sizeof(n->best) || nb >= sizeof(n->best))
		return;
	d = distance(n->word, na, candidate, nb);
	/* Of equals the first by name, whatever order they come in. */
	if (d > n->distance ||
	    (d == n->distance &&
	     (!n->best[0] || strcmp(candidate, n->best) >= 0)))
		return;
	n->distance = d;
	memcpy(n->best, candidate, nb + 1);
}

const char *nearest_hint(const struct nearest *n, char *buf, size_t size)
{
	if (!n->best[0])
		return "";
	snprintf(buf, size, "; did you mean '%s'?", n->best);
	return buf;
}
