/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS	   101
#define ROUNDS_MAX 2001
#define ROUND_NS   1e6 /* one turn of a case */

static uint64_t allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
	allocations++;
	return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	allocations++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	allocations++;
	return __real_realloc(p, n);
}

uint64_t bench_allocations(void)
{
	return allocations;
}

void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double time_of(const struct bench *b, unsigned n)
{
	double start = now();

	b->run(b->arg, n);
	return now() - start;
}

/* How often it has to be done to fill a round. */
static unsigned calibrate(const struct bench *b)
{
	unsigned n = 16;

	while (time_of(b, n) < ROUND_NS && n < 1u << 28)
		n *= 2;
	return n;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static unsigned rounds_wanted(void)
{
	const char *text = getenv("SLUICE_BENCH_ROUNDS");
	long n = text ? strtol(text, NULL, 10) : ROUNDS;

	return n < 1 ? 1 : n > ROUNDS_MAX ? ROUNDS_MAX : (unsigned)n;
}

void bench_measure(struct bench *b, unsigned count)
{
	unsigned rounds = rounds_wanted();
	double *ns = malloc(sizeof(*ns) * rounds * count);
	unsigned *n = malloc(sizeof(*n) * count);

	if (!ns || !n)
		bench_die("no memory");
	for (unsigned i = 0; i < count; i++)
		n[i] = calibrate(&b[i]);
	for (unsigned r = 0; r < rounds; r++) {
		for (unsigned i = 0; i < count; i++) {
			uint64_t before = allocations;

			ns[i * rounds + r] = time_of(&b[i], n[i]) / n[i];
			b[i].allocations += (double)(allocations - before) /
					    n[i] / rounds;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		qsort(ns + i * rounds, rounds, sizeof(*ns), by_value);
		b[i].median = ns[i * rounds + rounds / 2];
		b[i].least = ns[i * rounds];
	}
	free(ns);
	free(n);
}

void bench_print(const struct bench *b, unsigned count)
{
	printf("%-46s %9s %9s %12s\n", "each packet", "ns median", "least",
	       "allocations");
	for (unsigned i = 0; i < count; i++)
		printf("%-46s %9.1f %9.1f %12.3f\n", b[i].name, b[i].median,
		       b[i].least, b[i].allocations);
}

void bench_promise(const char *what, double median, double least,
		   double limit, const char *unit)
{
	printf("%-46s %9.1f %9.1f %-2s at most %5.1f  %s\n", what, median,
	       least, unit, limit,
	       median <= limit	? "kept"
	       : least <= limit ? "kept when undisturbed"
				: "NOT KEPT");
}
