/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A member is a protocol, both addresses and both ports of a direction, so a
 * connection has two; each counts the packets that meet it, so that whoever
 * put it there can tell whether there are any. (A member that packets renew
 * would come back: between its being taken away and its end, a packet that
 * renews it makes another.) Must not know who has connections put there.
 */
#include "capture/nft_flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "capture/nft_batch.h"
#include "capture/nft_expr.h"

/* 32,768 connections; a hash table that grows with what is in it. */
#define MEMBERS_MAX 65536

/* nft's numbers for inet_proto, ipv4_addr, inet_service, and how they are
 * joined; each part of a key takes four bytes. */
#define KEY_TYPE (12u << 24 | 7u << 18 | 7u << 12 | 13u << 6 | 13u)
#define KEY_LEN	 20

/* Behind the numbers of the rules' sets, and before those of sets without
 * names. */
#define SET_IDS 9990

/* What does not carry ports, and what begins or ends a connection. */
#define FRAGMENT 0x3fff
#define FLAGS	 0x07 /* FIN, SYN, RST */

static const uint8_t families[] = { NFPROTO_IPV4, NFPROTO_NETDEV };
#define FAMILIES (sizeof(families) / sizeof(families[0]))

static const char *const names[] = { NFT_BYPASSED, NFT_DROPPED };

/* ---- sets ---------------------------------------------------------------- */

/* No member has a time; but only so is it a table that can grow and is bounded
 * all the same. */
static void put_set(struct netlink_batch *b, uint8_t family, const char *name,
		    unsigned id)
{
	nft_put_new_set(b, &(struct nft_new_set){
		.family = family,
		.name = name,
		.type = KEY_TYPE,
		.len = KEY_LEN,
		.flags = NFT_SET_TIMEOUT,
		.size = MEMBERS_MAX,
		.id = id,
		.counted = true,
	});
}

void nft_flows_put(struct netlink_batch *b, uint8_t family)
{
	for (unsigned i = 0; i < 2; i++) {
		put_set(b, family, names[i], SET_IDS + i);
		nft_put_counter(b, family, names[i]);
	}
}

void nft_flows_print(FILE *f)
{
	for (unsigned i = 0; i < 2; i++)
		fprintf(f, "\n\tcounter %s {\n\t\tpackets 0 bytes 0\n\t}\n",
			names[i]);
	for (unsigned i = 0; i < 2; i++)
		fprintf(f, "\n\tset %s {\n\t\ttype inet_proto . ipv4_addr . "
			   "ipv4_addr . inet_service . inet_service\n"
			   "\t\tsize %u\n\t\tflags timeout\n\t\tcounter\n\t}\n",
			names[i], MEMBERS_MAX);
}

/* ---- rules ---------------------------------------------------------------- */

/* What is not IPv4 goes the way of what is no member, whatever it looks
 * like. */
static void leave_ends(struct nft_chain *c, const struct nft_station *at)
{
	uint8_t proto = IPPROTO_TCP, bits = FLAGS, none = 0;
	struct nft_rule *r = nft_rule_add(c);

	nft_say(r, c->family == NFPROTO_IPV4
			   ? "tcp flags fin,syn,rst"
			   : "@nh,72,8 0x6 @th,104,8 & 0x7 != 0x0");
	nft_load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 9, sizeof(proto));
	nft_compare(r, NFT_CMP_EQ, &proto, sizeof(proto));
	nft_load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 13, 1);
	nft_mask(r, &bits, &none, sizeof(bits));
	nft_compare(r, NFT_CMP_NEQ, &none, sizeof(none));
	if (at->hand)
		nft_goto(r, at->hand);
	else
		nft_return(r);
}

/* A fragment may look like one: in its place there may be no ports, and what
 * belongs to it comes to the worker. */
static void is_whole(struct nft_rule *r)
{
	uint16_t bits = htons(FRAGMENT), none = 0;

	nft_say(r, "ip frag-off & %u == 0", FRAGMENT);
	nft_load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 6, 2);
	nft_mask(r, &bits, &none, sizeof(bits));
	nft_compare(r, NFT_CMP_EQ, &none, sizeof(none));
}

