/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/message.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static size_t message_size(uint32_t kind)
{
	size_t head = offsetof(struct message, uplink);

	switch (kind) {
	case MESSAGE_UPLINK_UP:
	case MESSAGE_UPLINK_CHANGED:
	case MESSAGE_UPLINK_DOWN:
		return head + sizeof(struct message_uplink);
	case MESSAGE_LOCALS:
		return head + sizeof(struct message_locals);
	case MESSAGE_LOG:
		return head + sizeof(struct message_log);
	case MESSAGE_EVENT:
		return head + sizeof(struct event);
	case MESSAGE_UP:
		return head + sizeof(struct message_up);
	case MESSAGE_EXPECT:
	case MESSAGE_EXPECTED:
	case MESSAGE_UNEXPECT:
		return head + sizeof(struct message_expect);
	case MESSAGE_VIA:
	case MESSAGE_VIA_IS:
		return head + sizeof(struct message_via);
	case MESSAGE_DONE:
		return head + sizeof(struct message_done);
	case MESSAGE_PCAP:
		return head + sizeof(struct message_pcap);
	case MESSAGE_SET:
		return head + sizeof(struct message_set);
	case MESSAGE_FLOWS:
		return head + sizeof(struct message_flows);
	case MESSAGE_ROUTES:
	case MESSAGE_READY:
	case MESSAGE_ELSEWHERE:
		return head;
	default:
		return 0;
	}
}

int message_send_packet(int sock, const struct message *m,
			const uint8_t *bytes)
{
	struct iovec iov[] = {
		{(void *)m, message_size(m->kind)},
		{(void *)bytes, m->pcap.len},
	};
	const struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	do {
		n = sendmsg(sock, &h, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int message_send(int sock, const struct message *m, const int *fds,
		 unsigned nfds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
	} control;
	struct iovec iov = {(void *)m, message_size(m->kind)};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (nfds) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		h.msg_control = control.bytes;
		h.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	do {
		n = sendmsg(sock, &h, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int message_room(int sock)
{
	struct epoll_event e = {.events = EPOLLOUT};
	int fd = epoll_create1(EPOLL_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	if (!epoll_ctl(fd, EPOLL_CTL_ADD, sock, &e))
		return fd;
	r = -errno;
	close(fd);
	return r;
}

int message_send_until(int sock, int room, const struct message *m,
		       int64_t end)
{
	struct epoll_event e;
	int64_t left;
	int r;

	while ((r = message_send(sock, m, NULL, 0)) == -EAGAIN) {
		left = end - clock_monotonic();
		if (left <= 0)
			break;
		epoll_wait(room, &e, 1, (int)(left / NSEC_PER_MSEC) + 1);
	}
	return r;
}

static void take_fds(struct msghdr *h, int fds[MESSAGE_FDS])
{
	unsigned used = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (used < MESSAGE_FDS)
				fds[used++] = fd;
			else
				close(fd);
		}
	}
}

/* Whether n bytes are as long as the message says that it is. */
static bool is_whole(const struct message *m, size_t n)
{
	size_t size = message_size(m->kind);

	if (m->kind != MESSAGE_PCAP || n < size)
		return n == size;
	return m->pcap.len && m->pcap.len <= PACKET_MAX &&
	       n - size == m->pcap.len;
}

static bool carries_fds(const struct message *m)
{
	return m->kind == MESSAGE_UPLINK_UP || m->kind == MESSAGE_VIA_IS;
}

static int receive(int sock, struct message *m, size_t room,
		   int fds[MESSAGE_FDS])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(MESSAGE_FDS * sizeof(int))];
	} control;
	struct iovec iov = {m, room};
	struct msghdr h = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	bool bad;
	ssize_t n;

	for (int i = 0; i < MESSAGE_FDS; i++)
		fds[i] = -1;
	do {
		n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	take_fds(&h, fds);
	bad = n < (ssize_t)sizeof(m->kind) || (h.msg_flags & MSG_TRUNC) ||
	      !is_whole(m, (size_t)n);
	for (int i = 0; i < MESSAGE_FDS; i++) {
		if (fds[i] < 0 || (!bad && carries_fds(m)))
			continue;
		close(fds[i]);
		fds[i] = -1;
	}
	/* Nobody sends an empty message: whoever does counts as gone. */
	if (!n)
		return 0;
	return bad ? -EPROTO : 1;
}

int message_receive(int sock, struct message *m, int fds[MESSAGE_FDS])
{
	return receive(sock, m, sizeof(*m), fds);
}

int message_receive_long(int sock, struct message_long *m,
			 int fds[MESSAGE_FDS])
{
	return receive(sock, (struct message *)m, sizeof(*m), fds);
}

const uint8_t *message_packet(const struct message_long *m)
{
	return (const uint8_t *)m + message_size(MESSAGE_PCAP);
}
