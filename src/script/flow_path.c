/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the data path asks of flows: before the rules, whether a flow is
 * decided; after them, to bring the numbers of a TCP stream in line with
 * what was made of its data. Enters Lua only through stream_run().
 *
 * Where a direction's length has changed, its segments are let through in
 * order only: what is behind a gap is dropped, and sent again by TCP, since
 * nobody knows yet how long the gap will be.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "script/flow_use.h"

/* Every path carries segments of this size (RFC 9293, 3.7.1). */
#define SEGMENT_MIN 500u

void flows_free(struct script_flows *fs)
{
	if (!fs)
		return;
	flow_table_free(fs->table);
	tcp_pool_free(fs->pool);
	free(fs);
}

struct packet flows_arrived(struct packet *p)
{
	struct packet was = *p;
	struct packet_undo *undo = p->undo;

	was.undo = NULL;
	if (!undo || !undo->saved)
		return was;
	was.head = was.data = undo->bytes;
	was.size = was.len = p->len + p->tail > undo->saved ? p->len + p->tail
							     : undo->saved;
	was.tail = 0;
	packet_parse(&was);
	/* What was not saved was not moved either. */
	if (was.header && undo->saved < was.len) {
		memcpy(undo->bytes + undo->saved, p->data + undo->saved,
		       was.len - undo->saved);
		undo->saved = was.len;
	}
	return was;
}

uint32_t flows_number(const struct packet *p)
{
	return flows_field(p, FIELD_TCP_SEQ) +
	       !!(flows_field(p, FIELD_TCP_FLAGS) & TCP_SYN);
}

struct flow *flows_current(struct script_flows *fs, struct packet *p)
{
	int64_t now = script_now(fs->script);
	struct packet was;

	if (fs->p == p && fs->flow)
		return fs->flow;
	fs->p = p;
	fs->flow = NULL;
	fs->drop = false;
	if (!flow_read_packet(&fs->fp, p))
		return NULL;
	was = flows_arrived(p);
	fs->flow = flow_get(fs->table, &fs->fp, p->dir, now);
	flow_count(fs->table, fs->flow, &fs->fp, &was, now);
	return fs->flow;
}

bool script_flow_begin(struct script *s, struct packet *p, struct verdict *v)
{
	struct script_flows *fs = s->flows;

	if (!fs)
		return false;
	fs->flow = NULL;
	flows_current(fs, p);
	if (!fs->flow || fs->flow->verdict == VERDICT_NONE)
		return false;
	hold_consider(fs);
	if (!fs->flow)
		return false;
	*v = (struct verdict){.kind = fs->flow->verdict,
			      .reject_code = REJECT_DEFAULT};
	return true;
}

void script_flow_made(struct script *s, const struct packet *made,
		      struct packet *p)
{
	struct script_flows *fs = s->flows;
	struct flow_packet fp;
	const struct tcp_adjust *a;
	uint32_t at;

	if (!fs || fs->numbered || made == fs->p || !fs->flow || !fs->flow->adjust ||
	    !flow_read(&fp, p->data, p->len) || !fp.tcp || !p->payload ||
	    memcmp(&fp.key, &fs->flow->key, sizeof(fp.key)) ||
	    fp.side != fs->fp.side)
		return;
	a = fs->flow->adjust;
	at = flows_number(p);
	numbers_translate(fs->flow, fp.side, p,
		  (p->len > p->payload
			   ? tcp_side_new(&a->side[fp.side], at)
			   : numbers_empty(fs->flow, fp.side, at)) -
			  at);
}

/* ---- data ------------------------------------------------------------ */

/* One segment, as it arrived. */
struct segment {
	struct script *s;
	struct flow *f;
	struct packet *p;
	unsigned end; /* which sent it */
	struct tcp_side *mine;
	const uint8_t *b;
	uint32_t n;  /* bytes of data */
	uint32_t at; /* the number of the first */
	bool fin;
	uint32_t more; /* what its number grows by */
	bool failed;
};

/* Payload of the largest segment that surely gets through. */
static uint16_t segment_size(const struct segment *g)
{
	uint16_t most = g->f->largest[g->end];

	return most < SEGMENT_MIN ? SEGMENT_MIN : most;
}

static void clear_fin(struct segment *g)
{
	packet_set(g->p, FIELD_TCP_FLAGS,
		   flows_field(g->p, FIELD_TCP_FLAGS) & ~TCP_FIN);
	g->fin = false;
}

static bool set_payload(struct packet *p, const uint8_t *b, uint32_t n)
{
	uint32_t old = p->len - p->payload;

	if (n == old && (!n || !memcmp(p->data + p->payload, b, n)))
		return true;
	return !packet_splice(p, p->payload, old, b, n);
}

