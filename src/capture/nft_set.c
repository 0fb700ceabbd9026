/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of ranges in nftables is a list of addresses, each the first of a
 * range or the first behind one. Ranges are added and removed as they are:
 * the kernel neither joins nor cuts them. Must not know the chains that look
 * addresses up.
 */
#include "capture/nft_set.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "capture/nft_batch.h"

/* nft's number for ipv4_addr, and for the order of its bytes. */
#define TYPE_ADDRESS   7
#define ORDER_NETWORK  2
#define ADDRESS_SIZE   4
/* An attribute holds 64 KiB at the most, and a range takes 40 bytes. */
#define MESSAGE_RANGES 1024
/* What is sent at once, for both tables, at the most; and what a socket takes
 * that may not grow. While anybody on the machine listens for changes, the
 * kernel keeps 4 KiB for each end of a range until the transaction ends. */
#define BATCH_RANGES   (1u << 13)
#define PIECE_RANGES   4096
/* Of a set's name. */
#define COMMENT_MAX    63
/* What is shown of one. */
#define PRINT_RANGES   20

static const uint8_t families[] = { NFPROTO_IPV4, NFPROTO_NETDEV };
#define FAMILIES (sizeof(families) / sizeof(families[0]))

const char *nft_set_name(unsigned index, char name[NFT_SET_NAME_MAX])
{
	snprintf(name, NFT_SET_NAME_MAX, NFT_SET_NAME, index);
	return name;
}

int nft_sets_open(struct nft_sets *s, struct set *const *set, unsigned count)
{
	*s = NFT_SETS_NONE;
	if (!count)
		return 0;
	s->list = calloc(count, sizeof(*s->list));
	if (!s->list)
		return -ENOMEM;
	s->count = count;
	for (unsigned i = 0; i < count; i++)
		s->list[i].set = set[i];
	return 0;
}

void nft_sets_close(struct nft_sets *s)
{
	for (unsigned i = 0; i < s->count; i++)
		ranges_free(&s->list[i].have);
	free(s->list);
	*s = NFT_SETS_NONE;
}

/* ---- making ------------------------------------------------------------- */

/* Its name in the rules, in what nft lets a comment be. */
static const char *comment_of(const struct set *set,
			      char text[COMMENT_MAX + 1])
{
	snprintf(text, COMMENT_MAX + 1, "%s", set_name(set));
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~' || *c == '"')
			*c = '?';
	return text;
}

/* Who wrote it, for people; and what nft needs to print the addresses. */
static bool annotate(struct nftnl_set *n, const struct set *set)
{
	struct nftnl_udata_buf *u = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);
	char text[COMMENT_MAX + 1];
	bool done;

	done = u &&
	       nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER,
				   ORDER_NETWORK) &&
	       nftnl_udata_put_strz(u, NFTNL_UDATA_SET_COMMENT,
				    comment_of(set, text)) &&
	       nftnl_set_set_data(n, NFTNL_SET_USERDATA,
				  nftnl_udata_buf_data(u),
				  nftnl_udata_buf_len(u)) >= 0;
	if (u)
		nftnl_udata_buf_free(u);
	return done;
}

static void put_one(struct netlink_batch *b, const struct nft_set *s,
		    unsigned index, uint8_t family)
{
	char name[NFT_SET_NAME_MAX], *room = netlink_batch_room(b);
	struct nftnl_set *n = nftnl_set_alloc();
	struct nlmsghdr *nlh;

	if (!n || !room ||
	    nftnl_set_set_str(n, NFTNL_SET_TABLE, NFT_TABLE) < 0 ||
	    nftnl_set_set_str(n, NFTNL_SET_NAME,
			      nft_set_name(index, name)) < 0 ||
	    !annotate(n, s->set)) {
		b->error = -ENOMEM;
		goto out;
	}
	nlh = nftnl_nlmsg_build_hdr(room, NFT_MSG_NEWSET, family,
				    NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, 0);
	nftnl_set_set_u32(n, NFTNL_SET_FAMILY, family);
	nftnl_set_set_u32(n, NFTNL_SET_KEY_TYPE, TYPE_ADDRESS);
	nftnl_set_set_u32(n, NFTNL_SET_KEY_LEN, ADDRESS_SIZE);
	nftnl_set_set_u32(n, NFTNL_SET_FLAGS, NFT_SET_INTERVAL);
	nftnl_set_set_u32(n, NFTNL_SET_ID, index + 2);
	nftnl_set_nlmsg_build_payload(nlh, n);
	netlink_batch_add(b, "set %s " NFT_TABLE " %s",
			  nft_family_name(family), name);
out:
	if (n)
		nftnl_set_free(n);
}

