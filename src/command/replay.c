/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sluice replay: the rules over a capture file. The engine and the verdicts
 * are those of the packet path; in place of a network there is a file, and
 * its time is the only time there is.
 */
#include <errno.h>
#include <fcntl.h>
#include <pcap/dlt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "command/explain.h"
#include "command/replay.h"

/* Errors of rules that are said; all are counted. */
#define ERRORS_SAID 20
/* How long time goes on behind the last frame, for what was delayed. */
#define TIME_AFTER NSEC_PER_SEC
#define TIME_MAX (INT64_MAX / 2)
/* Timers that run between two frames: a file may jump by years. */
#define TICKS_MAX 1000000

/* ---- out ---------------------------------------------------------------- */

static void put(struct replay *r, const struct packet *p)
{
	if (r->out && !r->failed)
		r->failed = pcap_writer_put(r->out, p);
}

/* A packet that a rule made without saying from whom is from this host, and
 * that is one end of the packet in the rules. */
static void fill_source(struct replay *r, struct packet *p)
{
	const struct packet *was = &r->original.packet;
	struct address host;

	if (!r->current || !packet_lacks_source(p))
		return;
	host = was->dir == DIR_IN ? r->seen.dst : r->seen.src;
	packet_set_address(p, FIELD_IP_SRC, &host);
}

/* The link header of the packet in the rules, the other way round for an
 * answer. One that does not fit is left to the writer. */
static void put_link(struct replay *r, struct packet *p)
{
	struct address dst = packet_dst(p);
	uint8_t *link, mac[6];
	uint16_t n;

	n = r->current ? r->current->link_len : 0;
	if (!n || n > PACKET_HEADROOM)
		return;
	link = p->data - n;
	memcpy(link, r->current->data - n, n);
	p->link_len = n;
	if (pcap_reader_linktype(r->in) != DLT_EN10MB || !dst.size ||
	    address_compare(&dst, &r->seen.src))
		return;
	memcpy(mac, link, 6);
	memcpy(link, link + 6, 6);
	memcpy(link + 6, mac, 6);
}

