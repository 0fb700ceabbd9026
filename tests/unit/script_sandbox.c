/* SPDX-License-Identifier: GPL-2.0-or-later */
/* No way out of the sandbox, neither to the host nor past the limits. */
#include "script_test.h"

static const struct script_limits small = {
	.instructions = 20000,
	.load_instructions = 200000,
	.memory = 4 << 20,
};

/* What raises, at load and in an action alike. */
static void ways_out_are_closed(void **state)
{
	static const struct {
		const char *code, *error;
	} cases[] = {
		{"return io", "undefined global 'io'"},
		{"io.open('/etc/passwd')", "undefined global 'io'"},
		{"return debug", "undefined global 'debug'"},
		{"return package", "undefined global 'package'"},
		{"dofile('/etc/passwd')", "undefined global 'dofile'"},
		{"loadfile('/etc/passwd')", "undefined global 'loadfile'"},
		{"loadstring('x')", "undefined global 'loadstring'"},
		{"print('x')", "undefined global 'print'"},
		{"os.execute('true')", "field 'execute'"},
		{"os.getenv('HOME')", "field 'getenv'"},
		{"os.exit()", "field 'exit'"},
		{"os.remove('x')", "field 'remove'"},
		{"os.rename('x', 'y')", "field 'rename'"},
		{"os.tmpname()", "field 'tmpname'"},
		{"os.setlocale('C')", "field 'setlocale'"},
		{"string.dump(function() end)", "field 'dump'"},
		{"('').dump(function() end)", "field 'dump'"},
		{"assert(load('\\27Lua', 'x', 'b'))",
		 "attempt to load a binary chunk"},
		{"assert(load('\\27Lua'))", "attempt to load a binary chunk"},
		{"assert(load(function() return nil end, 'x', 'bt'))()\n"
		 "error('loaded')",
		 "loaded"},
		{"assert(load('return io'))()", "undefined global 'io'"},
		{"assert(load('zork = 1'))() error('done')", ":1: "},
		{"getmetatable('').__index.format = nil", "index a boolean"},
		{"setmetatable('', {})", "table expected"},
		{"getmetatable(_G).__index = {}", "index a boolean"},
		{"setmetatable(_G, nil)", "protected metatable"},
		{"setmetatable(string, nil)", "protected metatable"},
		{"string.format = nil", "'string' is read-only"},
		{"string.new = 1", "'string' is read-only"},
		{"os.execute = 1", "'os' is read-only"},
		{"args.x = 1", "'args' is read-only"},
		{"set.file = 1", "'set' is read-only"},
		{"rawset(string, 'format', 1)", "read-only"},
		{"rawset(_G, 'x', 1)", "read-only"},
		{"table.insert(string, 1)", "'string' is read-only"},
		{"for _, t in pairs{string, _G} do local _, r = pairs(t)\n"
		 "if r ~= t then error('leaked') end end error('kept')",
		 "kept"},
		{"setmetatable({}, {__gc = function() end})",
		 "__gc is not available"},
		{"setmetatable({}, {__gc = true})", "__gc is not available"},
		{"setmetatable({}, string)", "cannot be a metatable"},
		{"setmetatable({}, _G)", "cannot be a metatable"},
		{"getmetatable(ACCEPT).__index = 1", "index a boolean"},
		{"getmetatable(set{}).__gc(1)", "index a boolean"},
		{"set{}.__gc()", "nil value (field '__gc')"},
		{"collectgarbage('stop')", "invalid option 'stop'"},
		{"collectgarbage('generational')", "invalid option"},
		{"collectgarbage('setpause', 1000)", "invalid option"},
		{"coroutine.yield()", "outside a coroutine"},
		{"via('a/b')", "via: 'a/b' is no name of an interface"},
		{"ACEPT()", "undefined global 'ACEPT'; did you mean "
			    "'ACCEPT'?"},
		{"local x = rul", "undefined global 'rul'; did you mean "
				  "'rule'?"},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct script *s = make_script(&small);
		struct error err = {.text = ""};
		char text[1024];

		snprintf(text, sizeof(text), "do %s end", cases[i].code);
		if (!script_load_text(s, "t.lua", text, strlen(text), &err))
			fail_msg("loads: %s", text);
		assert_has(err.text, cases[i].error, text);
		script_free(s);
		if (!strcmp(cases[i].error, ":1: "))
			assert_action_fails(text, "global 'zork'", &small);
		else
			assert_action_fails(text, cases[i].error, &small);
	}
}

