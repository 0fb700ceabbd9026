/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Test files over rules that are not there: what is asked of the host, what
 * becomes of its answers, and of its failures. */
#include "script_test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "script/test.h"

/* A host that keeps account, and answers with what it was given. */
struct rig {
	int64_t now;
	struct packet packet;
	const struct packet *list[1];
	uint8_t buffer[PACKET_BUFFER];
};

static struct {
	unsigned open, fed; /* rigs that are open; packets */
	int feed_error;
	char files[256], args[256], text[256], log[256];
	enum packet_dir dir;
	char iface[16];
} host;

static int rig_open(void *arg, const struct test_rules *rules,
		    struct rig **rig, struct error *err)
{
	assert_ptr_equal(arg, &host);
	host.files[0] = host.args[0] = '\0';
	for (size_t i = 0; i < rules->nfiles; i++) {
		strcat(host.files, rules->files[i]);
		strcat(host.files, " ");
	}
	for (size_t i = 0; i < rules->nargs; i++) {
		strcat(host.args, rules->args[i].name);
		strcat(host.args, "=");
		strcat(host.args, rules->args[i].value);
		strcat(host.args, " ");
	}
	if (rules->text) {
		assert_int_equal(strlen(rules->text), rules->n);
		strcpy(host.text, rules->text);
	}
	if (strstr(host.files, "refused"))
		return error_set(err, -EINVAL, "refused.lua:7: no");
	*rig = calloc(1, sizeof(**rig));
	assert_non_null(*rig);
	host.open++;
	return 0;
}

static void rig_close(struct rig *rig)
{
	host.open--;
	free(rig);
}

static int rig_feed(struct rig *rig, const struct packet *p,
		    struct test_seen *seen)
{
	static const char *const log[] = {"one", "two"};

	host.fed++;
	host.dir = p->dir;
	snprintf(host.iface, sizeof(host.iface), "%s",
		 p->iface ? p->iface : "");
	rig->packet = (struct packet){.head = rig->buffer,
				      .size = sizeof(rig->buffer)};
	assert_int_equal(packet_clone(&rig->packet, p), 0);
	rig->list[0] = &rig->packet;
	*seen = (struct test_seen){
		.verdict = "ACCEPT",
		.packet = &rig->packet,
		.leaving = {rig->list, 1},
		.log = {log, 2},
	};
	return host.feed_error;
}

static int rig_pass(struct rig *rig, int64_t now, struct test_seen *seen)
{
	rig->now = now;
	*seen = (struct test_seen){.error = "a timer failed"};
	return 0;
}

static int64_t rig_now(const struct rig *rig)
{
	return rig->now;
}

static uint64_t rig_counted(const struct rig *rig, const char *name)
{
	(void)rig;
	return strlen(name);
}

static int rig_hits(const struct rig *rig, const char *name, uint64_t *n)
{
	(void)rig;
	*n = 3;
	return strcmp(name, "r") ? -ENOENT : 0;
}

static void test_log(void *arg, const char *text)
{
	(void)arg;
	snprintf(host.log, sizeof(host.log), "%s", text);
}

static const struct test_host calls = {
	.arg = &host,
	.open = rig_open,
	.close = rig_close,
	.feed = rig_feed,
	.pass = rig_pass,
	.now = rig_now,
	.counted = rig_counted,
	.hits = rig_hits,
	.log = test_log,
};

static char folder[] = "/tmp/testfile.XXXXXX";

static int load(struct test **t, const char *text, size_t memory,
		struct error *err)
{
	static char path[64];
	struct script_limits limits = {.memory = memory};
	FILE *f;

