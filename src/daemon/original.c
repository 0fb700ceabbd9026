/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/original.h"

#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "rule/ruleset.h"

void original_keep(struct original *o, struct packet *p)
{
	o->packet = *p;
	o->undo.saved = 0;
	p->undo = &o->undo;
}

void original_restore(const struct original *o, struct packet *p)
{
	*p = o->packet;
	memcpy(p->data, o->undo.bytes, o->undo.saved);
}

struct packet original_view(const struct original *o)
{
	struct packet view = o->packet;

	view.undo = (struct packet_undo *)&o->undo;
	if (o->undo.saved)
		view.data = o->undo.bytes;
	return view;
}

int original_reject(const struct original *o, struct packet *p, int code,
		    struct packet *answer)
{
	struct address from = {0};

	original_restore(o, p);
	if (code != REJECT_DEFAULT)
		return packet_unreachable(answer, p, (uint8_t)code, &from, 0);
	if (p->proto == IPPROTO_TCP)
		return packet_rst(answer, p);
	return packet_unreachable(answer, p, ICMP_PORT_UNREACH, &from, 0);
}
