/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rule/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "rule/range.h"

/* Longer words are not compared: no name of ours is that long. */
#define WORD_MAX 24

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

char *text_trim(char *text)
{
	size_t n;

	while (is_space(*text))
		text++;
	n = strlen(text);
	while (n && is_space(text[n - 1]))
		n--;
	text[n] = '\0';
	return text;
}

const char *text_show(const char *text, size_t n, char buf[TEXT_SHOW_MAX])
{
	static const char more[] = "...";
	size_t most = TEXT_SHOW_MAX - sizeof(more), i;

	for (i = 0; i < n && i < most; i++)
		buf[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f
				 ? '?'
				 : text[i];
	memcpy(buf + i, more, sizeof(more));
	if (i == n)
		buf[i] = '\0';
	return buf;
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

int text_number(const char *text, uint32_t max, uint32_t *value)
{
	bool large = false;
	uint64_t v = 0;
	int base = 10;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		int d = digit_value(*text);

		if (d >= base)
			return -EINVAL;
		v = v * (unsigned)base + (unsigned)d;
		large |= v > max;
		if (large)
			v = 0;
	}
	if (large)
		return -ERANGE;
	*value = (uint32_t)v;
	return 0;
}

/* "FROM-TO", already cut in two. */
static int address_range(const char *text, const char *low, const char *high,
			 struct address *from, struct address *to,
			 struct error *err)
{
	char show[TEXT_SHOW_MAX];

	text_show(text, strlen(text), show);
	if (address_parse(from, low) || address_parse(to, high))
		return error_set(
			err, -EINVAL,
			"'%s' is not a range of addresses such as 10.0.0.1-10.0.0.9",
			show);
	if (from->size != to->size)
		return error_set(
			err, -EINVAL,
			"'%s' begins in one address family and ends in another",
			show);
	if (address_compare(from, to) > 0)
		return error_set(err, -EINVAL,
				 "'%s' is backwards; did you mean '%s-%s'?",
				 show, high, low);
	return 0;
}

int text_addresses(const char *text, struct address *from, struct address *to,
		   struct error *err)
{
	const char *dash = strchr(text, '-');
	char buf[TEXT_MAX], show[TEXT_SHOW_MAX];
	struct prefix p;
	u128 host;
	int ret;

	if (strlen(text) >= sizeof(buf))
		return error_set(err, -EINVAL,
				 "'%s' is too long for an address",
				 text_show(text, strlen(text), show));
	if (dash) {
		size_t at = (size_t)(dash - text);

		strcpy(buf, text);
		buf[at] = '\0';
		return address_range(text, text_trim(buf),
				     text_trim(buf + at + 1), from, to, err);
	}
	/* Its own errors are better, but for what cannot be shown as is. */
	text_show(text, strlen(text), show);
	ret = prefix_parse(&p, strcmp(show, text) ? show : text, err);
	if (ret)
		return ret;
	*from = p.address;
	host = address_last(p.address.size);
	host = p.length >= 128 ? 0 : host >> p.length;
	*to = address_from_number(address_number(from) | host, from->size);
	return 0;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* How many letters to insert, drop, change or swap with their neighbour to
 * make b of a. */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[WORD_MAX + 1][WORD_MAX + 1];
	unsigned m = (unsigned)strlen(a), n = (unsigned)strlen(b);

	if (m > WORD_MAX || n > WORD_MAX)
		return WORD_MAX + 1;
	for (unsigned i = 0; i <= m; i++) {
		for (unsigned k = 0; k <= n; k++) {
			if (!i || !k) {
				d[i][k] = i + k;
				continue;
			}
			d[i][k] = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
			d[i][k] = least(d[i][k], d[i - 1][k] + 1);
			d[i][k] = least(d[i][k], d[i][k - 1] + 1);
			if (i > 1 && k > 1 && a[i - 1] == b[k - 2] &&
			    a[i - 2] == b[k - 1])
				d[i][k] = least(d[i][k], d[i - 2][k - 2] + 1);
		}
	}
	return d[m][n];
}

int text_choose(const char *what, const char *name, const char *const names[],
		int n, struct error *err)
{
	char show[TEXT_SHOW_MAX], all[ERROR_MAX - 128] = "";
	unsigned nearest = WORD_MAX + 1;
	size_t used = 0;
	int best = 0;

	for (int i = 0; i < n; i++) {
		unsigned d;

		if (!strcmp(name, names[i]))
			return i;
		d = distance(name, names[i]);
		if (d < nearest) {
			nearest = d;
			best = i;
		}
		used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s",
					 i ? ", " : "", names[i]);
		if (used >= sizeof(all))
			used = sizeof(all) - 1;
	}
	text_show(name, strlen(name), show);
	/* More than a third of it wrong is no slip of the finger. */
	if (nearest * 3 <= strlen(name) + 1)
		return error_set(err, -ENOENT,
				 "unknown %s '%s'; did you mean '%s'?", what,
				 show, names[best]);
	return error_set(err, -ENOENT, "unknown %s '%s'; there are %s", what,
			 show, all);
}