	memset(&host, 0, sizeof(host));
	snprintf(path, sizeof(path), "%s/t_test.lua", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return testfile_new(t, path, &limits, NULL, 0, NULL, &calls, err);
}

/* The body of one test: its report, and nothing is left open. */
static void run_body(const char *body, bool passes, const char *part)
{
	struct test_report report;
	struct error err = {.text = ""};
	char text[2048];
	struct test *t;

	snprintf(text, sizeof(text), "test('x', function()\n%s\nend)", body);
	if (load(&t, text, 0, &err))
		fail_msg("%s: %s", body, err.text);
	assert_int_equal(testfile_count(t), 1);
	assert_string_equal(testfile_name(t, 0), "x");
	testfile_run(t, 0, &report);
	if (report.passed != passes || !strstr(report.text, part))
		fail_msg("%s: %s: %s", body,
			 report.passed ? "passed" : "failed", report.text);
	testfile_free(t);
	assert_int_equal(host.open, 0);
}

static void the_host_is_told_what_to_load(void **state)
{
	char want[128];

	(void)state;
	run_body("load_rules({ 'a.lua', '/b.lua' }, { ttl = 3 }) "
		 "expect(1).is(1)", true, "");
	snprintf(want, sizeof(want), "%s/a.lua /b.lua ", folder);
	assert_string_equal(host.files, want);
	assert_string_equal(host.args, "ttl=3 ");
	run_body("load_text('rule {}', { yes = true }) expect(1).is(1)", true,
		 "");
	assert_string_equal(host.text, "rule {}");
	assert_string_equal(host.args, "yes=true ");
	run_body("load_rules('refused.lua')", false,
		 "t_test.lua:2: refused.lua:7: no");
	run_body("load_rules {}", false, "1 to 16 files, not 0");
	run_body("load_rules { 1 }", false, "a file is a string, not a number");
	run_body("load_rules('a', { 1 })", false, "arguments have names");
	run_body("log('a', 1) expect(1).is(1)", true, "");
	assert_string_equal(host.log, "a 1");
}

static void the_host_is_told_what_to_feed(void **state)
{
#define RIG "local t = load_rules 'a.lua' local p = packet { dst = '1.2.3.4', udp = {} } "
	(void)state;
	run_body(RIG "t:feed(p) expect(1).is(1)", true, "");
	assert_int_equal(host.dir, DIR_OUT);
	assert_string_equal(host.iface, "");
	run_body(RIG "t:feed(p, { dir = 'in', iface = 'eth0', way = 'wire' }) "
		     "expect(1).is(1)", true, "");
	assert_int_equal(host.dir, DIR_IN);
	assert_string_equal(host.iface, "eth0");
	run_body(RIG "local r = t:feed(p) expect(r.packets).is { p } "
		     "expect(r.packet).is(p) expect(r.verdict).is('ACCEPT') "
		     "expect(r.rule).is(nil) expect(r.sent).is {} "
		     "expect(r.log).is { 'one', 'two' } expect(r.notes).is {}",
		 true, "");
	run_body(RIG "expect(t:feed(p:bytes(1, 0)))", false, "1 to 65535 bytes");
	run_body(RIG "t:feed(1)", false, "packet expected, got number");
	run_body(RIG "t:feed(p, { dirr = 'in' })", false, "did you mean 'dir'?");
	run_body(RIG "t:feed(p, { iface = 5 })", false,
		 "iface must be an interface's name");
	run_body(RIG "t.feed({}, p)", false, "rules under test expected");
}

static void time_and_counters_are_the_hosts(void **state)
{
	(void)state;
	run_body(RIG "t:advance(1.5) t:advance(0) t:at(2) "
		     "expect(t:now()).is(2)", true, "");
	run_body(RIG "expect(t:advance(1).error).is('a timer failed')", true,
		 "");
	run_body(RIG "t:advance(-1)", false, "from 0 to 3.2e9");
	run_body(RIG "t:at(0/0)", false, "from 0 to 3.2e9");
	run_body(RIG "expect(t:count('four')).is(4)", true, "");
	run_body(RIG "expect(t:hits('r')).is(3)", true, "");
	run_body(RIG "t:hits('s')", false, "there is no rule named 's'");
}

static void what_the_host_cannot_do_fails_the_test(void **state)
{
	struct test_report report;
	struct error err = {.text = ""};
	struct test *t;

	(void)state;
	assert_int_equal(load(&t, RIG "test('x', function() t:feed(p) "
				  "expect(1).is(1) end)", 0, &err), 0);
	host.feed_error = -ENOMEM;
	testfile_run(t, 0, &report);
	assert_false(report.passed);
	assert_non_null(strstr(report.text, "feed: Cannot allocate memory"));
	/* The next one begins anew. */
	host.feed_error = 0;
	testfile_run(t, 0, &report);
	assert_true(report.passed);
	assert_string_equal(report.text, "");
	testfile_free(t);
	assert_int_equal(host.open, 0);
}

static void bytes_are_written_in_hex(void **state)
{
	(void)state;
	run_body("expect(hex('00 fF\\n7e')).is('\\0\\255~')", true, "");
	run_body("expect(hex('')).is('')", true, "");
	run_body("hex('0')", false, "a digit is missing");
	run_body("hex('0g')", false, "byte 2 of the text");
	run_body("hex('0\\0')", false, "byte 2 of the text");
}

static void the_sandbox_is_that_of_rules(void **state)
{
	(void)state;
	run_body("io.open('x')", false, "undefined global 'io'");
	run_body("send(packet { dst = '1.2.3.4', udp = {} })", false,
		 "send() is not available here");
	run_body("x = 1", false, "assignment to global 'x'");
	run_body("test('y', function() end)", false,
		 "cannot be made inside a test");
	run_body("local t = {} t.t = t expect(t).is { t = t }", true, "");
	run_body("local a, b = {}, {} a.a = a b.a = b expect(a).is(b)", false,
		 "too deep");
}

/* Wherever memory ends: a line that says so, nothing lost, nothing left. */
static void memory_may_end_anywhere(void **state)
{
	static const char text[] =
		RIG "test('x', function() local r = t:feed(p) "
		"expect(r.packets).is { { dst = '1.2.3.4', udp = {} } } "
		"expect(('x'):rep(9)).is(('x'):rep(8)) end)";
	unsigned loads = 0, refused = 0, runs = 0;

	(void)state;
	for (size_t memory = 30000; memory < 800000;
	     memory += memory / 50 + 7) {
		struct test_report report;
		struct error err = {.text = ""};
		struct test *t = NULL;

		if (load(&t, text, memory, &err)) {
			assert_has(err.text, "memory", text);
			assert_null(t);
			refused++;
		} else {
			loads++;
			testfile_run(t, 0, &report);
			assert_false(report.passed);
			runs += strstr(report.text, "byte 9") != NULL ||
				strstr(report.text, "\"xxxxxxxxx\"") != NULL;
			testfile_free(t);
		}
		assert_int_equal(host.open, 0);
	}
	assert_true(loads > 5 && refused > 5 && runs > 5);
}

static int make_folder(void **state)
{
	(void)state;
	return !mkdtemp(folder);
}

static int remove_folder(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/t_test.lua", folder);
	return unlink(path) || rmdir(folder);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_host_is_told_what_to_load),
		cmocka_unit_test(the_host_is_told_what_to_feed),
		cmocka_unit_test(time_and_counters_are_the_hosts),
		cmocka_unit_test(what_the_host_cannot_do_fails_the_test),
		cmocka_unit_test(bytes_are_written_in_hex),
		cmocka_unit_test(the_sandbox_is_that_of_rules),
		cmocka_unit_test(memory_may_end_anywhere),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
