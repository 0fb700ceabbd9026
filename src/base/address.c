/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

int address_parse(struct address *a, const char *text)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, a->byte) == 1) {
		a->size = 4;
		return 0;
	}
	if (inet_pton(AF_INET6, text, a->byte) == 1) {
		a->size = 16;
		return 0;
	}
	return -EINVAL;
}

/* Clears the bits of a after the first length; true if one was set. */
static bool clear_host_bits(struct address *a, unsigned length)
{
	bool was_set = false;

	for (unsigned i = 0; i < a->size; i++) {
		unsigned keep = length > 8 * i ? length - 8 * i : 0;
		uint8_t mask = keep >= 8 ? 0xff : (uint8_t)(0xff00 >> keep);

		was_set |= (a->byte[i] & ~mask) != 0;
		a->byte[i] &= mask;
	}
	return was_set;
}

int prefix_parse(struct prefix *p, const char *text, struct error *err)
{
	char addr[ADDRESS_TEXT_MAX], net[ADDRESS_TEXT_MAX], *end;
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	unsigned long bits;

	memset(p, 0, sizeof(*p));
	if (n >= sizeof(addr))
		return error_set(err, -EINVAL,
				 "'%.60s' is not an address or a prefix", text);
	memcpy(addr, text, n);
	addr[n] = '\0';
	if (address_parse(&p->address, addr))
		return error_set(err, -EINVAL,
				 "'%s' is not an address or a prefix", text);
	bits = p->address.size * 8u;
	if (slash) {
		unsigned long most = bits;

		bits = strtoul(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end || bits > most)
			return error_set(err, -EINVAL,
					 "'%s': the prefix length must be 0 to %lu",
					 text, most);
	}
	p->length = (uint8_t)bits;
	if (clear_host_bits(&p->address, p->length))
		return error_set(err, -EINVAL,
				 "'%s' has bits set after its prefix; did you mean %s/%lu?",
				 text, address_text(&p->address, net, sizeof(net)),
				 bits);
	return 0;
}

const char *address_text(const struct address *a, char *buf, size_t size)
{
	if (!a->size || !inet_ntop(a->size == 4 ? AF_INET : AF_INET6, a->byte,
				   buf, (socklen_t)size))
		snprintf(buf, size, "-");
	return buf;
}

struct address address_v4(const uint8_t b[4])
{
	struct address a = {.size = 4};

	memcpy(a.byte, b, 4);
	return a;
}

int address_compare(const struct address *a, const struct address *b)
{
	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return memcmp(a->byte, b->byte, a->size);
}

bool prefix_covers(const struct prefix *p, const struct address *a)
{
	struct address net = *a;

	if (p->address.size != a->size)
		return false;
	clear_host_bits(&net, p->length);
	return !address_compare(&net, &p->address);
}
