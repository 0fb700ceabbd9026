/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A user and network namespace for a test of our own, and what nft says
 * there. Included behind cmocka.h, by one file a program.
 */
#ifndef SLUICE_TESTS_CAPTURE_SPACE_H
#define SLUICE_TESTS_CAPTURE_SPACE_H

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/nft.h"

static inline bool space_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) > 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Skips the test where nft is missing or there may be no such namespace. */
static inline void space_enter(void)
{
	unsigned uid = getuid(), gid = getgid();
	char map[64];

	if (system("nft --version >/dev/null 2>&1"))
		skip();
	if (uid ? unshare(CLONE_NEWUSER | CLONE_NEWNET)
		: unshare(CLONE_NEWNET))
		skip();
	if (!uid)
		return;
	snprintf(map, sizeof(map), "0 %u 1", uid);
	space_write("/proc/self/setgroups", "deny");
	if (!space_write("/proc/self/uid_map", map))
		skip();
	snprintf(map, sizeof(map), "0 %u 1", gid);
	if (!space_write("/proc/self/gid_map", map))
		skip();
}

/* What a command prints, without what nft says about a table's owner. */
static inline char *space_output(const char *command)
{
	char *text = NULL, line[4096], *cut;
	FILE *p = popen(command, "re"), *f;
	size_t len = 0;

	assert_non_null(p);
	f = open_memstream(&text, &len);
	assert_non_null(f);
	while (fgets(line, sizeof(line), p)) {
		cut = strstr(line, " # progname");
		if (cut)
			strcpy(cut, "\n");
		fputs(line, f);
	}
	fclose(f);
	pclose(p);
	return text;
}

/* What we say that we would install. */
static inline char *space_printed(const struct nft_how *how,
				  struct uplink *const *list, unsigned count)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(nft_print(how, list, count, f), 0);
	fclose(f);
	return text;
}

/* Fails unless text has all of these, and none of those; up to count of each,
 * NULL behind the last. */
static inline void space_says(const char *name, const char *text,
			      const char *const *has, const char *const *lacks,
			      unsigned count)
{
	for (unsigned k = 0; k < count && has[k]; k++)
		if (!strstr(text, has[k]))
			fail_msg("%s: no '%s' in\n%s", name, has[k], text);
	for (unsigned k = 0; k < count && lacks[k]; k++)
		if (strstr(text, lacks[k]))
			fail_msg("%s: '%s' in\n%s", name, lacks[k], text);
}

/* A chain of a listing, from its first rule to its last. */
static inline char *space_chain(const char *text, const char *family,
				const char *name)
{
	char head[80];
	const char *at, *end;

	snprintf(head, sizeof(head), "table %s sluice", family);
	at = strstr(text, head);
	assert_non_null(at);
	snprintf(head, sizeof(head), "\tchain %s {\n", name);
	at = strstr(at, head);
	if (!at)
		fail_msg("no chain %s in %s", name, text);
	at += strlen(head);
	end = strstr(at, "\t}\n");
	return strndup(at, (size_t)(end - at));
}

#endif
