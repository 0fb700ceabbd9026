/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/dlt.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A regular file, and no way round by a link. */
static int open_file(const char *name)
{
	int fd = open(name,
		      O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
		      0600);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = -EINVAL;
	else
		r = ftruncate(fd, 0) ? -errno : 0;
	if (!r)
		return fd;
	close(fd);
	return r;
}

static struct store_file *file_get(struct store *s, const char *name)
{
	struct store_file *f;
	struct error err;
	int fd;

	for (unsigned i = 0; i < s->count; i++)
		if (!strcmp(s->file[i].name, name))
			return &s->file[i];
	if (s->count == SCRIPT_FILES_MAX)
		return NULL;
	f = &s->file[s->count++];
	strcpy(f->name, name);
	fd = open_file(name);
	if (fd < 0)
		log_error("pcap: %s cannot be written: %s", name,
			  strerror(-fd));
	else if (pcap_writer_open(&f->w, fd, DLT_RAW, &err))
		log_error("pcap: %s: %s", name, err.text);
	return f;
}

static void give_up(struct store_file *f, int r)
{
	log_error("pcap: writing %s: %s; it is left as it is", f->name,
		  strerror(-r));
	pcap_writer_close(f->w);
	f->w = NULL;
}

void store_put(struct store *s, const char *name, int64_t time,
	       const uint8_t *bytes, uint32_t n)
{
	/* Not looked at, only written: so not parsed either. */
	const struct packet p = {.head = (uint8_t *)bytes,
				 .data = (uint8_t *)bytes,
				 .size = n,
				 .len = n,
				 .flags = PACKET_ODD,
				 .time = time};
	struct store_file *f;
	int r;

	if (!script_file_name_ok(name))
		return;
	f = file_get(s, name);
	if (!f || !f->w)
		return;
	r = pcap_writer_put(f->w, &p);
	f->dirty = true;
	if (r)
		give_up(f, r);
}

void store_flush(struct store *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct store_file *f = &s->file[i];
		int r = f->w && f->dirty ? pcap_writer_flush(f->w) : 0;

		f->dirty = false;
		if (r)
			give_up(f, r);
	}
}

void store_close(struct store *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct store_file *f = &s->file[i];
		int r = pcap_writer_close(f->w);

		if (r)
			log_error("pcap: writing %s: %s", f->name,
				  strerror(-r));
	}
	s->count = 0;
}
