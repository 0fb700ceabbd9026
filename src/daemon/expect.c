/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A port is held by a socket bound to it, and to no address: as long as it is
 * there, the kernel gives the port to no connection, and nobody can bind it.
 * Nothing is ever read from it.
 */
#include "daemon/expect.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket that holds *port, or one that the kernel chooses for 0. */
static int hold(uint8_t proto, uint16_t *port)
{
	int type = proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(*port)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, proto), r;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&a, sizeof(a)) &&
	    !getsockname(fd, (struct sockaddr *)&a, &n)) {
		*port = ntohs(a.sin_port);
		return fd;
	}
	r = -errno;
	close(fd);
	return r;
}

static struct expect_port *find(struct expect *e, uint8_t proto, uint16_t port)
{
	for (unsigned i = 0; i < e->count; i++)
		if (e->list[i].proto == proto && e->list[i].port == port)
			return &e->list[i];
	return NULL;
}

int expect_add(struct expect *e, uint8_t proto, uint16_t *port, bool any)
{
	struct expect_port *p;
	struct error err;
	int fd, r;

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return -EPROTONOSUPPORT;
	p = *port ? find(e, proto, *port) : NULL;
	if (p && !any) {
		p->users++;
		return 0;
	}
	if (e->count == EXPECT_MAX)
		return -ENOBUFS;
	if (!*port && !any)
		return -EINVAL;
	fd = p ? -EADDRINUSE : hold(proto, port);
	if (fd < 0 && any) {
		*port = 0;
		fd = hold(proto, port);
	}
	if (fd < 0)
		return fd;
	r = capture_expect(e->capture, proto, *port, true, &err);
	if (r) {
		log_error("a probe's port: %s", err.text);
		close(fd);
		return r;
	}
	e->list[e->count++] = (struct expect_port){proto, *port, fd, 1};
	return 0;
}

static void drop(struct expect *e, struct expect_port *p)
{
	/* While it is taken down, the kernel has thrown all away. */
	capture_expect(e->capture, p->proto, p->port, false, NULL);
	close(p->fd);
	*p = e->list[--e->count];
}

void expect_remove(struct expect *e, uint8_t proto, uint16_t port)
{
	struct expect_port *p = find(e, proto, port);

	if (p && !--p->users)
		drop(e, p);
}

void expect_clear(struct expect *e)
{
	while (e->count)
		drop(e, &e->list[e->count - 1]);
}
