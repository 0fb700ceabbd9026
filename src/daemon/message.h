/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What supervisor and worker say to each other: a handful of fixed messages
 * over a SOCK_SEQPACKET pair. The receiver checks the length against the
 * kind; the supervisor believes nothing else a worker says.
 */
#ifndef SLUICE_DAEMON_MESSAGE_H
#define SLUICE_DAEMON_MESSAGE_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "daemon/event.h"

enum message_kind {
	/* to the worker */
	MESSAGE_UPLINK_UP = 1, /* with three descriptors: out, back, sock */
	MESSAGE_UPLINK_CHANGED,
	MESSAGE_UPLINK_DOWN,
	MESSAGE_LOCALS,
	MESSAGE_ROUTES,
	/* to the supervisor */
	MESSAGE_READY,
	MESSAGE_LOG,
	MESSAGE_EVENT,
	MESSAGE_ELSEWHERE, /* a packet goes to another destination: tun0
			      forwards now */
};

#define MESSAGE_LOCALS_MAX 64
#define MESSAGE_FDS	   3

struct message_uplink {
	int32_t ifindex;
	char name[IFNAMSIZ];
	uint8_t mac[6];
	uint16_t link_len;
	uint32_t mtu;
	uint8_t in;
};

struct message_locals {
	uint32_t first; /* 1: what came before is void */
	uint32_t count;
	struct address list[MESSAGE_LOCALS_MAX];
};

struct message_log {
	uint32_t level;
	char text[512];
};

struct message {
	uint32_t kind;
	union {
		struct message_uplink uplink;
		struct message_locals locals;
		struct message_log log;
		struct event event;
	};
};

/* Sends m (only as many bytes as its kind has) with nfds descriptors.
 * 0, or -errno (-EAGAIN where the socket is full and not to be waited for). */
int message_send(int sock, const struct message *m, const int *fds,
		 unsigned nfds);

/*
 * Receives one. fds gets MESSAGE_FDS entries, -1 where none came; descriptors
 * a kind does not carry are closed. 1: a message; 0: the other side is gone;
 * -EAGAIN: none; -EPROTO: not a message of ours.
 */
int message_receive(int sock, struct message *m, int fds[MESSAGE_FDS]);

#endif
