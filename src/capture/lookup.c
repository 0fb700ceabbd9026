/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * By which interface the main routing would send a packet. Runs in the worker
 * with nothing but a socket: plain send and recv, no privilege, no libmnl
 * socket (which wants calls that a seccomp list need not have).
 */
#include "capture/internal.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int route_lookup_open(void)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct timeval patience = { .tv_sec = 1 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int r;

	if (fd < 0)
		return -errno;
	/* Connected: only the kernel's answers arrive. */
	if (!connect(fd, (struct sockaddr *)&kernel, sizeof(kernel)) &&
	    !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
			sizeof(patience)))
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static size_t put_question(uint8_t *buf, const struct address *src,
			   const struct address *dst, uint32_t seq)
{
	struct rtmsg rtm = {
		.rtm_family = dst->size == 4 ? AF_INET : AF_INET6,
		.rtm_dst_len = (uint8_t)(8 * dst->size),
	};
	struct nlmsghdr *nlh;

	/* A source that is not the host's own (a made up packet, one that
	 * passes through) would be refused: it is left out then. */
	rtm.rtm_src_len = src ? (uint8_t)(8 * src->size) : 0;
	nlh = netlink_message(buf, RTM_GETROUTE, 0, &rtm, sizeof(rtm));
	nlh->nlmsg_seq = seq;
	mnl_attr_put(nlh, RTA_DST, dst->size, dst->byte);
	if (src)
		mnl_attr_put(nlh, RTA_SRC, src->size, src->byte);
	return nlh->nlmsg_len;
}

/* The answer's interface; source, if asked for, gets the address that the
 * host would send from. */
static int read_answer(const struct nlmsghdr *nlh, struct address *source)
{
	int oif = 0;

	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;

	if (nlh->nlmsg_type == NLMSG_ERROR)
		return e->error ? e->error : -EBADMSG;
	if (nlh->nlmsg_type != RTM_NEWROUTE)
		return -EBADMSG;
	if (rtm->rtm_type != RTN_UNICAST && rtm->rtm_type != RTN_MULTICAST &&
	    rtm->rtm_type != RTN_BROADCAST && rtm->rtm_type != RTN_LOCAL)
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(*rtm)) {
		uint16_t type = mnl_attr_get_type(a);
		uint16_t n = mnl_attr_get_payload_len(a);

		if (type == RTA_OIF && n >= 4)
			oif = (int)mnl_attr_get_u32(a);
		if (type == RTA_PREFSRC && source && (n == 4 || n == 16)) {
			source->size = (uint8_t)n;
			memcpy(source->byte, mnl_attr_get_payload(a), n);
		}
	}
	return oif;
}

/* Nobody listens twice: an answer too late belongs to another question. */
static int ask(int fd, const struct address *src, const struct address *dst,
	       struct address *source)
{
	static _Thread_local uint32_t seq;
	_Alignas(struct nlmsghdr) uint8_t buf[8192];
	size_t n = put_question(buf, src, dst, ++seq);
	const struct nlmsghdr *nlh = (const void *)buf;
	ssize_t r;

	if (send(fd, buf, n, 0) < 0)
		return -errno;
	for (;;) {
		r = recv(fd, buf, sizeof(buf), 0);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (mnl_nlmsg_ok(nlh, (int)r) && nlh->nlmsg_seq == seq)
			return read_answer(nlh, source);
	}
}

int route_lookup(int fd, const struct address *src, const struct address *dst)
{
	int r;

	if (dst->size != 4 && dst->size != 16)
		return -EINVAL;
	if (src && src->size != dst->size)
		src = NULL;
	r = ask(fd, src, dst, NULL);
	/* EINVAL: src is not an address of this host. */
	if (src && (r == -EINVAL || r == -ENETUNREACH || r == -EADDRNOTAVAIL))
		r = ask(fd, NULL, dst, NULL);
	if (r == -ENETUNREACH || r == -EHOSTUNREACH || r == -EACCES ||
	    r == -EINVAL)
		return 0;
	return r;
}

int route_source(int fd, const struct address *dst, struct address *source)
{
	int r;

	*source = (struct address){0};
	if (dst->size != 4 && dst->size != 16)
		return -EINVAL;
	r = ask(fd, NULL, dst, source);
	if (r < 0)
		return r;
	return source->size == dst->size ? 0 : -ENETUNREACH;
}
