/* SPDX-License-Identifier: GPL-2.0-or-later */
/* In: parse, rules, verdict. The exits are in exit.c. */
#include "daemon/path.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "capture/capture.h"
#include "daemon/exit.h"

/* Packets read from one descriptor before the others have their turn. */
#define READ_BATCH 64
/* Timers that are run before packets have their turn. */
#define TICK_BATCH 64

struct port *path_port(struct path *w, int ifindex)
{
	for (struct port *port = w->ports; port; port = port->next)
		if (port->ifindex == ifindex)
			return port;
	return NULL;
}

void path_routes_changed(struct path *w)
{
	memset(w->routes, 0, sizeof(w->routes));
}

static uint32_t address_hash(const struct address *a)
{
	uint32_t h = 2166136261u;

	for (int i = 0; i < a->size; i++)
		h = (h ^ a->byte[i]) * 16777619u;
	return h;
}

/* By route nothing says which uplink a packet is for: ask the kernel, once
 * for each pair of addresses. */
static void resolve(struct packet *p, void *arg)
{
	struct path *w = arg;
	struct address src, dst;
	struct path_route *r;
	struct port *port;

	if (p->ifindex || p->flags & PACKET_ODD)
		return;
	src = packet_src(p);
	dst = packet_dst(p);
	r = &w->routes[(address_hash(&src) * 31 + address_hash(&dst)) &
		       (PATH_ROUTES - 1)];
	if (!r->ifindex || address_compare(&r->src, &src) ||
	    address_compare(&r->dst, &dst)) {
		int ifindex = route_lookup(w->route_lookup, &src, &dst);

		if (ifindex <= 0)
			return;
		*r = (struct path_route){src, dst, ifindex};
	}
	port = path_port(w, r->ifindex);
	if (!port)
		return;
	p->ifindex = port->ifindex;
	p->iface = port->name;
}

/* ---- what rules ask for ------------------------------------------------ */

static int host_send(void *arg, struct packet *p)
{
	exit_emit(arg, p);
	return 0;
}

static void host_log(void *arg, const char *text)
{
	(void)arg;
	/* A dump has several lines. */
	do {
		size_t n = strcspn(text, "\n");

		log_info("%.*s", (int)n, text);
		text += n + (text[n] == '\n');
	} while (*text);
}

void path_count(struct path_named named[PATH_NAMED_MAX], const char *name,
		uint64_t n)
{
	const size_t most = sizeof(named->name) - 1;

	for (int i = 0; i < PATH_NAMED_MAX; i++) {
		if (!*named[i].name)
			memcpy(named[i].name, name, strnlen(name, most));
		else if (strncmp(named[i].name, name, most))
			continue;
		named[i].n += n;
		return;
	}
}

static void host_count(void *arg, const char *name, uint64_t n)
{
	path_count(((struct path *)arg)->shared->named, name, n);
}

/* A packet that no rule has: what a timer or a task was told to show. */
static void show_alone(struct path *w, const struct packet *p,
		       const char *note)
{
	struct event e;

	if (!w->audit)
		return;
	event_begin(&e, p);
	e.verdict = VERDICT_NONE;
	strncpy(e.note, note, sizeof(e.note) - 1);
	e.note[sizeof(e.note) - 1] = '\0';
	w->event(w, &e);
}

static void host_audit(void *arg, struct packet *p, const char *note)
{
	struct path *w = arg;
	size_t n = strnlen(note, sizeof(w->seen.note) - 1);

	if (!w->way) {
		show_alone(w, p, note);
		return;
	}
	memcpy(w->seen.note, note, n);
	w->seen.note[n] = '\0';
	w->show = true;
}

static int64_t host_now(void *arg)
{
	return ((struct path *)arg)->context.now;
}

static int64_t host_clock(void *arg)
{
	return ((struct path *)arg)->clock;
}

static void host_failed(void *arg, const char *text)
{
	((struct path *)arg)->shared->stats.errors++;
	log_warn("%s", text);
}

static void host_source(void *arg, struct packet *p)
{
	exit_source(arg, p);
}

/* Functions are called through these, which note for the watchdog which rule
 * it was. */
