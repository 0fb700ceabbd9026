/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules under test: the engine and the verdicts of the packet path, with a
 * test in place of a network and of time. What leaves is kept for the test to
 * look at. Knows nothing of test files.
 */
#ifndef SLUICE_COMMAND_RIG_H
#define SLUICE_COMMAND_RIG_H

#include "script/test.h"

/* Fills in the members of a test_host that are about rigs. Its arg is the
 * script_limits that rules are loaded with. */
void rig_host(struct test_host *host);

#endif
