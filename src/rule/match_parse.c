/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Compiles a match from what people write. Every error names the key, what
 * was written and what would be right. Not on the packet path.
 */
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "rule/cond.h"
#include "rule/text.h"

/* The six control bits of RFC 793, FSRPAU: "S" means exactly S of these. ECE
 * and CWR do not count unless they are named, for a SYN that negotiates ECN
 * (RFC 3168) carries both, and who writes "S" means every SYN. */
#define FLAGS_USUAL 0x3f

/* The last but one 32-bit number: the last means none. */
#define ID_MAX (UINT32_MAX - 1)

/* More than a packet can hold is a slip. */
#define PAYLOAD_MAX 65535

static int name_dir(const char *name)
{
	static const char *const names[] = {"out", "in", "forward"};

	for (int i = 0; i < 3; i++)
		if (!strcmp(name, names[i]))
			return i; /* in the order of enum packet_dir */
	return -ENOENT;
}

static int name_bool(const char *name)
{
	if (!strcmp(name, "true"))
		return 1;
	return strcmp(name, "false") ? -ENOENT : 0;
}

#define PORT_WANT "a port from 0 to 65535 or a range such as 1024-65535"
#define ADDRESS_WANT                                                           \
	"an address, a prefix such as 10.0.0.0/8 or a range such as "          \
	"10.0.0.1-10.0.0.9"
#define IFACE_WANT                                                             \
	"an interface name of up to 15 letters such as eth0, or the "          \
	"beginning of some such as eth*"

const struct key_info match_keys[MATCH_KEYS] = {
	[MATCH_PROTO] = {"proto", KEY_NUMBER, 1, 255, name_proto,
			 "a protocol: a name such as tcp, or 0 to 255"},
	[MATCH_SRC] = {"src", KEY_ADDRESS, 12, 0, NULL, ADDRESS_WANT},
	[MATCH_DST] = {"dst", KEY_ADDRESS, 11, 0, NULL, ADDRESS_WANT},
	[MATCH_SPORT] = {"sport", KEY_NUMBER, 5, 65535, NULL, PORT_WANT},
	[MATCH_DPORT] = {"dport", KEY_NUMBER, 4, 65535, NULL, PORT_WANT},
	[MATCH_ICMP_TYPE] = {"icmp_type", KEY_NUMBER, 6, 255, name_icmp_type,
			     "an ICMP type: a name such as echo-request, or "
			     "0 to 255"},
	[MATCH_ICMP_CODE] = {"icmp_code", KEY_NUMBER, 7, 255,
			     name_unreachable_code,
			     "an ICMP code: a name such as port-unreachable, "
			     "or 0 to 255"},
	[MATCH_TCP_FLAGS] = {"tcp_flags", KEY_FLAGS, 10, 0, NULL,
			     "flags of FSRPAUEC: \"S\" for exactly these, "
			     "\"S/SA\" for exactly S of S and A"},
	[MATCH_DIR] = {"dir", KEY_CHOICE, 0, 2, name_dir,
		       "a direction: out, in or forward"},
	[MATCH_OIF] = {"oif", KEY_IFACE, 14, 0, NULL, IFACE_WANT},
	[MATCH_IIF] = {"iif", KEY_IFACE, 13, 0, NULL, IFACE_WANT},
	[MATCH_USER] = {"user", KEY_NUMBER, 0, ID_MAX, NULL,
			"a user of this host, a user id or a range such as "
			"1000-1999"},
	[MATCH_GROUP] = {"group", KEY_NUMBER, 0, ID_MAX, NULL,
			 "a group of this host, a group id or a range such as "
			 "1000-1999"},
	[MATCH_CGROUP] = {"cgroup", KEY_CGROUP, 0, 0, NULL,
			  "a path below the root of cgroup v2 such as "
			  "system.slice/ssh.service"},
	[MATCH_DSCP] = {"dscp", KEY_NUMBER, 9, 63, name_dscp,
			"a DSCP: a name such as ef or cs1, or 0 to 63"},
	[MATCH_TTL] = {"ttl", KEY_NUMBER, 8, 255, NULL,
		       "a TTL from 0 to 255 or a range such as 1-5"},
	[MATCH_LEN] = {"len", KEY_NUMBER, 3, 65535, NULL,
		       "a length of 0 to 65535 bytes or a range such as "
		       "1000-1500"},
	[MATCH_FRAGMENT] = {"fragment", KEY_CHOICE, 2, 1, name_bool,
			    "true or false"},
	[MATCH_PAYLOAD] = {"payload", KEY_BYTES, 20, 0, NULL,
			   "the first bytes of a payload, 1 to 65535 of them"},
};

int match_key_parse(const char *name, struct error *err)
{
	const char *names[MATCH_KEYS];

	for (int i = 0; i < MATCH_KEYS; i++)
		names[i] = match_keys[i].name;
	return text_choose("match key", name, names, MATCH_KEYS, err);
}

const char *match_key_name(enum match_key key)
{
	return match_keys[key].name;
}

