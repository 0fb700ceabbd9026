/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Time, in nanoseconds; 64 bits last until 2262. */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stdint.h>

#define NSEC_PER_SEC  INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define NSEC_PER_USEC INT64_C(1000)

/* Monotonic time: for intervals and timers. */
int64_t clock_monotonic(void);

/* Time since the epoch: for people. */
int64_t clock_wall(void);

#endif
