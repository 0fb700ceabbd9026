/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Look-ups of routes and of sockets' owners, tried over the loopback. */
#include "capture/capture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct address address(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(&a, text), 0);
	return a;
}

static void the_loopback_is_found_for_its_addresses(void **state)
{
	static const struct {
		const char *src, *dst;
	} cases[] = {
		{ "127.0.0.1", "127.0.0.1" },
		{ NULL, "127.0.0.1" },
		{ "127.0.0.1", "127.1.2.3" },
		/* nobody's address as the source: as if none was given */
		{ "203.0.113.77", "127.0.0.1" },
	};
	int fd = route_lookup_open(), lo = (int)if_nametoindex("lo");

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct address dst = address(cases[i].dst), src;

		if (cases[i].src)
			src = address(cases[i].src);
		assert_int_equal(route_lookup(fd, cases[i].src ? &src : NULL,
					      &dst), lo);
	}
	close(fd);
}

static void what_has_no_size_is_refused(void **state)
{
	struct address none = { .size = 0 };
	int fd = route_lookup_open();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(route_lookup(fd, NULL, &none), -EINVAL);
	close(fd);
}

static void a_route_to_nowhere_is_nothing_known(void **state)
{
	struct address dst = address("0.0.0.0");
	int fd = route_lookup_open();
	int r;

	(void)state;
	dst.byte[0] = 240; /* class E: nobody routes it, no error either */
	r = route_lookup(fd, NULL, &dst);
	assert_true(r >= 0);
	close(fd);
}

static int bound(int type, uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void connect_to(int fd, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

static void check_mine(uint8_t proto, uint16_t sport, uint16_t dport)
{
	struct address lo = address("127.0.0.1");
	struct owner_lookup *o;
	struct owner w;

	assert_int_equal(owner_lookup_open(&o), 0);
	for (int i = 0; i < 2; i++) { /* the second one from the cache */
		assert_int_equal(owner_lookup(o, proto, &lo, sport, &lo,
					      dport, &w), 0);
		assert_int_equal(w.uid, getuid());
		assert_int_equal(w.pid, getpid());
		assert_memory_equal(w.comm, "unit_capture_lo", 15);
	}
	owner_lookup_close(o);
}

static void a_tcp_connection_is_its_processs(void **state)
{
	uint16_t server_port, client_port;
	int server = bound(SOCK_STREAM, &server_port);
	int client = bound(SOCK_STREAM, &client_port);

	(void)state;
	assert_int_equal(listen(server, 1), 0);
	connect_to(client, server_port);
	check_mine(IPPROTO_TCP, client_port, server_port);
	close(client);
	close(server);
}

static void a_udp_socket_is_its_processs(void **state)
{
	uint16_t there, here;
	int server = bound(SOCK_DGRAM, &there);
	int client = bound(SOCK_DGRAM, &here);

	(void)state;
	check_mine(IPPROTO_UDP, here, there); /* not connected */
	connect_to(client, there);
	check_mine(IPPROTO_UDP, here, there);
	close(client);
	close(server);
}

static void an_ipv6_socket_that_talks_ipv4_is_found(void **state)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);
	uint16_t there;
	int server;

	(void)state;
	if (fd < 0)
		skip();
	server = bound(SOCK_DGRAM, &there);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &a.sin6_addr);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		close(server);
		skip();
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	connect_to(fd, there);
	check_mine(IPPROTO_UDP, ntohs(a.sin6_port), there);
	close(fd);
	close(server);
}

static void nobodys_packet_has_no_owner(void **state)
{
	struct address lo = address("127.0.0.1"), six = address("::1");
	struct owner_lookup *o;
	struct owner w = { .pid = 7 };
	uint16_t here, there;
	int a = bound(SOCK_DGRAM, &here), b = bound(SOCK_DGRAM, &there);

	(void)state;
	assert_int_equal(owner_lookup_open(&o), 0);
	/* A bound UDP port says nothing about TCP. */
	assert_int_equal(owner_lookup(o, IPPROTO_TCP, &lo, here, &lo, there,
				      &w), -ENOENT);
	assert_int_equal(w.pid, 0);
	assert_int_equal(owner_lookup(o, IPPROTO_ICMP, &lo, here, &lo, there,
				      &w), -ENOENT);
	assert_int_equal(owner_lookup(o, IPPROTO_UDP, &lo, here, &six, there,
				      &w), -ENOENT);
	close(a);
	close(b);
	assert_int_equal(owner_lookup(o, IPPROTO_UDP, &lo, here, &lo, there,
				      &w), -ENOENT);
	owner_lookup_close(o);
	owner_lookup_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_loopback_is_found_for_its_addresses),
		cmocka_unit_test(what_has_no_size_is_refused),
		cmocka_unit_test(a_route_to_nowhere_is_nothing_known),
		cmocka_unit_test(a_tcp_connection_is_its_processs),
		cmocka_unit_test(a_udp_socket_is_its_processs),
		cmocka_unit_test(an_ipv6_socket_that_talks_ipv4_is_found),
		cmocka_unit_test(nobodys_packet_has_no_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
