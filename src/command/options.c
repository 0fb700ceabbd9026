/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "command/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rule/plan.h"

#define HELP_RULES                                                             \
	"  --arg NAME=VALUE      args.NAME in the rules (repeatable)\n"          \
	"  --instructions N      Lua instructions a call may take (1000000)\n"   \
	"  --memory BYTES        what the Lua state may hold (64M)\n"
#define HELP_CAPTURE                                                           \
	"  --json                one JSON object a line\n"                       \
	"  --capture auto|route|wire\n"                                          \
	"                        by policy routing into tun0, or at the wire\n"  \
	"  --dev NAME            the device (tun0)\n"                            \
	"  --table N             the routing table (100)\n"                      \
	"  --pref N              the routing rule's preference (100)\n"          \
	"  --mark BIT/BITS       the two bits of the packet mark to use\n"       \
	"                        (0x1000/0x3000)\n"                              \
	"  --workers N           processes that share the packets (1)\n"         \
	"  --no-offload          no packets larger than the MTU\n"               \
	"  --user NAME           whom workers become (nobody)\n"

const char options_help_rules[] = HELP_RULES;
const char options_help_check[] = HELP_CAPTURE HELP_RULES;
const char options_help_capture[] = HELP_CAPTURE;
const char options_help_run[] =
	"  --audit               show each packet while the rules run\n"
	"  --only                take what CMD and its children send, nothing\n"
	"                        else\n"
	HELP_CAPTURE HELP_RULES;
const char options_help_replay[] =
	"  -w, --write FILE      write the packets that go on to this file\n"
	"  --local PREFIX        packets to these addresses arrive here, the\n"
	"                        others leave (repeatable)\n"
	"  --explain             which rules were tried, and what failed\n"
	"  --json                one JSON object a line\n"
	HELP_RULES;

enum option_id {
	OPTION_HELP = 256,
	OPTION_ARG,
	OPTION_AUDIT,
	OPTION_ONLY,
	OPTION_JSON,
	OPTION_CAPTURE,
	OPTION_DEV,
	OPTION_TABLE,
	OPTION_PREF,
	OPTION_MARK,
	OPTION_WORKERS,
	OPTION_NO_OFFLOAD,
	OPTION_USER,
	OPTION_INSTRUCTIONS,
	OPTION_MEMORY,
	OPTION_FAIL_AT,
	OPTION_WRITE,
	OPTION_EXPLAIN,
	OPTION_LOCAL,
};

static const struct known_option {
	const char *name;
	enum option_id id;
	bool value;
	unsigned takes; /* any of these */
} known[] = {
	{"help", OPTION_HELP, false, ~0u},
	{"arg", OPTION_ARG, true, TAKES_RULES},
	{"audit", OPTION_AUDIT, false, TAKES_COMMAND},
	{"only", OPTION_ONLY, false, TAKES_COMMAND},
	{"json", OPTION_JSON, false, TAKES_CAPTURE | TAKES_JSON},
	{"capture", OPTION_CAPTURE, true, TAKES_CAPTURE},
	{"dev", OPTION_DEV, true, TAKES_CAPTURE},
	{"table", OPTION_TABLE, true, TAKES_CAPTURE},
	{"pref", OPTION_PREF, true, TAKES_CAPTURE},
	{"mark", OPTION_MARK, true, TAKES_CAPTURE},
	{"workers", OPTION_WORKERS, true, TAKES_CAPTURE},
	{"no-offload", OPTION_NO_OFFLOAD, false, TAKES_CAPTURE},
	{"user", OPTION_USER, true, TAKES_CAPTURE},
	{"instructions", OPTION_INSTRUCTIONS, true, TAKES_RULES},
	{"memory", OPTION_MEMORY, true, TAKES_RULES},
	{"write", OPTION_WRITE, true, TAKES_REPLAY},
	{"explain", OPTION_EXPLAIN, false, TAKES_REPLAY},
	{"local", OPTION_LOCAL, true, TAKES_REPLAY},
#ifdef SLUICE_FAULTS
	{"fail-at", OPTION_FAIL_AT, true, TAKES_CAPTURE},
#endif
};
#define KNOWN (sizeof(known) / sizeof(*known))

static const char *command_name;

