/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The least that a program behind a TUN can do: every packet is read and
 * written back as it is, one thread, blocking. What this costs, anything that
 * hands packets to user space by route costs at least.
 *
 *   bench_tunloop DEVICE offload|plain
 *
 * Says "ready" when the device is there. It must not know what a packet is.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int die(const char *what)
{
	fprintf(stderr, "bench_tunloop: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	static char packet[1 << 17];
	ssize_t n;

	if (argc != 3 || strlen(argv[1]) >= IFNAMSIZ) {
		fprintf(stderr, "usage: bench_tunloop DEVICE offload|plain\n");
		return 2;
	}
	if (fd < 0)
		return die("/dev/net/tun");
	memcpy(ifr.ifr_name, argv[1], strlen(argv[1]));
	if (!strcmp(argv[2], "offload"))
		ifr.ifr_flags |= IFF_VNET_HDR;
	if (ioctl(fd, TUNSETIFF, &ifr))
		return die("TUNSETIFF");
	/* Before Linux 6.2 there is no UDP segmentation to ask for. */
	if (ifr.ifr_flags & IFF_VNET_HDR &&
	    ioctl(fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) &&
	    ioctl(fd, TUNSETOFFLOAD, offload))
		return die("TUNSETOFFLOAD");
	puts("ready");
	fflush(stdout);
	while ((n = read(fd, packet, sizeof(packet))) > 0) {
		/* A packet that is not taken is lost; so it is elsewhere. */
		if (write(fd, packet, (size_t)n) < 0 && errno == EBADFD)
			break;
	}
	return die("read");
}
