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

static void host_audit(void *arg, struct packet *p, const char *note)
{
	struct path *w = arg;
	size_t n = strnlen(note, sizeof(w->seen.note) - 1);

	(void)p;
	memcpy(w->seen.note, note, n);
	w->seen.note[n] = '\0';
	w->show = true;
}

static int64_t host_now(void *arg)
{
	return ((struct path *)arg)->context.now;
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
	const struct script_host host = {
		.arg = w,
		.send = host_send,
		.log = host_log,
		.count = host_count,
		.audit = host_audit,
		.resolve = resolve,
		.now = host_now,
	};

	w->context = (struct match_context){.resolve = resolve, .arg = w};
	w->calls = (struct ruleset_calls){call_where, call_action, w};
	w->original.undo.bytes = w->before;
	script_set_host(w->script, &host);
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
	original_keep(&w->original, &p);
	w->show = w->audit && (!w->filter || pcap_filter_match(w->filter, &p));
	if (w->audit)
		event_begin(&w->seen, &p);
	stats->packets++;
	stats->bytes += p.len;

	atomic_fetch_add_explicit(&w->shared->step, 1, memory_order_relaxed);
	if (!script_flow_begin(w->script, &p, &v))
		ruleset_run(w->rules, &p, &w->context, &w->calls,
			    w->shared->rules, &v);
	stats->verdict[v.kind]++;
	if (v.kind == VERDICT_ERROR)
		failed(w, &p, &v);
	if (script_flow_end(w->script, &p, &v))
		failed_stream(w);
	atomic_fetch_add_explicit(&w->shared->step, 1, memory_order_relaxed);

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

	w->context.now = clock_wall();
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