/* The metatable of a packet is not an author's. */
static void packets_hide_their_metatables(void **state)
{
	static const char *const cases[] = {
		"getmetatable(pkt).__index = 1 error('open')",
		"getmetatable(pkt.ip).__index = 1 error('open')",
		"getmetatable(pkt:clone()).__gc = 1 error('open')",
		"setmetatable(pkt, {}) error('open')",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[256];
		struct script *s;

		snprintf(text, sizeof(text),
			 "rule { action = function(pkt) %s end }", cases[i]);
		s = load_script(text, &small);
		assert_int_equal(run(s), VERDICT_ERROR);
		assert_null(strstr(script_error(s), "open"));
		script_free(s);
	}
}

/* Each must end by itself, and soon: the test would hang otherwise. */
static void the_budget_cannot_be_escaped(void **state)
{
	static const char *const cases[] = {
		"while true do end",
		"while true do pcall(function() while true do end end) end",
		"while true do pcall(pcall, error) end",
		"xpcall(function() while true do end end,\n"
		"function() while true do end end)",
		"while true do xpcall(function() while true do end end,\n"
		"function(e) while true do end end) end",
		"local function f() return f() end f()",
		"coroutine.wrap(function() while true do end end)()",
		"while true do pcall(coroutine.wrap(function()\n"
		"while true do end end)) end",
		"while true do coroutine.resume(coroutine.create(function()\n"
		"while true do pcall(error) end end)) end",
		"while true do local c = coroutine.create(function() end)\n"
		"coroutine.resume(c) coroutine.close(c) end",
		"local c = coroutine.wrap(function()\n"
		"while true do coroutine.yield() end end)\n"
		"while true do c() end",
		/* a to-be-closed variable, in a coroutine that is cut off */
		"local c = coroutine.wrap(function()\n"
		"local x <close> = setmetatable({}, {__close = function()\n"
		"while true do end end})\n"
		"while true do end end) pcall(c) pcall(c)",
		"local c = coroutine.create(function()\n"
		"local x <close> = setmetatable({}, {__close = function()\n"
		"while true do end end})\n"
		"while true do end end)\n"
		"pcall(coroutine.resume, c) pcall(coroutine.close, c)\n"
		"while true do end",
		"local x <close> = setmetatable({}, {__close = function()\n"
		"while true do end end}) while true do end",
		"error(setmetatable({}, {__tostring = function()\n"
		"while true do end end}))",
		"table.sort({1, 2, 3, 4}, function() while true do end end)",
		"('x'):gsub('x', function() while true do end end)",
		"load(function() while true do end end)",
		"setmetatable({}, {__index = function() while true do end\n"
		"end}).x = 1 local t = setmetatable({}, {__index =\n"
		"function() while true do end end}) return t.x",
		"while true do collectgarbage() end",
		"while true do collectgarbage('step') end",
		"while true do pcall(function() return zork end) end",
		"while true do pcall(string.rep) end",
		"goto a ::a:: goto a",
		"return pcall(function() while true do end end)",
		"return xpcall(function() while true do end end, error)",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[2048];
		struct script_usage u;
		struct script *s;

		snprintf(text, sizeof(text),
			 "local first = true\n"
			 "rule { name = 'r', action = function(pkt)\n"
			 "if not first then return DROP end first = false\n"
			 "do %s end end }",
			 cases[i]);
		s = load_script(text, &small);
		if (run(s) != VERDICT_ERROR)
			fail_msg("not an error: %s", cases[i]);
		assert_has(script_error(s),
			   "ran over its budget of 20000 instructions",
			   cases[i]);
		/* The next packet starts fresh. */
		if (run(s) != VERDICT_DROP)
			fail_msg("%s: %s", cases[i], script_error(s));
		script_usage(s, &u);
		assert_int_equal(u.calls, 2);
		assert_int_equal(u.errors, 1);
		assert_int_equal(u.over_budget, 1);
		assert_int_equal(u.out_of_memory, 0);
		script_free(s);
	}
}

