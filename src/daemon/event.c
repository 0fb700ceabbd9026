/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/event.h"

#include <inttypes.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"

void event_begin(struct event *e, const struct packet *p)
{
	memset(e, 0, sizeof(*e));
	e->time = p->time;
	e->dir = (uint8_t)p->dir;
	e->way = (uint8_t)p->way;
	e->proto = p->proto;
	e->len = p->len;
	e->rule = EVENT_RULE_NONE;
	if (!(p->flags & PACKET_ODD)) {
		e->src = packet_src(p);
		e->dst = packet_dst(p);
		packet_ports(p, &e->sport, &e->dport);
	}
	packet_endpoint(p, false, e->source, sizeof(e->source));
	packet_endpoint(p, true, e->target, sizeof(e->target));
	packet_detail(p, e->detail, sizeof(e->detail));
}

/* False for what is not worth telling: checksums follow from the rest if not
 * written by hand, and of the readings of the second word of ICMP (RFC 792)
 * one applies. */
static bool is_told(const struct packet *p, enum packet_field f)
{
	uint32_t type, code;

	switch (f) {
	case FIELD_IP_CHECKSUM:
		return p->flags & PACKET_IP_CSUM_KEPT;
	case FIELD_TCP_CHECKSUM:
	case FIELD_UDP_CHECKSUM:
	case FIELD_ICMP_CHECKSUM:
		return p->flags & PACKET_L4_CSUM_KEPT;
	case FIELD_ICMP_ID:
	case FIELD_ICMP_SEQ:
		return !packet_get(p, FIELD_ICMP_TYPE, &type) &&
		       (type == ICMP_ECHOREPLY || type == ICMP_ECHO ||
			(type >= ICMP_TIMESTAMP && type <= ICMP_ADDRESSREPLY));
	case FIELD_ICMP_MTU:
		return !packet_get(p, FIELD_ICMP_TYPE, &type) &&
		       !packet_get(p, FIELD_ICMP_CODE, &code) &&
		       type == ICMP_UNREACH && code == ICMP_UNREACH_NEEDFRAG;
	case FIELD_ICMP_GATEWAY:
		return !packet_get(p, FIELD_ICMP_TYPE, &type) &&
		       type == ICMP_REDIRECT;
	default:
		return true;
	}
}

static void add_change(struct event *e, int field, uint32_t was, uint32_t is)
{
	if (was == is || e->changes == EVENT_CHANGES)
		return;
	e->change[e->changes++] = (struct event_change){
		.field = (uint8_t)field, .before = was, .after = is};
}

static bool get_mss(const struct packet *p, uint32_t *mss)
{
	uint8_t n;
	const uint8_t *option = packet_tcp_option(p, TCPOPT_MAXSEG, &n);

	if (!option || n != TCPOLEN_MAXSEG)
		return false;
	*mss = get_be16(option + 2);
	return true;
}

/* A run of a packet's bytes. */
struct span {
	uint32_t at, n;
};

static bool differ(const struct packet *a, struct span in_a,
		   const struct packet *b, struct span in_b)
{
	uint32_t known = a->undo ? a->undo->saved : a->len;

	if (in_a.n != in_b.n)
		return true;
	/* Bytes that were not saved were neither changed nor moved. */
	if (in_a.at >= known)
		return false;
	if (in_a.n > known - in_a.at)
		in_a.n = known - in_a.at;
	return memcmp(a->data + in_a.at, b->data + in_b.at, in_a.n) != 0;
}

static struct span ip_options(const struct packet *p)
{
	return (struct span){20, p->header - 20u};
}

static struct span tcp_options(const struct packet *p)
{
	if (!packet_has_layer(p, LAYER_TCP) || !p->payload)
		return (struct span){0, 0};
	return (struct span){p->transport + 20u,
			     p->payload - (p->transport + 20u)};
}

/* What follows all headers; everything, where there are none. */
static struct span payload(const struct packet *p)
{
	uint32_t at = p->payload ? p->payload : p->header;

	return (struct span){at, p->len - at};
}

void event_end(struct event *e, const struct packet *before,
	       const struct packet *p, const struct verdict *v)
{
	uint32_t was, is;

	e->verdict = (uint8_t)v->kind;
	if (v->rule)
		e->rule = v->rule->index;
	if (v->kind == VERDICT_REPLACE)
		e->made = v->count;
	if (v->kind == VERDICT_VIA)
		snprintf(e->via, sizeof(e->via), "%s", v->via);
	if (p->iface)
		snprintf(e->iface, sizeof(e->iface), "%s", p->iface);
	if (!(p->flags & PACKET_MODIFIED))
		return;
	for (int f = 0; f < FIELD_COUNT; f++)
		if (is_told(p, f) && !packet_get(before, f, &was) &&
		    !packet_get(p, f, &is))
			add_change(e, f, was, is);
	if (get_mss(before, &was) && get_mss(p, &is))
		add_change(e, EVENT_MSS, was, is);
	if (before->header && p->header)
		e->options_changed = differ(before, ip_options(before), p,
					    ip_options(p)) ||
				     differ(before, tcp_options(before), p,
					    tcp_options(p));
	/* A transport header that is cut off counts as payload, but for what
	 * was found in it. */
	e->payload_changed = differ(before, payload(before), p, payload(p)) &&
			     !(e->changes && p->flags & PACKET_TRUNCATED);
}

