/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/exit.h"

#include <errno.h>
#include <net/ethernet.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "capture/capture.h"

static bool is_local(const struct path *w, const struct address *a)
{
	for (unsigned i = 0; i < w->nlocals; i++)
		if (!address_compare(&w->locals[i], a))
			return true;
	return false;
}

/* Puts link header and virtio_net_hdr in front of p; returns the start. */
static uint8_t *frame_start(const struct packet *p, const uint8_t *link,
			    uint16_t link_len)
{
	const struct packet_offload *o = &p->offload;
	struct virtio_hdr v = {0};
	uint8_t *start = p->data - link_len;

	if (link_len)
		memmove(start, link, link_len);
	if (o->need_csum) {
		v.flags = VIRTIO_NEEDS_CSUM;
		v.csum_start = (uint16_t)(o->csum_start + link_len);
		v.csum_offset = o->csum_offset;
	}
	if (o->gso_type) {
		v.gso_type = o->gso_type;
		v.gso_size = o->gso_size;
		v.hdr_len = (uint16_t)(o->hdr_len + link_len);
	}
	start -= VIRTIO_HDR;
	memcpy(start, &v, VIRTIO_HDR);
	return start;
}

static uint32_t frame_length(const struct packet *p, const uint8_t *start)
{
	return (uint32_t)(p->data - start) + p->len + p->tail;
}

/* What cuts a super-packet needs to know for each piece. */
struct cut {
	struct path *w;
	int fd;
	uint8_t link[18];
	uint16_t link_len;
};

static int cut_one(struct packet *segment, void *arg)
{
	struct cut *cut = arg;
	uint8_t *start = frame_start(segment, cut->link, cut->link_len);

	if (write(cut->fd, start, frame_length(segment, start)) < 0)
		cut->w->shared->stats.refused++;
	return 0;
}

/* For where the kernel does not take super-packets after all. */
static void write_segments(struct path *w, int fd, struct packet *p,
			   const uint8_t *link, uint16_t link_len)
{
	static uint8_t scratch[PACKET_BUFFER];
	struct cut cut = {.w = w, .fd = fd, .link_len = link_len};

	memcpy(cut.link, link, link_len);
	w->shared->stats.segmented++;
	if (packet_segment(p, scratch, cut_one, &cut))
		w->shared->stats.refused++;
}

/* ---- tun0 --------------------------------------------------------------- */

/* no_gso: what is known of fd, and learnt. */
static void write_tun(struct path *w, int fd, bool *no_gso, struct packet *p)
{
	uint8_t *start;

	p->tail = 0;
	if (!(p->offload.gso_type && *no_gso)) {
		start = frame_start(p, NULL, 0);
		if (write(fd, start, frame_length(p, start)) >= 0)
			return;
		if (!(errno == EINVAL && p->offload.gso_type)) {
			w->shared->stats.refused++;
			return;
		}
		*no_gso = true;
	}
	write_segments(w, fd, p, NULL, 0);
}

/* A packet that is forwarded loses one of its TTL: it gets it beforehand. 255
 * cannot be raised; the chain behind the device knows. */
static void raise_ttl(struct packet *p)
{
	uint32_t ttl;

	if (!packet_get(p, FIELD_IP_TTL, &ttl) && ttl < 255)
		packet_set(p, FIELD_IP_TTL, ttl + 1);
}

/* What is for this host is delivered and keeps its TTL; what is not is
 * forwarded. */
static void exit_tun(struct path *w, struct packet *p)
{
	struct address dst = packet_dst(p);

	if (!is_local(w, &dst)) {
		if (!w->told_elsewhere) {
			w->told_elsewhere = true;
			w->elsewhere(w);
		}
		raise_ttl(p);
	}
	write_tun(w, w->tun.fd, &w->tun_no_gso, p);
}

/* ---- an uplink ---------------------------------------------------------- */

static uint32_t flow_hash(const struct packet *p)
{
	const uint8_t *a = packet_at(p, 12, 8);
	uint16_t sport = 0, dport = 0;
	uint32_t h = p->proto;

	if (a)
		h = (h ^ get_be32(a)) * 0x9e3779b1u ^ get_be32(a + 4);
	packet_ports(p, &sport, &dport);
	h = (h ^ ((uint32_t)sport << 16 | dport)) * 0x85ebca6bu;
	return h ^ h >> 15;
}

static void wait_for(struct path *w, struct port *port, bool wait)
{
	struct epoll_event e = {.events = wait ? EPOLLOUT : 0,
				.data.ptr = port};

	if (port->waiting == wait)
		return;
	port->waiting = wait;
	epoll_ctl(w->epoll, EPOLL_CTL_MOD, port->sock, &e);
}

static void enqueue(struct path *w, struct port *port, const struct packet *p,
		    const uint8_t *start)
{
	if (!queue_push(port->queue, start, frame_length(p, start),
			flow_hash(p), clock_monotonic()))
		w->shared->stats.queue_full++;
	wait_for(w, port, true);
}

