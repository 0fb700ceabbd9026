/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

static enum log_level threshold = LOG_INFO;
static void (*sink)(enum log_level, const char *, void *);
static void *sink_arg;

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

void log_threshold(enum log_level level)
{
	threshold = level;
}

void log_sink(void (*f)(enum log_level, const char *, void *), void *arg)
{
	sink = f;
	sink_arg = arg;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char prefix[] = "sluice: ";
	char line[LOG_LINE_MAX];
	size_t n = sizeof(prefix) - 1;
	va_list ap;
	int w;

	if (level > threshold)
		return;
	for (size_t i = 0; i < n; i++)
		line[i] = prefix[i];
	va_start(ap, fmt);
	w = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (w < 0)
		return;
	n += (size_t)w < sizeof(line) - n - 1 ? (size_t)w
					      : sizeof(line) - n - 2;
	/* A rule's text must not move the cursor of who reads the log. */
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	if (sink) {
		line[n] = '\0';
		sink(level, line + sizeof(prefix) - 1, sink_arg);
		return;
	}
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody left to tell */
}