/* Most that come are members, but what is none should not pay for more. */
static void is_member(struct nft_rule *r, const char *set)
{
	nft_need_ip(r);
	nft_say(r, "ip protocol . ip saddr . ip daddr . th sport . th dport "
		   "@%s", set);
	nft_load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 9, 1);
	nft_load_ends(r, NFT_REG32_01);
	nft_lookup(r, set);
}

void nft_flow_rules(struct nft_chain *c, const struct nft_station *at)
{
	leave_ends(c, at);
	for (unsigned i = 0; i < 2; i++) {
		struct nft_rule *r = nft_rule_add(c);

		is_member(r, names[i]);
		is_whole(r);
		if (at->asks) {
			nft_accept(r);
			continue;
		}
		nft_count(r, names[i]);
		if (i)
			nft_drop(r);
		else
			nft_let_by(r, at);
	}
}

void nft_flow_chain(struct nft_plan *p, uint8_t family, const char *name,
		    const struct nft_station *at)
{
	struct nft_chain like = { .family = family };

	snprintf(like.name, sizeof(like.name), "%s", name);
	nft_flow_rules(nft_chain_add(p, &like), at);
}

/* ---- members -------------------------------------------------------------- */

static void put_key(struct nlmsghdr *nlh, const struct capture_flow *f,
		    unsigned from)
{
	struct nlattr *element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	struct nlattr *key = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY);
	uint16_t port[2] = { htons(f->port[from]), htons(f->port[!from]) };
	uint8_t b[KEY_LEN] = { f->proto };

	memcpy(b + 4, f->end[from].byte, 4);
	memcpy(b + 8, f->end[!from].byte, 4);
	memcpy(b + 12, &port[0], 2);
	memcpy(b + 16, &port[1], 2);
	mnl_attr_put(nlh, NFTA_DATA_VALUE, sizeof(b), b);
	mnl_attr_nest_end(nlh, key);
	mnl_attr_nest_end(nlh, element);
}

/* A message about members that is still open: how it is closed. */
static struct nlattr *open_message(char *room, uint16_t type, uint8_t family,
				   const char *set)
{
	uint16_t flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
	struct nlmsghdr *nlh = nftnl_nlmsg_build_hdr(room, type, family,
						     flags | NLM_F_ACK, 0);

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	return mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
}

/* Those of list that are meant for a set: all, or those that go. */
static void put_members(struct netlink_batch *b, uint16_t type,
			uint8_t family, unsigned set,
			const struct capture_flow *list, unsigned count)
{
	bool add = type == NFT_MSG_NEWSETELEM;
	struct nlattr *end = NULL;
	char *room = NULL;

	for (unsigned i = 0; i < count; i++) {
		if (list[i].drop != set || (!add && list[i].hold))
			continue;
		if (!room) {
			room = netlink_batch_room(b);
			if (!room)
				return;
			end = open_message(room, type, family, names[set]);
		}
		for (unsigned from = 0; from < 2; from++)
			put_key((void *)room, &list[i], from);
	}
	if (!room)
		return;
	mnl_attr_nest_end((void *)room, end);
	netlink_batch_add(b, "connections in set %s " NFT_TABLE " %s",
			  nft_family_name(family), names[set]);
}

/* What is not there, or not in this table, cannot be taken away: so all are
 * added before. */
static int change(struct netlink *nl, const struct capture_flow *list,
		  unsigned count, struct error *err)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	int r;

	nft_put_begin(&b);
	for (unsigned i = 0; i < 2 * FAMILIES; i++) {
		put_members(&b, NFT_MSG_NEWSETELEM, families[i / 2], i % 2,
			    list, count);
		put_members(&b, NFT_MSG_DELSETELEM, families[i / 2], i % 2,
			    list, count);
	}
	nft_put_end(&b);
	r = netlink_batch_send(nl, &b, err);
	netlink_batch_free(&b);
	return r;
}

