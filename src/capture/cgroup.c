/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hierarchy is a tree of folders: one is made by mkdir, entered by
 * writing a process's number to its cgroup.procs, and removed by rmdir once
 * nobody is in it. Its inode number is its id.
 *
 * `ip netns exec` and others mount a new /sys over the one that has it. Then
 * it is mounted once more, for nobody but us: without a place in the file
 * system it is gone with its descriptor.
 */
#include "capture/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "sluice-only-"
/* Folders in folders that are looked at. */
#define DEPTH_MAX 32
/* Processes may start others while they are moved. */
#define TRIES	  100
#define TRY_MS	  10

/* ---- the root ------------------------------------------------------------ */

struct mounted {
	char dir[4096];
	char options[256]; /* of the file system */
};

/* Mount points are written with \040 for a space. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		unsigned v;

		if (*s == '\\' && sscanf(s + 1, "%3o", &v) == 1) {
			*to++ = (char)v;
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

/* The first mount of the whole hierarchy in that list; false: none. */
static bool find_mount(const char *list, struct mounted *m)
{
	FILE *f = fopen(list, "re");
	char *line = NULL, top[8], kind[32];
	bool found = false;
	size_t size = 0;

	while (f && !found && getline(&line, &size, f) > 0) {
		const char *rest = strstr(line, " - ");

		found = rest &&
			sscanf(line, "%*s %*s %*s %7s %4095s", top, m->dir) ==
				2 &&
			sscanf(rest, " - %31s %*s %255s", kind, m->options) ==
				2 &&
			!strcmp(top, "/") && !strcmp(kind, "cgroup2");
	}
	free(line);
	if (f)
		fclose(f);
	unescape(m->dir);
	return found;
}

/*
 * Mounting sets options of the hierarchy for everybody: they are to stay as
 * they are.
 */
static int mount_again(const char *options)
{
	int fs = fsopen("cgroup2", FSOPEN_CLOEXEC), fd, r = 0;
	char copy[256], *rest = copy, *word;

	if (fs < 0)
		return -errno;
	snprintf(copy, sizeof(copy), "%s", options);
	while (!r && (word = strsep(&rest, ","))) {
		char *value = strchr(word, '=');

		if (!strcmp(word, "rw") || !strcmp(word, "ro") || !*word)
			continue;
		if (value)
			*value++ = '\0';
		r = fsconfig(fs, value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			     word, value, 0);
	}
	if (!r)
		r = fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
	fd = r ? -errno : fsmount(fs, FSMOUNT_CLOEXEC, 0);
	if (!r && fd < 0)
		fd = -errno;
	close(fs);
	return fd;
}

int cgroup_root(struct error *err)
{
	struct mounted m;
	int fd;

	if (find_mount("/proc/self/mountinfo", &m)) {
		fd = open(m.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		return error_set(err, -errno, "opening %s: %s", m.dir,
				 strerror(errno));
	}
	if (!find_mount("/proc/1/mountinfo", &m))
		return error_set(err, -ENOENT,
				 "cgroup v2 is not mounted; mount it (mount -t "
				 "cgroup2 none /sys/fs/cgroup)");
	fd = mount_again(m.options);
	if (fd >= 0)
		return fd;
	return error_set(err, fd, "cgroup v2 is not mounted here, and cannot "
			 "be: %s; root is needed", strerror(-fd));
}

static void find_at(int dir, const char *name, const char *path,
		    struct cgroup_place *place)
{
	struct stat st;

	*place = (struct cgroup_place){ .level = 1 };
	for (const char *s = path; *s; s++)
		place->level += *s == '/';
	if (!fstatat(dir, name, &st, 0) && S_ISDIR(st.st_mode))
		place->id = st.st_ino;
}

void cgroup_find(int root, const char *path, struct cgroup_place *place)
{
	find_at(root, path, path, place);
}

void cgroup_top(int root, struct cgroup_place *place)
{
	find_at(root, ".", "", place);
	place->level = 0;
}

/* ---- one of our own ----------------------------------------------------- */

/* Where this process is, below the root; "" is the root. 0 or -errno. */
static int own_path(char *path, size_t size, struct error *err)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char *line = NULL;
	size_t room = 0;
	int r = -ENOENT;

	while (f && r == -ENOENT && getline(&line, &room, f) > 0) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = '\0';
		r = strncmp(line + 4, "../", 3) && strcmp(line + 4, "..")
			    ? 0
			    : -EXDEV;
		if (strlen(line + 4) >= size)
			r = -ENAMETOOLONG;
		if (!r)
			strcpy(path, line + 4);
	}
	free(line);
	if (f)
		fclose(f);
	return r ? error_set(err, r, "/proc/self/cgroup: %s",
			     r == -ENOENT ? "names no group of cgroup v2"
					  : strerror(-r))
		 : 0;
}