static int usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int usage(const char *fmt, ...)
{
	char text[ERROR_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s; see sluice %s --help", text, command_name);
	return EXIT_USAGE;
}

/* A number with an optional K, M or G. */
static int number(const char *name, const char *text, uint64_t low,
		  uint64_t high, uint64_t *value)
{
	unsigned shift = 0;
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (*end == 'K' || *end == 'M' || *end == 'G')
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
	if (shift)
		end++;
	if (!*text || *text == '-' || *end || errno ||
	    *value > high >> shift || *value << shift < low)
		return usage("--%s: '%s' is not a number from %llu to %llu",
			     name, text, (unsigned long long)low,
			     (unsigned long long)high);
	*value <<= shift;
	return 0;
}

static int mode_parse(struct capture_config *c, const char *text)
{
	static const char *const names[] = {
		[CAPTURE_AUTO] = "auto",
		[CAPTURE_ROUTE] = "route",
		[CAPTURE_WIRE] = "wire",
	};

	for (unsigned i = 0; i < 3; i++)
		if (!strcmp(text, names[i])) {
			c->mode = (enum capture_mode)i;
			return 0;
		}
	return usage("--capture: '%s' is not auto, route or wire", text);
}

static int mark_parse(struct capture_config *c, const char *text)
{
	unsigned long mark, mask;
	char *end;

	mark = strtoul(text, &end, 0);
	if (*end != '/' || end == text)
		return usage("--mark: '%s' is not BIT/BITS such as "
			     "0x1000/0x3000", text);
	text = end + 1;
	mask = strtoul(text, &end, 0);
	if (end == text || *end || mask > UINT32_MAX ||
	    __builtin_popcountl(mask) != 2 || __builtin_popcountl(mark) != 1 ||
	    (mark & mask) != mark)
		return usage("--mark: BITS must be two bits, and BIT one of "
			     "them, as in 0x1000/0x3000");
	c->mark = (uint32_t)mark;
	c->mask = (uint32_t)mask;
	return 0;
}

static int arg_parse(struct options *o, char *text)
{
	char *eq = strchr(text, '=');

	if (!eq || eq == text)
		return usage("--arg: '%s' is not NAME=VALUE", text);
	if (o->nargs == OPTIONS_ARGS_MAX)
		return usage("--arg: more than %d of them", OPTIONS_ARGS_MAX);
	*eq = '\0';
	o->arg[o->nargs++] = (struct script_arg){text, eq + 1};
	return 0;
}

static int dev_parse(struct capture_config *c, const char *text)
{
	if (!*text || strlen(text) >= IFNAMSIZ || strpbrk(text, "/ %:"))
		return usage("--dev: '%s' cannot be a device's name", text);
	c->dev = text;
	return 0;
}

static int local_parse(struct options *o, const char *text)
{
	struct error err;

	if (o->nlocals == OPTIONS_LOCALS_MAX)
		return usage("--local: more than %d of them",
			     OPTIONS_LOCALS_MAX);
	if (prefix_parse(&o->local[o->nlocals++], text, &err))
		return usage("--local: %s", err.text);
	return 0;
}

/* A step of the set-up that tests make fail; "list" lists them. */
static int fail_at_parse(struct capture_config *c, const char *text)
{
	bool list = !strcmp(text, "list");

	for (unsigned i = 0; capture_step(i); i++) {
		if (list)
			puts(capture_step(i));
		else if (!strcmp(text, capture_step(i)))
			c->fail_at = text;
	}
	if (list)
		exit(EXIT_DONE);
	return c->fail_at ? 0 : usage("--fail-at: there is no step '%s'", text);
}

static int option_apply(struct options *o, enum option_id id, char *value)
{
	struct capture_config *c = &o->run.capture;
	uint64_t n = 0;
	int r = 0;

	switch (id) {
	case OPTION_HELP:
		o->help = true;
		break;
	case OPTION_ARG:
		r = arg_parse(o, value);
		break;
	case OPTION_AUDIT:
		o->run.audit = true;
		break;
	case OPTION_ONLY:
		c->only = true;
		break;
	case OPTION_JSON:
		o->run.json = true;
		break;
	case OPTION_CAPTURE:
		r = mode_parse(c, value);
		break;
	case OPTION_DEV:
		r = dev_parse(c, value);
		break;
	case OPTION_TABLE:
		r = number("table", value, 1, UINT32_MAX, &n);
		c->table = (uint32_t)n;
		break;
	case OPTION_PREF:
		r = number("pref", value, 1, 32765, &n);
		c->pref = (uint32_t)n;
		break;
	case OPTION_MARK:
		r = mark_parse(c, value);
		break;
	case OPTION_WORKERS:
		r = number("workers", value, 1, CAPTURE_WORKERS_MAX, &n);
		c->workers = (unsigned)n;
		break;
	case OPTION_NO_OFFLOAD:
		c->offload = false;
		break;
	case OPTION_USER:
		o->user = value;
		break;
	case OPTION_INSTRUCTIONS:
		r = number("instructions", value, 100, UINT64_MAX >> 8,
			   &o->limits.instructions);
		break;
	case OPTION_MEMORY:
		r = number("memory", value, 1 << 16, UINT64_C(1) << 40, &n);
		o->limits.memory = (size_t)n;
		break;
	case OPTION_FAIL_AT:
		r = fail_at_parse(c, value);
		break;
	case OPTION_WRITE:
		o->write = value;
		break;
	case OPTION_EXPLAIN:
		o->explain = true;
		break;
	case OPTION_LOCAL:
		r = local_parse(o, value);
		break;
	}
	return r;
}

/* Everything behind "--" is a command. */
static int split_command(struct options *o, unsigned takes, int argc,
			 char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		if (!(takes & TAKES_COMMAND) || i + 1 == argc)
			return -1;
		o->run.command = argv + i + 1;
		return i;
	}
	return argc;
}

