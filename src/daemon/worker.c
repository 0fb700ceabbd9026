/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loop around the packet path, and what the supervisor says to it. */
#include "daemon/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/capture.h"
#include "daemon/handoff.h"
#include "daemon/message.h"
#include "daemon/share.h"

/* Lines a second that a worker may say, and how many at once. */
#define LOG_RATE  5
#define LOG_BURST 20
/* A worker with nothing to do says so this often. */
#define BEAT_MS	  1000

struct worker {
	struct path path;
	int sock;
	double log_tokens;
	int64_t log_time;
	struct share *share;
	struct handoff handoff;
	struct port *gone; /* freed once no event can name them */
	bool up;
	enum { DONE_NOT, DONE_TASKS, DONE_ALL } done; /* as was told */
};

static void log_to_supervisor(enum log_level level, const char *text, void *arg)
{
	struct worker *w = arg;
	struct message m = {.kind = MESSAGE_LOG};
	int64_t now = clock_monotonic();

	w->log_tokens += (double)(now - w->log_time) * LOG_RATE / NSEC_PER_SEC;
	if (w->log_tokens > LOG_BURST)
		w->log_tokens = LOG_BURST;
	w->log_time = now;
	if (w->log_tokens < 1) {
		w->path.shared->stats.logs_lost++;
		return;
	}
	w->log_tokens -= 1;
	m.log.level = level;
	strncpy(m.log.text, text, sizeof(m.log.text) - 1);
	if (message_send(w->sock, &m, NULL, 0))
		w->path.shared->stats.logs_lost++;
}

static void event_to_supervisor(struct path *path, const struct event *e)
{
	struct message m;

	m.kind = MESSAGE_EVENT;
	m.event = *e;
	if (message_send(((struct worker *)path->event_arg)->sock, &m, NULL, 0))
		path->shared->stats.events_lost++;
}

static void elsewhere_to_supervisor(struct path *path)
{
	struct message m = {.kind = MESSAGE_ELSEWHERE};

	/* Where it does not get through, the next packet says it again. */
	if (message_send(((struct worker *)path->event_arg)->sock, &m, NULL, 0))
		path->told_elsewhere = false;
}

static void via_from_supervisor(struct path *path, const char *name)
{
	struct message m = {.kind = MESSAGE_VIA};

	strncpy(m.via.name, name, sizeof(m.via.name) - 1);
	/* Where it does not get through, the next packet asks again. */
	if (message_send(((struct worker *)path->event_arg)->sock, &m, NULL, 0))
		for (unsigned i = 0; i < path->nvias; i++)
			path->vias[i].asked &= path->vias[i].fd >= 0;
}

static int expect_from_supervisor(void *arg, uint32_t id, uint8_t proto,
				  uint16_t port, bool any)
{
	struct message m = {.kind = MESSAGE_EXPECT};

	m.expect.id = id;
	m.expect.proto = proto;
	m.expect.port = port;
	m.expect.any = any;
	return message_send(((struct worker *)((struct path *)arg)->event_arg)
				    ->sock, &m, NULL, 0);
}

static void unexpect_from_supervisor(void *arg, uint8_t proto, uint16_t port)
{
	struct message m = {.kind = MESSAGE_UNEXPECT};

	m.expect.proto = proto;
	m.expect.port = port;
	/* One that gets lost holds a port until we end. */
	message_send(((struct worker *)((struct path *)arg)->event_arg)->sock,
		     &m, NULL, 0);
}

static void hand_off(void *arg, enum message_what what,
		     const struct script_flow *f, bool drop)
{
	struct worker *w = ((struct path *)arg)->event_arg;

	handoff_put(&w->handoff, what, f, drop);
}

static void hold_by_supervisor(void *arg, const struct script_flow *f,
			       bool accept)
{
	hand_off(arg, MESSAGE_HOLD, f, !accept);
}

static void release_by_supervisor(void *arg, const struct script_flow *f,
				  bool accept)
{
	hand_off(arg, MESSAGE_RELEASE, f, !accept);
}

static void ask_supervisor(void *arg, const struct script_flow *f)
{
	hand_off(arg, MESSAGE_ASK, f, false);
}

