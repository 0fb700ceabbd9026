/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How two packets differ, in words: field by field, and bytes in hex. Knows
 * nothing of Lua values. */
#include <ctype.h>
#include <string.h>

#include "base/bytes.h"
#include "script/test_internal.h"

/* Bytes a line of a dump, and lines of it. */
#define DUMP_WIDTH 16
#define DUMP_LINES 4

static void line(struct text *out, const char *name, const char *want,
		 const char *got)
{
	text_add(out, "  %-18s expected %s, got %s\n", name, want, got);
}

/* ---- fields ------------------------------------------------------------- */

static const char *field_text(const struct packet *p, enum packet_field f,
			      char *buf, size_t size)
{
	char flags[9];
	uint32_t v;

	if (packet_get(p, f, &v))
		return "none";
	if (f == FIELD_IP_SRC || f == FIELD_IP_DST || f == FIELD_ICMP_GATEWAY)
		snprintf(buf, size, "%u.%u.%u.%u", v >> 24, v >> 16 & 0xff,
			 v >> 8 & 0xff, v & 0xff);
	else if (f == FIELD_TCP_FLAGS)
		snprintf(buf, size, "\"%s\"",
			 tcp_flags_text((uint8_t)v, flags));
	else
		snprintf(buf, size, "%u", v);
	return buf;
}

/* A checksum differs because something else does, where both are right. */
static bool follows(const struct packet *a, const struct packet *b,
		    enum packet_field f)
{
	if (f == FIELD_IP_CHECKSUM)
		return packet_ip_checksum_ok(a) && packet_ip_checksum_ok(b);
	if (f == FIELD_TCP_CHECKSUM || f == FIELD_UDP_CHECKSUM ||
	    f == FIELD_ICMP_CHECKSUM)
		return packet_l4_checksum_ok(a) && packet_l4_checksum_ok(b);
	return false;
}

/* The second word of an ICMP header has other names in other types. */
static bool is_alias(const struct packet *a, const struct packet *b,
		     enum packet_field f)
{
	uint32_t x = 0, y = 0;
	bool echo;

	if (f < FIELD_ICMP_ID || f > FIELD_ICMP_GATEWAY)
		return false;
	packet_get(a, FIELD_ICMP_TYPE, &x);
	packet_get(b, FIELD_ICMP_TYPE, &y);
	echo = x == 0 || x == 8 || y == 0 || y == 8;
	if (f == FIELD_ICMP_ID || f == FIELD_ICMP_SEQ)
		return !echo;
	if (f == FIELD_ICMP_MTU)
		return echo || (x != 3 && y != 3);
	return echo || (x != 5 && y != 5);
}

static void one_field(const struct packet *want, const struct packet *got,
		      enum packet_field f, struct text *out)
{
	static const char *const layer[] = {"ip", "tcp", "udp", "icmp"};
	char a[32], b[32], name[32];
	const char *x = field_text(want, f, a, sizeof(a));
	const char *y = field_text(got, f, b, sizeof(b));

	if (!strcmp(x, y) || follows(want, got, f) || is_alias(want, got, f))
		return;
	snprintf(name, sizeof(name), "%s.%s", layer[packet_fields[f].layer],
		 packet_fields[f].name);
	line(out, name, x, y);
}

/* ---- bytes -------------------------------------------------------------- */

static void dump(const char *who, const uint8_t *b, size_t n, size_t from,
		 struct text *out)
{
	text_add(out, "  %s, %zu byte%s:\n", who, n, n == 1 ? "" : "s");
	for (int i = 0; i < DUMP_LINES && from < n; i++) {
		size_t end = from + DUMP_WIDTH < n ? from + DUMP_WIDTH : n;

		text_add(out, "    %4zu ", from + 1);
		for (size_t k = from; k < from + DUMP_WIDTH; k++)
			if (k < end)
				text_add(out, " %02x", b[k]);
			else
				text_add(out, "   ");
		text_add(out, "  ");
		for (; from < end; from++)
			text_add(out, "%c", isprint(b[from]) ? b[from] : '.');
		text_add(out, "\n");
	}
	if (from < n)
		text_add(out, "    ... %zu more\n", n - from);
}

void diff_bytes(const uint8_t *want, size_t nwant, const uint8_t *got,
		size_t ngot, struct text *out)
{
	size_t same = 0, from;

	while (same < nwant && same < ngot && want[same] == got[same])
		same++;
	from = same / DUMP_WIDTH * DUMP_WIDTH;
	text_add(out, "  they differ from byte %zu on\n", same + 1);
	dump("expected", want, nwant, from, out);
	dump("got", got, ngot, from, out);
}

/* ---- both --------------------------------------------------------------- */

/* The options of the IP or TCP header, the payload. */
struct piece {
	const char *name;
	uint32_t off, n;
};

static void parts_of(const struct packet *p, struct piece part[3])
{
	uint32_t l4 = p->transport ? p->transport : p->len;
	bool tcp = p->proto == 6 && p->payload;

	part[0] = (struct piece){"ip.options", 20,
				p->header > 20 ? p->header - 20u : 0};
	part[1] = (struct piece){"tcp.options", l4 + 20,
				tcp ? p->payload - l4 - 20u : 0};
	part[2] = (struct piece){"payload", p->payload,
				p->payload ? p->len - p->payload : 0};
}

void diff_packets(const struct packet *want, const struct packet *got,
		  struct text *out)
{
	struct piece a[3], b[3];
	size_t before = out->n;

	if (!want->header || !got->header) {
		diff_bytes(want->data, want->len, got->data, got->len, out);
		return;
	}
	for (int f = 0; f < FIELD_COUNT; f++)
		one_field(want, got, (enum packet_field)f, out);
	parts_of(want, a);
	parts_of(got, b);
	for (int i = 0; i < 3; i++) {
		const uint8_t *x = packet_at(want, a[i].off, a[i].n);
		const uint8_t *y = packet_at(got, b[i].off, b[i].n);

		if (a[i].n == b[i].n && (!a[i].n || !x || !y ||
					 !memcmp(x, y, a[i].n)))
			continue;
		text_add(out, "  %s:\n", a[i].name);
		diff_bytes(x ? x : want->data, x ? a[i].n : 0,
			   y ? y : got->data, y ? b[i].n : 0, out);
	}
	/* What no name stands for. */
	if (out->n == before)
		diff_bytes(want->data, want->len, got->data, got->len, out);
}