static int complain(enum match_key key, const char *text, size_t n,
		    struct error *err)
{
	char show[TEXT_SHOW_MAX];

	return error_set(err, -EINVAL, "%s = '%s' is not %s",
			 match_keys[key].name, text_show(text, n, show),
			 match_keys[key].want);
}

/* The id of an account. A number is one whoever has it. */
static int account(const struct key_info *k, const char *text, uint32_t *v)
{
	const struct passwd *user;
	const struct group *group;

	if (k == &match_keys[MATCH_USER]) {
		user = getpwnam(text);
		if (user)
			*v = user->pw_uid;
		return user ? 0 : -ENOENT;
	}
	if (k == &match_keys[MATCH_GROUP]) {
		group = getgrnam(text);
		if (group)
			*v = group->gr_gid;
		return group ? 0 : -ENOENT;
	}
	return -ENOENT;
}

static int one_number(const struct key_info *k, const char *text, uint32_t *v)
{
	int name = k->number ? k->number(text) : -ENOENT;

	if (name >= 0) {
		*v = (uint32_t)name;
		return 0;
	}
	if (k->kind == KEY_CHOICE)
		return -EINVAL;
	return text_number(text, k->max, v) ? account(k, text, v) : 0;
}

/* Names have hyphens of their own: any of them may be the range's. */
static int parse_number(const struct key_info *k, char *text,
			struct match_value *v, struct error *err)
{
	if (!one_number(k, text, &v->low)) {
		v->high = v->low;
		return 0;
	}
	for (char *dash = strchr(text, '-'); dash && k->kind == KEY_NUMBER;
	     dash = strchr(dash + 1, '-')) {
		char low[TEXT_MAX], *a, *b;

		memcpy(low, text, (size_t)(dash - text));
		low[dash - text] = '\0';
		a = text_trim(low);
		b = dash + 1;
		while (*b == ' ')
			b++;
		if (one_number(k, a, &v->low) || one_number(k, b, &v->high))
			continue;
		if (v->low > v->high)
			return error_set(
				err, -EINVAL,
				"%s = '%s' is backwards; did you mean '%s-%s'?",
				k->name, text, b, a);
		return 0;
	}
	return complain((enum match_key)(k - match_keys), text, strlen(text),
			err);
}

static int parse_flags(const struct key_info *k, char *text,
		       struct match_value *v, struct error *err)
{
	char *slash = strchr(text, '/'), show[TEXT_SHOW_MAX];
	int value = 0, mask;

	text_show(text, strlen(text), show);
	if (slash)
		*slash = '\0';
	if (*text)
		value = name_tcp_flags(text);
	mask = slash && slash[1] ? name_tcp_flags(slash + 1)
				 : FLAGS_USUAL | value;
	if (value < 0 || mask < 0 || (slash ? !slash[1] : !*text))
		return complain(MATCH_TCP_FLAGS, show, strlen(show), err);
	if (value & ~mask)
		return error_set(
			err, -EINVAL,
			"%s = '%s' never holds: a flag before the '/' is not among those behind it",
			k->name, show);
	v->low = (uint32_t)value;
	v->high = (uint32_t)mask;
	return 0;
}

static bool is_iface(const char *text)
{
	size_t n = strlen(text);

	if (!n || n >= IFNAMSIZ + (text[n - 1] == '*'))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] <= ' ' || text[i] == '/' ||
		    (text[i] == '*' && i != n - 1))
			return false;
	return true;
}

/* A path as the kernel shows it, "/a/b", without the slash at its head. */
static int parse_cgroup(char **text, struct error *err)
{
	char *t = *text, *part;
	size_t n;

	while (*t == '/')
		t++;
	n = strlen(t);
	while (n && t[n - 1] == '/')
		t[--n] = '\0';
	for (part = t;; part = strchr(part, '/') + 1) {
		n = strcspn(part, "/");
		if (!n || (part[0] == '.' && (n == 1 ||
					      (part[1] == '.' && n == 2))))
			return complain(MATCH_CGROUP, *text, strlen(*text),
					err);
		if (!part[n])
			break;
	}
	*text = t;
	return 0;
}

static int parse_addresses(const struct key_info *k, const char *text,
			   struct match_value *v, struct error *err)
{
	struct error why;
	int ret = text_addresses(text, &v->from, &v->to, &why);

	return ret ? error_set(err, ret, "%s: %s", k->name, why.text) : 0;
}

static int keep_text(struct match_value *v, const char *text, size_t n)
{
	char *copy = malloc(n + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, n);
	copy[n] = '\0';
	v->text = copy;
	v->text_len = (uint32_t)n;
	return 0;
}

/* Reads text as a value of key. v->text is what was written, without "!". */
static int parse_value(enum match_key key, const char *text, size_t n,
		       struct match_value *v, struct error *err)
{
	const struct key_info *k = &match_keys[key];
	char buf[TEXT_MAX], *t;
	int ret = 0;

