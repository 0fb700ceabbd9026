/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold whatever the input: else the fuzzer has found something. */
#ifndef SLUICE_TESTS_FUZZ_REQUIRE_H
#define SLUICE_TESTS_FUZZ_REQUIRE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

#endif
