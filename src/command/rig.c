/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "command/rig.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "command/options.h"
#include "daemon/original.h"
#include "daemon/path.h"

/* When time begins: 2000-01-01, so that a date in a test is a constant. */
#define EPOCH (INT64_C(946684800) * NSEC_PER_SEC)

/* More timers than that in one step of time are a slip. */
#define TICKS_MAX 1000000

/* Who this host is where no packet says so (RFC 5737). */
static const uint8_t own_address[4] = {192, 0, 2, 1};

struct packets {
	struct packet **packet; /* malloced, the bytes behind it */
	size_t count, room;
};

struct texts {
	char **text;
	size_t count, room;
};

struct rig {
	struct script *script;
	const struct ruleset *rules;
	struct rule_counter *counters;
	struct path_named named[PATH_NAMED_MAX];
	struct match_context context;

	/* What came of the last call. */
	struct packets leaving, sent, after;
	struct texts log, notes;
	struct error error;
	bool failed;
	int trouble; /* -errno: something could not be kept */

	/* The packet that is in the rules now. */
	const struct packet *current;
	struct address host; /* as it arrived: this host's end of it */
	struct original original;
	char iface[IFNAMSIZ];
	uint8_t in[PACKET_BUFFER];
	uint8_t before[PACKET_BUFFER];
	uint8_t made[PACKET_BUFFER];
};

/* ---- what is kept ------------------------------------------------------- */

static void packets_clear(struct packets *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->packet[i]);
	list->count = 0;
}

static void texts_clear(struct texts *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->text[i]);
	list->count = 0;
}

/* Room for one more pointer in an array of them. */
static int make_room(void **array, size_t count, size_t *room)
{
	size_t more = *room ? *room * 2 : 16;
	void *p;

	if (count < *room)
		return 0;
	p = realloc(*array, more * sizeof(void *));
	if (!p)
		return -ENOMEM;
	*array = p;
	*room = more;
	return 0;
}

/* Keeps a copy of q in list; the copy, or NULL. */
static struct packet *keep(struct rig *r, struct packets *list,
			   const struct packet *q)
{
	uint32_t size = PACKET_HEADROOM + q->len + 64;
	struct packet *p = NULL;
	int ret = make_room((void **)&list->packet, list->count, &list->room);

	if (!ret) {
		p = calloc(1, sizeof(*p) + size);
		ret = p ? 0 : -ENOMEM;
	}
	if (!ret) {
		p->head = (uint8_t *)(p + 1);
		p->size = size;
		ret = packet_clone(p, q);
	}
	if (ret) {
		free(p);
		r->trouble = ret;
		return NULL;
	}
	p->undo = NULL;
	list->packet[list->count++] = p;
	return p;
}

static void note(struct rig *r, struct texts *list, const char *text)
{
	char *copy = strdup(text);

	if (!copy ||
	    make_room((void **)&list->text, list->count, &list->room)) {
		free(copy);
		r->trouble = -ENOMEM;
		return;
	}
	list->text[list->count++] = copy;
}

static void clear(struct rig *r)
{
	packets_clear(&r->leaving);
	packets_clear(&r->sent);
	packets_clear(&r->after);
	texts_clear(&r->log);
	texts_clear(&r->notes);
	r->failed = false;
	r->trouble = 0;
}

/* ---- what rules ask for ------------------------------------------------- */

/* What a rule made without saying from whom is from this host. */
static void host_source(void *arg, struct packet *p)
{
	struct rig *r = arg;
	struct address host = address_v4(own_address);

	if (!packet_lacks_source(p))
		return;
	if (r->current && r->host.size)
		host = r->host;
	packet_set_address(p, FIELD_IP_SRC, &host);
}

static void emit(struct rig *r, struct packets *list, const struct packet *q)
{
	struct packet *p = keep(r, list, q);

	if (!p)
		return;
	p->time = r->context.now;
	host_source(r, p);
	if (r->current)
		script_flow_made(r->script, q, p);
}

static int host_send(void *arg, struct packet *p)
{
	struct rig *r = arg;

	emit(r, &r->sent, p);
	return 0;
}

static void host_log(void *arg, const char *text)
{
	note(arg, &((struct rig *)arg)->log, text);
}

static void host_count(void *arg, const char *name, uint64_t n)
{
	path_count(((struct rig *)arg)->named, name, n);
}

