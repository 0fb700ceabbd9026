/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections in the kernel's sets, as nft tells. In a user and network
 * namespace of its own; where that or nft is missing it is skipped.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/nft.h"
#include "capture_space.h"

static const struct nft_how how_flows = {
	.dev = "tun0", .divert = 0x1000, .seen = 0x2000, .flows = true,
	.route = true, .marker = { 2, 3, 4, 5, 6, 7 }, .cgroups = -1,
};

#define AT_ONCE 512
/* Connections that find place; one has two directions. */
#define PLACES	32768

static struct nft *up(void)
{
	struct error err = { "" };
	struct nft *n;

	assert_int_equal(nft_open(&n, &err), 0);
	if (nft_up(n, &how_flows, NULL, 0, &err))
		fail_msg("nft_up: %s", err.text);
	return n;
}

enum { LET_BY, DROPPED, LET_GO, DROPPED_NO_MORE };

static struct capture_flow flow(uint8_t proto, uint32_t number, int what)
{
	uint8_t b[4] = { 10, (uint8_t)(number >> 16), (uint8_t)(number >> 8),
			 (uint8_t)number };

	return (struct capture_flow){
		.proto = proto,
		.hold = what == LET_BY || what == DROPPED,
		.drop = what == DROPPED || what == DROPPED_NO_MORE,
		.end = { address_v4(b),
			 address_v4((const uint8_t[]){ 192, 0, 2, 1 }) },
		.port = { 1234, 80 },
	};
}

static void put(struct nft *n, const struct capture_flow *list, unsigned count)
{
	struct error err = { "" };

	if (nft_flows(n, list, count, &err))
		fail_msg("nft_flows: %s", err.text);
}

static void put_one(struct nft *n, uint8_t proto, uint32_t number,
		    int what)
{
	struct capture_flow f = flow(proto, number, what);

	put(n, &f, 1);
}

/* The members of a set, without their counters: "" for none. */
static char *members(const char *family, const char *set)
{
	char command[200];

	snprintf(command, sizeof(command),
		 "nft list set %s sluice %s | tr -d '\\n\\t' | "
		 "sed 's/.*elements = {//; s/}.*//; s/counter packets [0-9]* "
		 "bytes [0-9]*//g; s/  */ /g' | grep tcp; true",
		 family, set);
	return space_output(command);
}

static void assert_members(const char *set, const char *const want[2])
{
	static const char *const families[] = { "ip", "netdev" };

	for (int i = 0; i < 2; i++) {
		char *text = members(families[i], set);

		if (!want[0] && *text)
			fail_msg("%s %s: %s", families[i], set, text);
		for (int k = 0; want[0] && k < 2; k++)
			if (!strstr(text, want[k]))
				fail_msg("%s %s: not %s in %s", families[i],
					 set, want[k], text);
		free(text);
	}
}

static const char *const none[2] = { NULL, NULL };
static const char *const both[2] = {
	"tcp . 10.0.0.1 . 192.0.2.1 . 1234 . 80",
	"tcp . 192.0.2.1 . 10.0.0.1 . 80 . 1234",
};

static void a_connection_is_held_in_both_directions(void **state)
{
	struct nft *n;

	(void)state;
	space_enter();
	n = up();
	put_one(n, 6, 1, LET_BY);
	assert_members("bypassed", both);
	assert_members("dropped", none);
	/* Said again, nothing changes. */
	put_one(n, 6, 1, LET_BY);
	assert_members("bypassed", both);
	put_one(n, 6, 1, LET_GO);
	assert_members("bypassed", none);
	put_one(n, 6, 1, DROPPED);
	assert_members("dropped", both);
	assert_members("bypassed", none);
	put_one(n, 6, 1, DROPPED_NO_MORE);
	assert_members("dropped", none);
	/* What is not there can be taken away as well. */
	put_one(n, 6, 1, DROPPED_NO_MORE);
	put_one(n, 6, 2, LET_GO);
	assert_members("bypassed", none);
	nft_close(n);
}

static void several_change_at_once(void **state)
{
	struct capture_flow list[] = {
		flow(6, 1, LET_BY),
		flow(17, 2, DROPPED),
		flow(6, 3, LET_GO),
	};
	struct error err;
	struct nft *n;

	(void)state;
	space_enter();
	n = up();
	put(n, list, 3);
	assert_members("bypassed", both);
	assert_members("dropped", none); /* of TCP */
	list[0].hold = false;
	list[2] = flow(6, 3, DROPPED);
	put(n, list, 3);
	assert_members("bypassed", none);
	/* And all of them go. */
	assert_int_equal(nft_flows(n, NULL, 0, &err), 0);
	assert_members("dropped", none);
	nft_close(n);
}

/* By UDP from 10.0.0.1:1234; nobody has to be there. */
static void send_some(int count)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_port = htons(1234) };
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(80) };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(s >= 0);
	inet_pton(AF_INET, "10.0.0.1", &from.sin_addr);
	inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
	assert_int_equal(bind(s, (void *)&from, sizeof(from)), 0);
	while (count--)
		assert_int_equal(sendto(s, "x", 1, 0, (void *)&to, sizeof(to)),
				 1);
	close(s);
}

static void a_connection_counts_its_packets(void **state)
{
	struct capture_flow f = flow(17, 1, LET_BY);
	uint64_t count = 1;
	struct nft *n;

	(void)state;
	space_enter();
	if (system("ip link add up7 type veth peer name pe7 && "
		   "ip addr add 10.0.0.1/24 dev up7 && "
		   "ip link set up7 up && ip link set pe7 up && "
		   "ip route add 192.0.2.0/24 dev up7"))
		skip();
	n = up();
	send_some(3);
	assert_int_equal(nft_flow(n, &f, &count), 0);
	assert_int_equal(count, 0);
	put(n, &f, 1);
	send_some(5);
	assert_int_equal(nft_flow(n, &f, &count), 0);
	assert_int_equal(count, 5);
	f.hold = false;
	put(n, &f, 1);
	send_some(2);
	assert_int_equal(nft_flow(n, &f, &count), 0);
	assert_int_equal(count, 0);
	nft_close(n);
}

static int lines_of(const char *family)
{
	char command[160], *text;
	int n;

	snprintf(command, sizeof(command),
		 "nft list set %s sluice bypassed | grep -o 'counter packets' "
		 "| wc -l", family);
	text = space_output(command);
	n = atoi(text);
	free(text);
	return n;
}

static void a_full_set_takes_no_more_and_gives_what_it_has(void **state)
{
	struct capture_flow list[AT_ONCE];
	struct nft *n;

	(void)state;
	space_enter();
	n = up();
	for (uint32_t i = 0; i < PLACES; i += AT_ONCE) {
		for (uint32_t k = 0; k < AT_ONCE; k++)
			list[k] = flow(6, i + k, LET_BY);
		put(n, list, AT_ONCE);
	}
	/* Two that find no place, and one that makes one. */
	list[0] = flow(6, PLACES, LET_BY);
	list[1] = flow(6, 1, LET_GO);
	put(n, list, 2);
	put_one(n, 6, PLACES + 1, LET_BY);
	put_one(n, 6, PLACES + 2, LET_BY);
	assert_in_range(lines_of("netdev"), 2 * PLACES - 2, 2 * PLACES);
	nft_close(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_held_in_both_directions),
		cmocka_unit_test(several_change_at_once),
		cmocka_unit_test(a_connection_counts_its_packets),
		cmocka_unit_test(a_full_set_takes_no_more_and_gives_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