/* Sends n bytes ahead, in a packet like this one. */
static bool send_part(const struct segment *g, const uint8_t *b, uint32_t n)
{
	struct script_flows *fs = g->s->flows;
	const struct script_host *host = &g->s->host;
	struct packet q = {.head = fs->part, .size = sizeof(fs->part)};
	bool sent;

	if (!host->send || packet_clone(&q, g->p) || !set_payload(&q, b, n))
		return false;
	packet_set(&q, FIELD_TCP_FLAGS,
		   flows_field(&q, FIELD_TCP_FLAGS) & ~TCP_FIN);
	numbers_translate(g->f, g->end, &q, g->more);
	packet_make_super(&q, segment_size(g));
	fs->numbered = true;
	sent = host->send(host->arg, &q) >= 0;
	fs->numbered = false;
	return sent;
}

/* The packet gets these bytes, the last of them if they are too many. */
static bool put_payload(struct segment *g, const uint8_t *b, uint32_t n)
{
	uint32_t room = PACKET_MAX - g->p->payload;
	uint32_t open = g->f->edge[g->end] - g->at - g->more;

	/* What the receiver has no room for comes again. */
	if (g->f->edged[g->end] && (int32_t)open < (int32_t)n) {
		n = (int32_t)open > 0 ? open : 0;
		if ((int32_t)open < 0)
			g->more += open;
		clear_fin(g);
	}
	while (n > room) {
		uint32_t part = room - room % segment_size(g);

		if (!send_part(g, b, part))
			return false;
		b += part;
		n -= part;
		g->more += part;
	}
	return set_payload(g->p, b, n);
}

/* Remembers what became of it: from the first byte that differs to the last.
 * At least one old byte is part of it, so that numbers are unambiguous. */
static int remember(struct segment *g, const uint8_t *now, uint32_t n)
{
	uint32_t most = g->n < n ? g->n : n, head = 0, tail = 0;

	while (head < most && g->b[head] == now[head])
		head++;
	if (head == g->n && head == n)
		return 0;
	if (head == g->n)
		head--;
	while (tail < most - head && tail < g->n - head - 1 &&
	       g->b[g->n - tail - 1] == now[n - tail - 1])
		tail++;
	return tcp_side_edit(g->s->flows->pool, g->mine, g->at + head,
			     g->n - head - tail, now + head, n - head - tail);
}

/* What rules have made of it, b, goes through the stream's function. */
static bool put_through(struct segment *g, const uint8_t **b, size_t *n)
{
	struct script_flows *fs = g->s->flows;
	int ret;

	/* The function is called once for each byte: it must be possible to
	 * remember whatever it answers. */
	if (!tcp_side_has_room(fs->pool, g->mine, FLOWS_DATA_MAX))
		return false;
	ret = stream_run(g->s, g->f, g->end, b, n);
	g->failed = ret < 0;
	/* The function may have asked for so many flows that this one went. */
	return fs->flow && (!g->failed || g->s->rules->on_error ==
						  VERDICT_ACCEPT);
}

/* Data that was not seen before: as the rules have changed it. */
static bool fresh(struct segment *g)
{
	const uint8_t *b = g->p->data + g->p->payload;
	size_t n = g->p->len - g->p->payload;

	if (g->n && g->f->streams & 1u << g->end && !put_through(g, &b, &n))
		return false;
	if (remember(g, b, (uint32_t)n))
		return false;
	/* From now on it is remembered: if it gets lost it comes again. */
	g->mine->next = g->at + g->n + g->fin;
	return put_payload(g, b, (uint32_t)n);
}

/* Data that was seen before: as it was changed then. What is new behind it
 * is left for the next time. */
static bool again(struct segment *g)
{
	struct script_flows *fs = g->s->flows;
	uint32_t left = g->mine->next - g->at, n = g->n;
	int size;

	/* What passed before the first change keeps its length. */
	if (!tcp_before(g->mine->base, g->at + g->n) &&
	    g->p->len - g->p->payload == g->n)
		return true;
	if (n + g->fin > left) {
		n = n < left ? n : left;
		clear_fin(g);
	}
	size = tcp_side_again(fs->pool, g->mine, g->at, g->b, n, fs->scratch,
			      sizeof(fs->scratch));
	return size >= 0 && put_payload(g, fs->scratch, (uint32_t)size);
}

