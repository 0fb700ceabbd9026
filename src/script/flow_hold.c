/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows whose packets need not come any more, because a rule has decided
 * about them for good: the host holds them. What it lacks comes here and is
 * decided in the same way, so nothing hangs on it; but one that is held must
 * not outlive the connection, or the next one between these ports would not
 * be seen. Enters no Lua.
 */
#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "script/flow_use.h"

#define TCP_RST 0x04u

/* What comes although it is held was on its way; or the host has forgotten
 * it: then it is told again. */
#define AGAIN (5 * NSEC_PER_SEC)

static struct script_flow flow_of_key(const struct flow_key *k)
{
	struct script_flow f = {.proto = k->proto};

	for (int i = 0; i < 2; i++) {
		f.end[i].size = k->address_size;
		memcpy(f.end[i].byte, k->end[i].address, k->address_size);
		f.port[i] = k->end[i].port;
	}
	return f;
}

/* Not before a TCP connection is there: whoever only knocks needs no place. */
static bool can_be_held(const struct script_flows *fs)
{
	const struct flow *f = fs->flow;
	bool tcp = f->key.proto == IPPROTO_TCP;

	if (!tcp && f->key.proto != IPPROTO_UDP)
		return false;
	/* Fragments and errors belong to it, but cannot be told there; nor
	 * can what goes by another name. */
	if (fs->fp.icmp_error || !f->key.end[0].port || !f->key.end[1].port ||
	    memcmp(&f->key, &fs->fp.key, sizeof(f->key)))
		return false;
	if (f->adjust || f->streams || f->fin)
		return false;
	return !tcp ||
	       ((f->class == FLOW_TCP || f->class == FLOW_TCP_HELD) &&
		!(fs->fp.tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)));
}

void hold_consider(struct script_flows *fs)
{
	const struct script_host *host = &fs->script->host;
	int64_t now = script_now(fs->script);
	struct flow *f = fs->flow;
	struct script_flow named;

	/* Where both ends are done, or all that is seen of them. */
	if (f->held && (f->fin || f->class == FLOW_TCP_CLOSED))
		hold_end(fs, f);
	if (!host->hold || !can_be_held(fs) ||
	    (f->held && now - f->held < AGAIN))
		return;
	named = flow_of_key(&f->key);
	host->hold(host->arg, &named, f->verdict == VERDICT_ACCEPT);
	flow_hold(fs->table, f, true, now);
}

void hold_end(struct script_flows *fs, struct flow *f)
{
	const struct script_host *host = &fs->script->host;
	struct script_flow named;

	if (!f->held)
		return;
	named = flow_of_key(&f->key);
	flow_hold(fs->table, f, false, f->last);
	if (host->release)
		host->release(host->arg, &named,
			      f->verdict == VERDICT_ACCEPT);
}

void hold_idle(void *arg, struct flow *f)
{
	struct script_flows *fs = arg;
	const struct script_host *host = &fs->script->host;
	struct script_flow named = flow_of_key(&f->key);

	if (host->ask)
		host->ask(host->arg, &named);
}

/* It was asked because nothing came here for as long as it may be idle; and
 * once more as long later. */
void script_counted(struct script *s, const struct script_flow *named,
		    uint64_t packets)
{
	struct script_flows *fs = s->flows;
	struct flow_packet fp;
	struct flow_key *k = &fp.key;
	struct flow *f;

	if (!fs || named->end[0].size != 4 || named->end[1].size != 4)
		return;
	memset(&fp, 0, sizeof(fp));
	k->proto = named->proto;
	k->address_size = 4;
	for (int i = 0; i < 2; i++) {
		memcpy(k->end[i].address, named->end[i].byte, 4);
		k->end[i].port = named->port[i];
	}
	f = flow_of(fs->table, k);
	if (!f || !f->held)
		return;
	if (packets == f->held_packets)
		flow_end(fs->table, f);
	else
		f->held_packets = packets;
}
