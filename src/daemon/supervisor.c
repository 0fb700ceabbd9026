/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/crew.h"
#include "daemon/expect.h"
#include "daemon/keeper.h"
#include "daemon/output.h"
#include "daemon/report.h"
#include "daemon/store.h"
#include "daemon/takeover.h"
#include "rule/plan.h"

/* Between two looks at the workers. */
#define TICK	      (100 * NSEC_PER_MSEC)
/* How long the first workers may take to say they are ready. */
#define START_TIMEOUT (30 * NSEC_PER_SEC)
/* Messages taken from one worker before the others have their turn. */
#define MESSAGE_BATCH 256

struct supervisor {
	const struct supervisor_config *cfg;
	struct capture *capture;
	struct crew crew;
	struct output out;
	struct owner_lookup *owners;
	struct expect expect;
	struct keeper keeper;
	struct takeover takeover;
	struct store store;
	const struct plan *plan; /* NULL: the kernel decides nothing */
	struct report_kernel *kernel; /* what it counted; NULL: not known */
	struct message_long message; /* the one that came last */
	int signals;
	sigset_t old_mask;
	struct rlimit old_files;
	pid_t command;
	bool colour;
	bool up;
	bool stop;
	bool tasks; /* some have not ended */
	bool failed; /* one ended with an error */
	int status;
};

/* ---- what the capture tells --------------------------------------------- */

static void on_uplink_up(void *arg, const struct uplink *u)
{
	struct supervisor *s = arg;

	crew_uplink_up(&s->crew, u);
	if (s->up)
		log_info("uplink %s is up", u->name);
}

static void on_uplink_changed(void *arg, const struct uplink *u)
{
	crew_uplink_changed(&((struct supervisor *)arg)->crew, u);
}

static void on_uplink_down(void *arg, int ifindex)
{
	struct supervisor *s = arg;

	for (unsigned i = 0; s->up && i < s->crew.nuplinks; i++)
		if (s->crew.uplinks[i].ifindex == ifindex)
			log_info("uplink %s is gone", s->crew.uplinks[i].name);
	crew_uplink_down(&s->crew, ifindex);
}

static void on_locals(void *arg, const struct address *list, unsigned n)
{
	crew_locals(&((struct supervisor *)arg)->crew, list, n);
}

static void on_routes(void *arg)
{
	crew_routes(&((struct supervisor *)arg)->crew);
}

/* What is for an interface that cannot be used is dropped: said at each
 * change, and at the start where there is something to say. */
static void on_via(void *arg, const struct via *v)
{
	struct supervisor *s = arg;

	crew_via(&s->crew, v);
	if (*v->why)
		log_warn("via(\"%s\"): %s; packets for it are dropped", v->name,
			 v->why);
	else if (s->up)
		log_info("via(\"%s\"): packets go by it", v->name);
}

static const char *mode_name(enum capture_mode mode)
{
	return mode == CAPTURE_WIRE ? "at the wire" : "by route";
}

static void on_mode(void *arg, enum capture_mode mode, const char *why)
{
	if (((struct supervisor *)arg)->up)
		log_info("now capturing %s: %s", mode_name(mode), why);
}

/* ---- what workers tell -------------------------------------------------- */

static void event_show(struct supervisor *s, struct event *e)
{
	const struct ruleset *rs = script_ruleset(s->cfg->script);
	struct owner owner = {0}, *known = NULL;
	char line[2048];
	size_t n;

	if (!s->cfg->audit)
		return;
	event_sanitize(e);
	/* An arrival's socket is the one it is for. */
	if (s->owners && (e->sport || e->dport)) {
		bool in = e->dir == DIR_IN;

		if (!owner_lookup(s->owners, e->proto, in ? &e->dst : &e->src,
				  in ? e->dport : e->sport,
				  in ? &e->src : &e->dst,
				  in ? e->sport : e->dport, &owner))
			known = &owner;
	}
	n = s->cfg->json ? event_json(e, rs, known, line, sizeof(line))
			 : event_line(e, rs, known, s->colour, line,
				      sizeof(line));
	output_put(&s->out, line, n);
}