/* False: drop it. */
static bool change_data(struct segment *g)
{
	if (!g->mine->active)
		return true;
	if (g->mine->any)
		g->mine->base = g->mine->next = g->at;
	g->mine->any = false;
	if (!g->n && !g->fin) {
		g->more = numbers_empty(g->f, g->end, g->at) - g->at;
		/* There is no number for what was added to nothing. */
		return set_payload(g->p, NULL, 0);
	}
	if (tcp_before(g->mine->next, g->at))
		return false;
	g->more = tcp_side_new(g->mine, g->at) - g->at;
	if (g->at == g->mine->next ? !fresh(g) : !again(g))
		return false;
	/* All of it is gone: one number less makes the receiver answer, so
	 * that the sender learns that it need not send it again. */
	if (g->n && g->p->len == g->p->payload && !g->fin)
		g->more -= 1;
	/* What has grown must still fit the way: offload can cut it. */
	if (g->p->len - g->p->payload > g->n)
		packet_make_super(g->p, segment_size(g));
	return true;
}

/* Behind the last byte that passed; and how large segments may be. */
static void note_passed(struct segment *g, const struct packet *was)
{
	uint32_t end = g->at + g->n + g->fin, n = g->n;
	struct flow *f = g->f;

	if (was->offload.gso_type && n > was->offload.gso_size)
		n = was->offload.gso_size;
	if (n > f->largest[g->end])
		f->largest[g->end] = (uint16_t)n;
	if (!f->known[g->end] || tcp_before(f->passed[g->end], end))
		f->passed[g->end] = end;
	f->known[g->end] = true;
}

static bool end_tcp(struct script *s, struct packet *p, bool *failed)
{
	struct script_flows *fs = s->flows;
	struct packet was = flows_arrived(p);
	uint8_t flags = fs->fp.tcp_flags;
	struct segment g = {
		.s = s,
		.f = fs->flow,
		.p = p,
		.end = fs->fp.side,
		.b = was.data + was.payload,
		.n = was.len - was.payload,
		.at = flows_number(&was),
		.fin = flags & TCP_FIN,
	};
	struct tcp_adjust *a = g.f->adjust;
	/* was may share its bytes with p. */
	uint32_t ack = flows_field(&was, FIELD_TCP_ACK_SEQ);
	bool goes;

	if (!was.payload || !p->payload || !packet_has_layer(p, LAYER_TCP))
		return true;
	note_passed(&g, &was);
	if (flags & TCP_SYN && g.f->class == FLOW_TCP_OPENING)
		numbers_wscale(g.f, g.end, &was, flags & TCP_ACK);
	if (flags & TCP_ACK)
		numbers_window(fs, &was);
	/* An attempt at another connection has numbers of its own. */
	if (!a || (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN)
		return true;
	g.mine = &a->side[g.end];
	goes = change_data(&g);
	*failed = g.failed;
	if (!goes)
		return false;
	numbers_translate(g.f, g.end, p, g.more);
	if (flags & TCP_ACK)
		tcp_side_acked(fs->pool, &a->side[!g.end], ack);
	return true;
}

/* True where p itself goes on. */
static bool goes_on(const struct packet *p, const struct verdict *v)
{
	if (v->kind == VERDICT_REPLACE)
		for (uint32_t i = 0; i < v->count; i++)
			if (v->packets[i] == p)
				return true;
	return v->kind == VERDICT_ACCEPT || v->kind == VERDICT_VIA;
}

/* Rules may send a connection elsewhere: the answers come from there. */
static void note_name(struct script_flows *fs, const struct packet *p)
{
	struct flow_packet fp;

	if (p->flags & PACKET_MODIFIED && !fs->fp.icmp_error &&
	    flow_read(&fp, p->data, p->len) &&
	    memcmp(&fp.key, &fs->fp.key, sizeof(fp.key)))
		flow_alias(fs->table, fs->flow, fs->fp.side, &fp,
			   script_now(fs->script));
}

int script_flow_end(struct script *s, struct packet *p, struct verdict *v)
{
	struct script_flows *fs = s->flows;
	bool failed = false;

	if (!fs || fs->p != p || !goes_on(p, v))
		return 0;
	if (fs->flow)
		note_name(fs, p);
	/* What comes to no rule any more would go its old way. */
	if (fs->flow && v->kind == VERDICT_VIA &&
	    fs->flow->verdict == VERDICT_ACCEPT)
		fs->flow->verdict = VERDICT_NONE;
	if (fs->drop)
		v->kind = VERDICT_DROP;
	else if (fs->flow && fs->fp.tcp && !end_tcp(s, p, &failed))
		v->kind = VERDICT_DROP;
	else if (fs->flow && fs->fp.icmp_error && fs->flow->adjust)
		numbers_quote(&fs->flow->adjust->side[!fs->fp.side], p);
	return failed ? -EINVAL : 0;
}
