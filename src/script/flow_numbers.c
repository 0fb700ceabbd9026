/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The numbers of a TCP packet whose stream has two numberings: sequence and
 * acknowledgement, selective ones, the window, and those that an ICMP error
 * quotes. Must not know what became of the data.
 */
#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"
#include "script/flow_use.h"

#define OPTION_SACK   5u
#define OPTION_NOP    1u
#define OPTION_WSCALE 3u

#define WSCALE_NONE 0xff /* its SYN offered none */

uint32_t flows_field(const struct packet *p, enum packet_field f)
{
	uint32_t v = 0;

	packet_get(p, f, &v);
	return v;
}

uint32_t numbers_empty(const struct flow *f, unsigned end, uint32_t at)
{
	const struct tcp_side *s = &f->adjust->side[end];
	uint32_t number;

	if (!s->active)
		return at;
	/* One that asks for an answer comes before what is acknowledged. */
	number = tcp_before(at, s->next) ? tcp_side_new(s, at + 1) - 1
					 : tcp_side_new(s, s->next);
	if (f->edged[end] && tcp_before(f->edge[end], number))
		return f->edge[end];
	return number;
}

static void translate_sack(const struct tcp_side *theirs, struct packet *p)
{
	uint8_t n, out[40];
	const uint8_t *sack = packet_tcp_option(p, OPTION_SACK, &n);

	if (!sack || n > sizeof(out))
		return;
	memcpy(out, sack, n);
	for (uint8_t *b = out + 2; b + 8 <= out + n; b += 8) {
		uint32_t left = tcp_side_old(theirs, get_be32(b), true);
		uint32_t right = tcp_side_old(theirs, get_be32(b + 4), false);

		if (!tcp_before(left, right)) {
			/* Part of what was replaced: it says nothing. */
			memset(out, OPTION_NOP, n);
			break;
		}
		put_be32(b, left);
		put_be32(b + 4, right);
	}
	packet_write(p, (uint32_t)(sack - p->data), out, n);
}

/*
 * The window of an answer, which has acknowledged number. What it leaves room
 * for in the new numbering is shared with what data on its way has grown by:
 * beyond the window a receiver takes nothing, not even an ACK.
 */
static void translate_window(const struct tcp_side *theirs, struct packet *p,
			     uint32_t number, uint8_t shift)
{
	uint32_t last = tcp_side_new(theirs, theirs->next), window, right;

	if (tcp_before(last, number))
		return;
	right = number + (flows_field(p, FIELD_TCP_WINDOW) << shift);
	right = theirs->next + (tcp_before(right, last) ? 0 : right - last);
	window = right - flows_field(p, FIELD_TCP_ACK_SEQ);
	if ((int32_t)window < 0)
		window = 0;
	window = (window + (1u << shift) - 1) >> shift;
	packet_set(p, FIELD_TCP_WINDOW,
		   window < UINT16_MAX ? window : UINT16_MAX);
}

void numbers_translate(const struct flow *f, unsigned end, struct packet *p,
		      uint32_t more)
{
	const struct tcp_side *theirs = &f->adjust->side[!end];
	uint32_t ack = flows_field(p, FIELD_TCP_ACK_SEQ);
	uint32_t flags = flows_field(p, FIELD_TCP_FLAGS);

	if (more)
		packet_set(p, FIELD_TCP_SEQ, flows_field(p, FIELD_TCP_SEQ) + more);
	if (!theirs->active || !(flags & TCP_ACK))
		return;
	packet_set(p, FIELD_TCP_ACK_SEQ, tcp_side_old(theirs, ack, false));
	translate_sack(theirs, p);
	if (!(flags & TCP_SYN) && f->edged[!end] && theirs->count &&
	    f->wscale[end] != WSCALE_NONE)
		translate_window(theirs, p, ack, f->wscale[end] - 1);
}

void numbers_window(struct script_flows *fs, const struct packet *was)
{
	struct flow *f = fs->flow;
	unsigned to = !fs->fp.side;
	uint8_t wscale = f->wscale[fs->fp.side];
	uint32_t edge = flows_field(was, FIELD_TCP_WINDOW);

	if (!wscale || wscale == WSCALE_NONE)
		return;
	/* That of a SYN is not scaled. */
	if (!(fs->fp.tcp_flags & TCP_SYN))
		edge <<= wscale - 1;
	edge += flows_field(was, FIELD_TCP_ACK_SEQ);
	if (!f->edged[to] || tcp_before(f->edge[to], edge))
		f->edge[to] = edge;
	f->edged[to] = true;
}

void numbers_wscale(struct flow *f, unsigned end, const struct packet *syn,
			bool answer)
{
	uint8_t n, shift;
	const uint8_t *o = packet_tcp_option(syn, OPTION_WSCALE, &n);

	shift = o && n >= 3 ? (o[2] < 14 ? o[2] : 14) + 1 : WSCALE_NONE;
	f->wscale[end] = shift;
	if (answer && (shift == WSCALE_NONE || f->wscale[!end] == WSCALE_NONE))
		f->wscale[0] = f->wscale[1] = 1;
}

void numbers_quote(const struct tcp_side *theirs, struct packet *p)
{
	uint32_t inner = p->transport + 8u;
	const uint8_t *b = packet_at(p, inner, 20);
	uint8_t seq[4];

	if (!b || p->proto != IPPROTO_ICMP || b[9] != IPPROTO_TCP)
		return;
	inner += (b[0] & 0xfu) * 4 + 4;
	b = packet_at(p, inner, 4);
	if (!b)
		return;
	put_be32(seq, tcp_side_old(theirs, get_be32(b), false));
	packet_write(p, inner, seq, 4);
}
