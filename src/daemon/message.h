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
#include "packet/packet.h"
#include "script/script.h"

enum message_kind {
	/* to the worker */
	/* With descriptors: out, back, sock; and, where what passes through is
	 * captured, passing, leaving. */
	MESSAGE_UPLINK_UP = 1,
	MESSAGE_UPLINK_CHANGED,
	MESSAGE_UPLINK_DOWN,
	MESSAGE_LOCALS,
	MESSAGE_ROUTES,
	MESSAGE_UP,	  /* packets are taken: time begins for the rules */
	MESSAGE_EXPECTED, /* what was asked by EXPECT is so, or cannot be */
	MESSAGE_VIA_IS,	  /* with a descriptor: an interface for via() */
	/* both ways */
	MESSAGE_SET, /* members of sets changed, as a rule wanted */
	MESSAGE_FLOWS, /* connections that the kernel decides about */
	/* to the supervisor */
	MESSAGE_READY,
	MESSAGE_LOG,
	MESSAGE_EVENT,
	MESSAGE_EXPECT,	  /* bring me what arrives for a port of ours */
	MESSAGE_UNEXPECT, /* no longer */
	MESSAGE_DONE,	  /* all tasks have ended */
	MESSAGE_PCAP,	  /* a packet for a file */
	MESSAGE_ELSEWHERE, /* a packet goes to another destination: tun0
			      forwards now */
	MESSAGE_VIA, /* a rule named an interface that was not known */
};

#define MESSAGE_LOCALS_MAX 64
#define MESSAGE_FDS	   5

struct message_uplink {
	int32_t ifindex;
	char name[IFNAMSIZ];
	uint8_t mac[6];
	uint16_t link_len;
	uint32_t mtu;
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

struct message_up {
	uint32_t tasks; /* 0: they are not to run (again) */
};

struct message_expect {
	uint32_t id;
	int32_t error; /* EXPECTED: 0 or -errno */
	uint16_t port;
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t any;   /* EXPECT: another port will do as well */
};

struct message_via {
	char name[IFNAMSIZ];
	uint32_t usable; /* VIA_IS: 0: packets for it are to be dropped */
};

struct message_done {
	uint32_t failed; /* tasks that ended with an error */
	uint32_t idle;	 /* 1: and nothing waits for its time */
};

struct message_pcap {
	char name[SCRIPT_FILE_MAX];
	int64_t time; /* ns since the epoch */
	uint32_t len; /* bytes of the packet, behind this */
};

#define MESSAGE_MEMBERS_MAX 64

struct message_member {
	uint32_t set; /* its place among the sets of the rules' matches */
	uint8_t gone;
	uint8_t exclude;
	struct prefix prefix;
	int64_t until; /* ns since the epoch; 0: for ever */
};

struct message_set {
	uint32_t count;
	struct message_member member[MESSAGE_MEMBERS_MAX];
};

#define MESSAGE_FLOWS_MAX 64

enum message_what {
	/* to the supervisor */
	MESSAGE_HOLD,	 /* its packets need not come: let them by, or drop */
	MESSAGE_RELEASE, /* they have to again */
	MESSAGE_ASK,	 /* how many were there? */
	/* to the worker */
	MESSAGE_COUNTED,
};

struct message_flow {
	uint8_t what;
	uint8_t proto;
	uint8_t drop;
	uint16_t port[2];
	struct address end[2];
	uint64_t packets; /* COUNTED */
};

struct message_flows {
	uint32_t count;
	struct message_flow flow[MESSAGE_FLOWS_MAX];
};

struct message {
	uint32_t kind;
	union {
		struct message_uplink uplink;
		struct message_locals locals;
		struct message_log log;
		struct event event;
		struct message_up up;
		struct message_expect expect;
		struct message_done done;
		struct message_via via;
		struct message_pcap pcap;
		struct message_set set;
		struct message_flows flows;
	};
};

/* Room for the longest there is. */
struct message_long {
	struct message m;
	uint8_t more[PACKET_MAX];
};

/* Sends m (only as many bytes as its kind has) with nfds descriptors.
 * 0, or -errno (-EAGAIN where the socket is full and not to be waited for). */
int message_send(int sock, const struct message *m, const int *fds,
		 unsigned nfds);

/* As message_send, but where the socket is full it waits until end (ns,
 * monotonic). room: of message_room. */
int message_send_until(int sock, int room, const struct message *m,
		       int64_t end);
/* A descriptor that waits for sock to take more. -errno. */
int message_room(int sock);

/*
 * Receives one. fds gets MESSAGE_FDS entries, -1 where none came; descriptors
 * a kind does not carry are closed. 1: a message; 0: the other side is gone;
 * -EAGAIN: none; -EPROTO: not a message of ours.
 */
int message_receive(int sock, struct message *m, int fds[MESSAGE_FDS]);

/* MESSAGE_PCAP with m->pcap.len bytes. As message_send. */
int message_send_packet(int sock, const struct message *m,
			const uint8_t *bytes);
/* As message_receive, and a MESSAGE_PCAP too, which that refuses. */
int message_receive_long(int sock, struct message_long *m,
			 int fds[MESSAGE_FDS]);
/* Its bytes. */
const uint8_t *message_packet(const struct message_long *m);

#endif
