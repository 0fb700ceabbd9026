/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does this kernel take our tables? Asked by installing them, since a release
 * number says little about what was built in or back-ported; but in a child
 * with a network namespace of its own, so that this host never sees them.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/internal.h"

/* Of the only device that a new namespace has. */
#define LO_IFINDEX 1

static int install(struct nft *n, struct error *err)
{
	struct nft_how how = { .dev = "tun0", .divert = 1, .seen = 2,
			       .route = true, .notrack = true, .in = true,
			       .marker = { 2 } };
	struct uplink ethernet = { .ifindex = LO_IFINDEX, .name = "lo",
				   .link_len = 14, .in = true };
	struct uplink *list[] = { &ethernet };
	int r = nft_up(n, &how, list, 1, err);

	if (r)
		return r;
	how.route = how.notrack = false;
	how.forward = true;
	r = nft_change(n, &how, err);
	return r ? r : nft_down(n, err);
}

static int attempt(struct error *err)
{
	static const char *const forms[] = { NFT_OUT_DEVICE, NFT_IN_DEVICE,
					     NFT_PASSING_DEVICE,
					     NFT_LEAVING_DEVICE };
	int fd[sizeof(forms) / sizeof(forms[0])][CAPTURE_WORKERS_MAX];
	unsigned opened = 0;
	bool offload = false;
	char name[IFNAMSIZ];
	struct nft *n;
	int ifindex, r = 0;

	while (!r && opened < sizeof(forms) / sizeof(forms[0])) {
		snprintf(name, sizeof(name), forms[opened], LO_IFINDEX);
		r = tun_open(name, true, 1, &offload, fd[opened], &ifindex,
			     err);
		if (!r)
			opened++;
	}
	if (r)
		goto out;
	r = nft_open(&n, err);
	if (!r)
		r = install(n, err);
	nft_close(n);
out:
	while (opened)
		tun_close(fd[--opened]);
	return r;
}

struct answer {
	int result;
	struct error err;
};

static void child(int fd)
{
	struct answer a = { .err = { "" } };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* A user namespace gives whoever may make one what is needed. */
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		a.result = error_set(&a.err, -EPERM, "no network namespace to "
				     "try it in: %s", strerror(errno));
	else
		a.result = attempt(&a.err);
	_exit(write(fd, &a, sizeof(a)) != sizeof(a));
}

int nft_probe(struct error *err)
{
	struct answer a = { .result = -EIO, .err = { "the child died" } };
	int fd[2];
	pid_t pid;

	if (pipe(fd))
		return error_set(err, -errno, "pipe: %s", strerror(errno));
	pid = fork();
	if (!pid)
		child(fd[1]);
	close(fd[1]);
	if (pid > 0 && read(fd[0], &a, sizeof(a)) == sizeof(a))
		a.err.text[sizeof(a.err.text) - 1] = 0;
	close(fd[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return a.result ? error_set(err, a.result, "%s", a.err.text) : 0;
}