static int call_where(void *arg, const struct rule *r, struct packet *p)
{
	const struct ruleset_calls *calls =
		script_calls(((struct path *)arg)->script);

	atomic_store_explicit(&((struct path *)arg)->shared->rule, r->index,
			      memory_order_relaxed);
	return calls->where(calls->arg, r, p);
}

static void call_action(void *arg, const struct rule *r, struct packet *p,
			struct verdict *v)
{
	const struct ruleset_calls *calls =
		script_calls(((struct path *)arg)->script);

	atomic_store_explicit(&((struct path *)arg)->shared->rule, r->index,
			      memory_order_relaxed);
	calls->action(calls->arg, r, p, v);
}

void path_init(struct path *w)
{
	struct script_host *host = &w->host;

	host->arg = w;
	host->send = host_send;
	host->log = host_log;
	host->count = host_count;
	host->audit = host_audit;
	host->resolve = resolve;
	host->now = host_now;
	host->clock = host_clock;
	host->failed = host_failed;
	host->source = host_source;
	w->context = (struct match_context){.resolve = resolve, .arg = w};
	w->calls = (struct ruleset_calls){call_where, call_action, w};
	w->original.undo.bytes = w->before;
	script_set_host(w->script, host);
}

/* ---- time --------------------------------------------------------------- */

static void look_at_clocks(struct path *w)
{
	w->context.now = clock_wall();
	w->clock = clock_monotonic();
}

/* Around what runs functions of rules, for the watchdog. */
static void step(struct path *w)
{
	atomic_fetch_add_explicit(&w->shared->step, 1, memory_order_relaxed);
}

void path_start(struct path *w, bool tasks)
{
	look_at_clocks(w);
	script_start(w->script, tasks);
}

int64_t path_tick(struct path *w)
{
	/* Nothing waits: not even a look at the clock. */
	if (script_timeout(w->script) < 0)
		return -1;
	look_at_clocks(w);
	atomic_store_explicit(&w->shared->rule, EVENT_RULE_NONE,
			      memory_order_relaxed);
	for (int i = 0; i < TICK_BATCH && !script_timeout(w->script); i++) {
		step(w);
		script_tick(w->script);
		step(w);
	}
	return script_timeout(w->script);
}

void path_expected(struct path *w, uint32_t id, int error, uint16_t port)
{
	look_at_clocks(w);
	script_expected(w->script, id, error, port);
}

/* ---- the verdict -------------------------------------------------------- */

static void reject(struct path *w, struct packet *p, int code)
{
	struct packet answer = {.head = w->made, .size = sizeof(w->made)};

	/* What must not be answered is only dropped. */
	if (!original_reject(&w->original, p, code, &answer))
		exit_back(w, &answer);
}

static void failed(struct path *w, struct packet *p, struct verdict *v)
{
	w->shared->stats.errors++;
	log_warn("%s", script_error(w->script));
	original_restore(&w->original, p);
	p->undo = &w->original.undo;
	v->kind = w->rules->on_error;
}

static void failed_stream(struct path *w)
{
	w->shared->stats.errors++;
	log_warn("%s", script_error(w->script));
}

static void decided(struct path *w, struct packet *p, const struct verdict *v)
{
	switch (v->kind) {
	case VERDICT_ACCEPT:
		exit_onward(w, p);
		break;
	case VERDICT_VIA:
		exit_via(w, p, v->via);
		break;
	case VERDICT_REJECT:
		reject(w, p, v->reject_code);
		break;
	case VERDICT_REPLACE:
		for (uint32_t i = 0; i < v->count; i++)
			exit_emit(w, v->packets[i]);
		break;
	default: /* DROP */
		break;
	}
}

/* ---- in ----------------------------------------------------------------- */

static void show(struct path *w, struct packet *p, const struct verdict *v)
{
	struct packet before = original_view(&w->original);

	if (w->context.resolve && !p->iface)
		resolve(p, w);
	event_end(&w->seen, &before, p, v);
	w->event(w, &w->seen);
}

/*
 * What arrived because a probe's answer might: true if it is one, or is handed
 * on because arrivals are not for the rules.
 */
static bool probe_took(struct path *w, struct packet *p)
{
	bool answer;

	step(w);
	answer = script_answer(w->script, p);
	step(w);
	if (answer)
		return true;
	if (w->rules->dirs & 1u << DIR_IN)
		return false;
	exit_onward(w, p);
	return true;
}

