/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/clock.h"

#include <time.h>

static int64_t now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t clock_monotonic(void)
{
	return now(CLOCK_MONOTONIC);
}

int64_t clock_wall(void)
{
	return now(CLOCK_REALTIME);
}
