/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Constant rewrites: fields that get a value, whoever the packet is for. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"
#include "rule/ruleset.h"
#include "rule/text.h"

#define TCPOPT_MSS_KIND 2 /* RFC 9293 3.2 */
#define TCPOPT_MSS_LEN	4
#define TCP_SYN		0x02

static int name_bool(const char *name)
{
	if (!strcmp(name, "true"))
		return 1;
	return strcmp(name, "false") ? -ENOENT : 0;
}

static const struct {
	const char *name;
	uint32_t min, max; /* max 0: an address */
	int (*number)(const char *name);
	const char *want;
} keys[REWRITE_KEYS] = {
	/* RFC 1122 3.2.1.7: no host sends a TTL of zero. */
	[REWRITE_TTL] = {"ttl", 1, 255, NULL, "a TTL from 1 to 255"},
	[REWRITE_DSCP] = {"dscp", 0, 63, name_dscp,
			  "a DSCP: a name such as ef or cs1, or 0 to 63"},
	[REWRITE_ECN] = {"ecn", 0, 3, NULL, "an ECN codepoint from 0 to 3"},
	[REWRITE_DF] = {"df", 0, 1, name_bool, "true or false"},
	[REWRITE_ID] = {"id", 0, 65535, NULL, "an id from 0 to 65535"},
	[REWRITE_MSS] = {"mss", 1, 65535, NULL, "an MSS from 1 to 65535 bytes"},
	[REWRITE_SRC] = {"src", 0, 0, NULL, "an address"},
	[REWRITE_DST] = {"dst", 0, 0, NULL, "an address"},
	[REWRITE_SPORT] = {"sport", 0, 65535, NULL, "a port from 0 to 65535"},
	[REWRITE_DPORT] = {"dport", 0, 65535, NULL, "a port from 0 to 65535"},
};

int rewrite_key_parse(const char *name, struct error *err)
{
	const char *names[REWRITE_KEYS];

	for (int i = 0; i < REWRITE_KEYS; i++)
		names[i] = keys[i].name;
	return text_choose("rewrite key", name, names, REWRITE_KEYS, err);
}

const char *rewrite_key_name(enum rewrite_key key)
{
	return keys[key].name;
}

int rewrite_parse(struct rewrite *r, const char *text, struct error *err)
{
	char buf[TEXT_MAX], show[TEXT_SHOW_MAX], *t;
	enum rewrite_key key = r->key;
	uint32_t number = 0;
	int name = -ENOENT;

	text_show(text, strlen(text), show);
	if (strlen(text) >= sizeof(buf))
		goto wrong;
	strcpy(buf, text);
	t = text_trim(buf);
	if (!keys[key].max) {
		struct address a;

		if (address_parse(&a, t))
			goto wrong;
		r->address = a;
		return 0;
	}
	if (keys[key].number)
		name = keys[key].number(t);
	if (name >= 0)
		number = (uint32_t)name;
	else if (text_number(t, keys[key].max, &number))
		goto wrong;
	if (number < keys[key].min)
		goto wrong;
	r->number = number;
	return 0;
wrong:
	return error_set(err, -EINVAL, "%s = '%s' is not %s", keys[key].name,
			 show, keys[key].want);
}

static bool set_field(struct packet *p, enum packet_field f, uint32_t value)
{
	uint32_t old;

	return !packet_get(p, f, &old) && old != value &&
	       !packet_set(p, f, value);
}

static bool set_address(struct packet *p, enum packet_field f,
			const struct address *a)
{
	struct address old = f == FIELD_IP_SRC ? packet_src(p) : packet_dst(p);

	return old.size && address_compare(&old, a) &&
	       !packet_set_address(p, f, a);
}

static bool set_port(struct packet *p, bool dst, uint32_t port)
{
	if (p->proto == IPPROTO_TCP)
		return set_field(p, dst ? FIELD_TCP_DPORT : FIELD_TCP_SPORT,
				 port);
	if (p->proto == IPPROTO_UDP)
		return set_field(p, dst ? FIELD_UDP_DPORT : FIELD_UDP_SPORT,
				 port);
	return false;
}

static bool clamp_mss(struct packet *p, uint32_t mss)
{
	const uint8_t *opt;
	uint8_t n, value[2];
	uint32_t flags;

	if (packet_get(p, FIELD_TCP_FLAGS, &flags) || !(flags & TCP_SYN))
		return false;
	opt = packet_tcp_option(p, TCPOPT_MSS_KIND, &n);
	if (!opt || n != TCPOPT_MSS_LEN || get_be16(opt + 2) <= mss)
		return false;
	put_be16(value, (uint16_t)mss);
	return !packet_write(p, (uint32_t)(opt + 2 - p->data), value,
			     sizeof(value));
}

bool rewrite_apply(const struct rewrite *r, struct packet *p)
{
	switch (r->key) {
	case REWRITE_TTL:
		return set_field(p, FIELD_IP_TTL, r->number);
	case REWRITE_DSCP:
		return set_field(p, FIELD_IP_DSCP, r->number);
	case REWRITE_ECN:
		return set_field(p, FIELD_IP_ECN, r->number);
	case REWRITE_DF:
		return set_field(p, FIELD_IP_DF, r->number);
	case REWRITE_ID:
		return set_field(p, FIELD_IP_ID, r->number);
	case REWRITE_MSS:
		return clamp_mss(p, r->number);
	case REWRITE_SRC:
		return set_address(p, FIELD_IP_SRC, &r->address);
	case REWRITE_DST:
		return set_address(p, FIELD_IP_DST, &r->address);
	case REWRITE_SPORT:
		return set_port(p, false, r->number);
	case REWRITE_DPORT:
		return set_port(p, true, r->number);
	default:
		return false;
	}
}