static void host_audit(void *arg, struct packet *p, const char *text)
{
	(void)p;
	note(arg, &((struct rig *)arg)->notes, text);
}

/* Which files it would be is all that a test may depend on. */
static int host_pcap(void *arg, const struct packet *p, const char *file)
{
	char text[SCRIPT_FILE_MAX + 8];

	(void)p;
	snprintf(text, sizeof(text), "pcap %s", file);
	note(arg, &((struct rig *)arg)->notes, text);
	return 0;
}

static void host_failed(void *arg, const char *text)
{
	struct rig *r = arg;

	r->failed = true;
	error_set(&r->error, 0, "%s", text);
}

static int64_t host_now(void *arg)
{
	return ((struct rig *)arg)->context.now;
}

/* ---- made and gone ------------------------------------------------------ */

static void rig_close(struct rig *r)
{
	clear(r);
	free(r->leaving.packet);
	free(r->sent.packet);
	free(r->after.packet);
	free(r->log.text);
	free(r->notes.text);
	script_free(r->script);
	free(r->counters);
	free(r);
}

static int load(struct rig *r, const struct test_rules *what,
		struct error *err)
{
	int ret = 0;

	if (what->text)
		return script_load_text(r->script, what->name, what->text,
					what->n, err);
	for (size_t i = 0; !ret && i < what->nfiles; i++)
		ret = script_load(r->script, what->files[i], err);
	return ret;
}

static int rig_open(void *arg, const struct test_rules *what,
		    struct rig **out, struct error *err)
{
	struct rig *r = calloc(1, sizeof(*r));
	/* While they load, rules may ask what time it is and say something. */
	struct script_host host = {
		.arg = r,
		.log = host_log,
		.count = host_count,
		.now = host_now,
		.failed = host_failed,
	};
	int ret;

	if (!r)
		return error_set(err, -ENOMEM, "no memory for rules");
	r->context.now = EPOCH;
	r->original.undo.bytes = r->before;
	ret = script_new(&r->script, arg, what->args, what->nargs,
			 options_rules_dir(), err);
	if (ret)
		goto fail;
	script_set_host(r->script, &host);
	ret = load(r, what, err);
	if (ret)
		goto fail;
	script_seal(r->script);
	r->rules = script_ruleset(r->script);
	r->counters = calloc(r->rules->count + 1, sizeof(*r->counters));
	if (!r->counters) {
		ret = error_set(err, -ENOMEM, "no memory for rules");
		goto fail;
	}
	host.send = host_send;
	host.audit = host_audit;
	host.pcap = host_pcap;
	host.source = host_source;
	script_set_host(r->script, &host);
	script_start(r->script, true);
	*out = r;
	return 0;
fail:
	rig_close(r);
	return ret;
}

/* ---- time --------------------------------------------------------------- */

/* Does what is due until now, each at its own time. */
static int run_until(struct rig *r, int64_t now)
{
	for (int i = 0; i < TICKS_MAX; i++) {
		int64_t left = script_timeout(r->script);

		if (left < 0 || left > now - r->context.now) {
			r->context.now = now;
			return 0;
		}
		r->context.now += left;
		script_tick(r->script);
	}
	return -ELOOP;
}

static void fill(struct rig *r, struct test_seen *seen)
{
	const struct packet *const *leaving =
		(const struct packet *const *)r->leaving.packet;
	const struct packet *const *sent =
		(const struct packet *const *)r->sent.packet;

	seen->error = r->failed ? r->error.text : NULL;
	seen->packet = r->after.count ? r->after.packet[0] : NULL;
	seen->leaving = (struct test_packets){leaving, r->leaving.count};
	seen->sent = (struct test_packets){sent, r->sent.count};
	seen->log = (struct test_texts){(const char *const *)r->log.text,
					r->log.count};
	seen->notes = (struct test_texts){(const char *const *)r->notes.text,
					  r->notes.count};
}

static int rig_pass(struct rig *r, int64_t now, struct test_seen *seen)
{
	int ret;

	clear(r);
	*seen = (struct test_seen){0};
	ret = run_until(r, EPOCH + now);
	fill(r, seen);
	return ret ? ret : r->trouble;
}

static int64_t rig_now(const struct rig *r)
{
	return r->context.now - EPOCH;
}