static int emit(struct replay *r, const struct packet *q, enum notes_kind kind)
{
	struct packet p = {.head = r->copy, .size = sizeof(r->copy)};
	char text[512];
	int rc = packet_clone(&p, q);

	if (rc)
		return rc;
	p.time = r->context.now;
	fill_source(r, &p);
	if (r->current)
		script_flow_made(r->script, q, &p);
	put_link(r, &p);
	packet_print(&p, text, sizeof(text));
	if (r->current)
		fprintf(r->notes.f[kind], "%s\n", text);
	else
		replay_show_sent(r, text);
	put(r, &p);
	return 0;
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return !stat(a, &x) && !stat(b, &y) && S_ISREG(x.st_mode) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* ---- what rules ask for ------------------------------------------------- */

static int host_send(void *arg, struct packet *p)
{
	return emit(arg, p, NOTES_SENT);
}

static void host_log(void *arg, const char *text)
{
	(void)arg;
	log_info("%s", text);
}

static void host_count(void *arg, const char *name, uint64_t n)
{
	path_count(((struct replay *)arg)->named, name, n);
}

static void host_audit(void *arg, struct packet *p, const char *note)
{
	struct event *e = &((struct replay *)arg)->seen;

	(void)p;
	snprintf(e->note, sizeof(e->note), "%s", note);
}

static int host_pcap(void *arg, const struct packet *p, const char *file)
{
	struct replay *r = arg;

	if (is_same_file(file, r->capture) ||
	    (r->o->write && is_same_file(file, r->o->write)))
		return -EEXIST;
	store_put(&r->store, file, r->context.now, p->data, p->len);
	return 0;
}

static void host_source(void *arg, struct packet *p)
{
	fill_source(arg, p);
}

static int64_t host_now(void *arg)
{
	return ((struct replay *)arg)->context.now;
}

static int64_t host_clock(void *arg)
{
	return ((struct replay *)arg)->clock;
}

/* ---- one frame ---------------------------------------------------------- */

static enum packet_dir direction(const struct options *o,
				 const struct packet *p)
{
	struct address dst = packet_dst(p);

	for (unsigned i = 0; i < o->nlocals; i++)
		if (prefix_covers(&o->local[i], &dst))
			return DIR_IN;
	return DIR_OUT;
}

/* A frame without an IPv4 packet. A packet whose header is broken is one. */
static bool is_other(const struct replay *r, const struct packet *p)
{
	int linktype = pcap_reader_linktype(r->in);
	const uint8_t *first = packet_at(p, 0, 1);

	if (!(p->flags & PACKET_ODD) || p->link_len)
		return false;
	return (linktype != DLT_RAW && linktype != DLT_IPV4) || !first ||
	       *first >> 4 != 4;
}

static void error_said(struct replay *r)
{
	if (r->errors++ < ERRORS_SAID)
		log_warn("%s", script_error(r->script));
	if (r->errors == ERRORS_SAID)
		log_warn("further errors are only counted");
}

static void failed(struct replay *r, struct packet *p, struct verdict *v)
{
	error_said(r);
	original_restore(&r->original, p);
	p->undo = &r->original.undo;
	v->kind = r->rules->on_error;
}

static void decided(struct replay *r, struct packet *p, const struct verdict *v)
{
	struct packet answer = {.head = r->answer, .size = sizeof(r->answer)};

	switch (v->kind) {
	case VERDICT_ACCEPT:
	case VERDICT_VIA: /* with which source is the kernel's business */
		put(r, p);
		break;
	case VERDICT_REJECT:
		/* What must not be answered is only dropped. */
		if (!original_reject(&r->original, p, v->reject_code, &answer))
			emit(r, &answer, NOTES_MADE);
		break;
	case VERDICT_REPLACE:
		for (uint32_t i = 0; i < v->count; i++)
			emit(r, v->packets[i], NOTES_MADE);
		break;
	default: /* DROP */
		break;
	}
}

static void handle(struct replay *r, struct packet *p)
{
	struct packet before;
	struct verdict v;

	notes_clear(&r->notes);
	r->packets++;
	r->current = p;
	original_keep(&r->original, p);
	event_begin(&r->seen, p);
	if (script_flow_begin(r->script, p, &v))
		; /* decided for the whole flow */
	else if (r->o->explain)
		explain_run(r->script, p, &r->context, r->counters, &v,
			    r->notes.f[NOTES_TRIED]);
	else
		ruleset_run(r->rules, p, &r->context, script_calls(r->script),
			    r->counters, &v);
	if (v.kind == VERDICT_ERROR)
		failed(r, p, &v);
	if (script_flow_end(r->script, p, &v))
		error_said(r);
	r->verdict[v.kind]++;
	before = original_view(&r->original);
	event_end(&r->seen, &before, p, &v);
	p->undo = NULL;
	decided(r, p, &v);
	r->current = NULL;
	replay_show(r);
}

/* Lets time go on, and what is due happen, each at its own time. */
static void advance(struct replay *r, int64_t until)
{
	int64_t wait;
	int ticks = 0;

	while ((wait = script_timeout(r->script)) >= 0 && r->clock < until &&
	       wait <= until - r->clock && ticks++ < TICKS_MAX) {
		r->clock += wait;
		r->context.now = r->clock;
		script_tick(r->script);
	}
	if (ticks > TICKS_MAX)
		log_warn("more than %d timers between two frames: the others "
			 "wait", TICKS_MAX);
	if (r->clock < until)
		r->clock = until;
}

/* A file's time may be nonsense; timers count from it. */
static int64_t bounded(int64_t time)
{
	return time < 0 ? 0 : time < TIME_MAX ? time : TIME_MAX;
}

static void frame(struct replay *r, struct packet *p)
{
	if (!r->started) {
		r->clock = r->context.now = bounded(p->time);
		script_start(r->script, true);
		r->started = true;
	}
	advance(r, bounded(p->time));
	r->context.now = p->time;
	p->dir = direction(r->o, p);
	if (is_other(r, p)) {
		r->others++;
		put(r, p);
	} else if (p->dir == DIR_IN && script_answer(r->script, p)) {
		r->answers++;
	} else if (!(r->rules->dirs & 1u << p->dir)) {
		r->passing++;
		put(r, p);
	} else {
		handle(r, p);
	}
}

/* ---- start and end ------------------------------------------------------ */

/* Creates the file to write, now that nothing else can be wrong. */
static int writer_open(struct replay *r, struct error *err)
{
	const char *path = r->o->write;
	int fd;

	if (!path)
		return 0;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return error_set(err, -errno, "%s: cannot be created: %s", path,
				 strerror(errno));
	return pcap_writer_open(&r->out, fd, pcap_reader_linktype(r->in), err);
}

static int frames(struct replay *r, struct error *err)
{
	struct packet p;
	int rc;

	while ((rc = pcap_reader_next(r->in, &p, err)) > 0) {
		/* As many bytes as a packet of this reader can have. */
		if (!r->original.undo.bytes)
			r->original.undo.bytes = malloc(p.size);
		if (!r->original.undo.bytes)
			return error_set(err, -ENOMEM, "replay: no memory");
		frame(r, &p);
		if (r->failed || ferror(stdout))
			return 0;
	}
	if (r->started)
		advance(r, r->clock + TIME_AFTER);
	return rc;
}

/* Nothing counts as done before it is out. */
static int finish(struct replay *r, struct error *err)
{
	int rc = pcap_writer_close(r->out);

	r->out = NULL;
	if (r->failed)
		rc = r->failed;
	if (rc)
		return error_set(err, rc, "%s: cannot be written: %s",
				 r->o->write, strerror(-rc));
	if (fflush(stdout) || ferror(stdout))
		return error_set(err, -EIO,
				 "standard output cannot be written");
	return 0;
}

static int run(struct replay *r, const char *in, struct error *err)
{
	const struct script_host host = {
		.arg = r,
		.send = host_send,
		.log = host_log,
		.count = host_count,
		.audit = host_audit,
		.now = host_now,
		.clock = host_clock,
		.pcap = host_pcap,
		.source = host_source,
	};
	struct error late;
	int rc;

	/* One for the policy, and one for what explain does not count. */
	r->counters = calloc(r->rules->count + 2, sizeof(*r->counters));
	if (!r->counters || notes_open(&r->notes))
		return error_set(err, -ENOMEM, "replay: no memory");
	rc = pcap_reader_open(&r->in, in, err);
	if (rc)
		return rc;
	rc = writer_open(r, err);
	if (rc)
		return rc;
	r->capture = in;
	script_set_host(r->script, &host);
	rc = frames(r, err);
	/* A broken file does not take back what was read before. */
	if (finish(r, &late)) {
		if (rc)
			log_error("%s", err->text);
		*err = late;
		rc = -EIO;
	}
	replay_summary(r);
	return rc;
}

/* What no capture file says. */
static void warn_kernel_keys(const struct ruleset *rs)
{
	for (const struct rule *r = rs->first; r; r = r->next) {
		enum match_key key = match_asks_kernel(r->match);

		if (key != MATCH_KEYS)
			log_warn("rule %s (%s): no file says whose packet it "
				 "is: '%s' does not hold", r->name, r->origin,
				 match_key_name(key));
	}
}

/* To write to what is read would destroy it. */
static bool write_is_safe(const struct options *o, const char *capture)
{
	bool same = o->write && is_same_file(capture, o->write);

	for (int i = 0; o->write && i < o->nwords; i++)
		same |= is_same_file(o->words[i], o->write);
	if (same)
		log_error("replay: -w %s would overwrite what is read; name "
			  "another file", o->write);
	return !same;
}

/* The one word that is no rule file is the capture; the rules move up.
 * NULL: what was wrong has been said. */
static const char *capture_word(struct options *o)
{
	const char *capture = NULL;
	int rules = 0;

	for (int i = 0; i < o->nwords; i++) {
		char *word = o->words[i];
		size_t n = strlen(word);

		if (n > 4 && !strcmp(word + n - 4, ".lua")) {
			o->words[rules++] = word;
		} else if (capture) {
			log_error("replay: %s and %s are two capture files; "
				  "name one (rule files end in .lua)", capture,
				  word);
			return NULL;
		} else {
			capture = word;
		}
	}
	o->nwords = rules;
	if (!rules || !capture) {
		log_error("replay: which %s? Name %s; see sluice replay --help",
			  rules ? "capture" : "rules",
			  rules ? "one capture file, or - for standard input"
				: "at least one rule file (RULE.lua)");
		return NULL;
	}
	return capture;
}

int command_replay(const struct command *self, int argc, char **argv)
{
	static struct replay r; /* its buffers are large */
	struct error err;
	struct options o;
	const char *in;
	bool done;
	int status = options_parse(&o, self,
				   TAKES_RULES | TAKES_JSON | TAKES_REPLAY,
				   argc, argv, &done);

	if (status || done)
		return status;
	in = capture_word(&o);
	if (!in || !write_is_safe(&o, in))
		return EXIT_USAGE;
	r.o = &o;
	status = options_load(&o, &r.script);
	if (status)
		goto out;
	r.rules = script_ruleset(r.script);
	warn_kernel_keys(r.rules);
	r.colour = isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
	if (!isatty(STDOUT_FILENO))
		setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	if (run(&r, in, &err)) {
		log_error("%s", err.text);
		status = EXIT_FAILED;
	}
out:
	pcap_writer_close(r.out);
	store_close(&r.store);
	pcap_reader_close(r.in);
	script_free(r.script);
	notes_close(&r.notes);
	free(r.counters);
	free(r.original.undo.bytes);
	return status;
}
