/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pieces of a rule. The expressions are those that nft itself would load
 * for the text beside them, dependencies included: only then does nft print
 * them as that text again. Must not know what the rules are for.
 */
#include "capture/nft_rule.h"

#include <arpa/inet.h>
#include <stdio.h>

#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/udata.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>

#include "capture/nft_expr.h"


/* Of an IPv4 header. */
#define TTL_AT	    8
#define CHECKSUM_AT 10
#define DADDR_AT    16

/* ---- the pieces --------------------------------------------------------- */

void nft_rule_init(struct nft_rule *r, uint8_t family, const char *table,
		   const char *chain)
{
	*r = (struct nft_rule){
		.r = nftnl_rule_alloc(),
		.family = family,
		.table = table,
	};
	if (!r->r) {
		r->failed = true;
		return;
	}
	nftnl_rule_set_u32(r->r, NFTNL_RULE_FAMILY, family);
	if (nftnl_rule_set_str(r->r, NFTNL_RULE_TABLE, table) < 0 ||
	    nftnl_rule_set_str(r->r, NFTNL_RULE_CHAIN, chain) < 0)
		r->failed = true;
}

void nft_rule_free(struct nft_rule *r)
{
	unsigned i;

	if (r->r)
		nftnl_rule_free(r->r);
	for (i = 0; i < r->anons; i++)
		nftnl_set_free(r->anon[i].set);
	free(r->text);
	*r = (struct nft_rule){ .r = NULL };
}

void nft_iifname(struct nft_rule *r, const char *name)
{
	nft_say(r, "iifname \"%s\"", name);
	nft_compare_device(r, NFT_META_IIFNAME, NFT_CMP_EQ, name);
}

void nft_oifname(struct nft_rule *r, const char *name)
{
	nft_say(r, "oifname \"%s\"", name);
	nft_compare_device(r, NFT_META_OIFNAME, NFT_CMP_EQ, name);
}

/* It is the first device of every network namespace. */
void nft_oif_lo(struct nft_rule *r)
{
	uint32_t index = 1;

	nft_say(r, "oif \"lo\"");
	nft_load_meta(r, NFT_META_OIF);
	nft_compare(r, NFT_CMP_EQ, &index, sizeof(index));
}

void nft_iif(struct nft_rule *r, const char *name)
{
	uint32_t index = if_nametoindex(name);

	nft_say(r, "iif \"%s\"", name);
	nft_load_meta(r, NFT_META_IIF);
	nft_compare(r, NFT_CMP_EQ, &index, sizeof(index));
}

void nft_marked(struct nft_rule *r)
{
	uint32_t none = 0;

	nft_say(r, "meta mark != 0x%08x", none);
	nft_load_meta(r, NFT_META_MARK);
	nft_compare(r, NFT_CMP_NEQ, &none, sizeof(none));
}

void nft_mark_is(struct nft_rule *r, uint32_t mark)
{
	nft_say(r, "meta mark 0x%08x", mark);
	nft_load_meta(r, NFT_META_MARK);
	nft_compare(r, NFT_CMP_EQ, &mark, sizeof(mark));
}

void nft_mark_has(struct nft_rule *r, uint32_t bits)
{
	nft_say(r, "meta mark & 0x%08x == 0x%08x", bits, bits);
	nft_mask_mark(r, bits, 0);
	nft_compare(r, NFT_CMP_EQ, &bits, sizeof(bits));
}

/* What has none cannot be asked for it, whatever it is compared with. */
static void has_any(struct nft_rule *r, const char *name, uint32_t key)
{
	uint32_t never = UINT32_MAX;

	nft_say(r, "meta %s != %u", name, never);
	nft_load_meta(r, key);
	nft_compare(r, NFT_CMP_NEQ, &never, sizeof(never));
}

void nft_has_route(struct nft_rule *r)
{
	has_any(r, "rtclassid", NFT_META_RTCLASSID);
}

void nft_has_socket(struct nft_rule *r)
{
	has_any(r, "cgroup", NFT_META_CGROUP);
}

void nft_mark_lacks(struct nft_rule *r, uint32_t bits)
{
	uint32_t none = 0;

	nft_say(r, "meta mark & 0x%08x == 0x%08x", bits, none);
	nft_mask_mark(r, bits, 0);
	nft_compare(r, NFT_CMP_EQ, &none, sizeof(none));
}

