/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A netlink socket and the three ways to use it: ask one thing, dump a table,
 * send a batch. Every answer is read, every failure has a name. Knows no
 * attribute of any subsystem.
 */
#ifndef SLUICE_CAPTURE_NETLINK_H
#define SLUICE_CAPTURE_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

struct netlink {
	struct mnl_socket *sock; /* NULL: closed */
	uint32_t seq;		 /* of the last message sent */
	char hint[128]; /* what the kernel said about the last failure */
};
#define NETLINK_NONE ((struct netlink){ .sock = NULL })

/* bus: NETLINK_ROUTE, NETLINK_NETFILTER... 0 or -errno. */
int netlink_open(struct netlink *n, int bus);
void netlink_close(struct netlink *n); /* closed already: fine */
int netlink_fd(const struct netlink *n);
int netlink_join(struct netlink *n, unsigned group); /* notifications */

/*
 * Called for each message; arg is the caller's. A negative errno ends the
 * matter (the rest is still read, and thrown away) and is returned.
 */
typedef int netlink_cb(const struct nlmsghdr *nlh, void *arg);

/* Room for one message; also the most that a batch's message may take. */
#define NETLINK_ROOM 65536

/* A message in buf (NETLINK_ROOM bytes, or what the caller knows suffices),
 * with an empty header of extra bytes behind the netlink one. */
struct nlmsghdr *netlink_message(void *buf, uint16_t type, uint16_t flags,
				 void *extra, size_t size);

/*
 * Sends one message and reads until its ack; what else comes goes to cb (may
 * be NULL). Adds NLM_F_REQUEST | NLM_F_ACK and the sequence number. 0 or
 * -errno; err, unless it is NULL, says "WHAT: reason".
 */
int netlink_ask(struct netlink *n, struct nlmsghdr *nlh, netlink_cb *cb,
		void *arg, const char *what, struct error *err);

/*
 * Sends a dump request (NLM_F_DUMP is added) and gives each answer to cb. The
 * kernel says when a table changed under a dump; it is then read again, up to
 * 10 times, and before every time, the first included, restart (may be NULL)
 * is called so that the caller starts with nothing. 0 or -errno.
 */
int netlink_dump(struct netlink *n, struct nlmsghdr *nlh, netlink_cb *cb,
		 void (*restart)(void *arg), void *arg);

/*
 * What is waiting (notifications), without blocking, given to cb. 0: all read;
 * -ENOBUFS: some were lost, look at everything again.
 */
int netlink_drain(struct netlink *n, netlink_cb *cb, void *arg);

/* Finds attribute type inside a, or NULL; a may be NULL. */
const struct nlattr *netlink_inside(const struct nlattr *a, uint16_t type);

/* ---- batches: for nftables, a transaction ------------------------------ */

struct netlink_batch {
	uint8_t *buf;
	size_t size, used;
	struct {
		size_t at;
		char what[80];
	} *item;
	unsigned items, items_size;
	int error; /* the first one (no memory), kept until the send */
};
#define NETLINK_BATCH_NONE ((struct netlink_batch){ .buf = NULL })

/* Where to build the next message: NETLINK_ROOM zeroed bytes, NULL without
 * memory (then the send fails with -ENOMEM). */
void *netlink_batch_room(struct netlink_batch *b);
/* The message built there is complete; what: its name in an error. */
void netlink_batch_add(struct netlink_batch *b, const char *what, ...)
	__attribute__((format(printf, 2, 3)));
void netlink_batch_free(struct netlink_batch *b);

/*
 * Sends all of it at once, numbers the messages, reads every ack. Messages
 * with NLM_F_ACK must be acknowledged. The first failing message decides: err
 * says "its what: reason" and its errno is returned. The batch can be sent
 * again.
 */
int netlink_batch_send(struct netlink *n, struct netlink_batch *b,
		       struct error *err);

#endif
