/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of address prefixes: the longest prefix that covers an address
 * decides, and a prefix marked "!" excludes. Both families. Prefixes may be
 * temporary. Shared by reference: a match and a script may hold the same set.
 */
#ifndef SLUICE_RULE_SET_H
#define SLUICE_RULE_SET_H

#include "base/address.h"
#include "base/log.h"

struct set;

struct set *set_new(const char *name); /* one reference; NULL: no memory */
struct set *set_ref(struct set *s);
void set_unref(struct set *s); /* NULL is fine */
const char *set_name(const struct set *s);

/* exclude: this prefix is not in the set. until: ns of the clock that
 * set_has is given, 0 for ever. An equal prefix is replaced. 0, -ENOMEM. */
int set_add(struct set *s, const struct prefix *p, bool exclude,
	    int64_t until);
int set_remove(struct set *s, const struct prefix *p); /* -ENOENT */

/* One member as people write it: "10.0.0.0/8", "!10.1.0.0/16",
 * "10.0.0.1-10.0.0.9". */
int set_add_text(struct set *s, const char *text, int64_t until,
		 struct error *err);

/* A file of members, one a line; '#' starts a comment, blank lines are
 * skipped. err names file and line. */
int set_add_file(struct set *s, const char *path, struct error *err);

/* now: ns, for members that expire. Cost: one look-up a prefix length in
 * use at the most; 100,000 prefixes within 100 ns. */
bool set_has(const struct set *s, const struct address *a, int64_t now);
size_t set_count(const struct set *s);

/* Removes what has expired by now. When the next one does; 0: none does. */
int64_t set_sweep(struct set *s, int64_t now);

/* What became of a member. */
struct set_change {
	struct prefix prefix;
	bool exclude;	 /* as it is now, or was when it went */
	bool gone;
	bool expired;	 /* which is why it is gone */
	int64_t until;
	bool was;	 /* it was there before, and then: */
	bool was_exclude;
	int64_t was_until;
};

/* From now on f is told of each change, after it; it must not make any. One a
 * set; NULL: nobody is told. */
void set_watch(struct set *s,
	       void (*f)(void *arg, struct set *s, const struct set_change *c),
	       void *arg);

/* Visits every member that is alive (for the kernel's copy, and printing). */
void set_each(const struct set *s, int64_t now,
	      void (*f)(const struct prefix *p, bool exclude, int64_t until,
			void *arg),
	      void *arg);

#endif