/* A coroutine that was cut off in one call stays dead in those after it. */
static void a_cut_coroutine_never_runs_again(void **state)
{
	struct script *s = load_script(
		"local n, c, w = 0\n"
		"local function endless()\n"
		"  local x <close> = setmetatable({}, {__close = function()\n"
		"    while true do end end})\n"
		"  while true do end\n"
		"end\n"
		"rule { action = function()\n"
		"  n = n + 1\n"
		"  if n == 1 then c = coroutine.create(endless)\n"
		"    coroutine.resume(c)\n"
		"  elseif n == 2 then coroutine.close(c)\n"
		"  elseif n == 3 then w = coroutine.wrap(endless) w()\n"
		"  elseif n == 4 then w() end\n"
		"  return ACCEPT\n"
		"end }",
		&small);
	static const char *const error[] = {
		"ran over its budget",
		"was cut off",
		"ran over its budget",
		"cannot resume dead coroutine",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(error); i++) {
		assert_int_equal(run(s), VERDICT_ERROR);
		assert_has(script_error(s), error[i], error[i]);
	}
	assert_int_equal(run(s), VERDICT_ACCEPT);
	script_free(s);
}

/* The budget is a call's: many calls below it are none above it. */
static void a_budget_is_not_shared_between_calls(void **state)
{
	struct script *s = load_script(
		"local c = coroutine.wrap(function() while true do\n"
		"for i = 1, 3000 do end coroutine.yield(DROP) end end)\n"
		"rule { action = function() for i = 1, 4000 do end\n"
		"return c() end }",
		&small);

	(void)state;
	for (int i = 0; i < 200; i++)
		assert_int_equal(run(s), VERDICT_DROP);
	script_free(s);
}

static void the_memory_ceiling_holds(void **state)
{
	static const char *const cases[] = {
		"return ('x'):rep(1 << 30)",
		"local t = {} while true do t[#t + 1] = ('x'):rep(100000) .. "
		"#t end",
		"local s = 'x' while true do s = s .. s end",
		"return table.concat({('x'):rep(1 << 21), ('y'):rep(1 << 21)})",
		"return string.format('%s%s%s', ('x'):rep(1 << 20),\n"
		"('x'):rep(1 << 20), ('x'):rep(1 << 20))",
		"local t = {} for i = 1, 1000 do\n"
		"t[i] = pkt:clone() t[i].payload = ('x'):rep(9000) end",
		"local s = set{} for i = 0, 255 do\n"
		"for j = 0, 255 do s:add('10.0.' .. i .. '.' .. j) end end",
		"local t = {} for i = 1, 5000 do t[i] = set{} end",
	};
	struct script_limits limits = small;

	(void)state;
	limits.instructions = 1000000;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[1024];
		struct script_usage before, u;
		struct script *s;

		snprintf(text, sizeof(text),
			 "local first = true\n"
			 "rule { name = 'r', action = function(pkt)\n"
			 "if not first then return DROP end first = false\n"
			 "do %s end end }",
			 cases[i]);
		s = load_script(text, &limits);
		script_usage(s, &before);
		if (run(s) != VERDICT_ERROR)
			fail_msg("not an error: %s", cases[i]);
		assert_has(script_error(s), "memory", cases[i]);
		script_usage(s, &u);
		assert_true(u.memory_peak <= limits.memory);
		if (u.memory > before.memory + 65536)
			fail_msg("%s: keeps %zu bytes", cases[i],
				 u.memory - before.memory);
		if (u.over_budget || u.out_of_memory != 1)
			fail_msg("%s: counted wrongly: %s", cases[i],
				 script_error(s));
		assert_int_equal(run(s), VERDICT_DROP);
		script_free(s);
	}
}

/*
 * What rules keep leaves next to nothing: looking through all of it for each
 * small thing is work like any other, and a call that will not take no for an
 * answer ends. Its own garbage is not held against a call.
 */
static void a_call_without_memory_ends_early(void **state)
{
	static const char text[] =
		"local kept, big, turn = {}, nil, 0\n"
		"local function fill() while true do\n"
		"kept[#kept + 1] = { #kept } end end\n"
		"local function try() big = { {} } end\n"
		"rule { name = 'r', action = function(pkt)\n"
		"turn = turn + 1\n"
		"if turn == 1 then\n"
		"for i = 1, 20000 do big = { ('x'):rep(1000) .. i } end\n"
		"return DROP end\n"
		"if turn == 2 then fill() end\n"
		"if turn == 3 then while true do pcall(try) end end\n"
		"return DROP end }";
	struct script_limits limits = small;
	struct script_usage u;
	struct script *s;

	(void)state;
	limits.instructions = 2000000;
	s = load_script(text, &limits);
	assert_int_equal(run(s), VERDICT_DROP);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(run(s), VERDICT_ERROR);
		assert_has(script_error(s), "memory", script_error(s));
	}
	script_usage(s, &u);
	assert_int_equal(u.out_of_memory, 2);
	assert_int_equal(u.over_budget, 0);
	script_free(s);
}

