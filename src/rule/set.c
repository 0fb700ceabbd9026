/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Members by prefix length: a hash table for each length in use, asked from
 * the longest on. A slot holds a member's hash beside its place, so that a
 * length that does not have the address costs one cache line.
 *
 * A miss costs about 20 ns all the same, and long lists of IPv4 prefixes use
 * 25 lengths. So for each /16 a word says which lengths are worth asking. And
 * of IPv4 no two prefixes of a length have the same hash, so that a slot with
 * the right one is the answer, and the member need not be read.
 *
 * Time is only ever what the callers say; nothing here reads a clock.
 */
#include "rule/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/bytes.h"
#include "rule/range.h"

#define FAMILIES    2
#define LENGTHS	    129
#define TABLE_MIN   8u
#define BLOCKS	    65536u
#define BLOCKS_FROM 64u /* a smaller set is quick without */
#define MEMBERS_MAX (1u << 29)

/* What a slot says of its member, beside its place. */
#define SLOT_PLACE   (2 * MEMBERS_MAX - 1)
#define SLOT_EXCLUDE (1u << 31)
#define SLOT_TIMED   (1u << 30) /* it expires: see the member */

/* An address at the top of 128 bits, so that a prefix of either family is
 * the first bits of it. */
struct key {
	uint64_t high, low;
};

struct member {
	struct key key;
	int64_t until; /* 0: for ever; of a free member: the next free one */
	uint8_t family, length;
	bool exclude, used;
};

struct slot {
	uint32_t hash;
	uint32_t member; /* its place + 1, and SLOT_*; 0: free */
};

struct table {
	struct slot *slot;
	uint32_t size; /* a power of two, at most half full */
	uint32_t count;
};

struct set {
	unsigned refs;
	char *name;
	uint64_t seed[2];
	struct member *member;
	uint32_t top, room; /* members ever used, allocated */
	uint32_t free;	    /* place + 1 of the first free one below top */
	uint32_t count;
	struct table table[FAMILIES][LENGTHS];
	uint8_t length[FAMILIES][LENGTHS]; /* in use, longest first */
	unsigned lengths[FAMILIES];
	/* For the first 16 bits of an IPv4 address, a bit (length - 1) for
	 * every length that a member there has; maybe one that a member had.
	 * NULL: ask them all. */
	uint32_t *block;
	int64_t seen; /* the time that was last said */
	void (*watch)(void *arg, struct set *s, const struct set_change *c);
	void *watch_arg;
};

struct set *set_new(const char *name)
{
	const void *random = (const void *)getauxval(AT_RANDOM);
	struct set *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->name = strdup(name ? name : "set");
	if (!s->name) {
		free(s);
		return NULL;
	}
	s->refs = 1;
	/* Whoever can choose the addresses that a rule adds must not be able
	 * to choose where they collide. */
	if (random)
		memcpy(s->seed, random, sizeof(s->seed));
	s->seed[1] |= 1;
	return s;
}

struct set *set_ref(struct set *s)
{
	s->refs++;
	return s;
}

void set_unref(struct set *s)
{
	if (!s || --s->refs)
		return;
	for (unsigned f = 0; f < FAMILIES; f++)
		for (unsigned i = 0; i < LENGTHS; i++)
			free(s->table[f][i].slot);
	free(s->block);
	free(s->member);
	free(s->name);
	free(s);
}

const char *set_name(const struct set *s)
{
	return s->name;
}

static uint64_t get_be64(const uint8_t *b)
{
	return (uint64_t)get_be32(b) << 32 | get_be32(b + 4);
}

static struct key key_of(const struct address *a)
{
	struct key k = {(uint64_t)get_be32(a->byte) << 32, 0};

	if (a->size == 16)
		k = (struct key){get_be64(a->byte), get_be64(a->byte + 8)};
	return k;
}

static struct key key_cut(struct key k, unsigned length)
{
	if (length < 64)
		return (struct key){
			length ? k.high & ~(UINT64_MAX >> length) : 0, 0};
	if (length < 128)
		k.low &= ~(UINT64_MAX >> (length - 64));
	if (length == 64)
		k.low = 0;
	return k;
}

