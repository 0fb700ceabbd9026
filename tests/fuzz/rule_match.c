/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input: lines KEY=VALUE, which are added to a match; an empty line; a byte
 * for the direction; the rest is a packet. Whatever was understood must be
 * printed within bounds, answer twice the same, and not hold if it is said to
 * be impossible. Rewrites are read from the same lines and applied.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule/match.h"
#include "rule/ruleset.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a failed call says is one line. */
static void judge(int ret, const struct error *err)
{
	require(ret >= 0 || (err->text[0] && !strchr(err->text, '\n')),
		"an error is one line");
}

struct fuzzed {
	struct match *match;
	struct set *set;
	struct rewrite rewrite[8];
	unsigned rewrites;
};

static void add_rewrite(struct fuzzed *z, const char *key, const char *value)
{
	struct error err = {""};
	struct rewrite r = {0};
	int k = rewrite_key_parse(key, &err), ret;

	judge(k, &err);
	if (k < 0)
		return;
	r.key = (enum rewrite_key)k;
	ret = rewrite_parse(&r, value, &err);
	judge(ret, &err);
	if (!ret && z->rewrites < 8)
		z->rewrite[z->rewrites++] = r;
}

static void add_line(struct fuzzed *z, const uint8_t *line, size_t n)
{
	const uint8_t *eq = memchr(line, '=', n);
	struct error err = {""};
	char key[64], value[64];
	size_t k = eq ? (size_t)(eq - line) : n;
	size_t v = eq ? n - k - 1 : 0;
	int id, ret;

	snprintf(key, sizeof(key), "%.*s", (int)(k < 63 ? k : 63),
		 (const char *)line);
	snprintf(value, sizeof(value), "%.*s", (int)(v < 63 ? v : 63),
		 (const char *)line + n - v);
	add_rewrite(z, key, value);
	id = match_key_parse(key, &err);
	judge(id, &err);
	if (id < 0)
		return;
	if (v && line[k + 1] == '@') {
		ret = match_add_set(z->match, (enum match_key)id, z->set, &err);
	} else {
		ret = match_add(z->match, (enum match_key)id,
				(const char *)line + n - v, v, &err);
	}
	judge(ret, &err);
}

static void resolve(struct packet *p, void *arg)
{
	(void)arg;
	p->iface = "eth0";
}

static void try_packet(const struct fuzzed *z, const uint8_t *data, size_t n,
		       enum packet_dir dir)
{
	static uint8_t buffer[PACKET_BUFFER];
	struct match_context ctx = {1, resolve, NULL};
	enum match_key failed = MATCH_KEYS;
	struct error why = {""};
	struct packet p;
	bool holds;

	n = n < PACKET_MAX ? n : PACKET_MAX;
	memcpy(buffer + PACKET_HEADROOM, data, n);
	packet_init(&p, buffer, sizeof(buffer), buffer + PACKET_HEADROOM,
		    (uint32_t)n, NULL);
	p.dir = dir;
	holds = match_holds(z->match, &p, &ctx);
	require(match_explain(z->match, &p, &ctx, &failed) == holds,
		"explained as evaluated");
	require((failed == MATCH_KEYS) == holds, "a failure has its key");
	require(!match_is_empty(z->match, &why) || (!holds && why.text[0]),
		"what is impossible does not hold");
	for (unsigned i = 0; i < z->rewrites; i++) {
		uint32_t len = p.len;

		rewrite_apply(&z->rewrite[i], &p);
		require(p.len == len, "a rewrite keeps the length");
		require(!rewrite_apply(&z->rewrite[i], &p),
			"a second time changes nothing");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzzed z = {.match = match_new(), .set = set_new("fuzz")};
	char text[512];
	uint8_t dir = 0;

	set_add_text(z.set, "10.0.0.0/8", 0, NULL);
	set_add_text(z.set, "!10.1.0.0/16", 5, NULL);
	while (size && *data != '\n') {
		const uint8_t *end = memchr(data, '\n', size);
		size_t n = end ? (size_t)(end - data) : size;

		add_line(&z, data, n);
		data += n + (end != NULL);
		size -= n + (end != NULL);
	}
	if (size) {
		data++;
		size--;
	}
	if (size) {
		dir = *data++ % 3;
		size--;
	}
	try_packet(&z, data, size, (enum packet_dir)dir);
	for (size_t room = 1; room <= sizeof(text); room *= 2)
		require(strlen(match_text(z.match, text, room)) < room,
			"the text is ended");
	match_free(z.match);
	set_unref(z.set);
	return 0;
}
