/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a careful reader of the rules would notice: what is allowed and yet
 * hardly meant.
 */
#ifndef SLUICE_RULE_REVIEW_H
#define SLUICE_RULE_REVIEW_H

#include "rule/ruleset.h"

/* sets_grow: members may be added while the rules run. warn is told about
 * each rule, in order; text is one line without the rule's origin. */
void ruleset_review(const struct ruleset *rs, bool sets_grow,
		    void (*warn)(void *arg, const struct rule *r,
				 const char *text),
		    void *arg);

#endif