static void exit_port(struct path *w, struct port *port, struct packet *p,
		      const uint8_t *link, uint16_t link_len)
{
	uint8_t *start = frame_start(p, link, link_len);

	if (!queue_empty(port->queue)) {
		enqueue(w, port, p, start);
		return;
	}
	if (!(p->offload.gso_type && port->no_gso)) {
		if (write(port->sock, start, frame_length(p, start)) >= 0)
			return;
		switch (errno) {
		case EAGAIN:
			enqueue(w, port, p, start);
			return;
		case EMSGSIZE:
			exit_tun(w, p);
			return;
		case EINVAL:
			if (p->offload.gso_type)
				break;
			/* fall through */
		default: /* the uplink's own queue is full, or it is down */
			w->shared->stats.refused++;
			return;
		}
		port->no_gso = true;
	}
	write_segments(w, port->sock, p, link, link_len);
}

void path_drain(struct path *w, struct port *port)
{
	struct iovec iov[QUEUE_IOV];
	int64_t now = clock_monotonic();
	int n;

	while ((n = queue_peek(port->queue, now, iov))) {
		if (writev(port->sock, iov, n) < 0) {
			if (errno == EAGAIN)
				return;
			w->shared->stats.refused++;
		}
		queue_pop(port->queue);
	}
	wait_for(w, port, false);
}

/* Hands p to the host as an arrival from port. */
static void exit_arrival(struct path *w, struct port *port, struct packet *p,
			 const uint8_t *link, uint16_t link_len)
{
	uint8_t *start = frame_start(p, link, link_len);

	if (write(port->in.fd, start, frame_length(p, start)) >= 0)
		return;
	if (errno == EINVAL && p->offload.gso_type)
		write_segments(w, port->in.fd, p, link, link_len);
	else
		w->shared->stats.refused++;
}

/* ---- the choice --------------------------------------------------------- */

/* Fits the next hop's link as it is: the kernel cuts what is larger. */
static bool fits(const struct port *port, const struct packet *p)
{
	return p->offload.gso_type || p->len <= port->mtu;
}

/*
 * A datagram that a rule made longer than a link takes: its sender could not
 * send less if it were told to, so it may be cut, whatever it said of its own.
 * To be put together again it needs an id, which one with DF need not have
 * (RFC 6864).
 */
static void allow_cutting(struct path *w, struct packet *p)
{
	uint32_t mtu = UINT32_MAX, id;

	if (p->len <= w->len || p->proto == 6 || p->offload.gso_type)
		return;
	for (struct port *port = w->ports; port; port = port->next)
		if (port->mtu < mtu)
			mtu = port->mtu;
	if (p->len <= mtu)
		return;
	packet_set(p, FIELD_IP_DF, 0);
	if (!packet_get(p, FIELD_IP_ID, &id) && !id)
		packet_set(p, FIELD_IP_ID, ++w->ident);
}

void exit_onward(struct path *w, struct packet *p)
{
	struct port *port = w->way->port;
	struct address dst;

	if (p->flags & PACKET_MODIFIED)
		allow_cutting(w, p);

	if (w->way->kind == WAY_ROUTE) {
		exit_tun(w, p);
		return;
	}
	dst = packet_dst(p);
	if (!w->way->leaving) {
		/* What passes through is still to be routed. */
		if (w->way->dir == DIR_IN && p->flags & PACKET_REDIRECTED &&
		    !is_local(w, &dst)) {
			exit_tun(w, p);
			return;
		}
		if (w->link_len)
			memcpy(w->link + 6, w->marker, 6);
		exit_arrival(w, port, p, w->link, w->link_len);
		return;
	}
	/* Redirected to this host it arrives by the uplink it would have left
	 * by, so that it is tracked, as what the uplink's peers send is. */
	if (p->flags & PACKET_REDIRECTED && is_local(w, &dst))
		exit_back(w, p);
	else if (p->flags & PACKET_MODIFIED &&
		 (p->flags & PACKET_REDIRECTED || !fits(port, p)))
		exit_tun(w, p);
	else
		exit_port(w, port, p, w->link, w->link_len);
}

/* ---- by an interface of the rule's choice ------------------------------- */

static struct path_via *via_find(struct path *w, const char *name)
{
	struct path_via *via;

	for (via = w->vias; via < w->vias + w->nvias; via++)
		if (!strcmp(via->name, name))
			return via;
	if (w->nvias == SCRIPT_VIAS_MAX)
		return NULL;
	w->nvias++;
	*via = (struct path_via){.fd = -1};
	strncpy(via->name, name, sizeof(via->name) - 1);
	return via;
}

void path_via_is(struct path *w, const char *name, int fd, bool usable)
{
	struct path_via *via = via_find(w, name);

	if (!via) {
		close(fd);
		return;
	}
	if (via->fd >= 0)
		close(via->fd);
	via->fd = fd;
	via->usable = usable && fd >= 0;
}

