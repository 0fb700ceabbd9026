/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A where that only compares fields with constants says what a match could.
 * Whatever else stands there is taken for something that a match cannot say.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script/lint_source.h"

#define CONDITIONS_MAX 8
#define NO_VALUE       UINT32_MAX

/* Fields, by what stands behind "pkt.", and the match key for each. */
static const struct known {
	const char *path, *key;
	uint32_t max;	   /* of a number; 0: a text */
	const char *proto; /* it is only there in this protocol; NULL: any */
} known[] = {
	{"src", "src", 0, NULL},
	{"dst", "dst", 0, NULL},
	{"ip.src", "src", 0, NULL},
	{"ip.dst", "dst", 0, NULL},
	{"proto", "proto", 0, NULL},
	{"ip.proto", "proto", 255, NULL},
	{"dir", "dir", 0, NULL},
	{"sport", "sport", 65535, NULL},
	{"dport", "dport", 65535, NULL},
	{"tcp.sport", "sport", 65535, "tcp"},
	{"tcp.dport", "dport", 65535, "tcp"},
	{"udp.sport", "sport", 65535, "udp"},
	{"udp.dport", "dport", 65535, "udp"},
	{"ip.ttl", "ttl", 255, NULL},
	{"ip.dscp", "dscp", 63, NULL},
	{"len", "len", 65535, NULL},
	{"ip.len", "len", 65535, NULL},
	{"icmp.type", "icmp_type", 255, NULL},
	{"icmp.code", "icmp_code", 255, NULL},
};

struct condition {
	const char *key;
	bool negate;
	uint32_t low, high; /* of a number; low NO_VALUE: the text below */
	char text[128];	    /* as it is written in Lua */
};

struct where {
	struct reader reader;
	struct token now;
	struct token pkt; /* the parameter */
	struct condition condition[CONDITIONS_MAX];
	unsigned n;
};

static void advance(struct where *w)
{
	w->now = token_next(&w->reader);
}

static bool take(struct where *w, const char *text)
{
	if (!token_is(&w->now, text))
		return false;
	advance(w);
	return true;
}

/* ---- what is compared ------------------------------------------------- */

