/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One nftables rule, made of small pieces; each piece adds the expressions
 * the kernel runs and the words nft prints for them, so that the two cannot
 * differ. Knows neither our tables nor a socket.
 */
#ifndef SLUICE_CAPTURE_NFT_RULE_H
#define SLUICE_CAPTURE_NFT_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As many as there are conditions. */
#define NFT_ANON_MAX 20

struct nftnl_expr;
struct nftnl_rule;
struct nftnl_set;

/* A set that is part of a rule, and who looks into it: they share a number,
 * which whoever sends them gives. */
struct nft_anon {
	struct nftnl_set *set;
	struct nftnl_expr *lookup;
};

struct nft_rule {
	struct nftnl_rule *r; /* NULL: none */
	uint8_t family;
	const char *table;
	char *text; /* as nft prints it; NULL: nothing said */
	size_t used;
	bool failed; /* no memory */
	bool is_ip;  /* that it is IPv4 was looked at */
	bool is_ether; /* that it has an Ethernet header */
	bool hasty; /* the protocol is read where an IPv4 header has it,
		       whatever the packet is: cheaper, if what is behind the
		       rule looks again */
	struct nft_anon anon[NFT_ANON_MAX];
	unsigned anons;
};

/* table: borrowed. */
void nft_rule_init(struct nft_rule *r, uint8_t family, const char *table,
		   const char *chain);
void nft_rule_free(struct nft_rule *r);

/* What the packet must be. A name may end in a '*'. */
void nft_iifname(struct nft_rule *r, const char *name);
void nft_oifname(struct nft_rule *r, const char *name);
void nft_oif_lo(struct nft_rule *r);
/* By its number, which is cheaper; it must not go while the rule is there. */
void nft_iif(struct nft_rule *r, const char *name);
void nft_marked(struct nft_rule *r);			/* with anything */
void nft_mark_is(struct nft_rule *r, uint32_t mark);
void nft_mark_has(struct nft_rule *r, uint32_t bits);	/* all of them */
void nft_mark_lacks(struct nft_rule *r, uint32_t bits);	/* likewise */
/* It came by the kernel's routing; and a socket of this network namespace
 * sent it. */
void nft_has_route(struct nft_rule *r);
void nft_has_socket(struct nft_rule *r);
void nft_ttl_is(struct nft_rule *r, uint8_t ttl);
void nft_ttl_from(struct nft_rule *r, uint8_t ttl);	/* and above */
void nft_ttl_to(struct nft_rule *r, uint8_t ttl);	/* and below */
void nft_daddr_single(struct nft_rule *r); /* no multicast address */
void nft_daddr_group(struct nft_rule *r);  /* one, or above */
void nft_daddr_type(struct nft_rule *r, unsigned type); /* RTN_* */
void nft_daddr_type_not(struct nft_rule *r, unsigned type);
/* One of these, n of them. */
void nft_daddr_types(struct nft_rule *r, const unsigned *types, unsigned n);
void nft_protocol_ip(struct nft_rule *r); /* below a VLAN tag too */
void nft_has_protocol(struct nft_rule *r); /* its IP header is sound */
/* Both look at the frame itself, so only where there is an Ethernet header;
 * a VLAN tag makes the second false. */
void nft_ether_saddr(struct nft_rule *r, const uint8_t mac[6]);
void nft_ether_type_ip(struct nft_rule *r);
/* Likewise in the chains of a packet's way through the host, where it came
 * with an Ethernet header. */
void nft_ether_saddr_not(struct nft_rule *r, const uint8_t mac[6]);
void nft_ether_daddr(struct nft_rule *r, const uint8_t mac[6]);
void nft_iiftype_not_ether(struct nft_rule *r);
void nft_pkttype_host(struct nft_rule *r); /* sent to us by the link */
void nft_decrypted(struct nft_rule *r);	   /* by IPsec, just now */
/* ICMP of this type; that it is IPv4 (with or without an Ethernet header) is
 * looked at and goes without saying, as nft has it. */
void nft_icmp_type(struct nft_rule *r, uint8_t type, bool ethernet);
/* For a protocol and port in this set. */
void nft_destined_to(struct nft_rule *r, const char *set);

/* What is done with it. */
void nft_mark_set(struct nft_rule *r, uint32_t mark);
void nft_mark_or(struct nft_rule *r, uint32_t bits);
void nft_mark_clear(struct nft_rule *r, uint32_t bits);
/* Of the bits within these, and no others of them. */
void nft_mark_put(struct nft_rule *r, uint32_t within, uint32_t bits);
void nft_ether_saddr_set(struct nft_rule *r, const uint8_t mac[6]);
/* Of the bits in mask those in bits, and no others of them. */
void nft_mark_put(struct nft_rule *r, uint32_t mask, uint32_t bits);
void nft_ttl_set(struct nft_rule *r, uint8_t ttl);
void nft_notrack(struct nft_rule *r);
void nft_accept(struct nft_rule *r);
void nft_drop(struct nft_rule *r);
void nft_return(struct nft_rule *r);
void nft_jump(struct nft_rule *r, const char *chain);
void nft_goto(struct nft_rule *r, const char *chain);
void nft_count(struct nft_rule *r, const char *counter); /* a named one */
/* To the device of that index, at the other side: as if sent by it. */
void nft_forward_to(struct nft_rule *r, unsigned ifindex, const char *name);

/* A word for people, kept by the kernel beside the rule. The last piece. */
void nft_comment(struct nft_rule *r, const char *text);

#endif
