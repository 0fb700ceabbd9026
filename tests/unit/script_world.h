/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A world for rules with a clock that stands still, and a diary of what they
 * did: "250:x|" is log("x") at 250 ms. */
#ifndef SLUICE_TESTS_SCRIPT_WORLD_H
#define SLUICE_TESTS_SCRIPT_WORLD_H

#include "script_test.h"

#include <stdarg.h>

#include "base/clock.h"

#define MS NSEC_PER_MSEC

static struct {
	int64_t clock;
	char diary[4096];
	size_t used;
	char failed[512];
} world;

static inline void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	world.used += (size_t)vsnprintf(world.diary + world.used,
					sizeof(world.diary) - world.used, fmt,
					ap);
	va_end(ap);
	assert_true(world.used < sizeof(world.diary));
}

static inline int on_send(void *arg, struct packet *p)
{
	char line[256];

	(void)arg;
	note("%d:sent %s|", (int)(world.clock / MS),
	     packet_endpoint(p, true, line, sizeof(line)));
	return 0;
}

static inline void on_log(void *arg, const char *text)
{
	(void)arg;
	note("%d:%s|", (int)(world.clock / MS), text);
}

static inline int64_t on_clock(void *arg)
{
	(void)arg;
	return world.clock;
}

static inline void on_failed(void *arg, const char *text)
{
	(void)arg;
	snprintf(world.failed, sizeof(world.failed), "%s", text);
	note("%d:failed|", (int)(world.clock / MS));
}

static const struct script_host host = {
	.send = on_send,
	.log = on_log,
	.clock = on_clock,
	.failed = on_failed,
};

/* A file, loaded; its time begins at 0. */
static inline struct script *begin(const char *text,
			    const struct script_limits *limits)
{
	struct script *s = load_script(text, limits);

	memset(&world, 0, sizeof(world));
	script_set_host(s, &host);
	script_start(s, true);
	return s;
}

/* Lets time pass, from one thing that is due to the next. */
static inline void pass(struct script *s, int64_t ms)
{
	int64_t end = world.clock + ms * MS, left;

	for (;;) {
		while (script_timeout(s) == 0)
			assert_true(script_tick(s));
		left = script_timeout(s);
		if (left < 0 || world.clock + left > end)
			break;
		world.clock += left;
	}
	world.clock = end;
}

#endif