/* "pkt.a.b": the field. */
static const struct known *take_field(struct where *w)
{
	char path[32] = "";
	size_t used = 0;

	if (w->now.kind != TOKEN_NAME || w->now.n != w->pkt.n ||
	    memcmp(w->now.at, w->pkt.at, w->pkt.n))
		return NULL;
	advance(w);
	while (take(w, ".")) {
		if (w->now.kind != TOKEN_NAME ||
		    used + w->now.n + 2 > sizeof(path))
			return NULL;
		if (used)
			path[used++] = '.';
		memcpy(path + used, w->now.at, w->now.n);
		used += w->now.n;
		path[used] = '\0';
		advance(w);
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (!strcmp(known[i].path, path))
			return &known[i];
	return NULL;
}

struct constant {
	bool is_number;
	unsigned long long number;
	struct token token;
};

static bool take_constant(struct where *w, struct constant *c)
{
	char text[32], *end;

	*c = (struct constant){.token = w->now};
	if (w->now.kind == TOKEN_NUMBER && w->now.n < sizeof(text)) {
		memcpy(text, w->now.at, w->now.n);
		text[w->now.n] = '\0';
		c->is_number = true;
		c->number = strtoull(text, &end, 0);
		/* Lua knows no octal numbers. */
		if (*end || (*text == '0' && text[1] >= '0' && text[1] <= '9'))
			return false;
	} else if (w->now.kind != TOKEN_STRING || *w->now.at == '[') {
		return false;
	}
	advance(w);
	return true;
}

enum comparison { EQUAL, OTHER, BELOW, UP_TO, ABOVE, FROM, COMPARISONS };

static int take_comparison(struct where *w)
{
	static const char *const marks[COMPARISONS] = {
		[EQUAL] = "==", [OTHER] = "~=", [BELOW] = "<",
		[UP_TO] = "<=", [ABOVE] = ">",	[FROM] = ">=",
	};

	for (int i = 0; i < COMPARISONS; i++)
		if (take(w, marks[i]))
			return i;
	return -1;
}

static enum comparison turned(enum comparison c)
{
	static const enum comparison other[COMPARISONS] = {
		[EQUAL] = EQUAL, [OTHER] = OTHER, [BELOW] = ABOVE,
		[UP_TO] = FROM,	 [ABOVE] = BELOW, [FROM] = UP_TO,
	};

	return other[c];
}

/* ---- conditions ------------------------------------------------------- */

/* Adds c; to one on the same key as far as both can be one. */
static bool add(struct where *w, const struct condition *c)
{
	for (unsigned i = 0; i < w->n; i++) {
		struct condition *old = &w->condition[i];

		if (strcmp(old->key, c->key))
			continue;
		if (old->low == NO_VALUE && c->low == NO_VALUE)
			return old->negate == c->negate &&
			       !strcmp(old->text, c->text);
		if (old->low == NO_VALUE || c->low == NO_VALUE ||
		    old->negate || c->negate)
			return false;
		if (c->low > old->low)
			old->low = c->low;
		if (c->high < old->high)
			old->high = c->high;
		return old->low <= old->high;
	}
	if (w->n == CONDITIONS_MAX)
		return false;
	w->condition[w->n++] = *c;
	return true;
}

static bool add_text(struct where *w, const char *key, bool negate,
		     const char *text, size_t n)
{
	struct condition c = {.key = key, .negate = negate, .low = NO_VALUE};

	if (n >= sizeof(c.text))
		return false;
	memcpy(c.text, text, n);
	return add(w, &c);
}

static bool add_number(struct where *w, const struct known *k,
		       enum comparison how, unsigned long long v)
{
	struct condition c = {.key = k->key, .high = k->max};

	if (v > k->max || (how == BELOW && !v) || (how == ABOVE && v == k->max))
		return false;
	c.negate = how == OTHER;
	if (how == EQUAL || how == OTHER || how == FROM)
		c.low = (uint32_t)v;
	if (how == EQUAL || how == OTHER || how == UP_TO)
		c.high = (uint32_t)v;
	if (how == BELOW)
		c.high = (uint32_t)v - 1;
	if (how == ABOVE)
		c.low = (uint32_t)v + 1;
	return add(w, &c);
}

static bool add_comparison(struct where *w, const struct known *k,
			   enum comparison how, const struct constant *c)
{
	char proto[8];

	if (k->proto) {
		snprintf(proto, sizeof(proto), "\"%s\"", k->proto);
		if (!add_text(w, "proto", false, proto, strlen(proto)))
			return false;
	}
	if (c->is_number)
		return k->max && add_number(w, k, how, c->number);
	/* Of names of numbers a match knows more than a field does. */
	return !k->max && how <= OTHER &&
	       add_text(w, k->key, how == OTHER, c->token.at, c->token.n);
}

/* "s:has(pkt.dst)". */
static bool take_set(struct where *w)
{
	struct token set = w->now;
	const struct known *k;

	if (set.kind != TOKEN_NAME)
		return false;
	advance(w);
	if (!take(w, ":") || !take(w, "has") || !take(w, "("))
		return false;
	k = take_field(w);
	return k && take(w, ")") &&
	       (!strcmp(k->key, "src") || !strcmp(k->key, "dst")) &&
	       add_text(w, k->key, false, set.at, set.n);
}

static bool take_condition(struct where *w)
{
	struct where before = *w;
	const struct known *k = take_field(w);
	struct constant c;
	int how;

	if (k) {
		how = take_comparison(w);
		return how >= 0 && take_constant(w, &c) &&
		       add_comparison(w, k, (enum comparison)how, &c);
	}
	*w = before;
	if (take_constant(w, &c)) {
		how = take_comparison(w);
		k = how >= 0 ? take_field(w) : NULL;
		return k && add_comparison(w, k, turned((enum comparison)how),
					   &c);
	}
	*w = before;
	return take_set(w);
}

/* ---- the match -------------------------------------------------------- */

static size_t put(char *buf, size_t size, size_t used, const char *text)
{
	while (*text && used + 1 < size)
		buf[used++] = *text++;
	buf[used] = '\0';
	return used;
}

static size_t put_condition(const struct condition *c, char *buf, size_t size,
			    size_t used)
{
	const char *not = c->negate ? "!" : "";
	char text[160];

	if (c->low != NO_VALUE && c->low != c->high)
		snprintf(text, sizeof(text), "%s = \"%u-%u\"", c->key, c->low,
			 c->high);
	else if (c->low != NO_VALUE)
		snprintf(text, sizeof(text),
			 c->negate ? "%s = \"!%u\"" : "%s = %u", c->key,
			 c->low);
	else if (c->negate)
		snprintf(text, sizeof(text), "%s = %c%s%s", c->key, *c->text,
			 not, c->text + 1);
	else
		snprintf(text, sizeof(text), "%s = %s", c->key, c->text);
	return put(buf, size, used, text);
}

bool where_as_match(struct reader r, char *buf, size_t size)
{
	struct where w = {.reader = r};
	size_t used = 0;

	advance(&w);
	if (!take(&w, "function") || !take(&w, "("))
		return false;
	w.pkt = w.now;
	advance(&w);
	if (!take(&w, ")") || !take(&w, "return"))
		return false;
	do
		if (!take_condition(&w))
			return false;
	while (take(&w, "and"));
	take(&w, ";");
	if (!token_is(&w.now, "end"))
		return false;
	for (unsigned i = 0; i < w.n; i++) {
		used = put(buf, size, used, i ? ", " : "{ ");
		used = put_condition(&w.condition[i], buf, size, used);
	}
	put(buf, size, used, " }");
	return true;
}
