/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ports of this host that probes use: held, so that nobody else gets them
 * while what arrives for them does not go to the kernel. The supervisor's.
 */
#ifndef SLUICE_DAEMON_EXPECT_H
#define SLUICE_DAEMON_EXPECT_H

#include "capture/capture.h"

/* As many as a worker's probes; each is a descriptor. */
#define EXPECT_MAX 256

struct expect {
	struct capture *capture;
	struct expect_port {
		uint8_t proto;
		uint16_t port;
		int fd;
		unsigned users;
	} list[EXPECT_MAX];
	unsigned count;
};

/*
 * Takes *port, or, if any will do and it is in use or 0, another, which it
 * then is. -EADDRINUSE: in use by somebody else; -ENOBUFS: too many;
 * -EPROTONOSUPPORT: not TCP or UDP; what capture_expect says.
 */
int expect_add(struct expect *e, uint8_t proto, uint16_t *port, bool any);

/* Once for each expect_add; what is not there is nothing. */
void expect_remove(struct expect *e, uint8_t proto, uint16_t port);

/* All of them. */
void expect_clear(struct expect *e);

#endif