	if (n >= sizeof(buf) || memchr(text, '\0', n))
		return complain(key, text, n, err);
	memcpy(buf, text, n);
	buf[n] = '\0';
	t = text_trim(buf);
	v->negate = *t == '!';
	if (v->negate)
		t = text_trim(t + 1);
	if (k->kind == KEY_CGROUP)
		ret = parse_cgroup(&t, err);
	if (ret)
		return ret;
	if (keep_text(v, t, strlen(t)))
		return error_set(err, -ENOMEM, "%s: no memory", k->name);
	if (k->kind == KEY_ADDRESS)
		ret = parse_addresses(k, t, v, err);
	else if (k->kind == KEY_FLAGS)
		ret = parse_flags(k, t, v, err);
	else if (k->kind == KEY_IFACE)
		ret = is_iface(t) ? 0 : complain(key, t, strlen(t), err);
	else if (k->kind != KEY_CGROUP)
		ret = parse_number(k, t, v, err);
	return ret;
}

static int parse_bytes(const char *text, size_t n, struct match_value *v,
		       struct error *err)
{
	v->negate = n && *text == '!';
	if (v->negate) {
		text++;
		n--;
	}
	if (!n || n > PAYLOAD_MAX)
		return complain(MATCH_PAYLOAD, text, n, err);
	if (keep_text(v, text, n))
		return error_set(err, -ENOMEM, "payload: no memory");
	return 0;
}

/* A set costs more than any comparison but that of a payload. */
static unsigned cond_cost(const struct cond *c)
{
	return match_keys[c->pub.key].cost + (c->sets ? 5 : 0);
}

static void cond_insert(struct match *m, struct cond *c)
{
	struct match_cond **at = &m->first;

	while (*at && cond_cost(cond_of(*at)) <= cond_cost(c))
		at = &(*at)->next;
	c->pub.next = *at;
	*at = &c->pub;
}

/* Takes the condition on key out of the list, or makes one. */
static struct cond *cond_take(struct match *m, enum match_key key)
{
	struct match_cond **at = &m->first;
	struct cond *c;

	while (*at && (*at)->key != key)
		at = &(*at)->next;
	if (*at) {
		c = cond_of(*at);
		*at = c->pub.next;
		return c;
	}
	c = calloc(1, sizeof(*c));
	if (c)
		c->pub.key = key;
	return c;
}

static int cond_room(struct cond *c)
{
	uint32_t room = c->room ? c->room * 2 : 1;
	struct match_value *value;

	if (c->pub.count < c->room)
		return 0;
	value = realloc(c->pub.value, room * sizeof(*value));
	if (!value)
		return -ENOMEM;
	c->pub.value = value;
	c->room = room;
	return 0;
}

static int cond_add(struct cond *c, const struct match_value *v)
{
	enum key_kind kind = match_keys[c->pub.key].kind;
	struct ranges *r = v->negate ? c->out : c->in;
	int ret = cond_room(c);

	if (ret)
		return ret;
	if (kind == KEY_ADDRESS && !v->set)
		ret = ranges_add(&r[v->from.size == 16],
				 address_number(&v->from),
				 address_number(&v->to));
	else if (kind == KEY_NUMBER || kind == KEY_CHOICE)
		ret = ranges_add(r, v->low, v->high);
	if (ret)
		return ret;
	c->pub.value[c->pub.count++] = *v;
	c->positive += !v->negate;
	c->sets += v->set != NULL;
	return 0;
}

/* Takes over what v holds, also on error. */
static int add_value(struct match *m, enum match_key key, struct match_value *v,
		     struct error *err)
{
	struct cond *c = cond_take(m, key);
	int ret = c ? cond_add(c, v) : -ENOMEM;

	if (c && c->pub.count) {
		cond_insert(m, c);
	} else if (c) {
		free(c->pub.value);
		free(c);
	}
	if (!ret)
		return 0;
	free((char *)v->text);
	set_unref(v->set);
	return error_set(err, ret, "%s: no memory", match_keys[key].name);
}

int match_add(struct match *m, enum match_key key, const char *text, size_t n,
	      struct error *err)
{
	struct match_value v = {0};
	int ret;

	if (match_keys[key].kind == KEY_BYTES)
		ret = parse_bytes(text, n, &v, err);
	else
		ret = parse_value(key, text, n, &v, err);
	if (!ret)
		return add_value(m, key, &v, err);
	free((char *)v.text);
	return ret;
}

int match_add_set(struct match *m, enum match_key key, struct set *s,
		  struct error *err)
{
	struct match_value v = {0};

	if (match_keys[key].kind != KEY_ADDRESS)
		return error_set(
			err, -EINVAL,
			"%s = set %s: a set holds addresses and can only be a value of src or dst",
			match_keys[key].name, set_name(s));
	v.set = set_ref(s);
	return add_value(m, key, &v, err);
}

int match_add_bool(struct match *m, enum match_key key, bool value,
		   struct error *err)
{
	const char *text = value ? "true" : "false";

	if (key != MATCH_FRAGMENT)
		return complain(key, text, strlen(text), err);
	return match_add(m, key, text, strlen(text), err);
}
