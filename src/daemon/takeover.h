/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's part of connections that the kernel decides about: puts
 * there what workers hand off. Keeps none of them.
 */
#ifndef SLUICE_DAEMON_TAKEOVER_H
#define SLUICE_DAEMON_TAKEOVER_H

#include "capture/capture.h"
#include "daemon/message.h"

struct takeover {
	struct capture *capture; /* NULL until there is one */
	bool any;		 /* some were handed off */
	int64_t said;		 /* ns; when an error was logged last */
};

/* Does what a worker asks; its questions are answered in m. True: there is an
 * answer. */
bool takeover_do(struct takeover *t, struct message_flows *m);

/* A worker has ended: nobody would hear of the end of what was its, so all
 * connections come to the workers again. */
void takeover_clear(struct takeover *t);

#endif
