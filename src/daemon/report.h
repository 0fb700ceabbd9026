/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a run came to, for a person: one line each, on standard error. */
#ifndef SLUICE_DAEMON_REPORT_H
#define SLUICE_DAEMON_REPORT_H

#include "daemon/crew.h"

/* lost: lines of the audit that the output did not take. */
void report_done(const struct crew *c, uint64_t lost);

#endif