int cgroup_make(struct cgroup *g, struct error *err)
{
	size_t n;
	int r;

	*g = CGROUP_NONE;
	g->root = cgroup_root(err);
	if (g->root < 0)
		return g->root;
	r = own_path(g->path, sizeof(g->path) - 64, err);
	if (r)
		goto fail;
	n = strlen(g->path);
	sprintf(g->path + n, "%s" PREFIX "%ld", n ? "/" : "", (long)getpid());
	/* One of a killed instance that had our number is as good. */
	if (mkdirat(g->root, g->path, 0755) && errno != EEXIST) {
		r = -errno;
		error_set(err, r, "making the cgroup /%s: %s; cgroup v2 must "
			  "be writable here", g->path, strerror(-r));
		goto fail;
	}
	g->fd = openat(g->root, g->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->fd < 0 || flock(g->fd, LOCK_EX | LOCK_NB)) {
		r = -errno;
		error_set(err, r, "opening the cgroup /%s: %s", g->path,
			  strerror(-r));
		goto fail;
	}
	find_at(g->fd, ".", g->path, &g->place);
	return 0;
fail:
	cgroup_remove(g, NULL);
	return r;
}

/* pid 0 is the writer. */
static int move_to(int dir, const char *pid)
{
	int fd = openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, pid, strlen(pid)) < 0)
		r = -errno;
	close(fd);
	return r;
}

int cgroup_join(const struct cgroup *g)
{
	return move_to(g->fd, "0");
}

static int move_all(int from, int to)
{
	int fd = openat(from, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL;
	size_t size = 0;

	if (fd >= 0 && !f)
		close(fd);
	/* One that has ended meanwhile is no trouble. */
	while (f && getline(&line, &size, f) > 0)
		move_to(to, line);
	free(line);
	if (f)
		fclose(f);
	return 0;
}

/* Calls f for every folder in dir, deepest first is f's own business. */
static void each_folder(int dir, void (*f)(int dir, const char *name, void *arg),
			void *arg)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (fd >= 0 && !d)
		close(fd);
	while (d && (e = readdir(d)))
		if (e->d_type == DT_DIR && strcmp(e->d_name, ".") &&
		    strcmp(e->d_name, ".."))
			f(dir, e->d_name, arg);
	if (d)
		closedir(d);
}

struct removal {
	int to; /* the group that takes who is left */
	unsigned depth;
};

/* With all that is below it. */
static void remove_folder(int dir, const char *name, void *arg)
{
	struct removal *m = arg;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (m->depth < DEPTH_MAX) {
		m->depth++;
		each_folder(fd, remove_folder, m);
		m->depth--;
	}
	move_all(fd, m->to);
	close(fd);
	unlinkat(dir, name, AT_REMOVEDIR);
}

static int remove_group(int root, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *above = slash ? strndup(path, (size_t)(slash - path))
			    : strdup(".");
	struct removal m = { .to = -1 };
	int r = -EBUSY;

	if (above)
		m.to = openat(root, above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m.to < 0)
		r = -errno;
	for (int i = 0; i < TRIES && r == -EBUSY; i++) {
		remove_folder(root, path, &m);
		if (!faccessat(root, path, F_OK, 0))
			poll(NULL, 0, TRY_MS);
		else
			r = errno == ENOENT ? 0 : -errno;
	}
	if (m.to >= 0)
		close(m.to);
	free(above);
	return r;
}

int cgroup_remove(struct cgroup *g, struct error *err)
{
	int r = 0;

	if (g->fd >= 0)
		r = remove_group(g->root, g->path);
	if (r)
		error_set(err, r, "removing the cgroup /%s: %s", g->path,
			  strerror(-r));
	if (g->fd >= 0)
		close(g->fd);
	if (g->root >= 0)
		close(g->root);
	*g = CGROUP_NONE;
	return r;
}

/* ---- what was left ------------------------------------------------------ */

struct search {
	unsigned depth;
	int found;
};

static bool is_ours(const char *name)
{
	size_t n = strlen(PREFIX);

	return !strncmp(name, PREFIX, n) && name[n] &&
	       !name[n + strspn(name + n, "0123456789")];
}

/* The lock of one that runs is held. */
static bool is_left(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool left = fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB);

	if (fd >= 0)
		close(fd);
	return left;
}

static void search_folder(int dir, const char *name, void *arg)
{
	struct search *s = arg;
	int fd;

	if (is_ours(name)) {
		if (is_left(dir, name) && !remove_group(dir, name))
			s->found++;
		return;
	}
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && s->depth < DEPTH_MAX) {
		s->depth++;
		each_folder(fd, search_folder, s);
		s->depth--;
	}
	if (fd >= 0)
		close(fd);
}

int cgroup_clean(struct error *err)
{
	struct search s = { .found = 0 };
	int root = cgroup_root(err);

	/* Where none can be made, none was left. */
	if (root == -ENOENT || root == -EPERM || root == -EACCES)
		return 0;
	if (root < 0)
		return root;
	each_folder(root, search_folder, &s);
	close(root);
	return s.found;
}
