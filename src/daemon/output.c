/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/output.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* A pipe that is ready takes this much without waiting (POSIX: PIPE_BUF). */
#define CHUNK 4096

void output_put(struct output *o, const char *text, size_t n)
{
	if (n > sizeof(o->buf) - o->used) {
		o->lost++;
		return;
	}
	memcpy(o->buf + o->used, text, n);
	o->used += n;
}

void output_flush(struct output *o, bool wait)
{
	size_t done = 0;

	while (done < o->used && !o->closed) {
		struct pollfd p = {.fd = o->fd, .events = POLLOUT};
		size_t n = o->used - done;
		ssize_t r;

		if (poll(&p, 1, wait ? 1000 : 0) <= 0)
			break;
		r = write(o->fd, o->buf + done, n < CHUNK ? n : CHUNK);
		if (r >= 0)
			done += (size_t)r;
		else if (errno != EINTR && errno != EAGAIN)
			o->closed = true;
	}
	memmove(o->buf, o->buf + done, o->used - done);
	o->used -= done;
}