/* No two have the same: each step can be undone. */
static uint32_t v4_hash(const struct set *s, uint32_t v)
{
	v ^= (uint32_t)s->seed[0];
	v ^= v >> 16;
	v *= (uint32_t)s->seed[1] | 1;
	v ^= v >> 15;
	v *= (uint32_t)(s->seed[1] >> 32) | 1;
	return v ^ v >> 16;
}

static uint32_t key_hash(const struct set *s, unsigned family, struct key k)
{
	u128 m = (u128)(k.high ^ s->seed[0]) * (k.low ^ s->seed[1]);

	if (!family)
		return v4_hash(s, (uint32_t)(k.high >> 32));
	return (uint32_t)((uint64_t)(m >> 64) ^ (uint64_t)m ^
			  (uint64_t)m >> 32);
}

static uint32_t slot_place(const struct slot *at)
{
	return (at->member & SLOT_PLACE) - 1;
}

static uint32_t slot_member(uint32_t place, bool exclude, int64_t until)
{
	return (place + 1) | (exclude ? SLOT_EXCLUDE : 0) |
	       (until ? SLOT_TIMED : 0);
}

/* The slot that has k, or NULL. */
static struct slot *table_find(const struct set *s, const struct table *t,
			       uint32_t hash, struct key k)
{
	uint32_t mask = t->size - 1;

	if (!t->count)
		return NULL;
	for (uint32_t i = hash & mask; t->slot[i].member; i = (i + 1) & mask) {
		const struct member *m;

		if (t->slot[i].hash != hash)
			continue;
		m = &s->member[slot_place(&t->slot[i])];
		if (m->key.high == k.high && m->key.low == k.low)
			return &t->slot[i];
	}
	return NULL;
}

static void table_put(struct table *t, struct slot slot)
{
	uint32_t mask = t->size - 1, i = slot.hash & mask;

	while (t->slot[i].member)
		i = (i + 1) & mask;
	t->slot[i] = slot;
}

static int table_grow(struct table *t)
{
	struct table old = *t;

	if (t->size >= 2 * (t->count + 1))
		return 0;
	t->size = old.size ? old.size * 2 : TABLE_MIN;
	t->slot = calloc(t->size, sizeof(*t->slot));
	if (!t->slot) {
		*t = old;
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < old.size; i++)
		if (old.slot[i].member)
			table_put(t, old.slot[i]);
	free(old.slot);
	return 0;
}

/* Closes the gap that at leaves, so that no search ends early. */
static void table_take(struct table *t, struct slot *at)
{
	uint32_t mask = t->size - 1, gap = (uint32_t)(at - t->slot), i = gap;

	for (;;) {
		i = (i + 1) & mask;
		if (!t->slot[i].member)
			break;
		if (((i - t->slot[i].hash) & mask) < ((i - gap) & mask))
			continue; /* its place is behind the gap */
		t->slot[gap] = t->slot[i];
		gap = i;
	}
	t->slot[gap].member = 0;
	t->count--;
}

/* Notes anew which lengths are in use. */
static void list_lengths(struct set *s, unsigned family)
{
	unsigned n = 0;

	for (unsigned i = LENGTHS; i--;)
		if (s->table[family][i].count)
			s->length[family][n++] = (uint8_t)i;
	s->lengths[family] = n;
}

static struct prefix prefix_of(const struct member *m)
{
	u128 v = (u128)m->key.high << 64 | m->key.low;
	unsigned size = m->family ? 16 : 4;

	return (struct prefix){
		.address = address_from_number(v >> (128 - 8 * size), size),
		.length = m->length,
	};
}

static void member_remove(struct set *s, struct table *t, struct slot *at,
			  bool expired)
{
	uint32_t place = slot_place(at);
	struct member *m = &s->member[place];
	unsigned family = m->family;
	struct set_change c;

	if (s->watch)
		c = (struct set_change){
			.prefix = prefix_of(m),
			.exclude = m->exclude,
			.gone = true,
			.expired = expired,
			.was = true,
			.was_exclude = m->exclude,
			.was_until = m->until,
		};
	table_take(t, at);
	m->used = false;
	m->until = s->free;
	s->free = place + 1;
	s->count--;
	if (!t->count)
		list_lengths(s, family);
	if (s->watch)
		s->watch(s->watch_arg, s, &c);
}

