/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control groups, version 2: which of them a path names, and one of our own
 * for a command whose packets are to be told apart. Inside the room only,
 * knows neither nftables nor what the command is.
 */
#ifndef SLUICE_CAPTURE_CGROUP_H
#define SLUICE_CAPTURE_CGROUP_H

#include <stdint.h>

#include "base/log.h"

/* As `socket cgroupv2 level LEVEL` compares them. */
struct cgroup_place {
	uint64_t id;	/* of the group at this level; 0: there is none */
	uint32_t level; /* how far below the root: 0 is the root itself */
};

/* The root of the hierarchy, as this process may see it: a descriptor to be
 * closed, or -errno and err. Needs privilege where it is not mounted for us. */
int cgroup_root(struct error *err);

/* path as in "system.slice/ssh.service". */
void cgroup_find(int root, const char *path, struct cgroup_place *place);

/* The root itself, in which every socket is. */
void cgroup_top(int root, struct cgroup_place *place);

/* A cgroup below the one that this process is in. It is locked while fd is
 * open anywhere, so that others can tell it from what was left behind. */
struct cgroup {
	int root, fd;	 /* -1: none */
	char path[4096]; /* below the root */
	struct cgroup_place place;
};
#define CGROUP_NONE ((struct cgroup){ .root = -1, .fd = -1 })

int cgroup_make(struct cgroup *g, struct error *err);
/* In a child that is to be told apart, with all it starts: 0 or -errno. */
int cgroup_join(const struct cgroup *g);
/* Who is still in it goes where we are. 0 if there is none. */
int cgroup_remove(struct cgroup *g, struct error *err);

/* Removes those that killed instances left. How many, or -errno. */
int cgroup_clean(struct error *err);

#endif