/* It would go there in any case, and with the right source. */
static bool goes_by(struct path *w, struct packet *p, const char *name)
{
	if (p->flags & PACKET_REDIRECTED)
		return false;
	/* It is known by which one it came. */
	if (p->dir == DIR_FORWARD && !p->leaving)
		return false;
	if (!p->iface)
		w->context.resolve(p, w);
	return p->iface && !strcmp(p->iface, name);
}

void exit_via(struct path *w, struct packet *p, const char *name)
{
	struct path_via *via;

	if (goes_by(w, p, name)) {
		exit_onward(w, p);
		return;
	}
	via = via_find(w, name);
	if (via && via->fd < 0 && !via->asked) {
		/* Once: it is answered, or was said why not. */
		via->asked = true;
		w->via(w, name);
	}
	if (!via || !via->usable) {
		w->shared->stats.via_lost++;
		return;
	}
	if (p->flags & PACKET_MODIFIED)
		allow_cutting(w, p);
	raise_ttl(p);
	write_tun(w, via->fd, &via->no_gso, p);
}

/* Six bytes each: to, from; what follows is the packet's own. */
static void link_write(struct path *w, const uint8_t *to, const uint8_t *from)
{
	uint8_t link[12];

	memcpy(link, to, 6);
	memcpy(link + 6, from, 6);
	memcpy(w->link, link, 12);
}

void exit_back(struct path *w, struct packet *q)
{
	struct port *port = w->way->port;
	uint8_t link[18];

	if (w->way->kind == WAY_ROUTE) {
		exit_tun(w, q);
		return;
	}
	memcpy(link, w->link, w->link_len);
	if (!w->way->leaving) {
		if (w->link_len)
			link_write(w, link + 6, port->mac);
		if (fits(port, q))
			exit_port(w, port, q, w->link, w->link_len);
		else
			exit_tun(w, q);
	} else {
		if (w->link_len)
			link_write(w, port->mac, w->marker);
		exit_arrival(w, port, q, w->link, w->link_len);
	}
	memcpy(w->link, link, w->link_len);
}

/* A packet that a rule made without saying from whom is from this host. */
void exit_source(struct path *w, struct packet *p)
{
	struct address dst, source;

	if (!packet_lacks_source(p))
		return;
	dst = packet_dst(p);
	if (!route_source(w->route_lookup, &dst, &source))
		packet_set_address(p, FIELD_IP_SRC, &source);
}

/* p is sent while no packet is in the rules. What answers this host by the
 * wire arrives as it would have at once: from the uplink. So does what passes
 * through and was not routed when it was taken, or answers what was. */
static void exit_later(struct path *w, struct packet *p)
{
	struct port *port = p->way == WAY_WIRE ? path_port(w, p->ifindex)
					       : NULL;
	struct address dst = packet_dst(p);
	bool passing = p->dir == DIR_FORWARD && !p->leaving;
	uint8_t link[14];

	if (!port || p->flags & PACKET_ODD || !(passing || is_local(w, &dst))) {
		exit_tun(w, p);
		return;
	}
	memcpy(link, port->mac, 6);
	memcpy(link + 6, w->marker, 6);
	put_be16(link + 12, ETHERTYPE_IP);
	exit_arrival(w, port, p, link, port->link_len);
}

/* p is for elsewhere, but from whom sent the packet in the rules, and that was
 * not routed yet: so will p be, with the translation that the sender gets. */
static bool still_passes(const struct path *w, const struct packet *p)
{
	struct address src = packet_src(p);

	return w->way->dir == DIR_FORWARD && !w->way->leaving &&
	       !address_compare(&src, &w->src);
}

void exit_emit(struct path *w, const struct packet *q)
{
	struct packet p = {.head = w->out, .size = sizeof(w->out)};
	struct address dst;
	uint8_t link[18];

	if (packet_clone(&p, q)) {
		w->shared->stats.no_room++;
		return;
	}
	exit_source(w, &p);
	if (!w->way) {
		exit_later(w, &p);
		return;
	}
	script_flow_made(w->script, q, &p);
	dst = packet_dst(&p);
	if (p.flags & PACKET_ODD || w->way->kind == WAY_ROUTE) {
		exit_tun(w, &p);
		return;
	}
	if (!address_compare(&dst, &w->src)) {
		exit_back(w, &p);
		return;
	}
	if (address_compare(&dst, &w->dst) && !still_passes(w, &p)) {
		exit_tun(w, &p);
		return;
	}
	/* The same next hop as the packet in the rules; or it is still to be
	 * found, as the sender's. */
	p.flags &= (uint16_t)~PACKET_REDIRECTED;
	p.flags |= PACKET_MODIFIED;
	memcpy(link, w->link, w->link_len);
	exit_onward(w, &p);
	memcpy(w->link, link, w->link_len);
}
