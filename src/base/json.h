/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text as a JSON string. */
#ifndef SLUICE_BASE_JSON_H
#define SLUICE_BASE_JSON_H

#include <stddef.h>

/* Writes text with its quotes into buf, always ended; what does not fit is
 * left out, whole characters at a time. Bytes that are not printable ASCII
 * become \u00XX. Returns buf. */
const char *json_string(char *buf, size_t size, const char *text);

#endif
