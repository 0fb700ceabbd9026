/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Members of a set as people write them: in a rule, or a file of lines. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule/range.h"
#include "rule/set.h"
#include "rule/text.h"

/* The fewest prefixes that make up from..to (a CIDR makes one). */
static int add_range(struct set *s, const struct address *from,
		     const struct address *to, bool exclude, int64_t until)
{
	u128 low = address_number(from), high = address_number(to);
	unsigned bits = from->size * 8u;

	for (;;) {
		unsigned host = 0; /* bits after the prefix */
		u128 mask = 0;	   /* that many ones */
		struct prefix p;
		int ret;

		while (host < bits) {
			u128 wider = mask << 1 | 1;

			if (low & wider || wider > high - low)
				break;
			mask = wider;
			host++;
		}
		p.address = address_from_number(low, from->size);
		p.length = (uint8_t)(bits - host);
		ret = set_add(s, &p, exclude, until);
		if (ret || low + mask == high)
			return ret;
		low += mask + 1;
	}
}

int set_add_text(struct set *s, const char *text, int64_t until,
		 struct error *err)
{
	char buf[TEXT_MAX], show[TEXT_SHOW_MAX], *t;
	struct address from, to;
	bool exclude;
	int ret;

	if (strlen(text) >= sizeof(buf))
		return error_set(err, -EINVAL,
				 "'%s' is too long for an address",
				 text_show(text, strlen(text), show));
	strcpy(buf, text);
	t = text_trim(buf);
	exclude = *t == '!';
	if (exclude)
		t = text_trim(t + 1);
	ret = text_addresses(t, &from, &to, err);
	if (ret)
		return ret;
	ret = add_range(s, &from, &to, exclude, until);
	if (ret)
		error_set(err, ret, "set %s: no memory for '%s'", set_name(s),
			  t);
	return ret;
}

/* One line of a file; 0 as well for one that says nothing. */
static int add_line(struct set *s, char *line, size_t n, struct error *err)
{
	char *text;

	if (strlen(line) != n)
		return error_set(err, -EINVAL,
				 "a zero byte; this is not a text file");
	line[strcspn(line, "#")] = '\0';
	text = text_trim(line);
	return *text ? set_add_text(s, text, 0, err) : 0;
}

/* What stands before a line that is wrong has been added. */
int set_add_file(struct set *s, const char *path, struct error *err)
{
	struct error why = {.text = ""};
	unsigned long number = 0;
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int ret = 0;
	FILE *f = fopen(path, "re");

	if (!f) {
		ret = -errno;
		return error_set(err, ret, "cannot open set file %s: %s", path,
				 strerror(-ret));
	}
	while (!ret && (errno = 0, n = getline(&line, &room, f)) >= 0) {
		number++;
		ret = add_line(s, line, (size_t)n, &why);
	}
	if (ret)
		error_set(err, ret, "%s:%lu: %s", path, number, why.text);
	else if (ferror(f) || errno == ENOMEM)
		ret = error_set(err, errno ? -errno : -EIO,
				"cannot read set file %s: %s", path,
				strerror(errno ? errno : EIO));
	free(line);
	fclose(f);
	return ret;
}
