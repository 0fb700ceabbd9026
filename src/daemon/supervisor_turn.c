/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the supervisor does from one moment to the next: takes what workers,
 * the capture, children and signals tell. Must not know how it all began.
 */
#include "daemon/supervisor_state.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

/* Between two looks at the workers. */
#define TICK (100 * NSEC_PER_MSEC)
/* Messages taken from one worker before the others have their turn. */
#define MESSAGE_BATCH 256

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

void supervisor_hear(struct supervisor *s, struct crew_member *m)
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

void supervisor_command(struct supervisor *s)
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

	supervisor_hear(s, m); /* its last words */
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

void supervisor_turn(struct supervisor *s)
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
			supervisor_hear(s, &s->crew.member[i]);
	output_flush(&s->out, false);
	store_flush(&s->store);
	if (s->out.closed)
		s->stop = true;
	crew_watch(&s->crew, clock_monotonic());
	if (!s->stop && s->up)
		refill(s);
}