static void ttl_compare(struct nft_rule *r, uint32_t op, uint8_t ttl)
{
	nft_load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, TTL_AT, 1);
	nft_compare(r, op, &ttl, sizeof(ttl));
}

void nft_ttl_is(struct nft_rule *r, uint8_t ttl)
{
	nft_say(r, "ip ttl %u", ttl);
	ttl_compare(r, NFT_CMP_EQ, ttl);
}

static void compare_with_groups(struct nft_rule *r, uint32_t op)
{
	uint32_t first = htonl(0xe0000000);

	nft_need_ip(r);
	nft_load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, DADDR_AT,
			 sizeof(first));
	nft_compare(r, op, &first, sizeof(first));
}

void nft_daddr_single(struct nft_rule *r)
{
	nft_say(r, "ip daddr < 224.0.0.0");
	compare_with_groups(r, NFT_CMP_LT);
}

void nft_daddr_group(struct nft_rule *r)
{
	nft_say(r, "ip daddr >= 224.0.0.0");
	compare_with_groups(r, NFT_CMP_GTE);
}

void nft_ttl_from(struct nft_rule *r, uint8_t ttl)
{
	nft_say(r, "ip ttl >= %u", ttl);
	ttl_compare(r, NFT_CMP_GTE, ttl);
}

void nft_ttl_to(struct nft_rule *r, uint8_t ttl)
{
	nft_say(r, "ip ttl <= %u", ttl);
	ttl_compare(r, NFT_CMP_LTE, ttl);
}

static const char *type_name(unsigned type)
{
	switch (type) {
	case RTN_UNICAST:
		return "unicast";
	case RTN_LOCAL:
		return "local";
	case RTN_BROADCAST:
		return "broadcast";
	case RTN_MULTICAST:
		return "multicast";
	default:
		return "unspec";
	}
}

static void load_daddr_type(struct nft_rule *r)
{
	struct nftnl_expr *e = nft_add(r, "fib");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, NFT_REG);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
}

static void fib_compare(struct nft_rule *r, uint32_t op, unsigned type)
{
	uint32_t value = type;

	load_daddr_type(r);
	nft_compare(r, op, &value, sizeof(value));
}

void nft_daddr_type(struct nft_rule *r, unsigned type)
{
	nft_say(r, "fib daddr type %s", type_name(type));
	fib_compare(r, NFT_CMP_EQ, type);
}

void nft_daddr_type_not(struct nft_rule *r, unsigned type)
{
	nft_say(r, "fib daddr type != %s", type_name(type));
	fib_compare(r, NFT_CMP_NEQ, type);
}

/* nft's number for what fib says. */
#define TYPE_FIB_ADDR 38
#define TYPES_MAX     4

void nft_daddr_types(struct nft_rule *r, const unsigned *types, unsigned n)
{
	char names[TYPES_MAX * 16] = "";
	struct nft_anon *a;
	unsigned i;

	if (n == 1) {
		nft_daddr_type(r, types[0]);
		return;
	}
	for (i = 0; i < n && i < TYPES_MAX; i++) {
		strcat(names, i ? ", " : "");
		strcat(names, type_name(types[i]));
	}
	nft_say(r, "fib daddr type { %s }", names);
	load_daddr_type(r);
	a = nft_lookup_anon(r, TYPE_FIB_ADDR, sizeof(uint32_t), false);
	for (i = 0; i < n && i < TYPES_MAX; i++) {
		uint32_t value = types[i];

		nft_anon_add(r, a, &value, NULL, sizeof(value));
	}
}

static void protocol_is_ip(struct nft_rule *r)
{
	uint16_t type = htons(ETH_P_IP);

	nft_load_meta(r, NFT_META_PROTOCOL);
	nft_compare(r, NFT_CMP_EQ, &type, sizeof(type));
}

void nft_protocol_ip(struct nft_rule *r)
{
	nft_say(r, "meta protocol ip");
	protocol_is_ip(r);
}

