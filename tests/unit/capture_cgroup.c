/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cgroup for a command: who is in it, where it is, and that it goes. Skipped
 * where cgroup v2 is not there, or not ours to write to.
 */
#include "capture/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct cgroup group = CGROUP_NONE;

static int make(void **state)
{
	struct error err;

	(void)state;
	if (cgroup_make(&group, &err))
		print_message("no cgroup: %s: skipped\n", err.text);
	return 0;
}

static int drop(void **state)
{
	(void)state;
	return cgroup_remove(&group, NULL);
}

#define NEED_GROUP()                                                           \
	do {                                                                   \
		(void)state;                                                   \
		if (group.fd < 0)                                              \
			skip();                                                \
	} while (0)

/* The cgroup of a process, below the root. */
static void path_of(pid_t pid, char *path, size_t size)
{
	char name[64], *line = NULL;
	size_t room = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)pid);
	f = fopen(name, "r");
	assert_non_null(f);
	*path = '\0';
	while (getline(&line, &room, f) > 0)
		if (!strncmp(line, "0::/", 4)) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(path, size, "%s", line + 4);
		}
	free(line);
	fclose(f);
}

/* A child that joined, and a child of it; they live until they are killed. */
static void start(pid_t pid[2])
{
	int tell[2];

	assert_int_equal(pipe(tell), 0);
	pid[0] = fork();
	assert_true(pid[0] >= 0);
	if (!pid[0]) {
		int r = cgroup_join(&group);

		pid[1] = r ? r : fork();
		if (pid[1] &&
		    write(tell[1], &pid[1], sizeof(pid[1])) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(tell[0], &pid[1], sizeof(pid[1])),
			 sizeof(pid[1]));
	close(tell[0]);
	close(tell[1]);
	assert_true(pid[1] > 0);
}

static void end(const pid_t pid[2])
{
	kill(pid[1], SIGKILL);
	kill(pid[0], SIGKILL);
	waitpid(pid[0], NULL, 0);
}

static void who_joined_is_in_it_and_so_is_who_it_starts(void **state)
{
	char own[4096], path[4096];
	pid_t pid[2];

	NEED_GROUP();
	path_of(getpid(), own, sizeof(own));
	assert_string_not_equal(own, group.path);
	assert_int_equal(strncmp(own, group.path, strlen(own)), 0);
	start(pid);
	for (int i = 0; i < 2; i++) {
		path_of(pid[i], path, sizeof(path));
		assert_string_equal(path, group.path);
	}
	end(pid);
	path_of(getpid(), path, sizeof(path));
	assert_string_equal(path, own);
}

static void a_path_has_a_number_and_a_level(void **state)
{
	struct cgroup_place place;
	char inner[4200];

	NEED_GROUP();
	cgroup_find(group.root, group.path, &place);
	assert_true(place.id != 0);
	assert_true(place.id == group.place.id);
	assert_int_equal(place.level, group.place.level);

	snprintf(inner, sizeof(inner), "%s/inner", group.path);
	cgroup_find(group.root, inner, &place);
	assert_true(place.id == 0);
	assert_int_equal(mkdirat(group.root, inner, 0755), 0);
	cgroup_find(group.root, inner, &place);
	assert_true(place.id != 0 && place.id != group.place.id);
	assert_int_equal(place.level, group.place.level + 1);
	assert_int_equal(unlinkat(group.root, inner, AT_REMOVEDIR), 0);

	/* A file is none. */
	snprintf(inner, sizeof(inner), "%s/cgroup.procs", group.path);
	cgroup_find(group.root, inner, &place);
	assert_true(place.id == 0);
}

static void who_is_left_goes_back_when_it_is_removed(void **state)
{
	char own[4096], path[4096], inner[4200], was[4096];
	struct error err;
	pid_t pid[2];
	int root;

	NEED_GROUP();
	strcpy(was, group.path);
	path_of(getpid(), own, sizeof(own));
	start(pid);
	/* One that somebody made in it, too. */
	snprintf(inner, sizeof(inner), "%s/inner", group.path);
	assert_int_equal(mkdirat(group.root, inner, 0755), 0);
	assert_int_equal(cgroup_remove(&group, &err), 0);
	assert_int_equal(group.fd, -1);
	for (int i = 0; i < 2; i++) {
		path_of(pid[i], path, sizeof(path));
		assert_string_equal(path, own);
	}
	end(pid);
	root = cgroup_root(&err);
	assert_true(root >= 0);
	assert_int_equal(faccessat(root, was, F_OK, 0), -1);
	close(root);
	assert_int_equal(cgroup_remove(&group, &err), 0);
}

/* As after kill -9: a child makes one and dies with it. */
static void what_was_left_is_removed_and_what_runs_is_not(void **state)
{
	char left[4096] = "";
	struct error err;
	int tell[2], root;
	pid_t pid;

	NEED_GROUP();
	assert_int_equal(pipe(tell), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct cgroup g;

		if (cgroup_make(&g, &err) ||
		    write(tell[1], g.path, sizeof(left)) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(tell[0], left, sizeof(left)), sizeof(left));
	close(tell[0]);
	close(tell[1]);
	waitpid(pid, NULL, 0);

	root = cgroup_root(&err);
	assert_true(root >= 0);
	assert_int_equal(faccessat(root, left, F_OK, 0), 0);
	/* Others may have left some as well. */
	assert_true(cgroup_clean(&err) >= 1);
	assert_int_equal(faccessat(root, left, F_OK, 0), -1);
	assert_int_equal(faccessat(root, group.path, F_OK, 0), 0);
	close(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			who_joined_is_in_it_and_so_is_who_it_starts, make,
			drop),
		cmocka_unit_test_setup_teardown(a_path_has_a_number_and_a_level,
						make, drop),
		cmocka_unit_test_setup_teardown(
			who_is_left_goes_back_when_it_is_removed, make, drop),
		cmocka_unit_test_setup_teardown(
			what_was_left_is_removed_and_what_runs_is_not, make,
			drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
