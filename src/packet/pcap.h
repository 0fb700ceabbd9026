/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Capture files: read pcap and pcapng through libpcap, written as pcap
 * (nanoseconds). Link types: Ethernet (with VLAN tags), raw IP, Linux cooked
 * (v1, v2), loopback (null, loop), PPP.
 */
#ifndef SLUICE_PACKET_PCAP_H
#define SLUICE_PACKET_PCAP_H

#include <stdio.h>

#include "base/log.h"
#include "packet/packet.h"

struct pcap_reader;
struct pcap_writer;

/* path "-" is standard input. -errno, err says what was wrong. */
int pcap_reader_open(struct pcap_reader **r, const char *path,
		     struct error *err);

/* The same from an open file, which is taken over, whatever is returned.
 * name is what errors call it; it is copied. */
int pcap_reader_open_file(struct pcap_reader **r, FILE *file,
			  const char *name, struct error *err);

/*
 * The next frame. p is pointed at a copy of its bytes in the reader's own
 * buffer (valid until the next call), link header in front; time is the
 * file's. A frame that holds no IPv4 packet gives p->header == 0 and
 * PACKET_ODD with len the frame's (and link_len 0); it must not be parsed
 * again. 1: a frame; 0: the end; -errno.
 */
int pcap_reader_next(struct pcap_reader *r, struct packet *p,
		     struct error *err);
int pcap_reader_linktype(const struct pcap_reader *r); /* DLT_* */
void pcap_reader_close(struct pcap_reader *r);

/* fd is taken over, whatever is returned. linktype is a DLT_*; DLT_RAW for
 * bare IP packets. */
int pcap_writer_open(struct pcap_writer **w, int fd, int linktype,
		     struct error *err);
/*
 * Writes the packet with its link header (if the link type has one) and its
 * tail: an unmodified packet gives the frame it came in. A bare packet gets
 * a link header of zeros and the right protocol; what is PACKET_ODD and has
 * no link header counts as a whole frame. Checksums that offload left open
 * are completed in what is written.
 */
int pcap_writer_put(struct pcap_writer *w, const struct packet *p);
int pcap_writer_flush(struct pcap_writer *w); /* -errno */
int pcap_writer_close(struct pcap_writer *w); /* flushes; -errno */

/* A pcap-filter(7) expression over bare IP packets. */
struct pcap_filter;
int pcap_filter_new(struct pcap_filter **f, const char *expression,
		    struct error *err);
bool pcap_filter_match(const struct pcap_filter *f, const struct packet *p);
void pcap_filter_free(struct pcap_filter *f);

#endif
