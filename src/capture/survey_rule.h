/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one rule of somebody else does. Inside survey.c only. */
#ifndef SLUICE_CAPTURE_SURVEY_RULE_H
#define SLUICE_CAPTURE_SURVEY_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/survey.h"

struct nftnl_rule;

struct survey_rule {
	unsigned does;	/* SURVEY_* */
	uint32_t marks; /* bits of the mark that it tests or sets */
	const char *to; /* chain it jumps to, the rule's memory; or NULL */
	bool ours;	/* is an accept by device with our comment */
};

void survey_rule_read(struct survey_rule *out, const struct nftnl_rule *r);

#endif