/* The packet as it would be sent, for a file. */
static int pcap_to_supervisor(void *arg, const struct packet *p,
			      const char *name)
{
	struct path *path = arg;
	struct packet copy = {.head = path->made, .size = sizeof(path->made)};
	struct message m = {.kind = MESSAGE_PCAP};
	int r = packet_clone(&copy, p);

	if (r)
		return r;
	if (copy.offload.need_csum)
		packet_checksum(&copy, true);
	strncpy(m.pcap.name, name, sizeof(m.pcap.name) - 1);
	m.pcap.time = p->time ? p->time : path->context.now;
	m.pcap.len = copy.len;
	r = message_send_packet(((struct worker *)path->event_arg)->sock, &m,
				copy.data);
	if (r)
		path->shared->stats.files_lost++;
	return r;
}

/* ---- ports -------------------------------------------------------------- */

static int watch(struct worker *w, int fd, uint32_t events, void *what)
{
	struct epoll_event e = {.events = events, .data.ptr = what};

	return epoll_ctl(w->path.epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static void port_update(struct port *port, const struct message_uplink *u)
{
	memcpy(port->name, u->name, sizeof(port->name));
	port->name[sizeof(port->name) - 1] = '\0';
	memcpy(port->mac, u->mac, sizeof(port->mac));
	port->mtu = u->mtu;
}

#define WAYS 4

static struct way *port_way(struct port *port, unsigned i)
{
	struct way *ways[WAYS] = {&port->out, &port->in, &port->passing,
				  &port->leaving};

	return ways[i];
}

static void port_close(struct port *port)
{
	for (unsigned i = 0; i < WAYS; i++) {
		struct way *way = port_way(port, i);

		if (way->fd >= 0)
			close(way->fd);
		way->fd = -1;
	}
	close(port->sock);
	port->sock = -1;
}

static void port_down(struct worker *w, int ifindex)
{
	for (struct port **at = &w->path.ports; *at; at = &(*at)->next) {
		struct port *port = *at;

		if (port->ifindex != ifindex)
			continue;
		*at = port->next;
		port_close(port);
		port->next = w->gone;
		w->gone = port;
		return;
	}
}

static int ways_watch(struct worker *w, struct port *port)
{
	int r = watch(w, port->sock, 0, port);

	for (unsigned i = 0; i < WAYS && !r; i++) {
		struct way *way = port_way(port, i);

		if (way->fd >= 0)
			r = watch(w, way->fd, EPOLLIN, way);
	}
	return r;
}

static void port_up(struct worker *w, const struct message_uplink *u,
		    const int fds[MESSAGE_FDS])
{
	struct port *port = calloc(1, sizeof(*port));
	struct queue *queue = queue_new(&queue_defaults);

	if (!port || !queue || u->link_len > 14) {
		free(port);
		queue_free(queue);
		log_error("worker: no memory for uplink %.15s", u->name);
		for (int i = 0; i < MESSAGE_FDS; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		return;
	}
	port_down(w, u->ifindex);
	port->ifindex = u->ifindex;
	port->link_len = u->link_len;
	port_update(port, u);
	port->queue = queue;
	port->out = (struct way){WAY_WIRE, DIR_OUT, true, fds[0], port};
	port->in = (struct way){WAY_WIRE, DIR_IN, false, fds[1], port};
	port->sock = fds[2];
	port->passing =
		(struct way){WAY_WIRE, DIR_FORWARD, false, fds[3], port};
	port->leaving = (struct way){WAY_WIRE, DIR_FORWARD, true, fds[4], port};
	if (ways_watch(w, port))
		log_error("worker: cannot watch uplink %s", port->name);
	port->next = w->path.ports;
	w->path.ports = port;
}

static void ports_bury(struct worker *w)
{
	while (w->gone) {
		struct port *port = w->gone;

		w->gone = port->next;
		queue_free(port->queue);
		free(port);
	}
}

/* ---- messages ----------------------------------------------------------- */

static void locals_update(struct path *path, const struct message_locals *l)
{
	if (l->first)
		path->nlocals = 0;
	for (uint32_t i = 0; i < l->count && i < MESSAGE_LOCALS_MAX; i++)
		if (path->nlocals < PATH_LOCALS_MAX)
			path->locals[path->nlocals++] = l->list[i];
}

static void via_is(struct path *path, const struct message_via *v, int fd)
{
	char name[sizeof(v->name)];

	memcpy(name, v->name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	path_via_is(path, name, fd, v->usable);
}

static void flows_counted(struct worker *w, const struct message_flows *m)
{
	for (uint32_t i = 0; i < m->count && i < MESSAGE_FLOWS_MAX; i++) {
		struct script_flow f = handoff_flow(&m->flow[i]);

		if (m->flow[i].what == MESSAGE_COUNTED)
			script_counted(w->path.script, &f,
				       m->flow[i].packets);
	}
}

static void message_handle(struct worker *w, const struct message *m,
			   const int fds[MESSAGE_FDS])
{
	switch (m->kind) {
	case MESSAGE_UPLINK_UP:
		port_up(w, &m->uplink, fds);
		break;
	case MESSAGE_UPLINK_CHANGED: {
		struct port *port = path_port(&w->path, m->uplink.ifindex);

		if (port)
			port_update(port, &m->uplink);
		break;
	}
	case MESSAGE_UPLINK_DOWN:
		port_down(w, m->uplink.ifindex);
		break;
	case MESSAGE_LOCALS:
		locals_update(&w->path, &m->locals);
		break;
	case MESSAGE_ROUTES:
		break;
	case MESSAGE_VIA_IS:
		via_is(&w->path, &m->via, fds[0]);
		return;
	case MESSAGE_UP:
		path_start(&w->path, m->up.tasks);
		w->up = true;
		return;
	case MESSAGE_SET:
		share_take(w->share, &m->set, clock_wall());
		return;
	case MESSAGE_FLOWS:
		flows_counted(w, &m->flows);
		return;
	case MESSAGE_EXPECTED:
		path_expected(&w->path, m->expect.id, m->expect.error,
			      m->expect.port);
		return;
	default:
		return;
	}
	path_routes_changed(&w->path);
}

static void messages_read(struct worker *w)
{
	int fds[MESSAGE_FDS], r;
	struct message m;

	while ((r = message_receive(w->sock, &m, fds)) > 0)
		message_handle(w, &m, fds);
	if (r == 0)
		_exit(0); /* the supervisor is gone */
}

/* ---- time --------------------------------------------------------------- */

/* Tells when the tasks have ended, and when nothing waits any more. */
static void tell_done(struct worker *w)
{
	struct message m = {.kind = MESSAGE_DONE};
	struct script_waiting waiting;

	if (!w->up || !w->path.rules->probes || w->done == DONE_ALL)
		return;
	script_waiting(w->path.script, &waiting);
	if (waiting.tasks || (waiting.timers && w->done == DONE_TASKS))
		return;
	m.done.failed = waiting.failed;
	m.done.idle = !waiting.timers;
	/* What does not get through now is told the next time. */
	if (!message_send(w->sock, &m, NULL, 0))
		w->done = waiting.timers ? DONE_TASKS : DONE_ALL;
}

/* Tells what rules did to sets and to connections. */
static int64_t tell_changes(struct worker *w)
{
	int64_t ns = share_tell(w->share), more = handoff_tell(&w->handoff);
	uint32_t lost = share_lost(w->share) + w->handoff.lost;

	w->handoff.lost = 0;
	if (lost)
		log_error("%u changes of sets and connections are lost: the "
			  "supervisor does not listen", lost);
	return more >= 0 && (ns < 0 || more < ns) ? more : ns;
}

/* Does what is due; ms to wait for packets, until there is more. */
static int time_passes(struct worker *w)
{
	int64_t ns = path_tick(&w->path), more = tell_changes(w);

	tell_done(w);
	if (more >= 0 && (ns < 0 || more < ns))
		ns = more;
	if (ns < 0 || ns > BEAT_MS * NSEC_PER_MSEC)
		return BEAT_MS;
	return (int)((ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
}

/* ---- the loop ----------------------------------------------------------- */

/* what: a port that takes more, or one of its ways in; or one that went. */
static void port_ready(struct worker *w, const void *what)
{
	for (struct port *port = w->path.ports; port; port = port->next) {
		if (what == port) {
			path_drain(&w->path, port);
			return;
		}
		for (unsigned i = 0; i < WAYS; i++) {
			if (what != port_way(port, i))
				continue;
			path_read(&w->path, what);
			return;
		}
	}
}

static void worker_loop(struct worker *w)
{
	struct epoll_event events[64];

	for (;;) {
		int n = epoll_wait(w->path.epoll, events, 64, time_passes(w));

		/* Still alive, for the watchdog. */
		atomic_fetch_add_explicit(&w->path.shared->beat, 1,
					  memory_order_relaxed);
		for (int i = 0; i < n; i++) {
			void *what = events[i].data.ptr;

			if (what == w)
				messages_read(w);
			else if (what == &w->path.tun)
				path_read(&w->path, &w->path.tun);
			else
				port_ready(w, what);
		}
		ports_bury(w);
	}
}

/* What the C library does on first use and cannot do later. */
static void warm_up(void)
{
	time_t now = time(NULL);
	struct tm tm;

	tzset();
	localtime_r(&now, &tm);
}

static int worker_isolate(const struct worker_config *cfg, struct error *err)
{
	int r = isolate_privileges(&cfg->user, err);

	return r ? r : isolate_syscalls(err);
}

void worker_run(const struct worker_config *cfg)
{
	struct message ready = {.kind = MESSAGE_READY};
	struct worker *w = calloc(1, sizeof(*w));
	struct error err = {""};
	sigset_t terminal;
	int keep[5];

	if (!w)
		_exit(1);
	w->sock = cfg->sock;
	w->log_tokens = LOG_BURST;
	w->log_time = clock_monotonic();
	w->path.epoll = epoll_create1(EPOLL_CLOEXEC);
	w->path.route_lookup = route_lookup_open();
	w->handoff.sock = cfg->sock;
	w->handoff.room = message_room(cfg->sock);
	w->share = share_new(cfg->set, cfg->sets, cfg->sock, w->handoff.room);
	if (w->path.epoll < 0 || w->path.route_lookup < 0 ||
	    w->handoff.room < 0 || !w->share) {
		log_error("worker: cannot start: %s", strerror(errno));
		_exit(1);
	}
	keep[0] = cfg->sock;
	keep[1] = cfg->tun;
	keep[2] = w->path.epoll;
	keep[3] = w->path.route_lookup;
	keep[4] = w->handoff.room;
	isolate_descriptors(keep, 5);

	w->path.script = cfg->script;
	w->path.rules = script_ruleset(cfg->script);
	w->path.shared = cfg->shared;
	w->path.tun = (struct way){WAY_ROUTE, DIR_OUT, true, cfg->tun, NULL};
	memcpy(w->path.marker, cfg->marker, sizeof(w->path.marker));
	w->path.audit = cfg->audit;
	w->path.filter = cfg->filter;
	w->path.event = event_to_supervisor;
	w->path.elsewhere = elsewhere_to_supervisor;
	w->path.via = via_from_supervisor;
	w->path.event_arg = w;
	w->path.host = (struct script_host){
		.expect = expect_from_supervisor,
		.unexpect = unexpect_from_supervisor,
		.pcap = pcap_to_supervisor,
	};
	if (cfg->flows) {
		w->path.host.hold = hold_by_supervisor;
		w->path.host.release = release_by_supervisor;
		w->path.host.ask = ask_supervisor;
	}
	path_init(&w->path);

	warm_up();
	/* Signals of a terminal are the supervisor's business. */
	sigemptyset(&terminal);
	sigaddset(&terminal, SIGINT);
	sigaddset(&terminal, SIGQUIT);
	sigaddset(&terminal, SIGTERM);
	sigaddset(&terminal, SIGHUP);
	sigaddset(&terminal, SIGPIPE);
	sigprocmask(SIG_SETMASK, &terminal, NULL);
	if (worker_isolate(cfg, &err)) {
		log_error("%s", err.text);
		_exit(1);
	}
	log_sink(log_to_supervisor, w);
	if (watch(w, cfg->sock, EPOLLIN, w) ||
	    watch(w, cfg->tun, EPOLLIN, &w->path.tun) ||
	    message_send(cfg->sock, &ready, NULL, 0))
		_exit(1);
	worker_loop(w);
	_exit(1);
}
