/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netlink over libmnl: one thing, a dump, a batch. Must not know any
 * subsystem's messages.
 */
#include "capture/netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Notifications come in bursts (a routing daemon, a flapping link). */
#define RECEIVE_BUFFER (4 << 20)
#define DUMP_TRIES     10

int netlink_open(struct netlink *n, int bus)
{
	int one = 1, size = RECEIVE_BUFFER, fd;

	*n = NETLINK_NONE;
	n->sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!n->sock)
		return -errno;
	if (mnl_socket_bind(n->sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		netlink_close(n);
		return r;
	}
	/* None is more than a convenience: failing is fine. */
	mnl_socket_setsockopt(n->sock, NETLINK_EXT_ACK, &one, sizeof(one));
	mnl_socket_setsockopt(n->sock, NETLINK_CAP_ACK, &one, sizeof(one));
	/* Dumps of one table, not of all the internet's routes. */
	mnl_socket_setsockopt(n->sock, NETLINK_GET_STRICT_CHK, &one,
			      sizeof(one));
	fd = mnl_socket_get_fd(n->sock);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size,
				 sizeof(size));
	return 0;
}

void netlink_close(struct netlink *n)
{
	if (n->sock)
		mnl_socket_close(n->sock);
	n->sock = NULL;
}

int netlink_fd(const struct netlink *n)
{
	return n->sock ? mnl_socket_get_fd(n->sock) : -1;
}

int netlink_join(struct netlink *n, unsigned group)
{
	int g = (int)group;

	if (mnl_socket_setsockopt(n->sock, NETLINK_ADD_MEMBERSHIP, &g,
				  sizeof(g)) < 0)
		return -errno;
	return 0;
}

struct nlmsghdr *netlink_message(void *buf, uint16_t type, uint16_t flags,
				 void *extra, size_t size)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	void *p = mnl_nlmsg_put_extra_header(nlh, size);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags | NLM_F_REQUEST;
	if (extra)
		memcpy(p, extra, size);
	return nlh;
}

/* Sends len bytes; the send buffer grows with what is sent. */
static int transmit(struct netlink *n, const void *buf, size_t len)
{
	int fd = mnl_socket_get_fd(n->sock), size = 0;
	socklen_t l = sizeof(size);

	if (!getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &l) &&
	    (size_t)size < 2 * len) {
		size = (int)(2 * len);
		if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, l))
			(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, l);
	}
	return mnl_socket_sendto(n->sock, buf, len) < 0 ? -errno : 0;
}

/* One datagram; 0 when nothing is waiting and flags has MSG_DONTWAIT. */
static ssize_t receive(struct netlink *n, void *buf, size_t size, int flags)
{
	struct sockaddr_nl from;
	struct iovec iov = { buf, size };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof(from),
			    .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	for (;;) {
		r = recvmsg(mnl_socket_get_fd(n->sock), &m, flags);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return errno == EAGAIN ? 0 : -errno;
		/* Any process may send us something: only the kernel counts. */
		if (m.msg_namelen != sizeof(from) || from.nl_pid)
			continue;
		if (m.msg_flags & MSG_TRUNC)
			return -EMSGSIZE;
		return r;
	}
}

