/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Capture files and filter expressions, by libpcap. Knows where the IPv4
 * packet begins in a frame of each link type it takes, and puts back around a
 * packet what was there. Must not know what a packet means: that is parse's.
 */
#include "packet/pcap.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <pcap/sll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "packet/cover.h"

/* libpcap's own limit for the link types below. */
#define FRAME_MAX   262144u
#define FRAME_SPACE (PACKET_HEADROOM + FRAME_MAX + 65u)

#define ETHERTYPE_IPV4 0x0800
#define AF_INET_NUMBER 2 /* the one address family all systems agree on */
#define PPP_IPV4       0x21

/* More tags than anybody stacks; hostile frames end here. */
#define VLAN_TAGS_MAX 8

/* No IPv4 packet in this frame. */
#define LINK_NONE UINT16_MAX

struct pcap_reader {
	pcap_t *pcap;
	char *name;
	uint64_t frames;
	int linktype;
	uint8_t buffer[FRAME_SPACE];
};

struct pcap_writer {
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	int linktype;
	uint8_t buffer[FRAME_SPACE];
};

struct pcap_filter {
	struct bpf_program program;
};

/* ---- link headers ---------------------------------------------------- */

static bool is_vlan_tag(uint16_t type)
{
	return type == 0x8100 || type == 0x88a8 || type == 0x9100;
}

/* type was read before off; each VLAN tag is followed by another type. */
static uint16_t skip_tags(const uint8_t *b, uint32_t n, uint16_t type,
			  uint32_t off)
{
	for (unsigned i = 0; i < VLAN_TAGS_MAX && is_vlan_tag(type); i++) {
		if (off + 4 > n)
			return LINK_NONE;
		type = get_be16(b + off + 2);
		off += 4;
	}
	return type == ETHERTYPE_IPV4 ? (uint16_t)off : LINK_NONE;
}

/* RFC 1661, 1662: address and control may be left out, and the first byte of
 * the protocol where it is zero. */
static uint16_t ppp_header(const uint8_t *b, uint32_t n)
{
	uint16_t off = 0;

	if (n >= 2 && b[0] == 0xff && b[1] == 0x03)
		off = 2;
	if (off + 2u <= n && get_be16(b + off) == PPP_IPV4)
		return off + 2;
	if (off + 1u <= n && b[off] == PPP_IPV4)
		return off + 1;
	return LINK_NONE;
}

/* Loopback frames begin with an address family, in the byte order of the
 * host that captured (null) or of the network (loop). */
static uint16_t loopback_header(const uint8_t *b, uint32_t n, bool any_order)
{
	static const uint8_t big[] = {0, 0, 0, AF_INET_NUMBER};
	static const uint8_t little[] = {AF_INET_NUMBER, 0, 0, 0};

	if (n < 4)
		return LINK_NONE;
	if (!memcmp(b, big, 4) || (any_order && !memcmp(b, little, 4)))
		return 4;
	return LINK_NONE;
}

/* Bytes before the IPv4 packet of a frame, or LINK_NONE. */
static uint16_t link_header(int linktype, const uint8_t *b, uint32_t n)
{
	switch (linktype) {
	case DLT_EN10MB:
		return n < 14 ? LINK_NONE
			      : skip_tags(b, n, get_be16(b + 12), 14);
	case DLT_LINUX_SLL:
		return n < SLL_HDR_LEN
			       ? LINK_NONE
			       : skip_tags(b, n, get_be16(b + 14), SLL_HDR_LEN);
	case DLT_LINUX_SLL2:
		return n < SLL2_HDR_LEN
			       ? LINK_NONE
			       : skip_tags(b, n, get_be16(b), SLL2_HDR_LEN);
	case DLT_NULL:
		return loopback_header(b, n, true);
	case DLT_LOOP:
		return loopback_header(b, n, false);
	case DLT_PPP:
		return ppp_header(b, n);
	default: /* bare: parse judges it */
		return 0;
	}
}

