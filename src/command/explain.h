/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The walk of a packet through the rules, told rule by rule. */
#ifndef SLUICE_COMMAND_EXPLAIN_H
#define SLUICE_COMMAND_EXPLAIN_H

#include <stdio.h>

#include "script/script.h"

/*
 * As ruleset_run does it; a line for each rule tried goes to f: which
 * condition failed, or what became of it. counters: count + 2 of them, the
 * last one for nothing.
 */
void explain_run(struct script *s, struct packet *p,
		 const struct match_context *ctx, struct rule_counter *counters,
		 struct verdict *v, FILE *f);

#endif
