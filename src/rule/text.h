/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading what people write: numbers, addresses, names from a list. Shared by
 * matches, rewrites and sets. Internal to rule/; knows nothing of packets.
 */
#ifndef SLUICE_RULE_TEXT_H
#define SLUICE_RULE_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/log.h"

/* Longest value that is read (a payload may be longer), its end included. */
#define TEXT_MAX 512
/* Room for text_show. */
#define TEXT_SHOW_MAX 64

/* Without the white space around it; the text is cut in place. */
char *text_trim(char *text);

/* The text as an error message may quote it: one line, not too long. */
const char *text_show(const char *text, size_t n, char buf[TEXT_SHOW_MAX]);

/* Decimal or 0x hexadecimal, no more than max. -EINVAL: not a number,
 * -ERANGE: too large. */
int text_number(const char *text, uint32_t max, uint32_t *value);

/* "192.0.2.1", "10.0.0.0/8" or "10.0.0.1-10.0.0.9", as an inclusive range of
 * one family. -EINVAL, err says why. */
int text_addresses(const char *text, struct address *from, struct address *to,
		   struct error *err);

/* The place of name among n names. -ENOENT: err calls it an unknown WHAT and
 * names the nearest one, or all of them if none is near. */
int text_choose(const char *what, const char *name, const char *const names[],
		int n, struct error *err);

#endif
