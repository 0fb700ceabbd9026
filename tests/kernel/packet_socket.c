/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the capture takes for granted of packet sockets: bound to a device and
 * to no protocol, one sends (the kernel reads the Ethernet header) and
 * receives nothing; bound to ETH_P_IP behind a filter that drops all, it
 * receives nothing either; it takes a super-packet behind a virtio_net_hdr,
 * but nothing above the MTU without one.
 *
 * cc -o t packet_socket.c && unshare -Ur ./t; needs iproute2.
 * 0: all true; 77: cannot try.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int failed;

static void expect(int good, const char *what)
{
	printf("%s: %s\n", good ? "true" : "FALSE", what);
	failed |= !good;
}

static int packet(const char *dev, int protocol, int vnet)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(protocol),
				  .sll_ifindex = (int)if_nametoindex(dev) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &vnet, 4) ||
	    bind(fd, (struct sockaddr *)&to, sizeof(to)))
		exit(77);
	return fd;
}

static int deaf(const char *dev, int protocol)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { 1, &drop };
	int fd = packet(dev, protocol, 1);

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
		exit(77);
	return fd;
}

/* An Ethernet frame with a TCP segment of data bytes, checksum partial. */
static size_t frame(unsigned char *b, size_t data)
{
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				    .hdr_len = 54, .gso_size = 1000,
				    .csum_start = 34, .csum_offset = 16 };
	unsigned char *eth = b + 10, *ip = eth + 14;
	unsigned sum = 0;

	if (data <= 1000)
		h.gso_type = h.gso_size = 0;
	memset(b, 0, 10 + 54 + data);
	memcpy(b, &h, 10);
	memset(eth, 0xff, 6);
	memcpy(eth + 6, "\x02\0\0\0\0\1\x08\0", 8);
	memcpy(ip, "\x45\0\0\0\0\0\x40\0\x40\x06\0\0\x0a\0\0\1\x0a\0\0\2", 20);
	ip[2] = (unsigned char)((40 + data) >> 8);
	ip[3] = (unsigned char)(40 + data);
	for (int i = 0; i < 20; i += 2)
		sum += (unsigned)(ip[i] << 8 | ip[i + 1]);
	sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
	ip[10] = (unsigned char)(sum >> 8);
	ip[11] = (unsigned char)sum;
	ip[32] = 0x50;
	ip[33] = 0x10;
	return 10 + 54 + data;
}

/* How many frames of our sender wait on fd, and the longest of them. */
static int waiting(int fd, size_t skip, size_t *longest)
{
	unsigned char b[70000];
	int n = 0;
	ssize_t r;

	usleep(100000);
	for (*longest = 0; (r = recv(fd, b, sizeof(b), 0)) > 0;) {
		if (memcmp(b + skip + 6, "\x02\0\0\0\0\1", 6))
			continue;
		n++;
		if ((size_t)r > *longest)
			*longest = (size_t)r;
	}
	return n;
}

int main(void)
{
	int none, filtered, peer, there;
	unsigned char b[70000];
	size_t len, longest;

	if (unshare(CLONE_NEWNET))
		return 77;
	if (system("ip link add va type veth peer name vb && "
		   "ip link set va up && ip link set vb up"))
		return 77;
	none = packet("va", 0, 1);
	filtered = deaf("va", ETH_P_IP);
	peer = packet("vb", ETH_P_ALL, 0);
	there = packet("vb", 0, 1);

	len = frame(b, 100);
	expect(send(none, b, len, 0) == (ssize_t)len &&
	       waiting(peer, 0, &longest) == 1 && longest == 154,
	       "bound to no protocol it sends");
	expect(send(filtered, b, len, 0) == (ssize_t)len &&
	       waiting(peer, 0, &longest) == 1,
	       "bound to ETH_P_IP it sends");
	len = frame(b, 30000);
	expect(send(none, b, len, 0) == (ssize_t)len &&
	       waiting(peer, 0, &longest) >= 1,
	       "it sends a super-packet");
	len = frame(b, 3000);
	b[1] = b[4] = b[5] = 0; /* as large, but no segmentation asked for */
	expect(send(none, b, len, 0) < 0 && errno == EMSGSIZE,
	       "a packet above the MTU is refused without gso_type");
	len = frame(b, 100);
	expect(send(there, b, len, 0) == (ssize_t)len &&
	       !waiting(none, 10, &longest) &&
	       !waiting(filtered, 10, &longest),
	       "neither of them receives");
	return failed;
}
