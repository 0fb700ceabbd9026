/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sr1(): a packet is sent, and the task waits for the one that answers it.
 * The answer has to be brought here before the kernel sees it: the host is
 * asked for that first (expect), and the packet is sent when it says that it
 * will be so. What was asked for is kept for a while after the end: the other
 * side repeats its answer, and the kernel would send a RST for it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "script/internal.h"

/* How long an answer is waited for where it is not said. */
#define TIMEOUT_DEFAULT (2 * NSEC_PER_SEC)
/* As long as a SYN-ACK is repeated, with Linux's settings. */
#define LINGER (64 * NSEC_PER_SEC)

/* ---- which packet answers ---------------------------------------------- */

/* The question that p asks; false: it is none that is answered. */
static bool probe_read(struct probe *q, const struct packet *p)
{
	uint32_t type, id, seq;

	q->proto = p->proto;
	q->src = packet_src(p);
	q->dst = packet_dst(p);
	if (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP)
		return !packet_ports(p, &q->sport, &q->dport);
	if (p->proto != IPPROTO_ICMP ||
	    packet_get(p, FIELD_ICMP_TYPE, &type) || type != ICMP_ECHO ||
	    packet_get(p, FIELD_ICMP_ID, &id) ||
	    packet_get(p, FIELD_ICMP_SEQ, &seq))
		return false;
	q->sport = (uint16_t)id;
	q->dport = (uint16_t)seq;
	return true;
}

/* An ICMP error quotes the IP header and at least 8 bytes (RFC 792). */
static bool quotes(const struct probe *q, const struct packet *p)
{
	uint32_t at = p->transport + 8u, type;
	struct address src, dst;
	const uint8_t *b;

	if (packet_get(p, FIELD_ICMP_TYPE, &type) ||
	    (type != ICMP_UNREACH && type != ICMP_TIMXCEED &&
	     type != ICMP_PARAMPROB))
		return false;
	b = packet_at(p, at, 20);
	if (!b || b[0] >> 4 != 4 || b[9] != q->proto)
		return false;
	src = address_v4(b + 12);
	dst = address_v4(b + 16);
	if (address_compare(&src, &q->src) || address_compare(&dst, &q->dst))
		return false;
	b = packet_at(p, at + (b[0] & 15u) * 4, 8);
	if (!b)
		return false;
	if (q->proto == IPPROTO_ICMP)
		return b[0] == ICMP_ECHO && get_be16(b + 4) == q->sport &&
		       get_be16(b + 6) == q->dport;
	return get_be16(b) == q->sport && get_be16(b + 2) == q->dport;
}

static bool answers(const struct probe *q, const struct packet *p)
{
	struct address src = packet_src(p), dst = packet_dst(p);
	uint32_t type, id, seq;
	uint16_t sport, dport;

	if (p->proto == IPPROTO_ICMP && quotes(q, p))
		return true;
	if (p->proto != q->proto || address_compare(&src, &q->dst) ||
	    address_compare(&dst, &q->src))
		return false;
	if (p->proto == IPPROTO_ICMP)
		return !packet_get(p, FIELD_ICMP_TYPE, &type) &&
		       type == ICMP_ECHOREPLY &&
		       !packet_get(p, FIELD_ICMP_ID, &id) && id == q->sport &&
		       !packet_get(p, FIELD_ICMP_SEQ, &seq) && seq == q->dport;
	return !packet_ports(p, &sport, &dport) && sport == q->dport &&
	       dport == q->sport;
}

/* ---- probes come and go ------------------------------------------------ */

static void probe_forget(struct script *s, struct probe *q)
{
	timer_clear(s, &q->timer);
	if (q->expected)
		s->host.unexpect(s->host.arg, q->proto, q->sport);
	*q = (struct probe){.state = PROBE_FREE};
}

static void probe_fire(struct script *s, struct timer *t)
{
	probe_forget(s, (struct probe *)t);
}

/* A free one, else the one that has been over for longest, else NULL. */
static struct probe *probe_take(struct script *s)
{
	struct probe *oldest = NULL;

	for (uint32_t i = 0; i < PROBES_MAX; i++) {
		struct probe *q = &s->tasks.probe[i];

		if (q->state == PROBE_FREE)
			return q;
		if (q->state == PROBE_OVER &&
		    (!oldest || q->timer.due < oldest->timer.due))
			oldest = q;
	}
	if (oldest)
		probe_forget(s, oldest);
	return oldest;
}

void probe_over(struct script *s, struct task *t)
{
	struct probe *q = t->probe;

	t->probe = NULL;
	q->task = NULL;
	q->state = PROBE_OVER;
	timer_set(s, &q->timer, LINGER);
}

/* Sends what t asked for; its answer will be brought here. */
static void probe_go(struct script *s, struct task *t)
{
	int r = s->host.send(s->host.arg, t->packet);

	t->probe->state = PROBE_WAITS;
	if (r < 0) {
		t->error = r;
		probe_over(s, t);
		task_wake(s, t, TASK_REFUSED);
		return;
	}
	t->state = TASK_WAITS;
	timer_set(s, &t->timer, t->timeout);
}

