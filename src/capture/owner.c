/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose socket sent a packet: the kernel's socket diagnosis names the inode,
 * /proc the process that has it open. Best effort for people's eyes: a
 * process can be gone, or hand its socket on. Must not decide anything.
 */
#include "capture/capture.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "capture/netlink.h"

/* A look through /proc costs milliseconds: at most so many descriptors at a
 * time, and not again for a socket that was looked up lately. */
#define SCAN_MAX   65536
#define CACHE_SIZE 256
#define CACHE_AGE  (10 * NSEC_PER_SEC)
#define MISS_AGE   (NSEC_PER_SEC)

struct entry {
	uint32_t inode; /* 0: free */
	int64_t until;	/* ns */
	struct owner owner;
};

struct owner_lookup {
	struct netlink diag;
	int proc; /* /proc, -1: none */
	struct entry cache[CACHE_SIZE];
};

int owner_lookup_open(struct owner_lookup **o)
{
	struct owner_lookup *n = calloc(1, sizeof(*n));
	int r;

	*o = NULL;
	if (!n)
		return -ENOMEM;
	r = netlink_open(&n->diag, NETLINK_SOCK_DIAG);
	if (r) {
		free(n);
		return r;
	}
	n->proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*o = n;
	return 0;
}

void owner_lookup_close(struct owner_lookup *o)
{
	if (!o)
		return;
	netlink_close(&o->diag);
	if (o->proc >= 0)
		close(o->proc);
	free(o);
}

/* ---- the kernel's part: which socket ------------------------------------ */

struct found {
	uint32_t inode, uid;
	bool any;
};

static int found_cb(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct found *f = arg;

	if (nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    mnl_nlmsg_get_payload_len(nlh) < sizeof(*m))
		return 0;
	f->inode = m->idiag_inode;
	f->uid = m->idiag_uid;
	f->any = true;
	return 0;
}

static void put_address(__be32 to[4], const struct address *a, bool mapped)
{
	uint8_t *b = (uint8_t *)to;

	memset(b, 0, 16);
	if (mapped) {
		b[10] = b[11] = 0xff;
		memcpy(b + 12, a->byte, 4);
	} else {
		memcpy(b, a->byte, a->size);
	}
}

/* mapped: an IPv6 socket that talks IPv4. */
static int ask(struct netlink *n, uint8_t proto, const struct address *src,
	       uint16_t sport, const struct address *dst, uint16_t dport,
	       bool mapped, struct found *f)
{
	struct inet_diag_req_v2 q = {
		.sdiag_family = src->size == 16 || mapped ? AF_INET6 : AF_INET,
		.sdiag_protocol = proto,
		.idiag_states = ~0U,
		.id = { .idiag_cookie = { INET_DIAG_NOCOOKIE,
					  INET_DIAG_NOCOOKIE } },
	};
	uint8_t buf[256];

	put_be16((uint8_t *)&q.id.idiag_sport, sport);
	put_be16((uint8_t *)&q.id.idiag_dport, dport);
	put_address(q.id.idiag_src, src, mapped);
	put_address(q.id.idiag_dst, dst, mapped);
	memset(f, 0, sizeof(*f));
	return netlink_ask(n, netlink_message(buf, SOCK_DIAG_BY_FAMILY, 0, &q,
					      sizeof(q)),
			   found_cb, f, "", NULL);
}

/*
 * The kernel's look-up of one UDP socket takes the packet's view, so the
 * ends are the other way round there than for TCP; an unconnected socket is
 * found by its own end alone.
 */
static int find_socket(struct netlink *n, uint8_t proto,
		       const struct address *src, uint16_t sport,
		       const struct address *dst, uint16_t dport,
		       struct found *f)
{
	bool udp = proto == IPPROTO_UDP;

	for (int mapped = 0; mapped <= (src->size == 4); mapped++) {
		int r = udp ? ask(n, proto, dst, dport, src, sport, mapped,
				  f) :
			      ask(n, proto, src, sport, dst, dport, mapped,
				  f);

		if (r && udp)
			r = ask(n, proto, src, sport, dst, dport, mapped, f);
		if (!r && f->any)
			return 0;
	}
	return -ENOENT;
}

/* ---- /proc's part: which process ---------------------------------------- */

static bool has_socket(int fds, const char *link, unsigned *budget)
{
	DIR *d = fdopendir(fds);
	bool found = false;
	struct dirent *e;
	char text[64];

	if (!d) {
		close(fds);
		return false;
	}
	while (!found && *budget && (e = readdir(d))) {
		ssize_t n = readlinkat(dirfd(d), e->d_name, text,
				       sizeof(text) - 1);

		--*budget;
		if (n < 0)
			continue;
		text[n] = 0;
		found = !strcmp(text, link);
	}
	closedir(d);
	return found;
}

static void read_comm(int proc, const char *pid, struct owner *o)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%.20s/comm", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, o->comm, sizeof(o->comm) - 1);
		close(fd);
	}
	o->comm[n > 0 ? n : 0] = 0;
	o->comm[strcspn(o->comm, "\n")] = 0;
}

static void find_process(int proc, uint32_t inode, struct owner *o)
{
	unsigned budget = SCAN_MAX;
	char link[32], path[64];
	struct dirent *e;
	int fd;
	DIR *d;

	fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	snprintf(link, sizeof(link), "socket:[%u]", inode);
	while (!o->pid && budget && (e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "%.20s/fd", e->d_name);
		fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || !has_socket(fd, link, &budget))
			continue;
		o->pid = atoi(e->d_name);
		read_comm(proc, e->d_name, o);
	}
	closedir(d);
}

int owner_lookup(struct owner_lookup *o, uint8_t proto,
		 const struct address *src, uint16_t sport,
		 const struct address *dst, uint16_t dport,
		 struct owner *owner)
{
	int64_t now = clock_monotonic();
	struct entry *e;
	struct found f;

	memset(owner, 0, sizeof(*owner));
	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP) ||
	    (src->size != 4 && src->size != 16) || src->size != dst->size)
		return -ENOENT;
	if (find_socket(&o->diag, proto, src, sport, dst, dport, &f))
		return -ENOENT;
	owner->uid = f.uid;
	if (!f.inode) /* orphaned: closed, and still sending */
		return 0;
	e = &o->cache[f.inode % CACHE_SIZE];
	if (e->inode != f.inode || now >= e->until) {
		memset(e, 0, sizeof(*e));
		e->inode = f.inode;
		e->owner.uid = f.uid;
		if (o->proc >= 0)
			find_process(o->proc, f.inode, &e->owner);
		e->until = now + (e->owner.pid ? CACHE_AGE : MISS_AGE);
	}
	*owner = e->owner;
	owner->uid = f.uid;
	return 0;
}
