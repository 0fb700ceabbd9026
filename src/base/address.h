/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Internet addresses of either family, and prefixes of them. */
#ifndef SLUICE_BASE_ADDRESS_H
#define SLUICE_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address {
	uint8_t size;	  /* 4 or 16 bytes; 0: none */
	uint8_t byte[16]; /* network order; unused ones are zero */
};

struct prefix {
	struct address address; /* host bits are zero */
	uint8_t length;		/* bits */
};

/* Longest text of an address or a prefix, its end included. */
#define ADDRESS_TEXT_MAX 50

/* Reads "192.0.2.1" or "2001:db8::1", nothing around it. 0 or -EINVAL. */
int address_parse(struct address *a, const char *text);

/* Reads "10.0.0.0/8", or an address alone. Host bits that are set are an
 * error, since they nearly always are a slip. 0 or -EINVAL, err says why. */
struct error;
int prefix_parse(struct prefix *p, const char *text, struct error *err);

/* Writes a's text into buf, always ended, and returns buf. */
const char *address_text(const struct address *a, char *buf, size_t size);

/* An IPv4 address from its four bytes in network order. */
struct address address_v4(const uint8_t b[4]);

/* Orders addresses: shorter family first, then by value; 0 means equal. */
int address_compare(const struct address *a, const struct address *b);

bool prefix_covers(const struct prefix *p, const struct address *a);

#endif