void nft_sets_put(struct netlink_batch *b, const struct nft_sets *s,
		  uint8_t family)
{
	for (unsigned i = 0; i < s->count; i++)
		put_one(b, &s->list[i], i, family);
}

/* ---- changing ----------------------------------------------------------- */

static void put_address(struct nlmsghdr *nlh, u128 v, bool end)
{
	struct nlattr *element = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	struct nlattr *key = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY);

	mnl_attr_put_u32(nlh, NFTA_DATA_VALUE, htonl((uint32_t)v));
	mnl_attr_nest_end(nlh, key);
	if (end)
		mnl_attr_put_u32(nlh, NFTA_SET_ELEM_FLAGS,
				 htonl(NFT_SET_ELEM_INTERVAL_END));
	mnl_attr_nest_end(nlh, element);
}

/* One message with count ranges, for one table. */
static void put_ranges(struct netlink_batch *b, uint16_t type, uint8_t family,
		       unsigned index, const struct range *r, uint32_t count)
{
	char name[NFT_SET_NAME_MAX], *room = netlink_batch_room(b);
	struct nlmsghdr *nlh;
	struct nlattr *list;

	if (!room)
		return;
	nlh = nftnl_nlmsg_build_hdr(room, type, family,
				    NLM_F_CREATE | NLM_F_ACK, 0);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET,
			  nft_set_name(index, name));
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (uint32_t i = 0; i < count; i++) {
		put_address(nlh, r[i].low, false);
		/* The last address of all has nothing behind it. */
		if (r[i].high < address_last(ADDRESS_SIZE))
			put_address(nlh, r[i].high + 1, true);
	}
	mnl_attr_nest_end(nlh, list);
	netlink_batch_add(b, "addresses of set %s " NFT_TABLE " %s",
			  nft_family_name(family), name);
}

static void put_list(struct netlink_batch *b, uint16_t type, unsigned index,
		     const struct range *r, uint32_t count)
{
	while (count) {
		uint32_t n = count < MESSAGE_RANGES ? count : MESSAGE_RANGES;

		for (unsigned i = 0; i < FAMILIES; i++)
			put_ranges(b, type, families[i], index, r, n);
		r += n;
		count -= n;
	}
}

/* What goes away is put first, so that nothing overlaps. */
static int send_both(struct netlink *nl, unsigned index,
		     const struct range *gone, uint32_t goners,
		     const struct range *come, uint32_t comers,
		     struct error *err)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	int r;

	nft_put_begin(&b);
	put_list(&b, NFT_MSG_DELSETELEM, index, gone, goners);
	put_list(&b, NFT_MSG_NEWSETELEM, index, come, comers);
	nft_put_end(&b);
	r = netlink_batch_send(nl, &b, err);
	netlink_batch_free(&b);
	return r;
}

struct change {
	struct ranges gone, come;
};

static int note(void *arg, const struct range *r, bool gone)
{
	struct change *c = arg;

	return ranges_append(gone ? &c->gone : &c->come, r->low, r->high);
}

/* In pieces: first what goes, then what comes. */
static int send_pieces(struct netlink *nl, unsigned index,
		       const struct change *c, struct error *err)
{
	uint32_t i, n;
	int r = 0;

	for (i = 0; !r && i < c->gone.count; i += n) {
		n = c->gone.count - i;
		n = n < PIECE_RANGES ? n : PIECE_RANGES;
		r = send_both(nl, index, c->gone.range + i, n, NULL, 0, err);
	}
	for (i = 0; !r && i < c->come.count; i += n) {
		n = c->come.count - i;
		n = n < PIECE_RANGES ? n : PIECE_RANGES;
		r = send_both(nl, index, NULL, 0, c->come.range + i, n, err);
	}
	return r;
}

static int send_change(struct netlink *nl, unsigned index,
		       const struct change *c, struct error *err)
{
	int r = -EMSGSIZE;

	/* Every transaction on a large set costs the kernel a walk through
	 * all of it. */
	if (c->gone.count + c->come.count <= BATCH_RANGES)
		r = send_both(nl, index, c->gone.range, c->gone.count,
			      c->come.range, c->come.count, err);
	/* Who is not root of the machine may send no more at once. */
	return r == -EMSGSIZE ? send_pieces(nl, index, c, err) : r;
}