/* Writes the link header of a packet that has none; returns its length. */
static uint32_t make_link_header(int linktype, const struct packet *p,
				 uint8_t *b)
{
	static const uint32_t family = AF_INET_NUMBER;
	uint8_t type = p->dir == DIR_OUT ? LINUX_SLL_OUTGOING : LINUX_SLL_HOST;

	memset(b, 0, SLL2_HDR_LEN);
	switch (linktype) {
	case DLT_EN10MB:
		put_be16(b + 12, ETHERTYPE_IPV4);
		return 14;
	case DLT_LINUX_SLL:
		put_be16(b, type);
		put_be16(b + 14, ETHERTYPE_IPV4);
		return SLL_HDR_LEN;
	case DLT_LINUX_SLL2:
		put_be16(b, ETHERTYPE_IPV4);
		put_be32(b + 4, (uint32_t)p->ifindex);
		b[10] = type;
		return SLL2_HDR_LEN;
	case DLT_NULL:
		memcpy(b, &family, sizeof(family));
		return 4;
	case DLT_LOOP:
		put_be32(b, family);
		return 4;
	case DLT_PPP:
		put_be32(b, 0xff030000 | PPP_IPV4);
		return 4;
	default:
		return 0;
	}
}

static bool is_bare(int linktype)
{
	return linktype == DLT_RAW || linktype == DLT_IPV4;
}

static int linktype_check(int linktype, const char *name, struct error *err)
{
	const char *known = pcap_datalink_val_to_name(linktype);

	switch (linktype) {
	case DLT_EN10MB:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_NULL:
	case DLT_LOOP:
	case DLT_PPP:
	case DLT_RAW:
	case DLT_IPV4:
		return 0;
	}
	return error_set(err, -EPROTONOSUPPORT,
			 "%s: link type %s (%d) is not supported; Ethernet, "
			 "raw IP, Linux cooked, loopback and PPP are",
			 name, known ? known : "without a name", linktype);
}

/* ---- reading --------------------------------------------------------- */

/* Says what libpcap had against a file; its texts are all there is to tell
 * the cases apart. */
static int file_error(struct error *err, const char *name, const char *text)
{
	if (!strcmp(text, "unknown file format"))
		return error_set(err, -EINVAL,
				 "%s: not a capture file (pcap or pcapng)",
				 name);
	if (!strncmp(text, "truncated", 9))
		return error_set(err, -EINVAL,
				 "%s: not a whole capture file: %s", name,
				 text);
	return error_set(err, -EINVAL, "%s: cannot be read as a capture: %s",
			 name, text);
}

int pcap_reader_open_file(struct pcap_reader **out, FILE *file,
			  const char *name, struct error *err)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	struct pcap_reader *r;
	int rc = 0;

	*out = NULL;
	r = malloc(sizeof(*r));
	if (!r) {
		rc = error_set(err, -ENOMEM, "%s: out of memory", name);
		goto out;
	}
	r->pcap = NULL;
	r->frames = 0;
	r->name = strdup(name);
	if (!r->name) {
		rc = error_set(err, -ENOMEM, "%s: out of memory", name);
		goto out;
	}
	r->pcap = pcap_fopen_offline_with_tstamp_precision(
		file, PCAP_TSTAMP_PRECISION_NANO, text);
	if (!r->pcap) {
		rc = file_error(err, name, text);
		goto out;
	}
	file = NULL; /* pcap_close closes it */
	r->linktype = pcap_datalink(r->pcap);
	rc = linktype_check(r->linktype, name, err);
out:
	if (file && file != stdin)
		fclose(file);
	if (rc) {
		pcap_reader_close(r);
		return rc;
	}
	*out = r;
	return 0;
}

int pcap_reader_open(struct pcap_reader **r, const char *path,
		     struct error *err)
{
	FILE *file;
	int rc;

