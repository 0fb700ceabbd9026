/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes from a worker all it does not need, in stages that cannot be undone.
 * Afterwards it can read and write the descriptors it has, use memory, tell
 * the time, wait, and end.
 */
#ifndef SLUICE_DAEMON_ISOLATE_H
#define SLUICE_DAEMON_ISOLATE_H

#include <sys/types.h>

#include "base/log.h"

struct isolate_user {
	uid_t uid;
	gid_t gid;
};

/* Looks up a user by name or number. -ENOENT and err. */
int isolate_user_find(struct isolate_user *u, const char *name,
		      struct error *err);

/* Closes every descriptor but 0 to 2 and the n in keep. */
void isolate_descriptors(const int *keep, unsigned n);

/*
 * Becomes u, if that user exists in our user namespace; gives up every
 * capability and the means to get one back; ends with the parent.
 * 0 or -errno and err.
 */
int isolate_privileges(const struct isolate_user *u, struct error *err);

/* The system calls that are left. The last stage. */
int isolate_syscalls(struct error *err);

#endif
