/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/crew.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* A worker that keeps dying is started again only this often. */
#define RESTART_PAUSE NSEC_PER_SEC

int crew_open(struct crew *c, unsigned count, struct error *err)
{
	c->count = count;
	c->shared_size = sizeof(struct path_shared) +
			 (script_ruleset(c->script)->count + 1) *
				 sizeof(struct rule_counter);
	for (unsigned i = 0; i < count; i++) {
		void *m = mmap(NULL, c->shared_size, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (m == MAP_FAILED)
			return error_set(err, -errno,
					 "no memory to share with workers: %s",
					 strerror(errno));
		c->member[i].shared = m;
		c->member[i].sock = -1;
	}
	return 0;
}

static void member_end(struct crew_member *m)
{
	if (m->sock >= 0)
		close(m->sock);
	m->sock = -1;
	if (m->pid > 0) {
		kill(m->pid, SIGKILL);
		waitpid(m->pid, NULL, 0);
	}
	m->pid = 0;
	m->ready = false;
}

void crew_close(struct crew *c)
{
	for (unsigned i = 0; i < c->count; i++) {
		if (!c->member[i].shared)
			continue;
		member_end(&c->member[i]);
		munmap(c->member[i].shared, c->shared_size);
		c->member[i].shared = NULL;
	}
	free(c->uplinks);
	free(c->locals);
	c->uplinks = NULL;
	c->locals = NULL;
	c->nuplinks = c->nlocals = 0;
}

int crew_find(const struct crew *c, pid_t pid)
{
	for (unsigned i = 0; i < c->count; i++)
		if (c->member[i].pid == pid)
			return (int)i;
	return -1;
}

/* ---- telling ------------------------------------------------------------ */

/* A worker that does not take its messages is replaced by one that will. */
static void tell(struct crew_member *m, const struct message *msg,
		 const int *fds, unsigned nfds)
{
	if (m->pid > 0 && m->sock >= 0 &&
	    message_send(m->sock, msg, fds, nfds) == -EAGAIN)
		kill(m->pid, SIGKILL);
}

static struct message uplink_message(uint32_t kind, const struct uplink *u)
{
	struct message msg = {.kind = kind};

	msg.uplink.ifindex = u->ifindex;
	memcpy(msg.uplink.name, u->name, sizeof(msg.uplink.name));
	memcpy(msg.uplink.mac, u->mac, sizeof(msg.uplink.mac));
	msg.uplink.link_len = u->link_len;
	msg.uplink.mtu = u->mtu;
	return msg;
}

static void tell_uplink(struct crew *c, unsigned i, const struct uplink *u)
{
	struct message msg = uplink_message(MESSAGE_UPLINK_UP, u);
	int fds[MESSAGE_FDS] = {u->out[i], u->back[i], u->sock[i],
				u->passing[i], u->leaving[i]};

	tell(&c->member[i], &msg, fds, fds[3] < 0 ? 3 : MESSAGE_FDS);
}

static void tell_locals(struct crew *c, unsigned i)
{
	unsigned done = 0;

	do {
		struct message msg = {.kind = MESSAGE_LOCALS};
		unsigned n = c->nlocals - done;

		if (n > MESSAGE_LOCALS_MAX)
			n = MESSAGE_LOCALS_MAX;
		msg.locals.first = !done;
		msg.locals.count = n;
		if (n)
			memcpy(msg.locals.list, c->locals + done,
			       n * sizeof(*c->locals));
		tell(&c->member[i], &msg, NULL, 0);
		done += n;
	} while (done < c->nlocals);
}

static struct uplink *find_uplink(struct crew *c, int ifindex)
{
	for (unsigned i = 0; i < c->nuplinks; i++)
		if (c->uplinks[i].ifindex == ifindex)
			return &c->uplinks[i];
	return NULL;
}

void crew_uplink_up(struct crew *c, const struct uplink *u)
{
	struct uplink *more = reallocarray(c->uplinks, c->nuplinks + 1,
					   sizeof(*more));

	if (!more) {
		log_error("no memory for uplink %s", u->name);
		return;
	}
	c->uplinks = more;
	c->uplinks[c->nuplinks++] = *u;
	for (unsigned i = 0; i < c->count; i++)
		tell_uplink(c, i, u);
}

void crew_uplink_changed(struct crew *c, const struct uplink *u)
{
	struct message msg = uplink_message(MESSAGE_UPLINK_CHANGED, u);
	struct uplink *mine = find_uplink(c, u->ifindex);

	if (mine)
		*mine = *u;
	for (unsigned i = 0; i < c->count; i++)
		tell(&c->member[i], &msg, NULL, 0);
}

void crew_uplink_down(struct crew *c, int ifindex)
{
	struct message msg = {.kind = MESSAGE_UPLINK_DOWN};
	struct uplink *mine = find_uplink(c, ifindex);

	if (mine)
		*mine = c->uplinks[--c->nuplinks];
	msg.uplink.ifindex = ifindex;
	for (unsigned i = 0; i < c->count; i++)
		tell(&c->member[i], &msg, NULL, 0);
}

void crew_locals(struct crew *c, const struct address *list, unsigned n)
{
	struct address *copy = reallocarray(NULL, n ? n : 1, sizeof(*copy));

	if (!copy)
		return;
	if (n)
		memcpy(copy, list, n * sizeof(*copy));
	free(c->locals);
	c->locals = copy;
	c->nlocals = n;
	for (unsigned i = 0; i < c->count; i++)
		tell_locals(c, i);
}

void crew_routes(struct crew *c)
{
	struct message msg = {.kind = MESSAGE_ROUTES};

	for (unsigned i = 0; i < c->count; i++)
		tell(&c->member[i], &msg, NULL, 0);
}

static void tell_via(struct crew *c, unsigned i, const struct via *v)
{
	struct message msg = {.kind = MESSAGE_VIA_IS};

	memcpy(msg.via.name, v->name, sizeof(msg.via.name));
	msg.via.usable = !*v->why;
	tell(&c->member[i], &msg, &v->fd[i], 1);
}

void crew_via(struct crew *c, const struct via *v)
{
	unsigned k = 0;

	while (k < c->nvias && strcmp(c->vias[k].name, v->name))
		k++;
	if (k == CAPTURE_VIAS_MAX)
		return;
	c->nvias += k == c->nvias;
	c->vias[k] = *v;
	for (unsigned i = 0; i < c->count; i++)
		tell_via(c, i, v);
}

static void tell_up(struct crew *c, unsigned i, bool tasks)
{
	struct message msg = {.kind = MESSAGE_UP};

	msg.up.tasks = tasks && !i;
	tell(&c->member[i], &msg, NULL, 0);
}

void crew_up(struct crew *c)
{
	c->up = true;
	for (unsigned i = 0; i < c->count; i++)
		tell_up(c, i, true);
}

void crew_tell(struct crew_member *m, const struct message *msg)
{
	tell(m, msg, NULL, 0);
}

void crew_tell_others(struct crew *c, const struct crew_member *m,
		      const struct message *msg)
{
	for (unsigned i = 0; i < c->count; i++)
		if (&c->member[i] != m)
			tell(&c->member[i], msg, NULL, 0);
}

/* ---- starting and watching ---------------------------------------------- */

static void member_run(struct crew *c, unsigned i, int sock)
{
	struct worker_config cfg = {
		.sock = sock,
		.tun = capture_tun(c->capture, i),
		.script = c->script,
		.shared = c->member[i].shared,
		.marker = capture_marker(c->capture),
		.audit = c->audit,
		.filter = c->filter,
		.set = c->set,
		.sets = c->sets,
		.flows = c->flows,
		.user = c->user,
	};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	worker_run(&cfg);
}

int crew_start(struct crew *c, unsigned i, struct error *err)
{
	struct crew_member *m = &c->member[i];
	int pair[2], room = 1 << 20;
	int64_t now = clock_monotonic();

	if (m->started && now - m->started < RESTART_PAUSE)
		return -EAGAIN;
	member_end(m);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
		       0, pair))
		return error_set(err, -errno, "cannot talk to a worker: %s",
				 strerror(errno));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	/* An old worker may have ended inside the rules. */
	if (atomic_load(&m->shared->step) & 1)
		atomic_fetch_add(&m->shared->step, 1);
	m->started = now;
	m->step_cpu = 0;
	m->beat_since = 0;
	m->pid = fork();
	if (!m->pid)
		member_run(c, i, pair[1]);
	close(pair[1]);
	if (m->pid < 0) {
		int r = -errno;

		m->pid = 0;
		close(pair[0]);
		return error_set(err, r, "cannot start a worker: %s",
				 strerror(-r));
	}
	m->sock = pair[0];
	for (unsigned k = 0; k < c->nuplinks; k++)
		tell_uplink(c, i, &c->uplinks[k]);
	tell_locals(c, i);
	for (unsigned k = 0; k < c->nvias; k++)
		tell_via(c, i, &c->vias[k]);
	if (c->up)
		tell_up(c, i, false);
	return 0;
}