static void too_little_memory_is_a_clean_error(void **state)
{
	size_t refused = 0, loaded = 0;

	(void)state;
	/* Every place where the ceiling can be met while a state is made and
	 * a file is loaded. */
	for (size_t memory = 64; memory < 160000; memory += 61) {
		struct script_limits limits = {.memory = memory};
		static const char text[] =
			"local s = set{ '10.0.0.0/8', '192.0.2.1-192.0.2.9' }\n"
			"rule { match = { src = s, dport = {1, 2, 3} },\n"
			"  rewrite = { ttl = 3 },\n"
			"  action = function() return ACCEPT end }";
		struct error err = {.text = ""};
		struct script *s;

		if (script_new(&s, &limits, NULL, 0, NULL, &err)) {
			assert_null(s);
			assert_has(err.text, "bytes of memory", "script_new");
			refused++;
			continue;
		}
		if (script_load_text(s, "t.lua", text, sizeof(text) - 1, &err))
			assert_has(err.text, "bytes of memory", "load");
		else
			loaded++;
		script_free(s);
	}
	assert_true(refused > 100);
	assert_true(loaded > 100);
}

static void too_deep_is_an_error_like_any_other(void **state)
{
	static const char *const cases[] = {
		"local function f() return f() + 1 end f()",
		"local function f(s) return s:gsub('x', f) end f('x')",
		"local function f() return pcall(f) and f() + 1 end f()",
		"local t = setmetatable({}, {}) getmetatable(t).__index =\n"
		"function(_, k) return t[k] end return t.x",
		"local t = {} t = setmetatable(t, {__index = t}) return t.x",
		"error(setmetatable({}, {__tostring = function()\n"
		"return 1 end}))",
		"error(setmetatable({}, {__tostring = error}))",
		"local function f() coroutine.wrap(f)() end f()",
		"return load(('('):rep(100000))()",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[1024];
		struct script *s;

		snprintf(text, sizeof(text),
			 "local first = true\n"
			 "rule { name = 'r', action = function(pkt)\n"
			 "if not first then return DROP end first = false\n"
			 "do %s end end }",
			 cases[i]);
		s = load_script(text, NULL);
		if (run(s) != VERDICT_ERROR)
			fail_msg("not an error: %s", cases[i]);
		assert_has(script_error(s), "rule r: ", cases[i]);
		assert_int_equal(run(s), VERDICT_DROP);
		script_free(s);
	}
}