/* ---- a packet ----------------------------------------------------------- */

/* The packet as it would arrive: its bytes, and nothing of its past. */
static void arrive(struct rig *r, struct packet *p, const struct packet *q)
{
	memcpy(r->in + PACKET_HEADROOM, q->data, q->len);
	packet_init(p, r->in, sizeof(r->in), r->in + PACKET_HEADROOM, q->len,
		    NULL);
	p->dir = q->dir;
	p->way = q->way;
	p->time = r->context.now;
	if (q->iface) {
		snprintf(r->iface, sizeof(r->iface), "%s", q->iface);
		p->iface = r->iface;
		p->ifindex = 1;
	}
	r->host = p->dir == DIR_IN ? packet_dst(p) : packet_src(p);
}

static void decided(struct rig *r, struct packet *p, const struct verdict *v)
{
	struct packet answer = {.head = r->made, .size = sizeof(r->made)};

	switch (v->kind) {
	case VERDICT_ACCEPT:
	case VERDICT_VIA:
		keep(r, &r->leaving, p);
		break;
	case VERDICT_REJECT:
		/* What must not be answered is only dropped. */
		if (!original_reject(&r->original, p, v->reject_code, &answer))
			emit(r, &r->leaving, &answer);
		break;
	case VERDICT_REPLACE:
		for (uint32_t i = 0; i < v->count; i++)
			emit(r, &r->leaving, v->packets[i]);
		break;
	default: /* DROP */
		break;
	}
}

static void walk(struct rig *r, struct packet *p, struct test_seen *seen)
{
	struct verdict v;
	bool failed;

	r->current = p;
	original_keep(&r->original, p);
	if (!script_flow_begin(r->script, p, &v))
		ruleset_run(r->rules, p, &r->context, script_calls(r->script),
			    r->counters, &v);
	seen->rule = v.rule ? v.rule->name : NULL;
	failed = v.kind == VERDICT_ERROR;
	if (failed) {
		host_failed(r, script_error(r->script));
		original_restore(&r->original, p);
		p->undo = &r->original.undo;
		v.kind = r->rules->on_error;
	}
	if (script_flow_end(r->script, p, &v)) {
		host_failed(r, script_error(r->script));
		failed = true;
	}
	seen->verdict = verdict_name(failed ? VERDICT_ERROR : v.kind);
	seen->via = v.kind == VERDICT_VIA ? v.via : NULL;
	keep(r, &r->after, p);
	p->undo = NULL;
	decided(r, p, &v);
	r->current = NULL;
}

static int rig_feed(struct rig *r, const struct packet *q,
		    struct test_seen *seen)
{
	struct packet p;
	int ret;

	clear(r);
	*seen = (struct test_seen){0};
	ret = run_until(r, r->context.now);
	arrive(r, &p, q);
	if (p.dir == DIR_IN && script_answer(r->script, &p)) {
		seen->verdict = "ANSWER";
	} else if (!(r->rules->dirs & 1u << p.dir)) {
		seen->verdict = "PASS";
		keep(r, &r->after, &p);
		keep(r, &r->leaving, &p);
	} else {
		walk(r, &p, seen);
	}
	/* What a task does with its answer. */
	if (!ret)
		ret = run_until(r, r->context.now);
	fill(r, seen);
	return ret ? ret : r->trouble;
}

/* ---- counters ----------------------------------------------------------- */

static uint64_t rig_counted(const struct rig *r, const char *name)
{
	const size_t most = sizeof(r->named->name) - 1;

	for (int i = 0; i < PATH_NAMED_MAX && *r->named[i].name; i++)
		if (!strncmp(r->named[i].name, name, most))
			return r->named[i].n;
	return 0;
}

static int rig_hits(const struct rig *r, const char *name, uint64_t *n)
{
	bool found = false;

	*n = 0;
	for (const struct rule *rule = r->rules->first; rule;
	     rule = rule->next) {
		if (strcmp(rule->name, name))
			continue;
		*n += r->counters[rule->index].packets;
		found = true;
	}
	return found ? 0 : -ENOENT;
}

void rig_host(struct test_host *host)
{
	host->open = rig_open;
	host->close = rig_close;
	host->feed = rig_feed;
	host->pass = rig_pass;
	host->now = rig_now;
	host->counted = rig_counted;
	host->hits = rig_hits;
}
