/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/takeover.h"

#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"

#define SAY_AGAIN (60 * NSEC_PER_SEC)

static void say(struct takeover *t, const struct error *err)
{
	int64_t now = clock_monotonic();

	if (t->said && now - t->said < SAY_AGAIN)
		return;
	t->said = now;
	log_error("connections that rules let by or drop: %s", err->text);
}

/* A worker may say anything. */
static bool is_sound(const struct message_flow *m)
{
	return (m->proto == IPPROTO_TCP || m->proto == IPPROTO_UDP) &&
	       m->end[0].size == 4 && m->end[1].size == 4 && m->port[0] &&
	       m->port[1];
}

static bool is_same(const struct capture_flow *a, const struct capture_flow *b)
{
	return a->proto == b->proto && a->drop == b->drop &&
	       a->port[0] == b->port[0] && a->port[1] == b->port[1] &&
	       !address_compare(&a->end[0], &b->end[0]) &&
	       !address_compare(&a->end[1], &b->end[1]);
}

/* Of each the last word. */
static unsigned note(struct capture_flow *list, unsigned count,
		     const struct capture_flow *f)
{
	for (unsigned i = 0; i < count; i++)
		if (is_same(&list[i], f)) {
			list[i] = *f;
			return count;
		}
	list[count] = *f;
	return count + 1;
}

bool takeover_do(struct takeover *t, struct message_flows *m)
{
	struct capture_flow list[MESSAGE_FLOWS_MAX];
	unsigned n = 0, answers = 0;
	struct error err;

	if (!t->capture)
		return false;
	for (uint32_t i = 0; i < m->count && i < MESSAGE_FLOWS_MAX; i++) {
		struct message_flow *one = &m->flow[i];
		struct capture_flow f = {
			.proto = one->proto,
			.hold = one->what == MESSAGE_HOLD,
			.drop = one->drop != 0,
			.end = {one->end[0], one->end[1]},
			.port = {one->port[0], one->port[1]},
		};

		if (!is_sound(one))
			continue;
		if (one->what == MESSAGE_HOLD || one->what == MESSAGE_RELEASE) {
			n = note(list, n, &f);
		} else if (one->what == MESSAGE_ASK && !capture_flow_count(t->capture, &f,
					       &one->packets)) {
			m->flow[answers] = *one;
			m->flow[answers++].what = MESSAGE_COUNTED;
		}
	}
	t->any |= n != 0;
	if (n && capture_flows(t->capture, list, n, &err))
		say(t, &err);
	m->count = answers;
	return answers != 0;
}

void takeover_clear(struct takeover *t)
{
	struct error err;

	if (t->any && capture_flows_clear(t->capture, &err))
		say(t, &err);
	t->any = false;
}