static bool is_alive(const struct member *m, int64_t now)
{
	return m->used && (!m->until || m->until > now);
}

static void block_mark(struct set *s, const struct member *m)
{
	uint32_t first = (uint32_t)(m->key.high >> 48), n = 1;

	if (m->family || !m->length)
		return;
	if (m->length < 16)
		n <<= 16 - m->length;
	for (uint32_t i = first; i < first + n; i++)
		s->block[i] |= 1u << (m->length - 1);
}

/* Writes all blocks anew. They only save time: no memory, none of them. */
static void block_build(struct set *s)
{
	if (!s->block)
		s->block = malloc(BLOCKS * sizeof(*s->block));
	if (!s->block)
		return;
	memset(s->block, 0, BLOCKS * sizeof(*s->block));
	for (uint32_t i = 0; i < s->top; i++)
		if (s->member[i].used)
			block_mark(s, &s->member[i]);
}

/* Removes what had expired when the time was last said. */
static int64_t sweep(struct set *s)
{
	int64_t next = 0;

	for (uint32_t i = 0; i < s->top; i++) {
		struct member *m = &s->member[i];
		struct table *t = &s->table[m->family][m->length];

		if (!m->used || !m->until)
			continue;
		if (is_alive(m, s->seen)) {
			if (!next || m->until < next)
				next = m->until;
			continue;
		}
		member_remove(s, t,
			      table_find(s, t, key_hash(s, m->family, m->key),
					 m->key),
			      true);
	}
	return next;
}

int64_t set_sweep(struct set *s, int64_t now)
{
	s->seen = now;
	return sweep(s);
}

void set_watch(struct set *s,
	       void (*f)(void *arg, struct set *s, const struct set_change *c),
	       void *arg)
{
	s->watch = f;
	s->watch_arg = arg;
}

/* The member as it is, and as it was if it was there. */
static void tell(struct set *s, const struct member *m,
		 const struct member *was)
{
	struct set_change c = {.prefix = prefix_of(m),
			       .exclude = m->exclude,
			       .until = m->until};

	if (was) {
		c.was = true;
		c.was_exclude = was->exclude;
		c.was_until = was->until;
	}
	s->watch(s->watch_arg, s, &c);
}

/* Makes sure that there is a member to be taken. */
static int reserve_member(struct set *s)
{
	struct member *member;
	uint32_t room = s->room ? s->room * 2 : TABLE_MIN;

	if (s->free || s->top < s->room)
		return 0;
	sweep(s);
	if (s->count >= BLOCKS_FROM && s->lengths[0] > 2)
		block_build(s);
	/* Grow all the same if that gave little, or the next sweep is near. */
	if (s->count < s->room - s->room / 4)
		return 0;
	if (room > MEMBERS_MAX)
		return s->free ? 0 : -ENOMEM;
	member = realloc(s->member, room * sizeof(*member));
	if (!member)
		return s->free ? 0 : -ENOMEM;
	s->member = member;
	s->room = room;
	return 0;
}

static uint32_t take_member(struct set *s)
{
	uint32_t place = s->top;

	if (s->free) {
		place = s->free - 1;
		s->free = (uint32_t)s->member[place].until;
	} else {
		s->top++;
	}
	s->count++;
	return place;
}

int set_add(struct set *s, const struct prefix *p, bool exclude, int64_t until)
{
	unsigned family = p->address.size == 16;
	struct table *t;
	struct slot slot, *old;
	uint32_t place;
	struct key k;
	int ret;

	if ((p->address.size != 4 && !family) ||
	    p->length > p->address.size * 8)
		return -EINVAL;
	k = key_cut(key_of(&p->address), p->length);
	t = &s->table[family][p->length];
	slot.hash = key_hash(s, family, k);
	old = table_find(s, t, slot.hash, k);
	if (old) {
		struct member was;

		place = slot_place(old);
		was = s->member[place];
		s->member[place].exclude = exclude;
		s->member[place].until = until;
		old->member = slot_member(place, exclude, until);
		if (s->watch)
			tell(s, &s->member[place], &was);
		return 0;
	}
	ret = reserve_member(s);
	if (!ret)
		ret = table_grow(t);
	if (ret)
		return ret;
	place = take_member(s);
	slot.member = slot_member(place, exclude, until);
	s->member[place] = (struct member){
		.key = k,
		.until = until,
		.family = (uint8_t)family,
		.length = p->length,
		.exclude = exclude,
		.used = true,
	};
	table_put(t, slot);
	if (!t->count++)
		list_lengths(s, family);
	if (s->block)
		block_mark(s, &s->member[place]);
	if (s->watch)
		tell(s, &s->member[place], NULL);
	return 0;
}