static void text_sanitize(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || (unsigned char)*text > '~')
			*text = '?';
}

void event_sanitize(struct event *e)
{
	text_sanitize(e->iface, sizeof(e->iface));
	text_sanitize(e->via, sizeof(e->via));
	text_sanitize(e->source, sizeof(e->source));
	text_sanitize(e->target, sizeof(e->target));
	text_sanitize(e->detail, sizeof(e->detail));
	text_sanitize(e->note, sizeof(e->note));
	if (e->dir > DIR_FORWARD)
		e->dir = DIR_OUT;
	if (e->way > WAY_WIRE)
		e->way = WAY_ROUTE;
	if (e->verdict > VERDICT_ERROR)
		e->verdict = VERDICT_ERROR;
	e->options_changed = !!e->options_changed;
	e->payload_changed = !!e->payload_changed;
	if (e->src.size != 4 && e->src.size != 16)
		e->src.size = 0;
	if (e->dst.size != 4 && e->dst.size != 16)
		e->dst.size = 0;
	if (e->changes > EVENT_CHANGES)
		e->changes = 0;
	for (int i = 0; i < e->changes; i++)
		if (e->change[i].field > EVENT_MSS)
			e->changes = 0;
}

const char *event_rule_name(const struct ruleset *rs, uint32_t index)
{
	if (rs)
		for (const struct rule *r = rs->first; r; r = r->next)
			if (r->index == index)
				return r->name;
	return "-";
}

static const char *const dir_names[] = {"out", "in", "fwd"};
static const char *const dir_words[] = {"out", "in", "forward"};

