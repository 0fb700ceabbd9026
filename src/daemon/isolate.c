/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/isolate.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

int isolate_user_find(struct isolate_user *u, const char *name,
		      struct error *err)
{
	struct passwd *pw = getpwnam(name);
	char *end;
	long id;

	if (pw) {
		*u = (struct isolate_user){pw->pw_uid, pw->pw_gid};
		return 0;
	}
	errno = 0;
	id = strtol(name, &end, 10);
	if (!*name || *end || errno || id < 0 || id > INT32_MAX)
		return error_set(err, -ENOENT,
				 "--user: there is no user '%s' on this host",
				 name);
	*u = (struct isolate_user){(uid_t)id, (gid_t)id};
	return 0;
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void isolate_descriptors(const int *keep, unsigned n)
{
	int sorted[64];
	unsigned from = 3;

	if (n > sizeof(sorted) / sizeof(*sorted))
		n = sizeof(sorted) / sizeof(*sorted);
	memcpy(sorted, keep, n * sizeof(*keep));
	qsort(sorted, n, sizeof(*sorted), compare);
	for (unsigned i = 0; i < n; i++) {
		if (sorted[i] < (int)from)
			continue;
		if ((unsigned)sorted[i] > from)
			syscall(SYS_close_range, from, sorted[i] - 1, 0);
		from = (unsigned)sorted[i] + 1;
	}
	syscall(SYS_close_range, from, ~0u, 0);
}

/* Is this id one that exists in our user namespace? In a lab only one is. */
static int become(const struct isolate_user *u)
{
	if (setgroups(0, NULL) && errno != EPERM)
		return -errno;
	if (setresgid(u->gid, u->gid, u->gid) && errno != EINVAL)
		return -errno;
	if (setresuid(u->uid, u->uid, u->uid) && errno != EINVAL)
		return -errno;
	return 0;
}

int isolate_privileges(const struct isolate_user *u, struct error *err)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};
	const struct rlimit zero = {0, 0};
	int r;

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	r = become(u);
	if (r)
		return error_set(err, r, "worker: cannot become uid %u: %s",
				 (unsigned)u->uid, strerror(-r));
	if (syscall(SYS_capset, &h, none))
		return error_set(err, -errno,
				 "worker: cannot give up capabilities: %s",
				 strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_set(err, -errno, "worker: no_new_privs: %s",
				 strerror(errno));
	/* Changing the uid clears it, so it comes after. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &zero);
	setrlimit(RLIMIT_FSIZE, &zero);
	setrlimit(RLIMIT_NPROC, &zero);
	return 0;
}

/* No open, no ioctl, no socket, no exec, nothing that makes a process. */
static const int calls[] = {
	SCMP_SYS(read),		 SCMP_SYS(write),
	SCMP_SYS(readv),	 SCMP_SYS(writev),
	SCMP_SYS(recvmsg),	 SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),	 SCMP_SYS(sendto),
	SCMP_SYS(epoll_wait),	 SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),	 SCMP_SYS(close),
	SCMP_SYS(mmap),		 SCMP_SYS(munmap),
	SCMP_SYS(mremap),	 SCMP_SYS(brk),
	SCMP_SYS(madvise),	 SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),	 SCMP_SYS(time),
	SCMP_SYS(futex),	 SCMP_SYS(getrandom),
	SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(exit),		 SCMP_SYS(exit_group),
#ifdef SANITIZED
	SCMP_SYS(sigaltstack),	 SCMP_SYS(getpid),
	SCMP_SYS(gettid),	 SCMP_SYS(sched_yield),
	SCMP_SYS(rt_sigaction),	 SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(mprotect),	 SCMP_SYS(prctl),
	SCMP_SYS(getrlimit),	 SCMP_SYS(prlimit64),
#endif
};

int isolate_syscalls(struct error *err)
{
	/* A sanitizer's report wants to open and look at more than we do: let
	 * it fail there and go on to say what it found. */
#ifdef SANITIZED
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
#else
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
#endif
	int r = ctx ? 0 : -ENOMEM;

	for (size_t i = 0; !r && i < sizeof(calls) / sizeof(*calls); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	if (!r)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	if (r)
		return error_set(err, r, "worker: cannot limit system calls: %s",
				 strerror(-r));
	return 0;
}
