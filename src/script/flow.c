/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows are linked by hash, and by age in one list for each class, so that
 * the next one to expire is always at a list's end.
 */
#include "script/flow.h"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/clock.h"

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_ACK 0x10u

static const int64_t idle_max[FLOW_CLASSES] = {
	[FLOW_TCP_OPENING] = 120 * NSEC_PER_SEC,
	[FLOW_TCP] = 3600 * NSEC_PER_SEC,
	[FLOW_TCP_CLOSED] = 30 * NSEC_PER_SEC,
	[FLOW_UDP] = 180 * NSEC_PER_SEC,
	[FLOW_ICMP] = 30 * NSEC_PER_SEC,
	[FLOW_TCP_HELD] = 3600 * NSEC_PER_SEC,
	[FLOW_UDP_HELD] = 180 * NSEC_PER_SEC,
};

struct flow_table {
	uint32_t size, used, fresh; /* places never used start at fresh */
	uint32_t free;		    /* a list by chain */
	uint32_t mask;
	uint64_t seed[2];
	uint32_t newest[FLOW_CLASSES], oldest[FLOW_CLASSES];
	void (*dropped)(void *arg, struct flow *f);
	void (*idle)(void *arg, struct flow *f);
	void *arg;
	uint32_t *bucket;
	struct flow flows[];
};

struct flow_table *flow_table_new(uint32_t size,
				  void (*dropped)(void *arg, struct flow *f),
				  void (*idle)(void *arg, struct flow *f),
				  void *arg)
{
	struct flow_table *t = calloc(1, sizeof(*t) + size * sizeof(t->flows[0]));
	uint32_t buckets = 16;

	if (!t)
		return NULL;
	while (buckets < size * 2)
		buckets *= 2;
	t->bucket = calloc(buckets, sizeof(*t->bucket));
	if (!t->bucket) {
		free(t);
		return NULL;
	}
	t->size = size;
	t->mask = buckets - 1;
	t->dropped = dropped;
	t->idle = idle;
	t->arg = arg;
	/* Nobody outside may know which flows share a bucket. */
	if (getrandom(t->seed, sizeof(t->seed), GRND_NONBLOCK) < 0)
		t->seed[0] = (uint64_t)clock_monotonic();
	t->seed[0] |= 1;
	t->seed[1] |= 1;
	return t;
}

void flow_table_free(struct flow_table *t)
{
	if (t)
		free(t->bucket);
	free(t);
}

uint32_t flow_table_used(const struct flow_table *t)
{
	return t->used;
}

/* ---- keys ------------------------------------------------------------ */

static void key_set(struct flow_packet *fp, const uint8_t *src,
		    const uint8_t *dst, uint16_t sport, uint16_t dport)
{
	struct flow_key *k = &fp->key;
	int order = memcmp(src, dst, 4);

	fp->side = order > 0 || (!order && sport > dport);
	k->address_size = 4;
	memcpy(k->end[fp->side].address, src, 4);
	k->end[fp->side].port = sport;
	memcpy(k->end[!fp->side].address, dst, 4);
	k->end[!fp->side].port = dport;
}

static bool is_icmp_error(uint8_t type)
{
	return type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH ||
	       type == ICMP_REDIRECT || type == ICMP_TIME_EXCEEDED ||
	       type == ICMP_PARAMETERPROB;
}

static bool has_icmp_id(uint8_t type)
{
	return type == ICMP_ECHOREPLY || type == ICMP_ECHO ||
	       (type >= ICMP_TIMESTAMP && type <= ICMP_ADDRESSREPLY);
}

/* Ports, or what stands for them; l4: n bytes behind the IP header. */
static void read_ports(struct flow_packet *fp, const uint8_t *l4, uint32_t n,
		       uint16_t *sport, uint16_t *dport)
{
	switch (fp->key.proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		if (n < 4)
			return;
		*sport = get_be16(l4);
		*dport = get_be16(l4 + 2);
		fp->tcp = fp->key.proto == IPPROTO_TCP && n >= 20;
		fp->tcp_flags = fp->tcp ? l4[13] : 0;
		break;
	case IPPROTO_ICMP:
		if (n >= 8 && has_icmp_id(l4[0]))
			*sport = *dport = get_be16(l4 + 4);
		break;
	}
}

static bool read_ip(struct flow_packet *fp, const uint8_t *b, uint32_t n,
		    bool quoted)
{
	uint16_t sport = 0, dport = 0;
	uint32_t header;

	memset(fp, 0, sizeof(*fp));
	if (n < 20 || b[0] >> 4 != 4)
		return false;
	header = (b[0] & 0xfu) * 4;
	if (header < 20 || header > n)
		return false;
	fp->key.proto = b[9];
	/* Only the first fragment has ports, and it need not come first. */
	if (!(get_be16(b + 6) & 0x3fff)) {
		if (!quoted && b[9] == IPPROTO_ICMP && n >= header + 8 &&
		    is_icmp_error(b[header]) &&
		    read_ip(fp, b + header + 8, n - header - 8, true)) {
			fp->side = !fp->side;
			fp->icmp_error = true;
			fp->tcp = false;
			return true;
		}
		memset(fp, 0, sizeof(*fp));
		fp->key.proto = b[9];
		read_ports(fp, b + header, n - header, &sport, &dport);
	}
	key_set(fp, b + 12, b + 16, sport, dport);
	return true;
}