/* All of its addresses go, in both tables. */
static int empty(struct netlink *nl, unsigned index, struct error *err)
{
	struct netlink_batch b = NETLINK_BATCH_NONE;
	char name[NFT_SET_NAME_MAX];
	int r;

	nft_put_begin(&b);
	for (unsigned i = 0; i < FAMILIES; i++) {
		char *room = netlink_batch_room(&b);
		struct nlmsghdr *nlh;

		if (!room)
			break;
		nlh = nftnl_nlmsg_build_hdr(room, NFT_MSG_DELSETELEM,
					    families[i], NLM_F_ACK, 0);
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, NFT_TABLE);
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET,
				  nft_set_name(index, name));
		netlink_batch_add(&b, "addresses of set %s " NFT_TABLE " %s",
				  nft_family_name(families[i]), name);
	}
	nft_put_end(&b);
	r = netlink_batch_send(nl, &b, err);
	netlink_batch_free(&b);
	return r;
}

int nft_set_update(struct netlink *nl, struct nft_set *s, unsigned index,
		   const struct ranges *within, int64_t now,
		   struct error *err)
{
	struct ranges part = RANGES_NONE, want = RANGES_NONE;
	struct change c = { RANGES_NONE, RANGES_NONE };
	int r = 0;

	if (s->unknown) {
		r = empty(nl, index, err);
		if (r)
			return r;
		s->unknown = false;
		s->have.count = 0;
		within = NULL;
	}
	if (within) {
		r = set_flatten(s->set, ADDRESS_SIZE, now, within, &part);
		if (!r)
			r = ranges_update(&s->have, within, &part, &want);
	} else {
		r = set_flatten(s->set, ADDRESS_SIZE, now, NULL, &want);
	}
	if (!r)
		r = ranges_compare(&s->have, &want, note, &c);
	if (r) {
		error_set(err, r, "set %s: %s", set_name(s->set),
			  strerror(-r));
	} else if (c.gone.count || c.come.count) {
		r = send_change(nl, index, &c, err);
		s->unknown = r != 0;
	}
	if (!r) {
		struct ranges old = s->have;

		s->have = want;
		want = old;
	}
	ranges_free(&part);
	ranges_free(&want);
	ranges_free(&c.gone);
	ranges_free(&c.come);
	return r;
}

/* ---- text --------------------------------------------------------------- */

/* Only the first and last address, or how many bits they share. */
static void print_range(const struct range *r, FILE *f)
{
	struct address low = address_from_number(r->low, ADDRESS_SIZE);
	struct address high = address_from_number(r->high, ADDRESS_SIZE);
	uint32_t n = (uint32_t)(r->high - r->low);
	char text[ADDRESS_TEXT_MAX];

	fputs(address_text(&low, text, sizeof(text)), f);
	if (n & (n + 1) || (uint32_t)r->low & n)
		fprintf(f, "-%s", address_text(&high, text, sizeof(text)));
	else if (n)
		fprintf(f, "/%d", __builtin_clz(n));
}

int nft_set_print(const struct set *set, unsigned index, int64_t now, FILE *f)
{
	struct ranges r = RANGES_NONE;
	char comment[COMMENT_MAX + 1];
	int ret = set_flatten(set, ADDRESS_SIZE, now, NULL, &r);

	if (ret)
		goto out;
	fprintf(f, "\n\tset " NFT_SET_NAME " {\n\t\ttype ipv4_addr\n"
		   "\t\tflags interval\n\t\tcomment \"%s\"\n", index,
		comment_of(set, comment));
	for (uint32_t i = 0; i < r.count && i < PRINT_RANGES; i++) {
		fputs(i ? i % 2 ? ", " : ",\n\t\t\t     "
			: "\t\telements = { ", f);
		print_range(&r.range[i], f);
	}
	if (r.count > PRINT_RANGES)
		fprintf(f, ",\n\t\t\t     # and %u more\n\t\t\t   }\n",
			r.count - PRINT_RANGES);
	else
		fputs(r.count ? " }\n" : "", f);
	fputs("\t}\n", f);
out:
	ranges_free(&r);
	return ret;
}