	*r = NULL;
	if (!strcmp(path, "-"))
		return pcap_reader_open_file(r, stdin, "standard input", err);
	file = fopen(path, "rbe");
	if (!file) {
		rc = -errno;
		return error_set(err, rc, "%s: cannot be opened: %s", path,
				 strerror(-rc));
	}
	return pcap_reader_open_file(r, file, path, err);
}

/* Seconds and nanoseconds as a file has them: both may be nonsense, and
 * pcapng has 64 bits for them. */
static int64_t file_time(const struct timeval *ts)
{
	const int64_t most = INT64_MAX / NSEC_PER_SEC;
	int64_t sec = ts->tv_sec, nsec = ts->tv_usec, t;

	if (sec > most)
		sec = most;
	if (sec < -most)
		sec = -most;
	if (__builtin_add_overflow(sec * NSEC_PER_SEC, nsec, &t))
		return nsec < 0 ? INT64_MIN : INT64_MAX;
	return t;
}

int pcap_reader_next(struct pcap_reader *r, struct packet *p, struct error *err)
{
	uint8_t *frame = r->buffer + PACKET_HEADROOM;
	struct pcap_pkthdr *hdr;
	const uint8_t *bytes;
	uint16_t link;
	int rc;

	rc = pcap_next_ex(r->pcap, &hdr, &bytes);
	if (rc == PCAP_ERROR_BREAK)
		return 0;
	if (rc != 1)
		return error_set(err, -EIO, "%s: after frame %llu: %s", r->name,
				 (unsigned long long)r->frames,
				 pcap_geterr(r->pcap));
	r->frames++;
	if (hdr->caplen > FRAME_MAX)
		return error_set(err, -EMSGSIZE,
				 "%s: frame %llu has %u bytes, more than %u",
				 r->name, (unsigned long long)r->frames,
				 hdr->caplen, FRAME_MAX);
	memcpy(frame, bytes, hdr->caplen);
	link = link_header(r->linktype, frame, hdr->caplen);
	if (link != LINK_NONE) {
		packet_init(p, r->buffer, sizeof(r->buffer), frame + link,
			    hdr->caplen - link, NULL);
		p->link_len = link;
	} else {
		/* Not to be parsed: a frame may well begin with 0x45. */
		packet_init(p, r->buffer, sizeof(r->buffer), frame, 0, NULL);
		p->len = hdr->caplen;
	}
	p->time = file_time(&hdr->ts);
	return 1;
}

int pcap_reader_linktype(const struct pcap_reader *r)
{
	return r->linktype;
}

void pcap_reader_close(struct pcap_reader *r)
{
	if (!r)
		return;
	if (r->pcap)
		pcap_close(r->pcap);
	free(r->name);
	free(r);
}

/* ---- writing --------------------------------------------------------- */

int pcap_writer_open(struct pcap_writer **out, int fd, int linktype,
		     struct error *err)
{
	static const char name[] = "capture file to write";
	struct pcap_writer *w = NULL;
	FILE *file = NULL;
	int rc;

	*out = NULL;
	rc = linktype_check(linktype, name, err);
	if (rc)
		goto out;
	w = malloc(sizeof(*w));
	file = fdopen(fd, "wb");
	if (!w || !file) {
		rc = w ? -errno : -ENOMEM;
		error_set(err, rc, "%s: %s", name, strerror(-rc));
		goto out;
	}
	w->linktype = linktype;
	w->pcap = pcap_open_dead_with_tstamp_precision(
		linktype, (int)FRAME_MAX, PCAP_TSTAMP_PRECISION_NANO);
	if (!w->pcap) {
		rc = error_set(err, -ENOMEM, "%s: out of memory", name);
		goto out;
	}
	w->dumper = pcap_dump_fopen(w->pcap, file);
	if (!w->dumper) {
		rc = error_set(err, -EIO, "%s: %s", name, pcap_geterr(w->pcap));
		pcap_close(w->pcap);
		/* libpcap closes the file only where it could not write. */
		file = NULL;
		fd = -1;
		goto out;
	}
	*out = w;
	return 0;
out:
	if (file)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	free(w);
	return rc;
}

