/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Capture files: what is read of each link type, that writing gives back the
 * same bytes, what is said about files that are none, and filters. With
 * SLUICE_CORPUS naming a folder, every capture below it as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "packet/pcap.h"

/* An IPv4 packet of 24 bytes, and one of them as it is counted in frames. */
#define IPV4 "4500001800010000402f8e79" "c0000202c6336407" "11223344"
#define MACS "020000000001020000000002"

static uint32_t from_hex(uint8_t *b, const char *hex)
{
	uint32_t n = 0;

	for (; hex[0] && hex[1]; hex += 2) {
		char two[3] = {hex[0], hex[1], 0};

		b[n++] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

/* ---- files in memory ------------------------------------------------- */

struct file {
	uint8_t bytes[4096];
	uint32_t n;
};

static void put32(struct file *f, uint32_t v)
{
	memcpy(f->bytes + f->n, &v, 4);
	f->n += 4;
}

/* The header of a capture file with nanoseconds, in this machine's order,
 * as the format has it: version 2.4, no zone, no accuracy, snap length. */
static void file_begin(struct file *f, uint32_t linktype)
{
	f->n = 0;
	put32(f, 0xa1b23c4d);
	f->bytes[f->n++] = 2;
	f->bytes[f->n++] = 0;
	f->bytes[f->n++] = 4;
	f->bytes[f->n++] = 0;
	put32(f, 0);
	put32(f, 0);
	put32(f, 262144);
	put32(f, linktype);
}

static void file_frame(struct file *f, uint32_t sec, uint32_t nsec,
		       const char *hex)
{
	uint32_t n = (uint32_t)strlen(hex) / 2;

	put32(f, sec);
	put32(f, nsec);
	put32(f, n);
	put32(f, n);
	f->n += from_hex(f->bytes + f->n, hex);
}

static int reader_of(struct pcap_reader **r, struct file *f,
		     struct error *err)
{
	FILE *file = fmemopen(f->bytes, f->n, "rb");

	assert_non_null(file);
	return pcap_reader_open_file(r, file, "in.pcap", err);
}

/* A writer into memory; the descriptor to read it by. */
static int writer_of(struct pcap_writer **w, int linktype)
{
	struct error err = {.text = ""};
	int fd = memfd_create("out", MFD_CLOEXEC);

	assert_true(fd >= 0);
	if (pcap_writer_open(w, dup(fd), linktype, &err))
		fail_msg("%s", err.text);
	return fd;
}

static void file_read(struct file *f, int fd)
{
	ssize_t n = pread(fd, f->bytes, sizeof(f->bytes), 0);

	assert_true(n >= 0);
	f->n = (uint32_t)n;
	close(fd);
}

/* ---- frames ---------------------------------------------------------- */

/* link is LINKTYPE_* as files have it; header_len 0: no IPv4 packet. */
static const struct {
	const char *name;
	uint32_t link;
	int dlt;
	const char *frame;
	uint16_t link_len;
	uint32_t len, tail;
	bool odd;
} frames[] = {
	{"ethernet", 1, DLT_EN10MB, MACS "0800" IPV4, 14, 24, 0, false},
	{"padding_is_the_tail", 1, DLT_EN10MB, MACS "0800" IPV4 "000000", 14,
	 24, 3, false},
	{"a_vlan_tag", 1, DLT_EN10MB, MACS "810000050800" IPV4, 18, 24, 0,
	 false},
	{"two_vlan_tags", 1, DLT_EN10MB, MACS "88a80001810000020800" IPV4, 22,
	 24, 0, false},
	{"old_stacked_tags", 1, DLT_EN10MB, MACS "91000001810000020800" IPV4,
	 22, 24, 0, false},
	{"a_tag_without_a_type", 1, DLT_EN10MB, MACS "81000005", 0, 16, 0,
	 true},
	{"too_many_tags", 1, DLT_EN10MB,
	 MACS "8100000181000001810000018100000181000001"
	      "810000018100000181000001810000010800" IPV4,
	 0, 74, 0, true},
	{"arp", 1, DLT_EN10MB, MACS "08060001", 0, 16, 0, true},
	/* The address begins like an IPv4 packet that would fit. */
	{"arp_that_looks_like_ipv4", 1, DLT_EN10MB,
	 "450000180001" "0000402f8e79" "0806" "c633640711223344" "1122", 0, 24,
	 0, true},
	{"no_whole_link_header", 1, DLT_EN10MB, "0102030405", 0, 5, 0, true},
	{"nothing", 1, DLT_EN10MB, "", 0, 0, 0, true},
	{"nothing_behind_the_link_header", 1, DLT_EN10MB, MACS "0800", 14, 0,
	 0, true},
	{"a_packet_cut_off_stays_whole", 1, DLT_EN10MB,
	 MACS "0800450005dc0001", 14, 6, 0, true},
	{"raw", 101, DLT_RAW, IPV4, 0, 24, 0, false},
	{"raw_with_more_behind", 101, DLT_RAW, IPV4 "ff", 0, 24, 1, false},
	{"raw_ipv6", 101, DLT_RAW, "6000000000003aff", 0, 8, 0, true},
	{"ipv4", 228, DLT_IPV4, IPV4, 0, 24, 0, false},
	{"cooked", 113, DLT_LINUX_SLL,
	 "0004000100060200000000010000" "0800" IPV4, 16, 24, 0, false},
	{"cooked_with_a_tag", 113, DLT_LINUX_SLL,
	 "0004000100060200000000010000" "8100" "00050800" IPV4, 20, 24, 0,
	 false},
	{"cooked_ipv6", 113, DLT_LINUX_SLL,
	 "0004000100060200000000010000" "86dd" "60", 0, 17, 0, true},
	{"cooked_cut_off", 113, DLT_LINUX_SLL, "00040001000602000000000100", 0,
	 13, 0, true},
	{"cooked2", 276, DLT_LINUX_SLL2,
	 "08000000000000030001040602000000000100" "00" IPV4, 20, 24, 0,
	 false},
	{"cooked2_arp", 276, DLT_LINUX_SLL2,
	 "0806000000000003000104060200000000010000" "00", 0, 21, 0, true},
	{"null_little_endian", 0, DLT_NULL, "02000000" IPV4, 4, 24, 0, false},
	{"null_big_endian", 0, DLT_NULL, "00000002" IPV4, 4, 24, 0, false},
	{"null_ipv6", 0, DLT_NULL, "1e00000060", 0, 5, 0, true},
	{"loop", 108, DLT_LOOP, "00000002" IPV4, 4, 24, 0, false},
	{"loop_in_another_order", 108, DLT_LOOP, "02000000" IPV4, 0, 28, 0,
	 true},
	{"ppp", 9, DLT_PPP, "ff030021" IPV4, 4, 24, 0, false},
	{"ppp_without_address", 9, DLT_PPP, "0021" IPV4, 2, 24, 0, false},
	{"ppp_short_protocol", 9, DLT_PPP, "21" IPV4, 1, 24, 0, false},
	{"ppp_control", 9, DLT_PPP, "ff03c021", 0, 4, 0, true},
};
#define FRAMES (sizeof(frames) / sizeof(frames[0]))

static void a_frame_is_found_and_written_back_as_it_was(void **state)
{
	struct error err = {.text = ""};
	unsigned failed = 0;

	(void)state;
	for (size_t i = 0; i < FRAMES; i++) {
		struct file in, out;
		struct pcap_reader *r;
		struct pcap_writer *w;
		struct packet p;
		int fd;

		file_begin(&in, frames[i].link);
		file_frame(&in, 1700000000, 123456789, frames[i].frame);
		assert_int_equal(reader_of(&r, &in, &err), 0);
		assert_int_equal(pcap_reader_linktype(r), frames[i].dlt);
		assert_int_equal(pcap_reader_next(r, &p, &err), 1);
		if (p.link_len != frames[i].link_len ||
		    p.len != frames[i].len || p.tail != frames[i].tail ||
		    !(p.flags & PACKET_ODD) == frames[i].odd ||
		    !p.header != frames[i].odd) {
			print_error("%s: link %u len %u tail %u\n",
				    frames[i].name, p.link_len, p.len, p.tail);
			failed++;
		}
		assert_true(p.time == 1700000000123456789);
		fd = writer_of(&w, frames[i].dlt);
		assert_int_equal(pcap_writer_put(w, &p), 0);
		assert_int_equal(pcap_writer_close(w), 0);
		file_read(&out, fd);
		if (in.n != out.n || memcmp(in.bytes, out.bytes, in.n)) {
			print_error("%s: other bytes\n", frames[i].name);
			failed++;
		}
		assert_int_equal(pcap_reader_next(r, &p, &err), 0);
		pcap_reader_close(r);
	}
	assert_int_equal(failed, 0);
}

static void microseconds_and_the_other_byte_order_are_read(void **state)
{
	struct error err = {.text = ""};
	struct file f = {.n = 0};
	struct pcap_reader *r;
	struct packet p;

	(void)state;
	f.n = from_hex(f.bytes, "a1b2c3d4000200040000000000000000"
				"0000ffff00000065"
				"6553f100000003e7" "0000001800000018" IPV4);
	assert_int_equal(reader_of(&r, &f, &err), 0);
	assert_int_equal(pcap_reader_next(r, &p, &err), 1);
	assert_true(p.time == 1700000000000999000);
	assert_int_equal(p.header, 20);
	pcap_reader_close(r);
}

/* An interface with nanoseconds (if_tsresol 9) and one frame of it. */
static void pcapng_is_read(void **state)
{
	static const char hex[] =
		"0a0d0d0a0000001c1a2b3c4d00010000ffffffffffffffff0000001c"
		"000000010000002000650000000040000009000109000000"
		"0000000000000020"
		"00000006000000380000000017979cfe362a0007"
		"0000001800000018" IPV4 "00000038";
	struct error err = {.text = ""};
	struct file f = {.n = 0};
	struct pcap_reader *r;
	struct packet p;

	(void)state;
	f.n = from_hex(f.bytes, hex);
	if (reader_of(&r, &f, &err))
		fail_msg("%s", err.text);
	if (pcap_reader_next(r, &p, &err) != 1)
		fail_msg("%s", err.text);
	assert_true(p.time == 1700000000000000007);
	assert_int_equal(p.len, 24);
	assert_int_equal(pcap_reader_next(r, &p, &err), 0);
	pcap_reader_close(r);
}

static void a_packet_in_the_reader_can_grow(void **state)
{
	struct error err = {.text = ""};
	static uint8_t more[PACKET_MAX - 24];
	struct pcap_reader *r;
	struct packet p;
	struct file f;

	(void)state;
	file_begin(&f, 101);
	file_frame(&f, 1, 0, IPV4);
	assert_int_equal(reader_of(&r, &f, &err), 0);
	assert_int_equal(pcap_reader_next(r, &p, &err), 1);
	assert_int_equal(packet_splice(&p, 24, 0, more, sizeof(more)), 0);
	assert_int_equal(p.len, PACKET_MAX);
	pcap_reader_close(r);
}

/* ---- writing --------------------------------------------------------- */

static void bare_packet(struct packet *p, uint8_t *b)
{
	uint32_t n = from_hex(b, IPV4);

	packet_init(p, b, n, b, n, NULL);
}

static void a_bare_packet_gets_a_link_header(void **state)
{
	static const int types[] = {
		DLT_EN10MB, DLT_LINUX_SLL, DLT_LINUX_SLL2, DLT_NULL,
		DLT_LOOP,   DLT_PPP,	   DLT_RAW,	   DLT_IPV4,
	};
	static const uint16_t link_len[] = {14, 16, 20, 4, 4, 4, 0, 0};
	struct error err = {.text = ""};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		struct pcap_reader *r;
		struct pcap_writer *w;
		struct packet p, q;
		struct file out;
		uint8_t b[24];
		int fd;

		bare_packet(&p, b);
		p.time = 5;
		fd = writer_of(&w, types[i]);
		assert_int_equal(pcap_writer_put(w, &p), 0);
		assert_int_equal(pcap_writer_close(w), 0);
		file_read(&out, fd);
		assert_int_equal(reader_of(&r, &out, &err), 0);
		assert_int_equal(pcap_reader_linktype(r), types[i]);
		assert_int_equal(pcap_reader_next(r, &q, &err), 1);
		assert_int_equal(q.link_len, link_len[i]);
		assert_int_equal(q.len, 24);
		assert_int_equal(q.tail, 0);
		assert_memory_equal(q.data, b, 24);
		assert_true(q.time == 5);
		pcap_reader_close(r);
	}
}

static void raw_files_have_neither_link_header_nor_padding(void **state)
{
	struct error err = {.text = ""};
	struct pcap_reader *r;
	struct pcap_writer *w;
	struct file in, out, want;
	struct packet p;
	int fd;

	(void)state;
	file_begin(&in, 1);
	file_frame(&in, 7, 8, MACS "0800" IPV4 "0000");
	file_begin(&want, 101);
	file_frame(&want, 7, 8, IPV4);
	assert_int_equal(reader_of(&r, &in, &err), 0);
	assert_int_equal(pcap_reader_next(r, &p, &err), 1);
	fd = writer_of(&w, DLT_RAW);
	assert_int_equal(pcap_writer_put(w, &p), 0);
	assert_int_equal(pcap_writer_close(w), 0);
	file_read(&out, fd);
	assert_int_equal(out.n, want.n);
	assert_memory_equal(out.bytes, want.bytes, want.n);
	pcap_reader_close(r);
}

/* A SYN whose checksum field holds the pseudo-header's sum, and the same with
 * its checksum. */
#define SYN_BEGIN "450000280001000040068e92c0000202c6336407" \
		  "0401005000000001000000005002ffff"
#define SYN_OPEN SYN_BEGIN "ec570000"
#define SYN_DONE SYN_BEGIN "bf530000"

static void an_open_checksum_is_completed_in_the_file_alone(void **state)
{
	const struct packet_offload offload = {
		.need_csum = true, .csum_start = 20, .csum_offset = 16};
	uint8_t b[64], was[64];
	struct pcap_writer *w;
	struct file out, want;
	struct packet p;
	uint32_t n;
	int fd;

	(void)state;
	n = from_hex(b, SYN_OPEN);
	memcpy(was, b, n);
	packet_init(&p, b, n, b, n, &offload);
	fd = writer_of(&w, DLT_RAW);
	assert_int_equal(pcap_writer_put(w, &p), 0);
	assert_memory_equal(b, was, n);
	assert_true(p.offload.need_csum);
	/* One that was set by hand is as it was set. */
	p.flags |= PACKET_L4_CSUM_KEPT;
	assert_int_equal(pcap_writer_put(w, &p), 0);
	assert_int_equal(pcap_writer_close(w), 0);
	file_read(&out, fd);
	file_begin(&want, 101);
	file_frame(&want, 0, 0, SYN_DONE);
	file_frame(&want, 0, 0, SYN_OPEN);
	assert_int_equal(out.n, want.n);
	assert_memory_equal(out.bytes, want.bytes, want.n);
}

static void an_offload_beyond_the_packet_is_ignored(void **state)
{
	const struct packet_offload offload = {
		.need_csum = true, .csum_start = 65535, .csum_offset = 65535};
	struct pcap_writer *w;
	struct packet p;
	uint8_t b[24];
	int fd;

	(void)state;
	bare_packet(&p, b);
	p.offload = offload;
	fd = writer_of(&w, DLT_RAW);
	assert_int_equal(pcap_writer_put(w, &p), 0);
	p.offload.csum_start = 23;
	p.offload.csum_offset = 0;
	assert_int_equal(pcap_writer_put(w, &p), 0);
	assert_int_equal(pcap_writer_close(w), 0);
	close(fd);
}

static void lengths_beyond_the_buffer_are_refused(void **state)
{
	struct pcap_writer *w;
	struct packet p;
	uint8_t b[24];
	int fd;

	(void)state;
	bare_packet(&p, b);
	fd = writer_of(&w, DLT_EN10MB);
	p.link_len = 1;
	assert_int_equal(pcap_writer_put(w, &p), -EINVAL);
	p.link_len = 0;
	p.tail = 1;
	assert_int_equal(pcap_writer_put(w, &p), -EINVAL);
	p.tail = UINT32_MAX;
	assert_int_equal(pcap_writer_put(w, &p), -EINVAL);
	assert_int_equal(pcap_writer_close(w), 0);
	close(fd);
}

static void a_full_disk_is_noticed(void **state)
{
	struct error err = {.text = ""};
	struct pcap_writer *w;
	struct packet p;
	uint8_t b[24];
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(pcap_writer_open(&w, fd, DLT_RAW, &err), 0);
	bare_packet(&p, b);
	assert_int_equal(pcap_writer_put(w, &p), 0);
	assert_int_equal(pcap_writer_flush(w), -ENOSPC);
	assert_true(pcap_writer_close(w) < 0);
}

/* ---- errors ---------------------------------------------------------- */

static void a_file_that_is_none_is_told_apart(void **state)
{
	static const struct {
		const char *hex, *text;
		int rc;
	} bad[] = {
		{"6e6f742061206361707475726520617420616c6c0a6e6f7420612063",
		 "in.pcap: not a capture file (pcap or pcapng)", -EINVAL},
		{"d4c3b2a1", "in.pcap: not a whole capture file: ", -EINVAL},
		{"d4c3b2a1020004000000000000000000ffff000069000000",
		 "in.pcap: link type IEEE802_11 (105) is not supported; "
		 "Ethernet, raw IP, Linux cooked, loopback and PPP are",
		 -EPROTONOSUPPORT},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error err = {.text = ""};
		struct pcap_reader *r;
		struct file f;

		f.n = from_hex(f.bytes, bad[i].hex);
		assert_int_equal(reader_of(&r, &f, &err), bad[i].rc);
		assert_null(r);
		assert_int_equal(strncmp(err.text, bad[i].text,
					 strlen(bad[i].text)), 0);
		assert_null(strchr(err.text, '\n'));
	}
}

static void a_missing_file_is_named(void **state)
{
	struct error err = {.text = ""};
	struct pcap_reader *r;

	(void)state;
	assert_int_equal(pcap_reader_open(&r, "/nonexistent/a.pcap", &err),
			 -ENOENT);
	assert_null(r);
	assert_string_equal(err.text, "/nonexistent/a.pcap: cannot be opened: "
				      "No such file or directory");
	assert_true(pcap_reader_open(&r, "/", &err) < 0);
	assert_int_equal(strncmp(err.text, "/: ", 3), 0);
	assert_true(pcap_reader_open(&r, "/dev/null", &err) < 0);
	assert_non_null(strstr(err.text, "not a whole capture file"));
}

static void a_cut_off_file_is_read_up_to_there(void **state)
{
	struct error err = {.text = ""};
	struct pcap_reader *r;
	struct packet p;
	struct file f;

	(void)state;
	file_begin(&f, 101);
	file_frame(&f, 1, 0, IPV4);
	file_frame(&f, 2, 0, IPV4);
	f.n -= 3;
	assert_int_equal(reader_of(&r, &f, &err), 0);
	assert_int_equal(pcap_reader_next(r, &p, &err), 1);
	assert_int_equal(pcap_reader_next(r, &p, &err), -EIO);
	assert_int_equal(strncmp(err.text, "in.pcap: after frame 1: truncated",
				 33), 0);
	pcap_reader_close(r);
}

static void an_unsupported_link_type_is_not_written(void **state)
{
	struct error err = {.text = ""};
	struct pcap_writer *w;
	int fd = memfd_create("out", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(pcap_writer_open(&w, fd, DLT_IEEE802_11, &err),
			 -EPROTONOSUPPORT);
	assert_null(w);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken over */
	assert_true(pcap_writer_open(&w, -1, DLT_RAW, &err) < 0);
}

/* ---- filters --------------------------------------------------------- */

static void filters_see_bare_packets(void **state)
{
	static const struct {
		const char *expression;
		bool syn, other, odd;
	} filters[] = {
		{"", true, true, true},
		{"ip", true, true, false},
		{"tcp", true, false, false},
		{"tcp port 80", true, false, false},
		{"tcp port 81", false, false, false},
		{"tcp[tcpflags] & tcp-syn != 0", true, false, false},
		{"proto 47", false, true, false},
		{"host 192.0.2.2 and not tcp", false, true, false},
		{"src net 198.51.100.0/24", false, false, false},
		{"less 24", false, true, true},
	};
	uint8_t a[64], b[24], c[] = {0x60, 0};
	struct packet syn, other, odd;
	uint32_t n = from_hex(a, SYN_DONE);

	(void)state;
	packet_init(&syn, a, n, a, n, NULL);
	bare_packet(&other, b);
	packet_init(&odd, c, sizeof(c), c, sizeof(c), NULL);
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		struct error err = {.text = ""};
		struct pcap_filter *f;

		if (pcap_filter_new(&f, filters[i].expression, &err))
			fail_msg("%s", err.text);
		if (pcap_filter_match(f, &syn) != filters[i].syn ||
		    pcap_filter_match(f, &other) != filters[i].other ||
		    pcap_filter_match(f, &odd) != filters[i].odd)
			fail_msg("'%s' matches otherwise",
				 filters[i].expression);
		pcap_filter_free(f);
	}
}

static void a_filter_that_is_none_is_refused(void **state)
{
	struct error err = {.text = ""};
	struct pcap_filter *f;

	(void)state;
	assert_int_equal(pcap_filter_new(&f, "tcp prot 80", &err), -EINVAL);
	assert_null(f);
	assert_int_equal(strncmp(err.text, "filter 'tcp prot 80': ", 22), 0);
	pcap_filter_free(f);
}

/* ---- captures of others ---------------------------------------------- */

static unsigned corpus_files, corpus_refused, corpus_frames, corpus_failed;

/* Files have 32 bits of seconds, and some have fractions above one, which
 * are carried over when they are written. */
static bool same_time(const struct timeval *was, const struct timeval *is)
{
	int64_t carry = was->tv_usec / NSEC_PER_SEC;
	int64_t rest = was->tv_usec % NSEC_PER_SEC;

	if (rest < 0) {
		carry--;
		rest += NSEC_PER_SEC;
	}
	return (uint32_t)(was->tv_sec + carry) == (uint32_t)is->tv_sec &&
	       rest == is->tv_usec;
}

/* Reads what was written by libpcap alone and compares with the original. */
static void compare_files(const char *path, int fd, unsigned count)
{
	char text[PCAP_ERRBUF_SIZE];
	FILE *file = fdopen(fd, "rb");
	pcap_t *was, *is;

	was = pcap_open_offline_with_tstamp_precision(
		path, PCAP_TSTAMP_PRECISION_NANO, text);
	assert_non_null(was);
	assert_non_null(file);
	rewind(file);
	is = pcap_fopen_offline_with_tstamp_precision(
		file, PCAP_TSTAMP_PRECISION_NANO, text);
	assert_non_null(is);
	for (unsigned i = 0; i < count; i++) {
		struct pcap_pkthdr *a, *b;
		const u_char *x, *y;

		assert_int_equal(pcap_next_ex(was, &a, &x), 1);
		assert_int_equal(pcap_next_ex(is, &b, &y), 1);
		if (a->caplen != b->caplen || memcmp(x, y, a->caplen) ||
		    !same_time(&a->ts, &b->ts)) {
			print_error("%s: frame %u differs\n", path, i + 1);
			corpus_failed++;
		}
	}
	pcap_close(was);
	pcap_close(is);
}

static int read_capture(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	const char *dot = strrchr(path, '.');
	struct error err = {.text = ""};
	struct pcap_reader *r;
	struct pcap_writer *w;
	unsigned count = 0;
	struct packet p;
	int fd;

	(void)st;
	(void)ftw;
	if (type != FTW_F || !dot ||
	    (strcmp(dot, ".pcap") && strcmp(dot, ".pcapng")))
		return 0;
	corpus_files++;
	if (pcap_reader_open(&r, path, &err)) {
		assert_true(err.text[0]);
		corpus_refused++;
		return 0;
	}
	fd = writer_of(&w, pcap_reader_linktype(r));
	while (pcap_reader_next(r, &p, &err) > 0) {
		char line[1024];

		packet_print(&p, line, sizeof(line));
		for (char *c = line; *c; c++)
			assert_in_range(*c, ' ', '~');
		assert_int_equal(pcap_writer_put(w, &p), 0);
		count++;
	}
	pcap_reader_close(r);
	assert_int_equal(pcap_writer_close(w), 0);
	compare_files(path, fd, count);
	corpus_frames += count;
	return 0;
}

/* Twins whose names say which of them is right: "x-good-chksum.pcap". */
static unsigned twins_good, twins_bad;

static int judge_twin(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	bool good = strstr(path + ftw->base, "-good-chksum");
	struct error err = {.text = ""};
	struct pcap_reader *r;
	struct packet p;

	(void)st;
	if (type != FTW_F ||
	    (!good && !strstr(path + ftw->base, "-bad-chksum")))
		return 0;
	/* One capture holds what a host sent and what others did: only its
	 * own packets are wrong. */
	if (!strncmp(path + ftw->base, "localhost-", 10))
		return 0;
	if (pcap_reader_open(&r, path, &err))
		fail_msg("%s", err.text);
	while (pcap_reader_next(r, &p, &err) > 0) {
		if (p.flags & PACKET_ODD) /* no IPv4 */
			continue;
		if (good != (packet_ip_checksum_ok(&p) &&
			     packet_l4_checksum_ok(&p)))
			fail_msg("%s: judged otherwise", path);
		*(good ? &twins_good : &twins_bad) += 1;
	}
	pcap_reader_close(r);
	return 0;
}

static void good_and_bad_checksums_are_told_apart(void **state)
{
	const char *corpus = getenv("SLUICE_CORPUS");

	(void)state;
	if (!corpus) {
		print_message("SLUICE_CORPUS is not set: skipped\n");
		skip();
	}
	assert_int_equal(nftw(corpus, judge_twin, 16, FTW_PHYS), 0);
	print_message("%u packets with good checksums, %u with bad ones\n",
		      twins_good, twins_bad);
	if (!twins_good && !twins_bad)
		skip();
	assert_true(twins_good && twins_bad);
}

static void captures_of_others_are_written_back_as_they_were(void **state)
{
	const char *corpus = getenv("SLUICE_CORPUS");

	(void)state;
	if (!corpus) {
		print_message("SLUICE_CORPUS is not set: skipped\n");
		skip();
	}
	assert_int_equal(nftw(corpus, read_capture, 16, FTW_PHYS), 0);
	print_message("%u files (%u of other link types or broken), "
		      "%u frames\n",
		      corpus_files, corpus_refused, corpus_frames);
	assert_true(corpus_files > corpus_refused);
	assert_int_equal(corpus_failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_is_found_and_written_back_as_it_was),
		cmocka_unit_test(
			microseconds_and_the_other_byte_order_are_read),
		cmocka_unit_test(pcapng_is_read),
		cmocka_unit_test(a_packet_in_the_reader_can_grow),
		cmocka_unit_test(a_bare_packet_gets_a_link_header),
		cmocka_unit_test(
			raw_files_have_neither_link_header_nor_padding),
		cmocka_unit_test(
			an_open_checksum_is_completed_in_the_file_alone),
		cmocka_unit_test(an_offload_beyond_the_packet_is_ignored),
		cmocka_unit_test(lengths_beyond_the_buffer_are_refused),
		cmocka_unit_test(a_full_disk_is_noticed),
		cmocka_unit_test(a_file_that_is_none_is_told_apart),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(a_cut_off_file_is_read_up_to_there),
		cmocka_unit_test(an_unsupported_link_type_is_not_written),
		cmocka_unit_test(filters_see_bare_packets),
		cmocka_unit_test(a_filter_that_is_none_is_refused),
		cmocka_unit_test(
			captures_of_others_are_written_back_as_they_were),
		cmocka_unit_test(good_and_bad_checksums_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
