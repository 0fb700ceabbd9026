/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/handoff.h"

#include <string.h>

#include "base/clock.h"

/* What happens within that time is told together. */
#define SOON (1 * NSEC_PER_MSEC)
/* Where the supervisor does not listen for so long, it is lost. */
#define WAIT (1 * NSEC_PER_SEC)

/* Sends all there are, or as many as can be without waiting beyond end. */
static void send_some(struct handoff *h, int64_t end)
{
	struct message m = {.kind = MESSAGE_FLOWS};
	uint32_t from = 0;

	while (from < h->count) {
		uint32_t n = h->count - from;

		if (n > MESSAGE_FLOWS_MAX)
			n = MESSAGE_FLOWS_MAX;
		m.flows.count = n;
		memcpy(m.flows.flow, h->waits + from,
		       n * sizeof(*m.flows.flow));
		if (message_send_until(h->sock, h->room, &m, end))
			break;
		from += n;
	}
	h->count -= from;
	memmove(h->waits, h->waits + from, h->count * sizeof(*h->waits));
}

void handoff_put(struct handoff *h, enum message_what what,
		 const struct script_flow *f, bool drop)
{
	int64_t now = clock_monotonic();
	struct message_flow *m;

	if (h->count == HANDOFF_MAX) {
		/* Packets of what is not told come here, and then it is. */
		if (what != MESSAGE_RELEASE)
			return;
		send_some(h, now + WAIT);
		if (h->count == HANDOFF_MAX) {
			h->lost++;
			return;
		}
	}
	if (!h->count)
		h->due = now + SOON;
	m = &h->waits[h->count++];
	*m = (struct message_flow){
		.what = (uint8_t)what, .proto = f->proto, .drop = drop};
	for (int i = 0; i < 2; i++) {
		m->end[i] = f->end[i];
		m->port[i] = f->port[i];
	}
}

int64_t handoff_tell(struct handoff *h)
{
	int64_t now;

	if (!h->count)
		return -1;
	now = clock_monotonic();
	if (now < h->due)
		return h->due - now;
	send_some(h, 0);
	h->due = now + SOON;
	return h->count ? SOON : -1;
}

struct script_flow handoff_flow(const struct message_flow *m)
{
	return (struct script_flow){
		.proto = m->proto,
		.end = {m->end[0], m->end[1]},
		.port = {m->port[0], m->port[1]},
	};
}