/* Completes the checksum in a copy of p's bytes. */
static void complete_copy(const struct packet *p, uint8_t *bytes)
{
	struct packet copy = *p;
	struct cover c;

	cover_find(p, &c);
	if (c.partial && p->flags & PACKET_L4_CSUM_KEPT)
		return;
	copy.head = copy.data = bytes;
	copy.size = copy.len;
	copy.undo = NULL;
	cover_complete(&copy);
}

int pcap_writer_put(struct pcap_writer *w, const struct packet *p)
{
	size_t before = (size_t)(p->data - p->head);
	uint64_t after = (uint64_t)p->len + p->tail;
	struct pcap_pkthdr hdr = {0};
	uint32_t link = 0;
	int64_t nsec;

	if (before > p->size || after > p->size - before ||
	    p->link_len > before)
		return -EINVAL;
	if (is_bare(w->linktype)) {
		/* The tail belongs to the frame that is left behind. */
		if (p->link_len)
			after = p->len;
	} else if (p->link_len) {
		link = p->link_len;
	} else if (!(p->flags & PACKET_ODD)) {
		link = make_link_header(w->linktype, p, w->buffer);
		after = p->len;
	}
	if (link + after > FRAME_MAX)
		return -EMSGSIZE;
	if (p->link_len && link)
		memcpy(w->buffer, p->data - link, link);
	memcpy(w->buffer + link, p->data, after);
	if (p->offload.need_csum)
		complete_copy(p, w->buffer + link);
	nsec = p->time % NSEC_PER_SEC;
	hdr.ts.tv_sec = p->time / NSEC_PER_SEC - (nsec < 0);
	hdr.ts.tv_usec = nsec + (nsec < 0 ? NSEC_PER_SEC : 0);
	hdr.caplen = hdr.len = link + (uint32_t)after;
	errno = 0;
	pcap_dump((u_char *)w->dumper, &hdr, w->buffer);
	if (ferror(pcap_dump_file(w->dumper)))
		return errno ? -errno : -EIO;
	return 0;
}

int pcap_writer_flush(struct pcap_writer *w)
{
	errno = 0;
	if (pcap_dump_flush(w->dumper) || ferror(pcap_dump_file(w->dumper)))
		return errno ? -errno : -EIO;
	return 0;
}

int pcap_writer_close(struct pcap_writer *w)
{
	int rc;

	if (!w)
		return 0;
	rc = pcap_writer_flush(w);
	pcap_dump_close(w->dumper);
	pcap_close(w->pcap);
	free(w);
	return rc;
}

/* ---- filters --------------------------------------------------------- */

int pcap_filter_new(struct pcap_filter **out, const char *expression,
		    struct error *err)
{
	struct pcap_filter *f;
	pcap_t *pcap;
	int rc = 0;

	*out = NULL;
	f = calloc(1, sizeof(*f));
	pcap = pcap_open_dead(DLT_RAW, (int)FRAME_MAX);
	if (!f || !pcap) {
		rc = error_set(err, -ENOMEM, "filter: out of memory");
		goto out;
	}
	if (pcap_compile(pcap, &f->program, expression, 1,
			 PCAP_NETMASK_UNKNOWN))
		rc = error_set(err, -EINVAL, "filter '%s': %s", expression,
			       pcap_geterr(pcap));
out:
	if (pcap)
		pcap_close(pcap);
	if (rc) {
		free(f);
		return rc;
	}
	*out = f;
	return 0;
}

bool pcap_filter_match(const struct pcap_filter *f, const struct packet *p)
{
	const struct pcap_pkthdr hdr = {.caplen = p->len, .len = p->len};

	return pcap_offline_filter(&f->program, &hdr, p->data) != 0;
}

void pcap_filter_free(struct pcap_filter *f)
{
	if (!f)
		return;
	pcap_freecode(&f->program);
	free(f);
}
