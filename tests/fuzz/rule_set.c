/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Input: a set file. It is read into a set; then every member must be found
 * by its own address as the longest prefix says, be removable, and leave an
 * empty set.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rule/set.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMBERS_MAX 512
struct members {
	struct {
		struct prefix prefix;
		bool exclude;
	} list[MEMBERS_MAX];
	size_t count;
};

static void note(const struct prefix *p, bool exclude, int64_t until, void *arg)
{
	struct members *m = arg;

	require(until == 0, "a file's members stay");
	if (m->count < MEMBERS_MAX) {
		m->list[m->count].prefix = *p;
		m->list[m->count].exclude = exclude;
	}
	m->count++;
}

static bool expected(const struct members *m, const struct address *a)
{
	int longest = -1;
	bool in = false;

	for (size_t i = 0; i < m->count; i++) {
		const struct prefix *p = &m->list[i].prefix;

		if (p->length <= longest || !prefix_covers(p, a))
			continue;
		longest = p->length;
		in = !m->list[i].exclude;
	}
	return in;
}

static void judge(struct set *s)
{
	static struct members m;

	m.count = 0;
	set_each(s, 0, note, &m);
	require(m.count == set_count(s), "every member is visited once");
	if (m.count > MEMBERS_MAX)
		return;
	for (size_t i = 0; i < m.count; i++) {
		struct address a = m.list[i].prefix.address;

		require(set_has(s, &a, 0) == expected(&m, &a),
			"the longest prefix decides");
		a.byte[a.size - 1] ^= 1;
		require(set_has(s, &a, 0) == expected(&m, &a),
			"the longest prefix decides beside it");
	}
	for (size_t i = 0; i < m.count; i++)
		require(!set_remove(s, &m.list[i].prefix), "it can be removed");
	require(!set_count(s), "nothing is left");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct set *s = set_new("fuzz");
	struct error err = {""};
	char path[40];
	int fd, ret;

	fd = memfd_create("set", MFD_CLOEXEC);
	require(fd >= 0 && write(fd, data, size) == (ssize_t)size,
		"a file to read");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = set_add_file(s, path, &err);
	close(fd);
	require(!ret || (err.text[0] && !strchr(err.text, '\n')),
		"an error is one line");
	judge(s);
	set_unref(s);
	return 0;
}
