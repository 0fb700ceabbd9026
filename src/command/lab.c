/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sluice lab: the rules in a private user and network namespace. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command/options.h"

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	n = n < 0 ? -errno : 0;
	close(fd);
	return (int)n;
}

/* Whoever called becomes root in a user namespace; root keeps all ids, so
 * that workers can become somebody else. */
static int map_ids(uid_t uid, gid_t gid)
{
	char map[64];
	int r;

	if (!uid) {
		r = write_file("/proc/self/uid_map", "0 0 4294967295");
		if (!r)
			r = write_file("/proc/self/gid_map", "0 0 4294967295");
		if (!r)
			return 0;
	}
	r = write_file("/proc/self/setgroups", "deny");
	if (r && r != -ENOENT)
		return r;
	snprintf(map, sizeof(map), "0 %u 1", (unsigned)gid);
	r = write_file("/proc/self/gid_map", map);
	if (r)
		return r;
	snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
	return write_file("/proc/self/uid_map", map);
}

static int enter(struct error *err)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
		r = map_ids(uid, gid);
		if (r)
			return error_set(err, r,
					 "lab: cannot map user ids: %s",
					 strerror(-r));
		return 0;
	}
	/* Where user namespaces are off, root needs none. */
	if (!uid && unshare(CLONE_NEWNET) == 0)
		return 0;
	return error_set(err, -errno,
			 "lab: cannot make a user and network namespace: %s; "
			 "allow it (sysctl kernel.unprivileged_userns_clone=1, "
			 "user.max_user_namespaces) or run as root",
			 strerror(errno));
}

static int tun_usable(struct error *err)
{
	static const char path[] = "/dev/net/tun";
	struct stat st;

	if (!access(path, R_OK | W_OK))
		return 0;
	if (errno == ENOENT || stat(path, &st))
		return error_set(err, -ENOENT,
				 "lab: there is no %s; load the module (as "
				 "root: modprobe tun)", path);
	return error_set(err, -EACCES,
			 "lab: %s has mode %04o and is not open to you; allow "
			 "it (as root: chmod 0666 %s, as udev does) or run as "
			 "root", path, st.st_mode & 07777, path);
}

int command_lab(const struct command *self, int argc, char **argv)
{
	static char sh[] = "/bin/sh";
	char *shell[] = {getenv("SHELL"), NULL};
	struct script *script = NULL;
	struct error err;
	struct options o;
	int r, uplink = -1;
	bool done;

	r = options_parse(&o, self,
			  TAKES_RULES | TAKES_CAPTURE | TAKES_COMMAND, argc,
			  argv, &done);
	if (r || done)
		return r;
	if (!o.nwords) {
		log_error("lab: which rules? Name at least one rule file; "
			  "see sluice lab --help");
		return EXIT_USAGE;
	}
	r = options_load(&o, &script);
	if (!r)
		r = options_apply(&o, script);
	if (r)
		goto out;
	if (!o.run.command) {
		if (!shell[0])
			shell[0] = sh;
		o.run.command = shell;
	}
	r = EXIT_FAILED;
	if (tun_usable(&err) || enter(&err))
		goto fail;
	uplink = lab_uplink(&err);
	if (uplink < 0)
		goto fail;
	r = supervisor_run(&o.run);
	goto out;
fail:
	log_error("%s", err.text);
out:
	if (uplink >= 0)
		close(uplink);
	options_end(&o, script);
	return r;
}