/* A port for a probe: only while packets are taken, and if tasks there are. */
static void expect_handle(struct supervisor *s, struct crew_member *m,
			  const struct message_expect *asked)
{
	struct message answer = {.kind = MESSAGE_EXPECTED};

	answer.expect = *asked;
	answer.expect.error =
		s->up && s->cfg->capture.probes
			? expect_add(&s->expect, asked->proto,
				     &answer.expect.port, asked->any)
			: -EPERM;
	crew_tell(m, &answer);
}

/* When nothing else was asked for, the end of the tasks is that of the
 * program. */
static void tasks_ended(struct supervisor *s, const struct message_done *done)
{
	s->tasks = false;
	s->failed |= done->failed;
	if (done->idle && !s->cfg->command &&
	    !script_ruleset(s->cfg->script)->count)
		s->stop = true;
}

static void message_handle(struct supervisor *s, struct crew_member *m)
{
	struct message *msg = &s->message.m;
	struct error err;

	switch (msg->kind) {
	case MESSAGE_READY:
		m->ready = true;
		break;
	case MESSAGE_LOG:
		msg->log.text[sizeof(msg->log.text) - 1] = '\0';
		log_line(msg->log.level <= LOG_DEBUG ? msg->log.level
						     : LOG_WARN,
			 "%s", msg->log.text);
		break;
	case MESSAGE_EVENT:
		event_show(s, &msg->event);
		break;
	case MESSAGE_ELSEWHERE:
		if (capture_elsewhere(s->capture, &err))
			log_error("%s", err.text);
		break;
	case MESSAGE_VIA:
		msg->via.name[sizeof(msg->via.name) - 1] = '\0';
		if (capture_via(s->capture, msg->via.name, &err))
			log_error("%s; packets for it are dropped", err.text);
		break;
	case MESSAGE_EXPECT:
		expect_handle(s, m, &msg->expect);
		break;
	case MESSAGE_UNEXPECT:
		expect_remove(&s->expect, msg->expect.proto, msg->expect.port);
		break;
	case MESSAGE_SET:
		if (keeper_take(&s->keeper, &msg->set))
			crew_tell_others(&s->crew, m, msg);
		break;
	case MESSAGE_FLOWS:
		if (takeover_do(&s->takeover, &msg->flows))
			crew_tell(m, msg);
		break;
	case MESSAGE_DONE:
		tasks_ended(s, &msg->done);
		break;
	case MESSAGE_PCAP:
		msg->pcap.name[sizeof(msg->pcap.name) - 1] = '\0';
		store_put(&s->store, msg->pcap.name, msg->pcap.time,
			  message_packet(&s->message), msg->pcap.len);
		break;
	default: /* not for us to hear */
		break;
	}
}

static void worker_messages(struct supervisor *s, struct crew_member *m)
{
	int fds[MESSAGE_FDS];

	for (int i = 0; i < MESSAGE_BATCH; i++) {
		int r = message_receive_long(m->sock, &s->message, fds);

		if (r == -EPROTO)
			continue;
		if (r <= 0)
			return;
		message_handle(s, m);
	}
}

/* ---- children ----------------------------------------------------------- */

