/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Timing for the benchmarks: CPU time of this thread, many short rounds with
 * the cases taking turns, so that what disturbs one disturbs all; of the
 * rounds the median is told, and the quickest. Allocations are counted by
 * standing in for malloc and its kin (ld --wrap).
 */
#ifndef SLUICE_TESTS_BENCH_H
#define SLUICE_TESTS_BENCH_H

#include <stdint.h>

struct bench {
	const char *name;
	/* Does the thing n times. */
	void (*run)(void *arg, unsigned n);
	void *arg;

	/* What came out, each time. */
	double median, least, allocations;
};

/* Allocations so far. */
uint64_t bench_allocations(void);

/* Measures count cases. SLUICE_BENCH_ROUNDS in the environment: how often. */
void bench_measure(struct bench *b, unsigned count);

/* A line of the table: the case, ns each time, allocations each time. */
void bench_print(const struct bench *b, unsigned count);

/* One promise kept or not, in ns or as a ratio: by the medians, and by the
 * quickest rounds. */
void bench_promise(const char *what, double median, double least,
		   double limit, const char *unit);

/* Ends the program: what cannot be set up cannot be measured. */
_Noreturn void bench_die(const char *what);

#endif
