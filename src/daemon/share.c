/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/share.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* What changes a verdict is told soon, together with what else happens in
 * that time; that a member stays longer than it would have, at leisure. */
#define SOON	  (2 * NSEC_PER_MSEC)
#define LEISURE	  (500 * NSEC_PER_MSEC)
/* Who would have gone by then is not renewed at leisure. */
#define LAST_CALL (2 * NSEC_PER_SEC)
/* Where the supervisor does not listen for so long, changes are lost. */
#define WAIT	  NSEC_PER_SEC
/* Places to find them by: a power of two, at most half full. */
#define PLACES	  (2 * SHARE_MAX)

struct share {
	struct set *const *set;
	uint32_t sets;
	int sock;
	int room;
	bool taking;
	uint32_t count, lost;
	int64_t due; /* of the first to be told; when something waits */
	struct message_member waits[SHARE_MAX];
	uint16_t place[PLACES]; /* in waits, + 1 */
};

static void changed(void *arg, struct set *set, const struct set_change *c);

struct share *share_new(struct set *const *set, uint32_t count, int sock,
			int room)
{
	struct share *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->set = set;
	s->sets = count;
	s->sock = sock;
	s->room = room;
	for (uint32_t i = 0; i < count; i++)
		set_watch(set[i], changed, s);
	return s;
}

uint32_t share_lost(struct share *s)
{
	uint32_t lost = s->lost;

	s->lost = 0;
	return lost;
}

/* ---- what waits --------------------------------------------------------- */

static bool is_same(const struct message_member *a,
		    const struct message_member *b)
{
	return a->set == b->set && a->prefix.length == b->prefix.length &&
	       !address_compare(&a->prefix.address, &b->prefix.address);
}

/* Where m waits, or would. */
static uint32_t find(const struct share *s, const struct message_member *m)
{
	uint32_t h = 2166136261u ^ m->set ^ (uint32_t)m->prefix.length << 8;

	for (int i = 0; i < m->prefix.address.size; i++)
		h = (h ^ m->prefix.address.byte[i]) * 16777619u;
	h ^= h >> 15;
	for (h &= PLACES - 1; s->place[h]; h = (h + 1) & (PLACES - 1))
		if (is_same(&s->waits[s->place[h] - 1], m))
			break;
	return h;
}

/* Sends from the first on, waiting until end for room; how many it were. */
static uint32_t send_some(struct share *s, int64_t end)
{
	struct message m = {.kind = MESSAGE_SET};
	uint32_t from = 0;

	while (from < s->count) {
		uint32_t n = s->count - from;

		if (n > MESSAGE_MEMBERS_MAX)
			n = MESSAGE_MEMBERS_MAX;
		m.set.count = n;
		memcpy(m.set.member, s->waits + from,
		       n * sizeof(*m.set.member));
		if (message_send_until(s->sock, s->room, &m, end))
			break;
		from += n;
	}
	return from;
}

static void forget(struct share *s, uint32_t sent)
{
	s->count -= sent;
	memmove(s->waits, s->waits + sent, s->count * sizeof(*s->waits));
	memset(s->place, 0, sizeof(s->place));
	for (uint32_t i = 0; i < s->count; i++)
		s->place[find(s, &s->waits[i])] = (uint16_t)(i + 1);
}

/* No place is left: the rule that makes so many changes waits. */
static void make_room(struct share *s)
{
	uint32_t sent = send_some(s, clock_monotonic() + WAIT);

	s->lost += s->count - sent;
	forget(s, s->count);
}

static void changed(void *arg, struct set *set, const struct set_change *c)
{
	struct message_member m = {
		.gone = c->gone,
		.exclude = c->exclude,
		.prefix = c->prefix,
		.until = c->until,
	};
	struct share *s = arg;
	int64_t due = clock_monotonic();
	uint32_t at;

	/* The supervisor has a clock as well. */
	if (s->taking || c->expired)
		return;
	while (m.set < s->sets && s->set[m.set] != set)
		m.set++;
	if (c->was && !c->gone && c->was_exclude == c->exclude &&
	    (!c->was_until || c->was_until > clock_wall() + LAST_CALL) &&
	    (!c->until || c->until >= c->was_until))
		due += LEISURE;
	else
		due += SOON;
	at = find(s, &m);
	if (!s->place[at] && s->count == SHARE_MAX) {
		make_room(s);
		at = find(s, &m);
	}
	if (!s->count || due < s->due)
		s->due = due;
	if (!s->place[at])
		s->place[at] = (uint16_t)++s->count;
	s->waits[s->place[at] - 1] = m;
}

int64_t share_tell(struct share *s)
{
	int64_t clock;

	if (!s->count)
		return -1;
	clock = clock_monotonic();
	if (clock < s->due)
		return s->due - clock;
	forget(s, send_some(s, 0));
	if (!s->count)
		return -1;
	/* The socket is full: a moment later. */
	s->due = clock + SOON;
	return SOON;
}

/* ---- what others did ---------------------------------------------------- */

void share_take(struct share *s, const struct message_set *m, int64_t now)
{
	s->taking = true;
	for (uint32_t i = 0; i < m->count && i < MESSAGE_MEMBERS_MAX; i++) {
		const struct message_member *c = &m->member[i];

		if (c->set >= s->sets)
			continue;
		if (c->gone)
			set_remove(s->set[c->set], &c->prefix);
		else if (!c->until || c->until > now)
			set_add(s->set[c->set], &c->prefix, c->exclude,
				c->until);
	}
	s->taking = false;
}
