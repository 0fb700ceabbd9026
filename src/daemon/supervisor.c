/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How it begins and ends, and what the capture tells; supervisor_turn.c is
 * what is between. */
#include "daemon/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/supervisor_state.h"

/* How long the first workers may take to say they are ready. */
#define START_TIMEOUT (30 * NSEC_PER_SEC)

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

/* ---- start and end ------------------------------------------------------ */

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
		supervisor_turn(s);
		if (clock_monotonic() > end)
			r = error_set(err, -ETIMEDOUT,
				      "the workers did not start in time");
	}
	if (!r && s->status)
		r = error_set(err, -ECHILD, "a worker did not start");
	return r;
}

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
				supervisor_hear(s, &s->crew.member[k]);
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
		supervisor_command(&s);
	}
	while (!s.stop)
		supervisor_turn(&s);
	supervisor_down(&s);
	return s.status ? s.status : s.failed;
}