/* One direction of one in one table. */
static int change_one(struct netlink *nl, const struct capture_flow *f,
		      unsigned from, unsigned family, struct error *err)
{
	uint16_t type = f->hold ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM;
	struct netlink_batch b = NETLINK_BATCH_NONE;
	struct nlattr *end;
	char *room;
	int r;

	nft_put_begin(&b);
	room = netlink_batch_room(&b);
	if (room) {
		end = open_message(room, type, families[family],
				   names[f->drop]);
		put_key((void *)room, f, from);
		mnl_attr_nest_end((void *)room, end);
		netlink_batch_add(&b, "connection in set %s " NFT_TABLE " %s",
				  nft_family_name(families[family]),
				  names[f->drop]);
	}
	nft_put_end(&b);
	r = netlink_batch_send(nl, &b, err);
	netlink_batch_free(&b);
	return r == -ENOENT || r == -ENFILE ? 0 : r;
}

int nft_flows_change(struct netlink *nl, const struct capture_flow *list,
		     unsigned count, struct error *err)
{
	int r = change(nl, list, count, err), one;

	if (r != -ENFILE)
		return r;
	/* The set is full. What has to go goes, what finds no place comes to
	 * the rules. */
	r = 0;
	for (unsigned i = 0; i < count * 2 * FAMILIES; i++) {
		one = change_one(nl, &list[i / (2 * FAMILIES)], i & 1,
				 i / 2 % FAMILIES, err);
		r = one ? one : r;
	}
	return r;
}

int nft_flows_clear(struct netlink *nl, struct error *err)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	int r;

	nft_put_begin(&b);
	for (unsigned i = 0; i < 2 * FAMILIES; i++) {
		char *room = netlink_batch_room(&b);
		struct nlmsghdr *nlh;

		if (!room)
			break;
		nlh = nftnl_nlmsg_build_hdr(room, NFT_MSG_DELSETELEM,
					    families[i / 2], NLM_F_ACK, 0);
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, names[i % 2]);
		netlink_batch_add(&b, "all connections in set %s " NFT_TABLE
				  " %s", nft_family_name(families[i / 2]),
				  names[i % 2]);
	}
	nft_put_end(&b);
	r = netlink_batch_send(nl, &b, err);
	netlink_batch_free(&b);
	return r;
}

/* What a member has counted, added to *arg. */
static int count_packets(const struct nlmsghdr *nlh, void *arg)
{
	struct nftnl_set *s = nftnl_set_alloc();
	struct nftnl_set_elems_iter *i = NULL;
	struct nftnl_set_elem *e = NULL;
	const struct nftnl_expr *x;
	uint64_t *sum = arg;
	uint32_t len;

	if (s && nftnl_set_elems_nlmsg_parse(nlh, s) >= 0)
		i = nftnl_set_elems_iter_create(s);
	if (i)
		e = nftnl_set_elems_iter_next(i);
	x = e ? nftnl_set_elem_get(e, NFTNL_SET_ELEM_EXPR, &len) : NULL;
	if (x)
		*sum += nftnl_expr_get_u64(x, NFTNL_EXPR_CTR_PACKETS);
	if (i)
		nftnl_set_elems_iter_destroy(i);
	if (s)
		nftnl_set_free(s);
	return 0;
}

int nft_flow_count(struct netlink *nl, const struct capture_flow *f,
		   uint64_t *packets)
{
	int r, result = 0;

	*packets = 0;
	for (unsigned i = 0; i < 2 * FAMILIES * 2; i++) {
		char buf[512];
		struct nlattr *end = open_message(buf, NFT_MSG_GETSETELEM,
						  families[i / 4],
						  names[i / 2 % 2]);

		put_key((void *)buf, f, i % 2);
		mnl_attr_nest_end((void *)buf, end);
		r = netlink_ask(nl, (void *)buf, count_packets, packets, "",
				NULL);
		if (r && r != -ENOENT)
			result = r;
	}
	return result;
}
