/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json.h"

#include <stdio.h>
#include <string.h>

const char *json_string(char *buf, size_t size, const char *text)
{
	size_t n = 0;

	if (size < 3)
		return "\"\"";
	buf[n++] = '"';
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		char one[8];
		size_t w;

		if (c == '"' || c == '\\')
			w = (size_t)snprintf(one, sizeof(one), "\\%c", c);
		else if (c < ' ' || c > '~')
			w = (size_t)snprintf(one, sizeof(one), "\\u%04x", c);
		else
			w = (size_t)snprintf(one, sizeof(one), "%c", c);
		if (n + w + 2 > size)
			break;
		memcpy(buf + n, one, w);
		n += w;
	}
	buf[n++] = '"';
	buf[n] = '\0';
	return buf;
}