static void what_is_allowed_works(void **state)
{
	static const char *const cases[] = {
		"return string.format('%d', 3) == '3' and DROP",
		"return ('abc'):upper() == 'ABC' and DROP",
		"return table.concat({1, 2}, ',') == '1,2' and DROP",
		"return math.max(1, 2) == 2 and DROP",
		"return math.random(1, 1) == 1 and DROP",
		"return utf8.char(228) == 'ä' and DROP",
		"return os.time() > 0 and os.date('!%Y', 0) == '1970' and DROP",
		"return os.clock() >= 0 and DROP",
		"return load('return 1 + 1')() == 2 and DROP",
		"return load('return x', 'n', 't', {x = 2})() == 2 and DROP",
		"return select(2, xpcall(error, function(e) return e .. '!' "
		"end,"
		" 'a')) == 'a!' and DROP",
		"local ok, a, b = xpcall(function(...) return ... end, error, "
		"1, 2) return ok and a == 1 and b == 2 and DROP",
		"local c = coroutine.wrap(function(a) local b = "
		"coroutine.yield(a) return b end)"
		"return c(1) == 1 and c(2) == 2 and DROP",
		/* a yield across pcall and xpcall */
		"local c = coroutine.wrap(function() pcall(function() "
		"xpcall(function() coroutine.yield(7) end, error) end) "
		"return 8 end) return c() == 7 and c() == 8 and DROP",
		"local c = coroutine.create(error) local ok, e = "
		"coroutine.resume(c, 'x') return not ok and e == 'x' and "
		"coroutine.status(c) == 'dead' and coroutine.close(c) == false "
		"and DROP",
		"local closed local c = coroutine.wrap(function() local x "
		"<close> = setmetatable({}, {__close = function() closed = "
		"true "
		"end}) error('x') end) pcall(c) return closed and DROP",
		"local t = setmetatable({}, {__index = {a = 1}}) "
		"return t.a == 1 and DROP",
		"local n = 0 for k in pairs(string) do n = n + 1 end "
		"return n > 10 and DROP",
		"return rawget(_G, 'nothing') == nil and rawget(_G, 'pcall') "
		"== "
		"pcall and DROP",
		"return next(args) == 'PORT' and DROP",
		"return args.PORT == '8080' and args.other == nil and DROP",
		"return collectgarbage('count') > 0 and DROP",
		"collectgarbage() collectgarbage('step') return DROP",
		"return type(_VERSION) == 'string' and _G._G == _G and DROP",
		"return tostring(ACCEPT) == 'ACCEPT' and "
		"tostring(reject(13)) == 'REJECT(13)' and DROP",
		"return reject('admin-prohibited') == reject(13) and "
		"reject() == REJECT and REJECT ~= reject(0) and DROP",
		"return pcall(error) == false and DROP",
		"return pcall(string.rep, 'x', 1 << 30) == false and DROP",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[1024];
		struct script *s;
		enum verdict_kind kind;

		snprintf(text, sizeof(text),
			 "rule { action = function(pkt) %s end }", cases[i]);
		s = load_script(text, &small);
		kind = run(s);
		if (kind != VERDICT_DROP)
			fail_msg("%s: %s %s", cases[i], verdict_name(kind),
				 script_error(s));
		script_free(s);
	}
}

static void globals_freeze_when_loading_ends(void **state)
{
	struct script *s =
		load_script("limit = 3\n"
			    "state = { n = 0 }\n"
			    "local n = 0\n"
			    "rule { action = function(pkt)\n"
			    "  n = n + 1\n"
			    "  state.n = state.n + limit\n"
			    "  if n == 1 then counter = 1 end\n"
			    "  if n == 2 then limit = 4 end\n"
			    "  if n == 3 then _G.x = 4 end\n"
			    "  if n == 4 then load('y = 1')() end\n"
			    "  return state.n == 15 and DROP or ACCEPT\n"
			    "end }",
			    &small);
	static const char *const name[] = {"counter", "limit", "x", "y"};

	(void)state;
	for (size_t i = 0; i < COUNT(name); i++) {
		char expected[128];

		snprintf(expected, sizeof(expected),
			 "assignment to global '%s' in an action; declare it "
			 "local at the top of the file",
			 name[i]);
		assert_int_equal(run(s), VERDICT_ERROR);
		assert_has(script_error(s), expected, name[i]);
	}
	assert_int_equal(run(s), VERDICT_DROP);
	script_free(s);
}

static void built_in_names_stay(void **state)
{
	static const char *const names[] = {"rule",   "ACCEPT", "string", "_G",
					    "packet", "set",	"pcall"};

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++) {
		struct script *s = make_script(&small);
		struct error err = {.text = ""};
		char text[64], expected[128];

		snprintf(text, sizeof(text), "\n%s = 1", names[i]);
		snprintf(expected, sizeof(expected),
			 "t.lua:2: '%s' is built in; choose another name",
			 names[i]);
		assert_int_equal(
			script_load_text(s, "t.lua", text, strlen(text), &err),
			-22);
		assert_string_equal(err.text, expected);
		script_free(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ways_out_are_closed),
		cmocka_unit_test(packets_hide_their_metatables),
		cmocka_unit_test(the_budget_cannot_be_escaped),
		cmocka_unit_test(a_cut_coroutine_never_runs_again),
		cmocka_unit_test(a_budget_is_not_shared_between_calls),
		cmocka_unit_test(the_memory_ceiling_holds),
		cmocka_unit_test(a_call_without_memory_ends_early),
		cmocka_unit_test(too_little_memory_is_a_clean_error),
		cmocka_unit_test(too_deep_is_an_error_like_any_other),
		cmocka_unit_test(what_is_allowed_works),
		cmocka_unit_test(globals_freeze_when_loading_ends),
		cmocka_unit_test(built_in_names_stay),
	};

	return cmocka_run_group_tests_name("script/sandbox", tests, NULL, NULL);
}