static int64_t cpu_time(pid_t pid)
{
	struct timespec ts;
	clockid_t id;

	if (clock_getcpuclockid(pid, &id) || clock_gettime(id, &ts))
		return 0;
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static const char *rule_name(const struct crew *c, uint32_t index)
{
	return event_rule_name(script_ruleset(c->script), index);
}

/* Said and done once: until the next one is ready nobody is watched. */
static void replace(struct crew_member *m)
{
	m->ready = false;
	m->started = 0;
	kill(m->pid, SIGKILL);
}

/* A busy machine is not a stuck rule: CPU time tells. */
static bool is_stuck(struct crew_member *m)
{
	uint64_t step = atomic_load(&m->shared->step);
	int64_t cpu = cpu_time(m->pid);

	if (step & 1 && step == m->step)
		return cpu - m->step_cpu >= CREW_STUCK_CPU;
	m->step = step;
	m->step_cpu = cpu;
	return false;
}

static bool is_silent(struct crew_member *m, int64_t now)
{
	uint64_t beat = atomic_load(&m->shared->beat);

	if (beat == m->beat && m->beat_since)
		return now - m->beat_since >= CREW_SILENT_TIME;
	m->beat = beat;
	m->beat_since = now;
	return false;
}

static void say_stuck(const struct crew *c, uint32_t rule)
{
	if (rule == EVENT_RULE_NONE)
		log_error("a timer or a task is stuck (a slow pattern?): the "
			  "worker is replaced, and what waited is lost");
	else
		log_error("rule %s is stuck in one packet (a slow pattern?): "
			  "the packet is dropped and the worker replaced",
			  rule_name(c, rule));
}

void crew_watch(struct crew *c, int64_t now)
{
	for (unsigned i = 0; i < c->count; i++) {
		struct crew_member *m = &c->member[i];

		if (m->pid <= 0 || !m->ready)
			continue;
		if (is_stuck(m)) {
			say_stuck(c, atomic_load(&m->shared->rule));
			replace(m);
		} else if (is_silent(m, now)) {
			log_error("worker %u has been silent for %d s: it is "
				  "replaced", i,
				  (int)(CREW_SILENT_TIME / NSEC_PER_SEC));
			replace(m);
		}
	}
}

bool crew_idle(struct crew *c)
{
	bool idle = true;

	for (unsigned i = 0; i < c->count; i++) {
		uint64_t step = atomic_load(&c->member[i].shared->step);

		idle &= step == c->member[i].step;
		c->member[i].step = step;
	}
	return idle;
}