/* Loading it fails, and so does the rule, where the header is not sound. */
void nft_has_protocol(struct nft_rule *r)
{
	uint8_t least = 0;

	nft_say(r, "meta l4proto >= ip");
	nft_load_meta(r, NFT_META_L4PROTO);
	nft_compare(r, NFT_CMP_GTE, &least, sizeof(least));
}

static void is_ethernet(struct nft_rule *r)
{
	uint16_t type = ARPHRD_ETHER;

	if (r->is_ether)
		return;
	r->is_ether = true;
	nft_load_meta(r, NFT_META_IIFTYPE);
	nft_compare(r, NFT_CMP_EQ, &type, sizeof(type));
}

static void say_ether(struct nft_rule *r, const char *words,
		      const uint8_t mac[6])
{
	nft_say(r, "ether %s %02x:%02x:%02x:%02x:%02x:%02x", words, mac[0],
		mac[1], mac[2], mac[3], mac[4], mac[5]);
	is_ethernet(r);
}

void nft_ether_saddr(struct nft_rule *r, const uint8_t mac[6])
{
	say_ether(r, "saddr", mac);
	nft_load_payload(r, NFT_PAYLOAD_LL_HEADER, ETH_ALEN, ETH_ALEN);
	nft_compare(r, NFT_CMP_EQ, mac, ETH_ALEN);
}

void nft_ether_saddr_not(struct nft_rule *r, const uint8_t mac[6])
{
	say_ether(r, "saddr !=", mac);
	nft_load_payload(r, NFT_PAYLOAD_LL_HEADER, ETH_ALEN, ETH_ALEN);
	nft_compare(r, NFT_CMP_NEQ, mac, ETH_ALEN);
}

void nft_ether_daddr(struct nft_rule *r, const uint8_t mac[6])
{
	say_ether(r, "daddr", mac);
	nft_load_payload(r, NFT_PAYLOAD_LL_HEADER, 0, ETH_ALEN);
	nft_compare(r, NFT_CMP_EQ, mac, ETH_ALEN);
}

void nft_iiftype_not_ether(struct nft_rule *r)
{
	uint16_t type = ARPHRD_ETHER;

	nft_say(r, "meta iiftype != ether");
	nft_load_meta(r, NFT_META_IIFTYPE);
	nft_compare(r, NFT_CMP_NEQ, &type, sizeof(type));
}

void nft_decrypted(struct nft_rule *r)
{
	uint8_t yes = 1;

	nft_say(r, "meta ipsec exists");
	nft_load_meta(r, NFT_META_SECPATH);
	nft_compare(r, NFT_CMP_EQ, &yes, sizeof(yes));
}

void nft_pkttype_host(struct nft_rule *r)
{
	uint8_t host = PACKET_HOST;

	nft_say(r, "meta pkttype host");
	nft_load_meta(r, NFT_META_PKTTYPE);
	nft_compare(r, NFT_CMP_EQ, &host, sizeof(host));
}

static void frame_is_ip(struct nft_rule *r)
{
	uint16_t type = htons(ETH_P_IP);

	is_ethernet(r);
	nft_load_payload(r, NFT_PAYLOAD_LL_HEADER, 2 * ETH_ALEN, sizeof(type));
	nft_compare(r, NFT_CMP_EQ, &type, sizeof(type));
}

void nft_ether_type_ip(struct nft_rule *r)
{
	nft_say(r, "ether type ip");
	frame_is_ip(r);
}

static const char *icmp_name(uint8_t type)
{
	switch (type) {
	case ICMP_ECHOREPLY:
		return "echo-reply";
	case ICMP_DEST_UNREACH:
		return "destination-unreachable";
	case ICMP_TIME_EXCEEDED:
		return "time-exceeded";
	case ICMP_PARAMETERPROB:
		return "parameter-problem";
	default:
		return "?";
	}
}

void nft_icmp_type(struct nft_rule *r, uint8_t type, bool ethernet)
{
	uint8_t proto = IPPROTO_ICMP;

	nft_say(r, "icmp type %s", icmp_name(type));
	if (ethernet)
		frame_is_ip(r);
	else
		protocol_is_ip(r);
	nft_load_meta(r, NFT_META_L4PROTO);
	nft_compare(r, NFT_CMP_EQ, &proto, sizeof(proto));
	nft_load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(type));
	nft_compare(r, NFT_CMP_EQ, &type, sizeof(type));
}