bool flow_read(struct flow_packet *fp, const uint8_t *b, uint32_t n)
{
	return read_ip(fp, b, n, false);
}

bool flow_read_packet(struct flow_packet *fp, const struct packet *p)
{
	const struct packet_undo *undo = p->undo;

	/* As many bytes as any change keeps hold every header that counts. */
	if (undo && undo->saved ? !flow_read(fp, undo->bytes, undo->saved)
				: p->flags & PACKET_ODD ||
					  !flow_read(fp, p->data, p->len))
		return false;
	fp->own = p->dir == DIR_OUT;
	return true;
}

static uint32_t key_bucket(const struct flow_table *t, const struct flow_key *k)
{
	uint64_t h = t->seed[1], part;
	uint8_t b[40] = {0};

	memcpy(b, k, sizeof(*k));
	for (size_t i = 0; i < sizeof(b); i += sizeof(part)) {
		memcpy(&part, b + i, sizeof(part));
		h = (h ^ part) * t->seed[0];
		h ^= h >> 29;
		h *= UINT64_C(0xbf58476d1ce4e5b9);
		h ^= h >> 32;
	}
	return (uint32_t)h & t->mask;
}
_Static_assert(sizeof(struct flow_key) <= 40, "hashed whole");

/* ---- places ---------------------------------------------------------- */

uint32_t flow_place(const struct flow_table *t, const struct flow *f)
{
	return (uint32_t)(f - t->flows);
}

struct flow *flow_at(const struct flow_table *t, uint32_t place,
		     uint32_t generation)
{
	const struct flow *f = &t->flows[place];

	return place < t->size && f->used && f->generation == generation
		       ? (struct flow *)f
		       : NULL;
}

static struct flow *linked(struct flow_table *t, uint32_t link)
{
	return link ? &t->flows[link - 1] : NULL;
}

static void age_unlink(struct flow_table *t, struct flow *f)
{
	if (f->newer)
		linked(t, f->newer)->older = f->older;
	else
		t->newest[f->class] = f->older;
	if (f->older)
		linked(t, f->older)->newer = f->newer;
	else
		t->oldest[f->class] = f->newer;
}

static void age_newest(struct flow_table *t, struct flow *f)
{
	uint32_t link = flow_place(t, f) + 1;

	f->newer = 0;
	f->older = t->newest[f->class];
	if (f->older)
		linked(t, f->older)->newer = link;
	else
		t->oldest[f->class] = link;
	t->newest[f->class] = link;
}

static void flow_drop(struct flow_table *t, struct flow *f)
{
	uint32_t *at = &t->bucket[key_bucket(t, &f->key)];
	uint32_t link = flow_place(t, f) + 1;

	t->dropped(t->arg, f);
	while (*at != link)
		at = &linked(t, *at)->chain;
	*at = f->chain;
	age_unlink(t, f);
	f->used = false;
	f->generation++;
	f->chain = t->free;
	t->free = link;
	t->used--;
}

static bool is_idle(const struct flow *f, int64_t now)
{
	return now - f->last > idle_max[f->class];
}

static bool is_expired(const struct flow *f, int64_t now)
{
	return !f->held && is_idle(f, now);
}

static void touch(struct flow_table *t, struct flow *f, enum flow_class class,
		  int64_t now)
{
	age_unlink(t, f);
	/* A clock that was set back must not make a list go back and forth. */
	if (now > f->last)
		f->last = now;
	f->class = class;
	age_newest(t, f);
}

/* Drops more than one packet can add. */
static void sweep(struct flow_table *t, int64_t now)
{
	for (int c = 0; c < FLOW_CLASSES; c++)
		for (int i = 0; i < 2; i++) {
			struct flow *f = linked(t, t->oldest[c]);

			if (!f || !is_idle(f, now))
				break;
			if (!f->held) {
				flow_drop(t, f);
				continue;
			}
			/* The answer is awaited as long again. */
			touch(t, f, f->class, now);
			t->idle(t->arg, f);
		}
}

static struct flow *take_place(struct flow_table *t)
{
	struct flow *f, *oldest = NULL;
	uint32_t generation;

	if (!t->free && t->fresh < t->size)
		return &t->flows[t->fresh++];
	if (!t->free) {
		for (int c = 0; c < FLOW_CLASSES; c++) {
			f = linked(t, t->oldest[c]);
			/* Of held ones it is not known how old they are. */
			if (oldest && c >= FLOW_TCP_HELD)
				break;
			if (f && (!oldest || f->last < oldest->last))
				oldest = f;
		}
		flow_drop(t, oldest);
	}
	f = linked(t, t->free);
	t->free = f->chain;
	generation = f->generation;
	memset(f, 0, sizeof(*f));
	f->generation = generation;
	return f;
}

static enum flow_class first_class(uint8_t proto)
{
	if (proto == IPPROTO_TCP)
		return FLOW_TCP_OPENING;
	return proto == IPPROTO_ICMP ? FLOW_ICMP : FLOW_UDP;
}

