/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Changes of a moment go into the kernel together, as one transaction. On a
 * large set that takes the kernel a while, so there is a pause after it that
 * grows with the time it took.
 */
#include "daemon/keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rule/set_flat.h"

/* Between two changes, and how much longer the pause is than the change. */
#define PAUSE	    (10 * NSEC_PER_MSEC)
#define PAUSE_TIMES 9
#define PAUSE_MAX   (2 * NSEC_PER_SEC)
/* After an error. */
#define RETRY	    NSEC_PER_SEC
#define SAY_AGAIN   (60 * NSEC_PER_SEC)
/* More places than this, and the whole set is looked at. */
#define PLACES_MAX  1024
/* Members that rules may add to a set, whatever a worker says. */
#define MEMBERS_MAX (1u << 20)

struct kept {
	struct ranges changed; /* IPv4; what to look at again */
	bool all;	       /* everything */
	int64_t next;	       /* when a member expires; 0: none does */
	int64_t at;	       /* of what the kernel holds */
	size_t most;	       /* members */
};

static struct kept *kept_of(const struct keeper *k, const struct set *s)
{
	for (uint32_t i = 0; i < k->count; i++)
		if (k->set[i] == s)
			return &k->kept[i];
	return NULL;
}

/* A member that only stays longer, or shorter, changes nothing yet. */
static bool is_the_same(const struct kept *s, const struct set_change *c)
{
	return c->was && !c->gone && c->was_exclude == c->exclude &&
	       (!c->was_until || c->was_until > s->at);
}

static void changed(void *arg, struct set *set, const struct set_change *c)
{
	struct kept *s = kept_of(arg, set);
	struct range r;

	if (!c->gone && c->until && (!s->next || c->until < s->next))
		s->next = c->until;
	if (c->prefix.address.size != 4 || is_the_same(s, c) || s->all)
		return;
	r = prefix_range(&c->prefix);
	if (s->changed.count >= PLACES_MAX ||
	    ranges_add(&s->changed, r.low, r.high))
		s->all = true;
}

int keeper_open(struct keeper *k, const struct ruleset *rs)
{
	int64_t now = clock_wall();
	int r = ruleset_sets(rs, &k->set, &k->count);

	if (r || !k->count)
		return r;
	k->kept = calloc(k->count, sizeof(*k->kept));
	if (!k->kept)
		return -ENOMEM;
	for (uint32_t i = 0; i < k->count; i++) {
		set_ref(k->set[i]);
		k->kept[i].next = set_sweep(k->set[i], now);
		k->kept[i].at = now;
		k->kept[i].most = set_count(k->set[i]) + MEMBERS_MAX;
		set_watch(k->set[i], changed, k);
	}
	return 0;
}

void keeper_close(struct keeper *k)
{
	for (uint32_t i = 0; k->kept && i < k->count; i++) {
		set_watch(k->set[i], NULL, NULL);
		set_unref(k->set[i]);
		ranges_free(&k->kept[i].changed);
	}
	free(k->kept);
	free(k->set);
	k->kept = NULL;
	k->set = NULL;
	k->count = 0;
}

/* False: not possible, or nothing new. */
static bool take(struct keeper *k, const struct message_member *m)
{
	struct set *s;

	if (m->set >= k->count || m->until < 0)
		return false;
	s = k->set[m->set];
	if (m->gone)
		return !set_remove(s, &m->prefix);
	return set_count(s) < k->kept[m->set].most &&
	       !set_add(s, &m->prefix, m->exclude, m->until);
}

bool keeper_take(struct keeper *k, struct message_set *m)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->count && i < MESSAGE_MEMBERS_MAX; i++)
		if (take(k, &m->member[i]))
			m->member[n++] = m->member[i];
	m->count = n;
	return n != 0;
}

/* Brings the kernel's copy in line. */
static void update(struct keeper *k, uint32_t i, int64_t now)
{
	struct kept *s = &k->kept[i];
	int64_t begin = clock_monotonic(), took;
	struct error err = {""};
	int r = capture_set_changed(k->capture, k->set[i],
				    s->all ? NULL : &s->changed, now, &err);

	took = clock_monotonic() - begin;
	s->all = r != 0;
	s->changed.count = 0;
	took = r ? RETRY : took * PAUSE_TIMES + PAUSE;
	k->not_before = begin + (took < PAUSE_MAX ? took : PAUSE_MAX);
	if (!r)
		s->at = now;
	else if (!k->said || begin - k->said > SAY_AGAIN) {
		k->said = begin;
		log_error("set %s: the kernel's copy is out of date: %s",
			  set_name(k->set[i]), err.text);
	}
}

static void sooner(int64_t *due, int64_t t)
{
	if (t < 0)
		t = 0;
	if (*due < 0 || t < *due)
		*due = t;
}

int64_t keeper_tick(struct keeper *k)
{
	int64_t now, due = -1;

	if (!k->count || !k->capture)
		return -1;
	now = clock_wall();
	for (uint32_t i = 0; i < k->count; i++) {
		struct kept *s = &k->kept[i];
		bool waits;

		if (s->next && s->next <= now)
			s->next = set_sweep(k->set[i], now);
		waits = s->all || s->changed.count;
		if (waits && clock_monotonic() >= k->not_before) {
			update(k, i, now);
			waits = s->all;
		} else if (!waits) {
			s->at = now;
		}
		if (waits)
			sooner(&due, k->not_before - clock_monotonic());
		if (s->next)
			sooner(&due, s->next - now);
	}
	return due;
}