void nft_destined_to(struct nft_rule *r, const char *set)
{
	nft_say(r, "meta l4proto . th dport @%s", set);
	nft_load_meta(r, NFT_META_L4PROTO);
	nft_load_payload_to(r, NFT_REG_NEXT, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
	nft_lookup(r, set);
}

void nft_mark_set(struct nft_rule *r, uint32_t mark)
{
	nft_say(r, "meta mark set 0x%08x", mark);
	nft_load_constant(r, mark);
	nft_store_mark(r);
}

void nft_mark_or(struct nft_rule *r, uint32_t bits)
{
	nft_say(r, "meta mark set meta mark | 0x%08x", bits);
	nft_mask_mark(r, ~bits, bits);
	nft_store_mark(r);
}

void nft_mark_clear(struct nft_rule *r, uint32_t bits)
{
	nft_say(r, "meta mark set meta mark & 0x%08x", ~bits);
	nft_mask_mark(r, ~bits, 0);
	nft_store_mark(r);
}

void nft_mark_put(struct nft_rule *r, uint32_t within, uint32_t bits)
{
	nft_say(r, "meta mark set meta mark & 0x%08x | 0x%08x", ~within | bits,
		bits);
	nft_mask_mark(r, ~within, bits);
	nft_store_mark(r);
}

void nft_ether_saddr_set(struct nft_rule *r, const uint8_t mac[6])
{
	say_ether(r, "saddr set", mac);
	nft_load_bytes(r, mac, ETH_ALEN);
	nft_store_payload(r, NFT_PAYLOAD_LL_HEADER, ETH_ALEN, ETH_ALEN, 0);
}

void nft_ttl_set(struct nft_rule *r, uint8_t ttl)
{
	nft_say(r, "ip ttl set %u", ttl);
	nft_write_bits(r, NFT_PAYLOAD_NETWORK_HEADER, TTL_AT, 0x00ff,
		       (uint16_t)(ttl << 8), CHECKSUM_AT);
}

void nft_notrack(struct nft_rule *r)
{
	nft_say(r, "notrack");
	nft_add(r, "notrack");
}

void nft_accept(struct nft_rule *r)
{
	nft_say(r, "accept");
	nft_verdict(r, NF_ACCEPT, NULL);
}

void nft_drop(struct nft_rule *r)
{
	nft_say(r, "drop");
	nft_verdict(r, NF_DROP, NULL);
}

void nft_jump(struct nft_rule *r, const char *chain)
{
	nft_say(r, "jump %s", chain);
	nft_verdict(r, NFT_JUMP, chain);
}

void nft_goto(struct nft_rule *r, const char *chain)
{
	nft_say(r, "goto %s", chain);
	nft_verdict(r, NFT_GOTO, chain);
}

void nft_count(struct nft_rule *r, const char *counter)
{
	struct nftnl_expr *e;

	nft_say(r, "counter name \"%s\"", counter);
	e = nft_add(r, "objref");
	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	if (nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, counter) < 0)
		r->failed = true;
}

void nft_return(struct nft_rule *r)
{
	nft_say(r, "return");
	nft_verdict(r, NFT_RETURN, NULL);
}

void nft_forward_to(struct nft_rule *r, unsigned ifindex, const char *name)
{
	struct nftnl_expr *e;

	nft_say(r, "fwd to \"%s\"", name);
	nft_load_constant(r, ifindex);
	e = nft_add(r, "fwd");
	if (e)
		nftnl_expr_set_u32(e, NFTNL_EXPR_FWD_SREG_DEV, NFT_REG);
}

void nft_comment(struct nft_rule *r, const char *text)
{
	struct nftnl_udata_buf *u = nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN);

	nft_say(r, "comment \"%s\"", text);
	if (!r->r || !u ||
	    !nftnl_udata_put_strz(u, NFTNL_UDATA_RULE_COMMENT, text) ||
	    nftnl_rule_set_data(r->r, NFTNL_RULE_USERDATA,
				nftnl_udata_buf_data(u),
				nftnl_udata_buf_len(u)) < 0)
		r->failed = true;
	if (u)
		nftnl_udata_buf_free(u);
}
