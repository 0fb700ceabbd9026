/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event: what the audit shows of one packet. A fixed size, so that it can
 * cross a socket between two processes that do not trust each other; made
 * where the packet is, printed where the terminal is.
 */
#ifndef SLUICE_DAEMON_EVENT_H
#define SLUICE_DAEMON_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "capture/capture.h"
#include "packet/packet.h"
#include "rule/ruleset.h"

/* More than any packet has fields that can change at once. */
#define EVENT_CHANGES	24
#define EVENT_RULE_NONE UINT32_MAX
/* A field without a fixed place: the TCP option. */
#define EVENT_MSS	FIELD_COUNT

struct event_change {
	uint8_t field; /* enum packet_field, or EVENT_MSS */
	uint32_t before, after;
};

struct event {
	int64_t time; /* ns since the epoch */
	uint8_t dir, way, verdict, proto;
	/* 0 or 1; no bool, since another process may have written them. */
	uint8_t options_changed, payload_changed; /* options: of IP or TCP */
	struct address src, dst; /* as the packet arrived */
	uint16_t sport, dport;
	uint32_t len;	     /* bytes of the IP packet */
	uint32_t rule;	     /* rule->index, EVENT_RULE_NONE: the policy */
	uint32_t made;	     /* packets that went in its place */
	char iface[IFNAMSIZ];
	char via[IFNAMSIZ];  /* VIA: by which interface it goes */
	char source[56], target[56]; /* "192.0.2.2:30732" */
	char detail[80];
	char note[80]; /* audit(pkt, note) */
	uint8_t changes;
	struct event_change change[EVENT_CHANGES];
};

/* What is known before the rules have seen p. */
void event_begin(struct event *e, const struct packet *p);

/*
 * What is known after: the verdict, and in what p differs from before: p as
 * it was, with undo saying how many of its bytes are there (those that may
 * have changed, and all headers), or NULL for all.
 */
void event_end(struct event *e, const struct packet *before,
	       const struct packet *p, const struct verdict *v);

/* Makes an event that came from another process safe to print: every text
 * ended and printable, every number in its range. */
void event_sanitize(struct event *e);

/* One line with its end; owner may be NULL. Returns the length. */
size_t event_line(const struct event *e, const struct ruleset *rs,
		  const struct owner *owner, bool colour, char *buf,
		  size_t size);
size_t event_json(const struct event *e, const struct ruleset *rs,
		  const struct owner *owner, char *buf, size_t size);

/* What changed, "ip.ttl 63 > 64, payload", without an end of line; empty
 * where nothing did. Returns the length. */
size_t event_changes(const struct event *e, char *buf, size_t size);

/* The name of a rule by its index, "-" for none. */
const char *event_rule_name(const struct ruleset *rs, uint32_t index);

#endif