int set_remove(struct set *s, const struct prefix *p)
{
	unsigned family = p->address.size == 16;
	struct slot *at;
	struct table *t;
	struct key k;

	if ((p->address.size != 4 && !family) ||
	    p->length > p->address.size * 8)
		return -ENOENT;
	k = key_cut(key_of(&p->address), p->length);
	t = &s->table[family][p->length];
	at = table_find(s, t, key_hash(s, family, k), k);
	if (!at)
		return -ENOENT;
	member_remove(s, t, at, false);
	return 0;
}

static bool slot_is_alive(const struct set *s, const struct slot *at,
			  int64_t now)
{
	return !(at->member & SLOT_TIMED) ||
	       is_alive(&s->member[slot_place(at)], now);
}

/* The slot of the living member of this length that covers v, or NULL. */
static const struct slot *find_v4(const struct set *s, unsigned length,
				  uint32_t v, int64_t now)
{
	const struct table *t = &s->table[0][length];
	uint32_t mask = t->size - 1, hash;

	if (!t->count)
		return NULL;
	hash = v4_hash(s, length ? v & UINT32_MAX << (32 - length) : 0);
	for (uint32_t i = hash & mask; t->slot[i].member; i = (i + 1) & mask)
		if (t->slot[i].hash == hash)
			return slot_is_alive(s, &t->slot[i], now) ? &t->slot[i]
								  : NULL;
	return NULL;
}

static const struct slot *find_by_block(const struct set *s, uint32_t v,
					int64_t now)
{
	uint32_t lengths = s->block[v >> 16];
	const struct slot *at;

	while (lengths) {
		unsigned length = 32 - (unsigned)__builtin_clz(lengths);

		at = find_v4(s, length, v, now);
		if (at)
			return at;
		lengths &= ~(1u << (length - 1));
	}
	return find_v4(s, 0, v, now);
}

static const struct slot *find_any_v4(const struct set *s, uint32_t v,
				      int64_t now)
{
	const struct slot *at = NULL;

	if (s->block)
		return find_by_block(s, v, now);
	for (unsigned i = 0; i < s->lengths[0] && !at; i++)
		at = find_v4(s, s->length[0][i], v, now);
	return at;
}

static const struct slot *find_any_v6(const struct set *s, struct key whole,
				      int64_t now)
{
	for (unsigned i = 0; i < s->lengths[1]; i++) {
		unsigned length = s->length[1][i];
		struct key k = key_cut(whole, length);
		const struct slot *at = table_find(s, &s->table[1][length],
						   key_hash(s, 1, k), k);

		if (at && slot_is_alive(s, at, now))
			return at;
	}
	return NULL;
}

bool set_has(const struct set *s, const struct address *a, int64_t now)
{
	const struct slot *at;

	/* For sweep: no set is ever made read-only. */
	((struct set *)s)->seen = now;
	if (!a->size)
		return false;
	at = a->size == 16 ? find_any_v6(s, key_of(a), now)
			   : find_any_v4(s, get_be32(a->byte), now);
	return at && !(at->member & SLOT_EXCLUDE);
}

/* Members that have expired count until their place is needed. */
size_t set_count(const struct set *s)
{
	return s->count;
}

void set_each(const struct set *s, int64_t now,
	      void (*f)(const struct prefix *p, bool exclude, int64_t until,
			void *arg),
	      void *arg)
{
	for (uint32_t i = 0; i < s->top; i++) {
		struct member m = s->member[i]; /* f may change the set */
		struct prefix p;

		if (!is_alive(&m, now))
			continue;
		p = prefix_of(&m);
		f(&p, m.exclude, m.until, arg);
	}
}