static int wrong_option(char **argv)
{
	const char *at = argv[optind - 1];

	if (optopt >= OPTION_HELP)
		return usage("the option %s takes no value", at);
	if (optopt)
		return usage("there is no option -%c", optopt);
	return usage("there is no option %s", at);
}

int options_parse(struct options *o, const struct command *self,
		  unsigned takes, int argc, char **argv, bool *done)
{
	const char *letters = takes & TAKES_REPLAY ? ":hw:" : ":h";
	struct option list[KNOWN + 1] = {{0}};
	int n = 0, id, end, r = 0;

	memset(o, 0, sizeof(*o));
	capture_defaults(&o->run.capture);
	o->user = "nobody";
	*done = false;
	command_name = self->name;
	end = split_command(o, takes, argc, argv);
	if (end < 0)
		return usage("'--' wants a command behind it, where one is "
			     "taken at all");
	for (size_t i = 0; i < KNOWN; i++)
		if (known[i].takes == ~0u || known[i].takes & takes)
			list[n++] = (struct option){known[i].name,
						    known[i].value, NULL,
						    known[i].id};
	opterr = 0;
	optind = 1;
	while (!r && (id = getopt_long(end, argv, letters, list, NULL)) != -1) {
		if (id == ':')
			return usage("the option %s wants a value",
				     argv[optind - 1]);
		if (id == '?')
			return wrong_option(argv);
		if (id == 'h' || id == 'w')
			id = id == 'h' ? OPTION_HELP : OPTION_WRITE;
		r = option_apply(o, (enum option_id)id, optarg);
	}
	if (r)
		return r;
	if (o->help) {
		command_help(self);
		*done = true;
		return 0;
	}
	o->words = argv + optind;
	o->nwords = end - optind;
	return 0;
}

/* The rule library: where it was installed, or, run from a build, beside the
 * sources. */
const char *options_rules_dir(void)
{
	const char *dir = getenv("SLUICE_RULES");

	return dir ? dir : SLUICE_RULES_DIR;
}

int options_load(const struct options *o, struct script **s)
{
	struct error err;
	int r = script_new(s, &o->limits, o->arg, o->nargs,
			   options_rules_dir(), &err);

	for (int i = 0; !r && i < o->nwords; i++)
		r = script_load(*s, o->words[i], &err);
	if (r) {
		log_error("%s", err.text);
		return EXIT_USAGE;
	}
	script_seal(*s);
	return 0;
}

static bool only_is_possible(const struct options *o)
{
	const char *why = NULL;

	if (!o->run.command)
		why = "which command? Name it behind '--'";
	else if (o->run.capture.forward)
		why = "the rules capture what passes through, and that is no "
		      "command's";
	if (why)
		log_error("--only: %s", why);
	return !why;
}

int options_apply(struct options *o, struct script *s)
{
	const struct ruleset *rs = script_ruleset(s);
	struct error err;

	o->run.script = s;
	for (const struct rule *r = rs->first; r; r = r->next) {
		o->run.capture.elsewhere |= r->elsewhere;
		for (const struct rewrite *w = r->rewrite; w; w = w->next)
			o->run.capture.elsewhere |= w->key == REWRITE_DST;
	}
	o->run.capture.vias = script_vias(s, o->run.capture.via);
	o->run.capture.in = rs->dirs & 1u << DIR_IN;
	o->run.capture.probes = rs->probes;
	if (rs->probes) {
		o->run.capture.elsewhere = true;
		if (o->run.capture.workers > 1)
			log_warn("--workers %u: rules with tasks run in one "
				 "worker", o->run.capture.workers);
		o->run.capture.workers = 1;
	}
	o->run.capture.forward = rs->dirs & 1u << DIR_FORWARD;
	if (supervisor_plan(&o->run, rs, &o->plan, &err)) {
		log_error("%s", err.text);
		return EXIT_USAGE;
	}
	o->run.plan = o->plan;
	if (o->run.capture.only && !only_is_possible(o))
		return EXIT_USAGE;
	if (isolate_user_find(&o->run.user, o->user, &err)) {
		log_error("%s", err.text);
		return EXIT_USAGE;
	}
	return 0;
}

void options_end(struct options *o, struct script *s)
{
	plan_free(o->plan);
	script_free(s);
}