static void command_start(struct supervisor *s)
{
	char **argv = s->cfg->command;
	int r;

	s->command = fork();
	if (s->command < 0) {
		log_error("cannot start %s: %s", argv[0], strerror(errno));
		s->command = 0;
		s->status = 1;
		s->stop = true;
		return;
	}
	if (s->command)
		return;
	r = capture_join(s->capture);
	if (r) {
		log_error("cannot run %s in a cgroup of its own: %s", argv[0],
			  strerror(-r));
		_exit(126);
	}
	sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	setrlimit(RLIMIT_NOFILE, &s->old_files);
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], argv);
	log_error("cannot run %s: %s", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void worker_ended(struct supervisor *s, unsigned i, int status)
{
	struct crew_member *m = &s->crew.member[i];

	worker_messages(s, m); /* its last words */
	m->pid = 0;
	if (s->stop)
		return;
	if (!m->ready && !s->up) {
		s->status = 1;
		s->stop = true;
		return;
	}
	takeover_clear(&s->takeover);
	/* The first is the one that has the probes. */
	if (!i)
		expect_clear(&s->expect);
	if (!i && s->tasks) {
		log_error("the tasks have ended with their worker");
		s->tasks = false;
		s->failed = true;
	}
	if (WIFSIGNALED(status))
		log_warn("worker %u was ended by signal %d; starting another",
			 i, WTERMSIG(status));
	else
		log_warn("worker %u ended with status %d; starting another", i,
			 WEXITSTATUS(status));
}

static void reap(struct supervisor *s)
{
	int status, i;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->command) {
			s->command = 0;
			s->status = WIFSIGNALED(status)
					    ? 128 + WTERMSIG(status)
					    : WEXITSTATUS(status);
			s->stop = true;
			continue;
		}
		i = crew_find(&s->crew, pid);
		if (i >= 0)
			worker_ended(s, (unsigned)i, status);
	}
}

/* Workers that are missing are started again (not too often). */
static void refill(struct supervisor *s)
{
	struct error err;

	for (unsigned i = 0; i < s->crew.count; i++) {
		int r;

		if (s->crew.member[i].pid)
			continue;
		r = crew_start(&s->crew, i, &err);
		if (r && r != -EAGAIN)
			log_error("%s", err.text);
	}
}

static void signal_handle(struct supervisor *s)
{
	struct signalfd_siginfo si;

	while (read(s->signals, &si, sizeof(si)) == sizeof(si)) {
		switch (si.ssi_signo) {
		case SIGCHLD:
			reap(s);
			break;
		case SIGINT:
		case SIGQUIT:
			/* From the terminal: the command has got it too, and
			 * its end is ours. */
			if (s->command && si.ssi_code == SI_KERNEL)
				break;
			/* fall through */
		default:
			s->stop = true;
			break;
		}
	}
}

/* ---- the loop ----------------------------------------------------------- */

