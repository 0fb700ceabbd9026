/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a run came to, for a person: one line each, on standard error. */
#ifndef SLUICE_DAEMON_REPORT_H
#define SLUICE_DAEMON_REPORT_H

#include "daemon/crew.h"

/* What the kernel decided for a rule, or, behind the last, by the policy and
 * for whole connections; it counts with what the workers did. */
struct report_kernel {
	uint64_t packets, bytes;
};

/* lost: lines of the audit that the output did not take. kernel: one for each
 * rule and one more; NULL: it decided nothing. */
void report_done(const struct crew *c, uint64_t lost,
		 const struct report_kernel *kernel);

#endif
