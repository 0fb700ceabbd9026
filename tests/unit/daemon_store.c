/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The files that rules write: which names, what is in them, and that a name
 * from a worker that lies leads nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/store.h"

static const uint8_t packet[28] = {
	0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0,
	2,    1, 192, 0, 2, 2, 0, 7, 0, 9, 0, 8, 0, 0,
};

static char folder[] = "/tmp/store-XXXXXX";
static unsigned lines;

static void count_lines(enum log_level level, const char *text, void *arg)
{
	(void)level;
	(void)text;
	(void)arg;
	lines++;
}

static int enter(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/store-XXXXXX");
	lines = 0;
	log_sink(count_lines, NULL);
	return !mkdtemp(folder) || chdir(folder);
}

static int leave(void **state)
{
	char command[64];

	(void)state;
	log_sink(NULL, NULL);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") || system(command);
}

static bool is_there(const char *name)
{
	struct stat st;

	return !lstat(name, &st);
}

static void what_was_written_can_be_read_at_once(void **state)
{
	struct store s = {.count = 0};
	struct pcap_reader *r;
	struct error err;
	struct packet p;
	struct stat st;

	(void)state;
	store_put(&s, "a.pcap", 1500000000123456789, packet, sizeof(packet));
	store_put(&s, "a.pcap", 1500000001, packet, sizeof(packet));
	store_flush(&s);
	assert_int_equal(stat("a.pcap", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(pcap_reader_open(&r, "a.pcap", &err), 0);
	assert_int_equal(pcap_reader_next(r, &p, &err), 1);
	assert_int_equal(p.time, 1500000000123456789);
	assert_int_equal(p.len, sizeof(packet));
	assert_memory_equal(p.data, packet, sizeof(packet));
	assert_int_equal(pcap_reader_next(r, &p, &err), 1);
	assert_int_equal(pcap_reader_next(r, &p, &err), 0);
	pcap_reader_close(r);
	store_close(&s);
	assert_int_equal(lines, 0);
}

static void a_file_begins_anew(void **state)
{
	struct store s = {.count = 0};
	FILE *f = fopen("a.pcapng", "w");
	struct stat st;

	(void)state;
	for (int i = 0; i < 1000; i++)
		fputs("something else\n", f);
	fclose(f);
	store_put(&s, "a.pcapng", 0, packet, sizeof(packet));
	store_close(&s);
	assert_int_equal(stat("a.pcapng", &st), 0);
	/* The file's header, the packet's, the packet (pcap, version 2.4). */
	assert_int_equal(st.st_size, 24 + 16 + sizeof(packet));
}

static void no_other_name_is_written(void **state)
{
	static const char *const names[] = {
		"", ".pcap", "../x.pcap", "/tmp/x.pcap", "a/b.pcap", "x",
		"x.txt", "x.pcap.txt", "x y.pcap", "x\n.pcap", "x.pcapx",
		"0123456789012345678901234567890123456789012345678901234567"
		"890.pcap",
	};
	struct store s = {.count = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		assert_false(script_file_name_ok(names[i]));
		store_put(&s, names[i], 0, packet, sizeof(packet));
	}
	assert_int_equal(s.count, 0);
	/* Nothing was made: the folder can be removed. */
	assert_int_equal(chdir("/") || rmdir(folder) || mkdir(folder, 0700), 0);
	store_close(&s);
}

static void a_way_round_is_not_taken_and_said_once(void **state)
{
	struct store s = {.count = 0};

	(void)state;
	assert_int_equal(symlink("target", "a.pcap"), 0);
	assert_int_equal(mkfifo("b.pcap", 0600), 0);
	assert_int_equal(mkdir("c.pcap", 0700), 0);
	for (int i = 0; i < 3; i++) {
		store_put(&s, "a.pcap", 0, packet, sizeof(packet));
		store_put(&s, "b.pcap", 0, packet, sizeof(packet));
		store_put(&s, "c.pcap", 0, packet, sizeof(packet));
	}
	assert_false(is_there("target"));
	assert_int_equal(lines, 3);
	store_flush(&s);
	store_close(&s);
}

static void files_are_bounded_in_number(void **state)
{
	struct store s = {.count = 0};
	char name[24];

	(void)state;
	for (int i = 0; i < SCRIPT_FILES_MAX + 1; i++) {
		snprintf(name, sizeof(name), "%d.pcap", i);
		store_put(&s, name, 0, packet, sizeof(packet));
		assert_int_equal(is_there(name), i < SCRIPT_FILES_MAX);
	}
	store_close(&s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)
	const struct CMUnitTest tests[] = {
		TEST(what_was_written_can_be_read_at_once),
		TEST(a_file_begins_anew),
		TEST(no_other_name_is_written),
		TEST(a_way_round_is_not_taken_and_said_once),
		TEST(files_are_bounded_in_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
