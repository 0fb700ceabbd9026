/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet as text for people: one line, its parts, and a hex dump. Every
 * byte shown comes from strangers, so only printable characters go out. Must
 * not know of colours, columns or JSON.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "packet/cover.h"

#define PORT_DNS 53

/* Longest text of an endpoint: an address in brackets and a port. */
#define ENDPOINT_MAX (ADDRESS_TEXT_MAX + 8)
#define DETAIL_MAX   512

/* ---- text ------------------------------------------------------------ */

/* Appends to buf, cuts what does not fit, and counts what was wanted. */
struct text {
	char *buf;
	size_t size;
	size_t n;
};

static void __attribute__((format(printf, 2, 3)))
text_add(struct text *t, const char *fmt, ...)
{
	size_t at = t->n < t->size ? t->n : t->size;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(at < t->size ? t->buf + at : NULL, t->size - at, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->n += (size_t)n;
}

static struct text text_begin(char *buf, size_t size)
{
	if (size)
		buf[0] = '\0';
	return (struct text){.buf = buf, .size = size};
}

static bool is_printable(uint8_t c)
{
	return c > ' ' && c < 0x7f;
}

/* ---- names ----------------------------------------------------------- */

const char *packet_proto_name(uint8_t proto)
{
#define TEN(t)                                                                 \
	t "0", t "1", t "2", t "3", t "4", t "5", t "6", t "7", t "8", t "9"
	static const char *const number[260] = {
		TEN(""),   TEN("1"),  TEN("2"),	 TEN("3"),  TEN("4"),
		TEN("5"),  TEN("6"),  TEN("7"),	 TEN("8"),  TEN("9"),
		TEN("10"), TEN("11"), TEN("12"), TEN("13"), TEN("14"),
		TEN("15"), TEN("16"), TEN("17"), TEN("18"), TEN("19"),
		TEN("20"), TEN("21"), TEN("22"), TEN("23"), TEN("24"),
		TEN("25"),
	};
#undef TEN
	static const char *const name[256] = {
		[1] = "icmp",	  [2] = "igmp",	     [4] = "ipip",
		[6] = "tcp",	  [17] = "udp",	     [33] = "dccp",
		[41] = "ipv6",	  [46] = "rsvp",     [47] = "gre",
		[50] = "esp",	  [51] = "ah",	     [58] = "icmpv6",
		[88] = "eigrp",	  [89] = "ospf",     [103] = "pim",
		[108] = "ipcomp", [112] = "vrrp",    [115] = "l2tp",
		[132] = "sctp",	  [136] = "udplite",
	};

	return name[proto] ? name[proto] : number[proto];
}

/* nft's names, and iptables' where nft has none. */
static const char *const unreachable_code[] = {
	"net-unreachable",	"host-unreachable", "prot-unreachable",
	"port-unreachable",	"frag-needed",	    "source-route-failed",
	"network-unknown",	"host-unknown",	    "source-isolated",
	"net-prohibited",	"host-prohibited",  "tos-network-unreachable",
	"tos-host-unreachable", "admin-prohibited", "host-precedence-violation",
	"precedence-cutoff",
};

/* ---- the detail of each protocol ------------------------------------- */

/* Why a packet has no layers. What is left when the header looks well is a
 * frame of another protocol, which a capture file may hold. */
static void add_odd(struct text *t, const struct packet *p)
{
	const uint8_t *b = packet_at(p, 0, 1);
	unsigned header;
	uint16_t total;

	if (!b) {
		text_add(t, "empty");
		return;
	}
	if (b[0] >> 4 != 4) {
		text_add(t, "not IPv4");
		return;
	}
	header = (b[0] & 15) * 4u;
	if (header < 20) {
		text_add(t, "header length %u", header);
		return;
	}
	b = packet_at(p, 0, 20);
	if (!b || header > p->len) {
		text_add(t, "header cut off");
		return;
	}
	total = get_be16(b + 2);
	if (total < header)
		text_add(t, "total length %u", total);
	else if (total > p->len)
		text_add(t, "cut off, total length %u", total);
	else
		text_add(t, "not IPv4");
}

static void add_tcp(struct text *t, const struct packet *p)
{
	char flags[9];
	uint32_t v;

	if (packet_get(p, FIELD_TCP_FLAGS, &v))
		return;
	tcp_flags_text((uint8_t)v, flags);
	text_add(t, "[%s]", flags[0] ? flags : "none");
}

static void add_icmp_id(struct text *t, const struct packet *p,
			const char *what)
{
	uint32_t id, seq;

	text_add(t, "%s", what);
	if (!packet_get(p, FIELD_ICMP_ID, &id) &&
	    !packet_get(p, FIELD_ICMP_SEQ, &seq))
		text_add(t, " id %u seq %u", id, seq);
}

static void add_icmp_unreachable(struct text *t, const struct packet *p,
				 uint32_t code)
{
	const size_t n = sizeof(unreachable_code) / sizeof(unreachable_code[0]);
	uint32_t mtu;

	if (code < n)
		text_add(t, "unreachable %s", unreachable_code[code]);
	else
		text_add(t, "unreachable code %u", code);
	if (code == 4 && !packet_get(p, FIELD_ICMP_MTU, &mtu))
		text_add(t, " mtu %u", mtu);
}

static void add_icmp_redirect(struct text *t, const struct packet *p,
			      uint32_t code)
{
	char gateway[ADDRESS_TEXT_MAX];
	struct address a;
	uint8_t b[4];
	uint32_t v;

	text_add(t, "redirect %s", code == 0 || code == 2 ? "network" : "host");
	if (packet_get(p, FIELD_ICMP_GATEWAY, &v))
		return;
	put_be32(b, v);
	a = address_v4(b);
	text_add(t, " to %s", address_text(&a, gateway, sizeof(gateway)));
}

static void add_icmp(struct text *t, const struct packet *p)
{
	uint32_t type, code;
	const char *name;

	if (packet_get(p, FIELD_ICMP_TYPE, &type) ||
	    packet_get(p, FIELD_ICMP_CODE, &code))
		return;
	switch (type) {
	case 0:
		add_icmp_id(t, p, "echo reply");
		break;
	case 3:
		add_icmp_unreachable(t, p, code);
		break;
	case 5:
		add_icmp_redirect(t, p, code);
		break;
	case 8:
		add_icmp_id(t, p, "echo request");
		break;
	case 11:
		text_add(t, "time exceeded %s",
			 code ? "in reassembly" : "in transit");
		break;
	case 13:
		add_icmp_id(t, p, "timestamp request");
		break;
	case 14:
		add_icmp_id(t, p, "timestamp reply");
		break;
	default:
		name = icmp_type_name((uint8_t)type);
		if (name)
			text_add(t, "%s", name);
		else
			text_add(t, "type %u", type);
		if (code)
			text_add(t, " code %u", code);
	}
}

/* ---- DNS (RFC 1035) -------------------------------------------------- */

#define DNS_HEADER   12u
#define DNS_NAME_MAX 255u
#define DNS_RESPONSE 0x8000
#define DNS_OPCODE   0x7800
#define DNS_RCODE    0x000f

static const char *dns_type(uint16_t type, char buf[16])
{
	static const struct {
		uint16_t type;
		const char *name;
	} types[] = {
		{1, "A"},     {2, "NS"},     {5, "CNAME"},  {6, "SOA"},
		{12, "PTR"},  {15, "MX"},    {16, "TXT"},   {28, "AAAA"},
		{33, "SRV"},  {35, "NAPTR"}, {43, "DS"},    {48, "DNSKEY"},
		{64, "SVCB"}, {65, "HTTPS"}, {252, "AXFR"}, {255, "ANY"},
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type)
			return types[i].name;
	snprintf(buf, 16, "TYPE%u", type);
	return buf;
}

/*
 * The name at *off as text; *off moves behind it. False for what is cut off,
 * compressed (a question has nothing to point at), too long, or not plain
 * text: then nothing is shown rather than something that misleads.
 */
static bool dns_name(const struct packet *p, uint32_t *off,
		     char name[DNS_NAME_MAX + 1])
{
	uint32_t n = 0;

	for (;;) {
		const uint8_t *label = packet_at(p, *off, 1);
		uint8_t size;

		if (!label)
			return false;
		size = *label;
		*off += 1 + size;
		if (!size)
			break;
		label = packet_at(p, *off - size, size);
		if (size > 63 || !label || n + size + 1 > DNS_NAME_MAX)
			return false;
		if (n)
			name[n++] = '.';
		for (uint8_t i = 0; i < size; i++) {
			if (!is_printable(label[i]) || label[i] == '.')
				return false;
			name[n++] = (char)label[i];
		}
	}
	if (!n)
		name[n++] = '.';
	name[n] = '\0';
	return true;
}

static void add_dns(struct text *t, const struct packet *p)
{
	static const char *const rcodes[] = {
		"", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
	};
	const uint8_t *h = packet_at(p, p->payload, DNS_HEADER), *q;
	uint32_t off = p->payload + DNS_HEADER;
	char name[DNS_NAME_MAX + 1], type[16];
	uint16_t flags, answers;
	unsigned rcode;

	if (!p->payload || !h || get_be16(h + 4) != 1)
		return;
	flags = get_be16(h + 2);
	if (flags & DNS_OPCODE || !dns_name(p, &off, name))
		return;
	q = packet_at(p, off, 4);
	if (!q)
		return;
	text_add(t, "%s%s %s", dns_type(get_be16(q), type),
		 flags & DNS_RESPONSE ? "" : "?", name);
	if (!(flags & DNS_RESPONSE))
		return;
	rcode = flags & DNS_RCODE;
	answers = get_be16(h + 6);
	if (!rcode)
		text_add(t, " %u answer%s", answers, answers == 1 ? "" : "s");
	else if (rcode < sizeof(rcodes) / sizeof(rcodes[0]))
		text_add(t, " %s", rcodes[rcode]);
	else
		text_add(t, " rcode %u", rcode);
}

/* ---- the parts of a line --------------------------------------------- */

static void add_transport(struct text *t, const struct packet *p)
{
	uint16_t sport, dport;

	switch (p->proto) {
	case PROTO_TCP:
		add_tcp(t, p);
		break;
	case PROTO_UDP:
		if (!packet_ports(p, &sport, &dport) &&
		    (sport == PORT_DNS || dport == PORT_DNS))
			add_dns(t, p);
		break;
	case PROTO_ICMP:
		add_icmp(t, p);
		break;
	}
}

/* tcpdump's way: where it begins, and a plus where more follows. */
static void add_fragment(struct text *t, const struct packet *p)
{
	uint32_t offset, more;

	if (packet_get(p, FIELD_IP_FRAG_OFFSET, &offset) ||
	    packet_get(p, FIELD_IP_MF, &more))
		return;
	text_add(t, "%sfrag %u%s", t->n ? " " : "", offset * 8,
		 more ? "+" : "");
}

const char *packet_detail(const struct packet *p, char *buf, size_t size)
{
	struct text t = text_begin(buf, size);

	if (p->flags & PACKET_ODD) {
		add_odd(&t, p);
		return buf;
	}
	if (p->transport)
		add_transport(&t, p);
	if (p->flags & PACKET_TRUNCATED)
		text_add(&t, "%struncated", t.n ? " " : "");
	if (p->flags & PACKET_FRAGMENT)
		add_fragment(&t, p);
	return buf;
}

const char *packet_endpoint(const struct packet *p, bool dst, char *buf,
			    size_t size)
{
	struct text t = text_begin(buf, size);
	char addr[ADDRESS_TEXT_MAX];
	uint16_t sport, dport;
	struct address a;

	if (p->flags & PACKET_ODD) {
		text_add(&t, "-");
		return buf;
	}
	a = dst ? packet_dst(p) : packet_src(p);
	address_text(&a, addr, sizeof(addr));
	if (packet_ports(p, &sport, &dport))
		text_add(&t, "%s", addr);
	else
		text_add(&t, a.size == 4 ? "%s:%u" : "[%s]:%u", addr,
			 dst ? dport : sport);
	return buf;
}

const char *packet_print(const struct packet *p, char *buf, size_t size)
{
	char src[ENDPOINT_MAX], dst[ENDPOINT_MAX], detail[DETAIL_MAX];
	struct text t = text_begin(buf, size);

	packet_detail(p, detail, sizeof(detail));
	if (p->flags & PACKET_ODD) {
		text_add(&t, "%-4s %s len %u", "odd", detail, p->len);
		return buf;
	}
	text_add(&t, "%-4s %s > %s %s%slen %u", packet_proto_name(p->proto),
		 packet_endpoint(p, false, src, sizeof(src)),
		 packet_endpoint(p, true, dst, sizeof(dst)), detail,
		 detail[0] ? " " : "", p->len);
	return buf;
}

/* ---- hex ------------------------------------------------------------- */

static void add_dump_line(struct text *t, const uint8_t *b, uint32_t off,
			  uint32_t n)
{
	char hex[41], ascii[17];
	size_t at = 0;

	for (uint32_t i = 0; i < n; i++) {
		at += (size_t)snprintf(hex + at, sizeof(hex) - at, "%s%02x",
				       i && i % 2 == 0 ? " " : "", b[i]);
		ascii[i] = is_printable(b[i]) ? (char)b[i] : '.';
	}
	ascii[n] = '\0';
	text_add(t, "\t0x%04x:  %-39s  %s\n", off, hex, ascii);
}

size_t packet_dump(const struct packet *p, char *buf, size_t size)
{
	struct text t = text_begin(buf, size);

	for (uint32_t off = 0; off < p->len; off += 16) {
		uint32_t n = p->len - off < 16 ? p->len - off : 16;
		const uint8_t *b = packet_at(p, off, n);

		if (!b)
			break;
		add_dump_line(&t, b, off, n);
	}
	return t.n;
}
