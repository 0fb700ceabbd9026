/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "capture/nft_word.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "packet/packet.h"

void nft_proto_word(char buf[NFT_WORD], uint32_t proto)
{
	const struct protoent *e = getprotobynumber((int)proto);

	if (e)
		snprintf(buf, NFT_WORD, "%.40s", e->p_name);
	else
		snprintf(buf, NFT_WORD, "%u", proto);
}

void nft_flags_word(char buf[NFT_WORD], uint32_t flags)
{
	static const char *const names[] = { "fin", "syn", "rst", "psh",
					     "ack", "urg", "ecn", "cwr" };

	*buf = '\0';
	for (unsigned i = 0; i < 8; i++)
		if (flags & 1u << i) {
			strcat(buf, *buf ? "," : "");
			strcat(buf, names[i]);
		}
}

/* As nft names codes, whatever the type. */
static const char *icmp_code_word(uint32_t code)
{
	switch (code) {
	case 0:
		return "net-unreachable";
	case 1:
		return "host-unreachable";
	case 2:
		return "prot-unreachable";
	case 3:
		return "port-unreachable";
	case 4:
		return "frag-needed";
	case 9:
		return "net-prohibited";
	case 10:
		return "host-prohibited";
	case 13:
		return "admin-prohibited";
	default:
		return NULL;
	}
}

/* RFC 2474, 2597, 3246 */
void nft_dscp_word(char buf[NFT_WORD], uint32_t dscp)
{
	uint32_t class = dscp >> 3, low = dscp & 7;

	if (!low)
		snprintf(buf, NFT_WORD, "cs%u", class);
	else if (dscp == 46)
		snprintf(buf, NFT_WORD, "ef");
	else if (class >= 1 && class <= 4 && !(low & 1))
		snprintf(buf, NFT_WORD, "af%u%u", class, low >> 1);
	else
		snprintf(buf, NFT_WORD, "0x%02x", dscp);
}

void nft_value_word(char buf[NFT_WORD], enum match_key key, uint32_t v)
{
	const char *name = key == MATCH_ICMP_TYPE ? icmp_type_name((uint8_t)v)
			   : key == MATCH_ICMP_CODE ? icmp_code_word(v)
						    : NULL;

	if (key == MATCH_SRC || key == MATCH_DST)
		snprintf(buf, NFT_WORD, "%u.%u.%u.%u", v >> 24, v >> 16 & 255,
			 v >> 8 & 255, v & 255);
	else if (key == MATCH_PROTO)
		nft_proto_word(buf, v);
	else if (key == MATCH_DSCP)
		nft_dscp_word(buf, v);
	else if (key == MATCH_TCP_FLAGS)
		snprintf(buf, NFT_WORD, "0x%x", v);
	else if (name)
		snprintf(buf, NFT_WORD, "%s", name);
	else
		snprintf(buf, NFT_WORD, "%u", v);
}

int nft_prefix_bits(uint32_t low, uint32_t high)
{
	uint32_t host = low ^ high;

	if (host & (host + 1) || low & host)
		return -1;
	return host ? __builtin_clz(host) : 32;
}

void nft_range_word(char buf[2 * NFT_WORD], enum match_key key, uint32_t low,
		    uint32_t high)
{
	char a[NFT_WORD], b[NFT_WORD];
	int bits = -1;

	nft_value_word(a, key, low);
	nft_value_word(b, key, high);
	if (key == MATCH_SRC || key == MATCH_DST)
		bits = nft_prefix_bits(low, high);
	if (low == high)
		snprintf(buf, 2 * NFT_WORD, "%s", a);
	else if (bits >= 0)
		snprintf(buf, 2 * NFT_WORD, "%s/%d", a, bits);
	else if (key == MATCH_DSCP) /* nft takes no names there */
		snprintf(buf, 2 * NFT_WORD, "0x%02x-0x%02x", low, high);
	else
		snprintf(buf, 2 * NFT_WORD, "%s-%s", a, b);
}
