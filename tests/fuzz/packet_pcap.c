/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A capture file of any bytes: every packet of it is read, shown and written;
 * what the reader says about a packet stays within its buffer. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet/pcap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void look_at(const struct packet *p, const struct pcap_filter *filter)
{
	char line[64], whole[1024], dump[200];
	uint32_t before = (uint32_t)(p->data - p->head);

	require(p->data >= p->head && before <= p->size);
	require(p->link_len <= before);
	require((uint64_t)p->len + p->tail <= p->size - before);
	packet_print(p, line, sizeof(line));
	packet_print(p, whole, sizeof(whole));
	for (const char *c = whole; *c; c++)
		require(*c >= ' ' && *c <= '~');
	packet_dump(p, dump, sizeof(dump));
	pcap_filter_match(filter, p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pcap_filter *filter;
	struct error err = {.text = ""};
	struct pcap_reader *r = NULL;
	struct pcap_writer *w = NULL;
	struct packet p;
	FILE *file;
	int fd, rc;

	if (!filter)
		require(!pcap_filter_new(&filter, "udp port 53", &err));
	if (!size)
		return 0;
	file = fmemopen((void *)(uintptr_t)data, size, "rb");
	require(file);
	rc = pcap_reader_open_file(&r, file, "input", &err);
	require(rc <= 0 && !rc == !err.text[0]);
	if (rc)
		return 0;
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	require(fd >= 0);
	rc = pcap_writer_open(&w, fd, pcap_reader_linktype(r), &err);
	require(!rc);
	while ((rc = pcap_reader_next(r, &p, &err)) > 0) {
		look_at(&p, filter);
		require(!pcap_writer_put(w, &p));
	}
	require(!rc == !err.text[0]);
	require(!pcap_writer_close(w));
	pcap_reader_close(r);
	return 0;
}
