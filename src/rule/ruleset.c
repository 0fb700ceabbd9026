/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rule/ruleset.h"

#include <stdio.h>
#include <stdlib.h>

#include "rule/index.h"

/* Fewer rules are tried as fast as they are looked up. */
#define INDEX_FROM 4u

const char *verdict_name(enum verdict_kind kind)
{
	static const char *const names[] = {
		[VERDICT_NONE] = "NONE",       [VERDICT_ACCEPT] = "ACCEPT",
		[VERDICT_DROP] = "DROP",       [VERDICT_REJECT] = "REJECT",
		[VERDICT_REPLACE] = "REPLACE", [VERDICT_VIA] = "VIA",
		[VERDICT_ERROR] = "ERROR",
	};

	return names[kind];
}

const char *verdict_text(const struct verdict *v, char *buf, size_t size)
{
	if (v->kind == VERDICT_VIA)
		snprintf(buf, size, "%s(%s)", verdict_name(v->kind), v->via);
	else
		snprintf(buf, size, "%s", verdict_name(v->kind));
	return buf;
}

struct ruleset *ruleset_new(void)
{
	struct ruleset *rs = calloc(1, sizeof(*rs));

	if (!rs)
		return NULL;
	rs->last = &rs->first;
	rs->policy = VERDICT_ACCEPT;
	rs->on_error = VERDICT_ACCEPT;
	rs->dirs = 1u << DIR_OUT;
	return rs;
}

void rule_free(struct rule *r)
{
	if (!r)
		return;
	while (r->rewrite) {
		struct rewrite *w = r->rewrite;

		r->rewrite = w->next;
		free(w);
	}
	match_free(r->match);
	free(r->name);
	free(r->origin);
	free(r);
}

void ruleset_free(struct ruleset *rs)
{
	if (!rs)
		return;
	while (rs->first) {
		struct rule *r = rs->first;

		rs->first = r->next;
		rule_free(r);
	}
	index_free(rs->index);
	free(rs);
}

void ruleset_add(struct ruleset *rs, struct rule *r)
{
	r->index = rs->count++;
	r->next = NULL;
	*rs->last = r;
	rs->last = &r->next;
	/* It would not be in it. */
	index_free(rs->index);
	rs->index = NULL;
}

void ruleset_seal(struct ruleset *rs)
{
	index_free(rs->index);
	rs->index = rs->count < INDEX_FROM ? NULL : index_new(rs);
}

/* Ours to write; others may be reading it. */
static void count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* A packet counts for a rule when its match held and its where did not say
 * no: this is what people mean by a hit. */
static void count_packet(struct rule_counter *c, const struct packet *p)
{
	if (!c)
		return;
	count(&c->packets, 1);
	count(&c->bytes, p->len);
}

static const struct verdict nothing = {
	.kind = VERDICT_NONE,
	.reject_code = REJECT_DEFAULT,
};

/* One rule whose match held. Leaves v->kind NONE to go on. */
static void rule_run(const struct rule *r, struct packet *p,
		     const struct ruleset_calls *calls, struct rule_counter *c,
		     struct verdict *v)
{
	int holds = 1;

	*v = nothing;
	if (r->where)
		holds = calls && calls->where ? calls->where(calls->arg, r, p)
					      : -1;
	if (!holds)
		return;
	count_packet(c, p);
	if (holds < 0) {
		v->kind = VERDICT_ERROR;
	} else {
		for (struct rewrite *w = r->rewrite; w; w = w->next)
			rewrite_apply(w, p);
		if (!r->action)
			*v = r->constant;
		else if (calls && calls->action)
			calls->action(calls->arg, r, p, v);
		else
			v->kind = VERDICT_ERROR;
	}
	if (c && v->kind == VERDICT_ERROR)
		count(&c->errors, 1);
	v->rule = r;
}

static bool rule_holds(const struct rule *r, struct packet *p,
		       const struct match_context *ctx)
{
	return !r->match || match_holds(r->match, p, ctx);
}

/* The same walk, past the rules that cannot hold. */
static bool run_indexed(const struct ruleset *rs, struct packet *p,
			const struct match_context *ctx,
			const struct ruleset_calls *calls,
			struct rule_counter *counters, struct verdict *v)
{
	const struct rule *r;
	struct index_walk w;

	index_start(&w, rs->index, p);
	while ((r = index_next(&w))) {
		if (!w.certain && !rule_holds(r, p, ctx))
			continue;
		rule_run(r, p, calls, counters ? &counters[r->index] : NULL, v);
		if (v->kind != VERDICT_NONE)
			return true;
		/* It may be another packet to the rules that follow. */
		if (r->where || r->rewrite || r->action)
			index_again(&w, p);
	}
	return false;
}

static bool run_all(const struct ruleset *rs, struct packet *p,
		    const struct match_context *ctx,
		    const struct ruleset_calls *calls,
		    struct rule_counter *counters, struct verdict *v)
{
	for (const struct rule *r = rs->first; r; r = r->next) {
		if (!rule_holds(r, p, ctx))
			continue;
		rule_run(r, p, calls, counters ? &counters[r->index] : NULL, v);
		if (v->kind != VERDICT_NONE)
			return true;
	}
	return false;
}

void ruleset_run(const struct ruleset *rs, struct packet *p,
		 const struct match_context *ctx,
		 const struct ruleset_calls *calls,
		 struct rule_counter *counters, struct verdict *v)
{
	if (rs->index ? run_indexed(rs, p, ctx, calls, counters, v)
		      : run_all(rs, p, ctx, calls, counters, v)) {
		/* What has arrived at this host goes nowhere. */
		if (v->kind == VERDICT_VIA && p->dir == DIR_IN &&
		    !(p->flags & PACKET_REDIRECTED))
			v->kind = VERDICT_ACCEPT;
		return;
	}
	*v = nothing;
	v->kind = rs->policy;
	count_packet(counters ? &counters[rs->count] : NULL, p);
}

bool ruleset_connections(const struct ruleset *rs)
{
	for (const struct rule *r = rs->first; r; r = r->next)
		if (r->connection)
			return true;
	return false;
}