/* Appends to a text of n bytes in buf; never beyond size. */
static void append(char *buf, size_t size, size_t *n, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void append(char *buf, size_t size, size_t *n, const char *fmt, ...)
{
	va_list ap;
	int w;

	va_start(ap, fmt);
	w = vsnprintf(buf + *n, size - *n, fmt, ap);
	va_end(ap);
	if (w > 0)
		*n += (size_t)w < size - *n ? (size_t)w : size - *n - 1;
}

static bool is_changed(const struct event *e)
{
	return e->changes || e->options_changed || e->payload_changed;
}

static const char *verdict_colour(const struct event *e)
{
	switch (e->verdict) {
	case VERDICT_ACCEPT:
	case VERDICT_VIA:
		return is_changed(e) ? "\033[33m" : "\033[32m";
	case VERDICT_REPLACE:
		return "\033[36m";
	default:
		return "\033[31m";
	}
}

/* Time since the epoch; what was before it rounds down. */
static int64_t seconds(int64_t time, int64_t *nsec)
{
	int64_t sec = time / NSEC_PER_SEC;

	*nsec = time % NSEC_PER_SEC;
	if (*nsec < 0) {
		*nsec += NSEC_PER_SEC;
		sec--;
	}
	return sec;
}

size_t event_line(const struct event *e, const struct ruleset *rs,
		  const struct owner *owner, bool colour, char *buf,
		  size_t size)
{
	int64_t nsec;
	time_t sec = (time_t)seconds(e->time, &nsec);
	struct verdict v = {.kind = e->verdict, .via = e->via};
	char clock[16] = "", who[32] = "", verdict[VERDICT_TEXT];
	struct tm tm;
	size_t n = 0;

	localtime_r(&sec, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	if (owner && owner->pid)
		snprintf(who, sizeof(who), "%.15s/%d", owner->comm, owner->pid);
	append(buf, size, &n, "%s.%06" PRId64 " %-4s %-4s ", clock,
	       nsec / NSEC_PER_USEC, dir_names[e->dir],
	       packet_proto_name(e->proto));
	append(buf, size, &n, "%s > %s%s%s len %u  ", e->source, e->target,
	       *e->detail ? " " : "", e->detail, e->len);
	append(buf, size, &n, "%s%-8s%s %-10s %s", colour ? verdict_colour(e) : "",
	       verdict_text(&v, verdict, sizeof(verdict)), colour ? "\033[0m" : "",
	       event_rule_name(rs, e->rule), *who ? who : "-");
	if (*e->note)
		append(buf, size, &n, "  # %s", e->note);
	append(buf, size, &n, "\n");
	return n;
}

static void append_member(char *buf, size_t size, size_t *n, const char *name,
			  const char *text)
{
	char quoted[1024];

	append(buf, size, n, ",\"%s\":%s", name,
	       json_string(quoted, sizeof(quoted), text));
}

static const char *const layer_names[] = {"ip", "tcp", "udp", "icmp"};

static void append_name(char *buf, size_t size, size_t *n, uint8_t field)
{
	const struct packet_field_info *f = &packet_fields[field];

	if (field == EVENT_MSS)
		append(buf, size, n, "tcp.mss");
	else
		append(buf, size, n, "%s.%s", layer_names[f->layer], f->name);
}

static bool is_address(uint8_t field)
{
	return field == FIELD_IP_SRC || field == FIELD_IP_DST ||
	       field == FIELD_ICMP_GATEWAY;
}

static void append_value(char *buf, size_t size, size_t *n, uint8_t field,
			 uint32_t v)
{
	if (is_address(field))
		append(buf, size, n, "%u.%u.%u.%u", v >> 24, v >> 16 & 255,
		       v >> 8 & 255, v & 255);
	else
		append(buf, size, n, "%u", v);
}

static void append_text_value(char *buf, size_t size, size_t *n, uint8_t field,
			      uint32_t v)
{
	char flags[9];

	if (field == FIELD_TCP_FLAGS)
		append(buf, size, n, "[%s]", tcp_flags_text((uint8_t)v, flags));
	else
		append_value(buf, size, n, field, v);
}

size_t event_changes(const struct event *e, char *buf, size_t size)
{
	size_t n = 0;

	*buf = '\0';
	for (int i = 0; i < e->changes; i++) {
		const struct event_change *c = &e->change[i];

		append(buf, size, &n, "%s", n ? ", " : "");
		append_name(buf, size, &n, c->field);
		append(buf, size, &n, " ");
		append_text_value(buf, size, &n, c->field, c->before);
		append(buf, size, &n, " > ");
		append_text_value(buf, size, &n, c->field, c->after);
	}
	if (e->options_changed)
		append(buf, size, &n, "%soptions", n ? ", " : "");
	if (e->payload_changed)
		append(buf, size, &n, "%spayload", n ? ", " : "");
	return n;
}

static void append_changed(char *buf, size_t size, size_t *n,
			   const struct event *e)
{
	append(buf, size, n, ",\"changed\":{");
	for (int i = 0; i < e->changes; i++) {
		const struct event_change *c = &e->change[i];
		const char *quote = is_address(c->field) ? "\"" : "";

		append(buf, size, n, "%s\"", i ? "," : "");
		append_name(buf, size, n, c->field);
		append(buf, size, n, "\":[%s", quote);
		append_value(buf, size, n, c->field, c->before);
		append(buf, size, n, "%s,%s", quote, quote);
		append_value(buf, size, n, c->field, c->after);
		append(buf, size, n, "%s]", quote);
	}
	append(buf, size, n, "}");
	if (e->options_changed)
		append(buf, size, n, ",\"options_changed\":true");
	if (e->payload_changed)
		append(buf, size, n, ",\"payload_changed\":true");
}

size_t event_json(const struct event *e, const struct ruleset *rs,
		  const struct owner *owner, char *buf, size_t size)
{
	int64_t absolute = e->time == INT64_MIN ? INT64_MAX : llabs(e->time);
	char text[ADDRESS_TEXT_MAX];
	size_t n = 0;

	/* The sign is that of the whole number. */
	append(buf, size, &n, "{\"time\":%s%" PRId64 ".%09" PRId64,
	       e->time < 0 ? "-" : "", absolute / NSEC_PER_SEC,
	       absolute % NSEC_PER_SEC);
	append_member(buf, size, &n, "dir", dir_words[e->dir]);
	append_member(buf, size, &n, "way",
		      e->way == WAY_WIRE ? "wire" : "route");
	if (*e->iface)
		append_member(buf, size, &n, "iface", e->iface);
	append_member(buf, size, &n, "proto", packet_proto_name(e->proto));
	append_member(buf, size, &n, "src",
		      address_text(&e->src, text, sizeof(text)));
	append_member(buf, size, &n, "dst",
		      address_text(&e->dst, text, sizeof(text)));
	if (e->sport || e->dport)
		append(buf, size, &n, ",\"sport\":%u,\"dport\":%u", e->sport,
		       e->dport);
	append_member(buf, size, &n, "detail", e->detail);
	append(buf, size, &n, ",\"len\":%u", e->len);
	append_member(buf, size, &n, "verdict", verdict_name(e->verdict));
	if (*e->via)
		append_member(buf, size, &n, "via", e->via);
	if (e->rule != EVENT_RULE_NONE)
		append_member(buf, size, &n, "rule",
			      event_rule_name(rs, e->rule));
	if (e->made)
		append(buf, size, &n, ",\"made\":%u", e->made);
	if (is_changed(e))
		append_changed(buf, size, &n, e);
	if (*e->note)
		append_member(buf, size, &n, "note", e->note);
	if (owner && owner->pid) {
		append_member(buf, size, &n, "process", owner->comm);
		append(buf, size, &n, ",\"pid\":%d,\"uid\":%u", owner->pid,
		       owner->uid);
	}
	append(buf, size, &n, "}\n");
	return n;
}
