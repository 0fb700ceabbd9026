/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the capture takes for granted of a TUN device: IFF_TUN_EXCL never
 * attaches to one that is there; removing one by rtnetlink works while
 * descriptors of it are open, and these then say so; settings of IPv4 on one
 * device can be written by rtnetlink, without /proc; scope host keeps its
 * address from being a source.
 *
 * cc -o t tun_device.c && unshare -Ur ./t; needs iproute2.
 * 0: all true; 77: cannot try.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int failed;

static void expect(int good, const char *what)
{
	printf("%s: %s\n", good ? "true" : "FALSE", what);
	failed |= !good;
}

static int make(const char *name, int flags)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_NO_PI | flags) };
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	if (fd < 0)
		exit(77);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	if (!ioctl(fd, TUNSETIFF, &ifr))
		return fd;
	close(fd);
	return -errno;
}

static struct rtattr *put(struct nlmsghdr *n, unsigned short type,
			  const void *data, size_t len)
{
	struct rtattr *a = (void *)((char *)n + NLMSG_ALIGN(n->nlmsg_len));

	a->rta_type = type;
	a->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	n->nlmsg_len = NLMSG_ALIGN(n->nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void end(struct nlmsghdr *n, struct rtattr *a)
{
	a->rta_len = (unsigned short)((char *)n + n->nlmsg_len - (char *)a);
}

static int set_accept_local(int ifindex)
{
	struct {
		struct nlmsghdr n;
		struct ifinfomsg i;
		char rest[256];
	} m = { .n = { .nlmsg_len = NLMSG_LENGTH(sizeof(m.i)),
		       .nlmsg_type = RTM_SETLINK,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.i = { .ifi_index = ifindex } };
	struct rtattr *spec = put(&m.n, IFLA_AF_SPEC, NULL, 0);
	struct rtattr *inet = put(&m.n, AF_INET, NULL, 0);
	struct rtattr *conf = put(&m.n, 1 /* IFLA_INET_CONF */, NULL, 0);
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), one = 1;
	struct {
		struct nlmsghdr n;
		struct nlmsgerr e;
		char rest[512];
	} answer = { .e = { .error = -EIO } };

	put(&m.n, IPV4_DEVCONF_ACCEPT_LOCAL, &one, 4);
	end(&m.n, conf);
	end(&m.n, inet);
	end(&m.n, spec);
	if (send(fd, &m, m.n.nlmsg_len, 0) > 0)
		recv(fd, &answer, sizeof(answer), 0);
	close(fd);
	return answer.e.error;
}

static int shell(const char *line)
{
	return system(line);
}

int main(void)
{
	char b[8];
	int fd, copy;

	if (unshare(CLONE_NEWNET))
		return 77;
	fd = make("t0", IFF_TUN | IFF_TUN_EXCL);
	if (fd < 0)
		return 77;
	expect(make("t0", IFF_TUN | IFF_TUN_EXCL) == -EBUSY,
	       "an exclusive request for a name in use is refused");
	expect(!set_accept_local((int)if_nametoindex("t0")) &&
	       !shell("grep -qx 1 /proc/sys/net/ipv4/conf/t0/accept_local"),
	       "accept_local is set through IFLA_INET_CONF");
	copy = dup(fd);
	expect(!shell("ip link del t0") && shell("ip link show t0 2>&1 | "
						 "grep -q mtu"),
	       "a device is removed while it is open");
	errno = 0;
	expect(read(copy, b, sizeof(b)) < 0 && errno == EBADFD,
	       "its descriptors answer EBADFD");
	expect(make("t0", IFF_TUN | IFF_TUN_EXCL) >= 0,
	       "and its name is free at once");
	expect(!shell("ip link set t0 up && ip addr add 192.0.0.8/32 dev t0 "
		      "scope host && ip link add va type veth peer vb && "
		      "ip link set va up && ip route add default dev va && "
		      "! ip route get 198.51.100.1 | grep -q 192.0.0.8"),
	       "an address of scope host is nobody's source");
	return failed;
}