/* ---- look-up --------------------------------------------------------- */

static struct flow *alias_target(const struct flow_table *t,
				 const struct flow *f)
{
	return flow_at(t, f->alias - 1, f->alias_generation);
}

/* The one with this key, whatever it stands for. */
static struct flow *lookup(struct flow_table *t, const struct flow_key *k)
{
	uint32_t link = t->bucket[key_bucket(t, k)];
	struct flow *f;

	while ((f = linked(t, link)) && memcmp(&f->key, k, sizeof(*k)))
		link = f->chain;
	return f;
}

static bool begins_anew(const struct flow *f, const struct flow_packet *fp,
			unsigned side)
{
	if (!fp->tcp || (fp->tcp_flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return false;
	/* Where only one direction comes, the other's FIN or RST is not seen;
	 * but who has sent its FIN, and this host at any time, begins no
	 * connection where it has one. */
	return f->class == FLOW_TCP_CLOSED || f->fin & 1u << side ||
	       (fp->own && f->class != FLOW_TCP_OPENING);
}

struct flow *flow_find(struct flow_table *t, struct flow_packet *fp,
		       int64_t now)
{
	struct flow *f, *target;

	sweep(t, now);
	f = lookup(t, &fp->key);
	if (!f)
		return NULL;
	target = f->alias ? alias_target(t, f) : f;
	if (!target || is_expired(target, now) ||
	    begins_anew(target, fp, fp->side ^ (f->alias && f->flip))) {
		flow_drop(t, f);
		return NULL;
	}
	if (f->alias) {
		touch(t, f, target->class, now);
		fp->side ^= f->flip;
	}
	return target;
}

static struct flow *add(struct flow_table *t, const struct flow_key *k,
			int64_t now)
{
	struct flow *f = take_place(t);
	uint32_t *bucket = &t->bucket[key_bucket(t, k)];

	f->key = *k;
	f->created = f->last = now;
	f->class = first_class(k->proto);
	f->verdict = VERDICT_NONE;
	f->used = true;
	f->chain = *bucket;
	*bucket = flow_place(t, f) + 1;
	age_newest(t, f);
	t->used++;
	return f;
}

struct flow *flow_get(struct flow_table *t, struct flow_packet *fp,
		      enum packet_dir dir, int64_t now)
{
	struct flow *f = flow_find(t, fp, now);

	if (f)
		return f;
	f = add(t, &fp->key, now);
	f->out = dir == DIR_IN ? !fp->side : fp->side;
	return f;
}

void flow_alias(struct flow_table *t, struct flow *f, unsigned end,
		struct flow_packet *as, int64_t now)
{
	uint32_t place = flow_place(t, f), generation = f->generation;
	struct flow *other;

	if (!memcmp(&f->key, &as->key, sizeof(f->key)))
		return;
	other = lookup(t, &as->key);
	if (!other) {
		other = add(t, &as->key, now);
		/* Which may have cost the place of another. */
		if (!flow_at(t, place, generation))
			return;
	} else if (!other->alias) {
		return;
	}
	other->alias = place + 1;
	other->alias_generation = generation;
	other->flip = as->side != end;
	touch(t, other, f->class, now);
}

void flow_hold(struct flow_table *t, struct flow *f, bool held, int64_t now)
{
	bool tcp = f->key.proto == IPPROTO_TCP;
	enum flow_class class = f->class;

	if (held)
		class = tcp ? FLOW_TCP_HELD : FLOW_UDP_HELD;
	else if (f->held && class != FLOW_TCP_CLOSED)
		class = tcp ? FLOW_TCP : FLOW_UDP;
	if (!f->held)
		f->held_packets = 0;
	f->held = held ? now : 0;
	touch(t, f, class, now);
}

void flow_end(struct flow_table *t, struct flow *f)
{
	flow_drop(t, f);
}

struct flow *flow_of(struct flow_table *t, const struct flow_key *k)
{
	struct flow *f = lookup(t, k);

	return f && !f->alias ? f : NULL;
}

static enum flow_class class_of(struct flow *f, const struct flow_packet *fp)
{
	if (!fp->tcp)
		return f->class;
	if (fp->tcp_flags & TCP_FIN)
		f->fin |= (uint8_t)(1u << fp->side);
	if (fp->tcp_flags & TCP_RST || f->fin == 3)
		return FLOW_TCP_CLOSED;
	if (f->class == FLOW_TCP_OPENING && !(fp->tcp_flags & TCP_SYN))
		return FLOW_TCP;
	return f->class;
}

void flow_count(struct flow_table *t, struct flow *f,
		const struct flow_packet *fp, const struct packet *p,
		int64_t now)
{
	uint32_t n = 1;

	if (p->offload.gso_type && p->offload.gso_size && p->payload &&
	    p->len > p->payload)
		n = (p->len - p->payload + p->offload.gso_size - 1) /
		    p->offload.gso_size;
	f->packets += n;
	f->bytes += p->len + (uint64_t)(n - 1) * p->payload;
	touch(t, f, class_of(f, fp), now);
}