void script_expected(struct script *s, uint32_t id, int error, uint16_t port)
{
	struct probe *q = NULL;
	struct task *t;

	for (uint32_t i = 0; s->tasks.probe && i < PROBES_MAX; i++)
		if (s->tasks.probe[i].state == PROBE_ASKED &&
		    s->tasks.probe[i].id == id)
			q = &s->tasks.probe[i];
	if (!q)
		return;
	t = q->task;
	if (error) {
		t->error = error;
		t->probe = NULL;
		probe_forget(s, q);
		task_wake(s, t, TASK_REFUSED);
		return;
	}
	q->expected = true;
	if (port != q->sport) {
		packet_set(t->packet, q->proto == IPPROTO_TCP ? FIELD_TCP_SPORT
							      : FIELD_UDP_SPORT,
			   port);
		q->sport = port;
	}
	probe_go(s, t);
}

/* ---- the answer -------------------------------------------------------- */

static int keep_answer(lua_State *L)
{
	const struct task *t = lua_touserdata(L, 1);

	lua_rawgeti(L, LUA_REGISTRYINDEX, t->ref);
	object_push_copy(L, lua_touserdata(L, 2));
	lua_setiuservalue(L, -2, TASK_PACKET);
	return 0;
}

static void take(struct script *s, struct probe *q, const struct packet *p)
{
	struct task *t = q->task;
	lua_State *L = s->L;
	int status;

	lua_settop(L, 0);
	limit_arm(s, s->call_budget);
	lua_pushcfunction(L, limit_handler);
	lua_pushcfunction(L, keep_answer);
	lua_pushlightuserdata(L, t);
	lua_pushlightuserdata(L, (void *)p);
	status = limit_call(s, 2, 0);
	limit_disarm(s, status);
	lua_settop(L, 0);
	probe_over(s, t);
	t->error = -ENOMEM;
	task_wake(s, t, status == LUA_OK ? TASK_ANSWERED : TASK_REFUSED);
}

bool script_answer(struct script *s, const struct packet *p)
{
	bool repeated = false;

	if (!s->tasks.probe || p->flags & PACKET_ODD || !p->transport)
		return false;
	for (uint32_t i = 0; i < PROBES_MAX; i++) {
		struct probe *q = &s->tasks.probe[i];

		if ((q->state != PROBE_WAITS && q->state != PROBE_OVER) ||
		    !answers(q, p))
			continue;
		if (q->state == PROBE_WAITS) {
			take(s, q, p);
			return true;
		}
		repeated = true;
	}
	/* What answers again is not the kernel's business either. */
	return repeated;
}

/* ---- sr1 --------------------------------------------------------------- */

static const char *refusal(int error)
{
	switch (error) {
	case -EADDRINUSE:
		return "the source port is in use on this host";
	case -ENOBUFS:
		return "too many probes at once";
	case -EAGAIN:
		return "busy; try again";
	default:
		return strerror(-error);
	}
}

/* With what the task was resumed: a packet; nil; or nil and an error. */
static int answered(lua_State *L, int status, lua_KContext ctx)
{
	int n = lua_gettop(L) - (int)ctx;

	(void)status;
	if (n == 2) {
		int error = (int)lua_tointeger(L, -1);

		lua_pop(L, 1);
		lua_pushstring(L, refusal(error));
	}
	return n;
}

static int refuse(lua_State *L, int error)
{
	lua_pushnil(L);
	lua_pushstring(L, refusal(error));
	return 2;
}

static int sr1(lua_State *L)
{
	struct task *t = task_current(L, "sr1()");
	struct script *s = script_of(L);
	const struct packet *in = object_check(L, 1);
	struct probe *q;
	bool any;

	t->timeout = lua_isnoneornil(L, 2) ? TIMEOUT_DEFAULT
					   : timer_seconds(L, 2, "sr1");
	if (!s->host.send)
		return luaL_error(L, "sr1() is not available here");
	lua_settop(L, 1);
	lua_rawgeti(L, LUA_REGISTRYINDEX, t->ref);
	t->packet = object_push_copy(L, in);
	lua_setiuservalue(L, 2, TASK_PACKET);
	lua_settop(L, 1);
	if (s->host.source)
		s->host.source(s->host.arg, t->packet);
	q = probe_take(s);
	if (!q)
		return refuse(L, -ENOBUFS);
	*q = (struct probe){.timer.fire = probe_fire};
	if (!probe_read(q, t->packet))
		return luaL_error(L, "sr1: only TCP, UDP and ICMP echo "
				     "requests are answered");
	q->task = t;
	q->id = ++s->tasks.probe_id;
	q->state = PROBE_ASKED;
	t->probe = q;
	t->state = TASK_ASKS;
	if (q->proto == IPPROTO_ICMP || !s->host.expect) {
		probe_go(s, t);
		return lua_yieldk(L, 0, 1, answered);
	}
	/* A port that nobody chose may be replaced by another. */
	any = !q->sport || object_drawn_port(L, 1) == q->sport;
	t->error = s->host.expect(s->host.arg, q->id, q->proto, q->sport, any);
	if (t->error) {
		t->probe = NULL;
		probe_forget(s, q);
		t->state = TASK_RUNNING;
		return refuse(L, t->error);
	}
	return lua_yieldk(L, 0, 1, answered);
}

void probes_open(lua_State *L)
{
	lua_register(L, "sr1", sr1);
}