/* The errno of an NLMSG_ERROR (0: an ack); keeps the kernel's words. */
static int ack_error(struct netlink *n, const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;
	size_t skip = sizeof(*e);

	if (nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*e)))
		return -EBADMSG;
	if (!e->error || !(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return e->error;
	n->hint[0] = 0;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip += e->msg.nlmsg_len - sizeof(struct nlmsghdr);
	mnl_attr_for_each(a, nlh, skip)
		if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(n->hint, sizeof(n->hint), "%.*s",
				 (int)mnl_attr_get_payload_len(a),
				 (const char *)mnl_attr_get_payload(a));
	return e->error;
}

static int fail(const struct netlink *n, int code, const char *what,
		struct error *err)
{
	return error_set(err, code, "%s: %s%s%s%s", what, strerror(-code),
			 n->hint[0] ? " (" : "", n->hint,
			 n->hint[0] ? ")" : "");
}

/*
 * Reads answers to message seq until its ack, or the end of its dump. A
 * callback's error is kept, and the rest thrown away, so that the socket is
 * clean for the next question.
 */
static int answers(struct netlink *n, uint32_t seq, netlink_cb *cb, void *arg,
		   bool *interrupted)
{
	static const size_t size = NETLINK_ROOM;
	uint8_t *buf = malloc(size);
	int result = 0;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		const struct nlmsghdr *nlh = (const void *)buf;
		ssize_t r = receive(n, buf, size, 0);
		int len = (int)r;

		if (r < 0) {
			result = (int)r;
			break;
		}
		for (; mnl_nlmsg_ok(nlh, len);
		     nlh = mnl_nlmsg_next(nlh, &len)) {
			if (nlh->nlmsg_seq != seq)
				continue;
			if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
				*interrupted = true;
			if (nlh->nlmsg_type == NLMSG_ERROR) {
				r = ack_error(n, nlh);
				result = r ? (int)r : result;
				goto out;
			}
			if (nlh->nlmsg_type == NLMSG_DONE) {
				/* A dump that failed says so here. */
				if (mnl_nlmsg_get_payload_len(nlh) >= 4 &&
				    !result)
					result = *(int *)
						mnl_nlmsg_get_payload(nlh);
				goto out;
			}
			if (nlh->nlmsg_type >= NLMSG_MIN_TYPE && cb && !result)
				result = cb(nlh, arg);
			if (result > 0)
				result = 0;
		}
	}
out:
	free(buf);
	return result;
}

int netlink_ask(struct netlink *n, struct nlmsghdr *nlh, netlink_cb *cb,
		void *arg, const char *what, struct error *err)
{
	bool interrupted = false;
	int r;

	n->hint[0] = 0;
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = ++n->seq;
	r = transmit(n, nlh, nlh->nlmsg_len);
	if (!r)
		r = answers(n, nlh->nlmsg_seq, cb, arg, &interrupted);
	return r < 0 ? fail(n, r, what, err) : 0;
}

int netlink_dump(struct netlink *n, struct nlmsghdr *nlh, netlink_cb *cb,
		 void (*restart)(void *arg), void *arg)
{
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
	for (int i = 0; i < DUMP_TRIES; i++) {
		bool interrupted = false;
		int r;

		n->hint[0] = 0;
		if (restart)
			restart(arg);
		nlh->nlmsg_seq = ++n->seq;
		r = transmit(n, nlh, nlh->nlmsg_len);
		if (!r)
			r = answers(n, nlh->nlmsg_seq, cb, arg, &interrupted);
		if (!interrupted || r < 0)
			return r < 0 ? r : 0;
	}
	return -EINTR;
}

int netlink_drain(struct netlink *n, netlink_cb *cb, void *arg)
{
	uint8_t *buf = malloc(NETLINK_ROOM);
	int result = 0;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		const struct nlmsghdr *nlh = (const void *)buf;
		ssize_t r = receive(n, buf, NETLINK_ROOM, MSG_DONTWAIT);
		int len = (int)r;

		if (!r)
			break;
		if (r < 0) {
			/* What follows a loss is read too: it is newer. */
			result = (int)r;
			if (r == -ENOBUFS)
				continue;
			break;
		}
		for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
			if (nlh->nlmsg_type >= NLMSG_MIN_TYPE)
				cb(nlh, arg);
	}
	free(buf);
	return result;
}

const struct nlattr *netlink_inside(const struct nlattr *a, uint16_t type)
{
	const struct nlattr *i;

	if (a)
		mnl_attr_for_each_nested(i, a)
			if (mnl_attr_get_type(i) == type)
				return i;
	return NULL;
}

/* ---- batches ------------------------------------------------------------ */