/* frame: n bytes, its link header included, in w->in. */
static void handle(struct path *w, const struct way *way, uint8_t *frame,
		   uint32_t n, const struct packet_offload *offload)
{
	struct path_stats *stats = &w->shared->stats;
	struct packet p;
	struct verdict v;

	packet_init(&p, w->in, sizeof(w->in), frame + w->link_len,
		    n - w->link_len, offload);
	p.link_len = w->link_len;
	p.dir = way->dir;
	p.leaving = way->leaving;
	p.way = way->kind;
	p.time = w->context.now;
	if (way->port) {
		p.ifindex = way->port->ifindex;
		p.iface = way->port->name;
	}
	memcpy(w->link, frame, w->link_len);
	w->way = way;
	w->src = packet_src(&p);
	w->dst = packet_dst(&p);
	w->len = p.len;
	if (w->rules->probes && way->dir == DIR_IN && probe_took(w, &p)) {
		w->way = NULL;
		return;
	}
	original_keep(&w->original, &p);
	w->show = w->audit && (!w->filter || pcap_filter_match(w->filter, &p));
	if (w->audit)
		event_begin(&w->seen, &p);
	stats->packets++;
	stats->bytes += p.len;

	step(w);
	if (!script_flow_begin(w->script, &p, &v))
		ruleset_run(w->rules, &p, &w->context, &w->calls,
			    w->shared->rules, &v);
	stats->verdict[v.kind]++;
	if (v.kind == VERDICT_ERROR)
		failed(w, &p, &v);
	if (script_flow_end(w->script, &p, &v))
		failed_stream(w);
	step(w);

	if (w->audit && w->show)
		show(w, &p, &v);
	p.undo = NULL;
	decided(w, &p, &v);
	w->way = NULL;
}

/* virtio_net_hdr (virtio 1.2, 5.1.6) counts from the frame, the packet from
 * its IP header. */
static void offload_read(struct packet_offload *o, const uint8_t *h,
			 uint16_t link_len)
{
	struct virtio_hdr v;

	memcpy(&v, h, sizeof(v));
	*o = (struct packet_offload){
		.need_csum = v.flags & VIRTIO_NEEDS_CSUM &&
			     v.csum_start >= link_len,
		.csum_start = (uint16_t)(v.csum_start - link_len),
		.csum_offset = v.csum_offset,
		.gso_type = v.gso_type,
		.gso_size = v.gso_size,
		.hdr_len = (uint16_t)(v.hdr_len > link_len
					      ? v.hdr_len - link_len
					      : 0),
	};
	if (!o->need_csum)
		o->csum_start = o->csum_offset = 0;
}

/* The bytes of the link header in front of n bytes at frame. */
static uint16_t link_length(const struct way *way, const uint8_t *frame,
			    uint32_t n)
{
	uint16_t type;

	if (way->kind == WAY_ROUTE || !way->port->link_len)
		return 0;
	if (n < 18)
		return way->port->link_len;
	type = get_be16(frame + 12);
	return type == 0x8100 || type == 0x88a8 ? 18 : way->port->link_len;
}

void path_read(struct path *w, const struct way *way)
{
	/* Place the IP header where a header of any length fits in front of
	 * it, and aligned. */
	uint16_t usual = way->port ? way->port->link_len : 0;
	uint8_t *start = w->in + PACKET_HEADROOM - usual - VIRTIO_HDR;

	look_at_clocks(w);
	for (int i = 0; i < READ_BATCH; i++) {
		ssize_t n = read(way->fd, start,
				 sizeof(w->in) - (size_t)(start - w->in));
		struct packet_offload offload;

		if (n < 0)
			break;
		if (n < VIRTIO_HDR + usual + 1) {
			w->shared->stats.short_read++;
			if (!n)
				break;
			continue;
		}
		n -= VIRTIO_HDR;
		w->link_len = link_length(way, start + VIRTIO_HDR,
					  (uint32_t)n);
		offload_read(&offload, start, w->link_len);
		handle(w, way, start + VIRTIO_HDR, (uint32_t)n, &offload);
	}
}
