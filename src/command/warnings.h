/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a careful reader of the rules would notice, in the order of the files
 * and their lines. */
#ifndef SLUICE_COMMAND_WARNINGS_H
#define SLUICE_COMMAND_WARNINGS_H

#include "command/options.h"

/* Prints a line each: on standard error "FILE:LINE: warning: TEXT", or, with
 * --json, an object on standard output. -ENOMEM. */
int warnings_print(const struct options *o, struct script *s);

#endif