void *netlink_batch_room(struct netlink_batch *b)
{
	uint8_t *p;

	if (b->error)
		return NULL;
	if (b->size - b->used < NETLINK_ROOM) {
		p = realloc(b->buf, 2 * b->size + NETLINK_ROOM);
		if (!p) {
			b->error = -ENOMEM;
			return NULL;
		}
		b->buf = p;
		b->size = 2 * b->size + NETLINK_ROOM;
	}
	memset(b->buf + b->used, 0, NETLINK_ROOM);
	return b->buf + b->used;
}

void netlink_batch_add(struct netlink_batch *b, const char *what, ...)
{
	const struct nlmsghdr *nlh = (const void *)(b->buf + b->used);
	va_list ap;
	void *p;

	if (b->error)
		return;
	if (b->items == b->items_size) {
		p = realloc(b->item,
			    (2 * b->items_size + 16) * sizeof(*b->item));
		if (!p) {
			b->error = -ENOMEM;
			return;
		}
		b->item = p;
		b->items_size = 2 * b->items_size + 16;
	}
	b->item[b->items].at = b->used;
	va_start(ap, what);
	vsnprintf(b->item[b->items].what, sizeof(b->item->what), what, ap);
	va_end(ap);
	b->items++;
	b->used += MNL_ALIGN(nlh->nlmsg_len);
}

void netlink_batch_free(struct netlink_batch *b)
{
	free(b->buf);
	free(b->item);
	*b = NETLINK_BATCH_NONE;
}

/* Numbers the messages from n->seq + 1 on; returns how many want an ack. */
static unsigned number(struct netlink *n, struct netlink_batch *b)
{
	unsigned wanted = 0;

	for (unsigned i = 0; i < b->items; i++) {
		struct nlmsghdr *nlh = (void *)(b->buf + b->item[i].at);

		nlh->nlmsg_flags |= NLM_F_REQUEST;
		nlh->nlmsg_seq = n->seq + 1 + i;
		wanted += !!(nlh->nlmsg_flags & NLM_F_ACK);
	}
	return wanted;
}

/* One answer to a batch whose first message had the number first. */
static void batch_answer(struct netlink *n, const struct netlink_batch *b,
			 const struct nlmsghdr *nlh, uint32_t first,
			 unsigned *acks, int *result, struct error *err)
{
	uint32_t i = nlh->nlmsg_seq - first;
	int e;

	if (nlh->nlmsg_type != NLMSG_ERROR || i >= b->items)
		return;
	e = ack_error(n, nlh);
	if (!e)
		++*acks;
	else if (!*result)
		*result = fail(n, e, b->item[i].what, err);
}

int netlink_batch_send(struct netlink *n, struct netlink_batch *b,
		       struct error *err)
{
	uint32_t first = n->seq + 1;
	unsigned wanted, acks = 0;
	int result = 0, r;
	uint8_t *buf;

	n->hint[0] = 0;
	if (b->error)
		return fail(n, b->error, "building a batch", err);
	wanted = number(n, b);
	n->seq += b->items;
	r = transmit(n, b->buf, b->used);
	if (r)
		return fail(n, r, "sending a batch", err);
	buf = malloc(NETLINK_ROOM);
	if (!buf)
		return fail(n, -ENOMEM, "reading a batch's acks", err);
	/* The kernel works inside the send: all answers are waiting now. */
	for (;;) {
		const struct nlmsghdr *nlh = (const void *)buf;
		ssize_t got = receive(n, buf, NETLINK_ROOM, MSG_DONTWAIT);
		int len = (int)got;

		if (got <= 0) {
			if (got < 0 && !result)
				result = fail(n, (int)got,
					      "reading a batch's acks", err);
			break;
		}
		for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len))
			batch_answer(n, b, nlh, first, &acks, &result, err);
	}
	free(buf);
	if (!result && acks < wanted)
		result = error_set(err, -EIO,
				   "a batch of %u: %u of %u acknowledged",
				   b->items, acks, wanted);
	return result;
}
