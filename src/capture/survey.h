/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The chains that others have loaded, and what their rules do as far as it
 * matters to us. Inside the room only.
 */
#ifndef SLUICE_CAPTURE_SURVEY_H
#define SLUICE_CAPTURE_SURVEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "capture/netlink.h"

/* The comment that tells our rules in chains of others. */
#define SURVEY_COMMENT "sluice"

struct nftnl_chain;

/* What a chain's rules do, those it jumps to included. */
enum survey_does {
	SURVEY_STATE = 1 << 0,	 /* asks for the connection's state */
	SURVEY_REFUSES = 1 << 1, /* drops or rejects whatever gets there */
	SURVEY_RPF = 1 << 2,	 /* looks up the route back to the source */
	SURVEY_VMAP = 1 << 3,	 /* jumps by a map: anywhere in its table */
};

struct survey_chain {
	struct nftnl_chain *c;
	uint32_t family;
	const char *table, *name; /* c's */
	bool base;
	uint32_t hook; /* of a base chain */
	bool drops;    /* by policy */
	unsigned rules; /* not counting ours */
	unsigned does;	/* SURVEY_* */
	uint32_t marks; /* bits of the mark that its rules use */
	uint64_t *ours; /* handles of accepts of ours */
	unsigned ours_n;
};

struct survey_jump {
	unsigned from, to;
};

struct survey {
	struct survey_chain *chain; /* sorted by family, table, name */
	unsigned chains, chains_size;
	struct survey_jump *jump;
	unsigned jumps, jumps_size;
};
#define SURVEY_NONE ((struct survey){ .chain = NULL })

/* Reads all tables but ours. 0 or -errno; survey_free in either case. */
int survey_make(struct survey *s, struct netlink *nl, struct error *err);
void survey_free(struct survey *s);

bool survey_type_is(const struct survey_chain *c, const char *type);
/* Of a base chain of family ip or inet: what sees IPv4 at that hook. */
bool survey_sees(const struct survey_chain *c, uint32_t hook);

#endif