/* sets: ns until keeper_tick has something to do, or -1. */
static int wait_milliseconds(const struct supervisor *s, int64_t sets)
{
	int64_t t = TICK, c = capture_timeout(s->capture);

	if (c >= 0 && c < t)
		t = c;
	if (sets >= 0 && sets < t)
		t = sets;
	return (int)((t + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
}

static void capture_changes(struct supervisor *s)
{
	struct error err = {""};
	int r = capture_handle(s->capture, &err);

	if (!r)
		return;
	log_error("%s", err.text);
	/* Somebody took the device away: what is left is to put back. */
	if (r == -ENODEV) {
		s->status = 1;
		s->stop = true;
	}
}

static void turn(struct supervisor *s)
{
	struct pollfd p[3 + CAPTURE_WORKERS_MAX];
	unsigned n = 0;

	p[n++] = (struct pollfd){.fd = s->signals, .events = POLLIN};
	p[n++] = (struct pollfd){.fd = capture_fd(s->capture),
				 .events = POLLIN};
	p[n++] = (struct pollfd){.fd = s->out.used ? s->out.fd : -1,
				 .events = POLLOUT};
	for (unsigned i = 0; i < s->crew.count; i++)
		p[n++] = (struct pollfd){.fd = s->crew.member[i].sock,
					 .events = POLLIN};
	poll(p, n, wait_milliseconds(s, keeper_tick(&s->keeper)));
	if (p[0].revents)
		signal_handle(s);
	if (p[1].revents || !capture_timeout(s->capture))
		capture_changes(s);
	for (unsigned i = 0; i < s->crew.count; i++)
		if (p[3 + i].revents && s->crew.member[i].sock >= 0)
			worker_messages(s, &s->crew.member[i]);
	output_flush(&s->out, false);
	store_flush(&s->store);
	if (s->out.closed)
		s->stop = true;
	crew_watch(&s->crew, clock_monotonic());
	if (!s->stop && s->up)
		refill(s);
}

static bool all_ready(const struct supervisor *s)
{
	for (unsigned i = 0; i < s->crew.count; i++)
		if (!s->crew.member[i].ready)
			return false;
	return true;
}

static int start_workers(struct supervisor *s, struct error *err)
{
	int64_t end = clock_monotonic() + START_TIMEOUT;
	int r = 0;

	for (unsigned i = 0; !r && i < s->crew.count; i++)
		r = crew_start(&s->crew, i, err);
	while (!r && !s->stop && !all_ready(s)) {
		turn(s);
		if (clock_monotonic() > end)
			r = error_set(err, -ETIMEDOUT,
				      "the workers did not start in time");
	}
	if (!r && s->status)
		r = error_set(err, -ECHILD, "a worker did not start");
	return r;
}

/* ---- start and end ------------------------------------------------------ */

/* An uplink has up to five a worker. */
static void raise_descriptors(struct supervisor *s)
{
	struct rlimit more;

	getrlimit(RLIMIT_NOFILE, &s->old_files);
	more = s->old_files;
	more.rlim_cur = more.rlim_max;
	setrlimit(RLIMIT_NOFILE, &more);
}

static int signals_open(struct supervisor *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, &s->old_mask);
	signal(SIGPIPE, SIG_IGN);
	s->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return s->signals < 0 ? -errno : 0;
}

static void say_capturing(const struct supervisor *s)
{
	char list[256] = "";
	size_t n = 0;

	for (unsigned i = 0; i < s->crew.nuplinks; i++)
		if (n + IFNAMSIZ + 2 < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n,
					      "%s%s", i ? ", " : "",
					      s->crew.uplinks[i].name);
	log_info("capturing %s (uplinks: %s): %s",
		 mode_name(capture_mode(s->capture)), *list ? list : "none yet",
		 capture_mode_why(s->capture));
}

int supervisor_plan(const struct supervisor_config *cfg,
		    const struct ruleset *rs, struct plan **plan,
		    struct error *err)
{
	const struct plan_options o = {.sets = true,
				       .via = true,
				       .cut = !cfg->capture.offload};
	int r = plan_make(plan, rs, &o);

	if (r)
		return error_set(err, r, "planning the rules: no memory");
	r = plan_answer(*plan, rs, err);
	if (!r)
		return 0;
	plan_free(*plan);
	*plan = NULL;
	return r;
}

/* Where every packet is to be shown, all of them have to come. */
static int plan_rules(struct supervisor *s, struct capture_config *capture,
		      struct error *err)
{
	const struct ruleset *rs = script_ruleset(s->cfg->script);

	s->kernel = calloc(rs->count + 1, sizeof(*s->kernel));
	if (!s->kernel)
		return error_set(err, -ENOMEM, "planning the rules: no memory");
	if (s->cfg->audit && !plan_asks_sender(s->cfg->plan))
		return 0;
	s->plan = s->cfg->plan;
	if (s->cfg->audit)
		log_info("rules ask who sends a packet, and so the kernel "
			 "decides what it can: that is not shown");
	capture->plan = s->plan;
	s->crew.flows = capture->flows = ruleset_connections(rs);
	return 0;
}

static void on_counter(void *arg, uint32_t rule, uint64_t packets,
		       uint64_t bytes)
{
	struct supervisor *s = arg;
	const struct ruleset *rs = script_ruleset(s->cfg->script);
	struct report_kernel *k =
		&s->kernel[rule < rs->count ? rule : rs->count];

	k->packets += packets;
	k->bytes += bytes;
}

static int supervisor_up(struct supervisor *s, struct error *err)
{
	const struct supervisor_config *cfg = s->cfg;
	struct capture_config capture = cfg->capture;
	const struct capture_events events = {
		.arg = s,
		.uplink_up = on_uplink_up,
		.uplink_changed = on_uplink_changed,
		.uplink_down = on_uplink_down,
		.locals = on_locals,
		.routes = on_routes,
		.mode = on_mode,
		.via = on_via,
	};
	int r = crew_open(&s->crew, cfg->capture.workers, err);

	if (r)
		return r;
	r = keeper_open(&s->keeper, script_ruleset(cfg->script));
	if (r)
		return error_set(err, r, "no memory for sets");
	s->crew.set = s->keeper.set;
	s->crew.sets = s->keeper.count;
	r = plan_rules(s, &capture, err);
	if (r)
		return r;
	r = capture_open(&s->capture, &capture, &events, err);
	if (r)
		return r;
	s->crew.capture = s->capture;
	s->expect.capture = s->capture;
	s->keeper.capture = s->takeover.capture = s->capture;
	r = start_workers(s, err);
	if (r || s->stop)
		return r;
	r = capture_up(s->capture, err);
	if (r)
		return r;
	s->up = true;
	s->tasks = cfg->capture.probes;
	say_capturing(s);
	crew_up(&s->crew);
	return 0;
}

/* A command that outlives us is asked to end, and made to. */
static void command_end(struct supervisor *s)
{
	if (s->command <= 0)
		return;
	kill(s->command, SIGTERM);
	for (int i = 0; i < 200; i++) {
		if (waitpid(s->command, NULL, WNOHANG) == s->command)
			return;
		poll(NULL, 0, 10);
	}
	kill(s->command, SIGKILL);
	waitpid(s->command, NULL, 0);
}

/* Puts the host back, after what is on its way has gone through. */
static void supervisor_down(struct supervisor *s)
{
	struct error err = {""};

	if (s->up && s->plan &&
	    capture_counters(s->capture, on_counter, s, &err))
		log_warn("%s", err.text);
	if (s->up && capture_down(s->capture, &err)) {
		log_error("%s", err.text);
		s->status = s->status ? s->status : 1;
	}
	if (s->up) {
		crew_idle(&s->crew);
		for (int i = 0; i < 20; i++) {
			poll(NULL, 0, 10);
			for (unsigned k = 0; k < s->crew.count; k++)
				worker_messages(s, &s->crew.member[k]);
			if (crew_idle(&s->crew))
				break;
		}
	}
	output_flush(&s->out, true);
	store_close(&s->store);
	expect_clear(&s->expect);
	keeper_close(&s->keeper);
	capture_close(s->capture);
	command_end(s);
	if (s->up)
		report_done(&s->crew, s->out.lost, s->kernel);
	crew_close(&s->crew);
	free(s->kernel);
	owner_lookup_close(s->owners);
	/* Signals stay blocked: one that came twice must not end us now. */
	if (s->signals >= 0)
		close(s->signals);
}

int supervisor_run(const struct supervisor_config *cfg)
{
	static struct supervisor s; /* its buffers are large */
	struct error err = {""};
	int r;

	s = (struct supervisor){.cfg = cfg, .signals = -1};
	s.out.fd = STDOUT_FILENO;
	s.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	s.crew.script = cfg->script;
	s.crew.filter = cfg->filter;
	s.crew.user = cfg->user;
	s.crew.audit = cfg->audit;
	raise_descriptors(&s);
	r = signals_open(&s);
	if (r) {
		error_set(&err, r, "cannot take signals: %s", strerror(-r));
	} else {
		if (cfg->audit)
			owner_lookup_open(&s.owners);
		r = supervisor_up(&s, &err);
	}
	if (r) {
		log_error("%s", err.text);
		s.status = 1;
		s.stop = true;
	} else if (!s.stop && cfg->command) {
		command_start(&s);
	}
	while (!s.stop)
		turn(&s);
	supervisor_down(&s);
	return s.status ? s.status : s.failed;
}
