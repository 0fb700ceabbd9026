/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The usual way to user space, for comparison: every packet of an NFQUEUE is
 * taken whole and accepted as it is, with the options that make that fast
 * (super-packets are not cut, one verdict for all that one read brought).
 *
 *   bench_nfqueue NUMBER
 *
 * Says "ready" when the queue is there. It must not know what a packet is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BUFFER (1 << 18)
#define ROOM   (8 << 20) /* of the socket */

static char buffer[BUFFER];
static uint16_t queue;
static uint32_t last; /* id of the newest packet of one read */

static int die(const char *what)
{
	fprintf(stderr, "bench_nfqueue: %s: %s\n", what, strerror(errno));
	return 1;
}

static struct nlmsghdr *message(char *at, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(at);
	struct nfgenmsg *g;

	n->nlmsg_type = (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type);
	n->nlmsg_flags = NLM_F_REQUEST | flags;
	g = mnl_nlmsg_put_extra_header(n, sizeof(*g));
	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(queue);
	return n;
}

/* Sends it and reads the answer. */
static int ask(struct mnl_socket *s, struct nlmsghdr *n)
{
	ssize_t got;

	if (mnl_socket_sendto(s, n, n->nlmsg_len) < 0)
		return -1;
	got = mnl_socket_recvfrom(s, buffer, sizeof(buffer));
	return got < 0 ? -1
		       : mnl_cb_run(buffer, (size_t)got, 0,
				    mnl_socket_get_portid(s), NULL, NULL);
}

static int configure(struct mnl_socket *s)
{
	struct nfqnl_msg_config_cmd bind = {
		.command = NFQNL_CFG_CMD_BIND,
		.pf = htons(AF_INET),
	};
	struct nfqnl_msg_config_params whole = {
		.copy_range = htonl(0xffff),
		.copy_mode = NFQNL_COPY_PACKET,
	};
	struct nlmsghdr *n;

	n = message(buffer, NFQNL_MSG_CONFIG, NLM_F_ACK);
	mnl_attr_put(n, NFQA_CFG_CMD, sizeof(bind), &bind);
	if (ask(s, n) < 0)
		return -1;
	n = message(buffer, NFQNL_MSG_CONFIG, NLM_F_ACK);
	mnl_attr_put(n, NFQA_CFG_PARAMS, sizeof(whole), &whole);
	mnl_attr_put_u32(n, NFQA_CFG_QUEUE_MAXLEN, htonl(4096));
	mnl_attr_put_u32(n, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(n, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
	return ask(s, n);
}

static int packet_seen(const struct nlmsghdr *n, void *arg)
{
	struct nlattr *a;

	(void)arg;
	mnl_attr_for_each(a, n, sizeof(struct nfgenmsg))
	{
		struct nfqnl_msg_packet_hdr h;

		if (mnl_attr_get_type(a) != NFQA_PACKET_HDR ||
		    mnl_attr_get_payload_len(a) < sizeof(h))
			continue;
		memcpy(&h, mnl_attr_get_payload(a), sizeof(h));
		last = ntohl(h.packet_id);
	}
	return MNL_CB_OK;
}

static int accept_packets(struct mnl_socket *s)
{
	struct nfqnl_msg_verdict_hdr v = {.verdict = htonl(NF_ACCEPT)};
	char room[MNL_NLMSG_HDRLEN + 64];
	struct nlmsghdr *n;
	ssize_t got;

	for (;;) {
		got = mnl_socket_recvfrom(s, buffer, sizeof(buffer));
		if (got < 0 && errno == ENOBUFS)
			continue;
		if (got < 0 || mnl_cb_run(buffer, (size_t)got, 0, 0,
					  packet_seen, NULL) < 0)
			return -1;
		n = message(room, NFQNL_MSG_VERDICT_BATCH, 0);
		v.id = htonl(last);
		mnl_attr_put(n, NFQA_VERDICT_HDR, sizeof(v), &v);
		if (mnl_socket_sendto(s, n, n->nlmsg_len) < 0)
			return -1;
	}
}

int main(int argc, char **argv)
{
	struct mnl_socket *s = mnl_socket_open(NETLINK_NETFILTER);
	int one = 1, room = ROOM;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_nfqueue NUMBER\n");
		return 2;
	}
	queue = (uint16_t)atoi(argv[1]);
	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0)
		return die("netlink");
	if (configure(s) < 0)
		return die("making the queue");
	mnl_socket_setsockopt(s, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	(void)setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUFFORCE,
			 &room, sizeof(room));
	puts("ready");
	fflush(stdout);
	accept_packets(s);
	return die("reading packets");
}
